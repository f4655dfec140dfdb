//! Why a call ended.

use borsh::{BorshDeserialize, BorshSerialize};

#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum EndReason {
    /// One of the two hung up, or the flow ended as written; `tag` is the flow's reason.
    Normal {
        tag: String,
    },
    /// The caller cancelled before we answered.
    Cancelled,
    Refused,
    /// Nobody acknowledged our 200.
    AckMissing,
    /// No RTP for 30 s.
    MediaLost,
    /// The media process died.
    MediaFailed,
    /// The peer's connection or dialog is gone.
    PeerGone,
    /// A defect of ours ended this call.
    Internal,
    /// The peer did not keep the session alive (RFC 4028 §10).
    SessionExpired,
}

impl EndReason {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Normal { tag } => tag,
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
            Self::AckMissing => "ack_missing",
            Self::MediaLost => "media_lost",
            Self::MediaFailed => "media_failed",
            Self::PeerGone => "peer_gone",
            Self::Internal => "internal",
            Self::SessionExpired => "session_expired",
        }
    }

    /// Whether the platform failed the caller (呼损, requirements 4.2).
    pub const fn is_our_fault(&self) -> bool {
        match self {
            Self::MediaFailed | Self::Internal => true,
            Self::Normal { .. }
            | Self::Cancelled
            | Self::Refused
            | Self::AckMissing
            | Self::MediaLost
            | Self::PeerGone
            | Self::SessionExpired => false,
        }
    }
}
