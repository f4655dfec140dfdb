//! The process apart in which sounds that people bring become prompts: a fault in reading a file,
//! found by whoever made it, costs that conversion and nothing else.

use std::process::{Command, Stdio};

use crate::supervisor::RoleCommand;

/// Bytes of the longest that it tells: half an hour of A-law, and what is said of it.
pub const CONVERTED_MAX: u64 = 16 << 20;

/// The process, which reads the sound from its standard input and tells what
/// [`unpack_upload`](hotline_media::unpack_upload) understands.
pub fn converter(it: &RoleCommand) -> Command {
    let mut command = Command::new(&it.program);
    command.args(&it.args).env_clear().current_dir("/").stdout(Stdio::piped());
    command
}
