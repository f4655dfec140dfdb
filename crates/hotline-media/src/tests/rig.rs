//! A control that orders and listens, phones that speak tones and tell what they hear, and a
//! directory that goes away.

use std::{
    cell::RefCell,
    fs,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    ops::RangeInclusive,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use hotline_base::{
    ContextId, Key, LegId, PlayId, PromptId,
    media::{Event, Hears, Order, Play, PlayEnd, Profile, VERSION},
};
use hotline_dsp::{
    FRAME, Tone,
    g711::{alaw_to_linear, ulaw_to_linear},
};
use hotline_rtp::{HEADER_LEN, Header, MediaTime, Packet, parse, write_header};

use super::both;
use crate::{Coding, Counters, MediaConfig, MediaHandle, MinFree, RecorderConfig, start};

/// Longer than anything takes that is going to happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

const FRAME_TIME: Duration = Duration::from_millis(20);

/// A telephone that is later than this has paused.
const LATE_MAX: Duration = Duration::from_millis(100);

/// Of all legs of a test that does not say otherwise.
pub(super) const CONTEXT: ContextId = ContextId(1);

pub(super) const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A running media role, its control and its directories.
pub(super) struct Rig {
    pub(super) media: MediaHandle,
    pub(super) control: Control,
    pub(super) dir: Dir,
}

pub(super) struct Dir(pub(super) PathBuf);

pub(super) struct Control {
    stream: UnixStream,
}

/// A phone with a port of its own.
pub(super) struct Phone {
    pub(super) leg: LegId,
    pub(super) socket: UdpSocket,
    _reports: UdpSocket,
    pub(super) port: u16,
    pub(super) ulaw: bool,
    pub(super) event: u8,
    pub(super) hz: u32,
    /// Where the media role listens for it.
    pub(super) to: SocketAddr,
    tone: Tone,
    sequence: u16,
    timestamp: u32,
    /// When the next 20 ms are to be said.
    due: Option<Instant>,
    /// Frames of 20 ms in which it paused because the machine stood still.
    pub(super) n_paused: usize,
    /// Of the role that sends to it.
    counters: Option<Arc<Counters>>,
    /// What [`take_in`](Self::take_in) took in.
    pub(super) heard: Vec<i16>,
    last: Option<Header>,
}

impl Drop for Dir {
    fn drop(&mut self) {
        // Nobody minds what is left in the directory for temporary files.
        let _left = fs::remove_dir_all(&self.0);
    }
}

impl Dir {
    pub(super) fn new() -> Self {
        static N: AtomicU32 = AtomicU32::new(0);
        let name = format!("hotline-media-{}-{}", std::process::id(), N.fetch_add(1, Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(dir.join("prompts/zh")).unwrap();
        Self(dir)
    }

    pub(super) fn recordings(&self) -> PathBuf {
        self.0.join("recordings")
    }

    /// A prompt of one tone, 16-bit PCM.
    pub(super) fn prompt(&self, name: &str, hz: u32, ms: u32) {
        let mut tone = Tone::new(hz, 8_000);
        let samples = (0..ms * 8).map(|_| tone.next_sample());
        let audio: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
        file.extend(8_000_u32.to_le_bytes());
        file.extend(16_000_u32.to_le_bytes());
        file.extend([2, 0, 16, 0]);
        file.extend(b"data");
        file.extend(u32::try_from(audio.len()).unwrap().to_le_bytes());
        file.extend(audio);
        fs::write(self.0.join("prompts/zh").join(format!("{name}.wav")), file).unwrap();
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(super) fn with(change: impl FnOnce(&mut MediaConfig)) -> Self {
        let dir = Dir::new();
        let media = start_in(&dir.0, change);
        let control = Control::attach(&media);
        let mut it = Self { media, control, dir };
        it.control.order(&Order::Hello { version: VERSION });
        assert!(matches!(it.control.event(), Event::Inventory { version: VERSION, .. }));
        it
    }

    /// A phone that calls in.
    pub(super) fn phone(&mut self, leg: u64, hz: u32) -> Phone {
        self.phone_with(Phone::new(leg, hz))
    }

    pub(super) fn phone_with(&mut self, phone: Phone) -> Phone {
        self.phone_in(CONTEXT, phone)
    }

    pub(super) fn phone_in(&mut self, context: ContextId, mut phone: Phone) -> Phone {
        let leg = phone.leg;
        self.control.order(&Order::Open {
            leg,
            offer: Some(phone.sdp("sendrecv")),
            profile: Profile::Plain,
            context,
        });
        let Event::Opened { leg: opened, sdp } = self.control.event() else { panic!("not opened") };
        assert_eq!(opened, leg);
        phone.to = SocketAddr::new(LOCAL, port_of(&sdp));
        phone.forget_stream(&self.media);
        phone
    }

    /// Two phones that hear each other.
    pub(super) fn bridge(&mut self, a: &Phone, b: &Phone) {
        let hears = |listener: &Phone, speaker: &Phone| Hears {
            listener: listener.leg,
            speakers: vec![speaker.leg],
        };
        self.control.order(&Order::Mix { hears: vec![hears(a, b), hears(b, a)] });
        // The answer to a later order says that the mix is on its way.
        self.control.order(&Order::Hello { version: VERSION });
        assert!(matches!(self.control.event(), Event::Inventory { .. }));
    }

    pub(super) fn play(&mut self, leg: LegId, play: u64, prompts: &[&str], times: u32) {
        self.control.order(&Order::Play(Play {
            leg,
            play: PlayId(play),
            prompts: prompts.iter().map(|it| PromptId::new(it)).collect(),
            times,
            gap_ms: 0,
            stop_on_key: true,
            grace_ms: 0,
            limit_ms: 0,
        }));
    }

    pub(super) fn play_done(&mut self) -> (PlayId, PlayEnd, u32) {
        let Event::PlayDone { play, end, played_ms, .. } = self.control.event() else {
            panic!("not the end of a play")
        };
        (play, end, played_ms)
    }
}

/// Starts the role in `dir` on a range of ports of its own.
pub(super) fn start_in(dir: &Path, change: impl FnOnce(&mut MediaConfig)) -> MediaHandle {
    let mut config = config_in(dir);
    change(&mut config);
    start(config).unwrap()
}

/// A range of ports that no other role has before this test is over, in this process or another,
/// and no telephone ever: the kernel gives it a port from 32,768 up. `sk_lookup` takes a datagram
/// past the socket that is bound to its port.
fn ports() -> RangeInclusive<u16> {
    const N: u16 = 100;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    thread_local!(static CLAIMED: RefCell<Vec<TcpListener>> = const { RefCell::new(Vec::new()) });
    loop {
        let first = 10_000 + NEXT.fetch_add(1, Relaxed) % 100 * N;
        // An address that nothing else here has.
        if let Ok(claim) = TcpListener::bind(("127.0.0.77", first)) {
            CLAIMED.with_borrow_mut(|it| it.push(claim));
            return first..=first + N - 1;
        }
    }
}

/// A role in `dir` with a range of ports of its own.
pub(super) fn config_in(dir: &Path) -> MediaConfig {
    MediaConfig {
        address: LOCAL,
        ports: ports(),
        browser_port: None,
        prompt_dirs: vec![dir.join("missing"), dir.join("prompts")],
        recording_dir: dir.join("recordings"),
        port_quarantine: Duration::from_secs(40),
        legs_max: 16,
        lang: "zh".to_owned(),
        intake: both::intake(),
        workers: both::workers(),
        // Many roles share this machine.
        pin: false,
        coding: Coding::default(),
        // A machine that has little room left can run tests, too.
        recorder: RecorderConfig {
            min_free: MinFree { percent: 1, bytes: 1 << 20 },
            ..RecorderConfig::default()
        },
        busy_max: 100,
    }
}

impl Control {
    pub(super) fn attach(media: &MediaHandle) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        media.attach(theirs);
        Self { stream: ours }
    }

    /// Over a link that was made elsewhere.
    pub(super) fn over(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(3 * PATIENCE)).unwrap();
        Self { stream }
    }

    pub(super) fn order(&mut self, order: &Order) {
        let body = borsh::to_vec(order).unwrap();
        let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        frame.extend(body);
        self.stream.write_all(&frame).unwrap();
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next event that an order or a party leads to; what media says by itself about how it
    /// goes is passed over.
    pub(super) fn event(&mut self) -> Event {
        let deadline = Instant::now() + 3 * PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "an event within the time");
            let event = self.any_event();
            let by_itself = matches!(
                event,
                Event::Figures(_)
                    | Event::Hearing { .. }
                    | Event::Tone { .. }
                    | Event::Sounded { .. }
                    | Event::OwesSound { .. }
                    | Event::Room { .. }
            );
            if !by_itself {
                return event;
            }
        }
    }

    pub(super) fn any_event(&mut self) -> Event {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).expect("an event within the time");
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut body).unwrap();
        borsh::from_slice(&body).unwrap()
    }

    /// Whether the role ended this link.
    pub(super) fn is_over(&mut self) -> bool {
        self.stream.read(&mut [0]).unwrap() == 0
    }
}

