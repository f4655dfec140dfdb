//! Two workers: where calls go, and that they have nothing to do with each other.

use std::{thread, time::Instant};

use hotline_base::{
    ContextId, LegId, RecordingId,
    media::{Channel, Event, FailReason, FailedOrder, Hears, Order, Profile, VERSION},
};
use hotline_dsp::strength;
use rustix::fs::{MemfdFlags, memfd_create};

use super::{
    rig::{Control, Dir, PATIENCE, Phone, Rig, config_in},
    tapes::read,
};
use crate::{MediaConfig, MediaHandle, priority, resume};

fn rig() -> Rig {
    Rig::with(|it| it.workers = 2)
}

fn legs(media: &MediaHandle) -> Vec<u64> {
    media.counters().workers.iter().map(|it| it.legs).collect()
}

/// Two telephones of a call of their own, that hear each other.
fn call(rig: &mut Rig, n: u64) -> [Phone; 2] {
    let context = ContextId(n);
    let leg = 2 * n;
    let caller = rig.phone_in(context, Phone::new(leg, 440 + 100 * u32::try_from(n).unwrap()));
    let agent = rig.phone_in(context, Phone::new(leg + 1, 700 + 100 * u32::try_from(n).unwrap()));
    rig.bridge(&caller, &agent);
    [caller, agent]
}

fn assert_talk([caller, agent]: &mut [Phone; 2], n: u32) {
    let [mut by_agent, mut by_caller] = [vec![], vec![]];
    for _ in 0..25 {
        caller.say();
        by_agent.extend(agent.listen(1));
        agent.say();
        by_caller.extend(caller.listen(1));
    }
    assert!(strength(&by_agent, 440 + 100 * n) > 0.9 && strength(&by_caller, 700 + 100 * n) > 0.9);
}

#[test]
fn a_new_call_goes_to_the_worker_with_less_to_do_and_its_other_legs_beside_it() {
    let mut rig = rig();
    let mut leg = 0;
    let mut placed = |rig: &mut Rig, context| {
        leg += 1;
        let phone = rig.phone_in(ContextId(context), Phone::new(leg, 440));
        let counters = rig.media.counters();
        assert!(counters.workers.iter().all(|it| it.core.is_none()), "this role is not pinned");
        (phone, legs(&rig.media))
    };
    let (first, at) = placed(&mut rig, 1);
    assert_eq!(at, [0, 1]);
    let (second, at) = placed(&mut rig, 2);
    assert_eq!(at, [1, 1]);
    assert_eq!(placed(&mut rig, 2).1, [2, 1]);
    assert_eq!(placed(&mut rig, 2).1, [3, 1]);
    assert_eq!(placed(&mut rig, 3).1, [3, 2]);
    assert_eq!(placed(&mut rig, 1).1, [3, 3]);
    // A call that lost the leg that it came with stays where it is.
    for it in [first, second] {
        rig.control.order(&Order::Close { leg: it.leg });
        assert!(matches!(rig.control.event(), Event::Closed { .. }));
    }
    assert_eq!(legs(&rig.media), [2, 2]);
    assert_eq!(placed(&mut rig, 1).1, [2, 3]);
    assert_eq!(placed(&mut rig, 2).1, [3, 3]);
}

#[test]
fn a_worker_that_is_too_busy_is_passed_over_and_with_none_left_a_call_is_refused() {
    // Any worker that has a leg is too busy for a call; with nothing to do it has room for others.
    let mut rig = Rig::with(|it| (it.workers, it.busy_max) = (2, 0));
    let mut open = |leg, context| {
        let (leg, profile, context) = (LegId(leg), Profile::Plain, ContextId(context));
        rig.control.order(&Order::Open { leg, offer: None, profile, context });
        let event = rig.control.event();
        let (order, reason) = (FailedOrder::Open, FailReason::Busy);
        let refused = event == Event::Failed { leg, order, reason };
        assert!(refused || matches!(event, Event::Opened { .. }), "{event:?}");
        !refused
    };
    assert!(open(1, 1) && open(2, 2) && !open(3, 3));
    assert!(open(4, 1) && open(5, 2), "these are calls that were taken");
    assert_eq!(legs(&rig.media), [2, 2]);
    assert_eq!(rig.media.counters().legs_refused, 1);
}

