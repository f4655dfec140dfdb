//! Our calls: from the INVITE to the peer's final response, and what comes after it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use hotline_base::{LegId, Now};

use super::{
    Endpoint,
    challenged::proofs,
    names::{ALLOW, SUPPORTED, TOKEN},
    session::may_update,
};
use crate::{
    Dial, EndWhy, Event, Flow, Message, PeerMisbehaved, Uri,
    build::MessageBuilder,
    dialog::Dialog,
    digest::NotAnswered,
    leg::{Cancel, Fork, Invite, Leg, Outgoing, Purpose, Talk, Target, Up},
    session::{Session, min_se_of},
    text::{Decimal, push_address, quote},
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
        let silence = dial.silence_limit;
        let Some(client) = self.invite(leg, Box::new(dial), now) else {
            self.end_leg(leg, EndWhy::Refused { status: 400, cause: None });
            return;
        };
        if let Some(Leg::Outgoing(it)) = self.legs.get_mut(&leg) {
            it.forks.push(Fork { client, phone: None, spare: VecDeque::new() });
        }
        self.limit_silence(leg, silence, now);
    }

    pub(super) fn begin_ringing(
        &mut self,
        leg: LegId,
        later: VecDeque<Vec<Target>>,
        limit: Option<Duration>,
        now: Now,
    ) {
        let mut call_id = String::with_capacity(2 * TOKEN);
        self.push_token(&mut call_id);
        self.push_token(&mut call_id);
        let tag = self.token();
        let (forks, failure) = (Vec::new(), EndWhy::NoResponse);
        let it = Outgoing { call_id, tag, forks, later, failure };
        self.legs.insert(leg, Leg::Outgoing(Box::new(it)));
        self.timers.set(leg, TimerName::Ring, now.mono + limit.unwrap_or(RING_MAX));
    }

    /// Sends a first INVITE of a leg that begins to ring. `None`: the target is no URI.
    pub(super) fn invite(&mut self, leg: LegId, dial: Box<Dial>, now: Now) -> Option<TxId> {
        let secs = self.wish().secs;
        self.invite_for(leg, dial, 1, secs, now)
    }

    /// The INVITE number `cseq`, which asks for a session of `secs`.
    fn invite_for(
        &mut self,
        leg: LegId,
        dial: Box<Dial>,
        cseq: u32,
        secs: u32,
        now: Now,
    ) -> Option<TxId> {
        if !Uri::is_one(dial.target.as_bytes()) {
            return None;
        }
        let contact = self.contact(&dial.from_user, dial.flow);
        let via = self.fresh_via(dial.flow);
        let Some(Leg::Outgoing(it)) = self.legs.get(&leg) else { return None };
        let names = Names { call_id: &it.call_id, tag: &it.tag, contact: &contact, via: &via };
        let message = self.first_invite(&dial, &names, cseq, secs)?;
        let mut dialog = Dialog::outgoing(&message, dial.flow, &contact);
        dialog.credentials = dial.credentials.clone().map(Box::new);
        let client = self.transactions.begin_client(message, dial.flow, now.mono, &mut self.out)?;
        let invite = Invite {
            leg: Some(leg),
            is_first: true,
            dialog,
            cancel: Cancel::No,
            is_ringing: false,
            acks: Vec::new(),
            secs,
            dial: Some(dial),
            early: Vec::new(),
            asked: None,
        };
        self.purposes.insert(client, Purpose::Invite(Box::new(invite)));
        Some(client)
    }

    fn first_invite(
        &self,
        dial: &Dial,
        names: &Names<'_>,
        cseq: u32,
        secs: u32,
    ) -> Option<Message> {
        let host = self.config.sent_by(dial.flow);
        let is_plain = |it: char| !it.is_control() && !"<>@;: \"".contains(it);
        let mut from = String::with_capacity(128);
        if !dial.from_display.is_empty() {
            from.push_str(&quote(&dial.from_display));
            from.push(' ');
        }
        from.push_str("<sip:");
        from.extend(dial.from_user.chars().filter(|it| is_plain(*it)));
        from.push('@');
        match &dial.from_host {
            Some(it) => from.push_str(it),
            None => push_address(&mut from, host),
        }
        from.extend([">;tag=", names.tag]);
        let min_secs = Decimal::of(self.wish().min_secs);
        let sdp = (!dial.sdp.is_empty()).then_some(dial.sdp.as_str());
        let it = MessageBuilder::request("INVITE", dial.target.as_bytes())
            .header("Via", names.via)
            .header("Max-Forwards", "70")
            .header("From", from)
            .parts("To", &[b"<", dial.target.as_bytes(), b">"])
            .header("Call-ID", names.call_id)
            .cseq(cseq, "INVITE")
            .header("Contact", names.contact)
            .header("Allow", ALLOW)
            .header("Supported", SUPPORTED)
            .header("Session-Expires", Decimal::of(secs))
            .header("Min-SE", min_secs)
            .header("User-Agent", &self.config.user_agent);
        let it = dial.headers.iter().fold(it, |it, (name, value)| it.header(name, value));
        Message::parse(&it.end_with_sdp(sdp)).ok()
    }

    pub(super) fn on_invite_response(
        &mut self,
        id: TxId,
        mut invite: Box<Invite>,
        (flow, message): (Flow, &Message),
        now: Now,
    ) {
        match message.status().unwrap_or(0) {
            ..200 => self.on_provisional(id, &mut invite, message, now),
            200..300 => self.on_success(id, &mut invite, message, now),
            300.. => self.on_failure(id, &mut invite, (flow, message), now),
        }
        self.purposes.insert(id, Purpose::Invite(invite));
    }

    fn on_provisional(&mut self, id: TxId, invite: &mut Invite, message: &Message, now: Now) {
        invite.is_ringing = true;
        if matches!(invite.cancel, Cancel::Wanted { .. }) {
            return self.send_cancel(id, invite, now);
        }
        if invite.is_first && message.status().is_some_and(|it| it > 100) {
            self.on_early(invite, message, now);
        }
    }

    /// RFC 3261 §13.2.2.4: every 2xx gets its ACK; all but the one the leg lives on get a BYE.
    fn on_success(&mut self, id: TxId, invite: &mut Invite, message: &Message, now: Now) {
        let tag = message.to_tag();
        if let Some((_, ack)) = invite.acks.iter().find(|it| it.0 == tag) {
            return transmit(&mut self.out, invite.dialog.flow, Arc::clone(ack));
        }
        if invite.acks.len() >= ANSWERS_MAX {
            return;
        }
        let early = self.forget_early(invite, now);
        let early = early.into_iter().find(|it| it.dialog.remote_tag() == tag);
        let (early, early_sdp) = early.map(|it| (it.dialog, it.sdp)).unzip();
        let mut dialog = early.unwrap_or_else(|| invite.dialog.clone());
        if invite.is_first {
            dialog.confirm(message);
        } else {
            dialog.refresh(message);
        }
        let via = self.fresh_via(dialog.flow);
        let cseq = message.cseq().number;
        let proofs = self.transactions.sent(id).map(|it| proofs(it.0)).unwrap_or_default();
        let ack = dialog.request("ACK", cseq, &via);
        let ack = proofs.iter().fold(ack, |it, (name, value)| it.header(name, value));
        let ack: Arc<[u8]> = ack.end().into();
        let (flow, leaving) = self.transactions.leaving_ack(&ack, dialog.flow, now.mono);
        invite.acks.push((tag.to_vec(), ack));
        transmit(&mut self.out, flow, leaving);
        if !invite.is_first {
            return self.on_reoffer_answered(id, invite, message, now);
        }
        let leg = invite.leg.take();
        let Some(leg) = leg.filter(|it| matches!(self.legs.get(it), Some(Leg::Outgoing(_)))) else {
            return self.send_bye(&mut dialog, None, None, now);
        };
        self.end_other_forks(leg, id, now);
        self.timers.cancel_all(&leg);
        self.dialogs.insert(&dialog.key(), leg);
        self.by_conn.insert(dialog.flow.conn, leg);
        let talk = Talk {
            session: Session::settled(message, invite.secs),
            sdp: invite.dial.take().map(|it| it.sdp).unwrap_or_default(),
            may_update: may_update(message, false),
        };
        self.legs.insert(leg, Leg::Up(Box::new(Up::new(dialog, talk))));
        self.arm_session(leg, now);
        let sdp = message.sdp().or_else(|| early_sdp.flatten());
        self.say(Event::Answered { leg, sdp });
    }

    fn on_failure(
        &mut self,
        id: TxId,
        invite: &mut Invite,
        (flow, message): (Flow, &Message),
        now: Now,
    ) {
        let status = message.status().unwrap_or(0);
        if !invite.is_first {
            let min_se = (status == 422).then(|| min_se_of(message));
            return self.on_reoffer_refused(id, invite, status, min_se, now);
        }
        self.forget_early(invite, now);
        let Some(leg) = invite.leg.take() else { return };
        let again = match status {
            401 | 407 => self.invite_proven(leg, id, invite, (flow, message), now),
            422 => self.invite_longer(leg, id, invite, min_se_of(message), now),
            _ => false,
        };
        if again {
            return;
        }
        let cause = q850(message.headers("Reason"));
        let why = match status {
            408 => EndWhy::NoResponse,
            status => EndWhy::Refused { status, cause },
        };
        self.fork_failed(leg, id, why, now);
    }

    /// RFC 4028 §7.3: the same call with the session interval the peer wants. Says whether it is
    /// under way.
    fn invite_longer(
        &mut self,
        leg: LegId,
        id: TxId,
        invite: &mut Invite,
        secs: u32,
        now: Now,
    ) -> bool {
        // A peer that refuses what it asked for would be asked for ever.
        let Some(dial) = invite.dial.take().filter(|_| secs > invite.secs) else { return false };
        self.invite_again(leg, id, invite, (dial, secs), now)
    }

    /// RFC 3261 §22.2: the same call with the proof that the next hop asked for.
    fn invite_proven(
        &mut self,
        leg: LegId,
        id: TxId,
        invite: &mut Invite,
        (flow, message): (Flow, &Message),
        now: Now,
    ) -> bool {
        let cnonce = self.token();
        let Some((request, _)) = self.transactions.sent(id) else { return false };
        let n_asked = request.cseq().number;
        let Some(mut dial) = invite.dial.take() else { return false };
        let Some(it) = &dial.credentials else { return false };
        let told = it.answer(flow, message, request, &cnonce);
        if told == Err(NotAnswered::NotTheNextHop) {
            self.say(Event::Misbehaved { why: PeerMisbehaved::ForeignChallenge, flow });
        }
        let Some((name, value)) = told.ok().filter(|_| n_asked <= ASKED_MAX) else { return false };
        // Of a nonce that was too old nothing is left.
        dial.headers.retain(|it| it.0 != name);
        dial.headers.push((name.to_owned(), value));
        let silence = dial.silence_limit;
        let begun = self.invite_again(leg, id, invite, (dial, invite.secs), now);
        if begun {
            self.limit_silence(leg, silence, now);
        }
        begun
    }

    /// Says whether it is under way.
    fn invite_again(
        &mut self,
        leg: LegId,
        id: TxId,
        invite: &Invite,
        (dial, secs): (Box<Dial>, u32),
        now: Now,
    ) -> bool {
        let cseq = invite.dialog.local_cseq.saturating_add(1);
        let Some(client) = self.invite_for(leg, dial, cseq, secs, now) else { return false };
        let Some(Leg::Outgoing(it)) = self.legs.get_mut(&leg) else { return false };
        it.forks.iter_mut().filter(|it| it.client == id).for_each(|it| it.client = client);
        true
    }

    /// Gives up an INVITE: CANCEL now, or as soon as it may be sent (RFC 3261 §9.1).
    pub(super) fn cancel(&mut self, client: TxId, reason: Option<String>, now: Now) {
        let Some(Purpose::Invite(mut invite)) = self.purposes.remove(&client) else { return };
        invite.leg = None;
        self.leave_early(&mut invite, now);
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

/// What names a first INVITE and us.
struct Names<'a> {
    call_id: &'a str,
    tag: &'a str,
    contact: &'a str,
    via: &'a str,
}

/// INVITEs of one call after which no further challenge is answered.
const ASKED_MAX: u32 = 4;

/// Telephones that answer one INVITE of ours. Each costs an ACK, a BYE and memory for half a
/// minute.
const ANSWERS_MAX: usize = 16;

/// Nobody rings longer.
const RING_MAX: Duration = Duration::from_mins(3);
