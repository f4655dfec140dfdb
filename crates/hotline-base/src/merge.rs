//! One press that comes by several ways is one key.

use std::time::Duration;

use crate::{Key, MonoTime};

/// The same press by two ways arrives within this: a SIP INFO is sent when the key is let go.
const WINDOW: Duration = Duration::from_secs(1);

/// Presses that are remembered; nobody presses more within the window.
const REMEMBERED: usize = 16;

/// How a key came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyWay {
    /// RFC 4733.
    Event,
    /// SIP INFO.
    Info,
    /// Tones in the sound.
    InBand,
}

/// Counts presses of one party, whatever ways tell of them.
#[derive(Clone, Debug, Default)]
pub struct KeyMerger {
    presses: [Option<Press>; REMEMBERED],
    n: usize,
}

#[derive(Clone, Copy, Debug)]
struct Press {
    key: Key,
    at: MonoTime,
    /// By way: whether it told of this press.
    told: [bool; 3],
}

impl KeyMerger {
    /// A way tells of a press. Returns the key when it is the first to do so.
    ///
    /// Each way tells of each press once, so the second time one way brings a key it is another
    /// press, however quickly; another way's telling goes to the oldest press it has not told of.
    pub fn handle(&mut self, key: Key, way: KeyWay, now: MonoTime) -> Option<Key> {
        let way = match way {
            KeyWay::Event => 0,
            KeyWay::Info => 1,
            KeyWay::InBand => 2,
        };
        // From the oldest to the newest.
        for at in (0..REMEMBERED).map(|it| (self.n + it) % REMEMBERED) {
            if let Some(Some(press)) = self.presses.get_mut(at)
                && press.key == key
                && now.since(press.at) < WINDOW
                && let Some(told @ false) = press.told.get_mut(way)
            {
                *told = true;
                return None;
            }
        }
        let mut told = [false; 3];
        if let Some(told) = told.get_mut(way) {
            *told = true;
        }
        if let Some(slot) = self.presses.get_mut(self.n) {
            *slot = Some(Press { key, at: now, told });
        }
        self.n = (self.n + 1) % REMEMBERED;
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(milliseconds, way, key)`: `E`vent, `I`nfo, in `B`and.
    fn check(tellings: &[(u64, char, char)], expected: &str) {
        let mut merger = KeyMerger::default();
        let heard: String = tellings
            .iter()
            .filter_map(|(ms, way, key)| {
                let way = match way {
                    'E' => KeyWay::Event,
                    'I' => KeyWay::Info,
                    _ => KeyWay::InBand,
                };
                let now = MonoTime::default() + Duration::from_millis(10_000 + ms);
                merger.handle(Key::try_from(*key).unwrap(), way, now).map(Key::as_char)
            })
            .collect();
        assert_eq!(heard, expected, "{tellings:?}");
    }

    #[test]
    fn one_press_by_three_ways_is_one_key() {
        check(&[(0, 'E', '5'), (35, 'B', '5'), (300, 'I', '5')], "5");
        check(&[(0, 'B', '5'), (10, 'E', '5')], "5");
    }

    #[test]
    fn two_quick_presses_by_two_ways_are_two_keys_in_any_order() {
        check(&[(0, 'E', '1'), (40, 'B', '1'), (200, 'E', '1'), (240, 'B', '1')], "11");
        check(&[(0, 'E', '1'), (200, 'E', '1'), (210, 'I', '1'), (400, 'I', '1')], "11");
    }

    #[test]
    fn a_way_that_misses_a_press_does_not_lose_it() {
        check(&[(0, 'B', '1'), (200, 'E', '1'), (240, 'B', '1')], "11");
        check(&[(0, 'E', '1'), (200, 'E', '1'), (240, 'B', '1')], "11");
    }

    #[test]
    fn different_keys_and_presses_long_apart_are_different() {
        check(&[(0, 'E', '1'), (20, 'B', '2')], "12");
        check(&[(0, 'E', '1'), (1_500, 'B', '1')], "11");
    }

    #[test]
    fn a_caller_who_types_an_identity_number_quickly_by_two_ways_is_understood() {
        let digits = "450100199001011238450100199001011238";
        let both: Vec<_> = (0..)
            .zip(digits.chars())
            .flat_map(|(n, key)| [(n * 80, 'E', key), (n * 80 + 45, 'B', key)])
            .collect();
        check(&both, digits);
    }
}
