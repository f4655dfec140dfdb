//! The shipped flows: their own tests pass, every shipped prompt is one a caller can hear.

use std::{collections::BTreeSet, fs};

use hotline_config::{check, check_text, load};
use hotline_ivr::{
    calendar::{DayKind, Decision},
    civil::{Civil, Date},
};

use crate::{
    config::{flows, timeless},
    house,
};

#[test]
fn the_shipped_flows_pass_their_own_tests() {
    let report = check(None);
    assert!(report.is_good(), "{report}");
    assert_eq!(timeless(&report.complaints), [], "{report}");
    assert!(report.n_cases >= 50, "{report}");
}

#[test]
fn a_flow_that_does_not_do_what_its_test_says_is_told_by_case() {
    let (folder, flows) = flows();
    let path = flows.join("flows/gx12345.main.flow.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"'hrss'\"", "\"'ybj'\"")).unwrap();
    let config = house::read("config/hotline.toml") + "\n[flows]\ndir = \"ivr-flows\"\n";
    let report = check_text("b.toml", folder.path(), &config);
    assert!(!report.is_good());
    let told = report.to_string();
    assert!(told.contains("gx12345.main / 社保就业带着类别转人工: "), "{told}");
    assert!(!told.contains("医疗保障带着类别转人工"), "{told}");
}

#[test]
fn the_calendar_knows_the_year_2026_and_what_guangxi_does_differently() {
    let loaded = load(None).unwrap();
    let kind = |calendar, date: &str| {
        loaded.switchboard.bundle.day_kind(calendar, Date::parse(date).unwrap()).unwrap()
    };
    for date in ["2026-01-04", "2026-02-14", "2026-02-28", "2026-05-09", "2026-10-10"] {
        assert_eq!(kind("cn", date), DayKind::Work, "{date}");
        assert_eq!(kind("guangxi", date), DayKind::Work, "{date}");
    }
    for date in ["2026-01-02", "2026-02-16", "2026-02-23", "2026-05-05", "2026-10-07"] {
        assert_eq!(kind("guangxi", date), DayKind::Rest, "{date}");
    }
    assert_eq!(kind("cn", "2017-04-08"), DayKind::Weekend);
    assert_eq!(kind("guangxi", "2017-04-01"), DayKind::Rest);
    assert_eq!(kind("guangxi", "2017-04-08"), DayKind::Work);
    assert_eq!(kind("cn", "2026-04-20"), DayKind::Work);
    assert_eq!(kind("guangxi", "2026-04-20"), DayKind::Rest);
}

#[test]
fn the_hours_of_a_hotline_open_and_close_to_the_second() {
    let loaded = load(None).unwrap();
    let decide = |at: &str| {
        let at = Civil::parse(at).unwrap().to_wall();
        loaded.switchboard.bundle.decide("work_gov", at).unwrap()
    };
    assert_eq!(decide("2026-03-10T07:59:59+08:00"), Decision::Closed);
    assert_eq!(decide("2026-03-10T08:00:00+08:00"), Decision::Open);
    assert_eq!(decide("2026-03-10T11:59:59+08:00"), Decision::Open);
    assert_eq!(decide("2026-03-10T12:00:00+08:00"), Decision::Closed);
    assert_eq!(decide("2026-02-17T10:00:00+08:00"), Decision::Holiday);
}

#[test]
fn every_prompt_of_the_catalogue_has_its_sound_and_the_other_way_round() {
    let catalogue = house::read("ivr-flows/prompts/catalog.yaml");
    let ids = catalogue.lines().filter_map(|it| {
        let id = it.strip_prefix("  ")?.strip_suffix(':')?;
        (!id.starts_with([' ', '#'])).then_some(id.to_owned())
    });
    let sounds = house::files("ivr-flows/prompts/zh-CN", &["wav"]);
    let sounds = sounds
        .iter()
        .filter_map(|it| Some(it.rsplit('/').next()?.strip_suffix(".wav")?.to_owned()));
    assert_eq!(ids.collect::<BTreeSet<_>>(), sounds.collect::<BTreeSet<_>>());
}

#[test]
fn every_city_has_its_group_and_its_spoken_name() {
    let loaded = load(None).unwrap();
    let bundle = &loaded.switchboard.bundle;
    let groups: BTreeSet<_> =
        loaded.switchboard.groups.iter().map(|it| it.id.as_str().to_owned()).collect();
    assert_eq!(bundle.tables["city_groups"].rows.len(), 15);
    for (city, group) in &bundle.tables["city_groups"].rows {
        assert!(groups.contains(group.as_str().unwrap()), "{city}");
        assert!(bundle.prompts.contains(format!("city.{city}").as_str()), "{city}");
    }
}
