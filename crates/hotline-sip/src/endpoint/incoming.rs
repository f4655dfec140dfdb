//! Calls of a peer: from the INVITE to our final response.

use std::{sync::Arc, time::Duration};

use hotline_base::{LegId, Now, Pii};

use super::{
    Endpoint,
    names::{ACCEPT, ALLOW, SUPPORTED},
    receive::{hops_are_spent, key_of},
    session::{may_update, session_headers},
};
use crate::{
    Admit, EndWhy, Event, Flow, HangUp, Invited, Message, NameAddr, PeerMisbehaved,
    body::is_type,
    dialog::{Dialog, contact_of},
    identity,
    leg::{Accepted, Can, Incoming, Leg, Offer, Purpose, Reliable, Talk, Up},
    message::Reply,
    session::{Session, has_option},
    text::{decode, visible},
    timers::TimerName,
    transaction::TxId,
};

impl Endpoint {
    pub(super) fn on_invite(&mut self, flow: Flow, message: Message, admit: Admit, now: Now) {
        // We pass calls on, so hops count for us as for a proxy (RFC 3261 §16.3, item 3).
        if hops_are_spent(&message) {
            return self.refuse_at_once(flow, &message, admit, 483, &[]);
        }
        if self.transactions.is_merged(&message) {
            return self.refuse_at_once(flow, &message, admit, 482, &[]);
        }
        if let Some(why) = contact_fault(&message) {
            return self.refuse_fault(flow, &message, admit, why);
        }
        if has_other_body(&message) {
            let accept = [("Accept", ACCEPT.to_owned())];
            return self.refuse_at_once(flow, &message, admit, 415, &accept);
        }
        if !accepts_sdp(&message) {
            return self.refuse_at_once(flow, &message, admit, 406, &[]);
        }
        let mut phone = None;
        if admit == Admit::Phone {
            let Some(it) = self.caller_of(flow, &message, now) else { return };
            phone = Some(it);
        }
        let replaces = match self.replaced(&message) {
            Ok(it) => it,
            Err(400) => {
                return self.refuse_fault(flow, &message, admit, PeerMisbehaved::BadReplaces);
            }
            Err(status) => return self.refuse_at_once(flow, &message, admit, status, &[]),
        };
        let session = match Session::answer(&message, self.wish(), None) {
            Ok(it) => it,
            Err(min) => {
                let min = [("Min-SE", min.to_string())];
                return self.refuse_at_once(flow, &message, admit, 422, &min);
            }
        };
        let can = if has_option(&message, "Require", "100rel") {
            Can::Required
        } else if has_option(&message, "Supported", "100rel") {
            Can::Supported
        } else {
            Can::No
        };
        let may_update = may_update(&message, false);
        let tag = self.token();
        let leg = self.new_leg();
        // RFC 3262 §3: the first number is not to be guessed.
        let rseq = tag.get(..5).and_then(|it| u32::from_str_radix(it, 16).ok()).unwrap_or(1);
        let dialog = Dialog::incoming(&message, flow, &tag, &self.contact("hotline", flow));
        let invited = Invited { phone, replaces, ..invited(leg, flow, &message) };
        let trying = Reply::new(&message, 100).from(flow).feedback(self.feedback).build();
        let begun = self.transactions.begin_server(Arc::new(message), flow, tag);
        let Some(server) = begun else { return };
        self.transactions.respond(server, 100, trying, now.mono, &mut self.out);
        self.purposes.insert(server, Purpose::Asked(leg));
        self.dialogs.insert(&dialog.key(), leg);
        self.by_conn.insert(flow.conn, leg);
        let incoming = Incoming {
            server,
            dialog,
            offered: invited.sdp.is_some(),
            ringing: None,
            session,
            may_update,
            reliable: Reliable { can, rseq, ..Reliable::default() },
            offer: Offer::Idle,
        };
        self.legs.insert(leg, Leg::Incoming(Box::new(incoming)));
        self.timers.set(leg, TimerName::Unanswered, now.mono + UNANSWERED);
        self.say(Event::Invited(Box::new(invited)));
    }

    /// 200, sent again until its ACK comes (RFC 3261 §13.3.1.4); after 64 T1 without one the leg
    /// ends with [`EndWhy::AckMissing`]. Does nothing for a leg that is not incoming and
    /// unanswered.
    ///
    /// While a description in a reliable provisional response waits for its PRACK, so does the 200.
    pub fn answer(&mut self, leg: LegId, sdp: String, now: Now) {
        let Some(Leg::Incoming(it)) = self.legs.get_mut(&leg) else { return };
        if Self::answer_waits(it) {
            it.reliable.answer = Some(sdp);
            return;
        }
        let Some(Leg::Incoming(it)) = self.legs.remove(&leg) else { return };
        self.timers.cancel_all(&leg);
        let described = it.reliable.described;
        let new = described.is_none().then_some(sdp.as_str());
        let accepted = self.accept(it.server, &it.dialog, new, it.session, now);
        let is_offer = !it.offered && described.is_none();
        let accepted = accepted.map(|accepted| Accepted { is_first: true, is_offer, ..accepted });
        let sdp = described.unwrap_or(sdp);
        let talk = Talk { session: it.session, sdp, may_update: it.may_update };
        let rseq = it.reliable.unacked.map(|_| it.reliable.rseq);
        let up = Up { accepted, rseq, ..Up::new(it.dialog, talk) };
        self.legs.insert(leg, Leg::Up(Box::new(up)));
        self.arm_accepted(leg, now);
        self.arm_session(leg, now);
    }

