//! What was measured against what was aimed at.

use std::collections::BTreeMap;

use hotline_benches::{median, spread};

use crate::table::{BRIDGE, RTPENGINE, TWO};

/// At most so much is asked for; so much is as good as it gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim {
    pub(crate) most: f64,
    pub(crate) extreme: f64,
}

/// One run of one row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) round: usize,
    /// Microseconds a packet.
    pub(crate) cost: f64,
    /// To the yardstick before and after it.
    pub(crate) ratio: f64,
    /// Why it does not count, if so.
    pub(crate) flaw: Option<&'static str>,
    /// p50 and p99, in milliseconds; none of a mix.
    pub(crate) delays: Option<[f64; 2]>,
    /// For each packet.
    pub(crate) system_calls: Option<f64>,
    pub(crate) allocations: Option<f64>,
    /// Bytes of the process, and of the kernel.
    pub(crate) own: f64,
    pub(crate) kernel: f64,
    pub(crate) calls: f64,
}

/// The engine with nothing or next to nothing to do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Idle {
    /// Of a core.
    pub(crate) share: f64,
    pub(crate) own: f64,
    pub(crate) kernel: f64,
    /// What was wrong with one of its runs with calls.
    pub(crate) amiss: Option<&'static str>,
    /// p50 and p99 of each round, in milliseconds.
    pub(crate) delays: Vec<Option<[f64; 2]>>,
}

/// A row's aim, if it has one, and its runs.
type Measured = (Option<Aim>, Vec<Sample>);

#[derive(Debug)]
pub(crate) struct Verdicts {
    /// By load point and row.
    samples: BTreeMap<(usize, &'static str), Measured>,
    /// Rows in the order of their first run.
    names: Vec<&'static str>,
    /// Of each intake.
    idle: [Idle; 2],
    n_missed: usize,
}

const INTAKES: [&str; 2] = ["sockets", "sk_lookup"];

/// p50 and p99 in milliseconds at 500 calls, of each intake.
const DELAYS: [[Aim; 2]; 2] = [
    [Aim { most: 0.5, extreme: 0.3 }, Aim { most: 3.0, extreme: 2.0 }],
    [Aim { most: 4.0, extreme: 3.0 }, Aim { most: 7.0, extreme: 5.5 }],
];

/// The same with next to no load, of both.
const IDLE_DELAYS: [Aim; 2] = DELAYS[0];

/// Of a core, with no call.
const IDLE_SHARE: Aim = Aim { most: 0.005, extreme: 0.005 };

/// System calls a packet through `sk_lookup` at 500 calls.
const SYSTEM_CALLS: Aim = Aim { most: 0.1, extreme: 0.1 };

/// A packet allocates nothing. Reports that leave once a second and a recording's begin may.
const ALLOCATIONS: Aim = Aim { most: 0.01, extreme: 0.01 };

/// Of rtpengine's, by each intake.
const OF_RTPENGINE: [f64; 2] = [0.5, 1.0 / 3.0];

const KIB: f64 = 1_024.0;

impl Verdicts {
    pub(crate) const fn new(idle: [Idle; 2]) -> Self {
        Self { samples: BTreeMap::new(), names: Vec::new(), idle, n_missed: 0 }
    }

    pub(crate) fn add(
        &mut self,
        calls: usize,
        name: &'static str,
        aim: Option<Aim>,
        sample: Sample,
    ) {
        if !self.names.contains(&name) {
            self.names.push(name);
        }
        let (_, samples) = self.samples.entry((calls, name)).or_insert((aim, Vec::new()));
        samples.push(sample);
    }

    pub(crate) const fn n_missed(&self) -> usize {
        self.n_missed
    }

