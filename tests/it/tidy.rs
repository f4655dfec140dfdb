//! Habits of files: length, width, first line, names, secrets.

use crate::house;

/// Longer than [`LINES_MAX`], each with its reason.
const LONG: &[(&str, &str)] = &[];

const LINES_MAX: usize = 600;
const COLUMNS_MAX: usize = 100;

/// Test files that may let a thread sleep, each with its reason.
const SLEEPERS: &[(&str, &str)] = &[
    (
        "crates/hotline-engine/tests/roles.rs",
        "looks at child processes until a deadline; a process gives no event that a test could await",
    ),
    ("crates/hotline-media/src/tests/kills.rs", "speaks in real time to a process that is killed"),
    ("crates/hotline-media/src/tests/stalls.rs", "speaks to a process that stands still"),
];

/// Files that may look at personal data, each with its reason. Tests may.
#[rustfmt::skip]
const REVEALERS: &[(&str, &str)] = &[
    ("crates/hotline-config/src/trial.rs", "a person asks what became of his own file's numbers"),
    ("crates/hotline-engine/src/control/lists.rs", "numbers of lists are normalised"),
    ("crates/hotline-ivr/src/session/values.rs", "flows read `call.from`"),
    ("crates/hotline-store/src/db/calls.rs", "records are found by the caller's number"),
    ("crates/hotline-store/src/db/lists.rs", "lists hold numbers"),
    ("crates/hotline-store/src/sidecar.rs", "随录信息 names the caller"),
    ("crates/hotline-store/src/wire/call.rs", "a record names the caller"),
    ("crates/hotline-store/src/wire/fact.rs", "a fact of the record may"),
    ("crates/hotline-switchboard/src/switchboard/phones.rs", "the agent's phone shows the caller"),
    ("crates/hotline-switchboard/src/switchboard/carrier.rs", "number rules rewrite the number"),
    ("crates/hotline-switchboard/src/switchboard/outbound.rs", "a number is called"),
    ("crates/hotline-switchboard/src/switchboard/outside.rs", "an agent's number outside is rung"),
    ("crates/hotline-switchboard/src/switchboard/parties.rs", "a telephone names whom to call"),
    ("crates/hotline-switchboard/src/switchboard/restore.rs", "the number tells the city"),
    ("crates/hotline-switchboard/src/switchboard/sip.rs", "trunk and flow read the number"),
    ("crates/hotline-trunk/src/lists.rs", "lists are looked up by number"),
    ("crates/hotline-web/src/routes/directory.rs", "the bar shows whom its buttons call"),
    ("crates/hotline-web/src/wire/agent.rs", "an agent sees which number rings for him"),
    ("crates/hotline-web/src/wire/event.rs", "the screen pop shows the caller"),
];

/// What `text`, a Rust file at `path`, does that no file here does.
fn complaints(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut say = |what: String| found.push(format!("{path}: {what}"));
    let n_lines = text.lines().count();
    if n_lines > LINES_MAX && !LONG.iter().any(|(it, _)| *it == path) {
        say(format!("{n_lines} lines"));
    }
    if !text.starts_with("//!") {
        say("the first line does not say what the file is for".to_owned());
    }
    if path.ends_with("/mod.rs") {
        say("foo.rs stands beside foo/".to_owned());
    }
    let n_live = if is_test(path) { 0 } else { before_tests_begin(text).lines().count() };
    for (n, line) in text.lines().enumerate() {
        let n = n + 1;
        // What a test sends and expects stands there as it is on the wire.
        if line.chars().count() > COLUMNS_MAX && n <= n_live {
            say(format!("line {n} is wider than {COLUMNS_MAX} columns"));
        }
        let line = line.trim_start();
        if line.starts_with("#[ignore") {
            say(format!("line {n} ignores a test"));
        }
        if line.trim_start_matches("pub ").trim_start_matches("async ").starts_with("fn test_") {
            say(format!("line {n}: a test's name says what happens"));
        }
    }
    // A benchmark offers its load by the clock; a test waits for what it wants to see.
    let is_bench = path.starts_with("benches/");
    if !is_bench && (is_test(path) || text.contains("#[cfg(test)]")) {
        let tests = if is_test(path) { text } else { after_tests_begin(text) };
        if tests.contains(THREAD_SLEEP) && !SLEEPERS.iter().any(|(it, _)| *it == path) {
            say("a test sleeps".to_owned());
        }
    }
    let live = if is_test(path) { "" } else { before_tests_begin(text) };
    if reveals(live) && !REVEALERS.iter().any(|(it, _)| *it == path) {
        say("reveals personal data and is not on the list".to_owned());
    }
    for line in revealing_logs(live) {
        say(format!("line {line} logs personal data"));
    }
    found
}

const THREAD_SLEEP: &str = concat!("thread::", "sleep(");
const REVEAL: &str = concat!(".reveal", "()");
const REVEAL_BY_NAME: &str = concat!("Pii::", "reveal");
const TESTS_BEGIN: &str = "#[cfg(test)]\nmod ";

fn is_test(path: &str) -> bool {
    path.starts_with("tests/")
        || path.starts_with("benches/")
        || path.starts_with("fuzz/")
        || path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.starts_with("crates/hotline-testkit/")
        || path.starts_with("crates/hotline-sim/")
}

fn reveals(text: &str) -> bool {
    text.contains(REVEAL) || text.contains(REVEAL_BY_NAME)
}

fn before_tests_begin(text: &str) -> &str {
    text.split(TESTS_BEGIN).next().unwrap_or_default()
}

