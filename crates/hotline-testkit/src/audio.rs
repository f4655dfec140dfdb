//! The audio of one leg: a socket, a tick of 20 ms, an ear.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hotline_base::Random;
use hotline_sdp::Stream;
use tokio::{
    net::UdpSocket,
    sync::watch,
    task::AbortHandle,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{Heard, heard::Early, line::Line, reporter::Reporter};

/// One leg's audio; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Audio {
    shared: Arc<Shared>,
    local: SocketAddr,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Counts what happened, to wake those who wait.
    progress: watch::Sender<u64>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) stream: Option<Stream>,
    pub(crate) line: Line,
    pub(crate) heard: Heard,
    pub(crate) reporter: Reporter,
    /// When packets were sent.
    pub(crate) sent: Vec<Instant>,
    early: Early,
}

impl Audio {
    pub(crate) async fn open(ip: IpAddr, mut random: Random) -> io::Result<Self> {
        let (socket, reports) = bind(ip).await?;
        let local = socket.local_addr()?;
        let state = State {
            reporter: Reporter::new(random.next_u64()),
            stream: None,
            line: Line::new(random),
            heard: Heard::default(),
            sent: Vec::new(),
            early: Early::default(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), progress: watch::Sender::new(0) });
        let task = tokio::spawn(run(socket, reports, Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, local, task })
    }

    pub(crate) const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Audio flows as agreed from here on. What came before is heard now.
    pub(crate) fn settle(&self, stream: Stream) {
        let mut state = self.state();
        let State { stream: agreed, heard, early, .. } = &mut *state;
        for (bytes, from, at) in early.drain() {
            heard.note(&bytes, from, &stream, at);
        }
        *agreed = Some(stream);
    }

    /// Nothing is sent any more.
    pub(crate) fn stop(&self) {
        self.task.abort();
        self.shared.progress.send_modify(|it| *it += 1);
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn progress(&self) -> watch::Receiver<u64> {
        self.shared.progress.subscribe()
    }
}

impl Drop for Audio {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A port for RTP and the next one for RTCP (RFC 3550 §11), so that reports reach nobody else.
async fn bind(ip: IpAddr) -> io::Result<(UdpSocket, UdpSocket)> {
    const TRIES: usize = 50;
    let mut tries = 0;
    loop {
        let socket = UdpSocket::bind((ip, 0)).await?;
        let next = socket.local_addr()?.port().checked_add(1).unwrap_or(0);
        match UdpSocket::bind((ip, next)).await {
            Ok(reports) => return Ok((socket, reports)),
            Err(error) if tries == TRIES => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

async fn run(socket: UdpSocket, reports: UdpSocket, shared: Arc<Shared>) {
    let mut tick = interval(Duration::from_millis(20));
    // A late robot catches up, as a telephone with a clock of its own would.
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut buffer = vec![0; 2_048];
    let mut report = vec![0; 2_048];
    loop {
        tokio::select! {
            _ = tick.tick() => {
                let (to, packets) = shared.next_packets();
                for it in packets {
                    if let Some(to) = to {
                        // A lost packet is the network's way; the ear at the other end tells.
                        socket.send_to(&it, to).await.ok();
                    }
                }
                if let Some((report, to)) = shared.report() {
                    reports.send_to(&report, to).await.ok();
                }
            }
            received = reports.recv_from(&mut report) => {
                if let Ok((n, _)) = received {
                    shared.take_report(report.get(..n).unwrap_or_default());
                }
            }
            received = socket.recv_from(&mut buffer) => {
                if let Ok((n, from)) = received {
                    shared.note(buffer.get(..n).unwrap_or_default(), from);
                }
            }
        }
        shared.progress.send_modify(|it| *it += 1);
    }
}

impl Shared {
    fn next_packets(&self) -> (Option<SocketAddr>, Vec<Vec<u8>>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { stream, line, reporter, sent, .. } = &mut *state;
        let (to, mut packets) = line.next_packets(stream.as_ref());
        if !packets.is_empty() {
            sent.push(Instant::now());
        }
        packets.retain(|it| reporter.sends(it));
        (to, packets)
    }

    fn report(&self) -> Option<(Vec<u8>, SocketAddr)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let to = state.stream.as_ref()?.rtcp;
        Some((state.reporter.says()?, to))
    }

    fn take_report(&self, report: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.reporter.takes(report);
    }

    fn note(&self, bytes: &[u8], from: SocketAddr) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { stream, heard, early, reporter, .. } = &mut *state;
        let at = Instant::now();
        reporter.hears(bytes);
        match stream {
            Some(stream) => heard.note(bytes, from, stream, at),
            None => early.keep(bytes, from, at),
        }
    }
}
