//! What may happen to an endpoint, and what must be true whatever happens:
//!
//! - a leg ends exactly once, and nothing is said of it afterwards;
//! - a stranger gets at most one packet, never more bytes than he sent, and leaves nothing behind;
//! - one input leads to a bounded number of outputs;
//! - when everything is hung up, nothing is left two timeouts later.

mod peer;

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use hotline_base::{ConnId, Extension, LegId, MonoTime, Now, WallTime};
use hotline_sip::{
    Account, Admit, Challenges, Config, Dial, Endpoint, Event, Flow, HangUp, Message, Output,
    Transport,
};

use self::peer::Peer;
use crate::trace::Trace;

/// What the peers and the engine do; `turn` says how each uses its numbers.
pub(super) const WORDS_OF_STORIES: &[&str] = &[
    "invite", "ask", "say", "wait", "sleep", "we", "dial", "gone", "register", "again", "garble",
    "restart",
];

/// No single input may lead to more.
const OUTPUTS_MAX: usize = 200;

/// Turns of the timers in one sleep.
const TURNS_MAX: usize = 300;

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                   m=audio 4000 RTP/AVP 8\r\n";

pub(super) struct Story {
    end: Endpoint,
    now: Now,
    seed: u64,
    peer: Peer,
    /// Legs that were said to be, the last one last.
    legs: Vec<LegId>,
    over: BTreeSet<LegId>,
    trace: Trace,
    last: Option<(Flow, Vec<u8>)>,
}

