//! Stories of the door.

use super::*;

fn trunk(id: &str, sources: &[&str], channels_max: usize) -> TrunkConfig {
    TrunkConfig {
        id: TrunkId::new(id),
        sources: sources.iter().map(|it| it.parse().unwrap()).collect(),
        channels_max,
        limits: Limits::default(),
        gateways: Vec::new(),
        probes: true,
        accounts: Vec::new(),
        numbers: Vec::new(),
        prack: true,
        early_media: true,
        busy_tone_ends: false,
        keys_by_info: false,
        area_code: Some("0771".to_owned()),
        city: Some("450100".to_owned()),
    }
}

fn row(row: usize, dnis: &[&str], trunks: &[&str]) -> NumberRow {
    NumberRow {
        dnis: dnis.iter().map(|it| (*it).to_owned()).collect(),
        trunks: trunks.iter().copied().map(TrunkId::new).collect(),
        flow: FlowId::new(&format!("flow.row{row}")),
        params: BTreeMap::new(),
        row,
    }
}

fn door() -> Admission {
    Admission::new(
        vec![
            trunk("telecom", &["10.0.0.1", "10.0.0.2"], 2),
            trunk("mobile", &["10.1.0.0/16"], 2),
            trunk("office", &["10.1.2.3:5080"], 2),
        ],
        vec![
            row(0, &["077112345", "12345"], &["telecom"]),
            row(1, &["077112345"], &[]),
            row(2, &["0771123"], &[]),
            row(3, &["07711232"], &["telecom"]),
            row(4, &["12366"], &[]),
        ],
    )
}

const KNOWN: CallerForms<'_> =
    CallerForms { asserted: None, from: "13812345678", anonymous: false, privacy_id: false };

fn telecom() -> SocketAddr {
    "10.0.0.1:5060".parse().unwrap()
}

/// A call that names this number everywhere.
fn come(
    door: &mut Admission,
    call: u64,
    source: SocketAddr,
    called: &str,
    from: &CallerForms<'_>,
) -> Result<Admitted, Refusal> {
    let found = door.recognise(source, &CalledForms { request: called, party: None, to: called });
    let (trunk, called) = found.unzip();
    let called = called.unwrap_or_default();
    door.admit(CallId(call), trunk.as_ref(), &called, from, MonoTime(0))
}

#[track_caller]
fn enters(source: &str, called: &str, expected: Result<usize, Refusal>) {
    let result = come(&mut door(), 1, source.parse().unwrap(), called, &KNOWN);
    assert_eq!(result.map(|it| it.row), expected, "{called} from {source}");
}

#[test]
fn a_call_enters_the_flow_of_its_number_on_its_trunk() {
    enters("10.0.0.1:5060", "12345", Ok(0));
    enters("10.0.0.2:5066", "+8677112345", Ok(0));
}

#[test]
fn a_number_of_another_trunk_falls_to_the_row_for_any_trunk() {
    enters("10.1.0.9:5060", "077112345", Ok(1));
    enters("10.1.0.9:5060", "12345", Ok(1));
}

#[test]
fn a_number_nobody_listed_goes_by_its_longest_beginning() {
    enters("10.1.0.9:5060", "077112329", Ok(2));
    enters("10.0.0.1:5060", "077112329", Ok(3));
    enters("10.0.0.1:5060", "0771123451", Ok(0));
}

#[test]
fn a_row_of_a_bare_short_code_is_for_the_area_of_the_trunk_too() {
    enters("10.1.0.9:5060", "077112366", Ok(4));
    enters("10.1.0.9:5060", "12366", Ok(4));
}

#[test]
fn a_stranger_an_unknown_number_and_a_word_are_refused() {
    enters("192.0.2.1:5060", "12345", Err(Refusal::UnknownSource));
    enters("10.0.0.1:5060", "5551234", Err(Refusal::UnknownNumber));
    enters("10.0.0.1:5060", "hotline", Err(Refusal::UnknownNumber));
}

