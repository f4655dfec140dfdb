//! Vectors of the RFCs, another implementation as judge, and what an attacker may try.

use rtc_srtp::{
    context::Context, option::srtp_replay_protection, protection_profile::ProtectionProfile,
};

use super::{
    cipher::{Cm, Gcm},
    *,
};
use crate::{HEADER_LEN, Header, MediaTime, write_header};

const PROFILES: [SrtpProfile; 3] = [
    SrtpProfile::AesCm128HmacSha1_80,
    SrtpProfile::AesCm128HmacSha1_32,
    SrtpProfile::AeadAes128Gcm,
];

pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |it: &[u8]| u8::from_str_radix(std::str::from_utf8(it).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn master(profile: SrtpProfile) -> MasterKey {
    let bytes: Vec<u8> = (1..=30).collect();
    MasterKey::new(profile, &bytes[..profile.key_and_salt()]).unwrap()
}

fn pair(profile: SrtpProfile) -> (SrtpSender, SrtpReceiver) {
    (SrtpSender::new(&master(profile)), SrtpReceiver::new(&master(profile)))
}

/// A packet of 20 ms with room behind it.
fn packet(sequence: u16) -> ([u8; 200], usize) {
    let mut bytes = [0x55; 200];
    let timestamp = MediaTime(u32::from(sequence) * 160);
    let header = Header { marker: false, payload_type: 8, sequence, timestamp, ssrc: 0xCAFE };
    assert!(write_header(&mut bytes, &header));
    (bytes, HEADER_LEN + 160)
}

fn protected(sender: &mut SrtpSender, sequence: u16) -> Vec<u8> {
    let (mut bytes, len) = packet(sequence);
    let n = sender.protect(&mut bytes, len).unwrap();
    bytes[..n].to_vec()
}

/// A sender report with a report block.
fn report() -> Vec<u8> {
    let mut bytes = hex("81c8000c 0000cafe");
    bytes.extend((0..44).collect::<Vec<u8>>());
    bytes
}

#[test]
fn rfc_3711_b2_the_key_stream_of_counter_mode() {
    let key = hex("2B7E151628AED2A6ABF7158809CF4F3C");
    let salt = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD");
    let it = Cm::new(key[..].try_into().unwrap(), salt[..].try_into().unwrap(), &[0; 20], 10);
    let mut data = [0; 48];
    it.apply(0, 0, &mut data);
    let expected = "E03EAD0935C95E80E166B16DD92B4EB4
        D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0";
    assert_eq!(data[..], hex(expected));
}

#[test]
fn rfc_3711_b3_session_keys_of_a_master_key() {
    let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
    let master = MasterKey::new(SrtpProfile::AesCm128HmacSha1_80, &key).unwrap();
    let of = |label| cipher::expand::<20>(&master, label);
    assert_eq!(of(0)[..16], hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(of(2)[..14], hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(of(1)[..], hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
}

#[test]
fn rfc_7714_16_1_a_packet_sealed_by_gcm() {
    let key: Vec<u8> = (0..16).collect();
    let salt = hex("517569642070726f2071756f");
    let it = Gcm::new(key[..].try_into().unwrap(), salt[..].try_into().unwrap());
    let head = hex("8040f17b 8041f8d3 5501a0b2");
    let mut data = b"Gallia est omnis divisa in partes tres".to_vec();
    let mut tag = [0; 16];
    it.seal((0x5501_A0B2, 0xF17B), &head, &mut data, &mut tag).unwrap();
    let expected = "f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b
        36de3adf 8833 899d7f27 beb16a91 52cf765e e4390cce";
    assert_eq!([&data[..], &tag].concat(), hex(expected));
    it.open((0x5501_A0B2, 0xF17B), &head, &mut data, &tag).unwrap();
    assert_eq!(data, b"Gallia est omnis divisa in partes tres");
}

/// The context of another implementation, with the same key.
fn judge(profile: SrtpProfile) -> Context {
    let theirs = match profile {
        SrtpProfile::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        SrtpProfile::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
        SrtpProfile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
    };
    let bytes: Vec<u8> = (1..=30).collect();
    let (key, salt) = bytes[..profile.key_and_salt()].split_at(KEY);
    let provider = rtc_srtp::crypto::default_provider().unwrap();
    let window = Some(srtp_replay_protection(128));
    Context::new(key, salt, theirs, window, None, provider.crypto()).unwrap()
}

#[test]
fn another_implementation_opens_what_we_protect_over_two_turns_of_the_counter() {
    for profile in PROFILES {
        let (mut sender, mut judge) = (SrtpSender::new(&master(profile)), judge(profile));
        let mut sequence = 20_000_u16;
        for _ in 0..3_000 {
            let sealed = protected(&mut sender, sequence);
            let (bytes, len) = packet(sequence);
            assert_eq!(judge.decrypt_rtp(&sealed).unwrap()[..], bytes[..len]);
            sequence = sequence.wrapping_add(50);
        }
        let mut bytes = report();
        let len = bytes.len();
        bytes.resize(len + SRTP_OVERHEAD, 0);
        for _ in 0..3 {
            let mut sealed = bytes.clone();
            let n = sender.protect_rtcp(&mut sealed, len).unwrap();
            assert_eq!(judge.decrypt_rtcp(&sealed[..n]).unwrap()[..], report());
        }
    }
}

#[test]
fn we_open_what_another_implementation_protects_with_extension_and_padding() {
    for profile in PROFILES {
        let (mut judge, mut receiver) = (judge(profile), SrtpReceiver::new(&master(profile)));
        for sequence in (20_000..=u16::MAX).step_by(50).chain((0..40_000).step_by(50)) {
            let (bytes, len) = packet(sequence);
            let mut plain = bytes[..len].to_vec();
            // One contributing source, an extension of one word, padding of four bytes.
            plain[0] = 0xB1;
            plain.splice(12..12, hex("00000001 bede0001 12112233"));
            plain.extend([0, 0, 0, 4]);
            let mut sealed = judge.encrypt_rtp(&plain).unwrap().to_vec();
            let n = receiver.open(&mut sealed).unwrap();
            assert_eq!(sealed[..n], plain);
        }
        let mut sealed = judge.encrypt_rtcp(&report()).unwrap().to_vec();
        let n = receiver.open_rtcp(&mut sealed).unwrap();
        assert_eq!(sealed[..n], report());
    }
}

#[test]
fn v3_replays_of_a_thousand_packets_are_not_accepted_in_any_order() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let sealed: Vec<_> = (64_900..=u16::MAX)
            .chain(0..364)
            .map(|sequence| protected(&mut sender, sequence))
            .collect();
        for it in &sealed {
            assert!(receiver.open(&mut it.clone()).is_ok());
        }
        let mut random = hotline_base::Random::new(3);
        let mut again = 0;
        for _ in 0..3 * sealed.len() {
            let at = usize::try_from(random.below(sealed.len() as u64)).unwrap();
            again += usize::from(receiver.open(&mut sealed[at].clone()).is_ok());
        }
        assert_eq!((sealed.len(), again), (1_000, 0), "{profile:?}");
        let mut fresh = protected(&mut sender, 364);
        assert!(receiver.open(&mut fresh).is_ok());
    }
}

#[test]
fn v3_the_next_process_opens_what_is_sent_after_turns_of_the_counter_and_no_replay() {
    for profile in PROFILES {
        let (mut sender, mut before) = pair(profile);
        let mut sent = Vec::new();
        let mut noted = None;
        for n in 0..140_000_u32 {
            let packet = protected(&mut sender, u16::try_from((n + 60_000) & 0xFFFF).unwrap());
            if n % 1_024 == 0 {
                // A few at most, as of a peer whose packets are lost in between.
                before.open(&mut packet.clone()).unwrap();
                noted = Some(before.progress());
            }
            if n >= 139_000 {
                sent.push(packet);
            }
        }
        let (noted, last) = (noted.unwrap(), sent.pop().unwrap());
        assert_eq!(noted.rtp.unwrap().1 >> 16, 3);
        let fresh = SrtpReceiver::new(&master(profile)).open(&mut last.clone());
        assert_eq!(fresh, Err(SrtpError::BadTag), "without the turns it knows nothing");
        let mut next = SrtpReceiver::resumed(&master(profile), &noted);
        next.open(&mut last.clone()).unwrap();
        for it in sent {
            assert_eq!(next.open(&mut it.clone()), Err(SrtpError::Replayed));
        }
    }
}

#[test]
fn after_another_key_the_turns_may_go_on_or_begin_anew() {
    for profile in PROFILES {
        let (_, mut before) = pair(profile);
        let (mut on, _) = pair(profile);
        for sequence in [65_000_u16, 65_535, 30_000] {
            let packet = protected(&mut on, sequence);
            before.open(&mut packet.clone()).unwrap();
        }
        let goes_on = protected(&mut on, 30_001);
        let begins = protected(&mut pair(profile).0, 30_001);
        for mut packet in [goes_on.clone(), begins] {
            let mut after = SrtpReceiver::new(&master(profile));
            after.follow(&before);
            after.open(&mut packet).unwrap();
        }
        let other = SrtpReceiver::new(&master(profile)).open(&mut goes_on.clone());
        assert_eq!(other, Err(SrtpError::BadTag));
    }
}

#[test]
fn v3_a_packet_with_any_bit_changed_is_left_as_it_came_and_moves_no_window() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let sealed = protected(&mut sender, 10);
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let before = changed.clone();
            assert!(receiver.open(&mut changed).is_err(), "{profile:?} bit {bit}");
            // GCM decrypts before it knows; nobody looks at such a packet again.
            assert!(profile == SrtpProfile::AeadAes128Gcm || changed == before);
        }
        assert!(receiver.open(&mut sealed.clone()).is_ok());
        let mut report = report();
        let len = report.len();
        report.resize(len + SRTP_OVERHEAD, 0);
        let n = sender.protect_rtcp(&mut report, len).unwrap();
        for bit in 0..n * 8 {
            let mut changed = report[..n].to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(receiver.open_rtcp(&mut changed).is_err(), "{profile:?} bit {bit}");
        }
        assert!(receiver.open_rtcp(&mut report[..n].to_vec()).is_ok());
        assert_eq!(receiver.open_rtcp(&mut report[..n].to_vec()), Err(SrtpError::Replayed));
    }
}

