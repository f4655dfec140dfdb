//! What a frame of 20 ms costs in each codec and detector, beside the copy of a frame and beside
//! its decoding from A-law. See `benches/README.md`.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(clippy::cast_precision_loss, reason = "figures of three digits")]

mod srtp;

use std::{hint::black_box, time::Duration};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use hotline_base::MonoTime;
use hotline_benches::{load, machine, median, spread};
use hotline_dsp::{
    DtmfDetector, FRAME, G722Decoder, G722Encoder, Noise, OPUS_SAMPLES_MAX, OpusConfig,
    OpusDecoder, OpusEncoder, Playback, SignalDetector, Tone, g711, level_dbm0,
};
use hotline_rtp::{Format, Header, JitterBuffer, MediaTime, Next};
use rustix::time::{ClockId, clock_gettime};

#[derive(Debug, Parser)]
#[command(about = "Processor time of a frame of 20 ms")]
struct Args {
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Milliseconds of each figure in each round.
    #[arg(long, default_value_t = 50)]
    millis: u64,
    /// Fail if a frame pair between G.711 and Opus costs more than it may.
    #[arg(long)]
    gate: bool,
}

/// What a frame pair between G.711 and Opus may cost, and what would be as good as it gets, in
/// nanoseconds.
const PAIR: [f64; 2] = [110_000.0, 90_000.0];

/// By this complexity, and by the one that is configured unless said otherwise.
const PAIRS: [u8; 2] = [5, 3];

/// A round does not count when its two runs of the A-law decoder lie further apart.
const APART_MAX: f64 = 0.15;

const DECODE: &str = "A-law decode";

/// A second of something like a voice.
fn voice() -> Vec<[i16; FRAME]> {
    let mut tones = [140, 420, 700, 1_900].map(|hz| Tone::new(hz, 2_500));
    let mut noise = Noise::default();
    let frames = (0..50_i16).map(|n| {
        let mut frame = [0; FRAME];
        noise.fill(40, &mut frame);
        // Syllables: three a second.
        let loud = (n % 17).min(8);
        for it in &mut frame {
            let sum = tones.iter_mut().map(Tone::next_sample).sum::<i16>();
            *it = it.saturating_add(sum / 8 * loud);
        }
        frame
    });
    frames.collect()
}

/// What one frame, in samples and in A-law, is put through.
type Turn = Box<dyn FnMut(&[i16; FRAME], &[u8; FRAME])>;

struct Subject {
    name: String,
    turn: Turn,
}

fn subject(name: &str, turn: impl FnMut(&[i16; FRAME], &[u8; FRAME]) + 'static) -> Subject {
    Subject { name: name.to_owned(), turn: Box::new(turn) }
}

fn main() -> Result<()> {
    let args = Args::parse();
    println!("{}", machine());
    let voice = voice();
    let alaw: Vec<_> = voice.iter().map(|it| it.map(g711::linear_to_alaw)).collect();
    let mut subjects = plain();
    subjects.extend(detectors());
    subjects.extend(srtp::subjects()?);
    subjects.extend(opus(&voice)?);
    let of_decode = subjects.iter().position(|it| it.name == DECODE).context("a yardstick")?;
    let mut figures = vec![Vec::new(); subjects.len()];
    // Of each round whether it counts.
    let mut counts = Vec::new();
    for _ in 0..args.rounds {
        let one = |it: &mut Subject| measure(it, &voice, &alaw, Duration::from_millis(args.millis));
        for (subject, figures) in subjects.iter_mut().zip(&mut figures) {
            figures.push(one(subject)?);
        }
        let before = figures.get(of_decode).and_then(|it| it.last()).copied().unwrap_or(f64::NAN);
        let after = one(subjects.get_mut(of_decode).context("a yardstick")?)?;
        counts.push((before - after).abs() / f64::midpoint(before, after) <= APART_MAX);
    }
    println!(
        "\n{:34} {:>26} {:>12} {:>16} {:>12}",
        "a frame of 20 ms", "ns", "of a copy", "of A-law decode", "allocations"
    );
    let per_round = |n: usize| figures.get(n).cloned().unwrap_or_default();
    let (copy, decode) = (per_round(0), per_round(of_decode));
    for (subject, figures) in subjects.iter_mut().zip(&figures) {
        let over = |yardstick: &[f64]| {
            let ratios: Vec<_> = figures.iter().zip(yardstick).map(|(a, b)| a / b).collect();
            spread(&ratios, 1).split(' ').next().unwrap_or_default().to_owned()
        };
        let allocations = allocations(subject, &voice, &alaw);
        println!(
            "{:34} {:>26} {:>12} {:>16} {allocations:>12.1}",
            subject.name,
            spread(figures, 0),
            over(&copy),
            over(&decode),
        );
    }
    let missed = judge(&subjects, &figures, &counts);
    ensure!(!args.gate || missed == 0, "a frame pair between G.711 and Opus costs too much");
    Ok(())
}

