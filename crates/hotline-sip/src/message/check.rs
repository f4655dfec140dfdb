//! What every message must have, whoever looks at it.

use super::{Core, Message, scan::Span};
use crate::{
    CSeq, NameAddr, PeerMisbehaved, Uri, Via,
    text::{number, trim},
};

/// RFC 3261 §8.1.1 and §16.3, item 1: the headers without which a message cannot be answered.
/// What was found until the first fault is in `core`.
pub(super) fn check(message: &Message, core: &mut Core) -> Result<(), PeerMisbehaved> {
    let place = |it| Span::within(message.bytes(), it);
    let to = single(message, "To", PeerMisbehaved::MissingTo);
    let to = to.and_then(|it| NameAddr::parse(it).ok_or(PeerMisbehaved::BadTo));
    // An answer that refuses the message needs to know whether it has one.
    core.to_tag =
        to.ok().or_else(|| message.name_addr("To")).map_or(Span::default(), |it| place(it.tag()));
    core.branch = place(via(message)?);
    let from = single(message, "From", PeerMisbehaved::MissingFrom)
        .and_then(|it| NameAddr::parse(it).ok_or(PeerMisbehaved::BadFrom))?;
    core.from_tag = place(from.tag());
    to?;
    let call_id = trim(single(message, "Call-ID", PeerMisbehaved::MissingCallId)?);
    if call_id.is_empty() {
        return Err(PeerMisbehaved::MissingCallId);
    }
    core.call_id = place(call_id);
    let cseq = single(message, "CSeq", PeerMisbehaved::MissingCSeq)
        .and_then(|it| CSeq::parse(it).ok_or(PeerMisbehaved::BadCSeq))?;
    (core.cseq, core.cseq_method) = (cseq.number, place(cseq.method));
    let Some(method) = message.method() else { return Ok(()) };
    if cseq.method != method {
        return Err(PeerMisbehaved::CSeqMethodMismatch);
    }
    max_forwards(message)?;
    if !Uri::is_one(message.raw_uri()) {
        return Err(PeerMisbehaved::BadRequestUri);
    }
    Ok(())
}

/// The branch of the top one; all must be readable.
fn via(message: &Message) -> Result<&[u8], PeerMisbehaved> {
    let mut all = message.values("Via");
    let top = all.next().ok_or(PeerMisbehaved::MissingVia)?;
    let branch = Via::parse(top).ok_or(PeerMisbehaved::BadVia)?.branch();
    if all.all(|it| Via::parse(it).is_some()) { Ok(branch) } else { Err(PeerMisbehaved::BadVia) }
}

fn single<'a>(
    message: &'a Message,
    name: &'a str,
    missing: PeerMisbehaved,
) -> Result<&'a [u8], PeerMisbehaved> {
    let mut all = message.headers(name);
    let first = all.next().ok_or(missing)?;
    if all.next().is_some() { Err(PeerMisbehaved::DoubledHeader) } else { Ok(first) }
}

/// Old gateways leave Max-Forwards out (RFC 2543), which harms nobody who does not forward.
fn max_forwards(message: &Message) -> Result<(), PeerMisbehaved> {
    let mut all = message.headers("Max-Forwards");
    let Some(first) = all.next() else { return Ok(()) };
    if all.next().is_some() {
        return Err(PeerMisbehaved::DoubledHeader);
    }
    number::<u8>(first).map(|_| ()).ok_or(PeerMisbehaved::BadMaxForwards)
}
