//! Our calls: from the INVITE to the peer's final response, and what comes after it.

use std::{collections::VecDeque, time::Duration};

use hotline_base::{LegId, Now};

use super::{Endpoint, names::ALLOW};
use crate::{
    Dial, EndWhy, Event, Message, Uri,
    build::MessageBuilder,
    dialog::Dialog,
    leg::{Cancel, Fork, Invite, Leg, Offer, Outgoing, Purpose, Up},
    registrar::Key,
    text::quote,
    timers::TimerName,
    transaction::{TxId, cancel_of, transmit},
    value::q850,
};

impl Endpoint {
    /// Calls. Ends in [`Event::Answered`] or [`Event::Ended`]; a target that is no URI ends with
    /// status 400 at once.
    pub fn dial(&mut self, leg: LegId, dial: Dial, now: Now) {
        if self.legs.contains_key(&leg) {
            return;
        }
        self.begin_ringing(leg, VecDeque::new(), dial.ring_limit, now);
        let Some(client) = self.invite(leg, &dial, now) else {
            self.end_leg(leg, EndWhy::Refused { status: 400, cause: None });
            return;
        };
        if let Some(Leg::Outgoing(it)) = self.legs.get_mut(&leg) {
            it.forks.push(Fork { client, phone: None });
        }
        self.limit_silence(leg, dial.silence_limit, now);
    }

    pub(super) fn begin_ringing(
        &mut self,
        leg: LegId,
        later: VecDeque<Vec<(Key, Dial)>>,
        limit: Option<Duration>,
        now: Now,
    ) {
        let (call_id, tag) = (format!("{}{}", self.token(), self.token()), self.token());
        let (forks, failure) = (Vec::new(), EndWhy::NoResponse);
        let it = Outgoing { call_id, tag, forks, later, failure };
        self.legs.insert(leg, Leg::Outgoing(it));
        self.timers.set(leg, TimerName::Ring, now.mono + limit.unwrap_or(RING_MAX));
    }

    /// Sends a first INVITE of a leg that begins to ring. `None`: the target is no URI.
    pub(super) fn invite(&mut self, leg: LegId, dial: &Dial, now: Now) -> Option<TxId> {
        let contact = self.contact(&dial.from_user, dial.flow);
        let Some(Leg::Outgoing(it)) = self.legs.get(&leg) else { return None };
        let names = (it.call_id.clone(), it.tag.clone());
        let message = self.first_invite(dial, &contact, &names)?;
        let dialog = Dialog::outgoing(&message, dial.flow, contact);
        let client = self.transactions.begin_client(message, dial.flow, now.mono, &mut self.out)?;
        let invite = Invite {
            leg: Some(leg),
            is_first: true,
            dialog,
            cancel: Cancel::No,
            is_ringing: false,
            acks: Vec::new(),
        };
        self.purposes.insert(client, Purpose::Invite(Box::new(invite)));
        Some(client)
    }

    fn first_invite(
        &mut self,
        dial: &Dial,
        contact: &str,
        (call_id, tag): &(String, String),
    ) -> Option<Message> {
        Uri::parse(dial.target.as_bytes())?;
        let host = self.config.sent_by(dial.flow);
        let user: String = dial
            .from_user
            .chars()
            .filter(|it| !it.is_control() && !"<>@;: \"".contains(*it))
            .collect();
        let name = if dial.from_display.is_empty() {
            String::new()
        } else {
            format!("{} ", quote(&dial.from_display))
        };
        let from = format!("{name}<sip:{user}@{host}>;tag={tag}");
        let via = self.fresh_via(dial.flow);
        let sdp = (!dial.sdp.is_empty()).then_some(dial.sdp.as_str());
        let it = MessageBuilder::request("INVITE", dial.target.as_bytes())
            .header("Via", via)
            .header("Max-Forwards", "70")
            .header("From", from)
            .header("To", format!("<{}>", dial.target))
            .header("Call-ID", call_id)
            .header("CSeq", "1 INVITE")
            .header("Contact", contact)
            .header("Allow", ALLOW)
            .header("User-Agent", &self.config.user_agent);
        let it = dial.headers.iter().fold(it, |it, (name, value)| it.header(name, value));
        Message::parse(&it.end_with_sdp(sdp)).ok()
    }

