//! HMAC-SHA1 (RFC 2104) of packets, with the states behind both pads made once.
//!
//! Forty bytes a key and no buffer in between: the blocks of a packet are taken in where they lie,
//! and its last ones are padded here. A call has a cache line of this, not three.

use std::hint::black_box;

use sha1::block_api::compress;

/// Bytes of the key of HMAC-SHA1.
pub(super) const MAC_KEY: usize = 20;

/// Bytes of its sum.
pub(super) const SUM: usize = 20;

/// Bytes that SHA-1 takes in at once.
const BLOCK: usize = 64;

/// Bytes behind a message at least: a mark, and its length in bits (RFC 3174 §4).
const PADDING: usize = 9;

/// Where SHA-1 begins (RFC 3174 §6.1).
const BEGIN: State = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];

type State = [u32; 5];

/// A key that was taken in.
pub(super) struct Mac {
    inner: State,
    outer: State,
}

impl Mac {
    pub(super) fn new(key: &[u8; MAC_KEY]) -> Self {
        Self { inner: behind(key, 0x36), outer: behind(key, 0x5C) }
    }

    /// The sum of `data` and, behind it, of up to 47 bytes that are not sent.
    pub(super) fn sum(&self, data: &[u8], unsent: &[u8]) -> [u8; SUM] {
        let inner = finish(self.inner, data, unsent);
        bytes_of(finish(self.outer, &bytes_of(inner), &[]))
    }

    /// Whether `tag` is the beginning of that sum. Takes the same time wherever they differ.
    pub(super) fn holds(&self, data: &[u8], unsent: &[u8], tag: &[u8]) -> bool {
        let sum = self.sum(data, unsent);
        let differs = tag.iter().zip(&sum).fold(0, |it, (a, b)| black_box(it | (a ^ b)));
        differs == 0 && !tag.is_empty() && tag.len() <= SUM
    }
}

/// The state behind a key that is filled up with zeros to a block, each byte with `pad`.
fn behind(key: &[u8; MAC_KEY], pad: u8) -> State {
    let mut block = [pad; BLOCK];
    for (to, from) in block.iter_mut().zip(key) {
        *to ^= from;
    }
    let mut state = BEGIN;
    compress(&mut state, &[block]);
    state
}

/// The sum of a message of two parts that follows one block.
fn finish(mut state: State, data: &[u8], unsent: &[u8]) -> State {
    let (blocks, rest) = data.as_chunks::<BLOCK>();
    compress(&mut state, blocks);
    let mut end = [[0; BLOCK]; 2];
    let n_end = if rest.len() + unsent.len() + PADDING <= BLOCK { 1 } else { 2 };
    let end = end.get_mut(..n_end).unwrap_or_default();
    let bits = (BLOCK + data.len() + unsent.len()) as u64 * 8;
    let (place, length) = end.as_flattened_mut().split_at_mut(n_end * BLOCK - size_of::<u64>());
    length.copy_from_slice(&bits.to_be_bytes());
    let (first, place) = place.split_at_mut(rest.len());
    first.copy_from_slice(rest);
    let (second, place) = place.split_at_mut(unsent.len());
    second.copy_from_slice(unsent);
    if let Some(mark) = place.first_mut() {
        *mark = 0x80;
    }
    compress(&mut state, end);
    state
}

fn bytes_of(state: State) -> [u8; SUM] {
    let mut bytes = [0; SUM];
    for (to, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *to = word.to_be_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use sha1::Sha1;

    use super::{super::tests::hex, *};

    #[test]
    fn rfc_2202_vectors_with_keys_of_twenty_bytes() {
        let it = Mac::new(&[0x0B; 20]);
        let expected = "b617318655057264e28bc0b6fb378c8ef146be00";
        assert_eq!(it.sum(b"Hi There", &[])[..], hex(expected));
        let it = Mac::new(&[0xAA; 20]);
        let expected = "125d7342b9ac11cd91a39af48aa17b4f63f175d3";
        assert_eq!(it.sum(&[0xDD; 50], &[])[..], hex(expected));
        let it = Mac::new(&[0x0C; 20]);
        let expected = "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04";
        assert_eq!(it.sum(b"Test With Truncation", &[])[..], hex(expected));
    }

    #[test]
    fn another_implementation_finds_the_same_sum_at_every_length() {
        let key: [u8; MAC_KEY] = std::array::from_fn(|n| [3, 141, 59, 26][n % 4]);
        let it = Mac::new(&key);
        let data: Vec<u8> = (0..=250).chain(0..150).collect();
        for len in 0..data.len() {
            let (data, rest) = data.split_at(len);
            for unsent in [&[][..], rest.get(..4).unwrap_or_default()] {
                let mut theirs = Hmac::<Sha1>::new_from_slice(&key).unwrap();
                theirs.update(data);
                theirs.update(unsent);
                let theirs = theirs.finalize().into_bytes();
                assert_eq!(it.sum(data, unsent)[..], theirs[..], "{len} and {}", unsent.len());
                assert!(it.holds(data, unsent, &theirs[..10]));
            }
        }
    }

    #[test]
    fn a_tag_with_any_bit_changed_or_of_no_length_does_not_hold() {
        let it = Mac::new(&[7; 20]);
        let sum = it.sum(b"some bytes", b"roll");
        for len in [4, 10, SUM] {
            assert!(it.holds(b"some bytes", b"roll", &sum[..len]));
            for bit in 0..len * 8 {
                let mut tag = sum;
                tag[bit / 8] ^= 1 << (bit % 8);
                assert!(!it.holds(b"some bytes", b"roll", &tag[..len]), "{len}, {bit}");
            }
        }
        assert!(!it.holds(b"some bytes", b"roll", &[]));
        assert!(!it.holds(b"some bytes", b"roll", &[0; SUM + 1]));
    }
}
