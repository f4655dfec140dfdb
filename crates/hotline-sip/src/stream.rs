//! Messages out of a byte stream (RFC 3261 §18.3).

use crate::{MESSAGE_MAX, PeerMisbehaved, message::body_length};

/// What the front of a stream's buffer is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamStep {
    /// Not a whole message yet.
    NeedMore,
    /// The first `n` bytes are a message.
    Frame(usize),
    /// The first `n` bytes are a keep-alive; a double CRLF wants a CRLF back (RFC 5626 §4.4.1).
    KeepAlive(usize, bool),
    /// The stream cannot be followed any more: close it.
    Broken(PeerMisbehaved),
}

/// Looks at the front of a stream's buffer. Never asks for more than 64 KiB.
pub fn split_stream(buf: &[u8]) -> StreamStep {
    match buf.iter().position(|it| !matches!(it, b'\r' | b'\n')) {
        // A double CRLF that is still arriving is waited for.
        None if buf.is_empty() || buf == b"\r" || buf == b"\r\n\r" => return StreamStep::NeedMore,
        None => return keep_alive(buf),
        Some(0) => (),
        Some(n) => return keep_alive(buf.get(..n).unwrap_or_default()),
    }
    let Some(head) = head_length(buf) else {
        return if buf.len() > MESSAGE_MAX {
            StreamStep::Broken(PeerMisbehaved::TooLarge)
        } else {
            StreamStep::NeedMore
        };
    };
    let length = match body_length(buf.get(..head).unwrap_or_default()) {
        Ok(body) => head.saturating_add(body),
        Err(why) => return StreamStep::Broken(why),
    };
    if length > MESSAGE_MAX {
        StreamStep::Broken(PeerMisbehaved::TooLarge)
    } else if length > buf.len() {
        StreamStep::NeedMore
    } else {
        StreamStep::Frame(length)
    }
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

    #[test]
    fn a_message_torn_at_any_byte_is_waited_for_and_then_whole() {
        for n in 1..OPTIONS.len() {
            assert_eq!(split_stream(&OPTIONS[..n]), StreamStep::NeedMore, "{n}");
        }
        assert_eq!(split_stream(OPTIONS), StreamStep::Frame(OPTIONS.len()));
        let two = [OPTIONS, OPTIONS].concat();
        assert_eq!(split_stream(&two), StreamStep::Frame(OPTIONS.len()));
    }

    #[test]
    fn a_ping_wants_a_pong_and_stray_breaks_are_skipped() {
        assert_eq!(split_stream(b"\r\n\r\n"), StreamStep::KeepAlive(4, true));
        assert_eq!(split_stream(b"\r\n\r"), StreamStep::NeedMore);
        assert_eq!(split_stream(b"\r\nOPTIONS"), StreamStep::KeepAlive(2, false));
        assert_eq!(split_stream(b"\r\n\r\nOPTIONS"), StreamStep::KeepAlive(4, true));
    }

    #[test]
    fn lines_may_end_without_carriage_return() {
        assert_eq!(
            split_stream(b"OPTIONS sip:a SIP/2.0\nContent-Length: 0\n\n"),
            StreamStep::Frame(41)
        );
    }

    #[test]
    fn a_stream_that_lost_its_frames_is_broken() {
        let broken = |it| StreamStep::Broken(it);
        let negative = b"BYE sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n";
        assert_eq!(split_stream(negative), broken(PeerMisbehaved::BadContentLength));
        let two = b"BYE sip:a SIP/2.0\r\nl: 1\r\nContent-Length: 2\r\n\r\nab";
        assert_eq!(split_stream(two), broken(PeerMisbehaved::BadContentLength));
        let huge = b"BYE sip:a SIP/2.0\r\nContent-Length: 70000\r\n\r\n";
        assert_eq!(split_stream(huge), broken(PeerMisbehaved::TooLarge));
        assert_eq!(split_stream(&vec![b'x'; 65_536]), broken(PeerMisbehaved::TooLarge));
    }
}
