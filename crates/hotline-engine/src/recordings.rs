//! Recordings looked at from outside: each file against what was written down about it, and what
//! was written down against the chain.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use hotline_media::{FileState, Verified, verify};
use hotline_store::{ChainHead, Link, digest, wire::GapJson};
use serde::Deserialize;

/// What was found of one recording, or of one sidecar.
#[derive(Debug)]
pub enum Finding {
    /// Whole, and as it was when it was sealed, with what is missing in it.
    Sound {
        gaps: Vec<GapJson>,
    },
    BeingWritten,
    BrokenOff,
    Mended,
    /// Whole, but nothing beside it says what it should be.
    NoSidecar,
    /// Not what was sealed.
    Altered,
    /// Not a whole recording, and no process died over it.
    Damaged,
    /// The chain names it, and it is not there.
    Missing,
    Unreadable(io::Error),
}

/// What is read of the file beside a recording.
#[derive(Deserialize)]
struct Sidecar {
    bytes: u64,
    sha256: String,
    /// Without reasons in those of earlier versions.
    #[serde(default)]
    gaps: Vec<GapJson>,
    /// `None` in those of earlier versions.
    chain: Option<Link>,
}

/// A sidecar that is there.
struct Known {
    file: PathBuf,
    sha256: String,
    /// `None` when it has none that can be read, which is then another text than was chained.
    chain: Option<Link>,
}

/// Tells of each recording below these directories, and of each sidecar that is not as the chain
/// has it. With `mend`, headers of recordings that broke off are mended. Blocks on the disk.
///
/// # Errors
/// When a directory cannot be read.
pub fn verify_recordings(
    dirs: &[PathBuf],
    mend: bool,
    each: &mut impl FnMut(&Path, Finding),
) -> io::Result<()> {
    let mut known = BTreeMap::new();
    for dir in dirs {
        verify(dir, mend, &mut |Verified { path, state }| {
            let finding = match state {
                Ok(FileState::Whole { bytes, sha256 }) => compare(&path, bytes, &sha256),
                Ok(FileState::BeingWritten) => Finding::BeingWritten,
                Ok(FileState::BrokenOff) => Finding::BrokenOff,
                Ok(FileState::Mended) => Finding::Mended,
                Ok(FileState::Damaged) => Finding::Damaged,
                Err(error) => Finding::Unreadable(error),
            };
            each(&path, finding);
        })?;
        read_sidecars(dir, dir, &mut known, each)?;
    }
    check_chain(dirs, &known, each)
}

fn compare(recording: &Path, bytes: u64, sha256: &str) -> Finding {
    let sidecar = match fs::read(recording.with_extension("json")) {
        Ok(sidecar) => sidecar,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Finding::NoSidecar,
        Err(error) => return Finding::Unreadable(error),
    };
    match serde_json::from_slice::<Sidecar>(&sidecar) {
        Ok(it) if it.bytes == bytes && it.sha256 == sha256 => Finding::Sound { gaps: it.gaps },
        Ok(_) => Finding::Altered,
        Err(error) => Finding::Unreadable(error.into()),
    }
}

/// All sidecars below a directory, by their paths in the chain. One whose recording is gone is
/// told.
fn read_sidecars(
    root: &Path,
    dir: &Path,
    known: &mut BTreeMap<String, Known>,
    each: &mut impl FnMut(&Path, Finding),
) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let file = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            read_sidecars(root, &file, known, each)?;
        } else if file.extension().is_some_and(|it| it == "json") {
            let text = fs::read(&file)?;
            let recording = file.with_extension("wav");
            if !recording.exists() {
                each(&recording, Finding::Missing);
            }
            // What cannot be read was told of its recording.
            let chain = serde_json::from_slice::<Sidecar>(&text).ok().and_then(|it| it.chain);
            let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
            known.insert(name, Known { file, sha256: digest(&text), chain });
        }
    }
    Ok(())
}

