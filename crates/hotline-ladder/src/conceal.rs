//! What no memory and no disk may hold: passwords, what proves them, keys of media and what callers
//! type. It is overwritten, so that lengths stay true.

use std::ops::Range;

/// Headers that prove or ask for a password (RFC 3261 §22, RFC 7616 §3).
const SECRET: [&[u8]; 6] = [
    b"Authorization",
    b"Proxy-Authorization",
    b"WWW-Authenticate",
    b"Proxy-Authenticate",
    b"Authentication-Info",
    b"Proxy-Authentication-Info",
];

/// Lines of a session description that hold keys (RFC 4568, RFC 8866 §5.12, RFC 8839 §5.4), each
/// with the place of a letter that hardly another line has.
const KEYS: [(&[u8], usize); 3] = [(b"a=crypto:", 4), (b"k=", 0), (b"a=ice-pwd:", 7)];

/// A copy of one message in which every secret is overwritten with `*`; `None`: it holds none. The
/// message has no folded headers: those of [`hotline_sip::Message`] are unfolded, ours never are
/// folded.
pub fn conceal(message: &[u8]) -> Option<Vec<u8>> {
    let mut out = None;
    each_secret(message, |place| {
        let copy = out.get_or_insert_with(|| message.to_vec());
        stars(copy.get_mut(place).unwrap_or_default());
    });
    out
}

/// Line by line, and to each `@` in it: one search finds both.
fn each_secret(message: &[u8], mut found: impl FnMut(Range<usize>)) {
    let part = |from: usize, to: usize| message.get(from..to).unwrap_or_default();
    let whole_lines = memchr::memrchr(b'\n', message).map_or(0, |it| it.saturating_add(1));
    // Where the line begins, and where what follows its last `@`.
    let (mut line, mut piece) = (0, 0);
    for at in memchr::memchr2_iter(b'\n', b'@', part(0, whole_lines)) {
        let (text, next) = (part(line, at), at.saturating_add(1));
        if message.get(at) == Some(&b'@') {
            if let Some(begin) = password(part(piece, at)) {
                found(piece.saturating_add(begin)..at);
            }
            piece = next;
            continue;
        }
        match text {
            // Only these begin a name of the list; most lines are done here.
            [b'A' | b'P' | b'W' | b'a' | b'p' | b'w', ..] if line > 0 => {
                if let Some(value) = secret_value(text) {
                    found(line.saturating_add(value)..at);
                }
            }
            [] | [b' ' | b'\t' | b'\r' | b'\x0C', ..] if text.trim_ascii().is_empty() => {
                // An INFO carries the keys a caller presses: a card number, a password.
                if line == 0 || message.starts_with(b"INFO ") || message.starts_with(b"MESSAGE ") {
                    found(next..message.len());
                } else {
                    keys(message, next, found);
                }
                return;
            }
            _ => (),
        }
        (line, piece) = (next, next);
    }
}

/// Where the value of a header begins that proves or asks for a password.
fn secret_value(line: &[u8]) -> Option<usize> {
    let colon = memchr::memchr(b':', line)?;
    let name = line.get(..colon)?.trim_ascii();
    SECRET.iter().any(|it| it.eq_ignore_ascii_case(name)).then_some(colon.saturating_add(1))
}

/// Keys of media in a body that begins at `body`.
fn keys(message: &[u8], body: usize, mut found: impl FnMut(Range<usize>)) {
    let all = message.get(body..).unwrap_or_default();
    for at in memchr::memchr3_iter(b'y', b'k', b'w', all) {
        for (key, letter) in KEYS {
            let place = at.checked_sub(letter).and_then(|it| all.split_at_checked(it));
            let Some((before, line)) = place else { continue };
            if line.starts_with(key) && before.last().is_none_or(|it| *it == b'\n') {
                let line_at = body.saturating_add(before.len());
                let end = memchr::memchr(b'\n', line).unwrap_or(line.len());
                found(line_at.saturating_add(key.len())..line_at.saturating_add(end));
            }
        }
    }
}

/// Where the password of a `sip:user:password@host` (RFC 3261 §19.1.1) begins that ends with
/// `before`, which is a line between two `@`. Every message has many an `@` and hardly one a
/// password, so the usual `<sip:user` is seen by its only colon.
fn password(before: &[u8]) -> Option<usize> {
    let is_edge = |it: &u8| matches!(*it, b'<' | b' ' | b'\t' | b'"' | b',');
    let (head, behind) = before.split_at_checked(memchr::memrchr(b':', before)?)?;
    if head.ends_with(b"<sip") || behind.iter().any(is_edge) {
        return None;
    }
    let start = head.iter().rposition(is_edge).map_or(0, |it| it.saturating_add(1));
    let word = before.get(start..)?;
    if !word.get(..3)?.eq_ignore_ascii_case(b"sip") {
        return None;
    }
    // The first colon ends the scheme, the second one the user.
    let colon = memchr::memchr_iter(b':', word).nth(1)?;
    Some(start.saturating_add(colon).saturating_add(1))
}

/// Everything but the white space at the ends of lines and the blank before a value.
fn stars(bytes: &mut [u8]) {
    for it in bytes.iter_mut().filter(|it| !it.is_ascii_whitespace()) {
        *it = b'*';
    }
}

#[cfg(test)]
mod tests {
    use hotline_base::Random;

    use super::*;

    #[track_caller]
    fn check(before: &str, after: &str) {
        let bytes = conceal(before.as_bytes());
        assert_eq!(bytes.is_some(), before != after);
        let bytes = bytes.unwrap_or_else(|| before.as_bytes().to_vec());
        assert_eq!(String::from_utf8_lossy(&bytes), after);
        assert_eq!(bytes.len(), before.len());
    }

