//! The media role: RTP sockets, relay, prompts, keys and recordings, on threads of its own.
//!
//! Control orders by [`Order`](hotline_base::media::Order) values over a stream socket and is told
//! by [`Event`](hotline_base::media::Event) values. When control dies, what is heard goes on being
//! heard; the next control is handed in with [`MediaHandle::attach`] and greeted with an inventory.
//!
//! ```text
//! control ══ stream ══ desk ──tasks──▶ workers ─blocks──▶ recorder ──files──▶ sealer
//!                       ▲  ◀─reports──        ◀──empties─
//!                       └───────────────────────────── recorded ──────────────┘
//! ```
//!
//! - **desk**: the link, session descriptions, ports, prompt files. May wait for the disk.
//! - **workers**: legs' packets, those of a call all on one. They never allocate, lock, log or
//!   touch a file for a packet.
//! - **recorder** and **sealer**: files. A slow disk costs gaps in a recording, never audio.
//!
//! Every leg reports to its peer (RTCP) and takes his reports, at the port after its own or, when
//! he offers that, at the same one (RFC 5761).
//!
//! Behind one more port of each worker are its browsers: it passes their connectivity checks and
//! DTLS on to the desk as they came, and gets keys and addresses back as tasks.
//!
//! **Invariant:** media knows legs, plays and files; it does not know calls or agents.

mod browser;
mod counters;
mod desk;
mod intake;
mod ogg;
mod priority;
mod recorder;
mod task;
#[cfg(test)]
mod tests;
mod upload;
mod wake;
mod wav;
mod worker;

use std::{
    io,
    net::IpAddr,
    num::NonZero,
    ops::RangeInclusive,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use hotline_sdp::Codecs;

pub use self::{
    browser::{BrowserPort, PortStep},
    counters::{Counters, Snapshot},
    desk::is_prompt_name,
    recorder::{FileState, Repaired, Verified, repair, verify},
    upload::{
        BadUpload, SoundReport, UPLOAD_MAX, UploadedPrompt, convert_upload, pack_upload,
        unpack_upload,
    },
};
use self::{desk::Desk, wake::Wake};

/// More workers than a machine of ours has cores for.
pub const WORKERS_MAX: u8 = 64;

/// How the media role works. Checked by whoever reads it from a file.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Where RTP sockets are bound; also what session descriptions name.
    pub address: IpAddr,
    /// Ports of RTP sockets; only even ones are used.
    pub ports: RangeInclusive<u16>,
    /// The one port of all browser legs, an even one of [`ports`](Self::ports); any of them when
    /// it is not said.
    pub browser_port: Option<u16>,
    /// Where prompts are looked for, in this order: `<dir>/<lang>/<prompt>.wav`.
    pub prompt_dirs: Vec<PathBuf>,
    /// Recordings are written below; made when it is first needed.
    pub recording_dir: PathBuf,
    /// How long a closed leg's port stays bound and silent, so that a straggler of one call is
    /// never heard in another. 40 s is good.
    pub port_quarantine: Duration,
    /// Legs that this process takes.
    pub legs_max: usize,
    /// Directory of the prompts' language, such as `zh`.
    pub lang: String,
    pub intake: IntakeChoice,
    /// Threads that pass packets on, 1 to [`WORKERS_MAX`]. Each has a core, sockets and calls of
    /// its own.
    pub workers: u8,
    /// Each worker keeps to a core, from the last one down, and memory is not swapped out, where
    /// that is permitted.
    pub pin: bool,
    pub coding: Coding,
    pub recorder: RecorderConfig,
    /// A worker's share of a core, in percent, from which on no new call is taken; 10 more are for
    /// the legs of calls that were taken. 100: no limit.
    pub busy_max: u8,
}

/// One less than the cores that this process may use, so that one is left for all else; 1 to 8.
pub fn default_workers() -> u8 {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    u8::try_from(cores.saturating_sub(1).clamp(1, 8)).unwrap_or(1)
}

/// What is spoken with whom, and at what cost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Coding {
    /// With trunks and telephones.
    pub codecs: Codecs,
    /// With browsers.
    pub browser_codecs: Codecs,
    /// Complexity of Opus, 0 to 10, while there is little load. 3 is good.
    pub opus_complexity: u8,
}

impl Default for Coding {
    fn default() -> Self {
        Self { codecs: Codecs::G711, browser_codecs: Codecs::BROWSER, opus_complexity: 3 }
    }
}

