//! A recording that a flow or a supervisor wants, and not only an agent's answer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hotline_base::{
    AgentNo, CallId, Extension, FlowId, GroupId, Key, LegId, MonoTime, Now, OfferId, Pii, PromptId,
    TicketId, TrunkId, WallTime,
    media::{Channel, Event as MediaEvent, LegStats, Order, PlayEnd, Profile, Recorded},
};
use hotline_cdr::{CallFact, CallRecord, Controller, Muting, RecordingEvent, Signalled};
use hotline_ivr::{
    Bundle, Entry, check,
    raw::{At, RawBundle, RawEntry, RawFile, RawKind, RawNode},
};

use crate::{Alive, Arrival, Call, Config, LegEnd, LegEvent, Offering, Output, QueueOrder};

const CALLER: LegId = LegId(1);
const AGENT: LegId = LegId(2);

/// A group with agents.
struct Open;

impl hotline_ivr::Environment for Open {
    fn queue_waiting(&self, _: &GroupId) -> usize {
        0
    }
    fn queue_position(&self) -> Option<usize> {
        None
    }
    fn agents_ready(&self, _: &GroupId) -> usize {
        1
    }
    fn agents_signed_in(&self, _: &GroupId) -> usize {
        1
    }
    fn group_known(&self, _: &GroupId) -> bool {
        true
    }
    fn caller_city(&self) -> String {
        String::new()
    }
    fn caller_repeat(&self, _: u32) -> u32 {
        0
    }
}

fn text(text: &str) -> RawNode {
    RawNode::Scalar { text: text.to_owned(), quoted: false, at: At::default() }
}

fn map(entries: Vec<(&str, RawNode)>) -> RawNode {
    let at = At::default();
    let entry = |(key, value): (&str, RawNode)| RawEntry {
        key: key.to_owned(),
        key_quoted: false,
        at,
        value,
    };
    RawNode::Map { entries: entries.into_iter().map(entry).collect(), at }
}

fn node(fields: &[(&str, &str)]) -> RawNode {
    map(fields.iter().map(|(key, value)| (*key, text(value))).collect())
}

fn tape(action: &str, next: &str) -> RawNode {
    node(&[("type", "record"), ("action", action), ("next", next)])
}

/// Records, asks for a secret of two digits, keeps one more key out of the recording, queues, and
/// after the talk records what the caller still says.
fn bundle(announces: bool) -> Arc<Bundle> {
    let mut ask = vec![("next", text("mask"))];
    let fields = [("type", "collect"), ("prompt", "ask"), ("secret", "true"), ("var", "pin")];
    ask.extend(fields.map(|(key, value)| (key, text(value))));
    ask.extend([("min", text("2")), ("max", text("2"))]);
    ask.push(("out", map(vec![("noinput", text("bye")), ("nomatch", text("bye"))])));
    let outcomes = ["timeout", "full", "no_agents", "closed", "error"];
    let mut out: Vec<_> = outcomes.iter().map(|it| (*it, text("bye"))).collect();
    out.push(("agent_done", text("more")));
    let mut queue = vec![("type", text("queue")), ("group", text("general")), ("out", map(out))];
    if announces {
        queue.push(("caller_whisper", text("ask")));
    }
    let queue = map(queue);
    let flow = map(vec![
        ("ivr", text("1")),
        ("id", text("main")),
        ("vars", map(vec![("pin", map(vec![("type", text("string"))]))])),
        ("start", text("tape")),
        ("on_error", text("bye")),
        (
            "nodes",
            map(vec![
                ("tape", tape("start", "ask")),
                ("ask", map(ask)),
                ("mask", tape("mask", "person")),
                ("person", queue),
                ("more", node(&[("type", "pause"), ("duration", "2s"), ("next", "stop")])),
                ("stop", tape("stop", "bye")),
                ("bye", node(&[("type", "hangup"), ("reason", "bye")])),
            ]),
        ),
    ]);
    let platform = map(vec![
        ("ivr", text("1")),
        ("prompts", map(vec![("ask", map(vec![("text", text("ask"))]))])),
    ]);
    let file = |name: &str, kind, root| RawFile { name: name.to_owned(), kind, root };
    let prompts = ["ask", "moh.default"].map(|it| (PromptId::new(it), 2_000));
    let files = RawBundle {
        files: vec![
            file("prompts/catalog.yaml", RawKind::Catalog, platform),
            file("flows/main.flow.yaml", RawKind::Flow, flow),
        ],
        groups: ["general"].map(GroupId::new).into(),
        recordings: prompts.into(),
        hash: "0".to_owned(),
        today: None,
    };
    Arc::new(check(&files).0)
}

