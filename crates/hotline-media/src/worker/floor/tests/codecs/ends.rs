//! The last words before a recording ends, or before a party leaves it: they wait to be decoded, and
//! are on tape all the same. What is said afterwards is not.

use super::*;

const AFTERWARDS_HZ: u32 = 1_900;

/// How much of each of the last frames is the caller's tone, the last one first.
fn ending(side: &[i16]) -> Vec<f64> {
    side.rchunks_exact(FRAME).take(10).map(|it| strength(it, CALLER_HZ)).collect()
}

#[track_caller]
fn is_whole(side: &[i16], what: &str) {
    let shares = ending(side);
    // The frame at the end may be a part of one.
    assert!(shares[1..].iter().all(|it| *it > 0.8), "{what}: {shares:?}");
    let afterwards = side.rchunks_exact(FRAME).map(|it| strength(it, AFTERWARDS_HZ));
    assert!(afterwards.take(10).all(|it| it < 0.1), "{what}: what was said afterwards");
}

/// A caller whose recording runs, and who speaks over a network that stalls now and then, so that
/// what he says waits for 100 ms.
fn speaking(codec: Codec) -> Pair {
    let mut it = Pair::new(codec, Codec::Pcma);
    it.record();
    it.talk(200);
    for _ in 0..3 {
        let waits: Vec<_> = (0..4).map(|_| it.mouths[0].next()).collect();
        it.mouths[1].paused += 4;
        it.pass(80);
        for (header, audio) in waits {
            it.house.say(CALLER, header, &audio);
        }
    }
    it.talk(400);
    it
}

fn n_samples(it: &Pair) -> usize {
    usize::try_from(it.house.now.since(MonoTime::default()).as_millis()).unwrap() * 8
}

fn says_something_else(it: &mut Pair) {
    it.mouths[0].tone = Tone::new(AFTERWARDS_HZ, 8_000);
    it.talk(600);
}

#[test]
fn the_last_words_before_a_recording_is_stopped_are_on_tape_and_the_next_are_not() {
    for codec in SPOKEN {
        let mut it = speaking(codec);
        let length = n_samples(&it);
        it.house.task(Task::EndRecord { tape: slot(0) });
        says_something_else(&mut it);
        assert!(it.house.reported().contains(&"tape done".to_owned()), "{codec}");
        let [left, right] = it.tape();
        assert_eq!([left.len(), right.len()], [length; 2], "{codec}");
        is_whole(&left, &codec.to_string());
    }
}

#[test]
fn the_last_words_before_a_party_hangs_up_are_on_tape() {
    for codec in SPOKEN {
        for stops_first in [false, true] {
            let mut it = speaking(codec);
            let length = n_samples(&it);
            let (close, stop) =
                (Task::Close { leg: slot(CALLER) }, Task::EndRecord { tape: slot(0) });
            for task in if stops_first { [stop, close] } else { [close, stop] } {
                it.house.task(task);
            }
            it.house.wait(100);
            assert!(it.house.reported().contains(&"tape done".to_owned()), "{codec}");
            let [left, _] = it.tape();
            assert_eq!(left.len(), length, "{codec}");
            is_whole(&left, &format!("{codec} {stops_first}"));
        }
    }
}

#[test]
fn the_last_words_before_media_stops_are_on_tape() {
    for codec in SPOKEN {
        let mut it = speaking(codec);
        let length = n_samples(&it);
        let House { floor, wire, now, .. } = &mut it.house;
        assert!(!floor.carry_out(Task::Quit, wire, *now));
        assert!(it.house.reported().contains(&"tape done".to_owned()), "{codec}");
        let [left, _] = it.tape();
        assert_eq!(left.len(), length, "{codec}");
        is_whole(&left, &codec.to_string());
    }
}

#[test]
fn who_leaves_a_recording_that_goes_on_is_on_it_to_his_last_word_and_comes_back_whole() {
    for codec in SPOKEN {
        let mut it = speaking(codec);
        let left_at = n_samples(&it);
        let leave = |legs: &[u32]| Task::Source {
            tape: slot(0),
            channel: Channel::Left,
            legs: legs.iter().map(|it| slot(*it)).collect(),
        };
        it.house.task(leave(&[]));
        says_something_else(&mut it);
        // He is back, and gone and back within a moment, of which nothing is for the tape.
        it.mouths[0].tone = Tone::new(CALLER_HZ, 8_000);
        it.house.task(leave(&[CALLER]));
        it.talk(300);
        it.house.task(leave(&[]));
        it.mouths[0].tone = Tone::new(AFTERWARDS_HZ, 8_000);
        it.talk(60);
        it.mouths[0].tone = Tone::new(CALLER_HZ, 8_000);
        it.house.task(leave(&[CALLER]));
        it.talk(300);
        let [left, _] = it.recorded();
        is_whole(&left[..left_at], &codec.to_string());
        is_whole(&left, &format!("{codec}, back"));
        let apart = left.chunks(FRAME).map(|it| strength(it, AFTERWARDS_HZ));
        assert!(apart.into_iter().all(|it| it < 0.2), "{codec}: he had left");
    }
}

/// Parts that are stopped and begun within a moment: each has its own place on the leg.
#[test]
fn a_recording_that_begins_goes_before_the_last_words_of_others() {
    for codec in SPOKEN {
        let mut it = Pair::new(codec, Codec::Pcma);
        for n in 0..4 {
            let (left, right) = (Some(slot(CALLER)), Some(slot(AGENT)));
            it.house.task(Task::Record { tape: slot(n), left, right, key: 1 });
            it.talk(40);
            if n < 3 {
                it.house.task(Task::EndRecord { tape: slot(n) });
            }
        }
        it.talk(400);
        while it.house.filled.pop().is_ok() {}
        it.talk(600);
        it.house.task(Task::EndRecord { tape: slot(3) });
        it.house.wait(300);
        let [left, _] = it.tape();
        is_whole(&left, &codec.to_string());
        assert_eq!(it.house.floor.out.counters.snapshot().mixes_refused, 0, "{codec}");
        let done = it.house.reported().iter().filter(|it| *it == "tape done").count();
        assert_eq!(done, 4, "{codec}");
    }
}
