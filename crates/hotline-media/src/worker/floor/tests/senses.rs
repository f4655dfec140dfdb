//! Reports, silence, keys and tones in the sound, lengths of packets.

use hotline_base::media::{LegQuality, NetworkTone};
use hotline_dsp::{
    FRAME, Signal, SignalTone, Tone,
    g711::{alaw_to_linear, ulaw_to_linear},
    level_dbm0, strength,
};
use hotline_rtp::{
    Reception,
    rtcp::{RtcpConfig, RtcpItem, RtcpItems, RtcpSession},
};

use super::*;
use crate::intake::REPORTS;

/// The caller's own RTCP, as his telephone would keep it.
struct Phone {
    rtcp: RtcpSession,
    heard: Reception,
}

fn rtcp_address(leg: u32) -> SocketAddr {
    SocketAddr::new(address(leg).ip(), address(leg).port() + 100)
}

impl Phone {
    fn new(now: MonoTime) -> Self {
        let config = RtcpConfig { ssrc: 5, seed: 9, ticks_per_ms: 8 };
        let now = hotline_base::Now { mono: now, wall: WallTime(1_795_219_200_000) };
        Self { rtcp: RtcpSession::new(config, b"phone", now), heard: Reception::default() }
    }
}

impl House {
    pub(super) fn tone_frame(
        &mut self,
        leg: u32,
        payload_type: u8,
        sequence: u16,
        samples: &[i16],
    ) {
        let audio: Vec<u8> =
            samples.iter().map(|it| hotline_dsp::g711::linear_to_alaw(*it)).collect();
        self.say(leg, voice(payload_type, sequence), &audio);
    }

    fn report_from(&mut self, from: SocketAddr, leg: u32, datagram: &[u8]) {
        let mut datagram = datagram.to_vec();
        let arrival = Arrival { leg: leg | REPORTS, from, len: datagram.len() };
        self.floor.hear(&arrival, &mut datagram, &mut self.wire, self.now);
    }

    fn close(&mut self, leg: u32) -> LegQuality {
        while self.reports.pop().is_ok() {}
        self.task(Task::Close { leg: slot(leg) });
        while let Ok(report) = self.reports.pop() {
            if let Report::Closed { quality, .. } = report {
                return quality;
            }
        }
        panic!("not closed")
    }

    /// The leg takes no events and sends none.
    pub(super) fn without_events(&mut self, leg: u32) {
        let stream = Stream {
            telephone_event: None,
            telephone_event_in: None,
            ..stream(leg, Codec::Pcma, 0)
        };
        self.task(Task::Settle { leg: slot(leg), stream });
    }
}

/// Both talk for `secs`; each twentieth packet of the agent's stream is lost on its way to the
/// caller, who reports it. Returns the reports that the caller got.
fn talk_with_reports(it: &mut House, secs: u16) -> Vec<Vec<u8>> {
    let mut phone = Phone::new(it.now);
    let mut got = Vec::new();
    for n in 0..secs * 50 {
        it.say(CALLER, voice(8, n), &[0x2A; 160]);
        it.say(AGENT, voice(0, n), &[0x2A; 160]);
        it.heard(AGENT);
        for (packet, payload) in it.heard(CALLER) {
            if n % 20 != 7 {
                phone.heard.handle(&packet.header, it.now);
            }
            phone.rtcp.note_sent(&voice(8, n), payload.len(), it.now);
        }
        for (leg, to, bytes) in std::mem::take(&mut it.wire.reports) {
            if leg == CALLER {
                assert_eq!(to, rtcp_address(CALLER));
                phone.rtcp.handle(&bytes, it.now).unwrap();
                got.push(bytes);
            }
        }
        let mut report = [0; 200];
        if let Some(len) = phone.rtcp.handle_timeout(it.now, &mut phone.heard, &mut report) {
            // It is 40 ms on the way.
            it.wait(40);
            it.report_from(rtcp_address(CALLER), CALLER, &report[..len]);
        }
        it.wait(20);
    }
    got
}

