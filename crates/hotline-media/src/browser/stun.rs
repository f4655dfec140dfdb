//! Connectivity checks (RFC 8489, RFC 8445 §7). This module alone names `rtc-stun`.

use std::net::SocketAddr;

use rtc_stun::{
    attributes::{
        ATTR_FINGERPRINT, ATTR_ICE_CONTROLLED, ATTR_MESSAGE_INTEGRITY, ATTR_USE_CANDIDATE,
        ATTR_USERNAME,
    },
    crypto::{RTCCrypto, default_provider},
    error_code::{CODE_ROLE_CONFLICT, ErrorCodeAttribute},
    fingerprint::FINGERPRINT,
    integrity::MessageIntegrity,
    message::{BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, Message, Setter, TransactionId},
    xoraddr::XorMappedAddress,
};

/// Bytes of a user name at most (RFC 8489 §14.3).
const USERNAME_MAX: usize = 508;

/// Bytes of a header, and of the value of a message integrity.
const HEADER: usize = 20;
const INTEGRITY: usize = 20;

/// A check that is well formed; whose it is, is not known yet.
#[derive(Debug)]
pub(super) struct Claimed {
    message: Message,
    username: String,
}

/// A check of who knows our password.
#[derive(Debug)]
pub(super) struct Check {
    transaction: TransactionId,
    /// The peer wants its audio this way.
    pub(super) nominates: bool,
    /// The peer thinks that we lead.
    pub(super) is_controlled: bool,
}

/// Reads a binding request that ends with integrity and fingerprint, as ICE has it. `None` for all
/// else, which is not answered: a stranger learns nothing and aims nothing at others.
pub(super) fn read(datagram: &[u8]) -> Option<Claimed> {
    let mut message = Message::new();
    message.unmarshal_binary(datagram).ok()?;
    let length = usize::try_from(message.length).ok()?;
    if message.typ != BINDING_REQUEST || datagram.len() != HEADER + length {
        return None;
    }
    let [.., integrity, fingerprint] = message.attributes.0.as_slice() else { return None };
    if integrity.typ != ATTR_MESSAGE_INTEGRITY
        || integrity.value.len() != INTEGRITY
        || fingerprint.typ != ATTR_FINGERPRINT
        || message.attributes.0.iter().filter(|it| it.typ == ATTR_MESSAGE_INTEGRITY).count() > 1
    {
        return None;
    }
    FINGERPRINT.check(&message).ok()?;
    let username = message.get(ATTR_USERNAME).ok().filter(|it| it.len() <= USERNAME_MAX)?;
    let username = String::from_utf8(username).ok()?;
    Some(Claimed { message, username })
}

impl Claimed {
    /// The part of the user name that is ours (RFC 8445 §7.2.2).
    pub(super) fn ours(&self) -> &str {
        self.username.split_once(':').map_or("", |it| it.0)
    }

    pub(super) fn theirs(&self) -> &str {
        self.username.split_once(':').map_or("", |it| it.1)
    }

    pub(super) fn verify(mut self, pwd: &str) -> Option<Check> {
        let provider = default_provider().ok()?;
        MessageIntegrity::check(&mut self.message, pwd.as_bytes(), provider.crypto()).ok()?;
        Some(Check {
            transaction: self.message.transaction_id,
            nominates: self.message.contains(ATTR_USE_CANDIDATE),
            is_controlled: self.message.contains(ATTR_ICE_CONTROLLED),
        })
    }
}

/// The answer: where we see the peer.
pub(super) fn success(check: &Check, from: SocketAddr, pwd: &str) -> Option<Vec<u8>> {
    let mut message = Message::new();
    message.set_type(BINDING_SUCCESS);
    let seen = XorMappedAddress { ip: from.ip(), port: from.port() };
    signed(message, check, &seen, pwd)
}

/// RFC 8445 §7.3.1.1.
pub(super) fn role_conflict(check: &Check, pwd: &str) -> Option<Vec<u8>> {
    let mut message = Message::new();
    message.set_type(BINDING_ERROR);
    let reason = b"Role Conflict".to_vec();
    let error = ErrorCodeAttribute { code: CODE_ROLE_CONFLICT, reason };
    signed(message, check, &error, pwd)
}

fn signed(
    mut message: Message,
    check: &Check,
    attribute: &dyn Setter,
    pwd: &str,
) -> Option<Vec<u8>> {
    let provider = default_provider().ok()?;
    let crypto: &dyn RTCCrypto = provider.crypto();
    message.transaction_id = check.transaction;
    message.write_header();
    attribute.add_to(&mut message).ok()?;
    let pwd = pwd.to_owned();
    MessageIntegrity::new_short_term_integrity_with_provider(pwd, crypto)
        .add_to(&mut message)
        .ok()?;
    FINGERPRINT.add_to(&mut message).ok()?;
    Some(message.raw)
}
