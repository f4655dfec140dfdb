//! What both child roles do first.

use std::{io, os::fd::OwnedFd};

use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit,
};

/// Ties this process to its parent and takes the handover socket from standard input.
///
/// # Errors
/// When standard input is not a socket: somebody started the role by hand.
pub fn begin() -> io::Result<OwnedFd> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    allow_files();
    let stdin = rustix::stdio::stdin();
    if rustix::net::sockopt::socket_type(stdin).is_err() {
        let text = "a role is started by `hotline serve`, not by hand";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    stdin.try_clone_to_owned()
}

/// As many descriptors as are allowed: a leg takes two, a telephone's connection one, and the usual
/// soft limit of 1,024 is there for programs that call `select`.
fn allow_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if let Err(error) = raised {
        tracing::warn!(%error, ?current, ?maximum, "The limit of descriptors stays as it is.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_takes_as_many_descriptors_as_it_is_allowed() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(512), maximum }).unwrap();
        allow_files();
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }
}
