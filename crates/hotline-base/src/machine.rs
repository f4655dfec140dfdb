//! The five verbs that every machine of the house has.

use crate::{MonoTime, Now};

/// When a machine wants to be woken, and why.
pub type Due = (MonoTime, &'static str);

/// A part that decides: it takes what happened and what time it is, and says what to do.
///
/// The contract, once for all: one `handle…`; drain [`poll_output`](Self::poll_output) until
/// `None`; read [`poll_timeout`](Self::poll_timeout); sleep until then or until an input.
pub trait Machine: Send + 'static {
    type Input: Send;
    type Output: Send;

    fn handle(&mut self, input: Self::Input, now: Now);
    fn handle_timeout(&mut self, now: Now);
    fn poll_timeout(&self) -> Option<Due>;
    fn poll_output(&mut self) -> Option<Self::Output>;
    fn is_done(&self) -> bool;
}

/// The earlier of two timers; the left one when they are equal.
pub fn earliest(a: Option<Due>, b: Option<Due>) -> Option<Due> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.0 < a.0 { b } else { a }),
        (a, b) => a.or(b),
    }
}
