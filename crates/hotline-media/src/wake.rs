//! Wakes a thread that waits in epoll or poll.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use rustix::event::{EventfdFlags, eventfd};

/// An event descriptor. Clones wake the same thread.
#[derive(Clone, Debug)]
pub(crate) struct Wake(Arc<OwnedFd>);

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?)))
    }

    pub(crate) fn wake(&self) {
        // The only refusal is a full counter, and then the sleeper is woken already.
        let _full = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    /// Forgets wakes so far; call before looking for what they announced.
    pub(crate) fn clear(&self) {
        let _empty = rustix::io::read(&*self.0, &mut [0; 8]);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
