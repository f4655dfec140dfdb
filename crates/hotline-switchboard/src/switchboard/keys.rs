//! 二次拨号: keys for who is outside, in the way that leg takes them: telephone-events where they
//! were agreed on (RFC 4733), else as sound, or by INFO where the trunk wants it so.

use hotline_base::{CallId, Key, LegId, Now, media::Order};

use super::{Duration, Switchboard, VecDeque};
use crate::timers::Owner;

/// From one key by INFO to the next: a press of 100 ms, and a pause in which the first arrives
/// before the second leaves.
const PACE: Duration = Duration::from_millis(250);

/// Keys that wait for one leg.
const WAITING_MAX: usize = 64;

impl Switchboard {
    pub(super) fn send_keys(&mut self, id: CallId, leg: LegId, keys: Vec<Key>, now: Now) {
        if !self.keys_go_by_info(id, leg) {
            return self.order_media(Order::SendKeys { leg, keys }, now);
        }
        let is_idle = !self.keys_out.contains_key(&leg);
        let waiting = self.keys_out.entry(leg).or_default();
        waiting.extend(keys);
        waiting.truncate(WAITING_MAX);
        if is_idle {
            self.next_key(leg, now);
        }
    }

    /// It is the turn of the next key, or there is none.
    pub(super) fn next_key(&mut self, leg: LegId, now: Now) {
        let is_there = self.legs.contains_key(&leg);
        let next = self.keys_out.get_mut(&leg).and_then(VecDeque::pop_front);
        let Some(key) = next.filter(|_| is_there) else { return self.forget_keys(leg) };
        self.endpoint.send_key(leg, key, now);
        self.timers.set(Owner::Keys(leg), Some((now.mono + PACE, "next key")));
    }

    pub(super) fn forget_keys(&mut self, leg: LegId) {
        if self.keys_out.remove(&leg).is_some() {
            self.timers.set(Owner::Keys(leg), None);
        }
    }

    /// What a peer's description says of keys.
    pub(super) fn note_keys(&mut self, leg: LegId, sdp: Option<&str>) {
        let Some(sdp) = sdp else { return };
        if takes_events(sdp) {
            self.take_events.insert(leg);
        } else {
            self.take_events.remove(&leg);
        }
    }

    fn keys_go_by_info(&self, id: CallId, leg: LegId) -> bool {
        let caller = self.calls.get(&id).filter(|it| it.call.caller_leg() == leg);
        let trunk = self.guest_ways.get(&leg).or(caller.map(|it| &it.arrival.trunk));
        let wants = trunk.and_then(|it| self.admission.trunk(it)).is_some_and(|it| it.keys_by_info);
        wants && !self.take_events.contains(&leg)
    }
}

/// Whether a description names telephone-events (RFC 4733 §7.1.1), in letters of any case.
fn takes_events(sdp: &str) -> bool {
    const NAME: &[u8] = b"telephone-event";
    sdp.match_indices('/').any(|(slash, _)| {
        let name = slash.checked_sub(NAME.len()).and_then(|from| sdp.as_bytes().get(from..slash));
        name.is_some_and(|it| it.eq_ignore_ascii_case(NAME))
    })
}

#[cfg(test)]
mod tests {
    use super::takes_events;

    #[test]
    fn telephone_events_are_found_in_letters_of_any_case() {
        let of = |name: &str| format!("m=audio 4 RTP/AVP 8 101\r\na=rtpmap:101 {name}\r\n");
        let found = ["telephone-event/8000", "Telephone-Event/8000", "x/y", "telephone-event"];
        assert_eq!(found.map(|it| takes_events(&of(it))), [true, true, false, false]);
        assert!(takes_events("telephone-event/"));
        assert!(!takes_events("/"));
    }
}
