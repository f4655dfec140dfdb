//! Legs on a virtual clock, with an intake that only remembers.

#![expect(clippy::disallowed_types, reason = "a leg comes with its socket")]

mod allocation;
mod codecs;
mod connecting;
mod keys;
mod mixing;
mod secure;
mod senses;
mod shedding;
mod silence;
mod stale;

use std::{
    io, iter,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use hotline_base::{
    LegId, PlayId, WallTime,
    media::{LegStats, Play},
};
use hotline_dsp::g711::{ALAW_SILENCE, ALAW_TO_ULAW};
use hotline_rtp::{HEADER_LEN, Header, MediaTime, Outbound, Packet, parse, write_header};
use hotline_sdp::{Codec, Direction};
use rtrb::{Consumer, RingBuffer};

use super::*;
use crate::{
    counters::Counters,
    intake::{Arrival, Inbox, SHARED},
    recorder::{Block, Filled},
    task::ReportStart,
    wake::Wake,
};

const CALLER: u32 = 0;
const AGENT: u32 = 1;

/// Reports that wait for the desk.
const ROOM: usize = 64;

/// Remembers what is sent.
#[derive(Default)]
struct Wire {
    sent: Vec<(u32, SocketAddr, Vec<u8>)>,
    /// RTCP from the port after the leg's own.
    reports: Vec<(u32, SocketAddr, Vec<u8>)>,
    /// Whom ports were told to hear alone, or that they hear everybody.
    connected: Vec<(u32, Option<SocketAddr>)>,
    /// Counts only, for tests that must not allocate.
    silent: bool,
    n_sent: usize,
}

impl Intake for Wire {
    fn fill(&mut self, inbox: &mut Inbox, _: Option<Duration>) -> io::Result<()> {
        inbox.clear();
        Ok(())
    }

    fn send(&mut self, leg: u32, to: SocketAddr, datagram: &[u8]) -> bool {
        self.n_sent += 1;
        if !self.silent {
            self.sent.push((leg, to, datagram.to_vec()));
        }
        true
    }

    fn flush(&mut self) {}

    fn connect(&mut self, leg: u32, peer: Option<SocketAddr>) {
        if !self.silent {
            self.connected.push((leg, peer));
        }
    }

    fn send_report(&mut self, leg: u32, to: SocketAddr, datagram: &[u8]) -> bool {
        if !self.silent {
            self.reports.push((leg, to, datagram.to_vec()));
        }
        true
    }

    fn add(&mut self, _: u32, _: UdpSocket) -> io::Result<()> {
        Ok(())
    }

    fn share(&mut self, _: UdpSocket) -> io::Result<()> {
        Ok(())
    }

    fn system_calls(&self) -> u64 {
        0
    }

    fn remove(&mut self, _: u32) -> Option<UdpSocket> {
        None
    }
}

/// A floor with a caller (A-law, events 101) and an agent (µ-law, events 96) who hear each other.
struct House {
    floor: Floor,
    wire: Wire,
    reports: Consumer<Report>,
    filled: Consumer<Filled>,
    now: MonoTime,
}

fn slot(index: u32) -> Slot {
    Slot { index, generation: 1, worker: 0 }
}

fn address(leg: u32) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 7], 4_000 + u16::try_from(leg).unwrap()))
}

fn reports(leg: u32) -> ReportStart {
    let name = *b"abcdefghijklmnop";
    ReportStart { socket: None, seed: leg.into(), name, wall: WallTime(0) }
}

fn stream(leg: u32, codec: Codec, event: u8) -> Stream {
    Stream {
        address: address(leg),
        codec,
        payload_type: codec.offered_payload_type(),
        payload_type_in: codec.offered_payload_type(),
        telephone_event: Some(event),
        telephone_event_in: Some(event),
        rtcp: SocketAddr::new(address(leg).ip(), address(leg).port() + 100),
        rtcp_mux: false,
        ptime_ms: 20,
        direction: Direction::Both,
        hold: false,
    }
}

