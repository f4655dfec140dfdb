//! Logs: constant sentences with values as fields. No number and no name of a person.

use std::{io::stderr, panic, sync::OnceLock};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt, util::SubscriberInitExt};

use crate::config::{LogFormat, Telemetry};

/// Lines that wait to be written.
const LINES_MAX: usize = 8_192;

/// Lines that found no room.
static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// Whoever holds it lets the last lines be written when he drops it.
#[derive(Debug)]
#[must_use = "the last lines are lost without it"]
pub struct Logging(#[expect(dead_code, reason = "its drop writes what waits")] WorkerGuard);

/// Starts logging to standard error for this process. A second call changes nothing.
pub fn begin(config: &Telemetry, role: &'static str) -> Logging {
    // A thread of its own writes: a reader that has stopped reading must stop nobody else.
    let (lines, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_MAX)
        .lossy(true)
        .thread_name("log")
        .finish(stderr());
    let lost = lines.error_counter();
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // What cannot be written is lost: to complain about it on the same stream panics, and a log
    // that nobody reads any more, or that lies on a full disk, must not end a call.
    let builder = fmt().with_env_filter(filter).with_writer(lines).log_internal_errors(false);
    let outcome = match config.format {
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
        LogFormat::Text => {
            builder.with_ansi(std::io::IsTerminal::is_terminal(&stderr())).finish().try_init()
        }
    };
    if outcome.is_ok() {
        LOST.get_or_init(|| lost);
        hide_panic_text();
        tracing::debug!(role, "Logging begins.");
    }
    Logging(guard)
}

/// Lines of this process that found no room and are lost.
pub(crate) fn n_lost() -> u64 {
    LOST.get().map_or(0, |it| u64::try_from(it.dropped_lines()).unwrap_or(u64::MAX))
}

/// The text of a panic may hold what a caller sent; where it happened never does.
fn hide_panic_text() {
    panic::set_hook(Box::new(|it| {
        let place = it.location().map_or_else(String::new, ToString::to_string);
        tracing::error!(place, "A defect: the code panicked.");
    }));
}
