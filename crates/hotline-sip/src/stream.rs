//! Messages out of a byte stream (RFC 3261 §18.3).

use crate::{
    Limits, PeerMisbehaved,
    message::{body_length, is_header, is_start_line},
};

/// What the front of a stream's buffer is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamStep {
    /// Not a whole message yet.
    NeedMore,
    /// The first `n` bytes are a message.
    Frame(usize),
    /// The first `n` bytes are a keep-alive; a double CRLF wants a CRLF back (RFC 5626 §4.4.1).
    KeepAlive(usize, bool),
    /// A message that cannot be taken.
    Broken {
        why: PeerMisbehaved,
        /// The length of its head with the empty line, which can be answered; 0: even the head has
        /// no end.
        head: usize,
        /// Where the next message begins, perhaps beyond the buffer. `None`: nobody knows; either
        /// the stream is closed, or [`next_start`] looks for it.
        end: Option<usize>,
    },
}

/// Looks at the front of a stream's buffer. Never asks for more than `limits.message`.
pub fn split_stream(buf: &[u8], limits: Limits) -> StreamStep {
    match buf.iter().position(|it| !matches!(it, b'\r' | b'\n')) {
        // A double CRLF that is still arriving is waited for.
        None if buf.is_empty() || buf == b"\r" || buf == b"\r\n\r" => return StreamStep::NeedMore,
        None => return keep_alive(buf),
        Some(0) => (),
        Some(n) => return keep_alive(buf.get(..n).unwrap_or_default()),
    }
    let Some(head) = head_length(buf) else {
        let why = PeerMisbehaved::TooLarge;
        return if buf.len() > limits.message {
            StreamStep::Broken { why, head: 0, end: None }
        } else {
            StreamStep::NeedMore
        };
    };
    let length = match body_length(buf.get(..head).unwrap_or_default()) {
        Ok(body) => head.saturating_add(body),
        Err(why) => return StreamStep::Broken { why, head, end: None },
    };
    if length > limits.message {
        StreamStep::Broken { why: PeerMisbehaved::TooLarge, head, end: Some(length) }
    } else if length > buf.len() {
        StreamStep::NeedMore
    } else {
        StreamStep::Frame(length)
    }
}

/// Looks for the next message in a stream whose frames were lost: a start line and a header behind
/// it. Says how many bytes to drop, and whether the message begins there; if not, more must arrive.
pub fn next_start(buf: &[u8], limits: Limits) -> (usize, bool) {
    let mut at = 0_usize;
    loop {
        let rest = buf.get(at..).unwrap_or_default();
        let Some((line, after)) = whole_line(rest) else {
            // Half a line may be half a start line, unless it is too long for one.
            let n = if rest.len() > limits.line { buf.len() } else { at };
            return (n, false);
        };
        // Tolerance has no place here: a line of prose is not to be taken for a request.
        let sparse = line.starts_with(b"SIP/") || line.split(|it| *it == b' ').count() == 3;
        if sparse && is_start_line(line) {
            match whole_line(after) {
                Some((second, _)) if is_header(second) => return (at, true),
                None if after.len() <= limits.line => return (at, false),
                Some(_) | None => (),
            }
        }
        at = buf.len().saturating_sub(after.len());
    }
}

/// The first line without its break, and what comes after it.
fn whole_line(buf: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', buf)?;
    let line = buf.get(..end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), buf.get(end.saturating_add(1)..)?))
}

fn keep_alive(breaks: &[u8]) -> StreamStep {
    if breaks.starts_with(b"\r\n\r\n") {
        StreamStep::KeepAlive(4, true)
    } else {
        StreamStep::KeepAlive(breaks.len().min(2), false)
    }
}

