//! A BPF program that steers datagrams of many ports into one socket (`sk_lookup`, Linux 5.9).
//!
//! Unsafe code, one of two places of the house (docs/adr/0017): one call of `bpf`, which no crate
//! under a permissive licence offers without an object file and a loader for it.

#![expect(unsafe_code, reason = "the bpf system call takes addresses; docs/adr/0017")]

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, UdpSocket},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use nix::libc;

const MAP_CREATE: libc::c_int = 0;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const PROG_LOAD: libc::c_int = 5;
const LINK_CREATE: libc::c_int = 28;

const MAP_ARRAY: u32 = 2;
const MAP_SOCKMAP: u32 = 15;
const PROG_SK_LOOKUP: u32 = 30;
const ATTACH_SK_LOOKUP: u32 = 36;

/// Steers while it lives.
#[derive(Debug)]
pub(super) struct Steer {
    first: u16,
    /// For each port from `first` on the socket that it goes to, counted from 1; 0: none of ours.
    ports: OwnedFd,
    _sockets: OwnedFd,
    _link: OwnedFd,
}

impl Steer {
    /// Datagrams to `address` go to one of `sockets` for each port from `first` to `last` that is
    /// ours.
    ///
    /// # Errors
    /// When the process may not, or the kernel cannot.
    pub(super) fn new(
        address: Ipv4Addr,
        first: u16,
        last: u16,
        sockets: &[UdpSocket],
    ) -> io::Result<Self> {
        let ports = create_map(MAP_ARRAY, u32::from(last.saturating_sub(first)) + 1)?;
        let map = create_map(MAP_SOCKMAP, u32::try_from(sockets.len()).unwrap_or(u32::MAX))?;
        for (socket, key) in sockets.iter().zip(0..) {
            update(&map, key, u32::try_from(socket.as_raw_fd()).unwrap_or(u32::MAX))?;
        }
        let program = load(&program(address, first, &ports, &map))?;
        let link = attach(&program)?;
        Ok(Self { first, ports, _sockets: map, _link: link })
    }

    /// The socket that datagrams of this port go to from now on, by its number; none of ours when
    /// there is none.
    pub(super) fn set(&self, port: u16, socket: Option<u8>) -> io::Result<()> {
        let idx = port.checked_sub(self.first).ok_or(io::ErrorKind::InvalidInput)?;
        update(&self.ports, idx.into(), socket.map_or(0, |it| u32::from(it) + 1))
    }
}

/// `union bpf_attr`: each command has its own fields in it; what is not said is zero.
#[repr(C, align(8))]
struct Attributes([u8; 144]);

impl Attributes {
    const fn new() -> Self {
        Self([0; 144])
    }

    fn with(mut self, at: usize, value: &[u8]) -> Self {
        if let Some(place) = self.0.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
        self
    }

    fn word(self, at: usize, value: u32) -> Self {
        self.with(at, &value.to_ne_bytes())
    }

    fn fd(self, at: usize, fd: &impl AsRawFd) -> Self {
        self.with(at, &fd.as_raw_fd().to_ne_bytes())
    }

    /// The address of what the kernel reads; it must live until the call is over.
    fn address<T: ?Sized>(self, at: usize, of: &T) -> Self {
        let address = std::ptr::from_ref(of).cast::<u8>().expose_provenance() as u64;
        self.with(at, &address.to_ne_bytes())
    }
}

fn bpf(command: libc::c_int, attributes: &Attributes) -> io::Result<libc::c_int> {
    // SAFETY: the kernel reads as many bytes of the attributes as they have. The addresses in them
    // are those of references that the callers below hold until this returns, and of as many bytes
    // as the attributes or the map say; the kernel only reads there.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<Attributes>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    libc::c_int::try_from(result).map_err(io::Error::other)
}

