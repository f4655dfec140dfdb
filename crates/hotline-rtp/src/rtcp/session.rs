//! One leg's RTCP: when to report (RFC 3550 §6.2, §6.3), what to say, what the peer said.

#[cfg(test)]
mod tests;

use std::time::Duration;

use hotline_base::{Due, MonoTime, Now, Random};

use super::{
    ReportBlock, RtcpError, RtcpItem, RtcpItems, SenderInfo,
    writer::{NAME_MAX, Writer},
};
use crate::{Header, MediaTime, Reception, samples_in};

/// RFC 3550 §6.2: reports are at least this far apart; half of that before the first.
const INTERVAL_MIN: Duration = Duration::from_secs(5);

/// RFC 3550 §6.3.1: makes up for what reconsideration adds, e − 1.5.
const COMPENSATION: f64 = 1.218_28;

/// RFC 3550 §6.2: 5 % of the session's bandwidth. G.711 with its headers is 10,000 bytes a second.
const RTCP_BYTES_PER_SEC: f64 = 500.0;

/// IP and UDP headers count (§6.2).
const UDP_OVERHEAD: usize = 28;

/// RFC 3550 §6.3.5: who was not heard of for five intervals is no longer there.
const TIMEOUT_INTERVALS: u32 = 5;

/// Seconds from 1900 (NTP) to 1970.
const NTP_EPOCH: u64 = 2_208_988_800;

/// What a session begins with.
#[derive(Clone, Copy, Debug)]
pub struct RtcpConfig {
    pub ssrc: u32,
    /// Random, so that legs do not report in step.
    pub seed: u64,
    pub ticks_per_ms: u32,
}

/// What the peer tells about our stream, and when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RemoteView {
    pub at: MonoTime,
    pub block: ReportBlock,
    pub round_trip: Option<Duration>,
}

/// A session of two members, ours and the peer's.
#[derive(Clone, Debug)]
pub struct RtcpSession {
    ssrc: u32,
    ticks_per_ms: u32,
    random: Random,
    /// Both clocks once: reports are stamped by the monotonic one, which never steps.
    epoch: Now,
    name: [u8; NAME_MAX],
    name_len: usize,
    /// The last report that was sent, or the beginning, and the next one.
    sent: MonoTime,
    due: MonoTime,
    initial: bool,
    average_size: f64,
    /// Our stream.
    n_packets: u32,
    n_octets: u32,
    last_rtp: Option<(MediaTime, MonoTime)>,
    sent_before_last_report: u32,
    /// The peer's last sender report: the middle of its NTP time, and when it came.
    last_report: Option<(u32, MonoTime)>,
    peer_heard: Option<MonoTime>,
    peer_left: bool,
    view: Option<RemoteView>,
}

impl RtcpSession {
    /// `name` is the canonical name (§6.5.1): random, never a person's.
    pub fn new(config: RtcpConfig, name: &[u8], now: Now) -> Self {
        let mut kept = [0; NAME_MAX];
        let mut name_len = 0;
        for (to, from) in kept.iter_mut().zip(name) {
            *to = *from;
            name_len += 1;
        }
        let mut it = Self {
            ssrc: config.ssrc,
            ticks_per_ms: config.ticks_per_ms,
            random: Random::new(config.seed),
            epoch: now,
            name: kept,
            name_len,
            sent: now.mono,
            due: now.mono,
            initial: true,
            average_size: 128.0,
            n_packets: 0,
            n_octets: 0,
            last_rtp: None,
            sent_before_last_report: 0,
            last_report: None,
            peer_heard: None,
            peer_left: false,
            view: None,
        };
        it.due = now.mono + it.interval();
        it
    }

    /// We sent a packet of `octets` bytes of payload.
    pub fn note_sent(&mut self, header: &Header, octets: usize, now: MonoTime) {
        self.n_packets = self.n_packets.wrapping_add(1);
        self.n_octets = self.n_octets.wrapping_add(u32::try_from(octets).unwrap_or(0));
        self.last_rtp = Some((header.timestamp, now));
    }

    /// What we have sent in all, for a caller who counts by himself: packets, bytes of payload, and
    /// the last timestamp with its time.
    pub const fn note_total(&mut self, n_packets: u32, n_octets: u32, last: (MediaTime, MonoTime)) {
        self.n_packets = n_packets;
        self.n_octets = n_octets;
        self.last_rtp = Some(last);
    }

    /// The peer's view of our stream.
    pub const fn view(&self) -> Option<RemoteView> {
        self.view
    }

    /// Whether the peer said BYE, or has sent no RTCP for five intervals after it once did.
    pub fn has_left(&self, now: MonoTime) -> bool {
        let silent =
            self.peer_heard.is_some_and(|it| now.since(it) > INTERVAL_MIN * TIMEOUT_INTERVALS);
        self.peer_left || silent
    }

    /// Takes a datagram from the peer.
    ///
    /// # Errors
    /// When it is no RTCP.
    pub fn handle(&mut self, datagram: &[u8], now: MonoTime) -> Result<(), RtcpError> {
        let items = RtcpItems::parse(datagram)?;
        self.note_size(datagram.len());
        self.peer_heard = Some(now);
        for item in items {
            match item {
                RtcpItem::Sender { info, .. } => {
                    self.last_report = Some((middle(info.ntp), now));
                }
                RtcpItem::Block { block, .. } if block.ssrc == self.ssrc => {
                    let round_trip = self.round_trip(&block, now);
                    self.view = Some(RemoteView { at: now, block, round_trip });
                }
                RtcpItem::Bye { .. } => self.peer_left = true,
                RtcpItem::Block { .. } | RtcpItem::Receiver { .. } | RtcpItem::Name { .. } => (),
            }
        }
        Ok(())
    }

