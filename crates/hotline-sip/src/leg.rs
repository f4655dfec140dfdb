//! A leg: one party's dialog and where it stands.
//!
//! ```text
//! Incoming --answer--> Up --hang_up, BYE--> Closing --> (gone)
//! Outgoing --2xx-----> Up
//! ```
//!
//! `Ended` is said when a leg leaves Incoming, Outgoing or Up; a leg in Closing has said it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::LegId;

use crate::{
    Dial, EndWhy, Flow,
    dialog::{Dialog, Early},
    endpoint::Registrant,
    registrar::Key,
    session::Session,
    transaction::TxId,
};

/// In boxes: a map moves its values about, and most legs are of one kind.
#[derive(Debug)]
pub(crate) enum Leg {
    /// The peer calls; no final response yet.
    Incoming(Box<Incoming>),
    /// We call; no final response yet.
    Outgoing(Box<Outgoing>),
    /// Answered.
    Up(Box<Up>),
    /// Ended for the caller; its BYE is on its way or waits for the ACK of our 200.
    Closing(Box<Closing>),
}

impl Leg {
    /// `None` of a leg that we dial: it may have several.
    pub(crate) fn dialog(&self) -> Option<&Dialog> {
        match self {
            Self::Incoming(it) => Some(&it.dialog),
            Self::Up(it) => Some(&it.dialog),
            Self::Closing(it) => Some(&it.dialog),
            Self::Outgoing(_) => None,
        }
    }

    pub(crate) fn dialog_mut(&mut self) -> Option<&mut Dialog> {
        match self {
            Self::Incoming(it) => Some(&mut it.dialog),
            Self::Up(it) => Some(&mut it.dialog),
            Self::Closing(it) => Some(&mut it.dialog),
            Self::Outgoing(_) => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) server: TxId,
    pub(crate) dialog: Dialog,
    /// The INVITE came with an offer, so that our 200 answers.
    pub(crate) offered: bool,
    /// The last provisional response and its status, sent again each minute.
    pub(crate) ringing: Option<(u16, Arc<[u8]>)>,
    /// What our 2xx will say.
    pub(crate) session: Session,
    pub(crate) may_update: bool,
    pub(crate) reliable: Reliable,
    /// The peer's offer in a PRACK or UPDATE before our 2xx.
    pub(crate) offer: Offer,
}

/// Reliable provisional responses (RFC 3262). One at a time: the next waits for the PRACK.
#[derive(Debug, Default)]
pub(crate) struct Reliable {
    pub(crate) can: Can,
    /// `RSeq` of the last one.
    pub(crate) rseq: u32,
    pub(crate) unacked: Option<Unacked>,
    pub(crate) waiting: VecDeque<(u16, Option<String>)>,
    /// Our description went in one of them: the 200 has none.
    pub(crate) described: Option<String>,
    /// The 200 that waits for a PRACK, or for our answer to an offer.
    pub(crate) answer: Option<String>,
}

/// What the peer said about reliable provisional responses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Can {
    #[default]
    No,
    Supported,
    Required,
}

/// A reliable provisional response without its PRACK.
#[derive(Debug)]
pub(crate) struct Unacked {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) flow: Flow,
    pub(crate) interval: Duration,
    pub(crate) has_sdp: bool,
}

/// What of an answered leg is kept beside its dialog.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Talk {
    pub(crate) session: Session,
    /// Our last description: offered once more by a refreshing re-INVITE.
    pub(crate) sdp: String,
    /// The peer takes UPDATE.
    pub(crate) may_update: bool,
}

/// What we dial: one target, or the contacts of an extension.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// All INVITEs are of one call, as if a proxy had forked it (RFC 3261 §16.6): a phone that two
    /// of them reach rings once.
    pub(crate) call_id: String,
    pub(crate) tag: String,
    /// INVITEs without a final response.
    pub(crate) forks: Vec<Fork>,
    /// Who is dialled when nobody of `forks` is left, the next first.
    pub(crate) later: VecDeque<Vec<Target>>,
    /// What the leg ends with when nobody is left at all.
    pub(crate) failure: EndWhy,
}

/// One phone, which is asked by one flow at a time (RFC 5626 §5.3).
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) instance: Option<String>,
    /// The best first.
    pub(crate) flows: VecDeque<(Key, Dial)>,
}

