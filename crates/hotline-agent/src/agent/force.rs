//! What a supervisor makes of an agent.

use hotline_base::Now;

use super::Agent;
use crate::{Action, BusyReason, Command, Forced, Line, Presence, Refused};

impl Agent {
    /// A supervisor decides for the agent.
    pub fn force(&mut self, to: Forced, now: Now) -> Result<(), Refused> {
        match to {
            Forced::Ready => return self.command(&Command::SetReady, now),
            Forced::SignedOut => return self.command(&Command::SignOut, now),
            Forced::Busy => (),
        }
        if self.presence == Presence::SignedOut {
            return Err(Refused::WrongState { display: self.display(), command: Action::Force });
        }
        let before = self.shown();
        if self.line == Line::Free {
            self.force_busy(BusyReason::Forced);
        } else {
            self.want_aside(BusyReason::Forced);
        }
        self.tell(before, now);
        Ok(())
    }
}
