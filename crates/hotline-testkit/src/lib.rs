//! Robots on real sockets: a caller's telephone and an agent's telephone that speak SIP and RTP,
//! and that know what they heard.
//!
//! ```no_run
//! # use std::{net::{IpAddr, Ipv4Addr, SocketAddr}, time::Duration};
//! # use hotline_testkit::{Robot, Speech};
//! # async fn story(engine: SocketAddr) -> Result<(), Box<dyn std::error::Error>> {
//! let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
//! let caller = Robot::bind(local).await?;
//! let call = caller.call(engine, "12345", "13800138000").await?;
//! call.until_answered(Duration::from_secs(5)).await?;
//! call.speak(Speech::tone(700));
//! call.until_tone(440, Duration::from_secs(5)).await?;
//! call.hang_up();
//! call.until_ended(Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The signalling is [`hotline_sip::Endpoint`], the same machine as the engine's. The packets are
//! packed and read here, apart from the engine's code, so that one error cannot hide the other.
//! Waiting is always for something that happens, with a deadline; nothing sleeps for a fixed time.
//!
//! **Invariant:** a robot costs one task, one socket and, while it talks, one more of each.

mod audio;
mod call;
mod canary;
mod coder;
mod continuity;
mod correlate;
mod ear;
mod fourier;
mod heard;
mod line;
mod network;
pub mod raw;
mod reporter;
mod robot;
mod rtp;
mod sound;
mod speech;
#[cfg(test)]
mod talk_off;
mod wire;

pub use hotline_sdp::{Codec, Codecs};

pub use self::{
    call::{Call, Late, View},
    canary::{Absence, Canaries},
    continuity::Continuity,
    correlate::Match,
    ear::Ear,
    heard::{Heard, KeyHeard, PacketHeard},
    network::{Crystal, Network, Weather},
    robot::{Outgoing, Refused, Robot},
    rtp::packet,
    sound::{Sound, SoundError},
    speech::Speech,
};

/// Samples a second of all sound here.
pub const RATE: u32 = hotline_dsp::RATE;

/// Samples in one packet of ours: 20 ms.
pub const FRAME: usize = hotline_dsp::FRAME;