    /// When the next report is due.
    pub const fn poll_timeout(&self) -> Option<Due> {
        Some((self.due, "rtcp report"))
    }

    /// Writes the report that is due into `to`, which has [`REPORT_MAX`](super::REPORT_MAX) bytes.
    /// Returns its length; `None` when it is not yet time.
    pub fn handle_timeout(
        &mut self,
        now: MonoTime,
        heard: &mut Reception,
        to: &mut [u8],
    ) -> Option<usize> {
        if now < self.due {
            return None;
        }
        // RFC 3550 §6.3.6: the interval is drawn once more and counts from the last report.
        let due = self.sent + self.interval();
        if due > now {
            self.due = due;
            return None;
        }
        let len = self.write(now, heard, false, to)?;
        self.sent_before_last_report = self.n_packets;
        self.sent = now;
        self.initial = false;
        self.due = now + self.interval();
        Some(len)
    }

    /// Writes the last report and BYE. A session of two may send it at once (§6.3.7).
    pub fn leave(&mut self, now: MonoTime, heard: &mut Reception, to: &mut [u8]) -> Option<usize> {
        // §6.3.7: who never sent anything does not say BYE.
        if self.n_packets == 0 && self.initial {
            return None;
        }
        self.write(now, heard, true, to)
    }

    fn write(
        &mut self,
        now: MonoTime,
        heard: &mut Reception,
        bye: bool,
        to: &mut [u8],
    ) -> Option<usize> {
        // §6.4: a sender report if something was sent since the report before.
        let sends = self.n_packets != self.sent_before_last_report;
        let sender = self.last_rtp.filter(|_| sends).map(|(timestamp, at)| SenderInfo {
            ntp: self.ntp(now),
            timestamp: (timestamp + self.ticks(now.since(at))).0,
            n_packets: self.n_packets,
            n_octets: self.n_octets,
        });
        let block = heard.report().map(|it| {
            let (last_report, delay) = self.last_report.map_or((0, 0), |(ntp, at)| {
                (ntp, u32::try_from((now.since(at).as_nanos() << 16) / 1_000_000_000).unwrap_or(0))
            });
            ReportBlock { last_report, delay, ..it }
        });
        let mut writer = Writer::new(to);
        writer.report(self.ssrc, sender, block);
        writer.name(self.ssrc, self.name.get(..self.name_len).unwrap_or_default());
        if bye {
            writer.bye(self.ssrc);
        }
        let len = writer.finish()?;
        self.note_size(len);
        Some(len)
    }

    /// RFC 3550 §6.3.1 for two members.
    fn interval(&mut self) -> Duration {
        let members = 2.0;
        let by_bandwidth = members * self.average_size / RTCP_BYTES_PER_SEC;
        let min = INTERVAL_MIN.as_secs_f64() / if self.initial { 2.0 } else { 1.0 };
        // Between a half and one and a half of it.
        let spread =
            0.5 + f64::from(u32::try_from(self.random.below(1 << 20)).unwrap_or(0)) / RANGE;
        Duration::from_secs_f64(by_bandwidth.max(min) * spread / COMPENSATION)
    }

    /// §6.3.3.
    fn note_size(&mut self, len: usize) {
        let len = f64::from(u32::try_from(len + UDP_OVERHEAD).unwrap_or(0));
        self.average_size += (len - self.average_size) / 16.0;
    }

    fn round_trip(&self, block: &ReportBlock, now: MonoTime) -> Option<Duration> {
        if block.last_report == 0 {
            return None;
        }
        let away = middle(self.ntp(now)).wrapping_sub(block.last_report);
        let trip = away.checked_sub(block.delay)?;
        // A peer that answers with another's report, or miscounts, is not a minute away.
        (trip < 60 << 16).then(|| Duration::from_nanos((u64::from(trip) * 1_000_000_000) >> 16))
    }

    fn ntp(&self, now: MonoTime) -> u64 {
        let wall = Duration::from_millis(u64::try_from(self.epoch.wall.0).unwrap_or(0));
        let it = wall + now.since(self.epoch.mono);
        let fraction = (u64::from(it.subsec_nanos()) << 32) / 1_000_000_000;
        (it.as_secs().wrapping_add(NTP_EPOCH) << 32) | fraction
    }

    /// The clock of our stream from now on.
    pub const fn set_ticks_per_ms(&mut self, ticks_per_ms: u32) {
        self.ticks_per_ms = ticks_per_ms;
    }

    fn ticks(&self, time: Duration) -> u32 {
        let ticks = samples_in(time) * u64::from(self.ticks_per_ms) / 8;
        u32::try_from(ticks & 0xFFFF_FFFF).unwrap_or(0)
    }
}

/// As random as [`RtcpSession::interval`] draws.
const RANGE: f64 = 1_048_576.0;

/// §6.4.1: the middle 32 of 64 bits.
fn middle(ntp: u64) -> u32 {
    u32::try_from((ntp >> 16) & 0xFFFF_FFFF).unwrap_or(0)
}
