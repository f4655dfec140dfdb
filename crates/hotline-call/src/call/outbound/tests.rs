//! Stories of calls that agents make.

use hotline_base::{
    MonoTime, WallTime,
    media::{
        Event as MediaEvent, FailReason, FailedOrder, Hearing, LegQuality, LegStats, NetworkTone,
    },
};
use hotline_cdr::{AudioMark, CallRecord, Direction, Outcome};

use super::*;
use crate::{LegEvent, OfferUpdate, call::nobody::Nobody};

const AGENT: LegId = LegId(1);
const PARTY: LegId = LegId(2);

struct Story {
    call: Call,
    now: Now,
    said: Vec<Output>,
    /// The trunk's sound before the answer is heard.
    passes_on: bool,
    /// And whether its busy tone is heeded.
    heeds_tones: bool,
}

impl Story {
    fn begin() -> Self {
        Self::of(Call::dial)
    }

    /// The agent's telephone calls, with an offer or without.
    fn by_phone(offer: Option<&str>) -> Self {
        let offer = offer.map(str::to_owned);
        Self::of(|it, config, now| Call::dial_by_phone(it, offer, config, now))
    }

    fn of(dial: impl FnOnce(Dialling, Arc<Config>, Now) -> Call) -> Self {
        let now = Now { mono: MonoTime(1), wall: WallTime(1_795_305_600_000) };
        let dialling = Dialling {
            call: CallId(9),
            offer: OfferId(3),
            agent: AgentNo::new("1001"),
            extension: Extension::new("8001"),
            group: GroupId::new("general"),
            agent_leg: AGENT,
            profile: Profile::Plain,
            leg: PARTY,
            number: Pii::new("13800138000".to_owned()),
            display: Some("077112345".to_owned()),
            emergency: false,
        };
        let call = dial(dialling, Arc::new(Config::default()), now);
        let mut it = Self { call, now, said: Vec::new(), passes_on: true, heeds_tones: false };
        it.listen();
        it
    }

    fn listen(&mut self) {
        while let Some(output) = self.call.poll_output() {
            self.said.push(output);
        }
        self.now = self.now + std::time::Duration::from_secs(1);
    }

    fn leg(&mut self, leg: LegId, event: LegEvent) {
        self.call.handle_leg(leg, event, &Nobody, self.now);
        self.listen();
    }

    fn media(&mut self, event: MediaEvent) {
        self.call.handle_media(event, &Nobody, self.now);
        self.listen();
    }

    fn opened(&mut self, leg: LegId) {
        self.media(MediaEvent::Opened { leg, sdp: "ours".to_owned() });
    }

    /// The agent's telephone answers, and the INVITE to the called party leaves.
    fn agent_answers(&mut self) {
        self.opened(AGENT);
        self.leg(AGENT, LegEvent::Ringing { sdp: None });
        self.leg(AGENT, LegEvent::Answered { sdp: Some("theirs".to_owned()) });
        self.media(MediaEvent::Settled { leg: AGENT, hold: false });
        self.opened(PARTY);
        self.call.went_out(
            PARTY,
            (TrunkId::new("ct"), NetworkSound { early: self.passes_on, tones: self.heeds_tones }),
            "10.0.0.1:5060".into(),
            "077112345".into(),
            self.now,
        );
        self.listen();
    }

    fn party_answers(&mut self) {
        self.leg(PARTY, LegEvent::Answered { sdp: Some("theirs".to_owned()) });
        self.media(MediaEvent::Settled { leg: PARTY, hold: false });
    }

    fn count(&self, is: impl Fn(&Output) -> bool) -> usize {
        self.said.iter().filter(|it| is(it)).count()
    }

    fn plays(&self) -> usize {
        self.count(|it| matches!(it, Output::Media(Order::Play(play)) if play.leg == AGENT))
    }

    /// Everything closes; the final record.
    fn record(&mut self) -> CallRecord {
        for leg in [AGENT, PARTY] {
            self.media(MediaEvent::Closed { leg, stats: LegStats::default() });
        }
        let later = self.call.poll_timeout();
        if later.is_some() {
            self.now = self.now + std::time::Duration::from_mins(1);
            self.call.handle_timeout(&Nobody, self.now);
            self.listen();
        }
        let records = self.said.iter().filter_map(|it| {
            let Output::Record(it) = it else { return None };
            it.complete.then_some(it)
        });
        let all: Vec<_> = records.collect();
        let [record] = all[..] else { panic!("{} complete records", all.len()) };
        CallRecord::clone(record)
    }

