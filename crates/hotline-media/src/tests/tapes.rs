//! What lies on the disk.

use std::{fs, os::unix::fs::symlink, path::Path};

use hotline_base::{
    LegId, RecordingId,
    media::{Channel, Event, GapWhy, MarkedGap, Measured, Order, Profile, Recorded},
};
use hotline_dsp::{g711::alaw_to_linear, strength};
use hotline_sdp::{Codec, Codecs, Passed};
use sha2::{Digest, Sha256};

use super::rig::{CONTEXT, Control, Dir, LOCAL, Phone, Rig, port_of, start_in};
use crate::{
    FileState, Verified,
    recorder::n_open,
    repair, verify,
    wav::{self, HEADER},
};

/// Caller and agent talk; a third leg's music is their clock, a frame each 20 ms.
pub(super) struct Talk {
    pub(super) rig: Rig,
    pub(super) caller: Phone,
    pub(super) agent: Phone,
    clock: Phone,
}

impl Talk {
    pub(super) fn new(rig: Rig) -> Self {
        let mut rig = rig;
        rig.dir.prompt("music", 440, 1_000);
        let (caller, agent, clock) = (rig.phone(1, 500), rig.phone(2, 700), rig.phone(3, 0));
        rig.bridge(&caller, &agent);
        rig.play(clock.leg, 1, &["music"], 0);
        clock.listen(1);
        Self { rig, caller, agent, clock }
    }

    pub(super) fn record(&mut self, name: &str, path: &str) {
        let (recording, path) = (RecordingId::new(name), path.to_owned());
        let (left, right) = (self.caller.leg, self.agent.leg);
        self.rig.control.order(&Order::Record { recording, path, left, right });
    }

    /// Both talk for this long.
    pub(super) fn talk(&mut self, ms: usize) {
        // What queued up meanwhile is the past.
        while !self.clock.hears_nothing() {}
        for _ in 0..ms / 20 {
            self.clock.hear();
            self.caller.say();
            self.agent.say();
        }
    }

    /// An alarm for this recording.
    pub(super) fn until_failed(&mut self, name: &str) {
        loop {
            let event = self.rig.control.event();
            if let Event::RecordFailed { recording, .. } = &event {
                assert_eq!(recording.as_str(), name);
                return;
            }
            assert!(is_aside(&event), "no alarm: {event:?}");
        }
    }

    /// The news that this recording is written again.
    pub(super) fn until_recovered(&mut self, name: &str) {
        loop {
            let event = self.rig.control.event();
            if let Event::RecordRecovered { recording } = &event {
                assert_eq!(recording.as_str(), name);
                return;
            }
            assert!(is_aside(&event), "no news: {event:?}");
        }
    }

    pub(super) fn stop(&mut self, name: &str) -> Recorded {
        self.rig.control.order(&Order::StopRecord { recording: RecordingId::new(name) });
        loop {
            let event = self.rig.control.event();
            if let Event::Recorded(recorded) = event {
                return recorded;
            }
            // The clock says nothing.
            assert!(is_aside(&event), "not recorded: {event:?}");
        }
    }
}

/// Whether an event is about how a leg sounds.
fn is_aside(event: &Event) -> bool {
    matches!(
        event,
        Event::Quiet { .. }
            | Event::Hearing { .. }
            | Event::Sounded { .. }
            | Event::Figures(_)
            | Event::RecordRecovered { .. }
    )
}

/// Both channels of a recording, which must be a whole WAV.
pub(super) fn read(file: &Path) -> (Vec<i16>, Vec<i16>) {
    let bytes = fs::read(file).unwrap();
    let samples = (bytes.len() - HEADER) / 2;
    assert_eq!(bytes[..HEADER], wav::header(samples as u64), "the header tells the length");
    let side = |at| bytes[HEADER + at..].iter().step_by(2).map(|it| alaw_to_linear(*it)).collect();
    (side(0), side(1))
}

/// What each recording below a directory is.
fn states(dir: &Path, mend: bool) -> Vec<(String, FileState)> {
    let mut states = Vec::new();
    let mut each = |it: Verified| {
        let path = it.path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
        states.push((path, it.state.unwrap()));
    };
    verify(dir, mend, &mut each).unwrap();
    states
}

/// Whether a channel holds what a telephone says for most of the time from its first sound to its
/// last, but for when the machine stood still.
pub(super) fn sounds(channel: &[i16], by: &Phone) -> bool {
    let is_said: Vec<_> = channel.chunks_exact(160).map(|it| strength(it, by.hz) > 0.8).collect();
    let Some(first) = is_said.iter().position(|it| *it) else { return false };
    let n = is_said.iter().filter(|it| **it).count();
    let end = is_said.iter().rposition(|it| *it).unwrap_or(first) + 1;
    n >= 10 && (n + by.n_paused) * 10 >= (end - first) * 7
}

