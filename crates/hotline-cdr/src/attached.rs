//! 随路数据: what flows have said of a call so far, for its record and for the agent's screen.

use std::sync::Arc;

use hotline_base::Pii;

use crate::{CallFact, Stamped};

/// Name, label and last value of each variable that a flow exported, and of each value that a flow
/// gave back to an agent, which is named after its flow: `gx12345.identify.known`.
pub fn exported(facts: &[Arc<Stamped>]) -> Vec<(String, String, Pii<String>)> {
    let mut all: Vec<(String, String, Pii<String>)> = Vec::new();
    let mut note = |name: String, label: String, value: Pii<String>| {
        all.retain(|it| it.0 != name);
        all.push((name, label, value));
    };
    for it in facts {
        if let CallFact::Exported { name, label, value } = &it.fact {
            note(name.clone(), label.clone(), value.clone());
        } else if let CallFact::Returned(result) = &it.fact {
            for (name, value) in &result.values {
                note(format!("{}.{name}", result.flow), name.clone(), value.clone());
            }
        }
    }
    all
}

/// The tags that flows have put on the call and not taken away.
pub fn tags(facts: &[Arc<Stamped>]) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for it in facts {
        if let CallFact::Tagged { tag } = &it.fact {
            if !tags.contains(tag) {
                tags.push(tag.clone());
            }
        } else if let CallFact::Untagged { tag } = &it.fact {
            tags.retain(|it| it != tag);
        }
    }
    tags
}
