//! What every message must have, whoever looks at it.

use super::{
    Core, Message,
    scan::{Span, key},
};
use crate::{
    CSeq, NameAddr, PeerMisbehaved, Uri, Via,
    text::{number, split_bare, trim},
};

/// RFC 3261 §8.1.1 and §16.3, item 1: the headers without which a message cannot be answered.
/// What was found until the first fault is in `core`.
pub(super) fn check(message: &Message, core: &mut Core) -> Result<(), PeerMisbehaved> {
    let place = |it| Span::within(message.bytes(), it);
    let heads = Heads::of(message);
    let to = heads.to.single(PeerMisbehaved::MissingTo);
    let to = to.and_then(|it| NameAddr::parse(it).ok_or(PeerMisbehaved::BadTo));
    // An answer that refuses the message needs to know whether it has one.
    core.to_tag =
        to.ok().or_else(|| message.name_addr("To")).map_or(Span::default(), |it| place(it.tag()));
    core.branch = place(heads.branch?);
    let from = heads
        .from
        .single(PeerMisbehaved::MissingFrom)
        .and_then(|it| NameAddr::parse(it).ok_or(PeerMisbehaved::BadFrom))?;
    core.from_tag = place(from.tag());
    to?;
    let call_id = trim(heads.call_id.single(PeerMisbehaved::MissingCallId)?);
    if call_id.is_empty() {
        return Err(PeerMisbehaved::MissingCallId);
    }
    core.call_id = place(call_id);
    let cseq = heads
        .cseq
        .single(PeerMisbehaved::MissingCSeq)
        .and_then(|it| CSeq::parse(it).ok_or(PeerMisbehaved::BadCSeq))?;
    (core.cseq, core.cseq_method) = (cseq.number, place(cseq.method));
    let Some(method) = message.method() else { return Ok(()) };
    if cseq.method != method {
        return Err(PeerMisbehaved::CSeqMethodMismatch);
    }
    // Old gateways leave it out (RFC 2543), which harms nobody who does not forward.
    if let Some(hops) = heads.max_forwards.at_most_one()? {
        number::<u8>(hops).ok_or(PeerMisbehaved::BadMaxForwards)?;
    }
    if !Uri::is_one(message.raw_uri()) {
        return Err(PeerMisbehaved::BadRequestUri);
    }
    Ok(())
}

/// The headers that are looked at, found in one go.
struct Heads<'a> {
    to: Head<'a>,
    from: Head<'a>,
    call_id: Head<'a>,
    cseq: Head<'a>,
    max_forwards: Head<'a>,
    /// Of the top Via; all must be readable.
    branch: Result<&'a [u8], PeerMisbehaved>,
}

const VIA: u32 = key(b"Via");
const TO: u32 = key(b"To");
const FROM: u32 = key(b"From");
const CALL_ID: u32 = key(b"Call-ID");
const CSEQ: u32 = key(b"CSeq");
const MAX_FORWARDS: u32 = key(b"Max-Forwards");

impl<'a> Heads<'a> {
    fn of(message: &'a Message) -> Self {
        let none = Head { first: None, is_doubled: false };
        let branch = Err(PeerMisbehaved::MissingVia);
        let (to, from, call_id, cseq, max_forwards) = (none, none, none, none, none);
        let mut it = Self { to, from, call_id, cseq, max_forwards, branch };
        for header in &message.headers {
            let (head, name) = match header.key() {
                VIA if header.is(message.bytes(), VIA, "Via") => {
                    it.via(message.at(header.value));
                    continue;
                }
                TO => (&mut it.to, "To"),
                FROM => (&mut it.from, "From"),
                CALL_ID => (&mut it.call_id, "Call-ID"),
                CSEQ => (&mut it.cseq, "CSeq"),
                MAX_FORWARDS => (&mut it.max_forwards, "Max-Forwards"),
                _ => continue,
            };
            if header.is(message.bytes(), header.key(), name) {
                head.add(message.at(header.value));
            }
        }
        it
    }

    fn via(&mut self, values: &'a [u8]) {
        for value in split_bare(values, b',') {
            match (Via::parse(value), self.branch) {
                (Some(via), Err(PeerMisbehaved::MissingVia)) => self.branch = Ok(via.branch()),
                (Some(_), _) => (),
                (None, _) => self.branch = Err(PeerMisbehaved::BadVia),
            }
        }
    }
}

/// The value of a header that may be there once.
#[derive(Clone, Copy)]
struct Head<'a> {
    first: Option<&'a [u8]>,
    is_doubled: bool,
}

impl<'a> Head<'a> {
    const fn add(&mut self, value: &'a [u8]) {
        if self.first.is_some() {
            self.is_doubled = true;
        } else {
            self.first = Some(value);
        }
    }

    fn single(self, missing: PeerMisbehaved) -> Result<&'a [u8], PeerMisbehaved> {
        self.at_most_one()?.ok_or(missing)
    }

    const fn at_most_one(self) -> Result<Option<&'a [u8]>, PeerMisbehaved> {
        if self.is_doubled { Err(PeerMisbehaved::DoubledHeader) } else { Ok(self.first) }
    }
}
