//! Reports, silence, keys and tones in the sound, lengths of packets.

use hotline_base::media::{LegQuality, NetworkTone};
use hotline_dsp::{
    DtmfDetector, DtmfTone, FRAME, Signal, SignalTone, Tone,
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
    fn tone_frame(&mut self, leg: u32, payload_type: u8, sequence: u16, samples: &[i16]) {
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

/// Presses a key by sound on the caller's leg.
fn press_in_band(it: &mut House, key: u8, sequence: u16) {
    let mut tone = DtmfTone::new(key).unwrap();
    for n in 0..10 {
        let mut samples = [0; FRAME];
        tone.fill(&mut samples);
        it.tone_frame(CALLER, 8, sequence + n, &samples);
        it.wait(20);
    }
}

#[test]
fn keys_are_heard_in_the_sound_of_who_has_no_other_way_and_only_of_him() {
    let mut it = House::new();
    press_in_band(&mut it, 5, 0);
    assert_eq!(it.reported(), <[&str; 0]>::default(), "he has events");
    it.without_events(CALLER);
    for (n, key) in [5, 5, 11].into_iter().enumerate() {
        press_in_band(&mut it, key, 10 + u16::try_from(n).unwrap() * 10);
    }
    assert_eq!(it.reported(), ["0 key 5", "0 key 5", "0 key #"]);
}

/// The sound of somebody who presses 1 for 160 ms and then speaks, a frame each 20 ms.
struct Presser {
    key: [Tone; 2],
    voice: Tone,
    n: u16,
}

impl Presser {
    const FRAMES: u16 = 8;

    fn new() -> Self {
        let tone = |hz| Tone::new(hz, 6_000);
        Self { key: [tone(697), tone(1_209)], voice: tone(400), n: 0 }
    }

    /// Says the next frame, and whether a key was heard by then.
    fn goes_on(&mut self, it: &mut House) -> bool {
        let mut samples = [0; FRAME];
        for sample in &mut samples {
            let [low, high] = &mut self.key;
            *sample = if self.n < Self::FRAMES {
                low.next_sample() + high.next_sample()
            } else {
                self.voice.next_sample()
            };
        }
        it.tone_frame(CALLER, 8, 100 + self.n, &samples);
        self.n += 1;
        it.wait(20);
        it.reported().iter().any(|it| it == "0 key 1")
    }

    /// Whether the key is in no frame of this sound, and how many frames the voice is in.
    fn check(sound: &[i16]) -> usize {
        for frame in sound.chunks(FRAME) {
            assert!(strength(frame, 1_209) < 0.2, "a part of the key");
        }
        sound.chunks(FRAME).filter(|it| strength(it, 400) > 0.9).count()
    }
}

/// Frames of the voice that are lost with the key at most: the detector waits 38 ms for its end.
const LATE_MAX: usize = 3;

#[test]
fn who_comes_in_the_middle_of_a_press_in_the_sound_hears_nothing_of_it() {
    for third in [false, true] {
        let mut it = House::new();
        it.without_events(CALLER);
        let plan = |it: &mut House, speakers: &[u32]| {
            let speakers = speakers.iter().map(|it| slot(*it)).collect();
            it.task(Task::Hear { listener: slot(AGENT), speakers });
        };
        plan(&mut it, &[]);
        let mut caller = Presser::new();
        while !caller.goes_on(&mut it) {}
        assert!(caller.n < Presser::FRAMES, "it still sounds");
        it.heard(AGENT);
        if third {
            // By a mix.
            it.open(2, Codec::Pcma, 101);
            plan(&mut it, &[CALLER, 2]);
        } else {
            plan(&mut it, &[CALLER]);
        }
        for _ in 0..20 {
            caller.goes_on(&mut it);
        }
        it.wait(60);
        let heard = it.heard(AGENT);
        let sound: Vec<_> = heard.into_iter().flat_map(|it| it.1).map(ulaw_to_linear).collect();
        let n_said = usize::from(caller.n - Presser::FRAMES);
        let n = Presser::check(&sound);
        assert!(n + LATE_MAX + usize::from(third) >= n_said, "{n} frames of {n_said}");
    }
}

#[test]
fn a_press_that_ends_what_was_secret_is_on_no_tape() {
    for begins in [false, true] {
        let mut it = House::new();
        it.without_events(CALLER);
        let record = |it: &mut House| {
            let [left, right] = [Some(slot(CALLER)), Some(slot(AGENT))];
            it.task(Task::Record { tape: slot(0), left, right, key: 1 });
        };
        if !begins {
            record(&mut it);
            it.task(Task::Mute { tape: slot(0), muted: true });
        }
        let mut caller = Presser::new();
        while !caller.goes_on(&mut it) {}
        assert!(caller.n < Presser::FRAMES, "it still sounds");
        if begins {
            record(&mut it);
        } else {
            it.task(Task::Mute { tape: slot(0), muted: false });
        }
        for _ in 0..20 {
            caller.goes_on(&mut it);
        }
        it.wait(400);
        it.task(Task::EndRecord { tape: slot(0) });
        let mut sound = Vec::new();
        while let Ok(filled) = it.filled.pop() {
            let Filled::Block(mut block) = filled else { continue };
            let len = block.len;
            let audio = block.channel(Channel::Left).iter().take(len);
            sound.extend(audio.map(|it| alaw_to_linear(*it)));
        }
        let n_said = usize::from(caller.n - Presser::FRAMES);
        let n = Presser::check(&sound);
        assert!(n + LATE_MAX >= n_said, "{n} frames of {n_said}");
    }
}

#[test]
fn a_press_that_comes_as_event_and_as_sound_is_one_key() {
    let mut it = House::new();
    let stream = Stream { telephone_event_in: None, ..stream(CALLER, Codec::Pcma, 101) };
    it.task(Task::Settle { leg: slot(CALLER), stream });
    for n in 0..3 {
        it.say(CALLER, event(101, n, 160), &[5, 10, 1, 0]);
    }
    press_in_band(&mut it, 5, 10);
    assert_eq!(it.reported(), ["0 key 5"]);
}

#[test]
fn a_listener_who_takes_no_events_gets_keys_as_tones() {
    let mut it = House::new();
    it.without_events(AGENT);
    for n in 0..5 {
        it.say(CALLER, event(101, n, 160), &[7, 10, 1, 0]);
        it.wait(20);
    }
    it.wait(200);
    let mut detector = DtmfDetector::default();
    let mut keys = Vec::new();
    for (packet, payload) in it.heard(AGENT) {
        assert_eq!(packet.header.payload_type, 8);
        let samples: Vec<_> = payload.iter().map(|it| alaw_to_linear(*it)).collect();
        keys.extend(detector.hear(&samples));
    }
    assert_eq!(keys, [7]);
    // By order of control, too.
    let keys = "12".chars().map(|it| Key::try_from(it).unwrap()).collect();
    it.task(Task::SendKeys { leg: slot(AGENT), keys });
    it.wait(500);
    let sound: Vec<_> =
        it.heard(AGENT).into_iter().flat_map(|it| it.1).map(alaw_to_linear).collect();
    let heard: Vec<_> = sound.chunks(FRAME).filter_map(|it| detector.hear(it)).collect();
    assert_eq!(heard, [1, 2]);
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

/// Says two seconds of a tone in A-law in packets of `ms` to a listener who wants `wanted_ms` of his
/// law, with one packet lost in the middle if `loses`. Returns the lengths that come and what is
/// heard.
fn repacked(ms: u32, (wanted_ms, law): (u32, Codec), loses: bool) -> (Vec<usize>, Vec<i16>) {
    let mut it = House::new();
    let stream = Stream { ptime_ms: wanted_ms, ..stream(AGENT, law, 96) };
    it.task(Task::Settle { leg: slot(AGENT), stream });
    let mut tone = Tone::new(600, 8_000);
    for n in 0..2_000 / ms {
        let mut audio = vec![0; (ms * 8) as usize];
        tone.fill_alaw(&mut audio);
        let timestamp = MediaTime(n * ms * 8);
        let header = Header { timestamp, ..voice(8, u16::try_from(n).unwrap()) };
        if !loses || n != 1_000 / ms {
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
    let missing = if loses { (ms * 8) as usize } else { 0 };
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
            let (lengths, sound) = repacked(ms, (wanted, law), false);
            let right = lengths.iter().all(|it| *it == wanted as usize);
            assert!(right, "{ms} → {wanted}: {lengths:?}");
            let (share, level) = (strength(&sound, 600), level_dbm0(&sound));
            assert!(share > 0.98 && level > -20.0, "{ms} → {wanted} {law}: {share} {level}");
            assert!(sound.len() >= 1_900 * 8, "{ms} → {wanted}: {}", sound.len());
        }
    }
}

#[test]
fn what_is_lost_on_the_way_to_us_is_missing_in_time_and_not_pushed_together() {
    for (ms, wanted) in [(30, 20), (60, 20), (10, 30)] {
        let (lengths, _) = repacked(ms, (wanted, Codec::Pcma), true);
        assert!(lengths.iter().all(|it| *it <= wanted as usize), "{ms} → {wanted}: {lengths:?}");
    }
}
