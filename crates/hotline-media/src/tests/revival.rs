//! Legs outlive the process that served them.

use std::{
    fs::{self, File},
    os::{fd::OwnedFd, unix::fs::FileExt},
};

use hotline_base::{
    LegId, RecordingId,
    media::{Event, Hears, Order, Profile, VERSION},
};
use hotline_dsp::strength;
use rustix::fs::{MemfdFlags, SeekFrom, memfd_create, seek};

use super::{
    browsers::{assert_page_and_phone_talk, bridge, page},
    rig::{CONTEXT, Control, Dir, Phone, Rig, config_in, port_of},
    sdes::{SUITES, SafePhone},
    tapes::{Talk, read},
};
use crate::{MediaConfig, resume};

/// More than the streams that a peer tells apart.
const DEATHS: usize = 10;

/// A role whose legs outlive it.
struct Lasting {
    memory: OwnedFd,
    config: MediaConfig,
}

impl Lasting {
    fn start() -> (Self, Rig) {
        let dir = Dir::new();
        let memory = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        let it = Self { memory, config: config_in(&dir.0) };
        let rig = it.next(dir, &[]);
        (it, rig)
    }

    /// One process ends, and the next one has these legs.
    fn restart(&self, rig: Rig, legs: &[u64]) -> Rig {
        let Rig { media, control, dir } = rig;
        drop((media, control));
        self.next(dir, legs)
    }

    fn next(&self, dir: Dir, legs: &[u64]) -> Rig {
        let media = resume(self.config.clone(), self.memory.try_clone().unwrap()).unwrap();
        let mut control = Control::attach(&media);
        let legs: Vec<_> = legs.iter().map(|it| LegId(*it)).collect();
        assert_eq!(greet(&mut control), legs);
        Rig { media, control, dir }
    }
}

/// A control's first word, and the legs it is told of.
fn greet(control: &mut Control) -> Vec<LegId> {
    control.order(&Order::Hello { version: VERSION });
    let Event::Inventory { legs, .. } = control.event() else { panic!("no inventory") };
    legs
}

#[test]
fn the_next_process_brings_legs_back_on_their_ports_and_parties_hear_each_other_again() {
    let memory = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
    let dir = Dir::new();
    let config = config_in(&dir.0);
    let media = resume(config.clone(), memory.try_clone().unwrap()).unwrap();
    let mut control = Control::attach(&media);
    assert_eq!(greet(&mut control), []);
    let mut rig = Rig { media, control, dir };
    let mut caller = rig.phone(1, 440);
    // The agent is called by us; another telephone has not answered yet, and one has gone.
    let mut agent = Phone::new(2, 700);
    for leg in [2, 3] {
        let (leg, profile) = (LegId(leg), Profile::Plain);
        rig.control.order(&Order::Open { leg, offer: None, profile, context: CONTEXT });
        let Event::Opened { sdp, .. } = rig.control.event() else { panic!("not opened") };
        if leg == agent.leg {
            agent.to.set_port(port_of(&sdp));
            let answer = agent.sdp("sendrecv");
            rig.control.order(&Order::Answer { leg, answer });
            assert_eq!(rig.control.event(), Event::Settled { leg, hold: false });
        }
    }
    let gone = rig.phone(4, 900);
    rig.control.order(&Order::Close { leg: gone.leg });
    assert!(matches!(rig.control.event(), Event::Closed { .. }));
    let Rig { media, control, dir } = rig;
    drop((media, control));

    let media = resume(config.clone(), memory.try_clone().unwrap()).unwrap();
    assert_eq!(media.counters().legs_revived, 3);
    let mut control = Control::attach(&media);
    assert_eq!(greet(&mut control), [LegId(1), LegId(2), LegId(3)]);
    let mut rig = Rig { media, control, dir };
    rig.bridge(&caller, &agent);
    for _ in 0..10 {
        caller.say();
        agent.listen(1);
        agent.say();
        caller.listen(1);
    }
    // What was agreed is still there to be changed.
    let (leg, offer) = (caller.leg, caller.sdp("sendonly"));
    rig.control.order(&Order::Reoffer { leg, offer });
    assert!(matches!(rig.control.event(), Event::Reanswered { hold: true, .. }));
    for leg in [1, 2, 3] {
        rig.control.order(&Order::Close { leg: LegId(leg) });
        assert!(matches!(rig.control.event(), Event::Closed { .. }));
    }
    let Rig { media, control, dir } = rig;
    drop((media, control));
    let media = resume(config, memory).unwrap();
    assert_eq!(greet(&mut Control::attach(&media)), []);
    drop((media, dir));
}

