//! Browser legs behind one port: connectivity checks answered as ICE-lite (RFC 8445), and DTLS that
//! makes the keys (RFC 5764). Takes datagrams and time, gives what is to be done: no socket here.
//!
//! **Invariant:** a datagram of DTLS is looked at only when it comes from an address that passed a
//! check with the password of our description, and no key leaves here unless the certificate behind
//! it has the fingerprint of the peer's description.

mod dtls;
mod port;
mod stun;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use hotline_base::LegId;
use hotline_rtp::{
    MasterKey,
    rtcp::{Kind, kind_of},
};
use hotline_sdp::{Fingerprint, Remote, Role};

use self::dtls::{Dtls, Identity, Outcome};
pub use self::port::{BrowserPort, PortStep};
use crate::counters::{Counters, count};

/// How long a peer is sent to after its last valid check (RFC 7675 §5.1).
pub(crate) const CONSENT: Duration = Duration::from_secs(30);

/// Addresses that one leg may have passed checks from. A browser has a few network cards.
const FOUND_MAX: usize = 8;

/// Handshakes that a leg may begin anew, after somebody spoilt one from the peer's own address.
const HANDSHAKES_MAX: u32 = 50;

/// Datagrams that a handshake may begin with and not be answered: a hello comes in so many pieces
/// at most. What is none is forgotten then, so that nobody blocks the peer's own with half of one.
const UNANSWERED_MAX: u8 = 3;

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Step {
    Send {
        to: SocketAddr,
        datagram: Vec<u8>,
    },
    /// What comes from this address is the leg's.
    Found {
        leg: LegId,
        address: SocketAddr,
    },
    /// What comes from this address is nobody's any more.
    Forgotten {
        address: SocketAddr,
    },
    /// Where the leg's audio goes from now on; nowhere without consent.
    Chosen {
        leg: LegId,
        to: Option<SocketAddr>,
    },
    Keys {
        leg: LegId,
        ours: MasterKey,
        theirs: MasterKey,
    },
    /// The certificate is another one than the description says: the leg stays silent.
    Refused {
        leg: LegId,
    },
}

/// All browser legs of one worker.
#[derive(Debug)]
pub(crate) struct Browsers {
    identity: Identity,
    legs: BTreeMap<LegId, Browser>,
    by_ufrag: BTreeMap<String, LegId>,
    by_address: BTreeMap<SocketAddr, LegId>,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Browser {
    ufrag: String,
    pwd: String,
    remote: Option<Remote>,
    found: VecDeque<SocketAddr>,
    chosen: Option<SocketAddr>,
    /// The last valid check from the chosen address.
    checked: Instant,
    dtls: Option<Dtls>,
    handshakes: u32,
    /// Keys were made, or never will be.
    is_over: bool,
}

impl Browsers {
    /// With the certificate that a process before had, or else a new one.
    ///
    /// # Errors
    /// When no certificate can be made, which only a broken source of randomness can cause.
    pub(crate) fn new(certificate: Option<&str>) -> Result<Self, dtls::DtlsError> {
        let identity = certificate.and_then(|it| Identity::kept(it).ok());
        let identity = identity.map_or_else(Identity::new, Ok)?;
        let (legs, by_ufrag, by_address) = Default::default();
        Ok(Self { identity, legs, by_ufrag, by_address, steps: Vec::new() })
    }

    /// Our certificate and its key, for the process after this one.
    pub(crate) fn certificate(&self) -> Option<String> {
        self.identity.to_pem()
    }

    pub(crate) const fn fingerprint(&self) -> Fingerprint {
        self.identity.fingerprint
    }

    /// A new leg, known by these words of our description.
    pub(crate) fn open(&mut self, leg: LegId, ufrag: String, pwd: String, now: Instant) {
        self.by_ufrag.insert(ufrag.clone(), leg);
        let browser = Browser {
            ufrag,
            pwd,
            remote: None,
            found: VecDeque::new(),
            chosen: None,
            checked: now,
            dtls: None,
            handshakes: 0,
            is_over: false,
        };
        self.legs.insert(leg, browser);
    }

