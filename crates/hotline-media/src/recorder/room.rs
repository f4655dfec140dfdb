//! Leaves a part of the disk free for what must not stop: records, their journal, other recordings'
//! names. Recordings stand still before the disk is full, and go on when there is room.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rustix::fs::statvfs;

use crate::MinFree;

/// How often one looks.
const EVERY: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Room {
    min_free: MinFree,
    looked: Option<Instant>,
    there: bool,
}

impl Room {
    pub(super) const fn new(min_free: MinFree) -> Self {
        Self { min_free, looked: None, there: true }
    }

    /// Whether recordings may be written to `dir`.
    pub(super) fn is_there(&mut self, dir: &Path) -> bool {
        if self.looked.is_none_or(|it| it.elapsed() >= EVERY) {
            self.looked = Some(Instant::now());
            // A directory that is not there yet is made by who writes first, or says why not.
            self.there = statvfs(dir).map_or(true, |it| {
                let size = |blocks: u64| blocks.saturating_mul(it.f_frsize);
                self.min_free.is_left(size(it.f_bavail), size(it.f_blocks))
            });
        }
        self.there
    }
}

impl MinFree {
    /// Whether so much of a volume of that size is free that recordings may take more.
    fn is_left(self, free: u64, all: u64) -> bool {
        free >= (all / 100).saturating_mul(self.percent).min(self.bytes)
    }
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
            let is_left = MinFree::default().is_left(free, all);
            assert_eq!(is_left, enough, "{free} of {all}");
        }
        assert!(MinFree { percent: 5, bytes: 0 }.is_left(0, gib));
    }
}
