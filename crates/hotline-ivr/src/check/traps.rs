//! E02: what a reader of YAML 1.1 takes for something else.

use super::fields::Spot;
use crate::raw::{At, RawNode};

/// Looks at every plain scalar and key of a file.
pub(crate) fn check(node: &RawNode, spot: &Spot<'_>) {
    match node {
        RawNode::Scalar { text, quoted: false, at } => value(text, *at, spot),
        RawNode::Scalar { .. } => (),
        RawNode::List { items, .. } => items.iter().for_each(|it| check(it, spot)),
        RawNode::Map { entries, .. } => {
            for entry in entries {
                let spot = spot.under(&entry.key);
                if !entry.key_quoted {
                    key(&entry.key, entry.at, &spot);
                }
                check(&entry.value, &spot);
            }
        }
    }
}

fn value(text: &str, at: At, spot: &Spot<'_>) {
    let why = if is_yes_or_no(text) {
        "在 YAML 1.1 中是布尔值"
    } else if is_octal(text) {
        "以 0 开头，在 YAML 1.1 中是八进制数"
    } else if is_sexagesimal(text) {
        "在 YAML 1.1 中是六十进制数"
    } else {
        return;
    };
    spot.complain(at, "E02", &format!("“{text}”{why}"), &format!("加引号：\"{text}\""));
}

fn key(text: &str, at: At, spot: &Spot<'_>) {
    if is_yes_or_no(text) || is_number(text) || is_sexagesimal(text) {
        let said = format!("键“{text}”没有加引号，会被读成布尔值或数字");
        spot.complain(at, "E02", &said, &format!("写成 \"{text}\""));
    }
}

fn is_yes_or_no(text: &str) -> bool {
    ["y", "n", "yes", "no", "on", "off"].iter().any(|it| it.eq_ignore_ascii_case(text))
}

fn is_octal(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|it| it.is_ascii_digit())
}

fn is_sexagesimal(text: &str) -> bool {
    let mut parts = text.split(':');
    let head = parts.next().unwrap_or_default();
    let digits = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    let mut n = 0;
    let rest = parts.all(|it| {
        n += 1;
        digits(it) && it.len() <= 2
    });
    digits(head) && rest && n > 0
}

pub(crate) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// A whole or broken number of YAML 1.1 or 1.2.
pub(crate) fn is_number(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let starts = body.starts_with(|it: char| it.is_ascii_digit() || it == '.');
    let digits = body.bytes().any(|it| it.is_ascii_digit());
    let hex = body.strip_prefix("0x").or_else(|| body.strip_prefix("0o"));
    if let Some(rest) = hex {
        return rest.bytes().all(|it| it.is_ascii_hexdigit());
    }
    let plain = body.bytes().all(|it| it.is_ascii_digit() || matches!(it, b'.' | b'_'));
    starts && digits && (plain || body.parse::<f64>().is_ok())
}
