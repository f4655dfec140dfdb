//! The media role: what surrounds `hotline-media` in its process.

use std::{os::unix::net::UnixStream, time::Duration};

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
    let running = hotline_media::start(media).map_err(Error::io("media does not start"))?;
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
            Ok(Some((Handover::Sockets { .. }, _))) => {
                tracing::error!("Sockets are not for media.");
            }
            Ok(Some((Handover::Drain | Handover::Stop, _)) | None) | Err(_) => {
                running.shutdown();
                return Ok(());
            }
        }
    }
}

/// How often the threads are looked at.
const WATCH: Duration = Duration::from_secs(1);
