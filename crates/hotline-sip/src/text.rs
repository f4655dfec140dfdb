//! Text out of bytes, and walking through header values without being fooled by quotes.

use std::{borrow::Cow, net::SocketAddr};

use hotline_base::push_digits;

/// Decodes text of a header: UTF-8, else GB18030 (what Chinese gateways send), else with
/// replacement characters.
pub fn decode(bytes: &[u8]) -> String {
    decoded(bytes).into_owned()
}

/// [`decode`] without a copy where none is needed.
pub(crate) fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes)
        .map_or_else(|_| encoding_rs::GB18030.decode_without_bom_handling(bytes).0, Cow::Borrowed)
}

/// Text of a peer as it may be shown, logged and kept: characters that steer a terminal, turn the
/// direction of writing or have no width become escapes such as `\u{202e}`.
pub fn visible(text: String) -> String {
    shown(text.into()).into_owned()
}

/// [`visible`] without a copy where none is needed.
pub(crate) fn shown(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().all(|it| matches!(it, b' '..=b'~')) || !text.chars().any(is_unseen) {
        return text;
    }
    let mut out = String::with_capacity(text.len().saturating_add(16));
    for it in text.chars() {
        if is_unseen(it) { out.extend(it.escape_unicode()) } else { out.push(it) }
    }
    out.into()
}

fn is_unseen(it: char) -> bool {
    it.is_control()
        || matches!(
            it,
            '\u{AD}'
                | '\u{61C}'
                | '\u{115F}'..='\u{1160}'
                | '\u{180B}'..='\u{180F}'
                | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{3164}'
                | '\u{FE00}'..='\u{FE0F}'
                | '\u{FEFF}'
                | '\u{FFA0}'
                | '\u{FFF0}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E0FFF}'
        )
}

pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

/// A piece of bytes that is empty rather than absent.
pub(crate) fn slice(bytes: &[u8], from: usize, to: usize) -> &[u8] {
    bytes.get(from..to).unwrap_or_default()
}

/// Bytes of a character that begins at `at`. In text that is not UTF-8 a byte from 0x81 begins a
/// GB18030 character of two bytes, whose second may be a backslash (RFC 3261 §25.1 would take it
/// for an escape and lose the closing quote).
fn width(bytes: &[u8], at: usize, utf8: bool) -> usize {
    let double = !utf8
        && bytes.get(at).is_some_and(|it| *it >= 0x81)
        && bytes.get(at.saturating_add(1)).is_some_and(|it| *it >= 0x40);
    if double { 2 } else { 1 }
}

/// The place after the closing quote of the quoted string that begins at `at`.
fn after_quoted(bytes: &[u8], at: usize, utf8: bool) -> Option<usize> {
    let mut at = at.saturating_add(1);
    loop {
        match *bytes.get(at)? {
            b'"' => return Some(at.saturating_add(1)),
            b'\\' => at = at.saturating_add(2),
            _ => at = at.saturating_add(width(bytes, at, utf8)),
        }
    }
}

/// Whether text is UTF-8. Asked once for a whole value, so that a value of thousands of parts is
/// still walked in one go.
fn is_utf8(bytes: &[u8]) -> bool {
    bytes.is_ascii() || std::str::from_utf8(bytes).is_ok()
}

/// The first `want` outside of quoted strings and, when `angles`, outside of `<…>`. `None` also
/// when a quoted string does not end.
pub(crate) fn find_bare(bytes: &[u8], want: u8, angles: bool) -> Option<usize> {
    find(bytes, want, angles, || is_utf8(bytes))
}

/// From one byte that means something to the next. Those all lie below 0x40, where no second byte
/// of a GB18030 character does, so only quoted strings depend on the encoding.
fn find(bytes: &[u8], want: u8, angles: bool, mut utf8: impl FnMut() -> bool) -> Option<usize> {
    debug_assert!(want < 0x40, "may be the second byte of a character");
    let mut at = 0;
    loop {
        let rest = bytes.get(at..)?;
        let step = if angles {
            memchr::memchr3(want, b'"', b'<', rest)?
        } else {
            memchr::memchr2(want, b'"', rest)?
        };
        at = at.saturating_add(step);
        match *bytes.get(at)? {
            byte if byte == want => return Some(at),
            b'"' => at = after_quoted(bytes, at, utf8())?,
            _ => {
                let close = memchr::memchr(b'>', bytes.get(at..)?)?;
                at = at.saturating_add(close).saturating_add(1);
            }
        }
    }
}

