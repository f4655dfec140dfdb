//! Session descriptions (RFC 8866, and RFC 4566 before it) and offer/answer (RFC 3264) as
//! functions: what we offer, what we answer, and the one audio stream both sides settled on.
//!
//! **Invariant:** no state and no sockets. A description that a peer sends can be refused but can
//! never panic; reading tolerates what access gateways really send, writing follows the RFC.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod codec;
mod negotiate;
mod read;
mod secure;
#[cfg(test)]
mod tests;
mod write;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use hotline_base::media::FailReason;

pub use self::{
    codec::{Codec, Codecs, Passed},
    negotiate::{answer, answer_in, offer, offer_in, settle, settle_in},
    secure::{
        Asked, Fingerprint, Label, Remote, Role, SdesKey, SdesSuite, Secrets, Security, asked,
    },
};

/// Payload type of telephone-event at 8,000 Hz in our offers.
pub const OFFERED_TELEPHONE_EVENT: u8 = 101;

/// The same at 48,000 Hz, for who takes Opus: events run on the clock of the speech they stand
/// among (RFC 4733 §2.4.1).
pub const OFFERED_TELEPHONE_EVENT_48K: u8 = 102;

/// Our end of a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Local {
    /// Where we receive RTP; also written as the origin.
    pub address: IpAddr,
    pub port: u16,
    /// `sess-id` of the `o=` line: stays the same for the life of a leg.
    pub session: u64,
    /// `sess-version` of the `o=` line: one more for every description that differs from the one
    /// before (RFC 3264 §8).
    pub version: u64,
    /// What may be spoken.
    pub codecs: Codecs,
}

/// Which way audio flows, as seen by us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    Both,
    SendOnly,
    ReceiveOnly,
    Inactive,
}

/// The audio stream both sides agreed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stream {
    /// Where we send. The unspecified address (0.0.0.0 or ::) when the peer holds the old way;
    /// then [`hold`](Self::hold) is set and nothing may be sent.
    pub address: SocketAddr,
    pub codec: Codec,
    /// Payload type of the codec in the packets we send, as the peer's description numbers it.
    pub payload_type: u8,
    /// Payload type of the codec in the packets we receive, as our own description numbers it.
    /// Differs from [`payload_type`](Self::payload_type) only when the peer answered our offer
    /// with numbers of its own.
    pub payload_type_in: u8,
    /// Payload type of telephone-event (RFC 4733) in the packets we send; `None` when the peer
    /// does not take such events.
    pub telephone_event: Option<u8>,
    /// Payload type of telephone-event in the packets we receive.
    pub telephone_event_in: Option<u8>,
    /// Where the peer receives RTCP: what `a=rtcp` says (RFC 3605), else the port after RTP's.
    pub rtcp: SocketAddr,
    /// RTP and RTCP share one port (`a=rtcp-mux`, RFC 5761): both descriptions say so. We answer so
    /// whenever it is offered.
    pub rtcp_mux: bool,
    /// Milliseconds of audio in one packet that the peer wishes to receive; 20 unless said.
    pub ptime_ms: u32,
    pub direction: Direction,
    /// The peer asked us to stop sending: `sendonly`, `inactive`, or the unspecified address
    /// (RFC 3264 §8.4).
    pub hold: bool,
}

impl Stream {
    /// Whether the peer is to send, so that its silence means something. It is not while it holds,
    /// or where it only listens.
    pub const fn is_sound_due(&self) -> bool {
        self.direction.may_receive() && !self.hold
    }
}

/// Why a description led to no stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SdpError {
    /// Not a session description, or it names no address to send to (400).
    Bad,
    /// No audio line with a port (488).
    NoAudio,
    /// Audio, but no codec that we may speak, or protected in no way of ours (488).
    NoCommonCodec,
    /// An address we do not send to (488): a host name, a group, or IPv6 where we have IPv4. Names
    /// are not looked up, because a description must not make us ask strangers' name servers.
    NoCommonAddress,
}

impl Direction {
    pub const fn may_send(self) -> bool {
        match self {
            Self::Both | Self::SendOnly => true,
            Self::ReceiveOnly | Self::Inactive => false,
        }
    }

    /// Whether the peer may send.
    pub const fn may_receive(self) -> bool {
        match self {
            Self::Both | Self::ReceiveOnly => true,
            Self::SendOnly | Self::Inactive => false,
        }
    }

    const fn of(send: bool, receive: bool) -> Self {
        match (send, receive) {
            (true, true) => Self::Both,
            (true, false) => Self::SendOnly,
            (false, true) => Self::ReceiveOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// The same stream seen from the other end.
    const fn mirrored(self) -> Self {
        Self::of(self.may_receive(), self.may_send())
    }

    /// What both allow.
    const fn and(self, other: Self) -> Self {
        Self::of(self.may_send() && other.may_send(), self.may_receive() && other.may_receive())
    }

    const fn attribute(self) -> &'static str {
        match self {
            Self::Both => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::ReceiveOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

impl fmt::Display for SdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bad => "the session description cannot be read",
            Self::NoAudio => "the session description has no audio",
            Self::NoCommonCodec => "the session description has no codec that is spoken here",
            Self::NoCommonAddress => "the session description names no address we can send to",
        })
    }
}

impl std::error::Error for SdpError {}

impl From<SdpError> for FailReason {
    fn from(error: SdpError) -> Self {
        match error {
            SdpError::Bad => Self::BadSdp,
            SdpError::NoAudio | SdpError::NoCommonCodec => Self::NoCommonCodec,
            SdpError::NoCommonAddress => Self::NoCommonAddress,
        }
    }
}
