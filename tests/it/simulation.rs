//! Shifts on virtual time. `HOTLINE_SEED=17 cargo test -p hotline-tests shift` lives one again,
//! `HOTLINE_SEED=100..200` as many new ones.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "test code"
)]

use std::{collections::BTreeMap, fs, time::Duration};

use hotline_base::{AgentNo, Extension};
use hotline_cdr::Outcome;
use hotline_sim::{Crowd, Faults, GATEWAY, Plan, Report, Shift, Start, Storm, TRUNK, Vanish};
use hotline_switchboard::{Config, Dialer, Srtp};
use hotline_trunk::DialPlan;

use crate::house;

/// How many fixed seeds the test command lives through.
const SEEDS: u64 = 64;

/// The built-in configuration and flows, moved to the simulator's addresses.
fn config() -> Config {
    let loaded = hotline_config::load(None).expect("the built-in configuration is sound");
    let mut it = loaded.switchboard;
    it.sip.advertised = "10.0.0.1".parse().unwrap();
    it.local = vec![hotline_sim::SWITCHBOARD.parse().unwrap()];
    let trunk: std::net::SocketAddr = TRUNK.parse().unwrap();
    it.trunks.truncate(1);
    it.trunks[0].sources = vec![hotline_trunk::Source::host(trunk.ip())];
    it.trunks[0].channels_max = 25;
    let gateway = |address: &str, priority| hotline_trunk::GatewayConfig {
        address: address.parse().unwrap(),
        transport: hotline_trunk::GatewayTransport::Udp,
        priority,
        weight: 1,
    };
    it.trunks[0].limits.out_max = Some(3);
    it.trunks[0].numbers = vec!["077112345".to_owned()];
    let plan =
        DialPlan { allow: ["1", "0"].map(str::to_owned).to_vec(), deny: Vec::new(), per_hour: 30 };
    let dialer = Dialer { plan: Some(plan), ..Dialer::default() };
    it.outbound.dialers = it.agents.iter().map(|it| (it.no.clone(), dialer.clone())).collect();
    // Every fourth may work from a mobile telephone.
    for agent in it.agents.iter().step_by(4) {
        it.outbound.dialers.entry(agent.no.clone()).or_default().outside_seat = true;
    }
    for agent in it.agents.iter_mut().step_by(3) {
        agent.supervisor = true;
    }
    it.outbound.routes = vec![hotline_trunk::RouteConfig {
        prefixes: vec![String::new()],
        trunks: vec![it.trunks[0].id.clone()],
        ..hotline_trunk::RouteConfig::default()
    }];
    it.trunks[0].gateways = vec![gateway(TRUNK, 20), gateway(GATEWAY, 10)];
    it.trunks[0].busy_tone_ends = true;
    // The shortest there is, so that every talk of some length is refreshed.
    it.sip.session_expires = it.sip.min_se;
    it.srtp = Srtp::Tls;
    it
}

/// Each seed has its own weather: calm, a bad network, a bad day, a dying control process.
fn plan(seed: u64) -> Plan {
    let calm = Faults::default();
    let wire = Faults { loss: 5, doubled: 5, ..calm };
    let bad_day = Faults { loss: 2, doubled: 2, media: true, disk: true, power_cuts: 10, ..calm };
    let dying = Faults { loss: 2, doubled: 2, control: true, power_cuts: 4, ..calm };
    let all = Faults { media: true, disk: true, control: true, power_cuts: 10, ..wire };
    let faults = [calm, wire, bad_day, dying, all][usize::try_from(seed % 5).unwrap()];
    Plan { calls: 60, span: Duration::from_secs(400), company: false, faults }
}

/// The built-in flows, with callers who are recorded from the greeting on, and with what is typed
/// for an agent kept out of it.
fn recording_flows() -> Config {
    let folder = tempfile::tempdir().unwrap();
    for file in house::files("ivr-flows", &["yaml", "csv"]) {
        let text = house::read(&file);
        let text = match file.rsplit('/').next() {
            Some("gx12345.main.flow.yaml") => edit(
                &text,
                "    if_missing: skip\n    next: hello\n",
                "    if_missing: skip\n    next: tape\n  tape: {type: record, action: start, next: hello}\n",
            ),
            Some("gx12345.ticket.flow.yaml") => {
                let masked = "start: tape\non_error: back\nnodes:\n  tape: {type: record, action: mask, next: ask}\n";
                edit(&text, "start: ask\non_error: back\nnodes:\n", masked)
            }
            _ => text,
        };
        let to = folder.path().join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, text).unwrap();
    }
    let text = house::read("config/hotline.toml") + "\n[flows]\ndir = \"ivr-flows\"\n";
    let loaded = hotline_config::load_text("hotline.toml", folder.path(), &text);
    let bundle = loaded.expect("the edited flows are sound").switchboard.bundle;
    Config { bundle, ..config() }
}

