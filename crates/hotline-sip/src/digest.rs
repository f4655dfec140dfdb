//! Digest authentication (RFC 7616, with the algorithms of RFC 8760).

mod credentials;
mod nonces;
#[cfg(test)]
mod tests;

use md5::Md5;
use sha2::{Digest as _, Sha256};

pub use self::credentials::{Credentials, NotAnswered};
pub(crate) use self::nonces::Nonces;
use crate::text::{decode, hex, quote, slice, split_bare, trim, unquote};

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Algorithm {
    Md5,
    Sha256,
}

/// Which digest algorithms an account may use: what it is challenged with, and what its answer is
/// accepted by.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Challenges {
    /// For telephones that give up when any challenge is of another algorithm (libre before 2.1,
    /// which is baresip in Debian 12).
    Md5,
    /// SHA-256 first, as RFC 8760 §2.4 prefers.
    Sha256AndMd5,
    #[default]
    Sha256,
}

impl Challenges {
    pub(crate) const fn algorithms(self) -> &'static [Algorithm] {
        match self {
            Self::Md5 => &[Algorithm::Md5],
            Self::Sha256AndMd5 => &[Algorithm::Sha256, Algorithm::Md5],
            Self::Sha256 => &[Algorithm::Sha256],
        }
    }

    pub(crate) fn permits(self, algorithm: Algorithm) -> bool {
        self.algorithms().contains(&algorithm)
    }
}

impl Algorithm {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// RFC 7616 §3.3: absent means MD5.
    fn of(name: Option<&str>) -> Option<Self> {
        match name {
            None => Some(Self::Md5),
            Some(it) if it.eq_ignore_ascii_case("MD5") => Some(Self::Md5),
            Some(it) if it.eq_ignore_ascii_case("SHA-256") => Some(Self::Sha256),
            Some(_) => None,
        }
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(text.as_bytes())),
            Self::Sha256 => hex(&Sha256::digest(text.as_bytes())),
        }
    }
}

/// What proves who somebody is.
#[derive(Clone, Eq, PartialEq)]
pub enum Secret {
    Password(String),
    /// The hash of `user:realm:password` by each algorithm (RFC 7616 §3.4.2), in hexadecimal
    /// digits. It is good for one user and one realm, and as secret as the password there.
    Ha1 {
        sha256: Option<String>,
        md5: Option<String>,
    },
}

impl Secret {
    /// `None`: the hash by this algorithm is not known.
    fn ha1(&self, algorithm: Algorithm, user: &str, realm: &str) -> Option<String> {
        match (self, algorithm) {
            (Self::Password(it), _) => Some(algorithm.hash(&format!("{user}:{realm}:{it}"))),
            (Self::Ha1 { sha256, .. }, Algorithm::Sha256) => sha256.clone(),
            (Self::Ha1 { md5, .. }, Algorithm::Md5) => md5.clone(),
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// The parameters of `Digest …`: a challenge, or an answer to one.
#[derive(Clone)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// `None`: another scheme.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let value = trim(value);
        let (scheme, rest) = value.split_at_checked(6)?;
        let blank = rest.first().is_some_and(u8::is_ascii_whitespace);
        if !scheme.eq_ignore_ascii_case(b"Digest") || !blank {
            return None;
        }
        let params = split_bare(rest, b',').take(PARAMS_MAX).map(|it| {
            let end = memchr::memchr(b'=', it).unwrap_or(it.len());
            let name = decode(trim(slice(it, 0, end))).to_ascii_lowercase();
            let value = unquote(it.get(end.saturating_add(1)..).unwrap_or_default());
            (name, decode(&value))
        });
        Some(Self(params.collect()))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|it| it.0 == name).map(|it| it.1.as_str())
    }

    fn algorithm(&self) -> Option<Algorithm> {
        Algorithm::of(self.get("algorithm"))
    }

    /// RFC 7616 §3.4: absent means 0, for the old form without `qop`.
    pub(crate) fn count(&self) -> Option<u32> {
        match self.get("nc") {
            Some(it) => u32::from_str_radix(it, 16).ok(),
            None => Some(0),
        }
    }

    /// RFC 7616 §3.4.4: the user name is hashed. We never offer it.
    pub(crate) fn has_hashed_user(&self) -> bool {
        self.get("userhash").is_some_and(|it| it.eq_ignore_ascii_case("true"))
    }

    /// Whether the answer is right for this secret, by an algorithm that is permitted.
    pub(crate) fn is_right(&self, method: &str, secret: &Secret, permitted: Challenges) -> bool {
        let Some(algorithm) = self.algorithm() else { return false };
        let get = |name| self.get(name).unwrap_or_default();
        let qop = self.get("qop");
        // RFC 7616 §3.4 demands qop; the telephones that leave it out know MD5 only.
        let well_formed = match qop {
            Some(it) => it == "auth",
            None => algorithm == Algorithm::Md5,
        };
        let ha1 = secret.ha1(algorithm, get("username"), get("realm"));
        let is_known = ha1.is_some();
        let ha1 = ha1.unwrap_or_default();
        let counted = qop.map(|_| (get("nc"), get("cnonce")));
        let right = response(algorithm, &ha1, get("nonce"), counted, (method, get("uri")));
        let told = get("response").to_ascii_lowercase();
        let is_same = same(right.as_bytes(), told.as_bytes());
        is_same && is_known && well_formed && permitted.permits(algorithm)
    }
}

/// RFC 7616 §3.4.1; `counted` is nc and cnonce of the form with `qop=auth`.
fn response(
    algorithm: Algorithm,
    ha1: &str,
    nonce: &str,
    counted: Option<(&str, &str)>,
    (method, uri): (&str, &str),
) -> String {
    let ha2 = algorithm.hash(&format!("{method}:{uri}"));
    algorithm.hash(&match counted {
        Some((count, cnonce)) => format!("{ha1}:{nonce}:{count}:{cnonce}:auth:{ha2}"),
        None => format!("{ha1}:{nonce}:{ha2}"),
    })
}

/// Compares without telling by its duration where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

pub(crate) fn challenge(realm: &str, nonce: &str, algorithm: Algorithm, stale: bool) -> String {
    let (realm, name) = (quote(realm), algorithm.name());
    let stale = if stale { ",stale=true" } else { "" };
    format!("Digest realm={realm},nonce=\"{nonce}\",algorithm={name},qop=\"auth\"{stale}")
}

/// The most parameters that are read: RFC 7616 §3.4 knows twelve.
const PARAMS_MAX: usize = 32;
