//! A robot's RTCP: it reports as a telephone does, and may pretend to lose packets.

use hotline_base::{MonoTime, Now, WallTime};
use hotline_rtp::{
    Reception, parse,
    rtcp::{REPORT_MAX, RtcpConfig, RtcpSession},
};
use tokio::time::Instant;

/// One leg's reports.
#[derive(Debug)]
pub(crate) struct Reporter {
    began: Instant,
    seed: u64,
    /// Since the first packet that was sent.
    session: Option<RtcpSession>,
    heard: Reception,
    /// One packet in so many is lost, in both directions.
    pub(crate) loses_one_in: Option<u32>,
    n_sent: u32,
    n_heard: u32,
    /// Reports of the peer that were understood.
    pub(crate) n_reports: u32,
}

impl Reporter {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            began: Instant::now(),
            seed,
            session: None,
            heard: Reception::default(),
            loses_one_in: None,
            n_sent: 0,
            n_heard: 0,
            n_reports: 0,
        }
    }

    fn now(&self) -> MonoTime {
        MonoTime::default() + self.began.elapsed()
    }

    /// A packet is about to be sent; `false` when the network loses it.
    pub(crate) fn sends(&mut self, packet: &[u8]) -> bool {
        self.n_sent += 1;
        let now = self.now();
        if let Ok(it) = parse(packet) {
            let seed = self.seed;
            let session = self.session.get_or_insert_with(|| {
                let config = RtcpConfig { ssrc: it.header.ssrc, seed, ticks_per_ms: 8 };
                // Any date will do: only distances are looked at.
                let now = Now { mono: now, wall: WallTime(1_795_219_200_000) };
                RtcpSession::new(config, b"robot", now)
            });
            session.note_sent(&it.header, it.payload.len(), now);
        }
        self.loses_one_in.is_none_or(|n| !self.n_sent.is_multiple_of(n))
    }

    /// A packet came.
    pub(crate) fn hears(&mut self, packet: &[u8]) {
        self.n_heard += 1;
        let now = self.now();
        let is_lost = self.loses_one_in.is_some_and(|n| self.n_heard.is_multiple_of(n));
        if let Some(it) = parse(packet).ok().filter(|_| !is_lost) {
            self.heard.handle(&it.header, now);
        }
    }

    pub(crate) fn takes(&mut self, report: &[u8]) {
        let now = self.now();
        if self.session.as_mut().is_some_and(|it| it.handle(report, now).is_ok()) {
            self.n_reports += 1;
        }
    }

    /// The report that is due.
    pub(crate) fn says(&mut self) -> Option<Vec<u8>> {
        let now = self.now();
        let mut report = vec![0; REPORT_MAX];
        let len = self.session.as_mut()?.handle_timeout(now, &mut self.heard, &mut report)?;
        report.truncate(len);
        Some(report)
    }
}