    /// Sends a 200 to an INVITE.
    pub(super) fn accept(
        &mut self,
        server: TxId,
        dialog: &Dialog,
        sdp: Option<&str>,
        session: Session,
        now: Now,
    ) -> Option<Accepted> {
        let (request, flow, tag) = self.transactions.request(server)?;
        let cseq = request.cseq().number;
        let reply = Reply::new(request, 200).from(flow).tag(tag).feedback(self.feedback);
        let reply = reply.with("Contact", dialog.contact()).with("Allow", ALLOW);
        let reply = reply.with("Supported", SUPPORTED);
        let reply = reply.with("Server", self.config.user_agent.as_str());
        let more = session_headers(session);
        let reply = more.fold(reply, |it, (name, value)| it.with(name, value));
        let bytes = reply.build_with_sdp(sdp);
        self.transactions.respond(server, 200, bytes, now.mono, &mut self.out);
        let interval = self.config.t1;
        Some(Accepted { server, cseq, interval, is_first: false, is_offer: false })
    }

    pub(super) fn arm_accepted(&mut self, leg: LegId, now: Now) {
        let t1 = self.config.t1;
        self.timers.set(leg, TimerName::Success, now.mono + t1);
        self.timers.set(leg, TimerName::Ack, now.mono + t1.saturating_mul(64));
    }

    /// A final response above 2xx; the leg ends with [`EndWhy::Local`]. On any leg that is not
    /// incoming and unanswered this hangs up.
    pub fn refuse(&mut self, leg: LegId, status: u16, now: Now) {
        self.hang_up(leg, HangUp { status, reason: None }, now);
    }

    /// [`refuse`](Self::refuse), and why in words for whom it may concern: a Warning 399
    /// (RFC 3261 §20.43). `why` names nobody.
    pub fn refuse_because(&mut self, leg: LegId, status: u16, why: &str, now: Now) {
        let Some(Leg::Incoming(it)) = self.legs.get(&leg) else { return };
        let (server, host) = (it.server, self.config.sent_by(it.dialog.flow));
        self.drop_early_offer(leg, now);
        let text = why.replace(['"', '\\', '\r', '\n'], "'");
        self.respond(server, status, &[("Warning", format!("399 {host} \"{text}\""))], now);
        self.end_leg(leg, EndWhy::Local);
    }

    /// 503 with Retry-After: no call is to come before. It stops the carrier (RFC 3261 §21.5.4), so
    /// it is for planned ends only; overload is refused without.
    pub fn refuse_until(
        &mut self,
        leg: LegId,
        reason: Option<String>,
        retry_after: Duration,
        now: Now,
    ) {
        let Some(Leg::Incoming(it)) = self.legs.get(&leg) else { return };
        let server = it.server;
        self.drop_early_offer(leg, now);
        let mut more = vec![("Retry-After", retry_after.as_secs().to_string())];
        more.extend(reason.map(|it| ("Reason", it)));
        self.respond(server, 503, &more, now);
        self.end_leg(leg, EndWhy::Local);
    }

    pub(super) fn refuse_incoming(&mut self, server: TxId, why: &HangUp, now: Now) {
        let status = if (300..700).contains(&why.status) { why.status } else { 480 };
        let reason = why.reason.clone().map(|it| ("Reason", it));
        self.respond(server, status, reason.as_slice(), now);
    }

    /// RFC 3261 §9.2. The CANCEL is answered without a transaction: a repeated one finds the same
    /// INVITE and gets the same answer.
    pub(super) fn on_cancel(&mut self, flow: Flow, message: &Message, admit: Admit, now: Now) {
        let Some(id) = self.transactions.find_cancelled(message) else {
            return self.refuse_fault(flow, message, admit, PeerMisbehaved::CancelForNothing);
        };
        let tag = self.transactions.to_tag(id).unwrap_or_default();
        let ok = Reply::new(message, 200).from(flow).tag(tag).feedback(self.feedback).build();
        crate::transaction::transmit(&mut self.out, flow, ok);
        let Some(Purpose::Asked(leg)) = self.purposes.get(&id) else { return };
        let leg = *leg;
        match self.legs.get_mut(&leg) {
            Some(Leg::Incoming(it)) if it.server == id => {
                self.drop_early_offer(leg, now);
                self.respond(id, 487, &[], now);
                self.end_leg(leg, EndWhy::Cancelled);
            }
            Some(Leg::Up(up)) if matches!(up.offer, Offer::Theirs { server, .. } if server == id) =>
            {
                up.offer = Offer::Idle;
                self.respond(id, 487, &[], now);
                self.offer_queued(leg, now);
            }
            // Answered already: the CANCEL came too late.
            Some(Leg::Incoming(_) | Leg::Outgoing { .. } | Leg::Up(_) | Leg::Closing(_)) | None => {
            }
        }
    }

