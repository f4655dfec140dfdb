//! The end of a leg from our side.

use hotline_base::{LegId, Now};

use super::Endpoint;
use crate::{
    EndWhy, Event, HangUp, Message,
    dialog::Dialog,
    leg::{Closing, Leg, Offer, Purpose, Up},
    transaction::TxId,
};

impl Endpoint {
    /// Refuses, cancels or says BYE, whatever fits the leg's state. [`EndWhy::Local`] is said at
    /// once, unless the leg is ended already; what is left to do on the wire goes on by itself.
    pub fn hang_up(&mut self, leg: LegId, why: HangUp, now: Now) {
        self.hang_up_because(leg, why, EndWhy::Local, now);
    }

    pub(super) fn hang_up_because(&mut self, id: LegId, hang_up: HangUp, why: EndWhy, now: Now) {
        match self.legs.get(&id) {
            None | Some(Leg::Closing(_)) => (),
            Some(Leg::Incoming(it)) => {
                let server = it.server;
                self.drop_early_offer(id, now);
                self.refuse_incoming(server, &hang_up, now);
                self.end_leg(id, why);
            }
            Some(Leg::Outgoing(it)) => {
                let clients: Vec<TxId> = it.forks.iter().map(|it| it.client).collect();
                for client in clients {
                    self.cancel(client, hang_up.reason.clone(), now);
                }
                self.end_leg(id, why);
            }
            Some(Leg::Up(_)) => self.close(id, hang_up.reason, why, now),
        }
    }

    /// Up → Closing.
    fn close(&mut self, id: LegId, reason: Option<String>, why: EndWhy, now: Now) {
        let Some(Leg::Up(up)) = self.legs.remove(&id) else { return };
        let Up { dialog, accepted, offer, .. } = *up;
        self.say(Event::Ended { leg: id, why });
        match offer {
            Offer::Theirs { server, .. } => self.respond(server, 487, &[], now),
            Offer::Idle | Offer::Ours { .. } | Offer::Glare { .. } => (),
        }
        // RFC 3261 §15: before the ACK of its first 2xx the called side may not send BYE.
        let waits = accepted.as_ref().is_some_and(|it| it.is_first) && why != EndWhy::AckMissing;
        let accepted = accepted.filter(|_| waits);
        if !waits {
            self.timers.cancel_all(&id);
        }
        self.legs.insert(id, Leg::Closing(Box::new(Closing { dialog, accepted, reason })));
        if !waits {
            self.send_closing_bye(id, now);
        }
    }

    pub(super) fn send_closing_bye(&mut self, id: LegId, now: Now) {
        let Some(Leg::Closing(_)) = self.legs.get(&id) else { return };
        let Some(Leg::Closing(mut it)) = self.legs.remove(&id) else { return };
        self.timers.cancel_all(&id);
        self.send_bye(&mut it.dialog, Some(id), it.reason.clone(), now);
        self.legs.insert(id, Leg::Closing(it));
    }

    /// Of a leg, or of a fork that nobody wants.
    pub(super) fn send_bye(
        &mut self,
        dialog: &mut Dialog,
        leg: Option<LegId>,
        reason: Option<String>,
        now: Now,
    ) {
        let via = self.fresh_via(dialog.flow);
        let cseq = dialog.next_cseq();
        let it = dialog.request("BYE", cseq, &via).each("Reason", reason);
        let it = it.header("User-Agent", &self.config.user_agent);
        let Ok(message) = Message::parse(&it.end()) else { return };
        let begun = self.transactions.begin_client(message, dialog.flow, now.mono, &mut self.out);
        if let Some(id) = begun {
            let told = || Purpose::Told(Box::new(dialog.clone()));
            self.purposes.insert(id, leg.map_or_else(told, Purpose::Bye));
        }
    }

    /// Any final response ends it: the peer knows.
    pub(super) fn on_bye_response(&mut self, id: TxId, leg: LegId, message: &Message) {
        if message.status().is_some_and(|it| it < 200) {
            self.purposes.insert(id, Purpose::Bye(leg));
        } else {
            self.remove_leg(leg);
        }
    }
}
