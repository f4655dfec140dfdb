//! Disks of an engine's own: small ones that fill up, and ones that lose power.
//!
//! They are mounted in a mount namespace that only the engine is in. With its last process they
//! are gone, whatever became of the test. To mount takes root, or for a small disk at least a kernel
//! that lets everybody have a namespace; where that is not to be had, a test says so and is skipped.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command as StdCommand, Output},
};

use tokio::process::Command;

#[derive(Clone, Debug)]
pub(crate) enum Disk {
    /// So many kilobytes for recordings.
    Small { kilobytes: u64 },
    /// Everything the engine writes, on a file system in this file.
    Image(PathBuf),
}

/// Bytes of an image.
const IMAGE: u64 = 48 << 20;

impl Disk {
    /// A fresh file system in a file.
    pub(crate) fn image(at: &Path) -> io::Result<Self> {
        File::create(at)?.set_len(IMAGE)?;
        let made = StdCommand::new("mkfs.ext4").args(["-q", "-F"]).arg(at).output()?;
        if made.status.success() {
            Ok(Self::Image(at.to_owned()))
        } else {
            Err(io::Error::other(complaint(&made)))
        }
    }

    /// Whether this machine lets us have such a disk; if not, says so and what would help.
    #[expect(clippy::print_stderr, reason = "a test that is not run must be seen")]
    pub(crate) fn is_to_be_had(&self, test: &str) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let mut command = self.shell(folder.path(), "true").into_std();
        let why = match command.current_dir(folder.path()).output() {
            Ok(it) if it.status.success() => return true,
            Ok(it) => complaint(&it),
            Err(error) => error.to_string(),
        };
        let needs = match self {
            Self::Small { .. } => "root, or user namespaces for everybody",
            Self::Image(_) => "root, loop devices, and mkfs.ext4 of the package e2fsprogs",
        };
        eprintln!("SKIPPED {test}: this machine cannot mount its disk ({why}); it takes {needs}");
        false
    }

    /// A shell for a script in the engine's folder, to which the disk is mounted.
    pub(crate) fn shell(&self, folder: &Path, script: &str) -> Command {
        let mount = match self {
            Self::Small { kilobytes } => format!(
                "mkdir -p var/recordings && mount -t tmpfs -o size={kilobytes}k tmpfs var/recordings"
            ),
            Self::Image(it) => {
                let it = folder.join(it);
                // The note of an engine that ran on this disk before says where that one was.
                let (image, note) = (it.display(), "var/engine.json");
                format!("mkdir -p var && mount -o loop '{image}' var && rm -f {note}")
            }
        };
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["sh", "-c", &format!("{mount} || exit 1\n{script}")]);
        command
    }
}

/// A shell for a script.
pub(crate) fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// The same in the network namespace of a process.
pub(crate) fn shell_in(pid: u32, script: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args([&format!("--net=/proc/{pid}/ns/net"), "sh", "-c", script]);
    command
}

/// An absolute path as a process sees it.
pub(crate) fn seen_by(pid: u32, path: &Path) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join("root").join(path.strip_prefix("/").unwrap())
}

/// The bytes of an image at one instant, as a disk keeps them that loses its power: what the file
/// system has not handed over yet is not there. Runs `at_instant` close to that instant.
pub(crate) fn cut_power<T>(image: &Path, mut at_instant: impl FnMut() -> T) -> (Vec<u8>, T) {
    let mut before = fs::read(image).unwrap();
    // Reading takes time in which the disk may be written; two equal copies are of one instant.
    for _ in 0..200 {
        let it = at_instant();
        let after = fs::read(image).unwrap();
        if before == after {
            return (before, it);
        }
        before = after;
    }
    panic!("the disk is written without a pause");
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")
}
