//! Nonces that need no memory until they are used well.

use std::{collections::BTreeMap, net::IpAddr};

use hotline_base::WallTime;
use sha2::{Digest as _, Sha256};

use super::same;

/// Nonces carry their time and are bound to the asker's address and to this process by a keyed
/// hash, so that nothing is remembered of those who only ask. A counter is kept for those that
/// were used well, until they are too old anyway.
///
/// Form, in digits of base 32, since a challenge may be no longer than a short REGISTER: time in
/// seconds (7), number (3: phones behind one address ask in the same second, and none may get
/// the nonce of another), keyed hash (10). They sort by time.
#[derive(Debug)]
pub(crate) struct Nonces {
    process: u64,
    n_made: u64,
    counts: BTreeMap<String, u32>,
    /// Nonces up to this one are taken for too old, since their counters were forgotten; unless it
    /// is of the future, because the clock was set back.
    forgotten: String,
}

/// How long a nonce is good.
pub(super) const NONCE_SECS: i64 = 60;

/// The most counters that are kept, about 2 MB.
pub(super) const COUNTS_MAX: usize = 16_384;

impl Nonces {
    /// `process` distinguishes this process from earlier ones of the same secret, whose counters
    /// are not known.
    pub(crate) const fn new(process: u64) -> Self {
        Self { process, n_made: 0, counts: BTreeMap::new(), forgotten: String::new() }
    }

    pub(crate) fn make(&mut self, secret: &[u8; 32], source: IpAddr, now: WallTime) -> String {
        self.n_made = self.n_made.wrapping_add(1);
        let open = prefix(now, 0) + &digits(self.n_made, 3);
        let code = self.code(secret, source, &open);
        open + &code
    }

    /// Whether a nonce is ours, for this source, and young.
    pub(crate) fn is_fresh(
        &self,
        secret: &[u8; 32],
        source: IpAddr,
        nonce: &str,
        now: WallTime,
    ) -> bool {
        let Some((open, code)) = nonce.split_at_checked(10) else { return false };
        let seconds = open.get(..7).and_then(|it| i64::from_str_radix(it, 32).ok());
        let Some(seconds) = seconds else { return false };
        let age = (now.0 / 1000).saturating_sub(seconds);
        same(self.code(secret, source, open).as_bytes(), code.as_bytes())
            // A clock set back makes nonces of the future; those are as stale as old ones.
            && (-NONCE_SECS..=NONCE_SECS).contains(&age)
            && (*nonce > *self.forgotten || self.forgotten >= prefix(now, -1))
    }

    /// Uses a fresh nonce; false if its counter is not higher than before. Without a counter (0)
    /// a nonce is good once.
    pub(crate) fn take(&mut self, nonce: &str, count: u32, now: WallTime) -> bool {
        if self.counts.get(nonce).is_some_and(|last| count <= *last) {
            return false;
        }
        self.counts = self.counts.split_off(&prefix(now, NONCE_SECS));
        self.counts.insert(nonce.to_owned(), count);
        if self.counts.len() > COUNTS_MAX
            && let Some((nonce, _)) = self.counts.pop_first()
        {
            self.forgotten = nonce;
        }
        true
    }

    #[cfg(test)]
    pub(super) fn n_counts(&self) -> usize {
        self.counts.len()
    }

    fn code(&self, secret: &[u8; 32], source: IpAddr, open: &str) -> String {
        let process = self.process.to_be_bytes();
        let source = source.to_string();
        let sum = hmac(secret, &[&process, open.as_bytes(), source.as_bytes()]);
        let sum = sum.iter().take(8).fold(0, |sum, it| sum << 8 | u64::from(*it));
        digits(sum, 10)
    }
}

/// Where the nonces of some seconds ago begin.
fn prefix(now: WallTime, ago: i64) -> String {
    digits(u64::try_from((now.0 / 1000).saturating_sub(ago)).unwrap_or(0), 7)
}

/// The last `n` digits of a number in base 32.
fn digits(number: u64, n: u32) -> String {
    let digit = |at: u32| u32::try_from(number >> (5 * at) & 31).ok();
    (0..n).rev().filter_map(|at| char::from_digit(digit(at)?, 32)).collect()
}

/// HMAC-SHA-256 (RFC 2104) by a key of 32 bytes.
pub(super) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let padded = |pad: u8| {
        let mut block = [pad; 64];
        block.iter_mut().zip(key).for_each(|(it, key)| *it ^= key);
        block
    };
    let mut inner = Sha256::new();
    inner.update(padded(0x36));
    for it in parts {
        inner.update(it);
    }
    let mut outer = Sha256::new();
    outer.update(padded(0x5C));
    outer.update(inner.finalize());
    outer.finalize().into()
}
