//! Why an answer was late: what the thread that decides did meanwhile, and whether the machine was
//! there at all.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, anyhow};
use hotline_testkit::{Absence, Canaries};
use rustix::{process::setpriority_process, thread::gettid};

use crate::wire::wall_ns;

/// How often the thread is looked at.
const EVERY: Duration = Duration::from_millis(10);

/// Answers that are explained, the latest ones.
const SHOWN: usize = 5;

/// An answer that came later than it should, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Late {
    pub(crate) asked: u64,
    /// When its 100 came; none: it was refused at the door.
    pub(crate) taken: Option<u64>,
    pub(crate) answered: u64,
}

impl Late {
    fn millis(self) -> f64 {
        millis(self.answered.saturating_sub(self.asked))
    }
}

/// Watches the thread and the machine, until asked.
pub(crate) struct Watch {
    since: u64,
    canaries: Canaries,
    stop: Arc<AtomicBool>,
    work: JoinHandle<Result<Vec<Look>>>,
}

/// What the scheduler has counted of the thread by then, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    at: u64,
    ran: u64,
    kept: u64,
}

/// What is known of the span that was watched.
pub(crate) struct Watched {
    since: u64,
    looks: Vec<Look>,
    absences: Vec<Absence>,
}

impl Watch {
    /// `thread` is its folder in `/proc`.
    pub(crate) fn begin(thread: PathBuf) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let told = Arc::clone(&stop);
        let work = thread::spawn(move || look_on(&thread, &told));
        Self { since: wall_ns(), canaries: Canaries::start(), stop, work }
    }

    pub(crate) fn end(self) -> Result<Watched> {
        self.stop.store(true, Relaxed);
        let looks = self.work.join().map_err(|_| anyhow!("the watch failed"))??;
        Ok(Watched { since: self.since, looks, absences: self.canaries.absences() })
    }
}

fn look_on(thread: &std::path::Path, stop: &AtomicBool) -> Result<Vec<Look>> {
    // Before those it watches; where that is not permitted it looks less often.
    let _refused = setpriority_process(Some(gettid()), -20);
    let mut looks = Vec::new();
    while !stop.load(Relaxed) {
        let text = fs::read_to_string(thread.join("schedstat"))?;
        let mut numbers = text.split(' ').map(str::parse::<u64>);
        let mut next = || numbers.next().context("schedstat has three numbers");
        looks.push(Look { ran: next()??, kept: next()??, at: wall_ns() });
        thread::sleep(EVERY);
    }
    Ok(looks)
}

impl Watched {
    /// How long cores were away in all.
    pub(crate) fn away(&self) -> Duration {
        self.absences.iter().map(|it| it.lasted).sum()
    }

    /// The latest one that no core's absence touched.
    pub(crate) fn latest_of_ours(&self, all: &[Late]) -> Option<f64> {
        all.iter().filter(|it| self.away_in(it) == 0).map(|it| it.millis()).max_by(f64::total_cmp)
    }

    pub(crate) fn explain(&self, all: &[Late]) {
        let mut all = all.to_vec();
        all.sort_by(|a, b| b.millis().total_cmp(&a.millis()));
        for it in all.iter().take(SHOWN) {
            let before = self.looks.iter().rfind(|look| look.at <= it.asked);
            let after = self.looks.iter().find(|look| look.at >= it.answered);
            let (before, after) = (
                before.or(self.looks.first()).copied().unwrap_or_default(),
                after.or(self.looks.last()).copied().unwrap_or_default(),
            );
            println!(
                "   a refusal took {:.0} ms{}, asked for {:.2} s after the begin: in {:.0} ms \
                 around it control ran {:.0} and was kept from a processor for {:.0}; \
                 cores were away for {:.0}",
                it.millis(),
                it.taken.map_or_else(String::new, |taken| {
                    let to_100 = millis(taken.saturating_sub(it.asked));
                    format!(" (its 100 came after {to_100:.0})")
                }),
                millis(it.asked.saturating_sub(self.since)) / 1e3,
                millis(after.at.saturating_sub(before.at)),
                millis(after.ran.saturating_sub(before.ran)),
                millis(after.kept.saturating_sub(before.kept)),
                millis(self.away_in(it)),
            );
        }
    }

    /// For how long cores were away between question and answer, in nanoseconds.
    fn away_in(&self, it: &Late) -> u64 {
        let within = |absence: &Absence| {
            let since = absence.since.duration_since(UNIX_EPOCH).unwrap_or_default();
            let end = nanos(since + absence.lasted).min(it.answered);
            end.saturating_sub(nanos(since).max(it.asked))
        };
        self.absences.iter().map(within).sum()
    }
}

fn nanos(it: Duration) -> u64 {
    u64::try_from(it.as_nanos()).unwrap_or(u64::MAX)
}

fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}
