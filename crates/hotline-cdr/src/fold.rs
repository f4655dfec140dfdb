//! From facts to a record, in one pass.

use std::{sync::Arc, time::Duration};

use hotline_base::{AgentNo, CallId, Extension, GroupId, LegId, Now, OfferId};

use crate::{
    CallFact, CallRecord, CallSegment, CalledParty, EndReason, Incoming, Outcome, Party, PartyRole,
    QueueExit, QueueSegment, Rating, RecordedAudio, ShortAfter, Stamped, exported, tags,
};

/// Folds a call's facts, oldest first, into its record. `complete` says that no fact will follow.
pub fn fold(call: CallId, complete: bool, facts: &[Arc<Stamped>], short: ShortAfter) -> CallRecord {
    let mut it = Fold::new(call, complete);
    for stamped in facts {
        it.take(stamped.at, &stamped.fact);
    }
    it.finish(facts, short)
}

struct Fold {
    record: CallRecord,
    arrived: Option<Now>,
    released: Option<Now>,
    first_queued: Option<Now>,
    first_bridged: Option<Now>,
    queued: Vec<Now>,
    /// Of each segment.
    visits: Vec<Visit>,
    /// Who watches only.
    supervisors: Vec<(OfferId, LegId, CalledParty)>,
    rang_at_end: bool,
    is_outbound: bool,
}

/// Since when an agent is connected, and since when he holds.
#[derive(Default)]
struct Visit {
    bridged: Option<Now>,
    held: Option<Now>,
}

