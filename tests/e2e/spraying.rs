//! Strangers who send to the ports of calls: nothing comes back to them, and nobody hears them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use hotline_testkit::{Call, Outgoing, Sound, Speech, packet, raw::RawUdp};
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{Instant, interval},
};

use crate::{
    engine::{Engine, Role, SOON, text},
    figures::tell,
    setup::{ELSEWHERE, ENGINE, Setup},
    survival::talks,
};

/// A-law at its loudest: louder than any tone, any sum of three, and any prompt here.
const LOUD: [u8; 160] = [0x2A; 160];

/// Samples of a stranger's.
fn loud_samples(sound: &Sound) -> usize {
    sound.samples().iter().filter(|it| it.unsigned_abs() > 30_000).count()
}

/// What he sends in turn: a voice, the end of key 9 (RFC 4733) and noise at full scale (RFC 3389).
const SPRAYED: [(u8, &[u8]); 3] = [(8, &LOUD), (101, &[9, 0x8A, 0x03, 0x20]), (13, &[0])];

/// Sends to every port all the time, with another SSRC each, and counts what comes back.
struct Sprayer {
    sent: Arc<AtomicU64>,
    heard: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Sprayer {
    async fn start(ports: Vec<SocketAddr>) -> Self {
        let socket = RawUdp::bind(ELSEWHERE).await.unwrap();
        let (sent, heard) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (n_sent, n_heard) = (Arc::clone(&sent), Arc::clone(&heard));
        let task = tokio::spawn(async move {
            let mut tick = interval(Duration::from_millis(40));
            for index in 0..u16::MAX {
                tick.tick().await;
                // Those of RTCP lie between.
                let all = ports.iter().flat_map(|it| [it.port(), it.port() + 1]);
                let (payload_type, payload) = SPRAYED[usize::from(index) % SPRAYED.len()];
                for port in all.map(|it| SocketAddr::new(ENGINE, it)) {
                    let (timestamp, ssrc) = (u32::from(index) * 160, u32::from(port.port()));
                    let it = packet(index == 0, payload_type, index, timestamp, ssrc, payload);
                    // A closed port answers with an error, which is none of ours.
                    if socket.send(port, &it).await.is_ok() {
                        n_sent.fetch_add(1, Relaxed);
                    }
                }
                while socket.receive(Duration::ZERO).await.is_some() {
                    n_heard.fetch_add(1, Relaxed);
                }
            }
        });
        Self { sent, heard, task }
    }

    /// He has sprayed all ports some times since the last stage, and has got nothing.
    async fn check(&self, stage: &str, n_ports: usize) {
        let wanted = self.sent.load(Relaxed) + 6 * n_ports as u64;
        let mut tick = interval(Duration::from_millis(20));
        while self.sent.load(Relaxed) < wanted {
            assert!(!self.task.is_finished());
            tick.tick().await;
        }
        assert_eq!(self.heard.load(Relaxed), 0, "a stranger hears us: {stage}");
    }
}

impl Drop for Sprayer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Nobody of these has heard a sample or a key of a stranger's, and nobody was sent to from
/// elsewhere.
fn check_ears(ears: &[&Call]) {
    for ear in ears {
        let heard = ear.heard();
        assert_eq!(loud_samples(&heard.sound()), 0, "{:?}", heard.sound());
        assert!(heard.keys().iter().all(|it| it.key.as_char() != '9'), "{:?}", heard.keys());
        assert!(heard.strangers().is_empty());
    }
}

async fn check_recordings(engine: &Engine, caller_no: &str) {
    let record = engine.sealed_record_of(caller_no).await;
    for it in record["recordings"].as_array().unwrap() {
        for side in engine.recording(&text(&it["recording_id"])).await {
            assert_eq!(loud_samples(&side), 0, "in {it}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v1_a_stranger_who_sprays_all_ports_hears_nothing_and_is_not_heard_at_any_stage() {
    let mut engine = Engine::start(Setup { ring_limit_secs: 15, ..Setup::default() }).await;
    let (ports, all) = (engine.rtp_ports(), engine.rtp_ports().len());
    let stranger = Sprayer::start(ports).await;
    let first = engine.agent(1).await;
    let caller = engine.caller().await;
    stranger.check("before the answer", all).await;
    caller.ask_for_person(&engine).await;
    let phone = first.robot.incoming(SOON).await.unwrap();
    stranger.check("ringing", all).await;
    phone.answer();
    caller.speak(Speech::tone(700));
    phone.speak(Speech::tone(440));
    caller.until_tone(440, SOON).await.unwrap();
    phone.until_tone(700, SOON).await.unwrap();
    stranger.check("talk", all).await;

    phone.hold();
    engine.until_state(&first, "held").await;
    stranger.check("hold", all).await;
    phone.retrieve();
    engine.until_state(&first, "talking").await;
    caller.hold();
    caller.until("hold answered", SOON, |it| it.n_reanswered == 1).await.unwrap();
    stranger.check("re-INVITE of the caller", all).await;
    caller.retrieve();
    caller.until("retrieve answered", SOON, |it| it.n_reanswered == 2).await.unwrap();
    phone.until_tone(700, SOON).await.unwrap();

    engine.kill(Role::Control).await;
    stranger.check("another control process", all).await;
    engine.kill(Role::Media).await;
    caller.until_tone(440, SOON).await.unwrap();
    phone.until_tone(700, SOON).await.unwrap();
    stranger.check("another media process", all).await;

    let second = engine.agent(2).await;
    phone.refer(&format!("sip:8002@{}", engine.udp()));
    phone.until_ended(SOON).await.unwrap();
    let third = second.robot.incoming(SOON).await.unwrap();
    stranger.check("transfer", all).await;
    third.answer();
    third.speak(Speech::tone(520));
    caller.until_tone(520, SOON).await.unwrap();
    stranger.check("talk after the transfer", all).await;

    engine.until_state(&first, "idle").await;
    engine.command(&second.no, "consult", json!({ "agent_no": first.no })).await;
    let asked = first.robot.incoming(SOON).await.unwrap();
    stranger.check("consultation that rings", all).await;
    asked.answer();
    asked.speak(Speech::tone(600));
    third.until_tone(600, SOON).await.unwrap();
    stranger.check("consultation", all).await;
    engine.command(&second.no, "three-way", json!({})).await;
    engine.until_state(&second, "conferring").await;
    stranger.check("talk of three", all).await;
    caller.hang_up();
    third.until_tone(600, SOON).await.unwrap();
    stranger.check("talk that the caller left", all).await;
    third.hang_up();
    asked.until_ended(SOON).await.unwrap();
    stranger.check("after the end", all).await;
    engine.until_state(&second, "idle").await;
    stranger.check("when all is over", all).await;

    check_ears(&[&caller, &phone, &third, &asked]);
    check_recordings(&engine, &caller.number).await;
}

/// Who sent nothing yet is known by what he described alone: whoever speaks first at his port must
/// not be taken for him.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v1_a_stranger_who_speaks_before_the_peer_does_not_take_his_port_at_any_stage() {
    let mut engine = Engine::quick().await;
    let (ports, all) = (engine.rtp_ports(), engine.rtp_ports().len());
    let (stranger, guesser) = (Sprayer::start(ports).await, RawUdp::bind(ELSEWHERE).await.unwrap());
    let agent = engine.agent(1).await;
    let (to, from_user) = ("12345".to_owned(), "13600000001".to_owned());
    let speech = Speech::Nothing;
    let caller = engine.dial(Outgoing { to, from_user, speech, ..Outgoing::default() }).await;
    caller.hears_begin(&engine, "menu.top.long").await;
    stranger.check("the menu", all).await;
    caller.tell_keys("0");
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.speak(Speech::Nothing);
    stranger.check("ringing", all).await;
    phone.answer();
    engine.until_state(&agent, "talking").await;
    stranger.check("a talk in which nobody says a word", all).await;
    inject(&guesser, [&caller, &phone]).await;
    phone.hold();
    engine.until_state(&agent, "held").await;
    stranger.check("hold", all).await;
    inject(&guesser, [&caller, &phone]).await;
    phone.retrieve();
    engine.until_state(&agent, "talking").await;
    caller.hold();
    caller.until("hold answered", SOON, |it| it.n_reanswered == 1).await.unwrap();
    stranger.check("re-INVITE of the caller", all).await;
    caller.retrieve();
    caller.until("retrieve answered", SOON, |it| it.n_reanswered == 2).await.unwrap();
    engine.kill(Role::Media).await;
    stranger.check("another media process", all).await;
    inject(&guesser, [&caller, &phone]).await;
    assert!(caller.sent().is_empty() && phone.sent().is_empty());

    // Whose ports they are is heard when they speak.
    caller.speak(Speech::tone(700));
    phone.speak(Speech::tone(440));
    caller.until_tone(440, SOON).await.unwrap();
    phone.until_tone(700, SOON).await.unwrap();
    stranger.check("talk", all).await;
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    check_ears(&[&caller, &phone]);
    check_recordings(&engine, &caller.number).await;
}

/// Sends each of these what its peer is to send next, for a second.
async fn inject(stranger: &RawUdp, victims: [&Call; 2]) {
    let mut tick = interval(Duration::from_millis(20));
    for _ in 0..50 {
        tick.tick().await;
        for victim in victims {
            let port = victim.view().stream.unwrap().address;
            // In the place of the packet that is due, and of the next ones.
            for later in 1..=3 {
                stranger.send(port, &victim.forged(later, &LOUD)).await.unwrap();
            }
        }
    }
    assert_eq!(stranger.receive(Duration::ZERO).await, None);
    check_ears(&victims);
}

/// The same in a talk, in which the two then hear each other and no seam.
async fn inject_into_talk(stranger: &RawUdp, [caller, phone]: [&Call; 2]) {
    let since = Instant::now();
    inject(stranger, [caller, phone]).await;
    caller.until_tone(440, SOON).await.unwrap();
    phone.until_tone(700, SOON).await.unwrap();
    for ear in [caller, phone] {
        let continuity = ear.heard().continuity_since(since);
        assert!(continuity.is_seamless(), "{continuity:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v2_packets_that_are_right_in_all_but_their_address_are_heard_and_recorded_by_nobody() {
    let mut engine = Engine::quick().await;
    let stranger = RawUdp::bind(ELSEWHERE).await.unwrap();
    let (caller, agent, phone) = engine.talk().await;
    inject_into_talk(&stranger, [&caller, &phone]).await;

    phone.hold();
    engine.until_state(&agent, "held").await;
    inject(&stranger, [&caller, &phone]).await;
    phone.retrieve();
    engine.until_state(&agent, "talking").await;
    caller.hold();
    caller.until("hold answered", SOON, |it| it.n_reanswered == 1).await.unwrap();
    inject(&stranger, [&caller, &phone]).await;
    caller.retrieve();
    caller.until("retrieve answered", SOON, |it| it.n_reanswered == 2).await.unwrap();
    caller.until_tone(440, SOON).await.unwrap();

    engine.kill(Role::Control).await;
    inject_into_talk(&stranger, [&caller, &phone]).await;
    // The next process has not heard the parties yet when the stranger is there already.
    engine.kill_now(Role::Media);
    inject(&stranger, [&caller, &phone]).await;
    engine.until_replaced(Role::Media).await;
    caller.until_tone(440, SOON).await.unwrap();
    phone.until_tone(700, SOON).await.unwrap();
    inject_into_talk(&stranger, [&caller, &phone]).await;

    let second = engine.agent(2).await;
    phone.refer(&format!("sip:8002@{}", engine.udp()));
    phone.until_ended(SOON).await.unwrap();
    let third = second.robot.incoming(SOON).await.unwrap();
    inject(&stranger, [&caller, &caller]).await;
    third.answer();
    third.speak(Speech::tone(440));
    caller.until_tone(440, SOON).await.unwrap();
    third.until_tone(700, SOON).await.unwrap();
    inject_into_talk(&stranger, [&caller, &third]).await;
    caller.hang_up();
    third.until_ended(SOON).await.unwrap();
    check_recordings(&engine, &caller.number).await;
}

/// Sends to a port as fast as the kernel takes it; says how many packets that were.
async fn flood(port: SocketAddr) -> usize {
    const ROUNDS: usize = 4;
    const PACKETS: u16 = 50_000;
    let send = move || {
        let socket = std::net::UdpSocket::bind((ELSEWHERE, 0)).unwrap();
        let all = (0..ROUNDS).flat_map(|_| 0..PACKETS);
        let sent = all.filter(|index| {
            let it = packet(*index == 0, 8, *index, u32::from(*index) * 160, 77, &LOUD);
            socket.send_to(&it, port).is_ok()
        });
        sent.count()
    };
    let n_sent = tokio::task::spawn_blocking(send).await.unwrap();
    assert!(n_sent > ROUNDS * usize::from(PACKETS / 2));
    n_sent
}

/// The reliability paper, 5, has 100,000 a second. A machine that does other work besides may stand
/// still for a moment, which costs packets, too, so the best of some floods counts for what is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_at_the_port_of_a_call_is_heard_by_nobody_and_ends_no_call() {
    const TRIES: usize = 5;
    let engine = Engine::start(Setup::of_calls(2)).await;
    let (talks, _agents) = talks(&engine, 2).await;
    let [flooded, other] = &talks[..] else { panic!("two talks") };
    let port = flooded.caller.view().stream.unwrap().address;
    let mut fewest = u32::MAX;
    for _ in 0..TRIES {
        let since = Instant::now();
        let n_sent = flood(port).await;
        tell("packets of a flood at one port, and how long it took", &(n_sent, since.elapsed()));
        let ears = [&*other.caller, &other.phone];
        let lost = ears.map(|it| it.heard().continuity_since(since).n_lost);
        tell("packets lost in the other talk meanwhile", &lost);
        fewest = fewest.min(lost[0] + lost[1]);
        if fewest == 0 {
            break;
        }
    }
    assert_eq!(fewest, 0, "packets lost in another talk in each of {TRIES} floods");
    let marks: Vec<_> = talks.iter().map(|it| (it.caller.mark(), it.phone.mark())).collect();
    for (it, (caller, phone)) in talks.iter().zip(marks) {
        it.caller.until_tone_since(caller, 440, SOON).await.unwrap();
        it.phone.until_tone_since(phone, 700, SOON).await.unwrap();
        assert!(it.caller.view().ended.is_none() && it.phone.view().ended.is_none());
        for ear in [&*it.caller, &it.phone] {
            assert_eq!(loud_samples(&ear.heard().since(0)), 0);
        }
    }
    // Of ended legs.
    flooded.caller.hang_up();
    engine.until_counted("hotline_rtp_packets_total{way=\"refused\"}").await;
}
