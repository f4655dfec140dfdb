//! RTCP (RFC 3550 §6): reports about streams, read and written where they lie.

mod packet;
mod session;
mod writer;

pub use self::{
    packet::{RtcpError, RtcpItem, RtcpItems, SenderInfo},
    session::{RemoteView, RtcpConfig, RtcpSession},
    writer::REPORT_MAX,
};

/// What a datagram on a port shared by RTP, RTCP, STUN and DTLS is, by its first bytes (RFC 7983
/// §7, RFC 5761 §4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Rtp,
    Rtcp,
    Stun,
    Dtls,
    Unknown,
}

/// Tells what a datagram is without reading it.
pub fn kind_of(datagram: &[u8]) -> Kind {
    match datagram {
        [0..=3, ..] => Kind::Stun,
        [20..=63, ..] => Kind::Dtls,
        // RFC 5761 §4: RTCP packet types 192 to 223 are payload types 64 to 95 with a marker.
        [128..=191, 192..=223, ..] => Kind::Rtcp,
        [128..=191, ..] => Kind::Rtp,
        _ => Kind::Unknown,
    }
}

/// One report block (RFC 3550 §6.4.1): how a receiver gets a sender's stream.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ReportBlock {
    /// The sender that is reported on.
    pub ssrc: u32,
    /// Lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Lost since the beginning; below zero when more came than were sent.
    pub lost: i32,
    pub highest_sequence: u32,
    /// In ticks of the stream's clock.
    pub jitter: u32,
    /// The middle 32 bits of the NTP time of the last sender report, and how long ago it came, in
    /// 1/65,536 s. Both 0 when none came.
    pub last_report: u32,
    pub delay: u32,
}
