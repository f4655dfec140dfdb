//! A peer changes its codec while nothing comes of him.

use super::*;

/// How the agent is silent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Silence {
    /// His packets stop.
    Unsaid,
    /// By a packet of comfort noise.
    Said,
    /// Nor does the caller say anything.
    OfBoth,
}

impl Pair {
    /// The agent says nothing for this long.
    fn listen_to_caller(&mut self, silence: Silence, ms: u64) {
        for _ in 0..ms / 20 {
            let (header, audio) = self.mouths[0].next();
            if silence != Silence::OfBoth {
                self.house.say(CALLER, header, &audio);
            }
            self.mouths[1].paused += 1;
            self.pass(10);
            self.pass(10);
        }
    }

    fn no_gap_since(&mut self) -> bool {
        let gaps = self.ears.each_mut().map(|it| mem::take(&mut it.gap));
        gaps.iter().all(|it| *it <= Duration::from_millis(40))
    }
}

#[test]
fn a_peer_who_is_silent_changes_its_codec_and_both_receive_one_stream_without_a_gap() {
    for silence in [Silence::Unsaid, Silence::Said, Silence::OfBoth] {
        for (caller, before) in SPOKEN.into_iter().flat_map(|a| SPOKEN.map(|b| (a, b))) {
            for after in SPOKEN.into_iter().filter(|it| *it != before) {
                let mut it = Pair::new(caller, before);
                it.talk(400);
                if silence == Silence::Said {
                    let (header, _) = it.mouths[1].next();
                    it.house.say(AGENT, Header { payload_type: 13, ..header }, &[60]);
                }
                it.listen_to_caller(silence, 600);
                it.no_gap_since();
                it.house.task(Task::Settle { leg: slot(AGENT), stream: stream(AGENT, after, 96) });
                (it.mouths[1].codec, it.ears[1].codec) = (after, after);
                it.listen_to_caller(silence, 600);
                let told = format!("{silence:?} {caller}: {before} to {after}");
                assert!(it.no_gap_since(), "{told}");
                it.talk(1_000);
                assert!(it.no_gap_since(), "{told}, and then he speaks");
                it.check();
            }
        }
    }
}
