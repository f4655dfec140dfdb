//! Who hears nobody gets silence of ours, as the same stream; and our own audio in packets of the
//! length that was asked for.

use hotline_rtp::{MasterKey, SrtpProfile, SrtpReceiver, SrtpSender};
use hotline_sdp::Passed;

use super::*;

/// Packets of a leg that go on as one stream: what they hold, with gaps of no more than `gap` ms.
#[track_caller]
fn goes_on(heard: &[(Packet, Vec<u8>)], gap: i32) -> Vec<u8> {
    for pair in heard.windows(2) {
        let (a, b) = (&pair[0].0.header, &pair[1].0.header);
        assert_eq!((b.ssrc, b.sequence), (a.ssrc, a.sequence.wrapping_add(1)));
        let later = b.timestamp.since(a.timestamp);
        assert!((1..=gap * 8).contains(&later), "{later} samples at {}", b.sequence);
    }
    heard.iter().flat_map(|it| it.1.clone()).collect()
}

fn nobody(it: &mut House, leg: u32) {
    it.task(Task::Hear { listener: slot(leg), speakers: Vec::new() });
}

#[test]
fn who_hears_nobody_is_sent_silence_until_somebody_speaks_to_him() {
    let mut it = House::new();
    it.say(AGENT, voice(0, 1), &[9; 160]);
    nobody(&mut it, CALLER);
    it.wait(1_000);
    let heard = it.heard(CALLER);
    assert!((48..=52).contains(&heard.len()), "{}", heard.len());
    let sound = goes_on(&heard, 40);
    assert!(sound[160..].iter().all(|it| *it == ALAW_SILENCE));
    // The agent is muted no longer: no packet of silence comes between his.
    it.task(Task::Hear { listener: slot(CALLER), speakers: vec![slot(AGENT)] });
    for n in 60..70 {
        it.wait(20);
        it.say(AGENT, voice(0, n), &[9; 160]);
    }
    let mut all = heard;
    let since = it.heard(CALLER);
    let n_silent = since.iter().filter(|it| it.1 == [ALAW_SILENCE; 160]).count();
    assert!(n_silent <= 2 && since.len() == n_silent + 10, "{n_silent} of {}", since.len());
    all.extend(since);
    goes_on(&all, 40);
    // A prompt takes the place of silence, and silence that of the prompt.
    nobody(&mut it, CALLER);
    it.play(CALLER, 1, 1, false);
    it.wait(200);
    let heard = it.heard(CALLER);
    let sound = goes_on(&heard, 40);
    let prompt: Vec<_> = sound.into_iter().filter(|it| *it == 7).collect();
    assert_eq!(prompt.len(), 320);
    assert!(heard.len() >= 9, "{}", heard.len());
}

#[test]
fn who_was_sent_nothing_yet_or_holds_is_not_sent_silence() {
    let mut it = House::new();
    it.wait(3_000);
    assert!(it.heard(CALLER).is_empty(), "it rings");
    it.say(AGENT, voice(0, 1), &[9; 160]);
    let held = Stream { hold: true, ..stream(CALLER, Codec::Pcma, 101) };
    it.task(Task::Settle { leg: slot(CALLER), stream: held });
    nobody(&mut it, CALLER);
    it.wait(3_000);
    assert_eq!(it.heard(CALLER).len(), 1);
    // Back from hold he hears nobody.
    it.task(Task::Settle { leg: slot(CALLER), stream: stream(CALLER, Codec::Pcma, 101) });
    it.wait(100);
    assert!(it.heard(CALLER).len() >= 5);
}

/// An agent who has answered, while the caller hears a number; a party who waits for another.
#[test]
fn who_is_there_and_is_to_hear_nobody_is_sent_silence_though_he_was_sent_nothing_before() {
    for codec in Codec::ALL {
        let mut it = House::empty(4);
        it.open(CALLER, codec, 101);
        it.wait(1_000);
        assert!(it.heard(CALLER).is_empty(), "{codec}: nobody has said that he is there");
        nobody(&mut it, CALLER);
        it.wait(1_000);
        let heard = it.heard(CALLER);
        assert!((50..=51).contains(&heard.len()), "{codec}: {}", heard.len());
        let ms = if codec == Codec::Opus { 120 } else { 20 };
        goes_on(&heard, ms);
    }
    // He then hears somebody who says nothing, and goes on being sent silence.
    let mut it = House::new();
    nobody(&mut it, CALLER);
    it.task(Task::Hear { listener: slot(CALLER), speakers: vec![slot(AGENT)] });
    it.wait(1_000);
    let mut all = it.heard(CALLER);
    assert!((50..=51).contains(&all.len()), "{}", all.len());
    it.say(AGENT, voice(0, 1), &[9; 160]);
    it.wait(20);
    it.say(AGENT, voice(0, 2), &[9; 160]);
    let since = it.heard(CALLER);
    assert_eq!(since.iter().filter(|it| it.1 == [alaw_of(9); 160]).count(), 2);
    assert!(since.len() <= 3, "{}", since.len());
    all.extend(since);
    goes_on(&all, 40);
}

