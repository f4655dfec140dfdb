//! The whole process stands still, as on a machine whose host has something else to do.

use std::{
    net::{SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use hotline_base::{
    LegId,
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

#[test]
fn after_a_stall_the_newest_two_packets_of_each_queue_are_heard_and_then_the_next() {
    let dir = Dir::new();
    let memory = memfd_create("stalled", MemfdFlags::CLOEXEC).unwrap();
    let mut victim = Victim::start(&dir.0, &memory);
    let phones = [0, 1].map(|_| UdpSocket::bind((LOCAL, 0)).unwrap());
    let mut to = Vec::new();
    for (leg, phone) in phones.iter().enumerate() {
        phone.set_read_timeout(Some(PATIENCE)).unwrap();
        to.push(victim.open(leg, phone.local_addr().unwrap().port()));
    }
    let [caller, agent] = [1, 2].map(LegId);
    let hears = |listener, speaker| Hears { listener, speakers: vec![speaker] };
    let hears = vec![hears(caller, agent), hears(agent, caller)];
    victim.control.order(&Order::Mix { hears });
    victim.control.order(&Order::Hello { version: VERSION });
    assert!(matches!(victim.control.event(), Event::Inventory { .. }));
    let [caller, agent] = &phones;
    say(caller, to[0], 0);
    say(agent, to[1], 0);
    assert_eq!((hear(agent), hear(caller)), (0, 0));

    let pid = Pid::from_raw(i32::try_from(victim.child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let stopped = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap();
    assert!(stopped.is_some_and(|it| it.1.stopped()));
    for n in 1..=15 {
        say(caller, to[0], n);
        // As people speak.
        thread::sleep(Duration::from_millis(20));
    }
    say(agent, to[1], 1);
    kill_process(pid, Signal::CONT).unwrap();
    assert_eq!([hear(agent), hear(agent)], [14, 15]);
    assert_eq!(hear(caller), 1);
    say(caller, to[0], 16);
    assert_eq!(hear(agent), 16);
}
