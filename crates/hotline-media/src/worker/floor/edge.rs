//! The edge of the packet path: whose a datagram is, and its protection. Behind it audio is plain.

use std::net::SocketAddr;

use hotline_base::MonoTime;
use hotline_rtp::{
    HEADER_LEN, SrtpError, SrtpProgress, SrtpReceiver, SrtpSender,
    rtcp::{Kind, kind_of},
};

use super::{Floor, QUIET_SECS};
use crate::{
    counters::count,
    intake::{Arrival, Intake, REPORTS, SHARED},
    task::{Handover, Report, Slot},
    worker::leg::Leg,
};

/// Bytes of the longest packet that is protected: 100 ms of audio and its tag are shorter.
const SEALED: usize = 1_024;

/// How a leg's packets are protected.
#[derive(Debug)]
pub(crate) enum Guard {
    /// In the clear.
    Open,
    /// Keys will come; until then nothing is heard or sent.
    Waiting,
    Keys(Keys),
}

#[derive(Debug)]
pub(crate) struct Keys {
    sender: Box<SrtpSender>,
    receiver: Box<SrtpReceiver>,
    /// Of the key before, until something came by the new one: its owner changes when he has read
    /// our answer.
    before: Option<Box<SrtpReceiver>>,
    /// Packets until the desk is told how far the peer has come.
    until_told: u16,
}

/// Says that an extension stands behind the header (RFC 3550 §5.1).
const EXTENDED: u8 = 0x10;

/// Packets of a peer from one note of his progress to the next: 20 s of audio.
const TOLD_EVERY: u16 = 1_024;

impl Guard {
    pub(super) fn touch_receiver(&self) -> u64 {
        if let Self::Keys(keys) = self { keys.receiver.touch() } else { 0 }
    }

    pub(super) fn touch_sender(&self) -> u64 {
        if let Self::Keys(keys) = self { keys.sender.touch() } else { 0 }
    }
}

impl Keys {
    const fn new(sender: Box<SrtpSender>, receiver: Box<SrtpReceiver>) -> Self {
        Self { sender, receiver, before: None, until_told: 0 }
    }

    fn replace_receiver(&mut self, mut receiver: Box<SrtpReceiver>) {
        receiver.follow(&self.receiver);
        self.before = Some(std::mem::replace(&mut self.receiver, receiver));
        self.until_told = 0;
    }

    /// The plain bytes of a datagram, in its place.
    fn open(&mut self, at_reports: bool, datagram: &mut [u8]) -> Option<usize> {
        let open = |it: &mut SrtpReceiver, datagram: &mut [u8]| match kind_of(datagram) {
            Kind::Rtcp => it.open_rtcp(datagram).ok(),
            Kind::Rtp if !at_reports => it.open(datagram).ok(),
            Kind::Rtp | Kind::Stun | Kind::Dtls | Kind::Unknown => None,
        };
        if let Some(n) = open(&mut self.receiver, datagram) {
            self.before = None;
            return Some(n);
        }
        open(self.before.as_mut()?, datagram)
    }

    /// How far the peer has come, once in a while. Called for each of his packets.
    fn progress(&mut self) -> Option<SrtpProgress> {
        if self.before.is_some() {
            return None;
        }
        if let Some(left) = self.until_told.checked_sub(1) {
            self.until_told = left;
            return None;
        }
        let progress = self.receiver.progress();
        progress.rtp?;
        self.until_told = TOLD_EVERY;
        Some(progress)
    }
}

/// The legs behind the shared port, by the addresses that they were found at.
#[derive(Debug, Default)]
pub(super) struct Guests(Vec<(SocketAddr, Slot)>);

impl Guests {
    fn put(&mut self, address: SocketAddr, slot: Slot) {
        match self.0.binary_search_by_key(&address, |it| it.0) {
            Ok(at) => {
                if let Some(it) = self.0.get_mut(at) {
                    it.1 = slot;
                }
            }
            Err(at) => self.0.insert(at, (address, slot)),
        }
    }

    fn remove(&mut self, address: SocketAddr) {
        self.0.retain(|it| it.0 != address);
    }

    pub(super) fn forget(&mut self, slot: Slot) {
        self.0.retain(|it| it.1 != slot);
    }

    fn get(&self, address: SocketAddr) -> Option<Slot> {
        let at = self.0.binary_search_by_key(&address, |it| it.0).ok()?;
        self.0.get(at).map(|it| it.1)
    }
}

impl Floor {
    /// A datagram that came to one of our ports.
    pub(in crate::worker) fn receive(
        &mut self,
        arrival: &Arrival,
        datagram: &mut [u8],
        intake: &mut impl Intake,
        now: MonoTime,
    ) {
        let Some(index) = self.leg_of(arrival, datagram) else { return };
        let at_reports = index & REPORTS != 0;
        let Some(Some(leg)) = self.legs.get_mut((index & !REPORTS) as usize) else { return };
        let arrival = Arrival { leg: index, ..*arrival };
        let opened = match &mut leg.guard {
            Guard::Open => return self.hear(&arrival, datagram, intake, now),
            Guard::Waiting => None,
            Guard::Keys(keys) => keys.open(at_reports, datagram),
        };
        // What does not hold is not looked at any further: it moves no latch, no clock, no count
        // but this one.
        let Some(opened) = opened else {
            leg.refused += 1;
            return;
        };
        if let Guard::Keys(keys) = &mut leg.guard
            && let Some(progress) = keys.progress()
        {
            self.out.report(Report::Progress { leg: leg.id, progress });
        }
        let Some(packet) = datagram.get_mut(..opened) else { return };
        self.hear(&Arrival { len: opened, ..arrival }, packet, intake, now);
    }

