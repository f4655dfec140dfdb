//! The packet path: a datagram comes in and goes out to those who hear it; a tick feeds those who
//! hear us.

use std::{net::SocketAddr, ops::Range, sync::atomic::Ordering::Relaxed};

use hotline_base::{Key, KeyWay, MonoTime, media::PlayEnd};
use hotline_dsp::{
    FRAME,
    g711::{self, ALAW_SILENCE, ALAW_TO_ULAW, ULAW_SILENCE, ULAW_TO_ALAW},
    opus_ticks,
};
use hotline_rtp::{
    EventPacket, EventSender, HEADER_LEN, Header, Stamp, parse,
    rtcp::{Kind as RtpOr, kind_of},
    write_header,
};
use hotline_sdp::{Codec, Passed, Stream};

use super::{
    Floor, TICK,
    edge::{Guard, send},
    repack::wanted,
    speech::{PACKET_MAX, send_speech},
};
use crate::{
    counters::count,
    intake::{Arrival, Intake, REPORTS},
    task::{Report, Slot},
    worker::{
        coder::SPEECH_MAX,
        leg::{Dialling, Kind, Leg, Tapes},
        play::Next,
        senses::LOOK_EVERY,
        tape::Said,
    },
};

/// Ticks that are made up for when the worker was late; older ones are left out.
const CATCH_UP: u32 = 2;

/// Comfort noise (RFC 3551 §6).
const COMFORT: u8 = 13;

/// Bytes of the longest packet of G.711 whose length is changed: 100 ms.
const REPACKED_MAX: usize = 800;

/// Samples of a packet that does not say itself how long it lasts: 20 ms.
const FRAME_SAMPLES: u32 = 160;

/// A packet on its way from a speaker to its listeners.
#[derive(Clone, Debug)]
pub(super) struct Relayed {
    header: Header,
    pub(super) kind: Kind,
    pub(super) payload: Range<usize>,
    pub(super) speaker: u64,
    /// A press begins with this packet.
    begins: bool,
    /// A press is in this sound.
    presses: bool,
    /// And an event tells of it.
    told: bool,
}

impl Floor {
    /// A datagram that came to a leg's port.
    pub(in crate::worker) fn hear(
        &mut self,
        arrival: &Arrival,
        datagram: &mut [u8],
        intake: &mut impl Intake,
        now: MonoTime,
    ) {
        if arrival.leg & REPORTS != 0 || kind_of(datagram) == RtpOr::Rtcp {
            return self.hear_report(arrival.leg & !REPORTS, arrival.from, datagram, now);
        }
        let Some(Some(leg)) = self.legs.get_mut(arrival.leg as usize) else { return };
        let Some((header, kind, payload)) = admit(leg, arrival.from, datagram, now) else { return };
        leg.connect(intake);
        let (_, was_quiet) = std::mem::replace(&mut leg.quiet, (now, 0));
        if was_quiet > 0 {
            self.out.report(Report::Quiet { leg: leg.id, secs: 0 });
        }
        leg.reception.handle(&header, now);
        let Some(audio) = datagram.get(payload.clone()) else { return };
        let looks = was_quiet > 0 || leg.reception.n_packets() % LOOK_EVERY == 1;
        let (slot, tapes, speaker) = (leg.slot, leg.tapes, leg.speaker());
        let is_dictated = leg.dictation.is_some();
        let (mut begins, mut presses, mut told) = (false, false, false);
        match kind {
            Kind::Event => {
                if let Some(tap) = &mut leg.tap {
                    tap.skip(&header);
                }
                if looks {
                    leg.senses.hear_key(now);
                }
                if let Some(key) = leg.events.handle(&header, audio) {
                    begins = true;
                    self.on_key(slot, key, KeyWay::Event, now);
                }
            }
            Kind::Voice(codec) => {
                let mut found = (None, None);
                if let Some(ears) = leg.ears.as_mut().filter(|_| codec.is_g711()) {
                    found = ears.hear(codec, audio);
                    presses = ears.hears_key();
                }
                leg.hides_press &= presses;
                let is_hidden = leg.hides_press;
                told = codec.is_g711() && leg.events.covers(&header);
                if let Some(tap) = leg.tap.as_mut().filter(|_| !is_hidden) {
                    tap.hear(&header, codec, audio, (presses, told), now);
                }
                if looks {
                    leg.sense_speech(codec, audio, now);
                }
                let (leg, (key, tone)) = (leg.id, found);
                if let Some(tone) = tone {
                    self.out.report(Report::Tone { leg, tone });
                }
                if let Some(key) = key {
                    self.on_key(slot, key, KeyWay::InBand, now);
                }
                // What else is spoken is decoded first, on the tick.
                let is_written = codec.is_g711() && !is_dictated && !is_hidden;
                let since = self.came_since(now);
                let said = Said { by: slot, since, header: &header, codec, audio };
                self.tape(tapes, &said, is_written, now);
            }
            Kind::Other => {
                if header.payload_type == COMFORT {
                    self.rest(arrival.leg, &header, audio, now);
                }
                return;
            }
        }
        let relayed = Relayed { header, kind, payload, speaker, begins, presses, told };
        if self.lets_wait(arrival.leg, &relayed, datagram, intake, now) {
            return;
        }
        self.relay_to_all(arrival.leg, &relayed, datagram, intake, now);
    }

