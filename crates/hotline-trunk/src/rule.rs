//! Number rules: what one carrier writes into its numbers, repaired before they are normalised,
//! and what it wants in ours, added when they are complete.

use hotline_base::rewrite::{BadPattern, Pattern, Replacement};

/// Which number of a call a rule is about.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum NumberOf {
    /// Incoming: From and P-Asserted-Identity. Outgoing: the number we show.
    #[default]
    Caller,
    /// Incoming: the request URI. Outgoing: the number we dial.
    Called,
}

/// One rewriting. Rules are tried in their order, each on what the ones before it have made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NumberRule {
    /// For people.
    pub name: String,
    pub of: NumberOf,
    how: How,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum How {
    /// Takes `strip` from the beginning and puts `add` there; numbers that do not begin so stay.
    Prefix { strip: String, add: String },
    /// The first match becomes the value.
    Pattern(Pattern, Replacement),
}

/// What is wrong with a number rule, and in which field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NumberFault {
    pub field: &'static str,
    pub why: BadNumberRule,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BadNumberRule {
    /// Neither a prefix nor a pattern.
    Nothing,
    /// Both.
    Both,
    /// `match` without `value`, or the other way round.
    Missing,
    /// Not up to 16 of `0-9+*#`.
    NotAPrefix,
    Pattern(BadPattern),
}

/// A number rule as a person writes it.
#[derive(Clone, Debug, Default)]
pub struct NumberRuleText {
    pub name: String,
    pub of: NumberOf,
    pub strip: Option<String>,
    pub add: Option<String>,
    pub pattern: Option<String>,
    pub value: Option<String>,
}

impl NumberRule {
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn new(text: NumberRuleText) -> Result<Self, NumberFault> {
        let NumberRuleText { name, of, strip, add, pattern, value } = text;
        let fault = |field, why| NumberFault { field, why };
        let [strip, add] = [strip, add].map(|it| it.filter(|it| !it.is_empty()));
        let how = match (strip.is_some() || add.is_some(), pattern, value) {
            (true, None, None) => {
                for (field, it) in [("strip", &strip), ("add", &add)] {
                    if it.as_deref().is_some_and(|it| !is_prefix(it)) {
                        return Err(fault(field, BadNumberRule::NotAPrefix));
                    }
                }
                How::Prefix { strip: strip.unwrap_or_default(), add: add.unwrap_or_default() }
            }
            (false, Some(pattern), Some(value)) => {
                let bad = |field| move |why| fault(field, BadNumberRule::Pattern(why));
                let pattern = Pattern::new(&pattern).map_err(bad("match"))?;
                let value = Replacement::new(&value, &pattern).map_err(bad("value"))?;
                How::Pattern(pattern, value)
            }
            (true, _, _) => return Err(fault("match", BadNumberRule::Both)),
            (false, Some(_), None) => return Err(fault("value", BadNumberRule::Missing)),
            (false, None, Some(_)) => return Err(fault("match", BadNumberRule::Missing)),
            (false, None, None) => return Err(fault("strip", BadNumberRule::Nothing)),
        };
        Ok(Self { name, of, how })
    }

    /// `None`: it is not for this number.
    fn rewrite(&self, number: &str) -> Option<String> {
        match &self.how {
            How::Prefix { strip, add } if strip.is_empty() => {
                (!number.starts_with(add.as_str())).then(|| format!("{add}{number}"))
            }
            How::Prefix { strip, add } => {
                number.strip_prefix(strip.as_str()).map(|rest| format!("{add}{rest}"))
            }
            How::Pattern(pattern, value) => pattern.replace(number, value),
        }
    }
}

fn is_prefix(text: &str) -> bool {
    (1..=16).contains(&text.len())
        && text.bytes().all(|it| it.is_ascii_digit() || matches!(it, b'+' | b'*' | b'#'))
}

/// The number after all rules that are about it, and the places of those that fired.
pub fn rewrite(rules: &[NumberRule], of: NumberOf, number: &str) -> (String, Vec<usize>) {
    let mut it = number.to_owned();
    let mut fired = Vec::new();
    for (place, rule) in rules.iter().enumerate().filter(|it| it.1.of == of) {
        if let Some(new) = rule.rewrite(&it) {
            it = new;
            fired.push(place);
        }
    }
    (it, fired)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(strip: &str, add: &str) -> NumberRuleText {
        let some = |it: &str| (!it.is_empty()).then(|| it.to_owned());
        NumberRuleText { strip: some(strip), add: some(add), ..NumberRuleText::default() }
    }

    fn pattern(pattern: &str, value: &str) -> NumberRuleText {
        NumberRuleText {
            pattern: Some(pattern.to_owned()),
            value: Some(value.to_owned()),
            ..NumberRuleText::default()
        }
    }

    #[track_caller]
    fn check(rules: &[NumberRuleText], number: &str, expected: &str, fired: &[usize]) {
        let rules: Vec<_> = rules.iter().map(|it| NumberRule::new(it.clone()).unwrap()).collect();
        let got = rewrite(&rules, NumberOf::Caller, number);
        assert_eq!(got, (expected.to_owned(), fired.to_vec()), "{number}");
    }

    #[test]
    fn prefixes_go_and_come() {
        check(&[prefix("17951", "")], "1795113800138000", "13800138000", &[0]);
        check(&[prefix("17951", "")], "13800138000", "13800138000", &[]);
        check(&[prefix("0", "+86")], "07715551234", "+867715551234", &[0]);
        check(&[prefix("", "0771")], "5551234", "07715551234", &[0]);
        check(&[prefix("", "0771")], "07715551234", "07715551234", &[]);
    }

    #[test]
    fn rules_go_one_after_the_other() {
        let rules = [prefix("17951", ""), pattern(r"^8(\d{7})$", "0771${1}"), prefix("9", "")];
        check(&rules, "1795185551234", "07715551234", &[0, 1]);
    }

    #[test]
    fn a_rule_is_about_one_of_the_two_numbers() {
        let called =
            NumberRule::new(NumberRuleText { of: NumberOf::Called, ..prefix("0", "") }).unwrap();
        let rules = [called];
        assert_eq!(rewrite(&rules, NumberOf::Caller, "012").0, "012");
        assert_eq!(rewrite(&rules, NumberOf::Called, "012").0, "12");
    }

    #[test]
    fn a_rule_that_says_nothing_or_too_much_is_refused() {
        #[track_caller]
        fn refused(text: NumberRuleText, field: &str, why: BadNumberRule) {
            let fault = NumberRule::new(text).unwrap_err();
            assert_eq!((fault.field, fault.why), (field, why));
        }
        refused(NumberRuleText::default(), "strip", BadNumberRule::Nothing);
        refused(prefix("abc", ""), "strip", BadNumberRule::NotAPrefix);
        refused(prefix("1", "x"), "add", BadNumberRule::NotAPrefix);
        let both = NumberRuleText { strip: Some("1".to_owned()), ..pattern("a", "b") };
        refused(both, "match", BadNumberRule::Both);
        let half = NumberRuleText { value: None, ..pattern("a", "b") };
        refused(half, "value", BadNumberRule::Missing);
        refused(pattern("a", "$1"), "value", BadNumberRule::Pattern(BadPattern::NoGroup(1)));
        assert_eq!(NumberRule::new(pattern("(", "")).unwrap_err().field, "match");
    }
}
