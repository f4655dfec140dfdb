//! Challenges to requests within a call (RFC 3261 §22.2): a carrier may want proof of a BYE as of
//! an INVITE. Each request is proven once, and to the configured next hop alone.

use hotline_base::{LegId, Now};

use super::Endpoint;
use crate::{
    Credentials, Event, Flow, Message, PeerMisbehaved,
    dialog::Dialog,
    digest::NotAnswered,
    leg::{Leg, Offer, Purpose},
    message::Draft,
    transaction::TxId,
};

impl Endpoint {
    /// Who we are in a leg's dialog, should its next hop ask (401, 407): of a peer's call, and of a
    /// restored one. Our own calls have it from [`Dial`](crate::Dial).
    pub fn set_credentials(&mut self, leg: LegId, credentials: Credentials) {
        let dialog = match self.legs.get_mut(&leg) {
            Some(Leg::Incoming(it)) => &mut it.dialog,
            Some(Leg::Up(it)) => &mut it.dialog,
            Some(Leg::Closing(it)) => &mut it.dialog,
            Some(Leg::Outgoing(_)) | None => return,
        };
        dialog.credentials = Some(Box::new(credentials));
    }

    /// Sends a challenged request within a dialog once more, with the proof. Gives back what the
    /// request was for when its response stands.
    pub(super) fn prove(
        &mut self,
        id: TxId,
        mut purpose: Purpose,
        (flow, response): (Flow, &Message),
        now: Now,
    ) -> Option<Purpose> {
        if !matches!(response.status(), Some(401 | 407)) {
            return Some(purpose);
        }
        let Some((request, _)) = self.transactions.sent(id) else { return Some(purpose) };
        let request = request.clone();
        let cnonce = self.token();
        let Some(dialog) = self.dialog_asked(&mut purpose, request.to_tag()) else {
            return Some(purpose);
        };
        let Some(credentials) = &dialog.credentials else { return Some(purpose) };
        let told = credentials.answer(flow, response, &request, &cnonce);
        if told == Err(NotAnswered::NotTheNextHop) {
            self.say(Event::Misbehaved { why: PeerMisbehaved::ForeignChallenge, flow });
        }
        let Some(told) = told.ok().filter(|_| !is_proven(&request)) else { return Some(purpose) };
        self.ask_proven(id, purpose, (&request, told), now).err()
    }

    fn ask_proven(
        &mut self,
        before: TxId,
        mut purpose: Purpose,
        (request, (name, value)): (&Message, (&str, String)),
        now: Now,
    ) -> Result<(), Purpose> {
        let Some(dialog) = self.dialog_asked(&mut purpose, request.to_tag()) else {
            return Err(purpose);
        };
        let (cseq, flow) = (dialog.next_cseq(), dialog.flow);
        let via = self.fresh_via(flow);
        let mut draft = Draft::of(request);
        draft.edit("Via", |_| Some(Some(via.clone().into_bytes())));
        let method = String::from_utf8_lossy(request.method().unwrap_or_default()).into_owned();
        draft.edit("CSeq", |_| Some(Some(format!("{cseq} {method}").into_bytes())));
        draft.add(name, value.into_bytes());
        let begun = draft
            .finish()
            .and_then(Result::ok)
            .and_then(|again| self.transactions.begin_client(again, flow, now.mono, &mut self.out));
        let Some(id) = begun else { return Err(purpose) };
        if let Purpose::Invite(invite) = &purpose {
            if let Some(Leg::Up(up)) = invite.leg.and_then(|it| self.legs.get_mut(&it))
                && let Offer::Ours { client, .. } = &mut up.offer
                && *client == before
            {
                *client = id;
            }
            let limit = self.config.t1.saturating_mul(64);
            self.transactions.limit_client(id, limit, now.mono);
        }
        self.purposes.insert(id, purpose);
        Ok(())
    }

    /// The dialog of our request, whose peer has this tag. First INVITEs are proven elsewhere.
    fn dialog_asked<'a>(
        &'a mut self,
        purpose: &'a mut Purpose,
        tag: &[u8],
    ) -> Option<&'a mut Dialog> {
        let leg = match purpose {
            Purpose::Told(dialog) => return Some(&mut **dialog),
            Purpose::Bye(leg)
            | Purpose::Refresh(leg)
            | Purpose::Refer(leg)
            | Purpose::Prack(leg) => *leg,
            Purpose::Invite(it) if !it.is_first => it.leg?,
            Purpose::Invite(_)
            | Purpose::Watch(_)
            | Purpose::Notify(_)
            | Purpose::Nothing
            | Purpose::Asked(_)
            | Purpose::Register(_)
            | Purpose::Probe(_)
            | Purpose::Phone(_) => return None,
        };
        if let Some(Leg::Outgoing(_)) = self.legs.get(&leg) {
            return self.early_with(leg, tag).map(|it| &mut it.dialog);
        }
        let dialog = match self.legs.get_mut(&leg)? {
            Leg::Up(it) => &mut it.dialog,
            Leg::Closing(it) => &mut it.dialog,
            Leg::Incoming(_) | Leg::Outgoing(_) => return None,
        };
        (dialog.remote_tag() == tag).then_some(dialog)
    }
}

/// What proves who sent a request.
const PROOFS: [&str; 2] = ["Authorization", "Proxy-Authorization"];

/// The request says already who we are: whoever asks again does not believe it.
pub(super) fn is_proven(request: &Message) -> bool {
    PROOFS.iter().any(|it| request.header(it).is_some())
}

/// The proof of an INVITE, which its ACK repeats (RFC 3261 §22.1).
pub(super) fn proofs(request: &Message) -> Vec<(&'static str, Vec<u8>)> {
    let all = PROOFS.iter();
    all.flat_map(|name| request.headers(name).map(|it| (*name, it.to_vec()))).collect()
}
