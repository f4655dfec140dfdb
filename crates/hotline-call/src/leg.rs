//! What a call says to its legs and hears from them.

use hotline_base::{Extension, Key, Pii, media::Profile};
use hotline_cdr::{OfferEnd, Party, RefusedWhy};

/// Something happened on a leg.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LegEvent {
    /// The phone rings, or the network speaks, perhaps with audio before the answer.
    Ringing { sdp: Option<String> },
    /// The phone answered our call, with its description of audio.
    Answered { sdp: Option<String> },
    /// The peer's answer to an offer that our 200 carried, to its INVITE or re-INVITE without one
    /// (RFC 3261 §13.2.1, §14.2). Empty when it forgot its answer.
    Reanswered { sdp: String },
    /// The peer offers anew (hold, retrieve, moved). `None` asks us for an offer.
    Offered { sdp: Option<String> },
    /// A key by signalling (SIP INFO). `alone`: keys do not also come as events in this leg's
    /// audio, by which media would pass them on.
    Key { key: Key, alone: bool },
    /// The peer or the network ended the leg. Does not come after our own [`LegOrder::HangUp`].
    Ended(LegEnd),
}

/// How a leg ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LegEnd {
    /// The peer hung up; Q.850 if it said why.
    HungUp { cause: Option<u16> },
    /// The caller gave up before our answer.
    Cancelled,
    /// The phone refused our call.
    Refused { status: u16, cause: Option<u16> },
    /// The phone did not answer within the ring limit.
    NoAnswer,
    /// The phone did not react at all.
    NoResponse,
    /// Our answer, or a reliable provisional response, was never acknowledged.
    AckMissing,
    /// The connection to the peer is gone.
    PeerGone,
    /// The peer did not keep the session alive, or does not know it any more (RFC 4028 §10).
    Expired,
}

/// Do this on a leg.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LegOrder {
    Answer {
        sdp: String,
    },
    /// The caller is not answered yet: let it ring. With reliable provisional responses this is
    /// what [`LegOrder::Answer`] would say.
    Ring {
        sdp: String,
    },
    Refuse {
        why: RefusedWhy,
    },
    /// Call the extension's telephones to which audio travels in this way.
    Dial {
        extension: Extension,
        profile: Profile,
        sdp: String,
    },
    /// Call a number outside, over whichever trunk takes it. What becomes of it is told once, not
    /// for every trunk tried.
    DialOut {
        number: Pii<String>,
        /// The number to be shown, if the trunk owns it.
        display: Option<String>,
        sdp: String,
    },
    /// Refuse, cancel or hang up, whatever fits.
    HangUp {
        cause: u8,
    },
    AcceptOffer {
        sdp: String,
    },
    RefuseOffer {
        status: u16,
    },
    /// Press these for who is at the other end, in the way that leg takes keys.
    SendKeys {
        keys: Vec<Key>,
    },
}

/// What became of an offer, for the agent and the dispatcher.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OfferUpdate {
    Ringing,
    /// The agent answered; announcements may run.
    Answered,
    /// Two-way speech is open; the ticket is served.
    Bridged,
    /// Who was called in is there.
    Joined,
    /// What the telephone of somebody in the talk is doing from now on.
    Line(TalkLine),
    /// It ended without a bridge.
    Ended(OfferEnd),
    /// The talk ended.
    Released {
        by: Party,
    },
}

/// What an agent's telephone does in a talk.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TalkLine {
    #[default]
    Talking,
    /// 保持.
    Held,
    /// 咨询: the caller waits in another room.
    Consulting,
    /// 三方通话, 会议.
    Conferring,
    /// 挂起转: the caller is in a flow, and comes back.
    Suspended,
}
