//! What agents do by the keys of their telephones instead of by command: give a caller away
//! (REFER), call somebody beside him (INVITE), connect the two (REFER with Replaces, RFC 5589 §7),
//! and go on at another of their telephones (INVITE with Replaces, RFC 3891).

use hotline_agent::{Action, Refused};
use hotline_base::{AgentNo, CallId, Extension, LegId, Now, Pii};
use hotline_call::PhoneCall;
use hotline_ladder::Role;
use hotline_sip::{Invited, Replaced};

use super::{Output, Switchboard};

/// Beginning of the keys under which it is kept who waits for what becomes of a REFER.
pub(super) const REFER_KEPT: &str = "refer/";

impl Switchboard {
    /// REFER of a telephone, for the agent who has the caller, under the same conditions as by
    /// command: 盲转, or the end of a consultation. Nobody else may ask for it.
    pub(super) fn referred(
        &mut self,
        leg: LegId,
        to: &Pii<String>,
        replaces: Option<Replaced>,
        now: Now,
    ) {
        let asked = self.refer(leg, to, replaces, now);
        if let Ok(call) = asked {
            self.refers.insert(call, leg);
        }
        // Before the BYE that the transfer leads to.
        self.endpoint.answer_refer(leg, asked.err().unwrap_or(202), now);
        if let (Ok(call), Some(value)) = (asked, self.endpoint.save_refer(leg)) {
            self.outputs.push_back(Output::Keep { key: refer_key(call), value: Some(value) });
        }
    }

    /// A telephone that waited for the end of its transfer when an earlier process died. How far
    /// that had come is not kept, and who was called by it is let go: it did not succeed. One that
    /// had succeeded was told so at once.
    pub(super) fn restore_refer(&mut self, key: &str, value: &[u8], now: Now) {
        match self.endpoint.restore_refer(value, now) {
            Some(leg) => {
                self.endpoint.refer_done(leg, 503, now);
                self.forget_kept(key);
            }
            None => self.not_restored(key),
        }
    }

    /// Nobody waits any more for what becomes of a REFER in this call.
    pub(super) fn drop_refer(&mut self, call: CallId) -> Option<LegId> {
        let leg = self.refers.remove(&call)?;
        self.forget_kept(&refer_key(call));
        Some(leg)
    }

    fn refer(
        &mut self,
        leg: LegId,
        to: &Pii<String>,
        replaces: Option<Replaced>,
        now: Now,
    ) -> Result<CallId, u16> {
        let id = self.legs.get(&leg).copied().ok_or(403_u16)?;
        let call = self.calls.get(&id).map(|it| &it.call).ok_or(403_u16)?;
        let other = match replaces {
            Some(Replaced::Leg(other)) => Some(other),
            Some(Replaced::Nothing) => None,
            None => {
                let agent = call.agent().filter(|it| it.2 == leg);
                let no = agent.map(|it| it.1.clone()).ok_or(403_u16)?;
                let target = self.named(to);
                self.transfer(&no, &target, now).map_err(|why| status_of(&why))?;
                return Ok(id);
            }
        };
        // RFC 3891 §3: both dialogs are this telephone's, or there is none.
        let own = other.and_then(|other| call.consults_between(leg, other));
        let no = own.cloned().ok_or(481_u16)?;
        let mut done = false;
        self.step(id, now, |call, env, now| done = call.complete_transfer(&no, env, now));
        if done { Ok(id) } else { Err(481) }
    }

    /// What became of the transfer that a REFER asked for.
    pub(super) fn transferred(&mut self, call: CallId, status: u16, now: Now) {
        if let Some(leg) = self.drop_refer(call) {
            self.endpoint.refer_done(leg, status, now);
        }
    }

