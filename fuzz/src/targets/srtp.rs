//! What comes to a protected port, from whoever knows the key and from whoever does not.

use hotline_rtp::{
    Header, MasterKey, MediaTime, SRTP_OVERHEAD, SrtpProfile, SrtpReceiver, SrtpSender, parse,
    rtcp::{Kind, RtcpItems, kind_of},
    write_header,
};

use super::datagrams;
use crate::trace::Trace;

pub(super) const WORDS: &[&str] =
    &["\u{0}\u{10}", "\u{0}\u{0}\u{0}\u{1}", "\u{7f}\u{7f}", "\u{0}\u{8}", "\u{0}\u{b6}"];

const PROFILES: [SrtpProfile; 3] = [
    SrtpProfile::AesCm128HmacSha1_80,
    SrtpProfile::AesCm128HmacSha1_32,
    SrtpProfile::AeadAes128Gcm,
];

/// The corpus has packets that are protected by it.
pub(super) fn key(profile: SrtpProfile) -> MasterKey {
    let bytes = vec![0x5A; profile.key_and_salt()];
    MasterKey::new(profile, &bytes).expect("a key of the right length")
}

pub(super) fn run(bytes: &[u8]) -> u64 {
    let mut trace = Trace::new();
    for profile in PROFILES {
        let mut receiver = SrtpReceiver::new(&key(profile));
        for datagram in datagrams::of(bytes) {
            match kind_of(datagram) {
                Kind::Rtp => opens(datagram, &mut trace, &mut |it| receiver.open(it), false),
                Kind::Rtcp => opens(datagram, &mut trace, &mut |it| receiver.open_rtcp(it), true),
                kind @ (Kind::Stun | Kind::Dtls | Kind::Unknown) => {
                    trace.note(&format!("{kind:?}"));
                }
            }
        }
        // Whatever came, who has the key is heard.
        let mut packet = vec![0xD5; 12 + 160 + SRTP_OVERHEAD];
        let header = Header {
            marker: false,
            payload_type: 8,
            sequence: 1,
            timestamp: MediaTime(160),
            ssrc: 0x0BAD_CAFE,
        };
        assert!(write_header(&mut packet, &header));
        let n = SrtpSender::new(&key(profile)).protect(&mut packet, 172).expect("room for a tag");
        let opened = receiver.open(packet.get_mut(..n).unwrap_or_default());
        assert_eq!(opened.map_err(|it| it.to_string()), Ok(172));
    }
    trace.end()
}

/// What is not accepted is left as it came, and nothing is accepted twice.
fn opens(
    datagram: &[u8],
    trace: &mut Trace,
    open: &mut dyn FnMut(&mut [u8]) -> Result<usize, hotline_rtp::SrtpError>,
    is_report: bool,
) {
    let mut packet = datagram.to_vec();
    match open(&mut packet) {
        Ok(n) => {
            assert!(n < datagram.len(), "a tag of no bytes");
            let plain = packet.get(..n).unwrap_or_default();
            trace.flag(if is_report {
                RtcpItems::parse(plain).is_ok()
            } else {
                parse(plain).is_ok()
            });
            let mut again = datagram.to_vec();
            assert!(open(&mut again).is_err(), "accepted twice");
        }
        Err(why) => {
            trace.note(&why.to_string());
            assert_eq!(packet, datagram, "changed, and not accepted");
        }
    }
}
