//! A model of the media plane: it keeps legs, plays and recordings, takes time, and can fail.

use std::{collections::BTreeMap, time::Duration};

use hotline_base::{
    Key, LegId, PlayId, Random, RecordingId, WallTime,
    media::{
        Event, FailReason, FailedOrder, LegStats, NetworkTone, Order, PlayEnd, Profile, Recorded,
        VERSION,
    },
};
use hotline_sdp::{Fingerprint, Remote, Security, Stream, asked};

use crate::voice::{Voice, profile_of, session_of};

/// Legs, plays and recordings of one media process.
#[derive(Debug, Default)]
pub(crate) struct MediaModel {
    legs: BTreeMap<LegId, Leg>,
    recordings: BTreeMap<RecordingId, String>,
    /// As `Mix` said last.
    hears: BTreeMap<LegId, Vec<LegId>>,
    reviving: bool,
    /// Legs whose browsers are to prove who they are.
    unchecked: Vec<LegId>,
}

#[derive(Debug)]
struct Leg {
    play: Option<Play>,
    voice: Voice,
    /// How what was agreed last is protected, and whether the peer holds.
    agreed: Option<(Security, bool)>,
    /// The session of the peer's last description.
    peer: Option<u64>,
    /// Nothing comes from the peer any more.
    silent: bool,
    /// Sound is due from the peer.
    owes: bool,
}

#[derive(Clone, Copy, Debug)]
struct Play {
    id: PlayId,
    stop_on_key: bool,
}

/// What media will say, and after how long.
pub(crate) type Said = Vec<(Duration, Event)>;

/// How long there is no room for new calls, when there is none.
const FULL: Duration = Duration::from_millis(300);

