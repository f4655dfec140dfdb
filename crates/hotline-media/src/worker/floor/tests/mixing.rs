//! Who hears whom when more than two are on a call: a tone for each party, the spectrum at each
//! ear, and the numbers on each packet, on a virtual clock.

use std::collections::BTreeMap;

use hotline_dsp::{
    FRAME, Tone,
    g711::{alaw_to_linear, ulaw_to_linear},
    strength,
};

use super::*;

const SUPERVISOR: u32 = 2;

/// Parties with a tone each, every second one in µ-law.
struct Table {
    house: House,
    tones: Vec<Tone>,
    /// The next frame each party says.
    said: u16,
    /// Added to each party's SSRC, sequence numbers and timestamps.
    numbers: Vec<(u32, u16, u32)>,
    ears: Vec<Ear>,
}

/// What a party has heard so far.
#[derive(Default)]
struct Ear {
    packets: Vec<(MonoTime, Header)>,
    samples: Vec<i16>,
}

/// Far enough from each other, and from each other's harmonics, to be told apart within 200 ms.
fn hz(party: u32) -> u32 {
    310 + 90 * party
}

impl Table {
    fn new(parties: u32) -> Self {
        let mut house = House::empty(parties as usize);
        let mut tones = Vec::new();
        let mut ears = Vec::new();
        for party in 0..parties {
            house.open(party, if party % 2 == 0 { Codec::Pcma } else { Codec::Pcmu }, 101);
            // 32 of them together stay within 16 bits.
            tones.push(Tone::new(hz(party), 900));
            ears.push(Ear::default());
        }
        Self { house, tones, said: 0, numbers: vec![(0, 0, 0); parties as usize], ears }
    }

    /// `hears` lists the listeners with those they hear.
    fn mix(&mut self, hears: &[(u32, &[u32])]) {
        for (listener, speakers) in hears {
            let speakers = speakers.iter().map(|it| slot(*it)).collect();
            self.house.task(Task::Hear { listener: slot(*listener), speakers });
        }
    }

    /// All talk for so long, a third of a frame apart from each other.
    fn talk(&mut self, ms: u64) {
        for _ in 0..ms / 20 {
            self.said += 1;
            for step in 0..4 {
                for party in (0..self.tones.len()).filter(|it| it % 3 == step) {
                    let mut audio = [0; FRAME];
                    let payload_type = if party % 2 == 0 { 8 } else { 0 };
                    match self.tones.get_mut(party) {
                        Some(tone) if payload_type == 8 => tone.fill_alaw(&mut audio),
                        Some(tone) => tone.fill_ulaw(&mut audio),
                        None => {}
                    }
                    let (ssrc, sequence, timestamp) = self.numbers[party];
                    let mut header = voice(payload_type, self.said.wrapping_add(sequence));
                    header.timestamp = MediaTime(u32::from(self.said) * 160) + timestamp;
                    header.ssrc += ssrc;
                    self.house.say(u32::try_from(party).unwrap(), header, &audio);
                }
                self.pass(5);
            }
        }
    }

    /// Time goes by, and what is sent is heard.
    fn pass(&mut self, ms: u64) {
        self.listen();
        for _ in 0..ms / 5 {
            self.house.now = self.house.now + Duration::from_millis(5);
            self.house.floor.handle_timeout(&mut self.house.wire, self.house.now);
            self.listen();
        }
    }

    fn listen(&mut self) {
        for (leg, to, bytes) in std::mem::take(&mut self.house.wire.sent) {
            assert_eq!(to, address(leg));
            let packet = parse(&bytes).unwrap();
            let ulaw = leg % 2 != 0;
            let ear = &mut self.ears[leg as usize];
            ear.packets.push((self.house.now, packet.header));
            let payload = &bytes[packet.payload];
            let event = payload.len() != FRAME;
            assert_eq!(packet.header.payload_type, if event { 101 } else { u8::from(!ulaw) * 8 });
            let decode = if ulaw { ulaw_to_linear } else { alaw_to_linear };
            ear.samples.extend(payload.iter().filter(|_| !event).map(|it| decode(*it)));
        }
    }

    /// Which parties each ear hears in its last 200 ms.
    fn heard(&self) -> Vec<Vec<u32>> {
        let parties = 0..u32::try_from(self.tones.len()).unwrap();
        let heard = |ear: &Ear| -> Vec<u32> {
            let last = &ear.samples[ear.samples.len().saturating_sub(1_600)..];
            let shares: BTreeMap<_, _> =
                parties.clone().map(|it| (it, strength(last, hz(it)))).collect();
            let present: Vec<_> = parties.clone().filter(|it| shares[it] > 0.01).collect();
            let each = 1.0 / f64::from(u32::try_from(present.len()).unwrap());
            for (party, share) in shares {
                let there = present.contains(&party);
                let right = if there { share > each * 0.7 } else { share < each * 0.02 };
                assert!(right, "party {party} is {share:.4} of a mix of {}", present.len());
            }
            present
        };
        self.ears.iter().map(heard).collect()
    }

