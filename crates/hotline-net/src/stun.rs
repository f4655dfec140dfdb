//! The keep-alive of telephones over UDP (RFC 5626 §4.4.2, §8): a STUN Binding request to the port
//! of SIP, answered with the address it came from (RFC 8489). It keeps the way through address
//! translation open, and a telephone that sees another address than before registers anew.

use std::net::{IpAddr, SocketAddr};

/// Every message since RFC 5389 has it.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const HEADER: usize = 20;
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const BINDING_ERROR: [u8; 2] = [0x01, 0x11];
const ERROR_CODE: [u8; 2] = [0x00, 0x09];
const UNKNOWN_ATTRIBUTES: [u8; 2] = [0x00, 0x0A];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0x00, 0x20];

/// Attributes below it must be understood (RFC 8489 §14).
const OPTIONAL: u16 = 0x8000;

/// More of them than anybody sends are not listed.
const UNKNOWN_MAX: usize = 8;

/// Whether a datagram is STUN: no SIP message begins with a zero bit pair and has the cookie there.
pub(crate) fn is_stun(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|it| it & 0xC0 == 0) && datagram.get(4..8) == Some(&COOKIE[..])
}

/// The answer to a Binding request from `from`; `None`: it is another message, or none.
pub(crate) fn answer(datagram: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let (header, attributes) = datagram.split_at_checked(HEADER)?;
    let length = usize::from(u16_at(header, 2)?);
    let is_request = header.starts_with(&BINDING_REQUEST) && is_stun(header);
    if !is_request || length != attributes.len() || length % 4 != 0 {
        return None;
    }
    let id = header.get(4..)?;
    let unknown = unknown_in(attributes)?;
    if unknown.is_empty() {
        return Some(message(BINDING_SUCCESS, id, &[(XOR_MAPPED_ADDRESS, mapped(from, id))]));
    }
    // RFC 8489 §6.3.1: 420, and which they are.
    let code = vec![0, 0, 4, 20];
    let unknown = unknown.iter().flat_map(|it| it.to_be_bytes()).collect();
    let all = [(ERROR_CODE, code), (UNKNOWN_ATTRIBUTES, unknown)];
    Some(message(BINDING_ERROR, id, &all))
}

/// What the sender wants understood: of it we have nothing. `None`: the lengths do not add up.
fn unknown_in(mut attributes: &[u8]) -> Option<Vec<u16>> {
    let mut unknown = Vec::new();
    while !attributes.is_empty() {
        let (kind, length) = (u16_at(attributes, 0)?, usize::from(u16_at(attributes, 2)?));
        attributes = attributes.get(4 + length.next_multiple_of(4)..)?;
        if kind < OPTIONAL && unknown.len() < UNKNOWN_MAX {
            unknown.push(kind);
        }
    }
    Some(unknown)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// The value of XOR-MAPPED-ADDRESS (RFC 8489 §14.2). `mask` is the cookie and the transaction's
/// number.
fn mapped(from: SocketAddr, mask: &[u8]) -> Vec<u8> {
    let xored =
        |bytes: &[u8]| bytes.iter().zip(mask).map(|(it, mask)| it ^ mask).collect::<Vec<_>>();
    let (family, address) = match from.ip().to_canonical() {
        IpAddr::V4(it) => (1, xored(&it.octets())),
        IpAddr::V6(it) => (2, xored(&it.octets())),
    };
    [vec![0, family], xored(&from.port().to_be_bytes()), address].concat()
}

fn message(kind: [u8; 2], id: &[u8], attributes: &[([u8; 2], Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend_from_slice(kind);
        body.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        body.extend_from_slice(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&kind[..], &length, id, &body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The transaction of the samples of RFC 5769 §2.
    const ID: [u8; 12] = [0xB7, 0xE7, 0xA7, 0x01, 0xBC, 0x34, 0xD6, 0x86, 0xFA, 0x87, 0xDF, 0xAE];

    fn request(attributes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
        [&BINDING_REQUEST[..], &length, &COOKIE, &ID, attributes].concat()
    }

    #[test]
    fn a_telephone_is_told_its_address_as_in_rfc_5769() {
        let got = answer(&request(&[]), "192.0.2.1:32853".parse().unwrap()).unwrap();
        let head = [&[1, 1, 0, 12][..], &COOKIE, &ID].concat();
        let value = [0, 0x20, 0, 8, 0, 1, 0xA1, 0x47, 0xE1, 0x12, 0xA6, 0x43];
        assert_eq!(got, [&head[..], &value].concat());
        // The same through a socket that speaks both families.
        let both = "[::ffff:192.0.2.1]:32853".parse().unwrap();
        assert_eq!(answer(&request(&[]), both), Some(got));

        let from = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap();
        let got = answer(&request(&[]), from).unwrap();
        let value = [
            0, 0x20, 0, 20, 0, 2, 0xA1, 0x47, 0x01, 0x13, 0xA9, 0xFA, 0xA5, 0xD3, 0xF1, 0x79, 0xBC,
            0x25, 0xF4, 0xB5, 0xBE, 0xD2, 0xB9, 0xD9,
        ];
        assert_eq!(got.get(HEADER..), Some(&value[..]));
    }

    #[test]
    fn what_need_not_be_understood_is_left_and_what_must_be_is_named() {
        let from = "192.0.2.1:32853".parse().unwrap();
        let software = [0x80, 0x22, 0, 3, b'x', b'y', b'z', 0];
        assert_eq!(answer(&request(&software), from), answer(&request(&[]), from));
        // USE-CANDIDATE and something of tomorrow.
        let must = [[0, 0x25, 0, 0], [0x70, 0x01, 0, 0]].concat();
        let got = answer(&request(&must), from).unwrap();
        assert_eq!(got.get(..4), Some(&[1, 0x11, 0, 16][..]));
        let value = [0, 9, 0, 4, 0, 0, 4, 20, 0, 10, 0, 4, 0, 0x25, 0x70, 1];
        assert_eq!(got.get(HEADER..), Some(&value[..]));
    }

    #[test]
    fn nothing_else_is_answered() {
        let from = "192.0.2.1:32853".parse().unwrap();
        let good = request(&[0x80, 0x22, 0, 4, 1, 2, 3, 4]);
        assert!(answer(&good, from).is_some());
        for cut in 0..good.len() {
            assert_eq!(answer(good.get(..cut).unwrap(), from), None, "{cut}");
        }
        for (at, byte) in [(1, 0x11), (1, 0x02), (0, 0x40), (4, 0), (3, 4), (3, 9), (23, 8)] {
            let mut bad = good.clone();
            *bad.get_mut(at).unwrap() = byte;
            assert_eq!(answer(&bad, from), None, "{at} {byte}");
        }
        assert!(!is_stun(b"OPTIONS sip:a SIP/2.0\r\n") && !is_stun(b"\r\n\r\n") && !is_stun(b""));
    }
}
