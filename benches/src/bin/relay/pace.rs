//! The generator: 50 packets a second and flow, spread over the 20 ms, each with its number and
//! the time it was sent. It sleeps between steps and looks for what came back; it never waits for
//! a packet, so that no relay pays for waking it. When a packet came is stamped by the kernel.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use hotline_base::Random;
use hotline_rtp::{HEADER_LEN, Header, MediaTime, parse, write_header};
use rustix::{
    thread::clock_nanosleep_absolute,
    time::{ClockId, Timespec, clock_gettime},
};

use crate::outlet::{Outlet, wall_ns};

/// Steps in 20 ms.
const STEPS: u64 = 80;

const STEP: Duration = Duration::from_micros(250);

/// Steps after which a packet is looked for no longer, until the next one of its flow.
const LOOK: u64 = 240;

/// Steps until the first look into the socket of one leg, and between others. A thousand calls leave
/// no time for more.
const LOOK_FIRST: u64 = 4;
const LOOK_EVERY: u64 = 8;

/// A sample in A-law that nobody takes for silence.
const LOUD: u8 = 0x2A;

/// How long stragglers of the window are waited for.
const AFTER: Duration = Duration::from_millis(300);

/// One party's audio: where it is sent from and to, and where it comes out.
#[derive(Debug)]
pub(crate) struct Flow {
    from: Rc<Outlet>,
    to: SocketAddr,
    out: Rc<Outlet>,
    sequence: u16,
    highest: Option<u16>,
    /// What comes out is a sum: counted, but nobody's packet.
    mixed: bool,
}

/// What the generator saw of one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// To be sent in the window; sent; and how many of these came back.
    pub(crate) asked: u64,
    pub(crate) sent: u64,
    pub(crate) back: u64,
    /// Came back in the window: what the relay's time is divided by.
    pub(crate) delivered: u64,
    pub(crate) doubled: u64,
    pub(crate) reordered: u64,
    /// One-way delay through the relay, in microseconds, sorted.
    pub(crate) delays: Vec<u32>,
    /// The generator's own latest step, in microseconds.
    pub(crate) late_max: u32,
}

impl Flow {
    pub(crate) const fn new(from: Rc<Outlet>, to: SocketAddr, out: Rc<Outlet>) -> Self {
        Self { from, to, out, sequence: 0, highest: None, mixed: false }
    }

    /// Both directions of calls whose two legs follow each other.
    pub(crate) fn pairs(legs: &[(Rc<Outlet>, SocketAddr)]) -> Vec<Self> {
        let pairs = legs.chunks_exact(2).filter_map(|it| Some((it.first()?, it.last()?)));
        let flow = |from: &(Rc<Outlet>, SocketAddr), to: &(Rc<Outlet>, SocketAddr)| {
            Self::new(Rc::clone(&from.0), from.1, Rc::clone(&to.0))
        };
        pairs.flat_map(|(left, right)| [flow(left, right), flow(right, left)]).collect()
    }

    /// A party who hears the sum of others at its own socket.
    pub(crate) fn mixed(own: Rc<Outlet>, to: SocketAddr) -> Self {
        Self { mixed: true, ..Self::new(Rc::clone(&own), to, own) }
    }
}

struct Clock {
    epoch: Instant,
    start: Duration,
}