    /// Every ear has heard one stream, at most 40 ms apart.
    fn check_streams(&self) {
        for (party, ear) in self.ears.iter().enumerate() {
            for pair in ear.packets.windows(2) {
                let [(before, a), (after, b)] = pair else { panic!("no pair") };
                let gap = after.since(*before);
                assert!(gap <= Duration::from_millis(40), "party {party}: {gap:?} at {before:?}");
                assert_eq!((a.ssrc, a.sequence.wrapping_add(1)), (b.ssrc, b.sequence), "{party}");
                let later = b.timestamp.since(a.timestamp);
                assert!((160..=320).contains(&later), "party {party}: {later} at {before:?}");
            }
        }
    }
}

#[test]
fn every_ear_hears_exactly_the_parties_that_the_table_names_and_one_unbroken_stream() {
    let mut it = Table::new(3);
    let (c, a, s) = (CALLER, AGENT, SUPERVISOR);
    // A supervisor goes through all modes and back; who hears nobody hears what he heard before.
    let talk: [(u32, &[u32]); 3] = [(c, &[a]), (a, &[c]), (s, &[])];
    let listen: [(u32, &[u32]); 3] = [(c, &[a]), (a, &[c]), (s, &[c, a])];
    let whisper: [(u32, &[u32]); 3] = [(c, &[a]), (a, &[c, s]), (s, &[c, a])];
    let barge_in: [(u32, &[u32]); 3] = [(c, &[a, s]), (a, &[c, s]), (s, &[c, a])];
    let steps = [listen, whisper, listen, barge_in, whisper, barge_in, listen, whisper, listen];
    it.mix(&talk);
    it.talk(400);
    assert_eq!(it.heard(), [vec![a], vec![c], vec![]]);
    for step in steps {
        it.mix(&step);
        it.talk(400);
        let expected: Vec<_> = step.iter().map(|it| it.1.to_vec()).collect();
        assert_eq!(it.heard(), expected, "{step:?}");
    }
    it.check_streams();
    it.mix(&talk);
    it.talk(400);
    assert_eq!(it.heard()[..2], [vec![a], vec![c]]);
    assert!(it.house.floor.legs.iter().flatten().all(|it| it.tap.is_none()), "nothing is decoded");
}

#[test]
fn a_switch_of_supervision_is_heard_within_200_ms_and_never_leaks_a_word() {
    let mut it = Table::new(3);
    let (c, a, s) = (CALLER, AGENT, SUPERVISOR);
    let none: [&[u32]; 3] = [&[a], &[c], &[]];
    let listen: [&[u32]; 3] = [&[a], &[c], &[c, a]];
    let whisper: [&[u32]; 3] = [&[a], &[c, s], &[c, a]];
    let barge_in: [&[u32]; 3] = [&[a, s], &[c, s], &[c, a]];
    let order = |it: &mut Table, modes: [&[u32]; 3]| {
        it.mix(&[(c, modes[0]), (a, modes[1]), (s, modes[2])]);
    };
    order(&mut it, none);
    it.talk(400);
    // Each mode after each other.
    let modes = [listen, whisper, listen, barge_in, whisper, barge_in, listen, barge_in];
    for mode in modes.into_iter().chain([none, whisper, none, barge_in, none, listen]) {
        let before: Vec<_> = it.ears.iter().map(|it| it.samples.len()).collect();
        order(&mut it, mode);
        it.talk(200);
        for (ear, before) in it.ears.iter().zip(before) {
            let who = it.ears.iter().position(|it| std::ptr::eq(it, ear)).unwrap();
            let after = &ear.samples[before..];
            if mode[who].is_empty() {
                continue;
            }
            assert!(after.len() >= 1_280, "{} samples in 200 ms", after.len());
            for party in [c, a, s] {
                let shares: Vec<_> =
                    after.chunks_exact(FRAME).map(|it| strength(it, hz(party))).collect();
                if mode[who].contains(&party) {
                    assert!(
                        shares.last() > Some(&0.25),
                        "{mode:?}: {who} hears {party} {shares:?}"
                    );
                } else {
                    // From the first packet on.
                    let leaks = shares.iter().any(|it| *it > 0.15);
                    assert!(!leaks, "{mode:?}: {who} hears {party} {shares:?}");
                }
            }
        }
        it.talk(200);
    }
    it.check_streams();
}

