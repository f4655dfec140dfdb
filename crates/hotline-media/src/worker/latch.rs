//! Whose packets a leg hears, and where its own go: the address of the session description, or one
//! that was latched on because the peer sits behind a NAT.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use hotline_base::MonoTime;

/// How long after a description another address may be latched.
const WINDOW: Duration = Duration::from_secs(5);

/// How long the peer must be silent before another address may take its place.
const SILENCE: Duration = Duration::from_secs(3);

/// The rules, against those who aim at open ports (RTPbleed):
/// 1. The signalled address is always heard, and takes the place of a latched one.
/// 2. Another address is latched only within [`WINDOW`] of a description when nobody was heard yet,
///    or after [`SILENCE`] of the one that was.
/// 3. It must be the [same host](is_same_host) as the signalled one. Or what came from there is
///    [proven](Self::admit) and the signalled one is private: behind a NAT nobody knows a peer but
///    by his keys. Without keys he has to name the address that his NAT has for him.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latch {
    signalled: SocketAddr,
    heard: Option<SocketAddr>,
    /// When the description came.
    since: MonoTime,
    last: MonoTime,
    /// ICE finds the peer; the rules are not for it.
    by_ice: bool,
}

impl Latch {
    pub(crate) const fn new(signalled: SocketAddr, now: MonoTime) -> Self {
        Self { signalled, heard: None, since: now, last: now, by_ice: false }
    }

    /// Of a peer that ICE finds, sent to as it chose.
    pub(crate) const fn guest(path: Option<SocketAddr>) -> Self {
        let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let now = MonoTime(0);
        Self { signalled: nowhere, heard: path, since: now, last: now, by_ice: true }
    }

    /// ICE chose another way, or there is none.
    pub(crate) const fn choose(&mut self, path: Option<SocketAddr>) {
        self.heard = path;
    }

    /// A new description. The same address keeps what was latched.
    pub(crate) fn signal(&mut self, signalled: SocketAddr, now: MonoTime) {
        if self.by_ice {
            return;
        }
        // Hold in the old way names no address; after it the peer is where it was.
        if signalled != self.signalled && !signalled.ip().is_unspecified() {
            *self = Self::new(signalled, now);
        } else {
            self.since = now;
        }
    }

    /// Whether a valid packet of the expected payload type is the peer's. `proven`: it was opened
    /// with his key.
    pub(crate) fn admit(&mut self, from: SocketAddr, proven: bool, now: MonoTime) -> bool {
        // It was opened with the peer's key, and came from where the peer passed a check.
        if self.by_ice {
            return true;
        }
        if self.heard != Some(from) {
            let may_latch = match self.heard {
                None => now.since(self.since) <= WINDOW,
                Some(_) => now.since(self.last) > SILENCE,
            };
            let (signalled, his) = (self.signalled.ip(), from.ip());
            let is_related = is_same_host(signalled, his) || proven && is_behind(signalled, his);
            let may_latch = may_latch && is_related;
            if from != self.signalled && !may_latch {
                return false;
            }
            self.heard = Some(from);
        }
        self.last = now;
        true
    }

    /// The only address that may be heard until it is silent: the signalled one, once it spoke.
    pub(crate) fn only(&self) -> Option<SocketAddr> {
        self.heard.filter(|it| *it == self.signalled && !self.by_ice)
    }

    /// Reads from both ends of it.
    pub(crate) const fn touch(&self) -> u64 {
        self.last.0 ^ self.signalled.port() as u64
    }

    /// Where to send; `None` when the peer named no address and was never heard.
    pub(crate) fn target(&self) -> Option<SocketAddr> {
        let to = self.heard.unwrap_or(self.signalled);
        (!to.ip().is_unspecified() && to.port() != 0).then_some(to)
    }
}

/// Whether a packet from `from` is of the host that `signalled` names, or of a softphone on our own
/// machine that named the machine's address and speaks over loopback, as the kernel makes it do.
/// Nobody else can send from there.
fn is_same_host(signalled: IpAddr, from: IpAddr) -> bool {
    let (signalled, from) = (signalled.to_canonical(), from.to_canonical());
    signalled == from || (from.is_loopback() && !signalled.is_loopback())
}

