//! Every test of the whole role, once more on the other intake.

use std::{
    env,
    net::{Ipv4Addr, Ipv6Addr},
    process::Command,
};

use super::rig::{Dir, start_in};
use crate::{IntakeChoice, intake::Granted};

/// Set for the tests that are run once more.
const VARIABLE: &str = "HOTLINE_TEST_INTAKE";

pub(super) fn intake() -> IntakeChoice {
    match env::var(VARIABLE).as_deref() {
        Ok("lookup") => IntakeChoice::Lookup,
        Ok(other) => panic!("{VARIABLE}={other}"),
        Err(_) => IntakeChoice::Sockets,
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "a test that cannot be run says so")]
fn all_that_is_heard_over_a_socket_a_leg_is_heard_over_sk_lookup() {
    if let Err(error) = Granted::ask(Ipv4Addr::LOCALHOST.into(), 20_000..=20_001) {
        println!("sk_lookup is not to be had here: {error}");
        return;
    }
    // Each module of tests on its own, and not this one.
    let modules = [
        "browsers", "calls", "codecs", "link", "parties", "reports", "revival", "sdes", "senses",
        "tapes",
    ]
    .map(|it| format!("tests::{it}"));
    let run = Command::new(env::current_exe().unwrap())
        .args(modules)
        .args(["--test-threads", "4"])
        .env(VARIABLE, "lookup")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}");
    let n = said.lines().filter(|it| it.ends_with("... ok")).count();
    assert!(n >= 20, "{n} tests were run");
}

#[test]
fn where_sk_lookup_is_not_to_be_had_a_socket_a_leg_is_used_and_told() {
    // It steers IPv4 alone.
    assert!(Granted::ask(Ipv6Addr::LOCALHOST.into(), 20_000..=20_001).is_err());
    let dir = Dir::new();
    let media = start_in(&dir.0, |it| {
        it.address = Ipv6Addr::LOCALHOST.into();
        it.intake = IntakeChoice::Auto;
    });
    assert!(media.is_running() && !media.counters().sk_lookup);
}
