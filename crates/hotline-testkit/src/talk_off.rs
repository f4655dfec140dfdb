//! Speech that a detector of keys and tones must not take for either.

use std::path::Path;

use hotline_dsp::DtmfDetector;

use crate::{FRAME, Sound};

/// All prompts of the house, a voice each.
fn prompts() -> Vec<(String, Sound)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ivr-flows/prompts/zh-CN");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.extension().is_some_and(|it| it == "wav"))
        .map(|it| {
            (it.file_stem().unwrap().to_string_lossy().into_owned(), Sound::open(&it).unwrap())
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(found.len() > 50);
    found
}

/// The same voice `percent` faster and higher, by linear interpolation: another speaker.
fn at_pitch(samples: &[i16], percent: usize) -> Vec<i16> {
    let read = |at: usize| i64::from(samples.get(at).copied().unwrap_or(0));
    (0..samples.len() * 100 / percent)
        .map(|to| {
            let (at, part) = (to * percent / 100, i64::try_from(to * percent % 100).unwrap());
            i16::try_from((read(at) * (100 - part) + read(at + 1) * part) / 100).unwrap()
        })
        .collect()
}

#[test]
fn no_prompt_at_any_pitch_presses_a_key() {
    let mut seconds = 0;
    for percent in (70..=150).step_by(5) {
        for (name, sound) in prompts() {
            let samples = at_pitch(sound.samples(), percent);
            seconds += samples.len() / 8_000;
            let mut detector = DtmfDetector::default();
            for frame in samples.chunks(FRAME) {
                assert_eq!(detector.hear(frame), None, "{name} at {percent} %");
            }
        }
    }
    assert!(seconds > 3_000, "{seconds} s of speech");
}