/// The oldest link may be that of a recording whose time to be kept is over; from there on each
/// must be there, and be what the next one, or the head, says of it.
fn check_chain(
    dirs: &[PathBuf],
    known: &BTreeMap<String, Known>,
    each: &mut impl FnMut(&Path, Finding),
) -> io::Result<()> {
    let first = dirs.first().map_or(Path::new(""), PathBuf::as_path);
    let links = || known.values().filter_map(|it| it.chain.as_ref());
    let oldest = links().map(|it| it.seq).min().unwrap_or(0);
    let head = ChainHead::read(dirs)?;
    let mut said: Vec<(u64, &str, &str)> = Vec::new();
    if head.seq > 0 {
        said.push((head.seq, &head.path, &head.sha256));
    }
    for chain in links() {
        if let (Some(path), Some(sha256)) = (&chain.previous, &chain.previous_sha256) {
            said.push((chain.seq.saturating_sub(1), path, sha256));
        }
    }
    for (seq, path, sha256) in said {
        match known.get(path) {
            Some(it) if it.sha256 == sha256 => (),
            Some(it) => each(&it.file, Finding::Altered),
            None if seq < oldest => (),
            None => each(&first.join(path), Finding::Missing),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recording of nothing: two channels of A-law at 8,000 Hz.
    fn empty_wav() -> Vec<u8> {
        let mut wav = b"RIFF\x32\0\0\0WAVEfmt \x12\0\0\0\x06\0\x02\0".to_vec();
        wav.extend(8_000_u32.to_le_bytes());
        wav.extend(16_000_u32.to_le_bytes());
        wav.extend([2, 0, 8, 0, 0, 0]);
        wav.extend(b"fact\x04\0\0\0\0\0\0\0data\0\0\0\0");
        wav
    }

    /// Three recordings in a chain, and how many bad findings there are of them.
    fn findings(spoil: impl FnOnce(&Path)) -> Vec<String> {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path();
        let mut head = (String::new(), String::new());
        for seq in 1..=3_u64 {
            let wav = empty_wav();
            fs::write(dir.join(format!("{seq}.wav")), &wav).unwrap();
            let link = |it: &String| if seq > 1 { format!("\"{it}\"") } else { "null".to_owned() };
            let text = format!(
                "{{\"bytes\":{},\"sha256\":\"{}\",\"chain\":{{\"seq\":{seq},\
                 \"previous\":{},\"previous_sha256\":{}}}}}",
                wav.len(),
                digest(&wav),
                link(&head.0),
                link(&head.1)
            );
            head = (format!("{seq}.json"), digest(text.as_bytes()));
            fs::write(dir.join(&head.0), text).unwrap();
        }
        let text = format!("{{\"seq\":3,\"path\":\"{}\",\"sha256\":\"{}\"}}", head.0, head.1);
        fs::write(dir.join(".chain.json"), text).unwrap();
        spoil(dir);
        let mut found = Vec::new();
        verify_recordings(&[dir.to_owned()], false, &mut |path, it| {
            if !matches!(it, Finding::Sound { .. }) {
                let name = path.file_name().unwrap().to_string_lossy();
                let it = format!("{it:?}");
                found.push(format!("{name} {}", it.split('(').next().unwrap()));
            }
        })
        .unwrap();
        found
    }

    #[test]
    fn a_chain_that_is_whole_is_sound_and_what_is_missing_is_named() {
        assert!(findings(|_| ()).is_empty());
        let gone = |name: &'static str| {
            findings(move |dir| {
                fs::remove_file(dir.join(format!("{name}.wav"))).unwrap();
                fs::remove_file(dir.join(format!("{name}.json"))).unwrap();
            })
        };
        assert_eq!(gone("2"), ["2.json Missing"]);
        assert_eq!(gone("3"), ["3.json Missing"]);
        // Its time to be kept may be over.
        assert!(gone("1").is_empty());
        assert_eq!(findings(|dir| fs::remove_file(dir.join("2.wav")).unwrap()), ["2.wav Missing"]);
    }

    #[test]
    fn every_changed_bit_of_a_sidecar_or_a_recording_is_found() {
        for name in ["1.json", "2.json", "3.json", "2.wav"] {
            for bit in (0..140).map(|it| it * 8 + it % 8) {
                let found = findings(|dir| {
                    let mut text = fs::read(dir.join(name)).unwrap();
                    let Some(byte) = text.get_mut(bit / 8) else { return };
                    *byte ^= 1 << (bit % 8);
                    fs::write(dir.join(name), text).unwrap();
                });
                let is_there = name != "2.wav" || bit < 58 * 8;
                assert!(!is_there || !found.is_empty(), "{name}, bit {bit}");
            }
        }
    }
}
