//! Reads the fields of a map and notices what is missing, wrong, or unknown.

use std::{cell::RefCell, collections::BTreeSet, time::Duration};

use hotline_base::Key;
use regex_lite::Regex;

use super::traps;
use crate::{
    Complaint,
    raw::{At, RawEntry, RawNode},
};

/// Where complaints are laid down.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) complaints: RefCell<Vec<Complaint>>,
}

/// A place in a file, as complaints name it.
#[derive(Clone, Debug)]
pub(crate) struct Spot<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) file: &'a str,
    pub(crate) path: String,
}

impl<'a> Spot<'a> {
    pub(crate) fn new(desk: &'a Desk, file: &'a str) -> Self {
        Self { desk, file, path: String::new() }
    }

    pub(crate) fn under(&self, key: &str) -> Self {
        let path =
            if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { desk: self.desk, file: self.file, path }
    }

    pub(crate) fn complain(&self, at: At, code: &'static str, text: &str, advice: &str) {
        let it = Complaint::new(self.file, at, &self.path, code, text.to_owned()).advise(advice);
        let mut complaints = self.desk.complaints.borrow_mut();
        if !complaints.contains(&it) {
            complaints.push(it);
        }
    }
}

/// The entries of a map, of which those not asked for are unknown fields.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) spot: Spot<'a>,
    pub(crate) at: At,
    entries: &'a [RawEntry],
    taken: BTreeSet<String>,
    asked: BTreeSet<String>,
}

impl<'a> Fields<'a> {
    pub(crate) fn open(spot: Spot<'a>, node: &'a RawNode) -> Option<Self> {
        let RawNode::Map { entries, at } = node else {
            spot.complain(node.at(), "E04", "此处应为“键: 值”的映射", "对照流程语言说明");
            return None;
        };
        let mut seen = BTreeSet::new();
        for entry in entries {
            if !seen.insert(entry.key.as_str()) {
                spot.under(&entry.key).complain(entry.at, "E05", "键重复", "删去其中一个");
            }
        }
        let (taken, asked) = (BTreeSet::new(), BTreeSet::new());
        Some(Self { spot, at: *at, entries, taken, asked })
    }

    /// No entries at this place.
    pub(crate) fn none(spot: Spot<'a>, at: At) -> Self {
        Self { spot, at, entries: &[], taken: BTreeSet::new(), asked: BTreeSet::new() }
    }

