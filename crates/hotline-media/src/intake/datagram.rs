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
    let (all, udp) = (all.to_be_bytes(), (all - 20).to_be_bytes());
    let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()];
    let addresses = [from.ip().octets(), to.ip().octets()];
    let pseudo = [addresses.as_flattened(), &[0, UDP], &udp, ports.as_flattened(), &udp];
    let sum = checksum(pseudo.into_iter().flatten(), body);
    // Version and length, class, length; no fragments; time to live, protocol, and a checksum that
    // the kernel writes; addresses. Then UDP.
    let first = [0x45, TRAFFIC_CLASS];
    let middle = [0, 0, 0x40, 0, 64, UDP, 0, 0];
    let fields: [&[u8]; 7] =
        [&first, &all, &middle, addresses.as_flattened(), ports.as_flattened(), &udp, &sum];
    for (to, from) in headers.iter_mut().zip(fields.into_iter().flatten()) {
        *to = *from;
    }
    Some(len)
}

/// Of the pseudo header with that of UDP, which together are an even number of bytes, and the
/// payload.
fn checksum<'a>(header: impl Iterator<Item = &'a u8>, payload: &'a [u8]) -> [u8; 2] {
    // Any width may be summed, as carries wrap around (RFC 1071).
    let (chunks, rest) = payload.as_chunks::<4>();
    let mut sum: u64 = chunks.iter().map(|it| u64::from(u32::from_be_bytes(*it))).sum();
    for (at, byte) in header.enumerate().chain(rest.iter().enumerate()) {
        sum += u64::from(*byte) << if at % 2 == 0 { 8 } else { 0 };
    }
    while let carry @ 1.. = sum >> 16 {
        sum = (sum & 0xFFFF) + carry;
    }
    let sum = !u16::try_from(sum).unwrap_or(0);
    // Zero would say that there is none.
    if sum == 0 { [0xFF, 0xFF] } else { sum.to_be_bytes() }
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