/// The same of people who say nothing: their telephones leave pauses out (DTX).
#[test]
fn whoever_comes_and_goes_without_a_word_a_listener_receives_one_stream_without_a_gap() {
    let mut it = Table::new(3);
    let (c, a, t) = (CALLER, AGENT, 2);
    let talk: [(u32, &[u32]); 3] = [(c, &[a]), (a, &[c]), (t, &[])];
    let given: [(u32, &[u32]); 3] = [(c, &[t]), (t, &[c]), (a, &[])];
    let three: [(u32, &[u32]); 3] = [(c, &[a, t]), (a, &[c, t]), (t, &[c, a])];
    let nobody: [(u32, &[u32]); 3] = [(c, &[]), (a, &[]), (t, &[])];
    it.mix(&three);
    it.talk(200);
    for before in [talk, given, three] {
        for after in [talk, given, three, nobody].into_iter().filter(|it| *it != before) {
            it.mix(&before);
            it.talk(200);
            it.mix(&after);
            it.pass(400);
        }
    }
    // A prompt ends; whoever was heard holds and is back.
    it.mix(&talk);
    it.house.play(c, 1, 10, false);
    it.pass(600);
    let line = stream(a, Codec::Pcmu, 101);
    let held = Stream { hold: true, direction: Direction::ReceiveOnly, ..line };
    it.house.task(Task::Settle { leg: slot(a), stream: held });
    it.mix(&[(c, &[])]);
    it.pass(200);
    it.house.task(Task::Settle { leg: slot(a), stream: line });
    it.mix(&[(c, &[a])]);
    it.pass(200);
    it.talk(200);
    it.ears.remove(a as usize);
    it.check_streams();
}

/// Through all that may happen to whom he hears, a party receives one stream without a gap.
#[test]
fn whatever_becomes_of_the_others_a_listener_receives_one_stream_without_a_gap() {
    let mut it = Table::new(3);
    let (c, a, t) = (CALLER, AGENT, 2);
    let talk: [(u32, &[u32]); 3] = [(c, &[a]), (a, &[c]), (t, &[])];
    let three: [(u32, &[u32]); 3] = [(c, &[a, t]), (a, &[c, t]), (t, &[c, a])];
    // Two of one law, two of two laws, and all three by a mix; the agent's numbers change.
    for plan in [talk, [(c, &[t]), (t, &[c]), (a, &[])], three] {
        it.mix(&plan);
        it.talk(400);
        for change in [
            (1, 0, 0),
            (1, 30_000, 0),
            (1, 30_500, 0),
            (1, 29_000, 0),
            (1, 29_000, 900_000),
            (1, 29_000, 100_000),
            (7, 9, 4_000_000_000),
        ] {
            (it.numbers[a as usize], it.numbers[t as usize]) = (change, change);
            it.talk(400);
        }
        assert!(it.heard()[0].iter().eq(plan[0].1), "{plan:?}");
    }
    // A prompt; the agent holds, and the caller is with nobody; a transfer; three, and two again.
    it.mix(&talk);
    it.talk(200);
    it.house.play(c, 1, 10, false);
    it.talk(600);
    let line = stream(a, Codec::Pcmu, 101);
    let held = Stream { hold: true, direction: Direction::ReceiveOnly, ..line };
    it.house.task(Task::Settle { leg: slot(a), stream: held });
    it.mix(&[(c, &[]), (a, &[])]);
    it.house.play(c, 2, 10, false);
    it.talk(400);
    it.house.task(Task::Settle { leg: slot(a), stream: line });
    it.mix(&[(c, &[a]), (a, &[c])]);
    it.talk(200);
    it.mix(&three);
    it.talk(200);
    it.house.task(Task::Close { leg: slot(a) });
    it.talk(400);
    assert_eq!([&it.heard()[0], &it.heard()[2]], [&[t], &[c]]);
    it.ears.remove(a as usize);
    it.check_streams();
}

