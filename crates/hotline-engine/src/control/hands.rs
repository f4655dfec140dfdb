//! The switchboard's hands: inputs from all roads, outputs to all roads. Never waits to send.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use hotline_agent::{AgentView, Refused};
use hotline_base::{CallId, CommandId, Now, media::Event};
use hotline_cdr::{CallFact, CallRecord, RecordingNews, Stamped};
use hotline_ladder::Trace;
use hotline_net::{Gate, NetInput, Transmit};
use hotline_switchboard::{AgentUpdate, CallBrief, Count, Input, Output, Switchboard, TrafficView};
use hotline_trunk::Rank;
use hotline_web::{CallView, Feeds};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    alarms,
    desk::Wellness,
    inbox::{self, Arrived, Asked, Inbox, Note, Waiting, from_net},
    orders::Orders,
    spool::{Answer, Spool},
    views::Views,
    waits::Waits,
};
use crate::{
    link::LinkInput,
    meters::Meters,
    turn::{Rim, Turn},
};

/// Screens see groups and counters at least this old, at most this often.
const SHOW_EVERY: Duration = Duration::from_millis(100);

/// Everything the control thread may touch.
pub(crate) struct Hands {
    pub(crate) inbox: Inbox,
    pub(crate) spool: Spool,
    pub(crate) gate: Arc<Gate>,
    pub(crate) orders: Orders,
    pub(crate) notes: mpsc::Sender<Note>,
    pub(crate) feeds: Feeds,
    pub(crate) views: Views,
    pub(crate) meters: Meters,
    pub(crate) wellness: Wellness,
    pub(crate) state: State,
}

/// What the hands remember between turns.
#[derive(Debug)]
pub(crate) struct State {
    next_command: u64,
    pending: BTreeMap<CommandId, oneshot::Sender<Result<AgentView, Refused>>>,
    ladders: BTreeMap<CommandId, oneshot::Sender<Option<Box<Trace>>>>,
    traffic: BTreeMap<CommandId, oneshot::Sender<Box<TrafficView>>>,
    /// When the views were written, and whether something changed since.
    shown: Option<Instant>,
    stale: bool,
    /// Whether the last turn found room in the spool.
    spool_takes: bool,
    /// Whether the journal's disk took the last group.
    disk_takes: bool,
    waits: Waits,
}

impl State {
    pub(crate) fn new(first_command: u64) -> Self {
        Self {
            next_command: first_command,
            pending: BTreeMap::new(),
            ladders: BTreeMap::new(),
            traffic: BTreeMap::new(),
            shown: None,
            stale: true,
            spool_takes: true,
            disk_takes: true,
            waits: Waits::new(),
        }
    }
}

impl Rim<Switchboard> for Hands {
    async fn next(&mut self) -> Option<Input> {
        if let Some(order) = self.orders.take_lost() {
            return Some(Input::OrderLost(order));
        }
        if let Some(least_us) = self.state.waits.due(|| self.inbox.oldest_call()) {
            return Some(Input::Waited { least_us });
        }
        loop {
            match self.inbox.next().await? {
                Arrived::Net(it) => return Some(self.take_net(it)),
                Arrived::Link(LinkInput::Event(Event::Figures(it))) => self.meters.media(&it),
                Arrived::Link(it) => return Some(self.take_link(it)),
                Arrived::Asked(it) => return Some(self.take_asked(it)),
                Arrived::Lists(it) => return Some(Input::Lists(it)),
                Arrived::Note(Note::Quit) => return None,
                Arrived::Note(it) => {
                    if let Some(input) = self.take_note(it) {
                        return Some(input);
                    }
                }
            }
        }
    }

    fn try_next(&mut self) -> Option<Input> {
        if let Some(order) = self.orders.take_lost() {
            return Some(Input::OrderLost(order));
        }
        loop {
            match self.inbox.try_next()? {
                Waiting::Net(it) => return Some(self.take_net(it)),
                Waiting::Link(LinkInput::Event(Event::Figures(it))) => self.meters.media(&it),
                Waiting::Link(it) => return Some(self.take_link(it)),
            }
        }
    }

