//! Inputs that are kept: one file each, in `fuzz/corpus/<target>`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// An input and the file it stands in, below the root of the house.
#[derive(Clone, Debug)]
pub struct Kept {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Where messages of RFCs stand, which are the scanner's, too.
const TORTURE: &str = "crates/hotline-sip/tests/torture";

/// In the order of their names.
pub fn of(target: &str) -> io::Result<Vec<Kept>> {
    let mut folders = vec![format!("fuzz/corpus/{target}")];
    if target == "scanner" {
        folders.extend(["rfc4475", "rfc5118"].map(|it| format!("{TORTURE}/{it}")));
    }
    let mut all = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(root().join(&folder))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            all.push(Kept { name: format!("{folder}/{name}"), bytes: fs::read(&path)? });
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
