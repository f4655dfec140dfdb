//! All legs and tapes of a worker, on a clock that the caller reads: what a packet, an order and
//! a moment in time do to them.

mod edge;
mod fetch;
mod mix;
mod out;
mod repack;
mod senses;
mod silence;
mod speech;
mod stale;
mod talk;
#[cfg(test)]
mod tests;

use std::time::Duration;

use hotline_base::{
    Key, MonoTime,
    media::{Channel, PlayEnd},
};
use hotline_sdp::Stream;

pub(super) use self::{edge::Guard, out::Out};
use self::{edge::Guests, mix::Group, senses::SENSES_EVERY, stale::Stale};
use super::{
    TICK,
    latch::Latch,
    leg::{Dialling, Leg},
    load::Shedding,
    play::Playing,
    senses::Ears,
    tape::Tape,
};
use crate::{
    counters::count,
    intake::Intake,
    task::{Door, Opening, Report, Slot, Task},
};

/// How often tapes are looked at while there are any.
const TAPES_EVERY: Duration = Duration::from_millis(50);

/// How often legs are asked whether they hear anything.
const QUIET_EVERY: Duration = Duration::from_secs(1);

/// Silence that is reported, in seconds.
const QUIET_SECS: [u32; 2] = [5, 30];

/// Longest datagram that is sent.
const SCRATCH: usize = 2_048;

#[derive(Debug)]
pub(super) struct Floor {
    legs: Vec<Option<Leg>>,
    tapes: Vec<Option<Box<Tape>>>,
    n_legs: usize,
    n_tapes: usize,
    /// Legs with a play or keys, by index.
    busy: Vec<u32>,
    /// What is mixed.
    groups: Vec<Group>,
    /// Legs that are decoded for their tapes.
    dictated: Vec<Slot>,
    /// The worker's busy share, in percent; costly codecs save by it.
    busy_percent: u32,
    /// Mixes so far.
    turn: u64,
    /// When plays, keys and mixes go on; `None` while there are none.
    tick: Option<MonoTime>,
    tapes_due: MonoTime,
    quiet_due: MonoTime,
    senses_due: MonoTime,
    scratch: Box<[u8; SCRATCH]>,
    stale: Stale,
    /// What is left out for want of time.
    shedding: Shedding,
    guests: Guests,
    pub(super) out: Out,
}

impl Floor {
    pub(super) fn new(legs_max: usize, out: Out) -> Self {
        let mut legs = Vec::new();
        legs.resize_with(legs_max, || None);
        let mut tapes = Vec::new();
        tapes.resize_with(legs_max, || None);
        Self {
            legs,
            tapes,
            n_legs: 0,
            n_tapes: 0,
            busy: Vec::with_capacity(legs_max),
            groups: Vec::new(),
            dictated: Vec::new(),
            busy_percent: 0,
            turn: 0,
            tick: None,
            tapes_due: MonoTime::default(),
            quiet_due: MonoTime::default(),
            senses_due: MonoTime::default(),
            scratch: Box::new([0; SCRATCH]),
            stale: Stale::new(legs_max),
            shedding: Shedding::default(),
            guests: Guests::default(),
            out,
        }
    }

