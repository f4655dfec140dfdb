//! Rules for what a caller types.

use regex_lite::Regex;

use crate::{civil::Date, expr::Expr};

/// `validate` of a collect node.
#[derive(Clone, Debug)]
pub(crate) enum Validate {
    Regex(Box<Regex>),
    /// Check digit of cards (ISO/IEC 7812-1 annex B).
    Luhn,
    /// 公民身份号码 with its date and check digit (GB 11643-1999); `*` stands for X.
    IdCardCn,
    /// 11-digit mobile number, or landline with area code.
    PhoneCn,
    Date,
    /// True accepts; the digits are `last.digits`.
    Expr(Box<Expr>),
}

pub(crate) fn luhn(text: &str) -> bool {
    let mut sum = 0;
    for (idx, it) in text.chars().rev().enumerate() {
        let Some(digit) = it.to_digit(10) else { return false };
        let doubled = if idx % 2 == 1 { digit * 2 } else { digit };
        sum += if doubled > 9 { doubled - 9 } else { doubled };
    }
    text.len() >= 2 && sum % 10 == 0
}

pub(crate) fn id_card_cn(text: &str) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const CHECKS: [u8; 11] = *b"10X98765432";
    let bytes = text.as_bytes();
    let (Some(head), Some(last), 18) = (bytes.get(..17), bytes.last(), bytes.len()) else {
        return false;
    };
    if !head.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let sum: u32 = head.iter().zip(WEIGHTS).map(|(it, by)| u32::from(it - b'0') * by).sum();
    let last = if *last == b'*' { b'X' } else { *last };
    usize::try_from(sum % 11).is_ok_and(|it| CHECKS.get(it) == Some(&last))
        && text.get(6..14).is_some_and(date_yyyymmdd)
}

pub(crate) fn phone_cn(text: &str) -> bool {
    let digits = text.bytes().all(|it| it.is_ascii_digit());
    let mobile = text.len() == 11 && text.starts_with('1') && text.as_bytes().get(1) >= Some(&b'3');
    let landline = (10..=12).contains(&text.len()) && text.starts_with('0');
    digits && (mobile || landline)
}

pub(crate) fn date_yyyymmdd(text: &str) -> bool {
    let part = |range| text.get(range).and_then(|it: &str| it.parse::<u16>().ok());
    let (Some(year), Some(month), Some(day), 8) = (part(0..4), part(4..6), part(6..8), text.len())
    else {
        return false;
    };
    let small = |it| u8::try_from(it).unwrap_or(0);
    (1900..2200).contains(&year) && Date::new(i32::from(year), small(month), small(day)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_digit_is_noticed() {
        assert!(luhn("4539578763621486"));
        assert!(!luhn("4539578763621487"));
        assert!(id_card_cn("11010519491231002*"));
        assert!(!id_card_cn("110105194912310021"));
        assert!(!id_card_cn("110105194913310021"));
        assert!(phone_cn("13800138000"));
        assert!(phone_cn("07712345678"));
        assert!(!phone_cn("12800138000"));
        assert!(date_yyyymmdd("20240229"));
        assert!(!date_yyyymmdd("20230229"));
        assert!(!date_yyyymmdd("+2023022"));
    }
}