/// Allocations of a frame, once everything has been set up.
fn allocations(subject: &mut Subject, voice: &[[i16; FRAME]], alaw: &[[u8; FRAME]]) -> f64 {
    let counted = allocation_counter::measure(|| {
        for (frame, bytes) in voice.iter().zip(alaw) {
            (subject.turn)(black_box(frame), black_box(bytes));
        }
    });
    counted.count_total as f64 / voice.len().max(1) as f64
}

/// Says of each frame pair whether it keeps its limit; how many do not.
fn judge(subjects: &[Subject], figures: &[Vec<f64>], counts: &[bool]) -> usize {
    let n_good = counts.iter().filter(|it| **it).count();
    println!("\n{n_good} of {} rounds count; load {}", counts.len(), load());
    let [most, extreme] = PAIR;
    let mut missed = 0;
    for complexity in PAIRS {
        let name = pair(complexity);
        let all = subjects.iter().zip(figures).find(|it| it.0.name == name);
        let good = all.into_iter().flat_map(|it| it.1).zip(counts).filter(|it| *it.1);
        let verdict = match median(good.map(|it| *it.0).collect()) {
            // A machine that is busy with other things only makes it worse.
            Some(it) if it <= extreme => "extreme",
            Some(it) if it <= most => "met",
            Some(_) if n_good * 2 >= counts.len() => {
                missed += 1;
                "MISSED"
            }
            Some(_) | None => "not judged: the yardstick moved too much",
        };
        let (most, extreme) = (most / 1_000.0, extreme / 1_000.0);
        println!("== {name}: aim {most:.0} us, extreme {extreme:.0} us: {verdict}");
    }
    missed
}

fn pair(complexity: u8) -> String {
    format!("G.711 <-> Opus, complexity {complexity}")
}

/// Nanoseconds of this thread's processor time for a frame.
fn measure(
    subject: &mut Subject,
    voice: &[[i16; FRAME]],
    alaw: &[[u8; FRAME]],
    length: Duration,
) -> Result<f64> {
    let begin = cpu();
    let mut n = 0_u64;
    while cpu().saturating_sub(begin) < length {
        for (frame, bytes) in voice.iter().zip(alaw) {
            (subject.turn)(black_box(frame), black_box(bytes));
            n += 1;
        }
    }
    ensure!(n > 0, "nothing was measured");
    Ok(cpu().saturating_sub(begin).as_nanos() as f64 / n as f64)
}

fn cpu() -> Duration {
    let it = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(it).unwrap_or_default()
}

fn plain() -> Vec<Subject> {
    let (mut bytes, mut samples) = ([0_u8; FRAME], [0_i16; FRAME]);
    let mut it = vec![subject("copy of 160 bytes", move |_, alaw| {
        bytes.copy_from_slice(alaw);
        black_box(&bytes);
    })];
    it.push(subject(DECODE, move |_, alaw| {
        for (to, from) in samples.iter_mut().zip(alaw) {
            *to = g711::alaw_to_linear(*from);
        }
        black_box(&samples);
    }));
    it.push(subject("A-law encode", move |voice, _| {
        for (to, from) in bytes.iter_mut().zip(voice) {
            *to = g711::linear_to_alaw(*from);
        }
        black_box(&bytes);
    }));
    it.push(subject("A-law to µ-law", move |_, alaw| {
        g711::transcode_into(&g711::ALAW_TO_ULAW, alaw, &mut bytes);
        black_box(&bytes);
    }));
    let mut encoder = G722Encoder::default();
    it.push(subject("G.722 encode", move |voice, _| {
        encoder.encode(voice, &mut bytes);
        black_box(&bytes);
    }));
    let mut decoder = G722Decoder::default();
    it.push(subject("G.722 decode", move |_, alaw| {
        decoder.decode(alaw, &mut samples);
        black_box(&samples);
    }));
    it
}

