//! Stories of calls with more than two: who hears whom, and who is left when somebody leaves.

mod lost;
mod muting;
mod on_answer;
mod on_his_way;
mod recording;
mod restart;

use std::{collections::BTreeMap, sync::Arc};

use hotline_base::{
    CallId, Extension, LegId, MonoTime, OfferId, Pii, PlayId, RecordingId, WallTime,
    media::{Channel, Event as MediaEvent, LegStats, Order, Profile},
};
use hotline_cdr::{CallRecord, CalledParty, Controller};

use super::*;
use crate::{
    Alive, Config, Dialling, LegEnd, LegEvent, LegOrder, OfferUpdate, TalkLine, Who,
    call::nobody::Nobody,
};

pub(super) const AGENT: LegId = LegId(1);
pub(super) const CALLER: LegId = LegId(2);
pub(super) const TARGET: LegId = LegId(3);
pub(super) const OTHER: LegId = LegId(4);

/// A talk between agent 1001 and a party outside, as its audio and its desks see it.
pub(super) struct Story {
    pub(super) call: Call,
    pub(super) now: Now,
    hears: BTreeMap<LegId, Vec<LegId>>,
    plays: BTreeMap<LegId, (String, PlayId)>,
    pub(super) recorded: Vec<LegId>,
    pub(super) muted: bool,
    lines: BTreeMap<OfferId, TalkLine>,
    pub(super) hung_up: Vec<LegId>,
    dialled: Vec<LegId>,
    records: Vec<CallRecord>,
    /// What legs were told besides being hung up.
    pub(super) answered: Vec<LegId>,
    pub(super) outcomes: Vec<u16>,
    /// To whom keys were sent.
    pub(super) keyed: Vec<LegId>,
    pub(super) facts: Vec<CallFact>,
}

pub(super) fn agent(no: &str) -> AgentNo {
    AgentNo::new(no)
}

/// A media process that has been there all the time.
pub(super) fn alive<'a>(legs: &'a [LegId], recordings: &'a [RecordingId]) -> Alive<'a> {
    Alive { legs, recordings, began: WallTime(0) }
}

pub(super) fn by(no: &str) -> Controller {
    Controller::Agent(agent(no))
}

impl Story {
    pub(super) fn talk() -> Self {
        let mut it = Self::begin();
        it.answers(AGENT);
        it.answers(CALLER);
        assert!(it.call.is_talking());
        it
    }

    /// Agent 1001 wants to call somebody.
    pub(super) fn begin() -> Self {
        let now = Now { mono: MonoTime(1), wall: WallTime(1_795_305_600_000) };
        let dialling = Dialling {
            call: CallId(9),
            offer: OfferId(1),
            agent: agent("1001"),
            extension: Extension::new("8001"),
            group: GroupId::new("general"),
            agent_leg: AGENT,
            profile: Profile::Plain,
            leg: CALLER,
            number: Pii::new("13800138000".to_owned()),
            display: None,
            emergency: false,
        };
        Self {
            call: Call::dial(dialling, Arc::new(Config::default()), now),
            now,
            hears: BTreeMap::new(),
            plays: BTreeMap::new(),
            recorded: Vec::new(),
            muted: false,
            lines: BTreeMap::new(),
            hung_up: Vec::new(),
            dialled: Vec::new(),
            records: Vec::new(),
            answered: Vec::new(),
            outcomes: Vec::new(),
            keyed: Vec::new(),
            facts: Vec::new(),
        }
    }

    pub(super) fn act(&mut self, step: impl FnOnce(&mut Call, Now)) {
        step(&mut self.call, self.now);
        while let Some(output) = self.call.poll_output() {
            self.hear(output);
        }
        self.now = self.now + Duration::from_secs(1);
    }

    pub(super) fn does(&mut self, step: impl FnOnce(&mut Call, Now) -> bool) {
        let mut done = false;
        self.act(|call, now| done = step(call, now));
        assert!(done, "the call refused");
    }

