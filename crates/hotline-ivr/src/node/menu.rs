//! `menu`: one of several keys.

use hotline_base::{Key, Now};

use super::{Ask, Asking, Judgement, Need, Outcome, input::judge_choice, outcome};
use crate::{
    Environment, Type,
    check::{Fields, NodeReader},
    expr::Expr,
    session::{Session, Turn},
};

/// Outcomes are the keys, `operator`, `noinput`, `nomatch`, `error`.
#[derive(Clone, Debug)]
pub(crate) struct Menu {
    pub(crate) asking: Asking,
    pub(crate) options: Vec<Choice>,
    pub(crate) repeat_key: Option<Key>,
    pub(crate) operator_key: Option<Key>,
    pub(crate) back_key: Option<Key>,
}

#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// One key or more.
    pub(crate) keys: String,
    /// False: the key is as wrong as any other.
    pub(crate) when: Option<Expr>,
}

const OUTCOMES: [Outcome; 3] = [
    outcome("noinput", Need::Covered),
    outcome("nomatch", Need::Covered),
    outcome("error", Need::Covered),
];

impl Menu {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        let asking = Asking::read(it, 3);
        let mut options = Vec::new();
        if let Some(mut fields) = it.fields.required_map("options") {
            for keys in fields.keys() {
                if let Some(choice) = read_option(it, &mut fields, &keys) {
                    options.push(choice);
                }
            }
            fields.finish();
        }
        let repeat_key = it.special_key("repeat_key", it.defaults().repeat_key, Some('*'));
        let operator_key = it.special_key("operator_key", it.defaults().operator_key, Some('0'));
        let back_key = it.special_key("back_key", it.defaults().back_key, None);
        let own = operator_key.is_some_and(|key| has(&options, key));
        if operator_key.is_some() && !own {
            let target = it.operator_target();
            it.exit("operator", target);
        }
        it.exits(&OUTCOMES);
        it.warn_options(&options, repeat_key, operator_key);
        let menu = Self { asking: asking?, options, repeat_key, operator_key, back_key };
        (!menu.options.is_empty() || menu.operator_key.is_some()).then_some(menu)
    }

    fn is(key: Option<Key>, digits: &str) -> bool {
        let mut chars = digits.chars();
        key.is_some_and(|it| chars.next() == Some(it.as_char()) && chars.next().is_none())
    }
}

fn has(options: &[Choice], key: Key) -> bool {
    options.iter().any(|it| Menu::is(Some(key), &it.keys))
}

fn read_option<'a>(it: &mut NodeReader<'a>, fields: &mut Fields<'a>, keys: &str) -> Option<Choice> {
    if keys.is_empty() || keys.chars().any(|it| Key::try_from(it).is_err()) {
        let text = format!("“{keys}”不是按键");
        fields.wrong(keys, "E04", &text, "按键只能是 0-9 * # A-D，可连写多位");
    }
    let mut option = fields.required_map(keys)?;
    let target = it.target_in(&mut option, "next");
    let when = option.has("when").then(|| it.expr_in(&mut option, "when", &Type::Bool)).flatten();
    // What a person reads in the editor and in reports.
    option.text("label");
    option.finish();
    it.exit(keys, target);
    Some(Choice { keys: keys.to_owned(), when })
}

impl Ask for Menu {
    fn asking(&self) -> &Asking {
        &self.asking
    }

    fn term(&self) -> Option<Key> {
        self.asking.input.term.key(None)
    }

    fn admits(&self, _key: Key) -> bool {
        true
    }

    fn choices(
        &self,
        session: &Session,
        env: &dyn Environment,
        now: Now,
    ) -> Result<Vec<String>, String> {
        let mut choices = Vec::new();
        for option in &self.options {
            let open = match &option.when {
                Some(when) => session.holds(when, env, now)?,
                None => true,
            };
            if open {
                choices.push(option.keys.clone());
            }
        }
        for key in [self.repeat_key, self.operator_key, self.back_key].into_iter().flatten() {
            let key = key.to_string();
            if !self.options.iter().any(|it| it.keys == key) {
                choices.push(key);
            }
        }
        Ok(choices)
    }

    fn judge(&self, digits: &str, choices: &[String]) -> Judgement {
        self.special(digits, judge_choice(digits, choices, false))
    }

    fn settle(&self, digits: &str, choices: &[String]) -> Judgement {
        self.special(digits, judge_choice(digits, choices, true))
    }

    fn take(&self, digits: &str, _: &mut Session, _: &dyn Environment, _: Now) -> Turn {
        if self.options.iter().any(|it| it.keys == digits) {
            Turn::leave(digits.to_owned())
        } else {
            Turn::leave("operator")
        }
    }
}

impl Menu {
    /// An option wins over a special key of the same name.
    fn special(&self, digits: &str, judgement: Judgement) -> Judgement {
        let own = self.options.iter().any(|it| it.keys == digits);
        if judgement != Judgement::Take || own {
            judgement
        } else if Self::is(self.repeat_key, digits) {
            Judgement::Repeat
        } else if Self::is(self.back_key, digits) {
            Judgement::Back
        } else {
            judgement
        }
    }
}
