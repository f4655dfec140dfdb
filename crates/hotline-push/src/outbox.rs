//! Where deliveries wait. The store fills it and keeps it.

use std::{collections::BTreeSet, future::Future};

use hotline_base::WallTime;
use tokio::sync::watch;

/// One event for one target.
#[derive(Clone, Eq, PartialEq)]
pub struct Delivery {
    /// Unique per target; the idempotency key.
    pub id: String,
    /// Deliveries with the same key are sent one after the other, oldest first.
    pub order_key: String,
    /// `call.finished`, `agent.state`, `recording.started`, `.sealed`, `.failed`.
    pub kind: String,
    /// JSON.
    pub body: String,
    pub created: WallTime,
    /// Attempts before this one.
    pub n_attempts: u32,
}

/// The body holds personal data.
impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Delivery({}, {}, after {})", self.id, self.kind, self.n_attempts)
    }
}

/// What became of an attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    Done,
    /// Again at this time; `why` is for people, without personal data.
    Retry {
        at: WallTime,
        why: String,
    },
    /// Given up: a dead letter, until somebody sends it again.
    Dead {
        why: String,
    },
}

/// The outbox cannot be reached now; try again.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the outbox cannot be reached")]
pub struct OutboxError;

/// The deliveries of all targets.
pub trait Outbox: Send + Sync + 'static {
    /// At most `n_max` deliveries that are due, each the oldest of its order key, none with an
    /// order key in `busy`; the one that has been due longest first.
    fn due(
        &self,
        target: &str,
        now: WallTime,
        n_max: usize,
        busy: &BTreeSet<String>,
    ) -> impl Future<Output = Result<Vec<Delivery>, OutboxError>> + Send;

    /// When the next delivery is due whose order key is not in `busy`; may be in the past.
    fn next_due(
        &self,
        target: &str,
        busy: &BTreeSet<String>,
    ) -> impl Future<Output = Result<Option<WallTime>, OutboxError>> + Send;

    /// Writes verdicts down, all or none. A retry counts one attempt more.
    fn settle(
        &self,
        target: &str,
        verdicts: &[(Delivery, Verdict)],
    ) -> impl Future<Output = Result<(), OutboxError>> + Send;

    /// The target is well again: whatever waits for a later time is due now.
    fn hurry(
        &self,
        target: &str,
        now: WallTime,
    ) -> impl Future<Output = Result<(), OutboxError>> + Send;

    /// Changes when something was added.
    fn watch(&self) -> watch::Receiver<u64>;
}