impl House {
    fn new() -> Self {
        let mut it = Self::empty(8);
        it.open(CALLER, Codec::Pcma, 101);
        it.open(AGENT, Codec::Pcmu, 96);
        it.task(Task::Hear { listener: slot(CALLER), speakers: vec![slot(AGENT)] });
        it.task(Task::Hear { listener: slot(AGENT), speakers: vec![slot(CALLER)] });
        it
    }

    fn empty(legs_max: usize) -> Self {
        let (reports_in, reports) = RingBuffer::new(ROOM);
        let (filled_in, filled) = RingBuffer::new(64.max(legs_max));
        let (_, empties) = RingBuffer::new(64);
        let stock = iter::repeat_with(Block::silent).take(64.max(6 * legs_max)).collect();
        let (wake, counters) = (Wake::new().unwrap(), Arc::new(Counters::default()));
        let out = Out::new(reports_in, filled_in, (empties, stock), wake, counters);
        let floor = Floor::new(legs_max, out);
        let now = MonoTime::default();
        Self { floor, wire: Wire::default(), reports, filled, now }
    }

    fn open(&mut self, leg: u32, codec: Codec, event: u8) {
        self.open_with(leg, codec, event, false);
    }

    /// A browser's leg.
    fn open_guest(&mut self, leg: u32, codec: Codec, event: u8) {
        let out = Outbound::new(1_000 + leg, 0, 0);
        let (id, door, secure) = (LegId(leg.into()), Door::Shared, true);
        let (slot, reports) = (slot(leg), reports(leg));
        self.task(Task::Open(Box::new(Opening {
            slot,
            id,
            door,
            secure,
            out,
            reports,
            complexity: 3,
            resumes: false,
        })));
        self.task(Task::Settle { leg: slot, stream: stream(leg, codec, event) });
    }

    fn open_with(&mut self, leg: u32, codec: Codec, event: u8, secure: bool) {
        self.open_as(leg, stream(leg, codec, event), (secure, false));
    }

    /// `resumes`: a process that died had it.
    fn open_as(&mut self, leg: u32, stream: Stream, (secure, resumes): (bool, bool)) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let out = Outbound::new(1_000 + leg, 0, 0);
        let (door, reports, id) = (Door::Own(socket), reports(leg), LegId(leg.into()));
        let (slot, complexity) = (slot(leg), 3);
        let opening = Opening { slot, id, door, secure, out, reports, complexity, resumes };
        self.task(Task::Open(Box::new(opening)));
        self.task(Task::Settle { leg: slot, stream });
    }

    fn task(&mut self, task: Task) {
        assert!(self.floor.carry_out(task, &mut self.wire, self.now));
        self.floor.handle_timeout(&mut self.wire, self.now);
    }

    fn play(&mut self, leg: u32, play: u64, times: u32, stop_on_key: bool) {
        let order = Play {
            leg: LegId(leg.into()),
            play: PlayId(play),
            prompts: Vec::new(),
            times,
            gap_ms: 0,
            stop_on_key,
            grace_ms: 0,
            limit_ms: 0,
        };
        let parts = vec![Arc::from([7_u8; 320])];
        let play = Box::new(Playing::new(&order, parts, false));
        self.task(Task::Play { leg: slot(leg), play });
    }

    fn say(&mut self, leg: u32, header: Header, payload: &[u8]) {
        self.say_from(address(leg), leg, header, payload);
    }

    fn say_from(&mut self, from: SocketAddr, leg: u32, header: Header, payload: &[u8]) {
        let mut datagram = vec![0; HEADER_LEN];
        write_header(&mut datagram, &header);
        datagram.extend_from_slice(payload);
        let arrival = Arrival { leg, from, len: datagram.len() };
        self.floor.hear(&arrival, &mut datagram, &mut self.wire, self.now);
    }

    /// Time goes by in steps of 10 ms.
    fn wait(&mut self, ms: u64) {
        for _ in 0..ms / 10 {
            self.now = self.now + Duration::from_millis(10);
            self.floor.handle_timeout(&mut self.wire, self.now);
        }
    }

    /// What a leg was sent since this was asked.
    fn heard(&mut self, leg: u32) -> Vec<(Packet, Vec<u8>)> {
        let (heard, others) = std::mem::take(&mut self.wire.sent)
            .into_iter()
            .partition::<Vec<_>, _>(|(it, ..)| *it == leg);
        self.wire.sent = others;
        let read = |(_, to, bytes): (u32, SocketAddr, Vec<u8>)| {
            assert_eq!(to, address(leg));
            let packet = parse(&bytes).unwrap();
            let payload = bytes[packet.payload.clone()].to_vec();
            (packet, payload)
        };
        heard.into_iter().map(read).collect()
    }

    fn reported(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        while let Ok(report) = self.reports.pop() {
            said.push(match report {
                Report::Key { leg, key } => format!("{leg} key {key}"),
                Report::PlayDone { leg, played_ms, end, .. } => {
                    format!("{leg} play {played_ms} {end:?}")
                }
                Report::Quiet { leg, secs } => format!("{leg} quiet {secs}"),
                Report::Closed { leg, stats, .. } => format!("{leg} closed {}", stats.packets_in),
                Report::TapeDone { .. } => "tape done".to_owned(),
                Report::Hearing { leg, state } => format!("{leg} {}", state.as_str()),
                Report::Progress { leg, .. } => format!("{leg} progress"),
                Report::Tone { leg, tone } => format!("{leg} tone {}", tone.as_str()),
            });
        }
        said
    }
}

