//! The telephones that ring for our INVITE: early dialogs (RFC 3261 §13.2.2.1), their reliable
//! responses (RFC 3262 §4) and what they describe before they answer (RFC 3960).

use hotline_base::{LegId, Now};

use super::Endpoint;
use crate::{
    Event, Message,
    dialog::Early,
    leg::{Invite, Leg, Purpose},
    session::has_option,
    text::number,
};

/// Forks that are followed; those beyond ring unheard.
const EARLY_MAX: usize = 16;

impl Endpoint {
    /// A provisional response above 100 to a first INVITE.
    pub(super) fn on_early(&mut self, invite: &mut Invite, message: &Message, now: Now) {
        let status = message.status().unwrap_or(0);
        let sdp = message.sdp();
        let Some(at) = self.early_of(invite, message) else {
            // Without a tag there is no dialog (RFC 3261 §12.1): it only rings.
            return self.say_ringing(invite.leg, 0, status, sdp);
        };
        let Some(early) = invite.early.get_mut(at) else { return };
        let rseq = message.header("RSeq").and_then(number::<u32>);
        if let Some(rseq) = rseq.filter(|_| has_option(message, "Require", "100rel")) {
            // RFC 3262 §4: a repeated one is known, one out of order comes again.
            if early.rseq.is_some_and(|last| rseq != last.saturating_add(1)) {
                return;
            }
            early.rseq = Some(rseq);
            early.dialog.refresh(message);
            self.send_prack(invite, at, rseq, now);
        }
        let Some(early) = invite.early.get_mut(at) else { return };
        if sdp.is_some() {
            early.sdp.clone_from(&sdp);
        }
        self.say_ringing(invite.leg, u8::try_from(at).unwrap_or(u8::MAX), status, sdp);
    }

    fn say_ringing(&mut self, leg: Option<LegId>, fork: u8, status: u16, sdp: Option<String>) {
        if let Some(leg) = leg {
            self.say(Event::Ringing { leg, fork, status, sdp });
        }
    }

    /// The place of the early dialog that a response is in, made when it is new.
    fn early_of(&mut self, invite: &mut Invite, message: &Message) -> Option<usize> {
        let tag = message.to_tag();
        if tag.is_empty() {
            return None;
        }
        if let Some(at) = invite.early.iter().position(|it| it.dialog.remote_tag() == tag) {
            return Some(at);
        }
        if invite.early.len() >= EARLY_MAX {
            return None;
        }
        let mut dialog = invite.dialog.clone();
        dialog.confirm(message);
        if let Some(leg) = invite.leg {
            self.dialogs.insert(&dialog.key(), leg);
        }
        invite.early.push(Early { dialog, rseq: None, sdp: None });
        Some(invite.early.len().saturating_sub(1))
    }

    fn send_prack(&mut self, invite: &mut Invite, at: usize, rseq: u32, now: Now) {
        let Some(early) = invite.early.get_mut(at) else { return };
        let via = self.fresh_via(early.dialog.flow);
        let rack = format!("{rseq} {} INVITE", invite.dialog.local_cseq);
        let cseq = early.dialog.next_cseq();
        let it = early.dialog.request("PRACK", cseq, &via).header("RAck", rack);
        let it = it.header("User-Agent", &self.config.user_agent);
        let Ok(message) = Message::parse(&it.end()) else { return };
        let flow = early.dialog.flow;
        let begun = self.transactions.begin_client(message, flow, now.mono, &mut self.out);
        if let Some(id) = begun {
            let purpose = invite.leg.map_or(Purpose::Nothing, Purpose::Prack);
            self.purposes.insert(id, purpose);
        }
    }

    /// The INVITE is given up: nothing of its early dialogs is ours any more but the numbers that
    /// were used in them, for the BYE to who answers all the same.
    pub(super) fn leave_early(&mut self, invite: &mut Invite, now: Now) {
        if let Some(server) = invite.asked.take() {
            self.respond(server, 487, &[], now);
        }
        for it in &invite.early {
            self.dialogs.remove(&it.dialog.key());
        }
    }

    /// The INVITE is over: its early dialogs are no more.
    pub(super) fn forget_early(&mut self, invite: &mut Invite, now: Now) -> Vec<Early> {
        self.leave_early(invite, now);
        std::mem::take(&mut invite.early)
    }

    /// The first of the INVITEs of a leg that we dial for which `is` holds.
    pub(super) fn invite_of(
        &mut self,
        leg: LegId,
        is: impl Fn(&Invite) -> bool,
    ) -> Option<&mut Invite> {
        let Some(Leg::Outgoing(it)) = self.legs.get(&leg) else { return None };
        let client = it.forks.iter().map(|it| it.client).find(
            |client| matches!(self.purposes.get(client), Some(Purpose::Invite(it)) if is(it)),
        )?;
        match self.purposes.get_mut(&client)? {
            Purpose::Invite(it) => Some(it),
            Purpose::Bye(_)
            | Purpose::Refresh(_)
            | Purpose::Watch(_)
            | Purpose::Refer(_)
            | Purpose::Prack(_)
            | Purpose::Notify(_)
            | Purpose::Told(_)
            | Purpose::Nothing
            | Purpose::Asked(_)
            | Purpose::Probe(_)
            | Purpose::Phone(_)
            | Purpose::Register(_) => None,
        }
    }

    /// The INVITE of the early dialog that a request of the peer is in.
    fn invite_in(&mut self, leg: LegId, tag: &[u8]) -> Option<&mut Invite> {
        self.invite_of(leg, |it| it.early.iter().any(|it| it.dialog.remote_tag() == tag))
    }

    pub(super) fn early_in(&mut self, leg: LegId, message: &Message) -> Option<&mut Early> {
        self.early_with(leg, message.from_tag())
    }

    /// The early dialog with the telephone that has this tag.
    pub(super) fn early_with(&mut self, leg: LegId, tag: &[u8]) -> Option<&mut Early> {
        let invite = self.invite_in(leg, tag)?;
        invite.early.iter_mut().find(|it| it.dialog.remote_tag() == tag)
    }

    /// An UPDATE before the peer's answer (RFC 3311 §5.2): with an offer when the first one is
    /// answered, as when 彩铃 gives way to the called person.
    pub(super) fn on_early_update(
        &mut self,
        leg: LegId,
        id: crate::transaction::TxId,
        message: &Message,
        now: Now,
    ) {
        let Some(early) = self.early_in(leg, message) else { return };
        early.dialog.refresh(message);
        let (contact, settled) = (early.dialog.contact().into_owned(), early.sdp.is_some());
        let Some(sdp) = message.sdp() else {
            return self.respond(id, 200, &[("Contact", contact)], now);
        };
        let Some(invite) = self.invite_in(leg, message.from_tag()) else { return };
        if !settled || invite.asked.is_some() {
            return self.respond(id, 500, &[("Retry-After", "2".to_owned())], now);
        }
        invite.asked = Some(id);
        self.purposes.insert(id, Purpose::Asked(leg));
        self.say(Event::Offered { leg, sdp: Some(sdp) });
    }
}