    fn hear(&mut self, output: Output) {
        match output {
            Output::Media(Order::Mix { hears }) => {
                self.hears.extend(hears.into_iter().map(|it| (it.listener, it.speakers)));
            }
            Output::Media(Order::Play(it)) => {
                self.plays.insert(it.leg, (it.prompts[0].as_str().to_owned(), it.play));
            }
            Output::Media(Order::Stop { leg, play }) => {
                // Another may have taken its place.
                self.plays.retain(|at, it| *at != leg || it.1 != play);
            }
            Output::Media(Order::Record { right, .. }) => self.recorded = vec![right],
            Output::Media(Order::RecordSource { channel, legs, .. }) => {
                assert_eq!(channel, Channel::Right, "the caller's channel never changes");
                self.recorded = legs;
            }
            Output::Media(Order::RecordMute { muted, .. }) => {
                assert_ne!(muted, self.muted, "media is told twice");
                self.muted = muted;
            }
            Output::Media(Order::Close { leg }) => {
                self.hears.remove(&leg);
                self.plays.remove(&leg);
            }
            Output::Leg { leg, order: LegOrder::HangUp { .. } } => self.hung_up.push(leg),
            Output::Leg { leg, order: LegOrder::Dial { .. } | LegOrder::DialOut { .. } } => {
                self.dialled.push(leg);
            }
            Output::Offer { offer, update: OfferUpdate::Line(line) } => {
                self.lines.insert(offer, line);
            }
            Output::Leg { leg, order: LegOrder::Answer { .. } } => self.answered.push(leg),
            Output::Leg { leg, order: LegOrder::SendKeys { .. } } => self.keyed.push(leg),
            Output::Transferred { status } => self.outcomes.push(status),
            Output::Record(it) => self.records.push(*it),
            Output::Fact(it) => self.facts.push(it.fact.clone()),
            Output::Leg { .. }
            | Output::Media(_)
            | Output::Queue(_)
            | Output::Recording(_)
            | Output::Offer { .. }
            | Output::Keep => (),
        }
    }

    pub(super) fn media(&mut self, event: MediaEvent) {
        self.act(|call, now| call.handle_media(event, &Nobody, now));
    }

    pub(super) fn leg(&mut self, leg: LegId, event: LegEvent) {
        self.act(|call, now| call.handle_leg(leg, event, &Nobody, now));
    }

    pub(super) fn opens(&mut self, leg: LegId) {
        self.media(MediaEvent::Opened { leg, sdp: "ours".to_owned() });
        self.leg(leg, LegEvent::Ringing { sdp: None });
    }

    pub(super) fn answers(&mut self, leg: LegId) {
        if !self.dialled.contains(&leg) {
            self.opens(leg);
        }
        self.leg(leg, LegEvent::Answered { sdp: Some("theirs".to_owned()) });
        self.media(MediaEvent::Settled { leg, hold: false });
    }

    pub(super) fn leaves(&mut self, leg: LegId) {
        self.leg(leg, LegEvent::Ended(LegEnd::HungUp { cause: Some(16) }));
    }

    pub(super) fn consults(&mut self, leg: LegId, party: CalledParty) {
        let who = Who { party, display: None };
        let it = Joining { offer: OfferId(leg.0), leg, profile: Profile::Plain, who };
        self.does(|call, now| call.consult(&agent("1001"), it, now));
    }

    /// The agent consults agent 1002, who answers.
    pub(super) fn consulting() -> Self {
        let mut it = Self::talk();
        it.consults(TARGET, colleague("1002"));
        it.answers(TARGET);
        it
    }

    /// The caller, the agent and a department outside.
    fn three() -> Self {
        let mut it = Self::talk();
        it.consults(TARGET, outside());
        it.answers(TARGET);
        it.does(|call, now| call.confer(&agent("1001"), now));
        it
    }

