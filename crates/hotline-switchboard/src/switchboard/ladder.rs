//! Which messages belong to which call, and whose ladder is stored.

use hotline_base::{CallId, CommandId, LegId, Now};
use hotline_call::SavedCall;
use hotline_cdr::{CallRecord, EndReason};
use hotline_ladder::Role;
use hotline_sip::EndWhy;

use super::{Output, Switchboard, look::Arrived};

impl Switchboard {
    /// From now on the leg's messages are the call's.
    pub(super) fn join_ladder(&mut self, call: CallId, leg: LegId, role: Role, now: Now) {
        if let Some(call_id) = self.endpoint.call_id(leg) {
            self.ladders.join(call, role, call_id, now);
        }
    }

    /// A peer that does not answer says nothing that could be seen in its messages.
    pub(super) fn note_ladder_end(&mut self, leg: LegId, why: EndWhy) {
        let is_failure = match why {
            EndWhy::NoResponse | EndWhy::AckMissing | EndWhy::ConnectionGone | EndWhy::Expired => {
                true
            }
            // A refusal is seen on the wire; the others are the ordinary course of calls.
            EndWhy::Refused { .. }
            | EndWhy::Bye { .. }
            | EndWhy::Cancelled
            | EndWhy::NoAnswer
            | EndWhy::Local => false,
        };
        if let Some(call) = self.legs.get(&leg).filter(|_| is_failure) {
            self.ladders.fail(*call);
        }
    }

    pub(super) fn end_ladder(&mut self, record: &CallRecord, now: Now) {
        let is_well = match record.reason {
            Some(EndReason::Normal { .. } | EndReason::Cancelled) | None => true,
            Some(
                EndReason::Refused
                | EndReason::AckMissing
                | EndReason::MediaLost
                | EndReason::MediaFailed
                | EndReason::PeerGone
                | EndReason::SessionExpired
                | EndReason::Internal,
            ) => false,
        };
        if !is_well {
            self.ladders.fail(record.call);
        }
        if record.complete {
            self.ladders.end(record.call, now);
        }
    }

    /// What was said before the restart is not kept; what follows is.
    pub(super) fn restore_ladder(&mut self, it: &SavedCall<'_>, from: Option<&Arrived>, now: Now) {
        if let (Some(leg), Some(from)) = (it.caller, from) {
            self.join_ladder(it.call, leg, Role::Carrier(from.trunk.clone()), now);
        }
        let Some(talk) = &it.talk else { return };
        let phone = self.agents.get(&talk.agent).and_then(|it| it.extension().cloned());
        if let Some(phone) = phone {
            self.join_ladder(it.call, talk.leg, Role::Phone(phone), now);
        }
    }

    pub(super) fn show_ladder(&mut self, id: CommandId, call: CallId, store: bool, now: Now) {
        let trace = self.ladders.trace(call).cloned().map(Box::new);
        if store {
            self.ladders.want(call, now);
        }
        self.outputs.push_back(Output::LadderShown { id, trace });
    }

    /// Gives out what is due. Once the engine drains, nothing waits for stragglers.
    pub(super) fn store_ladders(&mut self, now: Now) {
        if self.draining {
            self.ladders.hurry(now.mono);
        }
        while let Some(trace) = self.ladders.pop_stored(now.mono) {
            self.outputs.push_back(Output::Ladder(Box::new(trace)));
        }
    }
}
