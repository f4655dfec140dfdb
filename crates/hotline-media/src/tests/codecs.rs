//! Telephones of other codecs than G.711 over real sockets, and what is written to their prompts.

use std::net::{SocketAddr, UdpSocket};

use hotline_base::{
    LegId,
    media::{Event, FailReason, FailedOrder, Order, Profile, VERSION},
};
use hotline_dsp::{
    FRAME, G722Decoder, G722Encoder, OPUS_SAMPLES_MAX, OpusConfig, OpusDecoder, OpusEncoder, Tone,
    strength,
};
use hotline_rtp::{HEADER_LEN, Header, MediaTime, parse, write_header};
use hotline_sdp::{Codec, Codecs};

use super::rig::{CONTEXT, LOCAL, PATIENCE, Phone, Rig, port_of};

/// A telephone that speaks Opus or G.722.
struct Modern {
    codec: Codec,
    leg: LegId,
    socket: UdpSocket,
    to: SocketAddr,
    tone: Tone,
    said: u16,
    g722: (G722Encoder, G722Decoder),
    opus: (OpusEncoder, OpusDecoder),
    heard: Vec<i16>,
    last: Option<Header>,
}

fn rig() -> Rig {
    Rig::with(|it| {
        // Opus counts as up to 18.
        it.legs_max = 40;
        it.coding.codecs = Codecs::of([Codec::Opus, Codec::G722, Codec::Pcma]);
    })
}

impl Modern {
    fn call(rig: &mut Rig, leg: u64, codec: Codec, hz: u32) -> Self {
        let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let (number, leg) = (codec.offered_payload_type(), LegId(leg));
        let map = if codec == Codec::Opus { "opus/48000/2" } else { "G722/8000" };
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP {number} 8\r\na=rtpmap:{number} {map}\r\n"
        );
        rig.control.order(&Order::Open {
            leg,
            offer: Some(offer),
            profile: Profile::Plain,
            context: CONTEXT,
        });
        let Event::Opened { sdp, .. } = rig.control.event() else { panic!("not opened") };
        assert!(sdp.contains(&format!("a=rtpmap:{number} {map}\r\n")), "{sdp}");
        Self {
            codec,
            leg,
            socket,
            to: SocketAddr::new(LOCAL, port_of(&sdp)),
            tone: Tone::new(hz, 8_000),
            said: 0,
            g722: Default::default(),
            opus: (OpusEncoder::new(OpusConfig::default()).unwrap(), OpusDecoder::new().unwrap()),
            heard: Vec::new(),
            last: None,
        }
    }

    fn say(&mut self) {
        let (mut frame, mut packet) = ([0; FRAME], [0; HEADER_LEN + 400]);
        self.tone.fill(&mut frame);
        let audio = &mut packet[HEADER_LEN..];
        let n = if self.codec == Codec::Opus {
            self.opus.0.encode(&frame, audio).unwrap()
        } else {
            self.g722.0.encode(&frame, audio);
            FRAME
        };
        self.said += 1;
        let header = Header {
            marker: false,
            payload_type: self.codec.offered_payload_type(),
            sequence: self.said,
            timestamp: MediaTime(u32::from(self.said) * (self.codec.clock() / 50)),
            ssrc: 77,
        };
        write_header(&mut packet, &header);
        self.socket.send_to(&packet[..HEADER_LEN + n], self.to).unwrap();
    }

    /// Hears one packet and checks that it goes on where the one before ended, on its own clock.
    fn hear(&mut self) {
        let mut bytes = [0; 2_000];
        let (n, from) = self.socket.recv_from(&mut bytes).expect("a packet within the time");
        assert_eq!(from, self.to);
        let packet = parse(&bytes[..n]).unwrap();
        assert_eq!(packet.header.payload_type, self.codec.offered_payload_type());
        if let Some(last) = self.last.replace(packet.header) {
            assert_eq!(packet.header.sequence, last.sequence.wrapping_add(1));
            let ahead = packet.header.timestamp.since(last.timestamp);
            let frame = i32::try_from(self.codec.clock() / 50).unwrap();
            assert!(ahead >= frame && ahead % frame == 0, "{ahead}");
        }
        let mut samples = [0; OPUS_SAMPLES_MAX];
        let audio = &bytes[packet.payload];
        let n = if self.codec == Codec::Opus {
            self.opus.1.decode(audio, &mut samples).unwrap()
        } else {
            self.g722.1.decode(audio, &mut samples);
            audio.len()
        };
        self.heard.extend(&samples[..n]);
    }
}