    /// The ACK of a 2xx.
    pub(super) fn on_ack(&mut self, flow: Flow, message: &Message, now: Now) {
        let leg = self.dialogs.get(&key_of(message)).copied();
        let Some((leg, state)) = leg.and_then(|id| Some((id, self.legs.get_mut(&id)?))) else {
            // The ACK of a refusal that we do not remember.
            if message.to_tag() != self.stateless_tag(message).as_bytes() {
                self.say(Event::Misbehaved { why: PeerMisbehaved::AckForNothing, flow });
            }
            return;
        };
        let accepted = match state {
            Leg::Up(it) => &mut it.accepted,
            Leg::Closing(it) => &mut it.accepted,
            Leg::Incoming(_) | Leg::Outgoing { .. } => return,
        };
        // Any other number: the ACK of an earlier 2xx, repeated.
        let cseq = message.cseq().number;
        let Some(done) = accepted.take_if(|it| it.cseq == cseq) else { return };
        self.timers.cancel(leg, TimerName::Success);
        self.timers.cancel(leg, TimerName::Ack);
        self.transactions.confirm(done.server);
        if matches!(self.legs.get(&leg), Some(Leg::Closing(_))) {
            return self.send_closing_bye(leg, now);
        }
        if done.is_first {
            self.say(Event::Confirmed { leg });
        }
        if done.is_offer {
            self.say(Event::Reanswered { leg, sdp: message.sdp() });
        }
        self.offer_queued(leg, now);
    }
}

/// How long a caller may wait for any final response before we give up for those above us.
const UNANSWERED: Duration = Duration::from_mins(5);
/// RFC 3261 §13.3.1.1: proxies cancel what is silent for three minutes.
pub(super) const REMIND: Duration = Duration::from_mins(1);

/// A body that is neither a session description nor can hold one.
pub(super) fn has_other_body(message: &Message) -> bool {
    let Some(kind) = message.header("Content-Type") else { return false };
    let multipart = kind.get(..10).is_some_and(|it| it.eq_ignore_ascii_case(b"multipart/"));
    let encoded = message
        .header("Content-Encoding")
        .is_some_and(|it| !it.is_empty() && !it.eq_ignore_ascii_case(b"identity"));
    !message.body().is_empty() && (encoded || !(multipart || is_type(kind, "application/sdp")))
}

/// A peer of RFC 2543, known by a From without a tag, need not give a Contact: its From is where
/// its requests go (RFC 4475 §3.4.1).
fn contact_fault(message: &Message) -> Option<PeerMisbehaved> {
    if message.header("Contact").is_some() {
        contact_of(message).is_none().then_some(PeerMisbehaved::BadContact)
    } else {
        (!message.from_tag().is_empty()).then_some(PeerMisbehaved::MissingContact)
    }
}

/// Whether our answer may hold a description (RFC 3261 §20.1: without an Accept it may).
fn accepts_sdp(message: &Message) -> bool {
    let mut kinds = message.values("Accept").map(<[u8]>::trim_ascii).peekable();
    kinds.peek().is_none()
        || kinds.any(|it| {
            is_type(it, "application/sdp") || is_type(it, "application/*") || is_type(it, "*/*")
        })
}

fn invited(leg: LegId, flow: Flow, message: &Message) -> Invited {
    let from = message.name_addr("From");
    let from_uri = from.and_then(|it| it.uri()).unwrap_or_default();
    let to_uri = message.name_addr("To").and_then(|it| it.uri()).unwrap_or_default();
    let anonymous_from = from_uri.user.eq_ignore_ascii_case("anonymous")
        || from_uri.host == "anonymous.invalid"
        || from_uri.user.is_empty();
    Invited {
        leg,
        flow,
        call_id: Pii::new(visible(decode(message.call_id()))),
        request_user: message.request_uri().unwrap_or_default().user.into_owned(),
        to_user: to_uri.user.into_owned(),
        called_party: identity::named_user(message, "P-Called-Party-ID"),
        from_user: Pii::new(from_uri.user.into_owned()),
        from_display: Pii::new(from.map(|it: NameAddr<'_>| it.display()).unwrap_or_default()),
        asserted: identity::named(message, "P-Asserted-Identity"),
        preferred: identity::named(message, "P-Preferred-Identity"),
        diverted: identity::diverted(message),
        user_to_user: identity::user_to_user(message),
        privacy_id: identity::wants_privacy(message),
        anonymous_from,
        sdp: message.sdp(),
        phone: None,
        replaces: None,
    }
}
