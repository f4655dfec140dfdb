//! One child process and what is known about it.

use std::{env, ffi::OsString, fmt, io, path::PathBuf, process::Stdio, sync::Arc};

use tokio::{
    process::{Child, Command},
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::backoff::Backoff;
use crate::handover::{self, Channel, Report};

/// Where glibc reads how its allocator behaves (its manual, "Memory Allocation Tunables"); another
/// libc does not look. What somebody has set already stays.
const MALLOC: &str = "GLIBC_TUNABLES";

/// A call of two legs makes hundreds of allocations, and those of a turn are freed together: by
/// default a thread keeps seven of a size at hand and none above 1 kB, which is a message, and the
/// others are merged and cut anew. At most 33 MB a thread would lie idle, were every size used.
///
/// A thread's heap is 64 MB of addresses, made usable page by page as it grows: more than three
/// system calls and as many page faults for a call of two legs, of which something stays for half
/// a minute.
/// With padding it is usable from the start, and what it has grown to it keeps. Who sets a padding
/// also fixes from which size on a block is mapped by itself, at 128 kB if he does not say: views
/// of thousands of calls are larger.
///
/// Huge pages (`hugetlb`) would save a busy control a tenth of its time, for a memory that goes on
/// growing where it would have come to rest (`benches/README.md`).
const MALLOC_OF_CONTROL: &str = "glibc.malloc.tcache_count=64:glibc.malloc.tcache_max=4096:\
                                 glibc.malloc.top_pad=67108864:glibc.malloc.mmap_threshold=4194304";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    Control,
    Media,
}

impl Role {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Media => "media",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The program of a role and its arguments.
#[derive(Clone, Debug)]
pub struct RoleCommand {
    pub program: PathBuf,
    pub args: Vec<OsString>,
}

/// What a watcher tells the supervisor.
#[derive(Debug)]
pub(super) enum Happened {
    Ready { role: Role, life: u64 },
    Ended { role: Role, life: u64, code: Option<i32> },
}

/// A role's place; processes come and go in it.
#[derive(Debug)]
pub(super) struct Slot {
    role: Role,
    command: RoleCommand,
    tell: mpsc::Sender<Happened>,
    life: u64,
    started: Instant,
    backoff: Backoff,
    kill: Option<oneshot::Sender<()>>,
    pub(super) channel: Option<Arc<Channel>>,
    pub(super) pid: Option<u32>,
    pub(super) ready_once: bool,
    pub(super) restart_at: Option<Instant>,
    pub(super) stopping: bool,
}

impl Slot {
    pub(super) fn new(role: Role, command: RoleCommand, tell: mpsc::Sender<Happened>) -> Self {
        Self {
            role,
            command,
            tell,
            life: 0,
            started: Instant::now(),
            backoff: Backoff::default(),
            kill: None,
            channel: None,
            pid: None,
            ready_once: false,
            restart_at: None,
            stopping: false,
        }
    }

    pub(super) fn start(&mut self) -> io::Result<()> {
        let (ours, theirs) = handover::pair()?;
        let mut command = Command::new(&self.command.program);
        if self.role == Role::Control && env::var_os(MALLOC).is_none() {
            command.env(MALLOC, MALLOC_OF_CONTROL);
        }
        let child = command
            .args(&self.command.args)
            .stdin(Stdio::from(theirs))
            // The terminal's Ctrl-C is for the supervisor alone.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let channel = Arc::new(Channel::new(ours)?);
        let (kill, killed) = oneshot::channel();
        self.life += 1;
        self.started = Instant::now();
        self.restart_at = None;
        self.kill = Some(kill);
        self.pid = child.id();
        self.channel = Some(Arc::clone(&channel));
        let watch = Watch { role: self.role, life: self.life, tell: self.tell.clone() };
        tokio::spawn(watch.run(child, channel, killed));
        Ok(())
    }

    pub(super) const fn is_life(&self, life: u64) -> bool {
        self.life == life
    }

    pub(super) fn forget_life(&mut self) {
        self.channel = None;
        self.pid = None;
        self.kill = None;
    }

    pub(super) fn plan_restart(&mut self) {
        let delay = self.backoff.next(self.started.elapsed());
        self.restart_at = Some(Instant::now() + delay);
    }

    pub(super) fn kill(&mut self) {
        self.kill = None;
    }
}

struct Watch {
    role: Role,
    life: u64,
    tell: mpsc::Sender<Happened>,
}

impl Watch {
    async fn run(self, mut child: Child, channel: Arc<Channel>, killed: oneshot::Receiver<()>) {
        let Self { role, life, tell } = self;
        let listen = async {
            while let Ok(Some((Report::Ready, _))) = channel.receive().await {
                if tell.send(Happened::Ready { role, life }).await.is_err() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = child.wait() => (),
            () = listen => (),
            _ = killed => {
                if child.start_kill().is_err() {
                    tracing::debug!("A role ended before it was killed.");
                }
            }
        }
        let code = child.wait().await.ok().and_then(|it| it.code());
        if tell.send(Happened::Ended { role, life, code }).await.is_err() {
            tracing::debug!("The supervisor is gone.");
        }
    }
}
