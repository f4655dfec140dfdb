//! What a browser's listener hears, and what hostile packets do.

use super::*;
use crate::{Tone, level_dbm0, strength};

const PACKET_MAX: usize = 400;

fn encoder(config: OpusConfig) -> OpusEncoder {
    OpusEncoder::new(config).unwrap()
}

/// `n` frames of a 700 Hz tone as packets.
fn packets(encoder: &mut OpusEncoder, n: usize) -> Vec<Vec<u8>> {
    let mut tone = Tone::new(700, 8_000);
    let frames = (0..n).map(|_| {
        let mut frame = [0; FRAME];
        tone.fill(&mut frame);
        let mut packet = vec![0; PACKET_MAX];
        let len = encoder.encode(&frame, &mut packet).unwrap();
        packet.truncate(len);
        packet
    });
    frames.collect()
}

fn decode(decoder: &mut OpusDecoder, packet: &[u8]) -> Vec<i16> {
    let mut samples = vec![0; OPUS_SAMPLES_MAX];
    let n = decoder.decode(packet, &mut samples).unwrap();
    samples.truncate(n);
    samples
}

#[test]
fn a_tone_is_heard_at_every_complexity_and_the_bit_rate_is_kept() {
    for complexity in [0, 3, 5, 10] {
        let mut encoder = encoder(OpusConfig { complexity, ..OpusConfig::default() });
        let packets = packets(&mut encoder, 50);
        let bytes: usize = packets.iter().map(Vec::len).sum();
        assert!((1_000..=3_600).contains(&bytes), "{complexity}: {bytes} bytes in a second");
        let mut decoder = OpusDecoder::new().unwrap();
        let heard: Vec<_> = packets.iter().map(|it| decode(&mut decoder, it)).collect();
        assert!(heard.iter().all(|it| it.len() == FRAME));
        let heard = heard.concat();
        assert!(strength(&heard[1_600..3_200], 700) > 0.9, "{complexity}");
        assert!((level_dbm0(&heard[1_600..]) + 9.2).abs() < 2.0, "{}", level_dbm0(&heard[1_600..]));
    }
}

#[test]
fn load_lowers_the_complexity_between_two_frames() {
    let mut encoder = encoder(OpusConfig::default());
    packets(&mut encoder, 5);
    encoder.set_complexity(0).unwrap();
    assert!(format!("{encoder:?}").contains('0'));
    let mut decoder = OpusDecoder::new().unwrap();
    let heard: Vec<_> =
        packets(&mut encoder, 20).iter().flat_map(|it| decode(&mut decoder, it)).collect();
    assert!(strength(&heard[1_600..], 700) > 0.9);
    assert_eq!(encoder.set_complexity(11), Err(OpusError::Config));
}

#[test]
fn a_lost_packet_is_heard_from_the_copy_in_the_next_one() {
    let mut encoder = encoder(OpusConfig { loss_percent: 30, ..OpusConfig::default() });
    let (mut low, mut high) = (Tone::new(400, 8_000), Tone::new(1_100, 8_000));
    // The packet that is lost is the second one of another sound.
    let lost = 31;
    let packets: Vec<_> = (0..40)
        .map(|n| {
            let mut frame = [0; FRAME];
            if n < lost - 1 {
                low.fill(&mut frame);
            } else {
                high.fill(&mut frame);
            }
            let mut packet = vec![0; PACKET_MAX];
            let len = encoder.encode(&frame, &mut packet).unwrap();
            packet.truncate(len);
            packet
        })
        .collect();
    let heard = |with_copy: bool| {
        let mut decoder = OpusDecoder::new().unwrap();
        for it in &packets[..lost] {
            decode(&mut decoder, it);
        }
        let mut frame = [0; FRAME];
        let next = with_copy.then(|| &packets[lost + 1][..]);
        assert_eq!(decoder.conceal(next, &mut frame), Ok(FRAME));
        for it in &packets[lost + 1..lost + 4] {
            decode(&mut decoder, it);
        }
        let after = decode(&mut decoder, &packets[lost + 4]);
        assert!(strength(&after, 1_100) > 0.7, "{with_copy}: {}", strength(&after, 1_100));
        strength(&frame, 1_100)
    };
    let (copied, guessed) = (heard(true), heard(false));
    assert!(copied > 0.8 && copied > guessed, "{copied} {guessed}");
}

/// As telephones send it that ask for `ptime:60`: three frames of SILK in one, with one copy.
#[test]
fn a_lost_packet_of_60_ms_is_heard_whole_from_the_copy_in_the_next_one() {
    let mut encoder = encoder(OpusConfig { loss_percent: 30, ..OpusConfig::default() });
    let (mut low, mut high) = (Tone::new(400, 8_000), Tone::new(1_100, 8_000));
    let lost = 11;
    let packets: Vec<_> = (0..14)
        .map(|n| {
            let mut samples = [0; 3 * FRAME];
            if n < lost {
                low.fill(&mut samples);
            } else {
                high.fill(&mut samples);
            }
            let mut packet = vec![0; 3 * PACKET_MAX];
            let len = encoder.encode(&samples, &mut packet).unwrap();
            packet.truncate(len);
            assert_eq!(opus_ticks(&packet), Some(2_880));
            packet
        })
        .collect();
    let heard = |with_copy: bool| {
        let mut decoder = OpusDecoder::new().unwrap();
        for it in &packets[..lost] {
            decode(&mut decoder, it);
        }
        let mut samples = [0; 3 * FRAME];
        let next = with_copy.then(|| &packets[lost + 1][..]);
        assert_eq!(decoder.conceal(next, &mut samples), Ok(3 * FRAME));
        samples.chunks(FRAME).map(|it| strength(it, 1_100)).collect::<Vec<_>>()
    };
    // The first of it comes out of another sound.
    let copied = heard(true);
    assert!(copied[0] > 0.3 && copied[1..].iter().all(|it| *it > 0.8), "{copied:?}");
    assert!(heard(false).iter().all(|it| *it < 0.1), "{:?}", heard(false));
}