    /// A load point's rows and verdicts.
    pub(crate) fn print(&mut self, calls: usize, rounds: usize) {
        println!("\n== {calls} calls, {rounds} rounds; load {}", hotline_benches::load());
        println!(
            "{:26} {:>20} {:>8} {:>13} {:>9} {:>18} {:>15} {:>10} {:>11} {:>15}",
            "row",
            "ratio to raw",
            "counted",
            "aim, extreme",
            "verdict",
            "us/packet",
            "delay p50 p99",
            "calls/pkt",
            "allocs/pkt",
            "KiB a call"
        );
        let mut flaws = BTreeMap::new();
        for name in self.names.clone() {
            let Some((aim, all)) = self.samples.get(&(calls, name)).cloned() else { continue };
            for flaw in all.iter().filter_map(|it| it.flaw) {
                *flaws.entry(flaw).or_insert(0) += 1;
            }
            self.print_row(name, aim, &all);
        }
        for (flaw, n) in flaws {
            println!("   {n} runs do not count: {flaw}");
        }
        self.print_others(calls);
    }

    fn print_row(&mut self, name: &str, aim: Option<Aim>, all: &[Sample]) {
        let good = counted(all);
        let of = |it: fn(&Sample) -> f64| good.iter().map(it).collect::<Vec<_>>();
        let middle = |it: fn(&Sample) -> Option<f64>, decimals: usize| {
            let middle = median(good.iter().filter_map(it).collect());
            middle.map_or_else(|| "-".to_owned(), |it| format!("{it:.decimals$}"))
        };
        let aims = aim.map_or_else(String::new, |it| format!("{:.2}, {:.2}", it.most, it.extreme));
        let verdict =
            aim.map_or("", |it| self.verdict(judged(&good, all, |it| Some(it.ratio)), it));
        println!(
            "{name:26} {:>20} {:>8} {aims:>13} {verdict:>9} {:>18} {:>15} {:>10} {:>11} {:>15}",
            spread(&of(|it| it.ratio), 2),
            format!("{} of {}", good.len(), all.len()),
            spread(&of(|it| it.cost), 1),
            format!(
                "{} {}",
                middle(|it| Some(it.delays?[0]), 2),
                middle(|it| Some(it.delays?[1]), 2)
            ),
            middle(|it| it.system_calls, 3),
            middle(|it| it.allocations, 5),
            self.memory(name, &good)
                .map_or_else(|| "-".to_owned(), |[own, kernel]| format!("{own:.1} + {kernel:.1}")),
        );
    }

    /// Delays, system calls, allocations, memory, and what rtpengine takes.
    fn print_others(&mut self, calls: usize) {
        for ((name, intake), [p50, p99]) in BRIDGE.into_iter().zip(INTAKES).zip(DELAYS) {
            let Some((_, all)) = self.samples.get(&(calls, name)).cloned() else { continue };
            let good = counted(&all);
            if calls == 500 {
                self.line(
                    &format!("{intake}: delay p50, ms"),
                    judged(&good, &all, |it| Some(it.delays?[0])),
                    p50,
                );
                self.line(
                    &format!("{intake}: delay p99, ms"),
                    judged(&good, &all, |it| Some(it.delays?[1])),
                    p99,
                );
            }
            if name == BRIDGE[1] {
                let value = judged(&good, &all, |it| it.system_calls);
                self.line("sk_lookup: system calls a packet", value, SYSTEM_CALLS);
            }
            self.beside(calls, name);
        }
        let mut most = None;
        for name in self.names.clone() {
            let Some((aim, all)) = self.samples.get(&(calls, name)).cloned() else { continue };
            if aim.is_none() {
                continue;
            }
            let good = counted(&all);
            most =
                most.into_iter().chain(judged(&good, &all, |it| it.allocations)).reduce(f64::max);
            // What a bridge holds, recorded or not, is aimed at.
            if name.starts_with("bridge") || name.starts_with("record") {
                let recorded = name.starts_with("record");
                let (most, extreme) = if recorded { (40.0, 30.0) } else { (20.0, 12.0) };
                let value = self.memory(name, &good).map(|[own, kernel]| own + kernel);
                self.line(&format!("{name}: KiB a call"), value, Aim { most, extreme });
            }
        }
        self.line("allocations a packet, the most of any row", most, ALLOCATIONS);
    }