#[test]
fn a_sequence_number_is_never_protected_twice() {
    let (mut sender, _) = pair(SrtpProfile::AeadAes128Gcm);
    protected(&mut sender, 7);
    protected(&mut sender, 9);
    protected(&mut sender, 8);
    for sequence in [7, 8, 9] {
        let (mut bytes, len) = packet(sequence);
        assert_eq!(sender.protect(&mut bytes, len), Err(SrtpError::Replayed));
    }
}

#[test]
fn what_is_too_short_is_refused_at_every_length() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let sealed = protected(&mut sender, 10);
        for len in 0..sealed.len() {
            assert!(receiver.open(&mut sealed[..len].to_vec()).is_err());
            assert!(receiver.open_rtcp(&mut sealed[..len].to_vec()).is_err());
        }
        let (mut bytes, _) = packet(11);
        assert_eq!(sender.protect(&mut bytes, 200), Err(SrtpError::TooShort));
        assert_eq!(sender.protect(&mut bytes, 11), Err(SrtpError::TooShort));
        assert_eq!(sender.protect_rtcp(&mut bytes, 200), Err(SrtpError::TooShort));
        assert_eq!(sender.protect_rtcp(&mut bytes, 7), Err(SrtpError::TooShort));
    }
}

#[test]
fn keys_have_the_length_of_their_profile_and_are_not_shown() {
    for profile in PROFILES {
        assert!(MasterKey::new(profile, &[1; 29]).is_none());
    }
    let shown = format!("{:?}", master(SrtpProfile::AeadAes128Gcm));
    assert_eq!(shown, "MasterKey { profile: AeadAes128Gcm, .. }");
}

#[test]
fn a_hundred_thousand_packets_each_way_allocate_nothing() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let counted = allocation_counter::measure(|| {
            for n in 0..100_000_u32 {
                let sequence = u16::try_from(n & 0xFFFF).unwrap();
                let (mut bytes, len) = packet(sequence);
                let n = sender.protect(&mut bytes, len).unwrap();
                assert_eq!(receiver.open(&mut bytes[..n]), Ok(len));
            }
        });
        assert_eq!((counted.count_total, counted.bytes_total), (0, 0), "{profile:?}");
    }
}