impl Story {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            end: Endpoint::new(config(), seed, 1),
            now: Now { mono: MonoTime(1), wall: WallTime(1_800_000_000_000) },
            seed,
            peer: Peer::default(),
            legs: Vec::new(),
            over: BTreeSet::new(),
            trace: Trace::new(),
            last: None,
        }
    }

    /// One line of a script.
    pub(super) fn turn(&mut self, word: &str, a: u16, b: u16) {
        match word {
            // A call comes in, in way `b`.
            "invite" => {
                let bytes = self.peer.invite(a, b);
                self.hear(flow(a), bytes, admit(b));
            }
            // A peer's request number `b` in call `a`.
            "ask" => {
                let it = self.peer.ask(a, b);
                self.maybe(it, b);
            }
            // A peer's response number `b` to our request `a`.
            "say" => {
                let it = self.peer.say(a, b);
                self.maybe(it, b);
            }
            // Until the next timer fires, `a` times and once more.
            "wait" => (0..=a % 8).for_each(|_| self.wait()),
            "sleep" => self.sleep(SLEEPS[usize::from(b) % SLEEPS.len()]),
            "we" => self.act(a, b),
            "dial" => self.dial(a, b),
            "gone" if b.is_multiple_of(2) => self.end.handle_connection_gone(ConnId(1), self.now),
            "gone" => self.end.handle_unreachable(flow(a), self.now),
            "register" => self.register(a, b),
            // The last message, once more.
            "again" => {
                let it = self.last.clone();
                self.maybe(it, b);
            }
            // The last message with byte number `a` changed.
            "garble" => {
                if let Some((flow, mut bytes)) = self.last.clone() {
                    let at = usize::from(a) % bytes.len().max(1);
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = b.to_le_bytes()[0];
                    }
                    self.hear(flow, bytes, admit(b));
                }
            }
            "restart" => self.restart(),
            _ => return,
        }
        self.drain(None);
    }

    /// Hangs up what is left, and waits until it must be over.
    pub(super) fn close(mut self) -> Trace {
        for leg in self.legs.clone() {
            self.end.hang_up(leg, hang_up(), self.now);
            self.drain(None);
        }
        // What began last may ring for three minutes and take two timeouts to go.
        for _ in 0..4 {
            self.sleep(Duration::from_secs(100));
        }
        assert_eq!((self.end.n_legs(), self.end.n_transactions()), (0, 0), "left behind");
        self.trace
    }

    fn maybe(&mut self, it: Option<(Flow, Vec<u8>)>, b: u16) {
        if let Some((flow, bytes)) = it {
            self.hear(flow, bytes, admit(b));
        }
    }

    fn hear(&mut self, flow: Flow, bytes: Vec<u8>, admit: Admit) {
        let n_bytes = bytes.len();
        let before = (self.end.n_legs(), self.end.n_transactions());
        let parsed = Message::parse_from(flow, &bytes, hotline_sip::Limits::new());
        self.last = Some((flow, bytes));
        match parsed {
            Ok(it) => {
                let is_request = it.status().is_none();
                self.end.handle_message(flow, it, admit, self.now);
                let stranger = admit == Admit::Stranger && flow.transport == Transport::Udp;
                let known = self.peer.is_known(flow);
                self.drain((stranger && is_request && !known).then_some(n_bytes));
                if stranger && is_request && !known {
                    assert!(self.end.n_legs() <= before.0 && self.end.n_transactions() <= before.1);
                }
            }
            Err(it) => {
                assert!(it.reply.is_none_or(|it| it.len() <= n_bytes));
                self.trace.note("malformed");
            }
        }
    }

    /// `asked`: how many bytes a stranger's datagram had.
    fn drain(&mut self, asked: Option<usize>) {
        let (mut n, mut n_sent, mut bytes_sent) = (0, 0, 0);
        while let Some(output) = self.end.poll_output() {
            n += 1;
            assert!(n <= OUTPUTS_MAX, "one input led to {n} outputs");
            match output {
                Output::Transmit { flow, bytes } => {
                    n_sent += 1;
                    bytes_sent += bytes.len();
                    let it = Message::parse(&bytes).expect("what we send can be read");
                    self.trace.note(it.known_method().name());
                    self.trace.note(&it.status().unwrap_or(0).to_string());
                    self.peer.hear(flow, it);
                }
                Output::Event(event) => self.note(&event),
            }
        }
        if let Some(asked) = asked {
            assert!(n_sent <= 1 && bytes_sent <= asked, "{n_sent}: {bytes_sent} for {asked}");
        }
    }

    fn note(&mut self, event: &Event) {
        let Some((name, leg)) = told(event) else { return self.trace.note("event") };
        self.trace.note(name);
        assert!(!self.over.contains(&leg), "{name} after the end of {leg:?}");
        if name == "ended" {
            self.over.insert(leg);
        } else if !self.legs.contains(&leg) {
            self.legs.push(leg);
        }
    }

    fn wait(&mut self) {
        if let Some((at, _)) = self.end.poll_timeout() {
            self.now = self.now + at.since(self.now.mono);
            self.end.handle_timeout(self.now);
            self.drain(None);
        }
    }

    fn sleep(&mut self, span: Duration) {
        let until = self.now + span;
        for _ in 0..TURNS_MAX {
            if self.end.poll_timeout().is_none_or(|it| it.0 > until.mono) {
                self.now = until;
                return;
            }
            self.wait();
        }
        panic!("{TURNS_MAX} timers within {span:?}");
    }

    /// What the engine wants of leg `a`.
    fn act(&mut self, a: u16, b: u16) {
        let at = usize::from(a) % self.legs.len().max(1);
        let Some(leg) = self.legs.iter().rev().nth(at).copied() else { return };
        let (now, sdp) = (self.now, SDP.to_owned());
        match b % 15 {
            0 => self.end.ring(leg, None, now),
            1 => self.end.ring(leg, Some(sdp), now),
            2 => self.end.answer(leg, sdp, now),
            3 => self.end.hang_up(leg, hang_up(), now),
            4 => self.end.reoffer(leg, sdp, now),
            5 => self.end.accept_offer(leg, sdp, now),
            6 => self.end.refuse_offer(leg, 488, now),
            7 => self.end.refuse(leg, 486, now),
            8 => self.end.ring_reliably(leg, sdp, now),
            9 => self.end.refuse_until(leg, None, Duration::from_secs(5), now),
            10 => self.end.watch(leg, b & 0x40 == 0, now),
            11 => self.end.answer_refer(leg, if b & 0x40 == 0 { 202 } else { 403 }, now),
            12 => self.end.refer_done(leg, 200, now),
            13 => self.end.refer(leg, "sip:1002@hotline", Some("a;to-tag=b;from-tag=c"), now),
            _ => self.end.abandon(leg, now),
        }
    }

    fn dial(&mut self, a: u16, b: u16) {
        let leg = self.end.new_leg();
        self.legs.push(leg);
        let how = |flow: Flow| Dial {
            target: "sip:12345@192.0.2.1:5060".to_owned(),
            flow,
            from_display: "张三".to_owned(),
            from_user: "13800138000".to_owned(),
            sdp: SDP.to_owned(),
            headers: vec![],
            ring_limit: b.is_multiple_of(2).then_some(Duration::from_secs(20)),
            silence_limit: b.is_multiple_of(3).then_some(Duration::from_secs(1)),
            from_host: None,
            credentials: None,
        };
        if b.is_multiple_of(5) {
            let began =
                self.end.dial_extension(leg, &extension(), |it| Some(how(it.flow)), self.now);
            if !began {
                self.legs.pop();
            }
        } else {
            self.end.dial(leg, how(flow(a)), self.now);
        }
    }

    fn register(&mut self, a: u16, b: u16) {
        match b % 8 {
            0 => {
                let account = Account::new("secret").with(Challenges::Sha256AndMd5);
                let long = Duration::from_secs(u64::from(a) * 60);
                self.end.register(&extension(), &account, flow(0), long, self.now);
            }
            1 => self.end.probe(u64::from(a), flow(a), Duration::from_secs(2), self.now),
            2 => self.end.probe(u64::from(a), flow(a), Duration::ZERO, self.now),
            _ => {
                let bytes = self.peer.register(b);
                self.hear(flow(a), bytes, admit(b));
            }
        }
    }

    /// Another process takes over what was saved.
    fn restart(&mut self) {
        let saved: Vec<_> = self.legs.iter().filter_map(|it| self.end.save(*it)).collect();
        // A later process never gives a number again.
        let first = self.end.new_leg().0;
        self.seed += 1;
        self.end = Endpoint::new(config(), self.seed, first);
        let mut kept = Vec::new();
        for it in &saved {
            let leg = self.end.restore(it, self.now).expect("what was saved is good");
            assert_eq!(self.end.restore(it, self.now), None, "twice");
            kept.push(leg);
        }
        self.legs = kept;
    }
}

