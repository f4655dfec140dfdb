//! Figures of trunks, and the watch over carriers: both are made from the facts of calls.

use std::collections::BTreeMap;

use borsh::BorshDeserialize;
use hotline_base::{CallId, CommandId, LegId, MonoTime, Now, OfferId, TrunkId};
use hotline_cdr::{CallFact, CalledParty, EndReason, OfferEnd, RefusedWhy, Stamped};
use hotline_trunk::{
    Way,
    statistics::{AttemptId, Class, Figures, Outcome, QUARTERS_KEPT, RowKey, Statistics, quarter},
    watch::Watch,
};

use super::{Arc, Config, Output, Switchboard};
use crate::{Alarm, CarrierView, TrafficRow, TrafficView};

/// Beginning of the keys under which finished quarter hours outlive the process.
const KEPT: &str = "traffic/";

/// What was counted of which trunk, if anything.
type Counted = Option<(TrunkId, Outcome)>;

#[derive(Debug)]
pub(super) struct Traffic {
    statistics: Statistics,
    watch: Watch,
    carriers: BTreeMap<TrunkId, String>,
    /// When the watch wants to look again.
    judge_at: Option<MonoTime>,
    /// The quarter hour whose rows are not kept yet.
    quarter: i64,
    /// Something happened in this turn.
    moved: bool,
    /// The legs of those outside who are called into calls.
    guests: BTreeMap<LegId, OfferId>,
}

impl Traffic {
    pub(super) fn new(config: &Config, now: Now) -> Self {
        Self {
            statistics: Statistics::new(config.trunks.iter().map(|it| it.id.clone()), now),
            watch: Watch::new(config.carrier_alarm.clone()),
            carriers: config.carriers.clone(),
            judge_at: None,
            quarter: quarter(now.wall),
            moved: false,
            guests: BTreeMap::new(),
        }
    }

    /// What happens to somebody outside who is called into a call; `None`: it is about something
    /// else.
    fn note_guest(&mut self, call: CallId, fact: &Stamped) -> Option<Counted> {
        let (at, statistics) = (fact.at, &mut self.statistics);
        let of = |offer: &OfferId| AttemptId::guest(call, *offer);
        if let CallFact::PartyCalled { offer, leg, party: CalledParty::Outside { .. }, .. } =
            &fact.fact
        {
            self.guests.insert(*leg, *offer);
            Some(None)
        } else if let CallFact::RungOutside { offer, leg, .. } = &fact.fact {
            self.guests.insert(*leg, *offer);
            Some(None)
        } else if let CallFact::PartyWentOut { offer, trunk, .. } = &fact.fact {
            // Another gateway did not take him.
            let refused = statistics.ended(of(offer), of_way(503, None), at);
            statistics.begun(of(offer), trunk, at);
            Some(refused)
        } else if let CallFact::Ringing { offer } = &fact.fact {
            statistics.progressed(of(offer), at);
            Some(None)
        } else if let CallFact::PartyJoined { offer } | CallFact::AgentAnswered { offer } =
            &fact.fact
        {
            Some(statistics.answered(of(offer), at))
        } else if let CallFact::PartyLeft { offer, why, .. } = &fact.fact {
            self.guests.retain(|_, it| it != offer);
            Some(statistics.ended(of(offer), of_guest(*why), at))
        } else if let CallFact::OfferEnded { offer, why } = &fact.fact {
            self.guests.retain(|_, it| it != offer);
            Some(statistics.ended(of(offer), of_guest(Some(*why)), at))
        } else if let CallFact::AgentReleased { offer, .. } = &fact.fact {
            self.guests.retain(|_, it| it != offer);
            Some(statistics.ended(of(offer), of_guest(None), at))
        } else {
            None
        }
    }

    /// A trunk without a carrier is one by itself.
    fn carrier<'a>(&'a self, trunk: &'a TrunkId) -> &'a str {
        self.carriers.get(trunk).map_or(trunk.as_str(), String::as_str)
    }

    /// The end of this turn is looked at, whatever happens in it.
    pub(super) const fn touch(&mut self) {
        self.moved = true;
    }

    /// An INVITE that did not become a call because there were too many.
    pub(super) fn turned_away(&mut self, trunk: &TrunkId, now: Now) {
        self.statistics.count(trunk, Way::In, Outcome::Ours, now);
    }

    /// A caller hears that it rings.
    pub(super) fn rang(&mut self, call: CallId, now: Now) {
        self.statistics.progressed(AttemptId::of(call, Way::In), now);
    }

    pub(super) const fn poll_timeout(&self) -> Option<MonoTime> {
        self.judge_at
    }

    pub(super) const fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Each carrier, and whether it is in alarm.
    pub(super) fn carriers(&self, config: &Config) -> BTreeMap<String, bool> {
        let all = config.trunks.iter().map(|it| self.carrier(&it.id));
        all.map(|it| (it.to_owned(), self.watch.is_raised(it))).collect()
    }
}

