//! Strings that are kept together.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};

/// Strings one behind the other in one piece of memory, which copies share: most dialogs have eight
/// strings, and are remembered for half a minute after their end.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Row<const N: usize> {
    bytes: Arc<[u8]>,
    ends: [u32; N],
}

impl<const N: usize> Row<N> {
    /// Each string in pieces.
    pub(crate) fn new(strings: [&[&[u8]]; N]) -> Self {
        let length = strings.iter().flat_map(|it| it.iter()).map(|it| it.len()).sum();
        let mut bytes = Vec::with_capacity(length);
        let ends = strings.map(|pieces| {
            for it in pieces {
                bytes.extend_from_slice(it);
            }
            u32::try_from(bytes.len()).unwrap_or(u32::MAX)
        });
        Self { bytes: bytes.into(), ends }
    }

    /// The string number `n`, counted from 0; empty where there is none.
    pub(crate) fn get(&self, n: usize) -> &[u8] {
        let end = |n: usize| self.ends.get(n).and_then(|it| usize::try_from(*it).ok());
        let from = n.checked_sub(1).map_or(Some(0), end);
        let piece = from.zip(end(n)).and_then(|(from, to)| self.bytes.get(from..to));
        piece.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_string_is_found_whole_and_no_other() {
        let it = Row::new([&[b"ab".as_slice(), b"c"], &[], &[b"d"], &[b"", b"ef"]]);
        let all: Vec<_> = (0..5).map(|n| it.get(n)).collect();
        assert_eq!(all, [b"abc".as_slice(), b"", b"d", b"ef", b""]);
    }

    #[test]
    fn a_row_that_was_damaged_on_the_disk_has_empty_strings() {
        let it = Row::<2> { bytes: [1, 2, 3].into(), ends: [3, 1] };
        assert_eq!([it.get(0), it.get(1)], [&[1, 2, 3][..], &[]]);
        let it = Row::<2> { bytes: [1].into(), ends: [u32::MAX, 1] };
        assert_eq!([it.get(0), it.get(1)], [&[]; 2]);
    }
}
