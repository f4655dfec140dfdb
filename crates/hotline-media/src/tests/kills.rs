//! A process that records is killed, again and again.

use std::{
    collections::BTreeSet,
    env,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use hotline_base::{
    ContextId, LegId, Random, RecordingId,
    media::{Event, Order, Profile, VERSION},
};
use hotline_dsp::{FRAME, g711::ALAW_SILENCE};
use hotline_rtp::{HEADER_LEN, Header, MediaTime, write_header};

use rustix::fs::{MemfdFlags, memfd_create};

use super::{
    log::Log,
    rig::{Control, Dir, LOCAL, PATIENCE, config_in, port_of},
};
use crate::{
    resume,
    wav::{self, HEADER},
};

/// The directory of the process that is to be killed; set for it alone.
const VARIABLE: &str = "HOTLINE_TEST_KILLED";

/// The memory that outlives it, as a path.
const MEMORY: &str = "HOTLINE_TEST_MEMORY";

/// How many recordings run and how often they are killed, such as `210x50`.
const SIZE: &str = "HOTLINE_TEST_KILLS";

/// Audio that a kill may cost.
const LOST_MAX: Duration = Duration::from_secs(1);

const FRAME_TIME: Duration = Duration::from_millis(20);

/// Frames that can be told apart.
const FRAMES: usize = 200;

fn size() -> (usize, usize) {
    let text = env::var(SIZE).unwrap_or_else(|_| "40x5".to_owned());
    let (recordings, kills) = text.split_once('x').unwrap();
    (recordings.parse().unwrap(), kills.parse().unwrap())
}

/// The process that is killed; in other runs it is nobody.
#[test]
fn victim() {
    let Ok(dir) = env::var(VARIABLE) else { return };
    let dir = Path::new(&dir);
    let n_legs = 2 * size().0;
    let mut config = config_in(dir);
    // An address of the test's own: nobody else takes its ports.
    let [low, high, ..] = std::os::unix::process::parent_id().to_le_bytes();
    config.address = IpAddr::V4(Ipv4Addr::new(127, 77, high, low));
    config.ports = 20_000..=20_000 + u16::try_from(2 * n_legs + 40).unwrap();
    config.legs_max = n_legs;
    config.workers = 2;
    let log = File::create(dir.join("log")).unwrap();
    let log = Log(move |line| writeln!(&log, "{line}").unwrap());
    tracing::subscriber::set_global_default(log).unwrap();
    let memory = OpenOptions::new().read(true).write(true).open(env::var(MEMORY).unwrap());
    let media = resume(config, memory.unwrap().into()).unwrap();
    let listener = UnixListener::bind(dir.join("link")).unwrap();
    media.attach(listener.accept().unwrap().0);
    loop {
        thread::park();
    }
}

pub(super) struct Victim {
    pub(super) child: Child,
    pub(super) control: Control,
}

impl Drop for Victim {
    fn drop(&mut self) {
        // It may be dead already, which is what was wanted.
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}

impl Victim {
    pub(super) fn start(dir: &Path, memory: &OwnedFd) -> Self {
        let link = dir.join("link");
        match fs::remove_file(&link) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("{error}"),
            Ok(()) | Err(_) => (),
        }
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "tests::kills::victim"])
            .env(VARIABLE, dir)
            .env(MEMORY, format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + 6 * PATIENCE;
        let stream = loop {
            match UnixStream::connect(&link) {
                Ok(it) => break it,
                Err(error) => assert!(Instant::now() < until, "it does not come up: {error}"),
            }
            thread::sleep(Duration::from_millis(5));
        };
        let mut it = Self { child, control: Control::over(stream) };
        it.control.order(&Order::Hello { version: VERSION });
        assert!(matches!(it.control.event(), Event::Inventory { .. }));
        it
    }

    pub(super) fn open(&mut self, leg: usize, port: u16) -> SocketAddr {
        self.open_in(leg as u64 / 2 + 1, leg, port)
    }

    pub(super) fn open_in(&mut self, context: u64, leg: usize, port: u16) -> SocketAddr {
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 8\r\n"
        );
        let leg = LegId(leg as u64 + 1);
        self.control.order(&Order::Open {
            leg,
            offer: Some(offer),
            profile: Profile::Plain,
            context: ContextId(context),
        });
        let Event::Opened { sdp, .. } = self.control.event() else { panic!("not opened") };
        let address = sdp.lines().find_map(|it| it.strip_prefix("c=IN IP4 ")).unwrap();
        SocketAddr::new(address.parse().unwrap(), port_of(&sdp))
    }

    /// Records what so many pairs say, until they have said this many frames, and is killed.
    fn dies_after(mut self, round: usize, n_recordings: usize, n_frames: usize) {
        let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let legs: Vec<_> = (0..2 * n_recordings).map(|it| self.open(it, port)).collect();
        for n in 0..n_recordings {
            let [left, right] = [2 * n, 2 * n + 1].map(|it| LegId(it as u64 + 1));
            let (recording, path) = (name(round, n), format!("{}.wav", name(round, n)));
            self.control.order(&Order::Record { recording, path, left, right });
        }
        self.control.order(&Order::Hello { version: VERSION });
        assert!(matches!(self.control.event(), Event::Inventory { .. }));
        let began = Instant::now();
        let mut tick = 0;
        for n in 0..n_frames {
            let mut packet = [code(n); HEADER_LEN + FRAME];
            let at = began + FRAME_TIME * tick;
            thread::sleep(at.saturating_duration_since(Instant::now()));
            // Where this machine stood still, everybody was silent: words that nobody could say yet
            // are no loss, and they are not said all at once afterwards.
            let due = began.elapsed().as_millis() / FRAME_TIME.as_millis();
            tick = tick.max(u32::try_from(due).unwrap());
            for (leg, to) in legs.iter().enumerate() {
                let header = Header {
                    marker: n == 0,
                    payload_type: 8,
                    sequence: u16::try_from(n).unwrap(),
                    timestamp: MediaTime(tick * u32::try_from(FRAME).unwrap()),
                    ssrc: u32::try_from(leg).unwrap() + 1,
                };
                write_header(&mut packet, &header);
                // What the kernel has no room for is lost like any packet.
                let _sent = socket.send_to(&packet, to);
            }
            tick += 1;
        }
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn name(round: usize, n: usize) -> RecordingId {
    RecordingId::new(&format!("r-{round}-{n}"))
}

/// What the `n`th frame holds.
fn code(n: usize) -> u8 {
    u8::try_from(n + 1).unwrap()
}

/// How much of so many frames a recording lacks, at its end or before it. It must be a whole WAV,
/// or with `at_once` one that tells no more than there is.
fn lost(file: &Path, n_frames: usize, at_once: bool) -> Duration {
    let bytes = fs::read(file).unwrap();
    let (header, audio) = bytes.split_at(HEADER);
    let told = u32::from_le_bytes(*header.last_chunk().unwrap()) as usize;
    assert_eq!(header, wav::header(told as u64 / 2));
    assert!(told <= audio.len() && (at_once || told == audio.len()), "{told} of {}", audio.len());
    let kept = |side| {
        let said = audio[..told].iter().skip(side).step_by(2);
        said.filter(|it| **it != ALAW_SILENCE).collect::<BTreeSet<_>>().len()
    };
    let n_kept = kept(0).min(kept(1));
    FRAME_TIME * u32::try_from(n_frames - n_kept).unwrap()
}

#[test]
#[expect(clippy::print_stdout, reason = "figures are for people")]
fn each_of_many_recordings_lacks_at_most_a_second_after_each_of_many_kills() {
    let (n_recordings, n_kills) = size();
    let dir = Dir::new();
    let mut random = Random::new(9);
    let mut worst = Vec::new();
    for round in 0..n_kills {
        let n_frames = usize::try_from(random.between(70, FRAMES as u64 - 60)).unwrap();
        let memory = memfd_create("killed", MemfdFlags::CLOEXEC).unwrap();
        Victim::start(&dir.0, &memory).dies_after(round, n_recordings, n_frames);
        let file = |n| dir.recordings().join(format!("{}.wav", name(round, n)));
        for n in 0..n_recordings {
            lost(&file(n), n_frames, true);
        }
        let mut next = Victim::start(&dir.0, &memory);
        let mut n_sealed = 0;
        while n_sealed < n_recordings {
            let event = next.control.event();
            // Legs are back, and nobody speaks any more: a disk may take 5 s for all seals.
            if matches!(event, Event::Quiet { .. }) {
                continue;
            }
            let Event::Recorded(it) = &event else { panic!("not sealed: {event:?}") };
            assert!(it.recording.as_str().starts_with(&format!("r-{round}-")));
            n_sealed += 1;
        }
        worst.push((0..n_recordings).map(|n| lost(&file(n), n_frames, false)).max().unwrap());
        fs::remove_dir_all(dir.recordings()).unwrap();
    }
    worst.sort();
    println!("{n_recordings} recordings, {n_kills} kills, the worst loss of each: {worst:?}");
    assert!(worst.iter().all(|it| *it <= LOST_MAX), "{worst:?}");
}