#[test]
fn who_was_told_what_to_hear_is_sent_silence_by_the_next_process_before_any_order() {
    let (lasting, mut rig) = Lasting::start();
    rig.dir.prompt("tone", 600, 100);
    let (mut listener, other) = (rig.phone(1, 440), rig.phone(2, 700));
    rig.play(listener.leg, 1, &["tone"], 1);
    rig.play_done();
    let mut third = rig.phone(3, 900);
    let hears = vec![Hears { listener: third.leg, speakers: Vec::new() }];
    rig.control.order(&Order::Mix { hears });
    third.listen(2);
    let rig = lasting.restart(rig, &[1, 2, 3]);
    for ear in [&mut listener, &mut third] {
        ear.forget_stream(&rig.media);
        let sound = ear.listen(10);
        assert!(sound.iter().all(|it| it.abs() < 16), "silence");
    }
    assert!(other.hears_nothing(), "it may ring there");
    drop(rig);
}

/// A telephone with keys and a plain one hear each other, and only each other's tone.
fn assert_talk(rig: &mut Rig, safe: &mut SafePhone, plain: &mut Phone) {
    let only = |listener, speaker| Hears { listener, speakers: vec![speaker] };
    let both = vec![only(safe.leg, plain.leg), only(plain.leg, safe.leg)];
    rig.control.order(&Order::Mix { hears: both });
    assert_ne!(greet(&mut rig.control), []);
    // The next process sent silence until now.
    plain.forget_stream(&rig.media);
    safe.heard.clear();
    let mut heard = Vec::new();
    for _ in 0..50 {
        safe.say();
        heard.extend(plain.listen(1));
        plain.say();
        safe.hear();
    }
    // Silence of ours may come between them while the machine stands still.
    let n = |heard: &[i16], hz| heard.chunks(160).filter(|it| strength(it, hz) > 0.9).count();
    let shares = [n(&heard, 450), n(&safe.heard, 700)];
    assert!(shares.iter().all(|it| *it >= 40), "{shares:?}");
}

