//! A socket of robots, whose datagrams the kernel stamps.

use std::{
    cell::Cell,
    fs, io,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::AsRawFd as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use nix::sys::{
    socket::{
        ControlMessageOwned, MsgFlags, recvmsg, setsockopt,
        sockopt::{RcvBuf, ReceiveTimestampns},
    },
    time::TimeSpec,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub(crate) struct Wire {
    socket: UdpSocket,
    pub(crate) address: SocketAddr,
    /// Datagrams in and out.
    pub(crate) n_datagrams: Cell<u64>,
}

impl Wire {
    pub(crate) fn bind(ip: IpAddr) -> Result<Self> {
        let socket = UdpSocket::bind((ip, 0))?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        // As much as the system allows.
        setsockopt(&socket, RcvBuf, &(4 << 20))?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, n_datagrams: Cell::new(0) })
    }

    pub(crate) fn send(&self, bytes: &[u8], to: SocketAddr) -> Result<()> {
        self.socket.send_to(bytes, to)?;
        self.n_datagrams.update(|it| it + 1);
        Ok(())
    }

    /// When the next datagram reached the socket, in nanoseconds since 1970, and how long it is.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Result<Option<(u64, usize)>> {
        let mut space = nix::cmsg_space!(TimeSpec);
        let mut places = [io::IoSliceMut::new(buffer)];
        let fd = self.socket.as_raw_fd();
        let got = recvmsg::<()>(fd, &mut places, Some(&mut space), MsgFlags::empty());
        let message = match got {
            Ok(it) => it,
            Err(nix::Error::EAGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stamp = message.cmsgs()?.find_map(|it| {
            let ControlMessageOwned::ScmTimestampns(it) = it else { return None };
            Some(Duration::from(it))
        });
        let stamp = stamp.context("the kernel stamps datagrams")?;
        self.n_datagrams.update(|it| it + 1);
        Ok(Some((u64::try_from(stamp.as_nanos())?, message.bytes)))
    }

    /// Sleeps until something comes, no longer than `most`.
    pub(crate) fn wait(&self, most: Duration) -> Result<()> {
        wait_for(&[self], most)
    }
}

pub(crate) fn wait_for(all: &[&Wire], most: Duration) -> Result<()> {
    let mut fds: Vec<_> = all.iter().map(|it| PollFd::new(&it.socket, PollFlags::IN)).collect();
    match poll(&mut fds, Some(&Timespec::try_from(most)?)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Datagrams that found no room in the socket at this address, whoever has it (`proc_net_udp(5)`).
pub(crate) fn n_lost(at: SocketAddr) -> Result<u64> {
    let SocketAddr::V4(at) = at else { bail!("an address of IPv4 is meant") };
    let own = format!("{:08X}:{:04X}", u32::from_le_bytes(at.ip().octets()), at.port());
    let table = fs::read_to_string("/proc/net/udp")?;
    let line = table.lines().find(|it| it.split_whitespace().nth(1) == Some(&own));
    let last = line.and_then(|it| it.split_whitespace().last()).context("no such socket")?;
    Ok(last.parse()?)
}

/// Nanoseconds since 1970, as the kernel stamps datagrams.
pub(crate) fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
