//! Agents: their commands, their phones, and when they are ready.

use hotline_agent::{Action, Command, Refused};
use hotline_base::{AgentNo, CallId, CommandId, Extension, Now, WallTime};
use hotline_cdr::{Controller, Muting};

use super::{Arc, Output, Switchboard};
use crate::{AgentUpdate, CallBrief, timers::Owner};

impl Switchboard {
    pub(super) fn command(&mut self, id: CommandId, no: &AgentNo, command: &Command, now: Now) {
        let done = match command {
            Command::Hold
            | Command::Retrieve
            | Command::Mute
            | Command::Unmute
            | Command::HangUp
            | Command::CancelConsult
            | Command::Confer
            | Command::CompleteTransfer
            | Command::Intercept
            | Command::PauseRecording
            | Command::MaskRecording
            | Command::ResumeRecording
            | Command::StartRecording
            | Command::StopRecording => self.command_call(no, command, now),
            Command::Consult { to } => self.consult(no, to, now),
            Command::Transfer { to } => self.transfer(no, to, now),
            Command::TransferOnAnswer { to } => self.transfer_on_answer(no, to, now),
            Command::Suspend { flow } => self.suspend(no, flow, now),
            Command::SendKeys { keys } => self.send_keys_of(no, keys, now),
            Command::Supervise { agent, how } => self.supervise(no, agent, *how, now),
            Command::ForceRelease { agent } => self.force_release(no, agent, now),
            Command::Force { agent, to } => self.force(no, agent, *to, now),
            Command::ControlRecording { call, to } => self.control_recording(no, *call, *to, now),
            Command::SignIn { extension } => self.sign_in(no, extension.clone(), now),
            Command::SignInOutside { number } => self.sign_in_outside(no, number, now),
            Command::Dial { number, display } => self.dial(no, number, display.as_ref(), now),
            Command::DialListed { entry, display } => {
                self.dial_listed(no, entry, display.as_ref(), now)
            }
            Command::SignOut
            | Command::SetReady
            | Command::SetBusy { .. }
            | Command::SetRest { .. }
            | Command::EnterAcw
            | Command::FinishAcw => self.command_presence(no, command, now),
        };
        self.agent_changed(no, now);
        // What the command led to comes first, so that the reply shows it.
        self.settle(now);
        let result = done.and_then(|()| {
            self.agents.get(no).map(hotline_agent::Agent::view).ok_or(Refused::UnknownAgent)
        });
        self.outputs.push_back(Output::Reply { id, result });
    }

    fn command_presence(
        &mut self,
        no: &AgentNo,
        command: &Command,
        now: Now,
    ) -> Result<(), Refused> {
        let agent = self.agents.get_mut(no).ok_or(Refused::UnknownAgent)?;
        agent.command(command, now)
    }

    fn sign_in(
        &mut self,
        no: &AgentNo,
        extension: Option<Extension>,
        now: Now,
    ) -> Result<(), Refused> {
        let agent = self.agents.get_mut(no).ok_or(Refused::UnknownAgent)?;
        let extension = extension.unwrap_or_else(|| agent.config().extension.clone());
        if self.desks.at(&extension).is_some_and(|it| it != no) {
            return Err(Refused::ExtensionTaken);
        }
        if !self.endpoint.is_reachable(&extension, now) {
            return Err(Refused::NotRegistered);
        }
        agent.command(&Command::SignIn { extension: Some(extension) }, now)
    }

