//! Legs of a process that died, brought back by the next one: on the same ports, with what was
//! agreed. Who hears whom, plays and recordings are ordered again by control.

use std::{thread, time::Duration};

use hotline_base::media::Profile;
use hotline_sdp::{Local, answer, settle};

use super::{
    Desk, Entry,
    guests::Protection,
    notes::{Note, Theirs},
};
use crate::{
    counters::count,
    task::{Door, Opening, Task},
};

/// Tasks of one leg.
const TASKS: usize = 2;

impl Desk {
    /// Before the first order: control finds the legs in the inventory.
    pub(super) fn revive(&mut self) {
        let notes = self.notes_of_legs.read(self.config.legs_max);
        if notes.is_empty() {
            return;
        }
        let mut n_back = 0;
        for (place, note) in notes {
            // A leg that cannot be brought back must not be tried by every process after this one.
            self.notes_of_legs.clear(place);
            if self.revive_leg(place, &note).is_some() {
                self.notes_of_legs.write(place, &note);
                count(&self.counters.legs_revived);
                n_back += 1;
            }
        }
        tracing::warn!(n_back, "Legs of a process that died are back.");
    }

    fn revive_leg(&mut self, place: u32, note: &Note) -> Option<()> {
        let Note { leg, port, session, version, said, theirs, .. } = note;
        // Keys and handshakes of a secure leg died with its process.
        if said.contains("/SAVP") {
            return None;
        }
        let local = Local {
            address: self.config.address,
            port: *port,
            session: *session,
            version: *version,
            codecs: self.config.coding.codecs,
        };
        let stream = match theirs {
            Theirs::Nothing => None,
            Theirs::Offer(theirs) => Some(answer(theirs, &local).ok()?.1),
            Theirs::Answer(theirs) => Some(settle(said, theirs).ok()?),
        };
        let slot = self.leg_slots.take_at(place)?;
        let Some(socket) = self.ports.reopen(*port) else {
            self.leg_slots.give_back(slot);
            return None;
        };
        let (port, session, version, said) = (*port, *session, *version, said.clone());
        let weight = stream.as_ref().map_or(1, |it| self.weight(it));
        let codecs = local.codecs;
        let protection = Protection::new(Profile::Plain, None);
        let entry = Entry { slot, port, session, version, codecs, weight, said, protection };
        self.legs.insert(*leg, entry);
        // Another stream than before (RFC 3550 §8.1): where the one before ended is not known.
        let (out, reports) = (self.outbound(), self.report_start(Some(port)));
        while self.tasks.slots() < TASKS {
            self.worker.wake();
            thread::sleep(Duration::from_millis(1));
        }
        let complexity = self.config.coding.opus_complexity;
        let (door, secure) = (Door::Own(socket), false);
        let opening = Opening { slot, id: *leg, door, secure, out, reports, complexity };
        self.task(Task::Open(Box::new(opening)));
        if let Some(stream) = stream {
            self.task(Task::Settle { leg: slot, stream });
        }
        Some(())
    }
}