struct Story {
    call: Call,
    now: Now,
    /// What media was told of recordings, in short.
    told: Vec<String>,
    names: Vec<hotline_base::RecordingId>,
    facts: Vec<CallFact>,
    news: Vec<RecordingEvent>,
    records: Vec<CallRecord>,
    queued: bool,
    plays: Vec<hotline_base::PlayId>,
}

impl Story {
    /// The caller is in the flow.
    fn new() -> Self {
        Self::of(bundle(false))
    }

    fn of(bundle: Arc<Bundle>) -> Self {
        let now = Now { mono: MonoTime(1_000_000_000), wall: WallTime(1_795_305_600_000) };
        let flow = FlowId::new("main");
        let arrival = Arrival {
            call: CallId(9),
            leg: CALLER,
            trunk: TrunkId::new("t"),
            caller: None,
            caller_raw: Pii::new(String::new()),
            restricted: false,
            called: "12345".to_owned(),
            called_raw: "12345".to_owned(),
            flow: flow.clone(),
            offer: Some("theirs".to_owned()),
            signalled: Signalled::default(),
            entry: Entry {
                flow,
                row_params: BTreeMap::new(),
                call_id: "9".to_owned(),
                from: Pii::new(String::new()),
                to: "12345".to_owned(),
                dnis: "12345".to_owned(),
                trunk: "t".to_owned(),
                started_at: now.wall,
                recording_id: String::new(),
            },
            bundle,
        };
        let mut it = Self {
            call: Call::new(arrival, Arc::new(Config::default()), now),
            now,
            told: Vec::new(),
            names: Vec::new(),
            facts: Vec::new(),
            news: Vec::new(),
            records: Vec::new(),
            queued: false,
            plays: Vec::new(),
        };
        it.media(MediaEvent::Opened { leg: CALLER, sdp: "ours".to_owned() });
        it
    }

    fn act<T>(&mut self, step: impl FnOnce(&mut Call, Now) -> T) -> T {
        let done = step(&mut self.call, self.now);
        while let Some(output) = self.call.poll_output() {
            self.hear(output);
        }
        self.now = self.now + Duration::from_secs(1);
        done
    }

    fn hear(&mut self, output: Output) {
        match output {
            Output::Media(Order::Record { recording, left, right, .. }) => {
                self.names.push(recording);
                self.told.push(format!("record {left} {right}"));
            }
            Output::Media(Order::RecordSource { channel, legs, .. }) => {
                assert_eq!(channel, Channel::Right);
                let legs: Vec<_> = legs.iter().map(ToString::to_string).collect();
                self.told.push(format!("right {}", legs.join(" ")));
            }
            Output::Media(Order::RecordMute { muted, .. }) => {
                self.told.push(if muted { "mute" } else { "unmute" }.to_owned());
            }
            Output::Media(Order::StopRecord { .. }) => self.told.push("stop".to_owned()),
            Output::Media(Order::Play(it)) => self.plays.push(it.play),
            Output::Queue(QueueOrder::Enqueue { .. }) => self.queued = true,
            Output::Fact(it) => self.facts.push(it.fact.clone()),
            Output::Recording(it) => self.news.push(it.event),
            Output::Record(it) => self.records.push(*it),
            Output::Media(_)
            | Output::Leg { .. }
            | Output::Queue(_)
            | Output::Offer { .. }
            | Output::Transferred { .. }
            | Output::Keep => (),
        }
    }

    fn media(&mut self, event: MediaEvent) {
        self.act(|call, now| call.handle_media(event, &Open, now));
    }

    fn leg(&mut self, leg: LegId, event: LegEvent) {
        self.act(|call, now| call.handle_leg(leg, event, &Open, now));
    }

    fn types(&mut self, keys: &str) {
        for key in keys.chars().map(|it| Key::try_from(it).unwrap()) {
            self.leg(CALLER, LegEvent::Key { key, alone: true });
        }
    }

    /// From the queue to the talk with agent 1001.
    fn answered(&mut self) {
        assert!(self.queued);
        let group = GroupId::new("general");
        self.act(|call, now| call.enqueued((TicketId(1), &group, 5), 1, &Open, now));
        self.offered(OfferId(1));
        self.leg(AGENT, LegEvent::Answered { sdp: Some("theirs".to_owned()) });
        self.media(MediaEvent::Settled { leg: AGENT, hold: false });
    }