    fn name(input: &Input) -> &'static str {
        input.name()
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Record(record) => self.record(&record),
            Output::Agent(update) => self.agent(*update),
            Output::Recording(news) => self.recording(&news),
            Output::Keep { key, value } => self.spool.keep(key, value),
            Output::Transmit { flow, bytes } => self.spool.transmit(Transmit { flow, bytes }),
            Output::Order(order) => self.orders.give(order),
            Output::Reply { id, result } => {
                if let Some(asker) = self.state.pending.remove(&id) {
                    self.spool.answer(Answer { asker, result });
                }
            }
            Output::Fact { call, fact } => self.fact(call, &fact),
            Output::Count(count) => {
                self.state.stale |= count == Count::TurnedAway;
                self.meters.counted(count);
            }
            Output::Alarm(alarm) => {
                self.state.stale = true;
                alarms::tell(&alarm);
            }
            Output::PhonesAt { transport, address, known } => {
                self.gate.know_phone((transport, address), known);
            }
            Output::Ladder(trace) => self.ladder(&trace),
            Output::TrafficShown { id, view } => {
                if let Some(asker) = self.state.traffic.remove(&id)
                    && asker.send(view).is_err()
                {
                    tracing::debug!("Nobody waits for figures any more.");
                }
            }
            Output::LadderShown { id, trace } => {
                if let Some(asker) = self.state.ladders.remove(&id)
                    && asker.send(trace).is_err()
                {
                    tracing::debug!("Nobody waits for a ladder any more.");
                }
            }
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        let show = self.state.shown.filter(|_| self.state.stale).map(|it| it + SHOW_EVERY);
        show.into_iter().chain(self.orders.due()).min()
    }

    fn end_turn(&mut self, machine: &Switchboard, turn: Turn) {
        let takes = self.spool.end_turn();
        if takes != self.state.spool_takes {
            self.state.spool_takes = takes;
            if self.notes.try_send(Note::Spool).is_err() {
                tracing::error!("The control thread does not read its notes.");
            }
        }
        self.meters.turn(turn.took);
        self.inbox.let_calls_wait(machine.is_overloaded());
        self.orders.retry();
        // The first turn restored what was kept; from then on an agent is shown when he changes.
        if self.state.shown.is_none() {
            machine.agents().for_each(|it| self.views.show_agent(it));
        }
        let is_time = self.state.shown.is_none_or(|it| it.elapsed() >= SHOW_EVERY);
        if self.state.stale && is_time {
            self.state.stale = false;
            self.state.shown = Some(Instant::now());
            let board = machine.board(turn.now);
            self.meters.board(&board);
            self.views.show(board, turn.now);
        }
    }

    fn recover(machine: &mut Switchboard, now: Now) {
        machine.recover_from_panic(now);
    }
}

impl Hands {
    fn take_net(&mut self, it: NetInput) -> Input {
        let is_new_call = inbox::rank(&it) == Rank::NewCall;
        let input = from_net(it);
        if let Input::Sip { waited_us, .. } = input {
            self.state.waits.note(is_new_call, waited_us);
            self.meters.message_waited(is_new_call, Duration::from_micros(waited_us));
        }
        input
    }

    fn take_link(&mut self, it: LinkInput) -> Input {
        match it {
            LinkInput::Up { epoch } => {
                self.orders.link_up(epoch);
                Input::MediaUp
            }
            LinkInput::Event(event) => {
                if let Event::Inventory { .. } = event {
                    self.inbox.release_net();
                    self.wellness.media_up.store(true, Relaxed);
                    tracing::info!("Media is ready.");
                }
                Input::Media(event)
            }
            LinkInput::Down => {
                self.wellness.media_up.store(false, Relaxed);
                if !self.wellness.draining.load(Relaxed) {
                    tracing::error!("Media is gone; its calls wait for another one.");
                }
                Input::MediaDown
            }
        }
    }

    fn take_asked(&mut self, it: Asked) -> Input {
        let id = CommandId(self.state.next_command);
        self.state.next_command += 1;
        match it {
            Asked::Agent { agent, command, reply } => {
                self.state.pending.insert(id, reply);
                Input::Command { id, agent, command }
            }
            Asked::Ladder { call, store, reply } => {
                self.state.ladders.insert(id, reply);
                Input::ShowLadder { id, call, store }
            }
            Asked::Traffic { reply } => {
                self.state.traffic.insert(id, reply);
                Input::ShowTraffic { id }
            }
        }
    }