    /// A leg of a process before has its keys, and went on to this address.
    pub(crate) fn take_up(
        &mut self,
        leg: LegId,
        remote: Remote,
        path: Option<SocketAddr>,
        now: Instant,
    ) {
        let Some(it) = self.legs.get_mut(&leg) else { return };
        (it.remote, it.is_over) = (Some(remote), true);
        let Some(path) = path else { return };
        (it.chosen, it.checked) = (Some(path), now);
        self.steps.push(Step::Chosen { leg, to: Some(path) });
        self.find(leg, path);
    }

    /// ICE begins anew with other words; audio goes on where it went until another address is
    /// chosen (RFC 8839 §4.4.1.1.1).
    pub(crate) fn restart(&mut self, leg: LegId, ufrag: String, pwd: String) {
        let Some(it) = self.legs.get_mut(&leg) else { return };
        self.by_ufrag.remove(&it.ufrag);
        self.by_ufrag.insert(ufrag.clone(), leg);
        (it.ufrag, it.pwd) = (ufrag, pwd);
    }

    /// The peer's description is there.
    pub(crate) fn settle(&mut self, leg: LegId, remote: Remote, now: Instant) {
        let Some(it) = self.legs.get_mut(&leg) else { return };
        let other = it.remote.as_ref().is_some_and(|before| {
            before.fingerprint != remote.fingerprint || before.role != remote.role
        });
        if other {
            // Another certificate is another browser (RFC 8842 §5.5).
            (it.dtls, it.is_over, it.handshakes) = (None, false, 0);
        }
        it.remote = Some(remote);
        self.begin(leg, now);
    }

    pub(crate) fn close(&mut self, leg: LegId) {
        let Some(it) = self.legs.remove(&leg) else { return };
        self.by_ufrag.remove(&it.ufrag);
        for address in it.found {
            self.by_address.remove(&address);
        }
    }

    /// What came to the shared port and is not audio of somebody known.
    pub(crate) fn handle(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        now: Instant,
        counters: &Counters,
    ) {
        let taken = match kind_of(datagram) {
            Kind::Stun => self.handle_check(from, datagram, now),
            Kind::Dtls => self.handle_dtls(from, datagram, now),
            Kind::Rtp | Kind::Rtcp | Kind::Unknown => None,
        };
        if taken.is_none() {
            count(&counters.browser_refused);
        }
    }

    /// What is to be done since this was asked.
    pub(crate) fn steps(&mut self) -> Vec<Step> {
        std::mem::take(&mut self.steps)
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        let consent = |it: &Browser| it.chosen.map(|_| it.checked + CONSENT);
        let dtls = |it: &Browser| it.dtls.as_ref().and_then(Dtls::due);
        self.legs.values().flat_map(|it| [consent(it), dtls(it)]).flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let mut due = Vec::new();
        for (leg, it) in &mut self.legs {
            if it.chosen.is_some() && it.checked + CONSENT <= now {
                it.chosen = None;
                self.steps.push(Step::Chosen { leg: *leg, to: None });
            }
            if it.dtls.as_ref().and_then(Dtls::due).is_some_and(|it| it <= now) {
                due.push(*leg);
            }
        }
        for leg in due {
            let Some(it) = self.legs.get_mut(&leg) else { continue };
            if let Some(dtls) = &mut it.dtls {
                let outcome = dtls.handle_timeout(now);
                self.conclude(leg, outcome, now);
            }
        }
    }

    fn handle_check(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) -> Option<()> {
        let check = stun::read(datagram)?;
        let leg = *self.by_ufrag.get(check.ours())?;
        let it = self.legs.get_mut(&leg)?;
        if let Some(remote) = &it.remote
            && remote.ufrag != check.theirs()
        {
            return None;
        }
        let check = check.verify(&it.pwd)?;
        if check.is_controlled {
            // Whoever meets an ICE-lite agent leads (RFC 8445 §6.1.1).
            let datagram = stun::role_conflict(&check, &it.pwd)?;
            self.steps.push(Step::Send { to: from, datagram });
            return Some(());
        }
        let datagram = stun::success(&check, from, &it.pwd)?;
        self.steps.push(Step::Send { to: from, datagram });
        self.find(leg, from);
        let it = self.legs.get_mut(&leg)?;
        if it.chosen == Some(from) {
            it.checked = now;
        } else if check.nominates {
            (it.chosen, it.checked) = (Some(from), now);
            self.steps.push(Step::Chosen { leg, to: Some(from) });
        }
        self.begin(leg, now);
        Some(())
    }