/// Of what is only passed on nothing can be coded but silence, which takes the place of prompts, too.
#[test]
fn who_speaks_what_is_only_passed_on_is_sent_its_silence_while_his_like_does_not_speak() {
    for (passed, bytes) in [(Passed::G729, 40), (Passed::Gsm, 66)] {
        let codec = Codec::Passed(passed);
        let mut it = House::empty(4);
        it.open(CALLER, codec, 101);
        it.open(AGENT, codec, 96);
        it.task(Task::Hear { listener: slot(AGENT), speakers: vec![slot(CALLER)] });
        nobody(&mut it, CALLER);
        it.play(CALLER, 1, 2, false);
        it.wait(500);
        it.task(Task::Hear { listener: slot(CALLER), speakers: vec![slot(AGENT)] });
        // He says 40 ms a packet; a prompt follows at once, and nobody speaks after it.
        let payload_type = codec.offered_payload_type();
        for n in 0..10 {
            let timestamp = MediaTime(320 * u32::from(n));
            let spoken = Header { payload_type, timestamp, ..voice(0, n) };
            it.say(AGENT, spoken, &vec![0x5A; bytes]);
            it.wait(if n == 9 { 0 } else { 40 });
        }
        it.play(CALLER, 2, 1, false);
        it.wait(500);
        let heard = it.heard(CALLER);
        let is_his = |it: &Vec<u8>| it.len() == bytes && it.iter().all(|it| *it == 0x5A);
        let (his, ours): (Vec<_>, Vec<_>) = heard.iter().partition(|it| is_his(&it.1));
        assert_eq!(his.len(), 10, "{codec}");
        assert!((49..=54).contains(&ours.len()), "{codec}: {}", ours.len());
        let silence = &ours[0].1;
        assert_eq!(silence.len(), bytes / 2, "{codec}");
        assert!(ours.iter().all(|it| it.1 == *silence), "{codec}");
        assert!(heard.iter().all(|it| it.0.header.payload_type == payload_type));
        goes_on(&heard, 320);
        for pair in heard.windows(2) {
            let later = pair[1].0.header.timestamp.since(pair[0].0.header.timestamp);
            let lasts = if is_his(&pair[0].1) { 320 } else { 160 };
            assert!(later >= lasts, "{codec}: {later} samples after a packet of {lasts}");
        }
    }
}

/// A browser: who answers has a path and keys a moment later.
#[test]
fn who_can_be_sent_nothing_yet_is_sent_silence_as_soon_as_he_can() {
    let mut it = House::empty(4);
    it.open_guest(2, Codec::Pcma, 101);
    nobody(&mut it, 2);
    it.wait(500);
    assert!(it.wire.sent.is_empty());
    it.task(Task::Choose { leg: slot(2), to: Some(address(2)) });
    it.wait(500);
    assert!(it.wire.sent.is_empty(), "without keys");
    let profile = SrtpProfile::AesCm128HmacSha1_80;
    let key = MasterKey::new(profile, &vec![1; profile.key_and_salt()]).unwrap();
    it.task(Task::Secure {
        leg: slot(2),
        sender: Some(Box::new(SrtpSender::new(&key))),
        receiver: Some(Box::new(SrtpReceiver::new(&key))),
    });
    it.wait(1_000);
    assert!((45..=51).contains(&it.wire.sent.len()), "{}", it.wire.sent.len());
    assert!(it.wire.sent.iter().all(|(port, to, _)| (*port, *to) == (SHARED, address(2))));
}

#[test]
fn who_was_sent_something_by_a_process_that_died_is_sent_silence_at_once() {
    for resumes in [false, true] {
        let mut it = House::empty(4);
        let line = stream(CALLER, Codec::Pcma, 101);
        it.open_as(CALLER, line, (false, resumes));
        assert_eq!(it.heard(CALLER).len(), usize::from(resumes), "before any word of control");
        it.wait(200);
        let heard = it.heard(CALLER);
        assert_eq!(heard.len(), if resumes { 10 } else { 0 });
        assert!(goes_on(&heard, 20).iter().all(|it| *it == ALAW_SILENCE));
    }
}

