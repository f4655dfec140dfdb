//! Rule sets with mistakes, and one that works.

use std::path::PathBuf;

use super::*;
use crate::section::{Document, Tables};

fn read_text(text: &str) -> (RuleSets, Vec<String>) {
    let document = Document::new("e.toml".into(), PathBuf::new(), text);
    let tables = Tables::parse(text);
    let sets = read(&document.root(&tables));
    let told = document.finish().iter().map(ToString::to_string).collect();
    (sets, told)
}

#[track_caller]
fn complains(text: &str, place: &str) {
    let (_, told) = read_text(text);
    let [only] = told.as_slice() else { panic!("{told:?}") };
    assert!(only.starts_with(&format!("e.toml:{place}: ")), "{only}");
    assert!(only.contains(" — "), "no advice: {only}");
}

#[test]
fn a_rule_set_is_read_by_direction_and_kind() {
    let (sets, told) = read_text(
        "[[rules]]\nid = \"a\"\n\
         [[rules.header]]\nheader = \"Supported\"\naction = \"remove\"\n\
         [[rules.header]]\ndirection = \"out\"\nheader = \"k\"\nvalue = \"timer\"\n\
         [[rules.number]]\nstrip = \"17951\"\n\
         [[rules.number]]\ndirection = \"out\"\nof = \"called\"\nmatch = '^0'\nvalue = ''\n",
    );
    assert_eq!(told, [""; 0]);
    let it = &sets["a"];
    assert_eq!((it.headers_in.rules().len(), it.headers_out.rules().len()), (1, 1));
    assert_eq!((it.numbers_in.len(), it.numbers_out.len()), (1, 1));
}

#[test]
fn every_mistake_is_told_with_its_line_and_key() {
    let rule = "[[rules]]\nid = \"a\"\n[[rules.header]]\n";
    for header in ["Via", "call-id", "CSeq", "Route", "Proxy-Authorization"] {
        let text = format!("{rule}header = \"{header}\"\naction = \"remove\"\n");
        complains(&text, "4: 错误 rules[1].header[1].header");
    }
    let from = format!("{rule}header = \"From\"\nmatch = 'a'\nvalue = 'b'\n");
    complains(&from, "4: 错误 rules[1].header[1].header");
    let pattern = format!("{rule}header = \"X\"\nmatch = '('\nvalue = 'b'\n");
    complains(&pattern, "5: 错误 rules[1].header[1].match");
    let group = format!("{rule}header = \"X\"\nmatch = 'a'\nvalue = '$1'\n");
    complains(&group, "6: 错误 rules[1].header[1].value");
    complains(
        &format!("{rule}header = \"X\"\naction = \"drop\"\nvalue = 'x'\n"),
        "5: 错误 rules[1].header[1].action",
    );
    complains(
        &format!("{rule}header = \"X\"\naction = \"remove\"\nmatches = 'x'\n"),
        "6: 错误 rules[1].header[1].matches",
    );
    let number = "[[rules]]\nid = \"a\"\n[[rules.number]]\n";
    complains(&format!("{number}of = \"called\"\n"), "3: 错误 rules[1].number[1].strip");
    complains(&format!("{number}strip = \"x\"\n"), "4: 错误 rules[1].number[1].strip");
    complains("[[rules]]\nid = \"a\"\n[[rules]]\nid = \"a\"\n", "4: 错误 rules[2].id");
    let many = "[[rules.number]]\nstrip = \"1\"\n".repeat(N_MAX + 1);
    complains(&format!("[[rules]]\nid = \"a\"\n{many}"), "3: 错误 rules[1].number");
}

#[test]
fn a_trunk_that_names_no_set_there_is_is_told() {
    let text = "[[rules]]\nid = \"a\"\n[[trunk]]\nid = \"t\"\nsources = [\"10.0.0.1\"]\n\
                rules = \"b\"\n[[trunk]]\nid = \"u\"\nsources = [\"10.0.0.2\"]\nrules = \"a\"\n";
    let document = Document::new("e.toml".into(), PathBuf::new(), text);
    let tables = Tables::parse(text);
    let root = document.root(&tables);
    let rules = crate::part::trunk::read(&root, &read(&root)).rules;
    assert_eq!(rules.keys().map(hotline_base::TrunkId::as_str).collect::<Vec<_>>(), ["u"]);
    let told: Vec<_> = document.finish().iter().map(|it| (it.line, it.key.clone())).collect();
    assert_eq!(told, [(6, "trunk[1].rules".to_owned())]);
}
