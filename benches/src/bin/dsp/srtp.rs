//! What the protection of a packet of A-law costs: of one session, whose keys stay in the nearest
//! cache, and of thousands in turn, as a worker meets them.

use std::hint::black_box;

use anyhow::{Context, Result};
use hotline_dsp::FRAME;
use hotline_rtp::{
    HEADER_LEN, Header, MasterKey, MediaTime, SRTP_OVERHEAD, SrtpProfile, SrtpReceiver, SrtpSender,
    write_header,
};

use crate::{Subject, subject};

/// Sessions that are met in turn: both directions of 500 calls, each of which leaves a cache that
/// the kernel's sockets need as well.
const MANY: usize = 4_000;

const PACKET: usize = HEADER_LEN + FRAME;

/// Both ends of one direction, and the sequence number that is next.
struct Session {
    sender: Box<SrtpSender>,
    receiver: Box<SrtpReceiver>,
    sequence: u16,
}

pub(crate) fn subjects() -> Result<Vec<Subject>> {
    let mut it = Vec::new();
    for (name, profile) in [
        ("AES-CM, SHA1-80", SrtpProfile::AesCm128HmacSha1_80),
        ("AES-GCM", SrtpProfile::AeadAes128Gcm),
    ] {
        for (what, n, opens) in [
            ("SRTP protect", 1, false),
            ("SRTP protect and open", 1, true),
            ("SRTP protect, cold", MANY, false),
            ("SRTP protect and open, cold", MANY, true),
        ] {
            it.push(turns(&format!("{what}, {name}"), sessions(profile, n)?, opens));
        }
    }
    Ok(it)
}

fn sessions(profile: SrtpProfile, n: usize) -> Result<Vec<Session>> {
    let session = |n: usize| {
        let mut key = vec![0x5A; profile.key_and_salt()];
        for (byte, it) in key.iter_mut().zip(n.to_le_bytes()) {
            *byte ^= it;
        }
        let key = MasterKey::new(profile, &key).context("a key of the right length")?;
        let (sender, receiver) = (SrtpSender::new(&key), SrtpReceiver::new(&key));
        Ok(Session { sender: Box::new(sender), receiver: Box::new(receiver), sequence: 0 })
    };
    (0..n).map(session).collect()
}

fn turns(name: &str, mut sessions: Vec<Session>, opens: bool) -> Subject {
    let mut packet = [0; PACKET + SRTP_OVERHEAD];
    let n_sessions = sessions.len();
    let mut at = 0;
    subject(name, move |_, alaw| {
        // Far apart in memory, as calls are that came one after the other.
        at = (at + 1_009) % n_sessions;
        let Some(it) = sessions.get_mut(at) else { return };
        it.sequence = it.sequence.wrapping_add(1);
        let timestamp = MediaTime(u32::from(it.sequence) * 160);
        let header =
            Header { marker: false, payload_type: 8, sequence: it.sequence, timestamp, ssrc: 1 };
        write_header(&mut packet, &header);
        if let Some(place) = packet.get_mut(HEADER_LEN..PACKET) {
            place.copy_from_slice(alaw);
        }
        let sealed = it.sender.protect(&mut packet, PACKET).unwrap_or_default();
        if opens {
            let sealed = packet.get_mut(..sealed).unwrap_or_default();
            assert_eq!(black_box(it.receiver.open(sealed)), Ok(PACKET));
        }
        black_box(&packet);
    })
}