    /// What each of these hears, such as `2:1,3`.
    #[track_caller]
    pub(super) fn table(&self, expected: &[(LegId, &[LegId])]) {
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(leg, others)| (*leg, others.to_vec())).collect();
        assert_eq!(self.hears, expected);
    }

    pub(super) fn music(&self, leg: LegId) -> Option<&str> {
        self.plays.get(&leg).map(|it| it.0.as_str())
    }

    pub(super) fn playing(&self, leg: LegId) -> PlayId {
        self.plays[&leg].1
    }

    pub(super) fn line(&self, leg: LegId) -> TalkLine {
        self.lines.get(&OfferId(leg.0)).copied().unwrap_or_default()
    }

    /// Everything closes; the one complete record.
    pub(super) fn record(&mut self) -> CallRecord {
        assert!(self.call.is_over(), "somebody is still there");
        for leg in [AGENT, CALLER, TARGET, OTHER, LegId(5)] {
            self.media(MediaEvent::Closed { leg, stats: LegStats::default() });
        }
        self.now = self.now + Duration::from_mins(1);
        self.act(|call, now| call.handle_timeout(&Nobody, now));
        let complete: Vec<_> = self.records.iter().filter(|it| it.complete).collect();
        let [record] = complete[..] else { panic!("{} complete records", complete.len()) };
        assert!(record.segments.iter().all(|it| it.t_end.is_some()), "somebody never left");
        record.clone()
    }
}

pub(super) fn colleague(no: &str) -> CalledParty {
    CalledParty::Agent {
        agent: agent(no),
        extension: Extension::new("8002"),
        group: GroupId::new("tax"),
    }
}

pub(super) fn outside() -> CalledParty {
    CalledParty::Outside { number: Pii::new("07715551234".to_owned()) }
}

#[test]
fn caller_hears_music_and_the_agent_hears_it_ring_while_he_consults() {
    let mut it = Story::talk();
    it.consults(TARGET, colleague("1002"));
    it.opens(TARGET);
    it.table(&[(CALLER, &[]), (AGENT, &[])]);
    assert_eq!((it.music(CALLER), it.music(AGENT)), (Some("moh.default"), Some("tone.ringback")));
    assert_eq!(it.line(AGENT), TalkLine::Consulting);
    it.answers(TARGET);
    it.table(&[(CALLER, &[]), (AGENT, &[TARGET]), (TARGET, &[AGENT])]);
    assert_eq!((it.music(CALLER), it.music(AGENT)), (Some("moh.default"), None));
    assert_eq!(it.recorded, [AGENT, TARGET], "the caller's recording goes on");
}

#[test]
fn agent_and_caller_talk_again_when_a_consultation_is_cancelled() {
    for answered in [false, true] {
        let mut it = Story::talk();
        it.consults(TARGET, colleague("1002"));
        it.opens(TARGET);
        if answered {
            it.answers(TARGET);
        }
        it.does(|call, now| call.cancel_consult(&agent("1001"), &Nobody, now));
        it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
        assert_eq!((it.music(CALLER), it.music(AGENT)), (None, None));
        assert_eq!((it.line(AGENT), it.hung_up.clone()), (TalkLine::Talking, vec![TARGET]));
        it.leaves(CALLER);
        let record = it.record();
        assert_eq!((record.segments[0].n_holds, record.segments.len()), (1, 2));
        assert_eq!(record.segments[1].t_br, None, "the caller never heard the one consulted");
    }
}

#[test]
fn agent_and_caller_talk_again_when_the_target_does_not_answer_or_hangs_up() {
    for end in [LegEnd::NoAnswer, LegEnd::Refused { status: 486, cause: None }] {
        let mut it = Story::talk();
        it.consults(TARGET, colleague("1002"));
        it.opens(TARGET);
        it.leg(TARGET, LegEvent::Ended(end));
        it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
        assert_eq!(it.line(AGENT), TalkLine::Talking);
    }
    let mut it = Story::consulting();
    it.leaves(TARGET);
    it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
}

#[test]
fn caller_talks_to_the_target_when_the_agent_completes_the_transfer() {
    let mut it = Story::consulting();
    it.does(|call, now| call.complete_transfer(&agent("1001"), &Nobody, now));
    it.table(&[(CALLER, &[TARGET]), (TARGET, &[CALLER])]);
    assert_eq!(it.music(CALLER), None);
    assert_eq!((it.recorded.clone(), it.hung_up.clone()), (vec![TARGET], vec![AGENT]));
    it.leaves(TARGET);
    let record = it.record();
    let agents: Vec<_> = record.segments.iter().map(|it| it.agent.as_str()).collect();
    assert_eq!((agents, record.recordings.len()), (vec!["1001", "1002"], 1));
    let recordings: Vec<_> = record.segments.iter().map(|it| it.recording.clone()).collect();
    assert!(recordings[0].is_some() && recordings[0] == recordings[1], "one recording for both");
    assert!(record.segments.iter().all(|it| it.t_br.is_some() && it.talk_ms > 0));
    let attended = CallFact::Transferred { offer: OfferId(1), mode: TransferMode::Attended };
    assert!(it.facts.contains(&attended));
}

