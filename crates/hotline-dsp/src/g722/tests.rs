//! Against another implementation, and for what is heard.
//!
//! The hashes are of what libspandsp 0.0.6, as Debian 12 ships it, gives for these signals in its
//! mode for 8,000 Hz.

use super::*;
use crate::{FRAME, Tone, amplitude_of, g711};

/// FNV-1a.
fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xCBF2_9CE4_8422_2325, |hash, it| {
        (hash ^ u64::from(it)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// A second of a triangle with noise on it, in whole numbers that any language repeats.
fn signal(amplitude: i64) -> Vec<i16> {
    let mut state = 12_345_u32;
    let samples = (0..8_000_i64).map(|n| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise =
            ((i64::from(state >> 16) - 32_768) * amplitude).div_euclid(32_768).div_euclid(4);
        let triangle = (n % 40 - 20).abs() * amplitude / 20 - amplitude / 2;
        let it = ((triangle + noise) * (n / 400 % 4 + 1)).div_euclid(4);
        i16::try_from(it.clamp(-32_768, 32_767)).unwrap()
    });
    samples.collect()
}

fn encode(samples: &[i16]) -> Vec<u8> {
    let mut bytes = vec![0; samples.len()];
    G722Encoder::default().encode(samples, &mut bytes);
    bytes
}

fn decode(bytes: &[u8]) -> Vec<i16> {
    let mut samples = vec![0; bytes.len()];
    G722Decoder::default().decode(bytes, &mut samples);
    samples
}

#[test]
fn bytes_and_samples_are_those_of_another_implementation_to_the_bit() {
    for (amplitude, encoded, decoded) in [
        (30_000, 0xA63D_37C5_CCB4_182F, 0x66CC_E2EA_5E0C_3CB8),
        (3_000, 0x99DC_4BBA_77EF_5313, 0xA774_A2FE_0557_7CD5),
        (65_534, 0xCBB5_08D7_1DA0_1907, 0x8A34_CF49_29F8_ECC8),
    ] {
        let bytes = encode(&signal(amplitude));
        assert_eq!(hash(bytes.iter().copied()), encoded, "{amplitude}: {:02x?}", &bytes[..16]);
        let samples = decode(&bytes);
        assert_eq!(hash(samples.iter().flat_map(|it| it.to_le_bytes())), decoded, "{amplitude}");
    }
}

#[test]
fn any_bytes_at_all_decode_as_another_implementation_decodes_them() {
    let mut state = 99_u32;
    let bytes: Vec<_> = (0..8_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect();
    let samples = decode(&bytes);
    assert_eq!(hash(samples.iter().flat_map(|it| it.to_le_bytes())), 0x6A00_ED11_2953_2F41);
}

/// Signal to noise in decibels, after the coder has settled.
fn snr(heard: &[i16], said: &[i16]) -> f64 {
    let (mut signal, mut noise) = (0.0, 1.0);
    for (heard, said) in heard.iter().zip(said).skip(800) {
        let (heard, said) = (f64::from(*heard), f64::from(*said));
        signal += said * said;
        noise += (heard - said) * (heard - said);
    }
    10.0 * (signal / noise).log10()
}

#[test]
fn a_tone_comes_back_as_clean_as_through_g_711() {
    for hz in [300, 1_000, 2_000, 3_000] {
        for dbm0 in [-30.0, -15.0, -5.0] {
            let mut said = vec![0; 8_000];
            Tone::new(hz, amplitude_of(dbm0)).fill(&mut said);
            let heard = decode(&encode(&said));
            let g711: Vec<_> =
                said.iter().map(|it| g711::alaw_to_linear(g711::linear_to_alaw(*it))).collect();
            let (wide, narrow) = (snr(&heard, &said), snr(&g711, &said));
            assert!(wide > 38.0 && wide > narrow - 1.0, "{hz} {dbm0}: {wide} against {narrow}");
        }
    }
}

#[test]
fn silence_stays_silence_and_a_lost_packet_is_forgotten() {
    assert!(decode(&encode(&[0; 800])).iter().all(|it| it.abs() <= 8));
    let mut said = vec![0; 8_000];
    Tone::new(700, 8_000).fill(&mut said);
    let mut bytes = encode(&said);
    bytes.drain(1_600..1_600 + FRAME);
    said.drain(1_600..1_600 + FRAME);
    let heard = decode(&bytes);
    assert!(
        snr(&heard[4_000..], &said[4_000..]) > 35.0,
        "{}",
        snr(&heard[4_000..], &said[4_000..])
    );
}