    /// What needs nobody else goes to the call on the agent's line.
    fn command_call(&mut self, no: &AgentNo, command: &Command, now: Now) -> Result<(), Refused> {
        let action = command.action();
        let call = self.call_for(no, action)?;
        let mut done = false;
        let by = Controller::Agent(no.clone());
        self.step(call, now, |call, env, now| {
            done = match action {
                Action::Hold => call.hold(no, now),
                Action::Retrieve => call.retrieve(no, env, now),
                Action::Mute => call.mute(no, now),
                Action::Unmute => call.unmute(no, now),
                Action::HangUp => call.hang_up_agent(no, env, now),
                Action::CancelConsult => call.cancel_consult(no, env, now),
                Action::Confer => call.confer(no, now),
                Action::CompleteTransfer => call.complete_transfer(no, env, now),
                Action::Intercept => call.intercept(no, env, now),
                Action::PauseRecording => call.mute_recording(&by, Muting::Paused, now),
                Action::MaskRecording => call.mute_recording(&by, Muting::Masked, now),
                Action::ResumeRecording => call.resume_recording(&by, now),
                Action::StartRecording => call.start_recording_for(&by, now),
                Action::StopRecording => call.stop_recording_for(&by, now),
                Action::SignIn
                | Action::SignOut
                | Action::SetReady
                | Action::SetBusy
                | Action::SetRest
                | Action::EnterAcw
                | Action::FinishAcw
                | Action::Dial
                | Action::Consult
                | Action::Transfer
                | Action::Suspend
                | Action::SendKeys
                | Action::Supervise
                | Action::ForceRelease
                | Action::Force
                | Action::ControlRecording => false,
            };
        });
        if !done {
            return Err(self.wrong_state(no, action));
        }
        if let (Action::Mute | Action::Unmute, Some(it)) = (action, self.agents.get_mut(no)) {
            it.set_muted(action == Action::Mute);
        }
        Ok(())
    }

    /// The call on the agent's line, if he may do this now.
    pub(super) fn call_for(&self, no: &AgentNo, action: Action) -> Result<CallId, Refused> {
        let agent = self.agents.get(no).ok_or(Refused::UnknownAgent)?;
        if !agent.allows(action) {
            return Err(self.wrong_state(no, action));
        }
        agent.call().ok_or(Refused::Late)
    }

    pub(super) fn wrong_state(&self, no: &AgentNo, command: Action) -> Refused {
        match self.agents.get(no) {
            Some(it) => Refused::WrongState { display: it.display(), command },
            None => Refused::UnknownAgent,
        }
    }

    pub(super) fn agent_timeout(&mut self, no: &AgentNo, now: Now) {
        if let Some(agent) = self.agents.get_mut(no) {
            agent.handle_timeout(now);
        }
        self.agent_changed(no, now);
    }

    /// Tells everybody what changed about an agent: screens, the record, the dispatcher.
    pub(super) fn agent_changed(&mut self, no: &AgentNo, now: Now) {
        let Some(agent) = self.agents.get_mut(no) else { return };
        let call = agent.call();
        let first = agent.poll_fact();
        // Nearly always none.
        let more: Vec<_> = std::iter::from_fn(|| agent.poll_fact()).collect();
        let due = agent.poll_timeout();
        self.staff.note(agent);
        self.timers.set(Owner::Agent(no.clone()), due);
        if let Some(first) = first {
            let view = agent.view();
            let value = Some(agent.save());
            let key = ["agent/", no.as_str()].concat();
            self.outputs.push_back(Output::Keep { key, value });
            self.desks.seat(no, view.extension.as_ref());
            let call = call.and_then(|it| self.brief(it, now.wall));
            let mut update = Box::new(AgentUpdate { fact: first, view, call });
            for fact in more {
                let next = Box::new(AgentUpdate { fact, ..AgentUpdate::clone(&update) });
                self.durable.push_back(Output::Agent(std::mem::replace(&mut update, next)));
            }
            self.durable.push_back(Output::Agent(update));
        }
        self.refresh(no);
    }

    /// The dispatcher knows exactly who is ready.
    pub(super) fn refresh(&mut self, no: &AgentNo) {
        let Some(agent) = self.agents.get(no) else { return };
        match agent.ready_since() {
            Some(since) => self.dispatcher.agent_ready(no, &agent.config().groups, since),
            // An agent with an offer is not in the ready set, and the lease is the call's to end.
            None if self.dispatcher.offer_of(no).is_none() => {
                self.dispatcher.agent_away(no);
            }
            None => (),
        }
    }

    fn brief(&self, id: CallId, now: WallTime) -> Option<CallBrief> {
        let entry = self.calls.get(&id)?;
        let it = &entry.arrival;
        let facts = entry.call.facts();
        Some(CallBrief {
            call: id,
            caller: it.caller.clone(),
            called: Arc::clone(&it.called),
            trunk: it.trunk.clone(),
            group: entry.call.group().cloned(),
            t_in: it.t_in,
            waited_ms: now.millis_since(it.t_in),
            recording: entry.call.recording().cloned(),
            outbound: entry.call.is_outbound(),
            tags: hotline_cdr::tags(facts),
            attached: hotline_cdr::exported(facts),
            last_flow: entry.call.last_flow().map(|it| (it.flow.clone(), it.how)),
        })
    }
}
