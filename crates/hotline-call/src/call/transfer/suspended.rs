//! Stories of agents who send the caller to a flow and wait for him.

use std::sync::Arc;

use hotline_base::{
    FlowId, Key, LegId, Pii, PlayId, PromptId,
    media::{Event as MediaEvent, Order, PlayEnd},
};
use hotline_cdr::{FlowResult, FlowReturn, Muting, exported};
use hotline_ivr::{
    Bundle, check,
    raw::{At, RawBundle, RawEntry, RawFile, RawKind, RawNode},
};

use super::{
    tests::{AGENT, CALLER, Story, TARGET, agent, alive, by, supervised},
    *,
};
use crate::{Config, LegEvent, NotSuspended, TalkLine, call::nobody::Nobody};

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

/// A flow that asks for a password of two digits, and says whether it is 42.
fn bundle() -> Arc<Bundle> {
    let ask = map(vec![
        ("type", text("collect")),
        ("prompt", text("ask")),
        ("secret", text("true")),
        ("var", text("pin")),
        ("min", text("2")),
        ("max", text("2")),
        ("next", text("leave")),
        ("out", map(vec![("noinput", text("leave")), ("nomatch", text("leave"))])),
    ]);
    let known = map(vec![("known", text("var.pin == '42'"))]);
    let flow = map(vec![
        ("ivr", text("1")),
        ("id", text("verify")),
        ("kind", text("mid_call")),
        ("returns", map(vec![("known", text("bool"))])),
        ("vars", map(vec![("pin", map(vec![("type", text("string"))]))])),
        ("start", text("ask")),
        ("on_error", text("leave")),
        (
            "nodes",
            map(vec![
                ("ask", ask),
                ("leave", map(vec![("type", text("return")), ("values", known)])),
            ]),
        ),
    ]);
    let catalog = map(vec![
        ("ivr", text("1")),
        ("prompts", map(vec![("ask", map(vec![("text", text("ask"))]))])),
    ]);
    let file = |name: &str, kind, root| RawFile { name: name.to_owned(), kind, root };
    let files = RawBundle {
        files: vec![
            file("prompts/catalog.yaml", RawKind::Catalog, catalog),
            file("flows/verify.flow.yaml", RawKind::Flow, flow),
        ],
        groups: ["general"].map(GroupId::new).into(),
        recordings: [(PromptId::new("ask"), 2_000)].into(),
        hash: "0".to_owned(),
        today: None,
    };
    Arc::new(check(&files).0)
}

fn verify() -> FlowId {
    FlowId::new("verify")
}

impl Story {
    fn sends(&mut self, no: &str, flow: &str) -> Result<(), NotSuspended> {
        let (no, flow, bundle) = (agent(no), FlowId::new(flow), bundle());
        let mut done = Ok(());
        self.act(|call, now| done = call.suspend(&no, &flow, &bundle, &Nobody, now));
        done
    }

    /// The caller is in the flow, which asks him.
    fn suspended() -> Self {
        let mut it = Self::talk();
        it.sends("1001", "verify").unwrap();
        it
    }

    fn types(&mut self, keys: &str) {
        for key in keys.chars().map(|it| Key::try_from(it).unwrap()) {
            self.leg(CALLER, LegEvent::Key { key, alone: true });
        }
    }

    fn results(&self) -> Vec<&FlowResult> {
        let results = self.facts.iter().filter_map(|it| {
            let CallFact::Returned(it) = it else { return None };
            Some(it.as_ref())
        });
        results.collect()
    }

    /// How the recording was muted and resumed.
    fn muting(&self) -> Vec<String> {
        let said = self.facts.iter().filter_map(|it| {
            if let CallFact::RecordingMuted { how, by, .. } = it {
                Some(format!("{} {by}", how.as_str()))
            } else if let CallFact::RecordingResumed { by, .. } = it {
                Some(format!("resumed {by}"))
            } else {
                None
            }
        });
        said.collect()
    }
}