    fn entry(&self, key: &str) -> Option<&'a RawEntry> {
        self.entries.iter().find(|it| it.key == key)
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let unique: BTreeSet<&str> = self.entries.iter().map(|it| it.key.as_str()).collect();
        let mut keys: Vec<String> = Vec::new();
        for entry in self.entries {
            if unique.contains(entry.key.as_str()) && !keys.contains(&entry.key) {
                keys.push(entry.key.clone());
            }
        }
        keys
    }

    pub(crate) fn key_at(&self, key: &str) -> At {
        self.entry(key).map_or(self.at, |it| it.at)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    pub(crate) fn skip(&mut self, key: &str) {
        self.taken.insert(key.to_owned());
        self.asked.insert(key.to_owned());
    }

    /// The value of a field, which is then known.
    pub(crate) fn take(&mut self, key: &str) -> Option<&'a RawNode> {
        self.skip(key);
        self.entry(key).map(|it| &it.value)
    }

    pub(crate) fn required(&mut self, key: &str) -> Option<&'a RawNode> {
        let it = self.take(key);
        if it.is_none() {
            let text = format!("缺少字段 {key}");
            self.spot.under(key).complain(self.at, "E04", &text, "补上该字段");
        }
        it
    }

    /// Complains about the field `key`.
    pub(crate) fn wrong(&self, key: &str, code: &'static str, text: &str, advice: &str) {
        let at = self.entry(key).map_or(self.at, |it| it.at);
        self.spot.under(key).complain(at, code, text, advice);
    }

    /// Complains about every field nobody asked for.
    pub(crate) fn finish(&self) {
        let known: Vec<&str> = self.asked.iter().map(String::as_str).collect();
        for entry in self.untaken() {
            {
                let advice = if known.is_empty() {
                    "删去".to_owned()
                } else {
                    format!("可用字段：{}", known.join("、"))
                };
                let text = format!("未知字段“{}”", entry.key);
                self.spot.under(&entry.key).complain(entry.at, "E03", &text, &advice);
            }
        }
    }

    /// Fields nobody asked for.
    pub(crate) fn untaken(&self) -> impl Iterator<Item = &'a RawEntry> + '_ {
        self.entries.iter().filter(|it| !self.taken.contains(&it.key))
    }

    pub(crate) fn is_null(&mut self, key: &str) -> bool {
        let null = matches!(
            self.entry(key).map(|it| &it.value),
            Some(RawNode::Scalar { text, quoted: false, .. }) if traps::is_null(text)
        );
        if null {
            self.skip(key);
        }
        null
    }

    pub(crate) fn is_map(&self, key: &str) -> bool {
        matches!(self.entry(key).map(|it| &it.value), Some(RawNode::Map { .. }))
    }

    /// The text of a scalar, left unread.
    pub(crate) fn peek_text(&self, key: &str) -> Option<&'a str> {
        self.entry(key)?.value.text()
    }

    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        let node = self.take(key)?;
        text_of(node, &self.spot.under(key))
    }

    pub(crate) fn required_text(&mut self, key: &str) -> Option<String> {
        let node = self.required(key)?;
        text_of(node, &self.spot.under(key))
    }

    /// A list of texts; a single text is a list of one.
    pub(crate) fn texts(&mut self, key: &str) -> Vec<String> {
        let spot = self.spot.under(key);
        let Some(node) = self.take(key) else { return Vec::new() };
        items_of(node).iter().filter_map(|it| text_of(it, &spot)).collect()
    }

    pub(crate) fn int(&mut self, key: &str, min: i64, max: i64) -> Option<i64> {
        let node = self.take(key)?;
        int_of(node, min, max, &self.spot.under(key))
    }

    pub(crate) fn required_int(&mut self, key: &str) -> Option<i64> {
        let node = self.required(key)?;
        int_of(node, i64::MIN, i64::MAX, &self.spot.under(key))
    }

    pub(crate) fn bool(&mut self, key: &str) -> Option<bool> {
        let node = self.take(key)?;
        bool_of(node, &self.spot.under(key))
    }

    pub(crate) fn duration(&mut self, key: &str) -> Option<Duration> {
        let node = self.take(key)?;
        duration_of(node, &self.spot.under(key))
    }

    pub(crate) fn required_duration(&mut self, key: &str) -> Option<Duration> {
        let node = self.required(key)?;
        duration_of(node, &self.spot.under(key))
    }

    /// One of `words`.
    pub(crate) fn choice<'w>(&mut self, key: &str, words: &[&'w str]) -> Option<&'w str> {
        let text = self.text(key)?;
        let found = words.iter().find(|it| **it == text);
        if found.is_none() {
            let said = format!("不支持“{text}”");
            self.wrong(key, "E04", &said, &format!("可用：{}", words.join("、")));
        }
        found.copied()
    }

    pub(crate) fn key(&mut self, key: &str) -> Option<Key> {
        let text = self.text(key)?;
        let found = single_key(&text);
        if found.is_none() {
            self.wrong(
                key,
                "E04",
                &format!("“{text}”不是按键"),
                "写一个按键，如 \"0\" \"*\" \"#\"",
            );
        }
        found
    }

    /// The name of a field as a key of the telephone.
    pub(crate) fn key_name(&self, name: &str) -> Option<Key> {
        let found = single_key(name);
        if found.is_none() {
            self.wrong(
                name,
                "E04",
                &format!("“{name}”不是按键"),
                "写一个按键，如 \"0\" \"*\" \"#\"",
            );
        }
        found
    }

    pub(crate) fn regex(&mut self, key: &str) -> Option<Regex> {
        let text = self.text(key)?;
        match Regex::new(&text) {
            Ok(it) => Some(it),
            Err(it) => {
                self.wrong(key, "E04", &format!("正则表达式有误：{it}"), "改正表达式");
                None
            }
        }
    }

    pub(crate) fn map(&mut self, key: &str) -> Option<Self> {
        let node = self.take(key)?;
        Self::open(self.spot.under(key), node)
    }

    pub(crate) fn required_map(&mut self, key: &str) -> Option<Self> {
        let node = self.required(key)?;
        Self::open(self.spot.under(key), node)
    }

    /// The maps of a required list.
    pub(crate) fn maps_in(&mut self, key: &str) -> Vec<Self> {
        let spot = self.spot.under(key);
        match self.required(key) {
            Some(RawNode::List { items, .. }) => items
                .iter()
                .enumerate()
                .filter_map(|(idx, it)| Self::open(spot.under(&(idx + 1).to_string()), it))
                .collect(),
            Some(RawNode::Scalar { at, .. } | RawNode::Map { at, .. }) => {
                spot.complain(*at, "E04", "此处应为列表", "每项前加“- ”");
                Vec::new()
            }
            None => Vec::new(),
        }
    }
}

