//! 随录信息: what a recording is, in a file beside it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Component, Path, PathBuf},
};

use hotline_base::RecordingId;
use hotline_cdr::{CallRecord, RecordedAudio};
use rustix::fs::syncfs;
use serde::{Deserialize, Serialize};

use crate::{
    chain::{ChainHead, Link},
    marks::{Marks, marks},
    wire::Time,
};

/// `<recording>.json` beside `<recording>.wav`.
#[derive(Serialize)]
struct SidecarJson<'a> {
    recording_id: &'a str,
    call_id: String,
    /// When the call reached us.
    t_in: Option<Time>,
    /// When the recording began: the agent's answer, or before it where the flow records.
    t_start: Time,
    path: &'a str,
    /// `inbound` or `outbound`.
    call_type: &'static str,
    /// Normalised; `null` is 匿名.
    caller_no: Option<&'a str>,
    called_no: &'a str,
    /// The first agent; no letter when the flow recorded a caller who came to nobody.
    agent_no: &'a str,
    skill_group: &'a str,
    duration_ms: u64,
    bytes: u64,
    sha256: &'a str,
    gap_ms: u64,
    n_gaps: u32,
    channels: Channels,
    #[serde(flatten)]
    marks: Marks,
    chain: Link,
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

/// Where the sidecar of a recording lies: beside its audio, on whichever volume that is.
fn sidecar_path(dirs: &[PathBuf], audio: &RecordedAudio) -> io::Result<PathBuf> {
    let place = place_of(dirs, &audio.path).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(place.join(&audio.path).with_extension("json"))
}

/// The directory that holds a recording, or most of it if a disk did not answer; the first when
/// none does. `None` for a path that leaves them all.
pub fn place_of<'a>(dirs: &'a [PathBuf], path: &str) -> Option<&'a Path> {
    let size = |it: &&PathBuf| it.join(path).metadata().map_or(0, |it| it.len() + 1);
    let most = dirs.iter().rev().max_by_key(size).filter(|it| size(it) > 0);
    most.or(dirs.first()).filter(|_| is_below(path)).map(PathBuf::as_path)
}

/// Writes sidecars so that each is whole or absent, and is the next link of the node's chain. One
/// that is there and has its place in the chain is left as it is. Blocks on the disk. What could
/// not be written, and why.
pub(crate) fn write_sidecars<'a>(
    dirs: &[PathBuf],
    all: &[(&'a CallRecord, &'a RecordedAudio)],
) -> Vec<(&'a RecordingId, io::Error)> {
    let mut head = match ChainHead::read(dirs) {
        Ok(head) => head,
        // A chain that went on from nowhere would accuse everything before.
        Err(error) => {
            let why = || io::Error::new(error.kind(), error.to_string());
            return all.iter().map(|it| (&it.1.recording, why())).collect();
        }
    };
    let before = head.clone();
    let fresh = adopt(dirs, all, &mut head);
    // First all are written, then all are synced together, then all get their names.
    let (mut failed, mut written, mut next) = (Vec::new(), Vec::new(), head.clone());
    for (record, audio) in fresh {
        match write(dirs, record, audio, &mut next) {
            Ok(it) => written.push((audio, it, next.clone())),
            Err(error) => failed.push((&audio.recording, error)),
        }
    }
    let synced = sync(dirs, &written);
    let mut is_broken = false;
    for (audio, Written { new, path }, link) in written {
        // What would hang on a link that is not there is not written either.
        let on_disk = dirs.iter().zip(&synced).find(|(dir, _)| path.starts_with(dir));
        let lasting = match on_disk {
            _ if is_broken => Err(io::ErrorKind::Interrupted.into()),
            Some((_, Err(error))) => Err(io::Error::new(error.kind(), error.to_string())),
            Some((_, Ok(()))) | None => fs::rename(new, path),
        };
        match lasting {
            Ok(()) => head = link,
            Err(error) => {
                is_broken = true;
                failed.push((&audio.recording, error));
            }
        }
    }
    if head != before
        && let Err(error) = head.write(dirs)
        && let Some((_, audio)) = all.last()
    {
        failed.push((&audio.recording, error));
    }
    failed
}

/// Brings what was written to the disk: one file by itself, several by one sync of each volume,
/// which costs one commit of its journal instead of one for each file. The outcome for each
/// directory.
fn sync(dirs: &[PathBuf], written: &[(&RecordedAudio, Written, ChainHead)]) -> Vec<io::Result<()>> {
    let on = |dir: &PathBuf| written.iter().map(|it| &it.1).find(|it| it.path.starts_with(dir));
    let sync = |it: &Written| match (File::open(&it.new)?, written) {
        (file, [_]) => file.sync_all(),
        (file, _) => Ok(syncfs(file)?),
    };
    dirs.iter().map(|dir| on(dir).map_or(Ok(()), sync)).collect()
}

