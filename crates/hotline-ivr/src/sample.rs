//! Files for tests: YAML text → raw nodes, and a small world around a flow.

use std::{collections::BTreeSet, sync::Arc};

use hotline_base::{GroupId, PromptId};
use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::{
    Bundle, Complaint, check,
    raw::{At, RawBundle, RawEntry, RawFile, RawKind, RawNode},
};

/// Reads one YAML document; panics on bad YAML.
pub(crate) fn yaml(text: &str) -> RawNode {
    let mut events = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.unwrap_or_else(|it| panic!("{it} in:\n{text}"));
        let line = u32::try_from(span.start.line()).unwrap_or(0);
        let col = u32::try_from(span.start.col()).unwrap_or(0) + 1;
        match event {
            Event::Scalar(text, style, ..) => {
                let quoted = style != ScalarStyle::Plain;
                let text = text.into_owned();
                events.push(Mark::Scalar(RawNode::Scalar { text, quoted, at: At { line, col } }));
            }
            Event::SequenceStart(..) => events.push(Mark::List(At { line, col })),
            Event::MappingStart(..) => events.push(Mark::Map(At { line, col })),
            Event::SequenceEnd | Event::MappingEnd => events.push(Mark::End),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::Alias(_) => (),
        }
    }
    events.reverse();
    node(&mut events)
}

enum Mark {
    Scalar(RawNode),
    List(At),
    Map(At),
    End,
}

fn node(marks: &mut Vec<Mark>) -> RawNode {
    match marks.pop().expect("a node") {
        Mark::Scalar(it) => it,
        Mark::List(at) => {
            let mut items = Vec::new();
            while !matches!(marks.last(), Some(Mark::End)) {
                items.push(node(marks));
            }
            marks.pop();
            RawNode::List { items, at }
        }
        Mark::Map(at) => {
            let mut entries = Vec::new();
            while !matches!(marks.last(), Some(Mark::End)) {
                let RawNode::Scalar { text: key, quoted: key_quoted, at } = node(marks) else {
                    panic!("a key that is no text");
                };
                entries.push(RawEntry { key, key_quoted, at, value: node(marks) });
            }
            marks.pop();
            RawNode::Map { entries, at }
        }
        Mark::End => panic!("an end too many"),
    }
}

fn file(name: &str, kind: RawKind, text: &str) -> RawFile {
    RawFile { name: name.to_owned(), kind, root: yaml(text) }
}

/// Prompts of the test world, each 2 s long except `greet.long` (10 s) and `greet.short` (1 s).
const PROMPTS: &str = "greet.long greet.short menu.one menu.one.short menu.two ask ask.short \
    sys.invalid sys.noinput sys.later sys.sorry bye.common moh.default queue.wait \
    queue.position.prefix queue.position.suffix agent.service survey.ask survey.short \
    num.d0 num.d1 num.d2 num.d3 num.d4 num.d5 num.d6 num.d7 num.d8 num.d9 num.one num.two num.ten";

pub(crate) fn prompt_ms(id: &str) -> u32 {
    match id {
        "greet.long" => 10_000,
        "greet.short" => 1_000,
        _ => 2_000,
    }
}

/// The files around flows: catalogue, calendar, schedules, a table, a session, a fallback.
pub(crate) fn world() -> RawBundle {
    let rows = PROMPTS.split_whitespace().map(|it| format!("  {it}: {{text: {it}}}\n"));
    let catalog = format!("ivr: 1\nprompts:\n{}", rows.collect::<String>());
    let recordings = PROMPTS.split_whitespace().map(|it| (PromptId::new(it), prompt_ms(it)));
    RawBundle {
        files: vec![
            file("prompts/catalog.yaml", RawKind::Catalog, &catalog),
            file("calendars/cn.calendar.yaml", RawKind::Calendar, CN),
            file("calendars/gx.calendar.yaml", RawKind::Calendar, GX),
            file("calendars/office.schedule.yaml", RawKind::Schedule, OFFICE),
            file("calendars/night.schedule.yaml", RawKind::Schedule, NIGHT),
            file("tables/cities.table.yaml", RawKind::Table, CITIES),
            file("tables/cities.csv", RawKind::TableRows, CITY_ROWS),
            file("session.yaml", RawKind::Session, SESSION),
            file("flows/fallback.flow.yaml", RawKind::Flow, FALLBACK),
        ],
        groups: ["general", "business", "last"].map(GroupId::new).into(),
        recordings: recordings.collect(),
        hash: "0".to_owned(),
        today: None,
    }
}

