//! What operators are told at once, as lines of the log.

use hotline_switchboard::Alarm;
use hotline_trunk::watch::CarrierAlarm;

/// Trouble is an error, its end is news.
pub(crate) fn tell(alarm: &Alarm) {
    match alarm {
        Alarm::Gateway { trunk, address, lives: true } => {
            tracing::info!(trunk = trunk.as_str(), %address, "A gateway answers again.");
        }
        Alarm::Gateway { trunk, address, lives: false } => {
            tracing::error!(trunk = trunk.as_str(), %address, "A gateway does not answer.");
        }
        Alarm::Registration { trunk, account, registered: true, .. } => {
            tracing::info!(trunk = trunk.as_str(), account, "A trunk's account is registered.");
        }
        Alarm::Registration { trunk, account, registered: false, status } => {
            let trunk = trunk.as_str();
            tracing::error!(trunk, account, status, "A trunk's account is not registered.");
        }
        Alarm::Carrier(it) => {
            let CarrierAlarm { carrier, raised, n_attempts, n_failed } = it;
            if *raised {
                tracing::error!(carrier, n_attempts, n_failed, "Calls of one carrier fail.");
            } else {
                tracing::info!(carrier, n_attempts, n_failed, "A carrier's calls are well again.");
            }
        }
        Alarm::AbroadBlocked { agent } => {
            tracing::error!(agent = agent.as_str(), "Too many calls abroad; they are stopped.");
        }
        Alarm::Overload { per_sec } => {
            tracing::error!(per_sec, "More calls come than can be served; some are refused.");
        }
        Alarm::OverloadOver => tracing::info!("Nobody is refused for overload any more."),
        Alarm::Trunk { trunk, lives: true } => {
            tracing::info!(trunk = trunk.as_str(), "A trunk takes calls again.");
        }
        Alarm::Trunk { trunk, lives: false } => {
            tracing::error!(trunk = trunk.as_str(), "No gateway of a trunk answers.");
        }
    }
}
