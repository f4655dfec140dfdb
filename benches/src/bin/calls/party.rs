//! One socket full of telephones: all of a carrier's callers, or all of an office's agents. No
//! audio is sent; what the engine sends goes to a socket that nobody reads.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use hotline_base::{Extension, LegId, MonoTime, Now, WallTime};
use hotline_sip::{
    Account, Admit, Config, Dial, Endpoint, Event, Flow, HangUp, Message, Output, Transport,
};

use crate::wire::{Wire, wait_for, wall_ns};

pub(crate) const ENGINE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(crate) const CARRIER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
pub(crate) const OFFICE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
pub(crate) const PASSWORD: &str = "bench";

/// Telephones that register together: each waits for the engine's disk, which may be busy with what
/// the run before has left.
const AT_ONCE: usize = 16;

pub(crate) struct Party {
    wire: Wire,
    sink: UdpSocket,
    endpoint: Endpoint,
    flow: Flow,
    birth: Instant,
    events: Vec<Heard>,
}

/// What a telephone heard, and when its datagram reached the socket, in nanoseconds since 1970:
/// the kernel's stamp, so that the wait for this program is not in it.
pub(crate) type Heard = (u64, Event);

impl Party {
    pub(crate) fn bind(ip: IpAddr, engine: SocketAddr) -> Result<Self> {
        Self::on(Wire::bind(ip)?, engine)
    }

    /// On a socket that was there before the engine.
    pub(crate) fn on(wire: Wire, engine: SocketAddr) -> Result<Self> {
        let (local, ip) = (wire.address, wire.address.ip());
        let config = Config::new("hotline", ip, [7; 32]);
        let flow = Flow { transport: Transport::Udp, local, remote: engine, conn: None };
        Ok(Self {
            endpoint: Endpoint::new(config, wall_ns(), 1),
            wire,
            sink: UdpSocket::bind((ip, 0))?,
            flow,
            birth: Instant::now(),
            events: Vec::new(),
        })
    }

    /// Registers telephones and waits until all are.
    pub(crate) fn register(&mut self, n: usize) -> Result<()> {
        let account = Account::new(PASSWORD);
        let end = Instant::now() + Duration::from_secs(30);
        let (mut n_asked, mut n_done) = (0, 0);
        while n_done < n {
            // The first comes alone: strangers in a crowd are banned.
            let at_once = if n_done == 0 { 1 } else { AT_ONCE };
            while n_asked < n.min(n_done + at_once) {
                let extension = Extension::new(&(80_000 + n_asked).to_string());
                let (flow, now) = (self.flow, self.now());
                let expires = Duration::from_hours(1);
                self.endpoint.register(&extension, &account, flow, expires, now);
                n_asked += 1;
            }
            self.flush()?;
            anyhow::ensure!(Instant::now() < end, "the telephones cannot register");
            wait(&[self], Duration::from_millis(100))?;
            let heard = self.turn()?;
            for it in heard {
                if let Event::RegisterDone { ok, status, .. } = it.1 {
                    anyhow::ensure!(ok, "a telephone may not register: {status}");
                    n_done += 1;
                }
            }
        }
        Ok(())
    }

    /// A call to 12345.
    pub(crate) fn dial(&mut self, number: &str) -> Result<LegId> {
        let leg = self.endpoint.new_leg();
        let dial = Dial {
            target: format!("sip:12345@{}", self.flow.remote),
            flow: self.flow,
            from_display: String::new(),
            from_user: number.to_owned(),
            sdp: self.sdp()?,
            headers: Vec::new(),
            ring_limit: None,
            silence_limit: None,
            from_host: None,
            credentials: None,
        };
        self.endpoint.dial(leg, dial, self.now());
        self.flush()?;
        Ok(leg)
    }

    /// 180.
    pub(crate) fn ring(&mut self, leg: LegId) -> Result<()> {
        let now = self.now();
        self.endpoint.ring(leg, None, now);
        self.flush()
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.wire.address
    }

    /// Datagrams in and out so far.
    pub(crate) fn n_messages(&self) -> u64 {
        self.wire.n_datagrams.get()
    }

