//! A robot: one telephone with its own address.

mod actor;
#[cfg(test)]
mod tests;

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hotline_base::{Key, LegId, Random};
use hotline_sdp::Codecs;
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    task::AbortHandle,
    time::timeout,
};

use crate::{Call, Late, Speech, audio::Audio, wire::Wire};

/// A telephone. It registers, calls and is called; it falls silent when it is dropped, without a
/// word to anybody, like a telephone that loses power.
#[derive(Debug)]
pub struct Robot {
    local: SocketAddr,
    commands: mpsc::Sender<Command>,
    incoming: Mutex<mpsc::Receiver<Call>>,
    task: AbortHandle,
}

/// A call to be made.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// User of the request URI.
    pub to: String,
    pub from_user: String,
    pub from_display: String,
    /// Further headers of the INVITE, such as P-Asserted-Identity.
    pub headers: Vec<(String, String)>,
    /// An offer of one's own, instead of the robot's.
    pub sdp: Option<String>,
    pub ring_limit: Option<Duration>,
    /// A telephone that knows no telephone-events: keys are sound.
    pub without_events: bool,
    /// What it says from the first packet on.
    pub speech: Speech,
}

/// The registrar refused, or did not answer (408).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the registrar refused with status {status}")]
pub struct Refused {
    pub status: u16,
}

/// What a handle asks of its robot.
#[derive(Debug)]
pub(crate) enum Command {
    Register {
        server: SocketAddr,
        user: String,
        password: String,
        expires: Duration,
        done: oneshot::Sender<Result<(), Refused>>,
    },
    Dial {
        server: SocketAddr,
        outgoing: Box<Outgoing>,
        audio: Arc<Audio>,
        call: oneshot::Sender<Call>,
    },
    Act(LegId, Action),
    Speak(Codecs),
}

#[derive(Debug)]
pub(crate) enum Action {
    Ring,
    /// With a description of what is heard meanwhile.
    RingWithSound,
    Answer,
    /// As a telephone that knows no telephone-events.
    AnswerWithoutEvents,
    Refuse(u16),
    HangUp,
    Reoffer {
        hold: bool,
    },
    Key(Key),
    Refer {
        to: String,
        replaces: Option<LegId>,
    },
    /// How its peer knows the dialog, for Replaces.
    Name(oneshot::Sender<Option<String>>),
}

/// Commands and calls that wait; more would mean a robot that hangs.
const WAITING_MAX: usize = 64;

impl Robot {
    /// A telephone over UDP at a free port of `ip`.
    pub async fn bind(ip: IpAddr) -> io::Result<Self> {
        Ok(Self::start(Wire::bind(ip).await?))
    }

    /// A telephone over one TCP connection to `server`.
    pub async fn connect(ip: IpAddr, server: SocketAddr) -> io::Result<Self> {
        Ok(Self::start(Wire::connect(ip, server).await?))
    }

    fn start(wire: Wire) -> Self {
        let local = wire.local();
        let (commands, to_do) = mpsc::channel(WAITING_MAX);
        let (ringing, incoming) = mpsc::channel(WAITING_MAX);
        let actor = actor::Actor::new(wire, seed(), commands.downgrade(), ringing);
        let task = tokio::spawn(actor.run(to_do)).abort_handle();
        Self { local, commands, incoming: Mutex::new(incoming), task }
    }

    /// Where its signalling comes from.
    pub const fn address(&self) -> SocketAddr {
        self.local
    }

    /// Speaks these codecs in every call from now on; the two of G.711 until then.
    pub async fn speak_codecs(&self, codecs: Codecs) {
        self.commands.send(Command::Speak(codecs)).await.ok();
    }

    /// Registers for an hour, and again before it is over.
    pub async fn register(
        &self,
        server: SocketAddr,
        user: &str,
        password: &str,
    ) -> Result<(), Refused> {
        self.register_for(server, user, password, Duration::from_hours(1)).await
    }

    /// Registers for some time, and again before it is over; zero unregisters.
    pub async fn register_for(
        &self,
        server: SocketAddr,
        user: &str,
        password: &str,
        expires: Duration,
    ) -> Result<(), Refused> {
        let (done, result) = oneshot::channel();
        let (user, password) = (user.to_owned(), password.to_owned());
        let command = Command::Register { server, user, password, expires, done };
        self.commands.send(command).await.ok();
        result.await.unwrap_or(Err(Refused { status: 408 }))
    }

    /// Calls a number.
    pub async fn call(&self, server: SocketAddr, to: &str, from: &str) -> io::Result<Call> {
        let (to, from_user) = (to.to_owned(), from.to_owned());
        self.dial(server, Outgoing { to, from_user, ..Outgoing::default() }).await
    }

    /// Calls with everything that can be said in an INVITE.
    pub async fn dial(&self, server: SocketAddr, outgoing: Outgoing) -> io::Result<Call> {
        let audio = Arc::new(Audio::open(self.local.ip(), Random::new(seed())).await?);
        let (call, dialled) = oneshot::channel();
        let outgoing = Box::new(outgoing);
        self.commands.send(Command::Dial { server, outgoing, audio, call }).await.ok();
        dialled.await.map_err(|_| io::Error::other("the robot is gone"))
    }

    /// The next incoming call. It is ringing; answer or reject it.
    pub async fn incoming(&self, deadline: Duration) -> Result<Call, Late> {
        let next = async { self.incoming.lock().await.recv().await };
        timeout(deadline, next)
            .await
            .ok()
            .flatten()
            .ok_or_else(|| Late::new("an incoming call", "none"))
    }
}

impl Drop for Robot {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Telephones have different tags and branches, though the same program.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
