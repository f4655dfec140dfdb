//! REFER within a dialog (RFC 3515): a telephone asks us to take its peer elsewhere, or we ask.
//!
//! Refer-To is data: whom it names is for those above to find, and nothing is ever sent to its
//! address.

use std::sync::Arc;

use hotline_base::{LegId, Now, Pii};

use super::{Endpoint, UNSAVED_MAX, receive::key_of};
use crate::{
    Event, Flow, Message, NameAddr, Replaced, Uri,
    dialog::Dialog,
    leg::{Leg, Purpose},
    replaces::Replaces,
    text::unescape,
    transaction::TxId,
};

mod subscription;

pub(super) use self::subscription::Subscriptions;

/// A REFER that waits for its answer.
#[derive(Debug)]
pub(super) struct Refer {
    server: TxId,
    asked: Now,
    /// `false`: the peer wants no NOTIFY (RFC 4488 §4).
    notifies: bool,
}

impl Endpoint {
    pub(super) fn on_refer(&mut self, leg: LegId, id: TxId, message: &Message, now: Now) {
        if !matches!(self.legs.get(&leg), Some(Leg::Up(_))) {
            return self.respond(id, 481, &[], now);
        }
        if self.refers.contains_key(&leg) || self.subscriptions.has_notifier(leg) {
            return self.respond(id, 491, &[], now);
        }
        // RFC 3515 §2.4.1: exactly one.
        let mut values = message.values("Refer-To");
        let (Some(value), None) = (values.next(), values.next()) else {
            return self.respond(id, 400, &[], now);
        };
        let raw = NameAddr::parse(value).map(|it| it.uri.to_vec()).unwrap_or_default();
        // Headers of the URI are none of ours, but for the one that makes it another request.
        let mut parts = raw.splitn(2, |it| *it == b'?');
        let (address, headers) = (parts.next().unwrap_or_default(), parts.next());
        let Some(uri) = Uri::parse(address).filter(|it| !it.user.is_empty()) else {
            return self.respond(id, 400, &[], now);
        };
        if !matches!(&*uri.scheme, "sip" | "sips" | "tel") {
            return self.respond(id, 416, &[], now);
        }
        let replaces = headers.and_then(replaces_in).map(|it| self.replaced_by(&it));
        let refer_sub = message.header("Refer-Sub").unwrap_or_default().trim_ascii();
        let notifies = !refer_sub.get(..5).is_some_and(|it| it.eq_ignore_ascii_case(b"false"));
        self.refers.insert(leg, Refer { server: id, asked: now, notifies });
        self.say(Event::Referred { leg, to: Pii::new(uri.user.into_owned()), replaces });
    }

    /// The leg that a new call takes the place of, or why it cannot (RFC 3891 §3).
    pub(super) fn replaced(&self, message: &Message) -> Result<Option<LegId>, u16> {
        let mut all = message.headers("Replaces");
        let Some(value) = all.next() else { return Ok(None) };
        let named = Replaces::parse(value).filter(|_| all.next().is_none()).ok_or(400_u16)?;
        let leg = self.dialog_named(&named).ok_or(481_u16)?;
        match self.legs.get(&leg) {
            Some(Leg::Up(_)) if named.early_only => Err(486),
            Some(Leg::Up(_) | Leg::Outgoing(_)) => Ok(Some(leg)),
            // Who rings us cannot be replaced: only whom we ring.
            Some(Leg::Incoming(_)) => Err(481),
            Some(Leg::Closing(_)) | None => Err(603),
        }
    }

    fn dialog_named(&self, it: &Replaces) -> Option<LegId> {
        let (call_id, local_tag, remote_tag) = &it.dialog;
        self.dialogs.get(&[call_id.as_slice(), local_tag, remote_tag]).copied()
    }

    /// The leg that a Replaces within a Refer-To names.
    fn replaced_by(&self, value: &[u8]) -> Replaced {
        let named = Replaces::parse(value).and_then(|it| self.dialog_named(&it));
        named.map_or(Replaced::Nothing, Replaced::Leg)
    }

    /// The answer to [`Event::Referred`]: 202 when it is begun, else why not. After 202 comes
    /// [`refer_done`](Self::refer_done). Does nothing when there is no question.
    pub fn answer_refer(&mut self, leg: LegId, status: u16, now: Now) {
        let Some(Refer { server, notifies, .. }) = self.refers.remove(&leg) else { return };
        if status != 202 {
            return self.respond(server, status, &[], now);
        }
        if !notifies {
            return self.respond(server, 202, &[("Refer-Sub", "false".to_owned())], now);
        }
        self.respond(server, 202, &[], now);
        self.subscriptions.begin_notifier(leg, None, now);
        // RFC 3515 §2.4.4: one at once.
        self.notify(leg, 100, true, now);
    }

