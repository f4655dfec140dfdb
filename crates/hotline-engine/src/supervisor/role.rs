//! One child process and what is known about it.

use std::{ffi::OsString, fmt, io, path::PathBuf, process::Stdio, sync::Arc};

use tokio::{
    process::{Child, Command},
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::backoff::Backoff;
use crate::handover::{self, Channel, Report};

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
    Unlinked { role: Role, life: u64 },
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
        let child = Command::new(&self.command.program)
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
            while let Ok(Some((report, _))) = channel.receive().await {
                let happened = match report {
                    Report::Ready => Happened::Ready { role, life },
                    Report::Unlinked => Happened::Unlinked { role, life },
                };
                if tell.send(happened).await.is_err() {
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
