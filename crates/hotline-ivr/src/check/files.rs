//! Catalogue, calendars, schedules, tables and `session.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use hotline_base::{GroupId, PromptId};

use super::{
    Desk, Fields, Spot,
    fields::{items_of, text_of},
    header::read_vars,
    of_kind,
    world::{World, cell_of, param_type},
};
use crate::{
    Bundle, Complaint, Severity,
    bundle::Table,
    calendar::{Calendar, DayKind, Hours, Schedule},
    civil::{Civil, Date, clock_ms},
    flow::{ParamType, Thing},
    raw::{RawBundle, RawFile, RawKind, RawNode},
};

/// Opens a file and checks that it names itself `name` under `key`.
fn open<'a>(file: &'a RawFile, desk: &'a Desk, key: &str) -> Option<(Fields<'a>, String)> {
    let mut fields = Fields::open(Spot::new(desk, &file.name), &file.root)?;
    version(&mut fields);
    for note in ["title", "note", "owner"] {
        fields.text(note);
    }
    let name = fields.required_text(key)?;
    Some((fields, name))
}

/// `ivr: 1`.
pub(super) fn version(fields: &mut Fields<'_>) {
    if fields.required_int("ivr").is_some_and(|it| it != 1) {
        fields.wrong("ivr", "E04", "语言版本只有 1", "写 ivr: 1");
    }
}

pub(super) fn catalog(files: &RawBundle, desk: &Desk, world: &mut World) {
    for file in of_kind(files, RawKind::Catalog) {
        let Some(mut fields) = Fields::open(Spot::new(desk, &file.name), &file.root) else {
            continue;
        };
        version(&mut fields);
        fields.text("language");
        let Some(mut prompts) = fields.required_map("prompts") else { continue };
        for id in prompts.keys() {
            let id_at = PromptId::new(&id);
            if let Some(mut row) = prompts.map(&id) {
                row.required("text");
                for making in ["say", "voice", "tone", "music", "note", "approved_by"] {
                    row.take(making);
                }
                row.finish();
            }
            world.prompts.insert(id_at.clone(), files.recordings.get(&id_at).copied());
        }
        fields.finish();
    }
}

pub(super) fn calendars(files: &RawBundle, desk: &Desk) -> BTreeMap<String, Calendar> {
    let mut own: BTreeMap<String, (Calendar, Option<String>)> = BTreeMap::new();
    for file in of_kind(files, RawKind::Calendar) {
        let Some((mut fields, name)) = open(file, desk, "calendar") else { continue };
        let parent = fields.text("inherits");
        let mut calendar = Calendar::default();
        for mut day in fields.maps_in("days") {
            read_days(&mut day, &mut calendar);
            day.finish();
        }
        fields.finish();
        if own.insert(name, (calendar, parent)).is_some() {
            fields.wrong("calendar", "E05", "日历重名", "改名");
        }
    }
    let mut all = BTreeMap::new();
    for name in own.keys() {
        let mut chain = Vec::new();
        let mut next = Some(name.clone());
        while let Some(it) = next {
            if chain.contains(&it) || !own.contains_key(&it) {
                let text = format!("日历 {name} 继承的“{it}”不存在或成环");
                complain_about(files, desk, RawKind::Calendar, "calendar", name, &text);
                break;
            }
            next = own.get(&it).and_then(|it| it.1.clone());
            chain.push(it);
        }
        // The region speaks after the nation and therefore last.
        let mut merged = Calendar::default();
        for it in chain.iter().rev() {
            if let Some((calendar, _)) = own.get(it) {
                merged.days.extend(calendar.days.clone());
            }
        }
        all.insert(name.clone(), merged);
    }
    all
}

/// One entry: `date`, or `from` and `to`.
fn read_days(fields: &mut Fields<'_>, calendar: &mut Calendar) {
    let kind = fields.choice("kind", &["rest", "work"]);
    if !fields.has("kind") {
        fields.wrong("kind", "E04", "缺少 kind", "写 rest（放假）或 work（上班）");
    }
    let name = fields.text("name").unwrap_or_default();
    fields.text("source");
    let (from, to) = if fields.has("date") {
        let date = date(fields, "date");
        (date, date)
    } else {
        (date(fields, "from"), date(fields, "to"))
    };
    let (Some(kind), Some(from), Some(to)) = (kind, from, to) else { return };
    let days = to.to_days() - from.to_days();
    if !(0..=60).contains(&days) {
        fields.wrong("to", "E04", "起止日期不对", "to 不早于 from，且不超过 60 天");
        return;
    }
    let kind = if kind == "work" { DayKind::Work } else { DayKind::Rest };
    for day in 0..=days {
        let date = from.plus_days(day);
        if calendar.days.insert(date, (kind, name.clone())).is_some() {
            fields.wrong("date", "E05", &format!("{date} 出现两次"), "删去其中一个");
        }
    }
}

