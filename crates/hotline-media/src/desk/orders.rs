//! What control orders, carried out or passed on to the worker.

use std::{
    path::{Component, Path},
    sync::atomic::Ordering::Relaxed,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use hotline_base::{
    ContextId, Key, LegId, RecordingId, WallTime,
    media::{
        Channel, Event, FailReason, FailedOrder, Hears, Order, Play, PlayEnd, Profile, VERSION,
    },
};
use hotline_rtp::Outbound;
use hotline_sdp::{
    Codecs, Local, SdpError, Secrets, Security, Stream, answer_in, asked, offer, offer_in,
    settle_in,
};

use super::{
    Desk, Entry,
    guests::Protection,
    link::Broken,
    notes::{Note, Theirs},
};
use crate::{
    Coding,
    counters::count,
    recorder::{Errand, key_of},
    task::{Door, Opening, ReportStart, Slot, Task},
    worker::{Playing, weight},
};

/// Of canonical names: 80 random bits in sixteen letters (RFC 7022 §4.2 wants at least 64).
const NAME_LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Keys of one order; a telephone number with its extension is shorter.
const KEYS_MAX: usize = 64;

impl Desk {
    pub(super) fn carry_out(&mut self, order: Order) {
        let greeted = self.link.as_ref().is_some_and(|it| it.greeted);
        match order {
            Order::Hello { version: VERSION } => self.greet(),
            Order::Hello { version } => self.on_broken(&Broken::Version(version)),
            // Whoever did not say hello may speak another version.
            _ if !greeted => self.on_broken(&Broken::BadOrder),
            Order::Open { leg, offer, profile, context } => {
                self.open(leg, offer.as_deref(), profile, context);
            }
            Order::Answer { leg, answer } => self.settle(leg, &answer),
            Order::Reoffer { leg, offer } => self.reoffer(leg, &offer),
            Order::Describe { leg } => self.describe(leg),
            Order::Mix { hears } => self.mix(&hears),
            Order::Play(play) => self.play(&play),
            Order::Stop { leg, play } => {
                if let Some(leg) = self.slot(leg) {
                    self.task(leg.worker, Task::Stop { leg, play });
                }
            }
            Order::SendKeys { leg, keys } => self.send_keys(leg, keys),
            Order::HeedTones { leg } => {
                if let Some(leg) = self.slot(leg) {
                    self.task(leg.worker, Task::HeedTones { leg });
                }
            }
            Order::Record { recording, path, left, right } => {
                self.record(recording, path, [left, right]);
            }
            Order::RecordSource { recording, channel, legs } => {
                self.record_source(&recording, channel, &legs);
            }
            Order::RecordMute { recording, muted } => {
                if let Some(tape) = self.recordings.get(&recording).copied() {
                    self.task(tape.worker, Task::Mute { tape, muted });
                }
            }
            Order::StopRecord { recording } => {
                if let Some(tape) = self.recordings.remove(&recording) {
                    self.task(tape.worker, Task::EndRecord { tape });
                }
            }
            Order::Close { leg } => {
                if let Some(leg) = self.slot(leg) {
                    self.task(leg.worker, Task::Close { leg });
                }
            }
        }
    }

    pub(super) fn slot(&self, leg: LegId) -> Option<Slot> {
        self.legs.get(&leg).map(|it| it.slot)
    }

    fn fail(&mut self, leg: LegId, order: FailedOrder, reason: FailReason) {
        self.say(Event::Failed { leg, order, reason });
    }

    fn local(&self, entry: &Entry) -> Local {
        let Entry { port, session, version, codecs, .. } = *entry;
        Local { address: self.config.address, port, session, version, codecs }
    }

    /// What is spoken with a peer of this profile.
    pub(super) fn codecs(&self, profile: Profile) -> Codecs {
        let Coding { codecs, browser_codecs, .. } = self.config.coding;
        match profile {
            Profile::Plain | Profile::Sdes => codecs,
            Profile::WebRtc => browser_codecs,
        }
    }

    fn open(&mut self, leg: LegId, theirs: Option<&str>, profile: Profile, context: ContextId) {
        if self.legs.contains_key(&leg) {
            return self.fail(leg, FailedOrder::Open, FailReason::Busy);
        }
        let Some(worker) = self.place(context) else {
            count(&self.counters.legs_refused);
            return self.fail(leg, FailedOrder::Open, FailReason::Busy);
        };
        let Some(slot) = self.leg_slots.take(worker) else {
            return self.fail(leg, FailedOrder::Open, FailReason::Busy);
        };
        let profile =
            theirs.map_or(profile, |it| asked(it).map_or(Profile::Plain, |it| it.profile));
        let out = self.outbound(None);
        let protection = self.protection(worker, profile, out.ssrc());
        let place = protection.and_then(|it| Some((self.door(worker, &it)?, it)));
        let Some(((port, door), protection)) = place else {
            self.leg_slots.give_back(slot);
            return self.fail(leg, FailedOrder::Open, FailReason::NoPort);
        };
        // RFC 8866 §5.2 wants a number that nobody else uses; 62 bits, so that readers that take
        // it for a signed one are not surprised.
        let session = self.random.next_u64() >> 2;
        let mut entry = Entry {
            slot,
            context,
            port,
            session,
            version: 1,
            codecs: self.codecs(profile),
            weight: 1,
            said: String::new(),
            protection,
            sounds: false,
            owes: true,
        };
        let (sdp, agreed) = match self.describe_first(&entry, theirs) {
            Ok(described) => described,
            Err(error) => return self.refuse(leg, (slot, port, door), error.into()),
        };
        entry.weight = agreed.as_ref().map_or(1, |it| self.weight(&it.0));
        if self.taken() + entry.weight > self.config.legs_max {
            return self.refuse(leg, (slot, port, door), FailReason::Busy);
        }
        entry.said.clone_from(&sdp);
        let secure = entry.protection.is_secure();
        let reports = self.report_start(door.port());
        let complexity = self.config.coding.opus_complexity;
        self.add_leg(leg, entry);
        let (id, resumes) = (leg, false);
        let opening = Opening { slot, id, door, secure, out, reports, complexity, resumes };
        self.task(worker, Task::Open(Box::new(opening)));
        self.admit_guest(leg);
        if let Some((stream, security)) = agreed {
            self.secure(leg, security);
            self.listen(leg, stream);
        }
        let theirs = theirs.map_or(Theirs::Nothing, |it| Theirs::Offer(it.to_owned()));
        self.note(leg, theirs);
        self.say(Event::Opened { leg, sdp });
    }

    /// From now on the peer is spoken with as was agreed.
    fn listen(&mut self, leg: LegId, stream: Stream) {
        let Some(entry) = self.legs.get_mut(&leg) else { return };
        let (slot, owes) = (entry.slot, stream.is_sound_due());
        if std::mem::replace(&mut entry.owes, owes) != owes {
            self.say(Event::OwesSound { leg, owes });
        }
        self.task(slot.worker, Task::Settle { leg: slot, stream });
    }

    /// For the process after this one.
    pub(super) fn note(&self, leg: LegId, theirs: Theirs) {
        if let Some(entry) = self.legs.get(&leg) {
            self.notes_of_legs.write(entry.slot.index, &Note::new(leg, entry, theirs));
        }
    }

    /// What is noted of a leg changed, but not what its peer said.
    pub(super) fn note_again(&self, leg: LegId) {
        if let Some(entry) = self.legs.get(&leg)
            && let Some(theirs) = self.notes_of_legs.theirs(entry.slot.index)
        {
            self.note(leg, theirs);
        }
    }

    /// Nobody was told this port.
    fn refuse(&mut self, leg: LegId, place: (Slot, u16, Door), reason: FailReason) {
        let (slot, port, door) = place;
        if let Door::Own(socket) = door {
            self.ports.close(port, Some(socket), Instant::now());
        }
        self.leg_slots.give_back(slot);
        self.fail(leg, FailedOrder::Open, reason);
    }

    pub(super) fn weight(&self, stream: &Stream) -> usize {
        weight(stream.codec, self.counters.sk_lookup.load(Relaxed) != 0)
    }

    /// A port of the leg's own, or that of all browsers.
    fn door(&mut self, worker: u8, protection: &Protection) -> Option<(u16, Door)> {
        if protection.is_guest() {
            return self.shared_port(worker).map(|it| (it, Door::Shared));
        }
        self.ports.open(Instant::now()).map(|(port, socket)| (port, Door::Own(socket)))
    }

    /// The first description of a leg, with what it leads to when it is an answer.
    fn describe_first(
        &self,
        entry: &Entry,
        theirs: Option<&str>,
    ) -> Result<(String, Option<(Stream, Security)>), SdpError> {
        let (local, secrets) = (self.local(entry), entry.protection.secrets.as_ref());
        let Some(theirs) = theirs else { return Ok((offered(&local, &entry.protection), None)) };
        let (sdp, stream, security) = answer_in(theirs, &local, secrets)?;
        Ok((sdp, Some((stream, security))))
    }

    /// A stream that begins anywhere (RFC 3550 §5.1), unless its name is given.
    pub(super) fn outbound(&mut self, ssrc: Option<u32>) -> Outbound {
        let mut number = || u32::try_from(self.random.next_u64() >> 32).unwrap_or(0);
        let (any, timestamp, sequence) = (number(), number(), number() >> 16);
        let ssrc = ssrc.unwrap_or(any);
        // In the lower half, so that the first packets are not lost with a turn of the counter that
        // SRTP does not send (RFC 3711 §3.3.1).
        Outbound::new(ssrc, u16::try_from(sequence >> 1).unwrap_or(0), timestamp)
    }

    /// What a leg's RTCP begins with. Where one socket hears all ports it has none of its own.
    /// Nor has a leg without a port of its own.
    pub(super) fn report_start(&mut self, port: Option<u16>) -> ReportStart {
        let by_lookup = self.counters.sk_lookup.load(Relaxed) != 0;
        let port = port.filter(|_| !by_lookup);
        let socket = port.and_then(|it| self.ports.open_reports(it));
        let name = std::array::from_fn(|_| {
            let at = usize::try_from(self.random.below(32)).unwrap_or(0);
            NAME_LETTERS.get(at).copied().unwrap_or(b'a')
        });
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = WallTime(i64::try_from(since.as_millis()).unwrap_or(0));
        ReportStart { socket, seed: self.random.next_u64(), name, wall }
    }

    fn settle(&mut self, leg: LegId, theirs: &str) {
        let Some(entry) = self.legs.get(&leg) else {
            return self.fail(leg, FailedOrder::Answer, FailReason::UnknownLeg);
        };
        match settle_in(&entry.said, theirs) {
            Ok((stream, security)) => {
                let hold = stream.hold;
                self.weigh(leg, self.weight(&stream));
                self.secure(leg, security);
                self.note(leg, Theirs::Answer(theirs.to_owned()));
                self.listen(leg, stream);
                self.say(Event::Settled { leg, hold });
            }
            Err(error) => self.fail(leg, FailedOrder::Answer, error.into()),
        }
    }

    fn reoffer(&mut self, leg: LegId, theirs: &str) {
        let Some(entry) = self.legs.get(&leg) else {
            return self.fail(leg, FailedOrder::Reoffer, FailReason::UnknownLeg);
        };
        let Some((secrets, restarts)) = Self::secrets_for(entry, theirs) else {
            return self.fail(leg, FailedOrder::Reoffer, FailReason::NoCommonCodec);
        };
        let answer = |local: &Local| {
            let (sdp, stream, security) = answer_in(theirs, local, secrets.as_ref())?;
            Ok((sdp, (stream, security)))
        };
        match self.versioned(entry, answer) {
            Ok((version, (sdp, (stream, security)))) => {
                if let Some(entry) = self.legs.get_mut(&leg) {
                    entry.version = version;
                    entry.said.clone_from(&sdp);
                }
                if let Some(secrets) = secrets.filter(|_| restarts) {
                    self.restart_guest(leg, secrets);
                }
                self.secure(leg, security);
                let Stream { hold, .. } = stream;
                self.note(leg, Theirs::Offer(theirs.to_owned()));
                self.weigh(leg, self.weight(&stream));
                self.listen(leg, stream);
                self.say(Event::Reanswered { leg, sdp, hold });
            }
            Err(error) => self.fail(leg, FailedOrder::Reoffer, error.into()),
        }
    }

    /// The secrets for the answer to a re-offer, and whether they are others than before. `None`
    /// when the peer asks for another kind of protection, which a call keeps.
    fn secrets_for(entry: &Entry, theirs: &str) -> Option<(Option<Secrets>, bool)> {
        let Some(asked) = asked(theirs) else { return Some((None, false)) };
        if asked.profile != entry.protection.profile {
            return None;
        }
        let made = entry.protection.renewed(&asked);
        made.inspect_err(|error| tracing::error!(%error, "No keys can be made.")).ok()
    }

    /// Our offer in the middle of a call: everything we can, as at the beginning (RFC 3261 §14.2).
    fn describe(&mut self, leg: LegId) {
        let Some(entry) = self.legs.get(&leg) else { return };
        let made = self
            .versioned(entry, |local| Ok::<_, SdpError>((offered(local, &entry.protection), ())));
        let Ok((version, (sdp, ()))) = made else { return };
        if let Some(entry) = self.legs.get_mut(&leg) {
            entry.version = version;
            entry.said.clone_from(&sdp);
        }
        self.note_again(leg);
        self.say(Event::Described { leg, sdp });
    }

    /// A description with the version that goes with it: the one before when it says the same, one
    /// more when it does not (RFC 3264 §8).
    fn versioned<T>(
        &self,
        entry: &Entry,
        write: impl Fn(&Local) -> Result<(String, T), SdpError>,
    ) -> Result<(u64, (String, T)), SdpError> {
        let mut local = self.local(entry);
        let same = write(&local)?;
        if same.0 == entry.said {
            return Ok((local.version, same));
        }
        local.version += 1;
        Ok((local.version, write(&local)?))
    }

    /// From here on a leg's peer counts on packets, whatever process sends them.
    fn begins_to_sound(&mut self, leg: LegId) {
        let Some(entry) = self.legs.get_mut(&leg).filter(|it| !it.sounds) else { return };
        entry.sounds = true;
        self.note_again(leg);
    }

    fn mix(&mut self, hears: &[Hears]) {
        for it in hears {
            self.begins_to_sound(it.listener);
            let Some(leg) = self.legs.get(&it.listener) else { continue };
            let (listener, context) = (leg.slot, leg.context);
            let speakers = self.in_context(context, &it.speakers);
            self.task(listener.worker, Task::Hear { listener, speakers });
        }
    }

    fn play(&mut self, order: &Play) {
        let Some(leg) = self.slot(order.leg) else { return };
        let parts: Vec<_> = order.prompts.iter().filter_map(|it| self.prompts.load(it)).collect();
        if parts.iter().all(|it| it.is_empty()) {
            let (leg, play) = (order.leg, order.play);
            return self.say(Event::PlayDone { leg, play, played_ms: 0, end: PlayEnd::Missing });
        }
        self.begins_to_sound(order.leg);
        let incomplete = parts.len() < order.prompts.len();
        let play = Box::new(Playing::new(order, parts, incomplete));
        self.task(leg.worker, Task::Play { leg, play });
    }

    fn send_keys(&mut self, leg: LegId, mut keys: Vec<Key>) {
        keys.truncate(KEYS_MAX);
        self.begins_to_sound(leg);
        if let Some(leg) = self.slot(leg) {
            self.task(leg.worker, Task::SendKeys { leg, keys });
        }
    }

    fn record(&mut self, recording: RecordingId, path: String, legs: [LegId; 2]) {
        if !is_inside(&path) || self.recordings.contains_key(&recording) {
            let reason = "the recording's path leaves its directory, or it runs".to_owned();
            return self.say(Event::RecordFailed { recording, reason });
        }
        let worker = legs.iter().find_map(|it| self.slot(*it)).map(|it| it.worker);
        let worker = worker.or_else(|| self.least_busy(|_| true));
        let Some(tape) = worker.and_then(|it| self.tape_slots.take(it)) else {
            let reason = "the worker takes no more recordings".to_owned();
            return self.say(Event::RecordFailed { recording, reason });
        };
        let errand = Errand::Start { tape, recording: recording.clone(), path };
        if self.errands.send(errand).is_err() {
            tracing::error!("The recorder is gone.");
        }
        let key = key_of(&recording);
        self.tapes.insert(tape, recording.clone());
        self.recordings.insert(recording, tape);
        let [left, right] = legs.map(|it| self.on_worker(tape.worker, it));
        self.task(tape.worker, Task::Record { tape, left, right, key });
    }

    fn record_source(&mut self, recording: &RecordingId, channel: Channel, legs: &[LegId]) {
        let Some(tape) = self.recordings.get(recording).copied() else { return };
        let legs = legs.iter().filter_map(|it| self.on_worker(tape.worker, *it)).collect();
        self.task(tape.worker, Task::Source { tape, channel, legs });
    }
}

fn offered(local: &Local, protection: &Protection) -> String {
    match &protection.secrets {
        Some(secrets) => offer_in(local, protection.profile, secrets),
        None => offer(local, false),
    }
}

/// Whether a relative path stays below where it starts.
fn is_inside(path: &str) -> bool {
    let normal =
        |it| matches!(it, Component::Normal(name) if !name.as_encoded_bytes().starts_with(b"."));
    !path.is_empty() && Path::new(path).components().all(normal)
}
