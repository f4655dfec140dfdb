//! What a node plays: fixed prompts, prompts chosen by an expression, spoken numbers.

use hotline_base::PromptId;

use crate::{
    expr::{Expr, Template},
    speak::Spoken,
};

/// A gapless list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prompt {
    pub(crate) parts: Vec<PromptPart>,
}

#[derive(Clone, Debug)]
pub(crate) enum PromptPart {
    Fixed(PromptId),
    /// Gives an id, or nothing.
    Computed(Template),
    Insert(Insert),
}

/// A value of `args`, placed by `{name}` in the list.
#[derive(Clone, Debug)]
pub(crate) struct Insert {
    pub(crate) how: Spoken,
    pub(crate) value: Expr,
}

impl Prompt {
    pub(crate) fn fixed_ids(&self) -> impl Iterator<Item = &PromptId> {
        self.parts.iter().filter_map(|it| match it {
            PromptPart::Fixed(id) => Some(id),
            PromptPart::Computed(_) | PromptPart::Insert(_) => None,
        })
    }
}
