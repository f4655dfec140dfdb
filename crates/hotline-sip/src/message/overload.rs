//! What a server tells an upstream peer about its load, as parameters of the peer's Via
//! (RFC 7339 §4).

use std::time::Duration;

use super::Message;
use crate::{Params, text::split_bare};

/// How much a peer is to keep back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Feedback {
    /// The part of its requests, in percent.
    pub percent: u8,
    /// For how long; zero: nothing is to be kept back.
    pub validity: Duration,
    /// Grows with every new figure, in thousandths: 1,282,321,615,782 is `1282321615.782`.
    pub seq: u64,
}

impl Feedback {
    /// As in a Via, with the first semicolon.
    pub(super) fn parameters(self) -> String {
        let Self { percent, validity, seq } = self;
        let (whole, part) = (seq / 1_000 % 1_000_000_000_000, seq % 1_000);
        let validity = validity.as_millis();
        format!(";oc={percent};oc-algo=\"loss\";oc-validity={validity};oc-seq={whole}.{part:03}")
    }
}

impl Message {
    /// Whether the peer that sent this request keeps calls back when it is asked to, by the
    /// algorithm `loss`.
    pub fn takes_part(&self) -> bool {
        self.top_via().is_some_and(|it| takes_part(it.params))
    }
}

/// `oc` without a value, and `loss` among the algorithms; every peer that takes part has it.
pub(super) fn takes_part(params: Params<'_>) -> bool {
    params.get("oc").is_some_and(<[u8]>::is_empty)
        && params.get("oc-algo").is_none_or(|it| {
            let list = it.trim_ascii();
            let list = list.strip_prefix(b"\"").and_then(|it| it.strip_suffix(b"\""));
            let list = list.unwrap_or(it);
            split_bare(list, b',').any(|it| it.trim_ascii().eq_ignore_ascii_case(b"loss"))
        })
}

/// One of those that the server writes anew.
pub(super) fn is_parameter(part: &[u8]) -> bool {
    let name = part.split(|it| *it == b'=').next().unwrap_or_default().trim_ascii();
    ["oc", "oc-algo", "oc-validity", "oc-seq"]
        .iter()
        .any(|it| name.eq_ignore_ascii_case(it.as_bytes()))
}
