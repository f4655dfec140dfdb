//! Byte strings as keys of large maps.

/// Bytes that are looked for among many, such as a Call-ID among those of all calls.
///
/// Ordered by a hash first: a search compares numbers that lie in the map itself and touches the
/// bytes, which lie anywhere, only where they are found. Who makes hashes meet gains nothing: then
/// bytes are compared, as without it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Hashed {
    hash: u64,
    bytes: Box<[u8]>,
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
}
