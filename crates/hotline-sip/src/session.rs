//! Session timers (RFC 4028): how long a dialog lives without a sign of the peer, and who asks for
//! one. A peer that does not know them is asked by us: no dialog outlives its peer.

use std::time::Duration;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    Config, Message,
    text::{number, slice, split_bare, trim},
    value::Params,
};

/// No session is shorter (RFC 4028 §4).
pub(crate) const SHORTEST: u32 = 90;

/// None is longer because a peer says so: a dialog must not outlive it for years.
const LONGEST: u32 = 2 * 60 * 60;

/// What both sides settled on.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Session {
    /// Seconds from one sign of life to the end.
    pub(crate) secs: u32,
    /// We refresh.
    pub(crate) ours: bool,
    /// The peer knows session timers. One that does not is alive as long as it answers anything.
    pub(crate) agreed: bool,
}

/// Our side's wishes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) secs: u32,
    pub(crate) min_secs: u32,
}

impl Wish {
    pub(crate) fn of(config: &Config) -> Self {
        let secs = |it: Duration| u32::try_from(it.as_secs()).unwrap_or(u32::MAX).max(SHORTEST);
        let min_secs = secs(config.min_se);
        Self { secs: secs(config.session_expires).max(min_secs), min_secs }
    }
}

impl Session {
    /// What we answer to an INVITE or UPDATE of the peer (RFC 4028 §9); `now` is the agreement that
    /// runs. `Err`: too short for us, to be refused with 422 and this Min-SE.
    pub(crate) fn answer(request: &Message, wish: Wish, now: Option<Self>) -> Result<Self, u32> {
        let asked = expires_of(request);
        let agreed =
            has_option(request, "Supported", "timer") || has_option(request, "Require", "timer");
        let own = wish.secs.max(min_se_of(request));
        let secs = match asked {
            Some((secs, _)) if secs >= wish.min_secs => secs.min(own),
            Some(_) if agreed => return Err(wish.min_secs),
            // A proxy put it in for a peer that could not do anything with a 422.
            Some(_) => wish.min_secs,
            None => own,
        };
        let ours = match asked.and_then(|it| it.1) {
            _ if !agreed => true,
            Some(Refresher::Uas) => true,
            Some(Refresher::Uac) => false,
            None => now.is_some_and(|it| it.agreed && it.ours),
        };
        Ok(Self { secs, ours, agreed })
    }

    /// What the peer's 2xx to our INVITE or UPDATE says (RFC 4028 §7.2). Without Session-Expires it
    /// knows no timers: we go on asking. It may shorten what we asked for, and not lengthen it
    /// (§9).
    pub(crate) fn settled(response: &Message, asked: u32) -> Self {
        let asked = asked.max(SHORTEST);
        match expires_of(response) {
            Some((secs, refresher)) => Self {
                secs: secs.clamp(SHORTEST, asked),
                ours: refresher != Some(Refresher::Uas),
                agreed: true,
            },
            None => Self { secs: asked, ours: true, agreed: false },
        }
    }

    /// The value of Session-Expires in our 2xx (`in_response`) or in our request.
    pub(crate) fn header(self, in_response: bool) -> String {
        let role = if self.ours == in_response { "uas" } else { "uac" };
        format!("{};refresher={role}", self.secs)
    }

    /// How long after a sign of life we ask for the next (RFC 4028 §7.2): half the time, and so
    /// early that a refresh can be sent for as `long` as it may, should the network be cut.
    pub(crate) fn refresh_after(self, long: Duration) -> Duration {
        let half = Duration::from_secs(u64::from(self.secs / 2));
        half.min(self.ends_after().saturating_sub(long))
    }

    /// How long after a sign of life the session is given up. A peer that agreed counts, too: early
    /// enough that both sides take it as over (RFC 4028 §10).
    pub(crate) fn ends_after(self) -> Duration {
        let margin = if self.agreed { (self.secs / 3).min(32) } else { 0 };
        Duration::from_secs(u64::from(self.secs.saturating_sub(margin)))
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refresher {
    Uac,
    Uas,
}

/// `Session-Expires: 1800;refresher=uac`. What cannot be read is not there.
fn expires_of(message: &Message) -> Option<(u32, Option<Refresher>)> {
    let (secs, params) = delta(message.header("Session-Expires")?)?;
    let refresher = params.get("refresher").and_then(|it| {
        if it.eq_ignore_ascii_case(b"uac") {
            Some(Refresher::Uac)
        } else if it.eq_ignore_ascii_case(b"uas") {
            Some(Refresher::Uas)
        } else {
            None
        }
    });
    Some((secs, refresher))
}

pub(crate) fn min_se_of(message: &Message) -> u32 {
    let told = message.header("Min-SE").and_then(delta);
    told.map_or(SHORTEST, |it| it.0.clamp(SHORTEST, LONGEST))
}

fn delta(value: &[u8]) -> Option<(u32, Params<'_>)> {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    Some((number(slice(value, 0, end))?, Params::new(value.get(end..).unwrap_or_default())))
}

/// Whether a list of option tags, such as Supported, names `option`.
pub(crate) fn has_option(message: &Message, header: &str, option: &str) -> bool {
    message
        .headers(header)
        .flat_map(|it| split_bare(it, b','))
        .any(|it| trim(it).eq_ignore_ascii_case(option.as_bytes()))
}

#[cfg(test)]
mod tests;
