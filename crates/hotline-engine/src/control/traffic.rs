//! Figures of trunks as the web gives them out.

use std::collections::BTreeMap;

use hotline_store::wire::Time;
use hotline_switchboard::{CarrierView, TrafficRow, TrafficView};
use hotline_trunk::statistics::{Class, Figures, Outcome};
use hotline_web::TrafficFilter;
use serde::Serialize;

/// `TrunkStatistics` in the OpenAPI document.
#[derive(Serialize)]
struct Statistics {
    items: Vec<Row>,
    carriers: Vec<Carrier>,
}

#[derive(Serialize)]
struct Carrier {
    name: String,
    alarm: bool,
    trunks: Vec<String>,
    gateways: usize,
    gateways_up: usize,
    probes_good: u64,
    probes_failed: u64,
    accounts: usize,
    accounts_registered: usize,
}

#[derive(Serialize)]
struct Row {
    begins: Time,
    /// Absent in rows of a carrier.
    #[serde(skip_serializing_if = "Option::is_none")]
    trunk: Option<String>,
    carrier: String,
    direction: &'static str,
    watched_s: f64,
    attempts: u64,
    answered: u64,
    asr: Option<f64>,
    ner: Option<f64>,
    outcomes: BTreeMap<&'static str, u64>,
    classes: BTreeMap<&'static str, u64>,
    dropped: u64,
    delay_mean_ms: Option<u64>,
    delay_max_ms: Option<u64>,
    erlang: f64,
    peak: u64,
}

/// JSON of the rows that the filter lets through, oldest first.
pub(super) fn json(view: &TrafficView, filter: &TrafficFilter) -> serde_json::Result<String> {
    let within = |it: &&TrafficRow| {
        let begins = it.key.begins();
        filter.from.is_none_or(|from| begins >= from) && filter.to.is_none_or(|to| begins < to)
    };
    let rows = view.rows.iter().filter(within);
    let items = if filter.by_carrier {
        let mut sums: BTreeMap<_, Figures> = BTreeMap::new();
        for it in rows {
            let key = (it.key.quarter, &it.carrier, it.key.way);
            sums.entry(key).or_default().add(&it.figures, true);
        }
        let of = |quarter, carrier: &String| {
            view.rows.iter().find(|it| it.key.quarter == quarter && it.carrier == *carrier)
        };
        let sums = sums.into_iter().filter_map(|((quarter, carrier, way), figures)| {
            let mut it = of(quarter, carrier)?.clone();
            (it.key.way, it.figures) = (way, figures);
            Some(Row { trunk: None, ..row(&it) })
        });
        sums.collect()
    } else {
        rows.map(row).collect()
    };
    let carrier = |(name, it): (&String, &CarrierView)| Carrier {
        name: name.clone(),
        alarm: it.alarm,
        trunks: it.trunks.iter().map(ToString::to_string).collect(),
        gateways: it.n_gateways,
        gateways_up: it.n_gateways_up,
        probes_good: it.probes_good,
        probes_failed: it.probes_failed,
        accounts: it.n_accounts,
        accounts_registered: it.n_registered,
    };
    let carriers = view.carriers.iter().map(carrier).collect();
    serde_json::to_string(&Statistics { items, carriers })
}

fn row(it: &TrafficRow) -> Row {
    let figures = &it.figures;
    let classes = [
        ("answer", Class::Answer),
        ("user", Class::User),
        ("number", Class::Number),
        ("network", Class::Network),
        ("ours", Class::Ours),
    ];
    Row {
        begins: Time(it.key.begins()),
        trunk: Some(it.key.trunk.to_string()),
        carrier: it.carrier.clone(),
        direction: it.key.way.as_str(),
        watched_s: thousandth(figures.watched_ms),
        attempts: figures.attempts(),
        answered: figures.n(Outcome::Answered),
        asr: figures.asr_per_mille().map(thousandth),
        ner: figures.ner_per_mille().map(thousandth),
        outcomes: Outcome::ALL.iter().map(|it| (it.as_str(), figures.n(*it))).collect(),
        classes: classes.into_iter().map(|(name, it)| (name, figures.of_class(it))).collect(),
        dropped: figures.n_dropped,
        delay_mean_ms: figures.delay_mean_ms(),
        delay_max_ms: (figures.n_delays > 0).then_some(figures.delay_max_ms),
        erlang: thousandth(figures.milli_erlang()),
        peak: figures.peak,
    }
}

fn thousandth(it: u64) -> f64 {
    f64::from(u32::try_from(it).unwrap_or(u32::MAX)) / 1_000.0
}
