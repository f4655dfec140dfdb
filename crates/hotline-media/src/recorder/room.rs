//! Leaves a part of the disk free for what must not stop: records, their journal, other recordings'
//! names. Recordings stand still before the disk is full, and go on when there is room.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rustix::fs::statvfs;

/// How often one looks.
const EVERY: Duration = Duration::from_millis(200);

/// One in so many bytes of the volume stays free, ...
const SHARE: u64 = 100;

/// ... but no more than this.
const MOST: u64 = 1 << 30;

#[derive(Debug)]
pub(super) struct Room {
    looked: Option<Instant>,
    there: bool,
}

impl Room {
    pub(super) const fn new() -> Self {
        Self { looked: None, there: true }
    }

    /// Whether recordings may be written to `dir`.
    pub(super) fn is_there(&mut self, dir: &Path) -> bool {
        if self.looked.is_none_or(|it| it.elapsed() >= EVERY) {
            self.looked = Some(Instant::now());
            // A directory that is not there yet is made by who writes first, or says why not.
            self.there = statvfs(dir).map_or(true, |it| {
                is_enough(it.f_bavail.saturating_mul(it.f_frsize), it.f_blocks * it.f_frsize)
            });
        }
        self.there
    }
}

fn is_enough(free: u64, all: u64) -> bool {
    free >= (all / SHARE).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundredth_of_a_volume_stays_free_and_at_most_a_gibibyte() {
        let gib = 1 << 30;
        for (free, all, enough) in [
            (gib / 2, 50 * gib, true),
            (gib / 2 - 1, 50 * gib, false),
            (gib, 8_000 * gib, true),
            (gib - 1, 8_000 * gib, false),
        ] {
            assert_eq!(is_enough(free, all), enough, "{free} of {all}");
        }
    }
}
