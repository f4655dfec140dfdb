//! 暂停录音, 遮蔽: a recording that holds silence for a while, because somebody in the call or a
//! supervisor wants it, or because a flow asks the caller for something secret.

use std::{collections::BTreeMap, sync::Arc};

use hotline_base::{FlowId, media::Order};
use hotline_cdr::{Controller, Muting, RecordingChange, Stamped};
use hotline_ivr::RecordAction;

use super::{Call, CallFact, Now, Output};

/// Why the recording holds silence; it does while there is a reason.
#[derive(Debug, Default)]
pub(super) struct Mute {
    reasons: BTreeMap<Reason, (Muting, Controller)>,
}

/// The last of several is the one that the record names.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Reason {
    Command,
    /// A node `record` of the flow.
    Node,
    /// The flow asks for something secret.
    Secret,
}

impl Reason {
    const fn of(how: Muting, by: &Controller) -> Self {
        match (how, by) {
            (Muting::MaskedByFlow, _) => Self::Secret,
            (Muting::Paused | Muting::Masked, Controller::Flow(_)) => Self::Node,
            (Muting::Paused | Muting::Masked, Controller::Agent(_) | Controller::Supervisor(_)) => {
                Self::Command
            }
        }
    }
}

impl Mute {
    /// As an earlier control process left it.
    pub(super) fn of(facts: &[Arc<Stamped>]) -> Self {
        let mut it = Self::default();
        for stamped in facts {
            match stamped.fact.recording_change() {
                Some((_, by, RecordingChange::Muted(how))) => {
                    let reason = Reason::of(how, &by);
                    // A higher one would have been named.
                    it.reasons.retain(|other, _| *other < reason);
                    it.reasons.insert(reason, (how, by));
                }
                Some((_, _, RecordingChange::Resumed | RecordingChange::Stopped)) => {
                    it = Self::default();
                }
                Some((_, _, RecordingChange::Started { .. })) | None => (),
            }
        }
        it
    }

    /// The recording ends: what somebody wanted of it does, too. A flow still asks what it asks.
    pub(super) fn recording_ends(&mut self) {
        self.reasons.remove(&Reason::Command);
    }

    fn named(&self) -> Option<&(Muting, Controller)> {
        self.reasons.values().next_back()
    }
}

impl Call {
    /// 暂停录音, 遮蔽 by who may. Says whether there is a recording.
    pub fn mute_recording(&mut self, by: &Controller, how: Muting, now: Now) -> bool {
        let runs = self.recording_for(by).is_some();
        if runs {
            self.mute_for(how, by.clone(), now);
        }
        runs
    }

    /// 恢复录音 by who may, whoever muted it. Says whether there is a recording. A flow that keeps
    /// something secret goes before.
    pub fn resume_recording(&mut self, by: &Controller, now: Now) -> bool {
        let runs = self.recording_for(by).is_some();
        if runs {
            self.end_muting(Reason::Command, by.clone(), now);
        }
        runs
    }

    /// What a node `record` of this flow wants.
    pub(super) fn record_by_flow(&mut self, flow: FlowId, action: RecordAction, now: Now) {
        let by = Controller::Flow(flow);
        match action {
            RecordAction::Start => {
                self.start_recording_for(&by, now);
            }
            RecordAction::Stop => {
                self.stop_recording_for(&by, now);
            }
            RecordAction::Pause => self.mute_by_node(Some((Muting::Paused, by)), now),
            RecordAction::Mask => self.mute_by_node(Some((Muting::Masked, by)), now),
            RecordAction::Resume => self.mute_by_node(None, now),
        }
    }

    pub(super) fn mute_by_node(&mut self, muting: Option<(Muting, Controller)>, now: Now) {
        match muting {
            Some((how, by)) => self.mute_for(how, by, now),
            None => self.end_flows_muting(Reason::Node, now),
        }
    }

    /// A flow asks the caller for something secret, or does so no more.
    pub(super) fn mask_by_flow(&mut self, on: bool, now: Now) {
        if !on {
            return self.end_flows_muting(Reason::Secret, now);
        }
        let agent = self.responsible().cloned().map(Controller::Agent);
        let flow = || self.session.as_ref().map(|it| Controller::Flow(it.flow()));
        if let Some(by) = agent.or_else(flow) {
            self.mute_for(Muting::MaskedByFlow, by, now);
        }
    }

    fn end_flows_muting(&mut self, reason: Reason, now: Now) {
        if let Some((_, by)) = self.audio.mute.reasons.get(&reason).cloned() {
            self.end_muting(reason, by, now);
        }
    }

    /// One reason more; it also counts for a recording that begins later.
    fn mute_for(&mut self, how: Muting, by: Controller, now: Now) {
        let (before, reason) = (self.audio.mute.named().cloned(), Reason::of(how, &by));
        let known = self.audio.mute.reasons.insert(reason, (how, by.clone()));
        self.tell_muting(before.clone(), None, now);
        let is_hidden =
            known != Some((how, by.clone())) && before == self.audio.mute.named().cloned();
        if let Some(recording) = self.running_recording().filter(|_| is_hidden) {
            // It counts when the other reason is gone, also for the next control process.
            self.fact(CallFact::of_recording(recording, by, RecordingChange::Muted(how)), now);
            self.outputs.push_back(Output::Keep);
        }
    }

    /// One reason for silence is gone, if it was there. `by`: who took it away.
    fn end_muting(&mut self, reason: Reason, by: Controller, now: Now) {
        let before = self.audio.mute.named().cloned();
        self.audio.mute.reasons.remove(&reason);
        self.tell_muting(before, Some(by), now);
    }

    fn tell_muting(
        &mut self,
        before: Option<(Muting, Controller)>,
        by: Option<Controller>,
        now: Now,
    ) {
        let after = self.audio.mute.named().cloned();
        let Some(recording) = self.running_recording().filter(|_| before != after) else { return };
        if before.is_some() != after.is_some() {
            let muted = after.is_some();
            self.media(Order::RecordMute { recording: recording.clone(), muted });
        }
        let (by, change) = match (after, by) {
            (Some((how, by)), _) => (by, RecordingChange::Muted(how)),
            (None, Some(by)) => (by, RecordingChange::Resumed),
            (None, None) => return,
        };
        self.fact(CallFact::of_recording(recording, by, change), now);
        self.outputs.push_back(Output::Keep);
    }

    /// A new part knows of no silence yet.
    pub(super) fn mute_again(&mut self, now: Now) {
        self.tell_muting(None, None, now);
    }

    /// Nobody leaves a call in which nothing is recorded any more.
    pub(super) fn resume_if_left(&mut self, now: Now) {
        let by_command = self.audio.mute.reasons.get(&Reason::Command).cloned();
        if let Some((_, by)) = by_command.filter(|it| !self.may_control(&it.1)) {
            self.end_muting(Reason::Command, by, now);
        }
    }
}
