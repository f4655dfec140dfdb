//! 二次拨号: keys that an agent sends to who is outside, such as the extension that a department's
//! exchange asks for. By command, or by the keys of his telephone: media passes on those that come
//! as events or as sound, and those that come by INFO alone pass through here.

use hotline_base::{AgentNo, Key, KeyWay, LegId, Now, media::Hears};

use super::{AgentState, Call, LegOrder, Phase};

impl Call {
    /// 二次拨号 by command of an agent in the talk: to everybody outside who hears him. Says whether
    /// somebody does.
    pub fn send_keys(&mut self, agent: &AgentNo, keys: &[Key]) -> bool {
        let outside = self.outside_hearing(&self.legs_of(agent));
        for leg in &outside {
            self.leg(*leg, LegOrder::SendKeys { keys: keys.to_vec() });
        }
        self.phase == Phase::Live && !outside.is_empty()
    }

    /// A key of a telephone other than the caller's. One that came by INFO `alone` goes to
    /// everybody outside who hears that telephone; the same press by two ways is one.
    pub(super) fn pressed_inside(
        &mut self,
        leg: LegId,
        key: Key,
        way: KeyWay,
        alone: bool,
        now: Now,
    ) {
        let told = self.keys_inside.entry(leg).or_default().handle(key, way, now.mono);
        if told.is_none() || !alone || self.phase != Phase::Live || self.is_outside(leg) {
            return;
        }
        for listener in self.outside_hearing(&[leg]) {
            self.leg(listener, LegOrder::SendKeys { keys: vec![key] });
        }
    }

    /// Who is outside and hears one of these.
    fn outside_hearing(&self, speakers: &[LegId]) -> Vec<LegId> {
        let hears = |it: &&Hears| it.speakers.iter().any(|it| speakers.contains(it));
        let listeners = self.audio.heard.iter().filter(hears).map(|it| it.listener);
        listeners.filter(|it| self.is_outside(*it)).collect()
    }

    /// An agent's legs whose voice is in the talk.
    fn legs_of(&self, agent: &AgentNo) -> Vec<LegId> {
        let main = self
            .agent
            .as_ref()
            .filter(|it| it.offering.agent == *agent && it.state == AgentState::Talking);
        let aside = main.and_then(|it| it.aside.as_ref()).map(|it| it.leg);
        let guests = self.guests.iter().filter(|it| it.talks() && it.is_agent(agent));
        let main = main.map(|it| it.offering.leg);
        main.into_iter().chain(aside).chain(guests.map(|it| it.leg)).collect()
    }

    /// The party outside, or somebody outside who was called in.
    fn is_outside(&self, leg: LegId) -> bool {
        leg == self.caller.leg || self.guests.iter().any(|it| it.leg == leg && it.is_outside())
    }
}