/// A port for RTP and the next for RTCP, so that no telephone gets the reports of another.
fn pair() -> (UdpSocket, UdpSocket) {
    loop {
        let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
        let next = socket.local_addr().unwrap().port().saturating_add(1);
        if let Ok(reports) = UdpSocket::bind((LOCAL, next)) {
            return (socket, reports);
        }
    }
}

impl Phone {
    pub(super) fn new(leg: u64, hz: u32) -> Self {
        let (socket, reports) = pair();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let port = socket.local_addr().unwrap().port();
        Self {
            leg: LegId(leg),
            socket,
            _reports: reports,
            port,
            ulaw: false,
            event: 101,
            hz,
            to: SocketAddr::new(LOCAL, 0),
            tone: Tone::new(hz, 8_000),
            sequence: 100,
            timestamp: 4_000,
            due: None,
            n_paused: 0,
            counters: None,
            heard: Vec::new(),
            last: None,
        }
    }

    /// As loud as this.
    pub(super) fn with_loudness(mut self, amplitude: i16) -> Self {
        self.tone = Tone::new(self.hz, amplitude);
        self
    }

    pub(super) fn sdp(&self, direction: &str) -> String {
        let codec = if self.ulaw { "0" } else { "8" };
        let (port, event) = (self.port, self.event);
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP {codec} {event}\r\na=rtpmap:{event} telephone-event/8000\r\n\
             a={direction}\r\n"
        )
    }

    /// The time of 20 ms that are about to be said. When the machine stood still, he paused: what
    /// is said this late nobody waits for, and no tape has it.
    fn keep_time(&mut self) {
        let now = Instant::now();
        let due = self.due.get_or_insert(now);
        let late = now.saturating_duration_since(*due);
        if late > LATE_MAX {
            let n_missed = u32::try_from(late.as_millis() / FRAME_TIME.as_millis()).unwrap();
            *due += FRAME_TIME * n_missed;
            self.n_paused += n_missed as usize;
            self.timestamp = self.timestamp.wrapping_add(160 * n_missed);
        }
        *due += FRAME_TIME;
    }

    /// Says 20 ms of its tone.
    pub(super) fn say(&mut self) {
        self.keep_time();
        let mut packet = [0; HEADER_LEN + FRAME];
        let payload_type = if self.ulaw { 0 } else { 8 };
        write_header(&mut packet, &self.header(payload_type));
        if self.ulaw {
            self.tone.fill_ulaw(&mut packet[HEADER_LEN..]);
        } else {
            self.tone.fill_alaw(&mut packet[HEADER_LEN..]);
        }
        self.socket.send_to(&packet, self.to).unwrap();
        self.timestamp = self.timestamp.wrapping_add(160);
    }

    /// Says 20 ms in a codec that it does not know.
    pub(super) fn say_coded(&mut self, payload_type: u8, audio: &[u8]) {
        self.keep_time();
        let mut packet = vec![0; HEADER_LEN];
        write_header(&mut packet, &self.header(payload_type));
        packet.extend(audio);
        self.socket.send_to(&packet, self.to).unwrap();
        self.timestamp = self.timestamp.wrapping_add(160);
    }

    /// So many packets of 20 ms are lost on their way, and for so many it says nothing.
    pub(super) fn skip(&mut self, lost: u16, paused: u16) {
        let n = lost + paused;
        self.due = self.due.map(|it| it + FRAME_TIME * u32::from(n));
        self.sequence = self.sequence.wrapping_add(lost);
        self.timestamp = self.timestamp.wrapping_add(160 * u32::from(n));
    }

    /// Presses a key: start, one update, three ends.
    pub(super) fn press(&mut self, key: char) {
        let code = Key::try_from(key).unwrap().event();
        for (flags, duration) in [(10, 160), (10, 320), (0x8A, 480), (0x8A, 480), (0x8A, 480)] {
            let [high, low] = u16::to_be_bytes(duration);
            let mut packet = [0; HEADER_LEN + 4];
            write_header(&mut packet, &self.header(self.event));
            packet[HEADER_LEN..].copy_from_slice(&[code, flags, high, low]);
            self.socket.send_to(&packet, self.to).unwrap();
        }
        self.timestamp = self.timestamp.wrapping_add(480);
        self.due = self.due.map(|it| it + 3 * FRAME_TIME);
    }

    fn header(&mut self, payload_type: u8) -> Header {
        self.sequence = self.sequence.wrapping_add(1);
        let timestamp = MediaTime(self.timestamp);
        let (marker, sequence, ssrc) = (false, self.sequence, u32::from(self.port));
        Header { marker, payload_type, sequence, timestamp, ssrc }
    }

    pub(super) fn hear(&self) -> (Packet, Vec<u8>) {
        let mut bytes = [0; 2_000];
        let (n, from) = self.socket.recv_from(&mut bytes).expect("a packet within the time");
        assert_eq!(from, self.to, "it comes from the port that was named");
        let packet = parse(&bytes[..n]).unwrap();
        let payload = bytes[packet.payload.clone()].to_vec();
        (packet, payload)
    }

    /// Hears so many frames and checks that they are one stream.
    pub(super) fn listen(&self, n: usize) -> Vec<i16> {
        let mut samples = Vec::new();
        let mut last: Option<Header> = None;
        for _ in 0..n {
            let (packet, payload) = self.hear();
            let decode = if self.ulaw { ulaw_to_linear } else { alaw_to_linear };
            assert_eq!(packet.header.payload_type, if self.ulaw { 0 } else { 8 });
            samples.extend(payload.into_iter().map(decode));
            if let Some(last) = last.replace(packet.header) {
                self.assert_follows(&packet.header, &last);
            }
        }
        samples
    }

    /// Packets that workers which stood still did not pass on.
    pub(super) fn n_stale(&self) -> usize {
        let workers = self.counters.iter().flat_map(|it| &it.workers);
        let n: u64 = workers.map(|it| it.packets_stale.load(Relaxed)).sum();
        usize::try_from(n).unwrap()
    }

    /// That a packet is the next of one stream. What a worker that stood still did not pass on is
    /// missing there, and counted.
    fn assert_follows(&self, it: &Header, last: &Header) {
        let missing = it.sequence.wrapping_sub(last.sequence).wrapping_sub(1);
        let n_stale = self.n_stale();
        assert!(usize::from(missing) <= n_stale, "{it:?} after {last:?}, {n_stale} stale");
        assert_eq!(it.ssrc, last.ssrc);
        assert!(it.timestamp.since(last.timestamp) >= 160 * (1 + i32::from(missing)));
    }

    /// What it hears from now on is of this role, and another stream.
    pub(super) fn forget_stream(&mut self, media: &MediaHandle) {
        self.counters = Some(Arc::clone(&media.counters));
        self.drain();
        self.last = None;
    }

    /// Hears everything that has come, and checks that it is one stream.
    pub(super) fn take_in(&mut self) {
        self.socket.set_nonblocking(true).unwrap();
        let mut bytes = [0; 2_000];
        while let Ok((n, from)) = self.socket.recv_from(&mut bytes) {
            assert_eq!(from, self.to, "it comes from the port that was named");
            let Packet { header, payload } = parse(&bytes[..n]).unwrap();
            let decode = if self.ulaw { ulaw_to_linear } else { alaw_to_linear };
            self.heard.extend(bytes[payload].iter().map(|it| decode(*it)));
            if let Some(last) = self.last.replace(header) {
                self.assert_follows(&header, &last);
            }
        }
        self.socket.set_nonblocking(false).unwrap();
    }

    /// Forgets what has come.
    pub(super) fn drain(&self) {
        while !self.hears_nothing() {}
    }

    /// Whether nothing is there to hear.
    pub(super) fn hears_nothing(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let nothing = self.socket.recv_from(&mut [0; 2_000]).is_err();
        self.socket.set_nonblocking(false).unwrap();
        nothing
    }
}

pub(super) fn port_of(sdp: &str) -> u16 {
    let line = sdp.lines().find_map(|it| it.strip_prefix("m=audio ")).unwrap();
    line.split(' ').next().unwrap().parse().unwrap()
}