fn after_tests_begin(text: &str) -> &str {
    text.split_once(TESTS_BEGIN).map_or("", |(_, it)| it)
}

/// Lines on which a log macro begins that looks at personal data somewhere in its arguments.
fn revealing_logs(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    for name in LOG_MACROS {
        for (at, _) in text.match_indices(&format!("{name}!(")) {
            let before = text[..at].chars().next_back();
            let whole = before.is_none_or(|it| !it.is_alphanumeric() && it != '_');
            let arguments = balanced(&text[at + name.len() + 1..]);
            if whole && reveals(arguments) {
                found.push(1 + text[..at].matches('\n').count());
            }
        }
    }
    found.sort_unstable();
    found
}

const LOG_MACROS: &[&str] = &[
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "event",
    "span",
    "trace_span",
    "debug_span",
    "info_span",
    "warn_span",
    "error_span",
    "print",
    "println",
    "eprint",
    "eprintln",
    "dbg",
];

/// From the opening parenthesis to its partner. Parentheses in strings are rare enough in logs.
fn balanced(text: &str) -> &str {
    let mut depth = 0_usize;
    for (at, it) in text.char_indices() {
        match it {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => (),
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

/// Paths of one machine, which mean nothing on another.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/", "hl"), concat!("/Us", "ers/")];

fn rust_files() -> Vec<String> {
    ["crates", "tests", "benches", "fuzz"].iter().flat_map(|it| house::files(it, &["rs"])).collect()
}

#[test]
fn every_file_keeps_the_habits_of_the_house() {
    let files = rust_files();
    let found: Vec<_> = files.iter().flat_map(|it| complaints(it, &house::read(it))).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_exception_is_left_that_nobody_needs() {
    for (path, reason) in LONG {
        assert!(house::read(path).lines().count() > LINES_MAX, "{path}: {reason}");
    }
    for (path, reason) in SLEEPERS {
        assert!(house::read(path).contains(THREAD_SLEEP), "{path}: {reason}");
    }
    for (path, reason) in REVEALERS {
        assert!(reveals(before_tests_begin(&house::read(path))), "{path}: {reason}");
    }
}

#[test]
fn no_file_names_a_place_on_one_machine() {
    let extensions =
        ["rs", "md", "toml", "yaml", "yml", "json", "sql", "html", "sh", "csv", "service", "xml"];
    for path in house::files(".", &extensions) {
        let text = house::read(&path);
        for place in MACHINE_PATHS {
            assert!(!text.contains(place), "{path} names {place}");
        }
    }
}

#[track_caller]
fn planted(path: &str, text: &str, expected: &[&str]) {
    let expected: Vec<_> = expected.iter().map(|it| format!("{path}: {it}")).collect();
    assert_eq!(complaints(path, text), expected);
}

const FILE: &str = "crates/hotline-acd/src/planted.rs";

#[test]
fn a_file_without_a_breach_has_no_complaint() {
    planted(FILE, "//! Fine.\n\nfn tests_a_thing() {}\n", &[]);
}

#[test]
fn a_planted_long_or_wide_file_is_found() {
    planted(FILE, &format!("//! Long.\n{}", "\n".repeat(600)), &["601 lines"]);
    planted(
        FILE,
        &format!("//! Wide.\n//{}", "x".repeat(99)),
        &["line 2 is wider than 100 columns"],
    );
    planted(FILE, &format!("//! Wide enough.\n//{}", "宽".repeat(98)), &[]);
}

#[test]
fn a_planted_bad_name_or_first_line_is_found() {
    planted(FILE, "use std::fmt;\n", &["the first line does not say what the file is for"]);
    planted("crates/x/src/a/mod.rs", "//! Old.\n", &["foo.rs stands beside foo/"]);
    let text = "//! Tests.\n    fn test_a() {}\n    async fn test_b() {}\n";
    let what = "a test's name says what happens";
    planted(FILE, text, &[&format!("line 2: {what}"), &format!("line 3: {what}")]);
}

#[test]
fn a_planted_ignored_or_sleeping_test_is_found() {
    let text = "//! Tests.\n#[test]\n#[ignore = \"slow\"]\nfn a() {}\n";
    planted(FILE, text, &["line 3 ignores a test"]);
    let sleeps = format!("std::{THREAD_SLEEP}Duration::ZERO);");
    let text = format!("//! A.\n{TESTS_BEGIN}tests {{ {sleeps} }}\n");
    planted(FILE, &text, &["a test sleeps"]);
    planted("tests/e2e/a.rs", &format!("//! A.\n{sleeps}\n"), &["a test sleeps"]);
    planted("crates/hotline-media/src/a.rs", &format!("//! Not a test.\n{sleeps}\n"), &[]);
}

#[test]
fn a_planted_look_at_personal_data_is_found() {
    let look = format!("let it = number{REVEAL};");
    let what = "reveals personal data and is not on the list";
    planted(FILE, &format!("//! A.\n{look}\n"), &[what]);
    planted(FILE, &format!("//! A.\nlet it = number.map({REVEAL_BY_NAME});\n"), &[what]);
    planted(FILE, &format!("//! A.\n{TESTS_BEGIN}tests {{ {look} }}\n"), &[]);
    let log = format!("//! A.\n\ninfo!(\n    number = %it{REVEAL},\n    \"Call arrived.\"\n);\n");
    planted(FILE, &log, &[what, "line 3 logs personal data"]);
    assert_eq!(revealing_logs(&log), [3]);
    let apart = format!("info!(n = f(1), \"Call arrived.\");\npop(it{REVEAL});\n");
    assert_eq!(revealing_logs(&apart), [0; 0]);
}