/// How recordings treat the volume that they are on.
#[derive(Clone, Debug, Default)]
pub struct RecorderConfig {
    /// Another volume's directory: recordings go there while the first is full or does not answer.
    pub second_dir: Option<PathBuf>,
    pub min_free: MinFree,
    /// A small copy beside each sealed recording.
    pub archive: Option<ArchiveFormat>,
    /// The first volume stands still while this is true.
    #[cfg(test)]
    pub(crate) stall: Option<Arc<std::sync::atomic::AtomicBool>>,
}

/// What an archive copy is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ArchiveFormat {
    /// Ogg Opus (RFC 7845), `<recording>.opus`.
    Opus,
}

/// What recordings leave free of a volume: the share or the size, whichever is less.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MinFree {
    pub percent: u64,
    pub bytes: u64,
}

impl Default for MinFree {
    /// One in a hundred, and at most 1 GiB.
    fn default() -> Self {
        Self { percent: 1, bytes: 1 << 30 }
    }
}

/// How packets come in and go out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum IntakeChoice {
    /// [`Lookup`](Self::Lookup) if the kernel and this process's rights allow it, else
    /// [`Sockets`](Self::Sockets), which is then said in the log.
    #[default]
    Auto,
    /// A socket a leg: needs no rights.
    Sockets,
    /// One socket a worker for all its legs, steered by a BPF program (`sk_lookup`): a third
    /// cheaper under load.
    /// Without `CAP_BPF`, `CAP_NET_ADMIN` and `CAP_NET_RAW` media does not start.
    Lookup,
}

/// The running media role. Dropping it ends all legs and seals all recordings.
#[derive(Debug)]
pub struct MediaHandle {
    notes: mpsc::Sender<Note>,
    wake: Wake,
    desk: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
}

/// What the owner of the process tells the desk.
#[derive(Debug)]
enum Note {
    Attach(UnixStream),
    Quit,
}

/// Starts the threads. Recordings that an earlier process left unsealed are repaired first and
/// reported as [`Event::Recorded`](hotline_base::media::Event::Recorded) to the first control.
///
/// # Errors
/// When the kernel refuses a thread, an epoll or an event descriptor, or the intake that was asked
/// for.
pub fn start(config: MediaConfig) -> io::Result<MediaHandle> {
    begin(config, None)
}

/// The same in the place of a process that died. `memory` is a file without a disk (`memfd_create`)
/// that outlives this process: each leg is noted there, and those that an earlier process noted are
/// brought back on their ports, with their keys and another SSRC, before the first control is
/// greeted. Audio on its way to a recording lies there, too, and gets there by what the next process
/// repairs. Nobody else may write there or make it shorter.
///
/// # Errors
/// As [`start`].
pub fn resume(config: MediaConfig, memory: OwnedFd) -> io::Result<MediaHandle> {
    begin(config, Some(memory))
}

fn begin(config: MediaConfig, memory: Option<OwnedFd>) -> io::Result<MediaHandle> {
    let (notes, inbox) = mpsc::channel();
    let wake = Wake::new()?;
    let counters = Arc::new(Counters::new(config.workers.clamp(1, WORKERS_MAX)));
    if config.pin {
        let locked = priority::lock_memory();
        counters.memory_locked.store(locked.into(), Relaxed);
        if !locked {
            tracing::warn!("Memory may be swapped out: there is no right to lock it.");
        }
    }
    let desk = Desk::start(config, memory, inbox, wake.clone(), Arc::clone(&counters))?;
    let desk = thread::Builder::new().name("media-desk".to_owned()).spawn(move || desk.run())?;
    Ok(MediaHandle { notes, wake, desk: Some(desk), counters })
}

impl MediaHandle {
    /// Hands in the link to control; the link before it is dropped. Legs, plays and recordings go
    /// on. Control says [`Order::Hello`](hotline_base::media::Order::Hello) first.
    pub fn attach(&self, link: UnixStream) {
        // A desk that is gone shows in `is_running`.
        if self.notes.send(Note::Attach(link)).is_ok() {
            self.wake.wake();
        }
    }

    /// Whether all threads live. `false` is a bug; the process shall end and be started anew.
    pub fn is_running(&self) -> bool {
        self.desk.as_ref().is_some_and(|it| !it.is_finished())
    }

    pub fn counters(&self) -> Snapshot {
        self.counters.snapshot()
    }

    /// Ends all legs, seals all recordings and waits for the threads.
    pub fn shutdown(mut self) {
        self.quit();
    }

    fn quit(&mut self) {
        let Some(desk) = self.desk.take() else { return };
        if self.notes.send(Note::Quit).is_ok() {
            self.wake.wake();
        }
        if desk.join().is_err() {
            tracing::error!("The media desk panicked.");
        }
    }
}

impl Drop for MediaHandle {
    fn drop(&mut self) {
        self.quit();
    }
}