#[test]
fn caller_is_asked_while_the_agent_waits_and_both_talk_again() {
    let mut it = Story::suspended();
    it.table(&[(CALLER, &[]), (AGENT, &[])]);
    assert_eq!((it.music(CALLER), it.music(AGENT)), (Some("ask"), Some("moh.default")));
    assert_eq!((it.line(AGENT), it.recorded.clone()), (TalkLine::Suspended, vec![]));
    assert!(it.muted && it.call.is_talking() && it.call.is_suspended());
    it.types("42");
    it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
    assert_eq!((it.music(CALLER), it.music(AGENT)), (None, None));
    assert_eq!((it.line(AGENT), it.recorded.clone()), (TalkLine::Talking, vec![AGENT]));
    assert!(!it.muted && !it.call.is_suspended());
    assert_eq!(it.muting(), ["masked_by_flow 1001", "resumed 1001"]);
    let known = ("verify.known".to_owned(), "known".to_owned(), Pii::new("true".to_owned()));
    assert_eq!(exported(it.call.facts()), std::slice::from_ref(&known));
    assert_eq!(
        it.call.last_flow().map(|it| (it.how, &it.flow)),
        Some((FlowReturn::Done, &verify()))
    );
    // What he presses now is nobody's business.
    it.types("9");
    // A second time.
    it.sends("1001", "verify").unwrap();
    it.types("11");
    it.leaves(CALLER);
    let record = it.record();
    let (n, ms) = record.suspensions(&record.segments[0]);
    assert_eq!((n, record.segments[0].n_holds, record.exported.len()), (2, 0, 1));
    assert!(ms >= 4_000 && ms < record.segments[0].talk_ms, "{ms}");
    assert_ne!(record.exported, [known], "the last one counts");
}

#[test]
fn agent_waits_in_silence_where_that_is_wanted() {
    let mut it = Story::talk();
    it.call.config = Arc::new(Config { park_music: None, ..Config::default() });
    it.sends("1001", "verify").unwrap();
    assert_eq!((it.music(CALLER), it.music(AGENT)), (Some("ask"), None));
    it.types("42");
    it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
}

#[test]
fn agent_is_released_when_the_caller_hangs_up_in_the_flow() {
    let mut it = Story::suspended();
    it.leaves(CALLER);
    assert_eq!(it.hung_up, [AGENT]);
    assert_eq!(it.results().iter().map(|it| it.how).collect::<Vec<_>>(), [FlowReturn::HungUp]);
    let record = it.record();
    assert_eq!(record.suspensions(&record.segments[0]).0, 1);
    assert_eq!(record.released_by, Some(Party::Called));
}

#[test]
fn caller_goes_on_in_the_flow_when_the_agent_hangs_up_meanwhile() {
    let mut it = Story::suspended();
    it.leaves(AGENT);
    assert!(!it.call.is_over() && it.call.is_suspended() && !it.call.is_talking());
    assert_eq!((it.music(CALLER), it.hung_up.clone()), (Some("ask"), vec![AGENT]));
    it.types("42");
    // No flow goes on after the talk in a call that went out.
    assert!(it.hung_up.contains(&CALLER));
    assert_eq!(it.results().len(), 1);
    let record = it.record();
    assert_eq!(record.exported.len(), 1);
    let (n, ms) = record.suspensions(&record.segments[0]);
    assert_eq!((n, ms), (1, 1_000), "his wait ended when he left");
    // Or the caller hangs up, too.
    let mut it = Story::suspended();
    it.leaves(AGENT);
    it.leaves(CALLER);
    it.record();
}

#[test]
fn agent_takes_the_caller_back() {
    let mut it = Story::suspended();
    it.types("4");
    it.does(|call, now| call.retrieve(&agent("1001"), &Nobody, now));
    it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
    assert_eq!((it.music(CALLER), it.music(AGENT), it.muted), (None, None, false));
    assert_eq!(it.results().iter().map(|it| it.how).collect::<Vec<_>>(), [FlowReturn::Recalled]);
    it.types("2");
    assert_eq!(it.results().len(), 1, "the flow is over");
}

#[test]
fn caller_is_back_when_the_flow_cannot_speak() {
    let mut it = Story::suspended();
    let play = it.playing(CALLER);
    it.media(MediaEvent::PlayDone { leg: CALLER, play, played_ms: 0, end: PlayEnd::Missing });
    it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
    assert_eq!(it.line(AGENT), TalkLine::Talking);
}

#[test]
fn nobody_is_sent_who_does_not_talk_to_the_agent_alone() {
    let mut it = Story::talk();
    assert_eq!(it.sends("1002", "verify"), Err(NotSuspended::WrongState));
    assert_eq!(it.sends("1001", "nothing"), Err(NotSuspended::UnknownFlow));
    assert!(it.call.session.is_none());
    it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
    let mut it = Story::consulting();
    assert_eq!(it.sends("1001", "verify"), Err(NotSuspended::WrongState));
    it.does(|call, now| call.confer(&agent("1001"), now));
    assert_eq!(it.sends("1001", "verify"), Err(NotSuspended::WrongState));
    // And nothing else is done with him while he is there.
    let mut it = Story::suspended();
    assert_eq!(it.sends("1001", "verify"), Err(NotSuspended::WrongState));
    assert!(!it.call.may_consult(&agent("1001")) && !it.call.may_transfer(&agent("1001")));
    it.act(|call, now| assert!(!call.hold(&agent("1001"), now)));
}