/// The parts of a list, trimmed; empty parts are left out.
pub(crate) fn split_bare(bytes: &[u8], by: u8) -> impl Iterator<Item = &[u8]> {
    // Asked when the first quote is met, and once for all parts.
    let mut utf8 = None;
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let all = rest?;
        let is_utf8 = || *utf8.get_or_insert_with(|| is_utf8(bytes));
        let (part, left) = match find(all, by, true, is_utf8) {
            Some(at) => (slice(all, 0, at), all.get(at.saturating_add(1)..)),
            None => (all, None),
        };
        rest = left;
        Some(trim(part))
    })
    .filter(|it| !it.is_empty())
}

/// The inside of a quoted string with its escapes undone; other text as it is.
pub(crate) fn unquote(bytes: &[u8]) -> Cow<'_, [u8]> {
    let bytes = trim(bytes);
    let Some(inner) = bytes.strip_prefix(b"\"").and_then(|it| it.strip_suffix(b"\"")) else {
        return Cow::Borrowed(bytes);
    };
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let utf8 = std::str::from_utf8(inner).is_ok();
    let mut out = Vec::with_capacity(inner.len());
    let mut at = 0;
    while let Some(byte) = inner.get(at) {
        if *byte == b'\\' {
            out.extend(inner.get(at.saturating_add(1)));
            at = at.saturating_add(2);
        } else {
            let end = at.saturating_add(width(inner, at, utf8));
            out.extend_from_slice(slice(inner, at, end));
            at = end;
        }
    }
    Cow::Owned(out)
}

/// A quoted string (RFC 3261 §25.1).
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for it in text.chars() {
        match it {
            '"' | '\\' => out.extend(['\\', it]),
            it if it.is_control() => out.push(' '),
            it => out.push(it),
        }
    }
    out.push('"');
    out
}

/// Undoes `%41`; what is no escape stays as it is.
pub(crate) fn unescape(bytes: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|it| std::str::from_utf8(it).ok())
            .and_then(|it| u8::from_str_radix(it, 16).ok());
        out.push(code.unwrap_or(*first));
        rest = if code.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    Cow::Owned(out)
}

/// Whether `byte` may be in a token (RFC 3261 §25.1).
pub(crate) fn is_token(byte: u8) -> bool {
    is(byte, TOKEN)
}

/// Whether `byte` may be in the name of a host or its address.
pub(crate) fn is_host(byte: u8) -> bool {
    is(byte, HOST)
}

/// Whether `byte` is in no URI: white space, angle brackets, NUL.
pub(crate) fn is_beside_uri(byte: u8) -> bool {
    is(byte, BESIDE_URI)
}

fn is(byte: u8, class: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|it| it & class != 0)
}

const TOKEN: u8 = 1;
const HOST: u8 = 2;
const BESIDE_URI: u8 = 4;

/// The classes of each byte: it is asked for every letter of every header's name.
#[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        let is_mark =
            matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        let is_of_host = matches!(byte, b'.' | b'-' | b'_' | b':' | b'%');
        let is_beside = byte.is_ascii_whitespace() || matches!(byte, b'<' | b'>' | 0);
        let class = [
            if byte.is_ascii_alphanumeric() || is_mark { TOKEN } else { 0 },
            if byte.is_ascii_alphanumeric() || is_of_host { HOST } else { 0 },
            if is_beside { BESIDE_URI } else { 0 },
        ];
        classes[byte as usize] = class[0] | class[1] | class[2];
        byte += 1;
    }
    classes
};

/// An unsigned number and nothing else.
pub(crate) fn number<T: TryFrom<u64>>(bytes: &[u8]) -> Option<T> {
    let bytes = trim(bytes);
    let (first, rest) = bytes.split_first()?;
    let digit = |it: &u8| it.is_ascii_digit().then(|| u64::from(it & 15));
    let all =
        rest.iter().try_fold(digit(first)?, |sum, it| sum.checked_mul(10)?.checked_add(digit(it)?));
    all.and_then(|it| T::try_from(it).ok())
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().saturating_mul(2));
    for it in bytes {
        push_digits::<16>(&mut out, (*it).into(), 2);
    }
    out
}

