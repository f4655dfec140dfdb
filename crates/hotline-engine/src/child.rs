//! What both child roles do first.

use std::{io, os::fd::OwnedFd};

use rustix::process::{Signal, set_parent_process_death_signal};

/// Ties this process to its parent and takes the handover socket from standard input.
///
/// # Errors
/// When standard input is not a socket: somebody started the role by hand.
pub fn begin() -> io::Result<OwnedFd> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let stdin = rustix::stdio::stdin();
    if rustix::net::sockopt::socket_type(stdin).is_err() {
        let text = "a role is started by `hotline serve`, not by hand";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    stdin.try_clone_to_owned()
}
