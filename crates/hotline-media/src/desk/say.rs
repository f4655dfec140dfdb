//! What control is told: what the worker and the recorder report, and what was kept for a control
//! that was not there.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hotline_base::{
    WallTime,
    media::{Event, VERSION},
};

use super::{Desk, Slot, Told};
use crate::{counters::count, task::Report};

/// Events kept for the next control.
const KEPT_MAX: usize = 4_096;

/// How often control is told what is counted.
pub(super) const FIGURES_EVERY: Duration = Duration::from_secs(5);

/// How long a recording that was reported is reported again to another control.
const LATELY: Duration = Duration::from_secs(10);

impl Desk {
    pub(super) fn read_reports(&mut self) {
        let mut worker = 0;
        while let Some(end) = self.workers.get_mut(worker) {
            let Ok(report) = end.reports.pop() else {
                worker += 1;
                continue;
            };
            let event = match report {
                Report::Key { leg, key } => Event::Key { leg, key },
                Report::PlayDone { leg, play, played_ms, end, spent } => {
                    drop(spent);
                    Event::PlayDone { leg, play, played_ms, end }
                }
                Report::Quiet { leg, secs } => Event::Quiet { leg, secs },
                Report::Hearing { leg, state } => Event::Hearing { leg, state },
                Report::Tone { leg, tone } => Event::Tone { leg, tone },
                Report::Closed { leg, slot, socket, stats, quality } => {
                    self.close_guest(leg);
                    if let Some(entry) = self.remove_leg(leg)
                        && !entry.protection.is_guest()
                    {
                        self.ports.close(entry.port, socket, Instant::now());
                    }
                    self.notes_of_legs.clear(slot.index);
                    self.leg_slots.give_back(slot);
                    self.say(Event::Sounded { leg, quality });
                    Event::Closed { leg, stats }
                }
                Report::Progress { leg, progress } => {
                    self.note_progress(leg, progress);
                    continue;
                }
                Report::TapeDone { tape } => {
                    self.on_tape_done(tape);
                    continue;
                }
            };
            self.say(event);
        }
        while let Ok(event) = self.outcomes.try_recv() {
            self.say(event);
        }
    }

    fn on_tape_done(&mut self, tape: Slot) {
        self.tape_slots.give_back(tape);
        // A recording that was stopped by an order is not there any more.
        if let Some(recording) = self.tapes.remove(&tape)
            && self.recordings.get(&recording) == Some(&tape)
        {
            self.recordings.remove(&recording);
        }
    }

    /// Says every few seconds what is counted, to a control that listens.
    pub(super) fn say_figures(&mut self) {
        let now = Instant::now();
        if now < self.figures_due {
            return;
        }
        self.figures_due = now + FIGURES_EVERY;
        if self.is_heard() {
            let legs = u32::try_from(self.legs.len()).unwrap_or(u32::MAX);
            let figures = self.counters.snapshot().figures(legs);
            self.say(Event::Figures(Box::new(figures)));
        }
    }

    /// Tells control, or keeps what it must know.
    pub(super) fn say(&mut self, event: Event) {
        if is_recording(&event) && self.is_heard() {
            self.forget_old();
            self.lately.push_back((Instant::now(), event.clone()));
        }
        self.pass_on(event);
    }

    fn pass_on(&mut self, event: Event) {
        match &mut self.link {
            Some(link) if link.greeted => {
                if let Err((broken, event)) = link.say(event) {
                    self.on_broken(&broken);
                    self.keep(event);
                }
            }
            Some(_) | None => self.keep(event),
        }
    }

    pub(super) fn keep(&mut self, event: Event) {
        let ends = matches!(event, Event::Sounded { .. } | Event::Closed { .. });
        let needed = ends || is_recording(&event);
        if needed && self.kept.len() < KEPT_MAX {
            self.kept.push_back(event);
        } else {
            count(&self.counters.events_dropped);
        }
    }

    /// Tells a new control what is alive, and then what it missed.
    pub(super) fn greet(&mut self) {
        self.told = Told::nothing();
        if let Some(link) = &mut self.link {
            link.greeted = true;
            link.owes(self.lately.len() + self.kept.len());
        }
        self.say(Event::Inventory {
            version: VERSION,
            legs: self.legs.keys().copied().collect(),
            recordings: self.recordings.keys().cloned().collect(),
            began: wall_before(self.began.elapsed()),
        });
        self.forget_old();
        let kept = std::mem::take(&mut self.kept);
        let mut again: Vec<_> = self.lately.iter().map(|it| it.1.clone()).collect();
        again.retain(|it| !kept.contains(it));
        for event in again {
            self.pass_on(event);
        }
        for event in kept {
            self.say(event);
        }
    }

    fn forget_old(&mut self) {
        let now = Instant::now();
        while self.lately.pop_front_if(|it| now.duration_since(it.0) >= LATELY).is_some() {}
    }
}

/// So long ago, by the clock as it stands now.
fn wall_before(age: Duration) -> WallTime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(now.saturating_sub(age).as_millis()).unwrap_or(0))
}

fn is_recording(event: &Event) -> bool {
    matches!(event, Event::Recorded(_) | Event::RecordFailed { .. } | Event::RecordRecovered { .. })
}
