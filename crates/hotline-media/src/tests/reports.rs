//! RTCP on real sockets: at the port after the leg's own, and at the same one.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use hotline_base::{
    MonoTime, Now, WallTime,
    media::{Event, LegQuality, Order, Profile},
};
use hotline_rtp::{
    Header, Reception,
    rtcp::{Kind, RtcpConfig, RtcpItem, RtcpItems, RtcpSession, kind_of},
};

use super::rig::{CONTEXT, LOCAL, PATIENCE, Phone, Rig, port_of};

/// The RTCP half of a phone.
struct Reporter {
    socket: UdpSocket,
    session: RtcpSession,
    heard: Reception,
    began: Instant,
    to: SocketAddr,
}

impl Reporter {
    fn new(phone: &Phone, socket: UdpSocket, to: SocketAddr) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let config = RtcpConfig { ssrc: u32::from(phone.port), seed: 3, ticks_per_ms: 8 };
        let now = Now { mono: MonoTime::default(), wall: WallTime(1_795_219_200_000) };
        let session = RtcpSession::new(config, b"phone", now);
        Self { socket, session, heard: Reception::default(), began: Instant::now(), to }
    }

    fn now(&self) -> MonoTime {
        MonoTime::default() + self.began.elapsed()
    }

    /// Waits for a report and passes over speech.
    fn receive(&mut self) -> Vec<u8> {
        loop {
            let mut bytes = [0; 2_000];
            let (n, from) = self.socket.recv_from(&mut bytes).expect("a report within the time");
            if kind_of(&bytes[..n]) == Kind::Rtcp {
                assert_eq!(from, self.to);
                let now = self.now();
                self.session.handle(&bytes[..n], now).unwrap();
                return bytes[..n].to_vec();
            }
        }
    }

    /// Says at once what was heard: who leaves need not wait.
    fn send(&mut self, said: &Header) {
        let (now, mut report) = (self.now(), [0; 200]);
        self.session.note_sent(said, 160, now);
        let len = self.session.leave(now, &mut self.heard, &mut report).unwrap();
        self.socket.send_to(&report[..len], self.to).unwrap();
    }
}

/// Two phones talk; the caller is told of it and tells of it.
fn talk(rig: &mut Rig, caller: &mut Phone, reporter: &mut Reporter) -> LegQuality {
    let mut agent = rig.phone(2, 700);
    rig.bridge(caller, &agent);
    let mut last = None;
    for _ in 0..20 {
        caller.say();
        agent.listen(1);
        agent.say();
        let (packet, _) = caller.hear();
        let now = reporter.now();
        reporter.heard.handle(&packet.header, now);
        last = Some(packet.header);
    }
    let report = reporter.receive();
    let items: Vec<_> = RtcpItems::parse(&report).unwrap().collect();
    let RtcpItem::Sender { info, .. } = items[0] else { panic!("{items:?}") };
    // And silence since the agent says nothing.
    assert!(info.n_packets >= 20 && info.n_octets == info.n_packets * 160, "{info:?}");
    let of_ours = |it: &RtcpItem<'_>| matches!(it, RtcpItem::Block { block, .. } if block.ssrc == u32::from(caller.port));
    assert!(items.iter().any(of_ours), "{items:?}");
    reporter.send(&last.unwrap());
    let until = Instant::now() + PATIENCE;
    while rig.media.counters().reports_in == 0 {
        assert!(Instant::now() < until, "no report was taken");
        std::thread::yield_now();
    }
    rig.control.order(&Order::Close { leg: caller.leg });
    let quality = loop {
        if let Event::Sounded { quality, .. } = rig.control.any_event() {
            break quality;
        }
    };
    let bye = reporter.receive();
    let says_bye = |it| matches!(it, RtcpItem::Bye { .. });
    assert!(RtcpItems::parse(&bye).unwrap().any(says_bye));
    quality
}

fn check(quality: &LegQuality) {
    assert_eq!((quality.loss_in_permille, quality.loss_out_permille), (Some(0), Some(0)));
    assert!(quality.round_trip_us.is_some() && quality.mos_in_x100 > Some(400), "{quality:?}");
    assert!(quality.mos_out_x100.is_some() && quality.reports_out >= 2, "{quality:?}");
}

#[test]
fn reports_go_and_come_at_the_port_after_the_legs_own() {
    let mut rig = Rig::new();
    let mut caller = Phone::new(1, 440);
    let own = UdpSocket::bind((LOCAL, 0)).unwrap();
    let port = own.local_addr().unwrap().port();
    let offer = format!("{}a=rtcp:{port}\r\n", caller.sdp("sendrecv"));
    let leg = caller.leg;
    rig.control.order(&Order::Open {
        leg,
        offer: Some(offer),
        profile: Profile::Plain,
        context: CONTEXT,
    });
    let Event::Opened { sdp, .. } = rig.control.event() else { panic!("not opened") };
    assert!(!sdp.contains("rtcp-mux"), "{sdp}");
    caller.to = SocketAddr::new(LOCAL, port_of(&sdp));
    let to = SocketAddr::new(LOCAL, port_of(&sdp) + 1);
    // A stranger on another host is not believed; here he is on another address of this one.
    let stranger = UdpSocket::bind(("127.0.0.9", 0)).unwrap();
    stranger.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut reporter = Reporter::new(&caller, own, to);
    let until = Instant::now() + PATIENCE;
    // The worker opens the port a moment after the answer is written.
    while rig.media.counters().reports_refused == 0 {
        assert!(Instant::now() < until, "no report was refused");
        stranger.send_to(b"\x80\xC9\0\x01\0\0\0\x05", to).unwrap();
        assert!(stranger.recv(&mut [0; 9]).is_err(), "a stranger got an answer");
    }
    let quality = talk(&mut rig, &mut caller, &mut reporter);
    check(&quality);
    assert_eq!(quality.reports_in, 1);
}

#[test]
fn reports_of_a_peer_who_offers_one_port_for_both_go_and_come_there() {
    let mut rig = Rig::new();
    let mut caller = Phone::new(1, 440);
    let offer = format!("{}a=rtcp-mux\r\n", caller.sdp("sendrecv"));
    let leg = caller.leg;
    rig.control.order(&Order::Open {
        leg,
        offer: Some(offer),
        profile: Profile::Plain,
        context: CONTEXT,
    });
    let Event::Opened { sdp, .. } = rig.control.event() else { panic!("not opened") };
    assert!(sdp.contains("a=rtcp-mux\r\n"), "{sdp}");
    caller.to = SocketAddr::new(LOCAL, port_of(&sdp));
    let mut reporter = Reporter::new(&caller, caller.socket.try_clone().unwrap(), caller.to);
    let quality = talk(&mut rig, &mut caller, &mut reporter);
    check(&quality);
}

#[test]
fn what_is_counted_is_told_to_control_every_few_seconds() {
    let mut rig = Rig::new();
    let _caller = rig.phone(1, 440);
    let figures = loop {
        if let Event::Figures(it) = rig.control.any_event() {
            break it;
        }
    };
    assert_eq!(figures.legs, 1);
    assert_eq!(figures.sk_lookup, rig.media.counters().sk_lookup);
}
