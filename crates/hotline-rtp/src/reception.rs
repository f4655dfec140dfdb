//! What arrived, what did not, and how regularly (RFC 3550 §6.4.1, appendices A.1 and A.8).

use std::time::Duration;

use hotline_base::MonoTime;

use crate::{Header, MediaTime, ReportBlock, samples_in};

/// Sequence numbers further apart than this are another stream, not loss (`MAX_DROPOUT`, A.1).
const DROPOUT_MAX: u16 = 3_000;

/// Statistics over everything one peer sends, across restarts of its stream.
#[derive(Clone, Debug, Default)]
pub struct Reception {
    n_packets: u64,
    /// Missing in streams that are over.
    lost_before: u64,
    stream: Option<Stream>,
    /// Interarrival jitter in sixteenths of a tick, as in appendix A.8.
    jitter: u32,
    /// Ticks of the peer's clock for each one at 8,000 Hz, less one.
    scale_less_one: u32,
}

#[derive(Clone, Debug)]
struct Stream {
    ssrc: u32,
    first: u16,
    highest: u16,
    /// Sequence numbers from the first to the highest, both included.
    expected: u64,
    received: u64,
    /// Both as they were when the last report was made (A.3).
    expected_before: u64,
    received_before: u64,
    /// Transit time of the last packet in ticks, arbitrary origin; and its timestamp.
    transit: u32,
    timestamp: MediaTime,
}

impl Reception {
    /// The clock of what comes from now on, in ticks a second: a multiple of 8,000.
    pub fn set_clock(&mut self, clock: u32) {
        let before = self.scale();
        self.scale_less_one = (clock / 8_000).saturating_sub(1);
        self.jitter = self.jitter / before * self.scale();
    }

    const fn scale(&self) -> u32 {
        self.scale_less_one + 1
    }

    /// Takes note of a packet. Returns `false` when it begins another stream: another source, or
    /// the same one after a restart.
    pub fn handle(&mut self, header: &Header, now: MonoTime) -> bool {
        self.n_packets += 1;
        let scale = self.scale();
        let transit = arrival(now).wrapping_mul(scale).wrapping_sub(header.timestamp.0);
        if let Some(stream) = &mut self.stream
            && stream.ssrc == header.ssrc
        {
            let ahead = header.sequence.wrapping_sub(stream.highest);
            let behind = stream.highest.wrapping_sub(header.sequence);
            if ahead < DROPOUT_MAX || behind < DROPOUT_MAX {
                if ahead < DROPOUT_MAX {
                    stream.highest = header.sequence;
                    stream.expected += u64::from(ahead);
                }
                stream.received += 1;
                // Packets of one event share a timestamp but not an instant (RFC 4733 §2.6).
                if header.timestamp != stream.timestamp {
                    let distance =
                        transit.wrapping_sub(stream.transit).cast_signed().unsigned_abs();
                    // Further apart are two clocks, not two packets (RFC 7160 §4).
                    if distance < 80_000 * scale {
                        self.jitter = self.jitter + distance - ((self.jitter + 8) >> 4);
                    }
                    stream.transit = transit;
                    stream.timestamp = header.timestamp;
                }
                return true;
            }
        }
        self.lost_before = self.lost();
        self.stream = Some(Stream {
            ssrc: header.ssrc,
            first: header.sequence,
            highest: header.sequence,
            expected: 1,
            received: 1,
            expected_before: 0,
            received_before: 0,
            transit,
            timestamp: header.timestamp,
        });
        false
    }

    /// The report block about the stream that is heard now (RFC 3550 §6.4.1, A.3), without the
    /// times of the peer's report; `None` when nothing came since the last one was made.
    pub fn report(&mut self) -> Option<ReportBlock> {
        let jitter = self.jitter >> 4;
        let it = self.stream.as_mut()?;
        let expected = it.expected - it.expected_before;
        let received = it.received - it.received_before;
        if received == 0 {
            return None;
        }
        (it.expected_before, it.received_before) = (it.expected, it.received);
        let lost = it.expected.cast_signed() - it.received.cast_signed();
        let fraction = expected.saturating_sub(received) * 256 / expected.max(1);
        let highest = u64::from(it.first) + it.expected - 1;
        Some(ReportBlock {
            ssrc: it.ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            lost: i32::try_from(lost.clamp(-0x80_0000, 0x7F_FFFF)).unwrap_or(0),
            highest_sequence: u32::try_from(highest & 0xFFFF_FFFF).unwrap_or(0),
            jitter,
            last_report: 0,
            delay: 0,
        })
    }

