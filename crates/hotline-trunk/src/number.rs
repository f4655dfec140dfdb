//! Numbers as carriers write them, and as records, look-ups and people want them.
//!
//! The forms are those of the domain paper, 2.5, 7.1 and 7.2. An area code (区号) is `0` and two
//! or three digits; a Guangxi landline has 7 digits after it, so `0771` with a number is as long
//! as a mobile number and the first digit tells them apart.

/// The called number in parts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CalledNo {
    /// As it arrived.
    pub raw: String,
    /// With the leading zero, such as `0771`: from the number itself, else from the trunk. `None`
    /// for numbers that belong to no area.
    pub area: Option<String>,
    /// Without the area, such as `12345`; for a plain landline the local number.
    pub short_code: String,
    /// The area, if any, and the short code: `077112345`.
    pub norm: String,
}

/// The caller's number: a mobile as 11 digits, a landline as area code and local number, a short
/// code as it is, a foreign number as `00`, country and number. `None` when it is no number.
///
/// `area` completes bare local numbers. Digits of no known form are kept as they are, because a
/// person may still recognise them.
pub fn normalise_caller(raw: &str, area: Option<&str>) -> Option<String> {
    let (digits, international) = digits_of(raw)?;
    let national = match national_part(digits, international) {
        Origin::Here(national) => national,
        Origin::Written(digits) => return Some(complete_written(&digits, area)),
        Origin::Abroad(number) => return Some(format!("00{number}")),
    };
    Some(complete_national(&national, area))
}

/// The called number in parts; `None` when it is no number. `area` is the trunk's.
pub fn normalise_called(raw: &str, area: Option<&str>) -> Option<CalledNo> {
    let (digits, international) = digits_of(raw)?;
    let (digits, area) = match national_part(digits, international) {
        Origin::Here(national) => called_parts(&national, area, |_| true)?,
        // Elsewhere a local number of 8 digits may look like an area and a short code.
        Origin::Written(digits) => {
            called_parts(&digits, area, |own| own.starts_with(GUANGXI) || area == Some(own))?
        }
        Origin::Abroad(number) => (format!("00{number}"), None),
    };
    Some(CalledNo {
        raw: raw.to_owned(),
        norm: area.as_deref().unwrap_or_default().to_owned() + &digits,
        area,
        short_code: digits,
    })
}

/// Where a string of digits says it is from.
enum Origin {
    /// It carried our country code; the digits after it.
    Here(String),
    /// No country code: as somebody here dials it.
    Written(String),
    /// Another country's code and number.
    Abroad(String),
}

/// The digits, and whether a `+` stood before them. Visual separators (RFC 3966 §5.1.1),
/// parameters and the host are dropped; anything else means that it is no number.
fn digits_of(raw: &str) -> Option<(String, bool)> {
    let raw = raw.trim();
    let raw = raw.strip_prefix("tel:").or_else(|| raw.strip_prefix("sip:")).unwrap_or(raw);
    let raw = raw.split([';', '@']).next().unwrap_or_default();
    let (raw, international) = match raw.strip_prefix('+') {
        Some(rest) => (rest, true),
        None => (raw, false),
    };
    let mut digits = String::with_capacity(raw.len());
    for it in raw.chars() {
        match it {
            '0'..='9' => digits.push(it),
            '-' | '.' | '(' | ')' | ' ' => (),
            _ => return None,
        }
    }
    (N_DIGITS.contains(&digits.len())).then_some((digits, international))
}

fn national_part(digits: String, international: bool) -> Origin {
    if international {
        return match digits.strip_prefix("86") {
            Some(national) if !national.is_empty() => Origin::Here(national.to_owned()),
            _ => Origin::Abroad(digits),
        };
    }
    if let Some(number) = digits.strip_prefix("00") {
        return match number.strip_prefix("86") {
            Some(national) if !national.is_empty() => Origin::Here(national.to_owned()),
            _ => Origin::Abroad(number.to_owned()),
        };
    }
    // Local numbers have at most 8 digits, so a longer one that begins with 86 carries the country.
    match digits.strip_prefix("86") {
        Some(national) if digits.len() > LOCAL_MAX => Origin::Here(national.to_owned()),
        _ => Origin::Written(digits),
    }
}

