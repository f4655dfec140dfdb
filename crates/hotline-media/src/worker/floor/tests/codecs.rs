//! Every codec with every other: a tone at each mouth, the spectrum at each ear and on the tape, and
//! the numbers on each packet, on a virtual clock.

mod ends;
mod loss;
mod silent;
mod turns;

use std::mem;

use hotline_dsp::{
    DtmfDetector, FRAME, G722Decoder, G722Encoder, OPUS_SAMPLES_MAX, OpusConfig, OpusDecoder,
    OpusEncoder, Tone,
    g711::{alaw_to_linear, linear_to_alaw, linear_to_ulaw, ulaw_to_linear},
    strength,
};
use hotline_sdp::Passed;

use super::*;

const SPOKEN: [Codec; 4] = [Codec::Pcma, Codec::Pcmu, Codec::G722, Codec::Opus];

const CALLER_HZ: u32 = 700;
const AGENT_HZ: u32 = 1_100;

/// A telephone of its own making, apart from what the worker codes with.
struct Mouth {
    codec: Codec,
    tone: Tone,
    g722: G722Encoder,
    opus: Box<OpusEncoder>,
    said: u16,
    /// Frames of 20 ms in which it said nothing.
    paused: u16,
}

struct Ear {
    codec: Codec,
    g722: G722Decoder,
    opus: Box<OpusDecoder>,
    samples: Vec<i16>,
    last: Option<Header>,
    n: usize,
    /// When the last packet came, and the longest time without one.
    at: Option<MonoTime>,
    gap: Duration,
}

impl Mouth {
    fn new(codec: Codec, hz: u32) -> Self {
        let opus = Box::new(OpusEncoder::new(OpusConfig::default()).unwrap());
        let (tone, g722) = (Tone::new(hz, 8_000), G722Encoder::default());
        Self { codec, tone, g722, opus, said: 0, paused: 0 }
    }

    fn next(&mut self) -> (Header, Vec<u8>) {
        let mut frame = [0; FRAME];
        self.tone.fill(&mut frame);
        let audio = match self.codec {
            Codec::Pcma => frame.map(linear_to_alaw).to_vec(),
            Codec::Pcmu => frame.map(linear_to_ulaw).to_vec(),
            Codec::G722 => {
                let mut to = vec![0; FRAME];
                self.g722.encode(&frame, &mut to);
                to
            }
            Codec::Opus => {
                let mut to = vec![0; 400];
                let n = self.opus.encode(&frame, &mut to).unwrap();
                to.truncate(n);
                to
            }
            Codec::Passed(_) => vec![0x5A; 20],
        };
        self.said += 1;
        let step = self.codec.clock() / 50;
        let timestamp = MediaTime(u32::from(self.said + self.paused) * step);
        let payload_type = self.codec.offered_payload_type();
        (Header { marker: false, payload_type, sequence: self.said, timestamp, ssrc: 5 }, audio)
    }
}

impl Ear {
    fn new(codec: Codec) -> Self {
        let opus = Box::new(OpusDecoder::new().unwrap());
        Self {
            codec,
            g722: G722Decoder::default(),
            opus,
            samples: Vec::new(),
            last: None,
            n: 0,
            at: None,
            gap: Duration::ZERO,
        }
    }

    /// Takes the packets and checks that they are one stream on the codec's own clock.
    fn hear(&mut self, packets: Vec<(Packet, Vec<u8>)>, now: MonoTime) {
        for (Packet { header, .. }, audio) in packets {
            self.n += 1;
            if let Some(before) = self.at.replace(now) {
                self.gap = self.gap.max(now.since(before));
            }
            if let Some(last) = self.last.replace(header) {
                assert_eq!(header.ssrc, last.ssrc);
                assert_eq!(header.sequence, last.sequence.wrapping_add(1));
                assert!(header.timestamp.since(last.timestamp) > 0, "{header:?} after {last:?}");
            }
            if header.payload_type != self.codec.offered_payload_type() {
                continue;
            }
            let mut samples = vec![0; OPUS_SAMPLES_MAX];
            let n = match self.codec {
                Codec::Opus => self.opus.decode(&audio, &mut samples).unwrap(),
                Codec::G722 => {
                    self.g722.decode(&audio, &mut samples);
                    audio.len()
                }
                Codec::Pcma | Codec::Pcmu | Codec::Passed(_) => {
                    let ulaw = self.codec == Codec::Pcmu;
                    let law = if ulaw { ulaw_to_linear } else { alaw_to_linear };
                    samples.iter_mut().zip(&audio).for_each(|(to, from)| *to = law(*from));
                    audio.len()
                }
            };
            self.samples.extend(&samples[..n]);
        }
    }

