//! What a leg's audio is like: reports to the peer and from him (RTCP), whether he is heard, how
//! good both sounded, and keys and tones within the sound.

use std::{net::SocketAddr, time::Duration};

use hotline_base::{
    Key, KeyMerger, MonoTime, Now,
    media::{Hearing, LegQuality, LegStats, NetworkTone},
};
use hotline_dsp::{
    DtmfDetector, FRAME, Signal, SignalDetector,
    g711::{alaw_to_linear_into, ulaw_to_linear_into},
    level_dbm0,
};
use hotline_rtp::{
    Codec as Sound, Outbound, Quality, Reception, Watch, WatchConfig, WatchEvent,
    rtcp::{REPORT_MAX, RemoteView, RtcpConfig, RtcpSession},
};
use hotline_sdp::{Codec, Stream};

use super::latch::Latch;
use crate::task::ReportStart;

/// One packet of so many is looked at for its loudness: a syllable is longer.
pub(super) const LOOK_EVERY: u64 = 4;

/// Silence of a whole leg that says something about it.
const SILENT_MIN: Duration = Duration::from_secs(5);

/// Comfort noise and its like, for the watch: nobody speaks.
const NOISE_DBM0: f64 = -70.0;

/// What a listener waits for besides the way: a packet, and a jitter buffer that is at its least.
const PACKET: Duration = Duration::from_millis(20);
const BUFFER_MIN: Duration = Duration::from_millis(20);

/// What a leg is observed by. Looked at ten times a second, and for one packet in four.
#[derive(Debug)]
pub(crate) struct Senses {
    rtcp: RtcpSession,
    ticks_per_ms: u32,
    /// Where the peer's reports come from.
    reporter: Option<SocketAddr>,
    reports_in: u32,
    reports_out: u32,
    watch: Watch,
    /// When the first packet came, and whether sound was in any.
    began: Option<MonoTime>,
    sound: bool,
    one_way: bool,
    pub(super) keys: KeyMerger,
}

/// Detectors in the sound of a peer; only on legs that need them.
#[derive(Debug, Default)]
pub(crate) struct Ears {
    keys: Option<DtmfDetector>,
    tones: Option<SignalDetector>,
}

impl Senses {
    pub(crate) fn new(start: &ReportStart, ssrc: u32, now: MonoTime) -> Self {
        let config = RtcpConfig { ssrc, seed: start.seed, ticks_per_ms: 8 };
        let mut watch = Watch::new(WatchConfig::default(), now);
        watch.expect(false, now);
        Self {
            rtcp: RtcpSession::new(config, &start.name, Now { mono: now, wall: start.wall }),
            ticks_per_ms: 8,
            reporter: None,
            reports_in: 0,
            reports_out: 0,
            watch,
            began: None,
            sound: false,
            one_way: false,
            keys: KeyMerger::default(),
        }
    }

    /// Whether the peer is expected to send from now on.
    pub(crate) fn expect(&mut self, expected: bool, now: MonoTime) {
        self.watch.expect(expected, now);
    }

    /// A packet with speech.
    pub(crate) fn hear(&mut self, codec: Codec, audio: &[u8], now: MonoTime) {
        let mut samples = [0; FRAME];
        let n = decode(codec, audio, &mut samples);
        let level = level_dbm0(samples.get(..n).unwrap_or_default());
        self.sound |= level > WatchConfig::default().floor_dbm0;
        self.note(Some(level), now);
    }

    /// A packet of speech whose loudness is known from elsewhere, or not at all (`None`); then it
    /// is taken for sound.
    pub(crate) fn hear_level(&mut self, level: Option<f64>, now: MonoTime) {
        self.sound |= level.is_none_or(|it| it > WatchConfig::default().floor_dbm0);
        self.note(level, now);
    }

    /// The clock of both streams, in ticks a second.
    pub(crate) const fn set_clock(&mut self, clock: u32) {
        self.ticks_per_ms = clock / 1_000;
        self.rtcp.set_ticks_per_ms(self.ticks_per_ms);
    }

    /// A packet of a key: somebody is there, though he may never say a word.
    pub(crate) fn hear_key(&mut self, now: MonoTime) {
        self.note(None, now);
    }

    /// A packet of comfort noise.
    pub(crate) fn hear_noise(&mut self, now: MonoTime) {
        self.note(Some(NOISE_DBM0), now);
    }

