//! 挂起转: an agent sends the caller to a flow and waits.

use std::{collections::BTreeMap, sync::Arc};

use hotline_base::{FlowId, MonoTime, Pii, WallTime};

use super::{
    Agent, Desk, Do, Done, HangUp, Missing, Press, Recall, Session, Story, Suspend, check, sample,
    tell,
};
use crate::{Entry, Event};

const MAIN: &str = "
id: main
start: person
on_error: late
nodes:
  person:
    type: queue
    group: general
    max_wait: 100s
    after_agent: {flow: survey, when: 'agent.talk_ms >= 10000'}
    out: {agent_done: again, timeout: late, full: late, no_agents: late, closed: late}
  again: {type: branch, cases: [{if: \"session.ticket == '77'\", next: person}], else: bye}
  late: {type: hangup, reason: late}
  bye: {type: hangup, reason: bye}
";

const SURVEY: &str = "
id: survey
kind: after_agent
start: ask
on_error: leave
nodes:
  ask: {type: survey, survey_id: s1, prompt: survey.ask, keys: {'1': {value: 5, label: a, satisfied: true}}, out: {rated: leave, noinput: leave, nomatch: leave}}
  leave: {type: return}
";

/// Asks for a number and a password.
const VERIFY: &str = "
id: verify
kind: mid_call
returns: {known: bool, ticket: string}
vars: {pin: {type: string}}
start: which
on_error: leave
limits: {max_time: 60s}
nodes:
  which: {type: collect, prompt: menu.one, var: session.ticket, min: 2, max: 2, max_attempts: 1, out: {done: secret, noinput: leave, nomatch: leave}}
  secret: {type: collect, prompt: ask, secret: true, var: pin, min: 2, max: 2, out: {done: leave, noinput: gone, nomatch: leave}}
  leave: {type: return, values: {known: \"var.pin == '42'\", ticket: mask(session.ticket)}}
  gone: {type: hangup, reason: gone}
";

const RATE: &str = "
id: rate
kind: mid_call
start: ask
on_error: leave
nodes:
  ask: {type: survey, survey_id: s1, prompt: survey.ask, keys: {'1': {value: 5, label: a, satisfied: true}}, out: {rated: leave, noinput: leave, nomatch: leave}}
  leave: {type: return}
";

const FLOWS: [&str; 4] = [MAIN, SURVEY, VERIFY, RATE];

/// From 1.00 on the caller talks to 1001.
#[track_caller]
fn story(script: &[(u64, Do)], until: u64, want: &str) {
    let talk = "0.00 answer
        0.00 enqueue general 5
        0.00 play moh.default for ever
        1.00 stop
        1.00 connect";
    let script = [&[(1_000, Agent("1001"))], script].concat();
    check(&FLOWS, &script, until, &format!("{talk}\n{want}"));
}

/// Both numbers are typed, from 10 s to 13 s.
const TYPED: [(u64, Do); 5] = [
    (10_000, Suspend("verify")),
    (11_000, Press('7')),
    (11_100, Press('7')),
    (12_000, Press('4')),
    (13_000, Press('2')),
];

const WENT: &str = "10.00 play menu.one
        11.00 key stops
        11.10 exported session.ticket *7
        11.10 play ask
        11.10 secret
        12.00 key stops";

#[test]
fn a_caller_comes_back_with_what_the_flow_gives_and_goes_on_after_the_talk() {
    let script = [&TYPED[..], &[(30_000, Press('1')), (40_000, Done(5_000))]].concat();
    story(
        &script,
        41_000,
        &format!(
            "{WENT}
        13.00 returned done known=true ticket=*7
        13.00 secret no more
        30.00 key Dropped
        40.00 enqueue general 5
        40.00 play moh.default for ever"
        ),
    );
}

#[test]
fn an_agent_who_is_gone_is_not_gone_back_to() {
    // What follows the talk, the rating and the way on, comes when the flow is left.
    let mut script = [&TYPED[..], &[(14_000, Press('1'))]].concat();
    script.insert(4, (12_500, Done(11_500)));
    story(
        &script,
        15_000,
        &format!(
            "{WENT}
        13.00 returned done known=true ticket=*7
        13.00 survey offered for 1001
        13.00 play survey.ask
        13.00 secret no more
        14.00 key stops
        14.00 rated 1001 1 5 true
        14.00 enqueue general 5
        14.00 play moh.default for ever"
        ),
    );
    // Nobody waits for him.
    story(
        &[(10_000, Suspend("verify")), (10_100, Done(9_000)), (10_200, Recall)],
        10_300,
        "10.00 play menu.one
        10.20 stop
        10.20 returned recalled
        10.20 hang up bye 16
        10.20 left main system_hangup",
    );
}

#[test]
fn an_agent_takes_the_caller_back_in_the_middle() {
    let mut script = TYPED.to_vec();
    script.truncate(4);
    script.extend([(12_500, Recall), (12_600, Recall), (14_000, Done(100))]);
    story(
        &script,
        15_000,
        &format!(
            "{WENT}
        12.50 returned recalled
        12.50 secret no more
        14.00 enqueue general 5
        14.00 play moh.default for ever"
        ),
    );
}

#[test]
fn a_flow_that_fails_or_takes_too_long_gives_the_caller_back() {
    story(
        &[
            (10_000, Suspend("rate")),
            (10_100, Missing),
            (11_000, Suspend("rate")),
            (11_100, HangUp),
        ],
        12_000,
        "10.00 survey offered for 1001
        10.00 play survey.ask
        10.10 error at ask: prompt is missing -> OnError
        10.10 returned done
        11.00 error at ask: no agent to rate, or rated before -> OnError
        11.00 returned done
        11.10 left main caller_hangup",
    );
    let slow = VERIFY.replace("max_time: 60s", "max_time: 2s");
    let script = [(1_000, Agent("1001")), (10_000, Suspend("verify"))];
    let it = tell(&[MAIN, SURVEY, &slow], |_| (), &script, 13_000);
    let log: Vec<_> = it.log.lines().skip(6).collect();
    assert_eq!(log, ["12.00 error at which: max_time -> Unwound", "12.00 returned failed"]);
    assert!(it.session.may_visit(&FlowId::new("verify")), "he talks to the agent as before");
}

#[test]
fn a_caller_who_hangs_up_in_the_flow_leaves_all_of_it() {
    let mut script = TYPED.to_vec();
    script.truncate(3);
    script.push((11_500, HangUp));
    story(
        &script,
        12_000,
        "10.00 play menu.one
        11.00 key stops
        11.10 exported session.ticket *7
        11.10 play ask
        11.10 secret
        11.50 left verify caller_hangup
        11.50 left main caller_hangup
        11.50 secret no more",
    );
    // The flow may hang up, too.
    let mut script = TYPED.to_vec();
    script.truncate(3);
    script.push((11_500, Done(10_500)));
    let script = [&[(1_000, Agent("1001"))], &script[..]].concat();
    let it = tell(&FLOWS, |_| (), &script, 120_000);
    let log: Vec<_> = it.log.lines().filter_map(|it| Some(it.split_once(' ')?.1)).collect();
    let left = ["left verify system_hangup", "left main system_hangup", "secret no more"];
    assert_eq!(log[log.len() - 4..], [&["hang up gone 16"], &left[..]].concat());
}

#[test]
fn who_rated_the_agent_while_he_waited_is_not_asked_again() {
    story(
        &[(10_000, Suspend("rate")), (11_000, Press('1')), (60_000, Done(59_000))],
        61_000,
        "10.00 survey offered for 1001
        10.00 play survey.ask
        11.00 key stops
        11.00 rated 1001 1 5 true
        11.00 returned done
        60.00 error at ask: no agent to rate, or rated before -> OnError
        60.00 hang up bye 16
        60.00 left main system_hangup",
    );
}

#[test]
fn only_who_talks_is_sent_and_only_to_a_flow_that_gives_him_back() {
    check(
        &FLOWS,
        &[(500, Suspend("verify")), (1_000, Agent("1001")), (2_000, Suspend("survey"))],
        2_100,
        "0.00 answer
        0.00 enqueue general 5
        0.00 play moh.default for ever
        0.50 may not
        1.00 stop
        1.00 connect
        2.00 may not",
    );
    // Nor from one such flow to another.
    story(
        &[(10_000, Suspend("verify")), (10_500, Suspend("rate"))],
        10_600,
        "10.00 play menu.one
        10.50 may not",
    );
}

#[test]
fn a_talk_that_no_flow_led_to_has_a_session_for_one_visit() {
    let bundle = sample::bundle(&FLOWS);
    let entry = Entry {
        flow: FlowId::new(""),
        row_params: BTreeMap::new(),
        call_id: "8".to_owned(),
        from: Pii::new(String::new()),
        to: String::new(),
        dnis: String::new(),
        trunk: String::new(),
        started_at: WallTime(0),
        recording_id: String::new(),
    };
    for goes in [false, true] {
        let session = Session::in_talk(Arc::clone(&bundle), entry.clone());
        assert!(!session.has_flow() && session.may_visit(&FlowId::new("rate")));
        let mut it = Story { session, ..Story::new(&bundle, "main") };
        it.act(Suspend("rate"));
        if goes {
            it.act(Done(3_000));
        }
        it.pass(MonoTime(1_000_000_000));
        it.act(Press('1'));
        assert!(it.log.ends_with("1.00 rated 1001 1 5 true\n1.00 returned done\n"), "{}", it.log);
        assert!(it.session.poll_timeout().is_none(), "nothing is waited for");
        it.tell(Event::HungUp { reason: crate::EndReason::CallerHangup });
        assert!(it.session.is_done());
        let _: &Desk = &it.desk;
    }
}
