//! Figures of each trunk for each quarter hour: attempts, answers, causes, delays, channels.
//!
//! An attempt counts in the quarter hour in which its outcome became known, so that within one row
//! the attempts are the sum of the outcomes. Ratios are those of ITU-T E.411 and E.425.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::{CallId, MonoTime, Now, OfferId, TrunkId, WallTime};

use crate::Way;

/// What became of an attempt.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Outcome {
    Answered,
    /// The caller gave up before the answer.
    GaveUp,
    /// 486, 600; Q.850 17.
    Busy,
    /// Rang and nobody answered: 408 after ringing, 480; Q.850 18, 19.
    NoAnswer,
    /// 603; Q.850 21.
    Rejected,
    /// The number does not exist or is incomplete: 404, 484, 604; Q.850 1, 28.
    NoSuchNumber,
    /// No channel, no route, too much traffic: 503; Q.850 34, 38, 41, 42.
    Congestion,
    /// Nothing came back, or the connection was lost.
    NoResponse,
    /// Any other refusal of the network.
    NetworkFailure,
    /// Refused or failed by ourselves: over limit, draining, disk or media down.
    Ours,
    /// The called party is elsewhere, and we do not follow: 3xx; Q.850 23. The last, because kept
    /// rows name outcomes by their place.
    Redirected,
}

/// Whose doing an outcome is (E.425, network effectiveness).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Class {
    Answer,
    User,
    Number,
    Network,
    Ours,
}

impl Outcome {
    pub const ALL: [Self; 11] = [
        Self::Answered,
        Self::GaveUp,
        Self::Busy,
        Self::NoAnswer,
        Self::Rejected,
        Self::Redirected,
        Self::NoSuchNumber,
        Self::Congestion,
        Self::NoResponse,
        Self::NetworkFailure,
        Self::Ours,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::GaveUp => "gave_up",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Rejected => "rejected",
            Self::NoSuchNumber => "no_such_number",
            Self::Congestion => "congestion",
            Self::NoResponse => "no_response",
            Self::NetworkFailure => "network_failure",
            Self::Ours => "ours",
            Self::Redirected => "redirected",
        }
    }

    pub const fn class(self) -> Class {
        match self {
            Self::Answered => Class::Answer,
            // RFC 3261 §21.3: the network found the user, who (or whose telephone) is forwarded.
            Self::GaveUp | Self::Busy | Self::NoAnswer | Self::Rejected | Self::Redirected => {
                Class::User
            }
            Self::NoSuchNumber => Class::Number,
            Self::Congestion | Self::NoResponse | Self::NetworkFailure => Class::Network,
            Self::Ours => Class::Ours,
        }
    }

    /// Of a final response to our INVITE. A Q.850 cause says more than a status, which gateways
    /// make from it in different ways.
    pub const fn of(status: u16, cause: Option<u16>) -> Self {
        match (cause, status) {
            (Some(17), _) => Self::Busy,
            (Some(18..=20), _) => Self::NoAnswer,
            (Some(21), _) => Self::Rejected,
            (Some(23), _) => Self::Redirected,
            (Some(1 | 28), _) => Self::NoSuchNumber,
            (Some(34 | 38 | 41 | 42 | 44 | 47), _) => Self::Congestion,
            (_, 486 | 600) => Self::Busy,
            (_, 408 | 480 | 487) => Self::NoAnswer,
            (_, 603) => Self::Rejected,
            (_, 300..400) => Self::Redirected,
            (_, 404 | 484 | 604) => Self::NoSuchNumber,
            (_, 503) => Self::Congestion,
            (Some(_) | None, _) => Self::NetworkFailure,
        }
    }
}

/// One trunk, one way, one quarter hour.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Default, Eq, PartialEq)]
pub struct Figures {
    /// By [`Outcome`]; absent is none.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Answered calls that ended by a fault of network or peer.
    pub n_dropped: u64,
    /// Delays to the first ringing or answer, in milliseconds.
    pub n_delays: u64,
    pub delays_ms: u64,
    pub delay_max_ms: u64,
    /// The sum over the channels in use of how long each was, in milliseconds.
    pub held_ms: u64,
    /// The most channels at one moment.
    pub peak: u64,
    /// How long the row was watched, in milliseconds: less than 900,000 when the engine was away.
    pub watched_ms: u64,
}

