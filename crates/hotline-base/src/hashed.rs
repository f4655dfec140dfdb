//! Byte strings as keys of large maps.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

/// Bytes of a length within [`Hashed::of`]; what is longer is no part of a message.
const LENGTH: usize = 4;

/// Byte strings in a row, such as the Call-ID and the tags of a dialog, as one key of a
/// [`HashedMap`].
///
/// Cheap to clone: who is in a map by it keeps it, too, to be taken out again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hashed {
    hash: u64,
    /// Each string begins with its length, so that other strings are another key also where their
    /// bytes in a row are the same.
    bytes: Arc<[u8]>,
}

impl Hashed {
    pub fn of(strings: &[&[u8]]) -> Self {
        Self { hash: hash(strings), bytes: in_a_row(strings).into() }
    }
}

/// What a [`HashedMap`] is asked for: a key it has, or the strings of one, of which nothing is
/// copied then.
pub trait Sought {
    fn hash(&self) -> u64;
    fn is(&self, bytes: &[u8]) -> bool;
    fn bytes(&self) -> Cow<'_, [u8]>;
}

impl Sought for Hashed {
    fn hash(&self) -> u64 {
        self.hash
    }

    fn is(&self, bytes: &[u8]) -> bool {
        *self.bytes == *bytes
    }

    fn bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
}

impl Sought for [&[u8]] {
    fn hash(&self) -> u64 {
        hash(self)
    }

    fn is(&self, bytes: &[u8]) -> bool {
        let mut rest = Some(bytes);
        for it in self {
            let after = rest.and_then(|rest| rest.strip_prefix(&length(it)));
            rest = after.and_then(|rest| rest.strip_prefix(*it));
        }
        rest.is_some_and(<[u8]>::is_empty)
    }

    fn bytes(&self) -> Cow<'_, [u8]> {
        Cow::Owned(in_a_row(self))
    }
}

impl<const N: usize> Sought for [&[u8]; N] {
    fn hash(&self) -> u64 {
        self.as_slice().hash()
    }

    fn is(&self, bytes: &[u8]) -> bool {
        self.as_slice().is(bytes)
    }

    fn bytes(&self) -> Cow<'_, [u8]> {
        Cow::Owned(in_a_row(self))
    }
}

/// A map in which one key is looked for among very many, such as a Call-ID among those of all
/// calls.
///
/// In the order of hashes: a search compares numbers that lie in the map itself and touches the
/// strings, which lie anywhere, only where they are found. Who makes hashes meet gains nothing:
/// then strings are compared, as without them.
#[derive(Debug)]
pub struct HashedMap<V> {
    by_hash: BTreeMap<u64, (Arc<[u8]>, V)>,
    /// Those whose hash another one had already.
    others: BTreeMap<Arc<[u8]>, V>,
}

impl<V> HashedMap<V> {
    pub const fn new() -> Self {
        Self { by_hash: BTreeMap::new(), others: BTreeMap::new() }
    }

    pub fn len(&self) -> usize {
        self.by_hash.len().saturating_add(self.others.len())
    }

    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty() && self.others.is_empty()
    }

    pub fn get<K: Sought + ?Sized>(&self, key: &K) -> Option<&V> {
        match self.by_hash.get(&key.hash()) {
            Some((bytes, it)) if key.is(bytes) => Some(it),
            Some(_) | None if self.others.is_empty() => None,
            Some(_) | None => self.others.get(&*key.bytes()),
        }
    }

    pub fn get_mut<K: Sought + ?Sized>(&mut self, key: &K) -> Option<&mut V> {
        match self.by_hash.get_mut(&key.hash()) {
            Some((bytes, it)) if key.is(bytes) => Some(it),
            Some(_) | None if self.others.is_empty() => None,
            Some(_) | None => self.others.get_mut(&*key.bytes()),
        }
    }

    pub fn contains_key<K: Sought + ?Sized>(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Replaces the value that the key had.
    pub fn insert(&mut self, key: Hashed, value: V) {
        if let Some(it) = self.others.get_mut(&key.bytes) {
            *it = value;
            return;
        }
        match self.by_hash.entry(key.hash) {
            Entry::Vacant(it) => drop(it.insert((key.bytes, value))),
            Entry::Occupied(mut it) if it.get().0 == key.bytes => it.get_mut().1 = value,
            Entry::Occupied(_) => drop(self.others.insert(key.bytes, value)),
        }
    }

    pub fn remove<K: Sought + ?Sized>(&mut self, key: &K) -> Option<V> {
        match self.by_hash.entry(key.hash()) {
            Entry::Occupied(it) if key.is(&it.get().0) => Some(it.remove().1),
            Entry::Occupied(_) | Entry::Vacant(_) => self.others.remove(&*key.bytes()),
        }
    }

    /// In the order of hashes, which says nothing.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.by_hash.values().map(|it| &it.1).chain(self.others.values())
    }

    /// Takes out every value for which `stays` does not hold.
    pub fn retain(&mut self, mut stays: impl FnMut(&V) -> bool) {
        self.by_hash.retain(|_, it| stays(&it.1));
        self.others.retain(|_, it| stays(it));
    }
}

