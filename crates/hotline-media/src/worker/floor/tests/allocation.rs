//! The packet path allocates nothing, but for what Opus does inside of its library (ADR 0019).

use hotline_dsp::{OPUS_SAMPLES_MAX, OpusConfig, OpusDecoder, OpusEncoder, Tone};

use hotline_rtp::{MasterKey, SRTP_OVERHEAD, SrtpProfile, SrtpReceiver, SrtpSender};

use super::*;
use crate::{intake::REPORTS, worker::tape::Blocks};

#[test]
fn thousands_of_packets_relayed_played_and_recorded_allocate_nothing() {
    let mut it = House::new();
    let sides = (Some(slot(CALLER)), Some(slot(AGENT)));
    it.task(Task::Record { tape: slot(0), left: sides.0, right: sides.1, key: 1 });
    it.wire.silent = true;
    let mut caller = [0; HEADER_LEN + 160];
    let mut agent = [0; HEADER_LEN + 160];
    let mut key = [0; HEADER_LEN + 4];
    let counted = allocation_counter::measure(|| {
        for n in 0..2_000_u16 {
            write_header(&mut caller, &voice(8, n));
            write_header(&mut agent, &voice(0, n));
            write_header(&mut key, &event(101, n, u32::from(n / 50) * 8_000));
            for (leg, datagram) in
                [(CALLER, &mut caller[..]), (AGENT, &mut agent[..]), (CALLER, &mut key[..])]
            {
                let arrival = Arrival { leg, from: address(leg), len: datagram.len() };
                it.floor.hear(&arrival, datagram, &mut it.wire, it.now);
            }
            it.now = it.now + Duration::from_millis(20);
            it.floor.handle_timeout(&mut it.wire, it.now);
            it.floor.out.flush();
            while let Ok(Filled::Block(block)) = it.filled.pop() {
                it.floor.out.give_back(block);
            }
        }
    });
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
    assert!(it.wire.n_sent >= 5_999, "{} packets were sent", it.wire.n_sent);
}

#[test]
fn reports_detectors_and_changed_lengths_allocate_nothing() {
    let mut it = House::new();
    it.without_events(CALLER);
    it.task(Task::HeedTones { leg: slot(CALLER) });
    let stream = Stream { ptime_ms: 30, ..stream(AGENT, Codec::Pcmu, 96) };
    it.task(Task::Settle { leg: slot(AGENT), stream });
    it.wire.silent = true;
    let mut datagram = [0x2A; HEADER_LEN + 160];
    let report = [0x80, 0xC9, 0, 1, 0, 0, 0, 5];
    let counted = allocation_counter::measure(|| {
        for n in 0..2_000_u16 {
            write_header(&mut datagram, &voice(8, n));
            let arrival = Arrival { leg: CALLER, from: address(CALLER), len: datagram.len() };
            it.floor.hear(&arrival, &mut datagram, &mut it.wire, it.now);
            let mut report = report;
            let arrival =
                Arrival { leg: CALLER | REPORTS, from: address(CALLER), len: report.len() };
            it.floor.hear(&arrival, &mut report, &mut it.wire, it.now);
            it.now = it.now + Duration::from_millis(20);
            it.floor.handle_timeout(&mut it.wire, it.now);
            it.floor.out.flush();
            while it.reports.pop().is_ok() {}
        }
    });
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
    let counters = it.floor.out.counters.snapshot();
    assert!(counters.reports_in == 2_000 && counters.reports_out >= 10, "{counters:?}");
    assert!(it.wire.n_sent >= 1_300, "{} packets were sent", it.wire.n_sent);
}

