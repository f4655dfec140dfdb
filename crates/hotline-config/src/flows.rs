//! Reads the files of a bundle, from a folder or from the program itself, and has them judged.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use hotline_base::{GroupId, PromptId, WallTime};
use hotline_ivr::{
    Bundle, Complaint as FlowComplaint, check,
    raw::{At, RawBundle, RawFile, RawKind},
};
use sha2::{Digest as _, Sha256};

use crate::{Complaint, csv, embedded, wav, yaml};

/// Where flows and sounds come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    /// `None`: the bundled flows.
    pub(crate) folder: Option<PathBuf>,
    /// Folders of `<prompt id>.wav`; the first that has one counts, the bundled ones come last.
    pub(crate) sounds: Vec<PathBuf>,
}

/// A bundle that was read and judged.
#[derive(Debug)]
pub(crate) struct Flows {
    pub(crate) bundle: Arc<Bundle>,
    pub(crate) tests: Vec<RawFile>,
    /// Length of every sound in milliseconds.
    pub(crate) lengths: BTreeMap<PromptId, u32>,
    /// As a person would name the folder.
    pub(crate) shown: String,
}

impl Place {
    pub(crate) fn shown(&self) -> String {
        self.folder
            .as_ref()
            .map_or("（内置）ivr-flows".to_owned(), |it| it.display().to_string())
    }

    /// Reads everything; the bundle may be used when no complaint is an error.
    pub(crate) fn read(
        &self,
        groups: BTreeSet<GroupId>,
        today: Option<WallTime>,
    ) -> (Flows, Vec<Complaint>) {
        let mut complaints = Vec::new();
        let mut hash = Sha256::new();
        let mut raw = RawBundle { groups, today, ..RawBundle::default() };
        let mut tests = Vec::new();
        for (name, bytes) in self.files(&mut complaints) {
            let Some(kind) = kind_of(&name) else { continue };
            // The length keeps two files from being taken for two others.
            hash.update(format!("{name}\0{}\0", bytes.len()));
            hash.update(&bytes);
            let read = match kind {
                RawKind::TableRows => csv::read(&name, &bytes),
                RawKind::Flow
                | RawKind::Numbers
                | RawKind::Profile
                | RawKind::Calendar
                | RawKind::Schedule
                | RawKind::Table
                | RawKind::Catalog
                | RawKind::Session
                | RawKind::Test => yaml::read(&name, &bytes),
            };
            match read {
                Ok(root) => {
                    let file = RawFile { name, kind, root };
                    if kind == RawKind::Test {
                        tests.push(file.clone());
                    }
                    raw.files.push(file);
                }
                Err(found) => complaints.extend(found),
            }
        }
        raw.recordings = self.lengths(&mut hash, &mut complaints);
        raw.hash = hex(&hash.finalize());
        let unread: BTreeSet<_> = complaints.iter().map(|it| it.file.clone()).collect();
        let (bundle, found) = check(&raw);
        // A file that cannot be read makes others refer to nothing; one complaint is enough.
        let hide = |it: &FlowComplaint| !unread.is_empty() && it.code == "E15";
        complaints.extend(found.into_iter().filter(|it| !hide(it)));
        let shown = self.shown();
        let complaints = complaints.into_iter().map(|it| Complaint::of_flow(it, &shown)).collect();
        let flows = Flows { bundle: Arc::new(bundle), tests, lengths: raw.recordings, shown };
        (flows, complaints)
    }

    /// Names relative to the bundle with contents, in order of names.
    fn files(&self, complaints: &mut Vec<FlowComplaint>) -> Vec<(String, Vec<u8>)> {
        let Some(folder) = &self.folder else {
            let texts = embedded::FILES.iter().filter(|it| kind_of(it.0).is_some());
            return texts.map(|it| (it.0.to_owned(), it.1.to_vec())).collect();
        };
        let mut files = Vec::new();
        if let Err(error) = collect(folder, "", &mut files) {
            let text = format!("流程目录不能读取：{error}");
            let it = FlowComplaint::new("", At::default(), "", "E01", text);
            complaints.push(it.advise("请检查 flows.dir 是否写对，以及读取权限"));
        }
        files.sort();
        files
    }

