//! `[recording]`: how recordings treat their disk.

use hotline_media::{ArchiveFormat, MinFree, RecorderConfig};

use crate::section::Section;

pub(crate) fn read(root: &Section<'_, '_>) -> RecorderConfig {
    let it = root.section("recording");
    let usual = MinFree::default();
    let mib = it.number_or("min_free_mib", usual.bytes >> 20, 0..=1 << 30);
    let percent = it.number_or("min_free_percent", usual.percent, 0..=50);
    let second_dir = it.path("second_dir");
    let archive = it.text("archive").and_then(|word| match word.value.as_str() {
        "none" => None,
        "opus" => Some(ArchiveFormat::Opus),
        other => {
            it.complain("archive", format!("{other:?} 不认识"), "可写：none、opus");
            None
        }
    });
    it.end();
    RecorderConfig { second_dir, min_free: MinFree { percent, bytes: mib << 20 }, archive }
}
