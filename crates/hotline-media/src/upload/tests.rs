//! Files of every kind, files that lie, and what is heard of them.

use hotline_base::Random;
use hotline_dsp::{g711::linear_to_ulaw, strength};

use super::*;

/// A file with these numbers in its format and this behind it.
fn file(tag: u16, channels: u16, rate: u32, bits: u16, audio: &[u8]) -> Vec<u8> {
    let frame = channels * (bits / 8);
    let data = u32::try_from(audio.len()).unwrap();
    let parts: [&[u8]; 13] = [
        b"RIFF",
        &(36 + data + data % 2).to_le_bytes(),
        b"WAVEfmt ",
        &16_u32.to_le_bytes(),
        &tag.to_le_bytes(),
        &channels.to_le_bytes(),
        &rate.to_le_bytes(),
        &(rate * u32::from(frame)).to_le_bytes(),
        &frame.to_le_bytes(),
        &bits.to_le_bytes(),
        b"data",
        &data.to_le_bytes(),
        audio,
    ];
    let mut file = parts.concat();
    file.resize(file.len() + audio.len() % 2, 0);
    file
}

/// Two seconds of a sine at a rate, as parts of full scale.
fn sine(hz: f64, rate: u32, peak: f64) -> Vec<f64> {
    let step = std::f64::consts::TAU * hz / f64::from(rate);
    (0..rate * 2).map(|n| (f64::from(n) * step).sin() * peak).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "samples")]
fn pcm16(samples: &[f64]) -> Vec<u8> {
    samples.iter().flat_map(|it| ((it * 32_767.0) as i16).to_le_bytes()).collect()
}

fn heard(file: &[u8]) -> (Vec<i16>, SoundReport) {
    let UploadedPrompt { wav, report } = convert_upload(file).unwrap();
    // What is written is read by those who play it.
    let audio = crate::wav::read_prompt(&wav).unwrap();
    (audio.into_iter().map(alaw_to_linear).collect(), report)
}

#[test]
fn a_tone_of_every_rate_is_heard_at_its_pitch_and_level_and_for_its_time() {
    for rate in RATES {
        let (samples, report) = heard(&file(1, 1, rate, 16, &pcm16(&sine(1_000.0, rate, 0.25))));
        assert_eq!(report.length_ms, 2_000, "{rate}");
        let middle = &samples[1_600..14_400];
        assert!(strength(middle, 1_000) > 0.99, "{rate}: {}", strength(middle, 1_000));
        // A sine of a quarter of full scale.
        assert!((report.loudness_dbfs + 15.05).abs() < 0.2, "{rate}: {}", report.loudness_dbfs);
        assert!((report.peak_dbfs + 12.04).abs() < 0.1, "{rate}: {}", report.peak_dbfs);
        assert!(report.clipped == 0 && report.warnings().is_empty(), "{rate}: {report}");
    }
}

#[test]
fn what_a_telephone_carries_is_kept_and_what_lies_above_does_not_fold_back() {
    for rate in [16_000, 44_100, 48_000] {
        // Without beginning and end, where a tone that is cut is more than a tone.
        let level = |hz| {
            let file = file(1, 1, rate, 16, &pcm16(&sine(hz, rate, 0.5)));
            let (samples, _) = resample::to_8000(&mono(&wav::read(&file).unwrap()), rate);
            loudness::peak_dbfs(&samples[1_600..14_400])
        };
        let reference = level(1_000.0);
        for hz in [300.0, 2_000.0, 3_400.0] {
            assert!((level(hz) - reference).abs() < 0.5, "{rate}: {hz} Hz at {}", level(hz));
        }
        for hz in [4_200.0, 5_000.0, 7_500.0] {
            assert!(level(hz) < reference - 50.0, "{rate}: {hz} Hz at {}", level(hz));
        }
    }
}

