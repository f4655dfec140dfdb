//! Offers within an answered leg, from either side (RFC 3264, RFC 3261 §14, RFC 3311).

use std::time::Duration;

use hotline_base::{LegId, Now};

use super::{
    Endpoint,
    session::{may_update, session_headers},
};
use crate::{
    EndWhy, Event, HangUp, Message,
    leg::{Cancel, Invite, Leg, Offer, Purpose, Talk},
    message::Reply,
    session::Session,
    timers::TimerName,
    transaction::TxId,
};

impl Endpoint {
    /// Offers anew by re-INVITE. While another offer runs it waits, the latest only. Ends in
    /// [`Event::Reanswered`] or [`Event::ReofferRefused`]; a leg that is not answered refuses
    /// with 491 at once.
    pub fn reoffer(&mut self, leg: LegId, sdp: String, now: Now) {
        match self.legs.get_mut(&leg) {
            Some(Leg::Up(up)) => {
                up.queued = Some(sdp);
                self.offer_queued(leg, now);
            }
            Some(Leg::Incoming(_) | Leg::Outgoing { .. }) => {
                self.say(Event::ReofferRefused { leg, status: 491 });
            }
            Some(Leg::Closing(_)) | None => (),
        }
    }

    /// Makes the offer that waits, when nothing else runs.
    pub(super) fn offer_queued(&mut self, leg: LegId, now: Now) {
        let Some(Leg::Up(up)) = self.legs.get_mut(&leg) else { return };
        if !matches!(up.offer, Offer::Idle) || up.accepted.is_some() {
            return;
        }
        if let Some(sdp) = up.queued.take() {
            self.send_reinvite(leg, sdp, 0, false, now);
        }
    }

    pub(super) fn send_reinvite(
        &mut self,
        leg: LegId,
        sdp: String,
        tries: u8,
        is_refresh: bool,
        now: Now,
    ) {
        let Some((request, flow)) = self.refresh_in(leg, "INVITE") else { return };
        let Some(Leg::Up(up)) = self.legs.get_mut(&leg) else { return };
        let secs = up.talk.session.secs;
        let dialog = up.dialog.clone();
        let Ok(message) = Message::parse(&request.end_with_sdp(Some(&sdp))) else {
            return self.say(Event::ReofferRefused { leg, status: 400 });
        };
        let begun = self.transactions.begin_client(message, flow, now.mono, &mut self.out);
        let Some(client) = begun else { return };
        up.offer = Offer::Ours { client, sdp, tries, is_refresh };
        let invite = Invite {
            leg: Some(leg),
            is_first: false,
            dialog,
            cancel: Cancel::No,
            is_ringing: false,
            acks: Vec::new(),
            secs,
            dial: None,
            early: Vec::new(),
            asked: None,
        };
        self.purposes.insert(client, Purpose::Invite(Box::new(invite)));
        // Nobody rings for a re-INVITE: a peer that only says 100 does not hold up the next offer.
        let limit = self.config.t1.saturating_mul(64);
        self.transactions.limit_client(client, limit, now.mono);
    }

    pub(super) fn on_reoffer_answered(
        &mut self,
        id: TxId,
        invite: &mut Invite,
        message: &Message,
        now: Now,
    ) {
        let Some(leg) = self.our_offer(id, invite) else { return };
        let Some(Leg::Up(up)) = self.legs.get_mut(&leg) else { return };
        let before = std::mem::replace(&mut up.offer, Offer::Idle);
        let Offer::Ours { sdp, .. } = before else { return };
        up.dialog.refresh(message);
        let talk = Talk {
            session: Session::settled(message, invite.secs),
            sdp,
            may_update: may_update(message, up.talk.may_update),
        };
        self.settle_talk(leg, talk, now);
        self.say(Event::Reanswered { leg, sdp: message.sdp() });
        self.offer_queued(leg, now);
    }

    pub(super) fn on_reoffer_refused(
        &mut self,
        id: TxId,
        invite: &mut Invite,
        status: u16,
        min_se: Option<u32>,
        now: Now,
    ) {
        let Some(leg) = self.our_offer(id, invite) else { return };
        let wait = self.glare_wait(leg);
        let Some(Leg::Up(up)) = self.legs.get_mut(&leg) else { return };
        let Offer::Ours { sdp, tries, is_refresh, .. } =
            std::mem::replace(&mut up.offer, Offer::Idle)
        else {
            return;
        };
        // RFC 3261 §12.2.1.2: these say that the dialog is gone. A refresh can be tried again.
        if status == 481 && is_refresh {
            return self.disowned(leg, now);
        }
        if matches!(status, 408 | 481) && !is_refresh {
            let hang_up = HangUp { status: 480, reason: None };
            return self.hang_up_because(leg, hang_up, EndWhy::NoResponse, now);
        }
        if let Some(min) = min_se {
            up.talk.session.secs = up.talk.session.secs.max(min);
        }
        if status == 422 && !is_refresh && tries < GLARE_TRIES {
            return self.send_reinvite(leg, sdp, tries.saturating_add(1), false, now);
        }
        if is_refresh {
            self.on_refresh_refused(leg, status, now);
            return self.offer_queued(leg, now);
        }
        if status == 491 && tries < GLARE_TRIES {
            // A newer offer takes the place of the refused one.
            let sdp = up.queued.take().unwrap_or(sdp);
            up.offer = Offer::Glare { sdp, tries: tries.saturating_add(1) };
            return self.timers.set(leg, TimerName::Glare, now.mono + wait);
        }
        self.say(Event::ReofferRefused { leg, status });
        self.offer_queued(leg, now);
    }

