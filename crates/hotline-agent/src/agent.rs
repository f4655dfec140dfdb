//! One agent: presence and line together, the pending wish and the after-call timer.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use hotline_base::{AgentNo, CallId, Due, Extension, GroupId, MonoTime, Now, Pii, WallTime};

use crate::{
    Action, Actions, AgentFact, AgentView, BusyReason, Command, Display, Line, LineEvent, Pending,
    Presence, PresenceEvent, Refused,
};

/// What is written down about an agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AgentConfig {
    pub no: AgentNo,
    pub name: Pii<String>,
    /// The usual telephone; signing in may name another.
    pub extension: Extension,
    /// Skill groups and the level in each; 1 is best.
    pub groups: Vec<(GroupId, u8)>,
    /// After-call work after every call; zero is none.
    pub acw: Duration,
    /// After-call work lasts until the agent ends it; `acw` is then not looked at.
    pub acw_manual: bool,
    pub sign_in_state: SignInState,
    /// 班长: may take part in the calls of others.
    pub supervisor: bool,
}

/// What an agent is after signing in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignInState {
    Idle,
    Busy,
}

/// One agent. While the line is not free the presence is `Idle`.
#[derive(Clone, Debug)]
pub struct Agent {
    pub(crate) config: AgentConfig,
    /// Those of `config`, for views.
    groups: Arc<[GroupId]>,
    pub(crate) presence: Presence,
    pub(crate) line: Line,
    /// Only in `Busy`.
    pub(crate) reason: Option<BusyReason>,
    pub(crate) pending: Option<Pending>,
    /// Only when signed in.
    pub(crate) extension: Option<Extension>,
    /// 外线坐席: what is rung instead of the extension. Only when signed in.
    pub(crate) outside: Option<Pii<String>>,
    /// Whether the extension has a registered telephone. True when signing in succeeds.
    pub(crate) device: bool,
    /// When the agent last became idle after work or absence. An offer that came to nothing does
    /// not change it: whose caller gave up keeps the turn.
    pub(crate) idle_since: Now,
    pub(crate) since: WallTime,
    pub(crate) until: Option<Until>,
    pub(crate) call: Option<CallId>,
    /// In this call nobody hears the agent.
    pub(crate) muted: bool,
    /// After-call work was left for a call of one's own and goes on after it.
    pub(crate) owes_acw: bool,
    pub(crate) restored_at: MonoTime,
    facts: VecDeque<AgentFact>,
}

/// An end that is shown, and that ends after-call work; the end of a rest is only shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Until {
    pub(crate) mono: MonoTime,
    pub(crate) wall: WallTime,
}

fn groups_of(config: &AgentConfig) -> Arc<[GroupId]> {
    config.groups.iter().map(|(group, _)| group.clone()).collect()
}

impl Agent {
    /// An agent who is signed out.
    pub fn new(config: AgentConfig) -> Self {
        Self {
            groups: groups_of(&config),
            config,
            presence: Presence::SignedOut,
            line: Line::Free,
            reason: None,
            pending: None,
            extension: None,
            outside: None,
            device: false,
            idle_since: Now::default(),
            since: WallTime(0),
            until: None,
            call: None,
            muted: false,
            owes_acw: false,
            restored_at: MonoTime(0),
            facts: VecDeque::new(),
        }
    }

    /// Takes a changed configuration; a state that is running goes on as it began.
    pub fn configure(&mut self, config: AgentConfig) {
        self.groups = groups_of(&config);
        self.config = config;
    }

    pub const fn config(&self) -> &AgentConfig {
        &self.config
    }

    pub const fn no(&self) -> &AgentNo {
        &self.config.no
    }

    pub const fn presence(&self) -> Presence {
        self.presence
    }

    pub const fn line(&self) -> Line {
        self.line
    }

    pub const fn display(&self) -> Display {
        Display::of(self.presence, self.line)
    }

    /// The telephone in use; `None` when signed out.
    pub const fn extension(&self) -> Option<&Extension> {
        self.extension.as_ref()
    }

    /// 外线坐席: the number outside that is rung instead of a registered telephone.
    pub const fn outside(&self) -> Option<&Pii<String>> {
        self.outside.as_ref()
    }