    fn hung_up(&self, leg: LegId) -> bool {
        let is = |it: &Output| matches!(it, Output::Leg { leg: it, order: LegOrder::HangUp { .. } } if *it == leg);
        self.count(is) == 1
    }
}

#[test]
fn a_telephone_of_another_kind_rings_when_none_of_the_first_kind_is_there() {
    let mut it = Story::begin();
    it.opened(AGENT);
    let desk = LegId(7);
    assert!(it.call.ring_otherwise(AGENT, desk, Profile::WebRtc, it.now));
    it.listen();
    let closed = it.said.iter().any(|it| matches!(it, Output::Media(Order::Close { leg: AGENT })));
    let offered = |it: &Output| {
        matches!(it, Output::Media(Order::Open { leg, offer: None, profile: Profile::WebRtc, .. })
            if *leg == desk)
    };
    assert!(closed && it.said.iter().any(offered), "{:?}", it.said);
    // What the first one still says is nobody's news.
    it.leg(AGENT, LegEvent::Answered { sdp: Some("late".to_owned()) });
    it.opened(desk);
    let dialled = |it: &Output| {
        matches!(it, Output::Leg { leg, order: LegOrder::Dial { profile: Profile::WebRtc, .. } }
            if *leg == desk)
    };
    assert!(it.said.iter().any(dialled), "{:?}", it.said);
    it.leg(desk, LegEvent::Answered { sdp: Some("theirs".to_owned()) });
    assert!(!it.call.ring_otherwise(desk, LegId(8), Profile::Plain, it.now), "it has answered");
    it.media(MediaEvent::Settled { leg: desk, hold: false });
    assert_eq!(it.call.agent().map(|it| it.2), Some(desk));
}

#[test]
fn the_agents_telephone_rings_first_and_then_the_two_talk() {
    let mut it = Story::begin();
    let dials_out =
        |it: &Output| matches!(it, Output::Leg { leg: PARTY, order: LegOrder::DialOut { .. } });
    it.opened(AGENT);
    assert_eq!(it.count(dials_out), 0, "nobody is called before the agent is there");
    let mut it = Story::begin();
    it.agent_answers();
    assert_eq!(it.count(dials_out), 1);
    it.leg(PARTY, LegEvent::Ringing { sdp: None });
    it.leg(PARTY, LegEvent::Ringing { sdp: None });
    assert_eq!(it.plays(), 1, "the agent hears it ring");
    it.party_answers();
    assert!(it.call.is_talking());
    let bridged = |it: &Output| matches!(it, Output::Offer { update: OfferUpdate::Bridged, .. });
    assert_eq!(it.count(bridged), 1);
    assert_eq!(it.count(|it| matches!(it, Output::Media(Order::Record { .. }))), 1);
    let agent = AgentNo::new("1001");
    assert!(it.call.hold(&agent, it.now) && it.call.retrieve(&agent, &Nobody, it.now));
    it.leg(PARTY, LegEvent::Ended(LegEnd::HungUp { cause: Some(16) }));
    assert!(it.hung_up(AGENT) && !it.hung_up(PARTY));
    let record = it.record();
    assert_eq!((record.direction(), record.outcome), (Direction::Outbound, Outcome::Reached));
    assert_eq!(record.released_by, Some(Party::Called));
    assert_eq!(record.caller.map(|it| it.reveal().clone()), Some("13800138000".to_owned()));
    assert_eq!((record.called.as_str(), record.trunk), ("077112345", Some(TrunkId::new("ct"))));
    let times = [record.t_in, record.t_ans, record.t_br, record.t_rel];
    assert!(times.iter().all(Option::is_some) && times.is_sorted(), "{times:?}");
    let segment = &record.segments[0];
    assert!(segment.t_ring.is_some() && segment.t_agent < segment.t_br && segment.n_holds == 1);
    assert_eq!(record.recordings.len(), 1);
}

#[test]
fn audio_before_the_answer_is_heard_instead_of_our_ring_back() {
    let mut it = Story::begin();
    it.agent_answers();
    it.leg(PARTY, LegEvent::Ringing { sdp: None });
    it.leg(PARTY, LegEvent::Ringing { sdp: Some("early".to_owned()) });
    it.media(MediaEvent::Settled { leg: PARTY, hold: false });
    let stops = |it: &Output| matches!(it, Output::Media(Order::Stop { leg: AGENT, .. }));
    assert_eq!((it.plays(), it.count(stops)), (1, 1));
    let listens = vec![Hears { listener: AGENT, speakers: vec![PARTY] }];
    assert_eq!(
        it.count(|it| matches!(it, Output::Media(Order::Mix { hears }) if *hears == listens)),
        1
    );
    assert!(!it.call.is_talking());
    // Some carriers describe themselves before the answer only.
    it.leg(PARTY, LegEvent::Answered { sdp: None });
    assert!(it.call.is_talking());
}

