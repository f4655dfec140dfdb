//! Logs: constant sentences with values as fields. No number and no name of a person.

use std::{io::stderr, panic};

use tracing_subscriber::{EnvFilter, fmt, util::SubscriberInitExt};

use crate::config::{LogFormat, Telemetry};

/// Starts logging to standard error for this process. A second call changes nothing.
pub fn begin(config: &Telemetry, role: &'static str) {
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // What cannot be written is lost: to complain about it on the same stream panics, and a log
    // that nobody reads any more, or that lies on a full disk, must not end a call.
    let builder = fmt().with_env_filter(filter).with_writer(stderr).log_internal_errors(false);
    let outcome = match config.format {
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
        LogFormat::Text => {
            builder.with_ansi(std::io::IsTerminal::is_terminal(&stderr())).finish().try_init()
        }
    };
    if outcome.is_ok() {
        hide_panic_text();
        tracing::debug!(role, "Logging begins.");
    }
}

/// The text of a panic may hold what a caller sent; where it happened never does.
fn hide_panic_text() {
    panic::set_hook(Box::new(|it| {
        let place = it.location().map_or_else(String::new, ToString::to_string);
        tracing::error!(place, "A defect: the code panicked.");
    }));
}
