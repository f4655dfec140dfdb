//! How good a call sounded, by the E-model (ITU-T G.107) with the values of G.113.

use std::time::Duration;

/// What a codec costs, and how it stands loss.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Codec {
    /// G.711 with concealment at the listener.
    G711,
    /// G.711 where lost packets are silence.
    G711NoConcealment,
    G722,
    G729,
    Opus,
}

impl Codec {
    /// Equipment impairment and robustness against loss (Ie, Bpl). G.711 and G.729A with VAD: G.113
    /// appendix I. Neither G.722 nor Opus has a narrowband value there: both are
    /// counted as G.711 on this scale, which ends at narrowband; Opus with the robustness of G.711,
    /// which its own concealment at least has.
    const fn values(self) -> (f64, f64) {
        match self {
            Self::G711 | Self::G722 | Self::Opus => (0.0, 25.1),
            Self::G711NoConcealment => (0.0, 4.3),
            Self::G729 => (11.0, 19.0),
        }
    }
}

/// What a listener went through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    pub codec: Codec,
    /// Lost or too late, from 0 to 1.
    pub loss: f64,
    /// How much longer bursts of loss are than chance would have them (`BurstR`, G.107 §3.5); 1
    /// when losses are independent.
    pub burst_ratio: f64,
    /// From mouth to ear: half the round trip, the jitter buffer, the packet.
    pub delay: Duration,
}

impl Quality {
    /// The rating R (G.107 §3.1), from 0 to 93.2.
    pub fn rating(self) -> f64 {
        // G.107 §3, table 3: the sum of the default values.
        const DEFAULT: f64 = 93.2;
        let loss = self.loss.clamp(0.0, 1.0) * 100.0;
        let (equipment, robustness) = self.codec.values();
        // §3.5, equation 3-29.
        let effective =
            equipment + (95.0 - equipment) * loss / (loss / self.burst_ratio.max(1.0) + robustness);
        (DEFAULT - delay_impairment(self.delay) - effective).clamp(0.0, 100.0)
    }

    /// The mean opinion score, from 1 (bad) to 4.4 (G.107 annex B).
    pub fn mos(self) -> f64 {
        let r = self.rating();
        let mos = 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6;
        mos.clamp(1.0, 4.5)
    }
}

/// Id of G.107 §3.4 as a line with a knee (Cole and Rosenbluth, 2001): echo that is well cancelled,
/// and the trouble of talking at the same time beyond 177 ms.
fn delay_impairment(delay: Duration) -> f64 {
    let ms = delay.as_secs_f64() * 1_000.0;
    0.024 * ms + 0.11 * (ms - 177.3).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mos(codec: Codec, loss_percent: f64, delay_ms: u64) -> f64 {
        let delay = Duration::from_millis(delay_ms);
        Quality { codec, loss: loss_percent / 100.0, burst_ratio: 1.0, delay }.mos()
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 0.02
    }

    #[test]
    fn a_perfect_line_is_4_41_as_g_107_has_it() {
        assert!(near(mos(Codec::G711, 0.0, 0), 4.41));
        // R = 93.2 − 11 = 82.2.
        assert!(near(mos(Codec::G729, 0.0, 0), 4.11));
    }

    #[test]
    fn loss_costs_what_g_113_says_and_concealment_saves_most_of_it() {
        // R = 93.2 − 95·5/(5 + 25.1) = 77.4, and 93.2 − 95·5/(5 + 4.3) = 42.1.
        assert!(near(mos(Codec::G711, 5.0, 0), 3.94), "{}", mos(Codec::G711, 5.0, 0));
        let without = mos(Codec::G711NoConcealment, 5.0, 0);
        assert!(near(without, 2.17), "{without}");
    }

    #[test]
    fn losses_in_bursts_are_worse_than_the_same_number_alone() {
        let alone =
            Quality { codec: Codec::G711, loss: 0.1, burst_ratio: 1.0, delay: Duration::ZERO };
        assert!(Quality { burst_ratio: 4.0, ..alone }.mos() < alone.mos());
    }

    #[test]
    fn a_delay_up_to_150_ms_is_hardly_noticed_and_400_is() {
        assert!(mos(Codec::G711, 0.0, 150) > 4.3);
        assert!(mos(Codec::G711, 0.0, 400) < 3.6);
    }

    #[test]
    fn nothing_that_is_measured_leaves_the_scale() {
        for loss in [-1.0, 0.0, 100.0, 1e9] {
            assert!((1.0..=4.5).contains(&mos(Codec::G729, loss, 100_000)));
        }
    }
}