fn voice(payload_type: u8, sequence: u16) -> Header {
    let timestamp = MediaTime(u32::from(sequence) * 160);
    Header { marker: false, payload_type, sequence, timestamp, ssrc: 5 }
}

fn event(payload_type: u8, sequence: u16, timestamp: u32) -> Header {
    let timestamp = MediaTime(timestamp);
    Header { marker: true, payload_type, sequence, timestamp, ssrc: 5 }
}

#[test]
fn each_party_hears_the_other_in_its_own_codec() {
    let mut it = House::new();
    it.say(CALLER, voice(8, 10), &[0x2A; 160]);
    it.say(AGENT, voice(0, 90), &[ALAW_TO_ULAW[0x2A]; 160]);
    let agent = it.heard(AGENT);
    assert_eq!((agent[0].0.header.payload_type, agent[0].0.header.ssrc), (0, 1_000 + AGENT));
    assert_eq!(agent[0].1, [ALAW_TO_ULAW[0x2A]; 160]);
    let caller = it.heard(CALLER);
    assert_eq!((caller[0].0.header.payload_type, caller[0].0.header.ssrc), (8, 1_000 + CALLER));
    assert_eq!(caller[0].1, [0x2A; 160]);
}

/// The worker is always a little late, and its clock is the one that everybody hears.
#[test]
fn ticks_that_are_late_come_as_often_as_20_ms_have_passed() {
    let mut it = House::new();
    it.play(CALLER, 1, 0, false);
    let end = it.now + Duration::from_secs(10);
    while it.now < end {
        it.now = it.floor.due().unwrap().max(it.now) + Duration::from_millis(7);
        it.floor.handle_timeout(&mut it.wire, it.now);
    }
    let n = it.heard(CALLER).len();
    assert!((499..=502).contains(&n), "{n} packets in 10 s");
}

#[test]
fn a_key_is_reported_once_and_passed_on_with_the_listeners_payload_type() {
    let mut it = House::new();
    for n in 0..5 {
        it.say(CALLER, event(101, 10 + n, 160), &[5, if n > 2 { 0x8A } else { 10 }, 1, 0]);
    }
    assert_eq!(it.reported(), ["0 key 5"]);
    let heard = it.heard(AGENT);
    assert_eq!(heard.len(), 5);
    assert!(heard.iter().all(|(packet, _)| packet.header.payload_type == 96));
    assert!(heard.iter().all(|(packet, _)| packet.header.timestamp == heard[0].0.header.timestamp));
}