impl Clock {
    fn new() -> Self {
        let it = clock_gettime(ClockId::Monotonic);
        let secs = u64::try_from(it.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(it.tv_nsec).unwrap_or(0);
        Self { epoch: Instant::now(), start: Duration::new(secs, nanos) }
    }

    fn sleep_until(&self, at: Duration) {
        if let Ok(at) = Timespec::try_from(self.start + at) {
            // Interrupted is early; the next step makes up for it.
            let _interrupted = clock_nanosleep_absolute(ClockId::Monotonic, &at);
        }
    }
}

/// Sends and receives: `warm` unmeasured, then `window`; `mark` is called at both its ends.
pub(crate) fn run(
    flows: &mut [Flow],
    warm: Duration,
    window: Duration,
    mut mark: impl FnMut(),
) -> Seen {
    let mut random = Random::new(42);
    let mut by_place: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for flow in 0..flows.len() {
        by_place.entry(random.below(STEPS)).or_default().push(flow);
    }
    let mut seen = Seen::default();
    let mut wanted: Vec<(usize, u16, u64)> = Vec::with_capacity(flows.len() * 4);
    let clock = Clock::new();
    let (begin, end, window_ms) = (warm, warm + window, window.as_millis());
    let mut marked = 0;
    for step in 0.. {
        let due = STEP * u32::try_from(step).unwrap_or(u32::MAX);
        clock.sleep_until(due);
        let now = clock.epoch.elapsed();
        let late = u32::try_from((now.saturating_sub(due)).as_micros()).unwrap_or(u32::MAX);
        if (begin..end).contains(&now) {
            seen.late_max = seen.late_max.max(late);
        }
        for edge in [begin, end].iter().skip(marked).take(1) {
            if now >= *edge {
                mark();
                marked += 1;
            }
        }
        if now > end + AFTER {
            break;
        }
        let mut window = Window { begin, end, clock: &clock, seen: &mut seen };
        for flow in by_place.get(&(step % STEPS)).into_iter().flatten() {
            if let Some(it) = flows.get_mut(*flow) {
                window.send(it, *flow);
                wanted.push((*flow, it.sequence, step));
            }
        }
        wanted.retain(|(flow, sequence, since)| {
            let Some(it) = flows.get(*flow) else { return false };
            let (out, mixed) = (Rc::clone(&it.out), it.mixed);
            if mixed {
                // What came since the last time: one packet, and nobody's in particular.
                window.receive(&out, None, flows);
                return false;
            }
            let shared = out.shared;
            let age = step - since;
            let look = age == LOOK_FIRST || age.is_multiple_of(LOOK_EVERY) && age > 0;
            if !shared && !look {
                return true;
            }
            if out.is_due(step) {
                window.receive(&out, (!shared).then_some(*sequence), flows);
            }
            let back = flows.get(*flow).is_some_and(|it| it.highest == Some(*sequence));
            !back && age < LOOK
        });
    }
    seen.asked = flows.len() as u64 * u64::try_from(window_ms / 20).unwrap_or(0);
    seen.delays.sort_unstable();
    seen
}

/// Sleeps for `time`, with nothing on the wire.
pub(crate) fn drain(flows: &mut [Flow], time: Duration) {
    assert!(flows.is_empty(), "an idle relay has no flows");
    Clock::new().sleep_until(time);
}

struct Window<'a> {
    begin: Duration,
    end: Duration,
    clock: &'a Clock,
    seen: &'a mut Seen,
}

impl Window<'_> {
    fn send(&mut self, flow: &mut Flow, idx: usize) {
        let now = self.clock.epoch.elapsed();
        // Silence is relayed like all else, but may be left out of a sum.
        let mut packet = [if flow.mixed { LOUD } else { 0x55 }; HEADER_LEN + 160];
        flow.sequence = flow.sequence.wrapping_add(1);
        let ssrc = u32::try_from(idx).unwrap_or(u32::MAX);
        let header = Header {
            marker: false,
            payload_type: 8,
            sequence: flow.sequence,
            timestamp: MediaTime(u32::from(flow.sequence) * 160),
            ssrc,
        };
        write_header(&mut packet, &header);
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let number = u64::from(ssrc) << 16 | u64::from(flow.sequence);
        let words = [nanos, number, wall_ns()].map(u64::to_be_bytes);
        let payload = packet.iter_mut().skip(HEADER_LEN);
        for (to, from) in payload.zip(words.as_flattened()) {
            *to = *from;
        }
        let sent = flow.from.send(&packet, flow.to);
        if sent && (self.begin..self.end).contains(&now) {
            self.seen.sent += 1;
        }
    }

    /// Reads what came out of a socket, as far as packet `until` or until it is empty.
    fn receive(&mut self, out: &Outlet, until: Option<u16>, flows: &mut [Flow]) {
        let mixed = flows.first().is_some_and(|it| it.mixed);
        let mut buffer = [0; 2_000];
        while let Some((n, came)) = out.receive(&mut buffer) {
            let now = self.clock.epoch.elapsed();
            let Some(bytes) = buffer.get(..n) else { continue };
            let Ok(packet) = parse(bytes) else { continue };
            if mixed {
                let counts = u64::from((self.begin..self.end).contains(&now));
                self.seen.delivered += counts;
                self.seen.back += counts;
                continue;
            }
            let payload = bytes.get(packet.payload).unwrap_or_default();
            let Some(words) = payload.first_chunk::<24>() else { continue };
            let mut words = words.as_chunks::<8>().0.iter().copied().map(u64::from_be_bytes);
            let mut word = || words.next().unwrap_or(0);
            let (sent, number, left) = (Duration::from_nanos(word()), word(), word());
            let idx = usize::try_from(number >> 16).unwrap_or(usize::MAX);
            let sequence = u16::try_from(number & 0xFFFF).unwrap_or(0);
            let Some(flow) = flows.get_mut(idx) else { continue };
            let ahead = flow.highest.map_or(1, |it| sequence.wrapping_sub(it));
            if ahead == 0 {
                self.seen.doubled += 1;
                continue;
            } else if ahead > u16::MAX / 2 {
                self.seen.reordered += 1;
            } else {
                flow.highest = Some(sequence);
            }
            if (self.begin..self.end).contains(&now) {
                self.seen.delivered += 1;
            }
            if (self.begin..self.end).contains(&sent) {
                self.seen.back += 1;
                let delay = came.saturating_sub(left) / 1_000;
                self.seen.delays.push(u32::try_from(delay).unwrap_or(u32::MAX));
            }
            if until == Some(sequence) {
                break;
            }
        }
    }
}
