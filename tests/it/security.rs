//! What `docs/SECURITY.md` claims, and what no code may do.

use std::collections::BTreeSet;

use crate::house;

/// Every function of the house, tests among them.
fn functions() -> BTreeSet<String> {
    let all = ["crates", "tests", "fuzz"].iter().flat_map(|it| house::files(it, &["rs"]));
    let mut found = BTreeSet::new();
    for text in all.map(|it| house::read(&it)) {
        let names = text.lines().filter_map(|it| it.trim_start().split_once("fn ").map(|it| it.1));
        found.extend(names.filter_map(|it| it.split('(').next()).map(str::to_owned));
    }
    found
}

#[test]
fn every_test_that_the_paper_on_security_names_exists() {
    let functions = functions();
    let text = house::read("docs/SECURITY.md");
    let rows: Vec<_> = text.lines().filter(|it| it.starts_with("| ")).collect();
    let named: Vec<&str> = rows
        .iter()
        .filter_map(|it| it.split(" | ").nth(1))
        .flat_map(|it| it.split('`').skip(1).step_by(2))
        .filter(|it| it.contains('_'))
        .collect();
    assert!(named.len() > 30, "the table was not read");
    for name in named {
        assert!(functions.contains(name), "{name} does not exist");
    }
    for class in [
        "V1", "V2", "V3", "V4", "V5", "V6", "V7", "V8", "V9", "V10", "V11", "V12", "V13", "V14",
        "V17", "V18", "V22", "V25",
    ] {
        assert!(rows.iter().any(|it| it.starts_with(&format!("| {class} "))), "{class}");
    }
}

/// How code asks for the address of a name.
const LOOKUPS: &[&str] = &["lookup_host", "to_socket_addrs", "ToSocketAddrs", "getaddrinfo"];

#[test]
fn v23_no_name_of_a_peer_is_asked_of_a_name_server() {
    for path in house::files("crates", &["rs"]) {
        let text = house::read(&path);
        for lookup in LOOKUPS {
            assert!(!text.contains(lookup), "{path} has {lookup}");
        }
    }
    // Receivers of pushes are URLs of the configuration, and reqwest asks the system for them.
    for path in house::files("crates", &["toml"]) {
        let text = house::read(&path);
        let asks = ["hickory", "trust-dns", "reqwest"].iter().any(|it| text.contains(it));
        assert!(!asks || path == "crates/hotline-push/Cargo.toml", "{path} has a resolver");
    }
}
