//! Keys in the sound, tones of the plan and lengths of packets, on real sockets.

use hotline_base::media::{Event, Order, Profile};
use hotline_dsp::{DtmfDetector, DtmfTone, FRAME, Signal, SignalDetector, strength};
use hotline_rtp::{HEADER_LEN, Header, MediaTime, write_header};

use super::rig::{CONTEXT, LOCAL, Phone, Rig, port_of};

/// A phone whose description is changed.
fn open(rig: &mut Rig, mut phone: Phone, change: impl Fn(String) -> String) -> Phone {
    let (leg, offer) = (phone.leg, change(phone.sdp("sendrecv")));
    rig.control.order(&Order::Open {
        leg,
        offer: Some(offer),
        profile: Profile::Plain,
        context: CONTEXT,
    });
    let Event::Opened { sdp, .. } = rig.control.event() else { panic!("not opened") };
    phone.to = (LOCAL, port_of(&sdp)).into();
    phone
}

fn without_events(sdp: String) -> String {
    sdp.replace(" 101\r\n", "\r\n").replace("a=rtpmap:101 telephone-event/8000\r\n", "")
}

/// Says sound in packets of `len` samples.
fn say(phone: &Phone, first: u16, samples: &[i16], len: usize) {
    for (n, part) in (first..).zip(samples.chunks(len)) {
        let timestamp = MediaTime(u32::from(n) * u32::try_from(len).unwrap());
        let header = Header {
            marker: false,
            payload_type: 8,
            sequence: n,
            timestamp,
            ssrc: phone.port.into(),
        };
        let mut packet = vec![0; HEADER_LEN];
        write_header(&mut packet, &header);
        packet.extend(part.iter().map(|it| hotline_dsp::g711::linear_to_alaw(*it)));
        phone.socket.send_to(&packet, phone.to).unwrap();
    }
}

fn press(key: u8) -> Vec<i16> {
    let mut samples = vec![0; 1_600];
    DtmfTone::new(key).unwrap().fill(&mut samples);
    samples
}

#[test]
fn keys_of_phones_without_events_are_heard_and_made_as_sound() {
    let mut rig = Rig::new();
    let caller = open(&mut rig, Phone::new(1, 440), without_events);
    let mut agent = rig.phone(2, 700);
    rig.bridge(&caller, &agent);
    for (n, key) in [3, 10].into_iter().enumerate() {
        say(&caller, u16::try_from(n).unwrap() * 10, &press(key), FRAME);
        let Event::Key { leg, key: heard } = rig.control.event() else { panic!("no key") };
        assert_eq!((leg, heard.event()), (caller.leg, key));
        agent.listen(10);
    }
    // The agent's telephone has events; the caller gets them as sound.
    agent.press('6');
    let Event::Key { leg, .. } = rig.control.event() else { panic!("no key") };
    assert_eq!(leg, agent.leg);
    let mut detector = DtmfDetector::default();
    let sound = caller.listen(10);
    let keys: Vec<_> = sound.chunks(FRAME).filter_map(|it| detector.hear(it)).collect();
    assert_eq!(keys, [6]);
}

#[test]
fn a_tone_of_the_plan_is_heard_although_nobody_recorded_it() {
    let mut rig = Rig::new();
    let caller = rig.phone(1, 440);
    rig.play(caller.leg, 1, &["tone.busy"], 0);
    let mut detector = SignalDetector::default();
    let sound = caller.listen(150);
    let said: Vec<_> = sound.chunks(FRAME).filter_map(|it| detector.hear(it)).collect();
    assert_eq!(said, [Signal::Busy]);
}

#[test]
fn a_listener_gets_packets_of_the_length_that_his_description_names() {
    let mut rig = Rig::new();
    let caller = rig.phone(1, 440);
    let agent = open(&mut rig, Phone::new(2, 700), |it| it + "a=ptime:40\r\na=maxptime:30\r\n");
    rig.bridge(&caller, &agent);
    let mut tone = hotline_dsp::Tone::new(600, 8_000);
    let mut samples = vec![0; 480 * 20];
    tone.fill(&mut samples);
    // 60 ms each, for a listener who takes 30 at most.
    say(&caller, 0, &samples, 480);
    let mut heard = Vec::new();
    for _ in 0..40 {
        let (packet, payload) = agent.hear();
        assert_eq!((payload.len(), packet.header.payload_type), (240, 8));
        heard.extend(payload.into_iter().map(hotline_dsp::g711::alaw_to_linear));
    }
    assert!(strength(&heard, 600) > 0.98);
}
