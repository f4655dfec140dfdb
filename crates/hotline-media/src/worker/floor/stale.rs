//! After a round that was missed, packets have queued up. What is old in a leg's own queue is not
//! passed on: whoever listens would hear the past, and the worker, which is late, would be later.
//!
//! Of each queue the newest two packets of speech go on; whatever the clock says, a leg with fewer
//! loses none. All others are taken like any packet, on tapes and by jitter buffers, keys and all.

use std::time::Duration;

use hotline_base::MonoTime;
use hotline_rtp::HEADER_LEN;

use super::{Floor, talk::Relayed};
use crate::{counters::count, intake::Intake, worker::leg::Kind};

/// Packets of a queue that are passed on.
const NEWEST: usize = 2;

/// Bytes of the longest packet that waits here, 60 ms of G.711; longer ones are passed on at once.
const PACKET: usize = 512;

/// Queues that are not empty by then never will be: the worker cannot keep up at all.
const LIMIT: Duration = Duration::from_millis(20);

/// What waits until the queues are empty.
#[derive(Debug)]
pub(super) struct Stale {
    since: Option<MonoTime>,
    /// The round before the one that was missed: what is read now came after it.
    before: MonoTime,
    waiting: Vec<[Option<Relayed>; NEWEST]>,
    /// Their packets, by leg and place.
    packets: Box<[u8]>,
    /// The legs of which something waits.
    legs: Vec<u32>,
}

impl Stale {
    pub(super) fn new(legs_max: usize) -> Self {
        let mut waiting = Vec::new();
        waiting.resize_with(legs_max, || [const { None }; NEWEST]);
        let packets = vec![0; legs_max * NEWEST * PACKET].into_boxed_slice();
        let (before, legs) = (MonoTime::default(), Vec::with_capacity(legs_max));
        Self { since: None, before, waiting, packets, legs }
    }

    fn packet(&mut self, leg: u32, place: usize) -> Option<&mut [u8; PACKET]> {
        self.packets.as_chunks_mut().0.get_mut(leg as usize * NEWEST + place)
    }

    /// Takes a packet in the place of the oldest one, if there is none left. Returns whether it was
    /// taken, and whether another one was lost for it.
    fn put(&mut self, leg: u32, mut it: Relayed, datagram: &[u8]) -> (bool, bool) {
        let from = it.payload.start.saturating_sub(HEADER_LEN);
        let Some(packet) = datagram.get(from..it.payload.end).filter(|it| it.len() <= PACKET)
        else {
            return (false, false);
        };
        let Some(waiting) = self.waiting.get_mut(leg as usize) else { return (false, false) };
        it.payload = HEADER_LEN..packet.len();
        let free = waiting.iter().position(Option::is_none);
        if free == Some(0) {
            self.legs.push(leg);
        } else if free.is_none() {
            waiting.rotate_left(1);
        }
        let place = free.unwrap_or(NEWEST - 1);
        if let Some(last) = waiting.get_mut(place) {
            *last = Some(it);
        }
        if free.is_none() {
            // The newest so far is the oldest now.
            let at = leg as usize * NEWEST * PACKET;
            self.packets.copy_within(at + PACKET..at + NEWEST * PACKET, at);
        }
        if let Some(copy) = self.packet(leg, place).and_then(|it| it.get_mut(..packet.len())) {
            copy.copy_from_slice(packet);
        }
        (true, free.is_none())
    }

    fn take(&mut self, leg: u32, place: usize) -> Option<(Relayed, [u8; PACKET])> {
        let it = self.waiting.get_mut(leg as usize)?.get_mut(place)?.take()?;
        self.packet(leg, place).map(|packet| (it, *packet))
    }
}

impl Floor {
    pub(in crate::worker) const fn is_catching_up(&self) -> bool {
        self.stale.since.is_some()
    }

    /// A round was missed; the last one was at `before`.
    pub(in crate::worker) fn begin_catching_up(&mut self, before: MonoTime, now: MonoTime) {
        if self.stale.since.is_none() {
            (self.stale.since, self.stale.before) = (Some(now), before);
        }
    }

    /// The earliest that what is read now can have come.
    pub(super) fn came_since(&self, now: MonoTime) -> MonoTime {
        if self.is_catching_up() { self.stale.before } else { now }
    }

    /// All that had queued up was read, or more than can be waited for. Returns whether the past is
    /// over.
    pub(in crate::worker) fn catch_up(
        &mut self,
        is_empty: bool,
        intake: &mut impl Intake,
        now: MonoTime,
    ) -> bool {
        let Some(since) = self.stale.since else { return true };
        if !is_empty && now.since(since) < LIMIT {
            return false;
        }
        self.stale.since = None;
        while let Some(leg) = self.stale.legs.last().copied() {
            self.release(leg, intake, now);
        }
        true
    }

    /// Lets a packet of speech wait for its queue's end. `false`: it is to be passed on now. A key
    /// is, and what waits before it.
    pub(super) fn lets_wait(
        &mut self,
        leg: u32,
        it: &Relayed,
        datagram: &[u8],
        intake: &mut impl Intake,
        now: MonoTime,
    ) -> bool {
        if !self.is_catching_up() {
            return false;
        }
        if it.kind == Kind::Event {
            self.release(leg, intake, now);
            return false;
        }
        let speaker = self.legs.get(leg as usize).and_then(Option::as_ref);
        if speaker.is_none_or(|it| it.relayed_to.is_empty()) {
            return false;
        }
        let (is_taken, is_lost) = self.stale.put(leg, it.clone(), datagram);
        if is_lost {
            count(&self.out.own.packets_stale);
        }
        is_taken
    }

    /// Passes on what waits of a leg, in its order.
    fn release(&mut self, leg: u32, intake: &mut impl Intake, now: MonoTime) {
        self.stale.legs.retain(|it| *it != leg);
        for place in 0..NEWEST {
            let Some((it, mut packet)) = self.stale.take(leg, place) else { continue };
            // Another one may have the place by now.
            let is_his = self.legs.get(leg as usize).and_then(Option::as_ref);
            if is_his.is_some_and(|leg| leg.speaker() == it.speaker) {
                self.relay_to_all(leg, &it, &mut packet, intake, now);
            }
        }
    }
}
