//! Two sessions that report to each other on virtual time.

use hotline_base::WallTime;

use super::*;
use crate::rtcp::{Kind, REPORT_MAX, kind_of};

const START: Now = Now { mono: MonoTime(5_000_000_000), wall: WallTime(1_790_000_000_123) };

fn session(ssrc: u32) -> RtcpSession {
    session_at(START, ssrc)
}

fn session_at(start: Now, ssrc: u32) -> RtcpSession {
    let config = RtcpConfig { ssrc, seed: u64::from(ssrc), ticks_per_ms: 8 };
    RtcpSession::new(config, b"f3a9c1@hotline", start)
}

fn header(ssrc: u32, n: u32) -> Header {
    Header {
        marker: false,
        payload_type: 8,
        sequence: u16::try_from(n & 0xFFFF).unwrap(),
        timestamp: MediaTime(n.wrapping_mul(160)),
        ssrc,
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Talks for `seconds` over a line of `way` each way that loses every `lost`-th packet. Returns
/// both sessions and when the first reported.
fn talk(seconds: u64, way: Duration, lost: u32) -> (RtcpSession, RtcpSession, Vec<MonoTime>) {
    talk_from(START, 0, seconds, way, lost)
}

/// The same at another time, `first` packets after the beginning.
fn talk_from(
    start: Now,
    first: u32,
    seconds: u64,
    way: Duration,
    lost: u32,
) -> (RtcpSession, RtcpSession, Vec<MonoTime>) {
    let (mut one, mut two) = (session_at(start, 1), session_at(start, 2));
    for it in [&mut one, &mut two] {
        it.note_total(first, first.wrapping_mul(160), (header(1, first).timestamp, start.mono));
    }
    let (mut at_one, mut at_two) = (Reception::default(), Reception::default());
    let mut reports = Vec::new();
    let mut on_the_way: Vec<(MonoTime, u32, Vec<u8>)> = Vec::new();
    for n in 0..u32::try_from(seconds * 50).unwrap() {
        let now = start.mono + ms(u64::from(n) * 20);
        let n = n.wrapping_add(first);
        one.note_sent(&header(1, n), 160, now);
        two.note_sent(&header(2, n), 160, now);
        if n % lost != 7 {
            at_two.handle(&header(1, n), now + way);
        }
        at_one.handle(&header(2, n), now + way);
        let (due, arrived) = on_the_way.into_iter().partition(|it| it.0 > now);
        on_the_way = due;
        for (at, from, datagram) in arrived {
            let to = if from == 1 { &mut two } else { &mut one };
            to.handle(&datagram, at).unwrap();
        }
        let mut buffer = [0; REPORT_MAX];
        if let Some(len) = one.handle_timeout(now, &mut at_one, &mut buffer) {
            reports.push(now);
            on_the_way.push((now + way, 1, buffer[..len].to_vec()));
        }
        if let Some(len) = two.handle_timeout(now, &mut at_two, &mut buffer) {
            on_the_way.push((now + way, 2, buffer[..len].to_vec()));
        }
    }
    (one, two, reports)
}

#[test]
fn both_sides_learn_loss_and_round_trip() {
    let (one, two, _) = talk(60, ms(40), 10);
    let view = one.view().unwrap();
    assert!((24..=27).contains(&view.block.fraction_lost), "{view:?}");
    let trip = view.round_trip.unwrap();
    assert!((ms(78)..ms(82)).contains(&trip), "{trip:?}");
    assert_eq!(two.view().unwrap().block.fraction_lost, 0);
    assert_eq!(two.view().unwrap().block.lost, 0);
}

/// Sequence numbers wrap each 22 minutes, timestamps each 149 hours, the NTP era in 2036, and the
/// counts of packets and octets after 2.7 years and 310 days.
#[test]
fn loss_and_round_trip_are_the_same_over_every_wrap() {
    let usual = talk(60, ms(40), 10).0.view().unwrap();
    let end_of_era = 2_085_978_496_000 - 30_000;
    let late = Now { mono: MonoTime((1 << 63) - 30_000_000_000), wall: WallTime(end_of_era) };
    // In the middle of the talk; 2^32 octets and ticks are 26,843,545 packets.
    for first in [65_536 - 1_500, 26_843_545 - 1_500, u32::MAX - 1_500] {
        for start in [START, late] {
            let (one, two, reports) = talk_from(start, first, 60, ms(40), 10);
            let view = one.view().unwrap();
            let (lost, trip) = (view.block.lost, view.round_trip.unwrap());
            assert!(lost.abs_diff(usual.block.lost) <= 2, "{first}: {view:?}");
            assert!((ms(78)..ms(82)).contains(&trip), "{first}: {trip:?}");
            assert_eq!(two.view().unwrap().block.lost, 0, "{first}");
            assert!(reports.len() > 8, "{first}: {reports:?}");
        }
    }
}

#[test]
fn reports_are_5_seconds_apart_on_average_never_in_step_and_the_first_comes_sooner() {
    let (_, _, reports) = talk(3_600, ms(10), 1_000);
    let first = reports[0].since(START.mono);
    assert!((ms(1_000)..ms(3_100)).contains(&first), "{first:?}");
    let gaps: Vec<_> = reports.windows(2).map(|it| it[1].since(it[0])).collect();
    for it in &gaps {
        assert!((ms(2_050)..ms(6_200)).contains(it), "RFC 3550 §6.3.1: {it:?}");
    }
    let n = u32::try_from(gaps.len()).unwrap();
    let mean = gaps.iter().sum::<Duration>() / n;
    assert!((ms(4_000)..ms(5_600)).contains(&mean), "{mean:?}");
    assert!(gaps.iter().max().unwrap().saturating_sub(*gaps.iter().min().unwrap()) > ms(1_500));
}

#[test]
fn a_report_begins_a_compound_with_a_name_and_reads_back() {
    let mut one = session(1);
    let mut heard = Reception::default();
    let now = START.mono + ms(4_000);
    one.note_sent(&header(1, 0), 160, START.mono + ms(3_980));
    heard.handle(&header(2, 0), now);
    let mut buffer = [0; REPORT_MAX];
    let len = one.leave(now, &mut heard, &mut buffer).unwrap();
    assert_eq!(kind_of(&buffer), Kind::Rtcp);
    let items: Vec<_> = RtcpItems::parse(&buffer[..len]).unwrap().collect();
    let [
        RtcpItem::Sender { ssrc: 1, info },
        RtcpItem::Block { reporter: 1, block },
        RtcpItem::Name { ssrc: 1, name },
        RtcpItem::Bye { ssrc: 1 },
    ] = items[..]
    else {
        panic!("{items:?}");
    };
    assert_eq!((info.n_packets, info.n_octets), (1, 160));
    // 20 ms after the packet with timestamp 0.
    assert_eq!(info.timestamp, 160);
    assert_eq!(info.ntp >> 32, 1_790_000_000 + NTP_EPOCH + 4);
    assert_eq!((block.ssrc, block.highest_sequence), (2, 0));
    assert_eq!(name, b"f3a9c1@hotline");
}

#[test]
fn who_only_listens_sends_receiver_reports() {
    let mut it = session(1);
    let mut heard = Reception::default();
    heard.handle(&header(2, 0), START.mono);
    let mut buffer = [0; REPORT_MAX];
    let mut now = START.mono;
    let len = loop {
        now = now + ms(100);
        if let Some(len) = it.handle_timeout(now, &mut heard, &mut buffer) {
            break len;
        }
    };
    let first = RtcpItems::parse(&buffer[..len]).unwrap().next();
    assert_eq!(first, Some(RtcpItem::Receiver { ssrc: 1 }));
}

#[test]
fn a_peer_that_says_bye_or_falls_silent_has_left() {
    let (one, mut two, _) = talk(20, ms(10), 1_000);
    let now = START.mono + ms(20_000);
    assert!(!two.has_left(now));
    assert!(two.has_left(now + ms(26_000)));
    let mut one = one;
    let mut buffer = [0; REPORT_MAX];
    let len = one.leave(now, &mut Reception::default(), &mut buffer).unwrap();
    two.handle(&buffer[..len], now).unwrap();
    assert!(two.has_left(now));
    assert_eq!(session(3).leave(now, &mut Reception::default(), &mut buffer), None);
}

#[test]
fn hostile_reports_are_refused_or_harmless() {
    let mut it = session(1);
    let now = START.mono;
    assert_eq!(it.handle(b"", now), Err(RtcpError::TooShort));
    assert_eq!(it.handle(&[0x80, 200, 0], now), Err(RtcpError::TooShort));
    assert_eq!(it.handle(&[0x40, 200, 0, 0], now), Err(RtcpError::NotRtcp));
    assert_eq!(it.handle(&[0x80, 202, 0, 0], now), Err(RtcpError::NoReportFirst));
    assert_eq!(it.handle(&[0x80, 201, 0, 9, 0, 0, 0, 1], now), Err(RtcpError::BadLength));
    // 31 blocks are promised and none is there; 31 chunks, torn in the middle.
    assert_eq!(
        it.handle(&[0x9F, 201, 0, 1, 0, 0, 0, 1, 0x9F, 202, 0, 1, 1, 40, 7, 7], now),
        Ok(())
    );
    assert!(it.view().is_none());
    let mut random = Random::new(1);
    for _ in 0..20_000 {
        let mut datagram = [0; 64];
        datagram.fill_with(|| u8::try_from(random.below(256)).unwrap());
        let len = usize::try_from(random.between(4, 64)).unwrap() / 4 * 4;
        [datagram[0], datagram[1]] = [0x80 | datagram[0] & 0x1F, 200 + datagram[1] % 4];
        [datagram[2], datagram[3]] = [0, u8::try_from(random.below(16)).unwrap()];
        if let Ok(items) = RtcpItems::parse(&datagram[..len]) {
            assert!(items.count() < 200);
        }
    }
}

#[test]
fn one_port_tells_stun_dtls_rtp_and_rtcp_apart() {
    for (first, second, kind) in [
        (0, 1, Kind::Stun),
        (22, 254, Kind::Dtls),
        (0x80, 8, Kind::Rtp),
        (0x80, 0xEF, Kind::Rtp),
        (0x81, 200, Kind::Rtcp),
        (0xB1, 205, Kind::Rtcp),
        (0xFF, 200, Kind::Unknown),
        (b'I', b'N', Kind::Unknown),
    ] {
        assert_eq!(kind_of(&[first, second, 0, 0]), kind, "{first} {second}");
    }
    assert_eq!(kind_of(&[]), Kind::Unknown);
}
