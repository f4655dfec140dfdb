//! Prompts that nobody must answer.

use std::time::Duration;

use hotline_base::{Due, Key, MonoTime, Now, PromptId, media::PlayEnd};

use super::{Session, Turn, Wait};
use crate::{Environment, KeyFate, Step, node::NodeKind};

/// What to play and how.
pub(crate) struct PlayOrder {
    pub(crate) prompts: Vec<PromptId>,
    /// 0 is for ever.
    pub(crate) times: u32,
    pub(crate) gap: Duration,
    pub(crate) barge_in: bool,
    /// Zero is no limit.
    pub(crate) limit: Duration,
}

/// A `play` node that plays.
pub(super) struct PlayWait {
    pub(super) play: u64,
    barge_in: bool,
    grace_until: MonoTime,
    /// The end of the prompt should have come by then.
    guard: MonoTime,
    /// The prompt ended by a key whose own event follows.
    interrupted: Option<MonoTime>,
}

/// Keys do not stop a prompt in its first part (4.1).
const GRACE: Duration = Duration::from_millis(250);
/// Longest prompt of a question.
pub(super) const PROMPT_MAX: Duration = Duration::from_mins(2);
/// How much later than its limit the end of a prompt may be reported.
pub(super) const GUARD: Duration = Duration::from_secs(5);
/// The key that ended a prompt is reported right after the end.
const KEY_FOLLOWS: Duration = Duration::from_millis(200);

impl PlayWait {
    pub(super) fn due(&self, typed: bool) -> Due {
        if let Some(until) = self.interrupted {
            return (until, "key after prompt");
        }
        if typed && self.barge_in {
            return (self.grace_until, "grace");
        }
        (self.guard, "play guard")
    }
}

impl Session {
    /// Orders a play and gives its number.
    pub(super) fn order_play(&mut self, order: PlayOrder, grace: Duration) -> u64 {
        let ms = |it: Duration| u32::try_from(it.as_millis()).unwrap_or(u32::MAX);
        self.n_plays += 1;
        self.steps.push_back(Step::Play {
            play: self.n_plays,
            prompts: order.prompts,
            times: order.times,
            gap_ms: ms(order.gap),
            stop_on_key: order.barge_in,
            grace_ms: ms(grace),
            limit_ms: ms(order.limit),
        });
        self.n_plays
    }

    pub(crate) fn begin_play(&mut self, order: PlayOrder, now: Now) -> Turn {
        let barge_in = order.barge_in;
        let guard = now.mono + order.limit + GUARD;
        let play = self.order_play(order, GRACE);
        let grace_until = now.mono + GRACE;
        self.wait = Wait::Play(PlayWait { play, barge_in, grace_until, guard, interrupted: None });
        Turn::Wait
    }

    pub(super) fn play_key(&mut self, key: Key, now: Now) -> Turn {
        let flush = self.here().is_some_and(|(flow, at)| {
            matches!(flow.node(at).map(|it| &it.kind), Some(NodeKind::Play(it)) if it.flush)
        });
        if flush {
            self.key_fact(KeyFate::Dropped);
        } else {
            self.keep_key(key);
        }
        let Wait::Play(it) = &self.wait else { return Turn::Wait };
        if it.interrupted.is_some() {
            return Turn::leave("interrupted");
        }
        if !it.barge_in || now.mono < it.grace_until {
            return Turn::Wait;
        }
        self.steps.push_back(Step::StopPlay { play: it.play });
        Turn::leave("interrupted")
    }

    pub(super) fn play_timeout(&mut self, now: Now) -> Turn {
        let Wait::Play(it) = &self.wait else { return Turn::Wait };
        if it.interrupted.is_some() {
            return Turn::leave("interrupted");
        }
        self.steps.push_back(Step::StopPlay { play: it.play });
        // The grace is over and a key waits, or nobody reported the end.
        let over = now.mono >= it.guard;
        Turn::leave(if over { "done" } else { "interrupted" })
    }

    pub(super) fn on_play_done(
        &mut self,
        play: u64,
        played_ms: u32,
        end: PlayEnd,
        env: &dyn Environment,
        now: Now,
    ) -> Turn {
        match &mut self.wait {
            Wait::Play(it) if it.play == play => match end {
                PlayEnd::Finished | PlayEnd::Stopped => Turn::leave("done"),
                PlayEnd::Key(_) => {
                    it.interrupted = Some(now.mono + KEY_FOLLOWS);
                    Turn::Wait
                }
                PlayEnd::Missing => self.after_missing(),
            },
            Wait::Goodbye { play: it, .. } if *it == play => self.after_goodbye(env, now),
            Wait::Input(it) if it.play == Some(play) => self.prompt_over(end, env, now),
            Wait::Queue(_) => self.queue_play_done(play, played_ms, end, env, now),
            Wait::Ready
            | Wait::Start
            | Wait::Answer { .. }
            | Wait::Delay { .. }
            | Wait::Pause { .. }
            | Wait::Play(_)
            | Wait::Goodbye { .. }
            | Wait::Input(_)
            | Wait::Talk
            | Wait::Done => Turn::Wait,
        }
    }

    fn after_missing(&self) -> Turn {
        let skip = self.here().is_some_and(|(flow, at)| {
            matches!(flow.node(at).map(|it| &it.kind), Some(NodeKind::Play(it)) if it.skip_missing)
        });
        if skip { Turn::leave("done") } else { Turn::fail("prompt is missing") }
    }
}
