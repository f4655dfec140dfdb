//! Recordings that somebody begins, ends or mutes: who, and what became of the recording.

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::{AgentNo, FlowId, OfferId, RecordingId};

use crate::{CallFact, Muting};

/// Who decides about a recording.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub enum Controller {
    /// Somebody in the call.
    Agent(AgentNo),
    /// 班长, whether he is in the call or not.
    Supervisor(AgentNo),
    /// The flow that the caller is in.
    Flow(FlowId),
}

/// A change of a recording by a flow or by a supervisor. What agents in the call do has facts of
/// its own.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct RecordingControl {
    pub recording: RecordingId,
    pub by: Controller,
    pub change: RecordingChange,
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub enum RecordingChange {
    /// 开始录音, of the caller alone until a [`CallFact::RecordingFollows`].
    Started {
        path: String,
    },
    /// 停止录音.
    Stopped,
    Muted(Muting),
    Resumed,
}

impl CallFact {
    /// This change of a recording by somebody.
    pub fn of_recording(recording: RecordingId, by: Controller, change: RecordingChange) -> Self {
        match (by, change) {
            (Controller::Agent(by), RecordingChange::Muted(how)) => {
                Self::RecordingMuted { recording, how, by }
            }
            (Controller::Agent(by), RecordingChange::Resumed) => {
                Self::RecordingResumed { recording, by }
            }
            (Controller::Agent(by), RecordingChange::Stopped) => {
                Self::RecordingStopped { recording, by }
            }
            (by, change) => {
                Self::RecordingControlled(Box::new(RecordingControl { recording, by, change }))
            }
        }
    }

    /// What the fact says of a recording's course, whoever decided it.
    pub fn recording_change(&self) -> Option<(&RecordingId, Controller, RecordingChange)> {
        if let Self::RecordingMuted { recording, how, by } = self {
            Some((recording, Controller::Agent(by.clone()), RecordingChange::Muted(*how)))
        } else if let Self::RecordingResumed { recording, by } = self {
            Some((recording, Controller::Agent(by.clone()), RecordingChange::Resumed))
        } else if let Self::RecordingStopped { recording, by } = self {
            Some((recording, Controller::Agent(by.clone()), RecordingChange::Stopped))
        } else if let Self::RecordingControlled(it) = self {
            Some((&it.recording, it.by.clone(), it.change.clone()))
        } else {
            None
        }
    }

    /// The beginning of a recording: which, where its file lies, and whose talk it is, if it is
    /// one's.
    pub fn recording_started(&self) -> Option<(&RecordingId, &str, Option<OfferId>)> {
        if let Self::RecordingStarted { recording, path, offer } = self {
            return Some((recording, path, Some(*offer)));
        }
        let Self::RecordingControlled(it) = self else { return None };
        let RecordingChange::Started { path } = &it.change else { return None };
        Some((&it.recording, path, None))
    }
}
