//! Who sits where: found from either side, so that no shift is too large to sign in one by one.

use std::collections::BTreeMap;

use hotline_agent::Agent;
use hotline_base::{AgentNo, Extension};

/// Who is signed in with which extension.
#[derive(Debug, Default)]
pub(super) struct Desks {
    agents: BTreeMap<Extension, AgentNo>,
    extensions: BTreeMap<AgentNo, Extension>,
    /// Whose extension it is by configuration; of several the first by 工号.
    usual: BTreeMap<Extension, AgentNo>,
}

impl Desks {
    pub(super) fn new<'a>(agents: impl Iterator<Item = &'a Agent>) -> Self {
        let mut it = Self::default();
        for agent in agents {
            let extension = agent.config().extension.clone();
            it.usual.entry(extension).or_insert_with(|| agent.no().clone());
        }
        it
    }

    /// Who is signed in there.
    pub(super) fn at(&self, extension: &Extension) -> Option<&AgentNo> {
        self.agents.get(extension)
    }

    /// Who is signed in there; else whose it is.
    pub(super) fn whose(&self, extension: &str) -> Option<&AgentNo> {
        self.agents.get(extension).or_else(|| self.usual.get(extension))
    }

    /// The agent sits there now, and nowhere else. `None`: nowhere.
    pub(super) fn seat(&mut self, no: &AgentNo, extension: Option<&Extension>) {
        let before = self.extensions.get(no);
        if before == extension && before.is_none_or(|it| self.agents.get(it) == Some(no)) {
            return;
        }
        if let Some(before) = before.filter(|it| self.agents.get(*it) == Some(no)) {
            self.agents.remove(before);
        }
        match extension {
            Some(it) => {
                self.agents.insert(it.clone(), no.clone());
                self.extensions.insert(no.clone(), it.clone());
            }
            None => {
                self.extensions.remove(no);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Extension, &AgentNo)> {
        self.agents.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_sits_at_one_desk_and_a_desk_is_its_last_agents() {
        let (a, b) = (AgentNo::new("1001"), AgentNo::new("1002"));
        let (x, y) = (Extension::new("8001"), Extension::new("8002"));
        let mut it = Desks::default();
        it.seat(&a, Some(&x));
        it.seat(&a, Some(&y));
        assert_eq!((it.at(&x), it.at(&y)), (None, Some(&a)));
        it.seat(&b, Some(&y));
        it.seat(&a, None);
        assert_eq!((it.at(&x), it.at(&y)), (None, Some(&b)));
        it.seat(&b, None);
        assert_eq!(it.iter().count(), 0);
    }
}