#[test]
fn a_telephone_that_rings_without_sound_after_a_183_gets_our_ring_back_until_sound_comes() {
    let quiet = |secs| MediaEvent::Quiet { leg: PARTY, secs };
    let stops = |it: &Output| matches!(it, Output::Media(Order::Stop { leg: AGENT, .. }));
    let mut it = Story::begin();
    it.agent_answers();
    it.leg(PARTY, LegEvent::Ringing { sdp: Some("early".to_owned()) });
    it.media(MediaEvent::Settled { leg: PARTY, hold: false });
    it.media(quiet(5));
    assert_eq!(it.plays(), 0, "nobody said that it rings: the network may be looking for him");
    it.leg(PARTY, LegEvent::Ringing { sdp: None });
    it.leg(PARTY, LegEvent::Ringing { sdp: None });
    assert_eq!(it.plays(), 1);
    it.media(quiet(0));
    assert_eq!(it.count(stops), 1, "the announcement is heard");
    it.media(quiet(5));
    assert_eq!(it.plays(), 2);
    it.party_answers();
    assert!(it.call.is_talking());
    assert_eq!(it.count(stops), 2);
    it.leg(PARTY, LegEvent::Ended(LegEnd::HungUp { cause: None }));
    let facts = it.record().facts;
    assert!(!facts.iter().any(|it| matches!(it.fact, CallFact::MediaQuiet { .. })));
}

#[test]
fn early_sound_that_makes_no_sense_is_replaced_by_our_ring_back_when_it_rings() {
    let mut it = Story::begin();
    it.agent_answers();
    it.leg(PARTY, LegEvent::Ringing { sdp: Some("nonsense".to_owned()) });
    let (order, reason) = (FailedOrder::Answer, FailReason::BadSdp);
    it.media(MediaEvent::Failed { leg: PARTY, order, reason });
    it.leg(PARTY, LegEvent::Ringing { sdp: None });
    assert_eq!(it.plays(), 1);
}

#[test]
fn a_trunk_whose_early_sound_is_not_wanted_gets_our_ring_back_whatever_it_describes() {
    let mut it = Story::begin();
    it.passes_on = false;
    it.agent_answers();
    it.leg(PARTY, LegEvent::Ringing { sdp: Some("early".to_owned()) });
    it.leg(PARTY, LegEvent::Ringing { sdp: None });
    it.leg(PARTY, LegEvent::Ringing { sdp: Some("other".to_owned()) });
    let answers = |it: &Output| matches!(it, Output::Media(Order::Answer { leg: PARTY, .. }));
    assert_eq!((it.plays(), it.count(answers)), (1, 0));
    it.party_answers();
    assert_eq!(it.count(answers), 1);
    assert!(it.call.is_talking());
}

#[test]
fn why_nobody_was_reached_is_in_the_record() {
    let cases = [
        (LegEnd::Refused { status: 486, cause: None }, Party::Called, "busy"),
        (LegEnd::Refused { status: 480, cause: Some(19) }, Party::Called, "no_answer"),
        (LegEnd::Refused { status: 404, cause: None }, Party::Carrier, "unallocated"),
        (LegEnd::Refused { status: 480, cause: Some(20) }, Party::Carrier, "unreachable"),
        (LegEnd::Refused { status: 503, cause: None }, Party::Carrier, "congestion"),
        (LegEnd::Refused { status: 302, cause: None }, Party::Carrier, "refused"),
        (LegEnd::NoAnswer, Party::Platform, "no_answer"),
        (LegEnd::NoResponse, Party::Carrier, "unreachable"),
    ];
    for (end, by, reason) in cases {
        let mut it = Story::begin();
        it.agent_answers();
        it.leg(PARTY, LegEvent::Ended(end));
        assert!(it.hung_up(AGENT), "{end:?}");
        let record = it.record();
        assert_eq!(record.outcome, Outcome::NotReached);
        assert_eq!(record.released_by, Some(by), "{end:?}");
        assert_eq!(record.reason.as_ref().map(EndReason::as_str), Some(reason), "{end:?}");
        assert!(record.recordings.is_empty() && record.t_ans.is_none());
        assert_eq!(record.segments[0].unanswered, Some(OfferEnd::NotReached));
    }
}

