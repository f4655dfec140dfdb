//! The hang-up chain (4.8), and what else a flow does on its way.

use super::{Agent, Done, HangUp, Press, check, tell};

const MAIN: &str = "
id: main
params: {night: {type: schedule, default: night}}
vars: {code: {type: string, default: '', mask: digits, export: true, label: 号码}}
start: hours
on_error: person
on_hangup: why
nodes:
  hours: {type: schedule, schedule: office, out: {open: hello, closed: closed}}
  closed: {type: hangup, reason: closed}
  hello: {type: play, prompt: [greet.short, '{a}', '{d}'], args: {a: {number: '21'}, d: {digits: 'call.dnis'}}, next: kind}
  kind: {type: switch, on_value: 'call.dnis', cases: {'12345': mark}, else: closed}
  mark: {type: tag, add: [hello], remove: [old], next: rest}
  rest: {type: pause, duration: 2s, next: find}
  find: {type: lookup, table: cities, key: '0771', into: code, out: {found: prefix, missing: closed}}
  prefix: {type: lookup, table: cities, key: '0772', into: session.ticket, prefix_match: true, out: {found: person, missing: closed}}
  person: {type: queue, group: '{{ var.code }}', announce: null, out: {agent_done: bye, timeout: bye, full: bye, no_agents: bye, closed: bye, error: bye}}
  bye: {type: hangup, prompt: bye.common, reason: bye}
  why: {type: branch, cases: [{if: \"session.end_reason == 'queue_abandon'\", next: sad}], else: said}
  sad: {type: tag, add: [abandoned], next: said}
  said: {type: event, topic: ivr.left, data: {reason: session.end_reason, city: var.code}}
";

const BEGINNING: &str = "0.00 answer
    0.00 play greet.short num.d2 num.ten num.one num.d1 num.d2 num.d3 num.d4 num.d5
    17.00 tag hello
    19.00 exported code *****al
    19.00 exported session.ticket bus****ness
    19.00 enqueue general 5
    19.00 play moh.default for ever";

fn story(script: &[(u64, super::Do)], until: u64, rest: &str) {
    let beginning = BEGINNING
        .replace("*****al", &crate::expr::mask("general"))
        .replace("bus****ness", &crate::expr::mask("business"));
    check(&[MAIN], script, until, &format!("{beginning}\n{rest}"));
}

#[test]
fn the_chain_runs_when_the_caller_gives_up() {
    story(
        &[(30_000, HangUp), (31_000, HangUp)],
        40_000,
        "30.00 tag abandoned
        30.00 event ivr.left queue_abandon general
        30.00 left main queue_abandon",
    );
}

#[test]
fn the_chain_runs_when_the_flow_hangs_up_and_only_once() {
    story(
        &[(20_000, Agent("1")), (30_000, Done(1)), (33_000, HangUp)],
        40_000,
        "20.00 stop
        20.00 connect
        30.00 play bye.common
        32.00 hang up bye 16
        32.00 event ivr.left system_hangup general
        32.00 left main system_hangup",
    );
}

#[test]
fn the_chain_runs_when_the_caller_leaves_during_the_last_word() {
    story(
        &[(20_000, Agent("1")), (30_000, Done(1)), (31_000, HangUp)],
        40_000,
        "20.00 stop
        20.00 connect
        30.00 play bye.common
        31.00 event ivr.left caller_hangup general
        31.00 left main caller_hangup",
    );
}

#[test]
fn the_chain_runs_exactly_once_wherever_the_caller_hangs_up() {
    for ms in (0..40_000).step_by(250) {
        let story = tell(&[MAIN], |_| (), &[(ms, HangUp), (ms + 100, HangUp)], 60_000);
        assert!(story.session.is_done(), "at {ms} ms");
        assert_eq!(story.log.matches("event ivr.left").count(), 1, "at {ms} ms: {}", story.log);
        assert_eq!(story.log.matches("left main").count(), 1, "at {ms} ms: {}", story.log);
        assert_eq!(story.session.poll_timeout(), None);
    }
}

#[test]
fn a_chain_that_fails_does_not_keep_the_call() {
    let flow = MAIN.replace("why: {type: branch", "why: {type: set, assign: {session.count: '1 / session.count'}, next: why2}\n  why2: {type: branch");
    let story = tell(&[&flow], |_| (), &[(30_000, HangUp)], 40_000);
    assert!(story.session.is_done());
    assert!(story.log.contains("error at why: division by zero -> Ignored"), "{}", story.log);
    assert!(story.log.contains("event ivr.left"), "{}", story.log);
}

#[test]
fn keys_pressed_in_a_pause_wait_for_the_next_question() {
    let story = tell(&[MAIN], |_| (), &[(18_000, Press('5'))], 18_500);
    assert!(story.log.contains("18.00 key Kept"), "{}", story.log);
}

#[test]
fn a_call_before_answer_is_answered_for_its_first_word() {
    let flow = "
id: main
start: wait
on_error: bye
nodes:
  wait: {type: answer, delay: 2s, next: bye}
  bye: {type: hangup, reason: bye}
";
    check(
        &[flow],
        &[],
        3_000,
        "2.00 answer
        2.00 hang up bye 16
        2.00 left main system_hangup",
    );
}

#[test]
fn nothing_of_a_caller_is_printed_by_accident() {
    let story = tell(&[MAIN], |_| (), &[], 20_000);
    let shown = format!("{:?}", story.session);
    assert!(!shown.contains("138"), "{shown}");
    assert!(shown.contains("person"), "{shown}");
    let value = crate::Value::str("13800138000");
    assert!(!format!("{value:?}").contains("138"));
}

#[test]
fn a_flow_records_a_message_and_is_answered_for_it() {
    const MESSAGE: &str = "
id: main
start: note
on_error: bye
nodes:
  note: {type: tag, add: [voicemail], next: tape}
  tape: {type: record, action: start, next: ask}
  ask: {type: play, prompt: ask, next: listen}
  listen: {type: pause, duration: 30s, next: quiet}
  quiet: {type: record, action: mask, next: loud}
  loud: {type: record, action: resume, next: stop}
  stop: {type: record, action: stop, next: bye}
  bye: {type: hangup, reason: message}
";
    check(
        &[MESSAGE],
        &[],
        60_000,
        "0.00 tag voicemail
        0.00 answer
        0.00 record start by main
        0.00 play ask
        32.00 record mask by main
        32.00 record resume by main
        32.00 record stop by main
        32.00 hang up message 16
        32.00 left main system_hangup",
    );
}
