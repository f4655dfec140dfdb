//! The scanner: finds the places of a message, tolerant where the standard lets it.

use super::{Core, Message};
use crate::{
    Limits, MESSAGE_MAX, PeerMisbehaved,
    text::{is_token, number, slice, trim},
};

/// A piece of the message, which is at most [`MESSAGE_MAX`] bytes long.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Span {
    start: u16,
    end: u16,
}

const _: () = assert!(MESSAGE_MAX <= u16::MAX as usize, "every place fits a span");

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Start {
    Request {
        method: Span,
        uri: Span,
    },
    Response {
        status: u16,
        reason: Span,
    },
    /// Neither; such a message does not leave this module.
    None,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Header {
    key: u32,
    pub(super) name: Span,
    pub(super) value: Span,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        let narrow = |it: usize| u16::try_from(it).unwrap_or(u16::MAX);
        Self { start: narrow(start), end: narrow(end) }
    }

    /// The span of `part`, which must lie within `whole`.
    pub(super) fn within(whole: &[u8], part: &[u8]) -> Self {
        let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
        Self::new(start, start.saturating_add(part.len()))
    }

    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        let (start, end) = self.place();
        slice(bytes, start, end)
    }

    /// First byte, and the one after the last.
    pub(super) fn place(self) -> (usize, usize) {
        (usize::from(self.start), usize::from(self.end))
    }
}

impl Header {
    /// Whether it is `name`, whose [`key`] is `key`.
    pub(super) fn is(&self, bytes: &[u8], key: u32, name: &str) -> bool {
        self.key == key && is_named(self.name.of(bytes), name)
    }

    /// The [`key`] of its name.
    pub(super) const fn key(&self) -> u32 {
        self.key
    }
}

/// Length, first and last letter of a name, the same for names that differ in case only: enough to
/// pass over nearly all headers that are not meant.
#[inline]
pub(super) const fn key(name: &[u8]) -> u32 {
    match name {
        [first, .., last] => {
            let [len, ..] = name.len().to_le_bytes();
            u32::from_le_bytes([*last | 0x20, *first | 0x20, len, 0])
        }
        [one] => match compact(*one) {
            Some(name) => key(name.as_bytes()),
            None => 1,
        },
        [] => 0,
    }
}

/// Reads as much as can be read into `message`, whose memory is used again; the first fault is said
/// beside it, so that a malformed request can be answered.
pub(super) fn scan(
    bytes: &[u8],
    limits: Limits,
    message: &mut Message,
) -> Result<(), PeerMisbehaved> {
    let too_large = bytes.len() > limits.message;
    let bytes = slice(bytes, 0, bytes.len().min(MESSAGE_MAX));
    let skip = bytes.iter().position(|it| !matches!(it, b'\r' | b'\n')).unwrap_or(bytes.len());
    message.bytes.read(bytes.get(skip..).unwrap_or_default());
    message.headers.clear();
    message.headers.reserve(24);
    message.core = Core::default();
    let scanned = lines(&message.bytes, limits, &mut message.headers).or_else(|| {
        unfold(message.bytes.edit());
        message.headers.clear();
        lines(&message.bytes, limits, &mut message.headers)
    });
    let nothing = (Start::None, Err(PeerMisbehaved::BadStartLine), message.bytes.len());
    let (start, fault, body) = scanned.unwrap_or(nothing);
    let body_len = message.bytes.len().saturating_sub(body);
    message.start = start;
    message.body = Span::new(body, body.saturating_add(body_len));
    let length = content_length(message);
    let mut fault = if too_large { Err(PeerMisbehaved::TooLarge) } else { fault };
    match length {
        Ok(Some(length)) if length > body_len => {
            fault = fault.and(Err(PeerMisbehaved::BodyTooShort));
        }
        // RFC 3261 §18.3: what follows the body in a datagram is dropped.
        Ok(Some(length)) => {
            let end = body.saturating_add(length);
            message.body = Span::new(body, end);
            message.bytes.truncate(end);
        }
        Ok(None) => (),
        Err(why) => fault = fault.and(Err(why)),
    }
    fault
}

