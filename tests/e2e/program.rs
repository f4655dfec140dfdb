//! The program under test, built once for a test run.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The path of the `hotline` program, fresh from the sources that this test was built from.
pub(crate) fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(build)
}

/// A test cannot name another package's program as its dependency, so it asks for the build. When
/// nothing changed, this takes a fraction of a second.
fn build() -> PathBuf {
    // <target>/<profile>/deps/e2e-…
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "hotline"]);
    cargo.arg("--target-dir").arg(profile.parent().unwrap());
    cargo.current_dir(root());
    // What cargo tells this test of its own package makes build scripts run again, and everything
    // after them be built again.
    let own = |it: &std::ffi::OsString| {
        let it = it.to_string_lossy();
        it.starts_with("CARGO_PKG_") || it.starts_with("CARGO_MANIFEST_")
    };
    for name in std::env::vars_os().map(|it| it.0).filter(own) {
        cargo.env_remove(name);
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let status = cargo.status().unwrap();
    assert!(status.success(), "`cargo build --package hotline` ended with {status}");
    profile.join("hotline")
}

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