    /// The subscription of a peer that waits for [`refer_done`](Self::refer_done), as bytes, to
    /// outlive this process; `None`: nobody waits.
    pub fn save_refer(&self, leg: LegId) -> Option<Vec<u8>> {
        let dialog = match self.legs.get(&leg) {
            Some(Leg::Up(it)) => &it.dialog,
            Some(Leg::Closing(it)) => &it.dialog,
            Some(Leg::Incoming(_) | Leg::Outgoing(_)) => return None,
            None => self.subscriptions.ended_dialog(leg)?,
        };
        let waits = self.subscriptions.has_notifier(leg);
        waits.then(|| borsh::to_vec(&(SAVED_REFER, leg, dialog)).ok()).flatten()
    }

    /// Takes a saved subscription over, after the legs: the peer of a leg that is up is notified in
    /// its dialog, that of one that is over in the dialog that lives on for it. `None`: of another
    /// version, damaged, or there already.
    pub fn restore_refer(&mut self, saved: &[u8], now: Now) -> Option<LegId> {
        let (version, leg, mut dialog) = borsh::from_slice::<(u8, LegId, Dialog)>(saved).ok()?;
        if version != SAVED_REFER || self.subscriptions.has_notifier(leg) {
            return None;
        }
        dialog.local_cseq = dialog.local_cseq.saturating_add(UNSAVED_MAX);
        self.next_leg = self.next_leg.max(leg.0.saturating_add(1));
        let ended = (!self.legs.contains_key(&leg)).then(|| Box::new(dialog));
        self.subscriptions.begin_notifier(leg, ended, now);
        Some(leg)
    }

    /// What became of a REFER that was answered 202: the status of the call it led to, as its peer
    /// is notified even when the leg itself is over (RFC 3515 §2.4.5, RFC 5057 §4.2). Does nothing
    /// when the peer knows, or does not want to.
    pub fn refer_done(&mut self, leg: LegId, status: u16, now: Now) {
        if self.subscriptions.has_notifier(leg) {
            self.notify(leg, status, false, now);
            self.subscriptions.drop_notifier(leg);
        }
    }

    /// The leg is over: nobody answers any more, and a transaction without an answer has no end.
    pub(super) fn drop_refer(&mut self, leg: LegId) {
        if let Some(it) = self.refers.remove(&leg) {
            self.respond(it.server, 481, &[], it.asked);
        }
    }

    /// `goes_on`: more is to come.
    fn notify(&mut self, leg: LegId, status: u16, goes_on: bool, now: Now) {
        let state = match goes_on {
            true => format!("active;expires={}", subscription::LONGEST.as_secs()),
            false if status == 100 => "terminated;reason=timeout".to_owned(),
            false => "terminated;reason=noresource".to_owned(),
        };
        let agent = self.config.user_agent.clone();
        let dialog = match self.legs.get_mut(&leg) {
            Some(Leg::Up(up)) => Some(&mut up.dialog),
            Some(Leg::Closing(it)) => Some(&mut it.dialog),
            Some(Leg::Incoming(_) | Leg::Outgoing(_)) => None,
            None => self.subscriptions.dialog(leg),
        };
        let Some(dialog) = dialog else { return };
        let cseq = dialog.next_cseq();
        let (dialog, flow) = (dialog.clone(), dialog.flow);
        let via = self.fresh_via(flow);
        let request = dialog
            .request("NOTIFY", cseq, &via)
            .header("Contact", &*dialog.contact())
            .header("Event", "refer")
            .header("Subscription-State", state)
            .header("User-Agent", agent)
            .end_with(subscription::SIPFRAG, subscription::fragment(status).as_bytes());
        self.ask(&request, flow, Purpose::Notify(leg), now);
    }

    /// A peer that knows of no subscription wants to hear no more.
    pub(super) fn on_notify_response(&mut self, id: TxId, leg: LegId, message: &Message) {
        match message.status() {
            Some(300..) => self.subscriptions.drop_notifier(leg),
            Some(200..) => (),
            Some(_) | None => {
                self.purposes.insert(id, Purpose::Notify(leg));
            }
        }
    }

