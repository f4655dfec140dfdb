//! Callers in numbers who take little of the machine that they share with the engine: each calls,
//! is refused or answered, and hears that the other side hangs up. Written by hand instead of by an
//! endpoint: there is nothing that such a caller does not know beforehand.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    crowd::Seen,
    late::Late,
    overload::REFUSAL_MAX_MS,
    party::CARRIER,
    wire::{self, Wire, wall_ns},
};

/// T1 of RFC 3261 §17.1.1.2; an INVITE is said again after it, and after twice as long each time.
const T1: Duration = Duration::from_millis(500);
const REPEATS_MAX: u32 = 6;

pub(crate) struct Throng {
    wire: Wire,
    /// Where their audio goes: nobody listens.
    sink: Wire,
    engine: SocketAddr,
    /// Of the first call in `calls`; the numbers of all calls rise.
    first: u64,
    calls: VecDeque<Call>,
    /// When an INVITE is due once more: calls by how often theirs was repeated, in order of time.
    repeats: [VecDeque<(Instant, u64)>; REPEATS_MAX as usize],
    n_open: usize,
    pub(crate) n_repeated: u64,
    pub(crate) seen: Seen,
}

#[derive(Clone, Copy, PartialEq)]
enum Call {
    /// Since then, in nanoseconds since 1970.
    Calls(u64),
    /// Since when, and since its provisional answer, which stops the repetitions.
    Waits(u64, u64),
    Talks,
    Over,
}

impl Throng {
    pub(crate) fn new(engine: SocketAddr) -> Result<Self> {
        Ok(Self {
            wire: Wire::bind(CARRIER)?,
            sink: Wire::bind(CARRIER)?,
            engine,
            first: 10_000_000,
            calls: VecDeque::new(),
            repeats: std::array::from_fn(|_| VecDeque::new()),
            n_open: 0,
            n_repeated: 0,
            seen: Seen::default(),
        })
    }

    /// Calls evenly at this rate for so long.
    pub(crate) fn call(&mut self, per_sec: f64, span: Duration) -> Result<()> {
        let (begin, mut n) = (Instant::now(), 0_u32);
        while begin.elapsed() < span {
            let due = Duration::from_secs_f64(f64::from(n) / per_sec);
            match due.checked_sub(begin.elapsed()) {
                None => {
                    self.dial()?;
                    n += 1;
                    // A burst must not keep answers waiting.
                    if n.is_multiple_of(16) {
                        self.hear(Duration::ZERO)?;
                    }
                }
                // No more often than this: to wake for each call would cost as much as the call.
                Some(left) => {
                    let left = left.max(Duration::from_millis(1));
                    self.hear(left.min(span.saturating_sub(begin.elapsed())))?;
                }
            }
        }
        Ok(())
    }

    /// Waits until all have ended, no longer than this.
    pub(crate) fn settle(&mut self, most: Duration) -> Result<()> {
        let end = Instant::now() + most;
        while self.n_open > 0 && Instant::now() < end {
            self.hear(Duration::from_millis(20))?;
        }
        Ok(())
    }

    /// What was seen since the last time.
    pub(crate) fn take(&mut self) -> Seen {
        std::mem::take(&mut self.seen)
    }

    /// Datagrams that found no room in the callers' socket.
    pub(crate) fn n_lost(&self) -> Result<u64> {
        wire::n_lost(self.wire.address)
    }

    fn dial(&mut self) -> Result<()> {
        let n = self.first + self.calls.len() as u64;
        self.calls.push_back(Call::Calls(wall_ns()));
        self.n_open += 1;
        self.seen.dialled += 1;
        self.invite(n, 0)
    }

    fn invite(&mut self, n: u64, repeated: u32) -> Result<()> {
        let text = self.request("INVITE", 'i', n, "");
        self.wire.send(text.as_bytes(), self.engine)?;
        if let Some(later) = self.repeats.get_mut(repeated as usize) {
            later.push_back((Instant::now() + T1 * (1 << repeated), n));
        }
        Ok(())
    }

