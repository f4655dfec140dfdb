//! The configuration as its users meet it: shipped files load, mistakes are told with their place.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

use hotline_sip::Account;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use hotline_config::{Complaint, Loaded, check_text, load, load_text};
use tempfile::TempDir;

use crate::house;

/// Writes the files that the example names, and reads it there.
fn example() -> (TempDir, Result<Loaded, Vec<Complaint>>) {
    example_with("# telephones\n8001:abc-def-1\n8002:bcd:efg-2\n")
}

/// The same with other passwords of telephones.
fn example_with(accounts: &str) -> (TempDir, Result<Loaded, Vec<Complaint>>) {
    let folder = TempDir::new().unwrap();
    let at = |it: &str| folder.path().join(it);
    fs::create_dir_all(at("secrets")).unwrap();
    fs::create_dir_all(at("prompts")).unwrap();
    let secret = |name: &str, text: &str| {
        let path = at("secrets").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    };
    secret("accounts", accounts);
    for name in
        ["sip", "8001", "token-platform", "token-operation", "token-1001", "push", "yl-cmcc"]
    {
        secret(name, &format!("secret of {name}\n"));
    }
    fs::write(at("mobile-regions.csv"), "1340770,450100,南宁\n").unwrap();
    fs::create_dir_all(at("tls")).unwrap();
    let own = rcgen::generate_simple_self_signed(["sip.hotline.example".to_owned()]).unwrap();
    for (name, text) in [
        ("sip.crt", own.cert.pem()),
        ("ca.crt", own.cert.pem()),
        ("sip.key", own.signing_key.serialize_pem()),
        ("yl-cm.crt", own.cert.pem()),
        ("yl-cm.key", own.signing_key.serialize_pem()),
    ] {
        let path = at("tls").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }
    std::os::unix::fs::symlink(house::root().join("ivr-flows"), at("ivr-flows")).unwrap();
    let loaded = load_text("e.toml", folder.path(), &house::read("config/production.example.toml"));
    (folder, loaded)
}

fn told(complaints: &[Complaint]) -> String {
    let lines: Vec<_> = complaints.iter().map(|it| it.to_string() + "\n").collect();
    lines.concat()
}

/// All but the one that comes by itself each November: next year's holidays are not known yet.
pub(crate) fn timeless(complaints: &[Complaint]) -> Vec<Complaint> {
    complaints.iter().filter(|it| !it.text.contains("[E17]")).cloned().collect()
}

#[test]
fn v9_passwords_of_telephones_that_are_soon_guessed_cannot_be_set() {
    let hash = "0".repeat(32);
    let accounts = format!("8002:12345678\n8003 MD5:short\n8004:long enough\n8005:{{MD5}}{hash}\n");
    let complaints = timeless(&example_with(&accounts).1.unwrap_err());
    let weak: Vec<_> = complaints.iter().filter(|it| it.text.contains("容易猜到")).collect();
    let lines = ["第 1 行", "第 2 行"];
    assert_eq!((complaints.len(), weak.len()), (2, 2), "{}", told(&complaints));
    assert!(lines.iter().zip(weak).all(|(line, it)| it.text.contains(line)));
    assert!(!told(&complaints).contains("12345678"), "a password is shown");
}

#[test]
fn the_engine_starts_on_its_built_in_configuration_without_a_warning() {
    let loaded = load(None).unwrap_or_else(|it| panic!("{}", told(&it)));
    assert_eq!(told(&timeless(&loaded.warnings)), "");
    assert_eq!(loaded.switchboard.agents.len(), 6);
    assert!(loaded.switchboard.numbers.len() >= 10);
    assert_eq!(loaded.switchboard.numbers.len(), loaded.switchboard.number_params.len());
    let groups = &loaded.switchboard.groups;
    assert!(groups.iter().any(|it| it.id == loaded.switchboard.bundle.fallback_group));
}

#[test]
fn the_built_in_configuration_lets_browsers_in_from_a_page_of_this_machine_alone() {
    let engine = load(None).unwrap_or_else(|it| panic!("{}", told(&it))).engine;
    assert!(!engine.listen.sip_ws.is_empty());
    assert!(engine.listen.sip_ws.iter().all(|it| it.ip().is_loopback()));
    let origins = ["http://localhost:8000", "http://127.0.0.1:8000"];
    assert_eq!(engine.net.websocket_origins, origins);
}

