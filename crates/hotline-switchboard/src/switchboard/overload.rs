//! More calls than can be served: new ones are turned away at the door, before anything is made of
//! them. What belongs to a call, agents' commands and calls that go out never come here.

use std::{collections::BTreeMap, time::Duration};

use hotline_base::{LegId, MonoTime, Now};
use hotline_cdr::RefusedWhy;
use hotline_sip::{Feedback, Flow, Message};
use hotline_trunk::{Overload, OverloadConfig, Reduction, Upstream};

use super::{Output, Switchboard};
use crate::{Alarm, io::Count};

/// No caller was turned away for so long: it is over.
const OVER: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Door {
    overload: Overload,
    /// Legs that media was told to begin and has not, since when.
    opening: BTreeMap<LegId, MonoTime>,
    /// Legs and ports that media had room for without these; `None`: it has not said.
    room: Option<(usize, usize)>,
    /// When the last caller was turned away, while operators think that it goes on.
    turned_away: Option<MonoTime>,
}

impl Door {
    pub(super) fn new(config: OverloadConfig, now: Now) -> Self {
        let overload = Overload::new(config, now);
        Self { overload, opening: BTreeMap::new(), room: None, turned_away: None }
    }

    pub(super) fn opens(&mut self, leg: LegId, now: MonoTime) {
        self.opening.insert(leg, now);
    }

    /// Media has begun the leg, or will not.
    pub(super) fn opened(&mut self, leg: LegId, opened: bool, now: MonoTime) {
        if opened && let Some((legs, ports)) = &mut self.room {
            (*legs, *ports) = (legs.saturating_sub(1), ports.saturating_sub(1));
        }
        if let Some(since) = self.opening.remove(&leg) {
            self.overload.media_took(now.since(since));
        }
    }

    /// The leg will not begin any more.
    pub(super) fn forget(&mut self, leg: LegId) {
        self.opening.remove(&leg);
    }

    /// The media process is gone.
    pub(super) fn forget_all(&mut self) {
        self.opening.clear();
        self.room = None;
    }

    pub(super) fn has_room(&mut self, legs: u32, ports: u32) {
        let room = (usize::try_from(legs), usize::try_from(ports));
        self.room = Some((room.0.unwrap_or(usize::MAX), room.1.unwrap_or(usize::MAX)));
    }

    /// Why media would refuse a new call, as far as it has said.
    pub(super) fn no_room(&self) -> Option<RefusedWhy> {
        let (legs, ports) = self.room?;
        let asked = self.opening.len();
        if asked >= legs {
            Some(RefusedWhy::MediaBusy)
        } else if asked >= ports {
            Some(RefusedWhy::NoPort)
        } else {
            None
        }
    }

    /// What peers are told that keep calls back.
    pub(super) const fn feedback(&self) -> Feedback {
        let Reduction { percent, validity, seq } = self.overload.reduction();
        Feedback { percent, validity, seq }
    }

    pub(super) const fn is_overloaded(&self) -> bool {
        self.overload.is_overloaded()
    }

    /// New calls a second that are taken, if not all, and the percentage that peers keep back.
    pub(super) fn figures(&self) -> (Option<u64>, u8) {
        (self.overload.per_sec(), self.overload.reduction().percent)
    }
}

impl Switchboard {
    /// Whether more comes than the machine bears: what belongs to calls is to be told to it first.
    pub const fn is_overloaded(&self) -> bool {
        self.door.is_overloaded()
    }

    /// Whether this is a call too many; then it has its answer. So it is while none is taken for
    /// want of a disk or of media, too: each refusal with a record takes room in memory from those
    /// of running calls. Only a planned end says when to come back (RFC 3261 §21.5.4), and says it
    /// to everybody.
    pub(super) fn turns_away(
        &mut self,
        flow: Flow,
        message: &Message,
        waited: Duration,
        now: Now,
    ) -> bool {
        if !self.endpoint.is_new_call(message) || self.draining {
            return false;
        }
        let Some(trunk) = self.admission.trunk_of(flow.remote).map(|it| it.id.clone()) else {
            return false;
        };
        if !self.endpoint.was_turned_away(message) {
            let takes_part = message.takes_part();
            let upstream = if takes_part { Upstream::TakesPart } else { Upstream::Plain };
            let has_room = self.door.no_room().is_none();
            if self.door.overload.offer(upstream, waited, has_room, now.mono) {
                return false;
            }
            self.traffic.turned_away(&trunk, now);
            self.outputs.push_back(Output::Count(Count::TurnedAway));
            if self.door.turned_away.replace(now.mono).is_none() {
                let per_sec = self.door.overload.per_sec();
                self.outputs.push_back(Output::Alarm(Alarm::Overload { per_sec }));
            }
        }
        self.endpoint.turn_away(flow, message, now);
        true
    }

    /// The shortest time that a message waited for its turn lately.
    pub(super) fn waited(&mut self, least: Duration, now: Now) {
        let door = &mut self.door;
        if let Some((_, since)) = door.opening.first_key_value() {
            door.overload.media_takes(now.mono.since(*since));
        }
        door.overload.waited(least, now);
        self.endpoint.set_feedback(door.feedback());
        if door.turned_away.is_some_and(|it| now.mono.since(it) >= OVER) {
            door.turned_away = None;
            self.outputs.push_back(Output::Alarm(Alarm::OverloadOver));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legs_that_media_is_still_at_count_against_the_room_that_it_has_told() {
        let now = Now::default();
        let mut door = Door::new(OverloadConfig::default(), now);
        assert_eq!(door.no_room(), None, "it has not said");
        door.has_room(3, 2);
        door.opens(LegId(1), now.mono);
        assert_eq!(door.no_room(), None);
        door.opens(LegId(2), now.mono);
        assert_eq!(door.no_room(), Some(RefusedWhy::NoPort));
        // The first is there, the second is not going to be.
        door.opened(LegId(1), true, now.mono);
        assert_eq!(door.no_room(), Some(RefusedWhy::NoPort));
        door.opened(LegId(2), false, now.mono);
        assert_eq!(door.no_room(), None);
        door.has_room(1, 1);
        door.opens(LegId(3), now.mono);
        assert_eq!(door.no_room(), Some(RefusedWhy::MediaBusy));
        door.forget(LegId(3));
        assert_eq!(door.no_room(), None);
        // It ordered a leg that nobody wants any more.
        door.opened(LegId(3), true, now.mono);
        assert_eq!(door.no_room(), Some(RefusedWhy::MediaBusy));
        door.forget_all();
        assert_eq!(door.no_room(), None);
    }
}
