//! What an agent's own commands do to him: at once, or when his line is free again.

use hotline_base::{Extension, Now, Pii};

use super::{Agent, SignInState, Until};
use crate::{BusyReason, Command, Line, Pending, Presence, PresenceEvent, Refused};

impl Agent {
    pub(super) fn carry_out(&mut self, command: &Command, now: Now) -> Result<(), Refused> {
        let refused = Refused::WrongState { display: self.display(), command: command.action() };
        let is_free = self.line == Line::Free;
        let done = match command {
            Command::SignIn { extension } if is_free => self.sign_in(extension.clone(), None, now),
            Command::SignInOutside { number } if is_free => {
                self.sign_in(None, Some(number.clone()), now)
            }
            Command::SignOut => self.wish(Pending::SignOut, now),
            Command::SetReady if !is_free => {
                self.pending = None;
                Ok(())
            }
            Command::SetReady if self.presence == Presence::SignedOut => Err(()),
            Command::SetReady if !self.device => return Err(Refused::NotRegistered),
            Command::SetReady if self.presence == Presence::Idle => Ok(()),
            Command::SetReady => {
                self.become_idle(PresenceEvent::SetReady, now);
                Ok(())
            }
            Command::SetBusy { reason } => {
                let reason = BusyReason::chosen(*reason).ok_or(Refused::UnknownReason(*reason))?;
                self.wish(Pending::Busy(reason), now)
            }
            Command::SetRest { planned } => self.wish(Pending::Rest { planned: *planned }, now),
            Command::EnterAcw => self.wish(Pending::Acw, now),
            Command::FinishAcw if self.presence == Presence::Acw => {
                self.finish_acw(now);
                Ok(())
            }
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
            | Command::StopRecording => Err(()),
        };
        done.map_err(|()| refused)
    }

    /// Away from callers: now, or after the call that is on the line.
    fn wish(&mut self, wish: Pending, now: Now) -> Result<(), ()> {
        if self.line != Line::Free {
            self.pending = Some(wish);
            return Ok(());
        }
        match wish {
            Pending::SignOut => self.sign_out()?,
            Pending::Busy(reason) => {
                self.go(PresenceEvent::SetBusy)?;
                self.reason = Some(reason);
            }
            Pending::Rest { planned } => {
                self.go(PresenceEvent::SetRest)?;
                self.until = Some(Until::after(planned, now));
            }
            Pending::Acw => self.go(PresenceEvent::EnterAcw)?,
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
}
