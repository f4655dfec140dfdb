//! Keys in the sound and as events: each press is one, for whoever hears it.

use hotline_dsp::{
    DtmfDetector, DtmfTone, FRAME, Tone,
    g711::{alaw_to_linear, linear_to_alaw, ulaw_to_linear},
    strength,
};

use super::*;

/// Presses a key by sound on the caller's leg.
fn press_in_band(it: &mut House, key: u8, sequence: u16) {
    let mut tone = DtmfTone::new(key).unwrap();
    for n in 0..10 {
        let mut samples = [0; FRAME];
        tone.fill(&mut samples);
        it.tone_frame(CALLER, 8, sequence + n, &samples);
        it.wait(20);
    }
}

#[test]
fn keys_are_heard_in_the_sound_of_who_has_no_other_way_and_only_of_him() {
    let mut it = House::new();
    press_in_band(&mut it, 5, 0);
    assert_eq!(it.reported(), <[&str; 0]>::default(), "he has events");
    it.without_events(CALLER);
    for (n, key) in [5, 5, 11].into_iter().enumerate() {
        press_in_band(&mut it, key, 10 + u16::try_from(n).unwrap() * 10);
    }
    assert_eq!(it.reported(), ["0 key 5", "0 key 5", "0 key #"]);
}

/// Holds 1 down on the caller's leg for so many frames of 20 ms.
fn hold_in_band(it: &mut House, sequence: u16, frames: u16) {
    let mut tones = [697, 1_209].map(|hz| Tone::new(hz, 6_000));
    for n in 0..frames {
        let mut samples = [0; FRAME];
        for tone in &mut tones {
            for sample in &mut samples {
                *sample += tone.next_sample();
            }
        }
        it.tone_frame(CALLER, 8, sequence + n, &samples);
        it.wait(20);
    }
}

/// The sound of somebody who presses 1 for 160 ms and then speaks, a frame each 20 ms.
struct Presser {
    key: [Tone; 2],
    voice: Tone,
    n: u16,
}

impl Presser {
    const FRAMES: u16 = 8;

    fn new() -> Self {
        let tone = |hz| Tone::new(hz, 6_000);
        Self { key: [tone(697), tone(1_209)], voice: tone(400), n: 0 }
    }

    /// Says the next frame, and whether a key was heard by then.
    fn goes_on(&mut self, it: &mut House) -> bool {
        let mut samples = [0; FRAME];
        for sample in &mut samples {
            let [low, high] = &mut self.key;
            *sample = if self.n < Self::FRAMES {
                low.next_sample() + high.next_sample()
            } else {
                self.voice.next_sample()
            };
        }
        it.tone_frame(CALLER, 8, 100 + self.n, &samples);
        self.n += 1;
        it.wait(20);
        it.reported().iter().any(|it| it == "0 key 1")
    }

    /// Whether the key is in no frame of this sound, and how many frames the voice is in.
    fn check(sound: &[i16]) -> usize {
        for frame in sound.chunks(FRAME) {
            assert!(strength(frame, 1_209) < 0.2, "a part of the key");
        }
        sound.chunks(FRAME).filter(|it| strength(it, 400) > 0.9).count()
    }
}

/// Frames of the voice that are lost with the key at most: the detector waits 38 ms for its end.
const LATE_MAX: usize = 3;

#[test]
fn who_comes_in_the_middle_of_a_press_in_the_sound_hears_nothing_of_it() {
    for third in [false, true] {
        let mut it = House::new();
        it.without_events(CALLER);
        let plan = |it: &mut House, speakers: &[u32]| {
            let speakers = speakers.iter().map(|it| slot(*it)).collect();
            it.task(Task::Hear { listener: slot(AGENT), speakers });
        };
        plan(&mut it, &[]);
        let mut caller = Presser::new();
        while !caller.goes_on(&mut it) {}
        assert!(caller.n < Presser::FRAMES, "it still sounds");
        it.heard(AGENT);
        if third {
            // By a mix.
            it.open(2, Codec::Pcma, 101);
            plan(&mut it, &[CALLER, 2]);
        } else {
            plan(&mut it, &[CALLER]);
        }
        for _ in 0..20 {
            caller.goes_on(&mut it);
        }
        it.wait(60);
        let heard = it.heard(AGENT);
        let sound: Vec<_> = heard.into_iter().flat_map(|it| it.1).map(ulaw_to_linear).collect();
        let n_said = usize::from(caller.n - Presser::FRAMES);
        let n = Presser::check(&sound);
        assert!(n + LATE_MAX + usize::from(third) >= n_said, "{n} frames of {n_said}");
    }
}