    /// A bridge beside rtpengine's, and two workers' beside it, in the same rounds.
    fn beside(&mut self, calls: usize, name: &str) {
        let [half, third] = OF_RTPENGINE;
        let (most, two) = if name == BRIDGE[0] { (half, TWO[0]) } else { (third, TWO[1]) };
        if let Some(pairs) = self.pairs(calls, name, RTPENGINE) {
            let (what, aim) =
                (format!("{name}: part of rtpengine's cost"), Aim { most, extreme: most });
            self.line(&what, median(pairs), aim);
        }
        if let Some(pairs) = self.pairs(calls, two, name) {
            println!("   {:48} {:>20}", format!("{two}: of one worker's cost"), spread(&pairs, 2));
        }
    }

    /// What one row costs as a part of another, in each round in which both count.
    fn pairs(&self, calls: usize, one: &str, other: &str) -> Option<Vec<f64>> {
        let [one, other] = [one, other].map(|it| self.samples.get(&(calls, it)));
        let (one, other) = (&one?.1, &other?.1);
        let pairs = one.iter().filter(|it| it.flaw.is_none()).filter_map(|it| {
            let beside = |other: &&Sample| other.flaw.is_none() && other.round == it.round;
            Some(it.cost / other.iter().find(beside)?.cost)
        });
        Some(pairs.collect())
    }

    pub(crate) fn print_idle(&mut self) {
        println!("\n== with nothing to do");
        for (intake, idle) in INTAKES.into_iter().zip(self.idle.clone()) {
            self.line(&format!("{intake}: of a core, 0 calls"), Some(idle.share), IDLE_SHARE);
            for (n, (what, aim)) in ["p50", "p99"].into_iter().zip(IDLE_DELAYS).enumerate() {
                let each = idle.delays.iter().filter_map(|it| it.as_ref()?.get(n).copied());
                let value = median(each.collect()).filter(|_| idle.amiss.is_none());
                self.line(&format!("{intake}: delay {what} of a few calls, ms"), value, aim);
            }
            if let Some(it) = idle.amiss {
                println!("   {intake}: its delays do not count: {it}");
            }
        }
    }

    /// KiB a call, of its own and of the kernel's, beyond an engine without calls.
    fn memory(&self, name: &str, good: &[Sample]) -> Option<[f64; 2]> {
        let idle = if name.ends_with(INTAKES[0]) {
            &self.idle[0]
        } else if name.ends_with(INTAKES[1]) {
            &self.idle[1]
        } else {
            return None;
        };
        let each = |of: fn(&Sample) -> f64, idle: f64| {
            median(good.iter().map(|it| (of(it) - idle).max(0.0) / KIB / it.calls).collect())
        };
        Some([each(|it| it.own, idle.own)?, each(|it| it.kernel, idle.kernel)?])
    }

    fn line(&mut self, what: &str, value: Option<f64>, aim: Aim) {
        let verdict = self.verdict(value, aim);
        let value = value.map_or_else(|| "-".to_owned(), |it| format!("{it:.4}"));
        println!("   {what:48} {value:>10}  aim {:>7.4}  {verdict}", aim.most);
    }

    fn verdict(&mut self, value: Option<f64>, aim: Aim) -> &'static str {
        match value {
            None => "not judged",
            Some(it) if it <= aim.extreme => "extreme",
            Some(it) if it <= aim.most => "met",
            Some(_) => {
                self.n_missed += 1;
                "MISSED"
            }
        }
    }
}

fn counted(all: &[Sample]) -> Vec<Sample> {
    all.iter().copied().filter(|it| it.flaw.is_none()).collect()
}

/// The median of what counts, if that is half of all or more.
fn judged(good: &[Sample], all: &[Sample], of: fn(&Sample) -> Option<f64>) -> Option<f64> {
    if good.len() * 2 < all.len() {
        return None;
    }
    median(good.iter().filter_map(of).collect())
}
