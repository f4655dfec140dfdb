//! RTP packets (RFC 3711 §3.3, RFC 7714 §8).

use super::{
    SrtpError,
    cipher::{Gcm, Session},
    window::Streams,
};

/// What the protection of a packet needs of its header.
struct Head {
    sequence: u16,
    ssrc: u32,
    /// Bytes that stay in the clear: header, contributing sources and extension.
    len: usize,
}

/// The end of a packet may be anything, also an encrypted count of padding.
fn head_of(packet: &[u8]) -> Result<Head, SrtpError> {
    let fixed: &[u8; 12] = packet.first_chunk().ok_or(SrtpError::TooShort)?;
    let [first, _, s0, s1, _, _, _, _, c0, c1, c2, c3] = *fixed;
    let mut len = fixed.len() + usize::from(first & 0x0F) * 4;
    if first & 0x10 != 0 {
        let words = packet.get(len + 2..len + 4).ok_or(SrtpError::TooShort)?;
        len += 4 + words.iter().fold(0, |sum, it| sum << 8 | usize::from(*it)) * 4;
    }
    let (sequence, ssrc) = (u16::from_be_bytes([s0, s1]), u32::from_be_bytes([c0, c1, c2, c3]));
    if len > packet.len() {
        return Err(SrtpError::TooShort);
    }
    Ok(Head { sequence, ssrc, len })
}

/// The roll-over counter of an index, which is authenticated and not sent (RFC 3711 §4.2).
fn turn_of(index: u64) -> [u8; 4] {
    let [_, _, turn @ .., _, _] = index.to_be_bytes();
    turn
}

pub(super) fn protect(
    session: &Session,
    streams: &mut Streams,
    buffer: &mut [u8],
    len: usize,
) -> Result<usize, SrtpError> {
    let (packet, room) = buffer.split_at_mut_checked(len).ok_or(SrtpError::TooShort)?;
    let head = head_of(packet)?;
    let index = streams.index_of(head.ssrc, head.sequence).ok_or(SrtpError::Replayed)?;
    let (clear, data) = packet.split_at_mut_checked(head.len).ok_or(SrtpError::TooShort)?;
    let tag = match session {
        Session::Cm(it) => {
            let tag = room.get_mut(..it.tag).ok_or(SrtpError::TooShort)?;
            it.apply(head.ssrc, index, data);
            it.sign(packet, &turn_of(index), tag);
            tag.len()
        }
        Session::Gcm(it) => {
            let tag = room.get_mut(..Gcm::TAG).ok_or(SrtpError::TooShort)?;
            it.seal((head.ssrc, index), clear, data, tag)?;
            tag.len()
        }
    };
    streams.accept(head.ssrc, index);
    Ok(len + tag)
}

pub(super) fn open(
    session: &Session,
    streams: &mut Streams,
    packet: &mut [u8],
) -> Result<usize, SrtpError> {
    let head = head_of(packet)?;
    let index = streams.index_of(head.ssrc, head.sequence).ok_or(SrtpError::Replayed)?;
    let (len, index) = match open_at(session, &head, index, packet) {
        Ok(len) => (len, index),
        Err(SrtpError::BadTag) => {
            let second = streams.second_guess(head.ssrc, head.sequence);
            let index = second.ok_or(SrtpError::BadTag)?;
            (open_at(session, &head, index, packet)?, index)
        }
        Err(error) => return Err(error),
    };
    streams.accept(head.ssrc, index);
    Ok(len)
}

fn open_at(
    session: &Session,
    head: &Head,
    index: u64,
    packet: &mut [u8],
) -> Result<usize, SrtpError> {
    let tag = match session {
        Session::Cm(it) => it.tag,
        Session::Gcm(_) => Gcm::TAG,
    };
    let len = packet.len().checked_sub(tag).ok_or(SrtpError::TooShort)?;
    let (packet, tag) = packet.split_at_mut_checked(len).ok_or(SrtpError::TooShort)?;
    if head.len > packet.len() {
        return Err(SrtpError::TooShort);
    }
    match session {
        Session::Cm(it) => {
            it.verify(packet, &turn_of(index), tag)?;
            let data = packet.get_mut(head.len..).ok_or(SrtpError::TooShort)?;
            it.apply(head.ssrc, index, data);
        }
        Session::Gcm(it) => {
            let (clear, data) = packet.split_at_mut_checked(head.len).ok_or(SrtpError::TooShort)?;
            let tag = tag.first_chunk().ok_or(SrtpError::TooShort)?;
            it.open((head.ssrc, index), clear, data, tag)?;
        }
    }
    Ok(len)
}
