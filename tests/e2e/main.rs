//! Tests over loopback sockets: robots against the real engine.
//!
//! Every test starts an engine of its own: the `hotline` program as a child process, on free ports,
//! in a temporary directory, with a configuration made by [`setup::Setup`]. The carrier calls from
//! 127.0.0.2, agents' telephones register from 127.0.0.3, strangers knock from 127.0.0.9.
//!
//! Most engines speak quick prompts, short bursts of noise of which no two are alike, so that a
//! test takes seconds and still knows which prompt was heard. `happy.rs` hears the spoken ones.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod accounts;
mod archive;
mod baddays;
mod bounds;
mod browser;
mod bytes;
mod codecs;
mod directory;
mod disk;
mod engine;
mod faults;
mod figures;
mod gateways;
mod halves;
mod hangups;
mod happy;
mod hold;
mod http;
mod interop;
mod keys;
mod keys_out;
mod ladder;
mod lasting;
mod lines;
mod lists;
mod outbound;
mod outcomes;
mod outside_seat;
mod overload;
mod parties;
mod people;
mod power;
mod program;
mod prompts;
mod push;
mod queue;
mod receiver;
mod recording;
mod recording_control;
mod refusals;
mod regions;
mod seams;
mod senses;
mod setup;
mod spraying;
mod storms;
mod strangers;
mod supervision;
mod survey;
mod survival;
mod suspend;
mod telephones;
mod torture;
mod transfer_keys;
mod transports;
mod two_lines;
mod uploads;
mod workers;