fn date(fields: &mut Fields<'_>, key: &str) -> Option<Date> {
    let text = fields.required_text(key)?;
    let date = Date::parse(&text);
    if date.is_none() {
        fields.wrong(key, "E04", &format!("“{text}”不是日期"), "写作 \"2026-02-14\"");
    }
    date
}

pub(super) fn schedules(
    files: &RawBundle,
    desk: &Desk,
    world: &World,
) -> BTreeMap<String, Schedule> {
    let mut all = BTreeMap::new();
    for file in of_kind(files, RawKind::Schedule) {
        let Some((mut fields, name)) = open(file, desk, "schedule") else { continue };
        let mut schedule = Schedule {
            calendar: fields.text("calendar").unwrap_or_default(),
            ..Schedule::default()
        };
        if !schedule.calendar.is_empty() && !world.knows(Thing::Calendar, &schedule.calendar) {
            let (code, text, advice) = world.unknown(Thing::Calendar, &schedule.calendar);
            fields.wrong("calendar", code, &text, &advice);
        }
        if let Some(mut hours) = fields.required_map("hours") {
            schedule.work = hours_of(&mut hours, "work");
            schedule.weekend = hours_of(&mut hours, "weekend");
            schedule.rest = hours_of(&mut hours, "rest");
            hours.finish();
        }
        if fields.has("special") {
            for mut special in fields.maps_in("special") {
                let date = date(&mut special, "date");
                let hours = hours_of(&mut special, "hours");
                special.text("name");
                special.finish();
                if let Some(date) = date {
                    schedule.special.insert(date, hours);
                }
            }
        }
        fields.finish();
        if all.insert(name, schedule).is_some() {
            fields.wrong("schedule", "E05", "时间表重名", "改名");
        }
    }
    all
}

/// `["08:00-12:00", "22:00-06:00"]`.
fn hours_of(fields: &mut Fields<'_>, key: &str) -> Vec<Hours> {
    let mut all = Vec::new();
    for text in fields.texts(key) {
        let hours = text.split_once('-').and_then(|(start, end)| {
            let hours = Hours { start: clock_ms(start.trim())?, end: clock_ms(end.trim())? };
            (hours.start < 86_400_000).then_some(hours)
        });
        match hours {
            Some(it) => all.push(it),
            None => fields.wrong(
                key,
                "E04",
                &format!("“{text}”不是时段"),
                "写作 \"08:00-12:00\"；跨零点写作 \"22:00-06:00\"",
            ),
        }
    }
    all
}

/// A table's declaration.
pub(super) struct Shape {
    key: String,
    value: String,
    pub(super) of: ParamType,
    file: String,
}

pub(super) fn table_shapes(files: &RawBundle, desk: &Desk) -> BTreeMap<String, Shape> {
    let mut shapes = BTreeMap::new();
    for file in of_kind(files, RawKind::Table) {
        let Some((mut fields, name)) = open(file, desk, "table") else { continue };
        let key = fields.required_map("key").and_then(|mut it| {
            it.text("type");
            let name = it.required_text("name");
            it.finish();
            name
        });
        let value = fields.required_map("value").and_then(|mut it| {
            let of = param_type(&mut it);
            let name = it.required_text("name");
            it.finish();
            Some((name?, of?))
        });
        fields.finish();
        if let (Some(key), Some((value, of))) = (key, value) {
            shapes.insert(name, Shape { key, value, of, file: file.name.clone() });
        }
    }
    shapes
}

/// The rows; a table's file is named as its declaration, with `.csv` for `.table.yaml`.
pub(super) fn tables(
    files: &RawBundle,
    desk: &Desk,
    world: &World,
    shapes: &BTreeMap<String, Shape>,
) -> BTreeMap<String, Table> {
    let mut all = BTreeMap::new();
    for (name, shape) in shapes {
        let rows_name = shape.file.replace(".table.yaml", ".csv");
        let mut table = Table { ty: shape.of.ty(), rows: BTreeMap::new() };
        let found = of_kind(files, RawKind::TableRows).find(|it| it.name == rows_name);
        if let Some(file) = found {
            read_rows(file, shape, desk, world, &mut table);
        } else {
            let text = format!("表 {name} 没有数据文件 {rows_name}");
            complain_about(files, desk, RawKind::Table, "table", name, &text);
        }
        all.insert(name.clone(), table);
    }
    all
}

