//! Where on a recording's timeline the words fall.

mod hour;

use std::time::Duration;

use hotline_rtp::MediaTime;

use super::*;

const TAPE: Slot = Slot { index: 0, generation: 1, worker: 0 };

const CALLER: Slot = Slot { index: 7, generation: 1, worker: 0 };

const AGENT: Slot = Slot { index: 8, generation: 1, worker: 0 };

/// Blocks without end (or none at all), and what the recorder gets.
#[derive(Default)]
struct Store {
    empty: bool,
    sent: Vec<Filled>,
}

impl Blocks for Store {
    fn take(&mut self) -> Option<Block> {
        (!self.empty).then(Block::silent)
    }

    fn give_back(&mut self, _: Block) {}

    fn send(&mut self, filled: Filled) -> Result<(), Filled> {
        self.sent.push(filled);
        Ok(())
    }
}

fn ms(at: u64) -> MonoTime {
    MonoTime::default() + Duration::from_millis(at)
}

/// A packet of the left side: when it arrives, its SSRC, its timestamp, the byte it says.
type Spoken = (u64, u32, u32, u8);

fn record(said: &[Spoken], end_ms: u64, store: &mut Store) -> Vec<u8> {
    let mut tape = Tape::new(TAPE, 1, ms(0));
    tape.set_sources(Channel::Left, &[CALLER], ms(0));
    let mut said = said.iter().peekable();
    for now in (0..=end_ms).step_by(10) {
        while let Some((_, ssrc, timestamp, byte)) = said.next_if(|it| it.0 <= now) {
            let header = Header {
                marker: false,
                payload_type: 8,
                sequence: 0,
                timestamp: MediaTime(*timestamp),
                ssrc: *ssrc,
            };
            let audio = &[*byte; 160];
            let said =
                Said { by: CALLER, since: ms(now), header: &header, codec: Codec::Pcma, audio };
            tape.write(Channel::Left, &said, ms(now), store);
        }
        tape.flush(ms(now), store);
    }
    assert!(tape.end(ms(end_ms), store));
    let mut heard = Vec::new();
    for filled in &mut store.sent {
        match filled {
            Filled::Block(block) => {
                assert_eq!(block.start(), heard.len() as u64);
                let len = block.len();
                heard.extend_from_slice(&block.channel(Channel::Left)[..len]);
            }
            Filled::End { samples, .. } => assert_eq!(*samples, end_ms * 8),
        }
    }
    heard
}

/// Lists the runs of equal bytes as `(byte, milliseconds)`; silence is byte 0.
fn check(said: &[Spoken], end_ms: u64, expected: &[(u8, usize)]) {
    let mut runs: Vec<(u8, usize)> = Vec::new();
    for byte in record(said, end_ms, &mut Store::default()) {
        let byte = if byte == ALAW_SILENCE { 0 } else { byte };
        match runs.last_mut() {
            Some(run) if run.0 == byte => run.1 += 1,
            Some(_) | None => runs.push((byte, 1)),
        }
    }
    let runs: Vec<_> = runs.into_iter().map(|(byte, n)| (byte, n / 8)).collect();
    assert_eq!(runs, expected);
}

#[test]
fn words_fall_where_they_were_said_and_silence_around_them() {
    check(&[(100, 7, 0, 1), (120, 7, 160, 2)], 1_000, &[(0, 100), (1, 20), (2, 20), (0, 860)]);
}

#[test]
fn lost_packets_are_silence_of_their_length() {
    let said: Vec<Spoken> = (0..50_u8)
        .filter(|it| it % 7 != 3)
        .map(|n| (u64::from(n) * 20, 7, u32::from(n) * 160, 1))
        .collect();
    let heard = record(&said, 1_000, &mut Store::default());
    assert_eq!(heard.len(), 8_000);
    assert_eq!(
        heard.into_iter().map(usize::from).filter(|it| *it == 1).sum::<usize>(),
        said.len() * 160
    );
}

#[test]
fn a_packet_that_comes_a_sample_later_than_it_could_leaves_no_crackle() {
    let said: Vec<Spoken> =
        (0..10).map(|n| (100 + n * 20, 7, u32::try_from(n).unwrap() * 161, 1)).collect();
    let heard = record(&said, 1_000, &mut Store::default());
    let first = heard.iter().position(|it| *it == 1).unwrap();
    assert!(heard[first..first + 9 * 161 + 160].iter().all(|it| *it == 1));
}