    pub const fn call(&self) -> Option<CallId> {
        self.call
    }

    /// Names the call that is on the line, for the facts that follow.
    pub const fn set_call(&mut self, call: Option<CallId>) {
        self.call = call;
        self.muted = false;
    }

    /// 静音: whether anybody hears the agent in the call on the line, for his buttons.
    pub const fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Whether a caller may be offered: idle, line free, telephone registered, no wish waiting.
    pub const fn is_ready(&self) -> bool {
        matches!(self.presence, Presence::Idle)
            && matches!(self.line, Line::Free)
            && self.pending.is_none()
            && self.device
    }

    /// Since when the agent waits for a caller, when ready. An offer that came to nothing does not
    /// start it anew.
    pub fn ready_since(&self) -> Option<MonoTime> {
        self.is_ready().then_some(self.idle_since.mono)
    }

    pub fn view(&self) -> AgentView {
        AgentView {
            no: self.config.no.clone(),
            extension: self.extension.clone(),
            display: self.display(),
            presence: self.presence,
            line: self.line,
            reason: self.reason,
            pending: self.pending,
            since_wall: self.since,
            until_wall: self.until.map(|it| it.wall),
            actions: Actions::of(|it| self.allows(it)),
            groups: Arc::clone(&self.groups),
            outside: self.outside.clone(),
        }
    }

    /// Carries out a presence command. What goes to the call is refused. While the line is in use,
    /// busy, rest, sign-out and after-call work become pending and `SetReady` takes the pending
    /// wish back.
    pub fn command(&mut self, command: &Command, now: Now) -> Result<(), Refused> {
        let before = self.shown();
        let result = self.carry_out(command, now);
        self.tell(before, now);
        result
    }

    /// The line moved. `Release` after the answer leads to the pending wish, else to after-call
    /// work, else to idle; before the answer only the pending wish is applied. `Dial` may begin in
    /// busy and in after-call work, too, and its end leads back there.
    pub fn line_event(&mut self, event: LineEvent, now: Now) -> Result<(), Refused> {
        let refused = Refused::WrongLine { display: self.display(), event };
        let may_begin = match event {
            LineEvent::Reserve => self.presence == Presence::Idle,
            LineEvent::Dial => self.allows(Action::Dial),
            LineEvent::Ring
            | LineEvent::Answer
            | LineEvent::Bridge
            | LineEvent::Hold
            | LineEvent::Retrieve
            | LineEvent::Release
            | LineEvent::Consult
            | LineEvent::Confer
            | LineEvent::Suspend => true,
        };
        if !may_begin {
            return Err(refused);
        }
        let next = self.line.apply(event).map_err(|_| refused)?;
        let before = self.shown();
        if event == LineEvent::Dial {
            self.step_out();
        }
        let served = self.has_answered();
        self.line = next;
        if event == LineEvent::Release {
            self.on_released(served, now);
        }
        self.tell(before, now);
        Ok(())
    }

    /// Takes an agent out of the turn. A ringing or connecting line becomes free; a conversation
    /// goes on and the reason waits for its end. Only [`BusyReason::Forced`] and
    /// [`BusyReason::DeviceUnavailable`] end a rest. A sign-out or rest that was waiting goes
    /// first.
    pub fn set_aside(&mut self, reason: BusyReason, now: Now) {
        let before = self.shown();
        match self.line {
            Line::Talking
            | Line::Held
            | Line::Dialing
            | Line::Consulting
            | Line::Conferring
            | Line::Suspended => self.want_aside(reason),
            Line::Free => self.force_busy(reason),
            Line::Reserved | Line::Ringing | Line::Connecting => {
                self.line = Line::Free;
                self.want_aside(reason);
                self.apply_pending(now);
            }
        }
        self.tell(before, now);
    }