/// As it is displayed. Every message of ours has one or two addresses; writing them by the standard
/// library's formatter was 3 % of what a call takes.
pub(crate) fn push_address(out: &mut String, it: SocketAddr) {
    let SocketAddr::V4(it) = it else { return out.push_str(&it.to_string()) };
    for (n, octet) in it.ip().octets().into_iter().enumerate() {
        if n > 0 {
            out.push('.');
        }
        push_number(out, octet.into());
    }
    out.push(':');
    push_number(out, it.port());
}

fn push_number(out: &mut String, it: u16) {
    out.push_str(str::from_utf8(Decimal::of(it.into()).as_ref()).unwrap_or_default());
}

/// A number as it is displayed, for a header of its own.
pub(crate) struct Decimal {
    digits: [u8; 10],
    first: usize,
}

impl Decimal {
    pub(crate) fn of(number: u32) -> Self {
        let mut it = Self { digits: [b'0'; 10], first: 9 };
        let mut rest = number;
        for (n, digit) in it.digits.iter_mut().enumerate().rev() {
            if rest > 0 {
                it.first = n;
            }
            *digit = b'0' | u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        it
    }
}

impl AsRef<[u8]> for Decimal {
    fn as_ref(&self) -> &[u8] {
        self.digits.get(self.first..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_is_displayed() {
        for it in ["10.0.0.1:5060", "0.255.100.9:0", "203.0.113.10:65535", "[2001:db8::1]:5061"] {
            let mut out = String::new();
            push_address(&mut out, it.parse().unwrap());
            assert_eq!(out, it);
        }
    }

    #[test]
    fn a_number_is_written_as_it_is_displayed() {
        for it in [0, 7, 10, 99, 100, 65_535, 1_000_000_000, u32::MAX] {
            assert_eq!(Decimal::of(it).as_ref(), it.to_string().as_bytes());
        }
    }

    #[test]
    fn a_gbk_character_that_ends_in_a_backslash_does_not_eat_the_closing_quote() {
        // U+8AA0 is D5 5C in GBK.
        let value = b"\"\xD5\x5C\" <sip:1@h>, \"b\" <sip:2@h>";
        assert_eq!(find_bare(value, b'<', false), Some(5));
        assert_eq!(split_bare(value, b',').count(), 2);
        assert_eq!(decode(&unquote(b"\"\xD5\x5C\"")), "\u{8AA0}");
    }

    #[test]
    fn an_escaped_quote_after_a_chinese_character_in_utf8_is_an_escape() {
        let value = "\"张\\\"三\" <sip:1@h>".as_bytes();
        assert_eq!(decode(&unquote(slice(value, 0, 10))), "张\"三");
        assert_eq!(find_bare(value, b'<', false), Some(11));
    }

    #[test]
    fn commas_in_quotes_and_angles_do_not_split() {
        let parts: Vec<_> = split_bare(b"\"Zhang, San; <x>\" <sip:a@b;x=1,2>;q=1 , <sip:c>", b',')
            .map(<[u8]>::len)
            .collect();
        assert_eq!(parts, [37, 7]);
    }

    #[test]
    fn an_unclosed_quote_hides_everything_after_it() {
        assert_eq!(find_bare(b"\"abc <sip:x>", b'<', false), None);
    }

    #[test]
    fn escapes_of_a_user_are_undone_and_nonsense_stays() {
        assert_eq!(*unescape(b"%31%32%zz%3"), *b"12%zz%3");
    }

    #[test]
    fn v17_what_steers_turns_or_hides_is_shown_as_an_escape_and_writing_stays() {
        let check = |text: &str, shown: &str| assert_eq!(visible(text.to_owned()), shown);
        check("Zhang San 张三 \u{1F4DE}", "Zhang San 张三 \u{1F4DE}");
        check("\x1B[2J\r\n\0\x7F\u{9B}", "\\u{1b}[2J\\u{d}\\u{a}\\u{0}\\u{7f}\\u{9b}");
        check("138\u{202E}0008\u{2066}", "138\\u{202e}0008\\u{2066}");
        check("1\u{200B}2\u{FEFF}3\u{AD}\u{E0041}", "1\\u{200b}2\\u{feff}3\\u{ad}\\u{e0041}");
    }
}
