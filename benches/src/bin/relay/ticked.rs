//! The second yardstick: the forwarder of [`raw`](crate::raw), on a tick of 5 ms. A relay that waits
//! to gather packets is compared with it, too, or the waiting would be sold as quality. Frozen.

use std::{
    io::{IoSlice, IoSliceMut, Write},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg};

use crate::{cpu, outlet::widen};

const BATCH: usize = 64;

const DATAGRAM: usize = 2_048;

const TICK: Duration = Duration::from_millis(5);

pub(crate) fn serve(to: SocketAddr) -> Result<()> {
    cpu::pin(1);
    cpu::real_time();
    let input = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    widen(&input)?;
    let output = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    output.connect(to)?;
    println!("{}", input.local_addr()?);
    std::io::stdout().flush()?;
    let mut arena = vec![0; BATCH * DATAGRAM];
    let mut headers = MultiHeaders::<()>::preallocate(BATCH, None);
    let mut out_headers = MultiHeaders::<()>::preallocate(BATCH, None);
    let mut lengths = [0; BATCH];
    let mut due = Instant::now();
    loop {
        due += TICK;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut n = BATCH;
        while n == BATCH {
            let mut chunks = arena.chunks_exact_mut(DATAGRAM);
            let mut places: [_; BATCH] =
                std::array::from_fn(|_| [IoSliceMut::new(chunks.next().unwrap_or_default())]);
            let flags = MsgFlags::MSG_DONTWAIT;
            n = 0;
            // Nothing is there.
            let Ok(received) = recvmmsg(input.as_raw_fd(), &mut headers, &mut places, flags, None)
            else {
                break;
            };
            for (length, message) in lengths.iter_mut().zip(received) {
                *length = message.bytes;
                n += 1;
            }
            let mut chunks = arena.chunks_exact(DATAGRAM).zip(lengths);
            let messages: [_; BATCH] = std::array::from_fn(|_| {
                let datagram = chunks.next().and_then(|(it, length)| it.get(..length));
                [IoSlice::new(datagram.unwrap_or_default())]
            });
            let messages = messages.iter().take(n);
            let flags = MsgFlags::empty();
            // A receiver that is gone is the end of the run, not of the forwarder.
            let _gone =
                sendmmsg(output.as_raw_fd(), &mut out_headers, messages, [None; BATCH], [], flags);
        }
    }
}
