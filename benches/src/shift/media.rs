//! Media as far as the switchboard can tell: it does everything, a millisecond later.

use std::{collections::BTreeMap, time::Duration};

use hotline_base::{
    Key, LegId, PlayId, RecordingId, WallTime,
    media::{Event, LegStats, Order, Play, PlayEnd, Recorded, VERSION},
};

#[derive(Debug, Default)]
pub(super) struct Media {
    /// What plays on each leg.
    legs: BTreeMap<LegId, Option<PlayId>>,
    recordings: BTreeMap<RecordingId, String>,
}

pub(super) const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\n\
                              t=0 0\r\nm=audio 20000 RTP/AVP 8 101\r\n\
                              a=rtpmap:101 telephone-event/8000\r\n";

const SOON: Duration = Duration::from_millis(1);

/// How long a prompt is, and when the caller, who knows them all, presses a key.
const PROMPT: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(1);

impl Media {
    /// What it will say, and after how long.
    pub(super) fn order(&mut self, order: Order) -> Vec<(Duration, Event)> {
        match order {
            Order::Hello { .. } => {
                let (legs, recordings) = (Vec::new(), Vec::new());
                vec![(
                    SOON,
                    Event::Inventory { version: VERSION, began: WallTime(0), legs, recordings },
                )]
            }
            Order::Open { leg, .. } => {
                self.legs.insert(leg, None);
                vec![(SOON, Event::Opened { leg, sdp: SDP.to_owned() })]
            }
            Order::Answer { leg, .. } => vec![(SOON, Event::Settled { leg, hold: false })],
            Order::Reoffer { leg, .. } => {
                vec![(SOON, Event::Reanswered { leg, sdp: SDP.to_owned(), hold: false })]
            }
            Order::Describe { leg } => vec![(SOON, Event::Described { leg, sdp: SDP.to_owned() })],
            Order::Mix { .. }
            | Order::SendKeys { .. }
            | Order::HeedTones { .. }
            | Order::RecordSource { .. }
            | Order::RecordMute { .. } => Vec::new(),
            Order::Play(play) => self.play(&play),
            Order::Stop { leg, play } => match self.legs.get_mut(&leg) {
                Some(now) if *now == Some(play) => {
                    *now = None;
                    vec![(SOON, done(leg, play, PlayEnd::Stopped))]
                }
                Some(_) | None => Vec::new(),
            },
            Order::Record { recording, path, .. } => {
                self.recordings.insert(recording, path);
                Vec::new()
            }
            Order::StopRecord { recording } => self.seal(recording),
            Order::Close { leg } => match self.legs.remove(&leg) {
                Some(_) => vec![(SOON, Event::Closed { leg, stats: LegStats::default() })],
                None => Vec::new(),
            },
        }
    }

    fn play(&mut self, it: &Play) -> Vec<(Duration, Event)> {
        let (leg, play) = (it.leg, it.play);
        let Some(now) = self.legs.get_mut(&leg) else { return Vec::new() };
        let before = now.replace(play);
        let stopped = before.map(|before| (SOON, done(leg, before, PlayEnd::Stopped)));
        let mut said: Vec<_> = stopped.into_iter().collect();
        match Key::try_from('1') {
            // Music.
            _ if it.times == 0 => {}
            Ok(key) if it.stop_on_key => {
                said.push((PATIENCE, done(leg, play, PlayEnd::Key(key))));
                said.push((PATIENCE, Event::Key { leg, key }));
            }
            Ok(_) | Err(_) => said.push((PROMPT, done(leg, play, PlayEnd::Finished))),
        }
        said
    }

    /// A play that was to end now does so only if it still runs.
    pub(super) fn is_stale(&mut self, event: &Event) -> bool {
        let Event::PlayDone { leg, play, end: PlayEnd::Finished | PlayEnd::Key(_), .. } = event
        else {
            return false;
        };
        match self.legs.get_mut(leg) {
            Some(now) if *now == Some(*play) => {
                *now = None;
                false
            }
            Some(_) | None => true,
        }
    }

    fn seal(&mut self, recording: RecordingId) -> Vec<(Duration, Event)> {
        let Some(path) = self.recordings.remove(&recording) else { return Vec::new() };
        let (duration_ms, bytes, sha256) = (60_000, 960_058, "00".repeat(32));
        let (gap_ms, n_gaps, measured) = (0, 0, None);
        let it = Recorded { recording, path, duration_ms, bytes, sha256, gap_ms, n_gaps, measured };
        vec![(SOON, Event::Recorded(it))]
    }
}

const fn done(leg: LegId, play: PlayId, end: PlayEnd) -> Event {
    Event::PlayDone { leg, play, played_ms: 1_000, end }
}
