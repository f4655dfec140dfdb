//! The yardstick: one socket in, one connected socket out, 64 datagrams a system call, awake at
//! once. Frozen: a change here changes the meaning of every ratio ever published.

use std::{
    io::{BufRead, BufReader, IoSlice, IoSliceMut, Write},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    process::{Child, Command, Stdio},
    rc::Rc,
};

use anyhow::{Context, Result};
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg};

use crate::{
    Relay, cpu,
    outlet::{Outlet, widen},
    pace::Flow,
};

const BATCH: usize = 64;

const DATAGRAM: usize = 2_048;

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
    loop {
        let mut chunks = arena.chunks_exact_mut(DATAGRAM);
        let mut places: [_; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(chunks.next().unwrap_or_default())]);
        let flags = MsgFlags::MSG_WAITFORONE;
        let received = recvmmsg(input.as_raw_fd(), &mut headers, &mut places, flags, None)?;
        let mut n = 0;
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

/// The forwarder in a process of its own.
#[derive(Debug)]
pub(crate) struct Raw {
    child: Child,
    flows: usize,
    to: SocketAddr,
    out: Rc<Outlet>,
}

impl Raw {
    /// `role`: this one or the one on a tick.
    pub(crate) fn start(role: &str, flows: usize) -> Result<Self> {
        let out = Outlet::wide()?;
        let mut child = Command::new(std::env::current_exe()?)
            .args([role, &out.address()?.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the forwarder has an output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Self { child, flows, to: line.trim().parse()?, out: Rc::new(out) })
    }
}

impl Relay for Raw {
    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn flows(&mut self) -> Vec<Flow> {
        let flow = || Flow::new(Rc::clone(&self.out), self.to, Rc::clone(&self.out));
        (0..self.flows).map(|_| flow()).collect()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
