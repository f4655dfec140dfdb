//! Callers in numbers: each calls, is answered or not, and hangs up or is hung up; every answer is
//! stamped by the kernel.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use hotline_base::LegId;
use hotline_benches::quantile;
use hotline_sip::{EndWhy, Event};

use crate::{
    late::Late,
    party::{Party, wait},
    wire::wall_ns,
};

/// What became of the calls of one span.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) dialled: u64,
    pub(crate) completed: u64,
    pub(crate) refused: u64,
    /// Ended in any other way.
    pub(crate) failed: u64,
    /// From the INVITE to its final answer, in milliseconds.
    pub(crate) set_up: Vec<f64>,
    pub(crate) refusal: Vec<f64>,
    /// Refusals that took longer than they may.
    pub(crate) late: Vec<Late>,
}

impl Seen {
    /// Median, 99th percentile and most.
    pub(crate) fn quantiles(values: &[f64]) -> [f64; 3] {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        [500, 990, 1_000].map(|it| quantile(&sorted, it).unwrap_or(f64::NAN))
    }
}

pub(crate) struct Crowd {
    party: Party,
    next_number: u64,
    /// When each call began that has no final answer, and who is in a talk.
    calling: BTreeMap<LegId, u64>,
    /// And where they are heard.
    talking: BTreeMap<LegId, String>,
    n_packets: u16,
    pub(crate) seen: Seen,
}

impl Crowd {
    pub(crate) fn new(party: Party, first_number: u64) -> Self {
        Self {
            party,
            next_number: first_number,
            calling: BTreeMap::new(),
            talking: BTreeMap::new(),
            n_packets: 0,
            seen: Seen::default(),
        }
    }

    /// Calls evenly at this rate for so long.
    pub(crate) fn call(&mut self, per_sec: f64, span: Duration) -> Result<()> {
        let (begin, mut n) = (Instant::now(), 0_u32);
        while begin.elapsed() < span {
            let due = Duration::from_secs_f64(f64::from(n) / per_sec);
            match due.checked_sub(begin.elapsed()) {
                None => {
                    let leg = self.party.dial(&self.next_number.to_string())?;
                    self.next_number += 1;
                    self.calling.insert(leg, wall_ns());
                    self.seen.dialled += 1;
                    n += 1;
                    // A burst must not keep answers waiting.
                    if n.is_multiple_of(16) {
                        self.hear(Duration::ZERO)?;
                    }
                }
                Some(left) => self.hear(left.min(span.saturating_sub(begin.elapsed())))?,
            }
        }
        Ok(())
    }

    /// Waits until all have ended, no longer than this.
    pub(crate) fn settle(&mut self, most: Duration) -> Result<()> {
        let end = Instant::now() + most;
        while self.n_open() > 0 && Instant::now() < end {
            self.hear(Duration::from_millis(20))?;
        }
        Ok(())
    }

    pub(crate) fn n_open(&self) -> usize {
        self.calling.len() + self.talking.len()
    }

    pub(crate) fn n_talking(&self) -> usize {
        self.talking.len()
    }

    /// Everybody who talks says something: the engine ends calls that fall silent.
    pub(crate) fn speak(&mut self) -> Result<()> {
        self.n_packets = self.n_packets.wrapping_add(1);
        for sdp in self.talking.values() {
            self.party.speak(sdp, self.n_packets)?;
        }
        Ok(())
    }

    /// Everybody who talks hangs up.
    pub(crate) fn hang_up(&mut self) -> Result<()> {
        for leg in self.talking.keys() {
            self.party.hang_up(*leg)?;
        }
        Ok(())
    }

    pub(crate) fn hear(&mut self, most: Duration) -> Result<()> {
        wait(&[&self.party], most)?;
        for (at, event) in self.party.turn()? {
            let millis = |since: u64| at.saturating_sub(since) as f64 / 1e6;
            if let Event::Answered { leg, sdp } = event {
                if let Some(since) = self.calling.remove(&leg) {
                    self.seen.set_up.push(millis(since));
                    self.talking.insert(leg, sdp.unwrap_or_default());
                }
            } else if let Event::Ended { leg, why } = event {
                if self.talking.remove(&leg).is_some() {
                    let well = matches!(why, EndWhy::Bye { .. } | EndWhy::Local);
                    *(if well { &mut self.seen.completed } else { &mut self.seen.failed }) += 1;
                } else if let Some(since) = self.calling.remove(&leg) {
                    if matches!(why, EndWhy::Refused { status: 503, .. }) {
                        self.seen.refused += 1;
                        self.seen.refusal.push(millis(since));
                    } else {
                        self.seen.failed += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// What was seen since the last time.
    pub(crate) fn take(&mut self) -> Seen {
        std::mem::take(&mut self.seen)
    }
}
