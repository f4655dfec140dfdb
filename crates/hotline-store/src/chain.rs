//! The chain of sidecars: each names the one before and its hash, so that none can be changed or
//! taken out unnoticed. One chain for each node, in the order in which recordings were sealed.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The file that names the newest link, in the recording directories.
const HEAD: &str = ".chain.json";

/// A sidecar's place in the chain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Link {
    /// Counted from 1.
    pub seq: u64,
    /// The sidecar before, relative to the recording directory; `None` for the first.
    pub previous: Option<String>,
    /// SHA-256 of that file, in lower-case hexadecimal.
    pub previous_sha256: Option<String>,
}

/// The newest link.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ChainHead {
    /// 0: there is none yet.
    pub seq: u64,
    /// Relative to the recording directory.
    pub path: String,
    pub sha256: String,
}

impl ChainHead {
    /// The newest that one of the directories knows of. Blocks on the disk.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn read<P: AsRef<Path>>(dirs: &[P]) -> io::Result<Self> {
        let mut newest = Self::default();
        for dir in dirs {
            match fs::read(dir.as_ref().join(HEAD)) {
                Ok(text) => {
                    let head: Self = serde_json::from_slice(&text)?;
                    if head.seq > newest.seq {
                        newest = head;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                Err(error) => return Err(error),
            }
        }
        Ok(newest)
    }

    /// Writes it where one directory takes it.
    pub(crate) fn write(&self, dirs: &[PathBuf]) -> io::Result<()> {
        let mut last = Ok(());
        for dir in dirs {
            last = self.write_to(dir);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    fn write_to(&self, dir: &Path) -> io::Result<()> {
        let new = dir.join(format!("{HEAD}.new"));
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(new, dir.join(HEAD))
    }

    /// The link after this one.
    pub(crate) fn next(&self) -> Link {
        let known = |it: &String| (self.seq > 0).then(|| it.clone());
        Link {
            seq: self.seq + 1,
            previous: known(&self.path),
            previous_sha256: known(&self.sha256),
        }
    }

    /// A link was added: the sidecar at this path, with this text.
    pub(crate) fn advance(&mut self, path: String, text: &[u8]) {
        *self = Self { seq: self.seq + 1, path, sha256: digest(text) };
    }
}

/// SHA-256 in lower-case hexadecimal.
pub fn digest(text: &[u8]) -> String {
    Sha256::digest(text).iter().fold(String::with_capacity(64), |mut hex, it| {
        for nibble in [it >> 4, it & 0x0F] {
            hex.extend(char::from_digit(u32::from(nibble), 16));
        }
        hex
    })
}