#[test]
fn a_speaker_who_pauses_without_a_word_is_silence_for_his_listener_soon() {
    let mut it = House::new();
    for n in 0..10 {
        it.wait(20);
        it.say(AGENT, voice(0, n), &[9; 160]);
    }
    it.wait(3_000);
    let heard = it.heard(CALLER);
    assert!(heard.len() >= 10 + 134, "{}", heard.len());
    it.say(AGENT, voice(0, 200), &[9; 160]);
    it.wait(20);
    it.say(AGENT, voice(0, 201), &[9; 160]);
    let since = it.heard(CALLER);
    assert_eq!(since.iter().filter(|it| it.1 == [ALAW_SILENCE; 160]).count(), 0);
    let mut all = heard;
    all.extend(since);
    goes_on(&all, 320);
}

/// He says so by a packet of comfort noise, and its like now and then; nothing of it is sent on.
#[test]
fn a_speaker_who_says_that_he_pauses_is_silence_for_his_listener_at_once() {
    for (asked, gap) in [(20, 40), (30, 60)] {
        let mut it = House::new();
        let wants = Stream { ptime_ms: asked, ..stream(CALLER, Codec::Pcma, 101) };
        it.task(Task::Settle { leg: slot(CALLER), stream: wants });
        let mut said = 0;
        for spurt in 0..3_u16 {
            let from = spurt * 60;
            for n in from..from + 20 {
                it.say(AGENT, voice(0, n), &[9; 160]);
                said += 1;
                it.wait(20);
            }
            for n in [from + 20, from + 40] {
                it.say(AGENT, Header { payload_type: 13, ..voice(0, n) }, &[60]);
                it.wait(400);
            }
        }
        let heard = it.heard(CALLER);
        let sound = goes_on(&heard, gap);
        let n_said = sound.iter().filter(|it| **it != ALAW_SILENCE).count();
        assert!(n_said + 3 * 240 >= said * 160, "{asked} ms: {n_said} samples of {said} packets");
        let spurts = sound.chunk_by(|a, b| a == b).filter(|it| it[0] != ALAW_SILENCE).count();
        assert_eq!(spurts, 3, "{asked} ms: silence is between them and not within");
        let sent = i32::try_from(sound.len() / 8).unwrap();
        assert!((3_600 - sent).abs() <= 120, "{asked} ms: {sent} ms");
    }
}

/// A session that is refreshed in the middle of a word, and a network that stalls, add no silence.
#[test]
fn nothing_is_put_between_the_packets_of_who_speaks() {
    let mut it = House::new();
    for n in 0..50 {
        it.say(AGENT, voice(0, n), &[9; 160]);
        if n % 10 == 5 {
            it.task(Task::Settle { leg: slot(CALLER), stream: stream(CALLER, Codec::Pcma, 101) });
        }
        it.wait(if n == 30 { 170 } else { 20 });
    }
    let heard = it.heard(CALLER);
    assert_eq!(heard.len(), 50);
    goes_on(&heard, 20);
}

#[test]
fn prompts_and_mixes_come_in_packets_of_the_length_that_was_asked_for() {
    for (ms, asked) in [(10, 10), (20, 20), (30, 30), (40, 40), (60, 60), (10, 5), (60, 100)] {
        let mut it = House::new();
        let wants = Stream { ptime_ms: asked, ..stream(CALLER, Codec::Pcma, 101) };
        it.task(Task::Settle { leg: slot(CALLER), stream: wants });
        nobody(&mut it, CALLER);
        it.play(CALLER, 1, 6, false);
        it.wait(600);
        // Three hear each other, which is a mix.
        it.open(2, Codec::Pcma, 101);
        it.task(Task::Hear { listener: slot(CALLER), speakers: vec![slot(AGENT), slot(2)] });
        it.wait(600);
        let heard = it.heard(CALLER);
        assert!(heard.iter().all(|it| it.1.len() == ms * 8), "{ms} ms");
        let sound = goes_on(&heard, 80);
        let prompt: Vec<_> = sound.iter().filter(|it| **it == 7).collect();
        assert!(prompt.len() + 480 >= 6 * 320, "{ms} ms: {}", prompt.len());
        assert!(sound.len() >= 8 * (1_200 - 120), "{ms} ms: {}", sound.len());
    }
}
