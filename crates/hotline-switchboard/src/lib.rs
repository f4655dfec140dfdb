//! The pure whole: every decision about calls, agents, queues and trunks, in one machine.
//!
//! One [`Input`] comes in with the time, [`Output`]s go out. Every input can be written down, so
//! that the simulator, a recorded shift and production run the same code.
//!
//! **Invariant:** nothing here waits, reads a clock or touches a socket, and nothing reaches a
//! machine by another road than [`Input`].

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod board;
mod carrier;
mod config;
mod directory;
mod environment;
mod io;
mod region;
mod switchboard;
mod timers;

pub use self::{
    board::{Board, BoardCall, BoardGateway, BoardGroup, BoardLadders, BoardTraffic, BoardTrunk},
    carrier::CarrierRules,
    config::{Config, Dialer, NumberParams, Outbound, Srtp},
    directory::{Directory, DirectoryEntry, Standing},
    io::{
        AgentUpdate, Alarm, CallBrief, CarrierView, Count, Input, Output, TrafficRow, TrafficView,
    },
    region::Regions,
    switchboard::Switchboard,
};