    pub(super) fn on_invite_response(
        &mut self,
        id: TxId,
        mut invite: Box<Invite>,
        message: &Message,
        now: Now,
    ) {
        match message.status().unwrap_or(0) {
            ..200 => self.on_provisional(id, &mut invite, message, now),
            200..300 => self.on_success(id, &mut invite, message, now),
            300.. => self.on_failure(id, &mut invite, message, now),
        }
        self.purposes.insert(id, Purpose::Invite(invite));
    }

    fn on_provisional(&mut self, id: TxId, invite: &mut Invite, message: &Message, now: Now) {
        invite.is_ringing = true;
        if matches!(invite.cancel, Cancel::Wanted { .. }) {
            return self.send_cancel(id, invite, now);
        }
        let status = message.status().unwrap_or(0);
        if let Some(leg) = invite.leg.filter(|_| invite.is_first && status > 100) {
            self.say(Event::Ringing { leg, status, sdp: message.sdp() });
        }
    }

    /// RFC 3261 §13.2.2.4: every 2xx gets its ACK; all but the one the leg lives on get a BYE.
    fn on_success(&mut self, id: TxId, invite: &mut Invite, message: &Message, now: Now) {
        let tag = message.to_tag();
        if let Some((_, ack)) = invite.acks.iter().find(|it| it.0 == tag) {
            return transmit(&mut self.out, invite.dialog.flow, ack);
        }
        let mut dialog = if invite.is_first {
            invite.dialog.answered(message)
        } else {
            let mut it = invite.dialog.clone();
            it.refresh(message);
            it
        };
        let via = self.fresh_via(dialog.flow);
        let cseq = message.cseq().number;
        let ack = dialog.request("ACK", cseq, &via).end();
        transmit(&mut self.out, dialog.flow, &ack);
        invite.acks.push((tag.to_vec(), ack));
        if !invite.is_first {
            return self.on_reoffer_answered(id, invite, message, now);
        }
        let leg = invite.leg.take();
        let Some(leg) = leg.filter(|it| matches!(self.legs.get(it), Some(Leg::Outgoing(_)))) else {
            return self.send_bye(&mut dialog, Purpose::Nothing, None, now);
        };
        self.end_other_forks(leg, id, now);
        self.timers.cancel_all(&leg);
        self.dialogs.insert(dialog.key(), leg);
        let up = Up { dialog, accepted: None, offer: Offer::Idle, queued: None };
        self.legs.insert(leg, Leg::Up(Box::new(up)));
        self.say(Event::Answered { leg, sdp: message.sdp() });
    }

    fn on_failure(&mut self, id: TxId, invite: &mut Invite, message: &Message, now: Now) {
        if !invite.is_first {
            return self.on_reoffer_refused(id, invite, message.status().unwrap_or(0), now);
        }
        let Some(leg) = invite.leg.take() else { return };
        let cause = q850(message.headers("Reason"));
        let why = match message.status().unwrap_or(0) {
            408 => EndWhy::NoResponse,
            status => EndWhy::Refused { status, cause },
        };
        self.fork_failed(leg, id, why, now);
    }

    /// Gives up an INVITE: CANCEL now, or as soon as it may be sent (RFC 3261 §9.1).
    pub(super) fn cancel(&mut self, client: TxId, reason: Option<String>, now: Now) {
        let Some(Purpose::Invite(mut invite)) = self.purposes.remove(&client) else { return };
        invite.leg = None;
        if invite.cancel == Cancel::No {
            invite.cancel = Cancel::Wanted { reason };
            if invite.is_ringing {
                self.send_cancel(client, &mut invite, now);
            }
        }
        self.purposes.insert(client, Purpose::Invite(invite));
    }

    fn send_cancel(&mut self, client: TxId, invite: &mut Invite, now: Now) {
        let before = std::mem::replace(&mut invite.cancel, Cancel::Sent);
        let reason = match before {
            Cancel::Wanted { reason } => reason,
            Cancel::No | Cancel::Sent => None,
        };
        let Some((request, flow)) = self.transactions.sent(client) else { return };
        let Ok(message) = Message::parse(&cancel_of(request, reason.as_deref())) else { return };
        let begun = self.transactions.begin_client(message, flow, now.mono, &mut self.out);
        if let Some(it) = begun {
            self.purposes.insert(it, Purpose::Nothing);
        }
        // RFC 3261 §9.1: without a final response the INVITE is taken for cancelled.
        let limit = self.config.t1.saturating_mul(64);
        self.transactions.limit_client(client, limit, now.mono);
    }
}

/// Nobody rings longer.
const RING_MAX: Duration = Duration::from_mins(3);
