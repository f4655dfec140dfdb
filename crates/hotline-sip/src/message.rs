//! A message as bytes with places in them.
//!
//! Nothing is decoded or copied when a message is read: a header is two places, and text of any
//! encoding, unknown headers and bodies stay byte for byte what the peer sent. (A folded header is
//! the one exception: its line break becomes spaces, as RFC 3261 §7.3.1 permits.)

mod check;
mod edit;
mod overload;
mod reply;
mod scan;
mod shared;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};

pub use self::overload::Feedback;
pub(crate) use self::{
    edit::Draft,
    reply::{Reply, fitting},
    scan::{body_length, compact, is_header, is_start_line},
};
use self::{
    scan::{Header, Span, Start},
    shared::Shared,
};
use crate::{CSeq, Flow, Limits, Method, NameAddr, PeerMisbehaved, Uri, Via, text::split_bare};

/// A whole message that passed the checks of [`Message::parse`].
#[derive(Clone, Eq, PartialEq)]
pub struct Message {
    bytes: Shared,
    start: Start,
    headers: Vec<Header>,
    body: Span,
    core: Core,
}

/// What tells one message from another: asked for again and again, found once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Core {
    call_id: Span,
    from_tag: Span,
    to_tag: Span,
    /// Of the top Via.
    branch: Span,
    cseq: u32,
    cseq_method: Span,
}

/// Bytes that are no message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Malformed {
    pub why: PeerMisbehaved,
    /// A ready response, when the bytes are a request with a Via; never to an ACK, never larger
    /// than the request.
    pub reply: Option<Vec<u8>>,
}

