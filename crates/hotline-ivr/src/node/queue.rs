//! `queue`: wait for a person.

use std::time::Duration;

use hotline_base::{AgentNo, GroupId, Key, Now, PromptId};

use super::{FlowCall, Need, Outcome, Prompt, outcome};
use crate::{
    EarlyReject, Enqueue, Environment, Type,
    check::NodeReader,
    expr::{Expr, Template},
    flow::{FlowKind, Thing},
    session::{Session, Turn},
    speak,
};

/// Outcomes are `agent_done`, `timeout`, `full`, `no_agents`, `closed`, `key.<k>`, `error`.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) groups: Vec<Template>,
    /// 0–9, 9 first.
    pub(crate) priority: Template,
    pub(crate) skills: Vec<Template>,
    pub(crate) music: Prompt,
    pub(crate) announce: Option<Announce>,
    pub(crate) max_wait: Duration,
    pub(crate) keys: Vec<Key>,
    pub(crate) early_reject: EarlyReject,
    pub(crate) ring_timeout: Option<Duration>,
    pub(crate) caller_whisper: Option<Whisper>,
    /// The agent hears what the caller does before the bridge (`whisper_to: both`).
    pub(crate) whisper_to_both: bool,
    /// What the agent alone hears before the bridge, such as which hotline it is.
    pub(crate) agent_whisper: Option<Whisper>,
    pub(crate) after_agent: Option<AfterAgent>,
}

/// What a waiting caller is told.
#[derive(Clone, Debug)]
pub(crate) struct Announce {
    pub(crate) first_after: Duration,
    /// Zero: only once.
    pub(crate) every: Duration,
    pub(crate) position: bool,
    pub(crate) ewt: bool,
    pub(crate) ewt_round: Duration,
    /// A longer wait is not announced.
    pub(crate) max_ewt: Duration,
    /// When there is nothing to count.
    pub(crate) prompt: Prompt,
}

/// What the caller hears before the agent.
#[derive(Clone, Debug)]
pub(crate) enum Whisper {
    /// 报工号: the agent's number and `agent.service`.
    AgentNumber,
    Prompt(Prompt),
}

#[derive(Clone, Debug)]
pub(crate) struct AfterAgent {
    pub(crate) call: FlowCall,
    pub(crate) when: Option<Expr>,
}

const OUTCOMES: [Outcome; 6] = [
    outcome("agent_done", Need::Main),
    outcome("timeout", Need::Covered),
    outcome("full", Need::Covered),
    outcome("no_agents", Need::Covered),
    outcome("closed", Need::Covered),
    outcome("error", Need::Covered),
];

impl Queue {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        it.exits(&OUTCOMES);
        it.not_with_agent();
        let groups = it.names("group", Thing::Group);
        let priority = it.priority("priority");
        let skills = it.templates("skills");
        let music = it.prompt("music").unwrap_or_else(|| it.system_prompt("moh.default", 2));
        let announce = Announce::read(it);
        let max_wait = it.fields.duration("max_wait").unwrap_or(Duration::from_mins(10));
        let keys = read_keys(it);
        let early_reject = read_early_reject(it);
        let ring_timeout = it.fields.duration("ring_timeout");
        let caller_whisper = if it.fields.peek_text("caller_whisper") == Some("agent.number") {
            it.fields.skip("caller_whisper");
            it.uses_agent_number();
            Some(Whisper::AgentNumber)
        } else {
            it.prompt("caller_whisper").map(Whisper::Prompt)
        };
        let whisper_to_both = it.fields.choice("whisper_to", &["caller", "both"]) == Some("both");
        let agent_whisper = it.prompt("agent_whisper").map(Whisper::Prompt);
        let after_agent = AfterAgent::read(it);
        if groups.is_empty() {
            return None;
        }
        Some(Self {
            groups,
            priority,
            skills,
            music,
            announce,
            max_wait,
            keys,
            early_reject,
            ring_timeout,
            caller_whisper,
            whisper_to_both,
            agent_whisper,
            after_agent,
        })
    }

    /// The queue of last resort.
    pub(crate) fn platform(group: &GroupId) -> Self {
        Self {
            groups: vec![Template::text(group.as_str())],
            priority: Template::text("5"),
            skills: Vec::new(),
            music: Prompt::one("moh.default"),
            announce: Some(Announce::usual()),
            max_wait: Duration::from_mins(10),
            keys: Vec::new(),
            early_reject: EarlyReject { closed: false, no_agents: false, full: true },
            ring_timeout: None,
            caller_whisper: Some(Whisper::AgentNumber),
            whisper_to_both: false,
            agent_whisper: None,
            after_agent: None,
        }
    }

    pub(super) fn enter(&self, session: &mut Session, env: &dyn Environment, now: Now) -> Turn {
        match self.resolve(session, env, now) {
            Ok(it) => session.begin_queue(self, it, env, now),
            Err(reason) => Turn::Fail(reason),
        }
    }

    fn resolve(
        &self,
        session: &Session,
        env: &dyn Environment,
        now: Now,
    ) -> Result<Enqueue, String> {
        let mut groups: Vec<GroupId> = Vec::new();
        for group in &self.groups {
            let group = GroupId::new(&session.text(group, env, now)?);
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        let priority = session.text(&self.priority, env, now)?;
        let priority = priority.parse::<u8>().ok().filter(|it| *it <= 9);
        let mut skills = Vec::new();
        for skill in &self.skills {
            skills.push(session.text(skill, env, now)?.into_owned());
        }
        Ok(Enqueue {
            groups,
            priority: priority.ok_or_else(|| "priority outside 0 to 9".to_owned())?,
            skills,
            ring_timeout: self.ring_timeout,
            early_reject: self.early_reject,
        })
    }
}

