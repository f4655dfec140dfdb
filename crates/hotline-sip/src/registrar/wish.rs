//! What a REGISTER asks for (RFC 3261 §10.3, items 6 and 7).

use std::time::Duration;

use super::Verdict;
use crate::{
    Binding, Config, Message, NameAddr, PeerMisbehaved, Uri,
    text::{decode, number, unquote},
};

pub(super) enum Wish {
    /// Only to be told what is bound.
    Ask,
    DropAll,
    Change(Vec<Change>),
}

/// A contact to be bound, or to be dropped when `expires` is zero.
pub(super) struct Change {
    pub(super) contact: String,
    pub(super) expires: Duration,
    pub(super) q: u16,
    pub(super) instance: Option<String>,
    pub(super) reg_id: Option<u32>,
}

impl Change {
    pub(super) fn to_drop(it: &Binding) -> Self {
        Self {
            contact: it.contact.clone(),
            expires: Duration::ZERO,
            q: it.q,
            instance: it.instance.clone(),
            reg_id: it.reg_id,
        }
    }

    /// Whether it names this binding.
    pub(super) fn is_same(&self, it: &Binding) -> bool {
        match (&self.instance, &it.instance) {
            (Some(own), Some(its)) => own == its && self.reg_id == it.reg_id,
            (Some(_) | None, None) | (None, Some(_)) => is_same_uri(&self.contact, &it.contact),
        }
    }
}

/// RFC 3261 §19.1.4, as far as phones differ from themselves.
pub(super) fn is_same_uri(a: &str, b: &str) -> bool {
    a == b || Uri::parse(a.as_bytes()).is_some_and(|it| Some(it) == Uri::parse(b.as_bytes()))
}

/// The most contacts and the most Path values of one request.
const VALUES_MAX: usize = 16;

/// The longest Contact and Path value, in bytes: they are kept.
const LENGTH_MAX: usize = 1_024;

pub(super) fn wish(message: &Message, config: &Config) -> Result<Wish, Verdict> {
    let header = match message.header("Expires") {
        Some(it) => Some(seconds(it)?),
        None => None,
    };
    let paths: Vec<&[u8]> = message.values("Path").take(VALUES_MAX + 1).collect();
    // What is no address becomes no Route.
    let is_bad = |it: &&[u8]| it.len() > LENGTH_MAX || sip_address(it).is_none();
    if paths.len() > VALUES_MAX || paths.iter().any(is_bad) {
        return Err(bad(PeerMisbehaved::BadPath));
    }
    let contacts: Vec<&[u8]> = message.values("Contact").take(VALUES_MAX + 1).collect();
    if contacts.len() > VALUES_MAX || contacts.iter().any(|it| it.len() > LENGTH_MAX) {
        return Err(bad(PeerMisbehaved::BadContact));
    }
    if contacts.contains(&&b"*"[..]) {
        let good = contacts.len() == 1 && header == Some(0);
        return if good { Ok(Wish::DropAll) } else { Err(bad(PeerMisbehaved::BadContact)) };
    }
    if contacts.is_empty() {
        return Ok(Wish::Ask);
    }
    let changes = contacts.into_iter().map(|it| change(it, header, config));
    Ok(Wish::Change(changes.collect::<Result<_, _>>()?))
}

fn sip_address(value: &[u8]) -> Option<NameAddr<'_>> {
    let it = NameAddr::parse(value)?;
    matches!(&*it.uri()?.scheme, "sip" | "sips").then_some(it)
}

fn change(contact: &[u8], header: Option<u64>, config: &Config) -> Result<Change, Verdict> {
    let it = sip_address(contact).ok_or_else(|| bad(PeerMisbehaved::BadContact))?;
    let own = it.params.get("expires").map(seconds).transpose()?;
    let max = config.expires_max.as_secs();
    let expires = own.or(header).unwrap_or(max).min(max);
    let min = config.expires_min.as_secs();
    if expires > 0 && expires < min {
        return Err(Verdict::Refused { status: 423, min_expires: Some(min), why: None });
    }
    let instance = it.params.get("+sip.instance").map(|it| decode(&unquote(it)));
    // RFC 5626 §4.2: a flow number means something with an instance alone.
    let reg_id = it.params.get("reg-id").and_then(number::<u32>).filter(|_| instance.is_some());
    Ok(Change {
        contact: decode(it.uri),
        expires: Duration::from_secs(expires),
        q: q(it.params.get("q")),
        instance,
        reg_id,
    })
}

/// RFC 3261 §20.19: what is no number of seconds counts as absent in the standard; here it is
/// refused, so that a broken phone is seen. Numbers too large are the largest (RFC 3261 §10.3).
fn seconds(text: &[u8]) -> Result<u64, Verdict> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if digits { Ok(number(text).unwrap_or(u64::MAX)) } else { Err(bad(PeerMisbehaved::BadExpires)) }
}

/// In thousandths; without one, or with nonsense, the best: who says nothing wants to be called.
fn q(text: Option<&[u8]>) -> u16 {
    let read = text.and_then(|it| std::str::from_utf8(it).ok()?.parse::<f32>().ok());
    let read = read.filter(|it| (0.0..=1.0).contains(it)).unwrap_or(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 1000"
    )]
    let thousandths = (read * 1000.0).round() as u16;
    thousandths
}

const fn bad(why: PeerMisbehaved) -> Verdict {
    Verdict::Refused { status: 400, min_expires: None, why: Some(why) }
}