impl Fold {
    fn new(call: CallId, complete: bool) -> Self {
        Self {
            record: CallRecord {
                call,
                version: if complete { 2 } else { 1 },
                complete,
                trunk: None,
                caller: None,
                caller_raw: None,
                restricted: false,
                called: String::new(),
                called_raw: String::new(),
                flow: None,
                bundle: String::new(),
                t_in: None,
                t_ans: None,
                t_ivr0: None,
                t_ivr1: None,
                t_req: None,
                t_br: None,
                t_rel: None,
                duration_ms: 0,
                wait_ms: 0,
                talk_ms: 0,
                queues: Vec::new(),
                segments: Vec::new(),
                ratings: Vec::new(),
                surveys_offered: 0,
                tags: Vec::new(),
                exported: Vec::new(),
                recordings: Vec::new(),
                released_by: None,
                reason: None,
                cause: None,
                refused_status: None,
                outcome: Outcome::InFlow,
                control_restarted: false,
                facts: Vec::new(),
            },
            arrived: None,
            released: None,
            first_queued: None,
            first_bridged: None,
            queued: Vec::new(),
            visits: Vec::new(),
            supervisors: Vec::new(),
            rang_at_end: false,
            is_outbound: false,
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm a fact")]
    fn take(&mut self, at: Now, fact: &CallFact) {
        let wall = Some(at.wall);
        let record = &mut self.record;
        match fact {
            CallFact::Arrived(it) => self.take_arrival(at, it),
            CallFact::Refused { status, .. } => record.refused_status = Some(*status),
            CallFact::Answered => record.t_ans = record.t_ans.or(wall),
            CallFact::FlowEntered => record.t_ivr0 = record.t_ivr0.or(wall),
            CallFact::FlowLeft => record.t_ivr1 = record.t_ivr1.or(wall),
            CallFact::PersonRequested => record.t_req = record.t_req.or(wall),
            CallFact::ControlRestarted => record.control_restarted = true,
            CallFact::Ended { by, reason, cause } => {
                record.reason = Some(reason.clone());
                self.take_release(at, *by, *cause);
            }
            CallFact::CallerLeft { by, cause } => self.take_release(at, *by, *cause),
            CallFact::Enqueued { .. }
            | CallFact::EnqueueRefused { .. }
            | CallFact::LeftQueue { .. } => self.take_queue(at, fact),
            CallFact::Offered { .. }
            | CallFact::AgentCalled { .. }
            | CallFact::Ringing { .. }
            | CallFact::OfferEnded { .. }
            | CallFact::PhoneChanged { .. }
            | CallFact::AgentAnswered { .. }
            | CallFact::Bridged { .. }
            | CallFact::Held { .. }
            | CallFact::Retrieved { .. }
            | CallFact::AgentReleased { .. } => self.take_agent(at, fact),
            CallFact::PartyCalled { .. } | CallFact::PartyMoved { .. } => self.take_party(at, fact),
            CallFact::RecordingFollows { .. }
            | CallFact::RecordingStarted { .. }
            | CallFact::RecordingSealed { .. }
            | CallFact::RecordingControlled(_)
            | CallFact::RecordingFailed { .. } => self.take_recording(at, fact),
            CallFact::SurveyOffered { .. } | CallFact::Rated(_) => self.take_flow(at, fact),
            CallFact::Dialled { .. } | CallFact::WentOut { .. } => self.take_way(at, fact),
            CallFact::Node { .. }
            | CallFact::RecordingRecovered { .. }
            // Of these the last counts: see `finish`.
            | CallFact::Tagged { .. }
            | CallFact::Untagged { .. }
            | CallFact::Exported { .. }
            | CallFact::WayRefused { .. }
            | CallFact::WayFull { .. }
            | CallFact::PartyRinging
            | CallFact::FlowLogged { .. }
            | CallFact::FlowError { .. }
            | CallFact::MediaQuiet { .. }
            | CallFact::DialFailed { .. }
            | CallFact::Signalled(_)
            | CallFact::PartyWentOut { .. }
            | CallFact::PartyJoined { .. }
            | CallFact::PartyLeft { .. }
            | CallFact::Transferred { .. }
            | CallFact::LegClosed { .. }
            | CallFact::Hearing { .. }
            | CallFact::ToneHeard { .. }
            | CallFact::LegSounded { .. }
            | CallFact::TakenOver { .. }
            | CallFact::AgentMuted { .. }
            | CallFact::AgentUnmuted { .. }
            | CallFact::RecordingMuted { .. }
            | CallFact::RecordingResumed { .. }
            | CallFact::RecordingMeasured { .. }
            | CallFact::RecordingGaps { .. }
            | CallFact::MediaRestarted
            | CallFact::Suspended { .. }
            | CallFact::Returned(_)
            | CallFact::RecordingStopped { .. }
            | CallFact::RungOutside { .. }
            | CallFact::Listed { .. } => (),
        }
    }

    fn take_arrival(&mut self, at: Now, it: &Incoming) {
        let record = &mut self.record;
        self.arrived = Some(at);
        record.t_in = Some(at.wall);
        record.trunk = Some(it.trunk.clone());
        record.caller.clone_from(&it.caller);
        record.caller_raw = Some(it.caller_raw.clone());
        record.restricted = it.restricted;
        record.called.clone_from(&it.called);
        record.called_raw.clone_from(&it.called_raw);
        record.flow.clone_from(&it.flow);
        record.bundle.clone_from(&it.bundle);
    }

    /// The caller's connection ended: the first who says so counts.
    fn take_release(&mut self, at: Now, by: Party, cause: Option<u16>) {
        if self.released.is_none() {
            self.released = Some(at);
            self.record.t_rel = Some(at.wall);
            self.record.released_by = Some(by);
            self.record.cause = cause;
        }
    }

    fn take_queue(&mut self, at: Now, fact: &CallFact) {
        let queues = &mut self.record.queues;
        if let CallFact::Enqueued { ticket, group, priority, .. } = fact {
            self.first_queued = self.first_queued.or(Some(at));
            self.queued.push(at);
            queues.reserve_exact(1);
            queues.push(QueueSegment {
                ticket: Some(*ticket),
                group: group.clone(),
                priority: *priority,
                t_q: at.wall,
                t_qx: None,
                wait_ms: 0,
                exit: None,
            });
        } else if let CallFact::EnqueueRefused { group, why } = fact {
            self.first_queued = self.first_queued.or(Some(at));
            self.queued.push(at);
            queues.reserve_exact(1);
            queues.push(QueueSegment {
                ticket: None,
                group: group.clone(),
                priority: 0,
                t_q: at.wall,
                t_qx: Some(at.wall),
                wait_ms: 0,
                exit: Some(*why),
            });
        } else if let CallFact::LeftQueue { ticket, why } = fact {
            let open = queues.iter_mut().zip(&self.queued).rev();
            for (segment, since) in open {
                if segment.ticket == Some(*ticket) && segment.exit.is_none() {
                    segment.t_qx = Some(at.wall);
                    segment.wait_ms = millis(since.mono.0, at.mono.0);
                    segment.exit = Some(*why);
                    break;
                }
            }
        }
    }

    /// A call that goes out: to whom, and over which trunk.
    fn take_way(&mut self, at: Now, fact: &CallFact) {
        let record = &mut self.record;
        if let CallFact::Dialled { number, .. } = fact {
            self.arrived = Some(at);
            self.is_outbound = true;
            record.t_in = Some(at.wall);
            record.caller = Some(number.clone());
            record.caller_raw = Some(number.clone());
        } else if let CallFact::WentOut { trunk, display, .. } = fact {
            record.trunk = Some(trunk.clone());
            record.called.clone_from(display);
            record.called_raw.clone_from(display);
        }
    }

    fn take_agent(&mut self, at: Now, fact: &CallFact) {
        if let CallFact::Offered { offer, agent, extension, group, leg, .. }
        | CallFact::AgentCalled { offer, agent, extension, group, leg } = fact
        {
            self.visit(at, (*offer, *leg), (agent, extension, group));
        } else if let CallFact::Ringing { offer } = fact {
            self.with(*offer, |it, _| it.t_ring = it.t_ring.or(Some(at.wall)));
        } else if let CallFact::PhoneChanged { offer, leg } = fact {
            self.with(*offer, |it, _| it.leg = *leg);
            self.supervisors.iter_mut().filter(|it| it.0 == *offer).for_each(|it| it.1 = *leg);
        } else if let CallFact::AgentAnswered { offer } = fact {
            self.with(*offer, |it, _| it.t_agent = Some(at.wall));
        } else if let CallFact::Bridged { offer } = fact {
            self.first_bridged = self.first_bridged.or(Some(at));
            self.record.t_br = self.record.t_br.or(Some(at.wall));
            self.with(*offer, |it, visit| {
                it.t_br = Some(at.wall);
                visit.bridged = Some(at);
            });
        } else if let CallFact::Held { offer, .. } = fact {
            self.with(*offer, |it, visit| {
                if visit.held.is_none() {
                    visit.held = Some(at);
                    it.n_holds += 1;
                }
            });
        } else if let CallFact::Retrieved { offer, .. } = fact {
            self.with(*offer, |it, visit| end_hold(it, &mut visit.held, at));
        } else if let CallFact::OfferEnded { offer, why } = fact {
            self.with(*offer, |it, _| {
                it.t_end = Some(at.wall);
                it.unanswered = Some(*why);
            });
        } else if let CallFact::AgentReleased { offer, by } = fact {
            self.with(*offer, |it, visit| {
                end_hold(it, &mut visit.held, at);
                it.t_end = Some(at.wall);
                it.released_by = Some(*by);
                it.talk_ms = visit.bridged.map_or(0, |since| millis(since.mono.0, at.mono.0));
            });
        }
    }

    /// A visit to an agent's device begins.
    fn visit(
        &mut self,
        at: Now,
        (offer, leg): (OfferId, LegId),
        (agent, extension, group): (&AgentNo, &Extension, &GroupId),
    ) {
        self.visits.push(Visit::default());
        // Most calls have one, and records wait together for the disk.
        self.record.segments.reserve_exact(1);
        self.record.segments.push(CallSegment {
            offer,
            agent: agent.clone(),
            extension: extension.clone(),
            group: group.clone(),
            leg,
            t_off: at.wall,
            t_ring: None,
            t_agent: None,
            t_br: None,
            t_end: None,
            talk_ms: 0,
            hold_ms: 0,
            n_holds: 0,
            recording: None,
            unanswered: None,
            released_by: None,
        });
    }

    /// Agents who are called in have segments like those who are offered; a supervisor has one
    /// from when he takes the call over.
    fn take_party(&mut self, at: Now, fact: &CallFact) {
        if let CallFact::PartyCalled { offer, leg, role, party } = fact {
            let CalledParty::Agent { agent, extension, group } = party else { return };
            if let PartyRole::Supervisor(_) = role {
                self.supervisors.push((*offer, *leg, party.clone()));
            } else {
                self.visit(at, (*offer, *leg), (agent, extension, group));
            }
        } else if let CallFact::PartyMoved { offer, role } = fact {
            let found = self.supervisors.iter().position(|it| it.0 == *offer);
            if let PartyRole::Supervisor(_) = role {
                return;
            }
            let Some(found) = found else { return };
            let (offer, leg, party) = self.supervisors.remove(found);
            if let CalledParty::Agent { agent, extension, group } = party {
                self.visit(at, (offer, leg), (&agent, &extension, &group));
                self.with(offer, |it, _| it.t_agent = Some(at.wall));
            }
        }
    }

    fn with(&mut self, offer: OfferId, change: impl FnOnce(&mut CallSegment, &mut Visit)) {
        for (segment, visit) in self.record.segments.iter_mut().zip(&mut self.visits) {
            if segment.offer == offer {
                change(segment, visit);
                return;
            }
        }
    }

    fn take_recording(&mut self, at: Now, fact: &CallFact) {
        let record = &mut self.record;
        if let Some((recording, path, offer)) = fact.recording_started() {
            let segment = record.segments.iter_mut().find(|it| Some(it.offer) == offer);
            if offer.is_some() && segment.is_none() {
                return;
            }
            let (agent, group) = segment.map_or_else(nobody, |it| {
                it.recording = Some(recording.clone());
                (it.agent.clone(), it.group.clone())
            });
            record.recordings.reserve_exact(1);
            record.recordings.push(RecordedAudio {
                recording: recording.clone(),
                path: path.to_owned(),
                agent,
                group,
                started: at.wall,
                sealed: false,
                failed: None,
                duration_ms: 0,
                bytes: 0,
                sha256: String::new(),
                gap_ms: 0,
                n_gaps: 0,
            });
        } else if let CallFact::RecordingFollows { recording, offer } = fact {
            if let Some(it) = record.segments.iter_mut().find(|it| it.offer == *offer) {
                it.recording = Some(recording.clone());
                let audio = record.recordings.iter_mut().find(|it| it.recording == *recording);
                if let Some(audio) = audio.filter(|it| !it.has_agent()) {
                    (audio.agent, audio.group) = (it.agent.clone(), it.group.clone());
                }
            }
        } else if let CallFact::RecordingSealed {
            recording,
            duration_ms,
            bytes,
            sha256,
            gap_ms,
            n_gaps,
        } = fact
        {
            let found = record.recordings.iter_mut().find(|it| it.recording == *recording);
            if let Some(it) = found {
                it.sealed = true;
                it.duration_ms = *duration_ms;
                it.bytes = *bytes;
                it.sha256.clone_from(sha256);
                it.gap_ms = *gap_ms;
                it.n_gaps = *n_gaps;
            }
        } else if let CallFact::RecordingFailed { recording, reason } = fact {
            let found = record.recordings.iter_mut().find(|it| it.recording == *recording);
            if let Some(it) = found {
                it.failed = Some(reason.clone());
            }
        }
    }

    fn take_flow(&mut self, at: Now, fact: &CallFact) {
        let record = &mut self.record;
        if let CallFact::Rated(answer) = fact {
            let about = record.segments.iter().rev().find(|it| it.agent == answer.agent);
            let recording = about.and_then(|it| it.recording.clone());
            record.ratings.push(Rating { at: at.wall, answer: (**answer).clone(), recording });
        } else if let CallFact::SurveyOffered { .. } = fact {
            record.surveys_offered += 1;
        }
    }

    fn finish(mut self, facts: &[Arc<Stamped>], short: ShortAfter) -> CallRecord {
        if let (Some(a), Some(b)) = (self.arrived, self.released) {
            self.record.duration_ms = millis(a.mono.0, b.mono.0);
        }
        if let (Some(a), Some(b)) = (self.first_queued, self.first_bridged.or(self.released)) {
            self.record.wait_ms = millis(a.mono.0, b.mono.0);
        }
        self.record.talk_ms = self.record.segments.iter().map(|it| it.talk_ms).sum();
        // The caller left while an agent's phone rang (outcome R).
        self.rang_at_end = self.record.segments.last().is_some_and(|it| {
            it.t_ring.is_some() && it.unanswered == Some(crate::OfferEnd::CallerLeft)
        });
        self.record.tags = tags(facts);
        self.record.exported = exported(facts);
        self.record.outcome = self.outcome(short);
        self.record.facts = facts.to_vec();
        self.record
    }

    fn outcome(&self, short: ShortAfter) -> Outcome {
        let record = &self.record;
        if self.is_outbound {
            return if record.t_br.is_some() { Outcome::Reached } else { Outcome::NotReached };
        }
        if record.refused_status.is_some() {
            return Outcome::Refused;
        }
        if record.t_br.is_some() {
            return Outcome::Answered;
        }
        if record.reason.as_ref().is_some_and(EndReason::is_our_fault) {
            return Outcome::Lost;
        }
        if record.t_req.is_none() && record.queues.is_empty() {
            return Outcome::InFlow;
        }
        if record.released_by != Some(Party::Caller) {
            return match record.queues.last().and_then(|it| it.exit) {
                Some(QueueExit::System) => Outcome::Lost,
                Some(
                    QueueExit::Answered
                    | QueueExit::Abandoned
                    | QueueExit::TimedOut
                    | QueueExit::Key
                    | QueueExit::Full
                    | QueueExit::NoAgents
                    | QueueExit::Closed,
                )
                | None => Outcome::Forced,
            };
        }
        if Duration::from_millis(record.wait_ms) < short.0 {
            Outcome::ShortAbandon
        } else if self.rang_at_end {
            Outcome::AbandonedRinging
        } else {
            Outcome::AbandonedInQueue
        }
    }
}

/// A recording of a caller who is with nobody yet.
fn nobody() -> (AgentNo, GroupId) {
    (AgentNo::new(""), GroupId::new(""))
}

fn end_hold(it: &mut CallSegment, held: &mut Option<Now>, at: Now) {
    if let Some(since) = held.take() {
        it.hold_ms += millis(since.mono.0, at.mono.0);
    }
}

const fn millis(from: u64, to: u64) -> u64 {
    to.saturating_sub(from) / 1_000_000
}

#[cfg(test)]
mod tests;