#[test]
fn each_peer_gets_reports_at_the_times_of_rfc_3550_and_a_bye() {
    let mut it = House::new();
    let got = talk_with_reports(&mut it, 120);
    // 5 s on the average, between a half and one and a half of it.
    assert!((18..=34).contains(&got.len()), "{} reports in two minutes", got.len());
    let items: Vec<_> = RtcpItems::parse(&got[5]).unwrap().collect();
    let RtcpItem::Sender { ssrc, info } = items[0] else { panic!("{items:?}") };
    assert_eq!(ssrc, 1_000 + CALLER);
    assert_eq!(info.n_octets, info.n_packets * 160);
    let RtcpItem::Block { block, .. } = items[1] else { panic!("{items:?}") };
    assert_eq!((block.ssrc, block.lost), (5, 0));
    assert!(matches!(items[2], RtcpItem::Name { name: b"abcdefghijklmnop", .. }), "{items:?}");
    it.task(Task::Close { leg: slot(CALLER) });
    let (leg, _, last) = it.wire.reports.pop().unwrap();
    let says_bye = |it| matches!(it, RtcpItem::Bye { ssrc } if ssrc == 1_000 + CALLER);
    assert!(leg == CALLER && RtcpItems::parse(&last).unwrap().any(says_bye));
}

#[test]
fn a_closed_leg_tells_loss_round_trip_and_score_of_both_directions() {
    let mut it = House::new();
    talk_with_reports(&mut it, 60);
    let caller = it.close(CALLER);
    assert_eq!(caller.loss_in_permille, Some(0));
    assert!((45..=55).contains(&caller.loss_out_permille.unwrap()), "{caller:?}");
    // The way back took 40 ms, and the way there none.
    let trip = caller.round_trip_us.unwrap();
    assert!((30_000..=61_000).contains(&trip), "{caller:?}");
    let (mos_in, mos_out) = (caller.mos_in_x100.unwrap(), caller.mos_out_x100.unwrap());
    assert!(mos_in > 430 && (370..420).contains(&mos_out), "{caller:?}");
    assert!(caller.reports_in > 5 && caller.reports_out > 5 && !caller.one_way && !caller.silent);
    let agent = it.close(AGENT);
    assert_eq!((agent.loss_out_permille, agent.round_trip_us, agent.reports_in), (None, None, 0));
}

#[test]
fn reports_of_strangers_and_broken_ones_change_nothing() {
    let mut it = House::new();
    talk_with_reports(&mut it, 20);
    let before = it.floor.leg(slot(CALLER)).unwrap().quality(it.now);
    let mut phone = Phone::new(it.now);
    phone.heard.handle(&Header { ssrc: 1_000 + CALLER, ..voice(8, 1) }, it.now);
    phone.heard.handle(&Header { ssrc: 1_000 + CALLER, ..voice(8, 900) }, it.now);
    let mut report = [0; 200];
    let after = it.now + Duration::from_mins(1);
    let len = phone.rtcp.handle_timeout(after, &mut phone.heard, &mut report).unwrap();
    let refused = it.floor.leg(slot(CALLER)).unwrap().refused;
    for stranger in ["203.0.113.9:4000", "198.51.100.8:4100"] {
        it.report_from(stranger.parse().unwrap(), CALLER, &report[..len]);
    }
    it.report_from(rtcp_address(CALLER), CALLER, &report[..len - 3]);
    it.report_from(rtcp_address(CALLER), CALLER, b"\x80\xC9");
    let leg = it.floor.leg(slot(CALLER)).unwrap();
    assert_eq!((leg.quality(it.now), leg.refused), (before, refused + 4));
    it.report_from(rtcp_address(CALLER), CALLER, &report[..len]);
    assert_ne!(it.floor.leg(slot(CALLER)).unwrap().quality(it.now), before);
}