#[test]
fn caller_and_agent_are_on_their_channels_and_the_hash_is_right() {
    let mut talk = Talk::new(Rig::new());
    talk.record("r-1", "2025/01/r-1.wav");
    talk.talk(1_000);
    let recorded = talk.stop("r-1");
    let file = talk.rig.dir.recordings().join("2025/01/r-1.wav");
    let (left, right) = read(&file);
    assert!(sounds(&left, &talk.caller) && sounds(&right, &talk.agent));
    assert!((900..1_500).contains(&recorded.duration_ms), "{} ms", recorded.duration_ms);
    assert_eq!(recorded.duration_ms, left.len() as u64 / 8);
    assert_eq!((recorded.gap_ms, recorded.n_gaps), (0, 0));
    let Measured { heard_ms: [caller, agent], gaps } = *recorded.measured.clone().unwrap();
    assert!(gaps.is_empty() && caller.abs_diff(agent) <= 100);
    assert!((900..=recorded.duration_ms).contains(&caller), "{caller} ms of the caller");
    let bytes = fs::read(&file).unwrap();
    let hash =
        Sha256::digest(&bytes).iter().fold(String::new(), |hex, it| format!("{hex}{it:02x}"));
    assert_eq!((recorded.sha256, recorded.bytes), (hash, bytes.len() as u64));
    assert_eq!(n_open(&talk.rig.dir.recordings()), 0);
}

#[test]
fn a_recording_goes_on_through_a_transfer_and_with_one_side_silent() {
    let mut talk = Talk::new(Rig::new());
    talk.record("r-1", "r-1.wav");
    talk.talk(300);
    let recording = RecordingId::new("r-1");
    let source = |channel, leg: Option<LegId>| Order::RecordSource {
        recording: recording.clone(),
        channel,
        legs: leg.into_iter().collect(),
    };
    talk.rig.control.order(&source(Channel::Right, None));
    talk.rig.control.order(&Order::Close { leg: talk.agent.leg });
    assert!(matches!(talk.rig.control.event(), Event::Closed { .. }));
    talk.talk(300);
    let mut other = talk.rig.phone(4, 900);
    talk.rig.control.order(&source(Channel::Right, Some(other.leg)));
    for _ in 0..15 {
        talk.clock.listen(1);
        talk.caller.say();
        other.say();
    }
    talk.stop("r-1");
    let (left, right) = read(&talk.rig.dir.recordings().join("r-1.wav"));
    assert!(sounds(&left, &talk.caller), "the caller is there all the time");
    assert!(sounds(&right, &talk.agent) && sounds(&right, &other));
    let silent = |it: &[i16]| strength(it, 700) < 0.1 && strength(it, 900) < 0.1;
    assert!(right.chunks(800).any(silent), "nobody was there for a while");
}

#[test]
fn what_a_kill_leaves_is_playable_and_repaired_by_the_next_process() {
    let mut talk = Talk::new(Rig::new());
    talk.record("r-1", "day/r-1.wav");
    talk.talk(1_600);
    // What the disk holds at this instant is what a killed process leaves.
    let left = Dir::new();
    let (from, to) = (talk.rig.dir.recordings(), left.recordings());
    for dir in [".open", "day"] {
        fs::create_dir_all(to.join(dir)).unwrap();
        for file in fs::read_dir(from.join(dir)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join(dir).join(file.file_name())).unwrap();
        }
    }
    let file = to.join("day/r-1.wav");
    let mut bytes = fs::read(&file).unwrap();
    // A copy that caught a block between its audio and its header is what a kill may leave, too.
    let told = u32::from_le_bytes(*bytes[..HEADER].last_chunk().unwrap()) as usize;
    assert!(bytes.len() >= HEADER + told);
    assert_eq!(bytes[..HEADER], wav::header(told as u64 / 2));
    let heard = |at: usize| alaw_to_linear(bytes[HEADER + at * 2]);
    let caller: Vec<_> = (0..told / 2).map(heard).collect();
    assert!(caller.len() >= 600 * 8, "less than a second is missing: {}", caller.len());
    assert!(sounds(&caller, &talk.caller));

    // A block whose header was not written any more, cut in the middle of a sample.
    let whole = (bytes.len() - HEADER) / 2;
    bytes.extend([0x55; 801]);
    fs::write(&file, bytes).unwrap();
    // The operator looks at it before the engine starts again, and mends it.
    assert_eq!(states(&to, false), [("day/r-1.wav".to_owned(), FileState::BrokenOff)]);
    assert_eq!(states(&to, true), [("day/r-1.wav".to_owned(), FileState::Mended)]);
    let [(_, FileState::Whole { bytes, sha256 })] = &states(&to, false)[..] else {
        panic!("not whole")
    };
    assert_eq!(*bytes, fs::metadata(&file).unwrap().len());
    let sha256 = sha256.clone();
    let media = start_in(&left.0, |_| ());
    let mut control = Control::attach(&media);
    control.order(&Order::Hello { version: hotline_base::media::VERSION });
    assert!(matches!(control.event(), Event::Inventory { .. }));
    let Event::Recorded(recorded) = control.event() else { panic!("not repaired") };
    let (caller_after, _) = read(&file);
    assert_eq!(caller_after.len(), whole + 400);
    assert_eq!(recorded.duration_ms, caller_after.len() as u64 / 8);
    assert_eq!((recorded.recording.as_str(), &*recorded.path), ("r-1", "day/r-1.wav"));
    assert_eq!(recorded.sha256, sha256, "the engine seals what was mended");
    assert_eq!(repair(std::slice::from_ref(&to)).unwrap(), []);

    // The process that lives is left alone.
    assert_eq!(repair(std::slice::from_ref(&from)).unwrap(), []);
    assert_eq!(states(&from, true), [("day/r-1.wav".to_owned(), FileState::BeingWritten)]);
    fs::write(from.join("day/a.wav"), [7; 100]).unwrap();
    assert_eq!(states(&from, true)[0].1, FileState::Damaged);
    talk.talk(100);
    assert!(talk.stop("r-1").duration_ms >= 1_600);
}