#[test]
fn every_coding_and_width_is_understood_and_stereo_becomes_mono() {
    let tone = sine(800.0, 8_000, 0.3);
    #[expect(clippy::cast_possible_truncation, reason = "samples")]
    let wide = |bits: u32| -> Vec<u8> {
        let full = f64::from(1_u32 << (bits - 1)) - 1.0;
        let bytes = |it: &f64| ((it * full) as i32).to_le_bytes();
        let keep = (bits / 8) as usize;
        tone.iter().flat_map(|it| bytes(it).into_iter().take(keep).collect::<Vec<_>>()).collect()
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "samples")]
    let eight: Vec<u8> = tone.iter().map(|it| (it * 127.0 + 128.0) as u8).collect();
    let stereo: Vec<u8> = pcm16(&tone).chunks(2).flat_map(|it| [it, it].concat()).collect();
    #[expect(clippy::cast_possible_truncation, reason = "samples")]
    let law = |law: fn(i16) -> u8| tone.iter().map(|it| law((it * 32_767.0) as i16)).collect();
    let (alaw, ulaw): (Vec<u8>, Vec<u8>) = (law(linear_to_alaw), law(linear_to_ulaw));
    for (tag, channels, bits, audio) in [
        (1, 1, 8, eight),
        (1, 1, 16, wide(16)),
        (1, 1, 24, wide(24)),
        (1, 1, 32, wide(32)),
        (1, 2, 16, stereo),
        (6, 1, 8, alaw),
        (7, 1, 8, ulaw),
    ] {
        let (samples, report) = heard(&file(tag, channels, 8_000, bits, &audio));
        assert!(strength(&samples, 800) > 0.98, "{report}");
        assert!((report.loudness_dbfs + 13.5).abs() < 0.3, "{report}");
    }
}

#[test]
fn a_law_stays_bit_by_bit_and_the_extensible_form_is_the_same() {
    let audio: Vec<_> = (0..=255).cycle().take(4_001).collect();
    let file = file(6, 1, 8_000, 8, &audio);
    assert_eq!(crate::wav::read_prompt(&convert_upload(&file).unwrap().wav).unwrap(), audio);
    let mut extensible = file[..12].to_vec();
    extensible.extend(b"fmt \x28\0\0\0\xFE\xFF");
    extensible.extend(&file[22..36]);
    extensible.extend([22, 0, 8, 0, 0, 0, 0, 0, 6, 0]);
    extensible.extend([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]);
    extensible.extend(&file[36..]);
    let riff = u32::try_from(extensible.len() - 8).unwrap();
    extensible[4..8].copy_from_slice(&riff.to_le_bytes());
    assert_eq!(convert_upload(&extensible), convert_upload(&file));
    extensible[50] ^= 1;
    assert_eq!(convert_upload(&extensible), Err(BadUpload::Coding(0xFFFE)));
}

#[test]
fn what_is_cut_off_too_loud_or_too_quiet_is_told() {
    let of = |peak: f64| {
        let tone: Vec<_> = sine(500.0, 8_000, peak).iter().map(|it| it.clamp(-1.0, 1.0)).collect();
        heard(&file(1, 1, 8_000, 16, &pcm16(&tone))).1
    };
    assert_eq!(of(0.4).warnings(), [""; 0]);
    let loud = of(1.5);
    assert!(loud.clipped > 1_000 && loud.peak_dbfs > -0.01, "{loud}");
    assert_eq!(loud.warnings().len(), 2, "{:?}", loud.warnings());
    assert_eq!(of(0.01).warnings().len(), 1);
    // One channel that is cut off, beside one that is silent: the mean of both is not loud at all.
    let left =
        pcm16(&sine(500.0, 8_000, 1.5).iter().map(|it| it.clamp(-1.0, 1.0)).collect::<Vec<_>>());
    for side in [0, 1] {
        let both =
            left.chunks(2).flat_map(|it| if side == 0 { [it, &[0; 2]] } else { [&[0; 2], it] });
        let stereo = heard(&file(1, 2, 8_000, 16, &both.collect::<Vec<_>>().concat())).1;
        assert!(stereo.clipped == loud.clipped && stereo.peak_dbfs < -6.0, "{side}: {stereo}");
    }
    // Silence around does not make it quieter.
    let mut padded = vec![0.0; 24_000];
    padded.extend(sine(500.0, 8_000, 0.25));
    let report = heard(&file(1, 1, 8_000, 16, &pcm16(&padded))).1;
    assert!((report.loudness_dbfs + 15.05).abs() < 0.6, "{report}");
    let silent = heard(&file(1, 1, 8_000, 16, &[0; 16_000])).1;
    assert!(silent.loudness_dbfs < -90.0 && silent.warnings().len() == 1, "{silent}");
}

