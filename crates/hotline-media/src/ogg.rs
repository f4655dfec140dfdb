//! Ogg pages (RFC 3533) that carry Opus (RFC 7845): as much as an archive copy needs.

use std::io::{self, Write};

/// Samples of 48,000 Hz that a decoder leaves out at the start: what an encoder at 8,000 Hz looks
/// ahead (RFC 7845 §4.2).
pub(crate) const PRE_SKIP: u16 = 312;

/// Samples of 48,000 Hz in a packet of 20 ms.
const PACKET: u64 = 960;

/// Packets of a page (a second).
const PACKETS_MAX: usize = 50;

/// Segments of a page.
const SEGMENTS_MAX: usize = 255;

const FIRST: u8 = 2;
const LAST: u8 = 4;

/// One stream of two channels that know nothing of each other.
#[derive(Debug)]
pub(crate) struct OggOpus<W> {
    to: W,
    serial: u32,
    sequence: u32,
    granule: u64,
    segments: Vec<u8>,
    body: Vec<u8>,
    n_packets: usize,
}

impl<W: Write> OggOpus<W> {
    /// Writes the two head packets, each on a page of its own (RFC 7845 §3).
    pub(crate) fn new(to: W, serial: u32) -> io::Result<Self> {
        let (segments, body) = (Vec::with_capacity(SEGMENTS_MAX), Vec::with_capacity(16 << 10));
        let mut it = Self { to, serial, sequence: 0, granule: 0, segments, body, n_packets: 0 };
        // Two streams, none of them stereo, of one channel each (RFC 7845 §5.1.1, family 1).
        let mut head = b"OpusHead\x01\x02".to_vec();
        head.extend(PRE_SKIP.to_le_bytes());
        head.extend(8_000_u32.to_le_bytes());
        head.extend([0, 0, 1, 2, 0, 0, 1]);
        it.put(&head);
        it.page(FIRST, 0)?;
        let mut tags = b"OpusTags\x07\0\0\0hotline".to_vec();
        tags.extend(0_u32.to_le_bytes());
        it.put(&tags);
        it.page(0, 0)?;
        Ok(it)
    }

    /// Both channels' packets of 20 ms, each with one frame.
    pub(crate) fn packet(&mut self, left: &[u8], right: &[u8]) -> io::Result<()> {
        let Some((toc, frame)) = left.split_first() else { return Ok(()) };
        let length = frame.len();
        let mut both = Vec::with_capacity(length + right.len() + 3);
        both.push(*toc);
        // RFC 6716 §3.2.1 and Appendix B: the first of two says how long it is.
        match u8::try_from(length) {
            Ok(short) if short < 252 => both.push(short),
            _ => {
                let low = 252 + (length & 3);
                both.push(u8::try_from(low).unwrap_or(u8::MAX));
                both.push(u8::try_from((length - low) / 4).unwrap_or(u8::MAX));
            }
        }
        both.extend_from_slice(frame);
        both.extend_from_slice(right);
        if self.segments.len() + both.len() / 255 + 1 > SEGMENTS_MAX
            || self.n_packets == PACKETS_MAX
        {
            self.page(0, self.granule)?;
        }
        self.put(&both);
        self.n_packets += 1;
        self.granule += PACKET;
        Ok(())
    }

    /// Ends the stream, which is so many samples of 48,000 Hz long.
    pub(crate) fn end(mut self, samples: u64) -> io::Result<W> {
        self.page(LAST, samples + u64::from(PRE_SKIP))?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn put(&mut self, packet: &[u8]) {
        let full = packet.len() / 255;
        self.segments.extend(std::iter::repeat_n(255, full));
        self.segments.push(u8::try_from(packet.len() % 255).unwrap_or(0));
        self.body.extend_from_slice(packet);
    }

    fn page(&mut self, flags: u8, granule: u64) -> io::Result<()> {
        let mut page = b"OggS\0".to_vec();
        page.push(flags);
        page.extend(granule.to_le_bytes());
        page.extend(self.serial.to_le_bytes());
        page.extend(self.sequence.to_le_bytes());
        page.extend([0; 4]);
        page.push(u8::try_from(self.segments.len()).unwrap_or(u8::MAX));
        page.append(&mut self.segments);
        page.append(&mut self.body);
        let sum = checksum(&page);
        if let Some(place) = page.get_mut(22..26) {
            place.copy_from_slice(&sum.to_le_bytes());
        }
        self.sequence += 1;
        self.n_packets = 0;
        self.to.write_all(&page)
    }
}

/// CRC-32 of RFC 3533 §6: polynomial 0x04C11DB7, from nothing, not turned around.
pub(crate) fn checksum(page: &[u8]) -> u32 {
    page.iter().fold(0, |sum: u32, byte| {
        (0..8).fold(sum ^ (u32::from(*byte) << 24), |it, _| {
            (it << 1) ^ (if it >> 31 == 1 { 0x04C1_1DB7 } else { 0 })
        })
    })
}
