//! Huge pages, when there is something to put into them.
//!
//! The heaps of control ask for them (`supervisor/role.rs`), and a busy one takes less time with
//! them: what is known of thousands of calls lies in far fewer pages than the processor can
//! remember. An idle one would keep megabytes for nothing.

use rustix::thread::disable_transparent_huge_pages;

/// Calls at the same time from which on the heaps grow by huge pages, for good.
pub(crate) const BUSY: usize = 32;

/// To this process until [`allow`], and to those that it starts meanwhile.
pub(crate) fn forbid() {
    set(true);
}

pub(crate) fn allow() {
    set(false);
}

fn set(forbidden: bool) {
    if let Err(error) = disable_transparent_huge_pages(forbidden) {
        tracing::debug!(%error, forbidden, "Huge pages stay as they are.");
    }
}
