//! 随录信息: what a recording is, in a file beside it.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Component, Path, PathBuf},
};

use hotline_base::RecordingId;
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
fn sidecar_path(recording_dir: &Path, audio: &RecordedAudio) -> PathBuf {
    recording_dir.join(&audio.path).with_extension("json")
}

/// Writes sidecars so that each is whole or absent. Blocks on the disk. What could not be written,
/// and why.
pub(crate) fn write_sidecars<'a>(
    recording_dir: &Path,
    all: &[(&'a CallRecord, &'a RecordedAudio)],
) -> Vec<(&'a RecordingId, io::Error)> {
    // First all are written, then all are synced: the first sync carries what the others need.
    let written: Vec<_> =
        all.iter().map(|(record, audio)| (*audio, write(recording_dir, record, audio))).collect();
    let lasting = written.into_iter().map(|(audio, written)| {
        let (file, new, path) = match written {
            Ok(it) => it,
            Err(error) => return Err((&audio.recording, error)),
        };
        let named = file.sync_all().and_then(|()| fs::rename(new, path));
        named.map_err(|error| (&audio.recording, error))
    });
    lasting.filter_map(Result::err).collect()
}

/// The new file under the first of its names, and the second.
fn write(
    recording_dir: &Path,
    record: &CallRecord,
    audio: &RecordedAudio,
) -> io::Result<(File, PathBuf, PathBuf)> {
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
    let mut text = serde_json::to_vec_pretty(&json)?;
    text.push(b'\n');
    let mut file = File::create(&new)?;
    file.write_all(&text)?;
    Ok((file, new, path))
}
