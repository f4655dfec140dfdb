//! Records for tests.

use std::sync::Arc;

use hotline_agent::{AgentFact, Display, Line, Presence};
use hotline_base::{
    AgentNo, CallId, FlowId, GroupId, Key, LegId, MonoTime, Now, OfferId, Pii, RecordingId,
    TicketId, TrunkId, WallTime,
    media::{Channel, Gap, GapWhy, MarkedGap},
};
use hotline_cdr::{
    CallFact, CallRecord, EndReason, Incoming, Muting, Party, QueueExit, ShortAfter, Stamped,
    SurveyAnswer, fold,
};

/// When call number 0 arrives; each later call arrives a second later.
pub(crate) const EPOCH: i64 = 1_795_219_200_000;

fn at(call: u64, ms: u64) -> Now {
    let wall = EPOCH + i64::try_from(call * 1000 + ms).unwrap();
    Now { mono: MonoTime(ms * 1_000_000), wall: WallTime(wall) }
}

fn arrived(caller: &str) -> CallFact {
    CallFact::Arrived(Arc::new(Incoming {
        leg: LegId(1),
        trunk: TrunkId::new("demo"),
        caller: Some(Pii::new(caller.to_owned())),
        caller_raw: Pii::new(format!("+86{caller}")),
        restricted: false,
        called: "077112345".to_owned(),
        called_raw: "12345".to_owned(),
        flow: Some(FlowId::new("main")),
        bundle: "b".to_owned(),
    }))
}

/// A call that waited, was answered by the agent, recorded and rated.
#[expect(clippy::too_many_lines, reason = "one line a fact")]
pub(crate) fn answered(call: u64, version: u32, agent: &str, caller: &str) -> CallRecord {
    let offer = OfferId(call);
    let agent = AgentNo::new(agent);
    let group = GroupId::new("general");
    let recording = RecordingId::new(&format!("rec-{call}"));
    let mut facts = vec![
        (0, arrived(caller)),
        (10, CallFact::Answered),
        (20, CallFact::FlowEntered),
        (
            3000,
            CallFact::Exported {
                name: "id_card".to_owned(),
                label: "证件号".to_owned(),
                value: Pii::new("4501001980".to_owned()),
            },
        ),
        (4000, CallFact::PersonRequested),
        (
            4000,
            CallFact::Enqueued {
                ticket: TicketId(call),
                group: group.clone(),
                priority: 0,
                position: 1,
            },
        ),
        (
            5000,
            CallFact::Offered {
                offer,
                ticket: TicketId(call),
                agent: agent.clone(),
                extension: "8001".into(),
                group: group.clone(),
                leg: LegId(2),
            },
        ),
        (6000, CallFact::Ringing { offer }),
        (8000, CallFact::AgentAnswered { offer }),
        (
            8000,
            CallFact::RecordingStarted {
                recording: recording.clone(),
                path: format!("2026/{call}.wav"),
                offer,
            },
        ),
        (9000, CallFact::LeftQueue { ticket: TicketId(call), why: QueueExit::Answered }),
        (9000, CallFact::Bridged { offer }),
        (60_000, CallFact::AgentReleased { offer, by: Party::Agent }),
        (
            62_000,
            CallFact::Rated(Box::new(SurveyAnswer {
                survey: "satisfaction".to_owned(),
                agent,
                group,
                key: Key::try_from('1').unwrap(),
                value: 5,
                label: "非常满意".to_owned(),
                satisfied: true,
            })),
        ),
        (
            63_000,
            CallFact::Ended {
                by: Party::Platform,
                reason: EndReason::Normal { tag: "done".to_owned() },
                cause: Some(16),
            },
        ),
    ];
    if version > 1 {
        facts.push((
            64_000,
            CallFact::RecordingSealed {
                recording,
                duration_ms: 52_000,
                bytes: 832_044,
                sha256: "ab".repeat(32),
                gap_ms: 0,
                n_gaps: 0,
            },
        ));
    }
    let stamped = |(ms, fact)| Arc::new(Stamped { at: at(call, ms), fact });
    let facts: Vec<Arc<Stamped>> = facts.into_iter().map(stamped).collect();
    let record = fold(CallId(call), true, &facts, ShortAfter::default());
    CallRecord { version, ..record }
}