#[test]
fn v25_files_that_lie_or_are_none_are_refused_with_their_reason() {
    let good = file(1, 1, 8_000, 16, &[1; 320]);
    assert!(convert_upload(&good).is_ok());
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        convert_upload(&file).unwrap_err()
    };
    let huge = u32::MAX.to_le_bytes();
    for (at, bytes, why) in [
        (0, &b"RIFX"[..], BadUpload::NotWav),
        (8, b"AVI ", BadUpload::NotWav),
        (4, &huge, BadUpload::Lengths),
        (4, &[3, 0, 0, 0], BadUpload::Lengths),
        (16, &huge, BadUpload::Lengths),
        (16, &[2, 0, 0, 0], BadUpload::Lengths),
        (40, &huge, BadUpload::Lengths),
        (40, &[0x7F, 1, 0, 0], BadUpload::Lengths),
        (20, &[0x55, 0], BadUpload::Coding(0x55)),
        (20, &[3, 0], BadUpload::Coding(3)),
        (22, &[0, 0], BadUpload::Channels(0)),
        (22, &[6, 0], BadUpload::Channels(6)),
        (24, &[0; 4], BadUpload::Rate(0)),
        (24, &huge, BadUpload::Rate(u32::MAX)),
        (28, &[1, 0, 0, 0], BadUpload::Contradiction),
        (32, &[0, 0], BadUpload::Contradiction),
        (34, &[12, 0], BadUpload::Bits(12)),
        (34, &[0, 0], BadUpload::Bits(0)),
        (12, b"data", BadUpload::Contradiction),
        (36, b"fmt ", BadUpload::Contradiction),
        (36, b"LIST", BadUpload::Empty),
    ] {
        assert_eq!(with(at, bytes), why, "{bytes:?} at {at}");
    }
    assert_eq!(convert_upload(&file(1, 1, 8_000, 16, &[])), Err(BadUpload::Empty));
    assert_eq!(convert_upload(&file(1, 2, 8_000, 16, &[0; 6])), Err(BadUpload::Lengths));
    let long = file(6, 1, 8_000, 8, &vec![0xD5; 14_400_000]);
    assert_eq!(convert_upload(&long), Err(BadUpload::TooLong));
    for len in 0..44 {
        assert!(convert_upload(&good[..len]).is_err(), "cut at {len}");
    }
    let said = BadUpload::Rate(7).to_string();
    assert!(said.contains("采样率") && said.contains("samples a second"), "{said}");
    let said = BadUpload::Coding(3).to_string();
    assert!(
        said.contains("编码 3（浮点）") && said.contains("coding 3 (floating point)"),
        "{said}"
    );
}

#[test]
fn what_a_process_apart_tells_arrives_whole_or_not_at_all() {
    let good = file(1, 2, 44_100, 16, &[7; 400]);
    for outcome in [convert_upload(&good), Err(BadUpload::Coding(3))] {
        let told = pack_upload(&outcome);
        assert_eq!(unpack_upload(&told), Some(outcome));
        assert_eq!(unpack_upload(&told[..told.len() - 1]), None);
    }
    assert_eq!(unpack_upload(b""), None);
}

#[test]
fn v25_thousands_of_spoilt_files_are_converted_or_refused_and_never_end_a_process() {
    let seeds = [
        file(1, 2, 44_100, 16, &[7; 400]),
        file(6, 1, 8_000, 8, &[0xD5; 300]),
        file(1, 1, 11_025, 24, &[9; 300]),
    ];
    let mut random = Random::new(5);
    for n in 0..3_000 {
        let mut bytes = seeds[n % 3].clone();
        for _ in 0..random.between(1, 6) {
            let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
            match random.below(4) {
                0 if bytes.len() > 1 => drop(bytes.remove(at)),
                1 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
                2 => bytes.insert(at, [0, 0xFF, b'd', 1][at % 4]),
                _ => bytes.truncate(at.max(1)),
            }
        }
        if let Ok(it) = convert_upload(&bytes) {
            assert!(it.wav.len() <= 58 + 2 * bytes.len(), "{} of {}", it.wav.len(), bytes.len());
            assert!(it.report.peak_dbfs <= 0.0 && it.report.loudness_dbfs <= 0.1, "{}", it.report);
            assert!(crate::wav::read_prompt(&it.wav).is_ok());
        }
    }
}
