//! An agent at a number outside (外线坐席) is asked for a key before anybody is connected to him: who
//! answers there may be his voice mail (语音信箱), which would take the caller.

use hotline_base::{
    Key, LegId, MonoTime, PlayId,
    media::{Order, Play},
};

use super::{Call, Environment, Now, OfferEnd, network::Network};

/// Silence between two rounds of the question.
const PAUSE_MS: u32 = 1_500;

/// Whether he who is rung outside has pressed the key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question {
    /// Nobody answered yet.
    ToAsk,
    Asked {
        until: MonoTime,
        play: PlayId,
    },
}

impl Call {
    /// This leg rings outside: whoever answers is asked first, if that is wanted.
    pub(super) fn will_ask(&mut self, leg: LegId) {
        if self.config.confirm_outside.is_some() {
            self.questions.insert(leg, Question::ToAsk);
        }
    }

    /// Whether a leg that has audio now is not to be connected yet. Asks when it has not.
    pub(super) fn is_asked_first(&mut self, leg: LegId, now: Now) -> bool {
        let Some(question) = self.questions.get(&leg) else { return false };
        if let (Question::ToAsk, Some(limit)) = (question, self.config.confirm_outside) {
            let play = self.next_play();
            self.questions.insert(leg, Question::Asked { until: now.mono + limit, play });
            self.ask(leg, play);
            // Whoever it is, he is heard by nobody yet.
            self.guest_network(leg, |it| *it = Network::default(), now);
        }
        true
    }

    fn ask(&mut self, leg: LegId, play: PlayId) {
        self.media(Order::Play(Play {
            leg,
            play,
            prompts: vec![self.config.confirm_prompt.clone()],
            times: 0,
            gap_ms: PAUSE_MS,
            stop_on_key: false,
            grace_ms: 0,
            limit_ms: 0,
        }));
    }

    /// A key of a leg, by whatever way. Says whether it was for the question; the right one answers
    /// it.
    pub(super) fn answers_question(
        &mut self,
        leg: LegId,
        key: Key,
        env: &dyn Environment,
        now: Now,
    ) -> bool {
        let Some(Question::Asked { play, .. }) = self.questions.get(&leg).copied() else {
            return false;
        };
        if key == Key::ONE {
            self.questions.remove(&leg);
            self.media(Order::Stop { leg, play });
            self.settled(leg, env, now);
        }
        true
    }

    pub(super) fn question_until(&self) -> Option<MonoTime> {
        let asked = self.questions.values().filter_map(|it| match it {
            Question::ToAsk => None,
            Question::Asked { until, .. } => Some(*until),
        });
        asked.min()
    }

    /// Whoever answered and pressed nothing is as if nobody had answered.
    pub(super) fn questions_timeout(&mut self, env: &dyn Environment, now: Now) {
        let is_due = |it: &Question| match it {
            Question::ToAsk => false,
            Question::Asked { until, .. } => *until <= now.mono,
        };
        let due: Vec<_> = self.questions.iter().filter(|it| is_due(it.1)).map(|it| *it.0).collect();
        for leg in due {
            self.questions.remove(&leg);
            if self.is_guest(leg) {
                self.guest_lost(leg, OfferEnd::NoAnswer, env, now);
            } else if self.agent.as_ref().is_some_and(|it| it.offering.leg == leg) {
                self.end_offer(OfferEnd::NoAnswer, env, now);
            }
        }
    }

    /// For a media process that does not know of it.
    pub(super) fn ask_again(&mut self) {
        for (leg, question) in self.questions.clone() {
            if let Question::Asked { play, .. } = question {
                self.ask(leg, play);
            }
        }
    }
}
