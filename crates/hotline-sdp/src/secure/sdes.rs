//! `a=crypto:<tag> <suite> inline:<key>[|<lifetime>][|<MKI>:<length>] [<parameter>…]` (RFC 4568).

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::read::Line;

/// Packets that a key must be good for: four days of a call.
const LIFETIME_MIN: u64 = 1 << 24;

/// A way to protect packets (RFC 4568 §6.2, RFC 7714 §14.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SdesSuite {
    AesCm128HmacSha1_80,
    AesCm128HmacSha1_32,
    AeadAes128Gcm,
}

/// A key with its salt, for one direction.
#[derive(Clone, Eq, PartialEq)]
pub struct SdesKey {
    suite: SdesSuite,
    bytes: Vec<u8>,
}

impl SdesSuite {
    /// All, the one that most telephones know first.
    pub const ALL: [Self; 3] =
        [Self::AesCm128HmacSha1_80, Self::AeadAes128Gcm, Self::AesCm128HmacSha1_32];

    /// As `a=crypto` names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
        }
    }

    /// Bytes of key and salt together.
    pub const fn key_and_salt(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 30,
            Self::AeadAes128Gcm => 28,
        }
    }
}

impl SdesKey {
    /// Of key and salt, one behind the other; `None` when the length is not the suite's.
    pub fn new(suite: SdesSuite, key_and_salt: &[u8]) -> Option<Self> {
        let bytes = key_and_salt.to_vec();
        (bytes.len() == suite.key_and_salt()).then_some(Self { suite, bytes })
    }

    pub const fn suite(&self) -> SdesSuite {
        self.suite
    }

    /// Key and salt, one behind the other.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for SdesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys never reach a log.
        f.debug_struct("SdesKey").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// One `a=crypto` that we could use.
struct Offered {
    tag: u32,
    key: SdesKey,
}

/// Reads a row. A key that soon expires, a master key index and parameters that change the packets
/// are not for us: such a row is passed over, and another may do (RFC 4568 §5.1.2).
fn read(value: &str) -> Option<Offered> {
    let mut parts = value.split_ascii_whitespace();
    let tag = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let suite = SdesSuite::ALL.into_iter().find(|it| it.name().eq_ignore_ascii_case(name))?;
    let (method, keys) = parts.next()?.split_once(':')?;
    // Several keys need an index in each packet.
    if !method.eq_ignore_ascii_case("inline") || keys.contains(';') {
        return None;
    }
    let mut fields = keys.split('|');
    let bytes = STANDARD.decode(fields.next()?).ok()?;
    if fields.any(|it| !is_long_lifetime(it)) {
        return None;
    }
    // The size of our replay window is our affair.
    if parts.any(|it| !it.get(..4).is_some_and(|it| it.eq_ignore_ascii_case("WSH="))) {
        return None;
    }
    Some(Offered { tag, key: SdesKey::new(suite, &bytes)? })
}

/// `2^31` or a number; what has a colon is a master key index.
fn is_long_lifetime(field: &str) -> bool {
    let packets = match field.split_once('^') {
        Some(("2", exponent)) => exponent.parse().ok().and_then(|it| 1_u64.checked_shl(it)),
        Some(_) => None,
        None => field.parse().ok(),
    };
    packets.is_some_and(|it| it >= LIFETIME_MIN)
}

fn offered(line: &Line) -> impl Iterator<Item = Offered> + '_ {
    line.values("crypto").filter_map(read)
}

/// The first offered key of a suite that we have a key for, with its tag: the offer's order is its
/// preference (RFC 4568 §5.1.2).
pub(super) fn choose(line: &Line, ours: &[SdesKey]) -> Option<(u32, SdesKey, SdesKey)> {
    offered(line).find_map(|it| {
        let ours = ours.iter().find(|ours| ours.suite == it.key.suite)?;
        Some((it.tag, ours.clone(), it.key))
    })
}

/// Our key and theirs, when the answer took one of our rows (RFC 4568 §5.1.3).
pub(super) fn conclude(ours: &Line, theirs: &Line) -> Option<(SdesKey, SdesKey)> {
    let answer = offered(theirs).next()?;
    let ours = offered(ours).find(|it| it.tag == answer.tag && it.key.suite == answer.key.suite)?;
    Some((ours.key, answer.key))
}

pub(super) fn row(tag: u32, key: &SdesKey) -> String {
    format!("a=crypto:{tag} {} inline:{}", key.suite.name(), STANDARD.encode(&key.bytes))
}