impl Announce {
    fn usual() -> Self {
        Self {
            first_after: Duration::from_secs(15),
            every: Duration::from_secs(45),
            position: true,
            ewt: true,
            ewt_round: Duration::from_secs(30),
            max_ewt: Duration::from_mins(10),
            prompt: Prompt::one("queue.wait"),
        }
    }

    fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        if it.fields.is_null("announce") {
            return None;
        }
        let mut usual = Self::usual();
        usual.prompt = it.system_prompt("queue.wait", 2);
        let Some(mut fields) = it.fields.map("announce") else {
            it.uses_position();
            return Some(usual);
        };
        let announce = Self {
            first_after: fields.duration("first_after").unwrap_or(usual.first_after),
            every: fields.duration("every").unwrap_or(usual.every),
            position: fields.bool("position").unwrap_or(usual.position),
            ewt: fields.bool("ewt").unwrap_or(usual.ewt),
            ewt_round: fields.duration("ewt_round").unwrap_or(usual.ewt_round),
            max_ewt: fields.duration("max_ewt").unwrap_or(usual.max_ewt),
            prompt: it.prompt_in(&mut fields, "prompt").unwrap_or(usual.prompt),
        };
        if announce.position {
            it.uses_position();
        }
        if !announce.every.is_zero() && announce.every < Duration::from_secs(5) {
            fields.wrong("every", "E04", "播报间隔至少 5s", "改长，或写 0s 只播一次");
        }
        fields.finish();
        Some(announce)
    }

    /// The announcement of this moment. `position` counts from 1; only the callers in front are
    /// announced.
    pub(crate) fn say(&self, session: &Session, env: &dyn Environment, now: Now) -> Vec<PromptId> {
        let known = &session.bundle().prompts;
        let ahead = env.queue_position().map_or(0, |it| it.saturating_sub(1));
        let mut prompts = Vec::new();
        let (prefix, suffix) =
            (PromptId::new("queue.position.prefix"), PromptId::new("queue.position.suffix"));
        if self.position && ahead > 0 && known.contains(&prefix) && known.contains(&suffix) {
            prompts.push(prefix);
            prompts.extend(speak::number(i64::try_from(ahead).unwrap_or(i64::MAX), known));
            prompts.push(suffix);
        }
        if let Some(minutes) = self.ewt_minutes(session, env) {
            let head = PromptId::new("queue.ewt.prefix");
            let tail = PromptId::new("queue.ewt.suffix");
            if known.contains(&head) && known.contains(&tail) {
                prompts.push(head);
                prompts.extend(speak::number(minutes, known));
                prompts.push(tail);
            }
        }
        prompts.retain(|it| known.contains(it));
        if prompts.is_empty() {
            prompts = session.prompts_known(&self.prompt, env, now);
        }
        prompts
    }

    /// Expected wait in whole minutes, rounded up.
    fn ewt_minutes(&self, session: &Session, env: &dyn Environment) -> Option<i64> {
        let group = session.queued_group().filter(|_| self.ewt)?;
        let ewt = env.queue_ewt(group)?.as_secs();
        let round = self.ewt_round.as_secs().max(1);
        let rounded = ewt.div_ceil(round) * round;
        let spoken = rounded > 0 && rounded <= self.max_ewt.as_secs();
        spoken.then(|| i64::try_from(rounded.div_ceil(60)).ok()).flatten()
    }
}

impl Whisper {
    pub(crate) fn say(
        &self,
        agent: &AgentNo,
        session: &Session,
        env: &dyn Environment,
        now: Now,
    ) -> Vec<PromptId> {
        match self {
            Self::AgentNumber => {
                let known = &session.bundle().prompts;
                let mut prompts = speak::digits(agent.as_str(), known);
                prompts.push(PromptId::new("agent.service"));
                prompts.retain(|it| known.contains(it));
                prompts
            }
            Self::Prompt(prompt) => session.prompts_known(prompt, env, now),
        }
    }
}

impl AfterAgent {
    fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        let mut fields = it.fields.map("after_agent")?;
        let call = FlowCall::read_in(it, &mut fields, FlowKind::AfterAgent);
        let when =
            fields.has("when").then(|| it.expr_in(&mut fields, "when", &Type::Bool)).flatten();
        fields.finish();
        Some(Self { call: call?, when })
    }
}

fn read_keys(it: &mut NodeReader<'_>) -> Vec<Key> {
    let mut keys = Vec::new();
    let Some(mut fields) = it.fields.map("keys") else { return keys };
    for name in fields.keys() {
        let key = fields.key_name(&name);
        let target = it.target_in(&mut fields, &name);
        if let Some(key) = key {
            it.exit(&format!("key.{key}"), target);
            keys.push(key);
        }
    }
    fields.finish();
    keys
}

fn read_early_reject(it: &mut NodeReader<'_>) -> EarlyReject {
    let Some(mut fields) = it.fields.map("early_reject") else {
        return EarlyReject { closed: true, no_agents: true, full: true };
    };
    let rules = EarlyReject {
        closed: fields.bool("closed").unwrap_or(true),
        no_agents: fields.bool("no_agents").unwrap_or(true),
        full: fields.bool("full").unwrap_or(true),
    };
    fields.finish();
    rules
}