    fn lengths(
        &self,
        hash: &mut Sha256,
        complaints: &mut Vec<FlowComplaint>,
    ) -> BTreeMap<PromptId, u32> {
        let mut sounds = BTreeMap::new();
        for (name, bytes) in embedded::FILES {
            if let Some(id) = prompt_of(name.strip_prefix(embedded::SOUNDS)) {
                sounds.insert(id, bytes.to_vec());
            }
        }
        for folder in self.sounds.iter().rev() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let Some(id) = prompt_of(name.to_str()) else { continue };
                if let Ok(bytes) = fs::read(entry.path()) {
                    sounds.insert(id, bytes);
                }
            }
        }
        let mut lengths = BTreeMap::new();
        for (id, bytes) in sounds {
            hash.update(format!("{id}\0{}\0", bytes.len()));
            hash.update(&bytes);
            match wav::length_ms(&bytes) {
                Ok(ms) => {
                    lengths.insert(id, ms);
                }
                Err(why) => {
                    let file = format!("{}{id}.wav", embedded::SOUNDS);
                    let text = format!("语音 {id} 不能播放：{why}");
                    let it = FlowComplaint::new(&file, At::default(), id.as_str(), "E13", text);
                    complaints.push(it.advise(format!(
                        "转换格式：sox 原文件.wav -r 8000 -c 1 -e a-law {id}.wav"
                    )));
                }
            }
        }
        lengths
    }
}

/// What a file of the bundle is, by its place and name; `None` is no business of the checker.
fn kind_of(name: &str) -> Option<RawKind> {
    let (folder, file) = name.split_once('/').unwrap_or(("", name));
    if file.contains('/') {
        return None;
    }
    let ends = |it: &str| file.ends_with(it);
    match folder {
        "" if file == "session.yaml" => Some(RawKind::Session),
        "flows" if ends(".flow.yaml") => Some(RawKind::Flow),
        "numbers" if ends(".numbers.yaml") => Some(RawKind::Numbers),
        "profiles" if ends(".yaml") => Some(RawKind::Profile),
        "calendars" if ends(".yaml") => Some(RawKind::Calendar),
        "schedules" if ends(".schedule.yaml") => Some(RawKind::Schedule),
        "tables" if ends(".table.yaml") => Some(RawKind::Table),
        "tables" if ends(".csv") => Some(RawKind::TableRows),
        "prompts" if file == "catalog.yaml" => Some(RawKind::Catalog),
        "tests" if ends(".test.yaml") => Some(RawKind::Test),
        _ => None,
    }
}

fn prompt_of(file: Option<&str>) -> Option<PromptId> {
    let stem = file?.strip_suffix(".wav")?;
    (!stem.is_empty() && !stem.starts_with('.') && !stem.contains('/')).then(|| PromptId::new(stem))
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let meta = fs::metadata(entry.path())?;
        if meta.is_dir() {
            // The bundle is two levels deep; sounds are read elsewhere.
            if prefix.is_empty() {
                collect(&entry.path(), &format!("{name}/"), files)?;
            }
        } else if kind_of(&format!("{prefix}{name}")).is_some() {
            let too_big = meta.len() > 16 * yaml::SIZE_MAX as u64;
            let bytes =
                if too_big { vec![b' '; yaml::SIZE_MAX + 1] } else { fs::read(entry.path())? };
            files.push((format!("{prefix}{name}"), bytes));
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |it: u8| char::from_digit(u32::from(it), 16).unwrap_or('0');
    bytes.iter().flat_map(|it| [digit(it >> 4), digit(it & 15)]).collect()
}
