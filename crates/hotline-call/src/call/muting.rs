//! 停止录音, 暂停录音, 遮蔽: a recording that ends, or holds silence for a while, because somebody in
//! the call wants it, or because a flow asks the caller for something secret.

use hotline_base::{AgentNo, RecordingId, media::Order};
use hotline_cdr::{Muting, Stamped};

use super::{Call, CallFact, Now, Output, Phase};

/// Why the recording holds silence; it does while there is a reason.
#[derive(Debug, Default)]
pub(super) struct Mute {
    by_command: Option<(Muting, AgentNo)>,
    /// The agent who sent the caller to the flow, or had him last.
    by_flow: Option<AgentNo>,
}

impl Mute {
    /// As an earlier control process left it.
    pub(super) fn of(facts: &[Stamped]) -> Self {
        let mut it = Self::default();
        for stamped in facts {
            if let CallFact::RecordingMuted { how, by, .. } = &stamped.fact {
                if *how == Muting::MaskedByFlow {
                    it.by_flow = Some(by.clone());
                } else {
                    (it.by_command, it.by_flow) = (Some((*how, by.clone())), None);
                }
            } else if let CallFact::RecordingResumed { .. } | CallFact::RecordingStopped { .. } =
                &stamped.fact
            {
                it = Self::default();
            }
        }
        it
    }

    const fn is_on(&self) -> bool {
        self.by_command.is_some() || self.by_flow.is_some()
    }
}

impl Call {
    /// 暂停录音, 遮蔽 by command of somebody in the call. Says whether there is a recording.
    pub fn mute_recording(&mut self, by: &AgentNo, how: Muting, now: Now) -> bool {
        let Some(recording) = self.mutable_recording(by) else { return false };
        let was_on = self.audio.mute.is_on();
        let before = self.audio.mute.by_command.replace((how, by.clone()));
        if !was_on {
            self.media(Order::RecordMute { recording: recording.clone(), muted: true });
        }
        if before != self.audio.mute.by_command {
            self.fact(CallFact::RecordingMuted { recording, how, by: by.clone() }, now);
            self.outputs.push_back(Output::Keep);
        }
        true
    }

    /// 恢复录音 by command of anybody in the call. Says whether there is a recording. A flow that
    /// asks for something secret goes before.
    pub fn resume_recording(&mut self, by: &AgentNo, now: Now) -> bool {
        let Some(recording) = self.mutable_recording(by) else { return false };
        if self.audio.mute.by_command.take().is_some() {
            self.end_muting(recording, by.clone(), now);
        }
        true
    }

    /// 停止录音 by command of somebody in the call: the part that runs is sealed. Another one begins
    /// by command, or when the caller comes to another agent. Says whether there is one.
    pub fn stop_recording_for(&mut self, by: &AgentNo, now: Now) -> bool {
        let Some(recording) = self.mutable_recording(by) else { return false };
        // It may be one that began before a restart.
        self.audio.recording = Some(recording.clone());
        self.stop_recording();
        self.audio.stopped = true;
        self.fact(CallFact::RecordingStopped { recording, by: by.clone() }, now);
        self.outputs.push_back(Output::Keep);
        true
    }

    /// 开始录音 by command of somebody in the call. Says whether another part begins; while one
    /// runs, none does.
    pub fn start_recording_for(&mut self, by: &AgentNo, now: Now) -> bool {
        let runs = self.running_recording().is_some();
        !runs && self.phase == Phase::Live && self.is_in(by) && self.record_on(now)
    }

    /// A flow asks the caller for something secret, or does so no more.
    pub(super) fn mask_by_flow(&mut self, on: bool, now: Now) {
        if on == self.audio.mute.by_flow.is_some() {
            return;
        }
        let Some(recording) = self.running_recording() else { return };
        if on {
            let Some(by) = self.responsible().cloned() else { return };
            if !self.audio.mute.is_on() {
                self.media(Order::RecordMute { recording: recording.clone(), muted: true });
            }
            self.audio.mute.by_flow = Some(by.clone());
            self.fact(CallFact::RecordingMuted { recording, how: Muting::MaskedByFlow, by }, now);
            self.outputs.push_back(Output::Keep);
        } else if let Some(by) = self.audio.mute.by_flow.take() {
            self.end_muting(recording, by, now);
        }
    }

    /// One reason for silence is gone.
    fn end_muting(&mut self, recording: RecordingId, by: AgentNo, now: Now) {
        let Mute { by_command, by_flow } = &self.audio.mute;
        let by_flow = by_flow.clone().map(|by| (Muting::MaskedByFlow, by));
        if let Some((how, by)) = by_flow.or_else(|| by_command.clone()) {
            self.fact(CallFact::RecordingMuted { recording, how, by }, now);
        } else {
            self.media(Order::RecordMute { recording: recording.clone(), muted: false });
            self.fact(CallFact::RecordingResumed { recording, by }, now);
        }
        self.outputs.push_back(Output::Keep);
    }

    /// The recording goes on in another part, which knows of no silence yet.
    pub(super) fn mute_again(&mut self) {
        if let Some(recording) = self.running_recording().filter(|_| self.audio.mute.is_on()) {
            self.media(Order::RecordMute { recording, muted: true });
        }
    }

    /// Nobody leaves a call in which nothing is recorded any more.
    pub(super) fn resume_if_left(&mut self, now: Now) {
        let by_command = self.audio.mute.by_command.clone();
        let Some((_, by)) = by_command.filter(|it| !self.is_in(&it.1)) else { return };
        self.audio.mute.by_command = None;
        if let Some(recording) = self.running_recording() {
            self.end_muting(recording, by, now);
        }
    }

    /// The recording that runs. After a restart of control it is the last that began.
    fn running_recording(&self) -> Option<RecordingId> {
        let kept = self.recordings.last().filter(|_| !self.audio.stopped);
        self.audio.recording.as_ref().or(kept).cloned()
    }

    /// The recording that runs, if this agent is in the call.
    fn mutable_recording(&self, by: &AgentNo) -> Option<RecordingId> {
        self.running_recording().filter(|_| self.phase == Phase::Live && self.is_in(by))
    }

    /// Whether an agent is in the call and not only on his way.
    fn is_in(&self, no: &AgentNo) -> bool {
        self.part_of(no).is_some()
    }
}
