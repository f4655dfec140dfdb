//! A socket of the generator's.

use std::{
    cell::{Cell, RefCell},
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hotline_rtp::{HEADER_LEN, MasterKey, SRTP_OVERHEAD, SrtpProfile, SrtpReceiver, SrtpSender};
use nix::sys::{
    socket::{
        ControlMessageOwned, MsgFlags, recvmsg, setsockopt,
        sockopt::{RcvBuf, RcvBufForce, ReceiveTimestampns},
    },
    time::TimeSpec,
};

/// Bytes that a socket of many flows keeps. A machine under another stops for milliseconds, and at a
/// hundred packets each of these the usual buffer would be full.
const BUFFER: usize = 8 << 20;

/// A socket of the generator's; several flows may share it.
#[derive(Debug)]
pub(crate) struct Outlet {
    socket: UdpSocket,
    /// Of many flows.
    pub(crate) shared: bool,
    /// The last step in which it was emptied.
    emptied: Cell<u64>,
    /// Of a party whose audio is protected: what it sends, and what it is sent.
    keys: RefCell<Option<(SrtpSender, SrtpReceiver)>>,
    /// Where the kernel puts the time.
    stamp: RefCell<Vec<u8>>,
}

impl Outlet {
    pub(crate) fn open() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        Ok(Self {
            socket,
            shared: false,
            emptied: Cell::new(u64::MAX),
            keys: RefCell::new(None),
            stamp: RefCell::new(nix::cmsg_space!(TimeSpec)),
        })
    }

    /// Of many flows.
    pub(crate) fn wide() -> io::Result<Self> {
        let it = Self::open()?;
        widen(&it.socket)?;
        Ok(Self { shared: true, ..it })
    }

    /// From now on all is protected by AES-CM and 80 bits of HMAC-SHA1, with these keys and salts
    /// of 30 bytes.
    pub(crate) fn secure(&self, ours: &[u8], theirs: &[u8]) -> Option<()> {
        let key = |it| MasterKey::new(SrtpProfile::AesCm128HmacSha1_80, it);
        let keys = (SrtpSender::new(&key(ours)?), SrtpReceiver::new(&key(theirs)?));
        self.keys.replace(Some(keys));
        Some(())
    }

    pub(crate) fn send(&self, packet: &[u8], to: SocketAddr) -> bool {
        let mut keys = self.keys.borrow_mut();
        let Some((sender, _)) = &mut *keys else { return self.socket.send_to(packet, to).is_ok() };
        let mut sealed = [0; HEADER_LEN + 160 + SRTP_OVERHEAD];
        let Some(place) = sealed.get_mut(..packet.len()) else { return false };
        place.copy_from_slice(packet);
        let len = sender.protect(&mut sealed, packet.len()).ok();
        let sealed = len.and_then(|it| sealed.get(..it));
        sealed.is_some_and(|it| self.socket.send_to(it, to).is_ok())
    }

    /// Whether it was not yet emptied in this step; from now on it was.
    pub(crate) fn is_due(&self, step: u64) -> bool {
        self.emptied.replace(step) != step
    }

    /// The next packet that came, in the clear, and when, in nanoseconds since 1970; what does not
    /// open is lost.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Option<(usize, u64)> {
        loop {
            let (n, came) = self.datagram(buffer)?;
            let mut keys = self.keys.borrow_mut();
            let Some((_, receiver)) = &mut *keys else { return Some((n, came)) };
            if let Ok(n) = receiver.open(buffer.get_mut(..n)?) {
                return Some((n, came));
            }
        }
    }

    fn datagram(&self, buffer: &mut [u8]) -> Option<(usize, u64)> {
        let mut space = self.stamp.borrow_mut();
        let mut places = [io::IoSliceMut::new(buffer)];
        let fd = self.socket.as_raw_fd();
        let it = recvmsg::<()>(fd, &mut places, Some(&mut *space), MsgFlags::empty()).ok()?;
        let came = it.cmsgs().ok()?.find_map(|it| {
            let ControlMessageOwned::ScmTimestampns(it) = it else { return None };
            u64::try_from(Duration::from(it).as_nanos()).ok()
        });
        Some((it.bytes, came.unwrap_or_else(wall_ns)))
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Gives a socket of many flows the room for them, as far as this user may.
pub(crate) fn widen(socket: &UdpSocket) -> nix::Result<()> {
    setsockopt(socket, RcvBufForce, &BUFFER).or_else(|_| setsockopt(socket, RcvBuf, &BUFFER))
}

/// Nanoseconds since 1970, as the kernel stamps datagrams.
pub(crate) fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
