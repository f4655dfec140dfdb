//! The SIP messages of each call, as an operator reads them: kept in a bounded [`Ring`], drawn as a
//! ladder, given out as a capture.
//!
//! **Invariant:** credentials never get in ([`conceal`]), numbers get out only for those who may
//! see them ([`Sight`]), and what is kept never grows over its bounds, whatever peers send.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod conceal;
mod draw;
mod mask;
mod pcap;
mod read;
mod ring;
mod sdp;
#[cfg(test)]
mod tests;
mod trace;

pub use self::{
    conceal::conceal,
    draw::draw,
    mask::Sight,
    pcap::pcap,
    read::{Ladder, Reason, Side, Step, read},
    ring::{Config, Ring},
    sdp::Audio,
    trace::{Party, Role, Trace},
};
