//! 看板: one picture of everything, for consoles. It is taken ten times a second and does not grow
//! with calls.

use std::{collections::BTreeMap, net::SocketAddr};

use hotline_agent::Display;
use hotline_base::{AgentNo, CallId, GroupId, Pii, TrunkId, WallTime};
use hotline_trunk::{
    AccountState, GatewayTransport, Probes, Way,
    statistics::{Outcome, Sums},
};

/// Taken between two turns; changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// Calls that are known, those that are being closed included.
    pub n_calls: usize,
    pub groups: Vec<BoardGroup>,
    /// Agents by what a screen shows of them; a state that nobody is in is absent.
    pub agents: BTreeMap<Display, usize>,
    pub trunks: Vec<BoardTrunk>,
    pub media_up: bool,
    pub draining: bool,
    pub ladders: BoardLadders,
    /// Attempts of trunks since the start, by outcome.
    pub traffic: Vec<BoardTraffic>,
    /// Sums since the start, of each trunk and direction.
    pub sums: Vec<(TrunkId, Way, Sums)>,
    /// Whether each carrier is in alarm.
    pub carriers: BTreeMap<String, bool>,
    /// Calls abroad are stopped, because there were too many.
    pub abroad_blocked: bool,
    /// New calls a second that are taken; `None`: all.
    pub calls_per_sec: Option<u64>,
    /// The part of their calls that peers are told to keep back (RFC 7339).
    pub reduction_percent: u8,
}

#[derive(Clone, Debug)]
pub struct BoardTraffic {
    pub trunk: TrunkId,
    pub way: Way,
    pub outcome: Outcome,
    pub n: u64,
}

/// How much signalling is kept in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct BoardLadders {
    pub n_calls: usize,
    pub bytes: usize,
    /// Since the start: those that made room for others.
    pub n_pushed_out: u64,
    /// Since the start: those of failed calls that were too many in one minute to be stored.
    pub n_not_stored: u64,
}

#[derive(Clone, Debug)]
pub struct BoardCall {
    pub call: CallId,
    pub caller: Option<Pii<String>>,
    pub called: String,
    pub t_in: WallTime,
    /// `flow`, `queue`, `ringing`, `dialing`, `talking` or `closing`.
    pub stage: &'static str,
    pub agent: Option<AgentNo>,
}

#[derive(Clone, Debug)]
pub struct BoardGroup {
    pub group: GroupId,
    pub name: String,
    pub waiting: usize,
    pub longest_wait_ms: u64,
    pub agents_ready: usize,
    pub signed_in: usize,
}

#[derive(Clone, Debug)]
pub struct BoardTrunk {
    pub trunk: TrunkId,
    pub in_use: usize,
    /// Of `in_use`, those of calls that went out.
    pub out_in_use: usize,
    pub channels_max: usize,
    /// As written in the configuration.
    pub gateways: Vec<BoardGateway>,
    /// Its accounts at the carrier's registrar.
    pub accounts: Vec<AccountState>,
}

#[derive(Clone, Copy, Debug)]
pub struct BoardGateway {
    pub address: SocketAddr,
    pub transport: GatewayTransport,
    /// It answers probes.
    pub lives: bool,
    /// Since when it does, or does not, and what the probes came to; `None`: it is not probed.
    pub probed: Option<(WallTime, Probes)>,
}
