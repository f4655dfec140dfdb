//! The port of browsers with one leg behind it and no socket, for whoever tests what may be sent to
//! it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use hotline_base::LegId;
use hotline_sdp::Remote;

use super::{Browsers, Step};
use crate::counters::Counters;

const LEG: LegId = LegId(1);

/// What became of a datagram.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PortStep {
    Sent {
        to: SocketAddr,
        bytes: usize,
    },
    /// Audio goes there from now on, or nowhere.
    Chosen(Option<SocketAddr>),
    /// The addresses that are taken for the peer's have changed.
    Learnt,
    /// The peer has proven who it is.
    Keys,
    Refused,
}

#[derive(Debug)]
pub struct BrowserPort {
    browsers: Browsers,
    counters: Counters,
    now: Instant,
}

impl BrowserPort {
    /// A leg that is known by these words and belongs to this peer. `None`: no certificate can be
    /// made, for want of randomness.
    pub fn new(ufrag: &str, pwd: &str, remote: Remote) -> Option<Self> {
        let mut browsers = Browsers::new(None).ok()?;
        let now = Instant::now();
        browsers.open(LEG, ufrag.to_owned(), pwd.to_owned(), now);
        browsers.settle(LEG, remote, now);
        Some(Self { browsers, counters: Counters::default(), now })
    }

    pub fn hear(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<PortStep> {
        self.browsers.handle(from, datagram, self.now, &self.counters);
        self.steps()
    }

    pub fn wait(&mut self, time: Duration) -> Vec<PortStep> {
        self.now += time;
        self.browsers.handle_timeout(self.now);
        self.steps()
    }

    fn steps(&mut self) -> Vec<PortStep> {
        let all = self.browsers.steps().into_iter().map(|it| match it {
            Step::Send { to, datagram } => PortStep::Sent { to, bytes: datagram.len() },
            Step::Chosen { to, .. } => PortStep::Chosen(to),
            Step::Found { .. } | Step::Forgotten { .. } => PortStep::Learnt,
            Step::Keys { .. } => PortStep::Keys,
            Step::Refused { .. } => PortStep::Refused,
        });
        all.collect()
    }
}