const SLEEPS: [Duration; 7] = [
    Duration::from_millis(1),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(4),
    Duration::from_secs(33),
    Duration::from_secs(65),
    Duration::from_secs(100),
];

fn config() -> Config {
    let mut it = Config::new("hotline", "192.0.2.99".parse().expect("an address"), [3; 32]);
    it.accounts.insert(extension(), Account::new("secret"));
    it.session_expires = Duration::from_secs(90);
    it
}

fn extension() -> Extension {
    Extension::new("1001")
}

fn hang_up() -> HangUp {
    HangUp { status: 480, reason: Some("Q.850;cause=16".to_owned()) }
}

/// Even ways are of somebody known.
fn admit(b: u16) -> Admit {
    if b & 0x80 == 0 { Admit::Trusted } else { Admit::Stranger }
}

/// By which way number `a` goes.
fn flow(a: u16) -> Flow {
    let transport = if a & 1 == 0 { Transport::Udp } else { Transport::Tcp };
    Flow {
        transport,
        local: SocketAddr::from(([192, 0, 2, 99], 5060)),
        remote: SocketAddr::from(([192, 0, 2, 1], 5060)),
        conn: transport.is_reliable().then_some(ConnId(1)),
    }
}

/// What an event is called, and whose it is.
#[expect(clippy::wildcard_enum_match_arm, reason = "events of no leg have no leg to look after")]
fn told(event: &Event) -> Option<(&'static str, LegId)> {
    Some(match event {
        Event::Invited(it) => ("invited", it.leg),
        Event::Ringing { leg, .. } => ("ringing", *leg),
        Event::Answered { leg, .. } => ("answered", *leg),
        Event::Confirmed { leg } => ("confirmed", *leg),
        Event::Offered { leg, .. } => ("offered", *leg),
        Event::Reanswered { leg, .. } => ("reanswered", *leg),
        Event::ReofferRefused { leg, .. } => ("reoffer-refused", *leg),
        Event::Key { leg, .. } => ("key", *leg),
        Event::Changed { leg } => ("changed", *leg),
        Event::Ended { leg, .. } => ("ended", *leg),
        _ => return None,
    })
}
