//! Where the house lies on disk, and its text files.

#![expect(clippy::expect_used, clippy::panic, reason = "test code")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").to_owned()
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Paths below `start` with one of the extensions, relative to the root, in order.
pub(crate) fn files(start: &str, extensions: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    collect(&root().join(start), extensions, &mut found);
    found.sort();
    found
}

fn collect(dir: &Path, extensions: &[&str], found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.expect("a directory entry").path();
        let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !FOREIGN.contains(&name) {
                collect(&path, extensions, found);
            }
        } else if path
            .extension()
            .and_then(|it| it.to_str())
            .is_some_and(|it| extensions.contains(&it))
        {
            let path = path.strip_prefix(root()).expect("below the root");
            found.push(path.to_str().expect("names are UTF-8").to_owned());
        }
    }
}

/// Directories that hold what others made.
const FOREIGN: &[&str] = &["target", ".git", "node_modules", "var"];
