//! Questions that are answered by keys (4.1–4.3).

use std::time::Duration;

use hotline_base::{Due, Key, MonoTime, Now, media::PlayEnd};

use super::{
    PlayOrder, Session, Turn, Wait,
    play::{GUARD, PROMPT_MAX},
};
use crate::{
    Environment, KeyFate, Step,
    node::{Ask, Judgement, Prompt},
};

/// One visit of a node that asks.
pub(super) struct InputWait {
    /// The prompt that runs.
    pub(super) play: Option<u64>,
    phase: Phase,
    barge_in: bool,
    grace_until: MonoTime,
    digits: String,
    /// From 1.
    attempt: u32,
    n_repeats: u32,
    choices: Vec<String>,
}

#[derive(Clone, Copy)]
enum Phase {
    /// The prompt runs; its end should be reported by `guard`.
    Prompt { guard: MonoTime },
    /// No digit yet.
    First { until: MonoTime },
    /// Another digit may come.
    Digit { until: MonoTime },
}

/// Which prompts introduce an attempt.
#[derive(Clone, Copy)]
enum Intro {
    Full,
    AfterInvalid,
    AfterNoinput,
}

const REPEATS_MAX: u32 = 5;

impl InputWait {
    pub(super) fn due(&self, typed: bool) -> Due {
        match self.phase {
            Phase::Prompt { .. } if typed && self.barge_in => (self.grace_until, "grace"),
            Phase::Prompt { guard } => (guard, "play guard"),
            Phase::First { until } => (until, "first_timeout"),
            Phase::Digit { until } => (until, "inter_digit"),
        }
    }
}

impl Session {
    pub(crate) fn begin_input(&mut self, ask: &dyn Ask, env: &dyn Environment, now: Now) -> Turn {
        let choices = match ask.choices(self, env, now) {
            Ok(choices) => choices,
            Err(reason) => return Turn::Fail(reason),
        };
        let input = ask.asking().input;
        if input.flush {
            self.flush_typed();
        }
        self.wait = Wait::Input(Box::new(InputWait {
            play: None,
            phase: Phase::First { until: now.mono },
            barge_in: input.barge_in,
            grace_until: now.mono,
            digits: String::new(),
            attempt: 1,
            n_repeats: 0,
            choices,
        }));
        self.put_question(ask, Intro::Full, env, now)
    }

    fn input(&mut self) -> Option<&mut InputWait> {
        match &mut self.wait {
            Wait::Input(it) => Some(it),
            Wait::Ready
            | Wait::Start
            | Wait::Answer { .. }
            | Wait::Delay { .. }
            | Wait::Pause { .. }
            | Wait::Play(_)
            | Wait::Goodbye { .. }
            | Wait::Queue(_)
            | Wait::Talk
            | Wait::Done => None,
        }
    }

    /// Runs `act` with the question of the node the call is in.
    fn with_ask(&mut self, act: impl FnOnce(&mut Self, &dyn Ask) -> Turn) -> Turn {
        let Some((flow, at)) = self.here() else { return Turn::fail("no flow") };
        match flow.node(at).and_then(|it| it.kind.as_ask()) {
            Some(ask) => act(self, ask),
            None => Turn::fail("no question"),
        }
    }

