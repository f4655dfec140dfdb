//! What calls said in this turn and nobody has acted on yet.

use std::{collections::VecDeque, mem};

use hotline_base::CallId;
use hotline_call::{Call, Output};

/// Calls say everything into one queue, in which nothing is moved about.
#[derive(Debug, Default)]
pub(super) struct FromCalls {
    outputs: VecDeque<Output>,
    /// Whose these are: a call, and how many of them.
    turns: VecDeque<(CallId, usize)>,
    /// How many there were before the step that runs.
    n_before: usize,
}

impl FromCalls {
    /// Before a step of the call.
    pub(super) fn listen(&mut self, call: &mut Call) {
        self.n_before = self.outputs.len();
        call.say_into(mem::take(&mut self.outputs));
    }

    /// After the step.
    pub(super) fn heard(&mut self, id: CallId, call: &mut Call) {
        self.outputs = call.take_outputs();
        let n = self.outputs.len().saturating_sub(self.n_before);
        if n > 0 {
            self.turns.push_back((id, n));
        }
    }

    /// After a step that panicked: what it said does not count.
    pub(super) fn hush(&mut self, call: &mut Call) {
        self.outputs = call.take_outputs();
        self.outputs.truncate(self.n_before);
    }

    /// The oldest.
    pub(super) fn pop(&mut self) -> Option<(CallId, Output)> {
        let (id, n) = self.turns.front_mut()?;
        let id = *id;
        *n = n.saturating_sub(1);
        if *n == 0 {
            self.turns.pop_front();
        }
        Some((id, self.outputs.pop_front()?))
    }

    /// The call is gone.
    pub(super) fn forget(&mut self, id: CallId) {
        let mut all = mem::take(self);
        while let Some((it, output)) = all.pop() {
            if it != id {
                self.turns.push_back((it, 1));
                self.outputs.push_back(output);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, iter, sync::Arc};

    use hotline_base::Now;
    use hotline_call::{Config, SavedCall};

    use super::*;

    /// A call that says one thing: that control was restarted.
    fn restored(call: CallId) -> Call {
        let (guests, recordings, facts) = (Vec::new(), Vec::new(), Cow::Owned(Vec::new()));
        let saved = SavedCall { call, caller: None, talk: None, guests, recordings, facts };
        Call::restore(saved, Arc::new(Config::default()), Now::default())
    }

    #[test]
    fn what_a_call_said_counts_unless_its_step_panicked_or_it_is_gone() {
        let mut it = FromCalls::default();
        for id in [1, 2, 1].map(CallId) {
            let mut call = restored(id);
            it.listen(&mut call);
            it.heard(id, &mut call);
        }
        let mut panicked = restored(CallId(3));
        it.listen(&mut panicked);
        it.hush(&mut panicked);
        assert_eq!(it.outputs.len(), 3);
        it.forget(CallId(1));
        let left: Vec<_> = iter::from_fn(|| it.pop()).map(|it| it.0).collect();
        assert_eq!(left, [CallId(2)]);
        assert!(it.outputs.is_empty());
    }
}
