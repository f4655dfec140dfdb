//! Numbers as prompts: read digit by digit, or as a count.

use std::collections::BTreeSet;

use hotline_base::PromptId;

/// How a value is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Spoken {
    /// 幺三八: each digit by itself. Other characters are silent.
    Digits,
    /// 一百零五, with 两 for a lone two.
    Number,
}

/// Prompts for `text`; a mainland mobile number is grouped 3-4-4 with `num.pause` where that
/// prompt exists.
pub(crate) fn digits(text: &str, known: &BTreeSet<PromptId>) -> Vec<PromptId> {
    let grouped = text.len() == 11 && text.starts_with('1');
    let pause = PromptId::new("num.pause");
    let mut prompts = Vec::new();
    for (idx, digit) in text.chars().filter(char::is_ascii_digit).enumerate() {
        if grouped && (idx == 3 || idx == 7) && known.contains(&pause) {
            prompts.push(pause.clone());
        }
        prompts.push(PromptId::new(&format!("num.d{digit}")));
    }
    prompts
}

/// Prompts for a count from 0 to 99,999,999; larger ones and negative ones digit by digit.
pub(crate) fn number(n: i64, known: &BTreeSet<PromptId>) -> Vec<PromptId> {
    match n {
        2 => vec![PromptId::new("num.two")],
        0..=9_999 => below_ten_thousand(n, false),
        10_000..=99_999_999 => {
            let mut prompts = match n / 10_000 {
                2 => vec![PromptId::new("num.two")],
                high => below_ten_thousand(high, false),
            };
            prompts.push(PromptId::new("num.wan"));
            let low = n % 10_000;
            if low > 0 {
                if low < 1_000 {
                    prompts.push(PromptId::new("num.d0"));
                }
                prompts.extend(below_ten_thousand(low, true));
            }
            prompts
        }
        _ => digits(&n.to_string(), known),
    }
}

/// `inside` a larger number ten is 一十, at its head it is 十.
fn below_ten_thousand(n: i64, inside: bool) -> Vec<PromptId> {
    let mut prompts = Vec::new();
    let mut skipped = false;
    for (unit, name) in [(1_000, "num.thousand"), (100, "num.hundred"), (10, "num.ten"), (1, "")] {
        let digit = n / unit % 10;
        if digit == 0 {
            skipped = true;
            continue;
        }
        if skipped && !prompts.is_empty() {
            prompts.push(PromptId::new("num.d0"));
        }
        skipped = false;
        let head = prompts.is_empty() && !inside;
        if !(unit == 10 && digit == 1 && head) {
            prompts.push(match digit {
                1 => PromptId::new("num.one"),
                2 if unit >= 100 => PromptId::new("num.two"),
                _ => PromptId::new(&format!("num.d{digit}")),
            });
        }
        if !name.is_empty() {
            prompts.push(PromptId::new(name));
        }
    }
    if prompts.is_empty() {
        prompts.push(PromptId::new("num.d0"));
    }
    prompts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(prompts: Vec<PromptId>, want: &str) {
        let spoken: String = prompts
            .iter()
            .map(|it| match it.as_str() {
                "num.one" => "一",
                "num.two" => "两",
                "num.ten" => "十",
                "num.hundred" => "百",
                "num.thousand" => "千",
                "num.wan" => "万",
                "num.pause" => " ",
                "num.d1" => "幺",
                digit => digit.trim_start_matches("num.d"),
            })
            .collect();
        assert_eq!(spoken, want);
    }

    #[test]
    fn a_mobile_number_is_read_in_three_groups() {
        let known = BTreeSet::from([PromptId::new("num.pause")]);
        check(digits("13800138000", &known), "幺38 00幺3 8000");
        check(digits("13800138000", &BTreeSet::new()), "幺3800幺38000");
        check(digits("A1001", &BTreeSet::new()), "幺00幺");
    }

    #[test]
    fn a_place_in_the_queue_is_read_as_people_count() {
        for (n, want) in [
            (0, "0"),
            (1, "一"),
            (2, "两"),
            (10, "十"),
            (12, "十2"),
            (20, "2十"),
            (21, "2十一"),
            (101, "一百0一"),
            (110, "一百一十"),
            (205, "两百05"),
            (1_010, "一千0一十"),
            (20_000, "两万"),
            (100_023, "十万02十3"),
        ] {
            check(number(n, &BTreeSet::new()), want);
        }
    }
}