    /// How much of the last 400 ms is a tone, frame by frame.
    fn share(&self, hz: u32) -> f64 {
        let last = &self.samples[self.samples.len().saturating_sub(3_200)..];
        let shares: Vec<_> = last.chunks_exact(FRAME).map(|it| strength(it, hz)).collect();
        shares.iter().sum::<f64>() / f64::from(u32::try_from(shares.len().max(1)).unwrap())
    }
}

/// A caller and an agent of these codecs who hear each other.
struct Pair {
    house: House,
    mouths: [Mouth; 2],
    ears: [Ear; 2],
}

impl Pair {
    fn new(caller: Codec, agent: Codec) -> Self {
        let mut house = House::empty(4);
        house.open(CALLER, caller, 101);
        house.open(AGENT, agent, 96);
        for (listener, speaker) in [(CALLER, AGENT), (AGENT, CALLER)] {
            house.task(Task::Hear { listener: slot(listener), speakers: vec![slot(speaker)] });
        }
        Self {
            house,
            mouths: [Mouth::new(caller, CALLER_HZ), Mouth::new(agent, AGENT_HZ)],
            ears: [Ear::new(caller), Ear::new(agent)],
        }
    }

    fn talk(&mut self, ms: u64) {
        for _ in 0..ms / 20 {
            for leg in [CALLER, AGENT] {
                let (header, audio) = self.mouths[leg as usize].next();
                self.house.say(leg, header, &audio);
                self.pass(10);
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        self.house.wait(ms);
        for leg in [CALLER, AGENT] {
            let heard = self.house.heard(leg);
            self.ears[leg as usize].hear(heard, self.house.now);
        }
    }

    /// What each hears of himself and of the other, as shares.
    fn check(&self) {
        let names = || format!("{} and {}", self.ears[0].codec, self.ears[1].codec);
        let [caller, agent] = &self.ears;
        for (ear, other, own) in [(caller, AGENT_HZ, CALLER_HZ), (agent, CALLER_HZ, AGENT_HZ)] {
            assert!(ear.share(other) > 0.9, "{}: {}", names(), ear.share(other));
            assert!(ear.share(own) < 0.01, "{}: {}", names(), ear.share(own));
        }
    }

    /// Records both until it is stopped; returns left and right.
    fn record(&mut self) {
        let [left, right] = [Some(slot(CALLER)), Some(slot(AGENT))];
        self.house.task(Task::Record { tape: slot(0), left, right, key: 1 });
    }

    fn recorded(&mut self) -> [Vec<i16>; 2] {
        self.house.task(Task::EndRecord { tape: slot(0) });
        self.house.wait(300);
        self.tape()
    }

    /// What the recorder was given.
    fn tape(&mut self) -> [Vec<i16>; 2] {
        let mut sides = [Vec::new(), Vec::new()];
        while let Ok(filled) = self.house.filled.pop() {
            let Filled::Block(mut block) = filled else { continue };
            let len = block.len();
            for (side, channel) in [Channel::Left, Channel::Right].into_iter().enumerate() {
                let audio = block.channel(channel).iter().take(len);
                sides[side].extend(audio.map(|it| alaw_to_linear(*it)));
            }
        }
        sides
    }
}

#[test]
fn each_of_two_hears_the_other_whatever_codecs_they_have_and_a_tape_holds_both() {
    for caller in SPOKEN {
        for agent in SPOKEN {
            let mut it = Pair::new(caller, agent);
            it.record();
            it.talk(1_200);
            it.check();
            let [left, right] = it.recorded();
            for (side, own, other) in [(left, CALLER_HZ, AGENT_HZ), (right, AGENT_HZ, CALLER_HZ)] {
                assert!(side.len() >= 9_000, "{} samples", side.len());
                let middle = &side[4_800..8_000];
                let share = |hz| {
                    let shares: Vec<_> = middle.chunks(FRAME).map(|it| strength(it, hz)).collect();
                    shares.iter().sum::<f64>() / 20.0
                };
                assert!(
                    share(own) > 0.9 && share(other) < 0.01,
                    "{caller} {agent}: {}",
                    share(own)
                );
            }
        }
    }
}

#[test]
fn both_sides_of_a_tape_are_within_20_ms_of_each_other_whatever_is_decoded() {
    for agent in [Codec::G722, Codec::Opus] {
        let mut it = Pair::new(Codec::Pcma, agent);
        it.record();
        // Both begin to speak at one time, the agent's packets 10 ms behind the caller's.
        let tones = it.mouths.each_mut().map(|it| mem::replace(&mut it.tone, Tone::new(0, 0)));
        it.talk(600);
        it.mouths.iter_mut().zip(tones).for_each(|(it, tone)| it.tone = tone);
        it.talk(400);
        let [left, right] = it.recorded().map(|side| {
            let loud = side.chunks(8).position(|it| it.iter().any(|it| it.abs() > 2_000));
            loud.unwrap()
        });
        assert!(left.abs_diff(right) <= 20, "{agent}: {left} ms and {right} ms");
    }
}

#[test]
fn two_of_one_codec_are_relayed_byte_by_byte_and_nothing_is_added_to_the_delay() {
    let g729 = Codec::Passed(Passed::G729);
    for codec in [Codec::Opus, Codec::G722, g729] {
        let mut it = Pair::new(codec, codec);
        let (header, audio) = it.mouths[0].next();
        it.house.say(CALLER, header, &audio);
        let heard = it.house.heard(AGENT);
        assert_eq!(heard.len(), 1, "{codec}");
        assert_eq!(heard[0].1, audio, "{codec}");
        assert_eq!(heard[0].0.header.payload_type, codec.offered_payload_type());
    }
}

#[test]
fn who_speaks_what_is_only_passed_on_is_heard_by_his_like_alone_and_is_silent_on_tape() {
    let g729 = Codec::Passed(Passed::G729);
    let mut it = Pair::new(g729, Codec::Pcma);
    it.record();
    it.talk(600);
    assert!(it.ears[1].n >= 25, "the telephone of A-law is sent silence");
    assert!(it.ears[1].samples.iter().all(|it| it.abs() < 16));
    assert!(it.ears[0].n >= 25, "and so is that of G.729");
    let [left, right] = it.recorded();
    assert!(left.iter().all(|it| it.abs() < 16) && right.iter().any(|it| it.abs() > 1_000));
}

#[test]
fn what_is_coded_in_opus_is_as_good_as_the_load_of_the_worker_allows_on_every_path() {
    let mut it = House::empty(4);
    for (leg, codec) in [(0, Codec::Opus), (1, Codec::Pcma), (2, Codec::Pcma), (3, Codec::Opus)] {
        it.open(leg, codec, 101);
    }
    // One hears nobody, and now and then a prompt; the other one two at once.
    it.task(Task::Hear { listener: slot(0), speakers: Vec::new() });
    it.task(Task::Hear { listener: slot(3), speakers: vec![slot(1), slot(2)] });
    for (busy, complexity) in [(0, 3), (65, 3), (75, 1), (85, 0), (69, 3), (100, 0), (10, 3)] {
        it.floor.know_load(busy);
        for prompt in [false, true] {
            if prompt {
                it.play(0, 1, 1, false);
            }
            it.wait(100);
            for leg in [0, 3] {
                let encoder = format!("{:?}", it.floor.leg(slot(leg)).unwrap().encoder);
                let wanted = format!("complexity: {complexity} ");
                assert!(encoder.contains(&wanted), "{busy} %, {prompt}, leg {leg}: {encoder}");
            }
        }
    }
}

#[test]
fn a_prompt_is_heard_in_every_codec_that_is_spoken_and_then_the_other_party() {
    for codec in SPOKEN {
        let mut it = Pair::new(codec, Codec::Pcma);
        let order = Play {
            leg: LegId(0),
            play: PlayId(1),
            prompts: Vec::new(),
            times: 1,
            gap_ms: 0,
            stop_on_key: false,
            grace_ms: 0,
            limit_ms: 0,
        };
        let mut tone = Tone::new(400, 8_000);
        let mut prompt = vec![0; 4_800];
        tone.fill_alaw(&mut prompt);
        let play = Box::new(Playing::new(&order, vec![Arc::from(prompt)], false));
        it.house.task(Task::Play { leg: slot(CALLER), play });
        it.talk(560);
        assert!(it.ears[0].share(400) > 0.9, "{codec}: {}", it.ears[0].share(400));
        it.talk(800);
        it.check();
    }
}

#[test]
fn a_listener_of_any_codec_who_takes_no_events_hears_the_keys() {
    for codec in SPOKEN {
        let mut it = Pair::new(Codec::Pcma, codec);
        let deaf =
            Stream { telephone_event: None, telephone_event_in: None, ..stream(AGENT, codec, 96) };
        it.house.task(Task::Settle { leg: slot(AGENT), stream: deaf });
        it.talk(200);
        // By command, and by events of the other party.
        let keys = "1#".chars().map(|it| Key::try_from(it).unwrap()).collect();
        it.house.task(Task::SendKeys { leg: slot(AGENT), keys });
        it.talk(600);
        let mut begin = None;
        for n in 1..=5 {
            let (voice, _) = it.mouths[0].next();
            let begin = begin.get_or_insert(voice.timestamp.0);
            it.house.say(CALLER, event(101, voice.sequence, *begin), &[7, 10, 0, n * 32]);
            it.pass(20);
        }
        it.talk(800);
        let mut detector = DtmfDetector::default();
        let heard = it.ears[1].samples.chunks(FRAME).filter_map(|it| detector.hear(it));
        assert_eq!(heard.collect::<Vec<_>>(), [1, 11, 7], "{codec}");
        assert!(it.ears[1].share(CALLER_HZ) > 0.9, "{codec}: and then the other party");
    }
}

#[test]
fn a_peer_that_changes_its_codec_goes_on_as_one_stream_on_another_clock() {
    let mut it = Pair::new(Codec::Pcma, Codec::Pcma);
    for codec in [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Opus, Codec::Pcma] {
        let stream = stream(AGENT, codec, 96);
        it.house.task(Task::Settle { leg: slot(AGENT), stream });
        it.mouths[1].codec = codec;
        // The ear goes on, so that it sees one stream.
        it.ears[1].codec = codec;
        it.talk(1_000);
        it.check();
    }
    // Whoever changed, and whoever hears him.
    let gaps = it.ears.each_ref().map(|it| it.gap);
    assert!(gaps.iter().all(|it| *it <= Duration::from_millis(40)), "{gaps:?}");
}

#[test]
fn keys_of_two_who_are_transcoded_reach_the_other_once_each_on_his_clock() {
    let mut it = Pair::new(Codec::Opus, Codec::Pcma);
    it.talk(200);
    for (n, timestamp) in [(0, 48_000), (1, 48_000), (2, 48_000)] {
        it.house.say(CALLER, event(101, 900 + n, timestamp), &[5, 10, 3, 0xC0]);
    }
    let mut durations = Vec::new();
    for _ in 0..20 {
        it.house.wait(10);
        for (packet, payload) in it.house.heard(AGENT) {
            if packet.header.payload_type == 96 {
                assert_eq!(payload[0], 5);
                durations.push(u16::from_be_bytes([payload[2], payload[3]]));
            }
        }
    }
    assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800]);
    assert_eq!(it.house.reported(), ["0 key 5"]);
    // And back, on the clock of Opus.
    it.house.say(AGENT, event(96, 900, 9_000), &[7, 10, 0, 160]);
    let mut durations = Vec::new();
    for _ in 0..20 {
        it.house.wait(10);
        let heard = it.house.heard(CALLER).into_iter();
        let events = heard.filter(|it| it.0.header.payload_type == 101);
        durations.extend(events.map(|it| u16::from_be_bytes([it.1[2], it.1[3]])));
    }
    assert_eq!(durations, [960, 1_920, 2_880, 3_840, 4_800, 4_800, 4_800]);
}

