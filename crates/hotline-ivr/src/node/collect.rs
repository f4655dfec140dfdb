//! `collect`: a number typed by the caller.

use hotline_base::{Key, Now};
use regex_lite::Regex;

use super::{Ask, Asking, Judgement, KeyRule, Need, Outcome, VarRef, outcome};
use crate::{
    Environment, Type, Value,
    check::NodeReader,
    session::{Session, Turn},
    validate::{Validate, date_yyyymmdd, id_card_cn, luhn, phone_cn},
};

#[derive(Clone, Debug)]
pub(crate) struct Collect {
    pub(crate) asking: Asking,
    pub(crate) var: VarRef,
    pub(crate) min: usize,
    pub(crate) max: usize,
    /// Matches one key.
    pub(crate) accept: Regex,
    pub(crate) validate: Option<Validate>,
    /// The digits appear in no fact and in no recording.
    pub(crate) secret: bool,
}

const OUTCOMES: [Outcome; 4] = [
    outcome("done", Need::Main),
    outcome("noinput", Need::Covered),
    outcome("nomatch", Need::Covered),
    outcome("error", Need::Covered),
];

impl Collect {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        it.exits(&OUTCOMES);
        let mut asking = Asking::read(it, 3);
        let size =
            |it: Option<i64>, or: usize| it.and_then(|it| usize::try_from(it).ok()).unwrap_or(or);
        let min = size(it.fields.int("min", 0, 64), 1);
        let max = size(it.fields.int("max", 1, 64), 20);
        if min > max {
            it.fields.wrong("min", "E04", "min 大于 max", "改正两者");
        }
        let accept = it.fields.regex("accept").or_else(|| Regex::new("[0-9*]").ok());
        let term = KeyRule::read(&mut it.fields, "term");
        if let Some(asking) = &mut asking {
            asking.input.term = term.or(asking.input.term);
        }
        let validate = read_validate(it);
        let secret = it.fields.bool("secret").unwrap_or(false);
        let (var, ty) = it.variable("var")?;
        if ty != Type::Str {
            let text = format!("变量类型是 {}，按键输入是 string", ty.name());
            it.fields.wrong("var", "E12", &text, "把变量声明为 string");
        }
        Some(Self { asking: asking?, var, min, max, accept: accept?, validate, secret })
    }
}

fn read_validate(it: &mut NodeReader<'_>) -> Option<Validate> {
    if it.fields.is_map("validate") {
        let mut fields = it.fields.map("validate")?;
        let rule = if fields.has("regex") {
            fields.regex("regex").map(|it| Validate::Regex(Box::new(it)))
        } else {
            it.expr_in(&mut fields, "expr", &Type::Bool).map(|it| Validate::Expr(Box::new(it)))
        };
        fields.finish();
        return rule;
    }
    let words = ["luhn", "id_card_cn", "phone_cn", "date_yyyymmdd"];
    Some(match it.fields.choice("validate", &words)? {
        "luhn" => Validate::Luhn,
        "id_card_cn" => Validate::IdCardCn,
        "phone_cn" => Validate::PhoneCn,
        _ => Validate::Date,
    })
}

impl Ask for Collect {
    fn asking(&self) -> &Asking {
        &self.asking
    }

    fn term(&self) -> Option<Key> {
        self.asking.input.term.key(Some('#'))
    }

    fn admits(&self, key: Key) -> bool {
        self.accept.is_match(&key.to_string())
    }

    fn choices(&self, _: &Session, _: &dyn Environment, _: Now) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }

    fn is_secret(&self) -> bool {
        self.secret
    }

    fn judge(&self, digits: &str, _: &[String]) -> Judgement {
        if digits.len() >= self.max { Judgement::Take } else { Judgement::More }
    }

    fn settle(&self, digits: &str, _: &[String]) -> Judgement {
        if digits.len() >= self.min { Judgement::Take } else { Judgement::Wrong }
    }

    fn take(&self, digits: &str, session: &mut Session, env: &dyn Environment, now: Now) -> Turn {
        session.remember_digits(digits);
        let valid = match &self.validate {
            None => Ok(true),
            Some(Validate::Regex(regex)) => Ok(regex.is_match(digits)),
            Some(Validate::Luhn) => Ok(luhn(digits)),
            Some(Validate::IdCardCn) => Ok(id_card_cn(digits)),
            Some(Validate::PhoneCn) => Ok(phone_cn(digits)),
            Some(Validate::Date) => Ok(date_yyyymmdd(digits)),
            Some(Validate::Expr(expr)) => session.holds(expr, env, now),
        };
        if self.secret {
            session.remember_digits("");
        }
        match valid {
            Ok(true) => {
                if self.secret {
                    session.assign_secret(self.var, Value::str(digits));
                } else {
                    session.assign(self.var, Value::str(digits));
                }
                Turn::leave("done")
            }
            Ok(false) => Turn::Wrong,
            Err(reason) => Turn::Fail(reason),
        }
    }
}
