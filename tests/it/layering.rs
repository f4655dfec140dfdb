//! Which crate may know which, and what pure crates must not know.
//!
//! The table is the one of `docs/ARCHITECTURE.md`; an edge that is not in it does not exist.

#![expect(clippy::expect_used, reason = "test code")]

use std::collections::{BTreeMap, BTreeSet};

use toml::Table;

use crate::house;

/// Tier, crate, whether pure, and which crates it may depend on; `0-3` means all of these tiers.
type Row = (&'static str, &'static str, bool, &'static str);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("0", "base", true, ""),
    ("1", "dsp", true, ""),
    ("1", "sip", true, "base"),
    ("1", "sdp", true, "base"),
    ("1", "rtp", true, "base"),
    ("1", "trunk", true, "base"),
    ("1", "ivr", true, "base"),
    ("1", "agent", true, "base"),
    ("1", "cdr", true, "base"),
    ("1", "acd", true, "base, agent"),
    ("1", "call", true, "base, ivr, cdr"),
    ("1", "ladder", true, "base, sip"),
    ("2", "switchboard", true, "base, sip, trunk, ivr, agent, acd, call, cdr, ladder"),
    ("3", "net", false, "base, sip, trunk"),
    ("3", "media", false, "base, sdp, rtp, dsp"),
    ("3", "store", false, "base, agent, cdr"),
    ("3", "push", false, "base, cdr"),
    ("3", "web", false, "base, agent, cdr"),
    ("4", "engine", false, "0-3"),
    ("5", "config", false, "0-4"),
    ("6", "hotline", false, "engine, config, testkit"),
    ("dev", "sim", true, "base, sip, sdp, trunk, ivr, agent, acd, call, cdr, ladder, switchboard"),
    ("dev", "testkit", false, "base, sip, sdp, rtp, dsp"),
];

/// What a pure crate may take from outside: nothing that has a clock, a thread, a socket, a random
/// source or a wire format of its own.
const PURE_MAY: &[&str] = &[
    "aes",
    "aes-gcm",
    "base64",
    "borsh",
    "encoding_rs",
    "hmac",
    "md-5",
    "memchr",
    "regex-lite",
    "ropus",
    "sdp-types",
    "sha1",
    "sha2",
    "siphasher",
];

/// Libraries that one crate alone names, so that they can be replaced there.
const ALONE: &[(&str, &str)] = &[
    ("axum", "web"),
    ("reqwest", "push"),
    ("ropus", "dsp"),
    ("rtc-dtls", "media"),
    ("rtc-stun", "media"),
    ("saphyr-parser", "config"),
    ("sdp-types", "sdp"),
    ("siphasher", "base"),
    ("sqlx", "store"),
    ("toml", "config"),
];

/// Libraries that a crate must do without: a worker's thread has timers of its own.
const NEVER: &[(&str, &str)] = &[("tokio", "media")];

/// Packages that test or measure the whole house.
const WHOLE: &[&str] = &["tests", "benches", "fuzz"];

/// `hotline-acd` is `acd` here, and the binary is `hotline`.
fn short(package: &str) -> &str {
    package.strip_prefix("hotline-").unwrap_or(package)
}

fn row(krate: &str) -> Option<&'static Row> {
    TABLE.iter().find(|it| it.1 == krate)
}

/// The crates that `row` may depend on.
fn allowed(row: &Row) -> BTreeSet<&'static str> {
    match row.3.split_once('-') {
        Some(tiers) => {
            let tiers = tiers.0..=tiers.1;
            TABLE.iter().filter(|it| tiers.contains(&it.0)).map(|it| it.1).collect()
        }
        None => row.3.split(", ").filter(|it| !it.is_empty()).collect(),
    }
}

/// Every breach of the table by the manifests, `crate → text of Cargo.toml`.
fn breaches(manifests: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    for (krate, text) in manifests {
        let manifest: Table = text.parse().expect("a manifest is TOML");
        let Some(row) = row(krate) else {
            found.push(format!("{krate} is not in the table"));
            continue;
        };
        let may = allowed(row);
        for (kind, name) in dependencies(&manifest) {
            let name = name.as_str();
            let dev = kind == "dev-dependencies";
            if let Some(other) = name.strip_prefix("hotline-") {
                let tool = dev && TABLE.iter().any(|it| it.1 == other && it.0 == "dev");
                if !may.contains(other) && !tool {
                    found.push(format!("{krate} → {other} is not in the table"));
                }
                continue;
            }
            if row.2 && !dev && !PURE_MAY.contains(&name) {
                found.push(format!("{krate} is pure and depends on {name}"));
            }
            if !dev && ALONE.iter().any(|(it, owner)| *it == name && *owner != krate) {
                found.push(format!("{krate} depends on {name}, which is another crate's"));
            }
            if !dev && NEVER.contains(&(name, krate.as_str())) {
                found.push(format!("{krate} does without {name}"));
            }
        }
    }
    found
}

/// Kind and name of every dependency, also of those for one target only.
fn dependencies(manifest: &Table) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let targets = manifest.get("target").and_then(|it| it.as_table());
    let tables = targets.into_iter().flat_map(|it| it.values()).filter_map(|it| it.as_table());
    for table in tables.chain([manifest]) {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let names = table.get(kind).and_then(|it| it.as_table());
            found.extend(names.into_iter().flat_map(|it| it.iter()).map(|(name, value)| {
                let package = value.get("package").and_then(|it| it.as_str()).unwrap_or(name);
                (kind, package.to_owned())
            }));
        }
    }
    found
}

