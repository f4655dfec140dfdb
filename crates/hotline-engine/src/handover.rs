//! What the supervisor hands to its children, and what they report, over one socket a child.
//!
//! A sequenced-packet pair whose far end is the child's standard input: a message is one packet of
//! `borsh` bytes, and file handles ride along with it (`SCM_RIGHTS`).

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_sip::Transport;
use rustix::{
    cmsg_space,
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{MemfdFlags, memfd_create},
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
};
use tokio::{io::Interest, net::UnixStream};

/// Handles in one message.
pub(crate) const HANDLES_MAX: usize = 64;

const MESSAGE_MAX: usize = 4_096;

/// Supervisor → child.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub enum Handover {
    /// The listening sockets, in the order of the handles.
    Sockets { kinds: Vec<SocketKind> },
    /// A fresh end of the socket between control and media; replaces an earlier one.
    Link,
    /// Memory that outlives media, first of all: what it needs to take the place of one that died.
    Memory,
    /// Take no new call and end when the running ones are over.
    Drain,
    /// End at once, in order.
    Stop,
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum SocketKind {
    SipUdp,
    /// What is spoken over the connections that it accepts.
    SipStream(Transport),
    Http,
}

/// Child → supervisor.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum Report {
    /// The role does its work.
    Ready,
    /// The link to the other role is over, and nobody brings another: both may be well, and one of
    /// them has let go of it.
    Unlinked,
}

/// A pair for one child; neither end survives an `exec` unless it is given as a standard stream.
///
/// # Errors
/// When the kernel has no handle left.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// The two ends of a stream between control and media.
///
/// # Errors
/// When the kernel has no handle left.
pub fn link() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// Memory without a name, which is gone with its last handle.
///
/// # Errors
/// When the kernel has no handle left.
pub fn memory() -> io::Result<OwnedFd> {
    Ok(memfd_create("hotline-media", MemfdFlags::CLOEXEC)?)
}

/// Sends one message; waits when `fd` blocks.
///
/// # Errors
/// When the peer is gone.
pub fn send<T: BorshSerialize>(
    fd: impl AsFd,
    message: &T,
    handles: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = borsh::to_vec(message)?;
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(HANDLES_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !handles.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(handles)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many handles in one message"));
    }
    sendmsg(fd, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one message with its handles; `None` when the peer is gone.
///
/// # Errors
/// When the message cannot be read, or `fd` does not block and nothing is there.
pub fn receive<T: BorshDeserialize>(fd: impl AsFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut bytes = [0; MESSAGE_MAX];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(HANDLES_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let n = recvmsg(fd, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?.bytes;
    let handles = ancillary
        .drain()
        .filter_map(|it| if let RecvAncillaryMessage::ScmRights(it) = it { Some(it) } else { None })
        .flatten()
        .collect();
    let message = bytes.get(..n).filter(|it| !it.is_empty());
    message.map(|it| Ok((borsh::from_slice(it)?, handles))).transpose()
}

/// Waits for a message on a socket that blocks; `false` when none came in time.
///
/// # Errors
/// When the socket is broken.
pub fn wait(fd: impl AsFd, limit: Duration) -> io::Result<bool> {
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    let mut polled = [PollFd::new(&fd, PollFlags::IN)];
    match poll(&mut polled, Some(&limit)) {
        Ok(n) => Ok(n > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// One end of a [`pair`] on a tokio runtime. The stream type only holds and polls the handle: it is
/// never read or written as a stream.
#[derive(Debug)]
pub struct Channel(UnixStream);

impl Channel {
    /// # Errors
    /// Outside a runtime.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self(UnixStream::from_std(fd.into())?))
    }

    /// # Errors
    /// When the peer is gone.
    pub async fn send<T: BorshSerialize>(
        &self,
        message: &T,
        handles: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.0.async_io(Interest::WRITABLE, || send(&self.0, message, handles)).await
    }

    /// `None` when the peer is gone.
    ///
    /// # Errors
    /// When the message cannot be read.
    pub async fn receive<T: BorshDeserialize>(&self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        self.0.async_io(Interest::READABLE, || receive(&self.0)).await
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_socket_arrives_with_its_message_and_works() {
        let (ours, theirs) = pair().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sockets = Handover::Sockets { kinds: vec![SocketKind::SipUdp] };
        send(&ours, &sockets, &[socket.as_fd()]).unwrap();
        send(&ours, &Handover::Stop, &[]).unwrap();
        let (message, mut handles) = receive::<Handover>(&theirs).unwrap().unwrap();
        assert_eq!(message, sockets);
        let adopted = UdpSocket::from(handles.pop().unwrap());
        assert_eq!(adopted.local_addr().unwrap(), socket.local_addr().unwrap());
        assert_eq!(receive::<Handover>(&theirs).unwrap().unwrap().0, Handover::Stop);
        drop(ours);
        assert!(receive::<Handover>(&theirs).unwrap().is_none());
    }
}
