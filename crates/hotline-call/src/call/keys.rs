//! 二次拨号: keys that an agent sends to who is outside, such as the extension that a department's
//! exchange asks for.

use hotline_base::{AgentNo, Key, LegId};

use super::{AgentState, Call, LegOrder, Phase};

impl Call {
    /// 二次拨号 by command of an agent in the talk: to everybody outside who hears him. Says whether
    /// somebody does.
    pub fn send_keys(&mut self, agent: &AgentNo, keys: &[Key]) -> bool {
        let own = self.legs_of(agent);
        let hears =
            |it: &&hotline_base::media::Hears| it.speakers.iter().any(|it| own.contains(it));
        let listeners = self.audio.heard.iter().filter(hears).map(|it| it.listener);
        let outside: Vec<_> = listeners.filter(|it| self.is_outside(*it)).collect();
        for leg in &outside {
            self.leg(*leg, LegOrder::SendKeys { keys: keys.to_vec() });
        }
        self.phase == Phase::Live && !outside.is_empty()
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
