//! A ladder in plain text: the carrier on the left, the engine in the middle, telephones on the
//! right; one arrow a line.

use std::fmt::Write as _;

use crate::{Ladder, Role, Side, Step};

/// Columns between two verticals.
const SPAN: usize = 27;

/// Where the verticals stand: carrier, engine, telephones.
const LEFT: usize = 24;
const MIDDLE: usize = LEFT + SPAN + 1;
const RIGHT: usize = MIDDLE + SPAN + 1;

/// Draws the ladder. `begun` is the wall clock's time of the first message, as text. Lines end with
/// `\n`; a Chinese character takes two columns.
pub fn draw(ladder: &Ladder, begun: &str) -> String {
    let mut out = String::new();
    // A call that goes out begins at the agent's telephone, which is not whom it is about.
    let first = ladder.sides.iter().find(|it| is_carrier(it)).or(ladder.sides.first());
    let numbers = first.map_or_else(String::new, |it| {
        let who = if it.from.is_empty() { "匿名" } else { &it.from };
        format!("  主叫 {who} → 被叫 {}", it.to)
    });
    line(&mut out, &format!("呼叫 {}  {begun}{numbers}", ladder.call));
    line(&mut out, "");
    let mut heads = Row::default();
    heads.middle(LEFT, &names(ladder, true));
    heads.middle(MIDDLE, "引擎");
    heads.middle(RIGHT, &names(ladder, false));
    line(&mut out, &heads.text);
    line(&mut out, &verticals(""));
    let several =
        |carriers| ladder.sides.iter().filter(|it| is_carrier(it) == carriers).count() > 1;
    let (gateways, phones) = (several(true), several(false));
    let mut before = None;
    for it in &ladder.steps {
        // A long silence is seen before it is read.
        let gap = before.map_or(0, |before| it.after.saturating_sub(before).as_secs());
        if gap >= 1 {
            line(&mut out, &verticals(&format!("{:>10}", format!("⋮ {gap} s"))));
        }
        before = Some(it.after);
        line(&mut out, &arrow(ladder, it, (gateways, phones)));
    }
    line(&mut out, &verticals(""));
    if ladder.n_left_out > 0 {
        line(&mut out, &format!("中间有 {} 条消息未保留（每通呼叫有上限）", ladder.n_left_out));
    }
    let n_again = ladder.steps.iter().filter(|it| it.repetition > 0).count();
    let words = format!("消息 {} 条，其中重发 {n_again} 条", ladder.steps.len());
    let masked = if ladder.masked { "；号码已脱敏" } else { "" };
    line(&mut out, &format!("{words}{masked}"));
    out
}

fn is_carrier(it: &Side) -> bool {
    match it.role {
        Role::Carrier(_) => true,
        Role::Phone(_) => false,
    }
}

/// 运营商 and its trunks, or 话机 and its extensions, each once.
fn names(ladder: &Ladder, carriers: bool) -> String {
    let mut all: Vec<&str> = Vec::new();
    for it in ladder.sides.iter().filter(|it| is_carrier(it) == carriers).map(name) {
        if !all.contains(&it) {
            all.push(it);
        }
    }
    let head = if carriers { "运营商" } else { "坐席话机" };
    match all.as_slice() {
        [] => head.to_owned(),
        [one] => format!("{head} {one}"),
        [_, _, ..] => format!("{head} ×{}", all.len()),
    }
}

fn name(side: &Side) -> &str {
    match &side.role {
        Role::Carrier(it) => it.as_str(),
        Role::Phone(it) => it.as_str(),
    }
}