    /// Subscriptions whose time is over.
    pub(super) fn end_subscriptions(&mut self, now: Now) {
        while let Some(leg) = self.subscriptions.pop_due(now) {
            self.notify(leg, 100, false, now);
            self.subscriptions.drop_notifier(leg);
        }
    }

    /// The value of the Replaces, or of the one within a Refer-To, by which the peer of this leg
    /// knows its dialog; `None` when there is none yet, or several.
    pub fn replaces(&self, leg: LegId) -> Option<String> {
        let dialog = match self.legs.get(&leg)? {
            Leg::Incoming(it) => &it.dialog,
            Leg::Up(it) => &it.dialog,
            Leg::Closing(_) | Leg::Outgoing(_) => return None,
        };
        let [call_id, local_tag, remote_tag] = dialog.key().map(<[u8]>::to_vec);
        String::from_utf8(crate::replaces::naming(&(call_id, local_tag, remote_tag))).ok()
    }

    /// Asks the peer of an answered leg to call somebody else (as a telephone does), in place of
    /// the dialog that `replaces` names. What becomes of it comes as [`Event::ReferProgress`].
    pub fn refer(&mut self, leg: LegId, to: &str, replaces: Option<&str>, now: Now) {
        let Some((request, flow)) = self.request_in(leg, "REFER") else { return };
        let replaces = replaces.map(|it| format!("?Replaces={}", escaped(it)));
        let refer_to = format!("<{to}{}>", replaces.unwrap_or_default());
        let request = request.header("Refer-To", refer_to).end();
        self.ask(&request, flow, Purpose::Refer(leg), now);
    }

    /// The answer to our REFER.
    pub(super) fn on_refer_response(&mut self, id: TxId, leg: LegId, status: u16, now: Now) {
        if status < 200 {
            self.purposes.insert(id, Purpose::Refer(leg));
        } else {
            let key = match self.legs.get(&leg).filter(|_| status < 300) {
                Some(Leg::Up(it)) => Some(it.dialog.key()),
                Some(Leg::Closing(it)) => Some(it.dialog.key()),
                Some(Leg::Incoming(_) | Leg::Outgoing(_)) | None => None,
            };
            if let Some(key) = key {
                self.subscriptions.begin_subscriber(leg, &key, now);
            }
            self.say(Event::ReferProgress { leg, status });
        }
    }

    /// A NOTIFY about our REFER; about anything else there is no subscription.
    pub(super) fn on_notify(&mut self, id: TxId, message: &Message, now: Now) {
        let event = message.header("Event").unwrap_or_default();
        let is_refer = event.get(..5).is_some_and(|it| it.eq_ignore_ascii_case(b"refer"));
        let leg = self.subscriptions.subscriber(&key_of(message)).filter(|_| is_refer);
        let Some(leg) = leg else { return self.respond(id, 481, &[], now) };
        self.respond(id, 200, &[], now);
        let state = message.header("Subscription-State").unwrap_or_default();
        if state.get(..10).is_some_and(|it| it.eq_ignore_ascii_case(b"terminated")) {
            self.subscriptions.drop_subscriber(leg);
        }
        if let Some(status) = subscription::status_in(message.body()) {
            self.say(Event::ReferProgress { leg, status });
        }
    }

    /// A NOTIFY for a call that is over, whose REFER is not (RFC 5057 §4.2). `false`: it is none.
    pub(super) fn notifies_late(&mut self, flow: Flow, message: &Message, now: Now) -> bool {
        if self.subscriptions.subscriber(&key_of(message)).is_none() {
            return false;
        }
        let tag = String::from_utf8_lossy(message.to_tag()).into_owned();
        if let Some(id) = self.transactions.begin_server(Arc::new(message.clone()), flow, tag) {
            self.on_notify(id, message, now);
        }
        true
    }
}

/// Version of [`Endpoint::save_refer`].
const SAVED_REFER: u8 = 1;

/// The value of Replaces among the headers of a URI, without its escapes.
fn replaces_in(headers: &[u8]) -> Option<Vec<u8>> {
    let mut all = headers.split(|it| *it == b'&');
    let value = all.find_map(|it| {
        let (name, value) = it.split_at_checked(9)?;
        name.eq_ignore_ascii_case(b"replaces=").then_some(value)
    });
    value.map(|it| unescape(it).into_owned())
}

/// As the value of a header within a URI (RFC 3261 §25.1, hvalue).
fn escaped(value: &str) -> String {
    let safe = |it: u8| it.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&it);
    let all = value.bytes();
    all.map(|it| if safe(it) { char::from(it).to_string() } else { format!("%{it:02X}") }).collect()
}