impl Switchboard {
    /// A fact goes out; what it says of a trunk is counted.
    pub(super) fn say_fact(&mut self, call: CallId, fact: Arc<Stamped>) {
        self.note_fact(call, &fact);
        self.outputs.push_back(Output::Fact { call, fact });
    }

    fn note_fact(&mut self, call: CallId, fact: &Stamped) {
        let at = fact.at;
        let (into, out) = (AttemptId::of(call, Way::In), AttemptId::of(call, Way::Out));
        let statistics = &mut self.traffic.statistics;
        // Only the end of a call is one of two attempts.
        let mut other = None;
        let counted = if let CallFact::Arrived(it) = &fact.fact {
            statistics.begun(into, &it.trunk, at);
            None
        } else if let CallFact::WentOut { trunk, .. } = &fact.fact {
            statistics.begun(out, trunk, at);
            None
        } else if let CallFact::PartyRinging = &fact.fact {
            statistics.progressed(out, at);
            None
        } else if let CallFact::WayRefused { status, .. } = &fact.fact {
            statistics.ended(out, of_way(*status, None), at)
        } else if let CallFact::DialFailed { leg, status, cause } = &fact.fact {
            let is_main = self.calls.get(&call).is_some_and(|it| it.call.caller_leg() == *leg);
            let guest = self.traffic.guests.get(leg).map(|it| AttemptId::guest(call, *it));
            let failed = guest.or_else(|| is_main.then_some(out));
            failed.and_then(|it| statistics.ended(it, of_way(*status, *cause), at))
        } else if let CallFact::Refused { why, .. } = &fact.fact {
            statistics.ended(into, of_refusal(*why), at)
        } else if let CallFact::Answered = &fact.fact {
            statistics.answered(if statistics.runs(into) { into } else { out }, at)
        } else if let CallFact::Ended { reason, .. } = &fact.fact {
            other = statistics.ended(out, of_end_out(reason), at);
            statistics.ended(into, of_end(reason), at)
        } else {
            match self.traffic.note_guest(call, fact) {
                Some(it) => it,
                None => return,
            }
        };
        self.traffic.moved = true;
        // What we do ourselves says nothing about a carrier.
        let counted = counted.into_iter().chain(other);
        let Traffic { carriers, watch, .. } = &mut self.traffic;
        for (trunk, outcome) in counted.filter(|it| it.1.class() != Class::Ours) {
            let carrier = carriers.get(&trunk).map_or(trunk.as_str(), String::as_str);
            watch.note(carrier, outcome.class() == Class::Network, at.mono);
        }
    }

    /// At the end of a turn: channels, alarms, and the quarter hour that is over.
    pub(super) fn settle_traffic(&mut self, now: Now) {
        let is_due = self.traffic.judge_at.is_some_and(|it| it <= now.mono);
        if !std::mem::take(&mut self.traffic.moved) && !is_due {
            return;
        }
        let config = Arc::clone(&self.config);
        for (trunk, way) in config.trunks.iter().flat_map(|it| [(it, Way::In), (it, Way::Out)]) {
            let in_use = self.admission.in_use_by(&trunk.id, way);
            self.traffic.statistics.channels(&trunk.id, way, in_use, now);
        }
        for it in self.traffic.watch.judge(now.mono) {
            self.outputs.push_back(Output::Alarm(Alarm::Carrier(it)));
        }
        self.traffic.judge_at = self.traffic.watch.poll_timeout(now.mono);
        let quarter = quarter(now.wall);
        if quarter != self.traffic.quarter || self.draining {
            self.keep_traffic(now);
            self.traffic.quarter = quarter;
        }
    }

    /// Rows of the quarter hour that is over, or about to be left, outlive the process.
    fn keep_traffic(&mut self, now: Now) {
        for key in self.traffic.statistics.settle(now) {
            self.outputs.push_back(Output::Keep { key: name(&key), value: None });
        }
        let rows = self.traffic.statistics.rows().iter();
        let over = rows.filter(|(key, it)| key.quarter >= self.traffic.quarter && is_used(it));
        let kept: Vec<_> = over
            .filter(|(key, _)| self.draining || key.quarter < quarter(now.wall))
            .filter_map(|(key, it)| Some((name(key), borsh::to_vec(&(key, it)).ok()?)))
            .collect();
        for (key, value) in kept {
            self.outputs.push_back(Output::Keep { key, value: Some(value) });
        }
    }

    pub(super) fn restore_traffic(&mut self, entries: &[(String, Vec<u8>)], now: Now) {
        let first = quarter(now.wall).saturating_sub(QUARTERS_KEPT);
        for (name, value) in entries.iter().filter(|it| it.0.starts_with(KEPT)) {
            match <(RowKey, Figures)>::try_from_slice(value) {
                Ok((key, figures)) if key.quarter > first => {
                    self.traffic.statistics.restore(key, &figures);
                }
                Ok(_) => self.forget_kept(name),
                Err(_) => self.not_restored(name),
            }
        }
    }