/// Whether a host that named its private address may speak through `from`, the public one of its
/// NAT. So may everybody else.
fn is_behind(signalled: IpAddr, from: IpAddr) -> bool {
    let (signalled, from) = (signalled.to_canonical(), from.to_canonical());
    is_private(signalled) && !is_private(from) && !from.is_loopback()
}

fn is_private(it: IpAddr) -> bool {
    match it {
        IpAddr::V4(it) => {
            let [a, b, _, _] = it.octets();
            // RFC 1918, RFC 3927, RFC 6598.
            it.is_private() || it.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(it) => it.is_unique_local() || it.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "198.51.100.7:4000";
    const PEER_OTHER_PORT: &str = "198.51.100.7:5000";
    const STRANGER: &str = "203.0.113.9:4000";

    /// `(seconds, from, heard)`
    #[track_caller]
    fn check(signalled: &str, steps: &[(u64, &str, bool)], target: &str) {
        check_with(signalled, false, steps, target);
    }

    #[track_caller]
    fn check_with(signalled: &str, proven: bool, steps: &[(u64, &str, bool)], target: &str) {
        let at = |secs| MonoTime::default() + Duration::from_secs(secs);
        let mut latch = Latch::new(signalled.parse().unwrap(), at(0));
        for (secs, from, heard) in steps {
            let admitted = latch.admit(from.parse().unwrap(), proven, at(*secs));
            assert_eq!(admitted, *heard, "{secs} s {from}");
        }
        assert_eq!(latch.target(), Some(target.parse().unwrap()));
    }

    #[test]
    fn a_stranger_is_never_heard_and_hears_nothing() {
        check(PEER, &[(0, STRANGER, false), (1, PEER, true), (60, STRANGER, false)], PEER);
    }

    #[test]
    fn a_peer_whose_nat_changes_his_port_is_latched_once() {
        let steps = [(1, PEER_OTHER_PORT, true), (2, "198.51.100.7:6000", false)];
        check(PEER, &steps, PEER_OTHER_PORT);
    }

    #[test]
    fn a_peer_behind_a_nat_is_known_by_his_keys_alone() {
        let home = "192.168.1.5:4000";
        check_with(home, true, &[(1, PEER, true), (2, STRANGER, false)], PEER);
        check(home, &[(0, STRANGER, false), (4, home, true), (60, STRANGER, false)], home);
        // Keys prove nothing about who named a public address and is elsewhere.
        check_with(PEER, true, &[(1, STRANGER, false)], PEER);
    }

    #[test]
    fn a_neighbour_in_the_same_private_network_is_a_stranger() {
        check("192.168.1.5:4000", &[(1, "192.168.1.6:4000", false)], "192.168.1.5:4000");
    }

    #[test]
    fn a_softphone_on_our_own_machine_is_heard_over_loopback() {
        for named in [PEER, "192.168.1.5:4000"] {
            check(named, &[(1, "127.0.0.1:4000", true)], "127.0.0.1:4000");
        }
        check("127.0.0.2:4000", &[(1, "127.0.0.9:4000", false)], "127.0.0.2:4000");
    }

    #[test]
    fn the_signalled_address_is_preferred_when_it_speaks_late() {
        let steps = [(1, PEER_OTHER_PORT, true), (2, PEER, true), (3, PEER_OTHER_PORT, false)];
        check(PEER, &steps, PEER);
    }

    #[test]
    fn nobody_is_latched_after_five_seconds() {
        check(PEER, &[(6, PEER_OTHER_PORT, false), (7, PEER, true)], PEER);
    }

    #[test]
    fn after_three_seconds_of_silence_the_peer_may_speak_from_another_port() {
        let steps = [(10, PEER, true), (12, PEER_OTHER_PORT, false), (14, PEER_OTHER_PORT, true)];
        check(PEER, &steps, PEER_OTHER_PORT);
    }

    #[test]
    fn a_new_description_moves_the_peer_and_hold_does_not() {
        let at = MonoTime::default();
        let mut latch = Latch::new(PEER.parse().unwrap(), at);
        assert!(latch.admit(PEER_OTHER_PORT.parse().unwrap(), false, at));
        latch.signal("0.0.0.0:4000".parse().unwrap(), at);
        assert_eq!(latch.target(), Some(PEER_OTHER_PORT.parse().unwrap()));
        latch.signal(STRANGER.parse().unwrap(), at);
        assert_eq!(latch.target(), Some(STRANGER.parse().unwrap()));
    }
}