#[test]
fn a_transfer_may_be_completed_while_it_rings() {
    let mut it = Story::talk();
    it.consults(TARGET, colleague("1002"));
    it.opens(TARGET);
    // The agent hangs his telephone up: the caller waits for the target.
    it.leaves(AGENT);
    it.table(&[(CALLER, &[])]);
    assert_eq!((it.music(CALLER), it.call.is_over()), (Some("moh.default"), false));
    it.answers(TARGET);
    it.table(&[(CALLER, &[TARGET]), (TARGET, &[CALLER])]);
    assert!(it.call.is_talking() && it.music(CALLER).is_none());
}

#[test]
fn agent_leaves_at_once_in_a_blind_transfer() {
    let mut it = Story::talk();
    let who = Who { party: colleague("1002"), display: None };
    let target = Joining { offer: OfferId(3), leg: TARGET, profile: Profile::Plain, who };
    it.does(|call, now| call.transfer_to(&agent("1001"), target, &Nobody, now));
    assert_eq!(it.hung_up, [AGENT]);
    assert_eq!((it.music(CALLER), it.recorded.clone()), (Some("moh.default"), vec![]));
    it.answers(TARGET);
    it.table(&[(CALLER, &[TARGET]), (TARGET, &[CALLER])]);
    assert_eq!(it.recorded, [TARGET]);
    it.leaves(CALLER);
    assert_eq!(it.record().segments[1].released_by, Some(Party::Called));
}

#[test]
fn a_blind_transfer_that_fails_frees_the_caller_of_a_call_that_went_out() {
    let mut it = Story::talk();
    let who = Who { party: outside(), display: None };
    let target = Joining { offer: OfferId(3), leg: TARGET, profile: Profile::Plain, who };
    it.does(|call, now| call.transfer_to(&agent("1001"), target, &Nobody, now));
    it.opens(TARGET);
    it.leg(TARGET, LegEvent::Ended(LegEnd::Refused { status: 486, cause: Some(17) }));
    assert!(it.hung_up.contains(&CALLER));
    it.record();
}

#[test]
fn three_hear_each_other_and_the_recording_has_all_of_them() {
    let it = Story::three();
    it.table(&[(CALLER, &[AGENT, TARGET]), (AGENT, &[CALLER, TARGET]), (TARGET, &[CALLER, AGENT])]);
    assert_eq!((it.line(AGENT), it.music(CALLER)), (TalkLine::Conferring, None));
    assert_eq!(it.recorded, [AGENT, TARGET]);
}

#[test]
fn caller_and_target_stay_connected_when_the_agent_leaves_first() {
    let mut it = Story::three();
    it.does(|call, now| call.hang_up_agent(&agent("1001"), &Nobody, now));
    it.table(&[(CALLER, &[TARGET]), (TARGET, &[CALLER])]);
    assert!(!it.call.is_over());
    it.leaves(TARGET);
    assert!(it.hung_up.contains(&CALLER));
    it.record();
}

#[test]
fn agent_and_target_stay_connected_when_the_caller_leaves_first() {
    for mut it in [Story::three(), Story::consulting()] {
        it.leaves(CALLER);
        it.table(&[(AGENT, &[TARGET]), (TARGET, &[AGENT])]);
        assert!(!it.call.is_over());
        let left = it.now;
        it.leaves(AGENT);
        assert!(it.hung_up.contains(&TARGET), "nobody is left to talk to");
        let record = it.record();
        assert!(record.t_rel.unwrap() < left.wall, "the record has the caller's end");
        assert_eq!(record.released_by, Some(Party::Called));
    }
}

