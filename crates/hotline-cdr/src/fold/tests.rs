//! What a record says of the calls that happened.

use std::{sync::Arc, time::Duration};

use hotline_base::{
    AgentNo, Extension, FlowId, GroupId, LegId, MonoTime, Pii, RecordingId, TicketId, TrunkId,
    WallTime,
};

use super::*;
use crate::{Controller, FlowResult, FlowReturn, OfferEnd, RecordingChange, RefusedWhy};

const OFFER: OfferId = OfferId(7);
const TICKET: TicketId = TicketId(3);

fn at(ms: u64) -> Now {
    Now { mono: MonoTime(ms * 1_000_000), wall: WallTime(1_000_000 + i64::try_from(ms).unwrap()) }
}

fn arrived() -> CallFact {
    CallFact::Arrived(Arc::new(Incoming {
        leg: LegId(1),
        trunk: TrunkId::new("demo"),
        caller: Some(Pii::new("13800138000".to_owned())),
        caller_raw: Pii::new("013800138000".to_owned()),
        restricted: false,
        called: "077112345".to_owned(),
        called_raw: "12345".to_owned(),
        flow: Some(FlowId::new("gx12345.main")),
        bundle: "b".to_owned(),
    }))
}

fn enqueued() -> CallFact {
    let group = GroupId::new("gx.general");
    CallFact::Enqueued { ticket: TICKET, group, priority: 5, position: 1 }
}

fn offered() -> CallFact {
    CallFact::Offered {
        offer: OFFER,
        ticket: TICKET,
        agent: AgentNo::new("1001"),
        extension: Extension::new("8001"),
        group: GroupId::new("gx.general"),
        leg: LegId(2),
    }
}

fn ended(by: Party) -> CallFact {
    CallFact::Ended { by, reason: EndReason::Normal { tag: "normal".to_owned() }, cause: None }
}

fn left(why: QueueExit) -> CallFact {
    CallFact::LeftQueue { ticket: TICKET, why }
}

fn stamped(at: Now, fact: CallFact) -> Arc<Stamped> {
    Arc::new(Stamped { at, fact })
}

fn record(facts: &[(u64, CallFact)]) -> CallRecord {
    let facts: Vec<_> = facts.iter().map(|(ms, fact)| stamped(at(*ms), fact.clone())).collect();
    fold(CallId(1), true, &facts, ShortAfter::default())
}

fn check(facts: &[(u64, CallFact)], outcome: Outcome) {
    assert_eq!(record(facts).outcome, outcome);
}

#[test]
fn an_answered_call_has_every_time_of_the_event_model() {
    let recording = RecordingId::new("R1");
    let it = record(&[
        (0, arrived()),
        (10, CallFact::Answered),
        (10, CallFact::FlowEntered),
        (4000, CallFact::PersonRequested),
        (4000, CallFact::FlowLeft),
        (4000, enqueued()),
        (5000, offered()),
        (5100, CallFact::Ringing { offer: OFFER }),
        (8000, CallFact::AgentAnswered { offer: OFFER }),
        (
            8000,
            CallFact::RecordingStarted {
                recording: recording.clone(),
                path: "r.wav".to_owned(),
                offer: OFFER,
            },
        ),
        (9000, CallFact::Bridged { offer: OFFER }),
        (9000, left(QueueExit::Answered)),
        (10_000, CallFact::Held { offer: OFFER, by: Party::Agent }),
        (12_000, CallFact::Retrieved { offer: OFFER, by: Party::Agent }),
        (20_000, CallFact::AgentReleased { offer: OFFER, by: Party::Agent }),
        (30_000, ended(Party::Platform)),
    ]);
    let segment = &it.segments[0];
    assert_eq!(it.outcome, Outcome::Answered);
    assert_eq!((it.duration_ms, it.wait_ms, it.talk_ms), (30_000, 5_000, 11_000));
    assert_eq!((segment.hold_ms, segment.n_holds), (2_000, 1));
    assert_eq!(segment.t_br, Some(at(9000).wall));
    assert_eq!(segment.recording, Some(recording));
    assert_eq!(it.queues[0].wait_ms, 5_000);
    assert_eq!(it.queues[0].exit, Some(QueueExit::Answered));
}

