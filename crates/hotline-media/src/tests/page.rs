//! A browser's page: `str0m` over real sockets, which is nobody's of ours.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

use hotline_base::LegId;
use hotline_dsp::{
    FRAME, Tone,
    g711::{alaw_to_linear, ulaw_to_linear},
};
use str0m::{
    Candidate, Event, Input, Output, Rtc, RtcConfig,
    change::{SdpAnswer, SdpOffer, SdpPendingOffer},
    format::{Codec, FormatParams},
    media::{Direction, Frequency, MediaKind, MediaTime, Mid, TelephoneEvent},
    net::{Protocol, Receive},
};

use super::rig::PATIENCE;

pub(super) struct Page {
    pub(super) leg: LegId,
    rtc: Rtc,
    sockets: Vec<UdpSocket>,
    mid: Option<Mid>,
    pending: Option<SdpPendingOffer>,
    tone: Tone,
    time: u64,
    /// The audio that came.
    pub(super) heard: Vec<i16>,
    /// The keys that came, one for each report of an end.
    pub(super) keys: Vec<u8>,
    pub(super) is_connected: bool,
    /// DTLS or another part ended in an error.
    pub(super) is_broken: bool,
}

impl Page {
    pub(super) fn new(leg: u64, hz: u32) -> Self {
        let mut config = RtcConfig::new().clear_codecs().enable_pcmu(true, false);
        config = config.enable_pcma(true, false);
        let rate = Frequency::EIGHT_KHZ;
        config.codec_config().add_config(
            126.into(),
            None,
            Codec::Tele,
            rate,
            None,
            FormatParams::default(),
        );
        let rtc = config.build(Instant::now());
        let mut page = Self {
            leg: LegId(leg),
            rtc,
            sockets: Vec::new(),
            mid: None,
            pending: None,
            tone: Tone::new(hz, 8_000),
            time: 0,
            heard: Vec::new(),
            keys: Vec::new(),
            is_connected: false,
            is_broken: false,
        };
        page.join(Ipv4Addr::LOCALHOST);
        page
    }

    /// On a network card with this address.
    fn join(&mut self, address: Ipv4Addr) {
        self.sockets.push(UdpSocket::bind((address, 0)).unwrap());
        self.gather();
    }

    fn gather(&mut self) {
        for socket in &self.sockets {
            let candidate = Candidate::host(socket.local_addr().unwrap(), "udp").unwrap();
            self.rtc.add_local_candidate(candidate);
        }
        self.drain();
    }

    pub(super) fn offer(&mut self) -> String {
        let mut change = self.rtc.sdp_api();
        let direction = Direction::SendRecv;
        self.mid = Some(change.add_media(MediaKind::Audio, direction, None, None, None));
        let (offer, pending) = change.apply().unwrap();
        self.pending = Some(pending);
        self.drain();
        offer.to_sdp_string()
    }

    pub(super) fn accept(&mut self, answer: &str) {
        let answer = SdpAnswer::from_sdp_string(answer).unwrap();
        let pending = self.pending.take().unwrap();
        self.rtc.sdp_api().accept_answer(pending, answer).unwrap();
        self.drain();
        // A restart of ICE forgot them.
        self.gather();
    }

    pub(super) fn answer(&mut self, offer: &str) -> String {
        let offer = SdpOffer::from_sdp_string(offer).unwrap();
        let answer = self.rtc.sdp_api().accept_offer(offer).unwrap().to_sdp_string();
        self.drain();
        answer
    }

    /// The network is another from now on; the offer that says so.
    pub(super) fn roam(&mut self, address: Ipv4Addr) -> String {
        self.sockets.clear();
        let mut change = self.rtc.sdp_api();
        change.ice_restart(false);
        let (offer, pending) = change.apply().unwrap();
        self.pending = Some(pending);
        self.drain();
        self.join(address);
        offer.to_sdp_string()
    }