    #[test]
    fn headers_that_prove_a_password_are_stars() {
        check(
            "REGISTER sip:h SIP/2.0\r\naUTHORIZATION : Digest r=\"a\"\r\n\
             Proxy-Authorization: x\r\nWWW-Authenticate: n\r\nAllow: ACK\r\n\r\n",
            "REGISTER sip:h SIP/2.0\r\naUTHORIZATION : ****** *****\r\n\
             Proxy-Authorization: *\r\nWWW-Authenticate: *\r\nAllow: ACK\r\n\r\n",
        );
    }

    #[test]
    fn password_of_a_uri_is_stars_and_the_port_of_one_is_not() {
        check(
            "INVITE sip:1:pw@h:5060 SIP/2.0\nTo: \"x\" <sips:2:a:b@h>, <sip:3@h:5060>\n\n",
            "INVITE sip:1:**@h:5060 SIP/2.0\nTo: \"x\" <sips:2:***@h>, <sip:3@h:5060>\n\n",
        );
        check("A: SIP:1:a:b:c@h, sip:2::@h\n\n", "A: SIP:1:*****@h, sip:2:*@h\n\n");
        let other = "Call-ID: a:b:c@h\nTo: sip:1:2 3@h, \"a:b:c\"@h, @sip:4@h, :5@h,sip:6@h\n\n";
        check(other, other);
    }

    #[test]
    fn media_keys_and_typed_digits_are_stars_and_descriptions_stay() {
        check(
            "SIP/2.0 200 OK\r\nVia: v\r\n\r\nv=0\r\na=crypto:1 AES k\r\nk=clear:x\r\na=sendrecv\r\n",
            "SIP/2.0 200 OK\r\nVia: v\r\n\r\nv=0\r\na=crypto:* *** *\r\nk=*******\r\na=sendrecv\r\n",
        );
        check(
            "INFO sip:h SIP/2.0\r\nVia: v\r\n\r\nSignal=5\r\nDuration=160",
            "INFO sip:h SIP/2.0\r\nVia: v\r\n\r\n********\r\n************",
        );
    }

    #[test]
    fn bytes_that_are_no_message_do_no_harm() {
        for it in ["", "\n", "@", ":\r\n@@::@\r\n", "INFO ", "A:\r\n\r\nk="] {
            conceal(it.as_bytes());
        }
    }

    /// Each line for itself and each `@` in it for itself.
    fn slowly(message: &[u8]) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> =
            message.split_inclusive(|it| *it == b'\n').map(<[u8]>::to_vec).collect();
        let is_blank = |it: &Vec<u8>| it.trim_ascii().is_empty() && it.ends_with(b"\n");
        let n_head = lines.iter().position(is_blank).unwrap_or(lines.len());
        let is_text = lines.first().is_some_and(|it| {
            !is_blank(it) && !it.starts_with(b"INFO ") && !it.starts_with(b"MESSAGE ")
        });
        for (n, line) in lines.iter_mut().enumerate() {
            if n < n_head && line.ends_with(b"\n") {
                let colon = line.iter().position(|it| *it == b':').filter(|_| n > 0);
                let name = |it: usize| line[..it].trim_ascii_end().to_ascii_lowercase();
                let is_secret =
                    |it: &usize| SECRET.map(<[u8]>::to_ascii_lowercase).contains(&name(*it));
                if let Some(colon) = colon.filter(is_secret) {
                    stars(&mut line[colon + 1..]);
                }
                for at in (0..line.len()).filter(|it| line[*it] == b'@').collect::<Vec<_>>() {
                    let before = String::from_utf8(line[..at].to_vec()).unwrap();
                    let word = before.rsplit(['<', ' ', '\t', '"', ',', '@']).next().unwrap();
                    let parts: Vec<_> = word.splitn(3, ':').collect();
                    if parts.len() == 3 && word.to_lowercase().starts_with("sip") {
                        stars(&mut line[at - parts[2].len()..at]);
                    }
                }
            } else if n > n_head {
                let key = KEYS.iter().find(|it| line.starts_with(it.0)).map(|it| it.0.len());
                let from = if is_text { key.unwrap_or(line.len()) } else { 0 };
                stars(&mut line[from..]);
            }
        }
        lines.concat()
    }

    #[test]
    fn one_search_finds_what_a_look_at_each_line_finds() {
        let parts = "\r\n|\n|\n|\r\n\r\n|\n\n| |\t|\r|\x0C|:|:|:|@|@|@|<|>|\"|,|;|*|sip:|SIPS:|si|\
            user|5060|INFO |MESSAGE |INVITE |Authorization|WWW-authenticate|Allow: a|\
            proxy-Authorization: x|Authentication-Info :|Proxy-Require: p|<sip:1:pw@h>|\
            \nTo: <sip:1:2@h>|\nk=clear|\na=crypto:1|\na=ice-pwd:p|\na=ice:|a=k=y";
        let parts: Vec<&str> = parts.split('|').collect();
        let mut random = Random::new(7);
        let mut n_concealed = 0;
        for _ in 0..20_000 {
            let n = random.between(1, 14);
            let part = |_| parts[usize::try_from(random.below(parts.len() as u64)).unwrap()];
            let text: String = (0..n).map(part).collect();
            let found = conceal(text.as_bytes());
            n_concealed += u32::from(found.is_some());
            let found = found.unwrap_or_else(|| text.clone().into());
            assert_eq!(found, slowly(text.as_bytes()), "{text:?}");
        }
        assert!((2_000..18_000).contains(&n_concealed), "{n_concealed}");
    }
}