/// Follows links that were added when the process died before it had noted them, and leaves those
/// that have their place. Returns what has to be written.
fn adopt<'a>(
    dirs: &[PathBuf],
    all: &[(&'a CallRecord, &'a RecordedAudio)],
    head: &mut ChainHead,
) -> Vec<(&'a CallRecord, &'a RecordedAudio)> {
    let mut linked = BTreeMap::new();
    let mut fresh = Vec::new();
    for it in all {
        match read_link(dirs, it.1) {
            Some((seq, path, text)) => {
                linked.insert(seq, (path, text));
            }
            None => fresh.push(*it),
        }
    }
    while let Some((path, text)) = linked.remove(&(head.seq + 1)) {
        head.advance(path, &text);
    }
    fresh
}

/// The place in the chain of a sidecar that is there, its path and its text.
fn read_link(dirs: &[PathBuf], audio: &RecordedAudio) -> Option<(u64, String, Vec<u8>)> {
    #[derive(Deserialize)]
    struct Known {
        chain: Link,
    }
    let text = fs::read(sidecar_path(dirs, audio).ok()?).ok()?;
    let known: Known = serde_json::from_slice(&text).ok()?;
    Some((known.chain.seq, name_of(audio), text))
}

/// A sidecar's path in the chain.
fn name_of(audio: &RecordedAudio) -> String {
    Path::new(&audio.path).with_extension("json").to_string_lossy().into_owned()
}

/// A sidecar under the first of its names.
struct Written {
    new: PathBuf,
    path: PathBuf,
}

fn write(
    dirs: &[PathBuf],
    record: &CallRecord,
    audio: &RecordedAudio,
    head: &mut ChainHead,
) -> io::Result<Written> {
    let path = sidecar_path(dirs, audio)?;
    let json = SidecarJson {
        recording_id: audio.recording.as_str(),
        call_id: record.call.to_string(),
        t_in: record.t_in.map(Time),
        t_start: Time(audio.started),
        path: &audio.path,
        call_type: record.direction().as_str(),
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
        marks: marks(record, audio),
        chain: head.next(),
    };
    let new = path.with_extension("json.new");
    let mut text = serde_json::to_vec_pretty(&json)?;
    text.push(b'\n');
    let mut file = File::create(&new)?;
    file.write_all(&text)?;
    head.advance(name_of(audio), &text);
    Ok(Written { new, path })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chain::digest, fixture};

    #[test]
    fn each_sidecar_names_the_one_before_and_none_is_written_over() {
        let place = tempfile::tempdir().unwrap();
        let dirs = [place.path().join("a"), place.path().join("b")];
        for dir in &dirs {
            fs::create_dir_all(dir.join("2026")).unwrap();
        }
        // The second lies on the second volume.
        fs::write(dirs[1].join("2026/8.wav"), b"").unwrap();
        let records = [7, 8, 9].map(|it| fixture::answered(it, 2, "1001", "13800138000"));
        let pair = |it: usize| (&records[it], &records[it].recordings[0]);
        assert!(write_sidecars(&dirs, &[pair(0), pair(1)]).is_empty());
        let head = ChainHead::read(&dirs).unwrap();
        assert_eq!((head.seq, &*head.path), (2, "2026/8.json"));
        let text = fs::read(dirs[1].join("2026/8.json")).unwrap();
        assert_eq!(digest(&text), head.sha256);
        let (_, _, first) = read_link(&dirs, pair(0).1).unwrap();
        let second: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(second["chain"]["previous"], "2026/7.json");
        assert_eq!(second["chain"]["previous_sha256"], digest(&first));

        // The process died before it noted the second, and the journal is read again.
        fs::remove_file(dirs[0].join(".chain.json")).unwrap();
        assert!(write_sidecars(&dirs, &[pair(0), pair(1), pair(2)]).is_empty());
        assert_eq!(fs::read(dirs[1].join("2026/8.json")).unwrap(), text);
        assert_eq!(ChainHead::read(&dirs).unwrap().seq, 3);
        let third: serde_json::Value =
            serde_json::from_slice(&fs::read(dirs[0].join("2026/9.json")).unwrap()).unwrap();
        assert_eq!(third["chain"]["previous_sha256"], head.sha256);
    }
}
