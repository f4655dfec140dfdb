//! Messages out of one connection's bytes, and what is done when they cannot be told apart.
//!
//! A bad message whose end is known is answered and passed over. Where the next one begins is
//! unknown after a Content-Length that is no single number, or a head without an end: a stranger's
//! connection is then closed, for he could make the engine take his bytes for another's; the
//! connection of a trunk or a telephone stays, and is followed again from the next start line.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use hotline_sip::{Flow, Message, PeerMisbehaved, StreamStep, Transport, next_start, split_stream};
use tokio::sync::mpsc;

use crate::{
    Count, NetInput,
    gate::Verdict,
    keepalive::PONG,
    router::Note,
    stream::{MALFORMED_MAX, Pulse, Shared},
    udp::parse,
};

/// A message that claims to be longer than this is taken to lie about its end.
const SKIP_MAX: usize = 1 << 20;

/// What a connection takes before anything is half done on it: its task and its place among the
/// others.
const EACH: usize = 6 << 10;

/// What TLS may hold of a peer besides: a record in and a record out (RFC 8446 §5.1).
const RECORDS: usize = 34 << 10;

/// A connection's share of what all connections have sent and nobody has taken yet.
#[derive(Debug)]
pub(crate) struct Held {
    all: Arc<AtomicUsize>,
    own: usize,
    always: usize,
}

impl Held {
    pub(crate) fn new(all: &Arc<AtomicUsize>, transport: Transport) -> Self {
        let always = match transport {
            Transport::Udp | Transport::Tcp | Transport::Ws => EACH,
            Transport::Tls | Transport::Wss => EACH + RECORDS,
        };
        let mut it = Self { all: Arc::clone(all), own: 0, always };
        it.set(0);
        it
    }

    /// The connection holds so many bytes of messages from now on; how many are held by all.
    pub(crate) fn set(&mut self, messages: usize) -> usize {
        self.change(messages + self.always)
    }

    fn change(&mut self, own: usize) -> usize {
        let before = std::mem::replace(&mut self.own, own);
        self.all.fetch_sub(before, Relaxed);
        self.all.fetch_add(own, Relaxed) + own
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.change(0);
    }
}

/// What a connection has sent and nobody has taken yet.
pub(crate) struct Reading {
    pub(crate) flow: Flow,
    pub(crate) buffer: Vec<u8>,
    /// When the last of it was read.
    pub(crate) read: Instant,
    /// A whole message came.
    pub(crate) heard: bool,
    state: State,
    n_malformed: u32,
    /// Half a message was there when time was last looked at.
    stale: bool,
    /// The last thing that came was half a ping.
    half_ping: bool,
    pong: mpsc::WeakSender<Arc<[u8]>>,
    held: Held,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// The buffer begins with a message.
    Framed,
    /// So many bytes belong to a message that is not taken.
    Skipping(usize),
    /// The next message begins somewhere.
    Lost,
}

pub(crate) enum Frames {
    Continue { message: bool },
    Close,
}

/// What is next in the buffer.
enum Step {
    /// Nothing until more comes.
    Wait,
    /// So many bytes are done with.
    Done(usize),
    Input(usize, NetInput),
    Close,
}

impl Reading {
    pub(crate) fn new(flow: Flow, pong: mpsc::WeakSender<Arc<[u8]>>, held: Held) -> Self {
        Self {
            flow,
            buffer: Vec::new(),
            read: Instant::now(),
            heard: false,
            state: State::Framed,
            n_malformed: 0,
            stale: false,
            half_ping: false,
            pong,
            held,
        }
    }

    /// Whether what is unfinished may be kept: a stranger's not, when all connections together
    /// hold too much.
    pub(crate) fn has_room(&mut self, shared: &Shared) -> bool {
        let held = self.held.set(self.buffer.capacity());
        held <= shared.config.flood.buffered_max
            || self.buffer.is_empty()
            || shared.gate.is_known(self.flow.remote.ip())
    }

    /// Takes every whole frame out of the buffer.
    pub(crate) async fn frames(&mut self, pulse: &Pulse, shared: &Shared) -> Frames {
        let mut at = 0;
        let mut message = false;
        loop {
            let input = match self.step(at, pulse, shared) {
                Step::Wait => break,
                Step::Done(n) => {
                    at += n;
                    continue;
                }
                Step::Input(n, input) => {
                    at += n;
                    input
                }
                Step::Close => return Frames::Close,
            };
            message = true;
            self.half_ping = false;
            if !std::mem::replace(&mut self.heard, true) {
                offer_alias(&input, shared);
            }
            let broken = matches!(input, NetInput::Broken { .. });
            self.n_malformed += u32::from(broken);
            if shared.to_control.send(input).await.is_err() {
                return Frames::Close;
            }
            if broken && self.is_given_up(shared) {
                return Frames::Close;
            }
        }
        self.buffer.drain(..at.min(self.buffer.len()));
        if self.buffer.is_empty() {
            self.buffer.shrink_to(0);
        }
        self.stale &= !message && !self.buffer.is_empty();
        Frames::Continue { message }
    }

