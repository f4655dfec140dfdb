//! What names mean: variables, facts of the call, prompts.

use std::borrow::Cow;

use hotline_base::{Now, Pii, PromptId, WallTime};

use super::Session;
use crate::{
    Environment, FlowFact, Value,
    expr::{EvalError, Expr, Field, Scope, Template, mask},
    flow::{Mask, Var},
    node::{Prompt, PromptPart, VarRef},
    speak::{self, Spoken},
};

/// A name that data made may hold a caller's number: reasons are read by many.
pub(super) fn harmless(name: &str) -> &str {
    if name.bytes().filter(u8::is_ascii_digit).count() < 7 { name } else { "named by a number" }
}

impl Session {
    fn scoped<T>(
        &self,
        env: &dyn Environment,
        wall: WallTime,
        eval: impl FnOnce(&Scope<'_>) -> Result<T, EvalError>,
    ) -> Result<T, String> {
        let (params, vars) = match self.frames.last() {
            Some(frame) => (frame.params.as_slice(), frame.vars.as_slice()),
            None => (&[][..], &[][..]),
        };
        let field = |it: Field| self.field(it);
        let bundle = &self.bundle;
        let scope = Scope { params, vars, session: &self.vars, field: &field, env, bundle, wall };
        eval(&scope).map_err(|it| it.as_str().to_owned())
    }

    pub(crate) fn value(
        &self,
        expr: &Expr,
        env: &dyn Environment,
        now: Now,
    ) -> Result<Value, String> {
        self.scoped(env, now.wall, |it| expr.eval(it))
    }

    pub(crate) fn holds(
        &self,
        expr: &Expr,
        env: &dyn Environment,
        now: Now,
    ) -> Result<bool, String> {
        self.scoped(env, now.wall, |it| expr.eval_bool(it))
    }

    pub(crate) fn text<'a>(
        &self,
        template: &'a Template,
        env: &dyn Environment,
        now: Now,
    ) -> Result<Cow<'a, str>, String> {
        self.scoped(env, now.wall, |it| template.eval_text(it))
    }

    /// Normalised; empty when hidden.
    pub(crate) fn caller_number(&self) -> &str {
        self.entry.from.reveal()
    }

    fn field(&self, it: Field) -> Value {
        let leg = self.leg.as_ref();
        let text = |it: Option<&str>| Value::str(it.unwrap_or_default());
        match it {
            Field::CallId => Value::str(&self.entry.call_id),
            Field::CallFrom => Value::str(self.entry.from.reveal()),
            Field::CallTo => Value::str(&self.entry.to),
            Field::CallDnis => Value::str(&self.entry.dnis),
            Field::CallTrunk => Value::str(&self.entry.trunk),
            Field::CallStartedAt => Value::Time(self.entry.started_at),
            Field::CallLang => Value::str("zh-CN"),
            Field::CallRecordingId => Value::str(&self.entry.recording_id),
            Field::CallDirection => Value::str("inbound"),
            Field::LastOutcome => Value::str(&self.last.outcome),
            Field::LastReason => Value::str(&self.last.reason),
            Field::LastDigits => Value::str(&self.last.digits),
            Field::AgentId => text(leg.map(|it| it.agent.as_str())),
            Field::AgentGroup => text(leg.map(|it| it.group.as_str())),
            Field::AgentTalkMs => {
                let ms = leg.map_or(0, |it| it.talk_ms);
                Value::Int(i64::try_from(ms).unwrap_or(i64::MAX))
            }
            Field::AgentEndedBy => text(leg.map(|it| it.ended_by)),
            Field::EndReason => text(self.end_reason.map(crate::EndReason::as_str)),
        }
    }

    pub(crate) fn assign(&mut self, var: VarRef, value: Value) {
        if let Some(it) = self.declaration(var).filter(|it| it.export) {
            let shown = match it.mask {
                Mask::None => value.to_text(),
                Mask::Digits => mask(&value.to_text()),
                Mask::All => "***".to_owned(),
            };
            let scope = if matches!(var, VarRef::Session(_)) { "session." } else { "" };
            let (name, label) = (format!("{scope}{}", it.name), it.label.clone());
            self.fact(FlowFact::Exported { name, label, value: Pii::new(shown) });
        }
        self.assign_secret(var, value);
    }

    /// Sets a variable and tells nobody.
    pub(crate) fn assign_secret(&mut self, var: VarRef, value: Value) {
        let slot = match var {
            VarRef::Var(idx) => self.frames.last_mut().and_then(|it| it.vars.get_mut(idx)),
            VarRef::Session(idx) => self.vars.get_mut(idx),
        };
        if let Some(slot) = slot {
            *slot = value;
        }
    }

    fn declaration(&self, var: VarRef) -> Option<&Var> {
        match var {
            VarRef::Var(idx) => self.frames.last()?.flow.vars.get(idx),
            VarRef::Session(idx) => self.bundle.session.get(idx),
        }
    }

    pub(crate) fn remember_digits(&mut self, digits: &str) {
        digits.clone_into(&mut self.last.digits);
    }

    /// The prompts to play; the reason when one does not exist.
    pub(crate) fn prompts(
        &self,
        prompt: &Prompt,
        env: &dyn Environment,
        now: Now,
    ) -> Result<Vec<PromptId>, String> {
        let mut all = Vec::new();
        for part in &prompt.parts {
            for id in self.part(part, env, now)? {
                if !self.bundle.prompts.contains(&id) {
                    return Err(format!("prompt {} is missing", harmless(id.as_str())));
                }
                all.push(id);
            }
        }
        Ok(all)
    }

    /// The prompts that exist; what cannot be played is left out.
    pub(crate) fn prompts_known(
        &self,
        prompt: &Prompt,
        env: &dyn Environment,
        now: Now,
    ) -> Vec<PromptId> {
        let parts = prompt.parts.iter();
        let ids = parts.flat_map(|it| self.part(it, env, now).unwrap_or_default());
        ids.filter(|it| self.bundle.prompts.contains(it)).collect()
    }

    fn part(
        &self,
        part: &PromptPart,
        env: &dyn Environment,
        now: Now,
    ) -> Result<Vec<PromptId>, String> {
        Ok(match part {
            PromptPart::Fixed(id) => vec![id.clone()],
            PromptPart::Computed(template) => {
                let id = self.text(template, env, now)?;
                if id.is_empty() { Vec::new() } else { vec![PromptId::new(&id)] }
            }
            PromptPart::Insert(insert) => {
                let value = self.value(&insert.value, env, now)?;
                let known = &self.bundle.prompts;
                match insert.how {
                    Spoken::Digits => speak::digits(&value.to_text(), known),
                    Spoken::Number => speak::number(value.as_int().unwrap_or_default(), known),
                }
            }
        })
    }
}
