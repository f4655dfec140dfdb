//! What the packets of a batch will need, fetched side by side.
//!
//! Of a thousand legs hardly anything is in a near cache. Waiting for it line by line took longer
//! than all that is done with a packet; the memory fetches a dozen lines at a time when it is asked
//! for them at once.

use std::hint::black_box;

use hotline_base::media::Channel;

use super::Floor;
use crate::{
    intake::Arrival,
    task::Slot,
    worker::{leg::Leg, tape::Tape},
};

impl Floor {
    /// Reads a little of each cache line that these will need, and changes nothing: first the legs
    /// that hear them, then what those point to, and what that points to, down to where their
    /// audio is laid on tapes.
    pub(in crate::worker) fn fetch(&self, arrivals: &[Arrival]) {
        let mut sum = 0;
        for leg in self.legs_of(arrivals) {
            sum ^= leg.touch();
        }
        for leg in self.legs_of(arrivals) {
            sum ^= leg.guard.touch_receiver();
            sum ^= leg.tap.as_ref().map_or(0, |it| it.touch());
            sum ^= self.listener_of(leg).map_or(0, Leg::touch);
            sum ^= self.tapes_of(leg).fold(0, |sum, (tape, _)| sum ^ tape.touch());
        }
        for leg in self.legs_of(arrivals) {
            sum ^= self.listener_of(leg).map_or(0, |it| it.guard.touch_sender());
            sum ^= self.tapes_of(leg).fold(0, |sum, (tape, side)| sum ^ tape.touch_source(side));
        }
        for leg in self.legs_of(arrivals) {
            sum ^= self.tapes_of(leg).fold(0, |sum, (tape, side)| sum ^ tape.touch_audio(side));
        }
        black_box(sum);
    }

    /// The same for those who are mixed next.
    pub(super) fn fetch_mixed(&self, slots: impl Iterator<Item = Slot> + Clone) {
        let legs = slots.filter_map(|it| self.leg(it));
        let sum = legs.clone().fold(0, |sum, it| sum ^ it.touch());
        let taps = legs.filter_map(|it| it.tap.as_ref());
        black_box(taps.fold(sum, |sum, it| sum ^ it.touch_frame()));
    }

    fn legs_of(&self, arrivals: &[Arrival]) -> impl Iterator<Item = &Leg> {
        arrivals.iter().filter_map(|it| self.legs.get(it.leg as usize)?.as_ref())
    }

    fn tapes_of<'a>(&'a self, leg: &'a Leg) -> impl Iterator<Item = (&'a Tape, Channel)> {
        let tape = |it: &Slot| self.tapes.get(it.index as usize)?.as_deref();
        leg.tapes.iter().flatten().filter_map(move |(it, side)| Some((tape(it)?, *side)))
    }

    fn listener_of(&self, leg: &Leg) -> Option<&Leg> {
        self.legs.get(leg.relayed_to.first()?.index as usize)?.as_ref()
    }
}
