//! Offer and answer (RFC 3264).

use std::net::{IpAddr, SocketAddr};

use crate::{
    Codec, Direction, Local, OFFERED_TELEPHONE_EVENT, SdpError, Stream,
    read::{Description, Format, Line, Place},
    write::{Audio, Written, description},
};

/// Our offer: A-law, µ-law and telephone-event. With `hold` we ask the peer to stop sending
/// (`sendonly`, RFC 3264 §8.4).
pub fn offer(local: &Local, hold: bool) -> String {
    let codecs = Codec::ALL.map(|it| (it.static_payload_type(), it));
    let direction = if hold { Direction::SendOnly } else { Direction::Both };
    let audio = Audio {
        proto: "RTP/AVP",
        codecs: &codecs,
        telephone_event: Some(OFFERED_TELEPHONE_EVENT),
        direction,
    };
    description(local, &[Written::Audio(audio)])
}

/// Our answer to the peer's offer, with the stream it leads to.
///
/// The first audio line with a codec of ours is taken, every other line is refused in its place
/// (RFC 3264 §6). The answer names one codec, A-law if it is offered, so that nobody changes codecs
/// in the middle of a call; payload types are the offer's (§6.1).
///
/// # Errors
/// When there is nothing to answer; the status is in [`SdpError`].
pub fn answer(offer: &str, local: &Local) -> Result<(String, Stream), SdpError> {
    let offer = Description::parse(offer).ok_or(SdpError::Bad)?;
    if !offer.lines.iter().any(Line::is_live_audio) {
        return Err(SdpError::NoAudio);
    }
    let (at, line, format) = offer
        .lines
        .iter()
        .enumerate()
        .filter(|(_, it)| it.is_live_audio())
        .find_map(|(at, it)| Some((at, it, favourite(it)?)))
        .ok_or(SdpError::NoCommonCodec)?;
    let telephone_event = line.telephone_event();
    let address = target(line, local.address)?;
    let mut stream = Stream {
        address,
        codec: format.codec,
        payload_type: format.payload_type,
        payload_type_in: format.payload_type,
        telephone_event,
        telephone_event_in: telephone_event,
        rtcp: line.rtcp(address),
        rtcp_mux: line.has("rtcp-mux"),
        ptime_ms: line.ptime_ms(),
        direction: line.direction().mirrored(),
        hold: false,
    };
    note_hold(&mut stream, line);
    let codecs = [(format.payload_type, format.codec)];
    let lines = offer.lines.iter().enumerate().map(|(idx, it)| {
        if idx == at {
            let direction = stream.direction;
            Written::Audio(Audio { proto: &it.proto, codecs: &codecs, telephone_event, direction })
        } else {
            Written::Refused(it)
        }
    });
    Ok((description(local, &lines.collect::<Vec<_>>()), stream))
}

/// The stream that the peer's answer to our offer leads to.
///
/// # Errors
/// `NoAudio` also when the peer refused the audio line with port 0.
pub fn settle(offer: &str, answer: &str) -> Result<Stream, SdpError> {
    let offer = Description::parse(offer).ok_or(SdpError::Bad)?;
    let answer = Description::parse(answer).ok_or(SdpError::Bad)?;
    let (at, ours) = offer
        .lines
        .iter()
        .enumerate()
        .find(|(_, it)| it.is_live_audio())
        .ok_or(SdpError::NoAudio)?;
    // RFC 3264 §6 pairs lines by place; a peer that forgot a refused line is forgiven.
    let theirs = answer
        .lines
        .get(at)
        .filter(|it| it.is_live_audio())
        .or_else(|| answer.lines.iter().find(|it| it.is_live_audio()))
        .ok_or(SdpError::NoAudio)?;
    if !theirs.is_plain_rtp() {
        return Err(SdpError::NoCommonCodec);
    }
    let (sent, received) = theirs
        .codecs()
        .find_map(|theirs| {
            let ours = ours.codecs().find(|it| it.codec == theirs.codec)?;
            Some((theirs, ours))
        })
        .ok_or(SdpError::NoCommonCodec)?;
    let events = ours.telephone_event().zip(theirs.telephone_event());
    let Place::At(own) = ours.place else { return Err(SdpError::Bad) };
    let address = target(theirs, own)?;
    let mut stream = Stream {
        address,
        codec: sent.codec,
        payload_type: sent.payload_type,
        payload_type_in: received.payload_type,
        telephone_event: events.map(|(_, theirs)| theirs),
        telephone_event_in: events.map(|(ours, _)| ours),
        rtcp: theirs.rtcp(address),
        rtcp_mux: theirs.has("rtcp-mux"),
        ptime_ms: theirs.ptime_ms(),
        direction: ours.direction().and(theirs.direction().mirrored()),
        hold: false,
    };
    note_hold(&mut stream, theirs);
    Ok(stream)
}

/// The format we take of an offered line: A-law before µ-law, whatever the offer's order.
fn favourite(line: &Line) -> Option<Format> {
    if !line.is_plain_rtp() {
        return None;
    }
    Codec::ALL.into_iter().find_map(|codec| line.codecs().find(|it| it.codec == codec))
}

/// Where the peer receives, if we can send there from `own`.
fn target(line: &Line, own: IpAddr) -> Result<SocketAddr, SdpError> {
    match line.place {
        Place::Missing => Err(SdpError::Bad),
        // The address of a peer that holds the old way is of no family.
        Place::At(it) if it.is_unspecified() || it.is_ipv4() == own.is_ipv4() => {
            Ok(SocketAddr::new(it, line.port))
        }
        Place::At(_) | Place::Elsewhere => Err(SdpError::NoCommonAddress),
    }
}

/// RFC 3264 §8.4: `sendonly` and `inactive` are hold; so was, in RFC 2543, the address 0.0.0.0,
/// after which we may listen but have nowhere to send.
fn note_hold(stream: &mut Stream, peer: &Line) {
    let nowhere = stream.address.ip().is_unspecified();
    stream.hold = nowhere || !peer.direction().may_receive();
    if nowhere {
        stream.direction = Direction::of(false, stream.direction.may_receive());
    }
    debug_assert!(!(stream.hold && stream.direction.may_send()), "a held peer hears nothing");
}
