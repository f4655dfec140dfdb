//! Digest authentication (RFC 7616, with the algorithms of RFC 8760).

use std::{collections::BTreeMap, net::IpAddr};

use hotline_base::WallTime;
use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::text::{decode, hex, slice, split_bare, trim, unquote};

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Algorithm {
    Md5,
    Sha256,
}

/// Which algorithms a challenge offers. Answers by either are always understood.
///
/// libre before 2.1 (baresip in Debian 12) gives up when any challenge is not MD5, so MD5 alone is
/// what every phone understands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Challenges {
    #[default]
    Md5,
    /// SHA-256 first, as RFC 8760 §2.4 prefers.
    Sha256AndMd5,
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
}

impl Algorithm {
    const fn name(self) -> &'static str {
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
        let params = split_bare(rest, b',').map(|it| {
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

    /// RFC 7616 §3.4.6: absent means 0, for the old form without `qop`.
    pub(crate) fn count(&self) -> Option<u32> {
        match self.get("nc") {
            Some(it) => u32::from_str_radix(it, 16).ok(),
            None => Some(0),
        }
    }

    /// Whether the answer is right for this password.
    pub(crate) fn is_right(&self, method: &str, password: &str) -> bool {
        let Some(algorithm) = self.algorithm() else { return false };
        let get = |name| self.get(name).unwrap_or_default();
        let qop = self.get("qop");
        if qop.is_some_and(|it| it != "auth") {
            return false;
        }
        let counted = qop.map(|_| (get("nc"), get("cnonce")));
        let names = (get("username"), get("realm"), password);
        let right = response(algorithm, names, get("nonce"), counted, (method, get("uri")));
        same(right.as_bytes(), get("response").to_ascii_lowercase().as_bytes())
    }
}

/// RFC 7616 §3.4.1; `counted` is nc and cnonce of the form with `qop=auth`.
fn response(
    algorithm: Algorithm,
    (user, realm, password): (&str, &str, &str),
    nonce: &str,
    counted: Option<(&str, &str)>,
    (method, uri): (&str, &str),
) -> String {
    let a1 = algorithm.hash(&format!("{user}:{realm}:{password}"));
    let a2 = algorithm.hash(&format!("{method}:{uri}"));
    algorithm.hash(&match counted {
        Some((count, cnonce)) => format!("{a1}:{nonce}:{count}:{cnonce}:auth:{a2}"),
        None => format!("{a1}:{nonce}:{a2}"),
    })
}

/// Compares without telling by its duration where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

pub(crate) fn challenge(realm: &str, nonce: &str, algorithm: Algorithm, stale: bool) -> String {
    let name = algorithm.name();
    let stale = if stale { ",stale=true" } else { "" };
    format!("Digest realm=\"{realm}\",nonce=\"{nonce}\",algorithm={name},qop=\"auth\"{stale}")
}

/// Answers the first challenge whose algorithm we know (RFC 7616 §3.7).
pub(crate) fn answer<'a>(
    challenges: impl Iterator<Item = &'a [u8]>,
    (user, password): (&str, &str),
    (method, uri): (&str, &str),
    cnonce: &str,
) -> Option<String> {
    let (params, algorithm) = challenges.filter_map(Params::parse).find_map(|it| {
        let algorithm = it.algorithm()?;
        Some((it, algorithm))
    })?;
    let (realm, nonce) = (params.get("realm")?, params.get("nonce")?);
    let with_qop = params.get("qop").is_some_and(|it| it.split(',').any(|it| it.trim() == "auth"));
    let counted = with_qop.then_some(("00000001", cnonce));
    let right = response(algorithm, (user, realm, password), nonce, counted, (method, uri));
    let name = algorithm.name();
    let counted = counted.map(|(nc, cnonce)| format!(",qop=auth,nc={nc},cnonce=\"{cnonce}\""));
    let opaque = params.get("opaque").map(|it| format!(",opaque=\"{it}\""));
    let (counted, opaque) = (counted.unwrap_or_default(), opaque.unwrap_or_default());
    Some(format!(
        "Digest username=\"{user}\",realm=\"{realm}\",nonce=\"{nonce}\",uri=\"{uri}\",\
         response=\"{right}\",algorithm={name}{counted}{opaque}"
    ))
}

/// Nonces carry their time and are bound to the asker's address by a keyed hash, so that nothing
/// is remembered of those who only ask. A counter is kept for nonces that were used well.
///
/// Form: time in seconds (8 hexadecimal digits), salt (4: phones behind one address ask in the same
/// second), keyed hash (12).
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    counts: BTreeMap<String, u32>,
}