    fn offered(&mut self, offer: OfferId) {
        let offering = Offering {
            offer,
            ticket: TicketId(1),
            agent: AgentNo::new("1001"),
            extension: Extension::new("8001"),
            group: GroupId::new("general"),
            leg: AGENT,
            profile: Profile::Plain,
        };
        self.act(|call, now| call.offered(offering, now));
        self.media(MediaEvent::Opened { leg: AGENT, sdp: "ours".to_owned() });
    }

    fn hangs_up(&mut self, leg: LegId) {
        self.leg(leg, LegEvent::Ended(LegEnd::HungUp { cause: Some(16) }));
    }

    /// The record when all is sealed and closed.
    fn record(&mut self) -> CallRecord {
        for recording in self.names.clone() {
            self.media(MediaEvent::Recorded(Recorded {
                recording,
                path: "part.wav".to_owned(),
                duration_ms: 1_000,
                bytes: 16_058,
                sha256: "0".repeat(64),
                gap_ms: 0,
                n_gaps: 0,
                measured: None,
            }));
        }
        for leg in [CALLER, AGENT] {
            self.media(MediaEvent::Closed { leg, stats: LegStats::default() });
        }
        let it = self.records.pop().unwrap();
        assert!(it.complete);
        it
    }

    /// The course of the recordings, as facts have it.
    fn course(&self) -> Vec<String> {
        let by = |it: &Controller| match it {
            Controller::Agent(it) => it.to_string(),
            Controller::Supervisor(it) => format!("supervisor {it}"),
            Controller::Flow(it) => format!("flow {it}"),
        };
        let said = self.facts.iter().filter_map(|it| {
            if let Some((_, _, offer)) = it.recording_started() {
                let who = it.recording_change().map(|it| by(&it.1)).unwrap_or_default();
                return Some(format!("started {}", offer.map_or(who, |it| it.to_string())));
            }
            if let CallFact::RecordingFollows { offer, .. } = it {
                return Some(format!("follows {offer}"));
            }
            let (_, who, change) = it.recording_change()?;
            let what = match change {
                hotline_cdr::RecordingChange::Muted(how) => how.as_str(),
                hotline_cdr::RecordingChange::Resumed => "resumed",
                hotline_cdr::RecordingChange::Stopped
                | hotline_cdr::RecordingChange::Started { .. } => "stopped",
            };
            Some(format!("{what} {}", by(&who)))
        });
        said.collect()
    }
}

#[test]
fn a_flow_records_its_caller_into_the_talk_and_after_it_until_it_says_stop() {
    let mut it = Story::new();
    assert_eq!(it.told, ["record 1 0", "mute"], "the secret is asked for at once");
    it.types("42");
    // What the flow masks and never resumes ends with the agent's answer.
    assert_eq!(it.told[2..], [] as [&str; 0]);
    it.answered();
    assert_eq!(it.told[2..], ["unmute", "right 2"]);
    assert_eq!(it.call.recording(), it.names.first());
    it.hangs_up(AGENT);
    assert_eq!(it.told[4..], ["right "], "goes on with the caller alone");
    it.now = it.now + Duration::from_secs(2);
    it.act(|call, now| call.handle_timeout(&Open, now));
    assert_eq!(it.told[5..], ["stop"]);
    let flow = "flow main";
    let course = [
        format!("started {flow}"),
        format!("masked_by_flow {flow}"),
        format!("masked {flow}"),
        format!("masked {flow}"),
        format!("resumed {flow}"),
        format!("follows {}", OfferId(1)),
        format!("stopped {flow}"),
    ];
    assert_eq!(it.course(), course);
    let record = it.record();
    assert_eq!((record.recordings.len(), it.names.len()), (1, 1), "one recording of one call");
    let audio = &record.recordings[0];
    assert_eq!((audio.agent.as_str(), audio.sealed), ("1001", true));
    assert_eq!(record.segments[0].recording, Some(audio.recording.clone()));
    assert_eq!(it.news.len(), 2);
    assert!(matches!(it.news[..], [RecordingEvent::Started, RecordingEvent::Sealed { .. }]));
}