#[test]
fn the_production_example_starts_where_its_files_are() {
    let (_folder, loaded) = example();
    let loaded = loaded.unwrap_or_else(|it| panic!("{}", told(&it)));
    assert_eq!(told(&timeless(&loaded.warnings)), "");
    let accounts = &loaded.switchboard.sip.accounts;
    assert_eq!(accounts["8001"], Account::new("secret of 8001"));
    assert_eq!(accounts["8002"], Account::new("bcd:efg-2"));
    assert_eq!(loaded.http.tokens.len(), 3);
    assert_eq!(loaded.push.len(), 1);
    let text = format!("{loaded:?}");
    assert!(!text.contains("secret of"), "a secret is in the debug output");
}

#[test]
fn a_secret_that_everybody_can_read_is_a_warning() {
    let (folder, loaded) = example();
    assert!(loaded.is_ok());
    let path = folder.path().join("secrets/push");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let text = house::read("config/production.example.toml");
    let loaded = load_text("e.toml", folder.path(), &text).unwrap();
    let warnings = timeless(&loaded.warnings);
    assert_eq!(
        warnings.iter().map(|it| it.key.as_str()).collect::<Vec<_>>(),
        ["push[1].secret_file"]
    );
    assert!(warnings[0].advice.contains("chmod 600"), "{}", told(&warnings));
}

#[test]
fn both_shipped_configurations_serve_the_same_flows() {
    let (_folder, own) = example();
    let (own, bundled) = (own.unwrap(), load(None).unwrap());
    assert_eq!(own.switchboard.bundle.hash, bundled.switchboard.bundle.hash);
}

const BROKEN: &str = r#"
colour = "red"

[engine]
grace_secs = "soon"

[sip]
listen_udp = ["0.0.0.0:5060", "here"]
relm = "x"

[media]
port_first = 20000
port_last = 20002

[http]
listen = "8080"

[[http.token]]
name = "x"
role = "king"
token_file = "nowhere/token"

[flows]
dir = "nowhere"

[[trunk]]
id = "a"
sources = ["10.0.0.0/40"]
area_code = "771"

[[trunk]]
id = "a"
sources = []
channels_max = 0

[[group]]
id = "g"
name = "甲"

[[agent]]
no = "1001"
name = "某人"
extension = "8001"
groups = { "g" = 0, "h" = 1 }

[[agent]]
no = "1001"
name = "某人"
extension = "8001"
demo_password = "x"
groups = { "g" = 1 }
sign_in_state = "asleep"

[[push]]
id = "p"
url = "ftp://x"
"#;

#[test]
fn every_mistake_of_a_configuration_is_told_at_once_with_line_and_key() {
    let complaints = load_text("b.toml", Path::new("/nowhere"), BROKEN).unwrap_err();
    let expected = [
        (2, "colour"),
        (5, "engine.grace_secs"),
        (7, "sip.advertised_address"),
        (8, "sip.listen_udp[2]"),
        (9, "sip.relm"),
        (13, "media.port_last"),
        (16, "http.listen"),
        (20, "http.token[1].role"),
        (21, "http.token[1].token_file"),
        (24, "flows.dir"),
        (28, "trunk[1].sources[1]"),
        (29, "trunk[1].area_code"),
        (32, "trunk[2].id"),
        (33, "trunk[2].sources"),
        (34, "trunk[2].channels_max"),
        (40, "agent[1].password_file"),
        (44, "agent[1].groups"),
        (44, "agent[1].groups.g"),
        (44, "agent[1].groups.h"),
        (47, "agent[2].no"),
        (49, "agent[2].extension"),
        (52, "agent[2].sign_in_state"),
        (54, "push[1].secret_file"),
        (56, "push[1].url"),
    ];
    let errors: Vec<_> = complaints.iter().filter(|it| it.is_error()).collect();
    let found: Vec<_> = errors
        .iter()
        .filter(|it| it.file == "b.toml")
        .map(|it| (it.line, it.key.as_str()))
        .collect();
    assert_eq!(found, expected, "{}", told(&complaints));
    assert!(complaints.iter().all(|it| !it.advice.is_empty()), "{}", told(&complaints));
}

