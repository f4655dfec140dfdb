//! The media process: what it is told and says, and what becomes of calls when it dies.

use std::time::Duration;

use hotline_base::{
    Now,
    media::{Event as MediaEvent, Order},
};
use hotline_call::Alive;

use super::{Output, Switchboard};
use crate::{io::Count, timers::Owner};

/// How long calls wait for another media process. People hear nothing meanwhile; most of them stay
/// on the line for so long.
const RETURN_MAX: Duration = Duration::from_secs(5);

impl Switchboard {
    /// While nobody is there to carry it out, an order is void.
    pub(super) fn order_media(&mut self, order: Order, now: Now) {
        match &order {
            Order::Open { leg, .. } if self.media_up => self.door.opens(*leg, now.mono),
            Order::Answer { leg, .. } | Order::Reoffer { leg, .. } | Order::Describe { leg } => {
                self.unanswered.insert(*leg, order.clone());
            }
            Order::Hello { .. }
            | Order::Open { .. }
            | Order::Mix { .. }
            | Order::Play(_)
            | Order::Stop { .. }
            | Order::SendKeys { .. }
            | Order::Record { .. }
            | Order::RecordSource { .. }
            | Order::RecordMute { .. }
            | Order::StopRecord { .. }
            | Order::HeedTones { .. }
            | Order::Close { .. } => (),
        }
        if self.media_up {
            self.outputs.push_back(Output::Order(order));
        }
    }

    pub(super) fn handle_media(&mut self, event: MediaEvent, now: Now) {
        let call = match &event {
            MediaEvent::Inventory { legs, recordings, began, .. } => {
                let alive = Alive { legs, recordings, began: *began };
                return self.take_inventory(&alive, now);
            }
            MediaEvent::Opened { leg, .. }
            | MediaEvent::Settled { leg, .. }
            | MediaEvent::Reanswered { leg, .. }
            | MediaEvent::Failed { leg, .. }
            | MediaEvent::PlayDone { leg, .. }
            | MediaEvent::Key { leg, .. }
            | MediaEvent::Quiet { leg, .. }
            | MediaEvent::Described { leg, .. }
            | MediaEvent::Hearing { leg, .. }
            | MediaEvent::Tone { leg, .. }
            | MediaEvent::Sounded { leg, .. }
            | MediaEvent::Closed { leg, .. } => self.media_legs.get(leg).copied(),
            MediaEvent::Recorded(it) => self.recordings.get(&it.recording).copied(),
            MediaEvent::RecordFailed { recording, .. }
            | MediaEvent::RecordRecovered { recording } => self.recordings.get(recording).copied(),
            MediaEvent::Figures(_) | MediaEvent::OwesSound { .. } => None,
            MediaEvent::Room { legs, ports } => return self.door.has_room(*legs, *ports),
        };
        match &event {
            MediaEvent::Opened { leg, .. } | MediaEvent::Failed { leg, .. } => {
                let opened = matches!(&event, MediaEvent::Opened { .. });
                self.door.opened(*leg, opened, now.mono);
                self.unanswered.remove(leg);
            }
            MediaEvent::Settled { leg, .. }
            | MediaEvent::Reanswered { leg, .. }
            | MediaEvent::Described { leg, .. }
            | MediaEvent::Closed { leg, .. } => {
                self.unanswered.remove(leg);
            }
            // Nobody would miss his voice.
            MediaEvent::OwesSound { leg, owes } => self.endpoint.watch(*leg, !owes, now),
            MediaEvent::Inventory { .. }
            | MediaEvent::PlayDone { .. }
            | MediaEvent::Key { .. }
            | MediaEvent::Quiet { .. }
            | MediaEvent::Hearing { .. }
            | MediaEvent::Tone { .. }
            | MediaEvent::Sounded { .. }
            | MediaEvent::Figures(_)
            | MediaEvent::Room { .. }
            | MediaEvent::Recorded(_)
            | MediaEvent::RecordFailed { .. }
            | MediaEvent::RecordRecovered { .. } => (),
        }
        if let Some(id) = call {
            self.step(id, now, |call, env, now| call.handle_media(event, env, now));
        }
    }

    /// The media process died. The next one brings back the legs it can.
    pub(super) fn media_down(&mut self, now: Now) {
        self.media_up = false;
        self.awaits_inventory = true;
        self.door.forget_all();
        self.timers.set(Owner::Media, Some((now.mono + RETURN_MAX, "media return")));
        self.each_call(now, |call, _, now| call.media_down(now));
    }

    /// No other media process came in time.
    pub(super) fn media_lost(&mut self, now: Now) {
        self.timers.set(Owner::Media, None);
        self.unanswered.clear();
        self.each_call(now, |call, env, now| call.media_lost(env, now));
    }

    /// Media says what lives: calls are compared with it, and what nobody owns is closed.
    fn take_inventory(&mut self, alive: &Alive<'_>, now: Now) {
        let Alive { legs, recordings, .. } = *alive;
        self.media_up = true;
        self.timers.set(Owner::Media, None);
        if std::mem::take(&mut self.awaits_inventory) {
            self.each_call(now, |call, env, now| call.reconcile(alive, env, now));
        }
        for leg in legs {
            let call = self.media_legs.get(leg).and_then(|it| self.calls.get(it));
            if call.is_none_or(|it| !it.call.has_leg(*leg)) {
                self.outputs.push_back(Output::Count(Count::OrphanLeg));
                self.outputs.push_back(Output::Order(Order::Close { leg: *leg }));
            }
        }
        for recording in recordings {
            if !self.recordings.contains_key(recording) {
                let recording = recording.clone();
                self.outputs.push_back(Output::Order(Order::StopRecord { recording }));
            }
        }
        // In the place of those that a process before did not answer any more.
        for (leg, order) in &self.unanswered {
            if legs.contains(leg) {
                self.outputs.push_back(Output::Order(order.clone()));
            }
        }
    }
}
