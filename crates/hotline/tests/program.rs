//! The program as a person uses it.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::{
    fs,
    net::UdpSocket,
    path::Path,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// The built-in configuration at free ports.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/hotline.toml"));
    // RTP ports begin where the kernel has just found one free.
    let first = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() & !1;
    let first = first.min(60_000);
    let text = text
        .unwrap()
        .replace("127.0.0.1:5060", "127.0.0.1:0")
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("port_first = 20000", &format!("port_first = {first}"))
        .replace("port_last = 21999", &format!("port_last = {}", first + 199))
        .replace("legs_max = 800", "legs_max = 100");
    fs::write(folder.path().join("hotline.toml"), text).unwrap();
    folder
}

fn hotline(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hotline"))
        .args(arguments)
        .args(["--config", "hotline.toml"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat()
}

#[test]
fn the_demonstration_shows_calls_and_leaves_records_and_no_engine() {
    let folder = folder();
    let output = hotline(folder.path(), &["demo", "--seconds", "12", "--callers", "3"]);
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("拨入") && said.contains("演示结束"), "{said}");
    assert!(said.contains("var/recordings") && said.contains("var/hotline.db"), "{said}");
    // A record is one line with a masked number of nobody.
    assert!(said.lines().any(|it| it.contains("199****") && it.contains("等候")), "{said}");
    assert!(!folder.path().join("var/engine.json").exists());
}

#[test]
fn a_person_who_asks_an_engine_that_is_not_there_is_told_what_to_do() {
    let folder = folder();
    let output = hotline(folder.path(), &["dead-letters", "list"]);
    assert!(!output.status.success());
    assert!(said(&output).contains("引擎没有运行"), "{}", said(&output));
}

#[test]
fn a_role_started_by_hand_says_who_starts_it() {
    let folder = folder();
    let output = hotline(folder.path(), &["media"]);
    assert!(!output.status.success());
    assert!(said(&output).contains("hotline serve"), "{}", said(&output));
}

#[test]
fn a_wrong_configuration_is_refused_with_its_place() {
    let folder = folder();
    let path = folder.path().join("hotline.toml");
    let text = fs::read_to_string(&path).unwrap().replace("realm =", "relam =");
    fs::write(&path, text).unwrap();
    for command in ["check", "serve"] {
        let output = hotline(folder.path(), &[command]);
        assert!(!output.status.success(), "{command}");
        assert!(said(&output).contains("hotline.toml:"), "{}", said(&output));
        assert!(said(&output).contains("relam"), "{}", said(&output));
    }
}

#[test]
fn a_message_of_a_carrier_is_tried_and_the_status_says_what_became_of_it() {
    let folder = folder();
    let samples = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/carriers"));
    let tried = |trunk: &str, sample: &str, more: &[&str]| {
        let sample = samples.join(sample);
        let arguments = [&["trunk", "test", trunk, sample.to_str().unwrap()], more].concat();
        let output = hotline(folder.path(), &arguments);
        (output.status.code().unwrap(), said(&output))
    };
    // Taken, refused, one of ours, and what cannot be tried at all.
    let cases: [(_, _, &[&str], _, _); 5] = [
        ("demo", "asserted-tel-and-privacy.sip", &[], 0, "主叫 (caller): 13907710001"),
        ("demo", "unknown-called-number.sip", &[], 3, "SIP/2.0 404"),
        ("demo", "outgoing-invite.sip", &["--out"], 0, "INVITE sip:"),
        ("other", "unknown-called-number.sip", &[], 1, "demo"),
        ("demo", "no-such-file.sip", &[], 1, "no-such-file.sip"),
    ];
    for (trunk, sample, more, status, says) in cases {
        let (told, text) = tried(trunk, sample, more);
        assert_eq!(told, status, "{sample}: {text}");
        assert!(text.contains(says), "{sample}: {text}");
    }
}
