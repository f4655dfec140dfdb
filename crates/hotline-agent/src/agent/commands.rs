//! What an agent's own commands do to him, while his line is free and while it is not.

use hotline_base::{Extension, Now, Pii};

use super::{Agent, SignInState, Until};
use crate::{BusyReason, Command, Pending, Presence, PresenceEvent, Refused};

impl Agent {
    pub(super) fn command_at_once(&mut self, command: &Command, now: Now) -> Result<(), Refused> {
        let refused = Refused::WrongState { display: self.display(), command: command.action() };
        match command {
            Command::SignIn { extension } => {
                self.sign_in(extension.clone(), None, now).map_err(|()| refused)?;
            }
            Command::SignInOutside { number } => {
                self.sign_in(None, Some(number.clone()), now).map_err(|()| refused)?;
            }
            Command::SignOut => self.sign_out().map_err(|()| refused)?,
            Command::SetReady => {
                if self.presence == Presence::SignedOut {
                    return Err(refused);
                }
                if !self.device {
                    return Err(Refused::NotRegistered);
                }
                if self.presence != Presence::Idle {
                    self.become_idle(PresenceEvent::SetReady, now);
                }
            }
            Command::SetBusy { reason } => {
                let reason = BusyReason::chosen(*reason).ok_or(Refused::UnknownReason(*reason))?;
                self.go(PresenceEvent::SetBusy).map_err(|()| refused)?;
                self.reason = Some(reason);
            }
            Command::SetRest { planned } => {
                self.go(PresenceEvent::SetRest).map_err(|()| refused)?;
                self.until = Some(Until::after(*planned, now));
            }
            Command::EnterAcw => self.go(PresenceEvent::EnterAcw).map_err(|()| refused)?,
            Command::FinishAcw => {
                if self.presence != Presence::Acw {
                    return Err(refused);
                }
                self.finish_acw(now);
            }
            Command::Hold
            | Command::Retrieve
            | Command::Mute
            | Command::Unmute
            | Command::HangUp
            | Command::Dial { .. }
            | Command::DialListed { .. }
            | Command::Consult { .. }
            | Command::CancelConsult
            | Command::Confer
            | Command::CompleteTransfer
            | Command::Transfer { .. }
            | Command::TransferOnAnswer { .. }
            | Command::Suspend { .. }
            | Command::SendKeys { .. }
            | Command::Supervise { .. }
            | Command::Intercept
            | Command::ForceRelease { .. }
            | Command::Force { .. }
            | Command::ControlRecording { .. }
            | Command::PauseRecording
            | Command::MaskRecording
            | Command::ResumeRecording
            | Command::StartRecording
            | Command::StopRecording => {
                return Err(refused);
            }
        }
        Ok(())
    }

    fn sign_in(
        &mut self,
        extension: Option<Extension>,
        outside: Option<Pii<String>>,
        now: Now,
    ) -> Result<(), ()> {
        self.go(PresenceEvent::SignIn)?;
        self.extension = extension.or_else(|| Some(self.config.extension.clone()));
        self.outside = outside;
        self.device = true;
        match self.config.sign_in_state {
            SignInState::Idle => self.become_idle(PresenceEvent::SetReady, now),
            SignInState::Busy => self.reason = Some(BusyReason::Own),
        }
        Ok(())
    }

    pub(super) fn command_for_later(&mut self, command: &Command) -> Result<(), Refused> {
        let refused = Refused::WrongState { display: self.display(), command: command.action() };
        self.pending = match command {
            Command::SetReady => None,
            Command::SetBusy { reason } => Some(Pending::Busy(
                BusyReason::chosen(*reason).ok_or(Refused::UnknownReason(*reason))?,
            )),
            Command::SetRest { planned } => Some(Pending::Rest { planned: *planned }),
            Command::SignOut => Some(Pending::SignOut),
            Command::EnterAcw => Some(Pending::Acw),
            Command::SignIn { .. }
            | Command::SignInOutside { .. }
            | Command::FinishAcw
            | Command::Hold
            | Command::Retrieve
            | Command::Mute
            | Command::Unmute
            | Command::HangUp
            | Command::Dial { .. }
            | Command::DialListed { .. }
            | Command::Consult { .. }
            | Command::CancelConsult
            | Command::Confer
            | Command::CompleteTransfer
            | Command::Transfer { .. }
            | Command::TransferOnAnswer { .. }
            | Command::Suspend { .. }
            | Command::SendKeys { .. }
            | Command::Supervise { .. }
            | Command::Intercept
            | Command::ForceRelease { .. }
            | Command::Force { .. }
            | Command::ControlRecording { .. }
            | Command::PauseRecording
            | Command::MaskRecording
            | Command::ResumeRecording
            | Command::StartRecording
            | Command::StopRecording => return Err(refused),
        };
        Ok(())
    }
}
