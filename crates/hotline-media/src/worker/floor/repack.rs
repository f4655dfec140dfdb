//! The relay path to a listener who wants longer or shorter packets than the speaker sends.

use std::net::SocketAddr;

use hotline_base::MonoTime;
use hotline_rtp::{HEADER_LEN, Header, write_header};
use hotline_sdp::Stream;

use super::{Floor, edge::send, talk::headed};
use crate::{
    counters::count,
    intake::Intake,
    task::Slot,
    worker::{
        leg::Leg,
        repack::{Joins, LONGEST},
    },
};

/// A G.711 packet has as many bytes as samples.
const BYTES_PER_MS: u32 = 8;

/// Bytes of the packets that a listener wants.
pub(super) fn wanted(line: &Stream) -> usize {
    (line.ptime_ms.clamp(10, 60) * BYTES_PER_MS) as usize
}

impl Floor {
    /// Sends on what a packet of `speaker` brings, in packets of the listener's length. `speech` is
    /// in the listener's codec.
    pub(super) fn relay_repacked(
        &mut self,
        (listener, line, to): (Slot, Stream, SocketAddr),
        (speaker, header): (u64, &Header),
        speech: &[u8],
        intake: &mut impl Intake,
        now: MonoTime,
    ) {
        let Some(leg) = self.leg_mut(listener) else { return };
        let mut ok = true;
        match leg.repack.join(speaker, header) {
            Joins::Late => return,
            Joins::After(0) => {}
            Joins::After(missing) => {
                ok &= send_waiting(leg, (&line, to), intake, now);
                leg.out.skip(missing);
            }
            Joins::Anew => {
                leg.repack.forget();
                leg.out.pause();
            }
        }
        let samples = u32::try_from(speech.len()).unwrap_or(0);
        leg.repack.note(speaker, header, header.timestamp + samples);
        let (mut rest, wanted) = (speech, wanted(&line));
        while !rest.is_empty() {
            rest = leg.repack.fill(rest, wanted);
            if leg.repack.len() >= wanted {
                ok &= send_waiting(leg, (&line, to), intake, now);
            }
        }
        if !ok {
            count(&self.out.counters.sends_refused);
        }
    }
}

/// Sends our own speech, in the listener's codec, in packets of his length (RFC 8866 §6.4). `false`
/// when the kernel did not take one.
pub(super) fn send_repacked(
    leg: &mut Leg,
    (line, to): (&Stream, SocketAddr),
    speech: &[u8],
    intake: &mut impl Intake,
    now: MonoTime,
) -> bool {
    leg.repack.forget_relayed();
    let (mut rest, wanted, mut ok) = (speech, wanted(line), true);
    while !rest.is_empty() {
        rest = leg.repack.fill(rest, wanted);
        if leg.repack.len() >= wanted {
            ok &= send_waiting(leg, (line, to), intake, now);
        }
    }
    ok
}

/// Sends what waits, if anything; `false` when the kernel did not take it.
fn send_waiting(
    leg: &mut Leg,
    (line, to): (&Stream, SocketAddr),
    intake: &mut impl Intake,
    now: MonoTime,
) -> bool {
    if leg.repack.is_empty() {
        return true;
    }
    let mut buffer = [0; HEADER_LEN + LONGEST];
    let speech = leg.repack.take();
    let len = HEADER_LEN + speech.len();
    let samples = u32::try_from(speech.len()).unwrap_or(0);
    if let Some(place) = buffer.get_mut(HEADER_LEN..len) {
        place.copy_from_slice(speech);
    }
    let stamp = leg.out.stamp(samples, now);
    let header = headed(leg, stamp, line.payload_type);
    let Some(packet) = buffer.get_mut(..len) else { return false };
    let sent = write_header(packet, &header) && send(leg, intake, to, packet);
    if sent {
        leg.note_sent(len);
    }
    sent
}