    /// The telephone's registration is gone. An idle agent becomes busy; a conversation goes on.
    /// A number outside has none.
    pub fn device_lost(&mut self, now: Now) {
        if self.outside.is_some() {
            return;
        }
        let before = self.shown();
        self.device = false;
        if self.presence == Presence::Idle {
            match self.line {
                Line::Free => self.force_busy(BusyReason::DeviceUnavailable),
                Line::Reserved
                | Line::Ringing
                | Line::Connecting
                | Line::Talking
                | Line::Held
                | Line::Dialing
                | Line::Consulting
                | Line::Conferring
                | Line::Suspended => self.want_aside(BusyReason::DeviceUnavailable),
            }
        }
        self.tell(before, now);
    }

    /// The telephone is registered again. It makes nobody ready, but during a conversation it
    /// takes back what [`device_lost`](Self::device_lost) had put in waiting.
    pub fn device_back(&mut self, now: Now) {
        let before = self.shown();
        self.device = self.presence != Presence::SignedOut;
        if self.line != Line::Free
            && self.pending == Some(Pending::Busy(BusyReason::DeviceUnavailable))
        {
            self.pending = None;
        }
        self.tell(before, now);
    }

    pub fn handle_timeout(&mut self, now: Now) {
        let before = self.shown();
        if self.poll_timeout().is_some_and(|(at, _)| at <= now.mono) {
            if self.presence == Presence::Acw {
                self.finish_acw(now);
            } else {
                self.apply_pending(now);
            }
        }
        self.tell(before, now);
    }

    pub fn poll_timeout(&self) -> Option<Due> {
        if self.line != Line::Free {
            return None;
        }
        if self.pending.is_some() {
            return Some((self.restored_at, "wish from before the restart"));
        }
        match self.presence {
            Presence::Acw => self.until.map(|it| (it.mono, "after-call work")),
            Presence::SignedOut | Presence::Idle | Presence::Busy | Presence::Rest => None,
        }
    }

    /// The next change, oldest first.
    pub fn poll_fact(&mut self) -> Option<AgentFact> {
        self.facts.pop_front()
    }

    /// What must be true at any instant.
    pub fn check(&self) -> Result<(), String> {
        let rules = [
            (
                self.line == Line::Free || self.presence == Presence::Idle,
                "the line is in use and the presence is not idle",
            ),
            (
                (self.presence == Presence::Busy) == self.reason.is_some(),
                "a busy agent has a reason, and nobody else has",
            ),
            (
                (self.presence == Presence::SignedOut) == self.extension.is_none(),
                "who is signed in has an extension",
            ),
            (
                self.outside.is_none() || (self.extension.is_some() && self.device),
                "a number outside is the telephone of somebody who is signed in",
            ),
            (
                self.until.is_none() || matches!(self.presence, Presence::Acw | Presence::Rest),
                "only after-call work and rest have an end",
            ),
        ];
        for (holds, rule) in rules {
            if !holds {
                return Err(format!("agent {}: {rule}", self.config.no));
            }
        }
        Ok(())
    }

    /// For a call of one's own: the presence is `Idle` while the line is in use, and what it was
    /// waits for the end.
    fn step_out(&mut self) {
        let (was, reason) = (self.presence, self.reason);
        // In the table for `Idle`, `Busy` and `Acw`; others may not dial.
        let done = self.go(PresenceEvent::SetReady);
        debug_assert!(done.is_ok(), "who may dial may be idle");
        match was {
            Presence::Busy => self.pending = reason.map(Pending::Busy),
            Presence::Acw => self.owes_acw = true,
            Presence::Idle | Presence::SignedOut | Presence::Rest => (),
        }
    }

    fn on_released(&mut self, served: bool, now: Now) {
        if served {
            self.idle_since = now;
        }
        let owed = std::mem::take(&mut self.owes_acw);
        let has_acw = self.config.acw_manual || !self.config.acw.is_zero();
        if self.pending.is_some() {
            self.apply_pending(now);
        } else if (served || owed) && has_acw {
            self.enter_acw(now);
        } else if owed {
            self.go(PresenceEvent::EnterAcw).unwrap_or_default();
        } else if !self.device {
            self.force_busy(BusyReason::DeviceUnavailable);
        }
    }

    /// After-call work after a call: with a timer, unless the agent ends it by hand.
    fn enter_acw(&mut self, now: Now) {
        if self.go(PresenceEvent::EnterAcw).is_ok() && !self.config.acw_manual {
            self.until = Some(Until::after(self.config.acw, now));
        }
    }