#[test]
fn a_full_disk_costs_a_gap_and_never_the_call() {
    let mut talk = Talk::new(Rig::new());
    let dir = talk.rig.dir.recordings();
    fs::create_dir_all(&dir).unwrap();
    symlink("/dev/full", dir.join("r-1.wav")).unwrap();
    talk.record("r-1", "r-1.wav");
    let Event::RecordFailed { recording, reason } = talk.rig.control.event() else {
        panic!("no alarm")
    };
    assert_eq!(recording.as_str(), "r-1");
    assert!(reason.contains("No space left"), "{reason}");
    for _ in 0..50 {
        talk.talk(20);
        talk.agent.listen(1);
        talk.caller.listen(1);
    }
    // There is room again. However late the recorder is: it is written again, and they talk on.
    fs::remove_file(dir.join("r-1.wav")).unwrap();
    talk.talk(1_500);
    talk.until_recovered("r-1");
    talk.talk(1_000);
    let recorded = talk.stop("r-1");
    let gaps = recorded.measured.clone().unwrap().gaps;
    let gaps: Vec<_> = gaps.into_iter().filter(|it| it.channel.is_none()).collect();
    assert_eq!(gaps.len(), usize::try_from(recorded.n_gaps).unwrap());
    let missing: u64 = gaps.iter().map(|it| it.gap.to_ms - it.gap.from_ms).sum();
    assert_eq!(missing, recorded.gap_ms);
    let MarkedGap { gap, why, .. } = gaps[0];
    assert_eq!((gap.from_ms, why), (0, GapWhy::Disk), "from its beginning");
    let (left, _) = read(&dir.join("r-1.wav"));
    assert_eq!(left.len() as u64 / 8, recorded.duration_ms);
    let (silent, rest) = left.split_at(usize::try_from(gap.to_ms * 8).unwrap());
    assert!(silent.iter().all(|it| it.unsigned_abs() <= 8), "the gap is silence");
    let said = rest.chunks_exact(160).filter(|it| strength(it, 500) > 0.8).count();
    assert!(said >= 10, "{said} frames after it");
}

#[test]
fn packets_that_are_lost_are_a_gap_of_their_side_and_pauses_are_none() {
    let mut talk = Talk::new(Rig::new());
    talk.record("r-1", "r-1.wav");
    talk.talk(600);
    // Ten packets of the caller are lost, and one; and then he pauses for as long.
    for (lost, paused) in [(10, 0), (1, 0), (0, 10)] {
        talk.caller.skip(lost, paused);
        for _ in 0..lost + paused {
            talk.clock.hear();
            talk.agent.say();
        }
        talk.talk(400);
    }
    let recorded = talk.stop("r-1");
    let [MarkedGap { gap, why, channel }] = recorded.measured.clone().unwrap().gaps[..] else {
        panic!("{recorded:?}")
    };
    assert_eq!((why, channel), (GapWhy::Lost, Some(Channel::Left)));
    assert_eq!(gap.to_ms - gap.from_ms, 200);
    assert_eq!((recorded.n_gaps, recorded.gap_ms), (0, 0), "nothing that arrived is missing");
    let (left, _) = read(&talk.rig.dir.recordings().join("r-1.wav"));
    let at = |ms: u64| usize::try_from(ms * 8).unwrap();
    // What comes after a pause is laid where it came, so that its place depends on the machine.
    let inside = &left[at(gap.from_ms + 40)..at(gap.to_ms - 40)];
    assert!(inside.iter().all(|it| it.unsigned_abs() <= 8), "it is silence there");
}

