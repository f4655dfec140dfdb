//! The line to the carrier's second gateway, which is cut now and then, and who waits for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hotline_base::MonoTime;
use hotline_sip::{Flow, Message};

use crate::{GATEWAY, Shift, agenda::Event, shift::addr};

/// How long a gateway may say nothing (requirement R10).
const SILENT_MAX: Duration = Duration::from_secs(1);

/// How long one may be dead that said 100 before, until the probes know it.
const DEAD_MAX: Duration = Duration::from_secs(6);

/// How long after its death or return a gateway may be thought of wrongly (requirement R10, and
/// three good probes after it).
const KNOWN_WITHIN: Duration = Duration::from_secs(12);

impl Shift {
    pub(crate) fn gateway_dies(&mut self) {
        self.gateway = (false, self.now);
        self.ledger.invites.gateway_died = self.now;
        self.after(KNOWN_WITHIN, Event::GatewayIsKnown);
        let longest = self.plan.faults.cut_max.unwrap_or(Duration::from_mins(1));
        let wait = self.millis(1000, u64::try_from(longest.as_millis()).unwrap_or(u64::MAX));
        self.after(wait, Event::GatewayReturns);
    }

    pub(crate) fn gateway_returns(&mut self) {
        self.gateway.0 = true;
        self.gateway_is_asked_anew();
    }

    /// By a process that knows nothing of it, or because a probe was lost on a bad line: three good
    /// ones in a row bring it back.
    pub(crate) fn gateway_is_asked_anew(&mut self) {
        self.gateway.1 = self.now;
        self.probes_failed = self.shown_gateway().1;
        self.after(KNOWN_WITHIN, Event::GatewayIsKnown);
    }

    /// Nothing goes either way.
    pub(crate) fn is_cut(&self, flow: Flow) -> bool {
        !self.gateway.0 && [flow.local, flow.remote].contains(&addr(GATEWAY))
    }

    /// Whether the second gateway lives is known soon after it changed.
    pub(crate) fn check_gateway(&mut self) {
        let (lives, since) = self.gateway;
        let (shown, n_failed) = self.shown_gateway();
        if shown == lives || self.now.since(since) < KNOWN_WITHIN {
            return;
        }
        if lives && n_failed != self.probes_failed {
            return self.gateway_is_asked_anew();
        }
        self.ledger.fail(format!("the gateway lives: {lives}, and is thought otherwise"));
    }

    /// Whether it is thought to live, and how many probes of it failed.
    fn shown_gateway(&self) -> (bool, u64) {
        let board = self.switchboard.board(self.at());
        let mut shown = board.trunks.iter().flat_map(|it| &it.gateways);
        shown.find(|it| it.address == addr(GATEWAY)).map_or((self.gateway.0, 0), |it| {
            (it.lives, it.probed.map_or(0, |(_, probes)| probes.n_failed))
        })
    }
}

/// INVITEs of the switchboard, and how long calls wait for who does not answer them.
#[derive(Debug, Default)]
pub(crate) struct Invites {
    /// By Call-ID, when it was sent.
    sent: BTreeMap<Vec<u8>, MonoTime>,
    /// When those were sent that somebody said 100 to.
    trying: BTreeSet<MonoTime>,
    gateway_died: MonoTime,
    /// Given up after silence, and when a gateway died that had taken them without a ring.
    pub(crate) n_silent: u64,
    pub(crate) n_left: u64,
}

impl Invites {
    pub(crate) fn sent(&mut self, bytes: &[u8], now: MonoTime) {
        if bytes.starts_with(b"INVITE ")
            && let Ok(it) = Message::parse(bytes)
        {
            self.sent.insert(it.call_id().to_vec(), now);
        }
    }

    pub(crate) fn heard(&mut self, message: &Message) {
        if message.status() == Some(100) {
            self.trying.extend(self.sent.get(message.call_id()));
        }
    }

    /// The INVITE of that time is given up. Says how long too long it was waited for.
    pub(crate) fn given_up(
        &mut self,
        went: MonoTime,
        at: MonoTime,
        lossless: bool,
    ) -> Option<Duration> {
        let (since, longest) = if self.trying.contains(&went) {
            self.n_left += 1;
            // With lost packets the probes may be wrong about one that lives.
            (went.max(self.gateway_died), if lossless { DEAD_MAX } else { Duration::MAX })
        } else {
            self.n_silent += 1;
            (went, SILENT_MAX)
        };
        Some(at.since(since)).filter(|it| *it > longest)
    }
}