#[test]
fn the_agent_may_hang_up_at_any_time() {
    // While his own telephone rings, while the other one does, and in the talk.
    for stage in 0..3 {
        let mut it = Story::begin();
        it.opened(AGENT);
        if stage > 0 {
            it = Story::begin();
            it.agent_answers();
        }
        if stage > 1 {
            it.party_answers();
        }
        assert!(it.call.hang_up_agent(&AgentNo::new("1001"), &Nobody, it.now));
        it.listen();
        assert!(it.hung_up(AGENT) && it.hung_up(PARTY) == (stage > 0), "stage {stage}");
        let record = it.record();
        assert_eq!(record.released_by, Some(Party::Agent), "stage {stage}");
        assert_eq!(record.outcome == Outcome::Reached, stage == 2);
    }
}

#[test]
fn a_telephone_that_nobody_picks_up_calls_nobody() {
    let mut it = Story::begin();
    it.opened(AGENT);
    it.leg(AGENT, LegEvent::Ended(LegEnd::NoAnswer));
    assert!(!it.hung_up(PARTY));
    let record = it.record();
    let reason = record.reason.as_ref().map(EndReason::as_str);
    assert_eq!((reason, record.trunk), (Some("agent_no_answer"), None));
}

#[test]
fn a_busy_tone_ends_a_call_that_is_older_than_control_and_is_asked_for_again() {
    let mut it = Story::begin();
    it.heeds_tones = true;
    it.agent_answers();
    it.party_answers();
    let saved = it.call.save().unwrap();
    let mut call = Call::restore(saved, Arc::new(Config::default()), it.now);
    call.heed_tones(PARTY);
    it.call = call;
    it.said.clear();
    let legs = [AGENT, PARTY];
    let alive = crate::Alive { legs: &legs, recordings: &[], began: WallTime(0) };
    it.call.reconcile(&alive, &Nobody, it.now);
    it.listen();
    // The one that sounds may have begun when nobody listened.
    assert_eq!(it.count(|it| matches!(it, Output::Media(Order::HeedTones { leg: PARTY }))), 1);
    it.media(MediaEvent::Tone { leg: PARTY, tone: NetworkTone::Busy });
    assert!(it.hung_up(AGENT) && it.hung_up(PARTY));
}

#[test]
fn a_busy_tone_after_the_answer_ends_the_call_over_a_trunk_that_says_so_and_over_no_other() {
    let busy = |leg| MediaEvent::Tone { leg, tone: NetworkTone::Busy };
    let heeds = |it: &Output| matches!(it, Output::Media(Order::HeedTones { leg: PARTY }));
    for heeds_tones in [true, false] {
        let mut it = Story::begin();
        it.heeds_tones = heeds_tones;
        it.agent_answers();
        assert_eq!(it.count(heeds), usize::from(heeds_tones));
        it.party_answers();
        it.media(MediaEvent::Tone { leg: PARTY, tone: NetworkTone::RingBack });
        assert!(!it.hung_up(AGENT));
        it.media(busy(PARTY));
        assert_eq!((it.hung_up(AGENT), it.hung_up(PARTY)), (heeds_tones, heeds_tones));
        if heeds_tones {
            let record = it.record();
            assert_eq!(record.released_by, Some(Party::Called));
            assert_eq!(record.reason.unwrap().as_str(), "busy_tone");
        }
    }
}

#[test]
fn a_tone_before_the_answer_is_the_refusal_that_no_response_brings() {
    let cases = [
        (NetworkTone::Busy, Party::Called, "busy", 17),
        (NetworkTone::Congestion, Party::Carrier, "congestion", 34),
        (NetworkTone::Vacant, Party::Carrier, "unallocated", 1),
    ];
    // Whether the agent hears it himself or our ring-back.
    for (passes_on, (tone, by, reason, cause)) in
        [true, false].into_iter().flat_map(|it| cases.map(|case| (it, case)))
    {
        let mut it = Story::begin();
        (it.passes_on, it.heeds_tones) = (passes_on, true);
        it.agent_answers();
        it.leg(PARTY, LegEvent::Ringing { sdp: Some("early".to_owned()) });
        it.media(MediaEvent::Settled { leg: PARTY, hold: false });
        let somebody = |it: &Hears| !it.speakers.is_empty();
        let mixes = it.count(
            |it| matches!(it, Output::Media(Order::Mix { hears }) if hears.iter().any(somebody)),
        );
        assert_eq!((mixes, it.plays()), (usize::from(passes_on), usize::from(!passes_on)));
        it.media(MediaEvent::Tone { leg: PARTY, tone: NetworkTone::RingBack });
        assert!(!it.hung_up(PARTY));
        it.media(MediaEvent::Tone { leg: PARTY, tone });
        assert!(it.hung_up(AGENT) && it.hung_up(PARTY), "{tone:?}");
        let record = it.record();
        assert_eq!((record.outcome, record.released_by), (Outcome::NotReached, Some(by)));
        assert_eq!((record.reason.unwrap().as_str(), record.cause), (reason, Some(cause)));
    }
    // Over a trunk whose network says it in words it is a sound like any other.
    let mut it = Story::begin();
    it.agent_answers();
    it.leg(PARTY, LegEvent::Ringing { sdp: Some("early".to_owned()) });
    it.media(MediaEvent::Settled { leg: PARTY, hold: false });
    it.media(MediaEvent::Tone { leg: PARTY, tone: NetworkTone::Busy });
    assert!(!it.hung_up(AGENT) && !it.hung_up(PARTY));
}

