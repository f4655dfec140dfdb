//! Calls outlive the control that set them up.

use std::time::Duration;

use hotline_base::{
    ContextId, LegId, RecordingId,
    media::{Event, FailReason, FailedOrder, Order, Profile, VERSION},
};

use super::rig::{CONTEXT, Control, Rig};

#[test]
fn when_control_dies_the_parties_go_on_and_the_next_control_finds_them() {
    let mut rig = Rig::new();
    let (mut caller, mut agent) = (rig.phone(1, 440), rig.phone(2, 700));
    rig.bridge(&caller, &agent);
    let recording = RecordingId::new("r1");
    let (path, left, right) = ("r1.wav".to_owned(), caller.leg, agent.leg);
    rig.control.order(&Order::Record { recording: recording.clone(), path, left, right });
    rig.control.order(&Order::Close { leg: LegId(77) });
    rig.control.order(&Order::Hello { version: VERSION });
    rig.control.event();

    let dead = rig.control;
    drop(dead);
    for _ in 0..10 {
        caller.say();
        agent.listen(1);
        agent.say();
        caller.listen(1);
    }
    // Nobody is there to hear it.
    caller.press('1');
    agent.hear();

    let mut control = Control::attach(&rig.media);
    control.order(&Order::Hello { version: VERSION });
    let Event::Inventory { legs, recordings, .. } = control.event() else { panic!("no inventory") };
    assert_eq!((legs, &recordings[..]), (vec![caller.leg, agent.leg], &[recording.clone()][..]));
    assert_eq!(rig.media.counters().events_dropped, 1);
    control.order(&Order::StopRecord { recording: recording.clone() });
    let Event::Recorded(recorded) = control.event() else { panic!("not recorded") };
    assert_eq!(recorded.recording, recording);

    // The end of a leg is told to whoever comes next, unless the one who ordered it lived to be
    // told; and so is a recording once more.
    control.order(&Order::Close { leg: caller.leg });
    drop(control);
    let mut control = Control::attach(&rig.media);
    control.order(&Order::Hello { version: VERSION });
    let (mut closed, mut recorded_again) = (false, false);
    while !(closed && recorded_again) {
        let event = control.event();
        closed |= matches!(&event, Event::Closed { .. })
            || matches!(&event, Event::Inventory { legs, .. } if !legs.contains(&caller.leg));
        recorded_again |= matches!(&event, Event::Recorded(it) if it.recording == recording);
    }
}

#[test]
fn a_new_link_takes_the_place_of_the_old_one() {
    let mut rig = Rig::new();
    let caller = rig.phone(1, 440);
    let mut next = Control::attach(&rig.media);
    assert!(rig.control.is_over());
    next.order(&Order::Hello { version: VERSION });
    assert!(matches!(next.event(), Event::Inventory { legs, .. } if legs == [caller.leg]));
}

/// More than may wait unread, which once broke each new link anew.
#[test]
fn a_new_link_is_told_again_of_all_recordings_that_were_reported_lately() {
    const ALL: usize = 33_000;
    const AT_ONCE: usize = 100;
    let mut rig = Rig::new();
    for n in 0..ALL / AT_ONCE {
        for i in 0..AT_ONCE {
            let recording = RecordingId::new(&format!("r-{n}-{i}"));
            let (path, left, right) = ("../outside.wav".to_owned(), LegId(1), LegId(2));
            rig.control.order(&Order::Record { recording, path, left, right });
        }
        for _ in 0..AT_ONCE {
            assert!(matches!(rig.control.event(), Event::RecordFailed { .. }));
        }
    }
    let mut next = Control::attach(&rig.media);
    next.order(&Order::Hello { version: VERSION });
    assert!(matches!(next.event(), Event::Inventory { .. }));
    for _ in 0..ALL {
        assert!(matches!(next.event(), Event::RecordFailed { .. }));
    }
    assert_eq!(rig.media.counters().links_dropped, 0);
}

#[test]
fn a_control_of_another_version_or_without_manners_is_let_go() {
    let rig = Rig::new();
    let cases = [
        borsh::to_vec(&Order::Hello { version: VERSION + 1 }).unwrap(),
        borsh::to_vec(&Order::Open {
            leg: LegId(1),
            offer: None,
            profile: Profile::Plain,
            context: CONTEXT,
        })
        .unwrap(),
        b"\xFF\xFF\xFF".to_vec(),
    ];
    for body in cases {
        let mut control = Control::attach(&rig.media);
        control.write(&u32::try_from(body.len()).unwrap().to_be_bytes());
        control.write(&body);
        assert!(control.is_over());
    }
    let mut control = Control::attach(&rig.media);
    control.write(&u32::MAX.to_be_bytes());
    assert!(control.is_over());
    assert_eq!(rig.media.counters().links_dropped, 4);
}

#[test]
fn a_closed_ports_rest_ends() {
    let mut rig = Rig::with(|it| {
        it.ports = *it.ports.start()..=it.ports.start() + 1;
        it.port_quarantine = Duration::from_millis(50);
    });
    let caller = rig.phone(1, 440);
    rig.control.order(&Order::Close { leg: caller.leg });
    assert!(matches!(rig.control.event(), Event::Closed { .. }));
    let mut leg = 2;
    loop {
        rig.control.order(&Order::Open {
            leg: LegId(leg),
            offer: None,
            profile: Profile::Plain,
            context: CONTEXT,
        });
        if let Event::Opened { .. } = rig.control.event() {
            break;
        }
        leg += 1;
    }
}

#[test]
fn a_busy_worker_takes_no_call_and_the_legs_of_those_that_it_has() {
    // Any worker is too busy for a call; with nothing to do it has room for other legs.
    let mut rig = Rig::with(|it| (it.busy_max, it.workers) = (0, 1));
    rig.phone(1, 440);
    let refused =
        |leg| Event::Failed { leg: LegId(leg), order: FailedOrder::Open, reason: FailReason::Busy };
    let open = |leg, context| {
        let (offer, profile) = (None, Profile::Plain);
        Order::Open { leg: LegId(leg), offer, profile, context }
    };
    rig.control.order(&open(2, ContextId(2)));
    assert_eq!(rig.control.event(), refused(2));
    rig.control.order(&open(3, CONTEXT));
    assert!(matches!(rig.control.event(), Event::Opened { leg: LegId(3), .. }));
    assert_eq!(rig.media.counters().legs_refused, 1);
    // Without a leg there is nothing to be busy with.
    for leg in [1, 3] {
        rig.control.order(&Order::Close { leg: LegId(leg) });
        assert!(matches!(rig.control.event(), Event::Closed { .. }));
    }
    rig.phone(4, 440);
}
