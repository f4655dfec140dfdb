//! Legs outlive the process that served them.

use hotline_base::{
    LegId,
    media::{Event, Order, Profile, VERSION},
};
use rustix::fs::{MemfdFlags, memfd_create};

use super::rig::{Control, Dir, Phone, Rig, config_in, port_of};
use crate::resume;

/// A control's first word, and the legs it is told of.
fn greet(control: &mut Control) -> Vec<LegId> {
    control.order(&Order::Hello { version: VERSION });
    let Event::Inventory { legs, .. } = control.event() else { panic!("no inventory") };
    legs
}

#[test]
fn the_next_process_brings_legs_back_on_their_ports_and_parties_hear_each_other_again() {
    let memory = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
    let dir = Dir::new();
    let config = config_in(&dir.0);
    let media = resume(config.clone(), memory.try_clone().unwrap()).unwrap();
    let mut control = Control::attach(&media);
    assert_eq!(greet(&mut control), []);
    let mut rig = Rig { media, control, dir };
    let mut caller = rig.phone(1, 440);
    // The agent is called by us; another telephone has not answered yet, and one has gone.
    let mut agent = Phone::new(2, 700);
    for leg in [2, 3] {
        let (leg, profile) = (LegId(leg), Profile::Plain);
        rig.control.order(&Order::Open { leg, offer: None, profile });
        let Event::Opened { sdp, .. } = rig.control.event() else { panic!("not opened") };
        if leg == agent.leg {
            agent.to.set_port(port_of(&sdp));
            let answer = agent.sdp("sendrecv");
            rig.control.order(&Order::Answer { leg, answer });
            assert_eq!(rig.control.event(), Event::Settled { leg, hold: false });
        }
    }
    let gone = rig.phone(4, 900);
    rig.control.order(&Order::Close { leg: gone.leg });
    assert!(matches!(rig.control.event(), Event::Closed { .. }));
    let Rig { media, control, dir } = rig;
    drop((media, control));

    let media = resume(config.clone(), memory.try_clone().unwrap()).unwrap();
    assert_eq!(media.counters().legs_revived, 3);
    let mut control = Control::attach(&media);
    assert_eq!(greet(&mut control), [LegId(1), LegId(2), LegId(3)]);
    let mut rig = Rig { media, control, dir };
    rig.bridge(&caller, &agent);
    for _ in 0..10 {
        caller.say();
        agent.listen(1);
        agent.say();
        caller.listen(1);
    }
    // What was agreed is still there to be changed.
    let (leg, offer) = (caller.leg, caller.sdp("sendonly"));
    rig.control.order(&Order::Reoffer { leg, offer });
    assert!(matches!(rig.control.event(), Event::Reanswered { hold: true, .. }));
    for leg in [1, 2, 3] {
        rig.control.order(&Order::Close { leg: LegId(leg) });
        assert!(matches!(rig.control.event(), Event::Closed { .. }));
    }
    let Rig { media, control, dir } = rig;
    drop((media, control));
    let media = resume(config, memory).unwrap();
    assert_eq!(greet(&mut Control::attach(&media)), []);
    drop((media, dir));
}
