//! The engine's media role in a process of its own, with legs set up through its orders: a port a
//! leg there, a socket a leg here.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    rc::Rc,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hotline_base::{
    ContextId, LegId, RecordingId,
    media::{Event, Hears, Order, Profile, VERSION},
};
use hotline_media::{Coding, IntakeChoice, MediaConfig, RecorderConfig};
use rustix::thread::CpuSet;

use crate::{Cores, Counts, Intake, Relay, With, cpu, outlet::Outlet, pace::Flow};

/// Key and salt of the generator's legs, and how they are used.
const OUR_KEY: [u8; 30] = [0x5A; 30];
const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";

/// Outside the range that the kernel hands out for port 0.
const PORTS: std::ops::RangeInclusive<u16> = 12_000..=22_000;

/// What the driver tells the process.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    socket: PathBuf,
    legs: usize,
    intake: Intake,
    workers: u8,
    cores: Cores,
}

pub(crate) fn serve(args: &Args) -> Result<()> {
    let Args { socket, legs, intake, workers, cores } = args;
    cpu::keep_on(match cores {
        Cores::Own => 1..=usize::from(*workers),
        Cores::All => 0..=CpuSet::MAX_CPU - 1,
    });
    cpu::ordinary();
    let media = hotline_media::start(MediaConfig {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        ports: PORTS,
        browser_port: None,
        prompt_dirs: Vec::new(),
        recording_dir: socket.with_extension("recordings"),
        port_quarantine: Duration::from_secs(40),
        busy_max: 100,
        legs_max: (*legs).max(1),
        lang: "zh".to_owned(),
        intake: match intake {
            Intake::Sockets => IntakeChoice::Sockets,
            Intake::Lookup => IntakeChoice::Lookup,
        },
        workers: *workers,
        pin: *cores == Cores::Own,
        coding: Coding::default(),
        recorder: RecorderConfig::default(),
    })?;
    let link = UnixStream::connect(socket)?;
    media.attach(link);
    // Until the driver ends it. Each line is a question for system calls and allocations so far.
    for line in std::io::stdin().lines() {
        line?;
        let allocations = crate::ALLOCATOR.stats().allocations;
        println!("{} {allocations}", media.counters().system_calls);
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// What a socket of the generator's wants to be sent, protected with a key if there is one.
pub(crate) fn offer(socket: &Outlet, key: Option<&[u8]>) -> Result<String> {
    let port = socket.address()?.port();
    let (proto, crypto) = key.map_or(("RTP/AVP", String::new()), |it| {
        ("RTP/SAVP", format!("a=crypto:1 {SUITE} inline:{}\r\n", STANDARD.encode(it)))
    });
    Ok(format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {port} {proto} 8 101\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=rtcp:9\r\n{crypto}"
    ))
}

#[derive(Debug)]
pub(crate) struct Engine {
    child: Child,
    link: UnixStream,
    path: PathBuf,
    legs: Vec<(Rc<Outlet>, SocketAddr)>,
    parties: usize,
    kernel: u64,
}

impl Engine {
    pub(crate) fn start(calls: usize, with: With) -> Result<Self> {
        static N: AtomicU32 = AtomicU32::new(0);
        let With { record, srtp, intake, parties, workers, cores } = with;
        let n_legs = calls * parties;
        let name = format!("hotline-relay-{}-{}", std::process::id(), N.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        let listener = UnixListener::bind(&path)?;
        let child = Command::new(std::env::current_exe()?)
            .arg("engine")
            .arg(&path)
            .arg(n_legs.to_string())
            .arg(intake.to_string())
            .arg(workers.to_string())
            .arg(cores.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (link, _) = listener.accept()?;
        link.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut it = Self { child, link, path, legs: Vec::new(), parties, kernel: 0 };
        it.order(&Order::Hello { version: VERSION })?;
        it.event()?;
        // Sockets of our own are none of the engine's memory.
        let sockets = (0..n_legs).map(|_| Outlet::open()).collect::<Result<Vec<_>, _>>()?;
        let before = cpu::slab()?;
        for (leg, socket) in sockets.into_iter().enumerate() {
            let context = ContextId((leg / parties) as u64);
            it.open(leg, context, socket, srtp && leg % 2 == 0)?;
        }
        let parties = parties as u64;
        for call in 0..calls as u64 {
            let legs: Vec<_> = (call * parties..(call + 1) * parties).map(LegId).collect();
            let others = |it: LegId| legs.iter().copied().filter(|other| *other != it).collect();
            let hears = |it: &LegId| Hears { listener: *it, speakers: others(*it) };
            it.order(&Order::Mix { hears: legs.iter().map(hears).collect() })?;
            if record {
                let (left, right) = (LegId(call * parties), LegId(call * parties + 1));
                let recording = RecordingId::new(&format!("r{call}"));
                let path = format!("{call}.wav");
                it.order(&Order::Record { recording, path, left, right })?;
            }
        }
        it.order(&Order::Hello { version: VERSION })?;
        it.event()?;
        it.kernel = cpu::slab()?.saturating_sub(before);
        Ok(it)
    }

    fn open(&mut self, leg: usize, context: ContextId, socket: Outlet, srtp: bool) -> Result<()> {
        let offer = offer(&socket, srtp.then_some(&OUR_KEY))?;
        self.order(&Order::Open {
            leg: LegId(leg as u64),
            offer: Some(offer),
            profile: Profile::Plain,
            context,
        })?;
        let event = self.event()?;
        let Event::Opened { sdp, .. } = event else { bail!("a leg is refused: {event:?}") };
        let line = sdp.lines().find_map(|it| it.strip_prefix("m=audio "));
        let port = line.and_then(|it| it.split(' ').next()).context("the answer has a port")?;
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
        if srtp {
            let key = sdp.lines().find_map(|it| it.split_once("inline:"));
            let theirs = STANDARD.decode(key.context("the answer has a key")?.1.trim())?;
            socket.secure(&OUR_KEY, &theirs).context("the keys are of the right length")?;
        }
        self.legs.push((Rc::new(socket), to));
        Ok(())
    }

    fn order(&mut self, order: &Order) -> Result<()> {
        let body = borsh::to_vec(order)?;
        self.link.write_all(&u32::try_from(body.len())?.to_be_bytes())?;
        self.link.write_all(&body)?;
        Ok(())
    }

    /// The next event that an order leads to.
    fn event(&mut self) -> Result<Event> {
        loop {
            let event = self.any_event()?;
            if !matches!(event, Event::Figures(_) | Event::Hearing { .. } | Event::Room { .. }) {
                return Ok(event);
            }
        }
    }

    fn any_event(&mut self) -> Result<Event> {
        let mut length = [0; 4];
        self.link.read_exact(&mut length)?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.link.read_exact(&mut body)?;
        Ok(borsh::from_slice(&body)?)
    }
}

impl Relay for Engine {
    fn kernel(&self) -> u64 {
        self.kernel
    }

    fn counts(&mut self) -> Result<Option<Counts>> {
        let stdin = self.child.stdin.as_mut().context("the engine has an input")?;
        stdin.write_all(b"\n")?;
        let stdout = self.child.stdout.as_mut().context("the engine has an output")?;
        let mut line = String::new();
        // One line for each question: nothing is lost with the reader's buffer.
        BufReader::new(stdout).read_line(&mut line)?;
        let (system_calls, allocations) = line.trim().split_once(' ').context("two numbers")?;
        let (system_calls, allocations) = (system_calls.parse()?, allocations.parse()?);
        Ok(Some(Counts { system_calls, allocations }))
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn flows(&mut self) -> Vec<Flow> {
        if self.parties > 2 {
            let flow = |(own, to): &(Rc<Outlet>, SocketAddr)| Flow::mixed(Rc::clone(own), *to);
            return self.legs.iter().map(flow).collect();
        }
        Flow::pairs(&self.legs)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // What is left in the directory for temporary files harms nobody.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        let _socket = fs::remove_file(&self.path);
        let _recordings = fs::remove_dir_all(self.path.with_extension("recordings"));
    }
}
