//! What the checker says about mistakes.

use std::collections::BTreeSet;

use super::check;
use crate::{
    Value,
    calendar::Decision,
    civil::Civil,
    raw::RawKind,
    sample::{add, codes, list, with_flows, world},
};

/// A flow that is right, to be spoilt.
const GOOD: &str = "
id: main
params:
  greeting: {type: prompt, default: greet.short}
vars:
  code: {type: string, default: ''}
start: hello
on_error: to_person
on_hangup: left
nodes:
  hello: {type: play, prompt: '{{ param.greeting }}', next: top}
  top:
    type: menu
    prompt: menu.one
    options:
      '1': {label: 输入, next: typed}
    out: {noinput: to_person, nomatch: to_person}
  typed: {type: collect, prompt: ask, var: code, next: kept}
  kept: {type: set, assign: {session.city: var.code}, next: to_person}
  to_person: {type: queue, group: general, out: {agent_done: bye, timeout: bye, error: bye}}
  bye: {type: hangup, prompt: bye.common, reason: normal}
  left: {type: log, text: '{{ session.end_reason }}'}
";

/// The complaints about the good flow with `from` replaced by `to`, W12 left out.
fn spoilt(from: &str, to: &str) -> BTreeSet<String> {
    assert!(GOOD.contains(from), "{from}");
    let mut found = codes(&with_flows(&[&GOOD.replacen(from, to, 1)]));
    found.retain(|it| !it.starts_with("W12"));
    found
}

fn complains(from: &str, to: &str, want: &str) {
    let found = spoilt(from, to);
    assert!(found.contains(want), "{want} is not in {found:#?}");
}

#[test]
fn a_good_flow_raises_no_complaint() {
    let files = with_flows(&[GOOD]);
    let (bundle, complaints) = check(&files);
    let all: Vec<_> = complaints.iter().filter(|it| it.code != "W12").collect();
    assert!(all.is_empty(), "{}", list(&all));
    assert_eq!(bundle.flows.len(), 2);
    assert_eq!(bundle.fallback_group.as_str(), "last");
    assert_eq!(bundle.number("12345").unwrap().flow.as_str(), "main");
}

#[test]
fn a_complaint_names_file_line_key_and_what_to_do() {
    let files = with_flows(&[&GOOD.replacen("next: kept", "next: nowhere", 1)]);
    let (_, complaints) = check(&files);
    let it = complaints.iter().find(|it| it.code == "E06").unwrap();
    assert_eq!(it.file, "flows/main.flow.yaml");
    assert_eq!((it.line, it.key.as_str()), (19, "nodes.typed.next"));
    assert_eq!(it.text, "没有节点“nowhere”");
    assert!(!it.advice.is_empty());
}

#[test]
fn what_yaml_1_1_would_misread_is_refused() {
    complains("'1': {label: 输入", "1: {label: 输入", "E02 nodes.top.options.1");
    complains("reason: normal", "reason: no", "E02 nodes.bye.reason");
    complains("next: top}", "next: top, note: 0771}", "E02 nodes.hello.note");
    complains("next: top}", "next: top, note: 08:30}", "E02 nodes.hello.note");
    complains("reason: normal", "reason: 12345", "E02 nodes.bye.reason");
    complains("reason: normal", "reason: true", "E02 nodes.bye.reason");
    complains("start: hello", "start: hello\non: true", "E02 on");
}

#[test]
fn a_field_nobody_knows_is_refused() {
    complains("prompt: ask,", "prompt: ask, promt: ask,", "E03 nodes.typed.promt");
    complains("start: hello", "start: hello\nstarts: hello", "E03 starts");
    complains("type: set", "type: sett", "E03 nodes.kept.type");
    complains("reason: normal", "reason: normal, sip_reason: x", "E03 nodes.bye.sip_reason");
}

#[test]
fn a_value_of_the_wrong_kind_is_refused() {
    complains("var: code", "var: code, min: many", "E04 nodes.typed.min");
    complains("prompt: ask,", "prompt: ask, min: 9, max: 3,", "E04 nodes.typed.min");
    complains(
        "var: code",
        "var: code, input: {first_timeout: 5}",
        "E04 nodes.typed.input.first_timeout",
    );
    complains(
        "var: code",
        "var: code, input: {barge_in: speech}",
        "E04 nodes.typed.input.barge_in",
    );
    complains("'1': {label", "'x': {label", "E04 nodes.top.options.x");
    complains("reason: normal", "reason: [a]", "E04 nodes.bye.reason");
    complains(", reason: normal", "", "E04 nodes.bye.reason");
    complains("type: queue", "type: queue, priority: 12", "E04 nodes.to_person.priority");
    complains("  bye: {", "  Bye: {", "E04 nodes.Bye");
}

