//! Opus in packets of 60 ms, as telephones send it that ask for `ptime:60`, over networks that lose
//! and reorder them.

use hotline_base::Random;

use super::*;

/// What is said in packets that are lost, and nowhere else.
const LOST_HZ: u32 = 1_500;

/// 60 ms of the caller's tone, or of another.
fn packet(it: &mut Pair, n: u16, other: Option<&mut Tone>) -> (Header, Vec<u8>) {
    let Mouth { tone, opus, .. } = &mut it.mouths[0];
    let mut samples = [0; 3 * FRAME];
    other.unwrap_or(tone).fill(&mut samples);
    let mut packet = vec![0; OPUS_SAMPLES_MAX];
    let len = opus.encode(&samples, &mut packet).unwrap();
    packet.truncate(len);
    let timestamp = MediaTime(u32::from(n) * 2_880);
    (Header { timestamp, ..voice(Codec::Opus.offered_payload_type(), n) }, packet)
}

#[test]
fn a_lost_packet_of_60_ms_is_heard_and_on_tape_from_the_copy_in_the_one_behind_it() {
    // How much is heard, and on tape, of what was said in the lost packets alone.
    let heard = |loss_percent: u8| {
        let mut it = Pair::new(Codec::Opus, Codec::Pcma);
        let config = OpusConfig { loss_percent, ..OpusConfig::default() };
        *it.mouths[0].opus = OpusEncoder::new(config).unwrap();
        it.record();
        let mut lost = Tone::new(LOST_HZ, 8_000);
        for n in 0..150 {
            let is_lost = n % 10 == 9;
            let (header, packet) = packet(&mut it, n, is_lost.then_some(&mut lost));
            if !is_lost {
                it.house.say(CALLER, header, &packet);
            }
            it.pass(60);
        }
        let [tape, _] = it.recorded();
        [&it.ears[1].samples, &tape].map(|it| {
            // The last ones, when the delay has grown enough.
            let frames = it[24_000..].chunks_exact(FRAME);
            frames.filter(|it| strength(it, LOST_HZ) > 0.5).count()
        })
    };
    let (copied, guessed) = (heard(30), heard(0));
    assert!(copied.iter().all(|it| *it >= 12) && guessed == [0, 0], "{copied:?} {guessed:?}");
}

#[test]
fn packets_of_whatever_codec_that_are_lost_are_told_by_the_tape_and_pauses_are_not() {
    for codec in SPOKEN {
        let mut it = Pair::new(codec, Codec::Pcma);
        it.record();
        it.talk(600);
        // Of one nothing is noticed; thirty; and then a pause as long.
        for (lost, paused) in [(1, 0), (30, 0), (0, 30)] {
            (0..lost).for_each(|_| drop(it.mouths[0].next()));
            it.mouths[0].paused += paused;
            it.mouths[1].paused += lost + paused;
            it.house.wait(u64::from(lost + paused) * 20);
            // Whoever hears him hears that packets are missing, too.
            it.house.heard(AGENT);
            it.ears[1].last = None;
            it.talk(600);
        }
        it.house.task(Task::EndRecord { tape: slot(0) });
        it.house.wait(300);
        let mut told = Vec::new();
        while let Ok(filled) = it.house.filled.pop() {
            if let Filled::Block(block) = filled {
                let [left, right] = block.missing();
                told.extend(left.lost);
                assert_eq!(right.lost, None, "{codec}");
            }
        }
        // Where it is decoded the first 100 ms were made up for.
        let [(from, to)] = told[..] else { panic!("{codec}: {told:?}") };
        let least = if codec.is_g711() { 4_800 } else { 3_600 };
        assert!((least..=4_900).contains(&(to - from)), "{codec}: {} samples", to - from);
    }
}

/// The share of frames in which the caller is heard, and in which he is on tape.
fn shares(seed: u64, loses: u64, delays: u64) -> [f64; 2] {
    let mut it = Pair::new(Codec::Opus, Codec::Pcma);
    it.record();
    let (mut random, mut late) = (Random::new(seed), None);
    for n in 0..190 {
        let (header, packet) = packet(&mut it, n, None);
        let (is_lost, is_late) = (random.chance(loses), random.chance(delays));
        if !is_lost && is_late && late.is_none() {
            late = Some((header, packet));
            it.pass(60);
            continue;
        }
        if !is_lost {
            it.house.say(CALLER, header, &packet);
        }
        if let Some((header, packet)) = late.take() {
            it.house.say(CALLER, header, &packet);
        }
        it.pass(60);
    }
    let [tape, _] = it.recorded();
    [&it.ears[1].samples, &tape].map(|it| {
        let frames = it.chunks_exact(FRAME);
        let said = frames.clone().filter(|it| strength(it, CALLER_HZ) > 0.8).count();
        f64::from(u32::try_from(said).unwrap()) / f64::from(u32::try_from(frames.len()).unwrap())
    })
}

#[test]
fn what_is_heard_through_loss_and_reorder_is_on_tape_as_well() {
    for (loses, delays, least) in
        [(0, 0, 0.99), (5, 0, 0.9), (0, 5, 0.97), (0, 10, 0.97), (5, 5, 0.9), (10, 10, 0.84)]
    {
        for seed in 1..=3 {
            let [ear, tape] = shares(seed, loses, delays);
            let told = format!("{loses} % lost, {delays} % late, {seed}: {ear:.3} and {tape:.3}");
            assert!(ear >= least && tape >= ear - 0.03, "{told}");
        }
    }
}
