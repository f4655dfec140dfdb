//! What phones and middleboxes send to keep a path open.

/// RFC 5626 §4.4.1: what asks a peer on a stream whether it is there.
pub(crate) const PING: &[u8] = b"\r\n\r\n";

/// RFC 5626 §4.4.1: the answer to a [`PING`] on a stream.
pub(crate) const PONG: &[u8] = b"\r\n";

/// A datagram of line ends, zero bytes, or nothing; no SIP message begins so.
pub(crate) fn is_keepalive(datagram: &[u8]) -> bool {
    datagram.len() <= 8 && datagram.iter().all(|it| matches!(it, b'\r' | b'\n' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_that_keeps_its_path_open_is_not_malformed() {
        assert!(is_keepalive(b"\r\n\r\n"));
        assert!(is_keepalive(b"\0\0\0\0"));
        assert!(is_keepalive(b""));
        assert!(!is_keepalive(b"BYE"));
    }
}
