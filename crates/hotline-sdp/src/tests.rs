//! Offers and answers of real peers, and of peers that send junk.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hotline_base::Random;

use super::*;

const LOCAL: Local = Local {
    address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    port: 20_000,
    session: 7,
    version: 1,
    codecs: Codecs::G711,
};

/// A carrier's offer with the audio line and attributes given.
fn sdp(rows: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.9\r\ns=-\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\n{}\r\n",
        rows.trim().lines().map(str::trim).collect::<Vec<_>>().join("\r\n")
    )
}

fn stream(rows: &str) -> Stream {
    answer(&sdp(rows), &LOCAL).unwrap().1
}

fn refused(rows: &str) -> SdpError {
    answer(&sdp(rows), &LOCAL).unwrap_err()
}

#[test]
fn a_carrier_that_offers_a_law_first_gets_a_law() {
    let offer = sdp("m=audio 4000 RTP/AVP 8 0 18 101
        a=rtpmap:8 PCMA/8000
        a=rtpmap:0 PCMU/8000
        a=rtpmap:18 G729/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=ptime:20
        a=sendrecv");
    let (text, stream) = answer(&offer, &LOCAL).unwrap();
    assert_eq!(
        stream,
        Stream {
            address: "198.51.100.9:4000".parse().unwrap(),
            codec: Codec::Pcma,
            payload_type: 8,
            payload_type_in: 8,
            telephone_event: Some(101),
            telephone_event_in: Some(101),
            rtcp: "198.51.100.9:4001".parse().unwrap(),
            rtcp_mux: false,
            ptime_ms: 20,
            direction: Direction::Both,
            hold: false,
        }
    );
    assert_eq!(
        text,
        "v=0\r\no=- 7 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         m=audio 20000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    );
}

#[test]
fn a_law_is_taken_even_when_mu_law_is_offered_first() {
    assert_eq!(stream("m=audio 4000 RTP/AVP 0 8").codec, Codec::Pcma);
    assert_eq!(stream("m=audio 4000 RTP/AVP 18 0").codec, Codec::Pcmu);
}

#[test]
fn static_types_need_no_rtpmap_and_dynamic_types_keep_their_number() {
    let it = stream("m=audio 4000 RTP/AVP 8");
    assert_eq!((it.payload_type, it.telephone_event), (8, None));
    let it = stream(
        "m=audio 4000 RTP/AVP 96 97 100
        a=rtpmap:96 iLBC/8000
        a=rtpmap:97 pcma/8000/1
        a=rtpmap:100 telephone-event/8000",
    );
    assert_eq!((it.codec, it.payload_type, it.telephone_event), (Codec::Pcma, 97, Some(100)));
}

#[test]
fn a_static_number_that_the_peer_gave_to_another_codec_is_not_g711() {
    assert_eq!(refused("m=audio 4000 RTP/AVP 8\na=rtpmap:8 L16/8000"), SdpError::NoCommonCodec);
}

#[test]
fn telephone_event_at_the_clock_rate_of_a_wideband_codec_is_not_ours() {
    let it = stream(
        "m=audio 4000 RTP/AVP 111 8 110 126
        a=rtpmap:111 opus/48000/2
        a=rtpmap:110 telephone-event/48000
        a=rtpmap:126 telephone-event/8000",
    );
    assert_eq!((it.codec, it.telephone_event), (Codec::Pcma, Some(126)));
}

#[test]
fn every_line_of_the_offer_is_answered_in_its_place() {
    let (text, stream) = answer(
        &sdp("m=video 5000 RTP/AVP 31
        m=audio 4002 RTP/SAVP 8
        m=audio 4004 RTP/AVP 8
        m=audio 4006 RTP/AVP 8
        m=application 9 UDP/BFCP *"),
        &LOCAL,
    )
    .unwrap();
    let lines: Vec<_> = text.lines().filter(|it| it.starts_with("m=")).collect();
    assert_eq!(
        lines,
        [
            "m=video 0 RTP/AVP 31",
            "m=audio 0 RTP/SAVP 8",
            "m=audio 20000 RTP/AVP 8",
            "m=audio 0 RTP/AVP 8",
            "m=application 0 UDP/BFCP *",
        ]
    );
    assert_eq!(stream.address.port(), 4004);
}

#[test]
fn offers_without_usable_audio_are_refused_with_a_reason() {
    assert_eq!(refused("m=video 5000 RTP/AVP 31"), SdpError::NoAudio);
    assert_eq!(refused(""), SdpError::NoAudio);
    assert_eq!(refused("m=audio 0 RTP/AVP 8"), SdpError::NoAudio);
    assert_eq!(refused("m=audio 4000 RTP/AVP 18"), SdpError::NoCommonCodec);
    assert_eq!(refused("m=audio 4000 RTP/SAVP 8"), SdpError::NoCommonCodec);
    assert_eq!(answer("", &LOCAL).unwrap_err(), SdpError::Bad);
    assert_eq!(answer("hello", &LOCAL).unwrap_err(), SdpError::Bad);
    let nowhere = "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";
    assert_eq!(answer(nowhere, &LOCAL).unwrap_err(), SdpError::Bad);
    let many = "m=audio 4000 RTP/AVP 8\n".repeat(40);
    assert_eq!(answer(&sdp(&many), &LOCAL).unwrap_err(), SdpError::Bad);
}

#[test]
fn nobody_aims_us_at_a_group_a_name_or_another_family() {
    for place in
        ["IP4 224.2.1.1/127/3", "IP4 255.255.255.255", "IP4 sbc.example", "IP6 2001:db8::9"]
    {
        let offer = format!("m=audio 4000 RTP/AVP 8\nc=IN {place}");
        assert_eq!(refused(&offer), SdpError::NoCommonAddress, "{place}");
        let why = settle(&super::offer(&LOCAL, false), &sdp(&offer)).unwrap_err();
        assert_eq!(why, SdpError::NoCommonAddress, "{place}");
    }
    // The same where the strict reader gives up.
    let careless = "v=0\nc=IN IP4 sbc.example\nm=audio 4000 RTP/AVP 8\n";
    assert_eq!(answer(careless, &LOCAL).unwrap_err(), SdpError::NoCommonAddress);
    // A line's own address counts, not the session's.
    let own = "v=0\no=- 1 1 IN IP4 h\ns=-\nc=IN IP4 sbc.example\nt=0 0\n\
               m=audio 4000 RTP/AVP 8\nc=IN IP4 198.51.100.9\n";
    assert_eq!(answer(own, &LOCAL).unwrap().1.address.port(), 4000);
}

#[test]
fn rtcp_is_where_the_peer_says_or_one_port_up() {
    let row = |it: &str| stream(&format!("m=audio 4000 RTP/AVP 8\n{it}"));
    let at = |it: &str| row(it).rtcp.to_string();
    assert_eq!(at("a=ptime:20"), "198.51.100.9:4001");
    assert_eq!(at("a=rtcp:53020"), "198.51.100.9:53020");
    assert_eq!(at("a=rtcp:53020 IN IP4 198.51.100.77"), "198.51.100.77:53020");
    assert_eq!(at("a=rtcp:x"), "198.51.100.9:4001");
    assert!(row("a=rtcp-mux").rtcp_mux && !row("a=ptime:20").rtcp_mux);
    let (text, _) = answer(&sdp("m=audio 4000 RTP/AVP 8\na=rtcp-mux"), &LOCAL).unwrap();
    assert!(text.contains("a=rtcp-mux\r\n"), "{text}");
    let (text, _) = answer(&sdp("m=audio 4000 RTP/AVP 8"), &LOCAL).unwrap();
    assert!(!text.contains("rtcp-mux"), "{text}");
}

#[test]
fn a_new_offer_may_change_codec_packet_time_and_the_number_of_keys() {
    let before = stream("m=audio 4000 RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000");
    let after = stream(
        "m=audio 4002 RTP/AVP 0 96
        a=rtpmap:96 telephone-event/8000
        a=ptime:30",
    );
    assert_eq!((before.codec, before.telephone_event_in), (Codec::Pcma, Some(101)));
    assert_eq!((after.codec, after.telephone_event_in), (Codec::Pcmu, Some(96)));
    assert_eq!((after.ptime_ms, after.address.port()), (30, 4002));
}

#[test]
fn a_peer_that_holds_is_heard_but_hears_nothing() {
    let row = |it: &str| stream(&format!("m=audio 4000 RTP/AVP 8\n{it}"));
    let facts = |it: Stream| (it.direction, it.hold);
    assert_eq!(facts(row("a=sendonly")), (Direction::ReceiveOnly, true));
    assert_eq!(facts(row("a=inactive")), (Direction::Inactive, true));
    assert_eq!(facts(row("c=IN IP4 0.0.0.0")), (Direction::ReceiveOnly, true));
    assert_eq!(facts(row("a=recvonly")), (Direction::SendOnly, false));
    assert_eq!(facts(row("a=sendrecv")), (Direction::Both, false));
    let (text, _) = answer(&sdp("m=audio 4000 RTP/AVP 8\na=sendonly"), &LOCAL).unwrap();
    assert!(text.ends_with("a=recvonly\r\n"), "{text}");
}

#[test]
fn a_direction_for_the_session_holds_unless_the_line_says_otherwise() {
    let text = |line: &str| {
        format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
             a=sendonly\r\na=ptime:30\r\nm=audio 4000 RTP/AVP 8\r\n{line}"
        )
    };
    let it = answer(&text(""), &LOCAL).unwrap().1;
    assert_eq!((it.hold, it.ptime_ms), (true, 30));
    let it = answer(&text("a=sendrecv\r\na=ptime:20\r\n"), &LOCAL).unwrap().1;
    assert_eq!((it.hold, it.ptime_ms), (false, 20));
}

#[test]
fn packet_times_no_telephone_uses_are_read_as_20_ms() {
    let row = |it: &str| stream(&format!("m=audio 4000 RTP/AVP 8\n{it}")).ptime_ms;
    assert_eq!(row("a=ptime:10"), 10);
    assert_eq!(row("a=ptime:0"), 20);
    assert_eq!(row("a=ptime:99999999999"), 20);
    assert_eq!(row("a=ptime:60\na=maxptime:40"), 40);
}

#[test]
fn a_peer_with_an_address_of_version_6_is_answered_from_one() {
    let local = Local { address: IpAddr::V6(Ipv6Addr::LOCALHOST), ..LOCAL };
    let offer = "v=0\r\no=- 1 1 IN IP6 ::1\r\ns=-\r\nc=IN IP6 2001:db8::9\r\nt=0 0\r\n\
                 m=audio 4000 RTP/AVP 8\r\n";
    let (text, stream) = answer(offer, &local).unwrap();
    assert_eq!(stream.address, "[2001:db8::9]:4000".parse().unwrap());
    assert!(text.contains("c=IN IP6 ::1\r\n"), "{text}");
    let held = offer.replace("2001:db8::9", "::");
    assert!(answer(&held, &local).unwrap().1.hold);
}

#[test]
fn descriptions_of_careless_gateways_are_understood() {
    let audio =
        "c=IN IP4 198.51.100.9\nm=audio 4000 RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000";
    for careless in [
        // No s= and no t=, line feeds only, bytes of NUL behind.
        format!("v=0\no=- 1 1 IN IP4 198.51.100.9\n{audio}\n\0\0"),
        // An origin of more than 64 bits, a broken bandwidth line, unknown lines.
        format!("v=0\no=- 99999999999999999999999 1 IN IP4 h\ns=x\nb=?\ny=1\n{audio}"),
        // No origin, empty lines, blanks.
        format!("v=0\n\n{}", audio.replace('\n', " \r\n\r\n")),
        // Two addresses for the session.
        format!("v=0\nc=IN IP4 198.51.100.9\n{audio}"),
    ] {
        let it = answer(&careless, &LOCAL).unwrap_or_else(|it| panic!("{it}: {careless}")).1;
        assert_eq!(it.address, "198.51.100.9:4000".parse().unwrap(), "{careless}");
        assert_eq!(it.telephone_event, Some(101), "{careless}");
    }
}

#[test]
fn our_offer_is_settled_by_our_answer() {
    let ours = offer(&LOCAL, false);
    let peer = Local { address: "192.0.2.2".parse().unwrap(), port: 30_000, ..LOCAL };
    let (text, theirs) = answer(&ours, &peer).unwrap();
    let mine = settle(&ours, &text).unwrap();
    assert_eq!(theirs.address, "192.0.2.1:20000".parse().unwrap());
    let (address, rtcp) = ("192.0.2.2:30000".parse().unwrap(), "192.0.2.2:30001".parse().unwrap());
    assert_eq!(mine, Stream { address, rtcp, ..theirs });
    assert_eq!((mine.codec, mine.telephone_event), (Codec::Pcma, Some(101)));
}

#[test]
fn our_hold_silences_the_peer_and_not_us() {
    let ours = offer(&LOCAL, true);
    let (text, theirs) = answer(&ours, &LOCAL).unwrap();
    assert_eq!((theirs.direction, theirs.hold), (Direction::ReceiveOnly, true));
    let mine = settle(&ours, &text).unwrap();
    assert_eq!((mine.direction, mine.hold), (Direction::SendOnly, false));
    // Both hold.
    let mine = settle(&ours, &text.replace("recvonly", "inactive")).unwrap();
    assert_eq!((mine.direction, mine.hold), (Direction::Inactive, true));
}

#[test]
fn an_answer_with_numbers_of_its_own_is_sent_to_by_its_numbers() {
    let ours = offer(&LOCAL, false);
    let it = settle(
        &ours,
        &sdp("m=audio 4000 RTP/AVP 97 96
        a=rtpmap:97 PCMU/8000
        a=rtpmap:96 telephone-event/8000"),
    )
    .unwrap();
    assert_eq!((it.codec, it.payload_type, it.payload_type_in), (Codec::Pcmu, 97, 0));
    assert_eq!((it.telephone_event, it.telephone_event_in), (Some(96), Some(101)));
}

#[test]
fn answers_that_refuse_audio_or_choose_what_we_did_not_offer_settle_nothing() {
    let ours = offer(&LOCAL, false);
    let why = |rows: &str| settle(&ours, &sdp(rows)).unwrap_err();
    assert_eq!(why("m=audio 0 RTP/AVP 8"), SdpError::NoAudio);
    assert_eq!(why("m=audio 4000 RTP/AVP 18"), SdpError::NoCommonCodec);
    assert_eq!(why("m=audio 4000 RTP/SAVP 8"), SdpError::NoCommonCodec);
    assert_eq!(settle(&ours, "junk").unwrap_err(), SdpError::Bad);
}

#[test]
fn mutated_descriptions_are_read_or_refused_and_never_end_a_process() {
    let seed = sdp("m=audio 4000/2 RTP/AVP 8 0 101
        c=IN IP4 198.51.100.9/127
        a=rtpmap:101 telephone-event/8000
        a=ptime:20
        a=sendonly
        m=video 4002 RTP/AVP 31");
    let ours = offer(&LOCAL, false);
    let mut random = Random::new(1);
    for _ in 0..20_000 {
        let mut bytes = seed.clone().into_bytes();
        for _ in 0..random.between(1, 8) {
            let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
            match random.below(4) {
                0 if bytes.len() > 1 => drop(bytes.remove(at)),
                1 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
                2 => bytes.insert(at, b"\r\n=:/ \0-9"[at % 9]),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Ok((answered, _)) = answer(&text, &LOCAL) {
            assert!(answered.lines().all(|it| it.as_bytes()[1] == b'='), "{answered}");
        }
        assert!(settle(&ours, &text).map_or(true, |it| it.address.port() != 0));
    }
}

#[test]
fn v12_more_lines_rows_and_bytes_than_a_telephone_writes_are_refused() {
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
    let audio = "m=audio 4000 RTP/AVP 8\r\n";
    let with = |lines: usize, rows: usize, bytes: usize| {
        let rows = "a=candidate:1 1 UDP 1 192.0.2.1 4000 typ host\r\n".repeat(rows);
        let more = audio.repeat(lines - 1);
        answer(&format!("{head}{audio}{rows}{more}a=x:{}\r\n", "x".repeat(bytes)), &LOCAL)
            .map(|it| it.0.matches("m=audio").count())
    };
    assert_eq!(with(32, 400, 10_000), Ok(32));
    assert_eq!(with(33, 0, 0), Err(SdpError::Bad));
    assert_eq!(with(1, 506, 0), Err(SdpError::Bad));
    assert_eq!(with(1, 0, 32_768), Err(SdpError::Bad));
    assert_eq!(with(10_000, 0, 0), Err(SdpError::Bad));
    assert_eq!(with(1, 10_000, 0), Err(SdpError::Bad));
    // More formats than there are numbers cost no more than those there are.
    let formats = " 99".repeat(9_000);
    let said = answer(&format!("{head}m=audio 4000 RTP/AVP 8{formats}\r\n"), &LOCAL);
    assert_eq!(said.map(|it| it.1.payload_type), Ok(8));
}

#[test]
fn v11_numbers_beyond_all_bounds_are_refused_or_ignored() {
    let long = "9".repeat(100);
    let numbers = [
        "0",
        "-1",
        "2147483647",
        "2147483648",
        "4294967295",
        "4294967296",
        "9223372036854775808",
        "18446744073709551616",
        &long,
    ];
    let with = |port: &str, kind: &str, rest: &str| {
        answer(&sdp(&format!("m=audio {port} RTP/AVP {kind} 8\r\n{rest}")), &LOCAL)
    };
    for it in numbers {
        // A port that is none switches the line off.
        assert_eq!(with(it, "0", "").unwrap_err(), SdpError::NoAudio, "{it}");
        // A payload type that is none is passed over; 0 is one.
        let stream = with("4000", it, "").unwrap().1;
        assert_eq!(stream.payload_type, 8, "{it}");
        let rest = format!(
            "a=ptime:{it}\r\na=maxptime:{it}\r\na=rtpmap:{it} PCMA/{it}\r\na=rtcp:{it}\r\n\
             b=AS:{it}\r\n"
        );
        let stream = with("4000", "101", &rest).unwrap().1;
        assert_eq!((stream.ptime_ms, stream.payload_type), (20, 8), "{it}");
        let text = sdp("m=audio 4000 RTP/AVP 8").replace("t=0 0", &format!("t={it} {it}"));
        assert!(answer(&text, &LOCAL).is_ok(), "{it}");
    }
}