    pub(super) fn show_traffic(&mut self, id: CommandId, now: Now) {
        self.traffic.statistics.settle(now);
        let traffic = &self.traffic;
        let row = |(key, it): (&RowKey, &Figures)| TrafficRow {
            key: key.clone(),
            carrier: traffic.carrier(&key.trunk).to_owned(),
            figures: it.clone(),
        };
        let view = TrafficView {
            rows: traffic.statistics.rows().iter().map(row).collect(),
            carriers: self.carriers(),
        };
        self.outputs.push_back(Output::TrafficShown { id, view: Box::new(view) });
    }
}

impl Switchboard {
    /// Each carrier's trunks, added up.
    fn carriers(&self) -> BTreeMap<String, CarrierView> {
        let mut all: BTreeMap<String, CarrierView> = BTreeMap::new();
        for (carrier, alarm) in self.traffic.carriers(&self.config) {
            all.entry(carrier).or_default().alarm = alarm;
        }
        for trunk in &self.config.trunks {
            let it = all.entry(self.traffic.carrier(&trunk.id).to_owned()).or_default();
            it.trunks.push(trunk.id.clone());
            for (_, gateway) in self.fleet.gateways(&trunk.id) {
                it.n_gateways += 1;
                it.n_gateways_up += usize::from(gateway.lives);
                if let Some((_, probes)) = gateway.probed {
                    it.probes_good += probes.n_good;
                    it.probes_failed += probes.n_failed;
                }
            }
            for account in self.registrations.accounts(&trunk.id, &self.fleet) {
                it.n_accounts += 1;
                it.n_registered += usize::from(account.registered.is_some());
            }
        }
        all
    }
}

fn name(key: &RowKey) -> String {
    format!("{KEPT}{}/{}/{}", key.quarter, key.way.as_str(), key.trunk)
}

/// A row that says nothing but that time went by is not worth the disk.
fn is_used(it: &Figures) -> bool {
    it.attempts() > 0 || it.held_ms > 0
}

const fn of_refusal(why: RefusedWhy) -> Outcome {
    match why {
        RefusedWhy::UnknownNumber => Outcome::NoSuchNumber,
        // What the carrier sent could not be used.
        RefusedWhy::BadSdp | RefusedWhy::NoCommonCodec | RefusedWhy::NoCommonAddress => {
            Outcome::NetworkFailure
        }
        RefusedWhy::OverLimit
        | RefusedWhy::TooFast
        | RefusedWhy::NoPort
        | RefusedWhy::MediaDown
        | RefusedWhy::MediaSlow
        | RefusedWhy::MediaBusy
        | RefusedWhy::SpoolDown
        | RefusedWhy::Draining => Outcome::Ours,
    }
}

/// Of an INVITE to a gateway; 408 is its silence.
const fn of_way(status: u16, cause: Option<u16>) -> Outcome {
    match (status, cause) {
        (408, None) => Outcome::NoResponse,
        (status, cause) => Outcome::of(status, cause),
    }
}

/// Of a call that went out and that no status ended.
fn of_end_out(reason: &EndReason) -> Outcome {
    match reason {
        EndReason::Normal { tag } if tag == "no_answer" => Outcome::NoAnswer,
        EndReason::Normal { tag } if tag == "unreachable" => Outcome::NoResponse,
        // The agent hung up.
        EndReason::Normal { .. } | EndReason::Refused => Outcome::GaveUp,
        EndReason::Cancelled
        | EndReason::AckMissing
        | EndReason::PeerGone
        | EndReason::SessionExpired
        | EndReason::MediaLost
        | EndReason::MediaFailed
        | EndReason::Internal => of_end(reason),
    }
}

/// Of somebody outside who was called in and is gone, and whom no status refused.
const fn of_guest(why: Option<OfferEnd>) -> Outcome {
    match why {
        Some(OfferEnd::NoAnswer) => Outcome::NoAnswer,
        Some(OfferEnd::Unreachable) => Outcome::NoResponse,
        Some(OfferEnd::Rejected) => Outcome::Rejected,
        Some(OfferEnd::System) => Outcome::Ours,
        Some(OfferEnd::CallerLeft | OfferEnd::AgentLeft | OfferEnd::NotReached) | None => {
            Outcome::GaveUp
        }
    }
}

/// Of a call that ended; before an answer it is the outcome, after one it may be a drop.
const fn of_end(reason: &EndReason) -> Outcome {
    match reason {
        EndReason::Cancelled => Outcome::GaveUp,
        EndReason::Normal { .. } | EndReason::Refused => Outcome::Rejected,
        EndReason::AckMissing | EndReason::PeerGone | EndReason::SessionExpired => {
            Outcome::NoResponse
        }
        EndReason::MediaLost => Outcome::NetworkFailure,
        EndReason::MediaFailed | EndReason::Internal => Outcome::Ours,
    }
}
