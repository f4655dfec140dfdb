//! What the program carries with it: the default configuration and the bundled flows and prompts.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The language of the bundled sounds, and the folder of their kind.
pub(crate) const LANGUAGE: &str = "zh-CN";

/// Where the sounds of the bundle lie, relative to it.
pub(crate) const SOUNDS: &str = "prompts/zh-CN/";

/// The content of one bundled file.
#[cfg(test)]
pub(crate) fn file(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|it| it.0 == name).map(|it| it.1)
}

/// Writes the bundled sounds that `folder` lacks and says how many. A file that exists, whatever
/// is in it, is a person's own and stays.
pub(crate) fn unpack_sounds(folder: &Path) -> io::Result<usize> {
    fs::create_dir_all(folder)?;
    let mut n_written = 0;
    for (name, bytes) in FILES {
        let Some(name) = name.strip_prefix(SOUNDS) else { continue };
        if name.contains('/') || folder.join(name).exists() {
            continue;
        }
        // A half-written prompt must not be taken for a person's own after a power loss.
        let half = folder.join(format!(".{name}.tmp"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&half)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&half, folder.join(name))?;
        n_written += 1;
    }
    Ok(n_written)
}