#[test]
fn who_comes_in_the_middle_of_a_press_gets_nothing_of_it() {
    let mut it = House::new();
    let say = |it: &mut House, n: u16, ended: u8, timestamp| {
        it.say(CALLER, event(101, n, timestamp), &[5, ended | 0x0A, 1, 0]);
    };
    let hears = |it: &mut House, speakers: &[u32]| {
        let speakers = speakers.iter().map(|it| slot(*it)).collect();
        it.task(Task::Hear { listener: slot(AGENT), speakers });
    };
    hears(&mut it, &[]);
    say(&mut it, 10, 0, 160);
    hears(&mut it, &[CALLER]);
    (11..16).for_each(|n| say(&mut it, n, 0x80, 160));
    let silence = [ALAW_TO_ULAW[usize::from(ALAW_SILENCE)]; 160];
    assert!(it.heard(AGENT).iter().all(|it| it.1 == silence));
    it.say(CALLER, voice(8, 16), &[1; 160]);
    assert_eq!(it.heard(AGENT).len(), 1, "his voice is heard at once");
    (17..20).for_each(|n| say(&mut it, n, 0, 1_600));
    assert_eq!(it.heard(AGENT).len(), 3, "and so is the next key");
    // The same plan again, or another speaker besides, takes nothing away in the middle of one.
    hears(&mut it, &[CALLER]);
    say(&mut it, 20, 0x80, 1_600);
    assert_eq!(it.heard(AGENT).len(), 1);
    assert_eq!(it.reported(), ["0 key 5", "0 key 5"]);
}

#[test]
fn keys_at_the_number_of_the_peers_answer_are_heard_as_well_as_at_ours() {
    let mut it = House::new();
    let answered = Stream { telephone_event: Some(96), ..stream(CALLER, Codec::Pcma, 101) };
    it.task(Task::Settle { leg: slot(CALLER), stream: answered });
    it.say(CALLER, event(96, 10, 160), &[5, 0x8A, 1, 0]);
    it.say(CALLER, event(101, 11, 1_600), &[7, 0x8A, 1, 0]);
    it.say(CALLER, event(97, 12, 3_200), &[8, 0x8A, 1, 0]);
    assert_eq!(it.reported(), ["0 key 5", "0 key 7"]);
}

#[test]
fn a_stranger_is_counted_and_neither_heard_nor_sent_to() {
    let stranger = SocketAddr::from(([203, 0, 113, 9], 9));
    // The peer spoke, or he has sent nothing yet.
    for speaks in [true, false] {
        let mut it = House::new();
        if speaks {
            it.say(CALLER, voice(8, 10), &[1; 160]);
            it.heard(AGENT);
        }
        let [other, noise] = [77, 13].map(|it| Header { payload_type: it, ..voice(0, 12) });
        it.say_from(stranger, CALLER, voice(8, 11), &[2; 160]);
        it.say_from(stranger, CALLER, event(101, 12, 1_600), &[5, 0x8A, 1, 0]);
        it.say_from(stranger, CALLER, noise, &[20]);
        it.say_from(address(CALLER), CALLER, other, &[3; 160]);
        it.wait(20);
        assert!(it.heard(AGENT).is_empty() && it.reported().is_empty());
        it.play(CALLER, 1, 1, false);
        it.wait(20);
        assert!(!it.heard(CALLER).is_empty(), "sent to the signalled address");
        assert_eq!(it.floor.leg(slot(CALLER)).unwrap().stats().refused, 3);
    }
}

#[test]
fn noise_from_the_right_address_hurts_nobody() {
    let mut it = House::new();
    let mut random = hotline_base::Random::new(1);
    for _ in 0..20_000 {
        let mut datagram: Vec<_> =
            (0..random.below(40)).map(|_| random.next_u64().to_le_bytes()[0]).collect();
        if let Some(first) = datagram.first_mut().filter(|_| random.chance(80)) {
            *first = 0x80 | (*first & 0x3F);
        }
        if let Some(second) = datagram.get_mut(1).filter(|_| random.chance(50)) {
            *second = [8, 101, 0, 13, 0x88][usize::from(*second) % 5];
        }
        let arrival = Arrival { leg: CALLER, from: address(CALLER), len: datagram.len() };
        it.floor.hear(&arrival, &mut datagram, &mut it.wire, it.now);
        it.wait(10);
        it.reported();
    }
    it.heard(AGENT);
    it.say(CALLER, voice(8, 10), &[1; 160]);
    assert_eq!(it.heard(AGENT).len(), 1);
}

