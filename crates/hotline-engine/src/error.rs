//! Why the engine does not start or had to end.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::supervisor::Role;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "{what} cannot listen on {address}: {source}. Stop the program that has this address \
         (`ss -lnp` shows it) or choose another in the configuration"
    )]
    Bind { what: &'static str, address: SocketAddr, source: io::Error },
    #[error("the data directory {path} cannot be used: {source}")]
    DataDir { path: PathBuf, source: io::Error },
    #[error("the {0} role cannot start; its own message stands above")]
    RoleCannotStart(Role),
    #[error("{what}: {source}")]
    Io { what: &'static str, source: io::Error },
}

impl Error {
    /// For `map_err`.
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
