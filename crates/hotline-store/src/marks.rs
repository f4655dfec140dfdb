//! What lies where on a recording: a call's facts, on the recording's own timeline.

use hotline_base::{Now, OfferId, RecordingId};
use hotline_cdr::{
    CallFact, CallRecord, CalledParty, Controller, Muting, RecordedAudio, RecordingChange,
};
use serde::Serialize;

use crate::wire::GapJson;

/// In milliseconds from the recording's start.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Span {
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
}

/// Somebody speaks on the right channel.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Speaker {
    /// `None` for somebody outside.
    pub(crate) agent_no: Option<String>,
    pub(crate) skill_group: Option<String>,
    #[serde(flatten)]
    pub(crate) span: Span,
}

/// Somebody held, or had the recording hold nothing; a flow is nobody.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Quiet {
    pub(crate) agent_no: Option<String>,
    #[serde(flatten)]
    pub(crate) span: Span,
}

/// What is marked on a recording, each in the order of its beginning.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub(crate) struct Marks {
    pub(crate) segments: Vec<Speaker>,
    pub(crate) holds: Vec<Quiet>,
    pub(crate) pauses: Vec<Quiet>,
    pub(crate) masks: Vec<Quiet>,
    pub(crate) gaps: Vec<GapJson>,
    /// Audio that arrived, in milliseconds; `None` when nobody could measure it to the end.
    pub(crate) heard_ms: Option<Heard>,
    /// The same as a share of the duration.
    pub(crate) coverage: Option<Coverage>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Heard {
    pub(crate) caller: u64,
    pub(crate) agent: u64,
}

/// Thousandths, so that equal recordings have equal texts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Coverage {
    pub(crate) caller_permille: u64,
    pub(crate) agent_permille: u64,
}

/// Who is on the right channel, and what for.
struct Voice {
    offer: OfferId,
    agent_no: Option<String>,
    skill_group: Option<String>,
    since: Option<u64>,
    held_since: Option<u64>,
}

/// Reads them off the facts of the recording's call.
pub(crate) fn marks(record: &CallRecord, audio: &RecordedAudio) -> Marks {
    let mut it = Reading {
        id: &audio.recording,
        began: None,
        length: audio.duration_ms,
        voices: Vec::new(),
        muted: None,
        marks: Marks::default(),
    };
    for stamped in &record.facts {
        it.take(record, stamped.at, &stamped.fact);
    }
    it.finish()
}

struct Reading<'a> {
    id: &'a RecordingId,
    began: Option<Now>,
    length: u64,
    voices: Vec<Voice>,
    muted: Option<(Muting, Option<String>, u64)>,
    marks: Marks,
}

impl Reading<'_> {
    fn take(&mut self, record: &CallRecord, at: Now, fact: &CallFact) {
        if let Some((recording, _, offer)) = fact.recording_started() {
            if recording == self.id {
                self.began = Some(at);
                if let Some(offer) = offer {
                    self.speaks(record, offer, 0);
                }
            }
        } else if let CallFact::RecordingFollows { recording, offer } = fact {
            if recording == self.id {
                self.speaks(record, *offer, self.place(at));
            }
        } else if let CallFact::PartyJoined { offer } = fact {
            if self.began.is_some() && is_outside(record, *offer) {
                self.speaks(record, *offer, self.place(at));
            }
        } else if let CallFact::Held { offer, .. } = fact {
            let place = self.place(at);
            if let Some(it) = self.voice(*offer) {
                it.held_since = it.held_since.or(Some(place));
            }
        } else if let CallFact::Retrieved { offer, .. } = fact {
            self.retrieves(*offer, self.place(at));
        } else if let CallFact::AgentReleased { offer, .. }
        | CallFact::OfferEnded { offer, .. }
        | CallFact::PartyLeft { offer, .. } = fact
        {
            self.leaves(*offer, self.place(at));
        } else {
            self.take_muting(at, fact);
        }
    }

    fn take_muting(&mut self, at: Now, fact: &CallFact) {
        if let Some((recording, by, change)) = fact.recording_change() {
            if recording == self.id {
                self.unmute(self.place(at));
                if let RecordingChange::Muted(how) = change {
                    let by = match by {
                        Controller::Agent(it) | Controller::Supervisor(it) => Some(it.to_string()),
                        Controller::Flow(_) => None,
                    };
                    self.muted = Some((how, by, self.place(at)));
                }
            }
        } else if let CallFact::RecordingGaps { recording, gaps } = fact {
            if recording == self.id {
                self.marks.gaps = gaps.iter().map(GapJson::from).collect();
            }
        } else if let CallFact::RecordingMeasured { recording, heard_ms: [caller, agent], gaps } =
            fact
            && recording == self.id
        {
            self.marks.gaps = gaps.iter().map(GapJson::from).collect();
            let permille = |heard: u64| (heard * 1_000).checked_div(self.length).unwrap_or(0);
            self.marks.heard_ms = Some(Heard { caller: *caller, agent: *agent });
            self.marks.coverage = Some(Coverage {
                caller_permille: permille(*caller),
                agent_permille: permille(*agent),
            });
        }
    }

    /// Milliseconds from the recording's start, within it.
    fn place(&self, at: Now) -> u64 {
        let since = self.began.map_or(0, |began| at.mono.since(began.mono).as_millis());
        u64::try_from(since).unwrap_or(u64::MAX).min(self.length)
    }

    fn voice(&mut self, offer: OfferId) -> Option<&mut Voice> {
        self.voices.iter_mut().find(|it| it.offer == offer && it.since.is_some())
    }

    fn speaks(&mut self, record: &CallRecord, offer: OfferId, since: u64) {
        if self.voice(offer).is_some() {
            return;
        }
        let segment = record.segments.iter().find(|it| it.offer == offer);
        self.voices.push(Voice {
            offer,
            agent_no: segment.map(|it| it.agent.to_string()),
            skill_group: segment.map(|it| it.group.to_string()),
            since: Some(since),
            held_since: None,
        });
    }

    fn retrieves(&mut self, offer: OfferId, to_ms: u64) {
        let Some(it) = self.voice(offer) else { return };
        let (agent_no, held) = (it.agent_no.clone(), it.held_since.take());
        if let Some(from_ms) = held {
            self.marks.holds.push(Quiet { agent_no, span: Span { from_ms, to_ms } });
        }
    }

    fn leaves(&mut self, offer: OfferId, to_ms: u64) {
        self.retrieves(offer, to_ms);
        let Some(it) = self.voice(offer) else { return };
        let (agent_no, skill_group) = (it.agent_no.clone(), it.skill_group.clone());
        if let Some(from_ms) = it.since.take() {
            let span = Span { from_ms, to_ms };
            self.marks.segments.push(Speaker { agent_no, skill_group, span });
        }
    }

    fn unmute(&mut self, to_ms: u64) {
        let Some((how, agent_no, from_ms)) = self.muted.take() else { return };
        let it = Quiet { agent_no, span: Span { from_ms, to_ms } };
        match how {
            Muting::Paused => self.marks.pauses.push(it),
            Muting::Masked | Muting::MaskedByFlow => self.marks.masks.push(it),
        }
    }

    /// What still lasts lasts to the end.
    fn finish(mut self) -> Marks {
        let length = self.length;
        for offer in self.voices.iter().map(|it| it.offer).collect::<Vec<_>>() {
            self.leaves(offer, length);
        }
        self.unmute(length);
        self.marks.segments.sort_by_key(|it| it.span.from_ms);
        self.marks.holds.sort_by_key(|it| it.span.from_ms);
        self.marks
    }
}