#[test]
fn what_a_party_sounded_like_stands_in_the_record_and_silence_marks_it() {
    for (quality, expected) in [
        (LegQuality { silent: true, ..LegQuality::default() }, Some(AudioMark::SilentCall)),
        (LegQuality { one_way: true, ..LegQuality::default() }, Some(AudioMark::OneWayAudio)),
        (LegQuality { mos_in_x100: Some(430), ..LegQuality::default() }, None),
    ] {
        let mut it = Story::begin();
        it.agent_answers();
        it.media(MediaEvent::Hearing { leg: PARTY, state: Hearing::OneWay });
        it.party_answers();
        it.media(MediaEvent::Hearing { leg: PARTY, state: Hearing::Silent });
        it.leg(AGENT, LegEvent::Ended(LegEnd::HungUp { cause: None }));
        it.media(MediaEvent::Sounded { leg: PARTY, quality });
        let record = it.record();
        assert_eq!(record.sounded().collect::<Vec<_>>(), [(PARTY, &quality)]);
        assert_eq!(record.audio_marks(), expected.into_iter().collect::<Vec<_>>());
        let told = record.facts.iter().filter_map(|it| {
            let CallFact::Hearing { state, .. } = it.fact else { return None };
            Some(state)
        });
        assert_eq!(told.collect::<Vec<_>>(), [Hearing::Silent], "he owes no sound before");
    }
}

#[test]
fn a_telephone_that_dials_is_answered_and_the_called_party_is_called() {
    for offer in [Some("theirs"), None] {
        let mut it = Story::by_phone(offer);
        let is_opened = |it: &Output| {
            let Output::Media(Order::Open { leg: AGENT, offer: it, .. }) = it else { return false };
            it.as_deref() == offer
        };
        assert_eq!(it.count(is_opened), 1);
        it.opened(AGENT);
        let answered = |it: &Output| matches!(it, Output::Leg { leg: AGENT, order: LegOrder::Answer { sdp } } if sdp == "ours");
        assert_eq!(it.count(answered), 1);
        assert_eq!(it.count(|it| is_order(it, AGENT, |it| matches!(it, LegOrder::Dial { .. }))), 0);
        if offer.is_none() {
            assert_eq!(it.count(|it| is_open(it, PARTY)), 0, "it has described nothing yet");
            it.leg(AGENT, LegEvent::Reanswered { sdp: "theirs".to_owned() });
            it.media(MediaEvent::Settled { leg: AGENT, hold: false });
        }
        assert_eq!(it.count(|it| is_open(it, PARTY)), 1);
        it.opened(PARTY);
        let dialled = |it: &LegOrder| matches!(it, LegOrder::DialOut { .. });
        assert_eq!(it.count(|it| is_order(it, PARTY, dialled)), 1);
        it.party_answers();
        it.leg(AGENT, LegEvent::Ended(LegEnd::HungUp { cause: None }));
        let record = it.record();
        assert_eq!((record.direction(), record.outcome), (Direction::Outbound, Outcome::Reached));
    }
}

#[test]
fn a_telephone_that_gives_up_before_it_is_answered_calls_nobody() {
    let mut it = Story::by_phone(Some("theirs"));
    it.leg(AGENT, LegEvent::Ended(LegEnd::Cancelled));
    it.opened(AGENT);
    assert_eq!(it.count(|it| is_open(it, PARTY)), 0);
    assert_eq!(it.record().outcome, Outcome::NotReached);
}

fn is_order(it: &Output, of: LegId, is: impl Fn(&LegOrder) -> bool) -> bool {
    matches!(it, Output::Leg { leg, order } if *leg == of && is(order))
}

fn is_open(it: &Output, of: LegId) -> bool {
    matches!(it, Output::Media(Order::Open { leg, .. }) if *leg == of)
}