#[test]
fn a_name_written_twice_is_refused() {
    complains("  bye: {type", "  kept: {type: return}\n  bye: {type", "E05 nodes.kept");
    complains("id: main", "id: main\nid: main", "E05 id");
}

#[test]
fn a_flow_without_a_beginning_is_refused() {
    complains("start: hello\n", "", "E07 start");
    complains("start: hello", "start: gone", "E06 start");
}

#[test]
fn an_outcome_that_leads_nowhere_is_refused() {
    complains("next: top}", "out: {ok: top}}", "E08 nodes.hello.out.ok");
    complains(", next: top}", "}", "E09 nodes.hello");
    complains("on_error: to_person\n", "", "E09 nodes.typed");
    complains("agent_done: bye, ", "", "E09 nodes.to_person");
    complains(
        "assign: {session.city: var.code}, next: to_person",
        "assign: {session.city: var.code}, when: 'true', out: {done: to_person}",
        "E09 nodes.kept.when",
    );
}

#[test]
fn on_error_covers_what_a_node_leaves_open() {
    assert_eq!(spoilt("timeout: bye, error: bye", ""), BTreeSet::new());
}

#[test]
fn a_node_nobody_reaches_is_refused() {
    complains("next: kept", "next: to_person", "E10 nodes.kept");
    let draft = spoilt("start: hello", "draft: true\nstart: to_person");
    assert!(!draft.iter().any(|it| it.starts_with("E10")), "{draft:?}");
}

#[test]
fn a_loop_in_which_no_time_passes_is_refused() {
    complains(
        "next: kept}",
        "next: spin}\n  spin: {type: branch, cases: [{if: 'true', next: spin2}], else: kept}\n  \
         spin2: {type: set, assign: {code: \"'x'\"}, next: spin}",
        "E11 nodes.spin",
    );
    let waiting =
        spoilt("next: kept}", "next: top}\n  x: {type: set, assign: {code: \"'a'\"}, next: top}");
    assert!(!waiting.iter().any(|it| it.starts_with("E11")), "{waiting:?}");
}

#[test]
fn an_expression_that_does_not_fit_is_refused() {
    complains("session.city: var.code", "session.city: 1", "E12 nodes.kept.assign.session.city");
    complains(
        "session.city: var.code",
        "session.city: var.cod",
        "E12 nodes.kept.assign.session.city",
    );
    complains("session.city: var.code", "call.from: var.code", "E12 nodes.kept.assign.call.from");
    complains(
        "session.city: var.code",
        "session.town: var.code",
        "E12 nodes.kept.assign.session.town",
    );
    complains("var: code", "var: session.count", "E12 nodes.typed.var");
    complains("group: general", "group: \"{{ 1 }}\"", "E12 nodes.to_person.group");
    complains(
        "group: general",
        "group: general, priority: \"{{ 'a' }}\"",
        "E12 nodes.to_person.priority",
    );
    complains("type: collect, ", "type: pause, duration: 1s, ", "E12 vars.code");
}

#[test]
fn what_does_not_exist_is_refused() {
    complains("prompt: ask", "prompt: aks", "E13 nodes.typed.prompt");
    complains("greet.short", "greet.none", "E13 params.greeting.default");
    complains("prompt: ask,", "prompt: {text: 请输入},", "E14 nodes.typed.prompt");
    complains("group: general", "group: generall", "E15 nodes.to_person.group");
    complains(
        "group: general",
        "group: general, after_agent: {flow: survey}",
        "E15 nodes.to_person.after_agent.flow",
    );
}

#[test]
fn a_prompt_without_a_recording_is_refused() {
    let mut files = with_flows(&[GOOD]);
    files.recordings.remove("ask");
    assert!(codes(&files).contains("E13 nodes.typed.prompt"));
}

#[test]
fn nobody_hears_a_hang_up_chain() {
    complains(
        "left: {type: log, text: '{{ session.end_reason }}'}",
        "left: {type: play, prompt: ask, next: bye}",
        "E18 nodes.left",
    );
}

