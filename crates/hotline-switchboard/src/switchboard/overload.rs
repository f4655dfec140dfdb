//! More calls than can be served: new ones are turned away at the door, before anything is made of
//! them. What belongs to a call, agents' commands and calls that go out never come here.

use std::{collections::BTreeMap, time::Duration};

use hotline_base::{LegId, MonoTime, Now};
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
    /// When the last caller was turned away, while operators think that it goes on.
    turned_away: Option<MonoTime>,
}

impl Door {
    pub(super) fn new(config: OverloadConfig, now: Now) -> Self {
        let overload = Overload::new(config, now);
        Self { overload, opening: BTreeMap::new(), turned_away: None }
    }

    pub(super) fn opens(&mut self, leg: LegId, now: MonoTime) {
        self.opening.insert(leg, now);
    }

    pub(super) fn opened(&mut self, leg: LegId, now: MonoTime) {
        if let Some(since) = self.opening.remove(&leg) {
            self.overload.media_took(now.since(since));
        }
    }

    /// The leg will not begin any more.
    pub(super) fn forget(&mut self, leg: LegId) {
        self.opening.remove(&leg);
    }

    pub(super) fn forget_all(&mut self) {
        self.opening.clear();
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
            if self.door.overload.offer(upstream, waited, now.mono) {
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
