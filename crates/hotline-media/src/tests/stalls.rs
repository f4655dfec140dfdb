//! The whole process stands still, as on a machine whose host has something else to do.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    ops::RangeInclusive,
    thread,
    time::{Duration, Instant},
};

use hotline_base::{
    LegId, RecordingId,
    media::{Event, Hears, Order, VERSION},
};
use hotline_dsp::FRAME;
use hotline_rtp::{HEADER_LEN, Header, MediaTime, parse, write_header};
use rustix::{
    fs::{MemfdFlags, memfd_create},
    process::{Pid, Signal, WaitOptions, kill_process, waitpid},
};

use super::{
    kills::Victim,
    rig::{Dir, LOCAL, PATIENCE},
};
use crate::wav::HEADER;

const CALLER: LegId = LegId(1);
const AGENT: LegId = LegId(2);

/// 20 ms of speech that says which it is.
fn say(socket: &UdpSocket, to: SocketAddr, n: u16) {
    let mut packet = [u8::try_from(n).unwrap(); HEADER_LEN + FRAME];
    let timestamp = MediaTime(u32::from(n) * 160);
    let header = Header { marker: n == 0, payload_type: 8, sequence: n, timestamp, ssrc: 7 };
    write_header(&mut packet, &header);
    socket.send_to(&packet, to).unwrap();
}

fn hear(socket: &UdpSocket) -> u8 {
    let mut bytes = [0; 2_000];
    let (n, _) = socket.recv_from(&mut bytes).expect("a packet within the time");
    bytes[parse(&bytes[..n]).unwrap().payload][0]
}

/// Two telephones of a process that can be stopped, who hear each other and heard one packet each.
struct Stage {
    victim: Victim,
    phones: [UdpSocket; 2],
    to: [SocketAddr; 2],
    dir: Dir,
}

impl Stage {
    fn new() -> Self {
        let dir = Dir::new();
        let memory = memfd_create("stalled", MemfdFlags::CLOEXEC).unwrap();
        let mut victim = Victim::start(&dir.0, &memory);
        let phones = [0, 1].map(|_| UdpSocket::bind((LOCAL, 0)).unwrap());
        let to = [0, 1].map(|leg: usize| {
            phones[leg].set_read_timeout(Some(PATIENCE)).unwrap();
            victim.open(leg, phones[leg].local_addr().unwrap().port())
        });
        let hears = |listener, speaker| Hears { listener, speakers: vec![speaker] };
        let hears = vec![hears(CALLER, AGENT), hears(AGENT, CALLER)];
        victim.control.order(&Order::Mix { hears });
        let mut it = Self { victim, phones, to, dir };
        it.settle();
        let [caller, agent] = &it.phones;
        say(caller, it.to[0], 0);
        say(agent, it.to[1], 0);
        assert_eq!((hear(agent), hear(caller)), (0, 0));
        it
    }

    /// All orders so far are carried out.
    fn settle(&mut self) {
        self.victim.control.order(&Order::Hello { version: VERSION });
        assert!(matches!(self.victim.control.event(), Event::Inventory { .. }));
    }

    /// The process stands still, and meanwhile the caller says these packets as people speak.
    fn stand_still(&self, packets: RangeInclusive<u16>) {
        let pid = Pid::from_raw(i32::try_from(self.victim.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        let stopped = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap();
        assert!(stopped.is_some_and(|it| it.1.stopped()));
        self.speak(packets);
        say(&self.phones[1], self.to[1], 1);
        kill_process(pid, Signal::CONT).unwrap();
    }

    fn speak(&self, packets: RangeInclusive<u16>) {
        // By the clock: on a busy machine each sleep is too long, and they add up.
        let mut next = Instant::now();
        for n in packets {
            say(&self.phones[0], self.to[0], n);
            next += Duration::from_millis(20);
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
}

#[test]
fn after_a_stall_the_newest_two_packets_of_each_queue_are_heard_and_then_the_next() {
    let it = Stage::new();
    it.stand_still(1..=15);
    let [caller, agent] = &it.phones;
    assert_eq!([hear(agent), hear(agent)], [14, 15]);
    assert_eq!(hear(caller), 1);
    say(caller, it.to[0], 16);
    assert_eq!(hear(agent), 16);
}

#[test]
fn what_waited_through_a_stall_is_on_tape() {
    let mut it = Stage::new();
    let (recording, path) = (RecordingId::new("r-1"), "r-1.wav".to_owned());
    let (left, right) = (CALLER, AGENT);
    it.victim.control.order(&Order::Record { recording, path, left, right });
    it.settle();
    it.speak(1..=10);
    // 1.4 s: longer than what of a network would be taken for a clock that was set anew.
    it.stand_still(11..=80);
    it.speak(81..=105);
    it.victim.control.order(&Order::StopRecord { recording: RecordingId::new("r-1") });
    let Event::Recorded(recorded) = it.victim.control.event() else { panic!("not recorded") };
    let bytes = fs::read(it.dir.recordings().join("r-1.wav")).unwrap();
    let caller: Vec<_> = bytes[HEADER..].iter().step_by(2).copied().collect();
    let place = |n: u8| caller.iter().position(|it| *it == n);
    let first = place(1).unwrap();
    // Each where it was said.
    let places = (1..=105).map(|n| place(n).map(|it| it.abs_diff(first)));
    let wrong: Vec<_> = (0..)
        .zip(places)
        .filter(|(n, at)| at.is_none_or(|at| at.abs_diff(n * 160) > 160))
        .map(|(n, at)| (n + 1, at))
        .collect();
    assert_eq!(wrong, [], "{recorded:?}");
}
