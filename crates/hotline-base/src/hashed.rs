//! Byte strings as keys of large maps.

#![expect(clippy::disallowed_types, reason = "nothing that is said follows a `HashedMap`'s order")]

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hash, Hasher},
};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// Byte strings in a row, such as the Call-ID and the tags of a dialog, as the key that one
/// [`HashedMap`] has for them: who is in the map by it keeps it, to be taken out again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hashed(u128);

impl Hash for Hashed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [low, ..] = self.words();
        state.write_u64(low);
    }
}

impl Hashed {
    #[expect(clippy::cast_possible_truncation, reason = "each takes its half")]
    const fn words(self) -> [u64; 2] {
        [self.0 as u64, (self.0 >> 64) as u64]
    }
}

/// What a [`HashedMap`] is asked for: a key of its own, or strings.
pub trait Sought {
    fn hashed(&self, by: &SipHasher13) -> Hashed;
}

impl Sought for Hashed {
    fn hashed(&self, _: &SipHasher13) -> Hashed {
        *self
    }
}

impl Sought for [&[u8]] {
    fn hashed(&self, by: &SipHasher13) -> Hashed {
        let mut hasher = *by;
        for it in self {
            // Strings begin with their length, so that others are another key also where their
            // bytes in a row are the same.
            hasher.write_usize(it.len());
            hasher.write(it);
        }
        Hashed(hasher.finish128().as_u128())
    }
}

impl<const N: usize> Sought for [&[u8]; N] {
    fn hashed(&self, by: &SipHasher13) -> Hashed {
        self.as_slice().hashed(by)
    }
}

/// A map in which one key is looked for among very many, such as a Call-ID among those of all
/// calls.
///
/// Of the strings it keeps 128 bits of their `SipHash` alone, so that a search goes to one place in
/// memory. By chance two of 10^9 strings have the same ones once in 10^20 times, and on purpose
/// nobody finds such two who does not know the secret.
#[derive(Clone, Debug)]
pub struct HashedMap<V> {
    hasher: SipHasher13,
    by_hash: HashMap<Hashed, V, BuildHasherDefault<AsItIs>>,
}

impl<V> HashedMap<V> {
    /// `secret`: of which peers know nothing.
    pub fn new(secret: &[u8; 32]) -> Self {
        let (key, _) = secret.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        Self { hasher: SipHasher13::new_with_key(key), by_hash: HashMap::default() }
    }

    /// The key that these strings have in this map.
    pub fn key(&self, strings: &[&[u8]]) -> Hashed {
        strings.hashed(&self.hasher)
    }

    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    pub fn get<K: Sought + ?Sized>(&self, key: &K) -> Option<&V> {
        self.by_hash.get(&key.hashed(&self.hasher))
    }

    pub fn get_mut<K: Sought + ?Sized>(&mut self, key: &K) -> Option<&mut V> {
        self.by_hash.get_mut(&key.hashed(&self.hasher))
    }

    pub fn contains_key<K: Sought + ?Sized>(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Replaces the value that the key had.
    pub fn insert<K: Sought + ?Sized>(&mut self, key: &K, value: V) {
        self.by_hash.insert(key.hashed(&self.hasher), value);
    }

    pub fn remove<K: Sought + ?Sized>(&mut self, key: &K) -> Option<V> {
        self.by_hash.remove(&key.hashed(&self.hasher))
    }

    /// In an order that says nothing.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.by_hash.values()
    }

    /// Takes out every value for which `stays` does not hold, asked in an order that says nothing.
    pub fn retain(&mut self, mut stays: impl FnMut(&V) -> bool) {
        self.by_hash.retain(|_, it| stays(it));
    }
}

/// Half of what is hashed already is as good a hash as any.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        debug_assert!(false, "{} bytes that are no `Hashed`", bytes.len());
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_are_one_key_and_others_are_others() {
        let all: Vec<Vec<u8>> = (0..2_000).map(|it| format!("{it}@203.0.113.10").into()).collect();
        let mut map = HashedMap::new(&[7; 32]);
        for (n, it) in all.iter().enumerate() {
            map.insert(&[it.as_slice()], n);
        }
        assert_eq!((map.len(), map.values().count()), (all.len(), all.len()));
        for (n, it) in all.iter().enumerate() {
            let key = map.key(&[it]);
            assert_eq!((map.get(&[it.as_slice()]), map.get(&key)), (Some(&n), Some(&n)));
        }
        *map.get_mut(&[all[7].as_slice()]).unwrap() = 70;
        map.insert(&[all[9].as_slice()], 90);
        assert_eq!(map.remove(&[all[9].as_slice()]), Some(90));
        map.insert(&[all[9].as_slice()], 9);
        assert_eq!((map.len(), map.remove(&[all[7].as_slice()])), (all.len(), Some(70)));
        assert_eq!((map.len(), map.get(&[all[7].as_slice()])), (all.len() - 1, None));
        map.retain(|it| *it == 8);
        assert_eq!((map.remove(&[all[8].as_slice()]), map.is_empty()), (Some(8), true));
    }

    #[test]
    fn strings_in_a_row_are_one_key_only_as_the_same_strings() {
        let rows: [&[&[u8]]; 9] = [
            &[b"ab", b"c"],
            &[b"a", b"bc"],
            &[b"abc"],
            &[b"abc", b""],
            &[],
            &[b""],
            &[b"\0"],
            &[b"12345678"],
            &[b"12345678\0"],
        ];
        let mut map = HashedMap::new(&[7; 32]);
        for (n, it) in rows.into_iter().enumerate() {
            assert_eq!(map.get(it), None, "{it:?}");
            map.insert(it, n);
        }
        for (n, it) in rows.into_iter().enumerate() {
            assert_eq!(map.get(it), Some(&n), "{it:?}");
        }
    }

    #[test]
    fn another_secret_makes_another_key() {
        let [one, other] = [[7; 32], [8; 32]].map(|it| HashedMap::<()>::new(&it));
        assert_eq!(one.key(&[b"a"]), one.clone().key(&[b"a"]));
        assert_ne!(one.key(&[b"a"]), other.key(&[b"a"]));
    }
}
