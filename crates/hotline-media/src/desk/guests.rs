//! Protection of legs: keys made and compared, and browsers behind the shared port.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    time::Instant,
};

use hotline_base::{
    LegId,
    media::{Event, FailReason, FailedOrder, Profile},
};
use hotline_rtp::{MasterKey, SrtpProfile, SrtpProgress, SrtpReceiver, SrtpSender, extension};
use hotline_sdp::{Asked, Fingerprint, Label, SdesKey, SdesSuite, Secrets, Security};
use rustix::rand::{GetRandomFlags, getrandom};

use super::Desk;
use crate::{
    browser::{Browsers, Step},
    counters::count,
    task::{Slot, Task},
};

/// Letters of the words of ICE (RFC 8839 §5.4).
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Letters of a user fragment and of a password: 48 and 192 random bits (RFC 8445 §5.3 asks for
/// 24 and 128).
const UFRAG: usize = 8;
const PWD: usize = 32;

/// Bytes of the longest key with its salt.
const KEY: usize = 30;

/// The shared port, once the first browser needed it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) port: u16,
    socket: UdpSocket,
    browsers: Browsers,
}

/// How a leg is protected, for as long as it lives.
#[derive(Debug)]
pub(super) struct Protection {
    pub(super) profile: Profile,
    /// `None` in the clear.
    pub(super) secrets: Option<Secrets>,
    /// The keys that the worker has: ours and the peer's.
    sdes: Option<(SdesKey, SdesKey)>,
    /// The peer's user fragment.
    ufrag: Option<String>,
    /// The keys that DTLS made.
    pub(super) dtls: Option<Dtls>,
    /// Where ICE found the peer.
    pub(super) path: Option<SocketAddr>,
    /// How far his packets have come.
    pub(super) progress: Option<SrtpProgress>,
}

#[derive(Clone, Debug)]
pub(super) struct Dtls {
    pub(super) ours: MasterKey,
    pub(super) theirs: MasterKey,
}

impl Protection {
    pub(super) fn new(profile: Profile, secrets: Option<Secrets>) -> Self {
        let (sdes, ufrag, dtls, path, progress) = Default::default();
        Self { profile, secrets, sdes, ufrag, dtls, path, progress }
    }

    pub(super) fn is_guest(&self) -> bool {
        self.profile == Profile::WebRtc
    }

    pub(super) fn is_secure(&self) -> bool {
        self.profile != Profile::Plain
    }

    /// The secrets for an answer to this re-offer: with other words when the peer begins ICE anew
    /// (RFC 8839 §4.4.1.1.1). Whether they are others is told beside.
    pub(super) fn renewed(&self, asked: &Asked) -> io::Result<(Option<Secrets>, bool)> {
        let restarts = self.is_guest()
            && self.ufrag.is_some()
            && asked.ufrag.is_some()
            && self.ufrag != asked.ufrag;
        let mut secrets = self.secrets.clone();
        if restarts && let Some(secrets) = &mut secrets {
            (secrets.ufrag, secrets.pwd) = (word(UFRAG)?, word(PWD)?);
        }
        Ok((secrets, restarts))
    }
}

/// Keys and words that nobody can guess.
fn secrets(fingerprint: Fingerprint, ssrc: u32) -> io::Result<Secrets> {
    let mut keys = Vec::new();
    for suite in SdesSuite::ALL {
        let mut bytes = [0; KEY];
        fill(&mut bytes)?;
        keys.extend(bytes.get(..suite.key_and_salt()).and_then(|it| SdesKey::new(suite, it)));
    }
    let (ufrag, pwd) = (word(UFRAG)?, word(PWD)?);
    Ok(Secrets { keys, ufrag, pwd, fingerprint, role: None, ssrc })
}

fn word(n: usize) -> io::Result<String> {
    let mut bytes = [0; PWD];
    fill(&mut bytes)?;
    let letters = bytes.iter().take(n).filter_map(|it| LETTERS.get(usize::from(it & 63)));
    Ok(letters.map(|it| char::from(*it)).collect())
}

