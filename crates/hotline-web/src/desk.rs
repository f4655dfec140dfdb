//! What this crate asks of the rest of the house. The engine implements these traits.

use std::{
    fmt,
    future::Future,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    pin::Pin,
    time::Duration,
};

use hotline_agent::{AgentView, Command, Refused, Target};
use hotline_base::{AgentNo, CallId, GroupId, Pii, RecordingId, TrunkId, WallTime};

/// An answer that comes later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The control thread, as far as people may ask it something.
pub trait Desk: Send + Sync + 'static {
    /// Answered exactly once: with the agent's new state, or with why not.
    fn command(
        &self,
        agent: AgentNo,
        command: Command,
    ) -> Answer<'_, Result<AgentView, CommandError>>;

    /// `None`: no such agent.
    fn view(&self, agent: &AgentNo) -> Option<AgentView>;

    /// All agents, by number.
    fn agents(&self) -> Vec<AgentView>;

    /// All skill groups, by name.
    fn groups(&self) -> Vec<GroupView>;

    /// All trunks, by name.
    fn trunks(&self) -> Vec<TrunkView>;

    /// 一键转接: whom this agent may give callers to, in the order of the configuration.
    fn directory(&self, agent: &AgentNo, now: WallTime) -> Vec<DirectoryView>;
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CommandError {
    #[error("{0}")]
    Refused(Refused),
    /// Too many commands wait (256, `docs/CHANNELS.md`).
    #[error("too many commands are waiting")]
    Busy,
    /// No control thread answers: it starts or stops.
    #[error("the engine is starting or stopping")]
    Away,
}

/// 技能组: a skill group as a screen needs it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupView {
    pub id: GroupId,
    /// 中文名.
    pub name: String,
    pub n_waiting: usize,
    /// Since when the caller who waits longest waits.
    pub oldest_since: Option<WallTime>,
    pub n_signed_in: usize,
    pub n_ready: usize,
}

/// An entry of the directory for one-button transfers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DirectoryView {
    pub id: String,
    pub name: String,
    pub category: String,
    /// An agent, a group or a number.
    pub to: Target,
    /// GB/T 2260.
    pub cities: Vec<String>,
    /// As configured.
    pub hours: Vec<String>,
    /// Somebody is there now.
    pub open: bool,
}

/// 中继: a carrier's trunk as a screen needs it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrunkView {
    pub id: TrunkId,
    /// Calls that came in and that went out.
    pub n_in: usize,
    pub n_out: usize,
    pub channels_max: usize,
    /// Where calls go out.
    pub gateways: Vec<GatewayView>,
    /// As whom it registers there.
    pub accounts: Vec<AccountView>,
}

/// A carrier's gateway.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GatewayView {
    pub address: SocketAddr,
    /// `udp`, `tcp` or `tls`.
    pub transport: &'static str,
    /// It answers probes.
    pub lives: bool,
    /// `None`: it is not probed.
    pub probed: Option<ProbesView>,
}

/// What the probes (OPTIONS) of a gateway came to since the start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProbesView {
    /// Since when it answers, or does not.
    pub since: WallTime,
    pub n_good: u64,
    pub n_failed: u64,
    /// From the question to the answer of the last good one.
    pub round_trip: Option<Duration>,
}

/// A trunk's account at its carrier.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccountView {
    pub user: String,
    /// The gateway it is registered at.
    pub registered: Option<SocketAddr>,
    /// The last answer; 0: none yet.
    pub status: u16,
}

/// Whose eyes see an answer of the archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Sight {
    /// A system: everything.
    All,
    /// An agent: numbers of calls this agent had, others masked.
    Agent(AgentNo),
    /// Somebody without callers: every number masked.
    Masked,
}

/// Which calls. What is `None` does not restrict.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CallFilter {
    /// `t_in` at or after.
    pub from: Option<WallTime>,
    /// `t_in` before.
    pub to: Option<WallTime>,
    /// A caller's number, normalised; with a `*` at its end, the beginning of one.
    pub caller_no: Option<Pii<String>>,
    pub called_no: Option<String>,
    pub agent: Option<AgentNo>,
    pub group: Option<GroupId>,
    pub outcome: Option<String>,
    pub recording: Option<RecordingId>,
    /// At most so many, 1 to 500.
    pub n_max: usize,
    /// [`CallPage::next`] of the page before.
    pub after: Option<String>,
}

/// Newest first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CallPage {
    /// Each one JSON object.
    pub items: Vec<String>,
    /// Present when more follow.
    pub next: Option<String>,
}

/// A sealed recording and who may hear it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecordingFile {
    /// Where the file lies, absolute.
    pub path: PathBuf,
    /// SHA-256 in hexadecimal; empty while unknown.
    pub sha256: String,
    /// The agents who had the call.
    pub agents: Vec<AgentNo>,
}

/// Records of finished calls.
pub trait Archive: Send + Sync + 'static {
    fn calls(&self, filter: CallFilter, sight: Sight)
    -> Answer<'_, Result<CallPage, ArchiveError>>;

    /// One call with its segments and facts, a JSON object.
    fn call(&self, call: CallId, sight: Sight) -> Answer<'_, Result<Option<String>, ArchiveError>>;

    fn recording(
        &self,
        recording: RecordingId,
    ) -> Answer<'_, Result<Option<RecordingFile>, ArchiveError>>;

    /// Pushes given up, newest first; the bodies are not among what is shown.
    fn dead_letters(
        &self,
        n_max: usize,
        after: Option<String>,
    ) -> Answer<'_, Result<CallPage, ArchiveError>>;

    /// Puts a dead letter at the end of its queue again. `false`: there is none with this name.
    fn resend(&self, id: String) -> Answer<'_, Result<bool, ArchiveError>>;
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ArchiveError {
    #[error("the database cannot be reached")]
    Away,
    #[error("the cursor is not one of ours")]
    BadCursor,
    #[error("the search took too long and was stopped")]
    TooLong,
}

/// One part of the engine and whether it is well.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Part {
    pub name: &'static str,
    pub is_well: bool,
    /// What is wrong and what to do, in a sentence; empty when well.
    pub advice: String,
}

/// Asked by `/healthz`. All parts well is 200, else 503.
pub trait Health: Send + Sync + 'static {
    fn parts(&self) -> Vec<Part>;
}

/// An address whose messages are dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BanView {
    pub address: IpAddr,
    pub left: Duration,
    pub n_dropped: u64,
}

/// Addresses that flooded the signalling sockets.
pub trait Bans: Send + Sync + 'static {
    fn bans(&self) -> Vec<BanView>;

    /// Hears an address again. `false`: it was not banned.
    fn lift(&self, address: IpAddr) -> bool;
}

impl fmt::Debug for dyn Bans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bans")
    }
}

impl fmt::Debug for dyn Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk")
    }
}

impl fmt::Debug for dyn Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Archive")
    }
}

impl fmt::Debug for dyn Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Health")
    }
}
