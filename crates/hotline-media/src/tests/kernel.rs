//! What workers ask of the kernel while packets pass: to wait, to read and to send. A lock that
//! somebody holds, a line of a log, a file or more memory would each be a call of another kind.

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, UdpSocket},
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use hotline_base::{
    LegId, PlayId, PromptId, RecordingId,
    media::{Event, Hears, Order, Play, VERSION},
};
use hotline_dsp::FRAME;
use hotline_rtp::{HEADER_LEN, Header, MediaTime, write_header};
use nix::{
    errno::Errno,
    libc,
    sys::{
        ptrace::{self, Options},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use rustix::fs::{MemfdFlags, memfd_create};

use super::{
    kills::Victim,
    rig::{Dir, LOCAL, PATIENCE},
};

/// Rounds of 20 ms that are watched, and those before them.
const ROUNDS: u16 = 100;
const FIRST: u16 = 25;

/// Calls that packets need.
const FOR_PACKETS: [libc::c_long; 7] = [
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_sendto,
    libc::SYS_sendmmsg,
];

/// Calls for each of this are few: what the worker and the desk tell each other, and ten times a
/// second how much processor time is spent.
const PACKETS_A_NOTE: usize = 10;

/// A system call: its number, and of one that writes or reads the kind of descriptor.
type Call = (libc::c_long, Option<String>);

/// What a thread of another process asks of the kernel until it `is_over`, and how often.
fn watch(process: u32, task: i32, is_over: &AtomicBool) -> Result<BTreeMap<Call, usize>, Errno> {
    let task = Pid::from_raw(task);
    ptrace::seize(task, Options::PTRACE_O_TRACESYSGOOD)?;
    ptrace::interrupt(task)?;
    let mut calls = BTreeMap::new();
    let mut enters = true;
    loop {
        let status = waitpid(task, Some(WaitPidFlag::__WALL))?;
        if let WaitStatus::PtraceSyscall(_) = status {
            if enters {
                *calls.entry(call(process, task)).or_default() += 1;
            }
            enters = !enters;
        }
        if is_over.load(Relaxed) {
            ptrace::detach(task, None)?;
            return Ok(calls);
        }
        ptrace::syscall(task, None)?;
    }
}

/// The call that a thread is about to make (proc(5)).
fn call(process: u32, task: Pid) -> Call {
    let text = fs::read_to_string(format!("/proc/{process}/task/{task}/syscall")).unwrap();
    let mut words = text.split_whitespace();
    let number = words.next().unwrap().parse().unwrap();
    let first = words.next().and_then(|it| u32::from_str_radix(it.strip_prefix("0x")?, 16).ok());
    let has_descriptor = [libc::SYS_read, libc::SYS_write].contains(&number);
    let kind = first.filter(|_| has_descriptor).map(|it| {
        let link = fs::read_link(format!("/proc/{process}/fd/{it}")).unwrap_or_default();
        link.display().to_string()
    });
    (number, kind)
}

fn workers(process: u32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|it| it.unwrap().path());
    let is_worker = |it: &Path| {
        fs::read_to_string(it.join("comm")).is_ok_and(|it| it.starts_with("media-worker"))
    };
    let number = |it: &Path| it.file_name()?.to_str()?.parse().ok();
    tasks.filter(|it| is_worker(it)).filter_map(|it| number(&it)).collect()
}

/// 20 ms of speech.
fn say(socket: &UdpSocket, to: SocketAddr, n: u16) {
    let mut packet = [0x2A; HEADER_LEN + FRAME];
    let (timestamp, ssrc) = (MediaTime(u32::from(n) * 160), u32::from(to.port()));
    write_header(
        &mut packet,
        &Header { marker: n == 0, payload_type: 8, sequence: n, timestamp, ssrc },
    );
    socket.send_to(&packet, to).unwrap();
}

/// Two who talk and are recorded; and on the other worker three who hear each other by a mix, and
/// music, which is the clock of all.
#[test]
#[expect(clippy::print_stdout, reason = "a test that cannot be run says so")]
fn packets_cost_no_system_call_but_those_that_wait_read_and_send() {
    let dir = Dir::new();
    dir.prompt("music", 440, 1_000);
    let memory = memfd_create("watched", MemfdFlags::CLOEXEC).unwrap();
    let mut media = Victim::start(&dir.0, &memory);
    let mut legs = Vec::new();
    for (leg, context) in [(0, 1), (1, 1), (2, 2), (3, 2), (4, 2), (5, 2)] {
        let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let to = media.open_in(context, leg, socket.local_addr().unwrap().port());
        legs.push((socket, to));
    }
    let hears = |listener, speakers: &[u64]| Hears {
        listener: LegId(listener),
        speakers: speakers.iter().map(|it| LegId(*it)).collect(),
    };
    let hears =
        vec![hears(1, &[2]), hears(2, &[1]), hears(3, &[4, 5]), hears(4, &[3, 5]), hears(5, &[3])];
    media.control.order(&Order::Mix { hears });
    let (recording, path) = (RecordingId::new("r-1"), "r-1.wav".to_owned());
    let (left, right) = (LegId(1), LegId(2));
    media.control.order(&Order::Record { recording, path, left, right });
    media.control.order(&Order::Play(Play {
        leg: LegId(6),
        play: PlayId(1),
        prompts: vec![PromptId::new("music")],
        times: 0,
        gap_ms: 0,
        stop_on_key: false,
        grace_ms: 0,
        limit_ms: 0,
    }));
    media.control.order(&Order::Hello { version: VERSION });
    assert!(matches!(media.control.event(), Event::Inventory { .. }));

    let (clock, _) = legs.pop().unwrap();
    let talk = |rounds: std::ops::Range<u16>| {
        for n in rounds {
            clock.recv_from(&mut [0; 2_000]).expect("music within the time");
            for (socket, to) in &legs {
                say(socket, *to, n);
            }
        }
    };
    talk(0..FIRST);
    let (process, is_over) = (media.child.id(), AtomicBool::new(false));
    let workers = workers(process);
    assert_eq!(workers.len(), 2);
    let watched = thread::scope(|scope| {
        let watch = |task| {
            scope.spawn({
                let is_over = &is_over;
                move || watch(process, task, is_over)
            })
        };
        let watched: Vec<_> = workers.into_iter().map(watch).collect();
        talk(FIRST..FIRST + ROUNDS);
        is_over.store(true, Relaxed);
        watched.into_iter().map(|it| it.join().unwrap()).collect::<Result<Vec<_>, _>>()
    });
    let watched = match watched {
        Err(Errno::EPERM) => return println!("nobody may watch system calls here"),
        it => it.unwrap(),
    };
    watched.iter().for_each(check);
}

/// Packets were passed on, what the worker said to the desk was little, and nothing else was asked
/// for.
fn check(calls: &BTreeMap<Call, usize>) {
    let n = |which: &dyn Fn(&Call) -> bool| -> usize {
        calls.iter().filter(|it| which(it.0)).map(|it| it.1).sum()
    };
    let n_packets = n(&|it| FOR_PACKETS.contains(&it.0));
    assert!(n_packets >= 2 * usize::from(ROUNDS), "{calls:?}");
    let is_note = |(number, kind): &Call| {
        *number == libc::SYS_clock_gettime || kind.as_deref() == Some("anon_inode:[eventfd]")
    };
    assert!(n(&is_note) * PACKETS_A_NOTE <= n_packets, "{calls:?}");
    assert_eq!(n(&|it| !FOR_PACKETS.contains(&it.0) && !is_note(it)), 0, "{calls:?}");
}