/// A call whose caller left in the flow.
pub(crate) fn in_flow(call: u64, caller: &str) -> CallRecord {
    let ended = CallFact::Ended {
        by: Party::Caller,
        reason: EndReason::Normal { tag: "caller".to_owned() },
        cause: None,
    };
    let facts = [
        Stamped { at: at(call, 0), fact: arrived(caller) },
        Stamped { at: at(call, 2000), fact: ended },
    ]
    .map(Arc::new);
    let record = fold(CallId(call), true, &facts, ShortAfter::default());
    CallRecord { version: 1, ..record }
}

pub(crate) fn agent_fact(agent: &str, ms: i64) -> AgentFact {
    AgentFact {
        at: WallTime(EPOCH + ms),
        agent: AgentNo::new(agent),
        extension: Some("8001".into()),
        presence: Presence::Idle,
        line: Line::Free,
        display: Display::Idle,
        reason: None,
        pending: None,
        call: None,
    }
}

/// A call whose caller the flow found on a list and let go.
pub(crate) fn listed(call: u64, version: u32, entry: u64) -> CallRecord {
    let ended = CallFact::Ended {
        by: Party::Platform,
        reason: EndReason::Normal { tag: "blacklist".to_owned() },
        cause: None,
    };
    let hit = CallFact::Listed { list: "blacklist".to_owned(), entry, action: "reject".to_owned() };
    let facts = [
        Stamped { at: at(call, 0), fact: arrived("13800138000") },
        Stamped { at: at(call, 10), fact: hit },
        Stamped { at: at(call, 2000), fact: ended },
    ]
    .map(Arc::new);
    let record = fold(CallId(call), true, &facts, ShortAfter::default());
    CallRecord { version, ..record }
}

/// A talk with a hold and two mutings, one right after the other.
pub(crate) fn muted(call: u64) -> CallRecord {
    let mut facts = answered(call, 2, "1001", "13800138000").facts;
    let started = facts.iter().find_map(|it| {
        let CallFact::RecordingStarted { recording, offer, .. } = &it.fact else { return None };
        Some((recording.clone(), *offer))
    });
    let ((recording, offer), by) = (started.unwrap(), AgentNo::new("1001"));
    let mute = |how| CallFact::RecordingMuted { recording: recording.clone(), how, by: by.clone() };
    let resumed = CallFact::RecordingResumed { recording: recording.clone(), by: by.clone() };
    let gap = |from_ms, to_ms| Gap { from_ms, to_ms };
    let marked = |gap, why, channel| MarkedGap { gap, why, channel };
    let (gaps, all) = (
        vec![gap(1_000, 1_200)],
        vec![
            marked(gap(1_000, 1_200), GapWhy::Disk, None),
            marked(gap(2_000, 2_300), GapWhy::Lost, Some(Channel::Right)),
        ],
    );
    let more = [
        (20_000, CallFact::Held { offer, by: Party::Agent }),
        (30_000, CallFact::Retrieved { offer, by: Party::Agent }),
        (38_000, mute(Muting::Paused)),
        (39_000, mute(Muting::Masked)),
        (40_500, resumed),
        (
            63_900,
            CallFact::RecordingMeasured {
                recording: recording.clone(),
                heard_ms: [50_000, 26_000],
                gaps,
            },
        ),
        (63_900, CallFact::RecordingGaps { recording: recording.clone(), gaps: all }),
    ];
    let stamped = |(ms, fact)| Arc::new(Stamped { at: at(call, ms), fact });
    facts.extend(more.into_iter().map(stamped));
    facts.sort_by_key(|it| it.at.mono);
    let record = fold(CallId(call), true, &facts, ShortAfter::default());
    CallRecord { version: 2, ..record }
}
