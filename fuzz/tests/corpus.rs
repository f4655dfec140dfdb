//! Every input that is kept is run again, in every build: none may panic or hold more than 1 MiB.
//! That none takes longer than 10 ms is measured by `make fuzz`, at the speed of what is shipped.

use hotline_base::Random;
use hotline_fuzz::{TARGETS, corpus, meter, mutate, script, target};

#[test]
fn every_kept_input_is_taken_without_a_panic_and_within_a_mebibyte() {
    for target in TARGETS {
        let all = corpus::of(target.name).unwrap();
        assert!(all.len() >= 10, "{} has {}", target.name, all.len());
        for it in all {
            let (trace, cost) = meter::once(|| (target.run)(&it.bytes));
            assert!(trace.is_some(), "{} panics", it.name);
            assert!(cost.bytes <= meter::BYTES_MAX, "{} holds {} bytes", it.name, cost.bytes);
        }
    }
}

#[test]
fn the_same_seed_spoils_an_input_in_the_same_way() {
    let spoilt = |seed| {
        let mut random = Random::new(seed);
        let all = (0..50)
            .map(|_| mutate::mutate(b"INVITE 1\r\nVia: 2\r\n", b"x", &["y"], 99, &mut random));
        all.collect::<Vec<_>>()
    };
    assert_eq!(spoilt(1), spoilt(1));
    assert_ne!(spoilt(1), spoilt(2));
    assert!(spoilt(1).iter().all(|it| it.len() <= 99));
}

/// `HOTLINE_STORIES=10000` tells as many as the class asks for.
#[test]
fn v14_calls_that_cross_in_any_order_end_once_and_leave_nothing() {
    let dialog = target("dialog").unwrap();
    let mut random = Random::new(14);
    let n_stories = std::env::var("HOTLINE_STORIES").map_or(1_000, |it| it.parse().unwrap());
    for _ in 0..n_stories {
        let text = script(16, &mut random);
        let (trace, _) = meter::once(|| (dialog.run)(text.as_bytes()));
        assert!(trace.is_some(), "{text}");
    }
}
