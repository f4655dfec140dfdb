//! Lines to carriers: one that is cut, one whose calls fail, one that floods, one of IPv6.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use hotline_sip::EndWhy;
use hotline_testkit::{Robot, Speech};
use serde_json::{Value, json};
use tokio::{net::UdpSocket, task::AbortHandle, time::Instant};

use crate::{
    engine::{Engine, SOON, text},
    figures::tell,
    outbound::{answer, dial, record_to},
    refusals::Carrier,
    setup::{CARRIER, ENGINE, Setup},
};

/// Another carrier than the one at [`CARRIER`].
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 8));

/// A gateway that answers OPTIONS, whose called parties are all busy unless said otherwise, and
/// whose line may be cut.
struct Gateway {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Gateway {
    async fn bind() -> Self {
        Self::that_says("486 Busy Here").await
    }

    /// One that says 100 to an INVITE dies with that.
    async fn that_says(status_of_invite: &'static str) -> Self {
        let socket = UdpSocket::bind((CARRIER, 0)).await.unwrap();
        let (address, is_cut) = (socket.local_addr().unwrap(), Arc::<AtomicBool>::default());
        let cut = Arc::clone(&is_cut);
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            while let Ok((n, from)) = socket.recv_from(&mut buffer).await {
                let request = String::from_utf8_lossy(&buffer[..n]).into_owned();
                let status = match request.split(' ').next() {
                    Some("OPTIONS") => "200 OK",
                    Some("INVITE") => status_of_invite,
                    Some(_) | None => continue,
                };
                if !cut.load(Relaxed) {
                    socket.send_to(answer(&request, status).as_bytes(), from).await.unwrap();
                    cut.fetch_or(status.starts_with("100"), Relaxed);
                }
            }
        });
        Self { address, is_cut, task: task.abort_handle() }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The gateways to which a call went, and when, in milliseconds of its ladder.
async fn ways(engine: &Engine, number: &str) -> Vec<(String, f64)> {
    let record = record_to(engine, number).await;
    let facts = record["facts"].as_array().unwrap().iter();
    let gateways: Vec<_> =
        facts.filter(|it| it["type"] == "went_out").map(|it| text(&it["gateway"])).collect();
    let ladder = engine.get(&format!("/api/v1/calls/{}/ladder", text(&record["call_id"]))).await;
    let sides = ladder["sides"].as_array().unwrap();
    let is_carrier = |it: &Value| {
        let side = usize::try_from(it["side"].as_u64().unwrap()).unwrap();
        sides[side]["role"] == "carrier"
    };
    let invites = ladder["steps"].as_array().unwrap().iter().filter(|it| {
        let first = it["sent"] == true && it["repetition"] == 0 && it["status"].is_null();
        first && is_carrier(it) && text(&it["cseq"]).ends_with("INVITE")
    });
    let times: Vec<_> = invites.map(|it| it["ms"].as_f64().unwrap()).collect();
    assert_eq!(gateways.len(), times.len(), "{ladder:#}");
    gateways.into_iter().zip(times).collect()
}

/// The first carrier's gateway is down and the other's up, and their probes say so.
async fn check_probes(engine: &Engine) {
    let trunks = engine.get("/api/v1/trunks").await;
    let gateway = &trunks["items"][0]["gateways"][0];
    let probes = &gateway["probes"];
    let n = |it: &Value, of: &str| it[of].as_u64().unwrap();
    assert_eq!(gateway["up"], false);
    assert!(n(probes, "good") >= 1 && n(probes, "failed") >= 2, "{probes:#}");
    assert!(probes["round_trip_ms"].as_f64().is_some_and(|it| it < 1_600.0), "{probes:#}");
    let statistics = engine.get("/api/v1/trunks/statistics?by=carrier").await;
    let carriers = statistics["carriers"].as_array().unwrap();
    let ups =
        carriers.iter().map(|it| (text(&it["name"]), n(it, "gateways"), n(it, "gateways_up")));
    assert_eq!(ups.collect::<Vec<_>>(), [("carrier".into(), 1, 0), ("other".into(), 1, 1)]);
    assert!(n(&carriers[0], "probes_failed") >= 2 && n(&carriers[1], "probes_good") >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_over_the_other_carrier_when_one_is_cut_and_come_back_with_it() {
    let (first, other) = (Gateway::bind().await, Robot::bind(OTHER).await.unwrap());
    let trunk_more = format!(
        "[[trunk]]\nid = \"other\"\nsources = [\"{OTHER}\"]\nnumbers = [\"077112328\"]\n\
         [[trunk.gateway]]\naddress = \"{}\"\n\
         [[route]]\nprefixes = [\"138\"]\nto = [\"carrier\", \"other\"]\n\
         [[route]]\nprefixes = [\"139\"]\nto = [\"other\"]\n",
        other.address()
    );
    let gateways = vec![first.address];
    let setup = Setup { gateways, trunk_more, calls_per_hour: 50, n_agents: 3, ..Setup::default() };
    let engine = Engine::start(setup).await;
    let (busy, talking) = (engine.busy_agent(1).await, engine.busy_agent(2).await);
    let phone = dial(&engine, &talking, "13900138020").await;
    let party = other.incoming(SOON).await.unwrap();
    party.answer();
    engine.until_state(&talking, "talking").await;
    phone.speak(Speech::tone(440));
    party.speak(Speech::tone(700));
    party.until_tone(440, SOON).await.unwrap();
    phone.until_tone(700, SOON).await.unwrap();
    let up = format!("hotline_trunk_gateway_up{{trunk=\"carrier\",gateway=\"{}\"}}", first.address);
    engine.until_figure(&up, "1").await;

    first.is_cut.store(true, Relaxed);
    let cut = Instant::now();
    let calls = async {
        // Nobody knows yet: a second of silence, and the other carrier has it.
        let own = dial(&engine, &busy, "13800138021").await;
        other.incoming(SOON).await.unwrap().reject(486);
        own.until_ended(SOON).await.unwrap();
    };
    let known = async {
        engine.until_figure(&up, "0").await;
        cut.elapsed()
    };
    let ((), known) = tokio::join!(calls, known);
    tell("a dead gateway is known after", &known);
    // 6 s on a machine that has time.
    assert!(known <= Duration::from_secs(9), "{known:?}");
    check_probes(&engine).await;
    let went = ways(&engine, "13800138021").await;
    let (by, gateways) = (|n: usize| &went[n].0, [first.address, other.address()]);
    assert_eq!((by(0), by(1)), (&gateways[0].to_string(), &gateways[1].to_string()));
    let pause = went[1].1 - went[0].1;
    assert!((1_000.0..1_500.0).contains(&pause), "{went:?}");

    // Now it is known: at once.
    engine.until_state(&busy, "busy").await;
    let own = dial(&engine, &busy, "13800138022").await;
    other.incoming(SOON).await.unwrap().reject(486);
    own.until_ended(SOON).await.unwrap();
    let went = ways(&engine, "13800138022").await;
    assert_eq!(went.iter().map(|it| it.0.clone()).collect::<Vec<_>>(), [gateways[1].to_string()]);

    first.is_cut.store(false, Relaxed);
    engine.until_figure(&up, "1").await;
    engine.until_state(&busy, "busy").await;
    let own = dial(&engine, &busy, "13800138023").await;
    own.until_ended(SOON).await.unwrap();
    let went = ways(&engine, "13800138023").await;
    assert_eq!(went.iter().map(|it| it.0.clone()).collect::<Vec<_>>(), [gateways[0].to_string()]);

    // The talk over the other carrier has noticed nothing.
    phone.speak(Speech::tone(520));
    party.until_tone(520, SOON).await.unwrap();
    for ear in [&phone, &party] {
        assert!(ear.heard().continuity().is_seamless(), "{:?}", ear.heard().continuity());
        assert!(ear.view().ended.is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_a_gateway_took_and_died_with_is_made_at_the_next() {
    let (first, other) =
        (Gateway::that_says("100 Trying").await, Robot::bind(OTHER).await.unwrap());
    let gateways = vec![first.address, other.address()];
    let engine = Engine::start(Setup { gateways, ..Setup::default() }).await;
    let agent = engine.busy_agent(1).await;
    for address in [first.address, other.address()] {
        let labels = format!("{{trunk=\"carrier\",gateway=\"{address}\"}}");
        engine.until_counted(&format!("hotline_trunk_gateway_up{labels}")).await;
    }
    let phone = dial(&engine, &agent, "13800138025").await;
    let party = other.incoming(SOON).await.unwrap();
    party.answer();
    engine.until_state(&agent, "talking").await;
    phone.hang_up();
    party.until_ended(SOON).await.unwrap();
    let went = ways(&engine, "13800138025").await;
    let addresses: Vec<_> = went.iter().map(|it| it.0.clone()).collect();
    assert_eq!(addresses, [first.address, other.address()].map(|it| it.to_string()));
    // Not after a second, since it did say something; 6 s on a machine that has time.
    let pause = went[1].1 - went[0].1;
    assert!((1_600.0..9_000.0).contains(&pause), "{went:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_kept_for_transfers_are_taken_by_nothing_else_and_110_waits_for_none() {
    let outside = Robot::bind(CARRIER).await.unwrap();
    let gateways = vec![outside.address()];
    let (channels_max, trunk_keys) = (2, "channels_reserved = 1\n");
    let options_probes = false;
    let setup = Setup { channels_max, gateways, trunk_keys, options_probes, ..Setup::default() };
    let engine = Engine::start(setup).await;
    let (caller, agent, phone) = engine.talk().await;
    let second = engine.busy_agent(2).await;

    let late = engine.caller().await.until_ended(SOON).await.unwrap();
    assert!(matches!(late, EndWhy::Refused { status: 503, .. }), "{late:?}");
    dial(&engine, &second, "13800138031").await.until_ended(SOON).await.unwrap();
    let record = record_to(&engine, "13800138031").await;
    let facts = record["facts"].as_array().unwrap();
    assert!(facts.iter().all(|it| it["type"] != "went_out"), "{record:#}");
    assert_eq!(text(&record["outcome"]), "not_reached");

    engine.command(&agent.no, "transfer", json!({"number": "13800138032"})).await;
    let party = outside.incoming(SOON).await.unwrap();
    assert_eq!(party.invited().unwrap().request_user, "13800138032");
    party.answer();
    phone.until_ended(SOON).await.unwrap();
    let full = |it: &Value| (it["items"][0]["n_out"] == 1).then_some(());
    engine.until("/api/v1/trunks", SOON, full).await;

    engine.until_state(&second, "busy").await;
    dial(&engine, &second, "110").await;
    let police = outside.incoming(SOON).await.unwrap();
    assert_eq!(police.invited().unwrap().request_user, "110");
    assert!(caller.view().ended.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_whose_calls_fail_is_an_alarm_and_one_whose_calls_go_is_not() {
    let sip_more = "[carrier_alarm]\nwindow_secs = 60\nattempts_min = 10\n\
                    clear_percent = 20\nclear_after_secs = 0\n";
    let trunk_more = format!("[[trunk]]\nid = \"other\"\nsources = [\"{OTHER}\"]\n");
    let sip_more = sip_more.to_owned();
    let engine = Engine::start(Setup { sip_more, trunk_more, ..Setup::default() }).await;
    let (mut failing, mut other) = (Carrier::at(CARRIER).await, Carrier::at(OTHER).await);
    for _ in 0..10 {
        // Nobody here has G.729, which is a fault of the two networks, and nobody this number,
        // which is the caller's.
        assert_eq!(failing.ask(&engine, "INVITE", "12345", "18").await.status(), Some(488));
        assert_eq!(other.ask(&engine, "INVITE", "99999", "8").await.status(), Some(404));
    }
    engine.until_figure("hotline_carrier_alarm{carrier=\"carrier\"}", "1").await;
    engine.until_figure("hotline_carrier_alarm{carrier=\"other\"}", "0").await;
    let of = async |name: &str| {
        let all = engine.get("/api/v1/trunks/statistics?by=carrier").await;
        let carriers = all["carriers"].as_array().unwrap();
        carriers.iter().find(|it| it["name"] == name).unwrap()["alarm"].clone()
    };
    assert_eq!((of("carrier").await, of("other").await), (json!(true), json!(false)));
    let said =
        |log: &str, what: &str| log.lines().any(|it| it.contains("ERROR") && it.contains(what));
    assert!(said(&engine.log(), "carrier"), "{}", engine.log());
    // It ends when its calls go again.
    for _ in 0..41 {
        assert_eq!(failing.ask(&engine, "INVITE", "99999", "8").await.status(), Some(404));
    }
    engine.until_figure("hotline_carrier_alarm{carrier=\"carrier\"}", "0").await;
    assert_eq!(of("carrier").await, json!(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_that_sends_too_fast_takes_nothing_from_another() {
    let trunk_more = format!("[[trunk]]\nid = \"other\"\nsources = [\"{OTHER}\"]\n");
    let trunk_keys = "calls_per_sec = 5\n";
    let engine = Engine::start(Setup { trunk_more, trunk_keys, ..Setup::default() }).await;
    let mut fast = Carrier::at(CARRIER).await;
    let other = Robot::bind(OTHER).await.unwrap();
    let mut taken = 0;
    for _ in 0..30 {
        let answer = fast.ask(&engine, "INVITE", "12345", "8").await;
        match answer.status() {
            Some(200) => taken += 1,
            Some(503) => assert_eq!(answer.header("Retry-After"), None),
            status => panic!("{status:?}"),
        }
    }
    assert!((5..25).contains(&taken), "{taken} of 30");
    engine.until_counted("hotline_calls_refused_total{why=\"too_fast\"}").await;
    let call = other.call(engine.udp(), "12345", "13700000001").await.unwrap();
    call.until_answered(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_and_an_agent_of_ipv6_hear_each_other() {
    let home = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let engine = Engine::start(Setup { home, ..Setup::default() }).await;
    let agent = engine.sign_in(1, Robot::bind(home).await.unwrap(), engine.udp()).await;
    engine.ready(&agent).await;
    let caller = engine.caller_with(Robot::bind(home).await.unwrap()).await;
    caller.ask_for_person(&engine).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    caller.speak(Speech::tone(700));
    phone.speak(Speech::tone(440));
    caller.until_tone(440, SOON).await.unwrap();
    phone.until_tone(700, SOON).await.unwrap();
    for call in [&*caller, &phone] {
        assert!(call.view().stream.unwrap().address.is_ipv6());
    }
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let record = engine.sealed_record_of(&caller.number).await;
    let sides = engine.recording(&text(&record["recordings"][0]["recording_id"])).await;
    assert!(sides[0].tone_anywhere(700) > 0.9 && sides[1].tone_anywhere(440) > 0.9);
}

/// An operator who misses `sk_lookup` sees it in the log at start, and in the figures ever after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_figures_say_whether_packets_come_by_sk_lookup_or_by_a_socket_a_leg() {
    // It steers IPv4 alone, and where it may.
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    for (home, media_more) in [(ENGINE, "intake = \"sockets\"\n"), (v6, ""), (ENGINE, "")] {
        let engine = Engine::start(Setup { home, media_more, ..Setup::default() }).await;
        let log = engine.log();
        let falls_back = log.contains("No sk_lookup for RTP: a socket a leg costs more.");
        let looks_up = log.contains("RTP comes in by sk_lookup");
        match (home == v6, media_more) {
            (true, _) => assert!(falls_back && !looks_up, "{log}"),
            (false, "") => assert!(falls_back != looks_up, "{log}"),
            (false, _) => assert!(!falls_back && !looks_up, "{log}"),
        }
        engine.until_figure("hotline_media_sk_lookup", if looks_up { "1" } else { "0" }).await;
    }
}
