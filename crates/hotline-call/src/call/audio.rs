//! What is heard and recorded between the two.

use hotline_base::{
    LegId, PlayId, RecordingId,
    media::{Hears, Order, Play},
};

use super::{AgentState, Call, CallFact, Now, OfferUpdate, Output, Party};
use crate::naming::{recording_id, recording_path};

/// Plays of the call itself are numbered from here; below are those of the flow.
const HOLD_PLAYS: u64 = 1 << 32;

impl Call {
    /// Two-way speech.
    pub(super) fn bridge(&mut self, now: Now) {
        let Some(side) = &mut self.agent else { return };
        if side.state != AgentState::Announcing {
            return;
        }
        side.state = AgentState::Talking;
        let (offer, leg) = (side.offering.offer, side.offering.leg);
        self.mix(leg, true);
        self.fact(CallFact::Bridged { offer }, now);
        self.outputs.push_back(Output::Offer { offer, update: OfferUpdate::Bridged });
        self.leave_queue(super::QueueExit::Answered, now);
        self.outputs.push_back(Output::Keep);
    }

    /// `open` lets the two hear each other; otherwise each hears silence, or a play.
    fn mix(&mut self, agent: LegId, open: bool) {
        let caller = self.caller.leg;
        let hears = [(caller, agent), (agent, caller)].map(|(listener, speaker)| {
            let speakers = if open { vec![speaker] } else { Vec::new() };
            Hears { listener, speakers }
        });
        self.media(Order::Mix { hears: hears.to_vec() });
    }

    /// Records caller (left) and agent (right) from the agent's answer on.
    pub(super) fn start_recording(&mut self, now: Now) {
        self.n_recordings += 1;
        let recording = recording_id(self.id, self.n_recordings, now.wall);
        let path = recording_path(&recording, now.wall);
        let caller = self.caller.leg;
        let Some(side) = &mut self.agent else { return };
        side.recording = Some(recording.clone());
        let (offer, agent) = (side.offering.offer, side.offering.leg);
        self.recordings.insert(recording.clone());
        self.media(Order::Record {
            recording: recording.clone(),
            path: path.clone(),
            left: caller,
            right: agent,
        });
        self.fact(CallFact::RecordingStarted { recording, path, offer }, now);
    }

    pub(super) fn stop_recording(&mut self, recording: Option<RecordingId>) {
        if let Some(recording) = recording {
            self.media(Order::StopRecord { recording });
        }
    }

    /// 保持 by command: the caller hears music, the agent silence.
    ///
    /// Says whether there is a talk to hold.
    pub fn hold(&mut self, now: Now) -> bool {
        self.set_hold(now, |it| it.held_by_desk = true)
    }

    /// 恢复 by command.
    pub fn retrieve(&mut self, now: Now) -> bool {
        self.set_hold(now, |it| it.held_by_desk = false)
    }

    pub(super) fn hold_by_phone(&mut self, held: bool, now: Now) {
        self.set_hold(now, |it| it.held_by_phone = held);
    }

    fn set_hold(&mut self, now: Now, change: impl FnOnce(&mut super::AgentSide)) -> bool {
        let Some(side) = &mut self.agent else { return false };
        let before = side.is_held();
        change(side);
        let after = side.is_held();
        let (offer, leg, state) = (side.offering.offer, side.offering.leg, side.state);
        if state != AgentState::Talking {
            return false;
        }
        if before == after {
            return true;
        }
        self.mix(leg, !after);
        let by = Party::Agent;
        if after {
            self.start_hold_music();
            self.fact(CallFact::Held { offer, by }, now);
            self.outputs.push_back(Output::Offer { offer, update: OfferUpdate::Held });
        } else {
            self.stop_hold_music();
            self.fact(CallFact::Retrieved { offer, by }, now);
            self.outputs.push_back(Output::Offer { offer, update: OfferUpdate::Retrieved });
        }
        true
    }

    fn start_hold_music(&mut self) {
        self.n_holds += 1;
        self.media(Order::Play(Play {
            leg: self.caller.leg,
            play: PlayId(HOLD_PLAYS + self.n_holds),
            prompts: vec![self.config.hold_music.clone()],
            times: 0,
            gap_ms: 0,
            stop_on_key: false,
            grace_ms: 0,
            limit_ms: 0,
        }));
    }

    pub(super) fn stop_hold_music(&mut self) {
        let play = PlayId(HOLD_PLAYS + self.n_holds);
        self.media(Order::Stop { leg: self.caller.leg, play });
    }
}
