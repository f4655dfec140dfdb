//! Byte strings as keys of large maps.

use std::sync::Arc;

/// Bytes of a length within [`Hashed::joined`]; what is longer is no part of a message.
const LENGTH: usize = 4;

/// Bytes that are looked for among many, such as a Call-ID among those of all calls.
///
/// Ordered by a hash first: a search compares numbers that lie in the map itself and touches the
/// bytes, which lie anywhere, only where they are found. Who makes hashes meet gains nothing: then
/// bytes are compared, as without it.
///
/// Cheap to clone: who is in a map by it keeps it, too, to be found there again.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Hashed {
    hash: u64,
    bytes: Arc<[u8]>,
}

impl Hashed {
    pub fn new(bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let all = words.iter().chain([&last]).map(|it| u64::from_le_bytes(*it));
        // An odd number without a pattern, as multiplicative hashes want one.
        let hash = all.fold(bytes.len() as u64, |hash, it| {
            (hash.rotate_left(23) ^ it).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        });
        Self { hash, bytes: bytes.into() }
    }

    /// Several strings as one key. Each begins with its length, so that other strings are another
    /// key also where their bytes in a row are the same.
    pub fn joined(parts: &[&[u8]]) -> Self {
        let len = parts.iter().map(|it| it.len().saturating_add(LENGTH)).sum();
        // Nearly all fit here, and cost no second allocation.
        let (mut small, mut large) = ([0; 256], Vec::new());
        let room = if let Some(it) = small.get_mut(..len) {
            it
        } else {
            large.resize(len, 0);
            large.as_mut_slice()
        };
        let mut rest = &mut *room;
        for it in parts {
            let (length, after) = rest.split_at_mut(LENGTH);
            length.copy_from_slice(&u32::try_from(it.len()).unwrap_or(u32::MAX).to_le_bytes());
            let (bytes, after) = after.split_at_mut(it.len());
            bytes.copy_from_slice(it);
            rest = after;
        }
        Self::new(room)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<&[u8]> for Hashed {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_are_one_key_and_others_are_others() {
        let all: Vec<Vec<u8>> = (0..2_000).map(|it| format!("{it}@203.0.113.10").into()).collect();
        let keys: std::collections::BTreeSet<_> = all.iter().map(|it| Hashed::new(it)).collect();
        assert_eq!(keys.len(), all.len());
        assert!(all.iter().all(|it| keys.contains(&Hashed::new(it))));
        for (one, other) in [("", "\0"), ("12345678", "12345678\0"), ("ab", "ba")] {
            assert_ne!(Hashed::new(one.as_bytes()), Hashed::new(other.as_bytes()));
        }
        assert_eq!(Hashed::new(b"x").bytes(), b"x");
    }

    #[test]
    fn strings_in_a_row_are_one_key_only_as_the_same_strings() {
        let rows: [&[&[u8]]; 5] = [&[b"ab", b"c"], &[b"a", b"bc"], &[b"abc"], &[b"abc", b""], &[]];
        let keys: std::collections::BTreeSet<_> = rows.map(Hashed::joined).into();
        assert_eq!(keys.len(), rows.len());
        assert_eq!(Hashed::joined(&[b"ab", b"c"]), Hashed::joined(&[b"ab", b"c"]));
    }
}