const CN: &str = "
ivr: 1
calendar: cn
days:
  - {date: '2026-02-14', kind: work}
  - {from: '2026-02-15', to: '2026-02-23', kind: rest, name: 春节}
  - {date: '2026-01-04', kind: work}
  - {date: '2026-10-10', kind: work}
  - {date: '2017-04-01', kind: work, name: 清明调休}
";
const GX: &str = "
ivr: 1
calendar: gx
inherits: cn
days:
  - {from: '2017-03-30', to: '2017-04-01', kind: rest, name: 三月三}
  - {date: '2017-04-08', kind: work}
";
const OFFICE: &str = "
ivr: 1
schedule: office
calendar: gx
hours: {work: ['08:00-12:00', '15:00-18:00'], weekend: [], rest: []}
special: [{date: '2026-03-11', hours: ['09:00-10:00'], name: 停电}]
";
const NIGHT: &str = "
ivr: 1
schedule: night
hours: {work: ['22:00-06:00'], weekend: [], rest: []}
";
const CITIES: &str = "
ivr: 1
table: cities
key: {name: prefix}
value: {name: group, type: group}
";
const CITY_ROWS: &str = "
- ['prefix', 'group']
- ['0771', 'general']
- ['07', 'business']
";
const SESSION: &str = "
ivr: 1
vars:
  city: {type: string, default: '', export: true, label: 城市}
  ticket: {type: string, default: '', export: true, mask: digits}
  count: {type: int, default: 0}
fallback: fallback
fallback_group: last
";
const FALLBACK: &str = "
ivr: 1
id: fallback
start: person
nodes:
  person:
    type: queue
    group: last
    announce: null
    out: {agent_done: bye, timeout: bye, full: bye, no_agents: bye, closed: bye, error: bye}
  bye: {type: hangup, prompt: bye.common, reason: fallback}
";

/// The world with these flows; each text begins with its `id`. The first takes calls of `12345`.
pub(crate) fn with_flows(flows: &[&str]) -> RawBundle {
    let mut all = world();
    for (idx, text) in flows.iter().enumerate() {
        let text = format!("ivr: 1\n{text}");
        let id = yaml(&text).find("id").and_then(RawNode::text).unwrap_or("?").to_owned();
        all.files.push(file(&format!("flows/{id}.flow.yaml"), RawKind::Flow, &text));
        if idx == 0 {
            let row = format!("ivr: 1\nnumbers: [{{dnis: ['12345'], flow: {id}}}]");
            all.files.push(file("numbers/test.numbers.yaml", RawKind::Numbers, &row));
        }
    }
    all
}

pub(crate) fn add(files: &mut RawBundle, name: &str, kind: RawKind, text: &str) {
    files.files.push(file(name, kind, text));
}

/// The bundle of the flows, which must be without errors.
pub(crate) fn bundle(flows: &[&str]) -> Arc<Bundle> {
    let (bundle, complaints) = check(&with_flows(flows));
    let errors: Vec<&Complaint> = complaints.iter().filter(|it| it.is_error()).collect();
    assert!(errors.is_empty(), "{}", list(&errors));
    Arc::new(bundle)
}

pub(crate) fn list(complaints: &[&Complaint]) -> String {
    complaints.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Codes of all complaints, with their keys.
pub(crate) fn codes(files: &RawBundle) -> BTreeSet<String> {
    let (_, complaints) = check(files);
    complaints.iter().map(|it| format!("{} {}", it.code, it.key)).collect()
}
