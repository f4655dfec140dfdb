//! Whom agents call: they answer, are busy, do not answer; and networks that refuse.

use std::time::Duration;

use hotline_agent::Command;
use hotline_base::{LegId, Pii};
use hotline_sip::HangUp;

use crate::{
    Shift,
    agenda::{CalleeDeed, Event},
};

const NUMBERS: &[&str] = &["13800138000", "07715551234", "110", "12315", "001212", "nobody", "99"];

impl Shift {
    /// An agent's wish to call somebody.
    pub(crate) fn dials(&mut self) -> Command {
        let number = (*self.pick(NUMBERS)).to_owned();
        Command::Dial { number: Pii::new(number), display: None }
    }

    /// An INVITE has come to the carrier.
    pub(crate) fn callee_is_called(&mut self, leg: LegId) {
        let soon = self.millis(5, 600);
        match self.random.below(100) {
            0..60 => {
                let early = self.random.chance(30);
                self.callee(soon, leg, CalleeDeed::Rings { early });
                let wait = self.millis(600, 8_000);
                self.callee(wait, leg, CalleeDeed::Answers);
            }
            // The ring limit ends it.
            60..70 => self.callee(soon, leg, CalleeDeed::Rings { early: false }),
            70..80 => self.callee(soon, leg, CalleeDeed::Refuses(503)),
            80..85 => {
                self.callee(soon, leg, CalleeDeed::Rings { early: true });
                let wait = self.millis(700, 3_000);
                self.callee(wait, leg, CalleeDeed::Refuses(503));
            }
            85..95 => self.callee(soon, leg, CalleeDeed::Refuses(486)),
            _ => self.callee(soon, leg, CalleeDeed::Refuses(404)),
        }
    }

    /// The two talk; some day the called party hangs up.
    pub(crate) fn callee_talks(&mut self, leg: LegId) {
        let wait = self.millis(0, 60_000);
        self.callee(wait, leg, CalleeDeed::HangsUp);
    }

    pub(crate) fn callee_acts(&mut self, leg: LegId, deed: CalleeDeed) {
        let (now, sdp) = (self.at(), self.sdp.to_owned());
        match deed {
            CalleeDeed::Rings { early } => self.carrier.ring(leg, early.then_some(sdp), now),
            CalleeDeed::Answers => self.carrier.answer(leg, sdp, now),
            CalleeDeed::Refuses(status) => self.carrier.refuse(leg, status, now),
            CalleeDeed::HangsUp => {
                if let Some(peer) = self.callees.get(&leg).copied() {
                    self.hung_up(peer);
                }
                self.carrier.hang_up(leg, HangUp { status: 480, reason: None }, now);
            }
        }
    }

    fn callee(&mut self, after: Duration, leg: LegId, deed: CalleeDeed) {
        self.after(after, Event::CalleeActs { leg, deed });
    }
}