    fn finish_acw(&mut self, now: Now) {
        if self.device {
            self.become_idle(PresenceEvent::FinishAcw, now);
        } else {
            self.force_busy(BusyReason::DeviceUnavailable);
        }
    }

    fn become_idle(&mut self, event: PresenceEvent, now: Now) {
        if self.go(event).is_ok() {
            self.idle_since = now;
        }
    }

    fn sign_out(&mut self) -> Result<(), ()> {
        self.go(PresenceEvent::SignOut)?;
        self.extension = None;
        self.outside = None;
        self.device = false;
        Ok(())
    }

    /// The wish is put off. What the agent asked for goes before what the engine wants, except
    /// that a supervisor's word goes before a rest.
    fn want_aside(&mut self, reason: BusyReason) {
        self.pending = Some(match (self.pending, reason) {
            (Some(Pending::SignOut), _) => Pending::SignOut,
            (Some(Pending::Rest { .. }), BusyReason::Forced) => Pending::Busy(reason),
            (Some(Pending::Rest { planned }), _) => Pending::Rest { planned },
            (Some(Pending::Busy(_) | Pending::Acw) | None, _) => Pending::Busy(reason),
        });
    }

    fn apply_pending(&mut self, now: Now) {
        // Each of these is in the table for `Idle`, the presence of everybody with a wish.
        match self.pending.take() {
            None => (),
            Some(Pending::Busy(reason)) => self.force_busy(reason),
            Some(Pending::Rest { planned }) => {
                let done = self.go(PresenceEvent::SetRest);
                debug_assert!(done.is_ok(), "an idle agent can rest");
                self.until = Some(Until::after(planned, now));
            }
            Some(Pending::SignOut) => {
                let done = self.sign_out();
                debug_assert!(done.is_ok(), "everybody signed in can sign out");
            }
            Some(Pending::Acw) => {
                let done = self.go(PresenceEvent::EnterAcw);
                debug_assert!(done.is_ok(), "an idle agent can enter after-call work");
            }
        }
    }

    fn force_busy(&mut self, reason: BusyReason) {
        let overrules = match reason {
            BusyReason::Forced | BusyReason::DeviceUnavailable => true,
            BusyReason::Own
            | BusyReason::RingNoAnswer
            | BusyReason::Rejected
            | BusyReason::Custom(_) => self.presence != Presence::Rest,
        };
        if overrules && self.go(PresenceEvent::ForceBusy).is_ok() {
            self.reason = Some(reason);
        }
    }

    /// Moves by the table. Reason and end belong to the state that is left.
    fn go(&mut self, event: PresenceEvent) -> Result<(), ()> {
        self.presence = self.presence.apply(event).map_err(|_| ())?;
        self.reason = None;
        self.until = None;
        Ok(())
    }

    fn shown(&self) -> Shown {
        Shown {
            display: self.display(),
            presence: self.presence,
            reason: self.reason,
            pending: self.pending,
            extension: self.extension.clone(),
            until: self.until,
        }
    }

    /// One fact for everything that changed since `before`.
    fn tell(&mut self, before: Shown, now: Now) {
        let after = self.shown();
        if after == before {
            return;
        }
        if after.display != before.display {
            self.since = now.wall;
        }
        self.facts.push_back(AgentFact {
            at: now.wall,
            agent: self.config.no.clone(),
            extension: after.extension,
            presence: after.presence,
            line: self.line,
            display: after.display,
            reason: after.reason.map(BusyReason::code),
            pending: after.pending,
            call: self.call,
        });
    }
}

impl Until {
    fn after(length: Duration, now: Now) -> Self {
        let then = now + length;
        Self { mono: then.mono, wall: then.wall }
    }
}

/// What a fact shows; compared before and after a step.
#[derive(Eq, PartialEq)]
struct Shown {
    display: Display,
    presence: Presence,
    reason: Option<BusyReason>,
    pending: Option<Pending>,
    extension: Option<Extension>,
    until: Option<Until>,
}

mod actions;
mod commands;
mod force;
#[cfg(test)]
mod tests;
