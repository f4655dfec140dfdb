//! `survey`: 按键评价 of the agent who was just talked to.

use hotline_base::{Key, Now};

use super::{Ask, Asking, Judgement, Need, Outcome, input::judge_choice, outcome};
use crate::{
    Environment, FlowFact,
    check::NodeReader,
    session::{Session, Turn},
};

/// Outcomes are `rated.<key>`, `noinput`, `nomatch`, `error`.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    pub(crate) asking: Asking,
    /// `survey_id`.
    pub(crate) id: String,
    pub(crate) grades: Vec<Grade>,
    pub(crate) offer_event: bool,
}

/// What a key says of the agent.
#[derive(Clone, Debug)]
pub(crate) struct Grade {
    pub(crate) key: Key,
    pub(crate) value: i64,
    pub(crate) label: String,
    /// Counts for 满意率.
    pub(crate) satisfied: bool,
}

const OUTCOMES: [Outcome; 3] = [
    outcome("noinput", Need::Covered),
    outcome("nomatch", Need::Covered),
    outcome("error", Need::Covered),
];

impl Survey {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        let asking = Asking::read(it, 2);
        let id = it.fields.required_text("survey_id");
        let offer_event = it.fields.bool("offer_event").unwrap_or(true);
        let rated = it.main_target("rated");
        let mut grades = Vec::new();
        if let Some(mut keys) = it.fields.required_map("keys") {
            for name in keys.keys() {
                let key = keys.key_name(&name);
                let Some(mut fields) = keys.required_map(&name) else { continue };
                let value = fields.required_int("value");
                let label = fields.required_text("label");
                let satisfied = fields.bool("satisfied").unwrap_or(false);
                let own = fields.has("next").then(|| it.target_in(&mut fields, "next")).flatten();
                fields.finish();
                if let (Some(key), Some(value), Some(label)) = (key, value, label) {
                    if own.or(rated).is_none() {
                        it.leave_open(&outcome("rated", Need::Main));
                    }
                    it.exit(&format!("rated.{key}"), own.or(rated));
                    grades.push(Grade { key, value, label, satisfied });
                }
            }
            keys.finish();
        }
        it.exits(&OUTCOMES);
        it.only_after_agent();
        Some(Self { asking: asking?, id: id?, grades, offer_event })
    }

    /// Once for each answered agent leg; keys pressed before are no rating.
    pub(super) fn enter(&self, session: &mut Session, env: &dyn Environment, now: Now) -> Turn {
        let Some(leg) = session.leg_to_rate() else {
            return Turn::fail("no agent to rate, or rated before");
        };
        session.flush_typed();
        if self.offer_event {
            let survey = self.id.clone();
            session.fact(FlowFact::SurveyOffered { survey, agent: leg.agent });
        }
        session.begin_input(self, env, now)
    }
}

impl Ask for Survey {
    fn asking(&self) -> &Asking {
        &self.asking
    }

    fn term(&self) -> Option<Key> {
        self.asking.input.term.key(None)
    }

    fn admits(&self, _key: Key) -> bool {
        true
    }

    fn choices(&self, _: &Session, _: &dyn Environment, _: Now) -> Result<Vec<String>, String> {
        Ok(self.grades.iter().map(|it| it.key.to_string()).collect())
    }

    fn judge(&self, digits: &str, choices: &[String]) -> Judgement {
        judge_choice(digits, choices, false)
    }

    fn settle(&self, digits: &str, choices: &[String]) -> Judgement {
        judge_choice(digits, choices, true)
    }

    fn take(&self, digits: &str, session: &mut Session, _: &dyn Environment, _: Now) -> Turn {
        let grade = self.grades.iter().find(|it| it.key.to_string() == digits);
        let (Some(grade), Some(leg)) = (grade, session.leg()) else {
            return Turn::fail("rating without an agent");
        };
        session.fact(FlowFact::Rated {
            survey: self.id.clone(),
            agent: leg.agent,
            group: leg.group,
            key: grade.key,
            value: grade.value,
            label: grade.label.clone(),
            satisfied: grade.satisfied,
        });
        Turn::leave(format!("rated.{}", grade.key))
    }
}