    fn put_question(
        &mut self,
        ask: &dyn Ask,
        intro: Intro,
        env: &dyn Environment,
        now: Now,
    ) -> Turn {
        let asking = ask.asking();
        // Keys typed ahead: a full answer leaves no room for the prompt.
        let turn = self.drain_typed(ask, env, now);
        if turn != Turn::Wait {
            return turn;
        }
        let begun = self.input().is_some_and(|it| !it.digits.is_empty());
        if begun && asking.input.barge_in {
            return Turn::Wait;
        }
        let list: &[&Prompt] = match intro {
            Intro::Full => &[&asking.prompt],
            Intro::AfterInvalid => &[&asking.invalid_prompt, &asking.prompt_short],
            Intro::AfterNoinput => &[&asking.noinput_prompt, &asking.prompt_short],
        };
        let mut prompts = Vec::new();
        for prompt in list {
            match self.prompts(prompt, env, now) {
                Ok(ids) => prompts.extend(ids),
                Err(reason) => return Turn::Fail(reason),
            }
        }
        if prompts.is_empty() {
            self.listen(ask, now);
            return Turn::Wait;
        }
        let (barge_in, grace) = (asking.input.barge_in, asking.input.grace);
        let gap = Duration::ZERO;
        let order = PlayOrder { prompts, times: 1, gap, barge_in, limit: PROMPT_MAX };
        let play = self.order_play(order, grace);
        if let Some(it) = self.input() {
            it.play = Some(play);
            it.phase = Phase::Prompt { guard: now.mono + PROMPT_MAX + GUARD };
            it.grace_until = now.mono + grace;
        }
        Turn::Wait
    }

    /// The prompt is over: `first_timeout` begins, or `inter_digit` when digits are there.
    fn listen(&mut self, ask: &dyn Ask, now: Now) {
        let rules = ask.asking().input;
        let Some(it) = self.input() else { return };
        it.play = None;
        it.phase = if it.digits.is_empty() {
            Phase::First { until: now.mono + rules.first_timeout }
        } else {
            Phase::Digit { until: now.mono + rules.inter_digit }
        };
    }

    fn drain_typed(&mut self, ask: &dyn Ask, env: &dyn Environment, now: Now) -> Turn {
        while let Some(key) = self.typed.pop_front() {
            let turn = self.feed(ask, key, env, now);
            if turn != Turn::Wait {
                return turn;
            }
        }
        Turn::Wait
    }

    pub(super) fn input_key(&mut self, key: Key, env: &dyn Environment, now: Now) -> Turn {
        self.with_ask(|this, ask| {
            let flush = ask.asking().input.flush;
            let Some(it) = this.input() else { return Turn::Wait };
            let prompting = matches!(it.phase, Phase::Prompt { .. });
            let held = prompting && (!it.barge_in || now.mono < it.grace_until);
            if held && flush {
                this.key_fact(KeyFate::Dropped);
                return Turn::Wait;
            }
            if held {
                this.keep_key(key);
                return Turn::Wait;
            }
            this.stop_prompt(ask, now);
            if this.typed.is_empty() {
                return this.feed(ask, key, env, now);
            }
            this.keep_key(key);
            this.drain_typed(ask, env, now)
        })
    }

    /// A key interrupts the prompt; without a digit kept, `first_timeout` begins here.
    fn stop_prompt(&mut self, ask: &dyn Ask, now: Now) {
        let Some(it) = self.input() else { return };
        if let Some(play) = it.play.take() {
            self.steps.push_back(Step::StopPlay { play });
            self.listen(ask, now);
        }
    }

    /// One digit.
    fn feed(&mut self, ask: &dyn Ask, key: Key, env: &dyn Environment, now: Now) -> Turn {
        let inter_digit = ask.asking().input.inter_digit;
        if ask.term() == Some(key) {
            self.key_fact(KeyFate::Taken);
            return self.settle(ask, env, now);
        }
        if !ask.admits(key) {
            self.key_fact(KeyFate::Dropped);
            return Turn::Wait;
        }
        self.key_fact(KeyFate::Taken);
        let Some(it) = self.input() else { return Turn::Wait };
        it.digits.push(key.as_char());
        it.phase = Phase::Digit { until: now.mono + inter_digit };
        let judgement = ask.judge(&it.digits, &it.choices);
        if judgement == Judgement::Take && it.choices.is_empty() {
            self.expect_term(ask, now);
        }
        self.judged(ask, judgement, env, now)
    }

