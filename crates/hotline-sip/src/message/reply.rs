//! Responses that need nothing but their request.

use std::borrow::Cow;

use super::{Feedback, Message, overload, scan::Start};
use crate::{
    Flow, PeerMisbehaved, Via,
    build::{MessageBuilder, phrase},
    text::{Decimal, hex, slice, split_bare},
};

/// A response in the making: what RFC 3261 §8.2.6.2 takes over from the request, and more headers.
#[derive(Clone, Debug)]
pub(crate) struct Reply<'a> {
    request: &'a Message,
    status: u16,
    to_tag: &'a str,
    flow: Option<Flow>,
    feedback: Option<Feedback>,
    more: Vec<(&'static str, Cow<'a, str>)>,
}

impl<'a> Reply<'a> {
    pub(crate) const fn new(request: &'a Message, status: u16) -> Self {
        Self { request, status, to_tag: "", flow: None, feedback: None, more: Vec::new() }
    }

    /// Given to a To that has none yet.
    #[must_use]
    pub(crate) const fn tag(mut self, tag: &'a str) -> Self {
        self.to_tag = tag;
        self
    }

    /// Where the request came from; written into its Via (RFC 3261 §18.2.1, RFC 3581).
    #[must_use]
    pub(crate) const fn from(mut self, flow: Flow) -> Self {
        self.flow = Some(flow);
        self
    }

    /// Written into the Via of a peer that asks for it (RFC 7339).
    #[must_use]
    pub(crate) const fn feedback(mut self, feedback: Option<Feedback>) -> Self {
        self.feedback = feedback;
        self
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        // As many as most replies have, at once.
        self.more.reserve(8);
        self.more.push((name, value.into()));
        self
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        self.head(false).end()
    }

    pub(crate) fn build_with_sdp(&self, sdp: Option<&str>) -> Vec<u8> {
        let head = self.head(false);
        let head = head.each("Record-Route", self.request.headers("Record-Route"));
        head.end_with_sdp(sdp)
    }

    /// The same in the fewest bytes a datagram may have: compact names, no phrase, no length.
    fn build_compact(&self) -> Vec<u8> {
        self.head(true).end_bare()
    }

    fn head(&self, compact: bool) -> MessageBuilder {
        let name = |long, short| if compact { short } else { long };
        let words = if compact { "" } else { phrase(self.status) };
        let request = self.request;
        let it = MessageBuilder::response(self.status, words);
        let it = self.vias(it, name("Via", "v"));
        let it = it.each(name("From", "f"), request.header("From"));
        let tag = self.new_tag();
        let to = request.header("To").into_iter();
        let it = to.fold(it, |it, to| it.parts(name("To", "t"), &[to, tag.0, tag.1]));
        let it = it.each(name("Call-ID", "i"), request.header("Call-ID"));
        let it = it.each("CSeq", request.header("CSeq"));
        self.more.iter().fold(it, |it, (name, value)| it.header(name, value.as_bytes()))
    }

    /// What is put behind a To that has no tag yet.
    fn new_tag(&self) -> (&[u8], &[u8]) {
        if self.status > 100 && !self.to_tag.is_empty() && self.request.to_tag().is_empty() {
            (b";tag=", self.to_tag.as_bytes())
        } else {
            (b"", b"")
        }
    }

    fn vias(&self, mut it: MessageBuilder, name: &str) -> MessageBuilder {
        let mut top = true;
        for header in self.request.headers("Via") {
            if top {
                let first = split_bare(header, b',').next().unwrap_or_default();
                let from = header.len().min(
                    first
                        .as_ptr()
                        .addr()
                        .saturating_sub(header.as_ptr().addr())
                        .saturating_add(first.len()),
                );
                it = it.written(name, |it| {
                    self.stamp(first, it);
                    it.put(slice(header, from, header.len()));
                });
            } else {
                it = it.header(name, header);
            }
            top = false;
        }
        it
    }

    /// Puts down the top Via with the source of the request in it.
    fn stamp(&self, via: &[u8], out: &mut MessageBuilder) {
        let (Some(flow), Some(read)) = (self.flow, Via::parse(via)) else { return out.put(via) };
        let source = flow.remote.ip().to_canonical();
        let wants_port = read.params.get("rport").is_some_and(<[u8]>::is_empty);
        let feedback = self.feedback.filter(|_| overload::takes_part(read.params));
        for (n, part) in split_bare(via, b';').enumerate() {
            if n > 0 && feedback.is_some() && overload::is_parameter(part) {
                continue;
            }
            let is_rport = part.eq_ignore_ascii_case(b"rport");
            if n > 0 {
                out.put(b";");
            }
            out.put(part);
            if is_rport && wants_port {
                out.put(b"=");
                out.put(Decimal::of(flow.remote.port().into()).as_ref());
            }
        }
        // RFC 3581 §4: with rport, received is written even if it says nothing new.
        let is_same = read.host_ip() == Some(source);
        if read.params.get("received").is_none() && (wants_port || !is_same) {
            out.put(format!(";received={source}").as_bytes());
        }
        if let Some(it) = feedback {
            out.put(it.parameters().as_bytes());
        }
    }
}

/// The first of the replies that is no larger than the request, tried in full and then compact: a
/// forged source address must gain nothing by asking us (RFC 3261 §26.1.5).
pub(crate) fn fitting(replies: &[Reply<'_>]) -> Option<Vec<u8>> {
    let whole = replies.iter().map(Reply::build);
    let compact = replies.iter().map(Reply::build_compact);
    let most = replies.first().map_or(0, |it| it.request.bytes().len());
    whole.chain(compact).find(|it| it.len() <= most)
}

pub(super) fn to_malformed(
    message: &Message,
    why: PeerMisbehaved,
    flow: Option<Flow>,
) -> Option<Vec<u8>> {
    let status = why.status()?;
    let Start::Request { .. } = message.start else { return None };
    if message.method() == Some(b"ACK") || message.header("Via").is_none() {
        return None;
    }
    // The same request gets the same tag: nothing is remembered (RFC 3261 §8.2.7).
    let tag = hex(&fold(message.header("Via").unwrap_or_default()).to_be_bytes());
    let plain = Reply::new(message, status).tag(&tag);
    match flow {
        Some(flow) => fitting(&[plain.clone().from(flow), plain]),
        None => fitting(&[plain]),
    }
}

/// 32 bits of FNV-1a.
fn fold(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |sum, it| (sum ^ u32::from(*it)).wrapping_mul(0x0100_0193))
}