fn manifests() -> BTreeMap<String, String> {
    let paths = house::files("crates", &["toml"]);
    let paths = paths.iter().filter(|it| it.ends_with("/Cargo.toml"));
    paths
        .filter_map(|path| {
            let krate = path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
            Some((short(krate).to_owned(), house::read(path)))
        })
        .filter(|(krate, _)| !krate.contains('/'))
        .collect()
}

#[test]
fn no_crate_knows_another_that_the_table_does_not_give_it() {
    assert_eq!(breaches(&manifests()), [""; 0]);
}

#[test]
fn every_crate_of_the_table_exists() {
    let manifests = manifests();
    let known: Vec<_> = TABLE.iter().map(|it| it.1).collect();
    for krate in &known {
        assert!(manifests.contains_key(*krate), "{krate}");
    }
    assert_eq!(manifests.len(), known.len());
}

#[test]
fn an_edge_goes_downwards() {
    for row in TABLE.iter().filter(|it| it.0 != "dev" && it.1 != "hotline") {
        for other in allowed(row) {
            let other = super::layering::row(other).expect("the table names its own crates");
            assert!(other.0 <= row.0, "{} → {}", row.1, other.1);
        }
    }
}

#[test]
fn the_table_is_the_one_people_read() {
    let text = house::read("docs/ARCHITECTURE.md");
    let printed: Vec<Vec<&str>> = text
        .lines()
        .filter_map(|it| it.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|it| it.split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|it| it.len() == 5 && it[1].starts_with("hotline"))
        .collect();
    let held: Vec<Vec<String>> = TABLE
        .iter()
        .map(|(tier, krate, pure, may)| {
            let name =
                if *krate == "hotline" { "hotline".to_owned() } else { format!("hotline-{krate}") };
            let may = match may.split_once('-') {
                Some((from, to)) => format!("all of tiers {from}–{to}"),
                None if may.is_empty() => "—".to_owned(),
                None => (*may).to_owned(),
            };
            vec![(*tier).to_owned(), name, if *pure { "●" } else { "" }.to_owned(), may]
        })
        .collect();
    let printed: Vec<Vec<String>> =
        printed.iter().map(|it| [it[0], it[1], it[2], it[4]].map(str::to_owned).to_vec()).collect();
    assert_eq!(printed, held);
}

#[test]
fn pure_crates_say_so_in_their_first_lines() {
    for (_, krate, ..) in TABLE.iter().filter(|it| it.2) {
        let path = format!("crates/hotline-{krate}/src/lib.rs");
        let text = house::read(&path);
        for line in [
            "#![deny(clippy::disallowed_methods, clippy::disallowed_types)]",
            "#![forbid(unsafe_code)]",
        ] {
            assert!(text.contains(line), "{path} lacks {line}");
        }
    }
}

#[test]
fn every_package_has_the_lints_of_the_house() {
    let paths = house::files("crates", &["toml"]);
    let whole = WHOLE.iter().map(|it| format!("{it}/Cargo.toml"));
    for path in paths.into_iter().filter(|it| it.ends_with("/Cargo.toml")).chain(whole) {
        let manifest: Table = house::read(&path).parse().expect("a manifest is TOML");
        let lints = manifest.get("lints").and_then(|it| it.get("workspace"));
        assert_eq!(lints.and_then(toml::Value::as_bool), Some(true), "{path}");
    }
}

/// The checker on one planted manifest.
#[track_caller]
fn planted(krate: &str, text: &str, expected: &[&str]) {
    let manifests = BTreeMap::from([(krate.to_owned(), text.to_owned())]);
    assert_eq!(breaches(&manifests), expected);
}

#[test]
fn a_planted_breach_is_found() {
    planted(
        "acd",
        "[dependencies]\nhotline-base.workspace = true\nhotline-sip.workspace = true",
        &["acd → sip is not in the table"],
    );
    planted(
        "agent",
        "[dependencies]\ntokio = \"1\"\nserde = { workspace = true }\nborsh = \"1\"",
        &["agent is pure and depends on serde", "agent is pure and depends on tokio"],
    );
    planted(
        "sip",
        "[target.'cfg(unix)'.dependencies]\nclock = { package = \"chrono\", version = \"1\" }",
        &["sip is pure and depends on chrono"],
    );
    planted(
        "web",
        "[dependencies]\nsqlx = \"1\"",
        &["web depends on sqlx, which is another crate's"],
    );
    planted("media", "[dependencies]\ntokio = \"1\"", &["media does without tokio"]);
    planted("cdr", "[dev-dependencies]\nhotline-web = \"1\"", &["cdr → web is not in the table"]);
    planted("cdr", "[dev-dependencies]\nhotline-testkit = \"1\"\nserde_json = \"1\"", &[]);
    planted(
        "engine",
        "[dependencies]\nhotline-config = \"1\"",
        &["engine → config is not in the table"],
    );
    planted("config", "[dependencies]\nhotline-engine = \"1\"\nhotline-base = \"1\"", &[]);
    planted("ghost", "", &["ghost is not in the table"]);
}
