//! Numbers as those see them who have no business with the caller: in place, so that lengths stay
//! true and a capture can still be read.

use std::collections::BTreeSet;

use crate::{Trace, ring::header};

/// Whose eyes see a ladder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sight {
    /// Numbers as they are.
    Whole,
    /// `138****8000` instead of numbers.
    Masked,
}

/// Fewer digits are short codes and extensions, which name no person.
const DIGITS_MIN: usize = 7;

/// Headers whose long digits are no telephone numbers.
const TECHNICAL: [&[u8]; 18] = [
    b"Via",
    b"v",
    b"CSeq",
    b"RSeq",
    b"RAck",
    b"Call-ID",
    b"i",
    b"Content-Length",
    b"l",
    b"Content-Type",
    b"c",
    b"Max-Forwards",
    b"Expires",
    b"Session-Expires",
    b"x",
    b"Min-SE",
    b"Timestamp",
    b"Date",
];

/// Headers that name a person before the `<`.
const NAMED: [&[u8]; 12] = [
    b"From",
    b"f",
    b"To",
    b"t",
    b"Contact",
    b"m",
    b"P-Asserted-Identity",
    b"P-Preferred-Identity",
    b"Remote-Party-ID",
    b"Diversion",
    b"History-Info",
    b"Referred-By",
];

/// The telephone numbers of a call: the long digits of whom its INVITEs name. Sought everywhere,
/// also where nobody expects them, such as in a Call-ID.
pub(crate) fn numbers(trace: &Trace) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    for it in &trace.kept {
        let bytes = trace.bytes(it);
        if !bytes.starts_with(b"INVITE ") {
            continue;
        }
        let first = bytes.split(|it| *it == b'\n').next().unwrap_or_default();
        let named = [
            Some(first),
            header(bytes, b"From", b'f'),
            header(bytes, b"To", b't'),
            header(bytes, b"P-Asserted-Identity", 0),
            header(bytes, b"P-Preferred-Identity", 0),
        ];
        for value in named.into_iter().flatten() {
            // Digits of the host or of a tag are not the person's.
            let end = memchr::memchr(b'@', value).or_else(|| memchr::memchr(b';', value));
            let value = value.get(..end.unwrap_or(value.len())).unwrap_or_default();
            let runs = value.split(|it| !it.is_ascii_digit());
            found.extend(runs.filter(|it| it.len() >= DIGITS_MIN).map(<[u8]>::to_vec));
        }
    }
    found
}

/// Masks a whole message.
pub(crate) fn message(bytes: &mut [u8], numbers: &BTreeSet<Vec<u8>>) {
    known(bytes, numbers);
    let mut rest = bytes;
    let mut is_first = true;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, after) = rest.split_at_mut(end.saturating_add(1));
        if line.trim_ascii().is_empty() {
            return body(after);
        }
        if is_first {
            digits(line);
        } else if let Some(colon) = memchr::memchr(b':', line) {
            let (name, value) = line.split_at_mut(colon.saturating_add(1));
            let name = name.strip_suffix(b":").unwrap_or_default().trim_ascii();
            let is = |all: &[&[u8]]| all.iter().any(|it| it.eq_ignore_ascii_case(name));
            if is(&NAMED) {
                display(value);
            }
            if !is(&TECHNICAL) {
                digits(value);
            }
        }
        is_first = false;
        rest = after;
    }
}

/// Masks the numbers of the call in a text.
pub(crate) fn text(text: &str, numbers: &BTreeSet<Vec<u8>>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    known(&mut bytes, numbers);
    digits(&mut bytes);
    // Only whole ASCII digits were replaced by a star.
    String::from_utf8(bytes).unwrap_or_default()
}

/// Origin and name of a description: some gateways write the caller there.
fn body(mut rest: &mut [u8]) {
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |it| it.saturating_add(1));
        let (line, after) = rest.split_at_mut(end);
        match line.get(..2) {
            Some(b"o=") => {
                let end = memchr::memchr(b' ', line).unwrap_or(line.len());
                digits(line.get_mut(..end).unwrap_or_default());
            }
            Some(b"s=" | b"i=" | b"p=" | b"u=" | b"e=") => digits(line),
            _ => (),
        }
        rest = after;
    }
}

