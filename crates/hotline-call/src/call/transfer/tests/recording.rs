//! What those who are in a call make of its recording.

use hotline_base::{RecordingId, media::Recorded};
use hotline_cdr::Muting;

use super::*;

impl Story {
    fn seals(&mut self, recording: &RecordingId) {
        self.media(MediaEvent::Recorded(Recorded {
            recording: recording.clone(),
            path: "part.wav".to_owned(),
            duration_ms: 1_000,
            bytes: 16_058,
            sha256: "0".repeat(64),
            gap_ms: 0,
            n_gaps: 0,
            measured: None,
        }));
    }
}

#[test]
fn recording_is_muted_by_who_is_in_the_call_and_never_longer_than_he_is() {
    let muting = |it: &Story| {
        let said = it.facts.iter().filter_map(|it| {
            if let CallFact::RecordingMuted { how, by, .. } = it {
                Some(format!("{} {by}", how.as_str()))
            } else if let CallFact::RecordingResumed { by, .. } = it {
                Some(format!("resumed {by}"))
            } else {
                None
            }
        });
        said.collect::<Vec<_>>()
    };
    let mut it = Story::consulting();
    it.does(|call, now| call.mute_recording(&by("1001"), Muting::Paused, now));
    assert!(it.muted);
    it.does(|call, now| call.mute_recording(&by("1001"), Muting::Masked, now));
    it.does(|call, now| call.mute_recording(&by("1001"), Muting::Masked, now));
    it.act(|call, now| {
        assert!(!call.mute_recording(&by("1009"), Muting::Masked, now), "a stranger");
    });
    // Somebody else in the call may take it back; twice is once.
    it.does(|call, now| call.resume_recording(&by("1002"), now));
    it.does(|call, now| call.resume_recording(&by("1002"), now));
    assert!(!it.muted);
    let said = ["paused 1001", "masked 1001", "resumed 1002"];
    assert_eq!(muting(&it), said);

    it.does(|call, now| call.mute_recording(&by("1001"), Muting::Masked, now));
    it.does(|call, now| call.complete_transfer(&agent("1001"), &Nobody, now));
    assert!(!it.muted, "he who wanted it is gone");
    assert_eq!(muting(&it)[3..], ["masked 1001", "resumed 1001"]);
    it.leaves(CALLER);
    it.record();
}

#[test]
fn a_recording_is_stopped_and_started_in_the_talk_and_the_record_shows_every_part() {
    let mut it = Story::consulting();
    it.does(|call, now| call.confer(&agent("1001"), now));
    let first = it.call.recording().cloned().unwrap();
    it.act(|call, now| {
        assert!(!call.start_recording_for(&by("1001"), now), "one runs");
        assert!(!call.stop_recording_for(&by("1009"), now), "a stranger");
    });
    it.does(|call, now| call.mute_recording(&by("1001"), Muting::Paused, now));
    it.does(|call, now| call.stop_recording_for(&by("1002"), now));
    assert_eq!(it.call.recording(), None);
    it.act(|call, now| {
        assert!(!call.stop_recording_for(&by("1001"), now), "none runs");
        assert!(!call.mute_recording(&by("1001"), Muting::Paused, now), "none runs");
    });
    // Control restarts before the first part is sealed: it knows that nothing runs.
    let saved = it.call.save().unwrap();
    let mut call = Call::restore(saved, Arc::new(Config::default()), it.now);
    call.reconcile(&alive(&[CALLER, AGENT, TARGET], &[]), &Nobody, it.now);
    assert!(!call.stop_recording_for(&by("1001"), it.now));
    it.seals(&first);
    it.muted = false;
    it.does(|call, now| call.start_recording_for(&by("1001"), now));
    let second = it.call.recording().cloned().unwrap();
    assert_ne!(first, second);
    assert_eq!(it.recorded, [AGENT, TARGET]);
    let part = |it: &CallFact| {
        if let CallFact::RecordingStarted { recording, .. } = it {
            Some(("started", recording.clone()))
        } else if let CallFact::RecordingFollows { recording, .. } = it {
            Some(("follows", recording.clone()))
        } else if let CallFact::RecordingStopped { recording, .. } = it {
            Some(("stopped", recording.clone()))
        } else {
            None
        }
    };
    let parts: Vec<_> = it.facts.iter().filter_map(part).collect();
    let last = [("stopped", &first), ("started", &second), ("follows", &second)];
    assert_eq!(parts[parts.len() - 3..], last.map(|(what, it)| (what, it.clone())));
    it.leaves(CALLER);
    it.leaves(AGENT);
    it.seals(&second);
    let record = it.record();
    let parts: Vec<_> = record.recordings.iter().map(|it| &it.recording).collect();
    assert_eq!(parts, [&first, &second]);
}

#[test]
fn what_broke_off_while_nobody_saw_it_is_told_by_what_runs_no_more() {
    let restarted = |recordings: &dyn Fn(&RecordingId) -> Vec<RecordingId>, fails: bool| {
        let mut it = Story::talk();
        let first = it.call.recording().cloned().unwrap();
        if fails {
            let (recording, reason) = (first.clone(), "no tape".to_owned());
            it.media(MediaEvent::RecordFailed { recording, reason });
        }
        let saved = it.call.save().unwrap();
        it.call = Call::restore(saved, Arc::new(Config::default()), it.now);
        it.now = it.now + Duration::from_secs(2);
        let running = recordings(&first);
        it.act(|call, now| call.reconcile(&alive(&[CALLER, AGENT], &running), &Nobody, now));
        it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
        it.seals(&first);
        it.leaves(CALLER);
        let second = it.call.facts().iter().rev().find_map(|it| it.fact.recording_started());
        let second = second.map(|it| it.0.clone()).filter(|it| *it != first);
        if let Some(second) = &second {
            it.seals(second);
        }
        (it.record(), second.is_some())
    };
    let (record, goes_on) = restarted(&|_| Vec::new(), false);
    assert!(record.media_restarted() && record.control_restarted && goes_on);
    // Nothing was recorded from the kill on to the new part.
    assert!(record.recordings[0].gap_ms >= 2_000, "{:?}", record.recordings[0]);
    let (record, goes_on) = restarted(&|first| vec![first.clone()], false);
    assert!(!record.media_restarted() && record.control_restarted && !goes_on);
    let (record, _) = restarted(&|_| Vec::new(), true);
    assert!(!record.media_restarted(), "it never ran");
}

#[test]
fn who_holds_is_not_recorded_until_he_is_back() {
    let mut it = Story::talk();
    it.does(|call, now| call.hold(&agent("1001"), now));
    assert_eq!(it.recorded, [], "by command");
    it.does(|call, now| call.retrieve(&agent("1001"), &Nobody, now));
    assert_eq!(it.recorded, [AGENT]);
    it.act(|call, now| call.hold_by_phone(AGENT, true, now));
    assert_eq!(it.recorded, [], "by his telephone");
    it.act(|call, now| call.hold_by_phone(AGENT, false, now));
    it.consults(TARGET, colleague("1002"));
    it.answers(TARGET);
    it.does(|call, now| call.confer(&agent("1001"), now));
    assert_eq!(it.recorded, [AGENT, TARGET]);
    it.does(|call, now| call.hold(&agent("1002"), now));
    assert_eq!(it.recorded, [AGENT], "the others go on");
    it.does(|call, now| call.hold(&agent("1001"), now));
    assert_eq!(it.recorded, []);
    it.does(|call, now| call.retrieve(&agent("1002"), &Nobody, now));
    assert_eq!(it.recorded, [TARGET]);
}
