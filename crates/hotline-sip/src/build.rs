//! Messages out of values.

use crate::text::Decimal;

/// Writes one message. A line break or NUL in a value becomes a space: no value can add a header.
#[derive(Clone, Debug)]
pub struct MessageBuilder(Vec<u8>);

impl MessageBuilder {
    pub fn request(method: &str, uri: &[u8]) -> Self {
        let mut it = Self(Vec::with_capacity(1024));
        it.put(method.as_bytes());
        it.0.push(b' ');
        it.put(uri);
        it.0.extend_from_slice(b" SIP/2.0\r\n");
        it
    }

    pub fn response(status: u16, phrase: &str) -> Self {
        let mut it = Self(Vec::with_capacity(1024));
        it.0.extend_from_slice(b"SIP/2.0 ");
        it.put(Decimal::of(status.into()).as_ref());
        it.0.push(b' ');
        it.put(phrase.as_bytes());
        it.0.extend_from_slice(b"\r\n");
        it
    }

    #[must_use]
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.parts(name, &[value.as_ref()])
    }

    /// A header whose value is the parts in a row.
    #[must_use]
    pub(crate) fn parts(self, name: &str, parts: &[&[u8]]) -> Self {
        self.written(name, |it| {
            for part in parts {
                it.put(part);
            }
        })
    }

    /// A header whose value `write` puts down.
    #[must_use]
    pub(crate) fn written(mut self, name: &str, write: impl FnOnce(&mut Self)) -> Self {
        self.put(name.as_bytes());
        self.0.extend_from_slice(b": ");
        write(&mut self);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    #[must_use]
    pub(crate) fn cseq(self, number: u32, method: &str) -> Self {
        self.parts("CSeq", &[Decimal::of(number).as_ref(), b" ", method.as_bytes()])
    }

    /// The same header once for each value.
    #[must_use]
    pub fn each<V: AsRef<[u8]>>(self, name: &str, values: impl IntoIterator<Item = V>) -> Self {
        values.into_iter().fold(self, |it, value| it.header(name, value))
    }

    /// The message without a body.
    pub fn end(self) -> Vec<u8> {
        let mut it = self.header("Content-Length", "0");
        it.0.extend_from_slice(b"\r\n");
        it.0
    }

    /// The message without a body and, as over UDP it may be, without its length.
    pub(crate) fn end_bare(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"\r\n");
        self.0
    }

    /// The message with a body.
    pub fn end_with(self, content_type: &str, body: &[u8]) -> Vec<u8> {
        let length = Decimal::of(u32::try_from(body.len()).unwrap_or(u32::MAX));
        let mut it = self.header("Content-Type", content_type).header("Content-Length", length);
        it.0.extend_from_slice(b"\r\n");
        it.0.extend_from_slice(body);
        it.0
    }

    /// With a session description, if there is one.
    pub fn end_with_sdp(self, sdp: Option<&str>) -> Vec<u8> {
        match sdp {
            Some(sdp) => self.end_with("application/sdp", sdp.as_bytes()),
            None => self.end(),
        }
    }

    /// A piece of a value.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        if memchr::memchr3(b'\r', b'\n', 0, bytes).is_none() {
            return self.0.extend_from_slice(bytes);
        }
        self.0.extend(
            bytes.iter().map(|it| if matches!(it, b'\r' | b'\n' | 0) { b' ' } else { *it }),
        );
    }
}

/// The reason phrase of a status (RFC 3261 §21).
pub(crate) const fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        _ => "Refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_in_a_display_name_adds_no_header() {
        let bytes = MessageBuilder::request("INVITE", b"sip:a@b\r\nEvil: 1")
            .header("From", "x\r\nRoute: <sip:evil>")
            .end();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count(), 4, "{text}");
    }
}