    pub const fn n_packets(&self) -> u64 {
        self.n_packets
    }

    /// Sequence numbers that never came. Duplicates make up for losses, as in appendix A.3.
    pub fn lost(&self) -> u64 {
        let now = self.stream.as_ref().map_or(0, |it| it.expected.saturating_sub(it.received));
        self.lost_before + now
    }

    /// Interarrival jitter.
    pub fn jitter(&self) -> Duration {
        // A sample is 125 µs.
        Duration::from_nanos(u64::from(self.jitter) * 125_000 / 16 / u64::from(self.scale()))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a timestamp wraps around")]
fn arrival(now: MonoTime) -> u32 {
    samples_in(now.since(MonoTime::default())) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(packets: &[(u16, u64)]) -> Reception {
        let mut it = Reception::default();
        for (sequence, at_ms) in packets {
            let header = Header {
                marker: false,
                payload_type: 8,
                sequence: *sequence,
                timestamp: MediaTime(u32::from(*sequence) * 160),
                ssrc: 1,
            };
            it.handle(&header, MonoTime::default() + Duration::from_millis(*at_ms));
        }
        it
    }

    #[test]
    fn a_regular_stream_has_no_loss_and_no_jitter() {
        let it = check(&[(1, 20), (2, 40), (3, 60)]);
        assert_eq!((it.n_packets(), it.lost(), it.jitter()), (3, 0, Duration::ZERO));
    }

    #[test]
    fn missing_packets_are_lost_until_they_come_late() {
        assert_eq!(check(&[(1, 20), (4, 80)]).lost(), 2);
        assert_eq!(check(&[(1, 20), (4, 80), (3, 81)]).lost(), 1);
        assert_eq!(check(&[(65_535, 20), (1, 60)]).lost(), 1, "across the wrap");
    }

    #[test]
    fn one_late_packet_moves_the_jitter_by_a_sixteenth() {
        // 16 ms late: |D| = 16 ms, then 16 ms early again.
        assert_eq!(check(&[(1, 20), (2, 56)]).jitter(), Duration::from_millis(1));
    }

    #[test]
    fn a_clock_of_48_000_hz_is_measured_in_its_own_ticks() {
        let mut it = Reception::default();
        it.set_clock(48_000);
        for (sequence, at_ms) in [(1, 20), (2, 56)] {
            let header = Header {
                marker: false,
                payload_type: 111,
                sequence,
                timestamp: MediaTime(u32::from(sequence) * 960),
                ssrc: 1,
            };
            it.handle(&header, MonoTime::default() + Duration::from_millis(at_ms));
        }
        assert_eq!(it.jitter(), Duration::from_millis(1));
        assert_eq!(it.report().unwrap().jitter, 48);
    }

    #[test]
    fn a_report_tells_the_loss_since_the_one_before() {
        let mut it = check(&[(65_535, 20), (1, 60), (2, 80), (3, 100)]);
        let report = it.report().unwrap();
        assert_eq!((report.lost, report.fraction_lost), (1, 51));
        assert_eq!(report.highest_sequence, 65_536 + 3, "with its cycles");
        assert_eq!(it.report(), None, "nothing new");
        for sequence in [4, 4, 4] {
            let header = Header {
                marker: false,
                payload_type: 8,
                sequence,
                timestamp: MediaTime(640),
                ssrc: 1,
            };
            it.handle(&header, MonoTime::default() + Duration::from_millis(120));
        }
        let report = it.report().unwrap();
        assert_eq!((report.lost, report.fraction_lost), (-1, 0), "duplicates");
    }

    #[test]
    fn a_restarted_stream_is_not_loss() {
        let mut it = check(&[(1, 20), (3, 60)]);
        let other = Header {
            marker: true,
            payload_type: 8,
            sequence: 40_000,
            timestamp: MediaTime(7),
            ssrc: 2,
        };
        assert!(!it.handle(&other, MonoTime::default() + Duration::from_millis(80)));
        assert_eq!((it.n_packets(), it.lost()), (3, 1));
    }
}