#[test]
fn thousands_of_packets_relayed_and_played_to_a_leg_with_keys_allocate_nothing() {
    for profile in [SrtpProfile::AesCm128HmacSha1_80, SrtpProfile::AeadAes128Gcm] {
        let mut it = House::empty(8);
        it.open_with(CALLER, Codec::Pcma, 101, true);
        it.open(AGENT, Codec::Pcmu, 96);
        it.task(Task::Hear { listener: slot(CALLER), speakers: vec![slot(AGENT)] });
        it.task(Task::Hear { listener: slot(AGENT), speakers: vec![slot(CALLER)] });
        let key = MasterKey::new(profile, &vec![3; profile.key_and_salt()]).unwrap();
        it.task(Task::Secure {
            leg: slot(CALLER),
            sender: Some(Box::new(SrtpSender::new(&key))),
            receiver: Some(Box::new(SrtpReceiver::new(&key))),
        });
        // As to a browser.
        let label = hotline_rtp::extension(1, b"0").unwrap_or_default().into();
        it.task(Task::Label { leg: slot(CALLER), label });
        it.wire.silent = true;
        let mut peer = SrtpSender::new(&key);
        let counted = allocation_counter::measure(|| {
            for n in 0..2_000_u16 {
                let mut caller = [0x2A; HEADER_LEN + 160 + SRTP_OVERHEAD];
                write_header(&mut caller, &voice(8, n));
                let len = peer.protect(&mut caller, HEADER_LEN + 160).unwrap();
                let mut agent = [0x2A; HEADER_LEN + 160];
                write_header(&mut agent, &voice(0, n));
                // Another's packet, too.
                let mut bad = caller;
                bad[40] ^= 1;
                for (leg, datagram) in
                    [(CALLER, &mut bad[..len]), (CALLER, &mut caller[..len]), (AGENT, &mut agent)]
                {
                    let arrival = Arrival { leg, from: address(leg), len: datagram.len() };
                    it.floor.receive(&arrival, datagram, &mut it.wire, it.now);
                }
                it.now = it.now + Duration::from_millis(20);
                it.floor.handle_timeout(&mut it.wire, it.now);
            }
        });
        assert_eq!((counted.count_total, counted.bytes_total), (0, 0), "{profile:?}");
        assert_eq!(it.wire.n_sent, 4_000);
        assert_eq!(it.floor.leg(slot(CALLER)).unwrap().stats().refused, 2_000);
    }
}

#[test]
fn thousands_of_packets_mixed_for_three_and_recorded_as_sums_allocate_nothing() {
    let mut it = House::new();
    it.open(2, Codec::Pcma, 101);
    let all = [0, 1, 2];
    for listener in all {
        let speakers = all.iter().filter(|it| **it != listener).map(|it| slot(*it)).collect();
        it.task(Task::Hear { listener: slot(listener), speakers });
    }
    it.task(Task::Record { tape: slot(0), left: Some(slot(0)), right: None, key: 1 });
    let legs = vec![slot(1), slot(2)];
    it.task(Task::Source { tape: slot(0), channel: Channel::Right, legs });
    it.wire.silent = true;
    let mut datagram = [0x2A; HEADER_LEN + 160];
    let counted = allocation_counter::measure(|| {
        for n in 0..2_000_u16 {
            for leg in all {
                write_header(&mut datagram, &voice(if leg == 1 { 0 } else { 8 }, n));
                let arrival = Arrival { leg, from: address(leg), len: datagram.len() };
                it.floor.hear(&arrival, &mut datagram, &mut it.wire, it.now);
            }
            it.now = it.now + Duration::from_millis(20);
            it.floor.handle_timeout(&mut it.wire, it.now);
            it.floor.out.flush();
            while let Ok(Filled::Block(block)) = it.filled.pop() {
                it.floor.out.give_back(block);
            }
        }
    });
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
    assert!(it.wire.n_sent >= 6_000, "{} packets were sent", it.wire.n_sent);
}

/// What two who hear each other and are recorded allocate while they talk for 20 s, a packet each
/// in 20 ms.
fn while_two_talk(
    caller: (Codec, &[u8]),
    agent: (Codec, &[u8]),
) -> allocation_counter::AllocationInfo {
    let mut it = House::empty(4);
    let both = [(CALLER, caller), (AGENT, agent)];
    for (leg, (codec, _)) in both {
        it.open(leg, codec, 101);
    }
    for (listener, speaker) in [(CALLER, AGENT), (AGENT, CALLER)] {
        it.task(Task::Hear { listener: slot(listener), speakers: vec![slot(speaker)] });
    }
    let [left, right] = [Some(slot(CALLER)), Some(slot(AGENT))];
    it.task(Task::Record { tape: slot(0), left, right, key: 1 });
    it.wire.silent = true;
    let mut datagram = [0; HEADER_LEN + FRAME_MAX];
    let counted = allocation_counter::measure(|| {
        for n in 0..1_000_u16 {
            for (leg, (codec, audio)) in both {
                let timestamp = MediaTime(u32::from(n) * (codec.clock() / 50));
                let payload_type = codec.offered_payload_type();
                let header =
                    Header { marker: false, payload_type, sequence: n, timestamp, ssrc: 5 };
                let datagram = &mut datagram[..HEADER_LEN + audio.len()];
                write_header(datagram, &header);
                datagram[HEADER_LEN..].copy_from_slice(audio);
                let arrival = Arrival { leg, from: address(leg), len: datagram.len() };
                it.floor.hear(&arrival, datagram, &mut it.wire, it.now);
            }
            it.now = it.now + Duration::from_millis(20);
            it.floor.handle_timeout(&mut it.wire, it.now);
            it.floor.out.flush();
            while let Ok(Filled::Block(block)) = it.filled.pop() {
                it.floor.out.give_back(block);
            }
        }
    });
    assert!(it.wire.n_sent >= 1_990, "{} packets were sent", it.wire.n_sent);
    counted
}