fn read_rows(file: &RawFile, shape: &Shape, desk: &Desk, world: &World, table: &mut Table) {
    let spot = Spot::new(desk, &file.name);
    let mut rows = items_of(&file.root).iter();
    let header: Vec<&str> = match rows.next() {
        Some(row) => items_of(row).iter().filter_map(RawNode::text).collect(),
        None => Vec::new(),
    };
    let column = |name: &str| header.iter().position(|it| *it == name);
    let (Some(key), Some(value)) = (column(&shape.key), column(&shape.value)) else {
        let text = format!("首行应有列 {} 和 {}", shape.key, shape.value);
        spot.complain(file.root.at(), "E04", &text, "对照 .table.yaml");
        return;
    };
    for row in rows {
        let cells = items_of(row);
        let (Some(key), Some(cell)) = (cells.get(key), cells.get(value)) else {
            spot.complain(row.at(), "E04", "列数不够", "对照首行");
            continue;
        };
        let Some(key) = text_of(key, &spot) else { continue };
        let spot = spot.under(&key);
        let Some(value) = cell_of(cell, &shape.of, &spot) else { continue };
        if let Err((code, text, advice)) = super::world::admits(&shape.of, &value, world) {
            spot.complain(cell.at(), code, &text, &advice);
        }
        if table.rows.insert(key, value).is_some() {
            spot.complain(row.at(), "E05", "键重复", "删去其中一行");
        }
    }
}

/// Where calls go whose flow failed.
#[derive(Debug, Default)]
pub(super) struct Fallback {
    pub(super) flow: Option<String>,
    pub(super) group: Option<GroupId>,
}

/// `session.yaml`: `vars`, `fallback` (a flow) and `fallback_group`.
pub(super) fn session(files: &RawBundle, desk: &Desk, world: &mut World) -> Fallback {
    let mut fallback = Fallback::default();
    let mut seen = false;
    for file in of_kind(files, RawKind::Session) {
        seen = true;
        let Some(mut fields) = Fields::open(Spot::new(desk, &file.name), &file.root) else {
            continue;
        };
        version(&mut fields);
        world.session = read_vars(&mut fields);
        fallback.flow = fields.text("fallback");
        if let Some(flow) = &fallback.flow
            && !world.flows.contains_key(flow)
        {
            let (code, text, advice) = world.unknown(Thing::Flow, flow);
            fields.wrong("fallback", code, &text, &advice);
        }
        fallback.group = fields.required_text("fallback_group").map(|it| GroupId::new(&it));
        if let Some(group) = &fallback.group
            && !world.knows(Thing::Group, group.as_str())
        {
            let (code, text, advice) = world.unknown(Thing::Group, group.as_str());
            fields.wrong("fallback_group", code, &text, &advice);
        }
        // What the platform itself says when nothing else is left.
        for id in ["moh.default", "sys.later", "bye.common"] {
            if !world.knows(Thing::Prompt, id) {
                let (code, text, advice) = world.unknown(Thing::Prompt, id);
                fields.wrong("fallback_group", code, &text, &advice);
            }
        }
        fields.finish();
    }
    if !seen {
        let spot = Spot::new(desk, "session.yaml");
        let advice = "写 ivr: 1、vars、fallback（流程）、fallback_group（技能组）";
        spot.complain(crate::raw::At::default(), "E04", "缺少 session.yaml", advice);
    }
    fallback
}

/// Complains at the name of a calendar, schedule or table.
fn complain_about(
    files: &RawBundle,
    desk: &Desk,
    kind: RawKind,
    key: &str,
    name: &str,
    text: &str,
) {
    for file in of_kind(files, kind) {
        if file.root.find(key).and_then(RawNode::text) == Some(name) {
            Spot::new(desk, &file.name).under(key).complain(
                file.root.find(key).map(RawNode::at).unwrap_or_default(),
                "E15",
                text,
                "改名，或添加该文件",
            );
        }
    }
}

/// E17: the calendars must know the coming 60 days, and in December the whole next year. It is a
/// warning here: a hotline that restarts must not be kept down by a notice not yet published.
pub(super) fn coming_days(files: &RawBundle, bundle: &Bundle, desk: &Desk) {
    let Some(today) = files.today else { return };
    let today = Civil::of(today).date;
    let ahead = if today.month == 12 { 366 } else { 60 };
    let years: BTreeSet<i32> = [today.year, today.plus_days(ahead).year].into();
    let used: BTreeSet<&str> = bundle.schedules.values().map(|it| it.calendar.as_str()).collect();
    for file in of_kind(files, RawKind::Calendar) {
        let Some(name) = file.root.find("calendar").and_then(RawNode::text) else { continue };
        let Some(calendar) = bundle.calendars.get(name).filter(|_| used.contains(name)) else {
            continue;
        };
        for year in &years {
            if !calendar.days.keys().any(|it| it.year == *year) {
                let text = format!("日历 {name} 没有 {year} 年的节假日");
                let mut it = Complaint::new(&file.name, file.root.at(), "days", "E17", text)
                    .advise("按国务院办公厅和自治区的通知补上");
                it.severity = Severity::Warning;
                desk.complaints.borrow_mut().push(it);
            }
        }
    }
}