#[test]
fn an_opus_packet_that_was_lost_is_heard_from_the_copy_in_the_one_behind_it() {
    const BURST_HZ: u32 = 1_500;
    // How much is heard of what was said in the lost packets alone.
    let heard = |loss_percent: u8| {
        let mut it = Pair::new(Codec::Opus, Codec::Pcma);
        let config = OpusConfig { loss_percent, ..OpusConfig::default() };
        *it.mouths[0].opus = OpusEncoder::new(config).unwrap();
        it.talk(600);
        let mut burst = Tone::new(BURST_HZ, 8_000);
        for n in 0..100 {
            let is_lost = n % 5 == 4;
            if is_lost {
                mem::swap(&mut it.mouths[0].tone, &mut burst);
            }
            let (header, audio) = it.mouths[0].next();
            if is_lost {
                mem::swap(&mut it.mouths[0].tone, &mut burst);
            } else {
                it.house.say(CALLER, header, &audio);
            }
            it.pass(20);
        }
        it.ears[1].share(BURST_HZ)
    };
    let (copied, guessed) = (heard(30), heard(0));
    assert!(copied > 0.08 && guessed < copied / 4.0, "{copied} with copies, {guessed} without");
}

/// Packets of 20 ms as one (RFC 6716 §3.2.5).
fn joined(packets: &[Vec<u8>]) -> Vec<u8> {
    let (first, n) = (packets[0][0], u8::try_from(packets.len()).unwrap());
    assert!(packets.iter().all(|it| it[0] == first), "one mode");
    let mut joined = vec![first | 3, 0x80 | n];
    for it in &packets[..packets.len() - 1] {
        joined.push(u8::try_from(it.len() - 1).ok().filter(|it| *it < 252).unwrap());
    }
    joined.extend(packets.iter().flat_map(|it| &it[1..]));
    joined
}

