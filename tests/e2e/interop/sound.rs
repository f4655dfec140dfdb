//! What peers say, in the files that they read.

use hotline_testkit::{FRAME, RATE, packet};

/// How long a file lasts; more than any talk here.
const SECS: usize = 20;

const AMPLITUDE: i16 = 8_000;

/// Raw A-law samples.
pub(crate) fn alaw(hz: u32) -> Vec<u8> {
    let mut it = vec![0; RATE as usize * SECS];
    hotline_dsp::Tone::new(hz, AMPLITUDE).fill_alaw(&mut it);
    it
}

/// A WAV file of one channel of 16 bits.
pub(crate) fn wav(hz: u32) -> Vec<u8> {
    let mut samples = vec![0; RATE as usize * SECS];
    hotline_dsp::Tone::new(hz, AMPLITUDE).fill(&mut samples);
    let n = u32::try_from(samples.len() * 2).unwrap();
    let mut it = b"RIFF".to_vec();
    it.extend((n + 36).to_le_bytes());
    it.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    it.extend(RATE.to_le_bytes());
    it.extend((RATE * 2).to_le_bytes());
    it.extend(b"\x02\0\x10\0data");
    it.extend(n.to_le_bytes());
    it.extend(samples.iter().flat_map(|it| it.to_le_bytes()));
    it
}

/// A capture of a tone as A-law over RTP.
pub(crate) fn tone_capture(hz: u32) -> Vec<u8> {
    let audio = alaw(hz);
    let packets = audio.chunks_exact(FRAME).zip(0_u16..);
    capture(packets.map(|(frame, n)| packet(n == 0, 8, n, u32::from(n) * 160, 0x0C0F_FEE0, frame)))
}

/// A capture of a key that is pressed for 200 ms, by its code (RFC 4733).
pub(crate) fn key_capture(code: u8, payload_type: u8) -> Vec<u8> {
    capture((0..13_u16).map(|n| {
        let duration = (n.min(10) * 160).to_be_bytes();
        let end = if n >= 10 { 0x80 } else { 0 };
        let event = [code, end | 0x0A, duration[0], duration[1]];
        packet(n == 0, payload_type, n, 4_000, 0x0C0F_FEE1, &event)
    }))
}

/// A pcap file of Ethernet frames, a packet each 20 ms.
fn capture(packets: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut it = Vec::new();
    for word in [0xA1B2_C3D4, 0x0004_0002, 0, 0, 65_535, 1_u32] {
        it.extend(word.to_le_bytes());
    }
    for (rtp, n) in packets.zip(0_u32..) {
        let udp_len = u16::try_from(8 + rtp.len()).unwrap();
        let ip_len = udp_len + 20;
        let frame_len = u32::from(ip_len) + 14;
        for word in [n / 50, n % 50 * 20_000, frame_len, frame_len] {
            it.extend(word.to_le_bytes());
        }
        // Ethernet: no addresses, IPv4. IPv4: UDP, with addresses and ports that the player sets.
        it.extend([0; 12]);
        it.extend(b"\x08\0\x45\0");
        it.extend(ip_len.to_be_bytes());
        it.extend(b"\0\0\0\0\x40\x11\0\0\x7F\0\0\x02\x7F\0\0\x01");
        it.extend(b"\x17\x70\x17\x70");
        it.extend(udp_len.to_be_bytes());
        it.extend([0; 2]);
        it.extend(rtp);
    }
    it
}
