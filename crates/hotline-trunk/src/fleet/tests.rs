//! Stories of gateways.

use std::time::Duration;

use super::*;
use crate::{GatewayTransport, Limits};

fn fleet() -> Fleet {
    let gateway = |n: u8, priority| GatewayConfig {
        address: SocketAddr::from(([10, 0, 0, n], 5060)),
        transport: GatewayTransport::Udp,
        priority,
        weight: 1,
    };
    let trunk = TrunkConfig {
        id: TrunkId::new("telecom"),
        sources: Vec::new(),
        channels_max: 2,
        prack: true,
        early_media: true,
        busy_tone_ends: false,
        keys_by_info: false,
        limits: Limits::default(),
        gateways: vec![gateway(1, 10), gateway(2, 20)],
        probes: true,
        accounts: Vec::new(),
        numbers: Vec::new(),
        area_code: None,
        city: None,
    };
    Fleet::new([&trunk], MonoTime(0))
}

fn telecom(place: usize) -> GatewayId {
    GatewayId { trunk: TrunkId::new("telecom"), place }
}

/// Lets time pass; only gateways in `answering` answer, with this status.
fn pass(it: &mut Fleet, from: u64, to: u64, answering: &[u8], status: u16) -> Vec<FleetOutput> {
    let mut changes = Vec::new();
    for millis in (from..to).step_by(100) {
        let now = MonoTime(0) + Duration::from_millis(millis);
        it.handle_timeout(now);
        while let Some(output) = it.poll_output() {
            match output {
                FleetOutput::Ask { probe, gateway } => {
                    let ip = gateway.address.ip().to_string();
                    if answering.iter().any(|n| ip.ends_with(&n.to_string())) {
                        it.probed(probe, status, now);
                    }
                }
                FleetOutput::Changed { .. } => changes.push(output),
            }
        }
    }
    changes
}

#[test]
fn probes_are_counted_with_their_round_trip_and_a_life_has_its_beginning() {
    let mut it = fleet();
    let at = |millis| MonoTime(0) + Duration::from_millis(millis);
    let state = |it: &Fleet, n: usize| it.gateways(&TrunkId::new("telecom")).nth(n).unwrap().1;
    let ask = |it: &mut Fleet, now| {
        it.handle_timeout(now);
        let mut asked = Vec::new();
        while let Some(output) = it.poll_output() {
            if let FleetOutput::Ask { probe, .. } = output {
                asked.push(probe);
            }
        }
        asked
    };
    let [first, second] = ask(&mut it, at(0))[..] else { panic!("both are asked") };
    it.probed(first, 200, at(30));
    it.probed(second, 503, at(40));
    let good = Probes { n_good: 1, n_failed: 0, round_trip: Some(Duration::from_millis(30)) };
    assert_eq!(state(&it, 0), GatewayState { lives: true, probed: Some((at(0), good)) });
    let bad = Probes { n_good: 0, n_failed: 1, round_trip: None };
    assert_eq!(state(&it, 1), GatewayState { lives: true, probed: Some((at(0), bad)) });
    // A doubt is asked at once, and nobody answers.
    assert_eq!(ask(&mut it, at(40)).len(), 1);
    assert_eq!(ask(&mut it, at(1_640)), []);
    let dead = Probes { n_failed: 2, ..bad };
    assert_eq!(state(&it, 1), GatewayState { lives: false, probed: Some((at(1_640), dead)) });
}

#[test]
fn a_dead_gateway_is_tried_last_until_it_is_back() {
    let mut it = fleet();
    let mut random = Random::new(1);
    let trunk = TrunkId::new("telecom");
    assert_eq!(it.order(&trunk, &mut random), [telecom(0), telecom(1)]);
    let changes = pass(&mut it, 0, 10_000, &[2], 200);
    let address = it.config(&telecom(0)).unwrap().address;
    let dead = FleetOutput::Changed { gateway: telecom(0), address, lives: false };
    assert_eq!(changes, [dead]);
    assert_eq!(it.order(&trunk, &mut random), [telecom(1), telecom(0)]);
    assert!(it.living(&trunk) == 1 && !it.lives(&telecom(0)));
    let changes = pass(&mut it, 10_000, 20_000, &[1, 2], 404);
    let back = FleetOutput::Changed { gateway: telecom(0), address, lives: true };
    assert_eq!(changes, [back], "any answer but 408 and 503 is a sign of life");
    assert_eq!(it.order(&trunk, &mut random), [telecom(0), telecom(1)]);
}

#[test]
fn a_gateway_that_says_503_takes_no_calls() {
    let mut it = fleet();
    assert_eq!(pass(&mut it, 0, 10_000, &[1, 2], 503).len(), 2);
    assert_eq!(it.living(&TrunkId::new("telecom")), 0);
}

#[test]
fn an_answer_to_an_earlier_probe_is_ignored() {
    let mut it = fleet();
    it.handle_timeout(MonoTime(0));
    let Some(FleetOutput::Ask { probe, .. }) = it.poll_output() else { panic!("no probe") };
    pass(&mut it, 0, 10_000, &[], 200);
    it.probed(probe, 200, MonoTime(0) + Duration::from_secs(10));
    assert!(!it.lives(&telecom(0)) && it.poll_output().is_none());
}
