//! Several datagrams in one input: each begins with its length in two bytes.

/// Nobody sends larger ones (RFC 768).
const TAKEN_MAX: usize = 64;

/// The datagrams of an input; the last one may be cut short.
pub(super) fn of(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let all = std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (datagram, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        Some(datagram)
    });
    all.take(TAKEN_MAX)
}