#[test]
fn a_number_does_not_get_into_the_log() {
    complains("{{ session.end_reason }}", "{{ call.from }}", "E19 nodes.left.text");
    complains("{{ session.end_reason }}", "{{ session.ticket }}", "E19 nodes.left.text");
    let masked = spoilt("{{ session.end_reason }}", "{{ mask(call.from) }}");
    assert_eq!(masked, BTreeSet::new());
}

#[test]
fn a_rating_needs_an_agent() {
    complains(
        "type: collect, prompt: ask, var: code",
        "type: survey, prompt: ask, survey_id: s, keys: {'1': {value: 1, label: a}}",
        "E21 nodes.typed.type",
    );
}

#[test]
fn an_agent_is_rated_once() {
    let survey = "
id: survey
kind: after_agent
start: ask
on_error: leave
nodes:
  ask: {type: survey, survey_id: s, prompt: ask, keys: {'1': {value: 1, label: a}}, next: NEXT}
  again: {type: survey, survey_id: s, prompt: ask, keys: {'1': {value: 1, label: a}}, next: leave}
  leave: {type: return}
";
    let main = GOOD.replace("group: general", "group: general, after_agent: {flow: survey}");
    let twice = codes(&with_flows(&[&main, &survey.replace("NEXT", "again")]));
    assert!(twice.contains("E21 nodes.ask"), "{twice:?}");
    let itself = codes(&with_flows(&[&main, &survey.replace("NEXT", "ask")]));
    assert!(itself.contains("E21 nodes.ask"), "{itself:?}");
    let once = survey.replace("NEXT", "leave").replace("start: ask", "draft: true\nstart: ask");
    let once = codes(&with_flows(&[&main, &once]));
    assert!(!once.iter().any(|it| it.starts_with('E')), "{once:?}");
}