/// A supervisor comes to a talk of three that goes on.
#[test]
fn who_joins_a_running_mix_in_the_middle_of_a_press_hears_nothing_of_it() {
    let mut it = House::new();
    it.without_events(CALLER);
    it.open(2, Codec::Pcma, 101);
    it.open(3, Codec::Pcmu, 101);
    let plan = |it: &mut House, listener: u32| {
        let speakers = [CALLER, AGENT, 2].into_iter().filter(|it| *it != listener);
        it.task(Task::Hear { listener: slot(listener), speakers: speakers.map(slot).collect() });
    };
    for listener in [CALLER, AGENT, 2] {
        plan(&mut it, listener);
    }
    for n in 80..100 {
        it.say(CALLER, voice(8, n), &[ALAW_SILENCE; 160]);
        it.wait(20);
    }
    let mut caller = Presser::new();
    while !caller.goes_on(&mut it) {}
    assert!(caller.n < Presser::FRAMES, "it still sounds");
    plan(&mut it, 3);
    it.heard(AGENT);
    for _ in 0..20 {
        caller.goes_on(&mut it);
    }
    it.wait(60);
    let sound = |it: &mut House, leg| -> Vec<i16> {
        it.heard(leg).into_iter().flat_map(|it| it.1).map(ulaw_to_linear).collect()
    };
    let n_said = usize::from(caller.n - Presser::FRAMES);
    let n = Presser::check(&sound(&mut it, 3));
    assert!(n + LATE_MAX + 2 >= n_said, "{n} frames of {n_said}");
    let others = sound(&mut it, AGENT);
    assert!(others.chunks(FRAME).any(|it| strength(it, 1_209) > 0.4), "who was there hears it");
}

/// What a listener got: events by their beginnings, and keys in the sound.
fn keys_of(heard: Vec<(Packet, Vec<u8>)>) -> (Vec<u8>, Vec<u8>) {
    let (mut events, mut sounds, mut detector) = (Vec::new(), Vec::new(), DtmfDetector::default());
    let mut last = None;
    for (packet, payload) in heard {
        if packet.header.payload_type == 96 || packet.header.payload_type == 101 {
            if last.replace(packet.header.timestamp) != Some(packet.header.timestamp) {
                events.push(payload[0]);
            }
        } else {
            let ulaw = packet.header.payload_type == 0;
            let linear = if ulaw { ulaw_to_linear } else { alaw_to_linear };
            let samples: Vec<_> = payload.into_iter().map(linear).collect();
            sounds.extend(samples.chunks(FRAME).filter_map(|it| detector.hear(it)));
        }
    }
    (events, sounds)
}

#[test]
fn a_press_that_control_was_told_of_before_its_sound_is_heard_once() {
    for third in [false, true] {
        let mut it = House::new();
        it.without_events(CALLER);
        if third {
            it.open(2, Codec::Pcma, 101);
            let speakers = vec![slot(CALLER), slot(2)];
            it.task(Task::Hear { listener: slot(AGENT), speakers });
        }
        let quiet = |it: &mut House, from: u16, to: u16| {
            for n in from..to {
                it.say(CALLER, voice(8, n), &[ALAW_SILENCE; 160]);
                it.wait(20);
            }
        };
        quiet(&mut it, 0, 10);
        // By INFO, and 20 ms later its sound begins.
        it.task(Task::SendKeys { leg: slot(AGENT), keys: vec![Key::ONE] });
        quiet(&mut it, 10, 11);
        hold_in_band(&mut it, 11, 20);
        quiet(&mut it, 31, 50);
        // Another one, of which nobody tells.
        hold_in_band(&mut it, 50, 10);
        quiet(&mut it, 60, 70);
        assert_eq!(keys_of(it.heard(AGENT)), (vec![1], vec![1]), "third: {third}");
    }
}

