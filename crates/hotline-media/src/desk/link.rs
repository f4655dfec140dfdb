//! The link to control: frames of a length and a value, in both directions, never waiting.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, Read, Write},
    iter,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
};

use hotline_base::media::{Event, Order};

/// Events that wait for control to read: some seconds of those of a thousand calls a second.
const EVENTS_MAX: usize = 32_768;

/// Bytes of the longest order: a mix of many legs, a session description.
const FRAME_MAX: usize = 1 << 20;

const LENGTH: usize = 4;

const FRAMES_AT_ONCE: usize = 64;

/// Why a link is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("control closed the link")]
    Closed,
    #[error("control sent a frame that is too long")]
    TooLong,
    #[error("control sent an order that cannot be read")]
    BadOrder,
    #[error("control does not read its events")]
    NotRead,
    #[error("control speaks version {0} of the orders")]
    Version(u16),
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[derive(Debug)]
pub(super) struct Link {
    stream: UnixStream,
    /// Control has said hello.
    pub(super) greeted: bool,
    input: Vec<u8>,
    /// Frames with the events they carry, the oldest first; `sent` bytes of it are gone.
    output: VecDeque<(Vec<u8>, Event)>,
    sent: usize,
    /// How many of them may wait.
    most: usize,
}

impl Link {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let (input, output) = (Vec::new(), VecDeque::new());
        Ok(Self { stream, greeted: false, input, output, sent: 0, most: EVENTS_MAX })
    }

    /// So many events waited for this link, and come on top of what control leaves unread: a link
    /// that they break would be made anew for ever.
    pub(super) const fn owes(&mut self, events: usize) {
        self.most = EVENTS_MAX.saturating_add(events);
    }

    pub(super) fn wants_to_write(&self) -> bool {
        !self.output.is_empty()
    }

    /// Reads what is there.
    pub(super) fn read(&mut self) -> Result<(), Broken> {
        let mut buffer = [0; 16_384];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Broken::Closed),
                Ok(n) => {
                    self.input.extend_from_slice(buffer.get(..n).unwrap_or_default());
                    // That was all; what comes now wakes the desk again.
                    if n < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
            if self.input.len() > 4 * FRAME_MAX {
                // The rest stays in the kernel until these are done.
                return Ok(());
            }
        }
    }

    /// The next whole order.
    pub(super) fn next_order(&mut self) -> Result<Option<Order>, Broken> {
        let Some((length, rest)) = self.input.split_first_chunk::<LENGTH>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > FRAME_MAX {
            return Err(Broken::TooLong);
        }
        let Some(frame) = rest.get(..length) else { return Ok(None) };
        let order = borsh::from_slice(frame).map_err(|_| Broken::BadOrder)?;
        self.input.drain(..LENGTH + length);
        Ok(Some(order))
    }

    /// Queues an event; gives it back with the reason when that is not possible.
    pub(super) fn say(&mut self, event: Event) -> Result<(), (Broken, Event)> {
        if self.output.len() >= self.most {
            return Err((Broken::NotRead, event));
        }
        match framed(&event) {
            Ok(frame) => self.output.push_back((frame, event)),
            Err(broken) => return Err((broken, event)),
        }
        Ok(())
    }

    /// Writes what the socket takes, many frames at once.
    pub(super) fn write(&mut self) -> Result<(), Broken> {
        while let Some((first, _)) = self.output.front() {
            let first = IoSlice::new(first.get(self.sent..).unwrap_or_default());
            let others = self.output.iter().skip(1).map(|it| IoSlice::new(&it.0));
            let frames: Vec<_> = iter::once(first).chain(others).take(FRAMES_AT_ONCE).collect();
            match self.stream.write_vectored(&frames) {
                Ok(n) => self.forget_sent(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn forget_sent(&mut self, n: usize) {
        self.sent += n;
        while let Some((frame, _)) = self.output.pop_front_if(|it| it.0.len() <= self.sent) {
            self.sent -= frame.len();
        }
    }

    /// Events that control did not read whole.
    pub(super) fn into_unsaid(self) -> impl Iterator<Item = Event> {
        self.output.into_iter().map(|it| it.1)
    }
}

/// An event behind its length.
fn framed(event: &Event) -> Result<Vec<u8>, Broken> {
    let mut frame = vec![0; LENGTH];
    borsh::to_writer(&mut frame, event)?;
    let length = u32::try_from(frame.len() - LENGTH).map_err(|_| Broken::TooLong)?;
    if let Some(place) = frame.first_chunk_mut() {
        *place = length.to_be_bytes();
    }
    Ok(frame)
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use hotline_base::LegId;

    use super::*;

    #[test]
    fn what_waited_for_a_link_does_not_break_it_and_what_is_not_read_does() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut link = Link::new(ours).unwrap();
        link.owes(1_000);
        let mut say = || link.say(Event::OwesSound { leg: LegId(1), owes: true });
        for _ in 0..EVENTS_MAX + 1_000 {
            say().unwrap();
        }
        assert!(matches!(say(), Err((Broken::NotRead, _))));
    }
}
