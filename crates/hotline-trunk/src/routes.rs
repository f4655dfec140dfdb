//! Which trunks take an outgoing call: routes by called number, time, city and cost.

use hotline_base::{TrunkId, WallTime};

/// One row of the table of ways out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RouteConfig {
    /// Beginnings of normalised called numbers; the empty one is every number.
    pub prefixes: Vec<String>,
    /// GB/T 2260 codes of the callers and agents it is for; none means everybody.
    pub cities: Vec<String>,
    /// When it is open; none means always.
    pub hours: Vec<Hours>,
    /// Of routes that fit equally well the cheapest is taken.
    pub cost: u32,
    /// In this order.
    pub trunks: Vec<TrunkId>,
}

/// A part of some days of the week, in Beijing time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hours {
    /// Monday first.
    pub days: [bool; 7],
    /// Minutes of the day; `to` is not in it. `to` before `from` runs over midnight and belongs to
    /// the day it began on.
    pub from: u16,
    pub to: u16,
}

/// The trunks to be tried for a number, best first and each once: the longest prefix, then those
/// for one of the cities, the first one before the next, before those for all, then the cheapest,
/// then as written. Worse routes follow, so that a call has somewhere to go when the best trunk
/// takes nothing.
pub fn trunks_for(
    routes: &[RouteConfig],
    number: &str,
    cities: &[&str],
    at: WallTime,
) -> Vec<TrunkId> {
    let mut fitting: Vec<_> = routes
        .iter()
        .filter(|it| it.hours.is_empty() || it.hours.iter().any(|it| it.contains(at)))
        .filter_map(|it| Some((it.longest_prefix(number)?, it.place_among(cities)?, it)))
        .collect();
    fitting.sort_by_key(|(n, place, it)| (std::cmp::Reverse(*n), *place, it.cost));
    let mut trunks: Vec<TrunkId> = Vec::new();
    for trunk in fitting.iter().flat_map(|it| &it.2.trunks) {
        if !trunks.contains(trunk) {
            trunks.push(trunk.clone());
        }
    }
    trunks
}

impl RouteConfig {
    fn longest_prefix(&self, number: &str) -> Option<usize> {
        let of_number = self.prefixes.iter().filter(|it| number.starts_with(it.as_str()));
        of_number.map(String::len).max()
    }

    /// Behind all cities if it is for everybody; `None`: it is for another city.
    fn place_among(&self, cities: &[&str]) -> Option<usize> {
        if self.cities.is_empty() {
            return Some(cities.len());
        }
        cities.iter().position(|city| self.cities.iter().any(|it| it == city))
    }
}

const BEIJING_MS: i64 = 8 * 3600 * 1000;
const MINUTE_MS: i64 = 60_000;
const DAY_MIN: i64 = 24 * 60;

impl Hours {
    pub fn contains(&self, at: WallTime) -> bool {
        let minutes = (at.0 + BEIJING_MS).div_euclid(MINUTE_MS);
        let (day, minute) = (minutes.div_euclid(DAY_MIN), minutes.rem_euclid(DAY_MIN));
        let (from, to) = (i64::from(self.from), i64::from(self.to));
        if from <= to {
            return self.is_on(day) && (from..to).contains(&minute);
        }
        (self.is_on(day) && minute >= from) || (self.is_on(day - 1) && minute < to)
    }

    /// 1 January 1970 was a Thursday.
    fn is_on(&self, day: i64) -> bool {
        let of_week = usize::try_from((day + 3).rem_euclid(7)).unwrap_or(0);
        self.days.get(of_week).copied().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 is a Sunday; 08:00 in Beijing.
    const SUNDAY_8: WallTime = WallTime(1_795_305_600_000);

    fn route(prefixes: &[&str], trunks: &[&str]) -> RouteConfig {
        RouteConfig {
            prefixes: prefixes.iter().map(|it| (*it).to_owned()).collect(),
            trunks: trunks.iter().copied().map(TrunkId::new).collect(),
            ..RouteConfig::default()
        }
    }

    #[track_caller]
    fn check(routes: &[RouteConfig], number: &str, cities: &[&str], expected: &[&str]) {
        let found = trunks_for(routes, number, cities, SUNDAY_8);
        let found: Vec<_> = found.iter().map(TrunkId::as_str).collect();
        assert_eq!(found, expected, "{number} of {cities:?}");
    }

    #[test]
    fn the_longest_prefix_is_tried_first_and_the_others_after_it() {
        let routes = [
            route(&[""], &["any"]),
            route(&["0771", "1"], &["nn", "any"]),
            route(&["07715"], &["x"]),
        ];
        check(&routes, "07715551234", &[], &["x", "nn", "any"]);
        check(&routes, "13800138000", &[], &["nn", "any"]);
        check(&routes, "0021", &[], &["any"]);
        check(&routes[1..], "0021", &[], &[]);
    }

    #[test]
    fn a_city_has_its_own_way_out_and_cost_decides_among_equals() {
        let mut own = route(&["1"], &["own"]);
        own.cities = vec!["450200".to_owned()];
        own.cost = 9;
        let mut cheap = route(&["1"], &["cheap"]);
        cheap.cost = 1;
        let mut dear = route(&["1"], &["dear"]);
        dear.cost = 2;
        let mut agents = route(&["1"], &["agents"]);
        agents.cities = vec!["450300".to_owned()];
        let routes = [dear, cheap, agents, own];
        check(&routes, "138", &["450200"], &["own", "cheap", "dear"]);
        check(&routes, "138", &["450200", "450300"], &["own", "agents", "cheap", "dear"]);
        check(&routes, "138", &["450100"], &["cheap", "dear"]);
        check(&routes, "138", &[], &["cheap", "dear"]);
    }

    #[test]
    fn a_route_that_is_closed_leads_nowhere() {
        let sundays = [false, false, false, false, false, false, true];
        let at = |from, to| vec![Hours { days: sundays, from, to }];
        let mut day = route(&["1"], &["day"]);
        let mut noon = route(&["13"], &["noon"]);
        (day.hours, noon.hours) = (at(480, 1080), at(720, 780));
        let routes = [noon, day];
        check(&routes, "138", &[], &["day"]);
        let found = |at: i64| trunks_for(&routes, "138", &[], WallTime(SUNDAY_8.0 + at));
        assert_eq!(found(5 * 3_600_000), ["day"].map(TrunkId::new));
        assert_eq!(found(4 * 3_600_000), ["noon", "day"].map(TrunkId::new));
        assert!(found(-60_000).is_empty());
    }

    #[test]
    fn a_route_is_open_in_its_hours_only() {
        let hour = |it: i64| WallTime(SUNDAY_8.0 + it * 3_600_000);
        let work =
            Hours { days: [true, true, true, true, true, false, false], from: 480, to: 1080 };
        // Sunday at eight, Monday at eight, at five to six and at six.
        let open = [hour(0), hour(24), WallTime(hour(34).0 - 300_000), hour(34)];
        assert_eq!(open.map(|it| work.contains(it)), [false, true, true, false]);
        // Saturday's night ends on Sunday at six.
        let night =
            Hours { days: [false, false, false, false, false, true, false], from: 1320, to: 360 };
        let open = [hour(-10), hour(-3), hour(-2), hour(14)];
        assert_eq!(open.map(|it| night.contains(it)), [true, true, false, false]);
    }
}