fn is_outside(record: &CallRecord, offer: OfferId) -> bool {
    record.facts.iter().any(|it| {
        let CallFact::PartyCalled { offer: of, party, .. } = &it.fact else { return false };
        *of == offer && matches!(party, CalledParty::Outside { .. })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hotline_base::media::Gap;
    use hotline_cdr::Stamped;

    use super::*;
    use crate::fixture;

    #[test]
    fn marks_follow_from_the_facts_of_the_call() {
        let record = fixture::muted(7);
        let it = marks(&record, &record.recordings[0]);
        let span = |from_ms, to_ms| Span { from_ms, to_ms };
        let quiet = |from, to| Quiet { agent_no: Some("1001".to_owned()), span: span(from, to) };
        let segment = Speaker {
            agent_no: Some("1001".to_owned()),
            skill_group: Some("general".to_owned()),
            span: span(0, 52_000),
        };
        assert_eq!(it.segments, [segment]);
        assert_eq!(it.holds, [quiet(12_000, 22_000)]);
        assert_eq!(
            (it.pauses, it.masks),
            (vec![quiet(30_000, 31_000)], vec![quiet(31_000, 32_500)])
        );
        let gap = GapJson {
            why: Some("disk".to_owned()),
            side: None,
            ..GapJson::from(&Gap { from_ms: 1_000, to_ms: 1_200 })
        };
        let lost =
            GapJson { from_ms: 2_000, to_ms: 2_300, side: Some("agent".into()), ..gap.clone() };
        assert_eq!(it.gaps, [gap, GapJson { why: Some("lost".into()), ..lost }]);
        assert_eq!(it.heard_ms, Some(Heard { caller: 50_000, agent: 26_000 }));
        let coverage = Coverage { caller_permille: 961, agent_permille: 500 };
        assert_eq!(it.coverage, Some(coverage));
    }

    #[test]
    fn a_recording_that_a_flow_began_and_masked_names_nobody_before_the_agent() {
        let mut record = fixture::muted(7);
        let (flow, began) = (Controller::Flow(hotline_base::FlowId::new("main")), 5_000_000_000);
        for it in &mut record.facts {
            let Some((recording, path, offer)) = it.fact.recording_started() else { continue };
            let (recording, path) = (recording.clone(), path.to_owned());
            let started = RecordingChange::Started { path };
            let follows =
                CallFact::RecordingFollows { recording: recording.clone(), offer: offer.unwrap() };
            let mut earlier = it.at;
            earlier.mono.0 -= began;
            let fact = |change| CallFact::of_recording(recording.clone(), flow.clone(), change);
            let mut middle = earlier;
            middle.mono.0 += 1_000_000_000;
            let mut later = middle;
            later.mono.0 += 2_000_000_000;
            let stamped = |at, fact| Arc::new(Stamped { at, fact });
            let more = [
                stamped(earlier, fact(started)),
                stamped(middle, fact(RecordingChange::Muted(Muting::MaskedByFlow))),
                stamped(later, fact(RecordingChange::Resumed)),
            ];
            Arc::make_mut(it).fact = follows;
            record.facts.extend(more);
            break;
        }
        record.facts.sort_by_key(|it| it.at.mono);
        let audio = RecordedAudio { duration_ms: 57_000, ..record.recordings[0].clone() };
        let it = marks(&record, &audio);
        assert_eq!(it.segments[0].span, Span { from_ms: 5_000, to_ms: 57_000 });
        let span = Span { from_ms: 1_000, to_ms: 3_000 };
        assert_eq!(it.masks[0], Quiet { agent_no: None, span });
    }
}