const BROKEN_CARRIER: &str = r#"[[trunk]]
id = "a"
numbers = ["077112345"]
[[trunk.gateway]]
address = "10.0.0.4"
transport = "sctp"
server_name = "sbc.example"
[[trunk.account]]
user = "a b"
domain = "ims example"
digest = ["SHA-1"]
[[trunk]]
id = "b"
numbers = ["077112328"]
sources = ["10.0.0.5"]
[[trunk.account]]
user = "077112328"
password_file = "nowhere"
"#;

#[test]
fn mistakes_of_gateways_and_accounts_are_told_with_their_line() {
    let complaints = load_text("b.toml", Path::new("/nowhere"), BROKEN_CARRIER).unwrap_err();
    let trunks = complaints.iter().filter(|it| it.key.starts_with("trunk["));
    let mut found: Vec<_> = trunks.map(|it| (it.line, it.key.as_str())).collect();
    found.sort_unstable();
    let expected = [
        (6, "trunk[1].gateway[1].transport"),
        (7, "trunk[1].gateway[1].server_name"),
        (8, "trunk[1].account[1].number"),
        (8, "trunk[1].account[1].password_file"),
        (9, "trunk[1].account[1].user"),
        (10, "trunk[1].account[1].domain"),
        (11, "trunk[1].account[1].digest"),
        (18, "trunk[2].account[1].password_file"),
    ];
    assert_eq!(found, expected, "{}", told(&complaints));
}

#[test]
fn a_misspelt_key_is_told_the_right_one() {
    let text = "[sip]\nlisten_udp = [\"127.0.0.1:5060\"]\nrelm = \"x\"\n";
    let complaints = load_text("b.toml", Path::new(""), text).unwrap_err();
    let line = complaints.iter().find(|it| it.key == "sip.relm").unwrap().to_string();
    assert!(line.starts_with("b.toml:3: 错误 sip.relm: "), "{line}");
    assert!(line.contains("realm"), "{line}");
}

#[test]
fn a_configuration_that_is_not_there_says_what_to_do() {
    let complaints = load(Some(Path::new("/nowhere/hotline.toml"))).unwrap_err();
    assert!(told(&complaints).contains("--config"));
    assert!(!hotline_config::check(Some(Path::new("/nowhere/hotline.toml"))).is_good());
}

#[test]
fn demo_secrets_on_an_open_address_are_a_warning() {
    let text = house::read("config/hotline.toml")
        .replace("listen_udp = [\"127.0.0.1:5060\"]", "listen_udp = [\"192.0.2.7:5060\"]")
        .replace("listen = \"127.0.0.1:8080\"", "listen = \"192.0.2.7:8080\"");
    let loaded = load_text("b.toml", Path::new(""), &text).unwrap();
    let warnings = timeless(&loaded.warnings);
    let keys: Vec<_> = warnings.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["http.token[1].demo_token", "agent"]);
}

/// A copy of the flows that a test may break.
pub(crate) fn flows() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    for file in house::files("ivr-flows", &["yaml", "csv", "wav"]) {
        let to = folder.path().join(&file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(house::root().join(&file), to).unwrap();
    }
    let flows = folder.path().join("ivr-flows");
    (folder, flows)
}

/// Replaces text in a file of the copy and gives the complaints.
fn broken(file: &str, from: &str, to: &str) -> Vec<Complaint> {
    let (folder, flows) = flows();
    let path = flows.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} does not contain {from}");
    fs::write(&path, text.replace(from, to)).unwrap();
    complaints_of(&folder)
}

fn complaints_of(folder: &TempDir) -> Vec<Complaint> {
    let text = house::read("config/hotline.toml") + "\n[flows]\ndir = \"ivr-flows\"\n";
    check_text("b.toml", folder.path(), &text).complaints
}

/// Line of `text` in a flow file.
fn line_of(file: &str, text: &str) -> u32 {
    let whole = house::read(&format!("ivr-flows/{file}"));
    let at = whole.lines().position(|it| it.contains(text)).unwrap();
    u32::try_from(at + 1).unwrap()
}