const FRAME_MAX: usize = 160;

/// A frame of Opus that is made once.
fn opus() -> Vec<u8> {
    let mut frame = [0; FRAME_MAX];
    Tone::new(700, 8_000).fill(&mut frame);
    let mut packet = vec![0; FRAME_MAX];
    let mut encoder = OpusEncoder::new(OpusConfig::default()).unwrap();
    let n = encoder.encode(&frame, &mut packet).unwrap();
    packet.truncate(n);
    packet
}

#[test]
fn thousands_of_packets_between_g722_and_g711_decoded_coded_and_recorded_allocate_nothing() {
    let counted = while_two_talk((Codec::Pcma, &[0x2A; 160]), (Codec::G722, &[0xDA; 160]));
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
}

#[test]
fn opus_that_is_passed_on_allocates_what_its_decoder_does_for_the_tape_and_keeps_nothing() {
    let packet = opus();
    let counted = while_two_talk((Codec::Opus, &packet), (Codec::Opus, &packet));
    // ADR 0019: in the library, some blocks for each frame that is decoded.
    assert!(counted.count_total < 2_000 * 20, "{} allocations", counted.count_total);
    assert_eq!((counted.count_current, counted.bytes_current), (0, 0));
}

#[test]
fn opus_for_g711_allocates_within_its_library_alone_and_keeps_nothing() {
    // The same frames through the library and nothing else.
    let packet = opus();
    let mut encoder = OpusEncoder::new(OpusConfig::default()).unwrap();
    let mut decoder = OpusDecoder::new().unwrap();
    let alone = allocation_counter::measure(|| {
        let (mut samples, mut coded) = ([0; OPUS_SAMPLES_MAX], [0; 400]);
        for _ in 0..1_000 {
            decoder.decode(&packet, &mut samples).unwrap();
            encoder.encode(&samples[..FRAME_MAX], &mut coded).unwrap();
        }
    });
    let counted = while_two_talk((Codec::Pcma, &[0x2A; 160]), (Codec::Opus, &packet));
    // The sound differs, and with it what the library does; what is ours adds nothing to it.
    assert!(
        counted.count_total <= alone.count_total * 13 / 10,
        "{} allocations, {} by the library alone",
        counted.count_total,
        alone.count_total
    );
    assert_eq!((counted.count_current, counted.bytes_current), (0, 0));
}

#[test]
fn ten_seconds_of_500_calls_that_are_recorded_allocate_nothing() {
    const CALLS: u32 = 500;
    let mut it = House::empty(2 * CALLS as usize);
    for call in 0..CALLS {
        let (caller, agent) = (2 * call, 2 * call + 1);
        it.open(caller, Codec::Pcma, 101);
        it.open(agent, Codec::Pcma, 101);
        it.task(Task::Hear { listener: slot(caller), speakers: vec![slot(agent)] });
        it.task(Task::Hear { listener: slot(agent), speakers: vec![slot(caller)] });
        let (left, right) = (Some(slot(caller)), Some(slot(agent)));
        it.task(Task::Record { tape: slot(call), left, right, key: 1 });
    }
    it.wire.silent = true;
    let mut datagram = [0x2A; HEADER_LEN + 160];
    let mut n_blocks = 0;
    let counted = allocation_counter::measure(|| {
        for n in 0..500_u16 {
            for leg in 0..2 * CALLS {
                write_header(&mut datagram, &voice(8, n));
                let arrival = Arrival { leg, from: address(leg), len: datagram.len() };
                it.floor.hear(&arrival, &mut datagram, &mut it.wire, it.now);
            }
            it.now = it.now + Duration::from_millis(20);
            it.floor.handle_timeout(&mut it.wire, it.now);
            it.floor.out.flush();
            while let Ok(Filled::Block(block)) = it.filled.pop() {
                n_blocks += 1;
                it.floor.out.give_back(block);
            }
        }
    });
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
    assert_eq!(it.wire.n_sent, 500_000);
    // 200 ms each, and the last ones are still open.
    assert!(n_blocks >= 45 * CALLS, "{n_blocks} blocks were recorded");
}