/// Whether a header of the wire is `name`; compact names count (RFC 3261 §7.3.3).
pub(super) fn is_named(wire: &[u8], name: &str) -> bool {
    match wire {
        [one] => compact(*one).is_some_and(|it| it.eq_ignore_ascii_case(name)),
        // Nearly everybody writes them as the standards do.
        _ => wire == name.as_bytes() || wire.eq_ignore_ascii_case(name.as_bytes()),
    }
}

/// What a compact name stands for.
pub(crate) const fn compact(letter: u8) -> Option<&'static str> {
    Some(match letter.to_ascii_lowercase() {
        b'a' => "Accept-Contact",
        b'b' => "Referred-By",
        b'c' => "Content-Type",
        b'd' => "Request-Disposition",
        b'e' => "Content-Encoding",
        b'f' => "From",
        b'i' => "Call-ID",
        b'j' => "Reject-Contact",
        b'k' => "Supported",
        b'l' => "Content-Length",
        b'm' => "Contact",
        b'n' => "Identity-Info",
        b'o' => "Event",
        b'r' => "Refer-To",
        b's' => "Subject",
        b't' => "To",
        b'u' => "Allow-Events",
        b'v' => "Via",
        b'x' => "Session-Expires",
        b'y' => "Identity",
        _ => return None,
    })
}

/// The line that begins at `at` without its break, and where the next begins. A bare LF ends a
/// line, too.
fn line(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at..)?;
    let end = memchr::memchr(b'\n', rest)?;
    let line = slice(rest, 0, end);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Some((line, at.saturating_add(end).saturating_add(1)))
}

/// Makes one line of a folded header: the break becomes spaces, nothing moves.
fn unfold(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some((line, next)) = line(bytes, at) {
        if line.is_empty() {
            return;
        }
        if bytes.get(next).is_some_and(|it| matches!(it, b' ' | b'\t')) {
            let end = at.saturating_add(line.len());
            bytes.get_mut(end..next).unwrap_or_default().fill(b' ');
            // The line grew: look at it again from where it was joined.
            at = end;
        } else {
            at = next;
        }
    }
}

/// The start line and the headers, and where the body begins. `None`: a line is folded.
fn lines(
    bytes: &[u8],
    limits: Limits,
    headers: &mut Vec<Header>,
) -> Option<(Start, Result<(), PeerMisbehaved>, usize)> {
    let Some((first, mut at)) = line(bytes, 0) else {
        return Some((Start::None, Err(PeerMisbehaved::BadStartLine), bytes.len()));
    };
    let is_folded = |next: usize| bytes.get(next).is_some_and(|it| matches!(it, b' ' | b'\t'));
    if !first.is_empty() && is_folded(at) {
        return None;
    }
    let (start, mut fault) = start_line(bytes, first);
    let short = |line: &[u8]| {
        if line.len() > limits.line { Err(PeerMisbehaved::LineTooLong) } else { Ok(()) }
    };
    fault = fault.and(short(first));
    loop {
        let Some((line, next)) = line(bytes, at) else {
            return Some((start, fault.and(Err(PeerMisbehaved::Truncated)), bytes.len()));
        };
        at = next;
        if line.is_empty() {
            return Some((start, fault, at));
        }
        if is_folded(at) {
            return None;
        }
        fault = fault.and(short(line));
        if headers.len() >= limits.headers {
            fault = fault.and(Err(PeerMisbehaved::TooManyHeaders));
            continue;
        }
        match header(bytes, line) {
            Some(it) => headers.push(it),
            None => fault = fault.and(Err(PeerMisbehaved::BadHeader)),
        }
    }
}

