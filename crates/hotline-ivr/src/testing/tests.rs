//! The runner of flow tests, and callers who press anything.

use std::{collections::BTreeMap, sync::Arc};

use hotline_base::PromptId;

use super::{Coverage, explore, run};
use crate::{
    Bundle,
    raw::{RawFile, RawKind},
    sample::{self, prompt_ms, yaml},
};

const MAIN: &str = "
id: main
params: {greeting: {type: prompt, default: greet.short}}
vars: {code: {type: string, default: ''}}
start: hello
on_error: person
on_hangup: left
nodes:
  hello: {type: play, prompt: '{{ param.greeting }}', barge_in: dtmf, next: top}
  top:
    type: menu
    prompt: greet.long
    prompt_short: menu.one.short
    options: {'1': {next: typed}, '2': {next: closed}}
    operator_next: person
    max_attempts: 2
    out: {noinput: person, nomatch: person}
  typed: {type: collect, prompt: ask, var: code, min: 3, max: 4, out: {done: kept, noinput: person, nomatch: person}}
  kept: {type: set, assign: {session.ticket: var.code}, next: person}
  closed: {type: schedule, schedule: office, out: {open: top, closed: shut}}
  shut: {type: hangup, prompt: sys.later, reason: closed}
  person:
    type: queue
    group: general
    priority: \"{{ caller.repeat(24) >= 2 ? 7 : 5 }}\"
    max_wait: 60s
    keys: {'9': shut}
    caller_whisper: agent.number
    after_agent: {flow: survey, when: 'agent.talk_ms >= 10000'}
    out: {agent_done: bye, timeout: shut, full: shut, no_agents: shut, closed: shut}
  bye: {type: hangup, prompt: bye.common, reason: normal}
  left: {type: event, topic: ivr.left, data: {reason: session.end_reason}}
";

const SURVEY: &str = "
id: survey
kind: after_agent
start: ask
on_error: leave
nodes:
  ask:
    type: survey
    survey_id: s1
    prompt: survey.ask
    keys: {'1': {value: 5, label: 满意, satisfied: true}, '2': {value: 1, label: 不满意}}
    out: {rated: leave, noinput: leave, nomatch: leave}
  leave: {type: return}
";

const VERIFY: &str = "
id: verify
kind: mid_call
returns: {ticket: string}
vars: {ticket: {type: string}}
start: ask
on_error: leave
nodes:
  ask: {type: collect, prompt: ask, var: ticket, min: 3, max: 3, out: {done: leave, noinput: leave, nomatch: leave}}
  leave: {type: return, values: {ticket: var.ticket}}
";

fn bundle() -> Arc<Bundle> {
    sample::bundle(&[MAIN, SURVEY, VERIFY])
}

fn durations(bundle: &Bundle) -> BTreeMap<PromptId, u32> {
    bundle.prompts.iter().map(|it| (it.clone(), prompt_ms(it.as_str()))).collect()
}

/// Failures of a file with this one case.
fn failures(mocks: &str, steps: &str, expect: &str) -> Vec<String> {
    let text = format!(
        "
suite: main
number: '12345'
at: '2026-03-10T10:30:00+08:00'
defaults:
  mocks: {{{mocks}}}
cases:
  - name: 一个
    steps: [{steps}]
    expect: {{{expect}}}
"
    );
    let bundle = bundle();
    let root = yaml(&text);
    let file = RawFile { name: "tests/a.test.yaml".to_owned(), kind: RawKind::Test, root };
    let report = run(&bundle, &file, &durations(&bundle));
    let complaints = report.complaints.iter().map(ToString::to_string);
    let failures = report.cases.iter().flat_map(|it| it.failures.iter().cloned());
    assert_eq!(
        report.is_green(),
        report.cases.iter().all(|it| it.failures.is_empty()) && report.complaints.is_empty()
    );
    complaints.chain(failures).collect()
}

const AGENT: &str = "queue general: {wait: 5s, agent: {id: '1001', talk: 45s, ended_by: agent}}";

#[track_caller]
fn passes(mocks: &str, steps: &str, expect: &str) {
    assert_eq!(failures(mocks, steps, expect), Vec::<String>::new());
}