#[test]
fn supervisor_is_with_the_agent_and_takes_the_caller_out_of_the_flow() {
    let mut it = supervised(Oversight::Whisper);
    it.sends("1001", "verify").unwrap();
    it.table(&[(CALLER, &[]), (AGENT, &[TARGET]), (TARGET, &[AGENT])]);
    assert_eq!((it.music(CALLER), it.music(AGENT)), (Some("ask"), None), "he has company");
    it.does(|call, now| call.intercept(&agent("1009"), &Nobody, now));
    it.table(&[(CALLER, &[TARGET]), (TARGET, &[CALLER])]);
    assert_eq!((it.music(CALLER), it.hung_up.clone()), (None, vec![AGENT]));
}

#[test]
fn a_command_and_a_flow_mask_the_recording_until_both_are_done() {
    let mut it = Story::talk();
    it.does(|call, now| call.mute_recording(&by("1001"), Muting::Paused, now));
    it.sends("1001", "verify").unwrap();
    it.does(|call, now| call.resume_recording(&by("1001"), now));
    assert!(it.muted, "the flow still asks");
    it.does(|call, now| call.mute_recording(&by("1001"), Muting::Masked, now));
    it.types("42");
    assert!(it.muted, "the agent wants it");
    it.does(|call, now| call.resume_recording(&by("1001"), now));
    assert!(!it.muted);
    let said = ["paused 1001", "masked_by_flow 1001", "masked 1001", "masked 1001"];
    assert_eq!(it.muting(), [&said[..], &["resumed 1001"]].concat());
}

#[test]
fn a_recording_that_breaks_off_while_it_is_masked_goes_on_masked() {
    let mut it = Story::suspended();
    it.act(Call::media_down);
    it.muted = false;
    it.act(|call, now| call.reconcile(&alive(&[CALLER, AGENT], &[]), &Nobody, now));
    assert!(it.muted, "the other part begins in the middle of the password");
    assert_eq!((it.music(CALLER), it.music(AGENT)), (Some("ask"), Some("moh.default")));
    it.types("42");
    assert!(!it.muted);
    it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
}

#[test]
fn caller_and_agent_talk_when_control_died_with_the_flow() {
    let it = Story::suspended();
    let saved = it.call.save().unwrap();
    let recordings = saved.recordings.clone();
    let mut call = Call::restore(saved, Arc::new(Config::default()), it.now);
    assert_eq!(call.last_flow().map(|it| it.how), Some(FlowReturn::Lost));
    call.reconcile(&alive(&[CALLER, AGENT], &recordings), &Nobody, it.now);
    let (mut heard, mut silenced, mut muted) = (Vec::new(), Vec::new(), true);
    let mut began: Vec<(LegId, PlayId)> = Vec::new();
    while let Some(output) = call.poll_output() {
        let Output::Media(order) = output else { continue };
        if let Order::Mix { hears } = order {
            heard = hears;
        } else if let Order::Play(it) = order {
            began.push((it.leg, it.play));
        } else if let Order::Stop { leg, play } = order {
            silenced.push((leg, play));
        } else if let Order::RecordMute { muted: it, .. } = order {
            muted = it;
        }
    }
    assert!(heard.iter().all(|it| it.speakers.len() == 1) && heard.len() == 2);
    assert_eq!(silenced.iter().map(|it| it.0).collect::<Vec<_>>(), [CALLER, AGENT]);
    assert_eq!((silenced == began, muted), (true, false));
    // He may be sent there again.
    assert_eq!(call.suspend(&agent("1001"), &verify(), &bundle(), &Nobody, it.now), Ok(()));
    let ended = LegEvent::Ended(crate::LegEnd::HungUp { cause: None });
    call.handle_leg(CALLER, ended, &Nobody, it.now);
    let stopped = std::iter::from_fn(|| call.poll_output())
        .any(|it| matches!(it, Output::Media(Order::StopRecord { .. })));
    assert!(call.is_over() && stopped);
}
