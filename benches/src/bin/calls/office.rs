//! Agents: each answers at once, talks, and hangs up.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use hotline_sip::Event;

use crate::{
    engine::Engine,
    party::{OFFICE, Party, wait},
};

/// Numbers of callers whom no agent hangs up.
pub(crate) const GUESTS_FROM: u64 = 13_100_000_000;

pub(crate) struct Office {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    work: JoinHandle<Result<()>>,
}

impl Office {
    /// Agents register, sign in and work until [`close`](Self::close).
    pub(crate) fn open(engine: &mut Engine, agents: usize, talk: Duration) -> Result<Self> {
        let mut party = Party::bind(OFFICE, engine.sip)?;
        party.register(agents)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (told, address) = (Arc::clone(&stop), party.address());
        let office = Self { address, stop, work: thread::spawn(move || work(party, talk, &told)) };
        // A command is answered when it is on disk: meanwhile telephones are asked whether they are
        // there.
        for n in 0..agents {
            engine.command(n, "sign-in")?;
        }
        Ok(office)
    }

    pub(crate) fn close(self) -> Result<()> {
        self.stop.store(true, Relaxed);
        self.work.join().map_err(|_| anyhow!("the office failed"))?
    }
}

fn work(mut office: Party, talk: Duration, stop: &AtomicBool) -> Result<()> {
    let mut talks = VecDeque::new();
    let mut guests = BTreeMap::new();
    let (mut spoken, mut n_packets) = (Instant::now(), 0_u16);
    while !stop.load(Relaxed) {
        let next = talks.front().map(|it: &(Instant, _)| it.0);
        let left = next.map(|it| it.saturating_duration_since(Instant::now()));
        let most = Duration::from_millis(50);
        wait(&[&office], left.map_or(most, |it| it.min(most)))?;
        for (_, event) in office.turn()? {
            if let Event::Invited(it) = event {
                let from: u64 = it.from_user.reveal().parse().unwrap_or(0);
                if (GUESTS_FROM..GUESTS_FROM + 1_000).contains(&from) {
                    guests.insert(it.leg, it.sdp.clone().unwrap_or_default());
                }
                office.answer(it.leg)?;
            } else if let Event::Confirmed { leg } = event
                && !guests.contains_key(&leg)
            {
                talks.push_back((Instant::now() + talk, leg));
            }
        }
        if spoken.elapsed() >= Duration::from_millis(200) {
            (spoken, n_packets) = (Instant::now(), n_packets.wrapping_add(1));
            for sdp in guests.values() {
                office.speak(sdp, n_packets)?;
            }
        }
        while let Some((_, leg)) = talks.pop_front_if(|it| it.0 <= Instant::now()) {
            office.hang_up(leg)?;
        }
    }
    Ok(())
}