/// Up to 256 bytes come whole or not at all (getrandom(2)).
fn fill(bytes: &mut [u8]) -> io::Result<()> {
    let n = bytes.len();
    if getrandom(bytes, GetRandomFlags::empty())? == n {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn master(key: &SdesKey) -> Option<MasterKey> {
    let profile = match key.suite() {
        SdesSuite::AesCm128HmacSha1_80 => SrtpProfile::AesCm128HmacSha1_80,
        SdesSuite::AesCm128HmacSha1_32 => SrtpProfile::AesCm128HmacSha1_32,
        SdesSuite::AeadAes128Gcm => SrtpProfile::AeadAes128Gcm,
    };
    MasterKey::new(profile, key.bytes())
}

impl Desk {
    /// What a new leg of this profile brings to its worker.
    pub(super) fn protection(
        &mut self,
        worker: u8,
        profile: Profile,
        ssrc: u32,
    ) -> Option<Protection> {
        let fingerprint = match profile {
            Profile::Plain => return Some(Protection::new(profile, None)),
            Profile::Sdes => Fingerprint([0; 32]),
            Profile::WebRtc => self.shared(worker)?.browsers.fingerprint(),
        };
        let made = secrets(fingerprint, ssrc);
        let made = made.inspect_err(|error| tracing::error!(%error, "No keys can be made."));
        Some(Protection::new(profile, Some(made.ok()?)))
    }

    /// The port of all browsers of a worker, which is opened for the first one.
    fn shared(&mut self, worker: u8) -> Option<&mut Shared> {
        if self.end_of(worker)?.shared.is_none() {
            let (port, socket) = self.ports.open_shared(worker, Instant::now())?;
            self.share(worker, port, socket)?;
        }
        self.end_of_mut(worker)?.shared.as_mut()
    }

    /// The same port as in a process before.
    pub(super) fn share_again(&mut self, worker: u8, port: u16) -> Option<()> {
        if let Some(shared) = &self.end_of(worker)?.shared {
            return (shared.port == port).then_some(());
        }
        let socket = self.ports.reopen_shared(worker, port)?;
        self.share(worker, port, socket)
    }

    fn share(&mut self, worker: u8, port: u16, socket: UdpSocket) -> Option<()> {
        let kept = self.notes_of_legs.certificate();
        let browsers = Browsers::new(kept.as_deref())
            .inspect_err(|error| tracing::error!(%error, "Browsers are refused."))
            .ok()?;
        let certificate = browsers.certificate();
        if let Some(new) = certificate.filter(|it| Some(it) != kept.as_ref()) {
            self.notes_of_legs.keep_certificate(new);
        }
        let theirs = socket
            .try_clone()
            .inspect_err(|error| tracing::error!(%error, "Browsers are refused."))
            .ok()?;
        tracing::info!(port, worker, "Browsers of a worker are heard at one port.");
        let end = self.end_of_mut(worker)?;
        end.task(Task::Share { socket: theirs });
        end.shared = Some(Shared { port, socket, browsers });
        Some(())
    }

    pub(super) fn shared_port(&self, worker: u8) -> Option<u16> {
        self.end_of(worker)?.shared.as_ref().map(|it| it.port)
    }

    /// The browsers beside a leg.
    fn browsers_of(&mut self, leg: LegId) -> Option<&mut Browsers> {
        let worker = self.slot(leg)?.worker;
        self.end_of_mut(worker)?.shared.as_mut().map(|it| &mut it.browsers)
    }

    /// A browser's leg is there, and its checks may come.
    pub(super) fn admit_guest(&mut self, leg: LegId) {
        let Some(entry) = self.legs.get(&leg).filter(|it| it.protection.is_guest()) else { return };
        let words = entry.protection.secrets.as_ref().map(|it| (it.ufrag.clone(), it.pwd.clone()));
        if let (Some((ufrag, pwd)), Some(browsers)) = (words, self.browsers_of(leg)) {
            browsers.open(leg, ufrag, pwd, Instant::now());
        }
    }

    /// The words of a leg are others from now on.
    pub(super) fn restart_guest(&mut self, leg: LegId, secrets: Secrets) {
        if let Some(browsers) = self.browsers_of(leg) {
            browsers.restart(leg, secrets.ufrag.clone(), secrets.pwd.clone());
        }
        if let Some(entry) = self.legs.get_mut(&leg) {
            entry.protection.secrets = Some(secrets);
        }
    }

    pub(super) fn close_guest(&mut self, leg: LegId) {
        let is_guest = self.legs.get(&leg).is_some_and(|it| it.protection.is_guest());
        if let Some(browsers) = self.browsers_of(leg).filter(|_| is_guest) {
            browsers.close(leg);
        }
    }

    /// What both descriptions say of protection, carried out.
    pub(super) fn secure(&mut self, leg: LegId, security: Security) {
        match security {
            Security::Plain => {}
            Security::Sdes { ours, theirs } => self.set_keys(leg, ours, theirs),
            Security::WebRtc(remote) => {
                let Some(entry) = self.legs.get_mut(&leg) else { return };
                entry.protection.ufrag = Some(remote.ufrag.clone());
                let slot = entry.slot;
                if let Some(secrets) = &mut entry.protection.secrets {
                    secrets.role = Some(remote.role);
                }
                self.label(slot, remote.label.as_ref());
                if let Some(browsers) = self.browsers_of(leg) {
                    browsers.settle(leg, remote, Instant::now());
                }
                self.do_steps(slot.worker);
            }
        }
    }

    /// Keys that stay keep their counters: one that began anew would protect an index twice.
    fn set_keys(&mut self, leg: LegId, ours: SdesKey, theirs: SdesKey) {
        let Some(entry) = self.legs.get_mut(&leg) else { return };
        let slot = entry.slot;
        let before = entry.protection.sdes.as_ref();
        let is_new = |it: Option<&SdesKey>, key: &SdesKey| it != Some(key);
        let new = [is_new(before.map(|it| &it.0), &ours), is_new(before.map(|it| &it.1), &theirs)];
        let sender = new[0].then(|| master(&ours)).flatten();
        let receiver = new[1].then(|| master(&theirs)).flatten();
        entry.protection.sdes = Some((ours, theirs));
        if receiver.is_some() {
            entry.protection.progress = None;
        }
        self.hand_keys(slot, sender, receiver);
    }

    fn hand_keys(&mut self, leg: Slot, ours: Option<MasterKey>, theirs: Option<MasterKey>) {
        if ours.is_none() && theirs.is_none() {
            return;
        }
        let sender = ours.map(|it| Box::new(SrtpSender::new(&it)));
        let receiver = theirs.map(|it| Box::new(SrtpReceiver::new(&it)));
        self.task(leg.worker, Task::Secure { leg, sender, receiver });
    }

    /// A leg of a process before goes on with the keys that it had.
    pub(super) fn resume_guard(&mut self, leg: LegId, security: Security) -> Option<()> {
        let entry = self.legs.get_mut(&leg)?;
        let (ours, theirs) = match security {
            Security::Plain => return Some(()),
            Security::Sdes { ours, theirs } => {
                let keys = (master(&ours)?, master(&theirs)?);
                entry.protection.sdes = Some((ours, theirs));
                keys
            }
            Security::WebRtc(remote) => {
                entry.protection.ufrag = Some(remote.ufrag.clone());
                let Dtls { ours, theirs } = entry.protection.dtls.clone()?;
                let (slot, path) = (entry.slot, entry.protection.path);
                self.label(slot, remote.label.as_ref());
                self.browsers_of(leg)?.take_up(leg, remote, path, Instant::now());
                (ours, theirs)
            }
        };
        let entry = self.legs.get(&leg)?;
        let (slot, progress) = (entry.slot, entry.protection.progress?);
        let receiver = Some(Box::new(SrtpReceiver::resumed(&theirs, &progress)));
        let sender = Some(Box::new(SrtpSender::new(&ours)));
        self.task(slot.worker, Task::Secure { leg: slot, sender, receiver });
        self.do_steps(slot.worker);
        Some(())
    }

    fn label(&mut self, leg: Slot, label: Option<&Label>) {
        let label = label.and_then(|it| extension(it.id, it.mid.as_bytes())).unwrap_or_default();
        self.task(leg.worker, Task::Label { leg, label: label.into() });
    }

    /// A peer's packets have come so far.
    pub(super) fn note_progress(&mut self, leg: LegId, progress: SrtpProgress) {
        let entry = self.legs.get_mut(&leg);
        if let Some(entry) = entry.filter(|it| it.protection.is_secure()) {
            entry.protection.progress = Some(progress);
            self.note_again(leg);
        }
    }

    /// Checks and handshakes that the workers passed on, and what time does to them.
    pub(super) fn read_handovers(&mut self) {
        let now = Instant::now();
        for worker in 0_u8.. {
            let Some(end) = self.workers.get_mut(usize::from(worker)) else { break };
            while let Ok(it) = end.handovers.pop() {
                if let Some(shared) = &mut end.shared {
                    shared.browsers.handle(it.from, it.datagram(), now, &self.counters);
                }
            }
            if let Some(shared) = &mut end.shared {
                shared.browsers.handle_timeout(now);
                self.do_steps(worker);
            }
        }
    }

    pub(super) fn guests_due(&self) -> Option<Instant> {
        self.workers.iter().filter_map(|it| it.shared.as_ref()?.browsers.due()).min()
    }

    fn do_steps(&mut self, worker: u8) {
        let shared = self.end_of_mut(worker).and_then(|it| it.shared.as_mut());
        let steps = shared.map(|it| it.browsers.steps()).unwrap_or_default();
        for step in steps {
            match step {
                Step::Send { to, datagram } => {
                    let shared = self.end_of(worker).and_then(|it| it.shared.as_ref());
                    let sent = shared.map(|it| it.socket.send_to(&datagram, to));
                    if sent.is_none_or(|it| it.is_err()) {
                        count(&self.counters.sends_refused);
                    }
                }
                Step::Found { leg, address } => {
                    if let Some(leg) = self.slot(leg) {
                        self.task(worker, Task::Find { leg, address });
                    }
                }
                Step::Forgotten { address } => self.task(worker, Task::Lose { address }),
                Step::Chosen { leg, to } => {
                    let Some(entry) = self.legs.get_mut(&leg) else { continue };
                    entry.protection.path = to;
                    let slot = entry.slot;
                    self.task(worker, Task::Choose { leg: slot, to });
                    self.note_again(leg);
                }
                Step::Keys { leg, ours, theirs } => {
                    let Some(entry) = self.legs.get_mut(&leg) else { continue };
                    entry.protection.dtls = Some(Dtls { ours, theirs });
                    entry.protection.progress = None;
                    let slot = entry.slot;
                    self.hand_keys(slot, Some(ours), Some(theirs));
                    self.note_again(leg);
                }
                Step::Refused { leg } => {
                    let reason = FailReason::BadCertificate;
                    self.say(Event::Failed { leg, order: FailedOrder::Secure, reason });
                }
            }
        }
    }
}