/// A command that makes a descriptor.
fn make(command: libc::c_int, attributes: &Attributes) -> io::Result<OwnedFd> {
    let fd = bpf(command, attributes)?;
    // SAFETY: the commands that come here return a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Keys and values of four bytes.
fn create_map(kind: u32, entries: u32) -> io::Result<OwnedFd> {
    let it = Attributes::new().word(0, kind).word(4, 4).word(8, 4).word(12, entries);
    make(MAP_CREATE, &it)
}

fn update(map: &OwnedFd, key: u32, value: u32) -> io::Result<()> {
    let it = Attributes::new().fd(0, map).address(8, &key).address(16, &value);
    bpf(MAP_UPDATE_ELEM, &it).map(|_| ())
}

fn load(program: &[u64]) -> io::Result<OwnedFd> {
    let n = u32::try_from(program.len()).unwrap_or(u32::MAX);
    let it = Attributes::new()
        .word(0, PROG_SK_LOOKUP)
        .word(4, n)
        .address(8, program)
        .address(16, c"Apache-2.0")
        .with(48, b"hotline_steer")
        .word(68, ATTACH_SK_LOOKUP);
    make(PROG_LOAD, &it)
}

/// In the network namespace of this process.
fn attach(program: &OwnedFd) -> io::Result<OwnedFd> {
    let namespace = File::open("/proc/self/ns/net")?;
    let it = Attributes::new().fd(0, program).fd(4, &namespace).word(8, ATTACH_SK_LOOKUP);
    make(LINK_CREATE, &it)
}

/// One instruction: operation, destination and source register, offset, immediate.
const fn op(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> u64 {
    let [o0, o1] = offset.to_le_bytes();
    let [i0, i1, i2, i3] = immediate.to_le_bytes();
    u64::from_le_bytes([code, from << 4 | to, o0, o1, i0, i1, i2, i3])
}

/// As `struct bpf_sk_lookup` of `linux/bpf.h` has it.
const FAMILY: i16 = 8;
const PROTOCOL: i16 = 12;
const LOCAL_IP4: i16 = 40;
const LOCAL_PORT: i16 = 60;

const LOAD_WORD: u8 = 0x61;
const STORE_WORD: u8 = 0x63;
const MOVE: u8 = 0xBF;
const MOVE_NUMBER: u8 = 0xB7;
const ADD_NUMBER: u8 = 0x07;
const LOAD_LONG: u8 = 0x18;
const UNLESS: u8 = 0x55;
const UNLESS_WORD: u8 = 0x56;
const IF: u8 = 0x15;
const IF_LESS: u8 = 0xA5;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

/// The source register that makes a long number the descriptor of a map.
const MAP: u8 = 1;

const LOOK_UP: i32 = 1;
const SK_RELEASE: i32 = 86;
const SK_ASSIGN: i32 = 124;

/// UDP over IPv4 to `address` and a port that is ours goes to its socket; all else goes on as if
/// nobody had looked.
fn program(address: Ipv4Addr, first: u16, ports: &OwnedFd, sockets: &OwnedFd) -> Vec<u64> {
    // In the order of the network, as the field has it.
    let address = i32::from_ne_bytes(address.octets());
    let end = 34_i16;
    let to_end = |at: i16| end - at - 1;
    vec![
        op(MOVE, 6, 1, 0, 0),
        op(LOAD_WORD, 2, 6, FAMILY, 0),
        op(UNLESS, 2, 0, to_end(2), libc::AF_INET),
        op(LOAD_WORD, 2, 6, PROTOCOL, 0),
        op(UNLESS, 2, 0, to_end(4), libc::IPPROTO_UDP),
        op(LOAD_WORD, 2, 6, LOCAL_IP4, 0),
        op(UNLESS_WORD, 2, 0, to_end(6), address),
        op(LOAD_WORD, 2, 6, LOCAL_PORT, 0),
        op(IF_LESS, 2, 0, to_end(8), first.into()),
        op(ADD_NUMBER, 2, 0, 0, -i32::from(first)),
        // ports[port - first], which is nothing beyond the last
        op(STORE_WORD, 10, 2, -4, 0),
        op(MOVE, 2, 10, 0, 0),
        op(ADD_NUMBER, 2, 0, 0, -4),
        op(LOAD_LONG, 1, MAP, 0, ports.as_raw_fd()),
        0,
        op(CALL, 0, 0, 0, LOOK_UP),
        op(IF, 0, 0, to_end(16), 0),
        op(LOAD_WORD, 2, 0, 0, 0),
        op(IF, 2, 0, to_end(18), 0),
        // sockets[ports[port - first] - 1]
        op(ADD_NUMBER, 2, 0, 0, -1),
        op(STORE_WORD, 10, 2, -4, 0),
        op(MOVE, 2, 10, 0, 0),
        op(ADD_NUMBER, 2, 0, 0, -4),
        op(LOAD_LONG, 1, MAP, 0, sockets.as_raw_fd()),
        0,
        op(CALL, 0, 0, 0, LOOK_UP),
        op(IF, 0, 0, to_end(26), 0),
        op(MOVE, 7, 0, 0, 0),
        op(MOVE, 1, 6, 0, 0),
        op(MOVE, 2, 7, 0, 0),
        op(MOVE_NUMBER, 3, 0, 0, 0),
        op(CALL, 0, 0, 0, SK_ASSIGN),
        op(MOVE, 1, 7, 0, 0),
        op(CALL, 0, 0, 0, SK_RELEASE),
        // SK_PASS
        op(MOVE_NUMBER, 0, 0, 0, 1),
        op(EXIT, 0, 0, 0, 0),
    ]
}
