//! Ten times a second: reports that are due, parties who are not heard. And what reports say.

use std::{net::SocketAddr, time::Duration};

use hotline_base::MonoTime;
use hotline_rtp::rtcp::REPORT_MAX;

use super::{Floor, edge};
use crate::{
    counters::count,
    intake::Intake,
    task::{Report, Slot},
    worker::leg::Leg,
};

/// How often legs are looked at, and RTCP sockets visited (media paper 3).
pub(super) const SENSES_EVERY: Duration = Duration::from_millis(100);

impl Floor {
    /// Whether the peers' reports are to be read now.
    pub(in crate::worker) fn is_report_time(&self, now: MonoTime) -> bool {
        self.n_legs > 0 && self.senses_due <= now
    }

    /// RTCP that came for a leg.
    pub(in crate::worker) fn hear_report(
        &mut self,
        index: u32,
        from: SocketAddr,
        datagram: &[u8],
        now: MonoTime,
    ) {
        let Some(Some(leg)) = self.legs.get_mut(index as usize) else { return };
        let Leg { line, senses, .. } = leg;
        let is_his =
            line.as_ref().is_some_and(|(_, latch)| senses.take_report(latch, from, datagram, now));
        if is_his {
            count(&self.out.counters.reports_in);
        } else {
            leg.refused += 1;
            count(&self.out.counters.reports_refused);
        }
    }

    pub(super) fn sense(&mut self, intake: &mut impl Intake, now: MonoTime) {
        let Self { legs, out, shedding, .. } = self;
        for leg in legs.iter_mut().flatten() {
            if shedding.reports {
                if write_report(leg, false, now, &mut [0; REPORT_MAX]).is_some() {
                    count(&out.own.reports_shed);
                }
            } else if send_report(leg, false, intake, now) {
                count(&out.counters.reports_out);
            }
            if let Some(state) = leg.senses.changed(now) {
                out.report(Report::Hearing { leg: leg.id, state });
            }
        }
    }

    /// BYE to the peer of a leg that ends (RFC 3550 §6.3.7).
    pub(super) fn say_bye(&mut self, slot: Slot, intake: &mut impl Intake, now: MonoTime) {
        if let Some(leg) = self.leg_mut(slot)
            && send_report(leg, true, intake, now)
        {
            count(&self.out.counters.reports_out);
        }
    }
}

/// Sends a leg's report if it is due, or its last one.
fn send_report(leg: &mut Leg, leaves: bool, intake: &mut impl Intake, now: MonoTime) -> bool {
    let mut buffer = [0; REPORT_MAX];
    let Some((len, to)) = write_report(leg, leaves, now, &mut buffer) else { return false };
    let report = buffer.get(..len).unwrap_or_default();
    let is_muxed = leg.line.as_ref().is_some_and(|it| it.0.rtcp_mux);
    let sent = edge::send_report(leg, is_muxed, intake, to, report);
    if sent {
        leg.senses.note_report_out();
    }
    sent
}

/// Writes it; the next one is due in its time. Its length, and where it goes.
fn write_report(
    leg: &mut Leg,
    leaves: bool,
    now: MonoTime,
    buffer: &mut [u8; REPORT_MAX],
) -> Option<(usize, SocketAddr)> {
    let sent = leg.sent();
    let Leg { line, senses, out, reception, .. } = leg;
    let (line, latch) = line.as_ref()?;
    senses.write_report((line, latch), (out, sent), reception, leaves, now, buffer)
}
