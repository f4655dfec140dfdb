//! A process of the engine died: what of a call goes on, and what becomes of the rest.

use hotline_cdr::RecordingChange;

use super::{
    AgentState, Arc, BTreeSet, Call, CallFact, CallerState, EndReason, Environment, LegId,
    MonoTime, Now, OfferEnd, Order, Output, Party, Phase, RecordingId, RefusedWhy, Stamped,
    WallTime,
};

/// What a media process has, as it says itself.
#[derive(Clone, Copy, Debug)]
pub struct Alive<'a> {
    pub legs: &'a [LegId],
    pub recordings: &'a [RecordingId],
    /// When it began.
    pub began: WallTime,
}

impl Call {
    /// The media process is gone, and with it every sound. The next one brings back the legs that
    /// it can, says so, and seals the recordings that broke off. The call waits until
    /// [`reconcile`](Self::reconcile).
    pub fn media_down(&mut self, now: Now) {
        for recording in &self.recordings {
            self.broken_off.entry(recording.clone()).or_insert(now.mono);
        }
        match self.phase {
            Phase::Live => self.media_died = true,
            Phase::Closing { .. } => {
                self.open_legs.clear();
                self.complete_if_closed(now);
            }
            Phase::Done => (),
        }
    }

    /// No media process came back in time.
    pub fn media_lost(&mut self, env: &dyn Environment, now: Now) {
        self.open_legs.clear();
        self.media_died = false;
        match self.phase {
            Phase::Live => self.end(Party::Platform, EndReason::MediaFailed, None, env, now),
            Phase::Closing { .. } => self.complete_if_closed(now),
            Phase::Done => (),
        }
    }

    /// After the death of control or of media: media's list of the legs and recordings that live. A
    /// leg that is not there is gone; what a new media process cannot know is ordered again.
    pub fn reconcile(&mut self, alive: &Alive<'_>, env: &dyn Environment, now: Now) {
        let Alive { legs, recordings, began } = *alive;
        let unseen = self.breaks_off_unseen(recordings, now) || self.was_replaced_unseen(began);
        let media_died = std::mem::take(&mut self.media_died) || unseen;
        let lost: BTreeSet<_> =
            self.open_legs.iter().copied().filter(|it| !legs.contains(it)).collect();
        self.open_legs.retain(|it| !lost.contains(it));
        self.close_strays();
        if media_died {
            self.forget_sound();
        }
        if unseen && self.phase == Phase::Live {
            // It may not outlive this: its flow ended with control.
            self.fact(CallFact::MediaRestarted, now);
            self.outputs.push_back(Output::Keep);
        }
        if self.phase == Phase::Live {
            self.broken_off.retain(|it, _| !recordings.contains(it));
            self.lose(lost, media_died, env, now);
        }
        if self.phase == Phase::Live {
            if media_died && !unseen {
                self.fact(CallFact::MediaRestarted, now);
                self.outputs.push_back(Output::Keep);
            }
            self.resume_sound(media_died, recordings, now);
        }
        self.complete_if_closed(now);
    }

    /// Both processes died: nobody who lives saw media go, but what ran there does not run now.
    fn breaks_off_unseen(&mut self, recordings: &[RecordingId], now: Now) -> bool {
        let is_restored = self.audio.recording.is_none() && !self.has_flow();
        let Some(ran) = self.running_recording().filter(|_| is_restored && self.is_open()) else {
            return false;
        };
        let failed = |it: &Arc<Stamped>| {
            let CallFact::RecordingFailed { recording, .. } = &it.fact else { return false };
            *recording == ran
        };
        // One that failed may never have run.
        if recordings.contains(&ran) || self.facts.iter().any(failed) {
            return false;
        }
        self.broken_off.entry(ran).or_insert(now.mono);
        true
    }

    /// The same of a call that nobody recorded: the process that has its legs now began after them,
    /// and no control before this one had seen that.
    fn was_replaced_unseen(&self, began: WallTime) -> bool {
        let replaced = |it: &&Arc<Stamped>| it.fact == CallFact::MediaRestarted;
        let known = self.facts.iter().rev().find(replaced).or(self.facts.first());
        let restored = self.facts.iter().any(|it| it.fact == CallFact::ControlRestarted);
        restored && known.is_some_and(|it| it.at.wall < began)
    }

    /// Whether this leg is the call's and is not known to be closed.
    pub fn has_leg(&self, leg: LegId) -> bool {
        self.open_legs.contains(&leg)
    }

