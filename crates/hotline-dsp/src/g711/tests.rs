//! G.711 against the values of the recommendation.

use super::*;

#[test]
fn bytes_of_the_recommendation_expand_to_its_values() {
    // ITU-T G.191, a-law and µ-law corner values scaled to 16 bits.
    for (byte, sample) in [(0xD5, 8), (0x55, -8), (0xAA, 32_256), (0x2A, -32_256), (0x80, 5_504)] {
        assert_eq!(alaw_to_linear(byte), sample, "{byte:#04x}");
    }
    for (byte, sample) in [(0xFF, 0), (0x7F, 0), (0x80, 32_124), (0x00, -32_124), (0xFE, 8)] {
        assert_eq!(ulaw_to_linear(byte), sample, "{byte:#04x}");
    }
}

#[test]
fn every_byte_survives_the_way_through_linear() {
    for byte in 0..=u8::MAX {
        assert_eq!(linear_to_alaw(alaw_to_linear(byte)), byte);
        // µ-law has two zeros; the negative one comes back as the positive one.
        let expected = if byte == 0x7F { 0xFF } else { byte };
        assert_eq!(linear_to_ulaw(ulaw_to_linear(byte)), expected);
    }
}

#[test]
fn a_compressed_sample_is_the_nearest_one_within_its_step() {
    for sample in i16::MIN..=i16::MAX {
        let (was, a, u) = (
            i32::from(sample),
            i32::from(alaw_to_linear(linear_to_alaw(sample))),
            i32::from(ulaw_to_linear(linear_to_ulaw(sample))),
        );
        let tolerance = was.abs() / 16 + 16;
        assert!((was - a).abs() <= tolerance, "A-law: {was} became {a}");
        assert!((was - u).abs() <= tolerance + 500 * i32::from(was.abs() > 32_000), "{was} {u}");
    }
}

#[test]
fn a_listener_on_the_other_law_hears_the_same_loudness() {
    for byte in 0..=u8::MAX {
        let (a, u) = (
            i32::from(alaw_to_linear(byte)),
            i32::from(ulaw_to_linear(through(&ALAW_TO_ULAW, byte))),
        );
        assert!((a - u).abs() <= a.abs() / 16 + 16, "A-law {a} became µ-law {u}");
        let (u, a) = (
            i32::from(ulaw_to_linear(byte)),
            i32::from(alaw_to_linear(through(&ULAW_TO_ALAW, byte))),
        );
        assert!((a - u).abs() <= u.abs() / 16 + 16, "µ-law {u} became A-law {a}");
    }
    assert_eq!(through(&ULAW_TO_ALAW, ULAW_SILENCE), ALAW_SILENCE);
    let mut frame = [ALAW_SILENCE; 4];
    transcode(&ALAW_TO_ULAW, &mut frame);
    let mut copy = [0; 4];
    transcode_into(&ALAW_TO_ULAW, &[ALAW_SILENCE; 4], &mut copy);
    assert_eq!(frame, copy);
}

#[test]
fn the_table_has_the_byte_of_every_sample() {
    for sample in i16::MIN..=i16::MAX {
        assert_eq!(linear_to_alaw(sample), alaw_compress(sample), "{sample}");
    }
}
