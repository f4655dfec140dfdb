//! What control is told of the room that there is.

use std::time::{Duration, Instant};

use hotline_base::{
    ContextId, LegId,
    media::{Event, FailReason, FailedOrder, Order, Profile, VERSION},
};

use super::rig::{Control, Rig};

/// Before the desk wakes for its figures, five seconds after the start.
const SOON: Duration = Duration::from_secs(3);

/// Waits until there is room for so many legs, and says for how many ports.
fn ports_with(control: &mut Control, room: u32) -> u32 {
    let deadline = Instant::now() + SOON;
    loop {
        let event = control.any_event();
        if let Event::Room { legs, ports } = event
            && legs == room
        {
            return ports;
        }
        assert!(Instant::now() < deadline, "{event:?} and no room for {room}");
    }
}

fn until(control: &mut Control, (legs, ports): (u32, u32)) {
    while ports_with(control, legs) != ports {}
}

fn hello(control: &mut Control) {
    control.order(&Order::Hello { version: VERSION });
}

fn open(control: &mut Control, leg: u64) {
    let (leg, context) = (LegId(leg), ContextId(leg));
    control.order(&Order::Open { leg, offer: None, profile: Profile::Plain, context });
}

#[test]
fn control_is_told_of_places_and_ports_and_another_control_at_once() {
    let mut rig = Rig::with(|it| it.ports = *it.ports.start()..=it.ports.start() + 39);
    hello(&mut rig.control);
    until(&mut rig.control, (16, 20));
    for leg in 1..=3 {
        open(&mut rig.control, leg);
    }
    until(&mut rig.control, (13, 17));
    // A port rests for a while.
    rig.control.order(&Order::Close { leg: LegId(1) });
    until(&mut rig.control, (14, 17));
    let mut next = Control::attach(&rig.media);
    hello(&mut next);
    until(&mut next, (14, 17));
}

#[test]
fn where_there_is_no_room_none_is_told_before_a_leg_is_refused() {
    let mut rig = Rig::with(|it| it.legs_max = 2);
    hello(&mut rig.control);
    let ports = ports_with(&mut rig.control, 2);
    open(&mut rig.control, 1);
    open(&mut rig.control, 2);
    until(&mut rig.control, (0, ports - 2));
    open(&mut rig.control, 3);
    let (leg, order, reason) = (LegId(3), FailedOrder::Open, FailReason::Busy);
    assert_eq!(rig.control.event(), Event::Failed { leg, order, reason });
}

#[test]
fn a_worker_that_may_not_be_busy_has_room_for_none_while_it_has_a_leg() {
    let mut rig = Rig::with(|it| (it.busy_max, it.workers) = (0, 1));
    hello(&mut rig.control);
    let ports = ports_with(&mut rig.control, 16);
    open(&mut rig.control, 1);
    until(&mut rig.control, (0, ports - 1));
    rig.control.order(&Order::Close { leg: LegId(1) });
    until(&mut rig.control, (16, ports - 1));
}
