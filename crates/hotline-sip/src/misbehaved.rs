//! Everything a peer can do that a standard forbids.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};

/// The peer did something a standard forbids. Answered on the wire, counted, never fatal.
#[derive(
    BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd,
)]
pub enum PeerMisbehaved {
    /// More bytes than [`Limits`](crate::Limits) permit; more than 64 KiB in any case.
    TooLarge,
    /// More headers than [`Limits`](crate::Limits) permit.
    TooManyHeaders,
    /// Neither a request line nor a status line.
    BadStartLine,
    /// `SIP/7.0`.
    BadVersion,
    /// A line without a colon, or with something that is no token before it.
    BadHeader,
    /// No empty line after the headers.
    Truncated,
    MissingVia,
    MissingFrom,
    MissingTo,
    MissingCallId,
    MissingCSeq,
    MissingContact,
    /// From, To, Call-ID, `CSeq` or Max-Forwards twice.
    DoubledHeader,
    BadVia,
    BadFrom,
    BadTo,
    BadCSeq,
    /// `CSeq` names another method than the request line.
    CSeqMethodMismatch,
    BadContact,
    BadMaxForwards,
    BadRequestUri,
    /// Not a number, negative, or given twice.
    BadContentLength,
    /// The body is shorter than its Content-Length.
    BodyTooShort,
    /// A request number below an earlier one of the dialog (RFC 3261 §12.2.2).
    CSeqWentBackwards,
    AckForNothing,
    ResponseToNothing,
    /// A request for a dialog that does not exist.
    UnknownDialog,
    /// A CANCEL for a transaction that does not exist.
    CancelForNothing,
    /// `Replaces` where it cannot be.
    BadReplaces,
    BadExpires,
    /// Credentials that cannot be read, or for another request.
    BadCredentials,
    /// A start line or a header longer than [`Limits`](crate::Limits) permit.
    LineTooLong,
    /// More Path values than any way has, or one that is no address.
    BadPath,
    /// Somebody who is not the configured next hop asks for credentials of ours.
    ForeignChallenge,
}

impl PeerMisbehaved {
    /// The status a request with this fault is answered with; `None`: silence.
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::TooLarge => Some(513),
            Self::BadVersion => Some(505),
            Self::UnknownDialog | Self::CancelForNothing => Some(481),
            Self::CSeqWentBackwards => Some(500),
            Self::AckForNothing
            | Self::ResponseToNothing
            | Self::MissingVia
            | Self::ForeignChallenge => None,
            Self::TooManyHeaders
            | Self::BadStartLine
            | Self::BadHeader
            | Self::Truncated
            | Self::MissingFrom
            | Self::MissingTo
            | Self::MissingCallId
            | Self::MissingCSeq
            | Self::MissingContact
            | Self::DoubledHeader
            | Self::BadVia
            | Self::BadFrom
            | Self::BadTo
            | Self::BadCSeq
            | Self::CSeqMethodMismatch
            | Self::BadContact
            | Self::BadMaxForwards
            | Self::BadRequestUri
            | Self::BadContentLength
            | Self::BodyTooShort
            | Self::BadReplaces
            | Self::BadExpires
            | Self::BadCredentials
            | Self::LineTooLong
            | Self::BadPath => Some(400),
        }
    }
}

impl fmt::Display for PeerMisbehaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the message is larger than is permitted",
            Self::TooManyHeaders => "the message has more headers than are permitted",
            Self::BadStartLine => "the first line is neither a request nor a status line",
            Self::BadVersion => "the message is of another SIP version",
            Self::BadHeader => "a line among the headers is no header",
            Self::Truncated => "the message ends before its headers do",
            Self::MissingVia => "there is no Via",
            Self::MissingFrom => "there is no From",
            Self::MissingTo => "there is no To",
            Self::MissingCallId => "there is no Call-ID",
            Self::MissingCSeq => "there is no CSeq",
            Self::MissingContact => "there is no Contact",
            Self::DoubledHeader => "a header that may come once comes twice",
            Self::BadVia => "the Via cannot be read",
            Self::BadFrom => "the From cannot be read",
            Self::BadTo => "the To cannot be read",
            Self::BadCSeq => "the CSeq cannot be read",
            Self::CSeqMethodMismatch => "the CSeq names another method than the request",
            Self::BadContact => "the Contact cannot be read",
            Self::BadMaxForwards => "the Max-Forwards is no number from 0 to 255",
            Self::BadRequestUri => "the request URI cannot be read",
            Self::BadContentLength => "the Content-Length is no single number",
            Self::BodyTooShort => "the body is shorter than its Content-Length",
            Self::CSeqWentBackwards => "the CSeq is lower than an earlier one of the dialog",
            Self::AckForNothing => "an ACK belongs to nothing",
            Self::ResponseToNothing => "a response belongs to nothing",
            Self::UnknownDialog => "a request belongs to no dialog",
            Self::CancelForNothing => "a CANCEL belongs to no request",
            Self::BadReplaces => "Replaces is not permitted here",
            Self::BadExpires => "the expiry cannot be read",
            Self::BadCredentials => "the credentials cannot be read",
            Self::LineTooLong => "a line is longer than is permitted",
            Self::BadPath => "the Path cannot be read, or has more values than any way has",
            Self::ForeignChallenge => "a challenge does not come from the configured next hop",
        })
    }
}