#[track_caller]
fn assert_told(complaints: &[Complaint], file: &str, line: u32, key: &str) {
    let right =
        |it: &&Complaint| it.file.ends_with(file) && it.line == line && it.key.contains(key);
    let found = complaints.iter().find(right);
    let found = found.unwrap_or_else(|| panic!("{file}:{line} {key} in\n{}", told(complaints)));
    assert!(!found.advice.is_empty(), "{found}");
}

const MAIN: &str = "flows/gx12345.main.flow.yaml";

#[test]
fn a_target_that_does_not_exist_is_told_with_its_line() {
    let complaints = broken(MAIN, "next: blocked", "next: block");
    assert_told(&complaints, MAIN, line_of(MAIN, "next: blocked"), "open_line");
}

#[test]
fn a_flow_that_spins_is_told() {
    let complaints = broken(
        MAIN,
        "same_city: {type: set, assign: {session.city: param.city}, next: to_person}",
        "same_city: {type: set, assign: {session.city: param.city}, next: locate}",
    );
    assert!(told(&complaints).contains("[E11]"), "{}", told(&complaints));
}

#[test]
fn an_unknown_key_of_a_node_is_told_with_its_line() {
    let complaints = broken(MAIN, "    label: 录音告知\n", "    lable: 录音告知\n");
    assert_told(&complaints, MAIN, line_of(MAIN, "label: 录音告知"), "notice.lable");
}

#[test]
fn an_unknown_group_and_a_bad_parameter_are_told() {
    let complaints = broken(MAIN, "group: gx.business", "group: gx.busines");
    assert_told(&complaints, MAIN, line_of(MAIN, "group: gx.business"), "q_business.group");
    let numbers = "numbers/nanning.numbers.yaml";
    let complaints = broken(numbers, "hours: work_gov", "hours: never");
    assert_told(&complaints, numbers, line_of(numbers, "work_gov"), "hours");
}

#[test]
fn a_double_key_is_told_with_its_line() {
    let complaints = broken(MAIN, "start: open_line\n", "start: open_line\nstart: hello\n");
    assert_told(&complaints, MAIN, line_of(MAIN, "start: open_line") + 1, "");
}

#[test]
fn a_missing_prompt_is_told_with_where_it_is_played_and_what_to_do() {
    let (folder, flows) = flows();
    let catalogue = "prompts/catalog.yaml";
    let path = flows.join(MAIN);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("prompt: notice.recording", "prompt: notice.mine")).unwrap();
    assert_told(
        &complaints_of(&folder),
        MAIN,
        line_of(MAIN, "prompt: notice.recording"),
        "notice.prompt",
    );
    let path = flows.join(catalogue);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text + "  notice.mine:\n    text: 通话将被录音\n").unwrap();
    let complaints = complaints_of(&folder);
    let found = complaints.iter().find(|it| it.file.ends_with(MAIN)).unwrap();
    assert!(found.advice.contains("make-prompts"), "{found}");
}

#[test]
fn a_recording_in_the_wrong_format_is_told_how_to_convert() {
    let (folder, flows) = flows();
    fs::write(flows.join("prompts/zh-CN/greet.common.wav"), b"ID3 music").unwrap();
    let text = told(&complaints_of(&folder));
    assert!(text.contains("greet.common") && text.contains("sox"), "{text}");
}

#[test]
fn a_persons_own_prompt_survives_the_unpacking_of_the_bundled_ones() {
    let folder = TempDir::new().unwrap();
    let loaded = load_text("b.toml", folder.path(), &house::read("config/hotline.toml")).unwrap();
    let n_written = loaded.prepare().unwrap();
    assert!(n_written >= 70);
    let greeting = folder.path().join("var/prompts/zh-CN/greet.common.wav");
    let mine = fs::read(house::root().join("ivr-flows/prompts/zh-CN/bye.common.wav")).unwrap();
    fs::write(&greeting, &mine).unwrap();
    assert_eq!(loaded.prepare().unwrap(), 0);
    assert_eq!(fs::read(&greeting).unwrap(), mine);
    let other = load_text("b.toml", folder.path(), &house::read("config/hotline.toml")).unwrap();
    assert_ne!(other.switchboard.bundle.hash, loaded.switchboard.bundle.hash);
}
