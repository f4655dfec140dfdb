//! One frame of a segment: length, checksum, kind, payload.
//!
//! ```text
//! 0        4        8      9
//! | len LE | crc LE | kind | payload (len bytes) |
//! ```
//!
//! The CRC-32C (RFC 3720 §12.1, polynomial 0x1EDC6F41) covers length, kind and payload. Kind 0 does
//! not exist, so zeros of preallocated space read as the end.

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

/// Appends a frame. A payload over [`PAYLOAD_MAX`] is not written; `false` says so.
pub(crate) fn push(out: &mut Vec<u8>, tag: Tag, payload: &[u8]) -> bool {
    let Some(len) = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= PAYLOAD_MAX)
    else {
        return false;
    };
    let len = len.to_le_bytes();
    out.extend_from_slice(&len);
    out.extend_from_slice(&checksum(len, tag.code(), payload).to_le_bytes());
    out.push(tag.code());
    out.extend_from_slice(payload);
    true
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

fn crc32c(mut crc: u32, bytes: &[u8]) -> u32 {
    for byte in bytes {
        let [low, ..] = crc.to_le_bytes();
        let at = usize::from(low ^ byte);
        crc = (crc >> 8) ^ TABLE.get(at).copied().unwrap_or(0);
    }
    crc
}

const TABLE: [u32; 256] = table();

#[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte: u32 = 0;
    while byte < 256 {
        let mut crc = byte;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_crc_32c() {
        // RFC 3720 appendix B.4: 32 bytes of zeros, and the usual check string.
        assert_eq!(!crc32c(!0, &[0; 32]), 0x8A91_36AA);
        assert_eq!(!crc32c(!0, b"123456789"), 0xE306_9283);
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_found() {
        let mut frame = Vec::new();
        assert!(push(&mut frame, Tag::Commit, b"a caller"));
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
