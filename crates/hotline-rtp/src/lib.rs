//! Bookkeeping of RTP (RFC 3550): reading and rewriting headers in place, one outgoing stream that
//! stays continuous whatever feeds it, telephone keys (RFC 4733), the jitter buffer, reports (RTCP)
//! and what they say about quality, and the protection of all that (SRTP).
//!
//! **Invariant:** no allocation, no socket, no clock; a hostile datagram is refused, never a panic.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod event;
mod jitter;
mod mos;
mod outbound;
mod packet;
mod reception;
pub mod rtcp;
mod source_clock;
mod srtp;
mod time;
mod watch;

pub use self::{
    event::{EventPacket, EventReceiver, EventSender},
    jitter::{Format, Inserted, JitterBuffer, JitterCounts, Next},
    mos::{Codec, Quality},
    outbound::{Outbound, Stamp},
    packet::{HEADER_LEN, Header, Packet, PeerMisbehaved, extension, parse, write_header},
    reception::Reception,
    rtcp::ReportBlock,
    source_clock::{Arrival, SourceClock},
    srtp::{
        MasterKey, SRTP_OVERHEAD, SrtpError, SrtpProfile, SrtpProgress, SrtpReceiver, SrtpSender,
        WINDOW,
    },
    time::{MediaTime, SAMPLES_PER_MS, samples_in},
    watch::{Watch, WatchConfig, WatchEvent},
};
