//! What happens when nothing happens.

use hotline_base::{LegId, Now};

use super::Endpoint;
use crate::{
    EndWhy, Event, HangUp,
    leg::{Leg, Offer, Purpose},
    timers::TimerName,
    transaction::{Notice, TxId},
};

impl Endpoint {
    pub(super) fn on_leg_timer(&mut self, leg: LegId, name: TimerName, now: Now) {
        match name {
            TimerName::Success => self.repeat_success(leg, now),
            TimerName::Ack => self.on_ack_missing(leg, now),
            TimerName::Ring => self.give_up(leg, EndWhy::NoAnswer, now),
            TimerName::Unanswered => self.give_up(leg, EndWhy::NoAnswer, now),
            TimerName::Remind => self.remind(leg, now),
            TimerName::Glare => self.on_glare_timer(leg, now),
            TimerName::Silence => self.on_silence(leg, now),
            TimerName::Reliable => self.repeat_reliable(leg, now),
            TimerName::Prack => self.on_prack_missing(leg, now),
            TimerName::Refresh => self.on_refresh_timer(leg, now),
            TimerName::Session => self.session_over(leg, now),
            TimerName::Watch => self.ask_silent(leg, now),
            TimerName::Back => {
                self.remove_leg(leg);
            }
            TimerName::A
            | TimerName::B
            | TimerName::C
            | TimerName::D
            | TimerName::E
            | TimerName::F
            | TimerName::G
            | TimerName::H
            | TimerName::I
            | TimerName::J
            | TimerName::K
            | TimerName::L
            | TimerName::M
            | TimerName::Expiry
            | TimerName::Restored
            | TimerName::Probe => (),
        }
    }

    fn give_up(&mut self, leg: LegId, why: EndWhy, now: Now) {
        self.hang_up_because(leg, HangUp { status: 480, reason: None }, why, now);
    }

    /// RFC 3261 §13.3.1.4, whatever the transport: a 2xx goes from end to end, and a hop behind
    /// the next one may lose it.
    fn repeat_success(&mut self, leg: LegId, now: Now) {
        let t2 = self.config.t2;
        let accepted = match self.legs.get_mut(&leg) {
            Some(Leg::Up(it)) => it.accepted.as_mut(),
            Some(Leg::Closing(it)) => it.accepted.as_mut(),
            Some(Leg::Incoming(_) | Leg::Outgoing { .. }) | None => None,
        };
        let Some(it) = accepted else { return };
        self.transactions.repeat(it.server, &mut self.out);
        it.interval = it.interval.saturating_mul(2).min(t2);
        self.timers.set(leg, TimerName::Success, now.mono + it.interval);
    }

    fn on_ack_missing(&mut self, leg: LegId, now: Now) {
        match self.legs.get_mut(&leg) {
            Some(Leg::Up(_)) => self.give_up(leg, EndWhy::AckMissing, now),
            Some(Leg::Closing(it)) => {
                it.accepted = None;
                self.send_closing_bye(leg, now);
            }
            Some(Leg::Incoming(_) | Leg::Outgoing { .. }) | None => (),
        }
    }

    fn remind(&mut self, leg: LegId, now: Now) {
        let Some(Leg::Incoming(it)) = self.legs.get(&leg) else { return };
        let Some((status, bytes)) = it.ringing.clone() else { return };
        self.transactions.respond(it.server, status, bytes, now.mono, &mut self.out);
        self.timers.set(leg, TimerName::Remind, now.mono + super::incoming::REMIND);
    }

    pub(super) fn on_notice(&mut self, notice: Notice, now: Now) {
        match notice {
            Notice::TimedOut(id) => self.on_client_lost(id, EndWhy::NoResponse, 408, now),
            Notice::ClientBroken(id) => self.on_client_lost(id, EndWhy::ConnectionGone, 503, now),
            Notice::ServerBroken(id) => self.on_server_lost(id, now),
        }
    }

    fn on_client_lost(&mut self, id: TxId, why: EndWhy, status: u16, now: Now) {
        match self.purposes.remove(&id) {
            Some(Purpose::Invite(mut invite)) if invite.is_first => {
                self.forget_early(&mut invite, now);
                if let Some(leg) = invite.leg.take() {
                    self.fork_failed(leg, id, why, now);
                }
            }
            Some(Purpose::Invite(mut invite)) => {
                self.on_reoffer_refused(id, &mut invite, status, None, now);
            }
            Some(Purpose::Bye(leg)) => self.on_bye_lost(leg, now),
            // The next one opens another connection.
            Some(Purpose::Refresh(leg)) => self.on_refresh_refused(leg, status, now),
            Some(Purpose::Watch(leg)) => self.on_watch_lost(leg, now),
            Some(Purpose::Register(it)) => self.end_registration(&it, status, None),
            Some(Purpose::Refer(leg)) => self.say(Event::ReferProgress { leg, status }),
            Some(Purpose::Probe(probe)) => self.say(Event::Probed { probe, status }),
            Some(Purpose::Phone(it)) => self.phone_heard(&it, false),
            Some(Purpose::Notify(leg)) => self.subscriptions.drop_notifier(leg),
            Some(Purpose::Nothing | Purpose::Prack(_) | Purpose::Told(_) | Purpose::Asked(_))
            | None => (),
        }
    }

    fn on_server_lost(&mut self, id: TxId, now: Now) {
        let Some(Purpose::Asked(leg)) = self.purposes.remove(&id) else { return };
        match self.legs.get_mut(&leg) {
            Some(Leg::Incoming(_)) => {
                self.end_leg(leg, EndWhy::ConnectionGone);
            }
            Some(Leg::Up(up)) if matches!(up.offer, Offer::Theirs { server, .. } if server == id) =>
            {
                up.offer = Offer::Idle;
                self.offer_queued(leg, now);
            }
            Some(Leg::Outgoing { .. } | Leg::Up(_) | Leg::Closing(_)) | None => (),
        }
    }
}