#[test]
fn a_peer_who_shares_one_port_gets_his_reports_there_and_is_understood_there() {
    let mut it = House::new();
    let stream = Stream { rtcp_mux: true, ..stream(CALLER, Codec::Pcma, 101) };
    it.task(Task::Settle { leg: slot(CALLER), stream });
    let mut phone = Phone::new(it.now);
    it.say(CALLER, voice(8, 1), &[0x2A; 160]);
    it.wait(9_000);
    let sent = std::mem::take(&mut it.wire.sent);
    let mut shared = sent.iter().filter(|it| it.0 == CALLER);
    assert!(shared.any(|it| it.1 == address(CALLER) && RtcpItems::parse(&it.2).is_ok()));
    let mut report = [0; 200];
    let len = phone.rtcp.handle_timeout(it.now, &mut phone.heard, &mut report).unwrap();
    let arrival = Arrival { leg: CALLER, from: address(CALLER), len };
    let packets = it.floor.leg(slot(CALLER)).unwrap().reception.n_packets();
    it.floor.hear(&arrival, &mut report[..len], &mut it.wire, it.now);
    let leg = it.floor.leg(slot(CALLER)).unwrap();
    assert_eq!((leg.quality(it.now).reports_in, leg.reception.n_packets()), (1, packets));
}

#[test]
fn who_says_nothing_for_15_s_is_silent_and_who_sends_nothing_for_5_s_is_not_there() {
    let mut it = House::new();
    for n in 0..800 {
        it.say(CALLER, voice(8, n), &[ALAW_SILENCE; 160]);
        it.wait(20);
    }
    let said = it.reported();
    let silent = said.iter().filter(|it| *it == "0 silent").count();
    let one_way = said.iter().filter(|it| *it == "1 one_way").count();
    assert_eq!((silent, one_way), (1, 1), "{said:?}");
    let mut tone = Tone::new(400, 8_000);
    for n in 800..820 {
        let mut samples = [0; FRAME];
        tone.fill(&mut samples);
        it.tone_frame(CALLER, 8, n, &samples);
        it.wait(20);
    }
    assert_eq!(it.reported().iter().filter(|it| *it == "0 heard").count(), 1);
    let caller = it.close(CALLER);
    assert!(!caller.silent, "he spoke in the end");
    let agent = it.close(AGENT);
    assert!(agent.one_way && agent.mos_in_x100.is_none(), "{agent:?}");
}

#[test]
fn a_caller_who_never_made_a_sound_is_told_from_one_who_did() {
    let mut it = House::new();
    for n in 0..400 {
        it.say(CALLER, voice(8, n), &[ALAW_SILENCE; 160]);
        it.wait(20);
    }
    assert!(it.close(CALLER).silent);
}

