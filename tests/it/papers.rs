//! What the papers in `docs/` claim about the code, where a test can tell.

use std::collections::BTreeSet;

use crate::house;

/// Cells of the rows of all tables in a paper.
pub(crate) fn rows(paper: &str) -> Vec<Vec<String>> {
    let text = house::read(paper);
    let rows = text.lines().filter_map(|it| it.strip_prefix("| ")?.strip_suffix(" |"));
    rows.map(|it| it.split(" | ").map(|it| it.trim().to_owned()).collect()).collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Every identifier in the code of the crates.
fn identifiers() -> BTreeSet<String> {
    let texts = house::files("crates", &["rs"]).into_iter().map(|it| house::read(&it));
    let mut found = BTreeSet::new();
    for text in texts {
        let code = text.lines().filter(|it| !it.trim_start().starts_with("//"));
        for line in code {
            let words = line.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
            found.extend(words.map(str::to_owned));
        }
    }
    found
}

/// Every test of the house.
fn tests() -> BTreeSet<String> {
    let all = ["crates", "tests", "fuzz", "benches"];
    let texts = all.iter().flat_map(|it| house::files(it, &["rs"])).map(|it| house::read(&it));
    let mut found = BTreeSet::new();
    for text in texts {
        let mut is_next = false;
        for line in text.lines().map(str::trim_start) {
            is_next |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            if let Some(name) = line.split("fn ").nth(1).filter(|_| is_next) {
                found.extend(name.split('(').next().map(str::to_owned));
                is_next = false;
            }
        }
    }
    found
}

/// Tests, benchmarks and papers that a cell names, each of which must be there; how many.
fn check_shown(cell: &str, tests: &BTreeSet<String>) -> usize {
    let parts: Vec<_> = cell.split('`').collect();
    let named = parts.chunks(2).filter_map(|it| Some((*it.first()?, *it.get(1)?)));
    let mut n_shown = cell.matches("](").count();
    for (before, name) in named {
        if before.ends_with("bench ") {
            let bench = name.split(' ').next().unwrap_or_default();
            let places = [format!("{bench}.rs"), format!("{bench}/main.rs")];
            let is_there = |it: &String| house::root().join("benches/src/bin").join(it).exists();
            assert!(places.iter().any(is_there), "there is no benchmark {name}");
        } else if name.contains('_') {
            assert!(tests.contains(name), "there is no test {name}");
        } else {
            continue;
        }
        n_shown += 1;
    }
    n_shown
}

#[test]
fn every_test_that_the_papers_name_exists() {
    let tests = tests();
    for (paper, n_rows) in [("docs/PROOF.md", 100), ("docs/SECURITY.md", 20)] {
        let rows = rows(paper);
        let rows: Vec<_> =
            rows.iter().filter(|it| it.get(1).is_some_and(|it| it != "Shown by")).collect();
        assert!(rows.len() > n_rows, "the tables of {paper} were not read");
        for row in rows {
            assert!(check_shown(&row[1], &tests) > 0, "{paper}: nothing shows {:?}", row[0]);
        }
    }
}

/// In the table a name may leave out the words that it shares with the one before.
#[test]
fn every_figure_is_explained_to_operators_and_none_that_is_not_there() {
    let files = house::files("crates/hotline-engine/src", &["rs"]);
    let meters = files.iter().filter(|it| it.contains("/meters")).map(|it| house::read(it));
    let mut figures = BTreeSet::new();
    for text in meters {
        let words = text.split('"').filter(|it| it.starts_with("hotline_"));
        figures.extend(words.map(str::to_owned));
    }
    assert!(figures.len() > 50, "the figures were not read");
    let mut explained = BTreeSet::new();
    let paper = house::read("docs/OPERATIONS.md");
    let table = paper.lines().skip_while(|it| *it != "## Figures").skip(1);
    for row in table.take_while(|it| !it.starts_with("## ")).filter(|it| it.starts_with("| `")) {
        let mut last = String::new();
        for name in quoted(row.split(" | ").next().unwrap_or_default()) {
            if let Some(rest) = name.strip_prefix('…') {
                let shares = |it: &&String| {
                    it.ends_with(rest) && last.starts_with(&it[..it.len() - rest.len()])
                };
                let whole = figures.iter().find(shares);
                explained.insert(whole.unwrap_or_else(|| panic!("{name} after {last}")).clone());
            } else {
                name.clone_into(&mut last);
                explained.insert(last.clone());
            }
        }
    }
    let missing: Vec<_> = figures.symmetric_difference(&explained).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Statuses that stand in the code of the signalling though we never say them: what peers say, and
/// numbers that are none.
const HEARD: &[u16] = &[407, 408, 410, 430, 443, 484, 512, 599, 600, 699];

#[test]
fn every_refusal_that_the_code_can_say_is_explained_to_operators_and_has_its_phrase() {
    let folders = ["hotline-sip/src", "hotline-switchboard/src", "hotline-call/src"];
    let files = folders.iter().flat_map(|it| house::files(&format!("crates/{it}"), &["rs"]));
    let files = files.chain(["crates/hotline-trunk/src/admission.rs".to_owned()]);
    let is_status = |it: &u16| (400..700).contains(it) && !HEARD.contains(it);
    let mut said = BTreeSet::new();
    for file in files.filter(|it| !it.contains("/tests") && !it.ends_with("/build.rs")) {
        let text = house::read(&file);
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in code.lines().filter(|it| !it.trim_start().starts_with("//")) {
            let words = line.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
            let words = words.map(|it| it.strip_suffix("_u16").unwrap_or(it));
            said.extend(words.filter_map(|it| it.parse().ok()).filter(is_status));
        }
    }
    assert!(said.len() > 20, "the code was not read");
    let paper = house::read("docs/OPERATIONS.md");
    let table = paper.lines().skip_while(|it| *it != "### What each refusal means").skip(1);
    let rows = table.take_while(|it| !it.starts_with('#')).filter_map(|it| it.split('|').nth(1));
    let explained: BTreeSet<u16> =
        rows.flat_map(|it| it.split(',')).filter_map(|it| it.trim().parse().ok()).collect();
    assert_eq!(said, explained);
    let phrases = house::read("crates/hotline-sip/src/build.rs");
    for status in said {
        assert!(phrases.contains(&format!("{status} => \"")), "{status} has no phrase");
    }
}

#[test]
fn every_word_of_the_glossary_is_a_word_of_the_code() {
    let identifiers = identifiers();
    let rows = rows("docs/GLOSSARY.md");
    let words: Vec<_> =
        rows.iter().filter(|it| it.len() == 3).flat_map(|it| quoted(&it[1])).collect();
    assert!(words.len() > 50, "the tables were not read");
    let strange: Vec<_> = words.iter().filter(|it| !identifiers.contains(**it)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn every_bound_of_a_channel_is_the_one_in_the_code() {
    let mut n_checked = 0;
    for row in rows("docs/CHANNELS.md").iter().filter(|it| it.len() == 5) {
        let words: Vec<_> = quoted(&row[4]).collect();
        let [path, name] = words[..] else { continue };
        let text = house::read(&format!("crates/hotline-{path}"));
        let line = text.lines().find(|it| it.contains(&format!("const {name}:")));
        let value = line.and_then(|it| it.split_once('=')).map(|it| it.1.replace('_', ""));
        let bound: String = row[2].chars().filter(char::is_ascii_digit).collect();
        let value: Option<String> =
            value.map(|it| it.trim().chars().take_while(char::is_ascii_digit).collect());
        assert_eq!(value, Some(bound), "{name} in {path}");
        n_checked += 1;
    }
    assert!(n_checked > 5, "the table was not read");
}

#[test]
fn every_link_between_papers_leads_somewhere() {
    for paper in house::files("docs", &["md"]) {
        let text = house::read(&paper);
        let folder = paper.rsplit_once('/').map_or("", |it| it.0);
        for target in text.split("](").skip(1).filter_map(|it| it.split(')').next()) {
            if !target.contains("://") && !target.starts_with('#') {
                let path = house::root().join(folder).join(target.split('#').next().unwrap_or(""));
                assert!(path.exists(), "{paper} → {target}");
            }
        }
    }
}

#[test]
fn every_file_that_the_life_of_a_call_names_exists() {
    let rows = rows("docs/LIFE-OF-A-CALL.md");
    let named = rows.iter().filter(|it| it.len() == 4).flat_map(|it| quoted(&it[3]));
    let paths: Vec<_> = named.filter(|it| it.contains("/src/")).collect();
    assert!(paths.len() > 10, "the table was not read");
    for path in paths {
        assert!(house::root().join(format!("crates/hotline-{path}")).exists(), "{path}");
    }
}

#[test]
fn every_decision_has_its_four_parts_and_one_number() {
    let mut numbers = BTreeSet::new();
    for paper in house::files("docs/adr", &["md"]) {
        let name = paper.rsplit('/').next().unwrap_or_default();
        let number = name.split('-').next().unwrap_or_default();
        assert!(numbers.insert(number.to_owned()), "two decisions have the number {number}");
        let text = house::read(&paper);
        assert!(text.starts_with(&format!("# {number} ")), "{paper}");
        for part in
            ["## Context", "## Decision", "## Consequences", "## What would change our mind"]
        {
            assert!(text.contains(part), "{paper} lacks {part}");
        }
        assert!(text.lines().count() <= 70, "{paper} is longer than a page");
    }
}
