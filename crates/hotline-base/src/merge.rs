//! One press that comes by several ways is one key.

use std::time::Duration;

use crate::{Key, MonoTime};

/// The same press in the sound and as an event is told within this, and by an event after an INFO.
const WINDOW: Duration = Duration::from_secs(1);

/// An INFO is sent when the key is let go, and over UDP again after 0.5, 1.5, 3.5 and 7.5 s
/// (RFC 3261 §17.1.2.1): that of a press that was told already is waited for so long.
const INFO_WINDOW: Duration = Duration::from_secs(10);

/// Presses that are remembered; nobody presses more while one may be told once more.
const REMEMBERED: usize = 32;

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
    /// So who presses a key twice is understood, however late the INFOs are, as long as he tells
    /// each press by the same ways.
    pub fn handle(&mut self, key: Key, way: KeyWay, now: MonoTime) -> Option<Key> {
        let (way, window) = match way {
            KeyWay::Event => (0, WINDOW),
            KeyWay::Info => (1, INFO_WINDOW),
            KeyWay::InBand => (2, WINDOW),
        };
        // From the oldest to the newest.
        for at in (0..REMEMBERED).map(|it| (self.n + it) % REMEMBERED) {
            if let Some(Some(press)) = self.presses.get_mut(at)
                && press.key == key
                && now.since(press.at) < window
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
    fn an_info_that_comes_late_is_the_press_that_the_event_told_of() {
        // Of a key that was held for 2 s; lost three times on its way; of the first of two presses
        // behind that of the second.
        check(&[(0, 'E', '5'), (2_100, 'I', '5')], "5");
        check(&[(0, 'E', '5'), (3_700, 'I', '5')], "5");
        check(&[(0, 'E', '5'), (2_000, 'E', '5'), (2_150, 'I', '5'), (3_700, 'I', '5')], "55");
        check(&[(0, 'B', '5'), (7_700, 'I', '5')], "5");
    }

    #[test]
    fn who_presses_a_key_again_is_heard_again_however_late_his_infos_are() {
        check(&[(0, 'E', '1'), (150, 'I', '1'), (1_500, 'E', '1'), (1_650, 'I', '1')], "11");
        // By INFO alone there is nothing to wait for.
        check(&[(0, 'I', '1'), (400, 'I', '1'), (5_000, 'I', '1')], "111");
        // The event of the second press was lost.
        check(&[(0, 'E', '1'), (150, 'I', '1'), (2_150, 'I', '1')], "11");
        // A network that loses the event of one press shows it by its INFO after 10 s at the latest.
        check(&[(0, 'E', '1'), (10_000, 'I', '1')], "11");
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
        // A number of 18 digits, and the INFOs of all when the last one was typed.
        let typed = digits.get(..18).unwrap();
        let events = (0..).zip(typed.chars()).map(|(n, key)| (n * 250, 'E', key));
        let infos = (0..).zip(typed.chars()).map(|(n, key)| (4_500 + n * 100, 'I', key));
        check(&events.chain(infos).collect::<Vec<_>>(), typed);
    }
}