/// The items of a list, or the node itself.
pub(crate) fn items_of(node: &RawNode) -> &[RawNode] {
    match node {
        RawNode::List { items, .. } => items,
        RawNode::Scalar { .. } | RawNode::Map { .. } => std::slice::from_ref(node),
    }
}

/// Text that a reader of YAML 1.1 would not take for a number or a truth value.
pub(crate) fn text_of(node: &RawNode, spot: &Spot<'_>) -> Option<String> {
    let RawNode::Scalar { text, quoted, at } = node else {
        spot.complain(node.at(), "E04", "此处应为文字", "写一个值");
        return None;
    };
    if *quoted {
        return Some(text.clone());
    }
    if traps::is_null(text) {
        spot.complain(*at, "E04", "此处没有值", "写一个值，或删去该字段");
        return None;
    }
    if traps::is_number(text) || text == "true" || text == "false" {
        spot.complain(
            *at,
            "E02",
            &format!("“{text}”是文字，未加引号"),
            &format!("写成 \"{text}\""),
        );
    }
    Some(text.clone())
}

/// Text in whatever form it is written.
pub(crate) fn loose_text(node: &RawNode, spot: &Spot<'_>) -> Option<String> {
    match node {
        RawNode::Scalar { text, .. } => Some(text.clone()),
        RawNode::List { at, .. } | RawNode::Map { at, .. } => {
            spot.complain(*at, "E04", "此处应为一个值", "写一个值");
            None
        }
    }
}

pub(crate) fn int_of(node: &RawNode, min: i64, max: i64, spot: &Spot<'_>) -> Option<i64> {
    let text = loose_text(node, spot)?;
    let found = text.parse().ok().filter(|it| (min..=max).contains(it));
    if found.is_none() {
        let advice =
            if min == i64::MIN { "写一个整数".to_owned() } else { format!("{min} 到 {max}") };
        spot.complain(node.at(), "E04", &format!("“{text}”不是合用的整数"), &advice);
    }
    found
}

pub(crate) fn bool_of(node: &RawNode, spot: &Spot<'_>) -> Option<bool> {
    match loose_text(node, spot)?.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        text => {
            spot.complain(
                node.at(),
                "E04",
                &format!("“{text}”不是 true 或 false"),
                "写 true 或 false",
            );
            None
        }
    }
}

pub(crate) fn duration_of(node: &RawNode, spot: &Spot<'_>) -> Option<Duration> {
    let text = loose_text(node, spot)?;
    let found = parse_duration(&text);
    if found.is_none() {
        spot.complain(node.at(), "E04", &format!("“{text}”不是时长"), "写作 500ms、3s、2m 或 1h");
    }
    found
}

/// `500ms`, `3s`, `2m`, `1h`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let split = text.find(|it: char| !it.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).filter(|it| *it <= 7 * 86_400_000).map(Duration::from_millis)
}

pub(crate) fn single_key(text: &str) -> Option<Key> {
    let mut chars = text.chars();
    let key = Key::try_from(chars.next()?).ok()?;
    chars.next().is_none().then_some(key)
}
