//! `hotline serve`: holds the listening sockets, starts the two roles, restarts the one that dies.
//!
//! Packets that arrive while control is away wait in the kernel's buffers of these sockets.

mod backoff;
mod role;
mod sockets;

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{Instant, sleep_until},
};

pub use self::role::{Role, RoleCommand};
use self::{
    role::{Happened, Slot},
    sockets::Bound,
};
use crate::{
    config::Listen,
    error::Error,
    handover::{self, Channel, Handover},
};

/// Exit status of a role that must not be tried again (`EX_CONFIG` of `sysexits.h`).
pub const CANNOT_START: u8 = 78;

/// How long a role may take to end in order after the calls are over.
const STOP_MAX: Duration = Duration::from_secs(5);

/// What the supervisor needs; nothing of the call's world.
#[derive(Clone, Debug)]
pub struct Setup {
    pub listen: Listen,
    /// Exists already; `engine.json` is written here.
    pub data_dir: PathBuf,
    pub control: RoleCommand,
    pub media: RoleCommand,
    /// How long running calls may go on after SIGTERM.
    pub grace: Duration,
    /// Called once, when both roles do their work, with the addresses as they were bound.
    pub announce: fn(&Listen),
}

/// Runs until SIGTERM or SIGINT, then ends the roles in order. A second signal ends them at once.
///
/// Call it on the main thread: the children ask to die with the thread that made them.
///
/// # Errors
/// When an address is taken, or a role says that it cannot start.
pub fn supervise(setup: Setup) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("the runtime does not start"))?;
    runtime.block_on(async {
        let mut it = Supervisor::new(setup)?;
        let outcome = it.run().await;
        it.bound.forget();
        outcome
    })
}

struct Supervisor {
    bound: Bound,
    grace: Duration,
    announce: Option<fn(&Listen)>,
    control: Slot,
    media: Slot,
    /// Media's notes of its legs; it is never read here.
    memory: OwnedFd,
    events: mpsc::Receiver<Happened>,
    /// When stopping: by then everything is killed.
    stop_by: Option<Instant>,
    term: Signal,
    int: Signal,
}

impl Supervisor {
    fn new(setup: Setup) -> Result<Self, Error> {
        let bound = Bound::bind(&setup.listen, setup.data_dir)?;
        let (tell, events) = mpsc::channel(64);
        let handler = |kind| signal(kind).map_err(Error::io("signals cannot be received"));
        Ok(Self {
            bound,
            grace: setup.grace,
            announce: Some(setup.announce),
            control: Slot::new(Role::Control, setup.control, tell.clone()),
            media: Slot::new(Role::Media, setup.media, tell),
            memory: handover::memory().map_err(Error::io("no memory for media"))?,
            events,
            stop_by: None,
            term: handler(SignalKind::terminate())?,
            int: handler(SignalKind::interrupt())?,
        })
    }