    fn take_note(&mut self, it: Note) -> Option<Input> {
        match it {
            Note::Disk { takes } => {
                self.state.disk_takes = takes;
                Some(self.spool_input())
            }
            Note::Spool => Some(self.spool_input()),
            Note::Drain => {
                self.wellness.draining.store(true, Relaxed);
                Some(Input::Drain)
            }
            Note::EndCalls => {
                tracing::warn!("The grace period is over; running calls end.");
                Some(Input::EndCalls)
            }
            Note::Quit => None,
        }
    }

    /// Records are safe only when the journal's thread has room and its disk takes them.
    fn spool_input(&self) -> Input {
        let healthy = self.state.spool_takes && self.state.disk_takes;
        self.wellness.spool_down.store(!healthy, Relaxed);
        if healthy {
            tracing::info!("Records reach the disk.");
        } else {
            tracing::error!("Records do not reach the disk; no call is admitted.");
        }
        Input::Spool { healthy }
    }

    fn record(&mut self, record: &CallRecord) {
        if record.complete && record.t_br.is_some() {
            self.meters.waited(Duration::from_millis(record.wait_ms));
        }
        if self.spool.record(record).is_err() {
            tracing::error!(call = record.call.0, "A record cannot be written down.");
        }
    }

    fn ladder(&mut self, trace: &Trace) {
        let written = borsh::to_vec(trace).and_then(|it| borsh::to_vec(&(trace.call, it)));
        if let Ok(payload) = written {
            self.spool.ladder(payload);
        } else {
            tracing::error!(call = trace.call.0, "A ladder cannot be written down.");
        }
    }

    fn agent(&mut self, update: AgentUpdate) {
        let AgentUpdate { fact, view, call } = update;
        self.state.stale = true;
        self.views.show_agent(view.clone());
        self.feeds.publish(fact.at, view, call.map(call_view));
        if let Ok(payload) = borsh::to_vec(&fact) {
            self.spool.agent_fact(payload);
        } else {
            tracing::error!("An agent's change cannot be written down.");
        }
    }

    fn recording(&mut self, news: &RecordingNews) {
        for agent in &news.agents {
            self.feeds.publish_recording(agent, news);
        }
        if let Ok(payload) = borsh::to_vec(news) {
            self.spool.recording(payload);
        } else {
            tracing::error!(call = news.call.0, "A recording's event cannot be written down.");
        }
    }

    fn fact(&mut self, call: CallId, it: &Stamped) {
        self.state.stale = true;
        self.meters.fact(&it.fact);
        let call = call.0;
        if let CallFact::Ended { by, reason, .. } = &it.fact {
            let (by, is_fault) = (by.as_str(), reason.is_our_fault());
            tracing::debug!(call, by, is_fault, "A call ended.");
        } else if let CallFact::Arrived(came) = &it.fact {
            tracing::debug!(call, trunk = came.trunk.as_str(), "A call arrived.");
        } else if let CallFact::Refused { status, why } = &it.fact {
            tracing::debug!(call, status, why = why.as_str(), "A call was refused.");
        } else if let CallFact::FlowError { flow, node, .. } = &it.fact {
            tracing::warn!(call, flow = flow.as_str(), node, "A step of a flow went wrong.");
        } else if let CallFact::RecordingFailed { .. } = &it.fact {
            // The media role tells its operator, once for a whole volume.
            tracing::debug!(call, "A recording could not be written.");
        }
    }
}

fn call_view(it: CallBrief) -> CallView {
    CallView {
        call: it.call,
        caller_no: it.caller.map(Arc::unwrap_or_clone),
        called_no: it.called.to_string(),
        group: it.group,
        recording: it.recording,
        t_in: it.t_in,
        wait_ms: it.waited_ms,
        outbound: it.outbound,
        tags: it.tags,
        attached: it.attached,
        last_flow: it.last_flow,
    }
}

#[cfg(test)]
mod tests;