/// One message: when, which way, what, and what it carries. Where there are several, gateways are
/// named by their address and telephones by their extension.
fn arrow(ladder: &Ladder, it: &Step, (name_gateway, name_phone): (bool, bool)) -> String {
    let side = ladder.sides.get(it.side);
    let on_left = side.is_none_or(is_carrier);
    let points_right = it.sent != on_left;
    let shaft = if it.repetition > 0 { '╌' } else { '─' };
    let mut text = format!(" {} ", it.title);
    if let Some(side) = side.filter(|it| name_phone && !is_carrier(it)) {
        text = format!(" {} [{}] ", it.title, name(side));
    }
    let text = cut(&text, SPAN - 4);
    let fill = SPAN.saturating_sub(width(&text)).saturating_sub(1);
    let ahead = if points_right { 2.min(fill) } else { fill.saturating_sub(2) };
    let bar = |n: usize| shaft.to_string().repeat(n);
    let body = format!("{}{text}{}", bar(ahead), bar(fill.saturating_sub(ahead)));
    let body = if points_right { format!("{body}▶") } else { format!("◀{body}") };
    let mut row = Row::default();
    row.put(1, &time(it));
    row.put(LEFT, "│");
    row.put(MIDDLE, "│");
    row.put(RIGHT, "│");
    row.put(if on_left { LEFT + 1 } else { MIDDLE + 1 }, &body);
    let note = note(it, name_gateway && on_left);
    if !note.is_empty() {
        row.put(RIGHT + 3, &note);
    }
    row.text
}

fn time(it: &Step) -> String {
    let ms = it.after.as_millis();
    let after = format!("+{}.{:03}", ms / 1_000, ms % 1_000);
    format!("{after:>10}  {}", it.transport.name())
}

/// Retransmission; or where an INVITE goes, description and reason.
fn note(it: &Step, name_peer: bool) -> String {
    let mut parts = Vec::new();
    if it.repetition > 0 {
        return format!("重发 {}/{}", it.repetition, it.n_repetitions);
    }
    if name_peer && it.method.as_deref() == Some("INVITE") {
        parts.push(it.address.to_string());
    }
    if let Some(audio) = &it.audio {
        let codecs: Vec<&str> = audio.codecs.iter().map(|it| short(it)).collect();
        parts.push(format!("SDP {} {} {}", codecs.join(" "), audio.direction, audio.address));
    }
    if let Some(reason) = &it.reason {
        let cause = reason.cause.map_or_else(|| "?".to_owned(), |it| it.to_string());
        parts.push(format!("{} {cause} {}", reason.protocol, reason.text).trim_end().to_owned());
    }
    parts.join("；")
}

fn short(codec: &str) -> &str {
    if codec == "telephone-event" { "按键" } else { codec }
}

fn verticals(first: &str) -> String {
    let mut row = Row::default();
    row.put(1, first);
    row.put(LEFT, "│");
    row.put(MIDDLE, "│");
    row.put(RIGHT, "│");
    row.text
}

/// Text that is written from the left to the right, counted in columns of a terminal.
#[derive(Default)]
struct Row {
    text: String,
    /// Each column's text; an empty one is the second half of a wide character.
    cells: Vec<String>,
}

impl Row {
    /// Writes over what is there.
    fn put(&mut self, at: usize, text: &str) {
        let end = at.saturating_add(width(text));
        if self.cells.len() < end {
            self.cells.resize(end, " ".to_owned());
        }
        let mut at = at;
        for it in text.chars() {
            let n = char_width(it);
            for (offset, cell) in self.cells.iter_mut().skip(at).take(n).enumerate() {
                *cell = if offset == 0 { it.to_string() } else { String::new() };
            }
            at = at.saturating_add(n);
        }
        self.cells.concat().trim_end().clone_into(&mut self.text);
    }

    fn middle(&mut self, at: usize, text: &str) {
        let text = cut(text, SPAN);
        self.put(at.saturating_sub(width(&text) / 2), &text);
    }
}

fn cut(text: &str, n_max: usize) -> String {
    let mut out = String::new();
    let mut n = 0;
    for it in text.chars() {
        n += char_width(it);
        if n > n_max {
            break;
        }
        out.push(it);
    }
    out
}

fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Ideographs, their punctuation and full-width forms take two columns (UAX #11, W and F).
const fn char_width(it: char) -> usize {
    match it {
        '\u{1100}'..='\u{115F}'
        | '\u{2E80}'..='\u{303E}'
        | '\u{3041}'..='\u{A4CF}'
        | '\u{AC00}'..='\u{D7A3}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{FE30}'..='\u{FE6F}'
        | '\u{FF00}'..='\u{FF60}'
        | '\u{FFE0}'..='\u{FFE6}'
        | '\u{1F300}'..='\u{1F64F}'
        | '\u{20000}'..='\u{3FFFD}' => 2,
        _ => 1,
    }
}

fn line(out: &mut String, text: &str) {
    // Writing to a `String` cannot go wrong.
    writeln!(out, "{}", text.trim_end()).unwrap_or_default();
}