    async fn run(&mut self) -> Result<(), Error> {
        // Media first: it is the quicker one, and control asks for it.
        self.start(Role::Media).await?;
        self.start(Role::Control).await?;
        loop {
            let wake = self.wake_at();
            tokio::select! {
                _ = self.term.recv() => self.stop().await,
                _ = self.int.recv() => self.stop().await,
                Some(it) = self.events.recv() => {
                    if self.handle(it).await? {
                        return Ok(());
                    }
                }
                () = until(wake) => self.handle_timeout().await,
            }
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        let times = [self.control.restart_at, self.media.restart_at, self.stop_by];
        times.into_iter().flatten().min()
    }

    async fn handle_timeout(&mut self) {
        let now = Instant::now();
        if self.stop_by.is_some_and(|it| it <= now) {
            tracing::warn!("A role does not end in time and is killed.");
            self.stop_by = None;
            self.control.kill();
            self.media.kill();
            return;
        }
        for role in [Role::Media, Role::Control] {
            if self.slot(role).restart_at.is_some_and(|it| it <= now)
                && let Err(error) = self.start(role).await
            {
                // The other role has calls; a machine without memory may have some soon.
                tracing::error!(%error, role = role.name(), "A role cannot be started.");
                self.slot(role).forget_life();
                self.slot(role).plan_restart();
            }
        }
    }

    fn slot(&mut self, role: Role) -> &mut Slot {
        match role {
            Role::Control => &mut self.control,
            Role::Media => &mut self.media,
        }
    }

    async fn start(&mut self, role: Role) -> Result<(), Error> {
        self.slot(role).start().map_err(Error::io("a role cannot be started"))?;
        if let Some(channel) = self.slot(role).channel.clone() {
            match role {
                Role::Control => self.bound.send(&channel).await,
                Role::Media => {
                    if channel.send(&Handover::Memory, &[self.memory.as_fd()]).await.is_err() {
                        tracing::debug!("Media is gone before it got its memory.");
                    }
                }
            }
        }
        self.join().await?;
        self.bound.note(self.control.pid, self.media.pid);
        Ok(())
    }

    /// Gives both roles an end of a fresh link, if both are there.
    async fn join(&self) -> Result<(), Error> {
        if let (Some(control), Some(media)) = (&self.control.channel, &self.media.channel) {
            join(control, media).await.map_err(Error::io("no socket for the roles"))?;
        }
        Ok(())
    }

    /// `true` when everything has ended.
    async fn handle(&mut self, it: Happened) -> Result<bool, Error> {
        match it {
            Happened::Ready { role, life } => {
                let slot = self.slot(role);
                if slot.is_life(life) {
                    slot.ready_once = true;
                    tracing::info!(role = role.name(), "A role is ready.");
                    if self.control.ready_once
                        && self.media.ready_once
                        && let Some(announce) = self.announce.take()
                    {
                        announce(&self.bound.addresses());
                    }
                }
            }
            // Who has no link because the other one died has the next one with its next life.
            Happened::Unlinked { role, life } => {
                let both = self.control.pid.is_some() && self.media.pid.is_some();
                if self.slot(role).is_life(life) && both && !self.is_stopping() {
                    tracing::error!("The link between control and media is over; another is made.");
                    if let Err(error) = self.join().await {
                        tracing::error!(%error, "They get none; it is asked for again.");
                    }
                }
            }
            Happened::Ended { role, life, code } => {
                if self.slot(role).is_life(life) {
                    return self.handle_ended(role, code).await;
                }
            }
        }
        Ok(false)
    }

    async fn handle_ended(&mut self, role: Role, code: Option<i32>) -> Result<bool, Error> {
        let stopping = self.is_stopping();
        let slot = self.slot(role);
        slot.forget_life();
        if !stopping {
            if code == Some(i32::from(CANNOT_START)) && !slot.ready_once {
                return Err(Error::RoleCannotStart(role));
            }
            slot.plan_restart();
            tracing::error!(role = role.name(), ?code, "A role ended and is started again.");
            return Ok(false);
        }
        if role == Role::Control {
            tell(self.media.channel.as_ref(), Handover::Stop).await;
            self.stop_by = Some(Instant::now() + STOP_MAX);
        }
        Ok(self.control.pid.is_none() && self.media.pid.is_none())
    }

    const fn is_stopping(&self) -> bool {
        self.control.stopping
    }

    async fn stop(&mut self) {
        let again = self.is_stopping();
        for slot in [&mut self.control, &mut self.media] {
            slot.stopping = true;
            slot.restart_at = None;
        }
        if again || self.control.pid.is_none() {
            tracing::info!("Stopping at once.");
            tell(self.control.channel.as_ref(), Handover::Stop).await;
            tell(self.media.channel.as_ref(), Handover::Stop).await;
            self.stop_by = Some(Instant::now() + STOP_MAX);
        } else {
            tracing::info!("Stopping when the running calls are over.");
            tell(self.control.channel.as_ref(), Handover::Drain).await;
            self.stop_by = Some(Instant::now() + self.grace + STOP_MAX);
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Gives both roles an end of a fresh link. A role that has died says so itself.
async fn join(control: &Arc<Channel>, media: &Arc<Channel>) -> io::Result<()> {
    let (a, b) = handover::link()?;
    for (channel, end) in [(control, a), (media, b)] {
        if channel.send(&Handover::Link, &[end.as_fd()]).await.is_err() {
            tracing::debug!("A role is gone before it got its link.");
        }
    }
    Ok(())
}

async fn tell(channel: Option<&Arc<Channel>>, what: Handover) {
    if let Some(channel) = channel
        && channel.send(&what, &[]).await.is_err()
    {
        tracing::debug!("A role is gone before it could be told.");
    }
}