    fn request(&self, method: &str, branch: char, n: u64, to_tag: &str) -> String {
        let (engine, own, sink) = (self.engine, self.wire.address, self.sink.address);
        let (sdp, kind) = if method == "INVITE" {
            let (ip, port) = (sink.ip(), sink.port());
            let sdp = format!(
                "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
                 m=audio {port} RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
            );
            (sdp, "Content-Type: application/sdp\r\n")
        } else {
            (String::new(), "")
        };
        format!(
            "{method} sip:12345@{engine} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {own};branch=z9hG4bK{branch}{n};rport\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:139{n}@{own}>;tag=t{n}\r\n\
             To: <sip:12345@{engine}>{to_tag}\r\n\
             Call-ID: throng-{n}@bench\r\n\
             CSeq: 1 {method}\r\n\
             Contact: <sip:throng@{own}>\r\n\
             Allow: INVITE, ACK, BYE, CANCEL\r\n{kind}\
             Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        )
    }

    /// Waits for what comes, no longer than this, and says again what was not answered.
    pub(crate) fn hear(&mut self, most: Duration) -> Result<()> {
        self.wire.wait(most)?;
        let mut buffer = [0; 4_096];
        while let Some((at, n)) = self.wire.receive(&mut buffer)? {
            let bytes = buffer.get(..n).unwrap_or_default();
            self.take_in(at, std::str::from_utf8(bytes)?)?;
        }
        let now = Instant::now();
        for repeated in 0..REPEATS_MAX {
            while let Some((_, n)) = self
                .repeats
                .get_mut(repeated as usize)
                .and_then(|it| it.pop_front_if(|it| it.0 <= now))
            {
                if matches!(self.state(n), Some(Call::Calls(_))) {
                    self.n_repeated += 1;
                    self.invite(n, repeated + 1)?;
                }
            }
        }
        Ok(())
    }

    fn state(&mut self, n: u64) -> Option<&mut Call> {
        self.calls.get_mut(usize::try_from(n.checked_sub(self.first)?).ok()?)
    }

    fn take_in(&mut self, at: u64, text: &str) -> Result<()> {
        let id = header(text, "Call-ID: ").context("a Call-ID")?;
        let n = id.strip_prefix("throng-").and_then(|it| it.split('@').next());
        let n: u64 = n.context("our Call-ID")?.parse()?;
        let state = *self.state(n).context("our call")?;
        let next = if let Some(status) = text.strip_prefix("SIP/2.0 ") {
            let status: u16 = status.get(..3).unwrap_or_default().parse()?;
            self.answered(n, state, (status, text), at)?
        } else if text.starts_with("BYE ") {
            self.reply(text)?;
            if state == Call::Talks {
                self.seen.completed += 1;
                self.n_open -= 1;
            }
            Call::Over
        } else {
            state
        };
        *self.state(n).context("our call")? = next;
        Ok(())
    }

    fn answered(
        &mut self,
        n: u64,
        state: Call,
        (status, text): (u16, &str),
        at: u64,
    ) -> Result<Call> {
        let (since, taken) = match state {
            Call::Calls(since) => (since, None),
            Call::Waits(since, taken) => (since, Some(taken)),
            Call::Talks | Call::Over => {
                if status >= 200 {
                    self.acknowledge(n, text)?;
                }
                return Ok(state);
            }
        };
        if status < 200 {
            return Ok(Call::Waits(since, taken.unwrap_or(at)));
        }
        self.acknowledge(n, text)?;
        let millis = at.saturating_sub(since) as f64 / 1e6;
        if status == 200 {
            self.seen.set_up.push(millis);
            return Ok(Call::Talks);
        }
        self.n_open -= 1;
        if status == 503 {
            self.seen.refused += 1;
            self.seen.refusal.push(millis);
            if millis > REFUSAL_MAX_MS {
                self.seen.late.push(Late { asked: since, taken, answered: at });
            }
        } else {
            self.seen.failed += 1;
        }
        Ok(Call::Over)
    }

    fn acknowledge(&mut self, n: u64, answer: &str) -> Result<()> {
        let to = header(answer, "To: ").unwrap_or_default();
        let tag = to.find(";tag=").and_then(|it| to.get(it..)).unwrap_or_default();
        // That of a refusal is of the INVITE's transaction (RFC 3261 §17.1.1.3).
        let branch = if answer.starts_with("SIP/2.0 2") { 'a' } else { 'i' };
        let text = self.request("ACK", branch, n, tag);
        self.wire.send(text.as_bytes(), self.engine)
    }

    /// 200 to a BYE.
    fn reply(&mut self, request: &str) -> Result<()> {
        let mut text = "SIP/2.0 200 OK\r\n".to_owned();
        for name in ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "] {
            let value = header(request, name).with_context(|| format!("a BYE has no {name}"))?;
            text.extend([name, value, "\r\n"]);
        }
        text += "Content-Length: 0\r\n\r\n";
        self.wire.send(text.as_bytes(), self.engine)
    }
}

fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|it| it.strip_prefix(name))
}
