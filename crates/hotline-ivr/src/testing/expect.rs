//! Plays a case and compares.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hotline_base::{FlowId, GroupId, Key, MonoTime, Pii, PromptId};

use super::{
    Coverage,
    case::{AgentMock, Case, Expect, Step, WantedRating, When},
    drive::{Driver, Seen},
};
use crate::{Bundle, FlowFact};

/// How long a step may wait for what it expects.
const PATIENCE: Duration = Duration::from_mins(20);
/// From hearing to pressing.
const REACTION: Duration = Duration::from_millis(500);

struct Run<'a> {
    driver: Driver<'a>,
    /// What was seen before is not looked at again.
    cursor: usize,
    /// Start of the prompt heard last.
    heard_at: MonoTime,
    /// Plays that should have been interrupted.
    should_stop: Vec<(String, u64)>,
    failures: Vec<String>,
}

/// Failures of the case, and what it went through.
pub(super) fn run(
    bundle: &Arc<Bundle>,
    case: &Case,
    durations: &BTreeMap<PromptId, u32>,
) -> (Vec<String>, Coverage) {
    let Some(driver) = Driver::new(bundle, case, durations) else {
        let failure = format!("号码 {} 不在号码表中", case.number);
        return (vec![failure], Coverage::default());
    };
    let mut run = Run {
        driver,
        cursor: 0,
        heard_at: MonoTime(0),
        should_stop: Vec::new(),
        failures: Vec::new(),
    };
    for (at, step) in &case.steps {
        if let Err(failure) = run.step(step) {
            run.failures.push(format!("第 {} 行：{failure}", at.line));
            break;
        }
    }
    if run.failures.is_empty() {
        run.compare(&case.expect);
    }
    let coverage = run.coverage();
    (run.failures, coverage)
}

