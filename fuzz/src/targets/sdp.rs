//! A session description as an offer, and as an answer to ours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hotline_sdp::{Codec, Codecs, Local, SdpError, Stream, answer, offer, settle};

use crate::trace::Trace;

pub(super) const WORDS: &[&str] = &[
    "v=0\r\n",
    "m=audio 4000 RTP/AVP 8 0 101\r\n",
    "m=video 0 RTP/AVP 31\r\n",
    "c=IN IP4 192.0.2.1\r\n",
    "c=IN IP6 2001:db8::1\r\n",
    "c=IN IP4 0.0.0.0\r\n",
    "a=rtpmap:101 telephone-event/8000\r\n",
    "m=audio 4000 RTP/AVP 111 9 18 110\r\n",
    "a=rtpmap:111 opus/48000/2\r\n",
    "a=rtpmap:110 telephone-event/48000\r\n",
    "a=fmtp:111 useinbandfec=1\r\n",
    "a=sendonly\r\n",
    "a=inactive\r\n",
    "a=ptime:20\r\n",
    "a=rtcp:4001 IN IP4 192.0.2.2\r\n",
    "a=rtcp-mux\r\n",
    "a=candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host\r\n",
    "b=AS:64\r\n",
    "o=- 1 1 IN IP4 192.0.2.1\r\n",
    "t=0 0\r\n",
    "k=clear:x\r\n",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80\r\n",
];

pub(super) fn run(bytes: &[u8]) -> u64 {
    let mut trace = Trace::new();
    let text = hotline_sip::decode(bytes);
    for address in [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let codecs = Codecs::of(Codec::ALL);
        let local = Local { address, port: 40_000, session: 7, version: 1, codecs };
        match answer(&text, &local) {
            Ok((said, stream)) => {
                check(&stream, &mut trace);
                let lines = |it: &str| it.lines().filter(|it| it.starts_with("m=")).count();
                trace.count(lines(&said));
                assert!(said.len() <= 2 * text.len() + 1_000, "{} for {}", said.len(), text.len());
                assert!(said.lines().all(|it| it.as_bytes().get(1) == Some(&b'=')), "{said}");
                // Who answers what we answered finds the same stream.
                let ours = offer(&local, false);
                assert!(settle(&ours, &said).is_ok_and(|it| it.address.port() == 40_000), "{said}");
            }
            Err(why) => fault(why, &mut trace),
        }
        match settle(&offer(&local, true), &text) {
            Ok(stream) => check(&stream, &mut trace),
            Err(why) => fault(why, &mut trace),
        }
    }
    trace.end()
}

fn check(it: &Stream, trace: &mut Trace) {
    assert!(it.address.port() != 0 && it.payload_type < 128 && it.payload_type_in < 128);
    assert!(it.telephone_event.is_none_or(|it| it < 128));
    assert!(it.telephone_event_in.is_none_or(|it| it < 128));
    assert!((10..=200).contains(&it.ptime_ms), "{}", it.ptime_ms);
    assert!(!it.address.ip().is_unspecified() || it.hold);
    trace.note(it.codec.name());
    trace.flag(it.telephone_event.is_some());
    trace.flag(it.rtcp_mux);
    trace.flag(it.hold);
    trace.flag(it.direction.may_send());
    trace.flag(it.direction.may_receive());
    trace.flag(it.rtcp.port() == it.address.port().saturating_add(1));
}

fn fault(why: SdpError, trace: &mut Trace) {
    trace.note(&why.to_string());
}