    /// Whether a stranger has sent one bad message too many, or one that hides where the next
    /// begins.
    fn is_given_up(&self, shared: &Shared) -> bool {
        (self.state != State::Framed || self.n_malformed > MALFORMED_MAX)
            && !shared.gate.is_known(self.flow.remote.ip())
    }

    fn step(&mut self, at: usize, pulse: &Pulse, shared: &Shared) -> Step {
        let rest = self.buffer.get(at..).unwrap_or_default();
        match self.state {
            State::Skipping(0) => {
                self.state = State::Framed;
                Step::Done(0)
            }
            State::Skipping(_) if rest.is_empty() => Step::Wait,
            State::Skipping(left) => {
                let n = left.min(rest.len());
                self.state = State::Skipping(left - n);
                Step::Done(n)
            }
            State::Lost if rest.is_empty() => Step::Wait,
            State::Lost => match next_start(rest, shared.config.limits) {
                (n, true) => {
                    self.state = State::Framed;
                    shared.counters.add(Count::Resynchronised);
                    Step::Done(n)
                }
                (0, false) => Step::Wait,
                (n, false) => Step::Done(n),
            },
            State::Framed => self.framed(at, pulse, shared),
        }
    }

    fn framed(&mut self, at: usize, pulse: &Pulse, shared: &Shared) -> Step {
        let rest = self.buffer.get(at..).unwrap_or_default();
        match split_stream(rest, shared.config.limits) {
            StreamStep::NeedMore => Step::Wait,
            StreamStep::KeepAlive(n, is_ping) => {
                shared.counters.add(Count::KeepAlive);
                let answers_us = pulse.beat();
                // The second half of a ping may come later. The first is not kept back for it: it
                // may be the pong by which the connection lives.
                let is_half = !is_ping && rest.starts_with(PONG);
                let is_second = is_half && self.half_ping;
                self.half_ping = is_half && !is_second && !answers_us;
                if is_ping || is_second {
                    self.pong(shared);
                }
                Step::Done(n)
            }
            StreamStep::Frame(n) => match self.judge(shared) {
                Some(false) => Step::Close,
                Some(true) => {
                    let frame = rest.get(..n).unwrap_or_default();
                    shared.counters.add(Count::TcpReceived);
                    Step::Input(n, parse(frame, (self.flow, self.read), shared))
                }
                // Too many in this second; the frame is dropped as a datagram would be.
                None => Step::Done(n),
            },
            StreamStep::Broken { why, head, end } => self.broken(at, why, head, end, shared),
        }
    }

    fn broken(
        &mut self,
        at: usize,
        why: PeerMisbehaved,
        head: usize,
        end: Option<usize>,
        shared: &Shared,
    ) -> Step {
        if self.judge(shared) == Some(false) {
            return Step::Close;
        }
        shared.counters.add(Count::Malformed);
        let rest = self.buffer.get(at..).unwrap_or_default();
        let flow = self.flow;
        let (n, reply) = if head == 0 {
            (rest.len(), None)
        } else {
            let bytes = rest.get(..head).unwrap_or_default();
            (head, Message::answer_head(flow, bytes, why))
        };
        self.state = match end {
            Some(end) if end <= SKIP_MAX => State::Skipping(end - n.min(end)),
            Some(_) | None => State::Lost,
        };
        Step::Input(n, NetInput::Broken { flow, why, reply })
    }

    /// `Some(false)`: a banned source, whose connection ends. `None`: too many for this second.
    fn judge(&self, shared: &Shared) -> Option<bool> {
        let now = Instant::now();
        match shared.gate.judge(self.flow.remote, now) {
            Verdict::Known | Verdict::Stranger => Some(true),
            Verdict::Refused if shared.gate.is_banned(self.flow.remote.ip(), now) => Some(false),
            Verdict::Refused => None,
        }
    }

    /// Time has passed without a whole message from a known peer. If half a message was there the
    /// last time, too, what follows is not its other half.
    pub(crate) fn give_up_half(&mut self, shared: &Shared) {
        let stale = std::mem::replace(&mut self.stale, !self.buffer.is_empty());
        if stale && self.state == State::Framed {
            self.stale = false;
            shared.counters.add(Count::Malformed);
            self.buffer.clear();
            self.state = State::Lost;
        }
    }

    fn pong(&self, shared: &Shared) {
        let sent = self.pong.upgrade().is_some_and(|it| it.try_send(PONG.into()).is_ok());
        if !sent {
            shared.counters.add(Count::OutboxFull);
        }
    }
}

/// RFC 5923 §4: a known peer that says `alias` takes our requests to its own port by this
/// connection, too.
fn offer_alias(first: &NetInput, shared: &Shared) {
    let NetInput::Sip { flow, message, .. } = first else { return };
    let Some(via) = message.method().and_then(|_| message.top_via()) else { return };
    let ip = flow.remote.ip().to_canonical();
    let own = via.host_ip() == Some(ip) && shared.gate.is_known(ip);
    let (true, Some(_), Some(conn)) = (own, via.params.get("alias"), flow.conn) else { return };
    let port = via.port.unwrap_or(flow.transport.default_port());
    let note = Note::Alias { conn, remote: SocketAddr::new(ip, port) };
    // A full channel only means that a second connection may be opened.
    drop(shared.notes.try_send(note));
}