impl<V> Default for HashedMap<V> {
    fn default() -> Self {
        Self::new()
    }
}

fn length(it: &[u8]) -> [u8; LENGTH] {
    u32::try_from(it.len()).unwrap_or(u32::MAX).to_le_bytes()
}

fn in_a_row(strings: &[&[u8]]) -> Vec<u8> {
    let len = strings.iter().map(|it| it.len().saturating_add(LENGTH)).sum();
    let mut out = Vec::with_capacity(len);
    for it in strings {
        out.extend_from_slice(&length(it));
        out.extend_from_slice(it);
    }
    out
}

fn hash(strings: &[&[u8]]) -> u64 {
    strings.iter().fold(0, |hash, it| {
        let (words, rest) = it.as_chunks::<8>();
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let words = words.iter().chain([&last]).map(|it| u64::from_le_bytes(*it));
        words.fold(mixed(hash, it.len() as u64), mixed)
    })
}

/// An odd number without a pattern, as multiplicative hashes want one.
const fn mixed(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_are_one_key_and_others_are_others() {
        let all: Vec<Vec<u8>> = (0..2_000).map(|it| format!("{it}@203.0.113.10").into()).collect();
        let mut map = HashedMap::new();
        for (n, it) in all.iter().enumerate() {
            map.insert(Hashed::of(&[it]), n);
        }
        assert_eq!((map.len(), map.values().count()), (all.len(), all.len()));
        for (n, it) in all.iter().enumerate() {
            assert_eq!(
                (map.get(&[it.as_slice()]), map.get(&Hashed::of(&[it]))),
                (Some(&n), Some(&n))
            );
        }
        *map.get_mut(&[all[7].as_slice()]).unwrap() = 70;
        map.insert(Hashed::of(&[&all[9]]), 90);
        assert_eq!(map.remove(&[all[9].as_slice()]), Some(90));
        map.insert(Hashed::of(&[&all[9]]), 9);
        assert_eq!((map.len(), map.remove(&[all[7].as_slice()])), (all.len(), Some(70)));
        assert_eq!((map.len(), map.get(&[all[7].as_slice()])), (all.len() - 1, None));
        map.retain(|it| *it == 8);
        assert_eq!((map.remove(&Hashed::of(&[&all[8]])), map.is_empty()), (Some(8), true));
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
        let mut map = HashedMap::new();
        for (n, it) in rows.into_iter().enumerate() {
            assert_eq!(map.get(it), None, "{it:?}");
            map.insert(Hashed::of(it), n);
        }
        for (n, it) in rows.into_iter().enumerate() {
            assert_eq!(map.get(it), Some(&n), "{it:?}");
        }
    }

    /// Two strings of 16 bytes: what the first words make of the hash, the second ones undo.
    fn meeting() -> [Vec<u8>; 2] {
        let after = |word: u64| mixed(mixed(0, 16), word).rotate_left(23);
        let second = after(1) ^ after(2) ^ 5;
        [[1_u64, 5], [2, second]].map(|it| it.map(u64::to_le_bytes).concat())
    }

    #[test]
    fn keys_whose_hashes_meet_are_kept_apart() {
        let [one, other] = meeting();
        assert_eq!(hash(&[&one]), hash(&[&other]));
        let (one, other) = (Hashed::of(&[&one]), Hashed::of(&[&other]));
        let mut map = HashedMap::new();
        map.insert(one.clone(), 1);
        assert_eq!(map.get(&other), None);
        assert_eq!(map.get_mut(&other), None);
        map.insert(other.clone(), 2);
        assert_eq!((map.get(&one), map.get(&other), map.len()), (Some(&1), Some(&2), 2));
        assert_eq!(map.get_mut(&other), Some(&mut 2));
        // Also when the one that came first has left, and comes again.
        assert_eq!((map.remove(&one), map.get(&one)), (Some(1), None));
        map.insert(other.clone(), 3);
        map.insert(one.clone(), 4);
        assert_eq!((map.get(&one), map.get(&other), map.len()), (Some(&4), Some(&3), 2));
        assert_eq!((map.remove(&other), map.remove(&other)), (Some(3), None));
        assert_eq!((map.get(&one), map.len()), (Some(&4), 1));
    }
}