    /// What a party says goes onto its tapes, or is noted there as what cannot be written.
    fn tape(&mut self, tapes: Tapes, said: &Said<'_>, is_written: bool, now: MonoTime) {
        for (tape, channel) in tapes.into_iter().flatten() {
            let Some(Some(tape)) = self.tapes.get_mut(tape.index as usize) else { continue };
            if is_written {
                tape.write(channel, said, now, &mut self.out);
            } else if !said.codec.is_spoken() {
                tape.pass_over(channel, said.by, now, &mut self.out);
            }
        }
    }

    /// Sends a packet on to everybody who hears this leg by relay.
    pub(super) fn relay_to_all(
        &mut self,
        speaker: u32,
        it: &Relayed,
        datagram: &mut [u8],
        intake: &mut impl Intake,
        now: MonoTime,
    ) {
        // Taken and put back: nothing that happens to a listener changes who listens.
        let listeners = self.legs.get_mut(speaker as usize).and_then(Option::as_mut);
        let listeners = listeners.map(|it| std::mem::take(&mut it.relayed_to)).unwrap_or_default();
        for listener in &listeners {
            self.relay(*listener, it, datagram, intake, now);
        }
        if let Some(Some(leg)) = self.legs.get_mut(speaker as usize) {
            leg.relayed_to = listeners;
        }
    }

    /// A key of a party, reported when it begins to be certain; once, also if it came by two ways.
    fn on_key(&mut self, slot: Slot, key: Key, way: KeyWay, now: MonoTime) {
        let Some(leg) = self.leg_mut(slot) else { return };
        let Some(key) = leg.senses.keys.handle(key, way, now) else { return };
        let id = leg.id;
        if leg.play.as_ref().is_some_and(|it| it.ends_on_key()) {
            self.end_play(slot, PlayEnd::Key(key));
            self.fall_silent(slot, now);
        }
        self.out.report(Report::Key { leg: id, key });
        if way == KeyWay::Event {
            self.pass_on_as_tone(slot, key, now);
        }
    }