    /// An address that passed a check is the leg's; the oldest one that is not in use makes room.
    fn find(&mut self, leg: LegId, address: SocketAddr) {
        let before = self.by_address.insert(address, leg);
        if before == Some(leg) {
            return;
        }
        if let Some(other) = before.and_then(|it| self.legs.get_mut(&it)) {
            other.found.retain(|it| *it != address);
        }
        self.steps.push(Step::Found { leg, address });
        let Some(it) = self.legs.get_mut(&leg) else { return };
        it.found.push_back(address);
        if it.found.len() > FOUND_MAX
            && let Some(at) = it.found.iter().position(|found| Some(*found) != it.chosen)
            && let Some(address) = it.found.remove(at)
        {
            self.by_address.remove(&address);
            self.steps.push(Step::Forgotten { address });
        }
    }

    /// Where the peer waits, we begin, once there is somewhere to send.
    fn begin(&mut self, leg: LegId, now: Instant) {
        let Some(it) = self.legs.get_mut(&leg) else { return };
        let Some(remote) = it.remote.as_ref().filter(|it| it.role == Role::Client) else { return };
        if it.chosen.is_none() || it.dtls.is_some() || it.is_over {
            return;
        }
        it.handshakes += 1;
        let Some(mut dtls) = Dtls::new(&self.identity, remote.fingerprint, Role::Client) else {
            return;
        };
        let outcome = dtls.begin(now);
        it.dtls = Some(dtls);
        self.conclude(leg, outcome, now);
    }

    fn handle_dtls(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) -> Option<()> {
        let leg = *self.by_address.get(&from)?;
        let it = self.legs.get_mut(&leg)?;
        // Until the answer is there nobody knows whose certificate it should be. The peer says it
        // again within a second.
        let remote = it.remote.as_ref()?;
        if it.dtls.is_none() {
            if it.handshakes >= HANDSHAKES_MAX || it.is_over {
                return None;
            }
            it.handshakes += 1;
            it.dtls = Dtls::new(&self.identity, remote.fingerprint, remote.role);
        }
        let outcome = it.dtls.as_mut()?.handle(datagram, now);
        // What is answered goes where the question came from: the other way may not be open yet.
        self.transmit(leg, Some(from));
        let it = self.legs.get(&leg)?;
        let is_stuck = it.dtls.as_ref().is_some_and(|it| it.unanswered() > UNANSWERED_MAX);
        let outcome = if is_stuck { Outcome::Spoilt } else { outcome };
        self.conclude(leg, outcome, now);
        Some(())
    }

    fn transmit(&mut self, leg: LegId, to: Option<SocketAddr>) {
        let Some(it) = self.legs.get_mut(&leg) else { return };
        let (Some(dtls), Some(to)) = (&mut it.dtls, to.or(it.chosen)) else { return };
        while let Some(datagram) = dtls.transmit() {
            self.steps.push(Step::Send { to, datagram });
        }
    }

    fn conclude(&mut self, leg: LegId, outcome: Outcome, now: Instant) {
        self.transmit(leg, None);
        let Some(it) = self.legs.get_mut(&leg) else { return };
        match outcome {
            Outcome::Goes => {}
            Outcome::Keys { ours, theirs } => {
                it.is_over = true;
                self.steps.push(Step::Keys { leg, ours, theirs });
            }
            Outcome::Refused => {
                (it.dtls, it.is_over) = (None, true);
                self.steps.push(Step::Refused { leg });
            }
            // Before there are keys anybody with the peer's address can spoil a handshake; the next
            // one begins with the peer's next datagram.
            Outcome::Spoilt if !it.is_over => {
                it.dtls = None;
                if it.handshakes < HANDSHAKES_MAX {
                    self.begin(leg, now);
                }
            }
            Outcome::Spoilt => {}
            Outcome::Closed => {
                if it.chosen.take().is_some() {
                    self.steps.push(Step::Chosen { leg, to: None });
                }
            }
        }
    }
}
