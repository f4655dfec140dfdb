//! What no memory and no disk may hold: passwords, what proves them, keys of media and what callers
//! type. It is overwritten in place, so that lengths stay true.

/// Headers that prove or ask for a password (RFC 3261 §22, RFC 7616 §3).
const SECRET: [&[u8]; 6] = [
    b"Authorization",
    b"Proxy-Authorization",
    b"WWW-Authenticate",
    b"Proxy-Authenticate",
    b"Authentication-Info",
    b"Proxy-Authentication-Info",
];

/// Lines of a session description that hold keys (RFC 4568, RFC 8866 §5.12, RFC 8839 §5.4).
const KEYS: [&[u8]; 3] = [b"a=crypto:", b"k=", b"a=ice-pwd:"];

/// Overwrites every secret of one message with `*`. The message has no folded headers: those of
/// [`hotline_sip::Message`] are unfolded, ours never are folded.
pub fn conceal(message: &mut [u8]) {
    let mut rest = message;
    let mut is_first = true;
    let mut is_text = false;
    loop {
        let Some(end) = memchr::memchr(b'\n', rest) else { return };
        let (line, after) = rest.split_at_mut(end.saturating_add(1));
        if line.trim_ascii().is_empty() {
            return if is_text { body(after) } else { stars(after) };
        }
        if is_first {
            // An INFO carries the keys a caller presses: a card number, a password.
            is_text = !line.starts_with(b"INFO ") && !line.starts_with(b"MESSAGE ");
            is_first = false;
        } else {
            header(line);
        }
        uri_password(line);
        rest = after;
    }
}

fn header(line: &mut [u8]) {
    // Only A, P and W begin a name of the list; most lines are done here.
    if !line.first().is_some_and(|it| matches!(it.to_ascii_lowercase(), b'a' | b'p' | b'w')) {
        return;
    }
    let Some(colon) = memchr::memchr(b':', line) else { return };
    let (name, value) = line.split_at_mut(colon.saturating_add(1));
    let name = name.strip_suffix(b":").unwrap_or_default().trim_ascii();
    if SECRET.iter().any(|it| it.eq_ignore_ascii_case(name)) {
        stars(value);
    }
}

fn body(mut rest: &mut [u8]) {
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |it| it.saturating_add(1));
        let (line, after) = rest.split_at_mut(end);
        let key = KEYS.iter().find(|it| line.starts_with(it)).map(|it| it.len());
        if let Some(value) = key.and_then(|it| line.get_mut(it..)) {
            stars(value);
        }
        rest = after;
    }
}

/// `sip:user:password@host` (RFC 3261 §19.1.1).
fn uri_password(line: &mut [u8]) {
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'@', line.get(from..).unwrap_or_default()) {
        let end = from.saturating_add(at);
        if let Some(begin) = password(line.get(..end).unwrap_or_default()) {
            stars(line.get_mut(begin..end).unwrap_or_default());
        }
        from = end.saturating_add(1);
    }
}

/// Where the password begins that ends with `before`. Every message has many an `@` and hardly one
/// a password, so the usual `<sip:user` is seen by its only colon.
fn password(before: &[u8]) -> Option<usize> {
    let is_edge = |it: &u8| matches!(*it, b'<' | b' ' | b'\t' | b'"' | b',' | b'@');
    let last = memchr::memrchr(b':', before)?;
    let (head, behind) = before.split_at(last);
    if behind.iter().any(is_edge) {
        return None;
    }
    let start = head.iter().rposition(is_edge).map_or(0, |it| it.saturating_add(1));
    let word = head.get(start..).unwrap_or_default();
    // The first colon ends the scheme, the second one the user.
    let first = memchr::memchr(b':', word)?;
    let user = first.saturating_add(1);
    let second = memchr::memchr(b':', word.get(user..).unwrap_or_default());
    let second = second.map_or(last, |it| start.saturating_add(user).saturating_add(it));
    let is_sip = word.get(..3).is_some_and(|it| it.eq_ignore_ascii_case(b"sip"));
    is_sip.then(|| second.saturating_add(1))
}

/// Everything but the white space at the ends of lines and the blank before a value.
fn stars(bytes: &mut [u8]) {
    for it in bytes.iter_mut().filter(|it| !it.is_ascii_whitespace()) {
        *it = b'*';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, after: &str) {
        let mut bytes = before.as_bytes().to_vec();
        conceal(&mut bytes);
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
            conceal(&mut it.as_bytes().to_vec());
        }
    }
}
