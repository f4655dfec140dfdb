//! A model of the media plane: it keeps legs, plays and recordings, takes time, and can fail.

use std::{collections::BTreeMap, time::Duration};

use hotline_base::{
    Key, LegId, PlayId, Random, RecordingId, WallTime,
    media::{Event, FailReason, FailedOrder, LegStats, Order, PlayEnd, Recorded, VERSION},
};

/// Legs, plays and recordings of one media process.
#[derive(Debug, Default)]
pub(crate) struct MediaModel {
    legs: BTreeMap<LegId, Option<Play>>,
    recordings: BTreeMap<RecordingId, String>,
    /// As `Mix` said last.
    hears: BTreeMap<LegId, Vec<LegId>>,
    reviving: bool,
}

#[derive(Clone, Copy, Debug)]
struct Play {
    id: PlayId,
    stop_on_key: bool,
}

/// What media will say, and after how long.
pub(crate) type Said = Vec<(Duration, Event)>;

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
                   m=audio 20000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

impl MediaModel {
    pub(crate) fn n_legs(&self) -> usize {
        self.legs.len()
    }

    pub(crate) fn legs(&self) -> Vec<LegId> {
        self.legs.keys().copied().collect()
    }

    pub(crate) fn n_recordings(&self) -> usize {
        self.recordings.len()
    }

    /// Whether the two hear each other now.
    pub(crate) fn is_bridged(&self, a: LegId, b: LegId) -> bool {
        self.hears(a, b) && self.hears(b, a)
    }

    pub(crate) fn hears(&self, listener: LegId, speaker: LegId) -> bool {
        self.hears.get(&listener).is_some_and(|it| it.contains(&speaker))
    }

    pub(crate) fn hears_nobody(&self, leg: LegId) -> bool {
        self.hears.get(&leg).is_none_or(Vec::is_empty)
    }

    /// Whether the caller hears a play.
    pub(crate) fn is_playing(&self, leg: LegId) -> bool {
        self.legs.get(&leg).is_some_and(Option::is_some)
    }

    pub(crate) fn order(&mut self, order: Order, faulty: bool, random: &mut Random) -> Said {
        let soon = Duration::from_micros(random.between(50, 3000));
        match order {
            Order::Hello { .. } => {
                let legs = self.legs.keys().copied().collect();
                let recordings = self.recordings.keys().cloned().collect();
                let began = WallTime::default();
                vec![(soon, Event::Inventory { version: VERSION, legs, recordings, began })]
            }
            Order::Open { leg, .. } => self.open(leg, soon, faulty, random),
            Order::Answer { leg, answer } if self.legs.contains_key(&leg) => {
                let hold = answer.contains("a=sendonly");
                vec![(soon, Event::Settled { leg, hold })]
            }
            Order::Reoffer { leg, offer } if self.legs.contains_key(&leg) => {
                let hold = offer.contains("a=sendonly");
                vec![(soon, Event::Reanswered { leg, sdp: SDP.to_owned(), hold })]
            }
            Order::Describe { leg } if self.legs.contains_key(&leg) => {
                vec![(soon, Event::Described { leg, sdp: SDP.to_owned() })]
            }
            Order::Answer { .. }
            | Order::Reoffer { .. }
            | Order::Describe { .. }
            | Order::SendKeys { .. }
            | Order::HeedTones { .. } => Vec::new(),
            Order::Mix { hears } => {
                for it in hears {
                    self.hears.insert(it.listener, it.speakers);
                }
                Vec::new()
            }
            Order::Play(play) => self.play(&play, soon, random),
            Order::Stop { leg, play } => self.stop(leg, play, soon),
            Order::Record { recording, path, .. } => {
                self.recordings.insert(recording, path);
                Vec::new()
            }
            Order::RecordSource { .. } | Order::RecordMute { .. } => Vec::new(),
            Order::StopRecord { recording } => self.seal(recording, soon),
            Order::Close { leg } => self.close(leg, soon),
        }
    }

    fn open(&mut self, leg: LegId, soon: Duration, faulty: bool, random: &mut Random) -> Said {
        if faulty && random.chance(3) {
            let reason = FailReason::NoPort;
            return vec![(soon, Event::Failed { leg, order: FailedOrder::Open, reason })];
        }
        self.legs.insert(leg, None);
        // Slower than control waits.
        let slow = faulty && random.chance(2);
        let after = if slow { Duration::from_millis(700) } else { soon };
        vec![(after, Event::Opened { leg, sdp: SDP.to_owned() })]
    }

