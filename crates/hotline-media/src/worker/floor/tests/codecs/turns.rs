//! Who is heard next: an agent after music, and those who talk in a conference.

use super::*;

#[test]
fn an_answer_interrupts_music_at_once_and_leaves_no_gap() {
    for agent in [Codec::Pcmu, Codec::Opus] {
        let mut it = Pair::new(Codec::Pcma, agent);
        let order = Play {
            leg: LegId(0),
            play: PlayId(1),
            prompts: Vec::new(),
            times: 0,
            gap_ms: 0,
            stop_on_key: false,
            grace_ms: 0,
            limit_ms: 0,
        };
        let mut music = vec![0; 8_000];
        Tone::new(300, 8_000).fill_alaw(&mut music);
        let play = Box::new(Playing::new(&order, vec![Arc::from(music)], false));
        it.house.task(Task::Play { leg: slot(CALLER), play });
        it.talk(600);
        assert!(it.ears[0].share(300) > 0.95 && it.ears[0].share(AGENT_HZ) < 0.01);
        // The agent answers: control stops the music and lets them hear each other.
        let (answered, before) = (it.house.now, it.ears[0].samples.len());
        it.house.task(Task::Stop { leg: slot(CALLER), play: PlayId(1) });
        let (mut last, mut gap, mut first) = (answered, Duration::ZERO, None);
        for _ in 0..20 {
            for leg in [CALLER, AGENT] {
                let (header, audio) = it.mouths[leg as usize].next();
                it.house.say(leg, header, &audio);
                let n = it.ears[0].samples.len();
                it.pass(10);
                let heard = &it.ears[0].samples[n..];
                if !heard.is_empty() {
                    gap = gap.max(it.house.now.since(last));
                    last = it.house.now;
                }
                if heard.chunks_exact(FRAME).any(|it| strength(it, AGENT_HZ) > 0.5) {
                    first.get_or_insert(it.house.now.since(answered));
                }
            }
        }
        assert!(gap <= Duration::from_millis(40), "{agent}: nothing for {gap:?}");
        let first = first.unwrap();
        assert!(first <= Duration::from_millis(40), "{agent}: he is heard after {first:?}");
        // Not a frame of music is heard after that.
        let after = it.ears[0].samples[before..].chunks_exact(FRAME);
        assert!(after.clone().all(|it| strength(it, 300) < 0.5), "{agent}");
    }
}

#[test]
fn in_a_conference_of_five_those_who_do_not_talk_are_left_out_and_nobody_who_talks() {
    let murmur = |parties: u32| {
        let mut house = House::empty(8);
        let mut mouths = Vec::new();
        for leg in 0..parties {
            house.open(leg, Codec::Pcma, 101);
            let mut mouth = Mouth::new(Codec::Pcma, 400 + 100 * leg);
            // One talks; the telephones of the others pick up the room at −55 dBm0.
            if leg > 0 {
                mouth.tone = Tone::exact(f64::from(400 + 100 * leg), -55.0);
            }
            mouths.push(mouth);
        }
        for listener in 0..parties {
            let speakers = (0..parties).filter(|it| *it != listener).map(slot).collect();
            house.task(Task::Hear { listener: slot(listener), speakers });
        }
        let mut ears: Vec<_> = (0..parties).map(|_| Ear::new(Codec::Pcma)).collect();
        for _ in 0..50 {
            for (leg, mouth) in (0..).zip(&mut mouths) {
                let (header, audio) = mouth.next();
                house.say(leg, header, &audio);
            }
            house.wait(20);
            for (leg, ear) in (0..).zip(&mut ears) {
                ear.hear(house.heard(leg), house.now);
            }
        }
        assert!(ears[1].share(400) > 0.95, "who talks is heard: {}", ears[1].share(400));
        let last = &ears[0].samples[ears[0].samples.len() - 3_200..];
        last.iter().any(|it| it.abs() > 16)
    };
    assert!(murmur(4), "four hear all of each other");
    assert!(!murmur(5), "five hear who talks");
}

#[test]
fn what_a_telephone_of_opus_did_not_send_is_not_counted_as_heard() {
    let mut it = Pair::new(Codec::Pcma, Codec::Opus);
    it.record();
    it.talk(600);
    // For a second nothing comes of him.
    for _ in 0..50 {
        let (header, audio) = it.mouths[0].next();
        it.house.say(CALLER, header, &audio);
        it.pass(20);
    }
    it.house.task(Task::EndRecord { tape: slot(0) });
    it.house.wait(300);
    let mut heard_ms = [0; 2];
    while let Ok(filled) = it.house.filled.pop() {
        let Filled::Block(block) = filled else { continue };
        for (sum, more) in heard_ms.iter_mut().zip(block.heard()) {
            *sum += more / 8;
        }
    }
    // What is made up for up to 100 ms of what did not come counts as his.
    let [left, right] = heard_ms;
    assert!(left >= 1_500 && (520..=760).contains(&right), "{left} and {right} ms");
}
