//! `hotline prompt` as people run it.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::{
    fs,
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use hotline_testkit::Sound;
use rustix::fs::{CWD, FileType, Mode};

const HOTLINE: &str = env!("CARGO_BIN_EXE_hotline");

/// So many milliseconds of a square wave.
fn wav(ms: usize) -> Vec<u8> {
    let frames = (0..ms * 16).map(|n| if n / 20 % 2 == 0 { 4_000_i16 } else { -4_000 });
    Sound::new(frames.collect()).studio_wav()
}

fn run(arguments: &[&Path]) -> Output {
    Command::new(HOTLINE).arg("prompt").args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn a_recording_of_a_studio_becomes_a_prompt_and_its_loudness_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("studio.wav"), dir.path().join("greet.common.wav"));
    fs::write(&from, wav(1_000)).unwrap();
    let checked = run(&[Path::new("check"), &from]);
    assert!(checked.status.success(), "{}", said(&checked));
    let report = said(&checked);
    for part in ["PCM 16 bit, 16000 Hz, 2 ch", "1.0 s", "响度 (loudness)", "-18.3 dBFS"] {
        assert!(report.contains(part), "{report}");
    }
    assert!(!to.exists(), "to check writes nothing");
    let converted = run(&[Path::new("convert"), &from, &to]);
    assert!(converted.status.success(), "{}", said(&converted));
    let prompt = fs::read(&to).unwrap();
    assert_eq!(prompt.len(), 58 + 8_000);
    // A-law, one channel, 8,000 Hz.
    assert_eq!(&prompt[20..28], [6, 0, 1, 0, 0x40, 0x1F, 0, 0]);
    // What was made is itself a file that can be uploaded.
    assert!(run(&[Path::new("check"), &to]).status.success());
}

#[test]
fn what_cannot_be_a_prompt_is_refused_in_two_languages_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("song.wav"), dir.path().join("out.wav"));
    let mut cut = wav(500);
    cut.truncate(1_000);
    for (bytes, why) in [(b"ID3\x04".to_vec(), "not a WAV file"), (cut, "cut short")] {
        fs::write(&from, bytes).unwrap();
        let output = run(&[Path::new("convert"), &from, &to]);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(why) && text.contains("文件"), "{text}");
        assert!(!to.exists());
    }
    assert!(!run(&[Path::new("check"), dir.path()]).status.success(), "a directory");
    assert!(!run(&[Path::new("check"), &dir.path().join("none")]).status.success());
    let pipe = dir.path().join("pipe");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let (done, refused) = mpsc::channel();
    thread::spawn(move || done.send(said(&run(&[Path::new("check"), &pipe]))));
    let text = refused.recv_timeout(Duration::from_secs(30)).expect("nobody writes to it");
    assert!(text.contains("not a file"), "{text}");
}

#[test]
fn v25_a_file_is_read_in_a_process_that_can_open_nothing_and_ends_by_itself() {
    let mut child = Command::new(HOTLINE)
        .arg("prompt-apart")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let file = wav(4_000);
    let mut stdin = child.stdin.take().unwrap();
    // More than a pipe holds: what was taken of it was taken after the limits were set.
    let (begin, rest) = file.split_at(file.len() - 1_000);
    assert!(begin.len() > 200_000);
    stdin.write_all(begin).unwrap();
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let of = |name: &str| -> Vec<String> {
        let line = limits.lines().find_map(|it| it.strip_prefix(name)).unwrap();
        line.split_whitespace().take(2).map(str::to_owned).collect()
    };
    for (name, most) in [
        ("Max open files", "3"),
        ("Max file size", "0"),
        ("Max processes", "0"),
        ("Max core file size", "0"),
        ("Max cpu time", "60"),
        ("Max address space", "536870912"),
    ] {
        assert_eq!(of(name), [most, most], "{name}");
    }
    stdin.write_all(rest).unwrap();
    drop(stdin);
    let mut result = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut result).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(result.len() > 32_000, "{} bytes", result.len());
}
