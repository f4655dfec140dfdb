//! Every test of the whole role, once more on the other intake and with two workers.

use std::{
    env, fs,
    net::{Ipv4Addr, Ipv6Addr},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};

use hotline_base::media::{Event, Order, VERSION};

use super::{
    log::Log,
    rig::{Control, Dir, start_in},
};
use crate::{IntakeChoice, intake::Granted};

/// Set for the tests that are run once more.
const VARIABLE: &str = "HOTLINE_TEST_INTAKE";
const WORKERS: &str = "HOTLINE_TEST_WORKERS";

/// With two, what a test does is done by the last one.
pub(super) fn workers() -> u8 {
    env::var(WORKERS).map_or(1, |it| it.parse().unwrap())
}

pub(super) fn intake() -> IntakeChoice {
    match env::var(VARIABLE).as_deref() {
        Ok("lookup") => IntakeChoice::Lookup,
        Ok("sockets") => IntakeChoice::Sockets,
        Ok(other) => panic!("{VARIABLE}={other}"),
        Err(_) => IntakeChoice::Sockets,
    }
}

/// Runs these modules of tests on this intake with so many workers.
fn run_again(modules: &[&str], intake: &str, workers: u8) {
    // The machine has time for one of them.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let run = Command::new(env::current_exe().unwrap())
        .args(modules.iter().map(|it| format!("tests::{it}")))
        .args(["--test-threads", "4"])
        .env(VARIABLE, intake)
        .env(WORKERS, workers.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    // Indented, for who looks for what failed takes these lines for those of the run around them.
    assert!(run.status.success(), "\n{}", said.replace('\n', "\n  | "));
    let n = said.lines().filter(|it| it.ends_with("... ok")).count();
    assert!(n >= 20, "{n} tests were run");
}

/// Those of the whole role.
const MODULES: [&str; 16] = [
    "browsers", "calls", "codecs", "kernel", "kills", "link", "parties", "reports", "revival",
    "room", "sdes", "senses", "stalls", "tapes", "volumes", "workers",
];

/// This one, what the others stand on, and what has nothing to do with packets.
const APART: [&str; 5] = ["both", "log", "page", "priority", "rig"];

#[test]
fn no_tests_of_the_whole_role_are_left_out_on_the_other_intake() {
    let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests")).unwrap();
    let names = files.map(|it| it.unwrap().path().file_stem().unwrap().display().to_string());
    let mut found: Vec<_> = names.collect();
    found.sort();
    let mut known = [&MODULES[..], &APART].concat();
    known.sort_unstable();
    assert_eq!(found, known);
}

#[expect(clippy::print_stdout, reason = "a test that cannot be run says so")]
fn has_lookup() -> bool {
    let granted = Granted::ask(Ipv4Addr::LOCALHOST.into(), 9_000..=9_001, 2);
    if let Err(error) = &granted {
        println!("sk_lookup is not to be had here: {error}");
    }
    granted.is_ok()
}

#[test]
fn all_that_is_heard_over_a_socket_a_leg_is_heard_over_sk_lookup() {
    if has_lookup() {
        run_again(&MODULES, "lookup", 1);
    }
}

#[test]
fn all_that_one_worker_does_the_second_of_two_does_over_a_socket_a_leg() {
    run_again(&MODULES, "sockets", 2);
}

#[test]
fn all_that_one_worker_does_the_second_of_two_does_over_sk_lookup() {
    if has_lookup() {
        run_again(&MODULES, "lookup", 2);
    }
}

#[test]
fn where_sk_lookup_is_not_to_be_had_a_socket_a_leg_is_used_and_told() {
    // It steers IPv4 alone.
    assert!(Granted::ask(Ipv6Addr::LOCALHOST.into(), 9_000..=9_001, 1).is_err());
    let (dir, lines) = (Dir::new(), Arc::new(Mutex::new(Vec::new())));
    let log = Log({
        let lines = Arc::clone(&lines);
        move |line| lines.lock().unwrap().push(line)
    });
    let media = tracing::subscriber::with_default(log, || {
        start_in(&dir.0, |it| {
            it.address = Ipv6Addr::LOCALHOST.into();
            it.intake = IntakeChoice::Auto;
        })
    });
    assert!(media.is_running() && !media.counters().sk_lookup);
    // docs/OPERATIONS.md tells what to do about it.
    let said = "WARN No sk_lookup for RTP: a socket a leg costs more.";
    assert_eq!(lines.lock().unwrap().iter().filter(|it| *it == said).count(), 1);
    let mut control = Control::attach(&media);
    control.order(&Order::Hello { version: VERSION });
    let told = loop {
        if let Event::Figures(it) = control.any_event() {
            break it;
        }
    };
    assert!(!told.sk_lookup, "which is a metric");
}