#[test]
fn a_hold_that_the_hang_up_ends_is_counted_to_the_hang_up() {
    let it = record(&[
        (0, arrived()),
        (0, offered()),
        (0, CallFact::Bridged { offer: OFFER }),
        (1000, CallFact::Held { offer: OFFER, by: Party::Caller }),
        (4000, CallFact::AgentReleased { offer: OFFER, by: Party::Caller }),
    ]);
    assert_eq!((it.segments[0].hold_ms, it.segments[0].talk_ms), (3000, 4000));
}

#[test]
fn a_caller_who_leaves_in_the_flow_asked_for_nobody() {
    check(&[(0, arrived()), (3000, ended(Party::Caller))], Outcome::InFlow);
}

#[test]
fn a_caller_who_leaves_the_queue_is_short_or_abandoned_by_his_wait() {
    let gone = |ms| {
        vec![
            (0, arrived()),
            (0, CallFact::PersonRequested),
            (0, enqueued()),
            (ms, left(QueueExit::Abandoned)),
            (ms, ended(Party::Caller)),
        ]
    };
    check(&gone(4999), Outcome::ShortAbandon);
    check(&gone(5000), Outcome::AbandonedInQueue);
}

#[test]
fn a_caller_who_leaves_while_it_rings_is_counted_as_such() {
    check(
        &[
            (0, arrived()),
            (0, enqueued()),
            (100, offered()),
            (200, CallFact::Ringing { offer: OFFER }),
            (9000, CallFact::OfferEnded { offer: OFFER, why: OfferEnd::CallerLeft }),
            (9000, left(QueueExit::Abandoned)),
            (9000, ended(Party::Caller)),
        ],
        Outcome::AbandonedRinging,
    );
}

#[test]
fn a_caller_forced_out_by_a_full_queue_is_forced_and_has_a_queue_segment() {
    let group = GroupId::new("gx.general");
    let facts = [
        (0, arrived()),
        (0, CallFact::PersonRequested),
        (0, CallFact::EnqueueRefused { group, why: QueueExit::Full }),
        (4000, ended(Party::Platform)),
    ];
    check(&facts, Outcome::Forced);
    assert_eq!(record(&facts).queues[0].exit, Some(QueueExit::Full));
}

#[test]
fn a_call_that_our_media_process_lost_is_lost() {
    let reason = EndReason::MediaFailed;
    check(
        &[
            (0, arrived()),
            (0, enqueued()),
            (9000, left(QueueExit::System)),
            (9000, CallFact::Ended { by: Party::Platform, reason, cause: None }),
        ],
        Outcome::Lost,
    );
}

#[test]
fn a_refused_call_has_a_record_too() {
    let why = RefusedWhy::OverLimit;
    check(
        &[
            (0, arrived()),
            (0, CallFact::Refused { status: why.status(), why }),
            (0, ended(Party::Platform)),
        ],
        Outcome::Refused,
    );
}

#[test]
fn a_wall_clock_set_back_during_the_call_does_not_change_its_length() {
    let late = Now { mono: MonoTime(60_000_000_000), wall: WallTime(5) };
    let facts = [stamped(at(0), arrived()), stamped(late, ended(Party::Caller))];
    let it = fold(CallId(1), true, &facts, ShortAfter(Duration::from_secs(5)));
    assert_eq!(it.duration_ms, 60_000);
    assert!(it.clock_was_set());
    let right = [stamped(at(0), arrived()), stamped(at(60_000), ended(Party::Caller))];
    assert!(!fold(CallId(1), true, &right, ShortAfter(Duration::from_secs(5))).clock_was_set());
}