/// Of our certificate.
const FINGERPRINT: Fingerprint = Fingerprint([0xAB; 32]);

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

    /// Whether somebody and this leg hear each other.
    pub(crate) fn is_with_somebody(&self, leg: LegId) -> bool {
        let heard = self.hears.get(&leg).map_or(&[][..], Vec::as_slice);
        heard.iter().any(|it| self.hears(*it, leg))
    }

    /// Whether the telephone of a leg holds.
    pub(crate) fn is_on_hold(&self, leg: LegId) -> bool {
        let agreed = self.legs.get(&leg).and_then(|it| it.agreed.as_ref());
        agreed.is_some_and(|it| it.1)
    }

    pub(crate) fn hears_nobody(&self, leg: LegId) -> bool {
        self.hears.get(&leg).is_none_or(Vec::is_empty)
    }

    /// Whether the caller hears a play.
    pub(crate) fn is_playing(&self, leg: LegId) -> bool {
        self.legs.get(&leg).is_some_and(|it| it.play.is_some())
    }

    pub(crate) fn has(&self, leg: LegId) -> bool {
        self.legs.contains_key(&leg)
    }

    /// How the leg is protected, once that is agreed.
    pub(crate) fn protection(&self, leg: LegId) -> Option<Profile> {
        let (security, _) = self.legs.get(&leg)?.agreed.as_ref()?;
        Some(profile_of(security))
    }

    /// The browser as it described itself last.
    pub(crate) fn browser(&self, leg: LegId) -> Option<&Remote> {
        match &self.legs.get(&leg)?.agreed.as_ref()?.0 {
            Security::WebRtc(it) => Some(it),
            Security::Plain | Security::Sdes { .. } => None,
        }
    }

    /// Whether the peer of a leg is who describes himself by this session: several telephones may
    /// have rung for it.
    pub(crate) fn is_with(&self, leg: LegId, session: u64) -> bool {
        self.legs.get(&leg).is_some_and(|it| it.peer == Some(session))
    }

    /// Nothing comes from the peer of a leg any more. Whom it misses, it says; a browser's checks
    /// go on while it holds, and so their end is noticed.
    pub(crate) fn falls_silent(&mut self, leg: LegId) -> Said {
        let Some(it) = self.legs.get_mut(&leg) else { return Vec::new() };
        it.silent = true;
        it.misses(leg)
    }

    /// The same again, by a process that brought legs back.
    pub(crate) fn still_silent(&self) -> Said {
        self.legs.iter().filter(|it| it.1.silent).flat_map(|(leg, it)| it.misses(*leg)).collect()
    }

    /// Legs whose browsers are to prove who they are, since this was asked.
    pub(crate) fn take_unchecked(&mut self) -> Vec<LegId> {
        std::mem::take(&mut self.unchecked)
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
            Order::Open { leg, offer, profile, .. } => {
                let mut said = self.open(leg, (offer.as_deref(), profile), (soon, faulty), random);
                if faulty && random.chance(1) {
                    said.push((soon, Event::Room { legs: 0, ports: 1_000 }));
                    said.push((soon + FULL, Event::Room { legs: 1_000, ports: 1_000 }));
                }
                said
            }
            Order::Answer { leg, answer } if self.has(leg) => self.answer(leg, &answer, soon),
            Order::Reoffer { leg, offer } if self.has(leg) => self.reoffer(leg, &offer, soon),
            Order::Describe { leg } => {
                let it = self.legs.get_mut(&leg).map(|it| it.voice.offer());
                it.map(|sdp| (soon, Event::Described { leg, sdp })).into_iter().collect()
            }
            Order::HeedTones { leg } => hear_tones(leg, random),
            Order::Answer { .. } | Order::Reoffer { .. } | Order::SendKeys { .. } => Vec::new(),
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

    fn open(
        &mut self,
        leg: LegId,
        (offer, profile): (Option<&str>, Profile),
        (soon, faulty): (Duration, bool),
        random: &mut Random,
    ) -> Said {
        if faulty && random.chance(3) {
            return failed(leg, FailedOrder::Open, FailReason::NoPort, soon);
        }
        let profile = offer.map_or(profile, |it| asked(it).map_or(profile, |it| it.profile));
        let mut it = Leg {
            play: None,
            voice: Voice::new(profile, leg.0, FINGERPRINT),
            agreed: None,
            peer: offer.and_then(session_of),
            silent: false,
            owes: true,
        };
        // Slower than control waits.
        let slow = faulty && random.chance(2);
        let after = if slow { Duration::from_millis(700) } else { soon };
        let mut said = match offer.map(|offer| it.voice.answer(offer)) {
            Some(Ok(agreed)) => it.agree(leg, agreed, after),
            Some(Err(why)) => return failed(leg, FailedOrder::Open, why.into(), soon),
            None => {
                drop(it.voice.offer());
                Vec::new()
            }
        };
        let sdp = it.voice.said.clone();
        self.legs.insert(leg, it);
        self.check(leg);
        said.push((after, Event::Opened { leg, sdp }));
        said
    }

    fn answer(&mut self, leg: LegId, answer: &str, soon: Duration) -> Said {
        let Some(it) = self.legs.get_mut(&leg) else { return Vec::new() };
        match it.voice.settle(answer) {
            Ok(agreed) => {
                let hold = agreed.0.hold;
                let mut said = it.agree(leg, agreed, soon);
                it.peer = session_of(answer);
                self.check(leg);
                said.push((soon, Event::Settled { leg, hold }));
                said
            }
            Err(why) => failed(leg, FailedOrder::Answer, why.into(), soon),
        }
    }

    /// A call keeps its kind of protection.
    fn reoffer(&mut self, leg: LegId, offer: &str, soon: Duration) -> Said {
        let before = self.browser(leg).map(|it| it.ufrag.clone());
        let Some(it) = self.legs.get_mut(&leg) else { return Vec::new() };
        let asked = asked(offer);
        if asked.as_ref().is_some_and(|asked| asked.profile != it.voice.profile) {
            return failed(leg, FailedOrder::Reoffer, FailReason::NoCommonCodec, soon);
        }
        if asked.and_then(|it| it.ufrag) != before {
            it.voice.restart();
        }
        match it.voice.answer(offer) {
            Ok(agreed) => {
                let (hold, sdp) = (agreed.0.hold, it.voice.said.clone());
                let mut said = it.agree(leg, agreed, soon);
                self.check(leg);
                said.push((soon, Event::Reanswered { leg, sdp, hold }));
                said
            }
            Err(why) => failed(leg, FailedOrder::Reoffer, why.into(), soon),
        }
    }

    fn check(&mut self, leg: LegId) {
        if self.browser(leg).is_some() {
            self.unchecked.push(leg);
        }
    }

    fn play(
        &mut self,
        play: &hotline_base::media::Play,
        soon: Duration,
        random: &mut Random,
    ) -> Said {
        let Some(leg) = self.legs.get_mut(&play.leg) else { return Vec::new() };
        let before = leg.play.replace(Play { id: play.play, stop_on_key: play.stop_on_key });
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
            Some(it) if it.plays(*play) => {
                it.play = None;
                false
            }
            Some(_) | None => true,
        }
    }

    fn stop(&mut self, leg: LegId, play: PlayId, soon: Duration) -> Said {
        match self.legs.get_mut(&leg) {
            Some(it) if it.plays(play) => {
                it.play = None;
                vec![(soon, done(leg, play, PlayEnd::Stopped))]
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// The caller presses a key.
    pub(crate) fn press(&mut self, leg: LegId, key: Key) -> Vec<Event> {
        let Some(it) = self.legs.get_mut(&leg) else { return Vec::new() };
        let mut said = Vec::new();
        if let Some(play) = it.play
            && play.stop_on_key
        {
            it.play = None;
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
            self.legs.values_mut().for_each(|it| it.play = None);
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

impl Leg {
    fn agree(
        &mut self,
        leg: LegId,
        (stream, security): (Stream, Security),
        after: Duration,
    ) -> Said {
        self.agreed = Some((security, stream.hold));
        let owes = stream.is_sound_due();
        let is_new = std::mem::replace(&mut self.owes, owes) != owes;
        is_new.then_some((after, Event::OwesSound { leg, owes })).into_iter().collect()
    }

    fn plays(&self, play: PlayId) -> bool {
        self.play.is_some_and(|it| it.id == play)
    }

    fn misses(&self, leg: LegId) -> Said {
        let Some((security, _)) = &self.agreed else { return Vec::new() };
        let quiet = |secs| (Duration::from_secs(u64::from(secs)), Event::Quiet { leg, secs });
        match (self.owes, profile_of(security)) {
            (true, _) => vec![quiet(5), quiet(30)],
            (false, Profile::WebRtc) => vec![quiet(30)],
            (false, Profile::Plain | Profile::Sdes) => Vec::new(),
        }
    }
}

/// What a network says by tones, now and then: that it rings, and later why nobody answers or that
/// somebody has hung up.
fn hear_tones(leg: LegId, random: &mut Random) -> Said {
    if !random.chance(15) {
        return Vec::new();
    }
    let all = [NetworkTone::Busy, NetworkTone::Congestion, NetworkTone::Vacant, NetworkTone::Dial];
    let n = usize::try_from(random.below(all.len() as u64)).unwrap_or(0);
    let later = all.get(n).copied().unwrap_or(NetworkTone::Busy);
    let (first, second) = (random.between(500, 5_000), random.between(1_000, 40_000));
    [(first, NetworkTone::RingBack), (first + second, later)]
        .map(|(after, tone)| (Duration::from_millis(after), Event::Tone { leg, tone }))
        .to_vec()
}

fn failed(leg: LegId, order: FailedOrder, reason: FailReason, soon: Duration) -> Said {
    vec![(soon, Event::Failed { leg, order, reason })]
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