/// Frames in which a tone is heard.
fn frames_of(heard: &[i16], hz: u32) -> usize {
    heard.chunks_exact(FRAME).filter(|it| strength(it, hz) > 0.8).count()
}

#[test]
fn opus_and_g722_telephones_hear_one_of_a_law_and_he_hears_them() {
    for codec in [Codec::Opus, Codec::G722] {
        let mut rig = rig();
        let mut modern = Modern::call(&mut rig, 1, codec, 700);
        let mut plain = rig.phone(2, 440);
        let pair =
            |listener, speaker| hotline_base::media::Hears { listener, speakers: vec![speaker] };
        let hears = vec![pair(modern.leg, plain.leg), pair(plain.leg, modern.leg)];
        rig.control.order(&Order::Mix { hears });
        rig.control.order(&Order::Hello { version: VERSION });
        assert!(matches!(rig.control.event(), Event::Inventory { .. }));
        let mut at_plain = Vec::new();
        // As often as the role's own tick says.
        for _ in 0..60 {
            modern.say();
            plain.say();
            modern.hear();
            at_plain.extend(plain.listen(1));
        }
        let n = frames_of(&modern.heard, 440);
        assert!(n >= 30, "{codec}: he is heard in {n} frames of 60");
        let n = frames_of(&at_plain, 700);
        assert!(n >= 30, "{codec}: is heard in {n} frames of 60");
    }
}

#[test]
fn a_prompt_is_heard_by_telephones_of_opus_and_g722() {
    for codec in [Codec::Opus, Codec::G722] {
        let mut rig = rig();
        rig.dir.prompt("tone", 500, 600);
        let mut modern = Modern::call(&mut rig, 1, codec, 700);
        rig.play(modern.leg, 1, &["tone"], 1);
        for _ in 0..30 {
            modern.hear();
        }
        let n = frames_of(&modern.heard, 500);
        assert!(n >= 26, "{codec}: {n} frames of 30");
    }
}

#[test]
fn a_leg_of_opus_takes_the_place_of_many_plain_ones() {
    let mut rig = Rig::with(|it| {
        it.legs_max = 20;
        it.coding.codecs = Codecs::of([Codec::Opus, Codec::Pcma]);
    });
    // As one of 6 calls through sockets, and of 9 through one (media paper, 6).
    let weight = if rig.media.counters().sk_lookup { 18 } else { 12 };
    Modern::call(&mut rig, 1, Codec::Opus, 700);
    let plain: Vec<_> = (2..22 - weight).map(|leg| rig.phone(leg, 440)).collect();
    let one_more = Phone::new(50, 440);
    let open = |leg, offer| {
        let (profile, context) = (Profile::Plain, CONTEXT);
        Order::Open { leg, offer: Some(offer), profile, context }
    };
    rig.control.order(&open(one_more.leg, one_more.sdp("sendrecv")));
    let (order, reason) = (FailedOrder::Open, FailReason::Busy);
    assert_eq!(rig.control.event(), Event::Failed { leg: one_more.leg, order, reason });
    // The place of a plain one is none for another of Opus.
    let leg = LegId(51);
    let offer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                 m=audio 4000 RTP/AVP 111\r\na=rtpmap:111 opus/48000/2\r\n";
    rig.control.order(&Order::Close { leg: plain[0].leg });
    assert!(matches!(rig.control.event(), Event::Closed { .. }));
    rig.control.order(&open(leg, offer.to_owned()));
    assert_eq!(rig.control.event(), Event::Failed { leg, order, reason });
    // What it took is free when it is gone.
    rig.control.order(&Order::Close { leg: LegId(1) });
    assert!(matches!(rig.control.event(), Event::Closed { .. }));
    rig.control.order(&open(leg, offer.to_owned()));
    assert!(matches!(rig.control.event(), Event::Opened { .. }));
}