/// Up to and with the empty line.
fn head_length(buf: &[u8]) -> Option<usize> {
    let mut breaks = memchr::memchr_iter(b'\n', buf);
    breaks.find_map(|at| {
        let next = at.saturating_add(1);
        match buf.get(next..) {
            Some([b'\n', ..]) => Some(next.saturating_add(1)),
            Some([b'\r', b'\n', ..]) => Some(next.saturating_add(2)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nl : 3\r\n\r\nabc";

    fn split(buf: &[u8]) -> StreamStep {
        split_stream(buf, Limits::new())
    }

    #[test]
    fn a_message_torn_at_any_byte_is_waited_for_and_then_whole() {
        for n in 1..OPTIONS.len() {
            assert_eq!(split(&OPTIONS[..n]), StreamStep::NeedMore, "{n}");
        }
        assert_eq!(split(OPTIONS), StreamStep::Frame(OPTIONS.len()));
        let two = [OPTIONS, OPTIONS].concat();
        assert_eq!(split(&two), StreamStep::Frame(OPTIONS.len()));
    }

    #[test]
    fn a_ping_wants_a_pong_and_stray_breaks_are_skipped() {
        assert_eq!(split(b"\r\n\r\n"), StreamStep::KeepAlive(4, true));
        assert_eq!(split(b"\r\n\r"), StreamStep::NeedMore);
        assert_eq!(split(b"\r\nOPTIONS"), StreamStep::KeepAlive(2, false));
        assert_eq!(split(b"\r\n\r\nOPTIONS"), StreamStep::KeepAlive(4, true));
    }

    #[test]
    fn lines_may_end_without_carriage_return() {
        let bare = b"OPTIONS sip:a SIP/2.0\nContent-Length: 0\n\n";
        assert_eq!(split(bare), StreamStep::Frame(41));
    }

    #[test]
    fn a_stream_that_lost_its_frames_is_broken() {
        let check = |text: &[u8], why, head, end| {
            assert_eq!(split(text), StreamStep::Broken { why, head, end });
        };
        let bad = PeerMisbehaved::BadContentLength;
        check(b"BYE sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n", bad, 41, None);
        check(b"BYE sip:a SIP/2.0\r\nl: 1\r\nContent-Length: 2\r\n\r\nab", bad, 46, None);
        let large = PeerMisbehaved::TooLarge;
        check(b"BYE sip:a SIP/2.0\r\nContent-Length: 70000\r\n\r\n", large, 44, Some(70_044));
        check(&vec![b'x'; 65_536], large, 0, None);
        let limits = Limits { message: 64, ..Limits::new() };
        let step = split_stream(b"BYE sip:a SIP/2.0\r\nContent-Length: 60\r\n\r\n", limits);
        assert_eq!(step, StreamStep::Broken { why: large, head: 41, end: Some(101) });
        // A head that is too large by itself ends where it ends.
        let step = split_stream(
            b"BYE sip:a SIP/2.0\r\nX: y\r\nl: 0\r\n\r\n",
            Limits { message: 30, ..limits },
        );
        assert_eq!(step, StreamStep::Broken { why: large, head: 33, end: Some(33) });
    }

    #[test]
    fn the_next_message_is_found_behind_rubbish_and_only_when_it_is_one() {
        let limits = Limits { line: 100, ..Limits::new() };
        let check = |text: &str, n: usize, found| {
            assert_eq!(next_start(text.as_bytes(), limits), (n, found), "{text:?}");
        };
        check("OPTIONS sip:a SIP/2.0\r\nVia: x\r\n", 0, true);
        check("SIP/2.0 200 OK\r\nv: x\r\n", 0, true);
        check("v=0\r\na=b\r\nINVITE sip:a SIP/2.0\nVia : x\n", 10, true);
        check("tail\r\nINVITE sip:a SIP/2.0\r\nVi", 6, false);
        check("tail\r\nINVITE sip:a SI", 6, false);
        // A report of a transfer carries a status line that begins nothing (RFC 3420).
        check("SIP/2.0 200 OK\r\n\r\nBYE sip:a SIP/2.0\r\nVia: x\r\n", 18, true);
        check("talk about INVITE sip:a SIP/2.0\r\nVia: x\r\n", 41, false);
        check("", 0, false);
        let endless = "x".repeat(101);
        check(&endless, 101, false);
    }
}