    fn note(&mut self, level: Option<f64>, now: MonoTime) {
        self.began.get_or_insert(now);
        self.watch.handle_packet(level, now);
    }

    /// What has become of hearing the peer.
    pub(crate) fn changed(&mut self, now: MonoTime) -> Option<Hearing> {
        self.watch.handle_timeout(now);
        let event = self.watch.poll_event()?;
        self.one_way = event == WatchEvent::OneWay;
        Some(match event {
            WatchEvent::OneWay => Hearing::OneWay,
            WatchEvent::Dead => Hearing::Dead,
            WatchEvent::Silent => Hearing::Silent,
            WatchEvent::Heard => Hearing::Heard,
        })
    }

    /// A datagram at the leg's RTCP port, or one that is RTCP at its RTP port; `false` when it is
    /// not the peer's, or broken. Only the host that is sent to may report.
    pub(crate) fn take_report(
        &mut self,
        latch: &Latch,
        from: SocketAddr,
        datagram: &[u8],
        now: MonoTime,
    ) -> bool {
        let is_his = latch.target().is_some_and(|it| it.ip() == from.ip());
        if !is_his || self.rtcp.handle(datagram, now).is_err() {
            return false;
        }
        self.reporter = Some(from);
        self.reports_in = self.reports_in.saturating_add(1);
        true
    }

    /// Writes the report that is due, or the last one with BYE. Returns its length and where it
    /// goes.
    pub(crate) fn write_report(
        &mut self,
        (line, latch): (&Stream, &Latch),
        (out, sent): (&Outbound, Sent),
        heard: &mut Reception,
        leaves: bool,
        now: MonoTime,
        to: &mut [u8; REPORT_MAX],
    ) -> Option<(usize, SocketAddr)> {
        let address = self.address(line, latch)?;
        if let Some(last) = out.last() {
            let wrapped = |it: u64| u32::try_from(it & u64::from(u32::MAX)).unwrap_or(0);
            self.rtcp.note_total(wrapped(sent.packets), wrapped(sent.octets), last);
        }
        let len = if leaves {
            self.rtcp.leave(now, heard, to)
        } else {
            self.rtcp.handle_timeout(now, heard, to)
        }?;
        Some((len, address))
    }

    /// A report went out.
    pub(crate) const fn note_report_out(&mut self) {
        self.reports_out = self.reports_out.saturating_add(1);
    }

    /// Where reports go: never to another host than speech does, whatever a description says.
    fn address(&self, line: &Stream, latch: &Latch) -> Option<SocketAddr> {
        let target = latch.target()?;
        if line.rtcp_mux {
            return Some(target);
        }
        if let Some(it) = self.reporter.filter(|it| it.ip() == target.ip()) {
            return Some(it);
        }
        if line.address == target && line.rtcp.ip() == target.ip() {
            return (line.rtcp.port() != 0).then_some(line.rtcp);
        }
        // RFC 3550 §11, at whatever address his NAT has for him.
        Some(SocketAddr::new(target.ip(), target.port().checked_add(1)?))
    }

    /// How the leg sounded up to now.
    pub(crate) fn quality(
        &self,
        codec: Option<Codec>,
        heard: &Reception,
        stats: &LegStats,
        now: MonoTime,
    ) -> LegQuality {
        let codec = codec.map_or(Sound::G711, sound);
        let view = self.rtcp.view();
        let trip = view.and_then(|it| it.round_trip);
        let came = stats.packets_in > 0;
        let loss_in = share(stats.lost, stats.packets_in + stats.lost);
        let jitter_in = heard.jitter();
        let out = view.map(|it| Out::of(&it, stats.packets_out, self.ticks_per_ms));
        LegQuality {
            loss_in_permille: came.then(|| permille(loss_in)),
            loss_out_permille: out.map(|it| permille(it.loss)),
            jitter_in_us: came.then_some(stats.jitter_us),
            jitter_out_us: out.map(|it| micros(it.jitter)),
            round_trip_us: trip.map(micros),
            mos_in_x100: came.then(|| mos(codec, (loss_in, jitter_in), trip)),
            mos_out_x100: out.map(|it| mos(codec, (it.loss, it.jitter), trip)),
            reports_in: self.reports_in,
            reports_out: self.reports_out,
            one_way: self.one_way && !came,
            silent: !self.sound && self.began.is_some_and(|it| now.since(it) >= SILENT_MIN),
        }
    }
}