#[test]
fn who_is_let_wait_when_the_caller_has_left_hears_music() {
    let mut it = Story::three();
    it.leaves(CALLER);
    assert_eq!((it.music(TARGET), it.music(AGENT)), (None, None));
    it.does(|call, now| call.hold(&agent("1001"), now));
    assert_eq!((it.music(TARGET), it.music(AGENT)), (Some("moh.default"), None));
    it.does(|call, now| call.retrieve(&agent("1001"), &Nobody, now));
    assert_eq!(it.music(TARGET), None);
    it.table(&[(AGENT, &[TARGET]), (TARGET, &[AGENT])]);
    it.consults(OTHER, colleague("1003"));
    it.answers(OTHER);
    assert_eq!((it.music(TARGET), it.music(AGENT)), (Some("moh.default"), None));
    it.does(|call, now| call.confer(&agent("1001"), now));
    assert_eq!(it.music(TARGET), None);
}

#[test]
fn agent_and_caller_stay_connected_when_the_target_leaves_first() {
    let mut it = Story::three();
    it.leaves(TARGET);
    it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
    assert_eq!((it.line(AGENT), it.recorded.clone()), (TalkLine::Talking, vec![AGENT]));
}

#[test]
fn a_conference_grows_by_one_consultation_after_the_other() {
    let mut it = Story::three();
    it.consults(OTHER, colleague("1003"));
    it.answers(OTHER);
    it.table(&[(CALLER, &[TARGET]), (AGENT, &[OTHER]), (TARGET, &[CALLER]), (OTHER, &[AGENT])]);
    assert_eq!(it.music(CALLER), None, "he has company");
    it.does(|call, now| call.confer(&agent("1001"), now));
    assert_eq!(it.hears[&CALLER], [AGENT, TARGET, OTHER]);
    assert_eq!(it.hears[&OTHER], [CALLER, AGENT, TARGET]);
    // When the agent leaves, the other agent has the caller.
    it.leaves(AGENT);
    assert_eq!(it.call.agent().unwrap().1, &agent("1003"));
    assert_eq!(it.hears[&CALLER], [OTHER, TARGET]);
}

#[test]
fn a_conference_has_places_for_thirty_two() {
    let mut it = Story::talk();
    let join = |n: u64| Joining {
        offer: OfferId(n),
        leg: LegId(n),
        profile: Profile::Plain,
        who: Who { party: outside(), display: None },
    };
    for n in 10..40 {
        it.does(|call, now| call.consult(&agent("1001"), join(n), now));
        it.answers(LegId(n));
        it.does(|call, now| call.confer(&agent("1001"), now));
    }
    assert_eq!(it.hears.len(), 32);
    assert!(it.hears.values().all(|speakers| speakers.len() == 31));
    let mut refused = false;
    it.act(|call, now| refused = !call.consult(&agent("1001"), join(40), now));
    assert!(refused && !it.call.is_over());
}

/// A supervisor, who answered.
pub(super) fn supervised(how: Oversight) -> Story {
    let mut it = Story::talk();
    let who = Who { party: colleague("1009"), display: None };
    let joining = Joining { offer: OfferId(3), leg: TARGET, profile: Profile::Plain, who };
    it.does(|call, now| call.supervise(joining, how, now));
    it.answers(TARGET);
    it
}

#[test]
fn a_supervisor_changes_how_he_takes_part_and_is_recorded_when_the_caller_hears_him() {
    let mut it = supervised(Oversight::Listen);
    it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER]), (TARGET, &[CALLER, AGENT])]);
    for (how, caller, agent_hears) in [
        (Oversight::Whisper, vec![AGENT], vec![CALLER, TARGET]),
        (Oversight::BargeIn, vec![AGENT, TARGET], vec![CALLER, TARGET]),
        (Oversight::Listen, vec![AGENT], vec![CALLER]),
    ] {
        it.does(|call, now| call.change_oversight(&agent("1009"), how, now));
        assert_eq!((&it.hears[&CALLER], &it.hears[&AGENT]), (&caller, &agent_hears));
        assert_eq!(it.hears[&TARGET], [CALLER, AGENT]);
        assert_eq!(it.recorded, caller);
        assert_eq!(it.line(AGENT), TalkLine::Talking, "an observer makes no conference");
    }
    it.leaves(TARGET);
    it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
}