    /// Whose a datagram is. At the shared port, checks and handshakes go to the desk, and audio
    /// belongs to who was found at its address.
    fn leg_of(&mut self, arrival: &Arrival, datagram: &[u8]) -> Option<u32> {
        if arrival.leg != SHARED {
            return Some(arrival.leg);
        }
        match kind_of(datagram) {
            Kind::Stun | Kind::Dtls => {
                match Handover::new(arrival.from, datagram) {
                    Some(it) => self.out.hand_over(it),
                    None => count(&self.out.counters.browser_refused),
                }
                None
            }
            Kind::Rtp | Kind::Rtcp => {
                let slot = self.guests.get(arrival.from);
                if slot.is_none() {
                    count(&self.out.counters.browser_refused);
                }
                slot.map(|it| it.index)
            }
            Kind::Unknown => {
                count(&self.out.counters.browser_refused);
                None
            }
        }
    }

    /// From now on these keys protect; those that are not named stay, with their counters.
    pub(super) fn secure(
        &mut self,
        slot: Slot,
        sender: Option<Box<SrtpSender>>,
        receiver: Option<Box<SrtpReceiver>>,
    ) {
        let Some(leg) = self.leg_mut(slot) else { return };
        match (&mut leg.guard, sender, receiver) {
            (Guard::Keys(keys), sender, receiver) => {
                if let Some(sender) = sender {
                    keys.sender = sender;
                }
                if let Some(receiver) = receiver {
                    keys.replace_receiver(receiver);
                }
            }
            (guard, Some(sender), Some(receiver)) => {
                *guard = Guard::Keys(Keys::new(sender, receiver));
            }
            (_, _, _) => {}
        }
    }

    pub(super) fn find(&mut self, slot: Slot, address: SocketAddr) {
        if self.leg(slot).is_some() {
            self.guests.put(address, slot);
        }
    }

    pub(super) fn lose(&mut self, address: SocketAddr) {
        self.guests.remove(address);
    }

    /// Where a leg with ICE is sent to from now on; nowhere when its peer has not passed a check
    /// for 30 s, or has said goodbye. Of one that holds nothing else tells that it is gone.
    pub(super) fn choose(&mut self, slot: Slot, to: Option<SocketAddr>) {
        let Some(leg) = self.leg_mut(slot) else { return };
        leg.path = to;
        let Some((_, latch)) = &mut leg.line else { return };
        latch.choose(to);
        if to.is_none() && !leg.expects_audio() {
            let [_, secs] = QUIET_SECS;
            let leg = leg.id;
            self.out.report(Report::Quiet { leg, secs });
        }
    }
}

/// Sends a plain packet from a leg's port, protected as was agreed.
pub(super) fn send(leg: &mut Leg, intake: &mut impl Intake, to: SocketAddr, packet: &[u8]) -> bool {
    let port = leg.port();
    match &mut leg.guard {
        Guard::Open => intake.send(port, to, packet),
        Guard::Waiting => false,
        Guard::Keys(keys) => {
            let sender = &mut keys.sender;
            let protect = |it: &mut [u8], len| sender.protect(it, len);
            sealed(packet, &leg.label, protect, |it| intake.send(port, to, it))
        }
    }
}

/// Sends a report, at the port of audio or at the one after it.
pub(super) fn send_report(
    leg: &mut Leg,
    is_muxed: bool,
    intake: &mut impl Intake,
    to: SocketAddr,
    report: &[u8],
) -> bool {
    let port = leg.port();
    let mut put = |it: &[u8]| {
        if is_muxed { intake.send(port, to, it) } else { intake.send_report(port, to, it) }
    };
    match &mut leg.guard {
        Guard::Open => put(report),
        Guard::Waiting => false,
        Guard::Keys(keys) => {
            let sender = &mut keys.sender;
            sealed(report, &[], |it, len| sender.protect_rtcp(it, len), put)
        }
    }
}

/// A copy, so that those who are sent the same packet next find it plain, and without a label.
fn sealed(
    packet: &[u8],
    label: &[u8],
    protect: impl FnOnce(&mut [u8], usize) -> Result<usize, SrtpError>,
    put: impl FnOnce(&[u8]) -> bool,
) -> bool {
    let mut copy = [0; SEALED];
    let len = packet.len() + label.len();
    let Some(place) = copy.get_mut(..len) else { return false };
    if label.is_empty() {
        place.copy_from_slice(packet);
    } else {
        let Some((head, payload)) = packet.split_at_checked(HEADER_LEN) else { return false };
        for (to, from) in place.iter_mut().zip(head.iter().chain(label).chain(payload)) {
            *to = *from;
        }
        if let Some(first) = place.first_mut() {
            *first |= EXTENDED;
        }
    }
    let Ok(len) = protect(&mut copy, len) else { return false };
    copy.get(..len).is_some_and(put)
}