#[test]
fn what_comes_too_late_for_its_block_is_told() {
    // For half a second nothing comes, and then everything.
    let said = |n: u64| {
        let at = 100 + n * 20;
        let at = if (500..1_000).contains(&at) { 1_000 } else { at };
        (at, 7, u32::try_from(n * 160).unwrap(), 1)
    };
    let said: Vec<Spoken> = (0..60).map(said).collect();
    let mut store = Store::default();
    let heard = record(&said, 1_500, &mut store);
    let blocks = store.sent.iter().filter_map(|it| match it {
        Filled::Block(block) => Some(block),
        Filled::End { .. } => None,
    });
    let told: Vec<_> = blocks.filter_map(|it| it.missing()[0].lost).collect();
    // As far as its blocks were gone.
    let gone = heard.iter().skip(4_000).position(|it| *it == 1).unwrap() + 4_000;
    assert_eq!(told, [(4_000, u32::try_from(gone).unwrap())]);
}

#[test]
fn jitter_and_reorder_do_not_move_words() {
    let said = [(20, 7, 0, 1), (90, 7, 480, 4), (95, 7, 160, 2), (99, 7, 320, 3)];
    check(&said, 300, &[(0, 20), (1, 20), (2, 20), (3, 20), (4, 20), (0, 200)]);
}

#[test]
fn a_steady_senders_next_packet_lies_where_it_is_looked_for_first() {
    let mut source = Source::new(CALLER, 0);
    assert_eq!(source.next_place(0), Some(0));
    for n in 0..100_u16 {
        let timestamp = MediaTime(u32::from(n) * 160);
        let header = Header { marker: n == 0, payload_type: 8, sequence: n, timestamp, ssrc: 7 };
        let arrived = u64::from(n) * 160 + 800;
        let now = ms(arrived / 8);
        let line = Line { since: now, now, began: ms(0), arrived, flushed: 320 };
        let looked_for = source.next_place(320).map(|it| it as u64 + 320);
        let at = source.place(&header, 160, &line).unwrap().at;
        assert!(n == 0 || looked_for == Some(at), "{n}: {looked_for:?}, {at}");
    }
}

#[test]
fn a_pause_with_a_marker_of_time_stays_a_pause() {
    check(&[(0, 7, 0, 1), (520, 7, 4_160, 2)], 600, &[(1, 20), (0, 500), (2, 20), (0, 60)]);
}

#[test]
fn another_source_is_placed_by_its_arrival() {
    check(&[(0, 7, 0, 1), (500, 8, 99_999, 2)], 600, &[(1, 20), (0, 480), (2, 20), (0, 80)]);
}

#[test]
fn a_clock_that_jumps_is_set_anew_and_a_straggler_is_left_out() {
    check(&[(0, 7, 0, 1), (500, 7, 900_000, 2)], 600, &[(1, 20), (0, 480), (2, 20), (0, 80)]);
    let late = [(0, 7, 0, 1), (800, 7, 6_400, 2), (801, 7, 160, 3), (820, 7, 6_560, 4)];
    check(&late, 900, &[(1, 20), (0, 780), (2, 20), (4, 20), (0, 60)]);
}

#[test]
fn mulaw_is_written_as_alaw() {
    let mut tape = Tape::new(TAPE, 1, ms(0));
    let mut store = Store::default();
    let header =
        Header { marker: false, payload_type: 0, sequence: 0, timestamp: MediaTime(0), ssrc: 1 };
    tape.set_sources(Channel::Right, &[CALLER], ms(0));
    let said =
        Said { by: CALLER, since: ms(0), header: &header, codec: Codec::Pcmu, audio: &[0x80; 160] };
    tape.write(Channel::Right, &said, ms(0), &mut store);
    assert!(tape.end(ms(20), &mut store));
    let Filled::Block(block) = &mut store.sent[0] else { panic!("no block") };
    assert_eq!(block.channel(Channel::Right)[..160], [ULAW_TO_ALAW[0x80]; 160]);
}

#[test]
fn without_empty_blocks_nothing_is_sent_but_the_length() {
    let mut store = Store { empty: true, ..Store::default() };
    let mut tape = Tape::new(TAPE, 1, ms(0));
    tape.flush(ms(900), &mut store);
    assert!(tape.end(ms(1_000), &mut store));
    assert!(matches!(store.sent[..], [Filled::End { samples: 8_000, .. }]));
}