#[test]
fn a_flow_in_the_middle_of_a_talk_neither_queues_nor_shows_what_is_secret() {
    let flow = "
id: verify
kind: mid_call
returns: {known: bool, pin: string}
vars: {pin: {type: string}, card: {type: string, mask: digits}}
start: ask
on_error: leave
nodes:
  ask: {type: collect, secret: true, prompt: ask, var: pin, max: 4, next: leave, out: {noinput: leave, nomatch: leave}}
  leave: {type: return, values: {known: \"var.pin == '1'\", pin: VALUE}}
";
    let main = GOOD;
    let with = |value: &str, more: &str| {
        let flow = flow.replace("VALUE", value).replace("next: leave, out", more);
        codes(&with_flows(&[main, &flow]))
    };
    let good = with("mask(var.pin)", "next: leave, out");
    assert!(!good.iter().any(|it| it.starts_with('E')), "{good:?}");
    for value in ["var.pin", "\"'x' + var.pin\"", "var.card", "last.digits"] {
        let bad = with(value, "next: leave, out");
        assert!(bad.contains("E19 nodes.leave.values.pin"), "{value}: {bad:?}");
    }
    let queues = flow.replace("VALUE", "mask(var.pin)").replace(
        "  leave:",
        "  q: {type: queue, group: general, next: leave, out: {agent_done: leave, timeout: leave}}\n  leave:",
    );
    let queues = codes(&with_flows(&[
        main,
        &queues.replace("next: leave, out: {noinput", "next: q, out: {noinput"),
    ]));
    assert!(queues.contains("E21 nodes.q.type"), "{queues:?}");
}

#[test]
fn a_flow_records_as_far_as_the_recording_is_its_own() {
    let kept = "kept: {type: set, assign: {session.city: var.code}, next: to_person}";
    let with = |action: &str, next: &str, more: &str| {
        spoilt(
            kept,
            &format!(
                "kept: {{type: set, assign: {{session.city: var.code}}, next: tape}}
  tape: {{type: record, action: {action}, next: {next}}}{more}"
            ),
        )
    };
    let again = "\n  again: {type: record, action: resume, next: to_person}";
    for (action, next, more) in
        [("start", "to_person", ""), ("stop", "to_person", ""), ("mask", "again", again)]
    {
        assert_eq!(with(action, next, more), BTreeSet::new(), "{action}");
    }
    assert!(with("erase", "to_person", "").contains("E04 nodes.tape.action"));
    assert!(with("mask", "to_person", "").contains("W13 nodes.tape"));
    complains("type: collect, prompt: ask, var: code", "type: record", "E04 nodes.typed.action");

    let visit = |action: &str| {
        let flow = format!(
            "
id: visit
kind: mid_call
start: tape
on_error: leave
nodes:
  tape: {{type: record, action: {action}, next: again}}
  again: {{type: record, action: resume, next: leave}}
  leave: {{type: return}}
"
        );
        codes(&with_flows(&[GOOD, &flow]))
    };
    for action in ["start", "stop"] {
        assert!(visit(action).contains("E21 nodes.tape"), "{action}");
    }
    assert!(!visit("mask").iter().any(|it| it.starts_with('E')));
    let found = check(&with_flows(&[&GOOD
        .replacen(kept, &kept.replace("to_person", "tape"), 1)
        .replacen("  bye:", "  tape: {type: record, action: pause, next: to_person}\n  bye:", 1)]));
    let said = found.1.iter().find(|it| it.code == "W13").unwrap().to_string();
    assert!(said.contains("flow.yaml:") && said.contains("resume"), "{said}");
}

#[test]
fn a_platform_that_cannot_speak_is_refused() {
    let mut files = with_flows(&[GOOD]);
    files.recordings.remove("sys.later");
    assert!(codes(&files).contains("E13 fallback_group"));
}

#[test]
fn only_warnings_may_be_waived_and_with_a_reason() {
    complains("start: hello", "lint: {allow: [E10], why: x}\nstart: hello", "E04 lint.allow");
    complains("start: hello", "lint: {allow: [W09]}\nstart: hello", "E04 lint.why");
}

#[test]
fn advice_does_not_block() {
    complains("noinput: to_person, nomatch", "noinput: bye, nomatch", "W09 nodes.top");
    complains(
        "{label: 输入",
        "{label: 输入, next: typed}\n      '12': {label: 输入",
        "W04 nodes.top.options",
    );
    complains("greeting: {", "other: {type: int, default: 1}\n  greeting: {", "W11 params.other");
    complains("prompt: menu.one", "prompt: [greet.long, ask, ask]", "W02 nodes.top");
    complains(
        "prompt: menu.one",
        "prompt: greet.long\n    input: {barge_in: none}",
        "W05 nodes.top.barge_in",
    );
    complains(
        "{noinput: to_person, nomatch: to_person}",
        "{noinput: bye, nomatch: bye}\n    operator_key: null\n    on_error: x",
        "E03 nodes.top.on_error",
    );
    let waived = GOOD.replacen("noinput: to_person, nomatch", "noinput: bye, nomatch", 1).replacen(
        "start: hello",
        "lint: {allow: [W09], why: 试验}\nstart: hello",
        1,
    );
    assert!(!codes(&with_flows(&[&waived])).contains("W09 nodes.top"));
}

#[test]
fn every_number_is_tried_with_its_parameters() {
    let numbers = |rows: &str| {
        let mut files = with_flows(&[GOOD]);
        add(
            &mut files,
            "profiles/nn.yaml",
            RawKind::Profile,
            "ivr: 1\nprofile: nn\nparams: {greeting: greet.long, unused: 1}",
        );
        let text = format!("ivr: 1\nprofile: nn\nnumbers: {rows}");
        add(&mut files, "numbers/nn.numbers.yaml", RawKind::Numbers, &text);
        let (bundle, complaints) = check(&files);
        let codes: Vec<String> = complaints
            .iter()
            .filter(|it| it.code != "W12")
            .map(|it| format!("{} {}:{} {}", it.code, it.file, it.line, it.key))
            .collect();
        (bundle, codes)
    };
    let (bundle, codes) = numbers(
        "[{dnis: ['07711']  , flow: main}, {dnis: ['07712'], flow: main, params: {greeting: ask}}]",
    );
    assert_eq!(codes, Vec::<String>::new());
    let greeting = |dnis: &str| bundle.number(dnis).unwrap().params.get("greeting").cloned();
    assert_eq!(greeting("07711"), Some(Value::str("greet.long")));
    assert_eq!(greeting("07712"), Some(Value::str("ask")));
    assert_eq!(greeting("12345"), None);
    let (_, codes) = numbers("[{dnis: ['1'], flow: main, params: {greeting: nope}}]");
    assert_eq!(codes, ["E13 numbers/nn.numbers.yaml:3 numbers.1.params.greeting"]);
    let (_, codes) = numbers("[{dnis: ['1'], flow: main, params: {greetings: ask}}]");
    assert_eq!(codes, ["E03 numbers/nn.numbers.yaml:3 numbers.1.params.greetings"]);
    let (_, codes) = numbers("[{dnis: ['1'], flow: mian}]");
    assert_eq!(codes, ["E15 numbers/nn.numbers.yaml:3 numbers.1.flow"]);
    let (_, codes) = numbers("[{dnis: ['12345'], flow: main}]");
    assert_eq!(codes, ["E20 numbers/nn.numbers.yaml:3 numbers.1.dnis"]);
}

#[test]
fn a_flow_chosen_by_a_number_is_followed() {
    let main = GOOD
        .replacen("params:", "params:\n  next: {type: flow, default: one}", 1)
        .replacen("next: kept}", "next: sub}\n  sub: {type: call, flow: '{{ param.next }}', args: {town: var.code}, next: kept}", 1);
    let sub = |id: &str, next: &str| {
        format!(
            "id: {id}\nkind: subflow\nparams: {{town: {{type: string}}}}\nstart: a\non_error: z\nnodes:\n  \
             a: {{type: log, text: '{{{{ param.town }}}}', next: b}}\n  {next}\n  z: {{type: return}}"
        )
    };
    let good = sub("one", "b: {type: return}");
    let (_, complaints) = check(&with_flows(&[&main, &good]));
    let all: Vec<_> = complaints.iter().filter(|it| it.is_error()).collect();
    assert!(all.is_empty(), "{}", list(&all));
    let ring = sub("one", "b: {type: call, flow: two, args: {town: param.town}, next: z}");
    let back = sub("two", "b: {type: call, flow: one, args: {town: param.town}, next: z}");
    let found = codes(&with_flows(&[&main, &ring, &back]));
    assert!(found.contains("E16 params"), "{found:?}");
    let other = good.replace("town", "city");
    let found = codes(&with_flows(&[&main, &other]));
    assert!(found.contains("E16 params"), "{found:?}");
}

#[test]
fn a_schedule_decides_by_the_calendar_of_the_region() {
    let (bundle, _) = check(&world());
    for (at, want) in [
        ("2026-02-14T10:30", Decision::Open),
        ("2026-02-16T10:30", Decision::Holiday),
        ("2026-01-04T10:30", Decision::Open),
        ("2026-10-10T10:30", Decision::Open),
        ("2026-03-10T07:59:59", Decision::Closed),
        ("2026-03-10T08:00", Decision::Open),
        ("2026-03-10T11:59:59", Decision::Open),
        ("2026-03-10T12:00", Decision::Closed),
        ("2026-03-14T10:00", Decision::Closed),
        ("2026-03-11T09:30", Decision::Open),
        ("2026-03-11T10:30", Decision::Closed),
        // The region rests where the nation works, and works alone a week later.
        ("2017-04-01T10:00", Decision::Holiday),
        ("2017-04-08T10:00", Decision::Open),
    ] {
        let wall = Civil::parse(at).unwrap().to_wall();
        assert_eq!(bundle.decide("office", wall), Some(want), "{at}");
    }
    for (at, want) in [
        ("2026-03-13T21:59:59", Decision::Closed),
        ("2026-03-13T22:00", Decision::Open),
        ("2026-03-14T00:00", Decision::Open),
        ("2026-03-14T05:59:59", Decision::Open),
        ("2026-03-14T06:00", Decision::Closed),
        ("2026-03-14T23:00", Decision::Closed),
        ("2026-03-16T03:00", Decision::Closed),
        ("2024-02-29T23:59:59", Decision::Open),
    ] {
        let wall = Civil::parse(at).unwrap().to_wall();
        assert_eq!(bundle.decide("night", wall), Some(want), "{at}");
    }
    assert_eq!(bundle.decide("nope", Civil::parse("2026-03-10T10:00").unwrap().to_wall()), None);
}

#[test]
fn a_calendar_that_ends_is_noticed_in_time() {
    let mut files = with_flows(&[GOOD]);
    files.today = Some(Civil::parse("2026-11-22T10:00").unwrap().to_wall());
    let (_, complaints) = check(&files);
    let it = complaints.iter().find(|it| it.code == "E17").unwrap();
    assert!(!it.is_error(), "a hotline must be able to restart");
    assert!(it.text.contains("2027"), "{}", it.text);
    files.today = Some(Civil::parse("2026-09-22T10:00").unwrap().to_wall());
    assert!(!codes(&files).iter().any(|it| it.starts_with("E17")));
}

#[test]
fn a_bundle_without_a_way_out_is_refused() {
    let mut files = with_flows(&[GOOD]);
    files.files.retain(|it| it.kind != RawKind::Session);
    let found = codes(&files);
    assert!(found.contains("E04 "), "{found:?}");
}