#[test]
fn each_refusal_has_its_status_and_is_counted() {
    let mut door = door();
    for (source, called, refusal, status) in [
        ("192.0.2.1:5060", "12345", Refusal::UnknownSource, 403),
        ("10.0.0.1:5060", "5551234", Refusal::UnknownNumber, 404),
    ] {
        let result = come(&mut door, 1, source.parse().unwrap(), called, &KNOWN);
        assert_eq!(result, Err(refusal));
        assert_eq!((refusal.status(), door.refused(refusal)), (Some(status), 1));
    }
    for call in 1..=3 {
        let result = come(&mut door, call, telecom(), "12345", &KNOWN);
        assert_eq!(result.is_ok(), call < 3);
    }
    assert_eq!(Refusal::OverLimit.status(), Some(503));
    assert_eq!(door.refused(Refusal::OverLimit), 1);
}

#[test]
fn the_narrowest_source_names_the_trunk() {
    let door = door();
    let of = |it: &str| door.trunk_of(it.parse().unwrap()).map(|it| it.id.as_str());
    assert_eq!(of("10.1.2.3:5080"), Some("office"));
    assert_eq!(of("10.1.2.3:5060"), Some("mobile"));
    assert_eq!(of("10.2.0.1:5060"), None);
}

#[test]
fn a_call_that_ends_gives_its_channel_back_once() {
    let mut door = door();
    let id = TrunkId::new("telecom");
    let admit = |door: &mut Admission, call| {
        come(door, call, telecom(), "12345", &KNOWN).map(|it| it.trunk)
    };
    assert_eq!(admit(&mut door, 1), Ok(id.clone()));
    assert_eq!(admit(&mut door, 2), Ok(id.clone()));
    assert_eq!(admit(&mut door, 3), Err(Refusal::OverLimit));
    door.release(CallId(1));
    door.release(CallId(1));
    door.release(CallId(9));
    assert_eq!(door.in_use(&id), 1);
    assert_eq!(admit(&mut door, 3), Ok(id.clone()));
    assert_eq!(door.in_use(&id), 2);
}

#[test]
fn a_call_that_outlived_a_restart_takes_its_channel_again() {
    let mut door = door();
    let id = TrunkId::new("telecom");
    for call in 1..=3 {
        door.adopt(CallId(call), &id, Way::In);
        door.adopt(CallId(call), &id, Way::In);
    }
    assert_eq!(door.in_use(&id), 3);
    assert_eq!(come(&mut door, 4, telecom(), "12345", &KNOWN), Err(Refusal::OverLimit));
}

#[test]
fn a_changed_configuration_keeps_the_channels_in_use() {
    let mut door = door();
    let id = TrunkId::new("telecom");
    door.adopt(CallId(1), &id, Way::In);
    door.configure(vec![trunk("telecom", &["10.0.0.9"], 1)], vec![row(0, &["12345"], &[])]);
    assert_eq!(door.in_use(&id), 1);
    let source = "10.0.0.9:5060".parse().unwrap();
    assert_eq!(come(&mut door, 2, source, "12345", &KNOWN), Err(Refusal::OverLimit));
    door.release(CallId(1));
    assert!(come(&mut door, 2, source, "12345", &KNOWN).is_ok());
}

#[track_caller]
fn shown_as(from: CallerForms<'_>, number: Option<&str>, raw: &str, restricted: bool) {
    let it = come(&mut door(), 1, telecom(), "12345", &from).unwrap().caller;
    let seen = it.number.as_ref().map(|it| it.reveal().as_str());
    assert_eq!((seen, it.raw.reveal().as_str(), it.restricted), (number, raw, restricted));
}

#[test]
fn the_asserted_caller_is_believed_before_the_shown_one() {
    let asserted = Some("+8613900001111");
    shown_as(CallerForms { asserted, ..KNOWN }, Some("13900001111"), "+8613900001111", false);
    let asserted = Some("operator");
    shown_as(CallerForms { asserted, ..KNOWN }, Some("13812345678"), "13812345678", false);
}

#[test]
fn a_hidden_caller_is_known_to_the_hotline_when_the_carrier_vouches() {
    let hidden = CallerForms {
        asserted: Some("5551234"),
        from: "anonymous",
        anonymous: true,
        privacy_id: true,
    };
    shown_as(hidden, Some("07715551234"), "5551234", true);
    shown_as(CallerForms { asserted: None, ..hidden }, None, "anonymous", true);
}