impl Nonces {
    pub(crate) fn make(secret: &[u8; 32], source: IpAddr, salt: u64, now: WallTime) -> String {
        let seconds = u32::try_from(now.0.max(0) / 1000).unwrap_or(u32::MAX);
        let open = format!("{seconds:08x}{:04x}", salt & 0xFFFF);
        let code = mac(secret, source, &open);
        open + &code
    }

    /// Whether a nonce is ours, for this source, young, and its counter higher than before. Without
    /// a counter (0) a nonce is good once.
    pub(crate) fn take(
        &mut self,
        secret: &[u8; 32],
        source: IpAddr,
        nonce: &str,
        count: u32,
        now: WallTime,
    ) -> bool {
        let Some((open, code)) = nonce.split_at_checked(12) else { return false };
        let seconds = open.get(..8).and_then(|it| i64::from_str_radix(it, 16).ok());
        let Some(seconds) = seconds else { return false };
        if !same(mac(secret, source, open).as_bytes(), code.as_bytes()) {
            return false;
        }
        let age = (now.0 / 1000).saturating_sub(seconds);
        // A clock set back makes nonces of the future; those are as stale as old ones.
        if !(-NONCE_SECS..=NONCE_SECS).contains(&age) {
            return false;
        }
        if self.counts.get(nonce).is_some_and(|last| count <= *last) {
            return false;
        }
        let oldest = (now.0 / 1000).saturating_sub(NONCE_SECS).max(0);
        self.counts = self.counts.split_off(&format!("{oldest:08x}"));
        self.counts.insert(nonce.to_owned(), count);
        true
    }
}

/// How long a nonce is good.
const NONCE_SECS: i64 = 300;

fn mac(secret: &[u8; 32], source: IpAddr, open: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(secret);
    hash.update(open);
    hash.update(source.to_string());
    hash.update(secret);
    hex(slice(&hash.finalize(), 0, 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_rfc_7616_are_right_for_both_algorithms() {
        // RFC 7616 §3.9.1.
        let common = "username=\"Mufasa\", realm=\"http-auth@example.org\", \
            uri=\"/dir/index.html\", nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
            nc=00000001, cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth";
        let md5 = format!(
            "Digest {common}, algorithm=MD5, response=\"8ca523f5e9506fed4657c9700eebdbec\""
        );
        assert!(Params::parse(md5.as_bytes()).unwrap().is_right("GET", "Circle of Life"));
        let sha = format!(
            "Digest {common}, algorithm=SHA-256, \
             response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\""
        );
        assert!(Params::parse(sha.as_bytes()).unwrap().is_right("GET", "Circle of Life"));
        assert!(!Params::parse(sha.as_bytes()).unwrap().is_right("PUT", "Circle of Life"));
        assert!(!Params::parse(sha.as_bytes()).unwrap().is_right("GET", "circle of life"));
    }

    #[test]
    fn a_nonce_is_good_for_its_source_its_time_and_rising_counters_only() {
        let (secret, ip): ([u8; 32], IpAddr) = ([7; 32], "10.0.0.1".parse().unwrap());
        let other: IpAddr = "10.0.0.2".parse().unwrap();
        let now = WallTime(1_700_000_000_000);
        let nonce = Nonces::make(&secret, ip, 1, now);
        let mut it = Nonces::default();
        let mut take =
            |source, count, at: i64| it.take(&secret, source, &nonce, count, WallTime(now.0 + at));
        assert!(!take(other, 1, 0));
        assert!(take(ip, 1, 1_000));
        assert!(!take(ip, 1, 2_000));
        assert!(take(ip, 2, 2_000));
        assert!(!take(ip, 3, 301_000));
    }

    #[test]
    fn our_answer_to_our_challenge_is_right() {
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let asked = challenge("hot\u{7ebf}", "n1", algorithm, false);
            let asked = [&b"Basic realm=x"[..], asked.as_bytes()];
            let told =
                answer(asked.into_iter(), ("1001", "pw"), ("REGISTER", "sip:h"), "c").unwrap();
            let params = Params::parse(told.as_bytes()).unwrap();
            assert!(params.is_right("REGISTER", "pw"));
            assert_eq!(params.count(), Some(1));
        }
    }
}