    /// After a full value a terminator may still come; it belongs to the value.
    fn expect_term(&mut self, ask: &dyn Ask, now: Now) {
        let Some(term) = ask.term() else { return };
        if self.typed.front() == Some(&term) {
            self.typed.pop_front();
        } else if self.typed.is_empty() {
            self.swallow = Some((term, now.mono + ask.asking().input.inter_digit));
        }
    }

    fn settle(&mut self, ask: &dyn Ask, env: &dyn Environment, now: Now) -> Turn {
        let Some(it) = self.input() else { return Turn::Wait };
        let judgement = ask.settle(&it.digits, &it.choices);
        self.judged(ask, judgement, env, now)
    }

    fn judged(
        &mut self,
        ask: &dyn Ask,
        judgement: Judgement,
        env: &dyn Environment,
        now: Now,
    ) -> Turn {
        let Some(it) = self.input() else { return Turn::Wait };
        match judgement {
            Judgement::More => Turn::Wait,
            Judgement::Take => {
                let digits = std::mem::take(&mut it.digits);
                let turn = ask.take(&digits, self, env, now);
                if turn == Turn::Wrong {
                    self.failed(ask, Intro::AfterInvalid, env, now)
                } else {
                    turn
                }
            }
            Judgement::Wrong => self.failed(ask, Intro::AfterInvalid, env, now),
            Judgement::Repeat => self.repeat(ask, env, now),
            Judgement::Back => match self.menu_before() {
                Some(menu) => Turn::Jump(menu),
                None => self.repeat(ask, env, now),
            },
        }
    }

    fn repeat(&mut self, ask: &dyn Ask, env: &dyn Environment, now: Now) -> Turn {
        let Some(it) = self.input() else { return Turn::Wait };
        if it.n_repeats >= REPEATS_MAX {
            return self.failed(ask, Intro::AfterInvalid, env, now);
        }
        it.n_repeats += 1;
        it.digits.clear();
        self.put_question(ask, Intro::Full, env, now)
    }

    /// One attempt is over without an answer.
    fn failed(&mut self, ask: &dyn Ask, intro: Intro, env: &dyn Environment, now: Now) -> Turn {
        let (outcome, invalid) = match intro {
            Intro::AfterNoinput => ("noinput", false),
            Intro::AfterInvalid | Intro::Full => ("nomatch", true),
        };
        if invalid {
            self.flush_typed();
        }
        let Some(it) = self.input() else { return Turn::Wait };
        it.digits.clear();
        if it.attempt >= ask.asking().max_attempts {
            return Turn::leave(outcome);
        }
        it.attempt += 1;
        self.put_question(ask, intro, env, now)
    }

    /// A complete answer was refused outside a question: nothing to repeat.
    pub(super) fn wrong_answer(&mut self, env: &dyn Environment, now: Now) -> Turn {
        self.with_ask(|this, ask| this.failed(ask, Intro::AfterInvalid, env, now))
    }

    pub(super) fn prompt_over(&mut self, end: PlayEnd, env: &dyn Environment, now: Now) -> Turn {
        self.with_ask(|this, ask| match end {
            PlayEnd::Missing => Turn::fail("prompt is missing"),
            // The key itself is reported next.
            PlayEnd::Key(_) => {
                this.listen(ask, now);
                Turn::Wait
            }
            PlayEnd::Finished | PlayEnd::Stopped => {
                this.listen(ask, now);
                this.drain_typed(ask, env, now)
            }
        })
    }

    pub(super) fn input_timeout(&mut self, env: &dyn Environment, now: Now) -> Turn {
        self.with_ask(|this, ask| {
            let Some(it) = this.input() else { return Turn::Wait };
            match it.phase {
                Phase::Prompt { .. } => {
                    this.stop_prompt(ask, now);
                    this.drain_typed(ask, env, now)
                }
                Phase::First { .. } => this.failed(ask, Intro::AfterNoinput, env, now),
                Phase::Digit { .. } => this.settle(ask, env, now),
            }
        })
    }
}