/// Browsers code what a microphone hears at 48,000 Hz, in any mode of Opus. Their sound up to 4 kHz
/// is heard, and what lies above it is gone and nowhere else.
#[test]
fn what_was_made_at_any_rate_is_heard_at_ours() {
    use Application::{Audio, RestrictedLowDelay, Voip};
    use Channels::{Mono, Stereo};
    let mut modes = Vec::new();
    for (rate, channels, application, bits) in [
        (12_000, Mono, Voip, 16_000),
        (16_000, Mono, Voip, 24_000),
        (24_000, Mono, Audio, 32_000),
        (48_000, Mono, Voip, 32_000),
        (48_000, Mono, Audio, 64_000),
        (48_000, Stereo, Voip, 64_000),
        (48_000, Stereo, RestrictedLowDelay, 96_000),
    ] {
        let mut encoder = Encoder::builder(rate, channels, application)
            .bitrate(Bitrate::try_bits(bits).unwrap())
            .build()
            .unwrap();
        let samples = usize::try_from(rate / 50).unwrap();
        let sine = |n: usize, hz: f64| {
            let second = f64::from(u32::try_from(n).unwrap()) / f64::from(rate);
            (std::f64::consts::TAU * hz * second).sin()
        };
        // 5,300 Hz would be heard as 2,700 by who took every sixth sample.
        let above = if rate > 12_000 { 5_300.0 } else { 5_000.0 };
        let mut decoder = OpusDecoder::new().unwrap();
        let mut heard = Vec::new();
        for frame in 0..50 {
            let mut pcm = Vec::new();
            for n in frame * samples..(frame + 1) * samples {
                let it = 8_000.0 * sine(n, 700.0) + 4_000.0 * sine(n, above);
                #[expect(clippy::cast_possible_truncation, reason = "at most 12,000")]
                pcm.resize(pcm.len() + channels.count(), it as i16);
            }
            let mut packet = [0; 1_000];
            let n = encoder.encode(&pcm, &mut packet).unwrap();
            assert_eq!(opus_ticks(&packet[..n]), Some(960));
            modes.push(packet[0] >> 3);
            let frame = decode(&mut decoder, &packet[..n]);
            assert_eq!(frame.len(), FRAME);
            heard.extend(frame);
        }
        let heard = &heard[3_200..];
        let name = format!("{rate} {channels:?} {application:?}");
        assert!(strength(heard, 700) > 0.9, "{name}: {}", strength(heard, 700));
        assert!((level_dbm0(heard) + 9.2).abs() < 2.0, "{name}: {} dBm0", level_dbm0(heard));
    }
    // SILK, both at once and CELT alone (RFC 6716 table 2).
    for of in [0..12, 12..16, 16..32] {
        assert!(modes.iter().any(|it| of.contains(it)), "{of:?}");
    }
}

#[test]
fn nothing_is_left_out_in_a_pause_unless_dtx_is_asked_for() {
    let silent = |dtx| {
        let mut encoder = encoder(OpusConfig { dtx, ..OpusConfig::default() });
        packets(&mut encoder, 10);
        let mut small = 0;
        for _ in 0..100 {
            let mut packet = [0; PACKET_MAX];
            let len = encoder.encode(&[0; FRAME], &mut packet).unwrap();
            small += usize::from(len <= 2);
        }
        small
    };
    assert_eq!(silent(false), 0);
    assert!(silent(true) > 50);
}

#[test]
fn a_packet_tells_how_long_it_lasts() {
    let mut encoder = encoder(OpusConfig::default());
    assert_eq!(opus_ticks(&packets(&mut encoder, 1)[0]), Some(960));
    // RFC 6716 table 2: SILK NB 60 ms; CELT FB 2.5 ms, two frames; hybrid 20 ms, three frames.
    assert_eq!(opus_ticks(&[3 << 3]), Some(2_880));
    assert_eq!(opus_ticks(&[28 << 3 | 1]), Some(240));
    assert_eq!(opus_ticks(&[13 << 3 | 3, 3]), Some(2_880));
    assert_eq!(opus_ticks(&[3 << 3 | 3, 63]), None, "longer than 120 ms");
    assert_eq!(opus_ticks(&[3]), None);
    assert_eq!(opus_ticks(&[]), None);
}

#[test]
fn hostile_packets_are_refused_or_heard_as_noise_and_the_next_good_one_is_heard() {
    let mut decoder = OpusDecoder::new().unwrap();
    let mut samples = [0; OPUS_SAMPLES_MAX];
    assert_eq!(decoder.decode(&[], &mut samples), Err(OpusError::Packet));
    let mut state = 7_u32;
    for _ in 0..3_000 {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let len = usize::from(next()) % 120 + 1;
        let packet: Vec<_> = (0..len).map(|_| next()).collect();
        match decoder.decode(&packet, &mut samples) {
            Ok(n) => assert!(n <= OPUS_SAMPLES_MAX),
            Err(error) => assert_eq!(error, OpusError::Packet),
        }
    }
    let good = packets(&mut encoder(OpusConfig::default()), 30);
    let heard: Vec<_> = good.iter().flat_map(|it| decode(&mut decoder, it)).collect();
    assert!(strength(&heard[3_200..], 700) > 0.9);
}