    /// The leg for which `id` still is the running offer.
    fn our_offer(&self, id: TxId, invite: &mut Invite) -> Option<LegId> {
        let leg = invite.leg.take()?;
        let Some(Leg::Up(up)) = self.legs.get(&leg) else { return None };
        matches!(up.offer, Offer::Ours { client, .. } if client == id).then_some(leg)
    }

    /// RFC 3261 §14.1: the owner of the Call-ID waits longer, in steps of 10 ms.
    fn glare_wait(&mut self, leg: LegId) -> Duration {
        let is_caller = match self.legs.get(&leg) {
            Some(Leg::Up(up)) => up.dialog.is_caller,
            Some(Leg::Incoming(_) | Leg::Outgoing { .. } | Leg::Closing(_)) | None => false,
        };
        let steps = if is_caller { self.random.between(210, 400) } else { self.random.below(201) };
        Duration::from_millis(steps.saturating_mul(10))
    }

    pub(super) fn on_glare_timer(&mut self, leg: LegId, now: Now) {
        let Some(Leg::Up(up)) = self.legs.get_mut(&leg) else { return };
        let Offer::Glare { .. } = up.offer else { return };
        let Offer::Glare { sdp, tries } = std::mem::replace(&mut up.offer, Offer::Idle) else {
            return;
        };
        if up.accepted.is_some() {
            up.queued.get_or_insert(sdp);
            return;
        }
        self.send_reinvite(leg, sdp, tries, false, now);
    }

    /// 200 to the peer's offer. Does nothing when none waits.
    pub fn accept_offer(&mut self, leg: LegId, sdp: String, now: Now) {
        let Some(it) = self.take_their_offer(leg) else { return };
        let TheirOffer { server, is_invite, has_offer, session } = it;
        let Some(Leg::Up(up)) = self.legs.get(&leg) else {
            self.accept_update(server, None, None, &sdp, now);
            return self.go_on(leg, now);
        };
        let dialog = up.dialog.clone();
        let session = session.unwrap_or(up.talk.session);
        let talk = Talk { session, sdp: sdp.clone(), may_update: up.talk.may_update };
        let accepted = if is_invite {
            self.accept(server, &dialog, Some(&sdp), session, now)
        } else {
            self.accept_update(server, Some(&dialog.contact()), Some(session), &sdp, now);
            None
        };
        if let (Some(mut accepted), Some(Leg::Up(up))) = (accepted, self.legs.get_mut(&leg)) {
            accepted.is_offer = !has_offer;
            up.accepted = Some(accepted);
            self.arm_accepted(leg, now);
        }
        self.settle_talk(leg, talk, now);
        self.offer_queued(leg, now);
    }

    /// 200 to an UPDATE or PRACK with an offer.
    fn accept_update(
        &mut self,
        server: TxId,
        contact: Option<&str>,
        session: Option<Session>,
        sdp: &str,
        now: Now,
    ) {
        let Some((request, flow, tag)) = self.transactions.request(server) else { return };
        let reply = Reply::new(request, 200).from(flow).tag(tag).feedback(self.feedback);
        let reply = contact.into_iter().fold(reply, |it, contact| it.with("Contact", contact));
        let more = session.into_iter().flat_map(session_headers);
        let reply = more.fold(reply, |it, (name, value)| it.with(name, value));
        let bytes = reply.build_with_sdp(Some(sdp));
        self.transactions.respond(server, 200, bytes, now.mono, &mut self.out);
    }

    /// Refuses the peer's offer; the session goes on as it was. Does nothing when none waits.
    pub fn refuse_offer(&mut self, leg: LegId, status: u16, now: Now) {
        let Some(it) = self.take_their_offer(leg) else { return };
        let status = if (300..700).contains(&status) { status } else { 488 };
        self.respond(it.server, status, &[], now);
        self.go_on(leg, now);
        self.offer_queued(leg, now);
    }

    /// The offer of the peer that waits for us, whatever the leg's state.
    fn take_their_offer(&mut self, leg: LegId) -> Option<TheirOffer> {
        if let Some(Leg::Outgoing(_)) = self.legs.get(&leg) {
            let server = self.invite_of(leg, |it| it.asked.is_some())?.asked.take()?;
            return Some(TheirOffer { server, is_invite: false, has_offer: true, session: None });
        }
        let offer = match self.legs.get_mut(&leg)? {
            Leg::Incoming(it) => &mut it.offer,
            Leg::Up(up) => &mut up.offer,
            Leg::Outgoing { .. } | Leg::Closing(_) => return None,
        };
        match *offer {
            Offer::Theirs { server, is_invite, has_offer, session } => {
                *offer = Offer::Idle;
                Some(TheirOffer { server, is_invite, has_offer, session })
            }
            Offer::Idle | Offer::Ours { .. } | Offer::Glare { .. } => None,
        }
    }
}

/// [`Offer::Theirs`], taken out.
struct TheirOffer {
    server: TxId,
    is_invite: bool,
    has_offer: bool,
    session: Option<Session>,
}

/// How often an offer is made again after a glare.
const GLARE_TRIES: u8 = 5;