#[test]
fn what_a_flow_gives_an_agent_is_in_the_record_with_how_long_he_waited() {
    let flow = || FlowId::new("identify");
    let returned = |how, value: &str| {
        let values = vec![("known".to_owned(), Pii::new(value.to_owned()))];
        let values = if value.is_empty() { Vec::new() } else { values };
        CallFact::Returned(Box::new(FlowResult { offer: OFFER, flow: flow(), how, values }))
    };
    let suspended = || CallFact::Suspended { offer: OFFER, flow: flow() };
    let by = Party::Agent;
    let it = record(&[
        (0, arrived()),
        (1_000, offered()),
        (2_000, CallFact::AgentAnswered { offer: OFFER }),
        (3_000, CallFact::Bridged { offer: OFFER }),
        (4_000, suspended()),
        (6_500, returned(FlowReturn::Done, "false")),
        (7_000, suspended()),
        (8_000, returned(FlowReturn::Recalled, "")),
        (9_000, suspended()),
        (9_400, CallFact::AgentReleased { offer: OFFER, by }),
        (12_000, returned(FlowReturn::Done, "true")),
        (13_000, ended(Party::Caller)),
    ]);
    assert_eq!(it.suspensions(&it.segments[0]), (3, 2_500 + 1_000 + 400));
    assert_eq!((it.segments[0].talk_ms, it.segments[0].n_holds), (6_400, 0));
    let known = ("identify.known".to_owned(), "known".to_owned(), Pii::new("true".to_owned()));
    assert_eq!(it.exported, [known]);
}

fn controlled(by: Controller, change: RecordingChange) -> CallFact {
    CallFact::of_recording(RecordingId::new("R1"), by, change)
}

#[test]
fn a_recording_that_a_flow_began_becomes_the_agents_who_comes_to_it() {
    let flow = Controller::Flow(FlowId::new("gx12345.main"));
    let start = RecordingChange::Started { path: "r.wav".to_owned() };
    let alone = [(0, arrived()), (10, CallFact::Answered), (20, controlled(flow, start))];
    let it = record(&alone);
    let audio = &it.recordings[0];
    assert!(!audio.has_agent());
    assert_eq!((&*audio.path, audio.started), ("r.wav", at(20).wall));

    let followed = CallFact::RecordingFollows { recording: RecordingId::new("R1"), offer: OFFER };
    let mut facts = alone.to_vec();
    facts.extend([(4000, enqueued()), (5000, offered()), (8000, followed)]);
    let it = record(&facts);
    let audio = &it.recordings[0];
    assert_eq!((audio.agent.as_str(), audio.group.as_str()), ("1001", "gx.general"));
    assert_eq!(it.segments[0].recording, Some(audio.recording.clone()));
    let facts: Vec<_> = facts.iter().map(|(ms, fact)| stamped(at(*ms), fact.clone())).collect();
    let news = crate::recording_news(CallId(1), &facts[..3]).unwrap();
    assert_eq!((news.event, news.agents.len()), (crate::RecordingEvent::Started, 0));
}

#[test]
fn what_agents_do_to_a_recording_keeps_its_facts_and_what_others_do_has_one() {
    let agent = || Controller::Agent(AgentNo::new("1001"));
    let supervisor = || Controller::Supervisor(AgentNo::new("9001"));
    for change in [
        RecordingChange::Muted(crate::Muting::Masked),
        RecordingChange::Resumed,
        RecordingChange::Stopped,
    ] {
        let own = controlled(agent(), change.clone());
        assert!(!matches!(own, CallFact::RecordingControlled(_)));
        let (_, by, is) = own.recording_change().unwrap();
        assert_eq!((by, is), (agent(), change.clone()));
        let other = controlled(supervisor(), change.clone());
        assert!(matches!(other, CallFact::RecordingControlled(_)));
        let (_, by, is) = other.recording_change().unwrap();
        assert_eq!((by, is), (supervisor(), change));
    }
}
