//! Control's end of the socket to media: orders out, events in.
//!
//! Links come and go with media processes. An order belongs to the link that was up when it was
//! given; after that it is void, because the process that comes next knows nothing of its leg.

use std::{io, os::unix::net::UnixStream as StdUnixStream, sync::Arc, time::Duration};

use hotline_base::media::{Event, Order, VERSION};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Notify, mpsc},
    time::{Instant, sleep_until},
};

/// Bytes of one frame; nothing that is meant comes near.
const FRAME_MAX: u32 = 1 << 20;

/// A media process that has died is started again, and brings its own link, within this.
const ASK_AFTER: Duration = Duration::from_millis(500);

/// Between two questions for a link, at most. One that lasts so long is well: the next is asked for
/// as soon as the first was.
const ASK_AFTER_MAX: Duration = Duration::from_secs(5);

/// Orders written together.
const BATCH_MAX: usize = 64;

/// What the link tells control.
#[derive(Debug)]
pub(crate) enum LinkInput {
    /// Orders with this number reach the process that is connected now.
    Up {
        epoch: u64,
    },
    Event(Event),
    Down,
}

/// An order and the link it was given to.
#[derive(Debug)]
pub(crate) struct Ordered {
    pub(crate) epoch: u64,
    pub(crate) order: Order,
}

/// Serves one end after the other until control or the supervisor is gone. The ends do not block.
/// `missing` is told while there is none though one could be: media lets go of a link that is not
/// read, and lives on.
pub(crate) async fn run(
    mut ends: mpsc::Receiver<StdUnixStream>,
    mut orders: mpsc::Receiver<Ordered>,
    to_control: mpsc::Sender<LinkInput>,
    missing: Arc<Notify>,
) {
    let mut epoch = 0;
    let mut next = None;
    let mut pause = ASK_AFTER;
    loop {
        let end = if let Some(end) = next.take() {
            end
        } else if let Some(end) = first_end(&mut ends, &mut orders, &missing, &mut pause).await {
            end
        } else {
            return;
        };
        let end = match UnixStream::from_std(end) {
            Ok(it) => it,
            Err(error) => {
                tracing::error!(%error, "The link to media cannot be used.");
                continue;
            }
        };
        epoch += 1;
        if to_control.send(LinkInput::Up { epoch }).await.is_err() {
            return;
        }
        let (began, (reader, writer)) = (Instant::now(), end.into_split());
        tokio::select! {
            () = write(writer, epoch, &mut orders) => (),
            outcome = read(reader, &to_control) => if let Err(error) = outcome {
                tracing::error!(%error, "The link to media is broken.");
            },
            end = ends.recv() => next = end,
        }
        if began.elapsed() >= ASK_AFTER_MAX {
            pause = ASK_AFTER;
        }
        if to_control.send(LinkInput::Down).await.is_err() {
            return;
        }
    }
}

/// While nobody is there to carry out orders, they are void; control has been told.
async fn first_end(
    ends: &mut mpsc::Receiver<StdUnixStream>,
    orders: &mut mpsc::Receiver<Ordered>,
    missing: &Notify,
    pause: &mut Duration,
) -> Option<StdUnixStream> {
    let mut ask_at = Instant::now() + *pause;
    loop {
        tokio::select! {
            end = ends.recv() => return end,
            order = orders.recv() => drop(order?),
            () = sleep_until(ask_at) => {
                missing.notify_one();
                *pause = (2 * *pause).min(ASK_AFTER_MAX);
                ask_at = Instant::now() + *pause;
            }
        }
    }
}

/// Ends when media is gone or control is.
async fn write(mut end: OwnedWriteHalf, epoch: u64, orders: &mut mpsc::Receiver<Ordered>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut bytes = Vec::new();
    loop {
        if orders.recv_many(&mut batch, BATCH_MAX).await == 0 {
            return;
        }
        bytes.clear();
        for it in batch.drain(..).filter(|it| it.epoch == epoch) {
            if push_frame(&mut bytes, &it.order).is_err() {
                tracing::error!("An order cannot be written down.");
            }
        }
        if end.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Behind what is there; after an error nothing is.
fn push_frame(bytes: &mut Vec<u8>, order: &Order) -> io::Result<()> {
    const LENGTH: usize = size_of::<u32>();
    let begin = bytes.len();
    bytes.extend_from_slice(&[0; LENGTH]);
    let written = borsh::to_writer(&mut *bytes, order).and_then(|()| {
        let length = bytes.len().saturating_sub(begin + LENGTH);
        let length = u32::try_from(length).map_err(io::Error::other)?;
        let place = bytes.get_mut(begin..begin + LENGTH).into_iter().flatten();
        place.zip(length.to_be_bytes()).for_each(|(to, from)| *to = from);
        Ok(())
    });
    if written.is_err() {
        bytes.truncate(begin);
    }
    written
}

/// `Ok`: media is gone, or control.
async fn read(end: OwnedReadHalf, to_control: &mpsc::Sender<LinkInput>) -> io::Result<()> {
    let mut end = BufReader::new(end);
    let mut frame = Vec::new();
    loop {
        let Ok(length) = end.read_u32().await else { return Ok(()) };
        if length > FRAME_MAX {
            return Err(io::Error::other("a frame is too long"));
        }
        frame.resize(usize::try_from(length).unwrap_or(0), 0);
        if end.read_exact(&mut frame).await.is_err() {
            return Ok(());
        }
        let event: Event = borsh::from_slice(&frame)?;
        if let Event::Inventory { version, .. } = event
            && version != VERSION
        {
            return Err(io::Error::other("media speaks another version of the orders"));
        }
        if to_control.send(LinkInput::Event(event)).await.is_err() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
