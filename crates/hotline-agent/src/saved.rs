//! An agent as bytes, so that presence survives a restart of control.

use std::time::Duration;

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::{Extension, MonoTime, Now, Pii, WallTime};

use crate::{Agent, AgentConfig, BusyReason, Line, Pending, Presence, agent::Until};

/// The form of the bytes; other forms are not read.
const FORM: u8 = 2;

/// As large as most are: they are written at each change and wait together for the disk.
const SIZE: usize = 96;

#[derive(BorshDeserialize, BorshSerialize)]
struct Saved {
    form: u8,
    presence: Presence,
    reason: Option<BusyReason>,
    pending: Option<Pending>,
    extension: Option<Extension>,
    outside: Option<Pii<String>>,
    device: bool,
    /// Wall time, because monotonic time ends with the process.
    idle_since: WallTime,
    since: WallTime,
    until: Option<WallTime>,
}

impl Agent {
    /// Presence, wish and extension. The line is not saved: what it was doing is the call's to
    /// know.
    pub fn save(&self) -> Vec<u8> {
        let saved = Saved {
            form: FORM,
            presence: self.presence,
            reason: self.reason,
            pending: self.pending,
            extension: self.extension.clone(),
            outside: self.outside.clone(),
            device: self.device,
            idle_since: self.idle_since.wall,
            since: self.since,
            until: self.until.map(|it| it.wall),
        };
        let mut out = Vec::with_capacity(SIZE);
        if saved.serialize(&mut out).is_err() {
            out.clear();
        }
        out
    }

    /// The agent from [`save`](Self::save), with a free line; `None` for bytes of another form.
    /// A wish that was waiting still waits: it takes effect when the line that the owner sets up
    /// again is released, or at the first timeout if none is set up.
    pub fn restore(config: AgentConfig, saved: &[u8], now: Now) -> Option<Self> {
        let saved = Saved::try_from_slice(saved).ok().filter(|it| it.form == FORM)?;
        let idle = now.wall.millis_since(saved.idle_since).saturating_mul(1_000_000);
        let mut agent = Self::new(config);
        agent.presence = saved.presence;
        agent.line = Line::Free;
        agent.reason = saved.reason;
        agent.pending = saved.pending;
        agent.extension = saved.extension;
        agent.outside = saved.outside;
        agent.device = saved.device;
        agent.idle_since =
            Now { mono: MonoTime(now.mono.0.saturating_sub(idle)), wall: saved.idle_since };
        agent.since = saved.since;
        agent.until = saved.until.map(|wall| Until {
            mono: now.mono + Duration::from_millis(wall.millis_since(now.wall)),
            wall,
        });
        agent.restored_at = now.mono;
        agent.check().ok()?;
        Some(agent)
    }
}
