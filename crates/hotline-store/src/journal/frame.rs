//! One frame of a segment: length, checksum, kind, payload.
//!
//! ```text
//! 0        4        8      9
//! | len LE | crc LE | kind | payload (len bytes) |
//! ```
//!
//! The CRC-32C (RFC 3720 §12.1, polynomial 0x1EDC6F41) covers length, kind and payload. Kind 0 does
//! not exist, so zeros of preallocated space read as the end.

use borsh::BorshSerialize;

pub(crate) const HEADER: usize = 9;

/// A longer length is damage, not a frame.
pub(crate) const PAYLOAD_MAX: usize = 256 << 20;

/// What a frame carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tag {
    /// `borsh` of a [`Group`](super::Group): all of a commit, so that it is there whole or not.
    Commit,
    /// `borsh` of all keys with their values; whatever was kept before is void.
    Snapshot,
}

impl Tag {
    const fn code(self) -> u8 {
        match self {
            Self::Commit => 1,
            Self::Snapshot => 2,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Commit),
            2 => Some(Self::Snapshot),
            _ => None,
        }
    }
}

/// A header that was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Header {
    /// Nothing was ever written here.
    End,
    /// Not a header of ours.
    Garbage,
    Frame {
        len: usize,
        crc: u32,
        code: u8,
    },
}

/// Appends a frame of `borsh` of a value. A payload over [`PAYLOAD_MAX`] is not written; `false`
/// says so.
pub(crate) fn push(out: &mut Vec<u8>, tag: Tag, value: &impl BorshSerialize) -> bool {
    let begin = out.len();
    out.extend_from_slice(&[0; HEADER]);
    let written = borsh::to_writer(&mut *out, value);
    let frame = out.get_mut(begin..).and_then(|it| it.split_first_chunk_mut::<HEADER>());
    let whole = written.is_ok()
        && frame.is_some_and(|(header, payload)| {
            let Some(len) = u32::try_from(payload.len()).ok().map(u32::to_le_bytes) else {
                return false;
            };
            let [l0, l1, l2, l3] = len;
            let [c0, c1, c2, c3] = checksum(len, tag.code(), payload).to_le_bytes();
            *header = [l0, l1, l2, l3, c0, c1, c2, c3, tag.code()];
            payload.len() <= PAYLOAD_MAX
        });
    if !whole {
        out.truncate(begin);
    }
    whole
}

pub(crate) fn parse_header(bytes: [u8; HEADER]) -> Header {
    let [l0, l1, l2, l3, c0, c1, c2, c3, code] = bytes;
    if bytes == [0; HEADER] {
        return Header::End;
    }
    let len = u32::from_le_bytes([l0, l1, l2, l3]);
    match usize::try_from(len) {
        Ok(len) if len <= PAYLOAD_MAX && code != 0 => {
            Header::Frame { len, crc: u32::from_le_bytes([c0, c1, c2, c3]), code }
        }
        Ok(_) | Err(_) => Header::Garbage,
    }
}

/// The tag, if the payload is what was written.
pub(crate) fn verify(crc: u32, code: u8, payload: &[u8]) -> Option<Tag> {
    let len = u32::try_from(payload.len()).ok()?.to_le_bytes();
    (checksum(len, code, payload) == crc).then(|| Tag::from_code(code)).flatten()
}

fn checksum(len: [u8; 4], code: u8, payload: &[u8]) -> u32 {
    let crc = crc32c(!0, &len);
    let crc = crc32c(crc, &[code]);
    !crc32c(crc, payload)
}

/// Eight bytes a step ("slicing by 8"): every record passes here when it is written and when it is
/// read, and a step for each byte waits for the one before.
fn crc32c(mut crc: u32, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let [t0, t1, t2, t3, t4, t5, t6, t7] = &TABLES;
    for &[b0, b1, b2, b3, b4, b5, b6, b7] in words {
        let [c0, c1, c2, c3] = crc.to_le_bytes();
        crc = of(t7, b0 ^ c0) ^ of(t6, b1 ^ c1) ^ of(t5, b2 ^ c2) ^ of(t4, b3 ^ c3);
        crc ^= of(t3, b4) ^ of(t2, b5) ^ of(t1, b6) ^ of(t0, b7);
    }
    for byte in rest {
        let [low, ..] = crc.to_le_bytes();
        crc = (crc >> 8) ^ of(t0, low ^ byte);
    }
    crc
}

fn of(table: &[u32; 256], at: u8) -> u32 {
    table.get(usize::from(at)).copied().unwrap_or(0)
}

/// What a byte does to the checksum when it is the last one, and when up to seven follow it.
static TABLES: [[u32; 256]; 8] = tables();

#[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte: u32 = 0;
    while byte < 256 {
        let mut crc = byte;
        let mut n_after = 0;
        while n_after < 8 {
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
                bit += 1;
            }
            tables[n_after][byte as usize] = crc;
            n_after += 1;
        }
        byte += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_crc_32c() {
        // RFC 3720 appendix B.4: 32 bytes of zeros, and the usual check string.
        assert_eq!(!crc32c(!0, &[0; 32]), 0x8A91_36AA);
        assert_eq!(!crc32c(!0, b"123456789"), 0xE306_9283);
        // However a text is cut, and so whatever of it goes by eights.
        let text: Vec<u8> = (0..=255).cycle().take(1_000).collect();
        let whole = crc32c(!0, &text);
        for at in [1, 2, 3, 4, 5, 6, 7, 8, 9, 499, 999] {
            let (first, second) = text.split_at(at);
            assert_eq!(crc32c(crc32c(!0, first), second), whole, "{at}");
        }
        let bytewise = text.iter().fold(!0, |crc, it| crc32c(crc, &[*it]));
        assert_eq!(bytewise, whole);
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_found() {
        let mut frame = Vec::new();
        assert!(push(&mut frame, Tag::Commit, &"a caller"));
        for bit in 0..frame.len() * 8 {
            let mut bad = frame.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let header = parse_header(bad[..HEADER].try_into().unwrap());
            let sound = match header {
                Header::Frame { len, crc, code } if len == bad.len() - HEADER => {
                    verify(crc, code, &bad[HEADER..]).is_some()
                }
                Header::Frame { .. } | Header::End | Header::Garbage => false,
            };
            assert!(!sound, "bit {bit}");
        }
    }
}
