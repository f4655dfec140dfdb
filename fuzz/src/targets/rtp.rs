//! What comes to a port of media without protection: RTP, RTCP and everything else.

use std::time::Duration;

use hotline_base::{MonoTime, Now, WallTime};
use hotline_rtp::{
    EventReceiver, Format, HEADER_LEN, JitterBuffer, Next, Reception, parse,
    rtcp::{Kind, REPORT_MAX, RtcpConfig, RtcpItems, RtcpSession, kind_of},
    write_header,
};

use super::datagrams;
use crate::trace::Trace;

pub(super) const WORDS: &[&str] = &[
    "\u{0}\u{10}",
    "\u{0}\u{ac}",
    "\u{0}\u{0}\u{0}\u{1}",
    "\u{1}\u{1}\u{3}hot",
    "\u{be}\u{de}",
    "\u{0}\u{8}",
    "\u{7f}\u{7f}\u{7f}\u{7f}",
];

/// A frame of 20 ms at 8,000 Hz.
const FRAME: usize = 160;

pub(super) fn run(bytes: &[u8]) -> u64 {
    let mut trace = Trace::new();
    let mut now = Now { mono: MonoTime(1_000_000_000), wall: WallTime(1_800_000_000_000) };
    let mut reception = Reception::default();
    let mut jitter = [JitterBuffer::new(Format::Bytes), JitterBuffer::new(Format::Packets)];
    let mut keys = EventReceiver::default();
    let config = RtcpConfig { ssrc: 7, seed: 1, ticks_per_ms: 8 };
    let mut session = RtcpSession::new(config, b"a-name", now);
    for datagram in datagrams::of(bytes) {
        now = now + Duration::from_millis(20);
        let kind = kind_of(datagram);
        trace.note(&format!("{kind:?}"));
        match parse(datagram) {
            Ok(it) => {
                assert!(it.payload.start >= HEADER_LEN && it.payload.end <= datagram.len());
                assert!(it.payload.start <= it.payload.end, "{:?}", it.payload);
                assert_eq!(kind, Kind::Rtp, "read as RTP, and taken for something else");
                let mut again = datagram.to_vec();
                assert!(write_header(&mut again, &it.header));
                let header = parse(again.get(..HEADER_LEN).unwrap_or_default()).map(|it| it.header);
                assert_eq!(header, Ok(it.header), "what was written is read");
                let payload = datagram.get(it.payload).unwrap_or_default();
                trace.flag(reception.handle(&it.header, now.mono));
                for jitter in &mut jitter {
                    let ticks = u32::try_from(payload.len()).unwrap_or(u32::MAX);
                    trace.note(&format!(
                        "{:?}",
                        jitter.insert(&it.header, payload, ticks, now.mono)
                    ));
                }
                let key = keys.handle(&it.header, payload);
                trace.note(&format!("{key:?}"));
            }
            Err(why) => trace.note(&format!("{why:?}")),
        }
        reports(datagram, &mut session, now, &mut trace);
        for jitter in &mut jitter {
            plays(jitter, now.mono, &mut trace);
        }
    }
    let mut report = [0; REPORT_MAX];
    // Twice, for the interval is drawn once more.
    let later = [30, 60].map(|secs| now.mono + Duration::from_secs(secs));
    let said =
        later.into_iter().find_map(|at| session.handle_timeout(at, &mut reception, &mut report));
    assert!(said.is_none_or(|n| n <= REPORT_MAX));
    if let Some(ours) = said.and_then(|n| report.get(..n)) {
        assert!(RtcpItems::parse(ours).is_ok(), "what we say of a stranger can be read");
    }
    trace.end()
}

fn reports(datagram: &[u8], session: &mut RtcpSession, now: Now, trace: &mut Trace) {
    match RtcpItems::parse(datagram) {
        Ok(items) => {
            // Each item takes bytes, so that a short datagram is never a long story.
            let n = items.take(datagram.len() + 1).count();
            assert!(n <= datagram.len(), "{n} items in {} bytes", datagram.len());
            trace.count(n);
        }
        Err(why) => trace.note(&format!("{why:?}")),
    }
    trace.flag(session.handle(datagram, now.mono).is_ok());
    trace.flag(session.has_left(now.mono));
}

/// What is heard is a frame at a time, whatever came, and no longer than what is asked for.
fn plays(jitter: &mut JitterBuffer, now: MonoTime, trace: &mut Trace) {
    let mut pending = 0;
    for _ in 0..FRAME {
        let samples = match jitter.next(now, pending) {
            Next::Packet { payload, .. } => {
                trace.note("packet");
                payload.len()
            }
            Next::Lost { samples, .. } => {
                trace.note("lost");
                samples
            }
            Next::Pause { samples, .. } => {
                trace.note("pause");
                samples
            }
        };
        assert!(samples > 0, "time stands still");
        pending += samples;
        if pending >= FRAME {
            return;
        }
    }
    assert!(pending >= FRAME, "a frame has no end");
}