    pub(crate) fn answer(&mut self, leg: LegId) -> Result<()> {
        let (sdp, now) = (self.sdp()?, self.now());
        self.endpoint.answer(leg, sdp, now);
        self.flush()
    }

    pub(crate) fn hang_up(&mut self, leg: LegId) -> Result<()> {
        let now = self.now();
        self.endpoint.hang_up(leg, HangUp { status: 480, reason: None }, now);
        self.flush()
    }

    /// Takes all that has come, lets timers fire, and says what happened.
    pub(crate) fn turn(&mut self) -> Result<Vec<Heard>> {
        let mut buffer = vec![0; hotline_sip::MESSAGE_MAX];
        while let Some((at, n)) = self.wire.receive(&mut buffer)? {
            if let Ok(message) = Message::parse(buffer.get(..n).unwrap_or_default()) {
                let (flow, now) = (self.flow, self.now());
                self.endpoint.handle_message(flow, message, Admit::Trusted, now);
            }
            self.flush_at(at)?;
        }
        let now = self.now();
        if self.endpoint.poll_timeout().is_some_and(|it| it.0 <= now.mono) {
            self.endpoint.handle_timeout(now);
            self.flush()?;
        }
        Ok(std::mem::take(&mut self.events))
    }

    fn flush(&mut self) -> Result<()> {
        self.flush_at(wall_ns())
    }

    fn flush_at(&mut self, at: u64) -> Result<()> {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { flow, bytes } => {
                    self.wire.send(&bytes, flow.remote)?;
                }
                Output::Event(event) => self.events.push((at, event)),
            }
        }
        Ok(())
    }

    /// A packet of audio to where a description says, the `n`th there: silence, A-law.
    pub(crate) fn speak(&self, to: &str, n: u16) -> Result<()> {
        self.send_rtp(to, 8, u32::from(n).wrapping_mul(160), n, &[0xD5; 160])
    }

    /// A key of 100 ms in as many packets as are sent for one (RFC 4733 §2.5), from the `n`th on.
    pub(crate) fn press(&self, to: &str, key: u8, n: u16) -> Result<()> {
        let stamp = u32::from(n).wrapping_mul(160);
        for (ago, duration) in [160_u16, 320, 480, 640, 800, 800, 800].into_iter().enumerate() {
            // The last three say that it has ended; its volume is 10 dB below full.
            let volume = if ago < 4 { 0x0A } else { 0x8A };
            let [high, low] = duration.to_be_bytes();
            let number = n.wrapping_add(u16::try_from(ago)?);
            self.send_rtp(to, 101, stamp, number, &[key, volume, high, low])?;
        }
        Ok(())
    }

    fn send_rtp(&self, to: &str, kind: u8, stamp: u32, n: u16, payload: &[u8]) -> Result<()> {
        let find = |name: &str| to.lines().find_map(|it| it.strip_prefix(name));
        let ip: IpAddr = find("c=IN IP4 ").context("an address")?.trim().parse()?;
        let port = find("m=audio ").and_then(|it| it.split(' ').next()).context("a port")?;
        let mut packet = vec![0x80, kind];
        packet.extend(n.to_be_bytes().into_iter().chain(stamp.to_be_bytes()).chain([0, 0, 0, 1]));
        packet.extend(payload);
        self.sink.send_to(&packet, (ip, port.parse()?))?;
        Ok(())
    }

    fn sdp(&self) -> Result<String> {
        let address = self.sink.local_addr()?;
        let (ip, port) = (address.ip(), address.port());
        Ok(format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
        ))
    }

    fn now(&self) -> Now {
        let mono = u64::try_from(self.birth.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let wall = i64::try_from(wall_ns() / 1_000_000).unwrap_or(i64::MAX);
        Now { mono: MonoTime(mono), wall: WallTime(wall) }
    }
}

/// Sleeps until something comes for one of them or a timer is due, no longer than `most`.
pub(crate) fn wait(all: &[&Party], most: Duration) -> Result<()> {
    let due = all.iter().filter_map(|it| {
        let (at, _) = it.endpoint.poll_timeout()?;
        Some(at.since(it.now().mono))
    });
    let most = due.min().map_or(most, |it| it.min(most));
    let wires: Vec<_> = all.iter().map(|it| &it.wire).collect();
    wait_for(&wires, most)
}