#[track_caller]
fn fails(mocks: &str, steps: &str, expect: &str, want: &str) {
    let failures = failures(mocks, steps, expect);
    assert!(failures.iter().any(|it| it.contains(want)), "{want} is not in {failures:#?}");
}

#[test]
fn a_case_follows_a_caller_from_greeting_to_rating() {
    passes(
        AGENT,
        "{heard: greet.short}, {heard: {prompt: greet.long, interrupted_by: '0'}}, \
         {press: {keys: '0', at: 500ms}}, {queued: {group: general, priority: 5}}, \
         {agent: '1001'}, {heard: survey.ask}, {press: '1'}, {heard: bye.common}, \
         {ended: {by: system, reason: normal}}",
        "rating: {value: 5, satisfied: true, agent: '1001'}, path: [hello, top, person, \
         survey/ask, survey/leave, bye], end_reason: system_hangup, events: [ivr.left]",
    );
}

#[test]
fn a_case_may_bring_its_own_agent() {
    passes(
        "",
        "{silence: 30s}, {queued: {}}, {agent: {id: 7, talk: 3s}}, {heard: bye.common}",
        "rating: null",
    );
}

#[test]
fn a_case_may_send_the_caller_to_a_flow_and_take_him_back() {
    passes(
        AGENT,
        "{agent: '1001'}, {suspend: verify}, {heard: ask}, {press: '789'}, \
         {returned: {how: done, values: {ticket: '789'}}}, {suspend: verify}, {heard: ask}, \
         {recall: }, {returned: {how: recalled}}, {heard: survey.ask}",
        "",
    );
    fails(AGENT, "{suspend: survey}", "", "不能挂起转到 survey");
    fails(AGENT, "{returned: {}}", "", "来电人没有回到坐席");
    let sent = "{agent: '1001'}, {suspend: verify}, {press: '789'}, ";
    fails(AGENT, &format!("{sent}{{returned: {{how: failed}}}}"), "", "应为 failed，实际为 done");
    let values = "{returned: {values: {ticket: '1'}}}";
    fails(AGENT, &format!("{sent}{values}"), "", "返回值 ticket 应为 1，实际没有或不同");
}

#[test]
fn a_case_may_press_type_wait_and_hang_up() {
    passes(
        AGENT,
        "{press: {keys: '1', during: greet.long}}, {heard: ask}, {press: '789#'}, {queued: {}}, {hangup: {after: 2s}}",
        "vars: {session.ticket: '789'}, end_reason: queue_abandon",
    );
}

#[test]
fn the_rest_of_the_engine_is_what_the_case_says() {
    passes("caller.repeat: 3", "{queued: {priority: 7}}", "");
    passes("queue general: {no_agents: true}", "{heard: sys.later}, {ended: {reason: closed}}", "");
    passes("queue general: {full: true}", "{heard: sys.later}", "");
    passes("queue general: {closed: true}", "{heard: sys.later}", "");
    passes(
        "queue general: {wait: 1h, ahead: 3}",
        "{queued: {}}, {heard: queue.position.prefix}, {heard: num.d3}, {heard: moh.default}",
        "",
    );
    passes(
        "",
        "{clock: '2026-03-14T10:00'}, {press: {keys: '2', during: greet.long}}, {ended: {reason: closed}}",
        "",
    );
}

#[test]
fn a_case_that_is_not_so_says_what_was_instead() {
    fails(AGENT, "{heard: ask}", "", "没有听到 ask；最近：");
    fails(AGENT, "{queued: {group: business}}", "", "应排入 business，实际排入 general");
    fails(AGENT, "{queued: {priority: 9}}", "", "优先级应为 9，实际为 5");
    fails(AGENT, "{agent: '9'}", "", "应由 9 接听，实际由 1001 接听");
    fails(AGENT, "{ended: {by: caller}}", "", "应由 caller 结束，实际由 system 结束");
    fails(AGENT, "{ended: {reason: gone}}", "", "结束原因应为 gone，实际为 normal");
    fails(AGENT, "{ended: {}}", "rating: {value: 1}", "没有评价");
    fails(AGENT, "{heard: survey.ask}, {press: '1'}", "rating: null", "不应有评价");
    fails(AGENT, "{heard: survey.ask}, {press: '1'}", "rating: {value: 1}", "评价不符");
    fails(AGENT, "{queued: {}}", "vars: {session.city: x}", "session.city 应为“x”，实际为“”");
    fails(AGENT, "{queued: {}}", "vars: {session.town: x}", "无此变量");
    fails(
        AGENT,
        "{queued: {}}",
        "path: [hello, person]",
        "路径第 2 步应为 main/person，实际为 main/top",
    );
    fails(AGENT, "{queued: {}}", "events: [x]", "没有事件 x");
    fails(AGENT, "{queued: {}}", "tags: [x]", "没有标签 x");
    fails(AGENT, "{queued: {}}", "end_reason: error", "结束原因应为 error，实际为 （未结束）");
    fails(
        AGENT,
        "{heard: {prompt: greet.short, interrupted_by: '1'}}, {queued: {}}",
        "",
        "greet.short 没有被按键打断",
    );
    fails(AGENT, "{ended: {}}, {press: '1'}", "", "按键时通话已结束");
}

