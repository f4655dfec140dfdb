//! What a datagram costs that is dropped before it is read, and one that is let through.

#![expect(clippy::print_stdout, reason = "this is what a benchmark is for")]

use std::{
    hint::black_box,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use hotline_net::{Counters, Flood, Gate, Verdict};
use rustix::time::{ClockId, clock_gettime};

const N: u32 = 2_000_000;

fn main() -> anyhow::Result<()> {
    // As a province has them: fifty sources of carriers.
    let trunks = (0..50).map(|it| format!("10.8.{it}.0/24").parse());
    let trunks = trunks.collect::<Result<Vec<_>, _>>().map_err(|_| anyhow::anyhow!("source"))?;
    let flood = Flood { trunks, known_per_sec_max: u32::MAX, ..Flood::default() };
    let gate = Gate::new(flood, Arc::new(Counters::default()));
    let banned: SocketAddr = "203.0.113.9:5060".parse()?;
    for _ in 0..30 {
        gate.judge(banned, Instant::now());
    }
    measure("a banned address", &gate, |_| banned, Verdict::Refused);
    let forged = |n: u32| SocketAddr::new(IpAddr::from((0x2D00_0000 + n).to_be_bytes()), 5060);
    measure("forged addresses, each new", &gate, forged, Verdict::Refused);
    let trunk: SocketAddr = "10.8.49.7:5060".parse()?;
    measure("the last of 50 trunks, let through", &gate, |_| trunk, Verdict::Known);
    Ok(())
}

/// One message is judged at its own time, as the sockets do.
fn measure(what: &str, gate: &Gate, from: impl Fn(u32) -> SocketAddr, expected: Verdict) {
    let mut n_expected = 0_u32;
    let begin = cpu();
    for n in 0..N {
        let verdict = gate.judge(black_box(from(n)), Instant::now());
        n_expected += u32::from(verdict == expected);
    }
    let nanos = (cpu() - begin) / i64::from(N);
    println!("{what}: {nanos} ns of a core each, {n_expected} of {N} as expected");
}

/// Time of this thread on a core, in nanoseconds: what others do beside it does not count.
fn cpu() -> i64 {
    let it = clock_gettime(ClockId::ThreadCPUTime);
    it.tv_sec * 1_000_000_000 + it.tv_nsec
}
