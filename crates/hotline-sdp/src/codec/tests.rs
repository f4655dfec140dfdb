//! Which codec two sides settle on, and by what numbers.

use std::net::{IpAddr, Ipv4Addr};

use crate::{Codec, Codecs, Local, Passed, SdpError, Stream, answer, offer, settle};

const G729: Codec = Codec::Passed(Passed::G729);

fn local(codecs: Codecs) -> Local {
    Local { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 20_000, session: 7, version: 1, codecs }
}

/// A peer's description with this audio line and these attributes.
fn sdp(rows: &str) -> String {
    let rows: Vec<_> = rows.lines().map(str::trim).collect();
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\n{}\r\n",
        rows.join("\r\n")
    )
}

fn answered(rows: &str, codecs: Codecs) -> Result<(String, Stream), SdpError> {
    answer(&sdp(rows), &local(codecs))
}

const EVERYTHING: &str = "m=audio 4000 RTP/AVP 96 109 9 18 0 8 101 110
    a=rtpmap:96 AMR/8000
    a=rtpmap:109 opus/48000/2
    a=fmtp:109 useinbandfec=1
    a=rtpmap:101 telephone-event/8000
    a=rtpmap:110 telephone-event/48000";

#[test]
fn the_list_decides_the_answer_and_the_offer_its_numbers() {
    let lists = [
        (vec![], Codec::Pcma, 8, 101),
        (vec![Codec::Pcmu, Codec::Pcma], Codec::Pcmu, 0, 101),
        (vec![Codec::G722, Codec::Pcma], Codec::G722, 9, 101),
        (vec![Codec::Opus, Codec::Pcma], Codec::Opus, 109, 110),
        // What is only passed on never comes before what is spoken.
        (vec![G729, Codec::Pcmu, Codec::Pcma], Codec::Pcmu, 0, 101),
    ];
    for (list, codec, number, event) in lists {
        let (text, it) = answered(EVERYTHING, Codecs::of(list)).unwrap();
        assert_eq!((it.codec, it.payload_type, it.payload_type_in), (codec, number, number));
        assert_eq!((it.telephone_event, it.telephone_event_in), (Some(event), Some(event)));
        let line = format!("m=audio 20000 RTP/AVP {number} {event}\r\n");
        assert!(text.contains(&line), "{text}");
        let clock = codec.clock();
        assert!(text.contains(&format!("a=rtpmap:{event} telephone-event/{clock}\r\n")), "{text}");
    }
}

#[test]
fn opus_is_answered_with_two_channels_and_what_telephone_sound_needs() {
    let (text, _) = answered(EVERYTHING, Codecs::of([Codec::Opus])).unwrap();
    // A-law is in every list, but behind what was put before it.
    assert!(text.contains("a=rtpmap:109 opus/48000/2\r\n"), "{text}");
    let fmtp = text.lines().find_map(|it| it.strip_prefix("a=fmtp:109 ")).unwrap();
    for wish in ["useinbandfec=1", "usedtx=0", "maxplaybackrate=8000", "sprop-maxcapturerate=8000"]
    {
        assert!(fmtp.split(';').any(|it| it == wish), "{fmtp}");
    }
}

#[test]
fn every_offer_has_a_law_first() {
    for list in [vec![], vec![Codec::Opus, Codec::G722, Codec::Pcmu], vec![G729]] {
        let text = offer(&local(Codecs::of(list)), false);
        assert!(text.contains("m=audio 20000 RTP/AVP 8 "), "{text}");
    }
    let text = offer(&local(Codecs::BROWSER), false);
    assert!(text.contains("m=audio 20000 RTP/AVP 8 0 111 101 102\r\n"), "{text}");
    assert!(text.contains("a=rtpmap:111 opus/48000/2\r\n"), "{text}");
    assert!(text.contains("a=rtpmap:102 telephone-event/48000\r\n"), "{text}");
    let plain = offer(&local(Codecs::default()), false);
    assert!(plain.contains("m=audio 20000 RTP/AVP 8 0 101\r\n"), "{plain}");
}

#[test]
fn what_a_peer_answers_of_our_offer_is_settled_by_its_numbers_and_ours() {
    let ours = offer(&local(Codecs::of([Codec::Pcma, Codec::G722, Codec::Opus, G729])), false);
    let of = |rows: &str| settle(&ours, &sdp(rows)).unwrap();
    let it = of("m=audio 4000 RTP/AVP 96 97
        a=rtpmap:96 opus/48000/2
        a=rtpmap:97 telephone-event/48000");
    assert_eq!((it.codec, it.payload_type, it.payload_type_in), (Codec::Opus, 96, 111));
    assert_eq!((it.telephone_event, it.telephone_event_in), (Some(97), Some(102)));
    // Who knows events at the clock of G.711 alone is sent those.
    let it = of("m=audio 4000 RTP/AVP 111 101
        a=rtpmap:111 opus/48000/2
        a=rtpmap:101 telephone-event/8000");
    assert_eq!((it.telephone_event, it.telephone_event_in), (Some(101), Some(101)));
    assert_eq!(of("m=audio 4000 RTP/AVP 9").codec, Codec::G722);
    let it = of("m=audio 4000 RTP/AVP 18\na=fmtp:18 annexb=no");
    assert_eq!((it.codec, it.payload_type), (G729, 18));
}

#[test]
fn a_codec_that_the_list_lacks_is_neither_offered_nor_answered() {
    for codec in Codec::ALL.into_iter().filter(|it| !it.is_g711()) {
        let number = codec.offered_payload_type();
        let rate = codec.rtpmap_rate();
        let rows = format!("m=audio 4000 RTP/AVP {number}\na=rtpmap:{number} {codec}/{rate}");
        assert_eq!(answered(&rows, Codecs::G711).unwrap_err(), SdpError::NoCommonCodec, "{codec}");
        assert!(!offer(&local(Codecs::G711), false).contains(codec.name()), "{codec}");
        let with = Codecs::of([Codec::Pcma, codec]);
        assert_eq!(answered(&rows, with).unwrap().1.codec, codec);
        // What we answer and offer is understood by one of us.
        let (text, _) = answer(&offer(&local(with), false), &local(with)).unwrap();
        assert!(settle(&offer(&local(with), false), &text).is_ok(), "{text}");
    }
}

#[test]
fn a_clock_that_the_codec_does_not_have_is_another_codec() {
    let all = Codecs::of(Codec::ALL);
    for map in ["opus/8000", "G722/16000", "PCMA/16000", "G729/16000", "opus"] {
        let rows = format!("m=audio 4000 RTP/AVP 96\na=rtpmap:96 {map}");
        assert_eq!(answered(&rows, all).unwrap_err(), SdpError::NoCommonCodec, "{map}");
    }
    assert_eq!(
        answered("m=audio 4000 RTP/AVP 96\na=rtpmap:96 OPUS/48000", all).unwrap().1.codec,
        Codec::Opus
    );
}

#[test]
fn a_list_holds_each_codec_once_and_a_law_always() {
    let of = |list: &[Codec]| Codecs::of(list.iter().copied()).iter().collect::<Vec<_>>();
    assert_eq!(of(&[]), [Codec::Pcma]);
    assert_eq!(of(&[Codec::Pcmu, Codec::Pcmu]), [Codec::Pcmu, Codec::Pcma]);
    assert_eq!(of(&[G729, Codec::Opus]), [Codec::Opus, Codec::Pcma, G729]);
    let every: Vec<_> = Codec::ALL.into_iter().chain(Codec::ALL).collect();
    assert_eq!(of(&every), Codec::ALL);
}