#[test]
fn three_who_speak_in_packets_of_10_to_60_ms_hear_each_other() {
    for lengths in [[10, 40, 60], [30, 50, 20]] {
        let mut it = House::empty(3);
        (0..3).for_each(|leg| it.open(leg, Codec::Pcma, 101));
        for leg in 0..3_u32 {
            let speakers = (0..3).filter(|it| *it != leg).map(slot).collect();
            it.task(Task::Hear { listener: slot(leg), speakers });
        }
        let mut tones: Vec<_> = (0..3).map(|leg| Tone::new(hz(leg), 900)).collect();
        for ms in (0..2_400_u32).step_by(10) {
            for (leg, tone) in (0..).zip(&mut tones) {
                let length = lengths[leg as usize];
                if ms % length == 0 {
                    let mut audio = vec![0; (length * 8) as usize];
                    tone.fill_alaw(&mut audio);
                    let n = u16::try_from(ms / length).unwrap();
                    let header = Header { timestamp: MediaTime(ms * 8), ..voice(8, n) };
                    it.say(leg, header, &audio);
                }
            }
            it.wait(10);
        }
        for ear in 0..3 {
            let heard = it.heard(ear);
            let sound: Vec<_> = heard.into_iter().flat_map(|it| it.1).map(alaw_to_linear).collect();
            let frames = sound[sound.len() - 8_000..].chunks_exact(FRAME);
            for party in 0..3 {
                let there = frames.clone().filter(|it| strength(it, hz(party)) > 0.3).count();
                let right = if party == ear { there == 0 } else { there >= 48 };
                assert!(right, "{lengths:?}: {ear} hears {party} in {there} frames of 50");
            }
        }
    }
}

#[test]
fn caller_agent_target_and_supervisor_hear_whom_each_cell_names() {
    let mut it = Table::new(4);
    let (c, a, t, s) = (0, 1, 2, 3);
    let cells: [[&[u32]; 4]; 9] = [
        // 通话; 咨询, where the supervisor is with the agent, who listens, whispers, barges in.
        [&[a], &[c], &[], &[c, a]],
        [&[], &[t], &[a], &[a, t]],
        [&[], &[t, s], &[a], &[a, t]],
        [&[], &[t, s], &[a, s], &[a, t]],
        // 三方, the same.
        [&[a, t], &[c, t], &[c, a], &[c, a, t]],
        [&[a, t], &[c, t, s], &[c, a], &[c, a, t]],
        [&[a, t, s], &[c, t, s], &[c, a, s], &[c, a, t]],
        // 拦截: the supervisor has the caller; the agent goes, and the target stays or goes.
        [&[t, s], &[], &[c, s], &[c, t]],
        [&[s], &[], &[], &[c]],
    ];
    for cell in cells {
        let hears: Vec<_> = (0..).zip(cell).collect();
        it.mix(&hears);
        it.talk(400);
        assert_eq!(it.heard(), cell.map(<[u32]>::to_vec), "{cell:?}");
    }
    it.check_streams();
}

#[test]
fn a_conference_of_32_hears_31_each_and_goes_on_when_people_leave_and_come() {
    let mut it = Table::new(32);
    let everybody: Vec<u32> = (0..32).collect();
    let without = |gone: &[u32]| -> Vec<u32> {
        everybody.iter().copied().filter(|it| !gone.contains(it)).collect()
    };
    let all: Vec<_> = everybody.iter().map(|it| (*it, without(&[*it]))).collect();
    let table: Vec<_> = all.iter().map(|it| (it.0, it.1.as_slice())).collect();
    it.mix(&table);
    assert_eq!(it.house.floor.groups.len(), 1, "summed once");
    it.talk(400);
    assert_eq!(it.heard(), everybody.iter().map(|it| without(&[*it])).collect::<Vec<_>>());

    it.house.task(Task::Close { leg: slot(5) });
    it.talk(400);
    for (party, heard) in it.heard().into_iter().enumerate().filter(|it| it.0 != 5) {
        assert_eq!(heard, without(&[5, u32::try_from(party).unwrap()]));
    }
    it.house.open(5, Codec::Pcmu, 101);
    it.mix(&table);
    it.talk(400);
    assert_eq!(it.heard(), everybody.iter().map(|it| without(&[*it])).collect::<Vec<_>>());
    it.ears.remove(5);
    it.check_streams();
    // 33 are one too many: counted, not refused.
    assert_eq!(it.house.floor.out.counters.snapshot().mixes_refused, 0);
}

#[test]
fn a_three_way_talk_becomes_a_relayed_one_when_somebody_hangs_up() {
    let mut it = Table::new(3);
    it.mix(&[(0, &[1, 2]), (1, &[0, 2]), (2, &[0, 1])]);
    it.talk(400);
    it.house.task(Task::Close { leg: slot(1) });
    it.talk(400);
    assert_eq!([&it.heard()[0], &it.heard()[2]], [&[2], &[0]]);
    assert!(it.house.floor.groups.is_empty());
    it.check_streams();
    it.house.task(Task::Close { leg: slot(0) });
    it.house.task(Task::Close { leg: slot(2) });
    it.pass(20);
    assert_eq!(it.house.floor.due(), None, "an empty floor waits for nothing");
}

