//! What operators are told at once, as lines of the log.

use hotline_switchboard::Alarm;

/// Trouble is an error, its end is news.
pub(crate) fn tell(alarm: &Alarm) {
    match alarm {
        Alarm::Gateway { trunk, address, lives: true } => {
            tracing::info!(trunk = trunk.as_str(), %address, "A gateway answers again.");
        }
        Alarm::Gateway { trunk, address, lives: false } => {
            tracing::error!(trunk = trunk.as_str(), %address, "A gateway does not answer.");
        }
        Alarm::Trunk { trunk, lives: true } => {
            tracing::info!(trunk = trunk.as_str(), "A trunk takes calls again.");
        }
        Alarm::Trunk { trunk, lives: false } => {
            tracing::error!(trunk = trunk.as_str(), "No gateway of a trunk answers.");
        }
    }
}
