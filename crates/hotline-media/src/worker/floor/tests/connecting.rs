//! When a leg's port hears the peer alone.

use super::*;

/// What the ports were told since this was asked.
fn told(it: &mut House) -> Vec<(u32, Option<SocketAddr>)> {
    std::mem::take(&mut it.wire.connected)
}

#[test]
fn a_port_hears_the_peer_alone_from_when_he_speaks_until_he_is_silent() {
    let mut it = House::new();
    assert_eq!(told(&mut it), [], "nobody spoke");
    for n in 0..100 {
        it.say(CALLER, voice(8, n), &[1; 160]);
        it.wait(20);
    }
    assert_eq!(told(&mut it), [(CALLER, Some(address(CALLER)))], "once, not for each packet");
    // Before anybody else of his host may take his place, which is after three seconds.
    it.wait(2_000);
    assert_eq!(told(&mut it), [(CALLER, None)]);
    let moved = SocketAddr::new(address(CALLER).ip(), 9_000);
    it.wait(1_500);
    it.say_from(moved, CALLER, voice(8, 101), &[1; 160]);
    assert_eq!(told(&mut it), [], "the described address is always heard as well");
    it.say(CALLER, voice(8, 102), &[1; 160]);
    assert_eq!(told(&mut it), [(CALLER, Some(address(CALLER)))]);
}

#[test]
fn a_new_address_is_heard_at_once_and_the_same_one_again_changes_nothing() {
    let mut it = House::new();
    it.say(CALLER, voice(8, 10), &[1; 160]);
    told(&mut it);
    let same = stream(CALLER, Codec::Pcma, 101);
    it.task(Task::Settle { leg: slot(CALLER), stream: same });
    assert_eq!(told(&mut it), []);
    let elsewhere = Stream { address: SocketAddr::from(([203, 0, 113, 9], 4_000)), ..same };
    it.task(Task::Settle { leg: slot(CALLER), stream: elsewhere });
    assert_eq!(told(&mut it), [(CALLER, None)]);
    it.say_from(elsewhere.address, CALLER, voice(8, 11), &[1; 160]);
    assert_eq!(told(&mut it), [(CALLER, Some(elsewhere.address))]);
}

#[test]
fn who_is_not_where_he_said_or_is_found_by_ice_leaves_the_port_to_everybody() {
    let mut it = House::new();
    let behind_nat = SocketAddr::new(address(CALLER).ip(), 9_000);
    it.say_from(behind_nat, CALLER, voice(8, 10), &[1; 160]);
    assert_eq!(it.heard(AGENT).len(), 1, "he is heard");
    it.open_guest(2, Codec::Pcma, 101);
    it.say_from(address(2), 2, voice(8, 10), &[1; 160]);
    assert_eq!(told(&mut it), []);
}