    /// How busy the worker is, in percent of a core.
    pub(super) fn know_load(&mut self, percent: u32) {
        self.busy_percent = percent;
        self.shedding = self.shedding.under(percent);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do; `None` while idle.
    pub(super) fn due(&self) -> Option<MonoTime> {
        let tapes = (self.n_tapes > 0).then_some(self.tapes_due);
        let legs = (self.n_legs > 0).then(|| self.quiet_due.min(self.senses_due));
        [self.tick, tapes, legs].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, intake: &mut impl Intake, now: MonoTime) {
        self.on_tick(intake, now);
        // What waits in the queues belongs into the blocks whose time is over.
        if self.n_tapes > 0 && self.tapes_due <= now && !self.is_catching_up() {
            self.tapes_due = now + TAPES_EVERY;
            for idx in 0..self.tapes.len() {
                self.flush_tape(idx, now);
            }
        }
        if self.is_report_time(now) {
            self.senses_due = now + SENSES_EVERY;
            self.sense(intake, now);
            self.find_pauses(now);
        }
        if self.n_legs > 0 && self.quiet_due <= now {
            self.quiet_due = now + QUIET_EVERY;
            self.report_quiet(intake, now);
        }
    }

    /// `false` after [`Task::Quit`].
    pub(super) fn carry_out(
        &mut self,
        task: Task,
        intake: &mut impl Intake,
        now: MonoTime,
    ) -> bool {
        match task {
            Task::Open(opening) => self.open(*opening, intake, now),
            Task::Settle { leg, stream } => self.settle(leg, stream, intake, now),
            Task::Share { socket } => {
                if let Err(error) = intake.share(socket) {
                    tracing::error!(%error, "The port of browsers cannot be heard.");
                }
            }
            Task::Secure { leg, sender, receiver } => self.secure(leg, sender, receiver),
            Task::Label { leg, label } => {
                if let Some(leg) = self.leg_mut(leg) {
                    leg.label = label;
                }
            }
            Task::Find { leg, address } => self.find(leg, address),
            Task::Lose { address } => self.lose(address),
            Task::Choose { leg, to } => self.choose(leg, to),
            Task::Hear { listener, speakers } => {
                let is_nobody = speakers.is_empty();
                self.hear_from(listener, speakers, now);
                if is_nobody {
                    self.wake(listener, now);
                }
            }
            Task::Play { leg, play } => self.play(leg, play, now),
            Task::HeedTones { leg } => {
                if let Some(leg) = self.leg_mut(leg) {
                    leg.prick_ears(Ears::heed_tones);
                }
            }
            Task::Stop { leg, play } => {
                let playing = self.leg(leg).and_then(|it| it.play.as_ref()).map(|it| it.id);
                if playing == Some(play) {
                    self.end_play(leg, PlayEnd::Stopped);
                    self.fall_silent(leg, now);
                }
            }
            Task::SendKeys { leg, keys } => self.send_keys(leg, keys, now),
            Task::Record { tape, left, right, key } => {
                self.record(tape, [left, right], key, now);
            }
            Task::Source { tape, channel, legs } => self.set_sources(tape, channel, &legs, now),
            Task::Mute { tape: slot, muted } => {
                if let Some(tape) = self.tape_mut(slot) {
                    tape.set_muted(muted, now);
                }
                // A key that ends a secret question still sounds.
                let is_on = |it: &&mut Leg| it.tapes.iter().flatten().any(|it| it.0 == slot);
                self.legs.iter_mut().flatten().filter(is_on).for_each(Leg::hide_press);
            }
            Task::EndRecord { tape } => self.end_record(tape, now),
            Task::Close { leg } => self.close(leg, intake, now),
            Task::Quit => {
                for leg in self.dictated.clone() {
                    self.leave_tapes(leg, now);
                }
                for idx in 0..self.tapes.len() {
                    if let Some(slot) =
                        self.tapes.get(idx).and_then(Option::as_ref).map(|it| it.slot)
                    {
                        self.end_record(slot, now);
                    }
                }
                return false;
            }
        }
        true
    }

    fn open(&mut self, opening: Opening, intake: &mut impl Intake, now: MonoTime) {
        let leg = Leg::new(&opening, now);
        let slot = opening.slot;
        intake.add_reports(slot.index, opening.reports.socket);
        let Some(place) = self.legs.get_mut(slot.index as usize) else { return };
        debug_assert!(place.is_none(), "the desk hands out free slots only");
        let added = match opening.door {
            Door::Own(socket) => intake.add(slot.index, socket),
            Door::Shared => Ok(()),
        };
        if added.is_err() {
            // Closing it tells the desk.
            count(&self.out.counters.sends_refused);
        }
        if self.n_legs == 0 {
            self.quiet_due = now + QUIET_EVERY;
            self.senses_due = now + SENSES_EVERY;
        }
        *place = Some(leg);
        self.n_legs += 1;
    }

    fn settle(&mut self, slot: Slot, stream: Stream, intake: &mut impl Intake, now: MonoTime) {
        let Some(leg) = self.leg_mut(slot) else { return };
        let before = leg.codec();
        let latch = match leg.line.take() {
            Some((_, mut latch)) => {
                latch.signal(stream.address, now);
                latch
            }
            None if leg.is_guest() => Latch::guest(leg.path),
            None => Latch::new(stream.address, now),
        };
        leg.line = Some((stream, latch));
        leg.connect(intake);
        leg.quiet = (now, 0);
        let expects = leg.expects_audio();
        leg.senses.expect(expects, now);
        leg.prick_ears(|it| it.heed_keys(stream.telephone_event_in.is_none()));
        if before != stream.codec {
            self.change_codec(slot, stream.codec, now);
        }
        self.fall_silent(slot, now);
    }

    fn play(&mut self, slot: Slot, play: Box<Playing>, now: MonoTime) {
        self.end_play(slot, PlayEnd::Stopped);
        let Some(leg) = self.leg_mut(slot) else {
            self.out.forget_play(play);
            return;
        };
        leg.play = Some(play);
        self.set_busy(slot.index, now);
    }

    /// Ends a leg's play, if it has one, and says so.
    fn end_play(&mut self, slot: Slot, end: PlayEnd) {
        let Some(leg) = self.leg_mut(slot) else { return };
        let Some(play) = leg.play.take() else { return };
        leg.out.pause();
        let (leg, play, played_ms, spent) = (leg.id, play.id, play.played_ms(), play);
        self.out.report(Report::PlayDone { leg, play, played_ms, end, spent });
    }

    fn send_keys(&mut self, slot: Slot, mut keys: Vec<Key>, now: MonoTime) {
        let Some(leg) = self.leg_mut(slot) else { return };
        keys.reverse();
        if let Some(dialling) = &mut leg.keys {
            keys.append(&mut dialling.rest);
            dialling.rest = keys;
        } else {
            let Some(first) = keys.pop() else { return };
            leg.keys = Some(Box::new(Dialling::new(first, keys)));
            leg.out.pause();
            leg.repack.forget();
        }
        self.set_busy(slot.index, now);
    }

    fn set_busy(&mut self, index: u32, now: MonoTime) {
        if !self.busy.contains(&index) {
            self.busy.push(index);
        }
        self.start_ticking(now);
    }

    fn start_ticking(&mut self, now: MonoTime) {
        if self.tick.is_none() {
            self.tick = Some(now);
        }
    }

    fn record(&mut self, slot: Slot, sides: [Option<Slot>; 2], key: u64, now: MonoTime) {
        let Some(place) = self.tapes.get_mut(slot.index as usize) else { return };
        *place = Some(Box::new(Tape::new(slot, key, now)));
        if self.n_tapes == 0 {
            self.tapes_due = now + TAPES_EVERY;
        }
        self.n_tapes += 1;
        let [left, right] = sides;
        self.set_sources(slot, Channel::Left, left.as_slice(), now);
        self.set_sources(slot, Channel::Right, right.as_slice(), now);
    }

    /// From now on a channel holds the sum of what these say.
    fn set_sources(&mut self, slot: Slot, channel: Channel, legs: &[Slot], now: MonoTime) {
        let this = Some((slot, channel));
        let Some(tape) = self.tape_mut(slot) else { return };
        for before in tape.set_sources(channel, legs, now) {
            // What waits to be decoded was said before he left.
            if self.leg(before).is_none_or(|it| it.dictation.is_none()) {
                self.leave_tape((slot, channel), before, now);
            }
        }
        for slot in legs {
            self.make_room_for_tape(*slot, now);
            let Some(leg) = self.leg_mut(*slot) else { continue };
            if leg.tapes.contains(&this) {
                continue;
            }
            leg.hide_press();
            match leg.tapes.iter_mut().find(|it| it.is_none()) {
                Some(place) => {
                    *place = this;
                    self.note_dictation(*slot, now);
                }
                None => count(&self.out.counters.mixes_refused),
            }
        }
    }

    /// A leg's voice is on a channel no more, nor what of it waited.
    fn leave_tape(&mut self, (tape, channel): (Slot, Channel), slot: Slot, now: MonoTime) {
        if let Some(tape) = self.tape_mut(tape) {
            tape.drop_source(channel, slot);
        }
        if let Some(leg) = self.leg_mut(slot) {
            let this = Some((tape, channel));
            leg.tapes.iter_mut().filter(|it| **it == this).for_each(|it| *it = None);
        }
        self.note_dictation(slot, now);
    }

    /// The same of all channels, with what waited on them.
    fn leave_tapes(&mut self, slot: Slot, now: MonoTime) {
        self.dictate_rest(slot, now);
        let Some(tapes) = self.leg(slot).map(|it| it.tapes) else { return };
        for it in tapes.into_iter().flatten() {
            self.leave_tape(it, slot, now);
        }
    }

    /// A tape that begins goes before what waits for one that the leg has left.
    fn make_room_for_tape(&mut self, slot: Slot, now: MonoTime) {
        let Some(tapes) = self.leg(slot).map(|it| it.tapes) else { return };
        if tapes.contains(&None) {
            return;
        }
        let lingers = |it: &(Slot, Channel)| {
            let tape = self.tapes.get(it.0.index as usize).and_then(Option::as_ref);
            tape.is_some_and(|tape| tape.lingers(it.1, slot))
        };
        if let Some(it) = tapes.into_iter().flatten().find(lingers) {
            self.leave_tape(it, slot, now);
        }
    }

    fn end_record(&mut self, slot: Slot, now: MonoTime) {
        for channel in [Channel::Left, Channel::Right] {
            self.set_sources(slot, channel, &[], now);
        }
        if let Some(tape) = self.tape_mut(slot) {
            tape.stop(now);
            self.flush_tape(slot.index as usize, now);
        }
    }

    fn flush_tape(&mut self, idx: usize, now: MonoTime) {
        while let Some(Some(tape)) = self.tapes.get(idx)
            && let Some((channel, leg)) = tape.overdue(now)
        {
            let tape = tape.slot;
            self.leave_tape((tape, channel), leg, now);
        }
        let Some(Some(tape)) = self.tapes.get_mut(idx) else { return };
        if !tape.is_ending() {
            tape.flush(now, &mut self.out);
        } else if !tape.has_sources() && tape.end(now, &mut self.out) {
            self.take_down(idx);
        }
    }

    fn take_down(&mut self, idx: usize) {
        let Some(tape) = self.tapes.get_mut(idx).and_then(Option::take) else { return };
        self.n_tapes -= 1;
        self.out.report(Report::TapeDone { tape: tape.slot });
    }

    fn close(&mut self, slot: Slot, intake: &mut impl Intake, now: MonoTime) {
        self.end_play(slot, PlayEnd::Stopped);
        self.leave_plans(slot, now);
        self.say_bye(slot, intake, now);
        if self.leg(slot).is_none() {
            return;
        }
        self.leave_tapes(slot, now);
        let Some(leg) = self.legs.get_mut(slot.index as usize).and_then(Option::take) else {
            return;
        };
        self.n_legs -= 1;
        self.guests.forget(slot);
        let socket = intake.remove(slot.index);
        let (stats, quality) = (leg.stats(), leg.quality(now));
        self.out.report(Report::Closed { leg: leg.id, slot, socket, stats, quality });
    }

    fn report_quiet(&mut self, intake: &mut impl Intake, now: MonoTime) {
        // Well before the latch lets go of them.
        let is_quiet = |it: &&mut Leg| now.since(it.quiet.0) >= QUIET_EVERY;
        for leg in self.legs.iter_mut().flatten().filter(is_quiet) {
            leg.disconnect(intake);
        }
        for leg in self.legs.iter_mut().flatten().filter(|it| it.expects_audio()) {
            let (since, said) = leg.quiet;
            let Some(secs) = QUIET_SECS.get(usize::from(said)) else { continue };
            if now.since(since) >= Duration::from_secs(u64::from(*secs)) {
                leg.quiet.1 += 1;
                self.out.report(Report::Quiet { leg: leg.id, secs: *secs });
            }
        }
    }

    fn leg(&self, slot: Slot) -> Option<&Leg> {
        self.legs.get(slot.index as usize)?.as_ref().filter(|it| it.slot == slot)
    }

    fn leg_mut(&mut self, slot: Slot) -> Option<&mut Leg> {
        self.legs.get_mut(slot.index as usize)?.as_mut().filter(|it| it.slot == slot)
    }

    fn tape_mut(&mut self, slot: Slot) -> Option<&mut Tape> {
        self.tapes.get_mut(slot.index as usize)?.as_deref_mut().filter(|it| it.slot == slot)
    }
}