#[test]
fn opus_of_60_ms_is_heard_and_on_tape_however_many_bits_it_has() {
    // A packet is lost, or comes behind the next.
    for (bits_per_sec, loses, swaps) in [
        (24_000, false, false),
        (64_000, false, false),
        (64_000, true, false),
        (64_000, false, true),
    ] {
        let mut it = Pair::new(Codec::Opus, Codec::Pcma);
        let config = OpusConfig { bits_per_sec, ..OpusConfig::default() };
        *it.mouths[0].opus = OpusEncoder::new(config).unwrap();
        it.record();
        let (mut longest, mut late) = (0, None);
        for n in 0..40_u16 {
            let frames: Vec<_> = (0..3).map(|_| it.mouths[0].next().1).collect();
            let packet = joined(&frames);
            longest = longest.max(packet.len());
            let timestamp = MediaTime(u32::from(n) * 2_880);
            let header = Header { timestamp, ..voice(Codec::Opus.offered_payload_type(), n) };
            match n {
                15 if swaps => late = Some((header, packet)),
                15 if loses => {}
                _ => it.house.say(CALLER, header, &packet),
            }
            if let Some((header, packet)) = late.take_if(|_| n > 15) {
                it.house.say(CALLER, header, &packet);
            }
            it.pass(60);
        }
        assert_eq!(longest > 240, bits_per_sec > 32_000, "{longest} bytes");
        assert!(it.ears[1].share(CALLER_HZ) > 0.9, "{bits_per_sec} {loses} {swaps}");
        let [left, _] = it.recorded();
        let said = left[8_000..16_000].chunks(FRAME).filter(|it| strength(it, CALLER_HZ) > 0.8);
        let least = if loses || swaps { 42 } else { 48 };
        assert!(said.count() >= least, "{bits_per_sec} {loses} {swaps}");
    }
}

