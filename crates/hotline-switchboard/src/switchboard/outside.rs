//! 外线坐席: agents whose telephone is a number outside (手机, 固话), rung over a trunk like anybody
//! whom an agent calls, with the same plans, caps and displayed numbers.

use hotline_agent::{Agent, Command, Refused};
use hotline_base::{AgentNo, CallId, Extension, LegId, Now, Pii};
use hotline_call::{LegEnd, LegEvent};
use hotline_trunk::normalise_caller;

use super::Switchboard;

impl Switchboard {
    /// What may ring for an agent is what he may dial, if he may sit outside at all. Nobody sits at
    /// an emergency number.
    pub(super) fn sign_in_outside(
        &mut self,
        no: &AgentNo,
        number: &Pii<String>,
        now: Now,
    ) -> Result<(), Refused> {
        let outbound = &self.config.outbound;
        let agent = self.agents.get(no).ok_or(Refused::UnknownAgent)?;
        let dialer = outbound.dialers.get(no).filter(|it| it.outside_seat);
        let plan = dialer.and_then(|it| it.plan.as_ref()).ok_or(Refused::NotPermitted)?;
        let number = normalise_caller(number.reveal(), outbound.area_code.as_deref())
            .ok_or(Refused::NotANumber)?;
        if self.guard.is_emergency(&number) || !plan.permits(&number) {
            return Err(Refused::NotPermitted);
        }
        if self.trunks_out(None, dialer, &number, now).is_empty() {
            return Err(Refused::NoTrunk);
        }
        let number = Pii::new(number);
        let extension = &agent.config().extension;
        let is_taken = |it: &Agent| it.no() != no && it.outside() == Some(&number);
        if self.desks.at(extension).is_some_and(|it| it != no) || self.agents.values().any(is_taken)
        {
            return Err(Refused::ExtensionTaken);
        }
        let agent = self.agents.get_mut(no).ok_or(Refused::UnknownAgent)?;
        agent.command(&Command::SignInOutside { number }, now)
    }

    /// Whose desk it is, and the number, when what rings there is outside.
    pub(super) fn outside_at(&self, extension: &Extension) -> Option<(AgentNo, Pii<String>)> {
        let no = self.desks.at(extension)?;
        let number = self.agents.get(no)?.outside()?;
        Some((no.clone(), number.clone()))
    }

    /// Rings an agent outside for his part of a call. What the guards or the routes do not allow
    /// any more is a telephone that cannot be reached.
    pub(super) fn ring_outside(
        &mut self,
        (id, leg): (CallId, LegId),
        (no, number): (AgentNo, Pii<String>),
        sdp: String,
        now: Now,
    ) {
        let Ok((number, display, _)) = self.permitted(&no, &number, None, now) else {
            let gone = LegEvent::Ended(LegEnd::NoResponse);
            return self.step(id, now, |call, env, now| call.handle_leg(leg, gone, env, now));
        };
        let shown = number.clone();
        self.step(id, now, |call, _, now| call.rings_outside(leg, shown, now));
        let ring_limit = self.ring_limit_of(id, leg);
        self.dial_over((id, leg), Some(&no), (number, display, ring_limit), sdp, now);
    }
}
