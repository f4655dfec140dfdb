//! What the roles hold, counted from outside: memory, threads, open files by kind, files on disk.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

/// Supervisor, control and media.
pub(crate) const ROLES: [&str; 3] = ["supervisor", "control", "media"];

/// What one role holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// Resident, in bytes, and of that what no file backs.
    pub(crate) resident: u64,
    pub(crate) own: u64,
    pub(crate) threads: usize,
    /// Handles by kind: `socket`, `memfd`, `pipe`, `anon`, `file`.
    pub(crate) handles: BTreeMap<&'static str, usize>,
}

impl Held {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let root = PathBuf::from(format!("/proc/{pid}"));
        let status = fs::read_to_string(root.join("status"))?;
        let kib = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|it| it.strip_prefix(name));
            let value = line.and_then(|it| it.trim().strip_suffix("kB")).context("a size")?;
            Ok(value.trim().parse::<u64>()? << 10)
        };
        let mut handles = BTreeMap::new();
        for handle in fs::read_dir(root.join("fd"))? {
            // It may have been closed meanwhile.
            let Ok(target) = fs::read_link(handle?.path()) else { continue };
            *handles.entry(kind(&target)).or_insert(0) += 1;
        }
        Ok(Self {
            resident: kib("VmRSS:")?,
            own: kib("RssAnon:")?,
            threads: fs::read_dir(root.join("task"))?.count(),
            handles,
        })
    }

    pub(crate) fn of_kind(&self, kind: &str) -> usize {
        self.handles.get(kind).copied().unwrap_or(0)
    }

    pub(crate) fn n_handles(&self) -> usize {
        self.handles.values().sum()
    }
}

fn kind(target: &Path) -> &'static str {
    let text = target.to_string_lossy();
    if text.starts_with("socket:") {
        "socket"
    } else if text.starts_with("/memfd:") {
        "memfd"
    } else if text.starts_with("pipe:") {
        "pipe"
    } else if text.starts_with("anon_inode:") {
        "anon"
    } else {
        "file"
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |it: u64| it as f64 / 1_048_576.0;
        write!(
            f,
            "{:6.1} MiB resident, {:6.1} its own, {:3} threads, {:3} handles:",
            mib(self.resident),
            mib(self.own),
            self.threads,
            self.n_handles()
        )?;
        self.handles.iter().try_for_each(|(kind, n)| write!(f, " {kind} {n}"))
    }
}

/// Processor time of a process's living threads, as the scheduler counts it.
pub(crate) fn spent(pid: u32) -> Result<Duration> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        sum += text.split(' ').next().context("three numbers")?.trim().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(sum))
}

/// Files below a folder, by what their names end in.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(it) = folders.pop() {
        for entry in fs::read_dir(it).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let end = path.extension().unwrap_or_default().to_string_lossy().into_owned();
                *found.entry(end).or_insert(0) += 1;
            }
        }
    }
    found
}
