//! 录音: when a recording begins and ends, and who is in it.

use hotline_base::{
    LegId, OfferId, RecordingId,
    media::{Channel, Order},
};
use hotline_cdr::{Controller, RecordingChange};

use super::{AgentState, Call, CallFact, CallerState, Now, Output, Phase};
use crate::naming::{recording_id, recording_path};

/// Nobody is on the right channel yet.
const NOBODY: LegId = LegId(0);

impl Call {
    /// The right channel is everybody who speaks with the caller or for him and whom somebody
    /// hears: of supervisors those whom the caller hears, and nobody who listens, whispers, holds
    /// or waits.
    pub(super) fn record_parties(&mut self) {
        let Some(recording) = self.audio.recording.clone() else { return };
        let agent = self.agent.as_ref().filter(|it| it.is_in());
        let guests = self.guests.iter().filter(|it| it.talks() || it.barges_in());
        let aside = agent.and_then(|it| it.aside.as_ref());
        let own = agent.map(|it| it.offering.leg).into_iter().chain(aside.map(|it| it.leg));
        let legs = own.chain(guests.map(|it| it.leg));
        let legs: Vec<_> = legs.filter(|it| self.is_heard(*it)).collect();
        if legs != self.audio.recorded {
            self.audio.recorded.clone_from(&legs);
            self.media(Order::RecordSource { recording, channel: Channel::Right, legs });
        }
    }

    /// Whether somebody hears him: who has answered is not heard before 报工号 is over.
    fn is_heard(&self, leg: LegId) -> bool {
        self.audio.heard.iter().any(|it| it.speakers.contains(&leg))
    }

    /// Records the caller (left) from the first agent's answer on, through every hold, consultation
    /// and transfer, and agents (right) while they are heard.
    pub(super) fn record(&mut self, now: Now) {
        let Some(side) = &self.agent else { return };
        let offer = side.offering.offer;
        // What a flow kept out of the recording was between it and the caller.
        self.mute_by_node(None, now);
        if let Some(recording) = self.audio.recording.clone() {
            self.fact(CallFact::RecordingFollows { recording, offer }, now);
            return self.record_parties();
        }
        let (recording, path) = self.begin_part(NOBODY, now);
        self.fact(CallFact::RecordingStarted { recording, path, offer }, now);
        self.mute_again(now);
    }

    fn begin_part(&mut self, right: LegId, now: Now) -> (RecordingId, String) {
        self.n_recordings += 1;
        let recording = recording_id(self.id, self.n_recordings, now.wall);
        let path = recording_path(&recording, now.wall);
        self.recordings.insert(recording.clone());
        self.audio.stopped = false;
        self.audio.recording = Some(recording.clone());
        self.audio.recorded = if right == NOBODY { Vec::new() } else { vec![right] };
        let left = self.caller.leg;
        self.media(Order::Record { recording: recording.clone(), path: path.clone(), left, right });
        (recording, path)
    }

    /// The recording broke off with its process: the rest of the talk is another part.
    pub(super) fn record_again(&mut self, now: Now) {
        if !self.audio.stopped {
            let by = self.audio.kept_by.clone();
            self.record_on(by, now);
        }
    }

    /// Begins another part with who talks; with the caller alone only for `by`, who is not in the
    /// call. Says whether there is somebody.
    fn record_on(&mut self, by: Option<Controller>, now: Now) -> bool {
        self.audio.recording = None;
        self.audio.recorded.clear();
        let agent = self.agent.as_ref().filter(|it| it.state == AgentState::Talking);
        let agent = agent.map(|it| (it.offering.offer, it.offering.leg));
        let guests = self.guests.iter().filter(|it| it.talks()).map(|it| (it.offer, it.leg));
        let parties: Vec<(OfferId, LegId)> = agent.into_iter().chain(guests).collect();
        let mut others = parties.iter().map(|it| it.0);
        let right = parties.first().map_or(NOBODY, |it| it.1);
        let recording = match (by, parties.first()) {
            (Some(by), first) => {
                if first.is_none() && !matches!(self.caller.state, CallerState::Up) {
                    return false;
                }
                let (recording, path) = self.begin_part(right, now);
                if first.is_none() {
                    self.audio.kept_by = Some(by.clone());
                }
                let change = RecordingChange::Started { path };
                self.fact(CallFact::of_recording(recording.clone(), by, change), now);
                recording
            }
            (None, Some((offer, leg))) => {
                let (recording, path) = self.begin_part(*leg, now);
                let (id, offer) = (recording.clone(), *offer);
                self.fact(CallFact::RecordingStarted { recording: id, path, offer }, now);
                others.next();
                recording
            }
            (None, None) => return false,
        };
        for offer in others.collect::<Vec<_>>() {
            let recording = recording.clone();
            self.fact(CallFact::RecordingFollows { recording, offer }, now);
        }
        self.record_parties();
        self.mute_again(now);
        self.outputs.push_back(Output::Keep);
        true
    }

    /// No agent has the caller any more: his recording ends, unless somebody wants it to go on.
    pub(super) fn stop_recording_of_talk(&mut self) {
        if self.audio.kept_by.is_none() {
            self.stop_recording();
        } else {
            self.record_parties();
        }
    }

    pub(super) fn stop_recording(&mut self) {
        self.audio.recorded.clear();
        self.audio.mute.recording_ends();
        self.audio.kept_by = None;
        if let Some(recording) = self.audio.recording.take() {
            self.media(Order::StopRecord { recording });
        }
    }

    /// The recording that runs.
    pub const fn recording(&self) -> Option<&RecordingId> {
        self.audio.recording.as_ref()
    }

    /// 停止录音 by who may: the part that runs is sealed. Another one begins by command, or when the
    /// caller comes to another agent. Says whether there is one.
    pub fn stop_recording_for(&mut self, by: &Controller, now: Now) -> bool {
        let Some(recording) = self.recording_for(by) else { return false };
        // It may be one that began before a restart.
        self.audio.recording = Some(recording.clone());
        self.stop_recording();
        self.audio.stopped = true;
        self.fact(CallFact::of_recording(recording, by.clone(), RecordingChange::Stopped), now);
        self.outputs.push_back(Output::Keep);
        true
    }

    /// 开始录音 by who may. Says whether another part begins; while one runs, none does. A
    /// supervisor or a flow may have a caller recorded who is with nobody.
    pub fn start_recording_for(&mut self, by: &Controller, now: Now) -> bool {
        let runs = self.running_recording().is_some();
        if runs || self.phase != Phase::Live || !self.may_control(by) {
            return false;
        }
        let by = match by {
            Controller::Agent(_) => None,
            Controller::Supervisor(_) | Controller::Flow(_) => Some(by.clone()),
        };
        self.record_on(by, now)
    }

    /// The recording that runs, if `by` may decide about it.
    pub(super) fn recording_for(&self, by: &Controller) -> Option<RecordingId> {
        self.running_recording().filter(|_| self.phase == Phase::Live && self.may_control(by))
    }

    /// The recording that runs. After a restart of control it is the last that began.
    pub(super) fn running_recording(&self) -> Option<RecordingId> {
        let is_sure = self.audio.stopped || self.has_flow();
        let kept = self.recordings.last().filter(|_| !is_sure);
        self.audio.recording.as_ref().or(kept).cloned()
    }

    /// An agent decides while he is in the call and not only on his way.
    pub(super) fn may_control(&self, by: &Controller) -> bool {
        match by {
            Controller::Agent(it) => self.part_of(it).is_some(),
            Controller::Supervisor(_) | Controller::Flow(_) => true,
        }
    }
}

#[cfg(test)]
mod tests;
