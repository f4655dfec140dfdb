//! RTP packets (RFC 3550 §5.1) and telephone-event payloads (RFC 4733 §2.3), written for the robots
//! alone.

/// A packet as received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Packet<'a> {
    pub(crate) marker: bool,
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    pub(crate) payload: &'a [u8],
}

/// One payload of telephone-event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TelephoneEvent {
    pub(crate) event: u8,
    pub(crate) end: bool,
    /// In timestamp units since the event began.
    pub(crate) duration: u16,
}

impl<'a> Packet<'a> {
    /// `None` when the bytes are not RTP of version 2.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_first_chunk::<12>()?;
        let [first, second, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3] = *head;
        if first >> 6 != 2 {
            return None;
        }
        rest = rest.get(usize::from(first & 0x0F) * 4..)?;
        if first & 0x10 != 0 {
            let (head, after) = rest.split_first_chunk::<4>()?;
            let words = u16::from_be_bytes([head[2], head[3]]);
            rest = after.get(usize::from(words) * 4..)?;
        }
        if first & 0x20 != 0 {
            let padding = usize::from(*rest.last()?);
            rest = rest.get(..rest.len().checked_sub(padding)?)?;
        }
        Some(Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7F,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([i0, i1, i2, i3]),
            payload: rest,
        })
    }
}

/// A packet's bytes, for robots and for those who send what a robot would not.
pub fn packet(
    marker: bool,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    payload: &[u8],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(12 + payload.len());
    out.extend([0x80, u8::from(marker) << 7 | payload_type & 0x7F]);
    out.extend(sequence.to_be_bytes());
    out.extend(timestamp.to_be_bytes());
    out.extend(ssrc.to_be_bytes());
    out.extend(payload);
    out
}

impl TelephoneEvent {
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let [event, flags, d0, d1] = *payload.first_chunk::<4>()?;
        Some(Self { event, end: flags & 0x80 != 0, duration: u16::from_be_bytes([d0, d1]) })
    }

    pub(crate) fn payload(self) -> [u8; 4] {
        let [d0, d1] = self.duration.to_be_bytes();
        // Volume: -10 dBm0.
        [self.event, u8::from(self.end) << 7 | 0x0A, d0, d1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_survives_the_way_to_bytes_and_back() {
        let bytes = packet(true, 8, 65_535, 0xDEAD_BEEF, 7, &[1, 2, 3]);
        let it = Packet::parse(&bytes).unwrap();
        assert_eq!((it.marker, it.payload_type, it.sequence), (true, 8, 65_535));
        assert_eq!((it.timestamp, it.ssrc, it.payload), (0xDEAD_BEEF, 7, &[1, 2, 3][..]));
    }

    #[test]
    fn contributors_extensions_and_padding_are_not_audio() {
        let mut bytes = packet(false, 0, 1, 2, 3, &[0, 0, 0, 9, 0xBE, 0xDE, 0, 1, 5, 5, 5, 5, 42]);
        bytes.extend([0, 2]);
        bytes[0] |= 0x20 | 0x10 | 1;
        assert_eq!(Packet::parse(&bytes).unwrap().payload, &[42]);
        for len in 0..bytes.len() {
            // Nothing cut short may panic.
            assert!(Packet::parse(&bytes[..len]).is_none_or(|it| it.payload.len() < 13));
        }
    }

    #[test]
    fn a_key_survives_the_way_to_bytes_and_back() {
        let it = TelephoneEvent { event: 11, end: true, duration: 800 };
        assert_eq!(TelephoneEvent::parse(&it.payload()), Some(it));
        assert_eq!(TelephoneEvent::parse(&[1, 2, 3]), None);
    }
}