impl Message {
    /// Reads one message, without what may follow it: a datagram, or a frame of
    /// [`split_stream`](crate::split_stream). Line breaks before it are skipped (RFC 3261 §7.5).
    ///
    /// After this, Via, From, To, Call-ID and `CSeq` are there and can be read, and `CSeq` belongs
    /// to the request line.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::read(bytes, Limits::new(), None)
    }

    /// [`parse`](Self::parse) of what came by `flow`, to which narrower limits may apply.
    pub fn parse_from(flow: Flow, bytes: &[u8], limits: Limits) -> Result<Self, Malformed> {
        Self::read(bytes, limits, Some(flow))
    }

    /// No message yet, to [`read_again`](Self::read_again) into.
    pub fn blank() -> Self {
        let (start, body, core) = (Start::None, Span::default(), Core::default());
        Self { bytes: Shared::default(), start, headers: Vec::new(), body, core }
    }

    /// [`parse_from`](Self::parse_from) into the memory of an earlier message, unless somebody has
    /// its bytes: what is dropped after a look has cost no allocation. After an error there is no
    /// message in it.
    pub fn read_again(
        &mut self,
        flow: Flow,
        bytes: &[u8],
        limits: Limits,
    ) -> Result<(), Malformed> {
        self.read_into(bytes, limits, Some(flow))
    }

    fn read(bytes: &[u8], limits: Limits, flow: Option<Flow>) -> Result<Self, Malformed> {
        let mut message = Self::blank();
        message.read_into(bytes, limits, flow)?;
        Ok(message)
    }

    fn read_into(
        &mut self,
        bytes: &[u8],
        limits: Limits,
        flow: Option<Flow>,
    ) -> Result<(), Malformed> {
        let scanned = scan::scan(bytes, limits, self);
        // Also of a message that is refused: the answer bears its tag.
        let mut core = Core::default();
        let checked = check::check(self, &mut core);
        self.core = core;
        scanned.and(checked).map_err(|why| {
            let reply = reply::to_malformed(self, why, flow);
            Malformed { why, reply }
        })
    }

    /// The answer to a message of a stream that is refused for what stands in its head, without
    /// its body: [`StreamStep::Broken`](crate::StreamStep::Broken).
    pub fn answer_head(flow: Flow, head: &[u8], why: PeerMisbehaved) -> Option<Vec<u8>> {
        let mut message = Self::blank();
        let _fault_is_known = scan::scan(head, Limits::new(), &mut message);
        let mut core = Core::default();
        let _fault_is_known = check::check(&message, &mut core);
        message.core = core;
        reply::to_malformed(&message, why, Some(flow))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// [`bytes`](Self::bytes) for whoever keeps or sends them: nothing is copied.
    pub fn shared_bytes(&self) -> Arc<[u8]> {
        self.bytes.whole()
    }

    /// Of a request.
    pub fn method(&self) -> Option<&[u8]> {
        match self.start {
            Start::Request { method, .. } => Some(self.at(method)),
            Start::Response { .. } | Start::None => None,
        }
    }

    /// Of a request; [`Method::Other`] for a response.
    pub fn known_method(&self) -> Method {
        self.method().map_or(Method::Other, Method::of)
    }

    /// Of a response, 100–699.
    pub fn status(&self) -> Option<u16> {
        match self.start {
            Start::Response { status, .. } => Some(status),
            Start::Request { .. } | Start::None => None,
        }
    }

    /// Of a response, as the peer wrote it.
    pub fn reason(&self) -> Option<&[u8]> {
        match self.start {
            Start::Response { reason, .. } => Some(self.at(reason)),
            Start::Request { .. } | Start::None => None,
        }
    }

    /// The request URI as the peer wrote it; empty for a response.
    pub fn raw_uri(&self) -> &[u8] {
        match self.start {
            Start::Request { uri, .. } => self.at(uri),
            Start::Response { .. } | Start::None => &[],
        }
    }

    pub fn request_uri(&self) -> Option<Uri<'_>> {
        Uri::parse(self.raw_uri())
    }

    /// The first header of that name, in any case and also in its compact form.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let key = scan::key(name.as_bytes());
        self.headers.iter().find(|it| it.is(&self.bytes, key, name)).map(|it| self.at(it.value))
    }

    /// All headers of that name, in order, a list in one header as one value.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let key = scan::key(name.as_bytes());
        let named = move |it: &&Header| it.is(&self.bytes, key, name);
        self.headers.iter().filter(named).map(|it| self.at(it.value))
    }

    /// All values of that name, lists taken apart at their commas.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers(name).flat_map(|it| split_bare(it, b','))
    }

    pub fn n_headers(&self) -> usize {
        self.headers.len()
    }

    pub fn body(&self) -> &[u8] {
        self.at(self.body)
    }

    pub fn call_id(&self) -> &[u8] {
        self.at(self.core.call_id)
    }

    pub fn cseq(&self) -> CSeq<'_> {
        CSeq { number: self.core.cseq, method: self.at(self.core.cseq_method) }
    }

    pub fn from_tag(&self) -> &[u8] {
        self.at(self.core.from_tag)
    }

    /// Empty for a request outside of a dialog.
    pub fn to_tag(&self) -> &[u8] {
        self.at(self.core.to_tag)
    }

    /// Of the top Via; empty when there is none.
    pub fn branch(&self) -> &[u8] {
        self.at(self.core.branch)
    }

    /// The hop this message came from, or for a response goes to.
    pub fn top_via(&self) -> Option<Via<'_>> {
        self.values("Via").next().and_then(Via::parse)
    }

    /// The first value of that name as a name and an address.
    pub fn name_addr(&self, name: &str) -> Option<NameAddr<'_>> {
        // From and To are no lists: an unquoted comma in a display name stays.
        let value = match name {
            "From" | "To" => self.header(name),
            _ => self.header(name).and_then(|it| split_bare(it, b',').next()),
        };
        value.and_then(NameAddr::parse)
    }

    /// The session description: the body, or the part of a multipart body that is one.
    pub fn sdp(&self) -> Option<String> {
        crate::body::sdp(self.header("Content-Type"), self.body())
    }

    fn at(&self, span: Span) -> &[u8] {
        span.of(&self.bytes)
    }
}

impl BorshSerialize for Message {
    fn serialize<W: borsh::io::Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        self.bytes.serialize(writer)
    }
}

impl BorshDeserialize for Message {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let bytes = Vec::<u8>::deserialize_reader(reader)?;
        Self::parse(&bytes).map_err(|it| {
            borsh::io::Error::new(borsh::io::ErrorKind::InvalidData, it.why.to_string())
        })
    }
}

/// Numbers and names stay out of logs: only the method or the status is shown.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start {
            Start::Request { .. } => write!(f, "Message({})", self.known_method().name()),
            Start::Response { status, .. } => write!(f, "Message({status})"),
            Start::None => f.write_str("Message"),
        }
    }
}
