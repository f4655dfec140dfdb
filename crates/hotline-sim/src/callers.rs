//! Callers: they mistype, wait, give up, and hang up at the worst moment.

use std::time::Duration;

use hotline_base::{Key, LegId};
use hotline_sip::{Dial, Event as SipEvent, HangUp, Output as SipOutput};

use crate::{
    Shift,
    agenda::{CallerDeed, Event},
    shift::{TRUNK, addr, reversed},
    voice::leg_of,
    wire::to_switchboard,
};

/// One caller, by the carrier's leg.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The number shown; unique in a shift.
    pub(crate) number: String,
    pub(crate) answered: bool,
    /// Media's leg at the other end, once it is answered.
    pub(crate) peer: Option<LegId>,
}

const KEYS: &[u8] = b"0000123459*#";

impl Shift {
    pub(crate) fn caller_dials(&mut self) {
        let leg = self.carrier.new_leg();
        let number = format!("138{:08}", leg.0);
        let flow = to_switchboard(addr(TRUNK));
        let called = *self.pick(&["12345", "077112345", "+8677112345", "077112329", "99999"]);
        // Some only listen: media cannot miss them.
        let way = if self.random.chance(4) { "a=recvonly\r\n" } else { "" };
        let dial = Dial {
            target: format!("sip:{called}@10.0.0.1"),
            flow,
            from_display: String::new(),
            from_user: number.clone(),
            sdp: self.sdp.to_owned() + way,
            headers: Vec::new(),
            ring_limit: Some(Duration::from_mins(1)),
            silence_limit: None,
            from_host: None,
            credentials: None,
        };
        self.callers.insert(leg, Caller { number, answered: false, peer: None });
        let now = self.at();
        self.carrier.dial(leg, dial, now);
        if self.random.chance(8) {
            let wait = self.millis(0, 400);
            self.after(wait, Event::CallerActs { leg, deed: CallerDeed::HangsUp });
        }
    }

    pub(crate) fn caller_acts(&mut self, leg: LegId, deed: CallerDeed) {
        let Some(caller) = self.callers.get(&leg).cloned() else { return };
        let now = self.at();
        match deed {
            CallerDeed::HangsUp => {
                let why = HangUp { status: 487, reason: Some("Q.850;cause=16".to_owned()) };
                self.carrier.hang_up(leg, why, now);
                if let Some(peer) = caller.peer {
                    self.hung_up(peer);
                }
            }
            CallerDeed::Holds => {
                let held = format!("{}a=sendonly\r\n", self.sdp);
                self.carrier.reoffer(leg, held, now);
            }
            CallerDeed::Refreshes => self.carrier.reoffer(leg, self.sdp.to_owned(), now),
            CallerDeed::Presses(key) => {
                let own = self.ledger.leg_of(&caller.number);
                if let (true, Some(own), Ok(key)) = (caller.answered, own, Key::try_from(key)) {
                    for event in self.media.press(own, key) {
                        self.tell_media(Duration::from_micros(100), event);
                    }
                }
            }
        }
    }

    pub(crate) fn drain_carrier(&mut self) {
        while let Some(output) = self.carrier.poll_output() {
            match output {
                SipOutput::Transmit { flow, bytes } => self.send(reversed(flow), bytes),
                SipOutput::Event(event) => self.caller_hears(event),
            }
        }
    }

    fn caller_hears(&mut self, event: SipEvent) {
        match event {
            SipEvent::Answered { leg, sdp } => {
                if let Some(caller) = self.callers.get_mut(&leg) {
                    caller.answered = true;
                    caller.peer = sdp.as_deref().and_then(leg_of);
                }
                self.plan_caller(leg);
            }
            SipEvent::Ended { leg, why } => {
                if let Some(peer) = self.callers.remove(&leg).and_then(|it| it.peer) {
                    self.peer_lost(peer, why);
                }
                self.callees.remove(&leg);
            }
            SipEvent::Offered { leg, .. } => {
                let (sdp, now) = (self.sdp.to_owned(), self.at());
                self.carrier.accept_offer(leg, sdp, now);
            }
            SipEvent::Invited(it) => {
                let peer = it.sdp.as_deref().and_then(leg_of);
                self.callees.extend(
                    peer.filter(|_| it.flow.local == addr(TRUNK)).map(|peer| (it.leg, peer)),
                );
                self.callee_is_called(it.leg);
            }
            SipEvent::Confirmed { leg } => self.callee_talks(leg),
            SipEvent::Ringing { .. }
            | SipEvent::Changed { .. }
            | SipEvent::Reanswered { .. }
            | SipEvent::ReofferRefused { .. }
            | SipEvent::ReferProgress { .. }
            | SipEvent::Referred { .. }
            | SipEvent::Key { .. }
            | SipEvent::Bound { .. }
            | SipEvent::Unbound { .. }
            | SipEvent::Unreachable { .. }
            | SipEvent::Reachable { .. }
            | SipEvent::RegisterDone { .. }
            | SipEvent::Enrolled(_)
            | SipEvent::Stranger { .. }
            | SipEvent::Misbehaved { .. }
            | SipEvent::AuthFailed { .. }
            | SipEvent::Probed { .. } => (),
        }
    }

    /// What a caller does once he is connected.
    fn plan_caller(&mut self, leg: LegId) {
        if self.random.chance(20) {
            let soon = Duration::from_secs(2);
            self.after(soon, Event::CallerActs { leg, deed: CallerDeed::Refreshes });
        }
        let n_keys = self.random.between(0, 6);
        let mut at = Duration::ZERO;
        for _ in 0..n_keys {
            at += self.millis(50, 12_000);
            let key = char::from(*self.pick(KEYS));
            self.after(at, Event::CallerActs { leg, deed: CallerDeed::Presses(key) });
        }
        if self.random.chance(5) {
            let wait = self.millis(1000, 40_000);
            self.after(wait, Event::CallerActs { leg, deed: CallerDeed::Holds });
        }
        let patience = if let Some(it) = self.plan.faults.storm {
            it.talk / 2 + self.part_of(it.talk / 2)
        } else if self.random.chance(70) {
            self.millis(20_000, 240_000)
        } else {
            self.millis(0, 30_000)
        };
        self.after(patience, Event::CallerActs { leg, deed: CallerDeed::HangsUp });
    }

    #[expect(clippy::indexing_slicing, reason = "`below` is below the length")]
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let n = u64::try_from(from.len()).unwrap_or(1);
        &from[usize::try_from(self.random.below(n)).unwrap_or(0)]
    }
}
