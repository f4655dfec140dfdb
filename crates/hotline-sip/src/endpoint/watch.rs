//! Peers from whom no sound is due, such as one who holds or only listens: nobody would miss their
//! voice, and a session may last for half an hour (RFC 4028). They are asked within the dialog
//! whether they are there.

use std::time::Duration;

use hotline_base::{LegId, Now};

use super::{Endpoint, names::ACCEPT, phones::is_away, session::LATER};
use crate::{
    Event, Message,
    leg::{Leg, Purpose},
    timers::TimerName,
    transaction::{Tempo, TxId},
};

/// As often as a telephone that is registered is asked.
const EVERY: Duration = Duration::from_secs(30);

impl Endpoint {
    /// From now on no sound is due from the peer, or some is again. One that is silent in
    /// signalling, too, to OPTIONS and to a refresh of the session for as long as a request waits
    /// (64 T1) each, ends with [`EndWhy::Expired`](crate::EndWhy). Nobody is asked before the leg
    /// is answered.
    pub fn watch(&mut self, leg: LegId, is_silent: bool, now: Now) {
        let is_over = matches!(self.legs.get(&leg), Some(Leg::Closing(_)) | None);
        if is_over || self.silent.contains_key(&leg) == is_silent {
            return;
        }
        if is_silent {
            self.silent.insert(leg, None);
        } else {
            self.silent.remove(&leg);
        }
        self.arm_watch(leg, now);
        self.say(Event::Changed { leg });
    }

    pub(super) fn arm_watch(&mut self, leg: LegId, now: Now) {
        match self.legs.get(&leg) {
            Some(Leg::Up(_)) if self.silent.contains_key(&leg) => {
                self.timers.set(leg, TimerName::Watch, now.mono + EVERY);
            }
            _ => self.timers.cancel(leg, TimerName::Watch),
        }
    }

    /// OPTIONS (RFC 3261 §11): any answer but one of somebody on the way is a sign of life.
    pub(super) fn ask_silent(&mut self, leg: LegId, now: Now) {
        let Some((request, flow)) = self.request_in(leg, "OPTIONS") else { return };
        if let Some(unheard_since) = self.silent.get_mut(&leg) {
            unheard_since.get_or_insert(now.mono);
        }
        let request = request.header("Accept", ACCEPT).end();
        self.ask(&request, flow, Purpose::Watch(leg), now);
    }

    pub(super) fn on_watch_response(&mut self, id: TxId, leg: LegId, message: &Message, now: Now) {
        match message.status().unwrap_or(0) {
            ..200 => drop(self.purposes.insert(id, Purpose::Watch(leg))),
            // It may know no OPTIONS within a dialog: what it says to a refresh counts.
            481 => self.refresh_or_end(leg, now),
            status if is_away(status) => self.on_watch_lost(leg, now),
            _ => self.heard_silent(leg, now),
        }
    }

    /// A peer gave a sign of life.
    pub(super) fn heard_silent(&mut self, leg: LegId, now: Now) {
        if let Some(unheard_since) = self.silent.get_mut(&leg) {
            *unheard_since = None;
            self.arm_watch(leg, now);
        }
    }

    /// Nobody answered. A connection may have broken, and the next one be on its way.
    pub(super) fn on_watch_lost(&mut self, leg: LegId, now: Now) {
        let Some(since) = self.silent.get(&leg).copied().flatten() else { return };
        if now.mono.since(since) < Tempo::of(&self.config).limit() {
            self.timers.set(leg, TimerName::Watch, now.mono + LATER);
        } else {
            // There are telephones that say nothing to OPTIONS within a call.
            self.refresh_or_end(leg, now);
        }
    }
}
