//! Offer and answer (RFC 3264).

use std::net::{IpAddr, SocketAddr};

use hotline_base::media::Profile;

use crate::{
    Codec, Codecs, Direction, Local, OFFERED_TELEPHONE_EVENT, OFFERED_TELEPHONE_EVENT_48K,
    SdpError, Secrets, Security, Stream,
    read::{Description, Format, Line, Place},
    secure::{Rows, accept, conclude, propose, proto_of},
    write::{Audio, Written, description},
};

/// Clock rate of telephone-event beside G.711.
const EVENT_CLOCK: u32 = 8_000;

/// Our offer: the codecs of `local`, A-law first, and telephone-event. With `hold` we ask the peer
/// to stop sending (`sendonly`, RFC 3264 §8.4).
pub fn offer(local: &Local, hold: bool) -> String {
    written(local, hold, Profile::Plain, Rows::default())
}

/// Our offer in a profile: with [`Profile::Sdes`] and [`Profile::WebRtc`] it names our keys, or
/// where ICE finds us.
pub fn offer_in(local: &Local, profile: Profile, secrets: &Secrets) -> String {
    written(local, false, profile, propose(profile, local, secrets))
}

fn written(local: &Local, hold: bool, profile: Profile, secure: Rows) -> String {
    let codecs = local.codecs.offered();
    let mut telephone_events = vec![(OFFERED_TELEPHONE_EVENT, EVENT_CLOCK)];
    if local.codecs.contains(Codec::Opus) {
        telephone_events.push((OFFERED_TELEPHONE_EVENT_48K, Codec::Opus.clock()));
    }
    let direction = if hold { Direction::SendOnly } else { Direction::Both };
    let audio = Audio {
        proto: proto_of(profile),
        codecs: &codecs,
        telephone_events: &telephone_events,
        rtcp_mux: false,
        direction,
        secure,
    };
    description(local, &[Written::Audio(audio)])
}

/// Our answer to the peer's offer, with the stream it leads to.
///
/// The first audio line with a codec of ours is taken, every other line is refused in its place
/// (RFC 3264 §6). The answer names one codec, the first of `local` that is offered, so that nobody
/// changes codecs in the middle of a call; payload types are the offer's (§6.1).
///
/// # Errors
/// When there is nothing to answer; the status is in [`SdpError`].
pub fn answer(offer: &str, local: &Local) -> Result<(String, Stream), SdpError> {
    answer_in(offer, local, None).map(|(sdp, stream, _)| (sdp, stream))
}

/// The same in the profile of the offer: protected when it asks for that and we brought secrets.
///
/// # Errors
/// When there is nothing to answer, or no way of protection in common.
pub fn answer_in(
    offer: &str,
    local: &Local,
    secrets: Option<&Secrets>,
) -> Result<(String, Stream, Security), SdpError> {
    let offer = Description::parse(offer).ok_or(SdpError::Bad)?;
    if !offer.lines.iter().any(Line::is_live_audio) {
        return Err(SdpError::NoAudio);
    }
    let (at, line, format, (security, rows)) = offer
        .lines
        .iter()
        .enumerate()
        .filter(|(_, it)| it.is_live_audio())
        .find_map(|(at, it)| {
            Some((at, it, favourite(it, &local.codecs)?, accept(it, local, secrets)?))
        })
        .ok_or(SdpError::NoCommonCodec)?;
    let events = clocks(format.codec).find_map(|clock| Some((line.telephone_event(clock)?, clock)));
    let telephone_event = events.map(|(it, _)| it);
    let address = target(line, local.address, &security)?;
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
    note_hold(&mut stream, line, &security);
    let codecs = [(format.payload_type, format.codec)];
    let (proto, direction) = (line.proto.as_str(), stream.direction);
    // A browser's rows say so themselves.
    let rtcp_mux = stream.rtcp_mux && !matches!(security, Security::WebRtc(_));
    let (codecs, telephone_events) = (&codecs, events.as_slice());
    let audio = Audio { proto, codecs, telephone_events, rtcp_mux, direction, secure: rows };
    let mut audio = Some(Written::Audio(audio));
    let lines = offer.lines.iter().enumerate();
    let lines = lines.map(|(idx, it)| audio.take_if(|_| idx == at).unwrap_or(Written::Refused(it)));
    Ok((description(local, &lines.collect::<Vec<_>>()), stream, security))
}

/// The stream that the peer's answer to our offer leads to.
///
/// # Errors
/// `NoAudio` also when the peer refused the audio line with port 0.
pub fn settle(offer: &str, answer: &str) -> Result<Stream, SdpError> {
    match settle_in(offer, answer)? {
        (stream, Security::Plain) => Ok(stream),
        (_, Security::Sdes { .. } | Security::WebRtc(_)) => Err(SdpError::NoCommonCodec),
    }
}

/// The same, with the protection that both descriptions lead to.
///
/// # Errors
/// As [`settle`], and when the answer is in another profile than the offer.
pub fn settle_in(offer: &str, answer: &str) -> Result<(Stream, Security), SdpError> {
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
    let security = conclude(ours, theirs).ok_or(SdpError::NoCommonCodec)?;
    let (sent, received) = theirs
        .codecs()
        .find_map(|theirs| {
            let ours = ours.codecs().find(|it| it.codec == theirs.codec)?;
            Some((theirs, ours))
        })
        .ok_or(SdpError::NoCommonCodec)?;
    let events = clocks(sent.codec)
        .find_map(|clock| ours.telephone_event(clock).zip(theirs.telephone_event(clock)));
    let Place::At(own) = ours.place else { return Err(SdpError::Bad) };
    let address = target(theirs, own, &security)?;
    let mut stream = Stream {
        address,
        codec: sent.codec,
        payload_type: sent.payload_type,
        payload_type_in: received.payload_type,
        telephone_event: events.map(|(_, theirs)| theirs),
        telephone_event_in: events.map(|(ours, _)| ours),
        rtcp: theirs.rtcp(address),
        rtcp_mux: ours.has("rtcp-mux") && theirs.has("rtcp-mux"),
        ptime_ms: theirs.ptime_ms(),
        direction: ours.direction().and(theirs.direction().mirrored()),
        hold: false,
    };
    note_hold(&mut stream, theirs, &security);
    Ok((stream, security))
}

/// The clocks that telephone-event may run on beside a codec: its own (RFC 4733 §2.4.1), else the
/// one that everybody writes.
fn clocks(codec: Codec) -> impl Iterator<Item = u32> {
    [codec.clock(), EVENT_CLOCK].into_iter()
}

/// The format we take of an offered line: our order, whatever the offer's is; of several payload
/// types of one codec the first.
fn favourite(line: &Line, codecs: &Codecs) -> Option<Format> {
    codecs.iter().find_map(|codec| line.codecs().find(|it| it.codec == codec))
}

/// Where the peer receives, if we can send there from `own`.
fn target(line: &Line, own: IpAddr, security: &Security) -> Result<SocketAddr, SdpError> {
    match line.place {
        // ICE will find it.
        Place::At(it) if security.has_ice() => Ok(SocketAddr::new(it, line.port)),
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
fn note_hold(stream: &mut Stream, peer: &Line, security: &Security) {
    // A browser names no address before it has found its own.
    let nowhere = stream.address.ip().is_unspecified() && !security.has_ice();
    stream.hold = nowhere || !peer.direction().may_receive();
    if nowhere {
        stream.direction = Direction::of(false, stream.direction.may_receive());
    }
    debug_assert!(!(stream.hold && stream.direction.may_send()), "a held peer hears nothing");
}