#[test]
fn a_prompt_to_one_of_three_takes_the_place_of_the_others_for_him_alone() {
    let mut it = Table::new(3);
    it.mix(&[(0, &[1, 2]), (1, &[0, 2]), (2, &[0, 1])]);
    it.talk(200);
    it.house.play(0, 1, 25, false);
    it.talk(400);
    assert_eq!(it.heard(), [vec![], vec![0, 2], vec![0, 1]]);
    assert!(it.ears[0].samples.ends_with(&[alaw_to_linear(7); 160]));
    // An answer interrupts it at once, between two ticks.
    it.house.task(Task::Stop { leg: slot(0), play: PlayId(1) });
    it.talk(400);
    assert_eq!(it.heard(), [vec![1, 2], vec![0, 2], vec![0, 1]]);
    it.check_streams();
}

#[test]
fn a_new_codec_a_new_ssrc_and_packets_of_60_ms_do_not_break_what_others_hear() {
    let mut it = Table::new(3);
    it.mix(&[(0, &[1, 2]), (1, &[0, 2]), (2, &[0])]);
    it.talk(400);
    // The agent's telephone changes its codec, its source and the length of its packets.
    let line = stream(AGENT, Codec::Pcma, 101);
    it.house.task(Task::Settle { leg: slot(AGENT), stream: line });
    let mut tone = Tone::new(hz(AGENT), 900);
    for n in 0..10_u16 {
        let mut audio = [0; 3 * FRAME];
        tone.fill_alaw(&mut audio);
        let timestamp = MediaTime(900_000 + u32::from(n) * 480);
        let header = Header { sequence: 7_000 + n, timestamp, ssrc: 99, ..voice(8, 0) };
        it.house.say(AGENT, header, &audio);
        for _ in 0..3 {
            // Party 1 has spoken already.
            it.said += 1;
            for party in [0, 2] {
                let mut audio = [0; FRAME];
                it.tones[party as usize].fill_alaw(&mut audio);
                it.house.say(party, voice(8, it.said), &audio);
            }
            it.house.now = it.house.now + Duration::from_millis(20);
            it.house.floor.handle_timeout(&mut it.house.wire, it.house.now);
            // What the agent hears is in his new codec.
            let to_agent = it.house.wire.sent.iter().filter(|it| it.0 == AGENT);
            let types: Vec<_> =
                to_agent.map(|it| parse(&it.2).unwrap().header.payload_type).collect();
            assert_eq!(types, [8]);
            it.house.wire.sent.retain(|it| it.0 != AGENT);
            it.listen();
        }
    }
    assert_eq!(it.heard()[0], [1, 2]);
    it.ears.remove(AGENT as usize);
    it.check_streams();
}

#[test]
fn a_party_on_hold_is_sent_no_mix_and_hears_it_again_in_the_same_stream() {
    let mut it = Table::new(3);
    it.mix(&[(0, &[1, 2]), (1, &[0, 2]), (2, &[0, 1])]);
    it.talk(200);
    let line = stream(0, Codec::Pcma, 101);
    let held = Stream { hold: true, direction: Direction::ReceiveOnly, ..line };
    it.house.task(Task::Settle { leg: slot(0), stream: held });
    let before = it.ears[0].packets.len();
    it.talk(1_000);
    assert_eq!(it.ears[0].packets.len(), before);
    it.house.task(Task::Settle { leg: slot(0), stream: line });
    it.talk(400);
    assert_eq!(it.heard()[0], [1, 2]);
    let [(before, a), (after, b)] = it.ears[0].packets[before - 1..=before] else {
        panic!("no pair")
    };
    assert_eq!((a.ssrc, a.sequence.wrapping_add(1)), (b.ssrc, b.sequence));
    // Time went by: 8 samples a millisecond, to half a frame.
    let elapsed = i32::try_from(after.since(before).as_millis()).unwrap() * 8;
    assert!((b.timestamp.since(a.timestamp) - elapsed).abs() <= 80);
}

#[test]
fn nobody_hears_himself_and_a_leg_that_is_gone_is_not_heard() {
    let mut it = Table::new(3);
    it.house.task(Task::Close { leg: slot(2) });
    it.mix(&[(0, &[0, 1, 2]), (1, &[1])]);
    it.talk(400);
    assert_eq!(it.heard(), [vec![1], vec![], vec![]]);
    assert!(it.house.floor.groups.is_empty(), "one speaker is relayed");
}