impl Run<'_> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Heard { prompt, interrupted } => self.heard(prompt, *interrupted),
            Step::Press { keys, when, gap } => self.press(keys, when, *gap),
            Step::Silence(time) => {
                self.wait(*time);
                Ok(())
            }
            Step::Queued { group, priority } => self.queued(group.as_deref(), *priority),
            Step::Agent { id, talk } => self.agent(id, *talk),
            Step::HangUp { after } => {
                self.wait(*after);
                if self.driver.session.is_done() {
                    return Err(format!("主叫要挂机时通话已结束：{}", self.tail()));
                }
                self.driver.hang_up();
                Ok(())
            }
            Step::Clock(wall) => {
                self.driver.set_clock(*wall);
                Ok(())
            }
            Step::Ended { by, reason } => self.ended(by.as_deref(), reason.as_deref()),
            Step::Suspend { flow } => self.suspend(flow),
            Step::Recall => {
                self.driver.recall();
                Ok(())
            }
            Step::Returned { how, values } => self.returned(how.as_deref(), values),
        }
    }

    /// As soon as the agent talks to the caller.
    fn suspend(&mut self, flow: &FlowId) -> Result<(), String> {
        let until = self.driver.now.mono + PATIENCE;
        while !self.driver.suspend(flow) {
            if self.driver.session.is_done() || !self.driver.step(until) {
                return Err(format!("不能挂起转到 {flow}：没有在通话，或没有这个 mid_call 流程"));
            }
        }
        Ok(())
    }

    fn returned(
        &mut self,
        how: Option<&str>,
        values: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        let found = self.find(|it| matches!(it, Seen::Returned { .. }));
        let Some(Seen::Returned { how: was_how, values: was }) = found else {
            return Err(format!("来电人没有回到坐席；{}", self.tail()));
        };
        if how.is_some_and(|it| it != was_how) {
            return Err(format!("应为 {}，实际为 {was_how}", how.unwrap_or_default()));
        }
        for (name, value) in values {
            if was.get(name) != Some(&Pii::new(value.clone())) {
                return Err(format!("返回值 {name} 应为 {value}，实际没有或不同"));
            }
        }
        Ok(())
    }

    fn wait(&mut self, time: Duration) {
        let until = self.driver.now.mono + time;
        while self.driver.step(until) {}
    }

    /// The next thing seen that `fits`, letting time pass.
    fn find(&mut self, fits: impl Fn(&Seen) -> bool) -> Option<Seen> {
        let until = self.driver.now.mono + PATIENCE;
        loop {
            let rest = self.driver.seen.get(self.cursor..).unwrap_or_default();
            if let Some(idx) = rest.iter().position(&fits) {
                let found = rest.get(idx).cloned();
                self.cursor += idx + 1;
                return found;
            }
            if self.driver.session.is_done() || !self.driver.step(until) {
                return None;
            }
        }
    }

    fn heard(&mut self, prompt: &str, interrupted: bool) -> Result<(), String> {
        let found =
            self.find(|it| matches!(it, Seen::Heard { prompt: it, .. } if it.as_str() == prompt));
        match found {
            Some(Seen::Heard { play, at, .. }) => {
                self.heard_at = at;
                if interrupted {
                    self.should_stop.push((prompt.to_owned(), play));
                }
                Ok(())
            }
            Some(_) | None => Err(format!("没有听到 {prompt}；{}", self.tail())),
        }
    }

    fn press(&mut self, keys: &[Key], when: &When, gap: Duration) -> Result<(), String> {
        let at = match when {
            When::Soon => self.driver.now.mono + REACTION,
            When::At(at) => self.heard_at + *at,
            When::During(prompt) => {
                if self.driver.playing(prompt).is_none() {
                    self.heard(prompt, false)?;
                }
                self.driver.playing(prompt).unwrap_or(self.driver.now.mono) + REACTION
            }
        };
        self.wait(at.since(self.driver.now.mono));
        for (idx, key) in keys.iter().enumerate() {
            if idx > 0 {
                self.wait(gap);
            }
            if self.driver.session.is_done() {
                return Err(format!("按键时通话已结束：{}", self.tail()));
            }
            self.driver.press(*key);
        }
        Ok(())
    }

    fn queued(&mut self, group: Option<&str>, priority: Option<i64>) -> Result<(), String> {
        let found = self.find(|it| matches!(it, Seen::Queued { .. }));
        let Some(Seen::Queued { groups, priority: given }) = found else {
            return Err(format!("没有进入排队；{}", self.tail()));
        };
        let names: Vec<&str> = groups.iter().map(GroupId::as_str).collect();
        if group.is_some_and(|it| !names.contains(&it)) {
            return Err(format!(
                "应排入 {}，实际排入 {}",
                group.unwrap_or_default(),
                names.join("、")
            ));
        }
        match priority {
            Some(want) if want != i64::from(given) => {
                Err(format!("优先级应为 {want}，实际为 {given}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn agent(&mut self, id: &str, talk: Option<Duration>) -> Result<(), String> {
        // Without a mocked agent the step itself brings one.
        let until = self.driver.now.mono + PATIENCE;
        loop {
            let rest = self.driver.seen.get(self.cursor..).unwrap_or_default();
            if let Some(idx) = rest.iter().position(|it| matches!(it, Seen::Answered { .. })) {
                let found = rest.get(idx).cloned();
                self.cursor += idx + 1;
                return match found {
                    Some(Seen::Answered { agent }) if agent != id => {
                        Err(format!("应由 {id} 接听，实际由 {agent} 接听"))
                    }
                    Some(_) | None => Ok(()),
                };
            }
            if let Some(group) = self.driver.waits_in.clone()
                && (self.driver.answer_due.is_none() || talk.is_some())
            {
                let usual = AgentMock::default();
                let talk = talk.unwrap_or(usual.talk);
                self.driver.agent_answers(group, AgentMock { id: id.to_owned(), talk, ..usual });
            } else if self.driver.session.is_done() || !self.driver.step(until) {
                return Err(format!("没有话务员接听；{}", self.tail()));
            }
        }
    }

    fn ended(&mut self, by: Option<&str>, reason: Option<&str>) -> Result<(), String> {
        let found = self.find(|it| matches!(it, Seen::Ended { .. }));
        let Some(Seen::Ended { by: was_by, reason: was }) = found else {
            return Err(format!("通话没有结束；{}", self.tail()));
        };
        if by.is_some_and(|it| it != was_by) {
            return Err(format!("应由 {} 结束，实际由 {was_by} 结束", by.unwrap_or_default()));
        }
        if reason.is_some_and(|it| it != was) {
            return Err(format!("结束原因应为 {}，实际为 {was}", reason.unwrap_or_default()));
        }
        Ok(())
    }

    /// The last things seen, for a person who looks for the reason.
    fn tail(&self) -> String {
        let from = self.driver.seen.len().saturating_sub(5);
        let shown: Vec<String> = self
            .driver
            .seen
            .get(from..)
            .unwrap_or_default()
            .iter()
            .map(|it| match it {
                Seen::Heard { prompt, .. } => format!("听到 {prompt}"),
                Seen::Queued { groups, .. } => {
                    let names: Vec<&str> = groups.iter().map(GroupId::as_str).collect();
                    format!("排入 {}", names.join("、"))
                }
                Seen::Answered { agent } => format!("{agent} 接听"),
                Seen::Returned { how, .. } => format!("回到坐席（{how}）"),
                Seen::Ended { by, reason } => format!("{by} 结束（{reason}）"),
            })
            .collect();
        let node = self.driver.session.trace().last().cloned().unwrap_or_default();
        format!("最近：{}；当前节点 {node}", shown.join(" → "))
    }

    fn compare(&mut self, expect: &Expect) {
        for (prompt, play) in &self.should_stop {
            if !self.driver.interrupted.contains(play) {
                self.failures.push(format!("{prompt} 没有被按键打断"));
            }
        }
        self.compare_rating(expect);
        for (name, want) in &expect.vars {
            let short = name.strip_prefix("session.").unwrap_or(name);
            let is = self.driver.session.session_var(short).map(crate::Value::to_text);
            if is.as_deref() != Some(want) {
                let is = is.unwrap_or_else(|| "（无此变量）".to_owned());
                self.failures.push(format!("{name} 应为“{want}”，实际为“{is}”"));
            }
        }
        self.compare_path(&expect.path);
        self.compare_recording(&expect.recording);
        if let Some(want) = &expect.end_reason {
            let is = self.driver.end_reason().map_or("（未结束）", crate::EndReason::as_str);
            if is != want {
                self.failures.push(format!("结束原因应为 {want}，实际为 {is}"));
            }
        }
        for want in &expect.events {
            let there =
                |it: &FlowFact| matches!(it, FlowFact::Noted { topic, .. } if topic == want);
            if !self.driver.facts.iter().any(there) {
                self.failures.push(format!("没有事件 {want}"));
            }
        }
        for want in &expect.tags {
            let there = |it: &FlowFact| matches!(it, FlowFact::Tagged(tag) if tag == want);
            if !self.driver.facts.iter().any(there) {
                self.failures.push(format!("没有标签 {want}"));
            }
        }
    }

    fn compare_recording(&mut self, want: &[String]) {
        let is = &self.driver.recording;
        if !want.is_empty() && want != is.as_slice() {
            let text = format!("录音应为 {}，实际为 {}", want.join("、"), is.join("、"));
            self.failures.push(text);
        }
    }

    fn compare_rating(&mut self, expect: &Expect) {
        let is = self.driver.facts.iter().find_map(|it| {
            if let FlowFact::Rated { value, satisfied, agent, .. } = it {
                Some((*value, *satisfied, agent))
            } else {
                None
            }
        });
        match (&expect.rating, is) {
            (WantedRating::Whatever, _) | (WantedRating::Nothing, None) => (),
            (WantedRating::Nothing, Some((value, ..))) => {
                self.failures.push(format!("不应有评价，实际为 {value}"));
            }
            (WantedRating::This(_), None) => self.failures.push("没有评价".to_owned()),
            (WantedRating::This(want), Some((value, satisfied, agent))) => {
                let same = want.value.is_none_or(|it| it == value)
                    && want.satisfied.is_none_or(|it| it == satisfied)
                    && want.agent.as_deref().is_none_or(|it| it == agent.as_str());
                if !same {
                    let text = format!("评价不符：实际 {value}、满意 {satisfied}、话务员 {agent}");
                    self.failures.push(text);
                }
            }
        }
    }

    /// The path given is the beginning of the path gone; names without a flow are of the first.
    fn compare_path(&mut self, want: &[String]) {
        let trace = self.driver.session.trace();
        let first = trace.first().and_then(|it| it.split_once('/')).map_or("", |it| it.0);
        for (idx, want) in want.iter().enumerate() {
            let full = if want.contains('/') { want.clone() } else { format!("{first}/{want}") };
            let is = trace.get(idx).map_or("（无）", String::as_str);
            if is != full {
                let text = format!("路径第 {} 步应为 {full}，实际为 {is}", idx + 1);
                self.failures.push(text);
                return;
            }
        }
    }

    fn coverage(&self) -> Coverage {
        let mut coverage = Coverage::default();
        coverage.nodes.extend(self.driver.session.trace().iter().cloned());
        for fact in &self.driver.facts {
            if let FlowFact::Node { flow, node, outcome, .. } = fact {
                coverage.edges.insert(format!("{flow}/{node}:{outcome}"));
            }
        }
        coverage
    }
}