impl Figures {
    pub fn n(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }

    pub fn of_class(&self, class: Class) -> u64 {
        self.outcomes.iter().filter(|it| it.0.class() == class).map(|it| *it.1).sum()
    }

    pub fn attempts(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Answer-seizure ratio (E.411, E.425): answers of attempts, in thousandths. `None`: no attempt.
    pub fn asr_per_mille(&self) -> Option<u64> {
        (self.n(Outcome::Answered) * 1_000).checked_div(self.attempts())
    }

    /// Network effectiveness ratio (E.425): attempts that the network brought to an answer or to a
    /// user's decision (busy, no answer, rejected, given up), in thousandths.
    pub fn ner_per_mille(&self) -> Option<u64> {
        let effective = self.of_class(Class::Answer) + self.of_class(Class::User);
        (effective * 1_000).checked_div(self.attempts())
    }

    /// The mean post-dial delay (E.721 §2.1.2) in milliseconds.
    pub fn delay_mean_ms(&self) -> Option<u64> {
        self.delays_ms.checked_div(self.n_delays)
    }

    /// Traffic carried, in thousandths of an Erlang (E.600): channels in use on the mean.
    pub fn milli_erlang(&self) -> u64 {
        (self.held_ms * 1_000).checked_div(self.watched_ms).unwrap_or(0)
    }

    /// Adds what another process, or another trunk of the same carrier, counted. The peaks of two
    /// trunks need not have been at one moment: their sum is an upper bound, `peaks_add`; those of
    /// one trunk are not added.
    pub fn add(&mut self, other: &Self, peaks_add: bool) {
        for (outcome, n) in &other.outcomes {
            *self.outcomes.entry(*outcome).or_default() += n;
        }
        self.n_dropped += other.n_dropped;
        self.n_delays += other.n_delays;
        self.delays_ms += other.delays_ms;
        self.delay_max_ms = self.delay_max_ms.max(other.delay_max_ms);
        self.held_ms += other.held_ms;
        self.peak = if peaks_add { self.peak + other.peak } else { self.peak.max(other.peak) };
        self.watched_ms = if peaks_add {
            self.watched_ms.max(other.watched_ms)
        } else {
            self.watched_ms + other.watched_ms
        };
    }
}

/// Names a row. The quarter hour is counted from 1970 in UTC; those of UTC+8 are the same.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RowKey {
    pub quarter: i64,
    pub trunk: TrunkId,
    pub way: Way,
}

impl RowKey {
    pub const fn begins(&self) -> WallTime {
        WallTime(self.quarter.saturating_mul(QUARTER_MS))
    }
}

const QUARTER_MS: i64 = 900_000;

/// Quarter hours that are kept: a day.
pub const QUARTERS_KEPT: i64 = 96;

/// Rows are for trunks, whose number is configured; calls without an outcome are those running.
#[derive(Debug, Default)]
pub struct Statistics {
    rows: BTreeMap<RowKey, Figures>,
    attempts: BTreeMap<AttemptId, Attempt>,
    lines: BTreeMap<(TrunkId, Way), Line>,
    /// Since the start.
    totals: BTreeMap<(TrunkId, Way, Outcome), u64>,
}

/// One INVITE of a call: a call that came in may have others that go out, to parties who are called
/// in.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct AttemptId {
    pub call: CallId,
    pub way: Way,
    /// `None`: the party for whom the call is.
    pub party: Option<OfferId>,
}

impl AttemptId {
    /// Of the party for whom the call is.
    pub const fn of(call: CallId, way: Way) -> Self {
        Self { call, way, party: None }
    }

    /// Of somebody outside who is called in.
    pub const fn guest(call: CallId, party: OfferId) -> Self {
        Self { call, way: Way::Out, party: Some(party) }
    }
}

#[derive(Debug)]
struct Attempt {
    trunk: TrunkId,
    begun: MonoTime,
    delayed: bool,
    answered: bool,
}