fn header(bytes: &[u8], line: &[u8]) -> Option<Header> {
    let end = line.iter().position(|it| !is_token(*it))?;
    let (name, rest) = line.split_at_checked(end)?;
    let value = trim(rest.trim_ascii_start().strip_prefix(b":")?);
    let good = !name.is_empty();
    let place = |it| Span::within(bytes, it);
    good.then(|| Header { key: key(name), name: place(name), value: place(value) })
}

/// Whether a message can begin with this line.
pub(crate) fn is_start_line(line: &[u8]) -> bool {
    start_line(line, line).1.is_ok()
}

/// Whether this line is a header.
pub(crate) fn is_header(line: &[u8]) -> bool {
    header(line, line).is_some()
}

fn start_line(bytes: &[u8], line: &[u8]) -> (Start, Result<(), PeerMisbehaved>) {
    if let Some(rest) = line.strip_prefix(b"SIP/") {
        return status_line(bytes, rest);
    }
    let bad = (Start::None, Err(PeerMisbehaved::BadStartLine));
    // What stands between the elements and after them beside one space says nothing
    // (RFC 4475 §3.1.2.9 and §3.1.2.10).
    let line = line.trim_ascii_end();
    let (Some(first), Some(last)) = (memchr::memchr(b' ', line), memchr::memrchr(b' ', line))
    else {
        return bad;
    };
    let (method, version) = (slice(line, 0, first), line.get(last.saturating_add(1)..));
    let version = version.unwrap_or_default();
    let is_sip = version.get(..4).is_some_and(|it| it.eq_ignore_ascii_case(b"SIP/"));
    if method.is_empty() || !method.iter().all(|it| is_token(*it)) || !is_sip || last <= first {
        return bad;
    }
    let uri = slice(line, first.saturating_add(1), last);
    let start =
        Start::Request { method: Span::within(bytes, method), uri: Span::within(bytes, uri) };
    // RFC 3261 §7.1: the version is compared without regard to case.
    let fault = if version.eq_ignore_ascii_case(b"SIP/2.0") {
        Ok(())
    } else {
        Err(PeerMisbehaved::BadVersion)
    };
    (start, fault)
}

fn status_line(bytes: &[u8], rest: &[u8]) -> (Start, Result<(), PeerMisbehaved>) {
    let mut parts = rest.splitn(3, |it| *it == b' ');
    let version = parts.next().unwrap_or_default();
    let status = parts.next().and_then(number::<u16>).filter(|it| (100..=699).contains(it));
    let reason = parts.next().unwrap_or_default();
    match status {
        Some(_) if version != b"2.0" => (Start::None, Err(PeerMisbehaved::BadVersion)),
        Some(status) => (Start::Response { status, reason: Span::within(bytes, reason) }, Ok(())),
        None => (Start::None, Err(PeerMisbehaved::BadStartLine)),
    }
}

fn content_length(message: &Message) -> Result<Option<usize>, PeerMisbehaved> {
    let mut all = message.headers("Content-Length");
    let Some(first) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(PeerMisbehaved::BadContentLength);
    }
    number(first).map(Some).ok_or(PeerMisbehaved::BadContentLength)
}

/// The length of the body a header block announces, for the framing of streams. `head` ends with
/// the empty line. Without a Content-Length there is no body (RFC 3261 §18.3 demands one).
pub(crate) fn body_length(head: &[u8]) -> Result<usize, PeerMisbehaved> {
    let mut head = head.to_vec();
    unfold(&mut head);
    let mut found = None;
    let mut at = 0;
    while let Some((line, next)) = line(&head, at) {
        at = next;
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        if !is_named(trim(slice(line, 0, colon)), "Content-Length") {
            continue;
        }
        let value = number(line.get(colon.saturating_add(1)..).unwrap_or_default());
        let value = value.ok_or(PeerMisbehaved::BadContentLength)?;
        if found.is_some_and(|it| it != value) {
            return Err(PeerMisbehaved::BadContentLength);
        }
        found = Some(value);
    }
    Ok(found.unwrap_or(0))
}