/// Digits after the country code: an area code has lost its zero there.
fn complete_national(national: &str, area: Option<&str>) -> String {
    if is_mobile(national) || is_non_geographic(national) {
        return national.to_owned();
    }
    if national.starts_with('0') {
        return complete_written(national, area);
    }
    if is_short_code(national) {
        return national.to_owned();
    }
    if national.len() == LOCAL_LEN {
        return with_area(national, area);
    }
    format!("0{national}")
}

/// Digits as somebody here dials them.
fn complete_written(digits: &str, area: Option<&str>) -> String {
    if let Some(rest) = digits.strip_prefix('0')
        && is_mobile(rest)
    {
        return rest.to_owned();
    }
    if digits.starts_with('0') || is_short_code(digits) || digits.len() > LOCAL_MAX {
        return digits.to_owned();
    }
    // No local number begins with 1: 16812345 is the same service everywhere.
    let is_local = digits.len() >= LOCAL_LEN && !digits.starts_with('1');
    if is_local { with_area(digits, area) } else { digits.to_owned() }
}

/// The service of a city that is called with its area code, such as 16812345 of 077116812345.
pub(crate) fn service_of_area(number: &str) -> Option<&str> {
    split_area(number).map(|it| it.1).filter(|it| it.starts_with('1'))
}

fn with_area(local: &str, area: Option<&str>) -> String {
    area.unwrap_or_default().to_owned() + local
}

/// The digits without their area, and the area. `may_lack_zero` says of which areas the zero may
/// be missing.
fn called_parts(
    digits: &str,
    area: Option<&str>,
    may_lack_zero: impl Fn(&str) -> bool,
) -> Option<(String, Option<String>)> {
    if is_mobile(digits) || is_non_geographic(digits) {
        return Some((digits.to_owned(), None));
    }
    // 0771012328: a zero that does not belong there (contract 4.4.2).
    if let Some((own, rest)) = split_area(digits) {
        let rest = rest.trim_start_matches('0');
        return (!rest.is_empty()).then(|| (rest.to_owned(), Some(own.to_owned())));
    }
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return None;
    }
    if is_mobile(digits) {
        return Some((digits.to_owned(), None));
    }
    // 77112345, from +8677112345 or written so: the area has lost its zero.
    if digits.len() != LOCAL_LEN
        && !is_short_code(digits)
        && let Some((own, rest)) = split_area(&format!("0{digits}"))
        && (is_short_code(rest) || digits.len() > LOCAL_MAX)
        && may_lack_zero(own)
    {
        return Some((rest.trim_start_matches('0').to_owned(), Some(own.to_owned())));
    }
    Some((digits.to_owned(), area.map(str::to_owned)))
}

/// `010` and `02x` are areas of three digits, `03xx`–`09xx` of four; `01x` is none.
fn split_area(digits: &str) -> Option<(&str, &str)> {
    let n = match digits.as_bytes() {
        [b'0', b'1', b'0', ..] | [b'0', b'2', ..] => 3,
        [b'0', b'3'..=b'9', ..] => 4,
        _ => return None,
    };
    digits.split_at_checked(n).filter(|it| !it.1.is_empty())
}

/// 11 digits, 13x–19x.
fn is_mobile(digits: &str) -> bool {
    digits.len() == 11 && matches!(digits.as_bytes(), [b'1', b'3'..=b'9', ..])
}

/// 400 and 800 numbers, 10 digits.
fn is_non_geographic(digits: &str) -> bool {
    digits.len() == 10 && (digits.starts_with("400") || digits.starts_with("800"))
}

/// 110, 12345, 10086, 118114, 95598, 96110, …: begin with 1, 95 or 96, have 3–6 digits.
fn is_short_code(digits: &str) -> bool {
    (3..=6).contains(&digits.len())
        && matches!(digits.as_bytes(), [b'1', ..] | [b'9', b'5' | b'6', ..])
}

/// Shortest short code; longest number of E.164 with an international prefix and room for a
/// carrier's own.
const N_DIGITS: std::ops::RangeInclusive<usize> = 3..=20;

/// Area codes 0770–0779 are Guangxi's (domain paper 7.1).
const GUANGXI: &str = "077";

/// Local numbers of Guangxi.
const LOCAL_LEN: usize = 7;

/// Local numbers anywhere in the country.
const LOCAL_MAX: usize = 8;

#[cfg(test)]
mod tests;
