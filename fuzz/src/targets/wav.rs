//! A sound file that somebody uploads.

use hotline_media::{BadUpload, convert_upload};

use crate::trace::Trace;

pub(super) const WORDS: &[&str] = &[
    "RIFF",
    "WAVE",
    "fmt ",
    "data",
    "fact",
    "LIST",
    "\u{10}\0\0\0",
    "\u{12}\0\0\0",
    "\u{1}\0\u{1}\0",
    "\u{6}\0\u{1}\0",
    "\u{7}\0\u{2}\0",
    "\u{40}\u{1f}\0\0",
    "\0\0\0\0",
];

/// Bytes of an A-law file before its audio.
const HEAD: usize = 58;

pub(super) fn run(bytes: &[u8]) -> u64 {
    let mut trace = Trace::new();
    match convert_upload(bytes) {
        Ok(it) => {
            let audio = it.wav.len() - HEAD;
            // Eight bits at the lowest rate are a sample each; all others become fewer.
            assert!(audio <= bytes.len() + 1, "{audio} bytes of {}", bytes.len());
            let report = it.report;
            assert!(report.peak_dbfs <= 0.0 && report.peak_dbfs.is_finite(), "{report}");
            assert!(report.loudness_dbfs <= 0.1 && report.loudness_dbfs.is_finite(), "{report}");
            trace.note(&report.coding);
            trace.count(usize::from(report.channels));
            trace.count(report.rate as usize);
            trace.count(report.warnings().len());
            // What was made is made of itself, bit by bit.
            let again = convert_upload(&it.wav);
            assert!(again.is_ok_and(|again| again.wav == it.wav));
        }
        Err(why @ (BadUpload::Coding(_) | BadUpload::Rate(_))) => trace.note(kind(why)),
        Err(why) => trace.note(&why.to_string()),
    }
    trace.end()
}

const fn kind(why: BadUpload) -> &'static str {
    if matches!(why, BadUpload::Coding(_)) { "coding" } else { "rate" }
}