fn edit(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

fn live(seed: u64, config: &Config) -> Report {
    Shift::new(seed, config.clone(), plan(seed)).run().unwrap_or_else(|it| panic!("{it}"))
}

#[test]
fn shifts_keep_every_promise() {
    let configs = [config(), recording_flows()];
    let config = |seed: u64| &configs[usize::from(!seed.is_multiple_of(2))];
    if let Ok(seeds) = std::env::var("HOTLINE_SEED") {
        let (first, end) = seeds.split_once("..").unwrap_or((&seeds, ""));
        let first = first.parse().expect("HOTLINE_SEED is a number, or two with .. between");
        for seed in first..end.parse().unwrap_or(first + 1) {
            println!("{:#?}", live(seed, config(seed)));
        }
        return;
    }
    let mut sum = BTreeMap::<Outcome, u64>::new();
    let (mut n_parties, mut n_suspended) = (0, 0);
    let (mut n_controlled, mut n_outside, mut n_gone_holding) = (0, 0, 0);
    for seed in 0..SEEDS {
        let report = live(seed, config(seed));
        n_controlled += report.n_controlled;
        n_parties += report.n_parties;
        n_suspended += report.n_suspended;
        n_outside += report.n_outside;
        n_gone_holding += report.n_gone_holding;
        for (outcome, n) in report.outcomes {
            *sum.entry(outcome).or_default() += n;
        }
    }
    // A shift in which nothing happens keeps every promise too.
    for outcome in [
        Outcome::Answered,
        Outcome::AbandonedInQueue,
        Outcome::AbandonedRinging,
        Outcome::ShortAbandon,
        Outcome::InFlow,
        Outcome::Refused,
        Outcome::Lost,
        Outcome::Reached,
        Outcome::NotReached,
    ] {
        assert!(sum.contains_key(&outcome), "no call was {outcome:?}: {sum:?}");
    }
    assert!(n_parties > 100, "only {n_parties} parties were called into calls");
    assert!(n_outside > 100, "only {n_outside} numbers outside were rung for agents");
    assert!(n_gone_holding > 0, "no telephone was gone while it held");
    assert!(n_suspended > 100, "only {n_suspended} callers were sent to flows");
    assert!(n_controlled > 1_000, "flows and supervisors did {n_controlled} things to recordings");
    println!("{sum:?}, {n_parties} parties, {n_suspended} flows in talks");
}

#[test]
fn talks_of_many_go_on_among_who_is_left_or_end() {
    let config = config();
    let (mut n_parties, mut n_talked_on) = (0, 0);
    for seed in 500..516 {
        let plan = Plan { calls: 30, company: true, ..plan(seed) };
        let shift = Shift::new(seed, config.clone(), plan);
        let report = shift.run().unwrap_or_else(|it| panic!("{it}"));
        n_parties += report.n_parties;
        n_talked_on += report.n_talked_on;
    }
    println!("{n_parties} parties, {n_talked_on} callers left others who talked on");
    assert!(n_talked_on > 20, "only {n_talked_on} callers left while others talked on");
}

/// A room of agents and as many lines.
fn big_room(n: u16) -> Config {
    let mut it = with_agents(n);
    it.trunks[0].gateways.clear();
    // Nothing but the calls themselves tells that somebody is gone.
    it.sip.probe_every = Duration::ZERO;
    it
}

fn with_agents(n: u16) -> Config {
    let mut it = config();
    let (first, account) = (it.agents[0].clone(), it.sip.accounts.values().next().unwrap().clone());
    it.agents = (0..n)
        .map(|n| {
            let extension = Extension::new(&format!("{}", 7_000 + n));
            it.sip.accounts.insert(extension.clone(), account.clone());
            let mut agent = first.clone();
            (agent.no, agent.extension) = (AgentNo::new(&format!("{}", 3_000 + n)), extension);
            agent
        })
        .collect();
    it.trunks[0].channels_max = usize::from(n);
    it
}

/// No dialog outlives its peer: when carrier and telephones lose their power in mid-call, the
/// timers free every dialog, every agent, every leg of media and every channel.
#[test]
fn a_thousand_peers_that_vanish_leave_nothing_behind() {
    let mut config = big_room(40);
    config.sip.session_expires = Duration::from_mins(10);
    let mut n_vanished = 0;
    for seed in 0..24 {
        let vanish = if seed % 2 == 0 { Vanish::Unheard } else { Vanish::Heard };
        let faults = Faults { vanish, ..Faults::default() };
        let plan = Plan { calls: 70, span: Duration::from_mins(1), company: false, faults };
        let report = Shift::new(900 + seed, config.clone(), plan).run();
        n_vanished += report.unwrap_or_else(|it| panic!("{it}")).n_vanished;
    }
    assert!(n_vanished >= 1_000, "only {n_vanished} dialogs lost their peer");
}

/// Calls wait in long queues. What a death takes from one frees its agent for the next, whose fresh
/// leg the new process has not listed: it is neither lost nor left open.
#[test]
fn media_that_dies_again_and_again_leaves_no_leg_open() {
    let mut config = config();
    config.trunks[0].channels_max = 100;
    for seed in 600..603 {
        let faults = Faults { media_deaths: 40, gateway_cuts: 1, ..Faults::default() };
        let plan = Plan { calls: 250, span: Duration::from_secs(400), company: false, faults };
        let it = Shift::new(seed, config.clone(), plan).run().unwrap_or_else(|it| panic!("{it}"));
        assert!(it.outcomes[&Outcome::Lost] > 20, "{it:?}");
    }
}

/// Calls a second that the machine bears when a crowd of three times as many comes, and for how
/// long that goes on.
const BEARS: u32 = 1_000 / 80;
const CROWD_SECS: u32 = 12;

fn crowd(seed: u64, disk: bool) -> Report {
    let mut config = big_room(20);
    config.trunks[0].channels_max = 5_000;
    config.overload.per_sec_min = 1;
    // A call is three messages at once; the rest of its messages is spread over minutes.
    let (message, call) = (Duration::from_millis(1), Duration::from_millis(77));
    let crowd = Crowd { calls: 3 * BEARS * CROWD_SECS, per_sec: 3 * BEARS, message, call };
    let faults = Faults { crowd: Some(crowd), disk, ..Faults::default() };
    let plan = Plan { calls: 40, span: Duration::from_mins(1), company: false, faults };
    let it = Shift::new(seed, config, plan).run().unwrap_or_else(|it| panic!("{it}"));
    assert!(it.n_turned_away > u64::from(BEARS * CROWD_SECS), "{it:?}");
    // Ten calls, at 80 ms each.
    assert!(it.longest_wait <= Duration::from_millis(800), "{it:?}");
    it
}

/// How much of it gets through is measured in `hotline-trunk`; here everything that a call may do
/// goes on meanwhile, in a switchboard that is told how far its machine is behind.
#[test]
fn crowd_of_three_times_what_the_machine_bears_leaves_the_calls_in_it_untouched() {
    let it = crowd(700, false);
    assert!(it.n_arrived >= u64::from(BEARS * CROWD_SECS * 8 / 10) + 30, "{it:?}");
}

/// A refusal for want of a disk has a record, which waits in memory for it.
#[test]
fn crowd_is_turned_away_at_the_door_while_no_record_reaches_the_disk_as_well() {
    let it = crowd(701, true);
    assert!(it.n_arrived <= u64::from(BEARS * CROWD_SECS * 12 / 10) + 40, "{it:?}");
}

/// R10: 1,000 calls over 20 cuts. The ledger holds that nobody waits longer than a second for a silent
/// gateway, nor longer than 6 s for one that took his call and died; that no call fails while
/// another gateway is there; and that no talk ends for a cut of its line.
#[test]
fn calls_go_out_and_talks_go_on_though_a_gateway_is_cut_twenty_times() {
    let mut config = with_agents(30);
    config.agents.iter_mut().for_each(|it| it.groups.truncate(1));
    // The ledger adds them all up after each event.
    config.ladder.calls_max = 40;
    // As it is shipped. Of 90 s a refresh can meet who hung up in one cut, and the next one keep his
    // BYE away for longer than is waited for it.
    config.sip.session_expires = Duration::from_mins(30);
    config.trunks[0].limits.out_max = None;
    let plan = DialPlan {
        allow: ["1", "0"].map(str::to_owned).to_vec(),
        deny: Vec::new(),
        per_hour: 10_000,
    };
    let dialer = Dialer { plan: Some(plan), ..Dialer::default() };
    let dialers = config.agents.iter().map(|it| (it.no.clone(), dialer.clone()));
    config.outbound.dialers = dialers.collect();
    let cut_max = Some(Duration::from_secs(25));
    let faults = Faults { gateway_cuts: 20, cut_max, ..Faults::default() };
    let plan = Plan { calls: 0, span: Duration::from_mins(36), company: false, faults };
    let it = Shift::new(901, config, plan).run().unwrap_or_else(|it| panic!("{it}"));
    // Most calls meet a cut that the probes have noticed already.
    let met = it.n_moved_on >= 15 && it.n_left >= 1;
    assert!(it.n_out >= 1_000 && it.outcomes[&Outcome::Reached] >= 300 && met, "{it:?}");
}

/// RFC 4028 on both sides of a talk, of sessions as short as there are: carriers refresh theirs, and
/// the switchboard those of telephones over UDP, TLS and WebSocket. No cut of 13 s, no connection
/// that ends and no death of control in it lets either side take its session as over.
#[test]
fn both_sides_of_a_talk_outlive_cuts_of_their_lines_and_deaths_of_control() {
    let mut config = with_agents(12);
    config.sip.session_expires = Duration::from_secs(90);
    let (mut n_talks, minutes) = (0, 15);
    for seed in 820..824 {
        let cut_max = Duration::from_secs(13);
        let storm = Storm { cuts: minutes, cut_max, deaths: 6, talk: Duration::from_mins(10) };
        let faults = Faults { storm: Some(storm), ..Faults::default() };
        let span = Duration::from_mins(u64::from(minutes));
        let plan = Plan { calls: 40, span, company: false, faults };
        let it = Shift::new(seed, config.clone(), plan).run().unwrap_or_else(|it| panic!("{it}"));
        n_talks += it.outcomes.get(&Outcome::Answered).copied().unwrap_or(0);
    }
    assert!(n_talks > 60, "only {n_talks} talks");
}

/// Timers and lengths go by the monotonic clock: the same shift has the same calls with the same ends
/// though somebody sets the wall clock by hours, days and years meanwhile.
#[test]
fn a_wall_clock_that_is_set_drops_no_call_and_moves_no_timer() {
    let config = config();
    for seed in 800..804 {
        let lived = |clock_sets| {
            let faults = Faults { clock_sets, power_cuts: 1, ..Faults::default() };
            let plan = Plan { calls: 30, span: Duration::from_mins(10), company: false, faults };
            let report = Shift::new(seed, config.clone(), plan).run();
            let it = report.unwrap_or_else(|it| panic!("{it}"));
            (it.outcomes, it.n_arrived, it.n_parties)
        };
        assert_eq!(lived(6), lived(0), "seed {seed}");
    }
}

#[test]
fn a_shift_is_the_same_when_lived_again() {
    let config = config();
    for seed in [3, 4] {
        assert_eq!(live(seed, &config), live(seed, &config));
    }
}

/// Numbers of calls, legs and tickets pass 2^31, 2^32 and 2^63 in the middle of a shift, and the
/// monotonic clock as many milliseconds and nanoseconds: nothing is different from any other shift.
#[test]
fn counters_and_clocks_that_pass_2_31_2_32_and_2_63_change_nothing() {
    let faults = Faults { loss: 2, doubled: 2, power_cuts: 4, ..Faults::default() };
    let plan = Plan { calls: 60, span: Duration::from_secs(400), company: false, faults };
    // In the middle of it.
    let half = u64::try_from(plan.span.as_millis()).unwrap() / 2;
    let long = Duration::from_nanos((1 << 63) - half * 1_000_000);
    let ups =
        [Duration::from_millis((1 << 31) - half), Duration::from_millis((1 << 32) - half), long];
    let lived = |start| {
        let it = Shift::starting(start, 810, config(), plan).run();
        let it = it.unwrap_or_else(|it| panic!("{start:?}: {it}"));
        (it.outcomes, it.n_events, it.n_arrived, it.n_parties)
    };
    let usual = lived(Start::default());
    for (bits, up) in [31, 32, 63].into_iter().zip(ups) {
        let first_id = Some((1_u64 << bits) - 30);
        assert_eq!(lived(Start { first_id, up }), usual, "2^{bits}");
    }
}
