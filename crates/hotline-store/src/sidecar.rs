//! 随录信息: what a recording is, in a file beside it.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Component, Path, PathBuf},
};

use hotline_cdr::{CallRecord, RecordedAudio};
use serde::Serialize;

use crate::wire::Time;

/// `<recording>.json` beside `<recording>.wav`.
#[derive(Serialize)]
struct SidecarJson<'a> {
    recording_id: &'a str,
    call_id: String,
    /// When the call reached us.
    t_in: Option<Time>,
    /// When the recording began: the agent's answer.
    t_start: Time,
    path: &'a str,
    /// `inbound`: calls come in.
    call_type: &'static str,
    /// Normalised; `null` is 匿名.
    caller_no: Option<&'a str>,
    called_no: &'a str,
    agent_no: &'a str,
    skill_group: &'a str,
    duration_ms: u64,
    bytes: u64,
    sha256: &'a str,
    gap_ms: u64,
    n_gaps: u32,
    channels: Channels,
}

#[derive(Serialize)]
struct Channels {
    left: &'static str,
    right: &'static str,
}

/// Whether a path stays below the directory it is joined to.
pub(crate) fn is_below(path: &str) -> bool {
    let mut components = Path::new(path).components();
    !path.is_empty() && components.all(|it| matches!(it, Component::Normal(_)))
}

/// Where the sidecar of a recording lies.
pub fn sidecar_path(recording_dir: &Path, audio: &RecordedAudio) -> PathBuf {
    recording_dir.join(&audio.path).with_extension("json")
}

/// Writes a recording's sidecar so that it is whole or absent. Blocks on the disk.
pub fn write_sidecar(
    recording_dir: &Path,
    record: &CallRecord,
    audio: &RecordedAudio,
) -> io::Result<()> {
    if !is_below(&audio.path) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let json = SidecarJson {
        recording_id: audio.recording.as_str(),
        call_id: record.call.to_string(),
        t_in: record.t_in.map(Time),
        t_start: Time(audio.started),
        path: &audio.path,
        call_type: "inbound",
        caller_no: record.caller.as_ref().map(|it| it.reveal().as_str()),
        called_no: &record.called,
        agent_no: audio.agent.as_str(),
        skill_group: audio.group.as_str(),
        duration_ms: audio.duration_ms,
        bytes: audio.bytes,
        sha256: &audio.sha256,
        gap_ms: audio.gap_ms,
        n_gaps: audio.n_gaps,
        channels: Channels { left: "caller", right: "agent" },
    };
    let path = sidecar_path(recording_dir, audio);
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    file.write_all(serde_json::to_string_pretty(&json)?.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(new, path)
}
