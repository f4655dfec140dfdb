//! Headers of a datagram that a raw socket sends (RFC 791 §3.1, RFC 768).

use std::net::SocketAddrV4;

/// The protocol number of a raw socket whose sender writes the IP header.
pub(super) const RAW: i32 = 255;

/// Bytes of both headers.
const HEADERS: usize = 28;

/// Expedited forwarding (RFC 3246) in the upper six bits, as on the legs' own sockets.
const TRAFFIC_CLASS: u8 = 46 << 2;

const UDP: u8 = 17;

/// Writes headers and payload; the bytes in all, or `None` when they do not fit. The kernel writes
/// the checksum of the IP header.
pub(super) fn write(
    place: &mut [u8],
    from: SocketAddrV4,
    to: SocketAddrV4,
    payload: &[u8],
) -> Option<usize> {
    let len = HEADERS + payload.len();
    let all = u16::try_from(len).ok()?;
    let place = place.get_mut(..len)?;
    let (headers, body) = place.split_first_chunk_mut::<HEADERS>()?;
    body.copy_from_slice(payload);
    let udp = all - 20;
    let two = |first: u16, second: u16| u32::from(first) << 16 | u32::from(second);
    // Version and length, class, length; no fragments; time to live, protocol, and a checksum that
    // the kernel writes; addresses. Then UDP.
    let words = [
        two(0x45 << 8 | u16::from(TRAFFIC_CLASS), all),
        0x4000,
        two(64 << 8 | u16::from(UDP), 0),
        from.ip().to_bits(),
        to.ip().to_bits(),
        two(from.port(), to.port()),
        two(udp, checksum(from, to, udp, payload)),
    ];
    headers.copy_from_slice(words.map(u32::to_be_bytes).as_flattened());
    Some(len)
}

/// Of the pseudo header (addresses, protocol, length), the header of UDP and the payload. Words of
/// any width may be summed, in the order of bytes of any machine, as carries wrap around (RFC 1071
/// §2).
fn checksum(from: SocketAddrV4, to: SocketAddrV4, udp: u16, payload: &[u8]) -> u16 {
    let (chunks, rest) = payload.as_chunks::<4>();
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    let words = chunks.iter().chain([&last]).map(|it| u64::from(u32::from_ne_bytes(*it)));
    let addresses = u64::from(from.ip().to_bits()) + u64::from(to.ip().to_bits());
    let ports = u64::from(from.port()) + u64::from(to.port());
    let header = addresses + ports + u64::from(UDP) + 2 * u64::from(udp);
    let sum = folded(u64::from(folded(words.sum()).to_be()) + header);
    // Zero would say that there is none.
    if sum == u16::MAX { sum } else { !sum }
}

/// With its carries, in sixteen bits.
fn folded(mut sum: u64) -> u16 {
    while let carry @ 1.. = sum >> 16 {
        sum = (sum & 0xFFFF) + carry;
    }
    u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What RFC 1071 asks of a receiver, a word at a time.
    fn sums_up(bytes: &[u8]) -> bool {
        let mut sum = 0_u32;
        for word in bytes.chunks(2) {
            sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        sum == 0xFFFF
    }

    #[test]
    fn the_receiver_finds_the_checksum_right_whatever_the_length() {
        let (from, to) = ("10.1.2.3:20000".parse().unwrap(), "198.51.100.7:4001".parse().unwrap());
        for len in 0..200_u8 {
            let payload: Vec<_> = (0..len).map(|it| it.wrapping_mul(37) ^ 0xA5).collect();
            let mut place = [0; 300];
            let n = write(&mut place, from, to, &payload).unwrap();
            assert_eq!((n, &place[28..n]), (28 + payload.len(), &payload[..]));
            let udp = u8::try_from(n - 20).unwrap();
            let mut all = place[12..20].to_vec();
            all.extend([0, UDP, 0, udp]);
            all.extend(&place[20..n]);
            assert!(sums_up(&all), "{len} bytes");
        }
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let from = "10.1.2.3:20000".parse().unwrap();
        assert_eq!(write(&mut [0; 40], from, from, &[0; 13]), None);
        assert_eq!(write(&mut [0; 40], from, from, &[0; 12]), Some(40));
    }
}
