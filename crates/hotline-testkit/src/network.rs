//! A network that loses, delays, reorders and doubles packets, and a sender whose clock is off, on
//! virtual time and by a seed: what drives jitter buffers and recorders through a bad day.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use hotline_base::{MonoTime, Random};

/// How bad the day is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    pub loss_percent: u64,
    /// After a lost packet the next one is lost with this chance instead: losses come in bursts.
    pub loss_again_percent: u64,
    pub duplicate_percent: u64,
    /// What every packet takes.
    pub delay: Duration,
    /// What a packet takes on top, up to this, evenly. More than the distance of two packets
    /// reorders them.
    pub jitter: Duration,
}

/// One direction of a network.
#[derive(Clone, Debug)]
pub struct Network<P> {
    weather: Weather,
    random: Random,
    lost_last: bool,
    on_the_way: BTreeMap<(MonoTime, u64), P>,
    n_sent: u64,
    n_lost: u64,
}

impl<P: Clone> Network<P> {
    pub const fn new(seed: u64, weather: Weather) -> Self {
        Self {
            weather,
            random: Random::new(seed),
            lost_last: false,
            on_the_way: BTreeMap::new(),
            n_sent: 0,
            n_lost: 0,
        }
    }

    /// The weather changes.
    pub const fn set(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// Sends a packet at `now`.
    pub fn send(&mut self, packet: P, now: MonoTime) {
        let Weather { loss_percent, loss_again_percent, duplicate_percent, .. } = self.weather;
        let chance =
            if self.lost_last { loss_percent.max(loss_again_percent) } else { loss_percent };
        self.lost_last = self.random.chance(chance);
        self.n_sent += 1;
        if self.lost_last {
            self.n_lost += 1;
            return;
        }
        if self.random.chance(duplicate_percent) {
            self.put(packet.clone(), now);
        }
        self.put(packet, now);
    }

    /// A packet that has arrived by `now`, and when.
    pub fn receive(&mut self, now: MonoTime) -> Option<(P, MonoTime)> {
        let first = self.on_the_way.first_entry().filter(|it| it.key().0 <= now)?;
        let at = first.key().0;
        Some((first.remove(), at))
    }

    /// Packets sent, and those of them that were lost.
    pub const fn counts(&self) -> (u64, u64) {
        (self.n_sent, self.n_lost)
    }

    fn put(&mut self, packet: P, now: MonoTime) {
        let jitter = u64::try_from(self.weather.jitter.as_nanos()).unwrap_or(0);
        let jitter = Duration::from_nanos(self.random.between(0, jitter));
        // The serial keeps packets of one instant apart and in order.
        let serial = self.random.next_u64() >> 32 | self.n_sent << 32;
        self.on_the_way.insert((now + self.weather.delay + jitter, serial), packet);
    }
}

/// A sender's clock: `ppm` millionths too fast, or too slow below zero.
#[derive(Clone, Copy, Debug)]
pub struct Crystal {
    pub ppm: i64,
}

impl Crystal {
    /// The true time at which this clock has counted `samples` of 8,000 a second.
    pub fn time_of(self, samples: u64) -> Duration {
        let nanos = i128::from(samples) * 125_000 * 1_000_000 / i128::from(1_000_000 + self.ppm);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
    }
}
