//! Every form of a number.

use super::*;

const AREA: Option<&str> = Some("0771");

#[track_caller]
fn caller(raw: &str, expected: &str) {
    assert_eq!(normalise_caller(raw, AREA).as_deref(), Some(expected), "{raw}");
}

#[test]
fn a_mobile_caller_is_eleven_digits_however_the_carrier_writes_it() {
    for raw in [
        "13812345678",
        "013812345678",
        "+8613812345678",
        "8613812345678",
        "008613812345678",
        "+86 138-1234-5678",
        "tel:+8613812345678",
        "+8613812345678;npdi",
        "sip:+8613812345678@carrier.example",
    ] {
        caller(raw, "13812345678");
    }
    caller("19212345678", "19212345678");
}

#[test]
fn a_landline_caller_has_the_area_with_its_zero() {
    for raw in [
        "07715551234",
        "5551234",
        "+867715551234",
        "867715551234",
        "8607715551234",
        "+8607715551234",
        "0771-5551234",
        "+865551234",
    ] {
        caller(raw, "07715551234");
    }
}

#[test]
fn a_landline_as_long_as_a_mobile_is_told_apart_by_its_first_digit() {
    assert_eq!("07715551234".len(), "13812345678".len());
    caller("07715551234", "07715551234");
    caller("13812345678", "13812345678");
}

#[test]
fn a_local_number_that_begins_with_86_is_local() {
    caller("8612345", "07718612345");
}

#[test]
fn a_caller_from_another_city_keeps_his_area() {
    caller("02012345678", "02012345678");
    caller("+862012345678", "02012345678");
    caller("01012345678", "01012345678");
    caller("+861012345678", "01012345678");
    caller("075512345678", "075512345678");
    caller("8675512345678", "075512345678");
}

#[test]
fn a_short_code_calls_as_itself() {
    for it in ["110", "10086", "12345", "118114", "95598"] {
        caller(it, it);
        caller(&format!("+86{it}"), it);
    }
    caller("+8677112345", "077112345");
    caller("4001234567", "4001234567");
    caller("+864001234567", "4001234567");
}

#[test]
fn a_caller_from_abroad_is_written_as_dialled() {
    caller("+85298765432", "0085298765432");
    caller("0085298765432", "0085298765432");
}

#[test]
fn a_local_caller_without_a_known_area_is_kept_as_he_is() {
    assert_eq!(normalise_caller("5551234", None).as_deref(), Some("5551234"));
}

#[test]
fn digits_of_no_known_form_are_kept() {
    caller("1064912345678", "1064912345678");
    // Not a local number, as nobody's begins with 1.
    caller("16812345", "16812345");
    caller("1681234", "1681234");
    caller("54321", "54321");
}

#[test]
fn words_are_no_number() {
    for it in ["anonymous", "", "unavailable", "+", "1", "13800abc", "0123456789012345678901"] {
        assert_eq!(normalise_caller(it, AREA), None, "{it}");
        assert_eq!(normalise_called(it, AREA), None, "{it}");
    }
}

#[track_caller]
fn called(raw: &str, area: Option<&str>, expected: (Option<&str>, &str, &str)) {
    let it = normalise_called(raw, area).unwrap();
    assert_eq!((it.area.as_deref(), it.short_code.as_str(), it.norm.as_str()), expected, "{raw}");
    assert_eq!(it.raw, raw);
}

#[test]
fn a_hotline_called_in_any_form_is_area_and_short_code() {
    for raw in [
        "12345",
        "077112345",
        "+8677112345",
        "8677112345",
        "008677112345",
        "77112345",
        "86077112345",
        "0771012345",
        "+8612345",
        "012345",
        "0771-12345",
    ] {
        called(raw, AREA, (AREA, "12345", "077112345"));
    }
}

#[test]
fn the_number_of_the_contract_with_a_zero_too_many_is_understood() {
    called("0771012328", AREA, (AREA, "12328", "077112328"));
    called("0771012328", None, (AREA, "12328", "077112328"));
}

#[test]
fn the_area_of_the_number_goes_before_the_area_of_the_trunk() {
    called("077212345", AREA, (Some("0772"), "12345", "077212345"));
    called("+8677212345", AREA, (Some("0772"), "12345", "077212345"));
    called("01012345", AREA, (Some("010"), "12345", "01012345"));
}

#[test]
fn a_bare_short_code_on_a_trunk_without_area_stays_bare() {
    called("12345", None, (None, "12345", "12345"));
    called("110", None, (None, "110", "110"));
}

#[test]
fn a_plain_landline_can_be_a_hotline() {
    called("07715551234", None, (AREA, "5551234", "07715551234"));
    called("5551234", AREA, (AREA, "5551234", "07715551234"));
    called("+867715551234", None, (AREA, "5551234", "07715551234"));
    called("62112345", Some("010"), (Some("010"), "62112345", "01062112345"));
}

#[test]
fn numbers_of_no_area_get_none() {
    called("4001234567", AREA, (None, "4001234567", "4001234567"));
    called("13812345678", AREA, (None, "13812345678", "13812345678"));
    called("013812345678", AREA, (None, "13812345678", "13812345678"));
    called("+85212345", AREA, (None, "0085212345", "0085212345"));
}

#[test]
fn a_normalised_number_stays_as_it_is() {
    for raw in ["13812345678", "07715551234", "12345", "077112345", "0085298765432", "4001234567"] {
        let once = normalise_caller(raw, AREA).unwrap();
        assert_eq!(normalise_caller(&once, AREA).as_ref(), Some(&once));
        let once = normalise_called(raw, AREA).unwrap();
        assert_eq!(normalise_called(&once.norm, AREA).unwrap().norm, once.norm);
    }
}

#[test]
fn no_string_of_digits_breaks_the_reading_of_a_number() {
    let mut random = hotline_base::Random::new(1);
    for _ in 0..50_000 {
        let raw: String = (0..random.below(23))
            .map(|_| char::from(b"0123456789018677+"[usize::try_from(random.below(17)).unwrap()]))
            .collect();
        let area = random.chance(50).then_some("0771");
        for it in [
            normalise_caller(&raw, area),
            normalise_called(&raw, area).map(|it| it.norm),
            normalise_called(&raw, area).map(|it| it.short_code),
        ]
        .into_iter()
        .flatten()
        {
            assert!(!it.is_empty() && it.bytes().all(|it| it.is_ascii_digit()), "{raw}: {it}");
        }
    }
}