    /// Sends a packet on as the next of the listener's stream, in its own codec and with its own
    /// payload types. The header is written over the speaker's, where it lies.
    fn relay(
        &mut self,
        listener: Slot,
        it: &Relayed,
        datagram: &mut [u8],
        intake: &mut impl Intake,
        now: MonoTime,
    ) {
        let Some(Some(leg)) = self.legs.get_mut(listener.index as usize) else { return };
        if leg.slot != listener {
            return;
        }
        if leg.is_busy() || it.kind == Kind::Event {
            leg.repack.forget_relayed();
        }
        if it.kind == Kind::Event {
            leg.missed_press &= !it.begins;
            if leg.missed_press {
                return;
            }
        }
        // A key that he is sent meanwhile is the same press, told by signalling.
        leg.missed_tone = it.presses && (leg.missed_tone || leg.keys.is_some());
        if leg.is_busy() {
            return;
        }
        let Some((line, to)) = leg.route() else { return };
        let (payload_type, table) = match it.kind {
            Kind::Event => match line.telephone_event {
                Some(payload_type) => (payload_type, None),
                None => return,
            },
            Kind::Other => return,
            Kind::Voice(codec) => match way(codec, line.codec) {
                Some(Way::AsItIs) => (line.payload_type, None),
                Some(Way::By(table)) => (line.payload_type, Some(table)),
                None => return,
            },
        };
        leg.fills = false;
        let mutes = leg.missed_tone || it.told;
        let table = if mutes { Some(silence_of(line.codec)) } else { table };
        let Some(payload) = datagram.get(it.payload.clone()) else { return };
        let samples = samples_of(it.kind, payload);
        // A packet with a byte a sample can be cut anywhere.
        let is_cut = matches!(it.kind, Kind::Voice(codec) if codec.has_byte_a_sample());
        if is_cut && (payload.len() != wanted(&line) || !leg.repack.is_empty()) {
            let (to, from) = ((listener, line, to), (it.speaker, &it.header));
            let mut transcoded = [0; REPACKED_MAX];
            let speech = match table {
                None => payload,
                Some(table) => {
                    let n = payload.len().min(REPACKED_MAX);
                    let copy = transcoded.get_mut(..n).unwrap_or_default();
                    g711::transcode_into(table, payload.get(..n).unwrap_or_default(), copy);
                    &*copy
                }
            };
            return self.relay_repacked(to, from, speech, intake, now);
        }
        let Some(header) = leg.out.relay(it.speaker, &it.header, payload_type, samples, now) else {
            return;
        };
        let front = it.payload.start.saturating_sub(HEADER_LEN);
        let Some(packet) = datagram.get_mut(front..it.payload.end) else { return };
        let len = packet.len();
        let sent = if let Some(table) = table {
            let Some(copy) = self.scratch.get_mut(..packet.len()) else { return };
            if let (Some(from), Some(to)) = (packet.get(HEADER_LEN..), copy.get_mut(HEADER_LEN..)) {
                g711::transcode_into(table, from, to);
            }
            write_header(copy, &header) && send(leg, intake, to, copy)
        } else {
            write_header(packet, &header) && send(leg, intake, to, packet)
        };
        if sent {
            leg.note_sent(len);
        } else {
            count(&self.out.counters.sends_refused);
        }
    }

    /// Feeds plays, keys and mixes, at absolute times 20 ms apart.
    pub(super) fn on_tick(&mut self, intake: &mut impl Intake, now: MonoTime) {
        let Some(mut due) = self.tick.filter(|it| *it <= now) else { return };
        let late = u64::try_from(now.since(due).as_micros()).unwrap_or(u64::MAX);
        self.out.counters.tick_late_max_us.fetch_max(late, Relaxed);
        let mut n = 0;
        while due <= now {
            if n < CATCH_UP {
                self.feed(intake, now);
                self.mix(intake, due, now);
                self.dictate(due);
                count(&self.out.counters.ticks);
            } else {
                count(&self.out.counters.ticks_skipped);
            }
            n += 1;
            due = due + TICK;
        }
        let idle = self.busy.is_empty() && self.groups.is_empty() && self.dictated.is_empty();
        self.tick = (!idle).then_some(due);
    }

    /// The next 20 ms for every leg that hears us.
    fn feed(&mut self, intake: &mut impl Intake, now: MonoTime) {
        let mut idx = 0;
        while let Some(leg) = self.busy.get(idx).copied() {
            if self.feed_leg(leg, intake, now) {
                idx += 1;
            } else {
                self.busy.swap_remove(idx);
            }
        }
    }

