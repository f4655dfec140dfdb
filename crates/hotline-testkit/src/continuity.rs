//! Whether packets are one stream without a seam (RFC 3550 §5.1).

use std::{collections::BTreeSet, time::Duration};

use crate::PacketHeard;

/// What is wrong with a stream; all zeros and one source when nothing is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Continuity {
    pub n_packets: usize,
    /// How many SSRCs.
    pub n_sources: usize,
    /// Missing sequence numbers.
    pub n_lost: u32,
    /// Packets that came after one with a higher number, or twice.
    pub n_reordered: u32,
    /// Sound whose timestamp is not where the sound before it ended, pauses apart.
    pub n_timestamp_breaks: u32,
    /// Times in which nothing was sent, with a marker behind and a timestamp that went on as the
    /// clock did (RFC 3551 §4.1).
    pub n_pauses: u32,
    /// The longest time without a packet.
    pub gap_max: Duration,
}

impl Continuity {
    /// One source, every sequence number once and in order, every timestamp where it belongs.
    pub const fn is_seamless(&self) -> bool {
        self.n_sources == 1
            && self.n_lost == 0
            && self.n_reordered == 0
            && self.n_timestamp_breaks == 0
    }
}

pub(crate) fn of(packets: &[PacketHeard]) -> Continuity {
    let mut it = Continuity {
        n_packets: packets.len(),
        n_sources: packets.iter().map(|it| it.ssrc).collect::<BTreeSet<_>>().len(),
        ..Continuity::default()
    };
    for (last, next) in packets.iter().zip(packets.iter().skip(1)) {
        it.gap_max = it.gap_max.max(next.at.duration_since(last.at));
    }
    let mut newest: Option<&PacketHeard> = None;
    for next in packets {
        let Some(before) = newest.filter(|it| it.ssrc == next.ssrc) else {
            newest = Some(next);
            continue;
        };
        match next.sequence.wrapping_sub(before.sequence) {
            // Counted as lost when its successor came first, unless it is here twice.
            0 | 0x8000.. => {
                it.n_reordered += 1;
                it.n_lost = it.n_lost.saturating_sub(1);
                continue;
            }
            1 if is_pause(before, next) => it.n_pauses += 1,
            1 => it.n_timestamp_breaks += u32::from(breaks(before, next)),
            // A lost packet is counted once, as lost.
            ahead => it.n_lost += u32::from(ahead - 1),
        }
        newest = Some(next);
    }
    it
}

/// Keys take sequence numbers while their timestamps stand still (RFC 4733 §2.5.1.2), and the sound
/// in their time may be left out; so only sound after sound is compared.
const fn breaks(before: &PacketHeard, next: &PacketHeard) -> bool {
    !before.is_event
        && !next.is_event
        && next.timestamp != before.timestamp.wrapping_add(before.n_samples)
}

/// Whether the peer was silent as long as its timestamp says, to 100 ms.
fn is_pause(before: &PacketHeard, next: &PacketHeard) -> bool {
    let ahead = next.timestamp.wrapping_sub(before.timestamp.wrapping_add(before.n_samples));
    if !next.marker || ahead == 0 || ahead > u32::MAX / 2 {
        return false;
    }
    let claimed = Duration::from_micros(u64::from(ahead) * 1_000_000 / u64::from(crate::RATE));
    let waited = next.at.duration_since(before.at);
    claimed.abs_diff(waited) < Duration::from_millis(100)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn packets(numbers: &[(u16, u32)]) -> Vec<PacketHeard> {
        let at = Instant::now();
        numbers
            .iter()
            .map(|(sequence, timestamp)| PacketHeard {
                at,
                ssrc: 7,
                sequence: *sequence,
                timestamp: *timestamp,
                payload_type: 8,
                marker: false,
                is_event: false,
                n_samples: 160,
                is_silent: false,
            })
            .collect()
    }

    #[test]
    fn a_stream_across_both_wraps_is_seamless() {
        let it = of(&packets(&[(65_535, u32::MAX - 159), (0, 0), (1, 160)]));
        assert!(it.is_seamless(), "{it:?}");
    }

    #[test]
    fn losses_swaps_and_jumps_are_counted() {
        assert_eq!(of(&packets(&[(1, 0), (4, 480)])).n_lost, 2);
        let swapped = of(&packets(&[(1, 0), (3, 320), (2, 160), (4, 480)]));
        assert_eq!((swapped.n_lost, swapped.n_reordered), (0, 1));
        assert_eq!(of(&packets(&[(1, 0), (2, 800)])).n_timestamp_breaks, 1);
        let mut paused = packets(&[(1, 0), (2, 960)]);
        assert_eq!((of(&paused).n_pauses, of(&paused).n_timestamp_breaks), (0, 1));
        paused[1].marker = true;
        paused[1].at += Duration::from_millis(120);
        assert!(of(&paused).is_seamless() && of(&paused).n_pauses == 1);
        let mut two = packets(&[(1, 0), (2, 160)]);
        two[1].ssrc = 8;
        assert!(!of(&two).is_seamless());
    }
}