#[test]
fn a_play_takes_the_place_of_the_other_party_and_the_stream_goes_on() {
    let mut it = House::new();
    it.say(AGENT, voice(0, 1), &[9; 160]);
    it.wait(20);
    it.play(CALLER, 1, 1, false);
    it.wait(10);
    it.say(AGENT, voice(0, 2), &[9; 160]);
    it.wait(50);
    it.say(AGENT, voice(0, 5), &[9; 160]);
    let heard = it.heard(CALLER);
    let numbers: Vec<_> =
        heard.iter().map(|(it, _)| (it.header.sequence, it.header.timestamp.0 / 160)).collect();
    assert_eq!(numbers, [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5)], "no break at all");
    assert_eq!(heard[1].1, [7; 160]);
    assert_eq!(it.reported(), ["0 play 40 Finished"]);
}

#[test]
fn frames_of_a_play_are_20_ms_apart_and_a_late_worker_catches_up_two() {
    let mut it = House::new();
    it.play(AGENT, 1, 0, false);
    it.wait(200);
    assert_eq!(it.heard(AGENT).len(), 11);
    it.now = it.now + Duration::from_millis(500);
    it.floor.handle_timeout(&mut it.wire, it.now);
    assert_eq!(it.heard(AGENT).len(), 2);
    assert_eq!(it.floor.out.counters.snapshot().ticks_skipped, 23);
    it.wait(200);
    let heard = it.heard(AGENT);
    assert_eq!(heard.len(), 10);
    assert_eq!(heard[0].1, [ALAW_TO_ULAW[7]; 160]);
}

#[test]
fn a_key_ends_the_prompt_at_once_and_the_end_is_told_before_the_key() {
    let mut it = House::new();
    it.play(CALLER, 3, 0, true);
    it.wait(100);
    it.say(CALLER, event(101, 1, 160), &[1, 10, 0, 160]);
    it.heard(CALLER);
    it.wait(200);
    assert!(it.heard(CALLER).iter().all(|it| it.1 == [ALAW_SILENCE; 160]));
    assert_eq!(it.reported(), ["0 play 120 Key(Key(1))", "0 key 1"]);
}

#[test]
fn another_play_or_an_order_stops_a_play() {
    let mut it = House::new();
    it.play(CALLER, 1, 0, false);
    it.wait(20);
    it.play(CALLER, 2, 0, false);
    it.wait(40);
    it.task(Task::Stop { leg: slot(CALLER), play: PlayId(1) });
    it.task(Task::Stop { leg: slot(CALLER), play: PlayId(2) });
    it.say(AGENT, voice(0, 1), &[9; 160]);
    it.wait(40);
    assert_eq!(it.reported(), ["0 play 40 Stopped", "0 play 40 Stopped"]);
    assert_eq!(it.floor.tick, None, "nothing ticks while nothing is played");
}

#[test]
fn a_party_on_hold_is_sent_nothing_and_hears_again_after_it() {
    let mut it = House::new();
    let held =
        Stream { hold: true, direction: Direction::ReceiveOnly, ..stream(AGENT, Codec::Pcmu, 96) };
    it.task(Task::Settle { leg: slot(AGENT), stream: held });
    it.say(CALLER, voice(8, 1), &[1; 160]);
    it.play(AGENT, 1, 0, false);
    it.wait(100);
    assert!(it.heard(AGENT).is_empty());
    it.wait(60_000);
    assert_eq!(it.reported(), ["0 dead", "0 quiet 5", "0 quiet 30"], "nobody on hold is missed");
    it.task(Task::Settle { leg: slot(AGENT), stream: stream(AGENT, Codec::Pcmu, 96) });
    it.wait(100);
    assert_eq!(it.heard(AGENT).len(), 5);
}

#[test]
fn silence_is_reported_at_5_and_at_30_seconds_and_anew_after_a_word() {
    let mut it = House::new();
    it.task(Task::Close { leg: slot(AGENT) });
    it.wait(60_000);
    it.say(CALLER, voice(8, 1), &[1; 160]);
    it.wait(7_000);
    it.say(CALLER, Header { payload_type: 13, ..voice(8, 2) }, &[1]);
    it.wait(4_000);
    let told = ["1 closed 0", "0 one_way", "0 quiet 5", "0 quiet 30", "0 quiet 0", "0 heard"];
    let again = ["0 dead", "0 quiet 5", "0 quiet 0", "0 heard"];
    assert_eq!(it.reported(), [&told[..], &again].concat());
}