fn detectors() -> Vec<Subject> {
    let mut it = vec![subject("level, which tells speech from none", |voice, _| {
        black_box(level_dbm0(voice));
    })];
    let mut dtmf = DtmfDetector::default();
    it.push(subject("keys in the sound", move |voice, _| {
        black_box(dtmf.hear(voice));
    }));
    let (mut dtmf, pause) = (DtmfDetector::default(), [0; FRAME]);
    it.push(subject("keys in a pause", move |_, _| {
        black_box(dtmf.hear(&pause));
    }));
    let mut signals = SignalDetector::default();
    it.push(subject("signals of the network", move |voice, _| {
        black_box(signals.hear(voice));
    }));
    let mut playback = Playback::default();
    it.push(subject("concealment, every other frame", move |voice, _| {
        playback.hear(voice);
        playback.conceal(FRAME);
        black_box(*playback.frame(0));
        black_box(*playback.frame(0));
    }));
    let mut playback = Playback::default();
    it.push(subject("playback, a sample shorter", move |voice, _| {
        while !playback.is_ready() {
            playback.hear(voice);
        }
        black_box(*playback.frame(100));
    }));
    let mut jitter = JitterBuffer::new(Format::Bytes);
    let mut n = 0_u16;
    let mut timestamp = 0_u32;
    let mut now = MonoTime(1_000_000_000);
    it.push(subject("jitter buffer, in and out", move |_, alaw| {
        (n, timestamp) = (n.wrapping_add(1), timestamp.wrapping_add(160));
        now = now + Duration::from_millis(20);
        let header = Header {
            marker: false,
            payload_type: 8,
            sequence: n,
            timestamp: MediaTime(timestamp),
            ssrc: 1,
        };
        black_box(jitter.insert(&header, alaw, 0, now));
        match jitter.next(now, 0) {
            Next::Packet { payload, .. } => black_box(payload).len(),
            Next::Lost { samples, .. } | Next::Pause { samples, .. } => samples,
        };
    }));
    it
}

fn opus(voice: &[[i16; FRAME]]) -> Result<Vec<Subject>> {
    let mut it = Vec::new();
    for complexity in [0, 3, 5, 10] {
        let mut encoder = OpusEncoder::new(OpusConfig { complexity, ..OpusConfig::default() })?;
        let mut packet = [0; 400];
        it.push(subject(&format!("Opus encode, complexity {complexity}"), move |voice, _| {
            black_box(encoder.encode(voice, &mut packet).unwrap_or(0));
        }));
    }
    let mut encoder = OpusEncoder::new(OpusConfig::default())?;
    let mut packets = Vec::new();
    for frame in voice {
        let mut packet = vec![0; 400];
        let len = encoder.encode(frame, &mut packet)?;
        packet.truncate(len);
        packets.push(packet);
    }
    let mut decoder = OpusDecoder::new()?;
    let (mut samples, mut n, coded) = ([0; OPUS_SAMPLES_MAX], 0, packets.clone());
    it.push(subject("Opus decode", move |_, _| {
        n += 1;
        let packet = coded.get(n % coded.len()).map_or(&[][..], Vec::as_slice);
        black_box(decoder.decode(packet, &mut samples).unwrap_or(0));
    }));
    for complexity in PAIRS {
        let mut encoder = OpusEncoder::new(OpusConfig { complexity, ..OpusConfig::default() })?;
        let mut decoder = OpusDecoder::new()?;
        let (coded, mut n) = (packets.clone(), 0);
        let (mut samples, mut packet) = ([0; OPUS_SAMPLES_MAX], [0; 400]);
        // One party's frame there, the other's back.
        it.push(subject(&pair(complexity), move |_, alaw| {
            let linear = alaw.map(g711::alaw_to_linear);
            black_box(encoder.encode(&linear, &mut packet).unwrap_or(0));
            n += 1;
            let from = coded.get(n % coded.len()).map_or(&[][..], Vec::as_slice);
            black_box(decoder.decode(from, &mut samples).unwrap_or(0));
            let heard = samples.first_chunk::<FRAME>().copied().unwrap_or([0; FRAME]);
            black_box(heard.map(g711::linear_to_alaw));
        }));
    }
    Ok(it)
}
