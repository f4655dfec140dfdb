//! RTCP packets (RFC 3711 §3.4, RFC 7714 §9).

use super::{
    SrtpError,
    cipher::{Gcm, Session},
    window::Streams,
};

/// Highest index of a report.
pub(super) const INDEX_MAX: u32 = (1 << 31) - 1;

/// Says that the report is encrypted, in the word of its index.
const ENCRYPTED: u32 = 1 << 31;

/// Bytes that stay in the clear: the first header and the sender.
const HEAD: usize = 8;

/// Bytes of the index.
const INDEX: usize = 4;

/// The sender of the first packet of a compound.
fn ssrc_of(packet: &[u8]) -> Result<u32, SrtpError> {
    let head: &[u8; HEAD] = packet.first_chunk().ok_or(SrtpError::TooShort)?;
    let [_, _, _, _, ssrc @ ..] = *head;
    Ok(u32::from_be_bytes(ssrc))
}

/// Header and index, which GCM authenticates and does not encrypt (RFC 7714 §9.2).
fn clear_of(head: &[u8], word: u32) -> [u8; HEAD + INDEX] {
    let mut clear = [0; HEAD + INDEX];
    for (to, from) in clear.iter_mut().zip(head.iter().copied().chain(word.to_be_bytes())) {
        *to = from;
    }
    clear
}

pub(super) fn protect(
    session: &Session,
    index: u32,
    buffer: &mut [u8],
    len: usize,
) -> Result<usize, SrtpError> {
    let ssrc = ssrc_of(buffer.get(..len).ok_or(SrtpError::TooShort)?)?;
    let (word, index) = (index | ENCRYPTED, u64::from(index));
    match session {
        Session::Cm(it) => {
            let end = len + INDEX;
            let (packet, room) = buffer.split_at_mut_checked(end).ok_or(SrtpError::TooShort)?;
            let tag = room.get_mut(..it.tag).ok_or(SrtpError::TooShort)?;
            let (report, place) = packet.split_at_mut_checked(len).ok_or(SrtpError::TooShort)?;
            it.apply(ssrc, index, report.get_mut(HEAD..).ok_or(SrtpError::TooShort)?);
            place.copy_from_slice(&word.to_be_bytes());
            it.sign(packet, &[], tag);
            Ok(end + it.tag)
        }
        Session::Gcm(it) => {
            let (report, room) = buffer.split_at_mut_checked(len).ok_or(SrtpError::TooShort)?;
            let room = room.get_mut(..Gcm::TAG + INDEX).ok_or(SrtpError::TooShort)?;
            let (tag, place) = room.split_at_mut_checked(Gcm::TAG).ok_or(SrtpError::TooShort)?;
            let (head, data) = report.split_at_mut_checked(HEAD).ok_or(SrtpError::TooShort)?;
            it.seal((ssrc, index), &clear_of(head, word), data, tag)?;
            place.copy_from_slice(&word.to_be_bytes());
            Ok(len + Gcm::TAG + INDEX)
        }
    }
}

pub(super) fn open(
    session: &Session,
    streams: &mut Streams,
    packet: &mut [u8],
) -> Result<usize, SrtpError> {
    let ssrc = ssrc_of(packet)?;
    // Behind the index stands the tag of counter mode; in front of it that of GCM.
    let behind = match session {
        Session::Cm(it) => it.tag,
        Session::Gcm(_) => 0,
    };
    let end = packet.len().checked_sub(behind).ok_or(SrtpError::TooShort)?;
    let (body, tag) = packet.split_at_mut_checked(end).ok_or(SrtpError::TooShort)?;
    let (_, word) = body.split_last_chunk::<INDEX>().ok_or(SrtpError::TooShort)?;
    let word = u32::from_be_bytes(*word);
    if word & ENCRYPTED == 0 {
        return Err(SrtpError::NotEncrypted);
    }
    let index = u64::from(word & INDEX_MAX);
    if !streams.is_fresh(ssrc, index) {
        return Err(SrtpError::Replayed);
    }
    let len = match session {
        Session::Cm(it) => {
            let len = end.checked_sub(INDEX).filter(|it| *it >= HEAD).ok_or(SrtpError::TooShort)?;
            it.verify(body, &[], tag)?;
            it.apply(ssrc, index, body.get_mut(HEAD..len).ok_or(SrtpError::TooShort)?);
            len
        }
        Session::Gcm(it) => {
            let len = end.checked_sub(INDEX + Gcm::TAG).ok_or(SrtpError::TooShort)?;
            let (report, rest) = body.split_at_mut_checked(len).ok_or(SrtpError::TooShort)?;
            let tag = rest.first_chunk().ok_or(SrtpError::TooShort)?;
            let (head, data) = report.split_at_mut_checked(HEAD).ok_or(SrtpError::TooShort)?;
            it.open((ssrc, index), &clear_of(head, word), data, tag)?;
            len
        }
    };
    streams.accept(ssrc, index);
    Ok(len)
}