#[test]
fn what_is_said_in_a_codec_that_is_passed_on_is_a_gap_of_its_side() {
    let mut talk = Talk::new(Rig::with(|it| {
        it.coding.codecs = Codecs::of([Codec::Pcma, Codec::Passed(Passed::G729)]);
    }));
    let mut other = Phone::new(4, 900);
    let offer = other.sdp("sendrecv").replace("RTP/AVP 8 ", "RTP/AVP 18 ");
    let (leg, profile, context) = (other.leg, Profile::Plain, CONTEXT);
    talk.rig.control.order(&Order::Open { leg, offer: Some(offer), profile, context });
    let Event::Opened { sdp, .. } = talk.rig.control.event() else { panic!("not opened") };
    other.to = (LOCAL, port_of(&sdp)).into();
    let (recording, path) = (RecordingId::new("r-1"), "r-1.wav".to_owned());
    let (left, right) = (talk.caller.leg, leg);
    talk.rig.control.order(&Order::Record { recording, path, left, right });
    talk.talk(400);
    for _ in 0..50 {
        other.say_coded(18, &[7; 20]);
        talk.talk(20);
    }
    talk.talk(400);
    let recorded = talk.stop("r-1");
    let [MarkedGap { gap, why, channel }] = recorded.measured.clone().unwrap().gaps[..] else {
        panic!("{recorded:?}")
    };
    assert_eq!((why, channel), (GapWhy::Codec, Some(Channel::Right)));
    assert!((300..600).contains(&gap.from_ms), "{gap:?}");
    // A machine that stood still makes it longer.
    let most = 1_600 + 20 * other.n_paused as u64;
    assert!((900..most).contains(&(gap.to_ms - gap.from_ms)), "{gap:?}");
}

#[test]
fn a_path_that_leaves_the_directory_is_refused() {
    let mut rig = Rig::new();
    for path in ["../r.wav", "/tmp/r.wav", "a/../../r.wav", ".open/r.wav", ""] {
        let (recording, path) = (RecordingId::new("r"), path.to_owned());
        let (left, right) = (LegId(1), LegId(2));
        rig.control.order(&Order::Record { recording, path, left, right });
        assert!(matches!(rig.control.event(), Event::RecordFailed { .. }));
    }
}

#[test]
fn an_end_of_the_process_seals_what_runs() {
    let mut talk = Talk::new(Rig::new());
    talk.record("r-1", "r-1.wav");
    talk.talk(400);
    let Talk { rig, caller, agent, .. } = talk;
    let Rig { media, mut control, dir } = rig;
    media.shutdown();
    let Event::Recorded(recorded) = control.event() else { panic!("not recorded") };
    let (left, right) = read(&dir.recordings().join("r-1.wav"));
    assert_eq!(recorded.duration_ms, left.len() as u64 / 8);
    assert!(sounds(&left, &caller) && sounds(&right, &agent));
}

#[test]
fn what_is_said_while_the_recording_is_muted_is_silence_in_it_and_heard_by_the_other() {
    let mut talk = Talk::new(Rig::new());
    let mute = |talk: &mut Talk, muted| {
        let recording = RecordingId::new("r-1");
        talk.rig.control.order(&Order::RecordMute { recording, muted });
    };
    talk.record("r-1", "r-1.wav");
    talk.talk(600);
    mute(&mut talk, true);
    talk.talk(800);
    talk.agent.take_in();
    assert!(talk.agent.heard.len() > 8 * 1_300, "the agent hears the caller");
    mute(&mut talk, false);
    talk.talk(600);
    let recorded = talk.stop("r-1");
    let (left, right) = read(&talk.rig.dir.recordings().join("r-1.wav"));
    assert!(recorded.duration_ms >= 1_900, "its time goes on: {} ms", recorded.duration_ms);
    let [caller, _] = recorded.measured.unwrap().heard_ms;
    assert!((1_000..1_400).contains(&caller), "{caller} ms were heard");
    for side in [left, right] {
        let quiet: Vec<_> = side.iter().map(|it| it.unsigned_abs() <= 8).collect();
        let longest = quiet.split(|it| !it).map(<[bool]>::len).max().unwrap();
        let most = 950 + 20 * talk.caller.n_paused.max(talk.agent.n_paused);
        assert!((8 * 650..8 * most).contains(&longest), "{} ms of silence", longest / 8);
        let said = side.len() - quiet.iter().filter(|it| **it).count();
        assert!(said > 8 * 800, "{} ms", said / 8);
    }
}