#[test]
fn tones_of_the_network_are_told_on_the_leg_that_asks_for_it() {
    let mut it = House::new();
    it.task(Task::HeedTones { leg: slot(CALLER) });
    let mut busy = SignalTone::new(Signal::Busy);
    for n in 0..200 {
        let mut samples = [0; FRAME];
        busy.fill(&mut samples);
        it.tone_frame(CALLER, 8, n, &samples);
        it.tone_frame(AGENT, 8, n, &samples);
        it.wait(20);
    }
    let told = format!("0 tone {}", NetworkTone::Busy.as_str());
    assert_eq!(it.reported().iter().filter(|it| it.contains("tone")).collect::<Vec<_>>(), [&told]);
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Trouble {
    None,
    Loss,
    /// One packet comes behind the next.
    Reorder,
}

/// Says two seconds of a tone in A-law in packets of `ms` to a listener who wants `wanted_ms` of his
/// law, with this trouble in the middle. Returns the lengths that come and what is heard.
fn repacked(ms: u32, (wanted_ms, law): (u32, Codec), trouble: Trouble) -> (Vec<usize>, Vec<i16>) {
    let mut it = House::new();
    let stream = Stream { ptime_ms: wanted_ms, ..stream(AGENT, law, 96) };
    it.task(Task::Settle { leg: slot(AGENT), stream });
    let mut tone = Tone::new(600, 8_000);
    let (middle, mut late) = (1_000 / ms, None);
    for n in 0..2_000 / ms {
        let mut audio = vec![0; (ms * 8) as usize];
        tone.fill_alaw(&mut audio);
        let timestamp = MediaTime(n * ms * 8);
        let header = Header { timestamp, ..voice(8, u16::try_from(n).unwrap()) };
        match trouble {
            Trouble::Loss if n == middle => {}
            Trouble::Reorder if n == middle => late = Some((header, audio)),
            Trouble::None | Trouble::Loss | Trouble::Reorder => it.say(CALLER, header, &audio),
        }
        if n > middle
            && let Some((header, audio)) = late.take()
        {
            it.say(CALLER, header, &audio);
        }
        it.wait(ms.into());
    }
    let heard = it.heard(AGENT);
    let mut last: Option<Header> = None;
    let mut gaps = 0;
    for (packet, payload) in &heard {
        let header = packet.header;
        if let Some(last) = last.replace(header) {
            assert_eq!(header.sequence, last.sequence.wrapping_add(1));
            assert_eq!(header.ssrc, last.ssrc);
        }
        gaps += payload.len();
    }
    let (first, last) = (heard[0].0.header.timestamp, last.unwrap().timestamp);
    let spanned = last.since(first).unsigned_abs() as usize + heard.last().unwrap().1.len();
    let missing = if trouble == Trouble::None { 0 } else { (ms * 8) as usize };
    assert_eq!(spanned - gaps, missing, "{ms} ms for {wanted_ms}: the clock goes on");
    let lengths = heard.iter().map(|it| it.1.len() / 8).collect();
    let linear = if law == Codec::Pcmu { ulaw_to_linear } else { alaw_to_linear };
    let sound = heard.into_iter().flat_map(|it| it.1).map(linear).collect();
    (lengths, sound)
}

#[test]
fn packets_of_10_to_60_ms_reach_a_listener_in_the_length_he_wants() {
    let all = [10, 20, 30, 40, 50, 60];
    for (ms, wanted) in all.into_iter().flat_map(|it| all.map(|wanted| (it, wanted))) {
        for law in [Codec::Pcma, Codec::Pcmu] {
            let (lengths, sound) = repacked(ms, (wanted, law), Trouble::None);
            let right = lengths.iter().all(|it| *it == wanted as usize);
            assert!(right, "{ms} → {wanted}: {lengths:?}");
            let (share, level) = (strength(&sound, 600), level_dbm0(&sound));
            assert!(share > 0.98 && level > -20.0, "{ms} → {wanted} {law}: {share} {level}");
            assert!(sound.len() >= 1_900 * 8, "{ms} → {wanted}: {}", sound.len());
        }
    }
}

/// What comes too late for its place in a packet of another length is as good as lost.
#[test]
fn what_is_lost_on_the_way_to_us_is_missing_in_time_and_not_pushed_together() {
    let all = [10, 20, 30, 40, 50, 60];
    let pairs = all.into_iter().flat_map(|it| all.map(|wanted| (it, wanted)));
    for (ms, wanted) in pairs.filter(|(ms, wanted)| ms != wanted) {
        for trouble in [Trouble::Loss, Trouble::Reorder] {
            let (lengths, sound) = repacked(ms, (wanted, Codec::Pcma), trouble);
            let right = lengths.iter().all(|it| *it <= wanted as usize);
            assert!(right, "{ms} → {wanted}: {lengths:?}");
            assert!(strength(&sound[4_000..7_000], 600) > 0.98, "{ms} → {wanted} {trouble:?}");
            assert!(strength(&sound[sound.len() - 4_000..], 600) > 0.98, "{ms} → {wanted}");
        }
    }
}
