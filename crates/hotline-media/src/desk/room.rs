//! What there is room for, as control is told: so it refuses whom media would refuse before
//! anything is made of him.

use std::time::{Duration, Instant};

use hotline_base::media::Event;

use super::Desk;

/// How often control is told, at most.
const TOLD_EVERY: Duration = Duration::from_millis(20);

/// How often a busy worker is looked at while nothing else happens: what a leg costs it changes.
const LOOKED_EVERY: Duration = Duration::from_millis(100);

/// What control was told, and when it may be told again.
#[derive(Debug)]
pub(super) struct Told {
    room: Option<(u32, u32)>,
    again: Instant,
}

impl Told {
    /// Another control knows nothing yet.
    pub(super) fn nothing() -> Self {
        Self { room: None, again: Instant::now() }
    }
}

impl Desk {
    /// Plain legs of new calls, and ports.
    fn room(&self) -> (u32, u32) {
        let places = self.leg_slots.free.len();
        let legs = places.min(self.config.legs_max.saturating_sub(self.taken()));
        let legs = u32::try_from(legs).unwrap_or(u32::MAX);
        let workers = self.workers_room().map(|it| u32::try_from(it).unwrap_or(u32::MAX));
        let ports = u32::try_from(self.ports.n_free()).unwrap_or(u32::MAX);
        (workers.map_or(legs, |it| it.min(legs)), ports)
    }

    pub(super) fn say_room(&mut self) {
        let (now, room) = (Instant::now(), self.room());
        if self.is_heard() && self.told.room != Some(room) && now >= self.told.again {
            self.told = Told { room: Some(room), again: now + TOLD_EVERY };
            let (legs, ports) = room;
            self.say(Event::Room { legs, ports });
        }
    }

    /// When that is to be looked at again.
    pub(super) fn room_due(&self) -> Option<Instant> {
        if !self.is_heard() {
            None
        } else if self.told.room == Some(self.room()) {
            self.workers_room().map(|_| Instant::now() + LOOKED_EVERY)
        } else {
            Some(self.told.again)
        }
    }

    /// Whether a control listens.
    pub(super) fn is_heard(&self) -> bool {
        self.link.as_ref().is_some_and(|it| it.greeted)
    }
}