    fn play(
        &mut self,
        play: &hotline_base::media::Play,
        soon: Duration,
        random: &mut Random,
    ) -> Said {
        let Some(slot) = self.legs.get_mut(&play.leg) else { return Vec::new() };
        let before = slot.replace(Play { id: play.play, stop_on_key: play.stop_on_key });
        let mut said = Vec::new();
        if let Some(before) = before {
            let end = PlayEnd::Stopped;
            said.push((soon, done(play.leg, before.id, end)));
        }
        if play.prompts.iter().any(|it| it.as_str() == "seat.confirm") && random.chance(80) {
            // Who answers for an agent outside presses what he is asked for; a voice mail does not.
            let wait = Duration::from_millis(random.between(500, 8_000));
            said.push((soon + wait, Event::Key { leg: play.leg, key: Key::ONE }));
        }
        if play.times != 0 {
            let n = u64::try_from(play.prompts.len()).unwrap_or(1).max(1);
            let length = Duration::from_millis(n * random.between(300, 3000));
            let mut after = length;
            if play.limit_ms > 0 {
                after = after.min(Duration::from_millis(u64::from(play.limit_ms)));
            }
            said.push((soon + after, done(play.leg, play.play, PlayEnd::Finished)));
        }
        said
    }

    /// A play that was planned to end now does so only if it still runs.
    pub(crate) fn is_stale(&mut self, event: &Event) -> bool {
        let Event::PlayDone { leg, play, end: PlayEnd::Finished, .. } = event else {
            return false;
        };
        match self.legs.get_mut(leg) {
            Some(slot) if slot.is_some_and(|it| it.id == *play) => {
                *slot = None;
                false
            }
            Some(_) | None => true,
        }
    }

    fn stop(&mut self, leg: LegId, play: PlayId, soon: Duration) -> Said {
        match self.legs.get_mut(&leg) {
            Some(slot) if slot.is_some_and(|it| it.id == play) => {
                *slot = None;
                vec![(soon, done(leg, play, PlayEnd::Stopped))]
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// The caller presses a key.
    pub(crate) fn press(&mut self, leg: LegId, key: Key) -> Vec<Event> {
        let Some(slot) = self.legs.get_mut(&leg) else { return Vec::new() };
        let mut said = Vec::new();
        if let Some(play) = *slot
            && play.stop_on_key
        {
            *slot = None;
            said.push(done(leg, play.id, PlayEnd::Key(key)));
        }
        said.push(Event::Key { leg, key });
        said
    }

    fn seal(&mut self, recording: RecordingId, soon: Duration) -> Said {
        let Some(path) = self.recordings.remove(&recording) else { return Vec::new() };
        vec![(soon, Event::Recorded(sealed(recording, path, 0)))]
    }

    /// The process dies. The next one brings back all legs or none; returns what it will find of
    /// the recordings.
    pub(crate) fn die(&mut self, brings_back: bool) -> Vec<Recorded> {
        self.reviving = true;
        self.hears.clear();
        if brings_back {
            self.legs.values_mut().for_each(|it| *it = None);
        } else {
            self.legs.clear();
        }
        let broken_off = std::mem::take(&mut self.recordings).into_iter();
        broken_off.map(|(recording, path)| sealed(recording, path, 1)).collect()
    }

    /// Whether control has not been told yet what the next process has brought back.
    pub(crate) const fn is_reviving(&self) -> bool {
        self.reviving
    }

    /// Control is told.
    pub(crate) const fn revived(&mut self) {
        self.reviving = false;
    }

    fn close(&mut self, leg: LegId, soon: Duration) -> Said {
        self.hears.remove(&leg);
        for speakers in self.hears.values_mut() {
            speakers.retain(|it| *it != leg);
        }
        match self.legs.remove(&leg) {
            Some(_) => vec![(soon, Event::Closed { leg, stats: LegStats::default() })],
            None => Vec::new(),
        }
    }
}

fn sealed(recording: RecordingId, path: String, n_gaps: u32) -> Recorded {
    let sha256 = "00".repeat(32);
    Recorded {
        recording,
        path,
        duration_ms: 1000,
        bytes: 16_058,
        sha256,
        gap_ms: 0,
        n_gaps,
        measured: None,
    }
}

const fn done(leg: LegId, play: PlayId, end: PlayEnd) -> Event {
    Event::PlayDone { leg, play, played_ms: 500, end }
}
