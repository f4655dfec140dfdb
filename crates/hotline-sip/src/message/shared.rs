//! The bytes of a message: written over as long as nobody else has them, shared from then on.

use std::{ops::Deref, sync::Arc};

#[derive(Debug, Default)]
pub(super) struct Shared {
    buffer: Arc<[u8]>,
    /// So much of the buffer is the message; the rest is of an earlier, longer one.
    len: usize,
}

impl Shared {
    /// Allocates only where there is no room, or somebody else has the bytes that are here.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        let room = Arc::get_mut(&mut self.buffer).and_then(|it| it.get_mut(..bytes.len()));
        match room {
            Some(it) => it.copy_from_slice(bytes),
            None => self.buffer = bytes.into(),
        }
        self.len = bytes.len();
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    pub(super) fn edit(&mut self) -> &mut [u8] {
        Arc::make_mut(&mut self.buffer).get_mut(..self.len).unwrap_or_default()
    }

    /// The message and nothing else: a copy only where the buffer is longer.
    pub(super) fn whole(&self) -> Arc<[u8]> {
        if self.len == self.buffer.len() { Arc::clone(&self.buffer) } else { (**self).into() }
    }
}

impl Deref for Shared {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

/// Of the message alone.
impl Clone for Shared {
    fn clone(&self) -> Self {
        Self { buffer: self.whole(), len: self.len }
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Shared {}