/// Channels in use, and until when they are accounted for.
#[derive(Debug)]
struct Line {
    in_use: u64,
    until: Now,
    sums: Sums,
}

/// Sums since the start, of which a monitor makes means and rates.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sums {
    /// As in [`Figures`].
    pub n_dropped: u64,
    pub n_delays: u64,
    pub delays_ms: u64,
    /// Its growth is the traffic carried: 1,000 in a second are an Erlang.
    pub held_ms: u64,
}

impl Statistics {
    /// Every trunk is watched from the start, also one without calls.
    pub fn new(trunks: impl IntoIterator<Item = TrunkId>, now: Now) -> Self {
        let both = |trunk: TrunkId| [(trunk.clone(), Way::In), (trunk, Way::Out)];
        let line = |key| (key, Line { in_use: 0, until: now, sums: Sums::default() });
        let lines = trunks.into_iter().flat_map(both).map(line).collect();
        Self { lines, ..Self::default() }
    }

    /// An attempt begins.
    pub fn begun(&mut self, id: AttemptId, trunk: &TrunkId, now: Now) {
        let (trunk, begun) = (trunk.clone(), now.mono);
        let attempt = Attempt { trunk, begun, delayed: false, answered: false };
        self.attempts.insert(id, attempt);
    }

    /// It rings, or is answered: the first time ends the post-dial delay.
    pub fn progressed(&mut self, id: AttemptId, now: Now) {
        let Some(it) = self.attempts.get_mut(&id).filter(|it| !it.delayed) else { return };
        it.delayed = true;
        let ms = u64::try_from(now.mono.since(it.begun).as_millis()).unwrap_or(u64::MAX);
        let key = key(&it.trunk, id.way, now);
        let row = self.rows.entry(key).or_default();
        row.n_delays += 1;
        row.delays_ms = row.delays_ms.saturating_add(ms);
        row.delay_max_ms = row.delay_max_ms.max(ms);
        let line = (it.trunk.clone(), id.way);
        if let Some(it) = self.lines.get_mut(&line) {
            it.sums.n_delays += 1;
            it.sums.delays_ms = it.sums.delays_ms.saturating_add(ms);
        }
    }

    /// Whether the attempt, or the call it became, runs.
    pub fn runs(&self, id: AttemptId) -> bool {
        self.attempts.contains_key(&id)
    }

    pub fn answered(&mut self, id: AttemptId, now: Now) -> Option<(TrunkId, Outcome)> {
        self.progressed(id, now);
        let it = self.attempts.get_mut(&id).filter(|it| !it.answered)?;
        it.answered = true;
        let trunk = it.trunk.clone();
        self.count(&trunk, id.way, Outcome::Answered, now);
        Some((trunk, Outcome::Answered))
    }

    /// The attempt, or the call it became, is over; `outcome` says how. Of an answered call only a
    /// failure of the network counts, as a drop. Says what was counted of which trunk.
    pub fn ended(
        &mut self,
        id: AttemptId,
        outcome: Outcome,
        now: Now,
    ) -> Option<(TrunkId, Outcome)> {
        let way = id.way;
        let it = self.attempts.remove(&id)?;
        if !it.answered {
            self.count(&it.trunk, way, outcome, now);
            return Some((it.trunk, outcome));
        }
        if outcome.class() != Class::Network {
            return None;
        }
        self.rows.entry(key(&it.trunk, way, now)).or_default().n_dropped += 1;
        if let Some(line) = self.lines.get_mut(&(it.trunk.clone(), way)) {
            line.sums.n_dropped += 1;
        }
        Some((it.trunk, outcome))
    }

    /// An attempt that is over as it begins.
    pub fn count(&mut self, trunk: &TrunkId, way: Way, outcome: Outcome, now: Now) {
        let row = self.rows.entry(key(trunk, way, now)).or_default();
        *row.outcomes.entry(outcome).or_default() += 1;
        *self.totals.entry((trunk.clone(), way, outcome)).or_default() += 1;
    }

