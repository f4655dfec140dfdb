//! The fixed header of RTP (RFC 3550 §5.1), read and written where it lies.

use std::{fmt, ops::Range};

use crate::MediaTime;

/// Bytes of a header without contributing sources.
pub const HEADER_LEN: usize = 12;

/// What we say of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: MediaTime,
    pub ssrc: u32,
}

/// A packet as it lies in a datagram.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet {
    pub header: Header,
    /// Where the payload is, without extension and padding. Starts at [`HEADER_LEN`] or later, so
    /// that another header fits in front of it.
    pub payload: Range<usize>,
}

/// Why a datagram is not RTP. Dropped and counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerMisbehaved {
    TooShort,
    /// Not version 2: STUN, SIP keep-alives, noise.
    NotRtp,
    /// RTCP on the port of RTP (RFC 5761 §4: payload types 64–95 with their marker bit).
    Rtcp,
    /// Contributing sources, extension or padding reach beyond the datagram.
    BadLength,
}

impl fmt::Display for PeerMisbehaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "the datagram is shorter than an RTP header",
            Self::NotRtp => "the datagram is not RTP version 2",
            Self::Rtcp => "the datagram is RTCP",
            Self::BadLength => "the RTP header reaches beyond the datagram",
        })
    }
}

impl std::error::Error for PeerMisbehaved {}

/// Reads a datagram.
///
/// # Errors
/// When it is not an RTP packet.
pub fn parse(datagram: &[u8]) -> Result<Packet, PeerMisbehaved> {
    let fixed: &[u8; HEADER_LEN] = datagram.first_chunk().ok_or(PeerMisbehaved::TooShort)?;
    let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
    if first >> 6 != 2 {
        return Err(PeerMisbehaved::NotRtp);
    }
    if (192..=223).contains(&second) {
        return Err(PeerMisbehaved::Rtcp);
    }
    let header = Header {
        marker: second & 0x80 != 0,
        payload_type: second & 0x7F,
        sequence: u16::from_be_bytes([s0, s1]),
        timestamp: MediaTime(u32::from_be_bytes([t0, t1, t2, t3])),
        ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
    };
    let mut start = HEADER_LEN + usize::from(first & 0x0F) * 4;
    if first & 0x10 != 0 {
        // RFC 3550 §5.3.1: two bytes of profile, then the length in words.
        let length = datagram.get(start + 2..start + 4).ok_or(PeerMisbehaved::BadLength)?;
        start += 4 + length.iter().fold(0, |sum, it| sum << 8 | usize::from(*it)) * 4;
    }
    let mut end = datagram.len();
    if first & 0x20 != 0 {
        let padding = datagram.last().map_or(0, |it| usize::from(*it));
        end = end.checked_sub(padding).ok_or(PeerMisbehaved::BadLength)?;
    }
    if start > end {
        return Err(PeerMisbehaved::BadLength);
    }
    Ok(Packet { header, payload: start..end })
}

/// Writes a header with no contributing sources, extension or padding to the front of `to`.
/// Returns whether it fitted.
pub fn write_header(to: &mut [u8], header: &Header) -> bool {
    let Some(to) = to.first_chunk_mut::<HEADER_LEN>() else { return false };
    let [s0, s1] = header.sequence.to_be_bytes();
    let [t0, t1, t2, t3] = header.timestamp.0.to_be_bytes();
    let [c0, c1, c2, c3] = header.ssrc.to_be_bytes();
    let second = u8::from(header.marker) << 7 | (header.payload_type & 0x7F);
    *to = [0x80, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3];
    true
}

/// A header extension of one element with a header of one byte, as it stands behind the header
/// (RFC 8285 §4.2); `None` when its number or its length is beyond those.
pub fn extension(id: u8, value: &[u8]) -> Option<Vec<u8>> {
    let len = u8::try_from(value.len()).ok()?.checked_sub(1).filter(|it| *it < 16)?;
    if !(1..=14).contains(&id) {
        return None;
    }
    let words = (1 + value.len()).div_ceil(4);
    let mut bytes = vec![0xBE, 0xDE, 0, u8::try_from(words).ok()?, id << 4 | len];
    bytes.extend(value);
    bytes.resize(4 + words * 4, 0);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_a_number_of_words_and_passed_over_by_a_reader() {
        assert_eq!(extension(1, b"0"), Some(vec![0xBE, 0xDE, 0, 1, 0x10, b'0', 0, 0]));
        for n in 1..=16 {
            let bytes = extension(14, &vec![7; n]).unwrap();
            let read = parse(&packet(0x90, &[&bytes[..], &[1, 2, 3]].concat())).unwrap();
            assert_eq!(read.payload, HEADER_LEN + bytes.len()..HEADER_LEN + bytes.len() + 3);
        }
        assert_eq!((extension(1, &[]), extension(1, &[7; 17])), (None, None));
        assert_eq!((extension(0, b"0"), extension(15, b"0")), (None, None));
    }

    const HEADER: Header = Header {
        marker: true,
        payload_type: 101,
        sequence: 0xFFFE,
        timestamp: MediaTime(0x8000_0001),
        ssrc: 0xDEAD_BEEF,
    };

    fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LEN];
        assert!(write_header(&mut bytes, &HEADER));
        bytes[0] = first;
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn a_written_header_reads_back() {
        let it = parse(&packet(0x80, b"audio")).unwrap();
        assert_eq!((it.header, it.payload), (HEADER, 12..17));
        assert!(!write_header(&mut [0; 11], &HEADER));
    }

    #[test]
    fn contributing_sources_extension_and_padding_are_not_heard() {
        let csrc = parse(&packet(0x82, b"csrccsrcaudio")).unwrap();
        assert_eq!(csrc.payload, 20..25);
        let extension = parse(&packet(0x90, b"\0\0\0\x01wordaudio")).unwrap();
        assert_eq!(extension.payload, 20..25);
        let padding = parse(&packet(0xA0, b"audio\0\0\x03")).unwrap();
        assert_eq!(padding.payload, 12..17);
    }

    #[test]
    fn noise_is_refused_with_its_reason() {
        assert_eq!(parse(b"\r\n\r\n"), Err(PeerMisbehaved::TooShort));
        assert_eq!(parse(&packet(0x00, b"stun")), Err(PeerMisbehaved::NotRtp));
        assert_eq!(parse(&packet(0x9F, b"")), Err(PeerMisbehaved::BadLength));
        assert_eq!(parse(&packet(0x90, b"\0\0\xFF\xFF")), Err(PeerMisbehaved::BadLength));
        assert_eq!(parse(&packet(0xA0, b"\xFF")), Err(PeerMisbehaved::BadLength));
        let mut rtcp = packet(0x80, b"");
        rtcp[1] = 200;
        assert_eq!(parse(&rtcp), Err(PeerMisbehaved::Rtcp));
    }
}