    /// An agent's telephone calls. One that is refused is told why in words, too (RFC 3261 §20.43).
    pub(super) fn phone_calls(&mut self, it: Invited, extension: &Extension, now: Now) {
        let leg = it.leg;
        if let Some(old) = it.replaces {
            if let Err(status) = self.take_over(it, extension, old, now) {
                self.endpoint.refuse(leg, status, now);
            }
            return;
        }
        let Some(no) = self.desks.at(extension).cloned() else {
            let why = "nobody is signed in with this extension";
            return self.endpoint.refuse_because(leg, 403, why, now);
        };
        // With a caller it asks somebody; without one it calls somebody.
        let has_call = self.agents.get(&no).is_some_and(|it| it.call().is_some());
        let done = if has_call {
            self.consult_by_phone(it, &no, extension, now)
        } else {
            let number = Pii::new(it.request_user.clone());
            self.dial_by_phone(&no, &number, self.audio_of(it, extension), now)
        };
        if let Err(why) = done {
            self.endpoint.refuse_because(leg, status_of(&why), &why.to_string(), now);
        }
        self.agent_changed(&no, now);
    }

    /// 咨询: a second call of the telephone of an agent who has a caller.
    fn consult_by_phone(
        &mut self,
        it: Invited,
        no: &AgentNo,
        extension: &Extension,
        now: Now,
    ) -> Result<(), Refused> {
        let call = self.call_for(no, Action::Consult)?;
        if !self.calls.get(&call).is_some_and(|it| it.call.may_consult(no)) {
            return Err(self.wrong_state(no, Action::Consult));
        }
        let target = self.named(&Pii::new(it.request_user.clone()));
        let joining = self.joining(call, no, &target, false, now)?;
        self.add_phone(call, it.leg, extension, now);
        let (leg, audio) = (it.leg, self.audio_of(it, extension));
        let begun = self.call_in((call, Action::Consult), no, joining, now, |call, it, _, now| {
            call.consult_by_phone(no, audio, it, now)
        });
        if begun.is_err() {
            self.legs.remove(&leg);
        }
        begun
    }

    /// Another telephone of the agent takes his part of a call over.
    fn take_over(
        &mut self,
        it: Invited,
        extension: &Extension,
        old: LegId,
        now: Now,
    ) -> Result<(), u16> {
        let call = self.legs.get(&old).copied().ok_or(481_u16)?;
        let no = self.desks.at(extension).cloned().ok_or(403_u16)?;
        self.add_phone(call, it.leg, extension, now);
        let (leg, audio) = (it.leg, self.audio_of(it, extension));
        let mut done = false;
        self.step(call, now, |call, _, now| done = call.take_over(&no, old, audio, now));
        if done {
            return Ok(());
        }
        // It is another's, who need not be told apart from nobody.
        self.legs.remove(&leg);
        Err(481)
    }

    /// What a telephone's INVITE describes, or how our offer to it has to be where it has none.
    fn audio_of(&self, it: Invited, extension: &Extension) -> PhoneCall {
        let profile = self.srtp_of(extension).profile(it.flow.transport);
        (it.leg, it.sdp, profile)
    }

    /// A telephone calls into a call.
    fn add_phone(&mut self, call: CallId, leg: LegId, extension: &Extension, now: Now) {
        self.legs.insert(leg, call);
        self.media_legs.insert(leg, call);
        if let Some(entry) = self.calls.get_mut(&call) {
            entry.media_legs.push(leg);
        }
        self.join_ladder(call, leg, Role::Phone(extension.clone()), now);
    }
}

/// Under which a subscription outlives the process.
fn refer_key(call: CallId) -> String {
    format!("{REFER_KEPT}{call}")
}

/// What a telephone is told when its wish is not carried out.
const fn status_of(why: &Refused) -> u16 {
    match why {
        Refused::NotANumber
        | Refused::NotOwnNumber
        | Refused::UnknownAgent
        | Refused::UnknownFlow
        | Refused::UnknownEntry => 404,
        Refused::TargetAway | Refused::NotRegistered | Refused::Late => 480,
        Refused::NoTrunk | Refused::Closed => 503,
        Refused::NotPermitted
        | Refused::TooManyCalls
        | Refused::AbroadBlocked
        | Refused::NotSupervisor
        | Refused::NoCall
        | Refused::UnknownCall
        | Refused::WrongRecording
        | Refused::ExtensionTaken
        | Refused::UnknownReason(_)
        | Refused::WrongState { .. }
        | Refused::WrongLine { .. } => 403,
    }
}