    /// `false` when the leg hears us no longer.
    fn feed_leg(&mut self, index: u32, intake: &mut impl Intake, now: MonoTime) -> bool {
        let busy = self.busy_percent;
        let Some(Some(leg)) = self.legs.get_mut(index as usize) else { return false };
        let route = leg.route();
        let dialling = self.feed_keys(index, route, intake, now);
        let Some(Some(leg)) = self.legs.get_mut(index as usize) else { return false };
        let Some(play) = &mut leg.play else {
            return dialling || self.fill(index, intake, now);
        };
        let mut frame = [0; FRAME];
        let end = match play.next_frame(&mut frame) {
            Next::Finished if play.incomplete => PlayEnd::Missing,
            Next::Finished => PlayEnd::Finished,
            Next::Limit => PlayEnd::Stopped,
            Next::Frame => {
                // Keys take the place of what is played meanwhile; a leg on hold hears nothing.
                if route.is_none() {
                    leg.out.pause();
                    leg.repack.forget();
                } else if let Some(route) = route.filter(|_| !dialling) {
                    let mut packet = [0; PACKET_MAX];
                    let Some(audio) = packet.last_chunk_mut::<SPEECH_MAX>() else { return true };
                    let n = leg.encode_alaw(&frame, audio, busy);
                    let packet = packet.get_mut(..HEADER_LEN + n).unwrap_or_default();
                    if !send_speech(leg, &route, packet, intake, now) {
                        count(&self.out.counters.sends_refused);
                    }
                }
                return true;
            }
        };
        let slot = leg.slot;
        self.end_play(slot, end);
        self.fall_silent(slot, now);
        dialling || self.fill(index, intake, now)
    }

    /// Sends the next 20 ms of a key. `false` when there is none to send.
    fn feed_keys(
        &mut self,
        index: u32,
        route: Option<(Stream, SocketAddr)>,
        intake: &mut impl Intake,
        now: MonoTime,
    ) -> bool {
        let Some(Some(leg)) = self.legs.get_mut(index as usize) else { return false };
        let Some(dialling) = &mut leg.keys else { return false };
        let step = loop {
            if let Some(step) = dialling.press.next_step() {
                break step;
            }
            let Some(key) = dialling.rest.pop() else {
                leg.keys = None;
                leg.out.pause();
                return false;
            };
            **dialling = Dialling::new(key, std::mem::take(&mut dialling.rest));
            leg.out.pause();
        };
        let Some((line, to)) = route else { return true };
        let Some(payload_type) = line.telephone_event else {
            self.send_tone(index, (line, to), intake, now);
            return true;
        };
        let (EventPacket { payload, first }, n) = step;
        let mut packet = [0; HEADER_LEN + 4];
        if let Some(place) = packet.last_chunk_mut() {
            *place = payload;
        }
        // On the clock of the speech around them.
        let [.., high, low] = &mut packet;
        let duration = u32::from(u16::from_be_bytes([*high, *low])) * (line.codec.clock() / 8_000);
        [*high, *low] = u16::try_from(duration).unwrap_or(u16::MAX).to_be_bytes();
        for _ in 0..n {
            let stamp = if first {
                leg.out.stamp(u32::from(EventSender::PRESS), now)
            } else {
                leg.out.stamp_again(now)
            };
            let header = headed(leg, stamp, payload_type);
            if write_header(&mut packet, &header) && send(leg, intake, to, &packet) {
                leg.note_sent(packet.len());
            } else {
                count(&self.out.counters.sends_refused);
            }
        }
        true
    }
}

impl Floor {
    /// The next 20 ms of a key as sound.
    fn send_tone(
        &mut self,
        index: u32,
        route: (Stream, SocketAddr),
        intake: &mut impl Intake,
        now: MonoTime,
    ) {
        let busy = self.busy_percent;
        let Some(Some(leg)) = self.legs.get_mut(index as usize) else { return };
        let Some(tone) = leg.keys.as_mut().and_then(|it| it.tone.as_mut()) else { return };
        let (mut samples, mut packet) = ([0; FRAME], [0; PACKET_MAX]);
        tone.fill(&mut samples);
        let Some(audio) = packet.last_chunk_mut::<SPEECH_MAX>() else { return };
        let n = leg.encode(&samples, audio, busy);
        let packet = packet.get_mut(..HEADER_LEN + n).unwrap_or_default();
        if !send_speech(leg, &route, packet, intake, now) {
            count(&self.out.counters.sends_refused);
        }
    }

