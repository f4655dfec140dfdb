//! Calls as stories: a flow, what the caller and the others do, and what comes of it.

mod ends;
mod errors;
mod input;
mod people;
mod visit;

use std::{fmt::Write as _, sync::Arc, time::Duration};

use hotline_base::{AgentNo, FlowId, GroupId, Key, MonoTime, Now, Pii, PromptId, media::PlayEnd};

use super::Session;
use crate::{
    Bundle, EndReason, EndedBy, Entry, Environment, Event, FlowFact, QueueRefusal, Step,
    civil::Civil, sample,
};

/// What happens to a call.
#[derive(Clone, Copy, Debug)]
enum Do {
    /// Media stops the prompt and reports the key.
    Press(char),
    /// A key by SIP INFO: media knows nothing of it.
    Info(char),
    /// The agent answers.
    Agent(&'static str),
    Lost,
    /// The agent's leg ends after so many milliseconds of talk.
    Done(u64),
    HangUp,
    /// The prompt that plays does not exist.
    Missing,
    /// The agent sends the caller to this flow, if he may.
    Suspend(&'static str),
    Recall,
    /// What the agent hears is over.
    Said,
}
use Do::{Agent, Done, HangUp, Info, Lost, Missing, Press, Recall, Said, Suspend};

struct Desk {
    refusal: Option<QueueRefusal>,
    signed_in: usize,
    ahead: usize,
    ewt: Option<Duration>,
}

impl Environment for Desk {
    fn queue_waiting(&self, _: &GroupId) -> usize {
        self.ahead
    }
    fn queue_position(&self) -> Option<usize> {
        Some(self.ahead + 1)
    }
    fn agents_ready(&self, _: &GroupId) -> usize {
        0
    }
    fn agents_signed_in(&self, _: &GroupId) -> usize {
        self.signed_in
    }
    fn group_known(&self, group: &GroupId) -> bool {
        group.as_str() != "nowhere"
    }
    fn caller_city(&self) -> String {
        "450100".to_owned()
    }
    fn caller_repeat(&self, _: u32) -> u32 {
        0
    }
    fn queue_ewt(&self, _: &GroupId) -> Option<Duration> {
        self.ewt
    }
}

struct Playing {
    play: u64,
    began: MonoTime,
    ends: Option<MonoTime>,
    stop_on_key: bool,
    grace: Duration,
}

/// One call with all that surrounds it.
struct Story {
    session: Session,
    desk: Desk,
    now: Now,
    play: Option<Playing>,
    to_agent: Option<u64>,
    log: String,
}

impl Story {
    fn new(bundle: &Arc<Bundle>, flow: &str) -> Self {
        let wall = Civil::parse("2026-03-10T10:30").unwrap().to_wall();
        let entry = Entry {
            flow: FlowId::new(flow),
            row_params: bundle.number("12345").map(|it| it.params.clone()).unwrap_or_default(),
            call_id: "7".to_owned(),
            from: Pii::new("13800138000".to_owned()),
            to: "12345".to_owned(),
            dnis: "12345".to_owned(),
            trunk: "t".to_owned(),
            started_at: wall,
            recording_id: "R7".to_owned(),
        };
        let mut session = Session::new(Arc::clone(bundle), entry);
        session.begin_trace();
        Self {
            session,
            desk: Desk { refusal: None, signed_in: 1, ahead: 0, ewt: None },
            now: Now { mono: MonoTime(0), wall },
            play: None,
            to_agent: None,
            log: String::new(),
        }
    }

    fn note(&mut self, text: &str) {
        let ms = self.now.mono.0 / 1_000_000;
        writeln!(self.log, "{}.{:02} {text}", ms / 1_000, ms % 1_000 / 10).unwrap();
    }

    fn tell(&mut self, event: Event) {
        self.session.handle(event, &self.desk, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(step) = self.session.poll_step() {
            match step {
                Step::Answer => {
                    self.note("answer");
                    self.tell(Event::Answered);
                }
                Step::Play { play, prompts, times, stop_on_key, grace_ms, .. } => {
                    let ids: Vec<&str> = prompts.iter().map(PromptId::as_str).collect();
                    let music = if times == 0 { " for ever" } else { "" };
                    self.note(&format!("play {}{music}", ids.join(" ")));
                    let ms: u32 = ids.iter().map(|it| sample::prompt_ms(it)).sum();
                    let length = Duration::from_millis(u64::from(ms * times));
                    self.play = Some(Playing {
                        play,
                        began: self.now.mono,
                        ends: (times > 0).then(|| self.now.mono + length),
                        stop_on_key,
                        grace: Duration::from_millis(u64::from(grace_ms)),
                    });
                }
                Step::StopPlay { play } => {
                    if self.play.take_if(|it| it.play == play).is_some() {
                        self.note("stop");
                    }
                }
                Step::PlayToAgent { play, prompts, .. } => {
                    let ids: Vec<&str> = prompts.iter().map(PromptId::as_str).collect();
                    self.note(&format!("agent hears {}", ids.join(" ")));
                    self.to_agent = Some(play);
                }
                Step::Enqueue(order) => {
                    let groups: Vec<&str> = order.groups.iter().map(GroupId::as_str).collect();
                    self.note(&format!("enqueue {} {}", groups.join(","), order.priority));
                    let position = self.desk.ahead + 1;
                    let answer = self
                        .desk
                        .refusal
                        .map_or(Event::Enqueued { position }, Event::EnqueueRefused);
                    self.tell(answer);
                }
                Step::LeaveQueue { .. } => self.note("leave queue"),
                Step::Connect => {
                    self.play = None;
                    self.note("connect");
                    self.tell(Event::Bridged);
                }
                Step::HangUp { reason, cause, .. } => {
                    self.play = None;
                    self.note(&format!("hang up {reason} {cause}"));
                }
                Step::Mask { on } => self.note(if on { "secret" } else { "secret no more" }),
                Step::Record { flow, action } => {
                    self.note(&format!("record {} by {flow}", action.as_str()));
                }
                Step::Returned { how, values } => {
                    let value = |it: &(String, Pii<String>)| format!(" {}={}", it.0, it.1.reveal());
                    let values: String = values.iter().map(value).collect();
                    self.note(&format!("returned {}{values}", how.as_str()));
                }
                Step::Fact(fact) => self.fact(&fact),
            }
        }
    }

    fn fact(&mut self, fact: &FlowFact) {
        let text = match fact {
            FlowFact::Error { node, reason, hop, .. } => {
                format!("error at {node}: {reason} -> {hop:?}")
            }
            FlowFact::Rated { agent, key, value, satisfied, .. } => {
                format!("rated {agent} {key} {value} {satisfied}")
            }
            FlowFact::SurveyOffered { agent, .. } => format!("survey offered for {agent}"),
            FlowFact::Exported { name, value, .. } => {
                format!("exported {name} {}", value.reveal())
            }
            FlowFact::LeftFlow { flow, reason } => format!("left {flow} {}", reason.as_str()),
            FlowFact::Tagged(tag) => format!("tag {tag}"),
            FlowFact::Listed { list, entry, action } => format!("listed {list} {entry} {action}"),
            FlowFact::Logged { text, .. } => format!("log {text}"),
            FlowFact::Noted { topic, data } => {
                let shown: Vec<&str> = data.iter().map(|it| it.1.reveal().as_str()).collect();
                format!("event {topic} {}", shown.join(" "))
            }
            FlowFact::Key { fate, .. } if *fate != crate::KeyFate::Taken => format!("key {fate:?}"),
            FlowFact::Key { .. }
            | FlowFact::Node { .. }
            | FlowFact::PersonRequested
            | FlowFact::QueueRefused { .. }
            | FlowFact::Untagged(_) => return,
        };
        self.note(&text);
    }

    /// Lets time pass up to `until`.
    fn pass(&mut self, until: MonoTime) {
        loop {
            let ends = self.play.as_ref().and_then(|it| it.ends);
            let timer = self.session.poll_timeout().map(|it| it.0);
            let due = [ends, timer].into_iter().flatten().min().filter(|it| *it <= until);
            let at = due.unwrap_or(until).max(self.now.mono);
            self.now = self.now + at.since(self.now.mono);
            let Some(due) = due else { return };
            if let Some(it) = self.play.take_if(|it| it.ends == Some(due)) {
                self.play_done(&it, PlayEnd::Finished);
            } else {
                self.session.handle_timeout(&self.desk, self.now);
                self.drain();
            }
        }
    }

    fn play_done(&mut self, it: &Playing, end: PlayEnd) {
        let ms = self.now.mono.since(it.began).as_millis();
        self.tell(Event::PlayDone { play: it.play, played_ms: u32::try_from(ms).unwrap(), end });
    }

    fn act(&mut self, act: Do) {
        let key = |it: char| Key::try_from(it).unwrap();
        match act {
            Press(it) => {
                let age = self.now.mono;
                let stop = |it: &mut Playing| it.stop_on_key && age.since(it.began) >= it.grace;
                if let Some(playing) = self.play.take_if(stop) {
                    self.note("key stops");
                    self.play_done(&playing, PlayEnd::Key(key(it)));
                }
                self.tell(Event::Key(key(it)));
            }
            Info(it) => self.tell(Event::Key(key(it))),
            Agent(no) => {
                let group = GroupId::new("general");
                self.tell(Event::AgentAnswered { agent: AgentNo::new(no), group });
            }
            Lost => self.tell(Event::AgentLost),
            Done(talk_ms) => {
                let (agent, group) = (AgentNo::new("1001"), GroupId::new("general"));
                let ended_by = EndedBy::Agent;
                self.tell(Event::AgentDone { agent, group, talk_ms, ended_by });
            }
            HangUp => {
                self.play = None;
                self.tell(Event::HungUp { reason: EndReason::CallerHangup });
            }
            Suspend(flow) => {
                let flow = FlowId::new(flow);
                if !self.session.may_visit(&flow) {
                    self.note("may not");
                }
                let (agent, group) = (AgentNo::new("1001"), GroupId::new("general"));
                self.tell(Event::Suspended { flow, agent, group, talk_ms: 1_000 });
            }
            Recall => self.tell(Event::Recalled),
            Said => {
                if let Some(play) = self.to_agent.take() {
                    let end = PlayEnd::Finished;
                    self.tell(Event::PlayDone { play, played_ms: 1_000, end });
                }
            }
            Missing => {
                if let Some(it) = self.play.take() {
                    self.play_done(&it, PlayEnd::Missing);
                }
            }
        }
    }
}

/// Tells the story of a call to the first flow: `script` are moments in milliseconds and what
/// happens then, `until` is the end.
fn tell(flows: &[&str], change: impl FnOnce(&mut Desk), script: &[(u64, Do)], until: u64) -> Story {
    let bundle = sample::bundle(flows);
    let mut story = Story::new(&bundle, "main");
    change(&mut story.desk);
    story.tell(Event::Start);
    for (ms, act) in script {
        story.pass(MonoTime(ms * 1_000_000));
        story.act(*act);
    }
    story.pass(MonoTime(until * 1_000_000));
    story
}

#[track_caller]
fn check_with(
    flows: &[&str],
    change: impl FnOnce(&mut Desk),
    script: &[(u64, Do)],
    until: u64,
    want: &str,
) {
    let story = tell(flows, change, script, until);
    let want: Vec<&str> = want.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
    let is: Vec<&str> = story.log.lines().collect();
    assert_eq!(is, want, "\n{}", story.log);
}

#[track_caller]
fn check(flows: &[&str], script: &[(u64, Do)], until: u64, want: &str) {
    check_with(flows, |_| (), script, until, want);
}
