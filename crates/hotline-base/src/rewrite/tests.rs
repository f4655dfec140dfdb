//! What may be a pattern, and what becomes of texts.

use super::*;

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap()
}

#[track_caller]
fn replaced(text: &str, from: &str, to: &str, expected: Option<&str>) {
    let from = pattern(from);
    let to = Replacement::new(to, &from).unwrap();
    assert_eq!(from.replace(text, &to).as_deref(), expected, "{text}");
}

#[test]
fn the_first_match_is_replaced_and_the_rest_stays() {
    replaced("+8613800138000", r"^\+86", "", Some("13800138000"));
    replaced("a1b1", "1", "2", Some("a2b1"));
    replaced("sip:17951@h", r"sip:(\d+)@", "sip:${1}0@", Some("sip:179510@h"));
    replaced("5", "5", "$$5", Some("$5"));
    replaced("x", "y", "z", None);
}

#[test]
fn a_replacement_is_filled_from_another_text() {
    let from = pattern("<(sip:[^>]+)>");
    let to = Replacement::new("<$1>;x", &from).unwrap();
    assert_eq!(from.fill("\"a\" <sip:1@h>;p=1", &to).as_deref(), Some("<sip:1@h>;x"));
}

#[test]
fn v18_what_a_peer_wrote_is_put_in_as_it_is_and_never_read_again() {
    replaced("a$2{x}[y](z),$1", "^(a)(.*)$", "$2$1", Some("$2{x}[y](z),$1a"));
    let from = pattern("^(.*)$");
    let to = Replacement::new("<$1>", &from).unwrap();
    for evil in ["${1}", "$$", "{{ 1 + 1 }}", ",{}[]$()", "\\1", "%41"] {
        assert_eq!(from.fill(evil, &to), Some(format!("<{evil}>")));
    }
}

#[test]
fn what_could_cost_too_much_is_refused() {
    assert_eq!(Pattern::new(&"a".repeat(PATTERN_MAX + 1)), Err(BadPattern::TooLong));
    assert!(Pattern::new("(a{900}){900}").is_err());
    assert!(Pattern::new(&"(".repeat(40)).is_err());
    let any = pattern(".*");
    assert!(any.is_in(&"a".repeat(TEXT_MAX)));
    assert!(!any.is_in(&"a".repeat(TEXT_MAX + 1)));
    let long = "x".repeat(REPLACEMENT_MAX + 1);
    assert_eq!(Replacement::new(&long, &any), Err(BadPattern::TooLong));
}

#[test]
fn a_pattern_that_backtracking_engines_die_of_is_linear_here() {
    let bad = pattern("^(a+)+$");
    assert!(!bad.is_in(&("a".repeat(TEXT_MAX - 1) + "b")));
}

#[test]
fn a_dollar_that_means_nothing_is_refused() {
    let one = pattern("(a)");
    for it in ["$", "$x", "$1x", "${1", "${x}", "a$"] {
        assert_eq!(Replacement::new(it, &one), Err(BadPattern::Dollar), "{it}");
    }
    assert_eq!(Replacement::new("$2", &one), Err(BadPattern::NoGroup(2)));
    for it in ["$0", "$1", "${1}x", "$$", "$1-", "$1@h", ""] {
        assert!(Replacement::new(it, &one).is_ok(), "{it}");
    }
}

#[test]
fn no_line_break_gets_in() {
    let any = pattern("a");
    for it in ["a\r\nb", "a\nb", "a\0", "张"] {
        assert_eq!(Replacement::new(it, &any), Err(BadPattern::NotAscii), "{it:?}");
        assert_eq!(Pattern::new(it), Err(BadPattern::NotAscii), "{it:?}");
    }
}