    /// Those who hear `slot` and take no events get his key as sound: he sends none himself. Who is
    /// transcoded for him gets it as a key of ours; where packets are relayed it goes with them.
    fn pass_on_as_tone(&mut self, slot: Slot, key: Key, now: MonoTime) {
        let listener = |it: &Self, n| it.leg(slot)?.relayed_to.get(n).copied();
        let mut n = 0;
        while let Some(listener) = listener(self, n) {
            n += 1;
            let deaf = self.leg(listener).and_then(|it| it.line.as_ref());
            if deaf.is_some_and(|(line, _)| line.telephone_event.is_none()) {
                // Once a press, which is not once a packet.
                self.send_keys(listener, vec![key], now);
            }
        }
        if let Some(partner) = self.partner(slot) {
            self.send_keys(partner, vec![key], now);
        }
    }
}

/// Reads a datagram and decides whether it is the peer's.
fn admit(
    leg: &mut Leg,
    from: SocketAddr,
    datagram: &[u8],
    now: MonoTime,
) -> Option<(Header, Kind, Range<usize>)> {
    let proven = matches!(leg.guard, Guard::Keys(_));
    let heard = parse(datagram).ok().and_then(|packet| {
        let (line, latch) = leg.line.as_mut()?;
        let kind = Leg::kind(line, packet.header.payload_type);
        let heard = match kind {
            Kind::Voice(_) | Kind::Event => latch.admit(from, proven, now),
            Kind::Other => latch.target() == Some(from),
        };
        heard.then_some((packet.header, kind, packet.payload))
    });
    if heard.is_none() {
        leg.refused += 1;
    }
    heard
}

pub(super) fn headed(leg: &Leg, stamp: Stamp, payload_type: u8) -> Header {
    Header {
        marker: stamp.marker,
        payload_type,
        sequence: stamp.sequence,
        timestamp: stamp.timestamp,
        ssrc: leg.out.ssrc(),
    }
}

/// How a packet is heard in another codec without being decoded.
#[derive(Clone, Copy)]
enum Way {
    AsItIs,
    By(&'static [u8; 256]),
}

/// `None` when it is not heard so.
fn way(from: Codec, to: Codec) -> Option<Way> {
    match (from, to) {
        (Codec::Pcma, Codec::Pcmu) => Some(Way::By(&ALAW_TO_ULAW)),
        (Codec::Pcmu, Codec::Pcma) => Some(Way::By(&ULAW_TO_ALAW)),
        _ => (from == to).then_some(Way::AsItIs),
    }
}

/// In the place of whatever is said.
const fn silence_of(codec: Codec) -> &'static [u8; 256] {
    match codec {
        Codec::Pcmu => &[ULAW_SILENCE; 256],
        Codec::Pcma | Codec::G722 | Codec::Opus | Codec::Passed(_) => &[ALAW_SILENCE; 256],
    }
}

fn frames(payload: &[u8], bytes: usize) -> u32 {
    u32::try_from(payload.len().div_ceil(bytes)).unwrap_or(0)
}

/// Samples at 8,000 Hz that a packet lasts.
fn samples_of(kind: Kind, payload: &[u8]) -> u32 {
    match kind {
        Kind::Voice(Codec::Pcma | Codec::Pcmu | Codec::G722) => {
            u32::try_from(payload.len()).unwrap_or(0)
        }
        Kind::Voice(Codec::Opus) => opus_ticks(payload).unwrap_or(0) / 6,
        // Frames of 10 ms in 10 bytes, and of 20 ms in 33 (RFC 3551 §4.5.6 and §4.5.8).
        Kind::Voice(Codec::Passed(Passed::G729)) => frames(payload, 10) * FRAME_SAMPLES / 2,
        Kind::Voice(Codec::Passed(Passed::Gsm)) => frames(payload, 33) * FRAME_SAMPLES,
        Kind::Event | Kind::Other => FRAME_SAMPLES,
    }
}