#[test]
fn a_channel_of_two_holds_their_sum_and_each_packet_once() {
    let (mut tape, mut store) = (Tape::new(TAPE, 1, ms(0)), Store::default());
    tape.set_sources(Channel::Right, &[CALLER, AGENT], ms(0));
    let loud = g711::linear_to_alaw(8_000);
    // 20 ms apart; the caller's packets come twice, as some networks have it, and out of order.
    let packets = [
        (CALLER, 0, 0),
        (AGENT, 1, 0),
        (CALLER, 2, 40),
        (CALLER, 1, 45),
        (CALLER, 2, 46),
        (CALLER, 0, 47),
    ];
    for (by, n, at) in packets {
        let (sequence, timestamp) = (n, MediaTime(u32::from(n) * 160));
        let header = Header { marker: false, payload_type: 8, sequence, timestamp, ssrc: 1 };
        let (header, audio, codec) = (&header, &[loud; 160], Codec::Pcma);
        let said = Said { by, since: ms(at), header, codec, audio };
        tape.write(Channel::Right, &said, ms(at), &mut store);
    }
    // One leaves; the other stays where he was.
    assert_eq!(tape.set_sources(Channel::Right, &[CALLER], ms(60)), [AGENT]);
    tape.drop_source(Channel::Right, AGENT);
    let timestamp = MediaTime(3 * 160);
    let header = Header { marker: false, payload_type: 8, sequence: 3, timestamp, ssrc: 1 };
    let (header, audio, codec) = (&header, &[loud; 160], Codec::Pcma);
    let said = Said { by: CALLER, since: ms(99), header, codec, audio };
    tape.write(Channel::Right, &said, ms(99), &mut store);
    assert!(tape.end(ms(100), &mut store));
    let Filled::Block(block) = &mut store.sent[0] else { panic!("no block") };
    let heard: Vec<_> = block.channel(Channel::Right)[..800]
        .chunks(160)
        .map(|it| g711::alaw_to_linear(it[0]) / 1_000)
        .collect();
    // The agent's first packet sets his clock by its arrival.
    assert_eq!(heard, [16, 8, 8, 8, 0]);
}

#[test]
fn what_is_said_while_it_is_muted_is_in_no_block() {
    let (mut tape, mut store) = (Tape::new(TAPE, 1, ms(0)), Store::default());
    tape.set_sources(Channel::Left, &[CALLER], ms(0));
    let say = |tape: &mut Tape, n: u16, at: u64, store: &mut Store| {
        let timestamp = MediaTime(u32::from(n) * 160);
        let header = Header { marker: false, payload_type: 8, sequence: n, timestamp, ssrc: 1 };
        let (header, audio, codec) = (&header, &[7; 160], Codec::Pcma);
        let said = Said { by: CALLER, since: ms(at), header, codec, audio };
        tape.write(Channel::Left, &said, ms(at), store);
    };
    for n in 0..50 {
        let at = u64::from(n) * 20;
        match at {
            // In the middle of what he says, and again before a block has gone.
            300 => tape.set_muted(true, ms(310)),
            500 => tape.set_muted(false, ms(505)),
            520 => tape.set_muted(true, ms(525)),
            540 => tape.set_muted(false, ms(545)),
            _ => (),
        }
        // One comes when it is over, and belongs into it.
        if n != 20 {
            say(&mut tape, n, at, &mut store);
        }
        if n == 27 {
            say(&mut tape, 20, at, &mut store);
        }
        tape.flush(ms(at), &mut store);
    }
    assert!(tape.end(ms(1_000), &mut store));
    let mut heard = Vec::new();
    let mut n_heard = 0;
    for filled in &mut store.sent {
        let Filled::Block(block) = filled else { continue };
        n_heard += block.heard()[0];
        let len = block.len();
        heard.extend_from_slice(&block.channel(Channel::Left)[..len]);
    }
    let silent = |from: usize, to: usize| heard[from * 8..to * 8].iter().all(|it| *it != 7);
    let said = |from: usize, to: usize| heard[from * 8..to * 8].iter().all(|it| *it == 7);
    assert!(said(0, 310) && silent(310, 505) && said(505, 525) && silent(525, 545));
    assert!(said(545, 1_000));
    assert_eq!(n_heard, (1_000 - 195 - 20) * 8);
}