/// What stands before the `<` is a person's name.
fn display(value: &mut [u8]) {
    let Some(end) = memchr::memchr(b'<', value) else { return };
    for it in value.get_mut(..end).unwrap_or_default() {
        if !matches!(it, b'"' | b' ' | b'\t') {
            *it = b'*';
        }
    }
}

/// Masks every long run of digits, hyphens between them notwithstanding (RFC 3966 §5.1.1); tags
/// are left alone.
fn digits(value: &mut [u8]) {
    let mut at = 0;
    while at < value.len() {
        let rest = value.get_mut(at..).unwrap_or_default();
        if rest.starts_with(b";tag=") {
            let tag = rest.iter().skip(1).position(|it| matches!(it, b';' | b'>' | b'\r' | b'\n'));
            at = at.saturating_add(tag.map_or(rest.len(), |it| it.saturating_add(1)));
            continue;
        }
        let run = rest.iter().take_while(|it| it.is_ascii_digit() || **it == b'-').count();
        let run = rest.get_mut(..run).unwrap_or_default();
        at = at.saturating_add(run.len().max(1));
        star(run);
    }
}

/// Masks the call's own numbers wherever they stand.
fn known(bytes: &mut [u8], numbers: &BTreeSet<Vec<u8>>) {
    for number in numbers {
        let places: Vec<usize> = memchr::memmem::find_iter(bytes, number).collect();
        for at in places {
            star(bytes.get_mut(at..at.saturating_add(number.len())).unwrap_or_default());
        }
    }
}

/// Of ten digits and more the first three and the last four stay, of fewer the last two.
fn star(run: &mut [u8]) {
    let n_all = run.iter().filter(|it| it.is_ascii_digit()).count();
    if n_all < DIGITS_MIN {
        return;
    }
    let (n_head, n_tail) = if n_all >= 10 { (3, 4) } else { (0, 2) };
    let all = run.iter_mut().filter(|it| it.is_ascii_digit());
    for it in all.skip(n_head).take(n_all.saturating_sub(n_head).saturating_sub(n_tail)) {
        *it = b'*';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, after: &str) {
        let mut bytes = before.as_bytes().to_vec();
        message(&mut bytes, &BTreeSet::from([b"13800138000".to_vec()]));
        assert_eq!(String::from_utf8_lossy(&bytes), after);
    }

    #[test]
    fn numbers_are_masked_where_they_are_expected_and_where_not() {
        check(
            "INVITE sip:077112345@h SIP/2.0\r\n\
             From: \"Zhang San\" <sip:+8613900139000@h>;tag=1234567890\r\n\
             To: <tel:+86-771-555-1234>\r\nX-Caller: 07715551234\r\n\
             Call-ID: 13800138000-1234567890\r\nCSeq: 2147483647 INVITE\r\n\r\n\
             o=13900139000 1234567890 1 IN IP4 h\r\ns=5551234\r\nm=audio 40000 RTP/AVP 8\r\n",
            "INVITE sip:*******45@h SIP/2.0\r\n\
             From: \"***** ***\" <sip:+861******9000@h>;tag=1234567890\r\n\
             To: <tel:+86-7**-***-1234>\r\nX-Caller: 077****1234\r\n\
             Call-ID: 138****8000-1234567890\r\nCSeq: 2147483647 INVITE\r\n\r\n\
             o=139****9000 1234567890 1 IN IP4 h\r\ns=*****34\r\nm=audio 40000 RTP/AVP 8\r\n",
        );
    }

    #[test]
    fn short_codes_ports_and_addresses_stay() {
        let it = "SIP/2.0 200 OK\r\nContact: <sip:8001@192.168.100.200:50600>\r\n\r\n";
        check(it, it);
        assert_eq!(text("忙 5551234", &BTreeSet::new()), "忙 *****34");
    }
}