#[test]
fn keys_are_sent_as_presses_with_pauses_in_place_of_other_audio() {
    let mut it = House::new();
    let keys = "12".chars().filter_map(|it| Key::try_from(it).ok()).collect();
    it.task(Task::SendKeys { leg: slot(AGENT), keys });
    for n in 0..25_u16 {
        it.say(CALLER, voice(8, n), &[1; 160]);
        it.wait(20);
    }
    let heard = it.heard(AGENT);
    let keys: Vec<_> = heard.iter().filter(|it| it.0.header.payload_type == 96).collect();
    assert_eq!(keys.len(), 14);
    assert_eq!((keys[0].1[0], keys[13].1[0]), (1, 2));
    assert_eq!(keys[7].0.header.timestamp.since(keys[0].0.header.timestamp), 1_600);
    let sequences: Vec<_> = heard.iter().map(|it| it.0.header.sequence).collect();
    let expected: Vec<_> = (1..=u16::try_from(heard.len()).unwrap()).collect();
    assert_eq!(sequences, expected);
    assert!(heard.len() > 14, "the other party is heard again after the keys");
}

#[test]
fn after_a_transfer_the_caller_hears_the_new_agent_only() {
    let mut it = House::new();
    let other = 2;
    let out = Outbound::new(2_000, 0, 0);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (door, reports, id) = (Door::Own(socket), reports(other), LegId(2));
    let (leg, secure, complexity, resumes) = (slot(other), false, 3, false);
    let opening = Opening { slot: leg, id, door, secure, out, reports, complexity, resumes };
    it.task(Task::Open(Box::new(opening)));
    it.task(Task::Settle { leg, stream: stream(other, Codec::Pcma, 101) });
    it.say(AGENT, voice(0, 1), &[1; 160]);
    it.task(Task::Hear { listener: slot(CALLER), speakers: vec![slot(other)] });
    it.say(AGENT, voice(0, 2), &[1; 160]);
    it.wait(20);
    it.say(other, voice(8, 700), &[2; 160]);
    let heard: Vec<_> = it.heard(CALLER).iter().map(|it| (it.0.header.sequence, it.1[0])).collect();
    assert_eq!(heard, [(1, alaw_of(1)), (2, ALAW_SILENCE), (3, 2)]);
}

fn alaw_of(ulaw: u8) -> u8 {
    hotline_dsp::g711::through(&hotline_dsp::g711::ULAW_TO_ALAW, ulaw)
}

#[test]
fn a_closed_leg_takes_its_place_in_mixes_and_tapes_with_it() {
    let mut it = House::new();
    let sides = (Some(slot(CALLER)), Some(slot(AGENT)));
    it.task(Task::Record { tape: slot(0), left: sides.0, right: sides.1, key: 1 });
    it.say(CALLER, voice(8, 1), &[1; 160]);
    it.task(Task::Close { leg: slot(AGENT) });
    it.wait(20);
    it.say(CALLER, voice(8, 2), &[1; 160]);
    assert_eq!(it.heard(AGENT).len(), 1);
    let statistics = it.floor.leg(slot(CALLER)).unwrap().stats();
    assert_eq!(statistics, LegStats { packets_in: 2, ..statistics });
    it.wait(80);
    it.task(Task::EndRecord { tape: slot(0) });
    it.task(Task::Close { leg: slot(CALLER) });
    assert_eq!(it.reported(), ["1 closed 0", "tape done", "0 closed 2"]);
    let Ok(Filled::Block(mut block)) = it.filled.pop() else { panic!("no block") };
    assert_eq!(block.len(), 800);
    assert_eq!(block.channel(Channel::Left)[..320], [1; 320]);
    assert_eq!(block.channel(Channel::Right)[..], [ALAW_SILENCE; 1_600]);
    assert_eq!(it.floor.due(), None, "an empty floor waits for nothing");
}
