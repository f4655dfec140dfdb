//! Errors lead to a person (4.6, 4.7).

use super::{Agent, Done, Missing, Press, check, check_with, tell};
use crate::QueueRefusal;

/// A flow whose second node fails as `node` says.
fn failing(head: &str, node: &str) -> String {
    format!(
        "
id: main
vars: {{zero: {{type: int, default: 0}}, name: {{type: string, default: nope}}}}
start: first
{head}
nodes:
  first: {{type: answer, next: broken}}
  broken: {node}
  person: {{type: queue, group: general, announce: null, out: {{agent_done: bye, timeout: bye, full: bye, no_agents: bye, closed: bye, error: bye}}}}
  bye: {{type: hangup, prompt: bye.common, reason: bye}}
"
    )
}

const DIVIDES: &str =
    "{type: set, assign: {zero: '1 / var.zero', name: \"'x'\"}, out: {done: person}}";

#[test]
fn a_node_that_fails_leads_where_the_flow_says() {
    check(
        &[&failing("on_error: person", DIVIDES)],
        &[],
        1_000,
        "0.00 answer
        0.00 error at broken: division by zero -> OnError
        0.00 enqueue general 5
        0.00 play moh.default for ever",
    );
}

#[test]
fn a_flow_without_a_way_out_leads_to_the_fallback() {
    // The checker refuses such a flow; the interpreter takes no chances.
    let flow = failing(
        "on_error: person",
        "{type: schedule, schedule: '{{ var.name }}', out: {open: person, closed: person, error: loop}}",
    ) + "  loop: {type: set, assign: {name: \"'y'\", zero: 'var.zero'}, when: 'var.zero == 1', next: broken}\n";
    let files = crate::sample::with_flows(&[&flow]);
    let (_, complaints) = crate::check(&files);
    assert!(complaints.iter().any(|it| it.code == "E11"), "the checker sees the loop");
    let (bundle, _) = crate::check(&files);
    let mut story = super::Story::new(&std::sync::Arc::new(bundle), "main");
    story.tell(crate::Event::Start);
    story.pass(hotline_base::MonoTime(1_000_000_000));
    assert!(story.log.contains("max_steps_without_wait -> FallbackFlow"), "{}", story.log);
    assert!(story.log.contains("enqueue last 5"), "{}", story.log);
}

#[test]
fn a_prompt_that_is_missing_leads_to_a_person() {
    let play = "{type: play, prompt: \"{{ var.name }}\", next: person}";
    check(
        &[&failing("on_error: person", play)],
        &[],
        1_000,
        "0.00 answer
        0.00 error at broken: prompt nope is missing -> OnError
        0.00 enqueue general 5
        0.00 play moh.default for ever",
    );
    let skip = "{type: play, prompt: [\"{{ var.name }}\", ask], if_missing: skip, next: person}";
    check(
        &[&failing("on_error: person", skip)],
        &[],
        2_000,
        "0.00 answer
        0.00 play ask
        2.00 enqueue general 5
        2.00 play moh.default for ever",
    );
}

#[test]
fn a_menu_whose_recording_is_gone_leads_to_a_person() {
    let menu = "{type: menu, prompt: ask, options: {'1': {next: person}}, operator_next: bye, out: {noinput: bye, nomatch: bye}}";
    check(
        &[&failing("on_error: person", menu)],
        &[(10, Missing)],
        1_000,
        "0.00 answer
        0.00 play ask
        0.01 error at broken: prompt is missing -> OnError
        0.01 enqueue general 5
        0.01 play moh.default for ever",
    );
}

#[test]
fn an_unknown_group_leads_to_the_fallback_when_the_flow_knows_no_other() {
    let queue = "{type: queue, group: '{{ var.name }}', next: bye}";
    let flow = failing("on_error: broken", queue)
        .replace("default: nope", "default: nowhere")
        .replace("next: broken}", "next: gate}")
        .replace(
            "  broken:",
            "  gate: {type: branch, cases: [{if: 'var.zero == 1', next: person}], else: broken}\n  broken:",
        );
    check(
        &[&flow],
        &[(2_000, Agent("1")), (60_000, Done(50_000))],
        63_000,
        "0.00 answer
        0.00 error at broken: unknown group -> FallbackFlow
        0.00 enqueue last 5
        0.00 play moh.default for ever
        2.00 stop
        2.00 connect
        60.00 play bye.common
        62.00 hang up fallback 16
        62.00 left fallback system_hangup
        62.00 left main system_hangup",
    );
}

#[test]
fn a_fallback_that_fails_leads_to_the_queue_of_the_platform() {
    let queue = "{type: queue, group: '{{ var.name }}', next: bye}";
    let flow = failing("on_error: broken", queue)
        .replace("default: nope", "default: nowhere")
        .replace(
            "next: broken}",
            "next: gate}",
        )
        .replace(
            "  broken:",
            "  gate: {type: branch, cases: [{if: 'var.zero == 1', next: person}], else: broken}\n  broken:",
        );
    let bundle = crate::sample::bundle(&[&flow]);
    let mut bundle = std::sync::Arc::unwrap_or_clone(bundle);
    // A fallback flow that is itself broken.
    bundle.fallback_flow = Some("main".into());
    let mut story = super::Story::new(&std::sync::Arc::new(bundle), "main");
    story.tell(crate::Event::Start);
    let errors: Vec<&str> = story.log.lines().filter(|it| it.contains("error")).collect();
    assert_eq!(
        errors,
        [
            "0.00 error at broken: unknown group -> FallbackFlow",
            "0.00 error at broken: unknown group -> PlatformQueue"
        ]
    );
    assert!(story.log.contains("enqueue last 5"), "{}", story.log);
    story.act(Agent("7"));
    story.pass(hotline_base::MonoTime(10_000_000_000));
    assert!(story.log.contains("play num.d7 agent.service"), "{}", story.log);
    assert!(story.log.contains("connect"), "{}", story.log);
}

