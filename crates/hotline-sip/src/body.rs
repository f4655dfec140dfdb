//! The session description within a body, and the key within an INFO.

use hotline_base::Key;

use crate::text::{decode, number, slice, trim, unquote};

/// `application/sdp`, alone or as a part of a multipart body (carriers add ISUP parts).
pub(crate) fn sdp(content_type: Option<&[u8]>, body: &[u8]) -> Option<String> {
    if body.is_empty() {
        return None;
    }
    let Some(content_type) = content_type else {
        // RFC 3261 §20.15 demands a type; some gateways forget it.
        return body.starts_with(b"v=").then(|| decode(body));
    };
    if is_type(content_type, "application/sdp") {
        return Some(decode(body));
    }
    let multipart = content_type.get(..10).is_some_and(|it| it.eq_ignore_ascii_case(b"multipart/"));
    if !multipart {
        return None;
    }
    let mut params = content_type.split(|it| *it == b';').skip(1);
    let boundary = params.find_map(|it| {
        let (name, value) = trim(it).split_at_checked(9)?;
        name.eq_ignore_ascii_case(b"boundary=").then(|| unquote(value).into_owned())
    })?;
    let mut mark = b"--".to_vec();
    mark.extend_from_slice(&boundary);
    let starts: Vec<usize> = memchr::memmem::find_iter(body, &mark).collect();
    starts.windows(2).find_map(|it| {
        let [from, to] = it else { return None };
        part(slice(body, from.saturating_add(mark.len()), *to))
    })
}

/// Whether a Content-Type is `name`, whatever its parameters.
pub(crate) fn is_type(content_type: &[u8], name: &str) -> bool {
    let end = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
    trim(slice(content_type, 0, end)).eq_ignore_ascii_case(name.as_bytes())
}

/// The body of a part whose headers call it a session description.
fn part(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.strip_prefix(b"\r").unwrap_or(bytes);
    let bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
    let mut rest = bytes;
    let mut is_sdp = false;
    loop {
        let end = memchr::memchr(b'\n', rest)?;
        let line = trim(slice(rest, 0, end));
        rest = rest.get(end.saturating_add(1)..)?;
        if line.is_empty() {
            return is_sdp.then(|| decode(rest));
        }
        let colon = memchr::memchr(b':', line).unwrap_or(0);
        if slice(line, 0, colon).eq_ignore_ascii_case(b"Content-Type") {
            is_sdp = is_type(slice(line, colon.saturating_add(1), line.len()), "application/sdp");
        }
    }
}

/// A key in an INFO: `application/dtmf-relay` (`Signal=5`) or `application/dtmf` (`5`). `Err`: the
/// body is of another kind.
pub(crate) fn key(content_type: &[u8], body: &[u8]) -> Result<Option<Key>, ()> {
    let signal = if is_type(content_type, "application/dtmf-relay") {
        body.split(|it| matches!(it, b'\r' | b'\n')).find_map(|line| {
            let at = memchr::memchr(b'=', line)?;
            let name = trim(slice(line, 0, at));
            name.eq_ignore_ascii_case(b"Signal")
                .then(|| trim(slice(line, at.saturating_add(1), line.len())))
        })
    } else if is_type(content_type, "application/dtmf") {
        Some(trim(body))
    } else {
        return Err(());
    };
    Ok(signal.and_then(|signal| match signal {
        [one] => Key::try_from(char::from(*one)).ok(),
        // Some gateways write the event code of RFC 4733.
        _ => number(signal).and_then(Key::from_event),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_between_isup_parts_is_found() {
        let body = b"--b1\r\nContent-Type: application/isup\r\n\r\n\x00\xFF\x01\r\n--b1\r\n\
            Content-Type: application/sdp;x=1\r\nContent-Disposition: session\r\n\r\nv=0\r\n\
            --b1--\r\n";
        let found = sdp(Some(b"multipart/mixed; boundary=\"b1\""), body);
        assert_eq!(found.as_deref(), Some("v=0\r\n"));
    }

    #[test]
    fn every_way_of_writing_a_key_is_read() {
        let relay = b"application/dtmf-relay";
        let check = |kind: &[u8], body: &str| key(kind, body.as_bytes()).unwrap().map(Key::as_char);
        assert_eq!(check(relay, "Signal=5\r\nDuration=160\r\n"), Some('5'));
        assert_eq!(check(relay, "Duration=160\nsignal = *\n"), Some('*'));
        assert_eq!(check(relay, "Signal=11\r\n"), Some('#'));
        assert_eq!(check(b"application/dtmf", " 9\r\n"), Some('9'));
        assert_eq!(check(relay, "Signal=x\r\n"), None);
        assert_eq!(key(b"text/plain", b"5"), Err(()));
    }
}
