//! The media role: what surrounds `hotline-media` in its process.

use std::{
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::Duration,
};

use hotline_media::MediaConfig;

use crate::{
    Config, Error, child,
    handover::{self, Handover, Report},
    telemetry,
};

/// Runs the media role until the supervisor ends it. Standard input is the supervisor's socket.
///
/// # Errors
/// When the kernel refuses what media needs, or a media thread has ended.
pub fn media(config: &Config, media: MediaConfig) -> Result<(), Error> {
    let _logging = telemetry::begin(&config.telemetry, "media");
    let supervisor = child::begin().map_err(Error::io("the media role"))?;
    let running = match memory(&supervisor) {
        Some(memory) => hotline_media::resume(media, memory),
        None => hotline_media::start(media),
    };
    let running = running.map_err(Error::io("media does not start"))?;
    handover::send(&supervisor, &Report::Ready, &[])
        .map_err(Error::io("the supervisor's socket"))?;
    loop {
        if !handover::wait(&supervisor, WATCH).map_err(Error::io("the supervisor's socket"))? {
            if running.is_running() {
                continue;
            }
            let source = std::io::Error::other("it panicked");
            return Err(Error::Io { what: "a media thread", source });
        }
        match handover::receive::<Handover>(&supervisor) {
            Ok(Some((Handover::Link, handles))) => {
                for handle in handles {
                    running.attach(UnixStream::from(handle));
                }
            }
            Ok(Some((Handover::Sockets { .. } | Handover::Memory, _))) => {
                tracing::error!("The supervisor hands over what is not due.");
            }
            Ok(Some((Handover::Drain | Handover::Stop, _)) | None) | Err(_) => {
                running.shutdown();
                return Ok(());
            }
        }
    }
}

/// What the supervisor hands over first; without it media runs, and its legs die with it.
fn memory(supervisor: &OwnedFd) -> Option<OwnedFd> {
    let due = handover::wait(supervisor, MEMORY_MAX).unwrap_or(false);
    let received = due.then(|| handover::receive::<Handover>(supervisor));
    if let Some(Ok(Some((Handover::Memory, mut handles)))) = received {
        return handles.pop();
    }
    tracing::error!("No memory came from the supervisor.");
    None
}

/// How long the supervisor may take to hand over memory.
const MEMORY_MAX: Duration = Duration::from_secs(5);

/// How often the threads are looked at.
const WATCH: Duration = Duration::from_secs(1);