/// Sent in all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) packets: u64,
    /// Of payload.
    pub(crate) octets: u64,
}

/// What the peer says of our stream.
#[derive(Clone, Copy)]
struct Out {
    loss: f64,
    jitter: Duration,
}

impl Out {
    fn of(view: &RemoteView, sent: u64, ticks_per_ms: u32) -> Self {
        let lost = u64::try_from(view.block.lost.max(0)).unwrap_or(0);
        let ticks = u64::from(view.block.jitter);
        let jitter = Duration::from_micros(ticks * 1_000 / u64::from(ticks_per_ms.max(1)));
        Self { loss: share(lost, sent.max(lost)), jitter }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of packets")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1,000")]
fn permille(share: f64) -> u16 {
    (share.clamp(0.0, 1.0) * 1_000.0).round() as u16
}

fn micros(it: Duration) -> u32 {
    u32::try_from(it.as_micros()).unwrap_or(u32::MAX)
}

/// As the E-model knows it. GSM stands for itself in no table of ours: it counts like G.729, which
/// sounds better.
const fn sound(codec: Codec) -> Sound {
    match codec {
        Codec::Pcma | Codec::Pcmu => Sound::G711,
        Codec::G722 => Sound::G722,
        Codec::Opus => Sound::Opus,
        Codec::Passed(_) => Sound::G729,
    }
}

/// The score of a listener who conceals losses and waits twice the jitter.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "100 to 450")]
fn mos(codec: Sound, (loss, jitter): (f64, Duration), trip: Option<Duration>) -> u16 {
    let way = trip.unwrap_or_default() / 2;
    let delay = way + PACKET + (jitter * 2).max(BUFFER_MIN);
    let it = Quality { codec, loss, burst_ratio: 1.0, delay };
    (it.mos() * 100.0).round() as u16
}

/// Decodes as much as one frame holds, and says how much that was.
fn decode(codec: Codec, audio: &[u8], to: &mut [i16; FRAME]) -> usize {
    let decode = match codec {
        Codec::Pcma => alaw_to_linear_into,
        Codec::Pcmu => ulaw_to_linear_into,
        // Not packet by packet.
        Codec::G722 | Codec::Opus | Codec::Passed(_) => return 0,
    };
    decode(audio, to);
    audio.len().min(FRAME)
}

impl Ears {
    /// Keys are looked for in the sound of a peer who has no other way for them.
    pub(crate) fn heed_keys(&mut self, wanted: bool) {
        if !wanted {
            self.keys = None;
        } else if self.keys.is_none() {
            self.keys = Some(DtmfDetector::default());
        }
    }

    pub(crate) fn heed_tones(&mut self) {
        self.tones = Some(SignalDetector::default());
    }

    /// Whether a key is held down, as of the last packet and up to 40 ms behind it.
    pub(crate) fn hears_key(&self) -> bool {
        self.keys.as_ref().is_some_and(DtmfDetector::is_down)
    }

    pub(crate) const fn is_idle(&self) -> bool {
        self.keys.is_none() && self.tones.is_none()
    }

    /// Listens to a packet of speech.
    pub(crate) fn hear(
        &mut self,
        codec: Codec,
        audio: &[u8],
    ) -> (Option<Key>, Option<NetworkTone>) {
        let mut found = (None, None);
        for part in audio.chunks(FRAME) {
            let mut samples = [0; FRAME];
            let n = decode(codec, part, &mut samples);
            let samples = samples.get(..n).unwrap_or_default();
            let key = self.keys.as_mut().and_then(|it| it.hear(samples));
            found.0 = key.and_then(Key::from_event).or(found.0);
            let tone = self.tones.as_mut().and_then(|it| it.hear(samples));
            found.1 = tone.and_then(network_tone).or(found.1);
        }
        found
    }
}

/// Those that a network gives to whom calls.
const fn network_tone(it: Signal) -> Option<NetworkTone> {
    match it {
        Signal::Dial => Some(NetworkTone::Dial),
        Signal::RingBack => Some(NetworkTone::RingBack),
        Signal::Busy => Some(NetworkTone::Busy),
        Signal::Congestion => Some(NetworkTone::Congestion),
        Signal::Vacant => Some(NetworkTone::Vacant),
        Signal::CallWaiting | Signal::Howler | Signal::ThreeWayReminder => None,
    }
}
