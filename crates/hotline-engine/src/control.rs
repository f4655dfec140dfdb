//! The control role: one thread decides, the edge around it talks to the world.

mod alarms;
mod archive;
mod decide;
mod desk;
mod edge;
mod hands;
mod inbox;
mod ladders;
mod lists;
mod orders;
mod outward;
mod prompts;
mod spool;
mod traffic;
mod views;
mod waits;

use std::{
    io,
    net::{TcpListener, UdpSocket},
    os::fd::OwnedFd,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use hotline_net::{Counters, Gate, Sockets};
use hotline_push::Target;
use hotline_store::{Journal, JournalConfig, Opened};
use hotline_web::{Feeds, Metrics, Role, Token};
use tokio::runtime::{Builder, Handle, Runtime};

use self::{decide::Deciding, desk::Wellness, edge::Edge, views::Views};
use crate::{
    Clock, Config, Error, child,
    clock::first_id,
    handover::{Channel, Handover, SocketKind},
    meters::Meters,
    priority,
    supervisor::RoleCommand,
    telemetry,
};

/// Everything the control role is told.
#[derive(Clone, Debug)]
pub struct Control {
    pub config: Config,
    pub switchboard: hotline_switchboard::Config,
    /// Where media writes recordings; the web serves them from there.
    pub recording_dirs: Vec<PathBuf>,
    /// Where media looks first for a prompt.
    pub prompt_dir: PathBuf,
    /// What makes a prompt of a sound.
    pub converter: RoleCommand,
    pub tokens: Vec<Token>,
    /// Whether `/metrics` is open to everybody.
    pub open_metrics: bool,
    pub receivers: Vec<Receiver>,
    /// How long stored ladders are kept.
    pub ladders_for: Duration,
}

/// A webhook and what it is told.
#[derive(Clone, Debug)]
pub struct Receiver {
    pub target: Target,
    pub records: bool,
    pub agent_states: bool,
    /// Beginning, seal and failure of recordings.
    pub recordings: bool,
}

/// The secret of the first token that may do everything, for programs on this machine.
pub fn system_token(tokens: &[Token]) -> Option<&str> {
    tokens.iter().find(|it| it.role == Role::System).map(|it| it.secret.as_str())
}

/// What the control thread and the edge share. Cheap to clone.
#[derive(Clone, Debug)]
struct Shared {
    clock: Clock,
    meters: Meters,
    views: Views,
    wellness: Wellness,
    journal: Journal,
    feeds: Feeds,
    net: Arc<Counters>,
    gate: Arc<Gate>,
}

/// Runs the control role until the supervisor ends it. Standard input is the supervisor's socket.
///
/// # Errors
/// When the data directory cannot be used or a socket does not work.
pub fn control(setup: Control) -> Result<(), Error> {
    let _logging = telemetry::begin(&setup.config.telemetry, "control");
    let supervisor = child::begin().map_err(Error::io("the control role"))?;
    // Four, so that no packet is delayed by a long answer of the web, a slow database, records that
    // the journal keeps anyhow, or strangers who want to be let in by TLS. One thread each: another
    // one is woken to look for work at every turn, which costs more than it does.
    let (edge, outside) = (runtime("edge", || ())?, runtime("outside", || ())?);
    let records = runtime("records", priority::lower)?;
    let handshakes = runtime("handshakes", priority::lower)?;
    let around = Around {
        outside: outside.handle().clone(),
        records: records.handle().clone(),
        handshakes: handshakes.handle().clone(),
    };
    let outcome = edge.block_on(run(setup, supervisor, around));
    // A task that hangs must not keep the process.
    for it in [edge, outside, records, handshakes] {
        it.shutdown_timeout(Duration::from_secs(1));
    }
    outcome
}

/// Where tasks run that decide nothing.
#[derive(Clone, Debug)]
struct Around {
    /// The web.
    outside: Handle,
    /// Database, sidecars and pushes. Their threads wait for all others, and so do those that the
    /// database starts there.
    records: Handle,
    /// Whoever wants to speak TLS. Its thread waits for all others, too.
    handshakes: Handle,
}

fn runtime(name: &str, begin: impl Fn() + Send + Sync + 'static) -> Result<Runtime, Error> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .on_thread_start(begin)
        .enable_all()
        .build()
        .map_err(Error::io("the runtime does not start"))
}

async fn run(mut setup: Control, supervisor: OwnedFd, around: Around) -> Result<(), Error> {
    let clock = Clock::start();
    let supervisor = Channel::new(supervisor).map_err(Error::io("the supervisor's socket"))?;
    let Some(handed) = handed(&supervisor).await.map_err(Error::io("the supervisor's socket"))?
    else {
        return Ok(());
    };
    setup.switchboard.local = handed.sip.udp.iter().filter_map(|it| it.local_addr().ok()).collect();
    setup.switchboard.local_streams = handed
        .sip
        .streams
        .iter()
        .filter_map(|(transport, it)| Some((*transport, it.local_addr().ok()?)))
        .collect();
    let dir = setup.config.data_dir.join("spool");
    let opened = Journal::open(JournalConfig::new(dir.clone()))
        .map_err(|error| Error::DataDir { path: dir, source: io::Error::other(error) })?;
    let Opened { journal, running, keepsakes, torn_bytes } = opened;
    if torn_bytes > 0 {
        tracing::warn!(torn_bytes, "The last write before the end was torn and is cut off.");
    }
    let now = clock.now();
    let meters = Meters::new(Metrics::default());
    meters.started(now);
    let counters = Arc::<Counters>::default();
    let shared = Shared {
        clock,
        meters,
        views: Views::default(),
        wellness: Wellness::default(),
        journal,
        feeds: Feeds::new(first_id(now.wall)),
        gate: Arc::new(Gate::new(setup.config.net.flood.clone(), Arc::clone(&counters))),
        net: counters,
    };
    let late = setup.switchboard.overload.late();
    let (inbox, roads, addresses) = inbox::roads(&handed.sip, &shared.net, clock, late)
        .map_err(Error::io("the signalling sockets do not work"))?;
    let thread = Deciding::start(&shared, setup.switchboard.clone(), inbox, &addresses, keepsakes)?;
    let mut edge = Edge::new(setup, shared, addresses, supervisor, around)?;
    edge.open(handed, roads, thread.runtime().clone())?;
    let outcome = edge.serve(thread).await;
    edge.close(running).await;
    outcome
}

/// The listening sockets.
#[derive(Debug, Default)]
struct Handed {
    sip: Sockets,
    http: Option<TcpListener>,
}

/// The supervisor's first message. `None`: it has gone or changed its mind.
async fn handed(supervisor: &Channel) -> io::Result<Option<Handed>> {
    let Some((Handover::Sockets { kinds }, handles)) = supervisor.receive().await? else {
        return Ok(None);
    };
    let mut handed = Handed::default();
    for (kind, handle) in kinds.into_iter().zip(handles) {
        match kind {
            SocketKind::SipUdp => handed.sip.udp.push(UdpSocket::from(handle)),
            SocketKind::SipStream(it) => {
                handed.sip.streams.push((it, TcpListener::from(handle)));
            }
            SocketKind::Http => handed.http = Some(TcpListener::from(handle)),
        }
    }
    Ok(Some(handed))
}
