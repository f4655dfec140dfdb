//! Figures as who watches reads them.

use super::*;

#[test]
fn the_intake_of_media_is_a_gauge_that_follows_it() {
    let all = Metrics::default();
    let meters = Meters::new(all.clone());
    for sk_lookup in [true, false, true] {
        meters.media(&Figures { sk_lookup, ..Figures::default() });
        let line = ["hotline_media_sk_lookup", if sk_lookup { "1" } else { "0" }].join(" ");
        assert!(all.render().lines().any(|it| it == line), "{}", all.render());
    }
}