#[test]
fn a_test_file_with_mistakes_is_told_where() {
    fails("frob: 1", "", "", "E03 [defaults.mocks.frob]");
    fails("", "{say: hello}", "", "E03 [cases.1.steps.say] 没有步骤“say”");
    fails("", "{press: 'x'}", "", "E04 [cases.1.steps.press] 不是按键");
    fails("", "{silence: 5}", "", "E04 [cases.1.steps.silence]");
    fails("", "{silence: 5s}", "ratings: 1", "E03 [cases.1.expect.ratings]");
    fails("", "{silence: 5s, press: '1'}", "", "每个步骤只有一个名称");
}

#[test]
fn coverage_knows_what_was_never_tried() {
    let bundle = bundle();
    let whole = Coverage::whole(&bundle);
    let text = "{suite: main, number: '12345', cases: [{name: a, steps: [{queued: {}}]}]}";
    let file = RawFile { name: "t".to_owned(), kind: RawKind::Test, root: yaml(text) };
    let report = run(&bundle, &file, &durations(&bundle));
    assert!(report.coverage.nodes.contains("main/top"), "{:?}", report.coverage);
    assert!(report.coverage.edges.contains("main/top:noinput"));
    let missing: Vec<&str> = report.coverage.missing_edges(&whole).collect();
    assert!(missing.contains(&"main/top:1"), "{missing:?}");
    assert!(!missing.contains(&"main/top:noinput"));
    assert!((1..100).contains(&report.coverage.edge_percent(&whole)));
}

#[test]
fn callers_who_press_anything_are_led_to_an_end() {
    let bundle = bundle();
    let found = explore(&bundle, "12345", 0..2_000, &durations(&bundle));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_flow_that_keeps_a_caller_for_ever_is_found() {
    let endless = "
id: main
start: top
on_error: top
limits: {max_time: 7h, max_steps: 10000}
nodes:
  top: {type: play, prompt: greet.long, next: top}
";
    let bundle = sample::bundle(&[endless]);
    let found = explore(&bundle, "12345", 0..20, &durations(&bundle));
    assert!(found.iter().any(|it| it.contains("通话不结束")), "{found:?}");
    assert_eq!(explore(&bundle, "999", 0..20, &durations(&bundle)).len(), 1);
}

#[test]
fn a_case_may_say_what_becomes_of_the_recording() {
    let files = |action: &str| {
        let main = MAIN.replacen(
            "  shut: {type: hangup",
            &format!(
                "  shut: {{type: record, action: {action}, next: gone}}
  gone: {{type: hangup"
            ),
            1,
        );
        sample::bundle(&[&main, SURVEY, VERIFY])
    };
    let text = "
suite: main
number: '12345'
at: '2026-03-10T20:30:00+08:00'
cases:
  - name: 夜里
    steps: [{heard: greet.short}, {ended: {reason: closed}}]
    expect: {recording: [start]}
";
    let file =
        RawFile { name: "tests/a.test.yaml".to_owned(), kind: RawKind::Test, root: yaml(text) };
    let failures = |action| {
        let bundle = files(action);
        let report = run(&bundle, &file, &durations(&bundle));
        report.cases.into_iter().flat_map(|it| it.failures).collect::<Vec<_>>()
    };
    assert_eq!(failures("start"), Vec::<String>::new());
    assert_eq!(failures("stop"), ["录音应为 start，实际为 stop"]);
}