#[test]
fn even_the_last_resort_ends_with_an_apology() {
    let flow = failing("on_error: person", DIVIDES);
    let bundle = crate::sample::bundle(&[&flow]);
    let mut bundle = std::sync::Arc::unwrap_or_clone(bundle);
    bundle.flows.clear();
    let mut story = super::Story::new(&std::sync::Arc::new(bundle), "main");
    story.desk.refusal = Some(QueueRefusal::Full);
    story.tell(crate::Event::Start);
    story.pass(hotline_base::MonoTime(10_000_000_000));
    let want = "0.00 error at : unknown flow main -> PlatformQueue
0.00 answer
0.00 enqueue last 5
0.00 play sys.later
2.00 hang up ivr_error 16
2.00 left platform error
";
    assert_eq!(story.log, want);
}

/// A flow that enters another one, which fails.
const OUTER: &str = "
id: main
start: first
on_error: person
nodes:
  first: {type: answer, next: inner}
  inner: {type: call, flow: inner, args: {a: '0'}, into: {doubled: session.count}, next: told}
  told: {type: log, text: 'got {{ session.count }}', next: person}
  person: {type: queue, group: general, announce: null, out: {agent_done: bye, timeout: bye, full: bye, no_agents: bye, closed: bye, error: bye}}
  bye: {type: hangup, prompt: bye.common, reason: bye}
";

const INNER: &str = "
id: inner
kind: subflow
params: {a: {type: int}, b: {type: int, default: 20}}
returns: {doubled: int}
start: work
on_error: out
nodes:
  work: {type: set, assign: {session.count: '20 / param.a'}, next: out}
  out: {type: return, values: {doubled: param.b * 2}}
";

#[test]
fn an_inner_flow_returns_its_values() {
    check(
        &[&OUTER.replace("a: '0'", "a: '5'"), INNER],
        &[],
        1_000,
        "0.00 answer
        0.00 log got 40
        0.00 enqueue general 5
        0.00 play moh.default for ever",
    );
}

#[test]
fn an_inner_flow_that_cannot_help_itself_hands_the_error_out() {
    let inner = INNER
        .replace("on_error: out\n", "")
        .replace("next: out}", "out: {done: out, error: work2}}")
        + "  work2: {type: set, assign: {session.count: '1'}, out: {done: out, error: out}}\n";
    let handled = inner.replace("'1'", "1 % param.a");
    check(
        &[OUTER, &handled],
        &[],
        1_000,
        "0.00 answer
        0.00 error at work: division by zero -> OnError
        0.00 error at work2: division by zero -> OnError
        0.00 log got 40
        0.00 enqueue general 5
        0.00 play moh.default for ever",
    );
    let stubborn = INNER.replace("on_error: out\n", "on_error: work\n");
    let (bundle, _) = crate::check(&crate::sample::with_flows(&[OUTER, &stubborn]));
    let mut story = super::Story::new(&std::sync::Arc::new(bundle), "main");
    story.tell(crate::Event::Start);
    let errors: Vec<&str> = story.log.lines().filter(|it| it.contains("error")).collect();
    assert_eq!(
        errors,
        [
            "0.00 error at work: division by zero -> Unwound",
            "0.00 error at inner: division by zero -> OnError"
        ]
    );
    assert!(story.log.contains("enqueue general"), "{}", story.log);
}

#[test]
fn a_caller_who_never_decides_is_brought_to_a_person() {
    let flow = "
id: main
start: top
on_error: top
limits: {max_time: 60s}
nodes:
  top: {type: menu, prompt: greet.long, options: {'1': {next: top}}, operator_key: null, out: {noinput: top, nomatch: top}}
";
    let story = tell(&[flow], |_| (), &[], 100_000);
    assert!(story.log.contains("60.00 error at top: max_time -> FallbackFlow"), "{}", story.log);
    assert!(story.log.contains("60.00 enqueue last 5"), "{}", story.log);
}

#[test]
fn a_flow_that_goes_round_for_ever_is_stopped() {
    let flow = "
id: main
start: top
on_error: top
limits: {max_steps: 10, max_time: 10m}
nodes:
  top: {type: play, prompt: greet.short, next: top}
";
    let story = tell(&[flow], |_| (), &[], 100_000);
    assert!(story.log.contains("10.00 error at top: max_steps -> FallbackFlow"), "{}", story.log);
}

#[test]
fn a_queue_that_is_full_for_everybody_ends_with_a_word() {
    check_with(
        &[&failing("on_error: person", DIVIDES)],
        |desk| desk.refusal = Some(QueueRefusal::Full),
        &[(500, Press('1'))],
        5_000,
        "0.00 answer
        0.00 error at broken: division by zero -> OnError
        0.00 enqueue general 5
        0.00 play bye.common
        0.50 key Dropped
        2.00 hang up bye 16
        2.00 left main system_hangup",
    );
}