#[test]
fn privacy_alone_restricts_and_hides_nothing_from_the_hotline() {
    let it = CallerForms { privacy_id: true, ..KNOWN };
    shown_as(it, Some("13812345678"), "13812345678", true);
}

#[test]
fn an_anonymous_from_is_not_believed_even_if_it_looks_like_a_number() {
    let it = CallerForms { anonymous: true, ..KNOWN };
    shown_as(it, None, "13812345678", true);
}

#[test]
fn a_caller_who_gives_a_word_is_anonymous() {
    shown_as(CallerForms { from: "unknown", ..KNOWN }, None, "unknown", false);
}

#[test]
fn a_call_to_the_contact_of_an_account_is_for_the_number_that_was_called() {
    let account = |user: &str, number: &str| AccountConfig {
        user: user.to_owned(),
        domain: None,
        number: number.to_owned(),
        expires: std::time::Duration::from_hours(1),
    };
    // Two trunks of one carrier, behind the same address.
    let mut nanning = trunk("nanning", &["10.9.0.4"], 2);
    nanning.accounts = vec![account("hotline-nn", "077112345")];
    let mut yulin = trunk("yulin", &["10.9.0.4"], 2);
    yulin.accounts = vec![account("+8677512345", "077512345"), account("+8677512328", "077512328")];
    let rows = vec![row(0, &["077112345"], &["nanning"]), row(1, &["077512345"], &["yulin"])];
    let door = Admission::new(vec![nanning, yulin], rows);
    let find = |request: &str, party, to: &str| {
        let source = "10.9.0.4:5080".parse().unwrap();
        let called = CalledForms { request, party, to };
        door.recognise(source, &called).map(|it| (it.0.as_str().to_owned(), it.1))
    };
    let of = |trunk: &str, number: &str| Some((trunk.to_owned(), number.to_owned()));
    assert_eq!(find("hotline-nn", None, "hotline-nn"), of("nanning", "077112345"));
    assert_eq!(find("hotline-nn", Some("+8677112345"), "x"), of("nanning", "+8677112345"));
    assert_eq!(find("+8677512328", None, "077512345"), of("yulin", "077512345"));
    // To names somebody who was diverted to us.
    assert_eq!(find("+8677512328", None, "13800138000"), of("yulin", "077512328"));
    // No Contact of ours: the trunk is that of the address.
    assert_eq!(find("077112345", None, "x"), of("nanning", "077112345"));
    let elsewhere = CalledForms { request: "hotline-nn", party: None, to: "" };
    assert_eq!(door.recognise("10.9.0.5:5060".parse().unwrap(), &elsewhere), None);
}

#[test]
fn only_a_number_of_the_trunk_is_shown_whatever_is_wished() {
    let own = ["077112345", "077112328"].map(str::to_owned).to_vec();
    let telecom = TrunkConfig { numbers: own, ..trunk("telecom", &["10.0.0.1"], 2) };
    let it = Admission::new(vec![telecom, trunk("mobile", &["10.1.0.0/16"], 2)], Vec::new());
    let shown = |id: &str, wish| it.display(&TrunkId::new(id), wish);
    assert_eq!(shown("telecom", Some("077112328")), Some("077112328"));
    for foreign in [None, Some("13812345678"), Some("077112329"), Some("")] {
        assert_eq!(shown("telecom", foreign), Some("077112345"), "{foreign:?}");
    }
    assert_eq!(shown("mobile", Some("077112345")), None, "a trunk without numbers shows none");
    assert_eq!(shown("unknown", None), None);
}

#[test]
fn who_calls_whom_is_known_of_a_call_that_is_not_taken_as_well() {
    let forms = CallerForms { asserted: Some("+8607715551234"), privacy_id: true, ..KNOWN };
    let telecom = TrunkId::new("telecom");
    let (who, whom) = door().parties(&telecom, "+8677112345", &forms);
    assert_eq!(who.number.unwrap().reveal(), "07715551234");
    assert!(who.restricted);
    assert_eq!(whom.unwrap().norm, "077112345");
    let (who, whom) = door().parties(&telecom, "help", &KNOWN);
    assert_eq!((who.number.unwrap().reveal().as_str(), whom), ("13812345678", None));
}