#[test]
fn calls_on_two_workers_are_heard_and_recorded_at_once_and_never_by_each_other() {
    let mut rig = rig();
    let mut calls = [1, 2].map(|n| call(&mut rig, n));
    assert_eq!(legs(&rig.media), [2, 2]);
    for [caller, agent] in &calls {
        let recording = RecordingId::new(&format!("r-{}", caller.leg));
        let (path, left, right) = (format!("{recording}.wav"), caller.leg, agent.leg);
        rig.control.order(&Order::Record { recording, path, left, right });
    }
    // Who asks for it anyway hears nobody, and his recording does not hold the other call.
    let [[first, _], [second, _]] = &calls;
    let third = rig.phone_in(ContextId(1), Phone::new(9, 0));
    let hears = vec![Hears { listener: third.leg, speakers: vec![second.leg] }];
    rig.control.order(&Order::Mix { hears });
    let source = |recording: &str, legs| Order::RecordSource {
        recording: RecordingId::new(recording),
        channel: Channel::Left,
        legs,
    };
    rig.control.order(&source("r-2", vec![first.leg, second.leg]));
    rig.control.order(&Order::Hello { version: VERSION });
    assert!(matches!(rig.control.event(), Event::Inventory { .. }));
    assert_eq!(rig.media.counters().mixes_refused, 2);
    // Music is the clock, a frame each 20 ms.
    rig.dir.prompt("music", 440, 1_000);
    let clock = rig.phone_in(ContextId(3), Phone::new(10, 0));
    rig.play(clock.leg, 1, &["music"], 0);
    for _ in 0..50 {
        clock.listen(1);
        for [caller, agent] in &mut calls {
            caller.say();
            agent.say();
        }
    }
    for [caller, agent] in &calls {
        agent.listen(40);
        caller.listen(40);
    }
    assert!(third.listen(20).iter().all(|it| it.unsigned_abs() <= 8), "silence alone");
    for n in [1, 2_u32] {
        let recording = RecordingId::new(&format!("r-{}", 2 * n));
        rig.control.order(&Order::StopRecord { recording: recording.clone() });
        let Event::Recorded(it) = rig.control.event() else { panic!("not recorded") };
        assert_eq!((it.recording, it.n_gaps), (recording.clone(), 0));
        let (left, right) = read(&rig.dir.recordings().join(format!("{recording}.wav")));
        // Of 50 frames each, less those at which a machine that stands still moved his place.
        let says = |side: &[i16], hz| side.chunks(160).filter(|it| strength(it, hz) > 0.8).count();
        for (side, base) in [(left, 440), (right, 700)] {
            let (own, other) = (says(&side, base + 100 * n), says(&side, base + 100 * (3 - n)));
            // A frame in which he begins or ends may look like anything.
            assert!(own >= 25 && other <= 2, "{n}: {own} frames, {other} of the other call");
        }
    }
}

#[test]
fn after_a_death_calls_are_back_on_the_workers_that_they_had() {
    let memory = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
    let dir = Dir::new();
    let mut config = config_in(&dir.0);
    config.workers = 2;
    let start = |config: &MediaConfig| {
        let media = resume(config.clone(), memory.try_clone().unwrap()).unwrap();
        let mut control = Control::attach(&media);
        control.order(&Order::Hello { version: VERSION });
        assert!(matches!(control.event(), Event::Inventory { .. }));
        (media, control)
    };
    let (media, control) = start(&config);
    let mut rig = Rig { media, control, dir };
    let mut calls = [1, 2, 3].map(|n| call(&mut rig, n));
    assert_eq!(legs(&rig.media), [2, 4]);
    // With as many workers as before, and then with one.
    for workers in [2, 1] {
        config.workers = workers;
        let Rig { media, control, dir } = rig;
        drop((media, control));
        let (media, control) = start(&config);
        rig = Rig { media, control, dir };
        let expected: &[u64] = if workers == 2 { &[2, 4] } else { &[6] };
        assert_eq!(legs(&rig.media), expected);
        for (it, n) in calls.iter_mut().zip(1..) {
            rig.bridge(&it[0], &it[1]);
            // The next process sent silence until now.
            for phone in it.iter_mut() {
                phone.forget_stream(&rig.media);
            }
            assert_talk(it, n);
        }
    }
    rig.phone_in(ContextId(1), Phone::new(20, 440));
    assert_eq!(legs(&rig.media), [7]);
}

#[test]
fn two_pinned_workers_have_cores_of_their_own_and_say_so() {
    let rig = Rig::with(|it| (it.workers, it.pin) = (2, true));
    let until = Instant::now() + PATIENCE;
    // Each says so as the first thing that it does.
    let said = loop {
        let said: Vec<_> = rig.media.counters().workers.iter().map(|it| it.core).collect();
        if said.iter().all(Option::is_some) {
            break said;
        }
        if priority::cores().is_empty() {
            return assert_eq!(said, [None, None], "there is one core");
        }
        assert!(Instant::now() < until, "{said:?}");
        thread::yield_now();
    };
    let cores = priority::cores();
    let expected = [0, 1].map(|it| u32::try_from(cores[it]).ok());
    assert_eq!(said, expected);
}