#[test]
fn a_telephone_with_keys_is_heard_again_with_them_and_no_stream_is_made_twice() {
    for (n, suite) in SUITES.into_iter().enumerate() {
        let (lasting, mut rig) = Lasting::start();
        let mut safe = SafePhone::new(1, 450, suite);
        let leg = safe.leg;
        // Its counter turns while it talks.
        safe.sequence = 65_520;
        let profile = Profile::Sdes;
        if n == 0 {
            rig.control.order(&Order::Open { leg, offer: None, profile, context: CONTEXT });
            let Event::Opened { sdp, .. } = rig.control.event() else { panic!("not opened") };
            let tag = safe.learn(&sdp);
            rig.control.order(&Order::Answer { leg, answer: safe.sdp(tag) });
            assert_eq!(rig.control.event(), Event::Settled { leg, hold: false });
        } else {
            rig.control.order(&Order::Open {
                leg,
                offer: Some(safe.sdp(4)),
                profile,
                context: CONTEXT,
            });
            let Event::Opened { sdp, .. } = rig.control.event() else { panic!("not opened") };
            assert_eq!(safe.learn(&sdp), 4);
        }
        let mut plain = rig.phone(2, 700);
        let mut streams = Vec::new();
        for _ in 0..DEATHS {
            assert_talk(&mut rig, &mut safe, &mut plain);
            streams.extend(safe.ssrc);
            rig = lasting.restart(rig, &[1, 2]);
        }
        assert_talk(&mut rig, &mut safe, &mut plain);
        streams.extend(safe.ssrc);
        streams.sort_unstable();
        streams.dedup();
        assert_eq!(streams.len(), DEATHS + 1, "the same key stream twice");
        // It asks for an offer of ours, and the process dies before the answer.
        rig.control.order(&Order::Describe { leg });
        let Event::Described { sdp, .. } = rig.control.event() else { panic!("not described") };
        rig = lasting.restart(rig, &[1, 2]);
        let tag = safe.learn(&sdp);
        rig.control.order(&Order::Answer { leg, answer: safe.sdp(tag) });
        assert_eq!(rig.control.event(), Event::Settled { leg, hold: false });
        assert_talk(&mut rig, &mut safe, &mut plain);
        // What was agreed is still there to be changed, also to another suite.
        rig.control.order(&Order::Reoffer { leg, offer: safe.sdp(4) });
        assert!(matches!(rig.control.event(), Event::Reanswered { .. }));
        let other = SafePhone::new(1, 450, SUITES[(n + 1) % 3]);
        rig.control.order(&Order::Reoffer { leg, offer: other.sdp(1) });
        assert!(matches!(rig.control.event(), Event::Reanswered { .. }));
    }
}

#[test]
fn a_browser_goes_on_with_its_keys_and_another_network_is_found_as_before() {
    let (lasting, mut rig) = Lasting::start();
    let mut page = page(&mut rig, 1, 450);
    let mut phone = rig.phone(2, 700);
    for _ in 0..2 {
        bridge(&mut rig, page.leg, phone.leg);
        assert_page_and_phone_talk(&mut page, &mut phone, [450, 700]);
        rig = lasting.restart(rig, &[1, 2]);
        phone.forget_stream(&rig.media);
    }
    bridge(&mut rig, page.leg, phone.leg);
    assert_page_and_phone_talk(&mut page, &mut phone, [450, 700]);
    let offer = page.roam(std::net::Ipv4Addr::new(127, 0, 0, 2));
    rig.control.order(&Order::Reoffer { leg: page.leg, offer });
    let Event::Reanswered { sdp, .. } = rig.control.event() else { panic!("not answered") };
    page.accept(&sdp);
    assert!(page.until_heard(|| phone.say()), "the new way is never found");
    assert_page_and_phone_talk(&mut page, &mut phone, [450, 700]);
}

#[test]
fn a_browser_that_rings_meanwhile_finds_the_certificate_that_it_was_told_of() {
    let (lasting, mut rig) = Lasting::start();
    let leg = LegId(1);
    rig.control.order(&Order::Open {
        leg,
        offer: None,
        profile: Profile::WebRtc,
        context: CONTEXT,
    });
    let Event::Opened { sdp, .. } = rig.control.event() else { panic!("not opened") };
    let mut rig = lasting.restart(rig, &[1]);
    let mut page = super::page::Page::new(1, 450);
    let answer = page.answer(&sdp);
    rig.control.order(&Order::Answer { leg, answer });
    assert_eq!(rig.control.event(), Event::Settled { leg, hold: false });
    assert!(page.until(|it| it.is_connected), "no connection");
    let mut phone = rig.phone(2, 700);
    bridge(&mut rig, leg, phone.leg);
    assert_page_and_phone_talk(&mut page, &mut phone, [450, 700]);
}

#[test]
fn a_browser_whose_handshake_has_not_ended_is_not_brought_back() {
    let (lasting, mut rig) = Lasting::start();
    let offer = super::page::Page::new(1, 450).offer();
    let (leg, profile) = (LegId(1), Profile::WebRtc);
    rig.control.order(&Order::Open { leg, offer: Some(offer), profile, context: CONTEXT });
    assert!(matches!(rig.control.event(), Event::Opened { .. }));
    lasting.restart(rig, &[]);
}

