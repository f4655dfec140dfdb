//! The archivist: one thread that has time, and makes a small copy of every sealed recording.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

use hotline_dsp::{FRAME, OpusConfig, OpusEncoder, g711::ALAW_SILENCE, g711::alaw_to_linear};

use crate::{
    ogg::{OggOpus, PRE_SKIP},
    priority,
    wav::{HEADER, SAMPLE},
};

/// Good enough to understand every word, at a quarter of the size.
const OPUS: OpusConfig =
    OpusConfig { complexity: 5, bits_per_sec: 16_000, loss_percent: 0, dtx: false };

/// Longest packet that is made of 20 ms.
const PACKET_MAX: usize = 1_275;

/// Samples of 48,000 Hz in one of 8,000.
const RATIO: u64 = 6;

#[derive(Debug)]
pub(super) struct Archivist {
    recordings: mpsc::Sender<PathBuf>,
    thread: thread::JoinHandle<()>,
}

impl Archivist {
    pub(super) fn start() -> io::Result<Self> {
        let (recordings, inbox) = mpsc::channel::<PathBuf>();
        let run = move || {
            priority::lower();
            while let Ok(recording) = inbox.recv() {
                if let Err(error) = archive(&recording) {
                    let recording = recording.display();
                    tracing::warn!(%error, %recording, "A recording has no archive copy.");
                }
            }
        };
        let thread = thread::Builder::new().name("media-archivist".to_owned()).spawn(run)?;
        Ok(Self { recordings, thread })
    }

    pub(super) fn recordings(&self) -> mpsc::Sender<PathBuf> {
        self.recordings.clone()
    }

    /// Waits for the copies that are owed.
    pub(super) fn end(self) {
        drop(self.recordings);
        if self.thread.join().is_err() {
            tracing::error!("The archivist of recordings panicked.");
        }
    }
}

/// Writes `<recording>.opus` beside a sealed recording; it is whole or absent.
pub(super) fn archive(recording: &Path) -> io::Result<()> {
    let mut from = BufReader::new(File::open(recording)?);
    let length = from.get_ref().metadata()?.len();
    let samples = length.saturating_sub(HEADER as u64) / SAMPLE;
    from.seek(SeekFrom::Start(HEADER as u64))?;
    let new = recording.with_extension("opus.new");
    let serial = u32::try_from(length & 0x7FFF_FFFF).unwrap_or(1);
    let mut to = OggOpus::new(BufWriter::new(File::create(&new)?), serial)?;
    let encoder = || OpusEncoder::new(OPUS).map_err(io::Error::other);
    let (mut left, mut right) = (encoder()?, encoder()?);
    // What the encoder looks ahead has to be pushed out with silence.
    let n_packets = (samples + u64::from(PRE_SKIP) / RATIO).div_ceil(FRAME as u64);
    for _ in 0..n_packets {
        let mut both = [ALAW_SILENCE; 2 * FRAME];
        fill(&mut from, &mut both)?;
        let (mut one, mut other) = ([0; PACKET_MAX], [0; PACKET_MAX]);
        let one = encode(&mut left, &both, 0, &mut one)?;
        let other = encode(&mut right, &both, 1, &mut other)?;
        to.packet(one, other)?;
    }
    let file = to.end(samples * RATIO)?.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    fs::rename(new, recording.with_extension("opus"))
}

/// Reads as much as there is.
fn fill(from: &mut impl Read, both: &mut [u8]) -> io::Result<()> {
    let mut at = 0;
    while let Some(rest) = both.get_mut(at..).filter(|it| !it.is_empty()) {
        match from.read(rest)? {
            0 => break,
            n => at += n,
        }
    }
    Ok(())
}

fn encode<'a>(
    encoder: &mut OpusEncoder,
    both: &[u8; 2 * FRAME],
    side: usize,
    to: &'a mut [u8],
) -> io::Result<&'a [u8]> {
    let mut frame = [0; FRAME];
    for (sample, byte) in frame.iter_mut().zip(both.iter().skip(side).step_by(2)) {
        *sample = alaw_to_linear(*byte);
    }
    let n = encoder.encode(&frame, to).map_err(io::Error::other)?;
    Ok(to.get(..n).unwrap_or_default())
}

#[cfg(test)]
mod tests;