    /// Says 20 ms of its tone.
    pub(super) fn say(&mut self) {
        let mut audio = [0; FRAME];
        self.tone.fill_alaw(&mut audio);
        let time = MediaTime::new(self.time, Frequency::EIGHT_KHZ);
        self.time += 160;
        if let Some(writer) = self.rtc.writer(self.mid.unwrap()) {
            writer.write(8.into(), Instant::now(), time, audio).unwrap();
        }
        self.drain();
    }

    pub(super) fn press(&mut self, key: u8) {
        let time = MediaTime::new(self.time, Frequency::EIGHT_KHZ);
        let duration = Duration::from_millis(100);
        let event = TelephoneEvent { event: key, end: true, volume: 10, duration };
        let writer = self.rtc.writer(self.mid.unwrap()).unwrap();
        writer.telephone_event(event).write(8.into(), Instant::now(), time, []).unwrap();
        self.drain();
    }

    /// Takes in what comes until this holds; `false` when it does not in a time in which all comes
    /// that is going to.
    pub(super) fn until(&mut self, holds: impl Fn(&Self) -> bool) -> bool {
        let end = Instant::now() + PATIENCE * 3;
        while !holds(self) {
            if end < Instant::now() {
                return false;
            }
            self.take_in(Duration::from_millis(10));
        }
        true
    }

    /// Until the new way is found, what is said to the old one is lost.
    pub(super) fn until_heard(&mut self, mut say: impl FnMut()) -> bool {
        self.heard.clear();
        for _ in 0..500 {
            say();
            self.take_in(Duration::from_millis(10));
            if !self.heard.is_empty() {
                return true;
            }
        }
        false
    }

    /// Takes in what comes in this time.
    pub(super) fn take_in(&mut self, time: Duration) {
        let end = Instant::now() + time;
        let mut bytes = [0; 2_000];
        loop {
            let mut came = false;
            for at in 0..self.sockets.len() {
                let socket = &self.sockets[at];
                let to = socket.local_addr().unwrap();
                socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
                match socket.recv_from(&mut bytes) {
                    Ok((n, from)) => {
                        came = true;
                        let it = Receive::new(Protocol::Udp, from, to, &bytes[..n]).unwrap();
                        let input = Input::Receive(Instant::now(), it);
                        self.is_broken |= self.rtc.handle_input(input).is_err();
                        self.drain();
                    }
                    Err(error) => assert!(matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    )),
                }
            }
            if !came {
                let input = Input::Timeout(Instant::now());
                self.is_broken |= self.rtc.handle_input(input).is_err();
                self.drain();
                if end <= Instant::now() {
                    return;
                }
            }
        }
    }

    fn drain(&mut self) {
        loop {
            let Ok(output) = self.rtc.poll_output() else {
                self.is_broken = true;
                return;
            };
            match output {
                Output::Timeout(_) => return,
                Output::Transmit(it) => {
                    let from = |socket: &&UdpSocket| socket.local_addr().unwrap() == it.source;
                    if let Some(socket) = self.sockets.iter().find(from) {
                        socket.send_to(&it.contents, it.destination).unwrap();
                    }
                }
                Output::Event(Event::Connected) => self.is_connected = true,
                Output::Event(Event::MediaAdded(it)) => self.mid = Some(it.mid),
                Output::Event(Event::MediaData(it)) => {
                    if it.params.spec().codec == Codec::Tele {
                        let is_end = it.data.get(1).is_some_and(|it| it & 0x80 != 0);
                        self.keys.extend(it.data.first().filter(|_| is_end));
                    } else {
                        let is_ulaw = it.params.spec().codec == Codec::PCMU;
                        let decode = if is_ulaw { ulaw_to_linear } else { alaw_to_linear };
                        self.heard.extend(it.data.iter().map(|it| decode(*it)));
                    }
                }
                Output::Event(_) => {}
            }
        }
    }
}