/// What a sparse file holds, and where.
fn held(file: &File) -> Vec<(u64, Vec<u8>)> {
    let (mut held, mut at) = (Vec::new(), 0);
    while let Ok(from) = seek(file, SeekFrom::Data(at)) {
        at = seek(file, SeekFrom::Hole(from)).unwrap();
        let mut bytes = vec![0; usize::try_from(at - from).unwrap()];
        file.read_exact_at(&mut bytes, from).unwrap();
        held.push((from, bytes));
    }
    held
}

#[test]
fn what_no_file_held_yet_is_found_in_memory_and_what_was_masked_is_not() {
    let memory = File::from(memfd_create("test", MemfdFlags::CLOEXEC).unwrap());
    let dir = Dir::new();
    let media = resume(config_in(&dir.0), memory.try_clone().unwrap().into()).unwrap();
    let mut control = Control::attach(&media);
    assert_eq!(greet(&mut control), []);
    let mut talk = Talk::new(Rig { media, control, dir });
    talk.record("r-1", "r-1.wav");
    talk.talk(1_000);
    let recording = RecordingId::new("r-1");
    talk.rig.control.order(&Order::RecordMute { recording, muted: true });
    talk.talk(60);
    let recording = RecordingId::new("r-1");
    talk.rig.control.order(&Order::RecordMute { recording, muted: false });
    talk.talk(120);
    // What memory and disk hold at one moment is what a killed process leaves.
    let (left, left_memory) = (Dir::new(), memfd_create("left", MemfdFlags::CLOEXEC).unwrap());
    let left_memory = File::from(left_memory);
    let (from, to) = (talk.rig.dir.recordings(), left.recordings());
    fs::create_dir_all(to.join(".open")).unwrap();
    let mut held = held(&memory);
    loop {
        for file in [".open/0.list", "r-1.wav"] {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
        let before = std::mem::replace(&mut held, self::held(&memory));
        if held == before {
            break;
        }
    }
    left_memory.set_len(memory.metadata().unwrap().len()).unwrap();
    for (at, bytes) in &held {
        left_memory.write_all_at(bytes, *at).unwrap();
    }
    let on_disk = fs::metadata(to.join("r-1.wav")).unwrap().len();
    let whole = talk.stop("r-1");

    let media = resume(config_in(&left.0), left_memory.into()).unwrap();
    let mut control = Control::attach(&media);
    assert_eq!(greet(&mut control).len(), 0, "their ports are taken");
    let Event::Recorded(recorded) = control.event() else { panic!("not repaired") };
    let (caller, agent) = read(&to.join("r-1.wav"));
    assert_eq!(recorded.duration_ms, caller.len() as u64 / 8);
    assert!(recorded.bytes >= on_disk + 8 * 2 * 100, "{} after {on_disk}", recorded.bytes);
    let (caller_whole, agent_whole) = read(&from.join("r-1.wav"));
    // The whole one goes on in silence until it is stopped.
    let end = |it: &[i16]| it.iter().rposition(|it| it.unsigned_abs() > 8).unwrap() / 8;
    let lost = end(&caller_whole).saturating_sub(end(&caller));
    assert!(lost < 120, "{lost} ms of {} are lost", whole.duration_ms);
    // The last packet of one side may be there when that of the other is not yet.
    let n = caller.len().min(caller_whole.len()) - 320;
    let same = |a: &[i16], b: &[i16]| a[..n].iter().zip(b).position(|(a, b)| a != b);
    let differ = [same(&caller, &caller_whole), same(&agent, &agent_whole)];
    assert_eq!(differ, [None, None], "of {n}");
    let quiet = caller.rchunks(160).take_while(|it| strength(it, 500) > 0.5).count();
    assert!((3..10).contains(&quiet), "{quiet} frames were said after what was masked");
}