#[test]
fn an_agent_is_on_the_recording_from_when_he_is_heard_and_not_from_his_answer() {
    let mut it = Story::of(bundle(true));
    it.types("42");
    it.answered();
    // Not even where a flow's recording, or none, runs already.
    let agent = Controller::Agent(AgentNo::new("1001"));
    assert!(it.act(|call, now| call.stop_recording_for(&agent, now)));
    assert!(
        it.act(|call, now| call.start_recording_for(&Controller::Flow(FlowId::new("main")), now))
    );
    assert_eq!(it.told[2..], ["unmute", "stop", "record 1 0"], "报工号 plays");
    let play = *it.plays.last().unwrap();
    it.media(MediaEvent::PlayDone { leg: CALLER, play, played_ms: 2_000, end: PlayEnd::Finished });
    assert_eq!(it.told[5..], ["right 2"]);
}

#[test]
fn a_caller_who_comes_to_nobody_is_in_a_recording_of_his_own() {
    let mut it = Story::new();
    it.hangs_up(CALLER);
    let record = it.record();
    let audio = &record.recordings[0];
    assert!(audio.sealed && !audio.has_agent());
    assert_eq!(it.told.last().unwrap(), "stop");
    assert_eq!(record.segments.len(), 0);
}

#[test]
fn an_agent_who_drops_before_the_bridge_leaves_the_flows_recording_alone() {
    let mut it = Story::new();
    it.types("42");
    let group = GroupId::new("general");
    it.act(|call, now| call.enqueued((TicketId(1), &group, 5), 1, &Open, now));
    it.offered(OfferId(1));
    it.act(|call, now| call.offer_expired(OfferId(1), &Open, now));
    assert!(!it.told.contains(&"stop".to_owned()), "{:?}", it.told);
    it.hangs_up(CALLER);
    assert_eq!(it.record().recordings.len(), 1);
}

#[test]
fn what_a_new_media_process_records_is_as_masked_as_before_and_of_the_flow() {
    let mut it = Story::new();
    let alive = Alive { legs: &[CALLER], recordings: &[], began: WallTime(0) };
    it.act(|call, now| {
        call.media_down(now);
        call.reconcile(&alive, &Open, now);
    });
    assert_eq!(it.told[2..], ["record 1 0", "mute"], "the secret is still asked for");
    let again = PlayEnd::Finished;
    let play = *it.plays.last().unwrap();
    it.media(MediaEvent::PlayDone { leg: CALLER, play, played_ms: 2_000, end: again });
    it.types("42");
    it.hangs_up(CALLER);
    let record = it.record();
    assert_eq!(record.recordings.len(), 2);
    // The part that broke off should have been as long as the caller was there.
    let gap = record.recordings[0].gap_ms;
    assert_eq!((gap, record.recordings[1].gap_ms), (0, 0));
}

#[test]
fn a_supervisor_decides_about_a_recording_without_being_in_the_call() {
    let by = Controller::Supervisor(AgentNo::new("9001"));
    let mut it = Story::new();
    assert!(!it.act(|call, now| call.start_recording_for(&by, now)), "one runs");
    assert!(it.act(|call, now| call.stop_recording_for(&by, now)));
    assert!(!it.act(|call, now| call.stop_recording_for(&by, now)), "none runs");
    assert!(!it.act(|call, now| call.mute_recording(&by, Muting::Paused, now)), "none runs");
    // The flow asks for something secret: not what he starts meanwhile.
    assert!(it.act(|call, now| call.start_recording_for(&by, now)));
    assert_eq!(it.told[2..], ["stop", "record 1 0", "mute"]);
    it.types("42");
    it.answered();
    assert!(it.act(|call, now| call.mute_recording(&by, Muting::Paused, now)));
    // He who talks may take it back; the supervisor stays in charge of what is his.
    let agent = Controller::Agent(AgentNo::new("1001"));
    assert!(it.act(|call, now| call.resume_recording(&agent, now)));
    assert!(it.act(|call, now| call.mute_recording(&by, Muting::Masked, now)));
    it.hangs_up(CALLER);
    let supervisor = "supervisor 9001";
    let course = it.course();
    let from = course.iter().position(|it| *it == format!("stopped {supervisor}")).unwrap();
    let last = [
        format!("stopped {supervisor}"),
        format!("started {supervisor}"),
        "masked_by_flow flow main".to_owned(),
        "masked flow main".to_owned(),
        "masked flow main".to_owned(),
        "resumed flow main".to_owned(),
        format!("follows {}", OfferId(1)),
        format!("paused {supervisor}"),
        "resumed 1001".to_owned(),
        format!("masked {supervisor}"),
    ];
    assert_eq!(course[from..], last);
    let record = it.record();
    assert_eq!(record.recordings.len(), 2);
    assert!(record.recordings.iter().all(|it| it.sealed));
}
