//! Tags, branches and the headers that name us.

use hotline_base::push_digits;
use sha2::{Digest as _, Sha256};

use super::Endpoint;
use crate::{
    Flow, Message,
    dialog::{contact, via},
    text::hex,
};

/// What we take, for Allow (RFC 3261 §20.5).
pub(super) const ALLOW: &str =
    "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, INFO, UPDATE, PRACK, REFER";
/// Extensions we know, for Supported (RFC 3261 §20.37).
pub(super) const SUPPORTED: &str = "100rel, timer, replaces";
/// For Accept (RFC 3261 §20.1).
pub(super) const ACCEPT: &str = "application/sdp, application/dtmf-relay, application/dtmf";

/// The length of a token.
pub(super) const TOKEN: usize = 16;

impl Endpoint {
    /// A name nobody can guess: a hash, since the generator gives itself away.
    pub(super) fn token(&mut self) -> String {
        let mut out = String::with_capacity(TOKEN);
        self.push_token(&mut out);
        out
    }

    /// The same, behind what is there.
    pub(super) fn push_token(&mut self, out: &mut String) {
        let number = self.random.next_u64();
        let mut hash = Sha256::new();
        hash.update(self.config.secret);
        hash.update(number.to_be_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        let number = hash.first_chunk().map_or(0, |it| u64::from_be_bytes(*it));
        push_digits::<16>(out, number, TOKEN);
    }

    /// The tag of a response without a transaction: the same for a repeated request and for the
    /// ACK of the response (RFC 3261 §8.2.7).
    pub(super) fn stateless_tag(&self, message: &Message) -> String {
        tag_of(self.stateless_number(message))
    }

    /// What is written in that tag.
    pub(super) fn stateless_number(&self, message: &Message) -> u32 {
        let mut hash = Sha256::new();
        hash.update(self.config.secret);
        hash.update(message.call_id());
        hash.update(message.from_tag());
        hash.update(message.cseq().number.to_be_bytes());
        let [a, b, c, d, ..]: [u8; 32] = hash.finalize().into();
        u32::from_be_bytes([a, b, c, d])
    }

    pub(super) fn fresh_via(&mut self, flow: Flow) -> String {
        let mut out = via(flow, self.config.sent_by(flow));
        self.push_token(&mut out);
        out
    }

    pub(super) fn contact(&self, user: &str, flow: Flow) -> String {
        contact(user, flow, self.config.sent_by(flow))
    }
}

pub(super) fn tag_of(number: u32) -> String {
    hex(&number.to_be_bytes())
}
