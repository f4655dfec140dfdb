//! What every message must have, whoever looks at it.

use super::Message;
use crate::{
    CSeq, NameAddr, PeerMisbehaved, Uri, Via,
    text::{number, trim},
};

/// RFC 3261 §8.1.1 and §16.3, item 1: the headers without which a message cannot be answered.
pub(super) fn check(message: &Message) -> Result<(), PeerMisbehaved> {
    via(message)?;
    single(message, "From", PeerMisbehaved::MissingFrom)
        .and_then(|it| NameAddr::parse(it).ok_or(PeerMisbehaved::BadFrom))?;
    single(message, "To", PeerMisbehaved::MissingTo)
        .and_then(|it| NameAddr::parse(it).ok_or(PeerMisbehaved::BadTo))?;
    let call_id = single(message, "Call-ID", PeerMisbehaved::MissingCallId)?;
    if trim(call_id).is_empty() {
        return Err(PeerMisbehaved::MissingCallId);
    }
    let cseq = single(message, "CSeq", PeerMisbehaved::MissingCSeq)
        .and_then(|it| CSeq::parse(it).ok_or(PeerMisbehaved::BadCSeq))?;
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

fn via(message: &Message) -> Result<(), PeerMisbehaved> {
    let mut all = message.values("Via").peekable();
    all.peek().ok_or(PeerMisbehaved::MissingVia)?;
    if all.all(|it| Via::parse(it).is_some()) { Ok(()) } else { Err(PeerMisbehaved::BadVia) }
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
