//! What `docs/SECURITY.md` claims, and what no code may do.

use crate::{house, papers};

#[test]
fn every_class_of_attacks_has_its_row_in_the_paper_on_security() {
    let rows = papers::rows("docs/SECURITY.md");
    for class in [
        "V1", "V2", "V3", "V4", "V5", "V6", "V7", "V8", "V9", "V10", "V11", "V12", "V13", "V14",
        "V17", "V18", "V22", "V23", "V24", "V25", "V26",
    ] {
        let is_there = |it: &Vec<String>| it[0].starts_with(&format!("{class} "));
        assert!(rows.iter().any(is_there), "{class}");
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