#[test]
fn three_of_three_codecs_hear_the_two_others_each() {
    let codecs = [Codec::Pcma, Codec::G722, Codec::Opus];
    let hz = [500, 900, 1_300];
    let mut house = House::empty(4);
    let mut parties = Vec::new();
    for (leg, (codec, hz)) in (0..).zip(codecs.into_iter().zip(hz)) {
        house.open(leg, codec, 101);
        parties.push((Mouth::new(codec, hz), Ear::new(codec)));
    }
    for listener in 0..3 {
        let speakers = (0..3).filter(|it| *it != listener).map(slot).collect();
        house.task(Task::Hear { listener: slot(listener), speakers });
    }
    for _ in 0..60 {
        for (leg, (mouth, _)) in (0..).zip(&mut parties) {
            let (header, audio) = mouth.next();
            house.say(leg, header, &audio);
        }
        house.wait(20);
        for (leg, (_, ear)) in (0..).zip(&mut parties) {
            ear.hear(house.heard(leg), house.now);
        }
    }
    for (n, (_, ear)) in parties.iter().enumerate() {
        for (other, hz) in hz.into_iter().enumerate() {
            let (share, codec) = (ear.share(hz), ear.codec);
            let right = if other == n { share < 0.02 } else { share > 0.3 };
            assert!(right, "{codec} hears {share} of {other}");
        }
    }
}