#[test]
fn a_supervisor_takes_over_the_call_he_listens_to() {
    let mut it = supervised(Oversight::Listen);
    it.does(|call, now| call.intercept(&agent("1009"), &Nobody, now));
    it.table(&[(CALLER, &[TARGET]), (TARGET, &[CALLER])]);
    assert_eq!((it.hung_up.clone(), it.recorded.clone()), (vec![AGENT], vec![TARGET]));
    it.leaves(TARGET);
    let record = it.record();
    assert_eq!(record.segments[0].released_by, Some(Party::Supervisor));
    assert_eq!(record.segments[1].agent, agent("1009"));
    assert!(record.segments[1].t_br.is_some());
}

#[test]
fn a_supervisor_cuts_a_call_and_the_record_says_so() {
    let mut it = supervised(Oversight::Listen);
    it.act(|call, now| call.force_release(&Nobody, now));
    for leg in [AGENT, CALLER, TARGET] {
        assert!(it.hung_up.contains(&leg));
    }
    let record = it.record();
    assert_eq!(record.released_by, Some(Party::Supervisor));
    assert_eq!(record.segments.len(), 1, "who only listened had no part in the call");
}

#[test]
fn a_supervisor_does_not_keep_a_call_alive() {
    for who in [AGENT, CALLER] {
        let mut it = supervised(Oversight::BargeIn);
        it.leaves(who);
        assert!(it.hung_up.contains(&TARGET));
        it.record();
    }
}

#[test]
fn nobody_but_the_agent_who_has_the_caller_gives_him_away() {
    let mut it = Story::consulting();
    for other in ["1002", "1009"] {
        let other = agent(other);
        let mut done = false;
        it.act(|call, now| {
            done = call.confer(&other, now)
                || call.complete_transfer(&other, &Nobody, now)
                || call.cancel_consult(&other, &Nobody, now);
        });
        assert!(!done);
    }
    // A second consultation beside the first.
    assert!(!it.call.may_consult(&agent("1001")) && !it.call.may_transfer(&agent("1001")));
}

#[test]
fn a_conference_goes_on_after_a_restart_of_control() {
    let it = Story::three();
    let saved = it.call.save().unwrap();
    assert!(saved.legs().eq([CALLER, AGENT, TARGET]));
    let mut call = Call::restore(saved, Arc::new(Config::default()), it.now);
    call.reconcile(&alive(&[CALLER, AGENT, TARGET], &[]), &Nobody, it.now);
    assert!(call.is_talking() && !call.is_over());
    let ended = LegEvent::Ended(LegEnd::HungUp { cause: None });
    call.handle_leg(AGENT, ended.clone(), &Nobody, it.now);
    assert!(!call.is_over(), "caller and department talk on");
    call.handle_leg(TARGET, ended, &Nobody, it.now);
    assert!(call.is_over());
}

/// The legs that the next media process has brought back.
fn after_media(legs: &[LegId]) -> (Call, Vec<CallFact>) {
    let mut it = Story::three();
    let now = it.now;
    it.call.media_down(now);
    it.call.reconcile(&alive(legs, &[]), &Nobody, now);
    let mut facts = Vec::new();
    while let Some(said) = it.call.poll_output() {
        if let Output::Fact(it) = said {
            facts.push(it.fact.clone());
        }
    }
    (it.call, facts)
}

#[test]
fn a_call_whose_legs_came_back_says_that_media_was_replaced_and_another_ends_for_it() {
    let (call, facts) = after_media(&[CALLER, AGENT, TARGET]);
    assert!(call.is_talking());
    assert!(facts.contains(&CallFact::MediaRestarted), "{facts:?}");
    let (call, facts) = after_media(&[AGENT, TARGET]);
    assert!(call.is_over() && !facts.contains(&CallFact::MediaRestarted));
    let ended = |it: &CallFact| {
        let reason = &EndReason::MediaFailed;
        matches!(it, CallFact::Ended { reason: it, .. } if it == reason)
    };
    assert!(facts.iter().any(ended), "{facts:?}");
}
