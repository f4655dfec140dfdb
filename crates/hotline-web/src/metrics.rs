//! Figures for Prometheus: counters, gauges and histograms that the engine feeds.
//!
//! Labels are few and fixed when a figure is made; a handle costs one atomic addition.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

/// All figures of the process. Cloning gives the same figures.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    families: Arc<Mutex<BTreeMap<&'static str, Family>>>,
}

#[derive(Debug)]
struct Family {
    help: &'static str,
    kind: &'static str,
    series: BTreeMap<String, Series>,
}

#[derive(Clone, Debug)]
enum Series {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

/// Only rises.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

/// Rises and falls.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

/// How long things took.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    /// Upper ends in microseconds, rising.
    ends: &'static [u64],
    /// Of values up to each end and over the one before.
    counts: Vec<AtomicU64>,
    count: AtomicU64,
    sum_us: AtomicU64,
}

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// For a total that is counted elsewhere.
    pub fn set(&self, total: u64) {
        self.0.store(total, Ordering::Relaxed);
    }
}

impl Gauge {
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn add(&self, by: i64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

impl Histogram {
    pub fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = self.0.ends.partition_point(|end| *end < us);
        if let Some(count) = self.0.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.0.count.fetch_add(1, Ordering::Relaxed);
        self.0.sum_us.fetch_add(us, Ordering::Relaxed);
    }
}

/// Label names and values of one series.
type Labels<'a> = &'a [(&'a str, &'a str)];

impl Metrics {
    /// The counter with these labels; the same one when it was made before.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Counter {
        match self.series(name, help, "counter", labels, || Series::Counter(Counter::default())) {
            Series::Counter(it) => it,
            Series::Gauge(_) | Series::Histogram(_) => Counter::default(),
        }
    }

    pub fn gauge(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Gauge {
        match self.series(name, help, "gauge", labels, || Series::Gauge(Gauge::default())) {
            Series::Gauge(it) => it,
            Series::Counter(_) | Series::Histogram(_) => Gauge::default(),
        }
    }

    /// `ends_us`: upper ends of the buckets in microseconds, rising.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        ends_us: &'static [u64],
        labels: Labels<'_>,
    ) -> Histogram {
        let new = || {
            Histogram(Arc::new(Buckets {
                ends: ends_us,
                counts: ends_us.iter().map(|_| AtomicU64::new(0)).collect(),
                count: AtomicU64::new(0),
                sum_us: AtomicU64::new(0),
            }))
        };
        match self.series(name, help, "histogram", labels, || Series::Histogram(new())) {
            Series::Histogram(it) => it,
            Series::Counter(_) | Series::Gauge(_) => new(),
        }
    }

    fn series(
        &self,
        name: &'static str,
        help: &'static str,
        kind: &'static str,
        labels: Labels<'_>,
        new: impl FnOnce() -> Series,
    ) -> Series {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let family =
            families.entry(name).or_insert_with(|| Family { help, kind, series: BTreeMap::new() });
        debug_assert_eq!(family.kind, kind, "one figure, one kind: {name}");
        family.series.entry(written(labels)).or_insert_with(new).clone()
    }

    /// The text form of Prometheus, version 0.0.4.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, family) in &*families {
            line(&mut out, format_args!("# HELP {name} {}", family.help));
            line(&mut out, format_args!("# TYPE {name} {}", family.kind));
            for (labels, series) in &family.series {
                match series {
                    Series::Counter(it) => {
                        let value = it.0.load(Ordering::Relaxed);
                        line(&mut out, format_args!("{name}{} {value}", braced(labels)));
                    }
                    Series::Gauge(it) => {
                        let value = it.0.load(Ordering::Relaxed);
                        line(&mut out, format_args!("{name}{} {value}", braced(labels)));
                    }
                    Series::Histogram(it) => render_histogram(&mut out, name, labels, &it.0),
                }
            }
        }
        out
    }
}

fn render_histogram(out: &mut String, name: &str, labels: &str, it: &Buckets) {
    let comma = if labels.is_empty() { "" } else { "," };
    let mut so_far = 0;
    for (end, count) in it.ends.iter().zip(&it.counts) {
        so_far += count.load(Ordering::Relaxed);
        let le = seconds(*end);
        line(out, format_args!("{name}_bucket{{{labels}{comma}le=\"{le}\"}} {so_far}"));
    }
    let count = it.count.load(Ordering::Relaxed);
    line(out, format_args!("{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}"));
    let sum = seconds(it.sum_us.load(Ordering::Relaxed));
    line(out, format_args!("{name}_sum{} {sum}", braced(labels)));
    line(out, format_args!("{name}_count{} {count}", braced(labels)));
}

/// Microseconds as seconds, without the errors of a binary fraction.
fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot go wrong.
    writeln!(out, "{text}").unwrap_or_default();
}

fn braced(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

fn written(labels: Labels<'_>) -> String {
    let mut out = String::with_capacity(64);
    for (name, value) in labels {
        let comma = if out.is_empty() { "" } else { "," };
        out.extend([comma, name, "=\""]);
        if value.contains(['\\', '"', '\n']) {
            for it in value.chars() {
                match it {
                    '\\' => out.push_str(r"\\"),
                    '"' => out.push_str("\\\""),
                    '\n' => out.push_str("\\n"),
                    it => out.push(it),
                }
            }
        } else {
            out.push_str(value);
        }
        out.push('"');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_prometheus_reads_them() {
        let metrics = Metrics::default();
        metrics.counter("hotline_calls_total", "Calls.", &[("by", "caller")]).add(2);
        metrics.counter("hotline_calls_total", "Calls.", &[("by", "caller")]).add(1);
        metrics.counter("hotline_calls_total", "Calls.", &[("by", "a\"b")]).set(7);
        metrics.gauge("hotline_waiting", "Waiting callers.", &[]).set(-4);
        let turn = metrics.histogram("hotline_turn_seconds", "Turns.", &[1000, 5000], &[]);
        turn.observe(Duration::from_micros(900));
        turn.observe(Duration::from_millis(3));
        turn.observe(Duration::from_secs(2));
        let wanted = "\
# HELP hotline_calls_total Calls.
# TYPE hotline_calls_total counter
hotline_calls_total{by=\"a\\\"b\"} 7
hotline_calls_total{by=\"caller\"} 3
# HELP hotline_turn_seconds Turns.
# TYPE hotline_turn_seconds histogram
hotline_turn_seconds_bucket{le=\"0.001000\"} 1
hotline_turn_seconds_bucket{le=\"0.005000\"} 2
hotline_turn_seconds_bucket{le=\"+Inf\"} 3
hotline_turn_seconds_sum 2.003900
hotline_turn_seconds_count 3
# HELP hotline_waiting Waiting callers.
# TYPE hotline_waiting gauge
hotline_waiting -4
";
        assert_eq!(metrics.render(), wanted);
    }
}