    /// So many channels are in use from now on.
    pub fn channels(&mut self, trunk: &TrunkId, way: Way, in_use: usize, now: Now) {
        let in_use = u64::try_from(in_use).unwrap_or(u64::MAX);
        let line = (trunk.clone(), way);
        if self.lines.get(&line).is_some_and(|it| it.in_use == in_use) {
            return;
        }
        self.account(&line, now);
        let it =
            self.lines.entry(line).or_insert(Line { in_use, until: now, sums: Sums::default() });
        it.in_use = in_use;
        let row = self.rows.entry(key(trunk, way, now)).or_default();
        row.peak = row.peak.max(in_use);
    }

    /// Brings every line up to date and forgets rows that are older than a day. Says which.
    pub fn settle(&mut self, now: Now) -> Vec<RowKey> {
        let lines: Vec<_> = self.lines.keys().cloned().collect();
        for line in lines {
            self.account(&line, now);
        }
        let first = quarter(now.wall).saturating_sub(QUARTERS_KEPT);
        let old: Vec<_> = self.rows.keys().take_while(|it| it.quarter <= first).cloned().collect();
        for it in &old {
            self.rows.remove(it);
        }
        old
    }

    /// Charges the time since the last look to the quarter hours it lies in.
    fn account(&mut self, line: &(TrunkId, Way), now: Now) {
        let Some(it) = self.lines.get_mut(line) else { return };
        let (from, n) = (it.until, it.in_use);
        it.until = now;
        // Lengths are the monotonic clock's; the wall clock says in which quarter they lie.
        let mut left = millis(now.mono.since(from.mono));
        it.sums.held_ms = it.sums.held_ms.saturating_add(left.saturating_mul(n));
        let mut wall = now.wall.0.saturating_sub(i64::try_from(left).unwrap_or(0));
        wall = wall.max(quarter(now.wall).saturating_sub(QUARTERS_KEPT).saturating_mul(QUARTER_MS));
        while left > 0 {
            let at = quarter(WallTime(wall));
            let end = at.saturating_add(1).saturating_mul(QUARTER_MS);
            let part = u64::try_from(end.saturating_sub(wall)).unwrap_or(0).min(left);
            let part = if at >= quarter(now.wall) { left } else { part };
            let key = RowKey { quarter: at, trunk: line.0.clone(), way: line.1 };
            let row = self.rows.entry(key).or_default();
            row.watched_ms = row.watched_ms.saturating_add(part);
            row.held_ms = row.held_ms.saturating_add(part.saturating_mul(n));
            row.peak = row.peak.max(n);
            left = left.saturating_sub(part);
            wall = end;
        }
    }

    /// Outcomes since the start.
    pub const fn totals(&self) -> &BTreeMap<(TrunkId, Way, Outcome), u64> {
        &self.totals
    }

    /// Up to date whenever they are asked for.
    pub fn sums(&self, now: MonoTime) -> impl Iterator<Item = (&TrunkId, Way, Sums)> {
        self.lines.iter().map(move |((trunk, way), it)| {
            let held = millis(now.since(it.until.mono)).saturating_mul(it.in_use);
            let held_ms = it.sums.held_ms.saturating_add(held);
            (trunk, *way, Sums { held_ms, ..it.sums })
        })
    }

    /// Up to date after [`settle`](Self::settle).
    pub const fn rows(&self) -> &BTreeMap<RowKey, Figures> {
        &self.rows
    }

    pub fn in_use(&self, trunk: &TrunkId, way: Way) -> u64 {
        self.lines.get(&(trunk.clone(), way)).map_or(0, |it| it.in_use)
    }

    /// A row of an earlier process.
    pub fn restore(&mut self, key: RowKey, figures: &Figures) {
        self.rows.entry(key).or_default().add(figures, false);
    }
}

fn key(trunk: &TrunkId, way: Way, now: Now) -> RowKey {
    RowKey { quarter: quarter(now.wall), trunk: trunk.clone(), way }
}

/// Which quarter hour a time is in.
pub const fn quarter(at: WallTime) -> i64 {
    at.0.div_euclid(QUARTER_MS)
}

fn millis(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
}
