//! What comes to the port that browsers share: checks of ICE and DTLS, from who knows the password and
//! from who does not.

use std::{net::SocketAddr, time::Duration};

use hotline_media::{BrowserPort, PortStep};
use hotline_rtp::rtcp::{Kind, kind_of};
use hotline_sdp::{Fingerprint, Remote, Role};

use super::datagrams;
use crate::trace::Trace;

pub(super) const WORDS: &[&str] = &[
    "\u{0}\u{1}\u{0}\u{8}!\u{12}",
    "\u{0}\u{6}\u{0}\u{a}ours1:them",
    "\u{0}%\u{0}\u{0}",
    "\u{0}\u{8}\u{0}\u{14}",
    "\u{16}\u{7f}",
    "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{1}",
    "\u{1}\u{0}\u{0}",
    "\u{0}\u{e}\u{0}\u{5}\u{0}\u{2}\u{0}\u{1}\u{0}",
];

/// The corpus has checks with these words.
const UFRAG: &str = "ours1";
const PWD: &str = "aPasswordOfTwentyTwoLetters";

/// Every fourth datagram is a stranger's.
const STRANGER: usize = 4;

pub(super) fn run(bytes: &[u8]) -> u64 {
    let mut trace = Trace::new();
    for role in [Role::Server, Role::Client] {
        let fingerprint = Fingerprint([0; 32]);
        let remote = Remote { ufrag: "them".to_owned(), fingerprint, role, label: None };
        let mut port = BrowserPort::new(UFRAG, PWD, remote).expect("randomness");
        let peer = SocketAddr::from(([198, 51, 100, 7], 5_000));
        let stranger = SocketAddr::from(([203, 0, 113, 9], 6_000));
        let mut has_checked = false;
        for (n, datagram) in datagrams::of(bytes).enumerate() {
            let from = if n % STRANGER == STRANGER - 1 { stranger } else { peer };
            let kind = kind_of(datagram);
            trace.note(&format!("{kind:?}"));
            let all = port.hear(from, datagram);
            if !has_checked && kind != Kind::Stun {
                assert_eq!(all, [], "something was done for who proved nothing");
            }
            has_checked |= all.contains(&PortStep::Learnt);
            steps(&all, &mut trace);
        }
        for secs in [1, 5, 31] {
            steps(&port.wait(Duration::from_secs(secs)), &mut trace);
        }
        let last = port.wait(Duration::from_secs(31));
        assert!(!last.contains(&PortStep::Chosen(Some(peer))), "sent to without consent");
    }
    trace.end()
}

fn steps(all: &[PortStep], trace: &mut Trace) {
    for it in all {
        match it {
            PortStep::Sent { bytes, .. } => {
                trace.note("sent");
                trace.count(*bytes);
                assert!(*bytes <= 1_500, "{bytes} bytes in one datagram");
            }
            PortStep::Chosen(to) => trace.flag(to.is_some()),
            PortStep::Learnt => trace.note("learnt"),
            // Nobody has a certificate with a fingerprint of nothing but zeros.
            PortStep::Keys => panic!("keys for who is not the peer"),
            PortStep::Refused => trace.note("refused"),
        }
    }
}
