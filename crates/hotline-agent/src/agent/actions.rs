//! Which buttons an agent has.

use super::Agent;
use crate::{Action, Line, Presence};

impl Agent {
    /// Whether the bar shows the button (domain paper 4.5). A command without a button is refused
    /// unless it changes nothing.
    pub const fn allows(&self, action: Action) -> bool {
        match self.line {
            Line::Free => self.allows_without_call(action),
            Line::Reserved
            | Line::Ringing
            | Line::Connecting
            | Line::Talking
            | Line::Held
            | Line::Dialing
            | Line::Consulting
            | Line::Conferring
            | Line::Suspended => match action {
                Action::SignIn | Action::FinishAcw | Action::Dial => false,
                Action::SetReady => self.pending.is_some(),
                Action::SignOut | Action::SetBusy | Action::SetRest | Action::EnterAcw => true,
                Action::Hold => matches!(self.line, Line::Talking | Line::Conferring),
                Action::Retrieve => matches!(self.line, Line::Held | Line::Suspended),
                Action::Mute => self.has_answered() && !self.muted,
                Action::Unmute => self.has_answered() && self.muted,
                Action::HangUp => !matches!(self.line, Line::Reserved | Line::Ringing),
                Action::Consult => {
                    matches!(self.line, Line::Talking | Line::Held | Line::Conferring)
                }
                Action::Transfer | Action::Suspend => {
                    matches!(self.line, Line::Talking | Line::Held)
                }
                Action::SendKeys => {
                    matches!(self.line, Line::Talking | Line::Consulting | Line::Conferring)
                }
                Action::CancelConsult | Action::Confer | Action::CompleteTransfer => {
                    matches!(self.line, Line::Consulting)
                }
                Action::Supervise | Action::Intercept => {
                    self.is_supervising() && matches!(self.line, Line::Talking | Line::Held)
                }
                Action::ForceRelease | Action::Force | Action::ControlRecording => {
                    self.is_supervising()
                }
                Action::PauseRecording
                | Action::MaskRecording
                | Action::ResumeRecording
                | Action::StartRecording
                | Action::StopRecording => self.has_answered(),
            },
        }
    }

    const fn allows_without_call(&self, action: Action) -> bool {
        match action {
            Action::SignIn => matches!(self.presence, Presence::SignedOut),
            Action::SignOut => !matches!(self.presence, Presence::SignedOut),
            Action::SetReady => {
                self.device
                    && matches!(self.presence, Presence::Busy | Presence::Rest | Presence::Acw)
            }
            Action::SetBusy => {
                matches!(self.presence, Presence::Idle | Presence::Rest | Presence::Acw)
            }
            Action::SetRest => {
                matches!(self.presence, Presence::Idle | Presence::Busy | Presence::Acw)
            }
            Action::EnterAcw => match self.presence {
                Presence::Idle | Presence::Busy => true,
                Presence::Acw => self.until.is_some(),
                Presence::SignedOut | Presence::Rest => false,
            },
            Action::FinishAcw => matches!(self.presence, Presence::Acw),
            Action::Dial => {
                self.device
                    && matches!(self.presence, Presence::Idle | Presence::Busy | Presence::Acw)
            }
            // He rings like one who dials.
            Action::Supervise => self.config.supervisor && self.allows(Action::Dial),
            Action::ForceRelease | Action::Force | Action::ControlRecording => {
                self.is_supervising()
            }
            Action::Hold
            | Action::Retrieve
            | Action::Mute
            | Action::Unmute
            | Action::HangUp
            | Action::Consult
            | Action::CancelConsult
            | Action::Confer
            | Action::CompleteTransfer
            | Action::Transfer
            | Action::Suspend
            | Action::SendKeys
            | Action::Intercept
            | Action::PauseRecording
            | Action::MaskRecording
            | Action::ResumeRecording
            | Action::StartRecording
            | Action::StopRecording => false,
        }
    }

    /// From his answer on.
    pub(super) const fn has_answered(&self) -> bool {
        matches!(
            self.line,
            Line::Connecting
                | Line::Talking
                | Line::Held
                | Line::Consulting
                | Line::Conferring
                | Line::Suspended
        )
    }

    /// A supervisor who is signed in.
    const fn is_supervising(&self) -> bool {
        self.config.supervisor && !matches!(self.presence, Presence::SignedOut)
    }
}
