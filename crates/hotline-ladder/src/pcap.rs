//! A call's signalling as a capture that Wireshark opens.
//!
//! Raw IP packets are put around the messages (`LINKTYPE_RAW`, 101): UDP as it was; everything else
//! as TCP in the clear, because what is kept are messages, not packets. A connection's opening and
//! its acknowledgements are not among them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use hotline_base::MonoTime;
use hotline_sip::{Flow, Transport};

use crate::{Sight, Trace, mask, trace::Kept};

/// Payload of one TCP packet; a message of 64 KiB takes two.
const SEGMENT: usize = 32 << 10;

/// What a datagram carries at most, so that the packet's length fits in 16 bits.
const DATAGRAM: usize = 65_535 - 40 - 8;

/// The whole trace for these eyes.
pub fn pcap(trace: &Trace, sight: Sight) -> Vec<u8> {
    let numbers = mask::numbers(trace);
    let mut out = Vec::with_capacity(24 + trace.cost() * 2);
    // Magic for microseconds, version 2.4, UTC, no accuracy, longest packet, LINKTYPE_RAW.
    for it in [0xA1B2_C3D4_u32, 0x0004_0002, 0, 0, 262_144, 101] {
        out.extend_from_slice(&it.to_le_bytes());
    }
    // The next sequence number of each direction of each connection.
    let mut streams: BTreeMap<(SocketAddr, SocketAddr), u32> = BTreeMap::new();
    for it in &trace.kept {
        let Some(flow) = trace.flows.get(usize::from(it.flow)) else { continue };
        let mut bytes = trace.bytes(it).to_vec();
        match sight {
            Sight::Whole => (),
            Sight::Masked => mask::message(&mut bytes, &numbers),
        }
        let (from, to) = ends(*flow, it);
        if is_datagram(flow.transport) {
            bytes.truncate(DATAGRAM);
            record(&mut out, trace, it.at, &ip(from, to, 17, &udp(from, to, &bytes)));
        } else {
            for part in bytes.chunks(SEGMENT) {
                let seen = streams.get(&(to, from)).copied().unwrap_or(1);
                let next = streams.entry((from, to)).or_insert(1);
                let segment = tcp(from, to, (*next, seen), part);
                *next = next.wrapping_add(u32::try_from(part.len()).unwrap_or(0));
                record(&mut out, trace, it.at, &ip(from, to, 6, &segment));
            }
        }
    }
    out
}

fn is_datagram(transport: Transport) -> bool {
    transport == Transport::Udp
}

/// Source and destination, both of one family.
fn ends(flow: Flow, it: &Kept) -> (SocketAddr, SocketAddr) {
    let (mut local, remote) = (flow.local, flow.remote);
    // A socket for all addresses does not say which one it was.
    if local.ip().is_unspecified() && local.is_ipv4() && remote.ip().is_loopback() {
        local.set_ip(IpAddr::from([127, 0, 0, 1]));
    }
    if it.sent { (local, remote) } else { (remote, local) }
}

fn record(out: &mut Vec<u8>, trace: &Trace, at: MonoTime, packet: &[u8]) {
    let begun = u64::try_from(trace.begun.wall.0).unwrap_or(0).saturating_mul(1_000);
    let after = u64::try_from(at.since(trace.begun.mono).as_micros()).unwrap_or(0);
    let us = begun.saturating_add(after);
    let len = u32::try_from(packet.len()).unwrap_or(0);
    let seconds = u32::try_from(us / 1_000_000).unwrap_or(u32::MAX);
    let part = u32::try_from(us % 1_000_000).unwrap_or(0);
    for it in [seconds, part, len, len] {
        out.extend_from_slice(&it.to_le_bytes());
    }
    out.extend_from_slice(packet);
}

/// RFC 791 §3.1, RFC 8200 §3.
fn ip(from: SocketAddr, to: SocketAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 40);
    if let (IpAddr::V4(from), IpAddr::V4(to)) = (from.ip(), to.ip()) {
        let len = u16::try_from(payload.len() + 20).unwrap_or(u16::MAX);
        out.extend_from_slice(&[0x45, 0]);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
        out.extend_from_slice(&from.octets());
        out.extend_from_slice(&to.octets());
        let sum = checksum(&[&out]);
        put(&mut out, 10, sum);
    } else {
        let len = u16::try_from(payload.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&[0x60, 0, 0, 0]);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&[protocol, 64]);
        out.extend_from_slice(&six(from).octets());
        out.extend_from_slice(&six(to).octets());
    }
    out.extend_from_slice(payload);
    out
}

fn six(it: SocketAddr) -> Ipv6Addr {
    match it.ip() {
        IpAddr::V4(it) => it.to_ipv6_mapped(),
        IpAddr::V6(it) => it,
    }
}

/// RFC 768.
fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len() + 8).unwrap_or(u16::MAX);
    let mut out = Vec::with_capacity(payload.len() + 8);
    for it in [from.port(), to.port(), len, 0] {
        out.extend_from_slice(&it.to_be_bytes());
    }
    out.extend_from_slice(payload);
    let sum = checksum(&[&pseudo(from, to, 17, out.len()), &out]);
    put(&mut out, 6, if sum == 0 { 0xFFFF } else { sum });
    out
}

/// RFC 9293 §3.1: PSH and ACK, no options.
fn tcp(from: SocketAddr, to: SocketAddr, (seq, ack): (u32, u32), payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 20);
    out.extend_from_slice(&from.port().to_be_bytes());
    out.extend_from_slice(&to.port().to_be_bytes());
    out.extend_from_slice(&seq.to_be_bytes());
    out.extend_from_slice(&ack.to_be_bytes());
    out.extend_from_slice(&[0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0]);
    out.extend_from_slice(payload);
    let sum = checksum(&[&pseudo(from, to, 6, out.len()), &out]);
    put(&mut out, 16, sum);
    out
}

/// What a checksum covers of the packet around (RFC 9293 §3.1, RFC 8200 §8.1).
fn pseudo(from: SocketAddr, to: SocketAddr, protocol: u8, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(40);
    if let (IpAddr::V4(from), IpAddr::V4(to)) = (from.ip(), to.ip()) {
        out.extend_from_slice(&from.octets());
        out.extend_from_slice(&to.octets());
    } else {
        out.extend_from_slice(&six(from).octets());
        out.extend_from_slice(&six(to).octets());
    }
    out.extend_from_slice(&u32::try_from(len).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, protocol]);
    out
}

/// RFC 1071, over parts that all but the last have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for part in parts {
        for pair in part.chunks(2) {
            let word = match pair {
                [high, low] => u16::from_be_bytes([*high, *low]),
                [high] => u16::from_be_bytes([*high, 0]),
                _ => 0,
            };
            sum += u64::from(word);
        }
    }
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

fn put(out: &mut [u8], at: usize, sum: u16) {
    if let Some(place) = out.get_mut(at..at.saturating_add(2)) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}
