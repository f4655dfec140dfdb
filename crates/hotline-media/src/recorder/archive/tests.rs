//! An archive copy, read page by page.

use hotline_dsp::{OPUS_SAMPLES_MAX, OpusDecoder, Tone, g711::linear_to_alaw, strength};

use super::*;
use crate::{ogg::checksum, wav};

/// A page: its flags, its granule position, its packets. Checks what every page must have.
fn page<'a>(file: &mut &'a [u8], number: u32) -> (u8, u64, Vec<&'a [u8]>) {
    let n_segments = usize::from(file[26]);
    let lengths = &file[27..27 + n_segments];
    let size = lengths.iter().map(|it| usize::from(*it)).sum::<usize>();
    let (page, rest) = file.split_at(27 + n_segments + size);
    *file = rest;
    assert_eq!(&page[..5], b"OggS\0");
    assert_eq!(page[18..22], number.to_le_bytes());
    let mut zeroed = page.to_vec();
    zeroed[22..26].fill(0);
    assert_eq!(page[22..26], checksum(&zeroed).to_le_bytes());
    let mut packets = Vec::new();
    let (mut at, mut length) = (27 + n_segments, 0);
    for it in lengths {
        length += usize::from(*it);
        if *it < 255 {
            packets.push(&page[at..at + length]);
            at += length;
            length = 0;
        }
    }
    assert_eq!(length, 0, "no packet goes over two pages");
    (page[5], u64::from_le_bytes(page[6..14].try_into().unwrap()), packets)
}

/// The two packets of one of two streams (RFC 6716 Appendix B).
fn split(packet: &[u8]) -> (Vec<u8>, &[u8]) {
    assert_eq!(packet[0] & 3, 0, "one frame");
    let (length, at) = match usize::from(packet[1]) {
        short @ 0..252 => (short, 2),
        long => (long + 4 * usize::from(packet[2]), 3),
    };
    let first = [&packet[..1], &packet[at..at + length]].concat();
    (first, &packet[at + length..])
}

#[test]
fn checksum_is_that_of_the_standard() {
    // CRC-32/MPEG-2 from nothing: what the catalogue of CRCs has for polynomial 0x04C11DB7,
    // init 0, without reflection and final XOR, of one byte.
    assert_eq!(checksum(&[1]), 0x04C1_1DB7);
    assert_eq!(checksum(&[0, 0, 0]), 0);
}

#[test]
fn an_archive_copy_holds_what_each_said_on_his_channel_and_is_as_long() {
    let place = std::env::temp_dir().join(format!("hotline-archive-{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    let recording = place.join("r-1.wav");
    let samples = 3 * 8_000 + 77;
    let mut wav = wav::header(samples as u64).to_vec();
    let (mut left, mut right) = (Tone::new(500, 8_000), Tone::new(700, 8_000));
    // The right one begins after a second.
    for n in 0..samples {
        let right = if n < 8_000 { 0 } else { right.next_sample() };
        wav.extend([linear_to_alaw(left.next_sample()), linear_to_alaw(right)]);
    }
    fs::write(&recording, &wav).unwrap();
    archive(&recording).unwrap();
    let file = fs::read(recording.with_extension("opus")).unwrap();
    assert_eq!(fs::read(&recording).unwrap(), wav, "the recording is as it was");
    assert!(file.len() * 2 < wav.len(), "{} bytes of {}", file.len(), wav.len());
    assert!(!recording.with_extension("opus.new").exists());
    fs::remove_dir_all(&place).unwrap();

    let mut rest = &file[..];
    let (flags, _, first) = page(&mut rest, 0);
    assert_eq!((flags, &first[0][..10]), (2, &b"OpusHead\x01\x02"[..]));
    assert_eq!(page(&mut rest, 1).2[0][..8], *b"OpusTags");
    let mut decoders = [OpusDecoder::new().unwrap(), OpusDecoder::new().unwrap()];
    let mut heard = [Vec::new(), Vec::new()];
    let (mut number, mut last) = (2, (0, 0));
    while !rest.is_empty() {
        let (flags, granule, packets) = page(&mut rest, number);
        number += 1;
        last = (flags, granule);
        for packet in packets {
            let (first, second) = split(packet);
            let both = decoders.iter_mut().zip(&mut heard).zip([&first[..], second]);
            for ((decoder, heard), packet) in both {
                let mut to = [0; OPUS_SAMPLES_MAX];
                let n = decoder.decode(packet, &mut to).unwrap();
                heard.extend_from_slice(&to[..n]);
            }
        }
    }
    let skip = u64::from(PRE_SKIP);
    assert_eq!(last, (4, samples as u64 * RATIO + skip));
    let skip = usize::try_from(skip / RATIO).unwrap();
    for it in &mut heard {
        assert!(it.len() >= samples + skip && it.len() < samples + skip + FRAME);
        it.drain(..skip);
    }
    let [left, right] = heard;
    let sounds = |it: &[i16], hz| it.chunks_exact(400).filter(|it| strength(it, hz) > 0.9).count();
    assert!(sounds(&left, 500) >= 58 && sounds(&left, 700) == 0);
    assert!(sounds(&right[8_000..], 700) >= 38 && sounds(&right, 500) == 0);
    // Where it begins is where it began, to five milliseconds.
    let begins = right.iter().position(|it| it.unsigned_abs() > 1_000).unwrap();
    assert!(begins.abs_diff(8_000) <= 40, "at sample {begins}");
}
