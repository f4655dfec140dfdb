//! Legs of a process that died, brought back by the next one: on the same ports, with what was
//! agreed. Who hears whom, plays and recordings are ordered again by control.

use std::{thread, time::Duration};

use hotline_base::{ContextId, media::Profile};
use hotline_sdp::{Local, answer_in, settle_in};

use super::{
    Desk, Entry,
    guests::Protection,
    notes::{Note, Theirs},
};
use crate::{
    counters::count,
    task::{Door, Opening, Task},
};

/// Tasks of one leg, and of the port of all browsers.
const TASKS: usize = 8;

impl Desk {
    /// Before the first order: control finds the legs in the inventory.
    pub(super) fn revive(&mut self) {
        let notes = self.notes_of_legs.read(self.config.legs_max);
        if notes.is_empty() {
            return;
        }
        let mut n_back = 0;
        for (place, note) in notes {
            // A leg that cannot be brought back must not be tried by every process after this one;
            // one that can is noted anew.
            self.notes_of_legs.clear(place);
            if self.revive_leg(place, &note).is_some() {
                count(&self.counters.legs_revived);
                n_back += 1;
            }
        }
        tracing::warn!(n_back, "Legs of a process that died are back.");
    }

    fn revive_leg(&mut self, place: u32, note: &Note) -> Option<()> {
        let Note { leg, context, port, session, version, said, theirs, safe, sounds, .. } = note;
        let worker = self.worker_again(*context, note.worker)?;
        let protection = match safe {
            Some(safe) => Protection::revived(safe)?,
            None => Protection::new(Profile::Plain, None),
        };
        let secrets = protection.secrets.as_ref();
        let local = Local {
            address: self.config.address,
            port: *port,
            session: *session,
            version: *version,
            codecs: self.codecs(protection.profile),
        };
        let agreed = match theirs {
            Theirs::Nothing => None,
            Theirs::Offer(theirs) => {
                let (_, stream, security) = answer_in(theirs, &local, secrets).ok()?;
                Some((stream, security))
            }
            Theirs::Answer(theirs) => Some(settle_in(said, theirs).ok()?),
        };
        if !protection.is_whole(agreed.is_some()) {
            return None;
        }
        let slot = self.leg_slots.take_at(place, worker)?;
        let Some(door) = self.door_again(worker, *port, &protection) else {
            self.leg_slots.give_back(slot);
            return None;
        };
        let (port, session, version, said) = (*port, *session, *version, said.clone());
        let weight = agreed.as_ref().map_or(1, |it| self.weight(&it.0));
        let (codecs, secure) = (local.codecs, protection.is_secure());
        // Another stream than before (RFC 3550 §8.1): where the one before ended is not known.
        let out = self.outbound(secrets.map(|it| it.ssrc));
        let (context, sounds) = (*context, *sounds);
        let owes = agreed.as_ref().is_none_or(|it| it.0.is_sound_due());
        self.add_leg(
            *leg,
            Entry {
                slot,
                context,
                port,
                session,
                version,
                codecs,
                weight,
                said,
                protection,
                sounds,
                owes,
            },
        );
        let reports = self.report_start(door.port());
        while self.end_of(worker).is_some_and(|it| !it.has_room(TASKS)) {
            self.wake_workers();
            thread::sleep(Duration::from_millis(1));
        }
        let complexity = self.config.coding.opus_complexity;
        let (id, resumes) = (*leg, sounds);
        let opening = Opening { slot, id, door, secure, out, reports, complexity, resumes };
        self.task(worker, Task::Open(Box::new(opening)));
        self.admit_guest(*leg);
        if let Some((stream, security)) = agreed {
            self.resume_guard(*leg, security);
            self.task(worker, Task::Settle { leg: slot, stream });
        }
        // Nothing but silence is sent before control is there and says what.
        self.note(*leg, theirs.clone());
        Some(())
    }

    /// Where the context is already, or else the worker that it had. With fewer workers than before
    /// it may be another one.
    fn worker_again(&self, context: ContextId, before: u8) -> Option<u8> {
        let home = self.contexts.get(&context).map(|it| it.worker);
        let n = u8::try_from(self.workers.len()).unwrap_or(u8::MAX);
        home.or_else(|| before.checked_rem(n))
    }

    /// The door that the leg had.
    fn door_again(&mut self, worker: u8, port: u16, protection: &Protection) -> Option<Door> {
        if protection.is_guest() {
            return self.share_again(worker, port).map(|()| Door::Shared);
        }
        self.ports.reopen(port).map(Door::Own)
    }
}
