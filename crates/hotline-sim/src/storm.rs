//! Long talks in a bad hour: lines that are cut one after the other, connections that end, and a
//! control process that dies. No talk ends by any of it: sessions are refreshed on both sides.

use std::time::Duration;

use hotline_base::{CallId, LegId};
use hotline_cdr::{CallFact, Party};
use hotline_sip::{EndWhy, Flow};

use crate::{SWITCHBOARD, Shift, TRUNK, agenda::Event, ledger::Ledger, shift::addr};

/// What comes over the talks. Nobody hangs up but callers, and no agent but who is idle does
/// anything.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    /// How often a line is cut: the carrier's and the office's, in turn.
    pub cuts: u32,
    pub cut_max: Duration,
    /// How often control dies.
    pub deaths: u32,
    /// Callers talk for so long at most, and for half of it at least.
    pub talk: Duration,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Line {
    Carrier,
    /// Telephones, with their connections.
    Office,
}

impl Shift {
    pub(crate) fn plan_storm(&mut self) {
        let Some(it) = self.plan.faults.storm else { return };
        let span = self.plan.span;
        for n in 0..it.cuts {
            let line = if n % 2 == 0 { Line::Carrier } else { Line::Office };
            self.after(span * (n + 1) / (it.cuts + 1), Event::LineCut { line });
        }
        for n in 0..it.deaths {
            let wait = self.part_of(Duration::from_secs(20));
            self.after(span * (n + 1) / (it.deaths + 1) + wait, Event::ControlDies);
        }
    }

    /// Nothing goes either way. Connections end: some are missed at once, and all are anew soon.
    pub(crate) fn line_cut(&mut self, line: Line) {
        let Some(it) = self.plan.faults.storm else { return };
        self.cut = Some(line);
        let length = self.millis(1_000, u64::try_from(it.cut_max.as_millis()).unwrap_or(u64::MAX));
        self.after(length, Event::LineReturns);
        if line == Line::Office {
            self.connections_end(length);
        }
    }

    /// Nobody connects meanwhile.
    pub(crate) fn office_is_cut(&self) -> bool {
        self.cut == Some(Line::Office)
    }

    /// Whether the line by which this comes is cut.
    pub(crate) fn line_is_cut(&self, flow: Flow) -> bool {
        let here = addr(SWITCHBOARD);
        let peer = if flow.local == here { flow.remote } else { flow.local };
        match self.cut {
            Some(Line::Carrier) => peer == addr(TRUNK),
            Some(Line::Office) => self.phones.iter().any(|it| it.address == peer),
            None => false,
        }
    }

    /// What the peer of one of media's legs thinks of its end.
    pub(crate) fn peer_lost(&mut self, leg: LegId, why: EndWhy) {
        let lost = matches!(why, EndWhy::Expired | EndWhy::NoResponse | EndWhy::ConnectionGone);
        if lost && self.ledger.talks(leg) {
            self.ledger.fail(format!("the peer of {leg} takes the talk as over: {why:?}"));
        }
    }
}

impl Ledger {
    /// Whether the leg was bridged in a storm, and its call goes on.
    fn talks(&self, leg: LegId) -> bool {
        let call = self.storm.as_ref().and_then(|it| it.get(&leg));
        call.is_some_and(|it| !self.ended.contains(it))
    }

    /// Of a talk in a storm nobody is released but by the caller.
    pub(crate) fn storm_fact(&mut self, call: CallId, fact: &CallFact) {
        let Some(talking) = &mut self.storm else { return };
        if let CallFact::Bridged { offer } = fact {
            let legs = self.offer_legs.get(offer).into_iter().chain(self.caller_legs.get(&call));
            talking.extend(legs.map(|it| (*it, call)));
        } else if let CallFact::AgentReleased { offer, by } = fact
            && *by != Party::Caller
        {
            self.fail(format!("the talk {offer} ended by {by:?}"));
        }
    }
}