/// A gateway tells of a key by events and leaves its sound in.
#[test]
fn a_press_that_comes_as_event_and_in_the_sound_is_heard_once_whatever_the_listener_takes() {
    for (takes_events, third) in [(true, false), (false, false), (true, true)] {
        let mut it = House::new();
        if !takes_events {
            it.without_events(AGENT);
        }
        if third {
            it.open(2, Codec::Pcma, 101);
            let speakers = vec![slot(CALLER), slot(2)];
            it.task(Task::Hear { listener: slot(AGENT), speakers });
        }
        let mut n = 0;
        for press in 0..2 {
            let (start, mut tone) = (3_200 * press, DtmfTone::new(1).unwrap());
            let began = start + 320;
            for frame in 0..18 {
                let now = start + frame * 160;
                let mut audio = [ALAW_SILENCE; FRAME];
                if (2..14).contains(&frame) {
                    let mut samples = [0; FRAME];
                    tone.fill(&mut samples);
                    audio = samples.map(linear_to_alaw);
                    let [high, low] = u16::try_from(now + 160 - began).unwrap().to_be_bytes();
                    let flags = if frame == 13 { 0x8A } else { 0x0A };
                    n += 1;
                    it.say(CALLER, event(101, n, began), &[1, flags, high, low]);
                }
                n += 1;
                it.say(CALLER, Header { timestamp: MediaTime(now), ..voice(8, n) }, &audio);
                it.wait(20);
            }
        }
        it.wait(100);
        let (events, sounds) = keys_of(it.heard(AGENT));
        let told = match (takes_events, third) {
            (true, false) => (vec![1, 1], vec![]),
            (false, false) => (vec![], vec![1, 1]),
            // Who hears several gets no keys.
            (_, true) => (vec![], vec![]),
        };
        assert_eq!((events, sounds), told, "{takes_events} {third}");
        assert_eq!(it.reported().iter().filter(|it| *it == "0 key 1").count(), 2);
    }
}

#[test]
fn a_press_that_ends_what_was_secret_is_on_no_tape() {
    for begins in [false, true] {
        let mut it = House::new();
        it.without_events(CALLER);
        let record = |it: &mut House| {
            let [left, right] = [Some(slot(CALLER)), Some(slot(AGENT))];
            it.task(Task::Record { tape: slot(0), left, right, key: 1 });
        };
        if !begins {
            record(&mut it);
            it.task(Task::Mute { tape: slot(0), muted: true });
        }
        let mut caller = Presser::new();
        while !caller.goes_on(&mut it) {}
        assert!(caller.n < Presser::FRAMES, "it still sounds");
        if begins {
            record(&mut it);
        } else {
            it.task(Task::Mute { tape: slot(0), muted: false });
        }
        for _ in 0..20 {
            caller.goes_on(&mut it);
        }
        it.wait(400);
        it.task(Task::EndRecord { tape: slot(0) });
        let mut sound = Vec::new();
        while let Ok(filled) = it.filled.pop() {
            let Filled::Block(mut block) = filled else { continue };
            let len = block.len();
            let audio = block.channel(Channel::Left).iter().take(len);
            sound.extend(audio.map(|it| alaw_to_linear(*it)));
        }
        let n_said = usize::from(caller.n - Presser::FRAMES);
        let n = Presser::check(&sound);
        assert!(n + LATE_MAX >= n_said, "{n} frames of {n_said}");
    }
}

#[test]
fn a_press_that_comes_as_event_and_as_sound_is_one_key() {
    let mut it = House::new();
    let stream = Stream { telephone_event_in: None, ..stream(CALLER, Codec::Pcma, 101) };
    it.task(Task::Settle { leg: slot(CALLER), stream });
    for n in 0..3 {
        it.say(CALLER, event(101, n, 160), &[5, 10, 1, 0]);
    }
    press_in_band(&mut it, 5, 10);
    assert_eq!(it.reported(), ["0 key 5"]);
}

#[test]
fn a_listener_who_takes_no_events_gets_keys_as_tones() {
    let mut it = House::new();
    it.without_events(AGENT);
    for n in 0..5 {
        it.say(CALLER, event(101, n, 160), &[7, 10, 1, 0]);
        it.wait(20);
    }
    it.wait(200);
    let mut detector = DtmfDetector::default();
    let mut keys = Vec::new();
    for (packet, payload) in it.heard(AGENT) {
        assert_eq!(packet.header.payload_type, 8);
        let samples: Vec<_> = payload.iter().map(|it| alaw_to_linear(*it)).collect();
        keys.extend(detector.hear(&samples));
    }
    assert_eq!(keys, [7]);
    // By order of control, too.
    let keys = "12".chars().map(|it| Key::try_from(it).unwrap()).collect();
    it.task(Task::SendKeys { leg: slot(AGENT), keys });
    it.wait(500);
    let sound: Vec<_> =
        it.heard(AGENT).into_iter().flat_map(|it| it.1).map(alaw_to_linear).collect();
    let heard: Vec<_> = sound.chunks(FRAME).filter_map(|it| detector.hear(it)).collect();
    assert_eq!(heard, [1, 2]);
}