#[derive(Debug)]
pub(crate) struct Fork {
    pub(crate) client: TxId,
    /// The contact that is dialled, if it is one of our registrar's.
    pub(crate) phone: Option<Key>,
    /// Further flows of that phone, for the case that this one fails.
    pub(crate) spare: VecDeque<(Key, Dial)>,
}

#[derive(Debug)]
pub(crate) struct Up {
    pub(crate) dialog: Dialog,
    /// Our 2xx without its ACK.
    pub(crate) accepted: Option<Accepted>,
    pub(crate) offer: Offer,
    /// An offer of ours that waits for the running one to end.
    pub(crate) queued: Option<String>,
    pub(crate) talk: Talk,
    /// `RSeq` of a provisional response whose PRACK may still come.
    pub(crate) rseq: Option<u32>,
}

impl Up {
    pub(crate) const fn new(dialog: Dialog, talk: Talk) -> Self {
        Self { dialog, accepted: None, offer: Offer::Idle, queued: None, talk, rseq: None }
    }
}

#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) dialog: Dialog,
    /// RFC 3261 §15: the called side may not send BYE before the ACK.
    pub(crate) accepted: Option<Accepted>,
    pub(crate) reason: Option<String>,
}

/// Our 2xx to an INVITE, sent again until its ACK comes.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Has its bytes.
    pub(crate) server: TxId,
    pub(crate) cseq: u32,
    pub(crate) interval: Duration,
    /// The leg's first INVITE, not a re-INVITE.
    pub(crate) is_first: bool,
    /// The 2xx offers; the ACK answers.
    pub(crate) is_offer: bool,
}

/// Who offers what (RFC 3264 §4: one offer at a time).
#[derive(Debug)]
pub(crate) enum Offer {
    Idle,
    /// Our re-INVITE runs.
    Ours {
        client: TxId,
        sdp: String,
        tries: u8,
        /// It only refreshes the session: nobody above asked for it.
        is_refresh: bool,
    },
    /// The peer's re-INVITE, UPDATE or PRACK waits for our answer.
    Theirs {
        server: TxId,
        is_invite: bool,
        has_offer: bool,
        /// What our 2xx will say; `None` before the call is answered.
        session: Option<Session>,
    },
    /// Both offered at once; ours is made again when timer Glare fires.
    Glare {
        sdp: String,
        tries: u8,
    },
}

/// What a transaction is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// Our INVITE or re-INVITE.
    Invite(Box<Invite>),
    Bye(LegId),
    /// An UPDATE that refreshes the session.
    Refresh(LegId),
    /// An OPTIONS that asks who is silent whether it is there.
    Watch(LegId),
    /// Our REFER.
    Refer(LegId),
    /// A PRACK.
    Prack(LegId),
    /// A NOTIFY about a REFER of the peer.
    Notify(LegId),
    /// The BYE that ends a fork, whose dialog nothing else has.
    Told(Box<Dialog>),
    /// A CANCEL: its end interests nobody.
    Nothing,
    /// An INVITE or UPDATE of the peer.
    Asked(LegId),
    Register(Registrant),
    /// Our OPTIONS, by the number its asker gave.
    Probe(u64),
    /// Our question whether a phone is there.
    Phone(Key),
}

/// Our INVITE. It outlives its leg: late and forked 2xx need their ACK.
#[derive(Debug)]
pub(crate) struct Invite {
    /// `None` once the leg is ended.
    pub(crate) leg: Option<LegId>,
    pub(crate) is_first: bool,
    pub(crate) dialog: Dialog,
    pub(crate) cancel: Cancel,
    /// A provisional response came: a CANCEL may be sent (RFC 3261 §9.1).
    pub(crate) is_ringing: bool,
    /// The ACK for each 2xx, by the peer's tag.
    pub(crate) acks: Vec<(Vec<u8>, Arc<[u8]>)>,
    /// The seconds it asks for in Session-Expires.
    pub(crate) secs: u32,
    /// What to send again after a 422, of a first INVITE.
    pub(crate) dial: Option<Box<Dial>>,
    /// Telephones that ring, of a first INVITE.
    pub(crate) early: Vec<Early>,
    /// An UPDATE with an offer in one of the early dialogs.
    pub(crate) asked: Option<TxId>,
}

#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Cancel {
    No,
    /// As soon as a provisional response comes.
    Wanted {
        reason: Option<String>,
    },
    Sent,
}