    /// Legs whose party left while nobody could be told to close them.
    fn close_strays(&mut self) {
        let is_there = !matches!(
            self.caller.state,
            CallerState::Left | CallerState::Gone | CallerState::Waits
        );
        let caller = is_there.then_some(self.caller.leg);
        let agent = self.agent.as_ref().map(|it| it.offering.leg);
        let guests = self.guests.iter().map(|it| it.leg);
        let parties: BTreeSet<_> = caller.into_iter().chain(agent).chain(guests).collect();
        for leg in self.open_legs.difference(&parties).copied().collect::<Vec<_>>() {
            self.media(Order::Close { leg });
        }
    }

    /// Legs that did not come back.
    fn lose(&mut self, lost: BTreeSet<LegId>, media_died: bool, env: &dyn Environment, now: Now) {
        if lost.contains(&self.caller.leg) {
            return self.fail_for_media(RefusedWhy::MediaDown, env, now);
        }
        let side = self.agent.as_ref().filter(|it| lost.contains(&it.offering.leg));
        match side.map(|it| it.state) {
            Some(AgentState::Announcing | AgentState::Talking) => {
                return self.end(Party::Platform, EndReason::MediaFailed, None, env, now);
            }
            Some(AgentState::Opening { .. } | AgentState::Dialing | AgentState::Settling) => {
                self.end_offer(OfferEnd::System, env, now);
            }
            None => (),
        }
        let is_dialling = self.is_outbound() && media_died;
        if self.session.is_none() && !self.is_open() && !is_dialling {
            // The flow cannot go on without its process.
            return self.end(Party::Platform, EndReason::Internal, None, env, now);
        }
        for leg in lost {
            self.guest_lost(leg, OfferEnd::System, env, now);
        }
        // Nobody talks yet while the flow has the caller.
        if self.is_open() {
            self.settle_parties(Party::Platform, env, now);
        }
    }

    /// Who hears whom, what is played and what is recorded, for a media process that has brought
    /// back the legs alone.
    fn resume_sound(&mut self, media_died: bool, recordings: &[RecordingId], now: Now) {
        self.silence_strays();
        if self.suspended.is_none() && !self.has_flow() {
            // The flow that wanted it ended with its process.
            self.mask_by_flow(false, now);
            self.mute_by_node(None, now);
        }
        if media_died {
            self.play_again();
            self.dial_tones_again();
            self.ask_again();
        }
        self.heed_tones_again();
        let runs = self.recordings.iter().any(|it| recordings.contains(it));
        let wants = self.is_open() || self.audio.kept_by.is_some();
        if !self.recordings.is_empty() && !runs && wants {
            self.record_again(now);
        }
    }

    /// How long a recording that broke off should be: to the end of the last agent in it, at most
    /// to the death of its process.
    pub(super) fn recorded_ms(&self, recording: &RecordingId, broke_off: MonoTime) -> u64 {
        let started = self.facts.iter().find_map(|it| {
            let (id, _, offer) = it.fact.recording_started()?;
            (id == recording).then_some((it.at.mono, offer))
        });
        let Some((began, first)) = started else { return 0 };
        let length =
            |ended: MonoTime| u64::try_from(ended.since(began).as_millis()).unwrap_or(u64::MAX);
        let stopped = self.facts.iter().find_map(|it| {
            let (id, _, change) = it.fact.recording_change()?;
            (id == recording && change == RecordingChange::Stopped).then_some(it.at.mono)
        });
        if let Some(ended) = stopped.or(first.is_none().then_some(broke_off)) {
            return length(ended.min(broke_off));
        }
        let mut offers: BTreeSet<_> = first.into_iter().collect();
        let mut ended = began;
        for it in &self.facts {
            if let CallFact::RecordingFollows { recording: id, offer } = &it.fact
                && id == recording
            {
                offers.insert(*offer);
            } else if let Some(offer) = left_by(&it.fact)
                && offers.remove(&offer)
            {
                ended = it.at.mono;
            }
        }
        length(if offers.is_empty() { ended.min(broke_off) } else { broke_off })
    }
}

/// Whose part of the call this ends.
const fn left_by(fact: &CallFact) -> Option<hotline_base::OfferId> {
    if let CallFact::AgentReleased { offer, .. } = fact {
        return Some(*offer);
    }
    if let CallFact::OfferEnded { offer, .. } = fact { Some(*offer) } else { None }
}
