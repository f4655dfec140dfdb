//! Agents call people outside.

use std::{fmt::Write as _, net::SocketAddr};

use hotline_sip::EndWhy;
use hotline_testkit::{Call, Robot, Speech};
use serde_json::{Value, json};
use tokio::{
    net::UdpSocket,
    task::AbortHandle,
    time::{Duration, Instant, interval},
};

use crate::{
    engine::{Engine, Role, SOON, text},
    http,
    people::Agent,
    setup::{CARRIER, Setup},
};

/// A gateway that answers every INVITE with 503 and everything else not at all.
struct Refusing {
    address: SocketAddr,
    task: AbortHandle,
}

impl Refusing {
    async fn bind() -> Self {
        let socket = UdpSocket::bind((CARRIER, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            while let Ok((n, from)) = socket.recv_from(&mut buffer).await {
                let request = String::from_utf8_lossy(&buffer[..n]).into_owned();
                if request.starts_with("INVITE ") {
                    let refusal = answer(&request, "503 Service Unavailable");
                    socket.send_to(refusal.as_bytes(), from).await.unwrap();
                }
            }
        });
        Self { address, task: task.abort_handle() }
    }
}

impl Drop for Refusing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The answer to a request that was written by nobody sloppy.
pub(crate) fn answer(request: &str, status: &str) -> String {
    let copied = ["via:", "from:", "to:", "call-id:", "cseq:"];
    let mut response = format!("SIP/2.0 {status}\r\n");
    for line in request.lines() {
        let name = line.to_lowercase();
        if copied.iter().any(|it| name.starts_with(it)) {
            let tag = if name.starts_with("to:") { ";tag=raw" } else { "" };
            write!(response, "{line}{tag}\r\n").unwrap();
        }
    }
    response + "Content-Length: 0\r\n\r\n"
}

/// An engine with these gateways, the first one first, and agent 1001 who is signed in and busy.
async fn engine(gateways: &[SocketAddr]) -> (Engine, Agent) {
    let (gateways, options_probes) = (gateways.to_vec(), false);
    let engine = Engine::start(Setup { gateways, options_probes, ..Setup::default() }).await;
    let agent = engine.busy_agent(1).await;
    (engine, agent)
}

/// The agent dials and picks up his own telephone.
pub(crate) async fn dial(engine: &Engine, agent: &Agent, number: &str) -> Call {
    let view = engine.command(&agent.no, "dial", json!({"number": number})).await;
    assert_eq!((&view["state"], &view["line"]), (&json!("dialing"), &json!("dialing")));
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    phone
}

/// The record of a call to this number, when it is complete.
pub(crate) async fn record_to(engine: &Engine, number: &str) -> Value {
    let path = format!("/api/v1/calls?called_no={number}");
    let complete = |it: &Value| it["items"].get(0).filter(|it| it["complete"] == true).cloned();
    let item = engine.until(&path, SOON, complete).await;
    engine.get(&format!("/api/v1/calls/{}", text(&item["call_id"]))).await
}

fn facts<'a>(record: &'a Value, kind: &str) -> Vec<&'a Value> {
    record["facts"].as_array().unwrap().iter().filter(|it| it["type"] == kind).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_calls_somebody_and_the_two_talk() {
    let carrier = Robot::bind(CARRIER).await.unwrap();
    let (engine, agent) = engine(&[carrier.address()]).await;
    let phone = dial(&engine, &agent, "138-0013-8000").await;
    let party = carrier.incoming(SOON).await.unwrap();
    let invited = party.invited().unwrap();
    assert_eq!(invited.request_user, "13800138000");
    assert_eq!(party.caller_shown(), Some("077112345"), "only our own number is shown");
    party.answer();
    engine.until_state(&agent, "talking").await;
    phone.speak(Speech::tone(440));
    party.speak(Speech::tone(700));
    party.until_tone(440, SOON).await.unwrap();
    phone.until_tone(700, SOON).await.unwrap();
    party.hang_up();
    phone.until_ended(SOON).await.unwrap();
    engine.until_state(&agent, "busy").await;

    let record = record_to(&engine, "13800138000").await;
    let of = |key: &str| text(&record[key]);
    assert_eq!((of("direction"), of("outcome")), ("outbound".to_owned(), "reached".to_owned()));
    assert_eq!((of("caller_no"), of("trunk")), ("077112345".to_owned(), "carrier".to_owned()));
    assert_eq!((of("released_by"), of("reason")), ("called".into(), "called_hung_up".to_owned()));
    let times = ["t_in", "t_ans", "t_br", "t_rel"].map(of);
    assert!(times.is_sorted() && times.iter().all(|it| it.starts_with("20")), "{times:?}");
    assert_eq!(text(&record["segments"][0]["agent_no"]), "1001");
    let channels = engine.recording(&text(&record["recordings"][0]["recording_id"])).await;
    assert!(channels[0].tone_anywhere(700) > 0.9, "the called party is on the left");
    assert!(channels[1].tone_anywhere(440) > 0.9, "the agent is on the right");
    let trunks = engine.get("/api/v1/trunks").await;
    assert_eq!((&trunks["items"][0]["n_out"], &trunks["items"][0]["n_in"]), (&json!(0), &json!(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_gateway_takes_the_call_when_one_refuses_one_is_not_there_and_one_is_silent() {
    let refusing = Refusing::bind().await;
    // A connected socket takes nothing of others: the kernel answers by ICMP.
    let absent = UdpSocket::bind((CARRIER, 0)).await.unwrap();
    absent.connect((CARRIER, 9)).await.unwrap();
    // Its packets go nowhere.
    let silent = UdpSocket::bind((CARRIER, 0)).await.unwrap();
    let carrier = Robot::bind(CARRIER).await.unwrap();
    let (absent_at, silent_at) = (absent.local_addr().unwrap(), silent.local_addr().unwrap());
    let gateways = [refusing.address, absent_at, silent_at, carrier.address()];
    let (engine, agent) = engine(&gateways).await;
    let phone = dial(&engine, &agent, "13800138001").await;
    let party = carrier.incoming(SOON).await.unwrap();
    party.answer();
    engine.until_state(&agent, "talking").await;
    phone.hang_up();
    party.until_ended(SOON).await.unwrap();
    let record = record_to(&engine, "13800138001").await;
    let refused: Vec<_> =
        facts(&record, "way_refused").iter().map(|it| it["status"].clone()).collect();
    assert_eq!(refused, [json!(503), json!(408), json!(408)]);
    engine.until_counted("hotline_sip_edge_total{what=\"unreachable\"}").await;
    let went: Vec<_> = facts(&record, "went_out").iter().map(|it| text(&it["gateway"])).collect();
    assert_eq!(went, gateways.map(|it| it.to_string()));
    assert_eq!((&record["outcome"], &record["released_by"]), (&json!("reached"), &json!("agent")));
    // Each attempt is counted for what became of it. They may lie in two quarter hours.
    let sum = |it: &Value, of: &str| -> u64 {
        let rows = it["items"].as_array().unwrap().iter().filter(|it| it["direction"] == "out");
        rows.map(|it| it.pointer(of).and_then(Value::as_u64).unwrap_or(0)).sum()
    };
    let counted = |it: &Value| (sum(it, "/attempts") == 4).then(|| it.clone());
    let figures = engine.until("/api/v1/trunks/statistics", SOON, counted).await;
    let of = |outcome: &str| sum(&figures, &format!("/outcomes/{outcome}"));
    assert_eq!([of("congestion"), of("no_response"), of("answered")], [1, 2, 1], "{figures:#}");
    assert_eq!((sum(&figures, "/classes/network"), sum(&figures, "/peak")), (3, 1));
    let delays =
        figures["items"].as_array().unwrap().iter().filter(|it| it["delay_mean_ms"].is_u64());
    assert_eq!(delays.count(), 1, "one attempt rang: {figures:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_a_trunk_has_no_room_for_says_so_and_the_next_trunk_takes_it() {
    let [first, second] =
        [Robot::bind(CARRIER).await.unwrap(), Robot::bind(CARRIER).await.unwrap()];
    let trunk = |id: &str, limit: &str, source: u8, gateway: &Robot| {
        format!(
            "[[trunk]]\nid = \"{id}\"\nsources = [\"127.0.1.{source}\"]\n{limit}\n\
             numbers = [\"077112345\"]\noptions_probes = false\n\
             [[trunk.gateway]]\naddress = \"{}\"\n",
            gateway.address()
        )
    };
    let limit = "channels_out_max = 1\nchannels_reserved = 1";
    let trunk_more = [
        trunk("full", limit, 1, &first),
        trunk("wide", "", 2, &second),
        "[[route]]\nto = [\"full\", \"wide\"]\n".to_owned(),
    ]
    .concat();
    let engine = Engine::start(Setup { trunk_more, ..Setup::default() }).await;
    let agent = engine.busy_agent(1).await;
    let phone = dial(&engine, &agent, "13800138041").await;
    second.incoming(SOON).await.unwrap().reject(486);
    phone.until_ended(SOON).await.unwrap();
    engine.until_state(&agent, "busy").await;
    let record = record_to(&engine, "13800138041").await;
    let held = facts(&record, "way_full");
    assert_eq!(held.len(), 1, "{record:#}");
    assert_eq!((&held[0]["trunk"], &held[0]["why"]), (&json!("full"), &json!("over_limit")));
    engine
        .until_figure("hotline_calls_out_full_total{trunk=\"full\",why=\"over_limit\"}", "1")
        .await;
    engine.until_figure("hotline_calls_out_total{trunk=\"wide\"}", "1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_rings_is_made_nowhere_else() {
    let first = Robot::bind(CARRIER).await.unwrap();
    let second = Robot::bind(CARRIER).await.unwrap();
    let (engine, agent) = engine(&[first.address(), second.address()]).await;
    let phone = dial(&engine, &agent, "13800138002").await;
    // A robot says 180 by itself.
    first.incoming(SOON).await.unwrap().reject(503);
    phone.until_ended(SOON).await.unwrap();
    let record = record_to(&engine, "13800138002").await;
    assert_eq!(facts(&record, "went_out").len(), 1);
    assert_eq!(
        (&record["outcome"], &record["reason"]),
        (&json!("not_reached"), &json!("congestion"))
    );
    assert_eq!(record["recordings"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v26_calls_abroad_are_stopped_for_everybody_with_an_alarm_and_others_go_on() {
    let carrier = Robot::bind(CARRIER).await.unwrap();
    let engine = Engine::start(Setup {
        gateways: vec![carrier.address()],
        options_probes: false,
        may_call: &["00", "1"],
        calls_per_hour: 50,
        trunk_more: "[outbound]\nabroad_max = 2\n".to_owned(),
        ..Setup::default()
    })
    .await;
    let agents = [engine.busy_agent(1).await, engine.busy_agent(2).await];
    // Each has had one, and one more is too many, whoever asks for it.
    for (agent, number) in agents.iter().zip(["0012125551234", "0085221234567"]) {
        let phone = dial(&engine, agent, number).await;
        carrier.incoming(SOON).await.unwrap().reject(486);
        phone.until_ended(SOON).await.unwrap();
        engine.until_state(agent, "busy").await;
    }
    for agent in &agents {
        let path = format!("/api/v1/agents/{}/dial", agent.no);
        let body = json!({"number": "00442071234567"});
        let reply = http::post(engine.http(), &path, &body).await.unwrap();
        let code = text(&reply.json()["error"]["code"]);
        assert_eq!((reply.status, &*code), (403, "abroad_blocked"));
    }
    engine.until_figure("hotline_abroad_blocked", "1").await;
    let line = agents[0].robot.call(engine.udp(), "00442071234567", "8001").await.unwrap();
    let why = line.until_ended(SOON).await.unwrap();
    assert!(matches!(why, EndWhy::Refused { status: 403, .. }), "{why:?}");
    let log = engine.log();
    let alarms = log.lines().filter(|it| it.contains("Too many calls abroad"));
    assert_eq!(alarms.filter(|it| it.contains("ERROR")).count(), 1, "{log}");
    assert!(!log.contains("442071234567"), "a number is in the log");
    for number in ["13800138006", "110"] {
        let phone = dial(&engine, &agents[0], number).await;
        carrier.incoming(SOON).await.unwrap().reject(486);
        phone.until_ended(SOON).await.unwrap();
        engine.until_state(&agents[0], "busy").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_call_what_their_plan_has_and_emergency_numbers_always() {
    let carrier = Robot::bind(CARRIER).await.unwrap();
    // Neither the plan nor a route has emergency numbers.
    let engine = Engine::start(Setup {
        gateways: vec![carrier.address()],
        options_probes: false,
        may_call: &["138"],
        trunk_more: "[[route]]\nprefixes = [\"138\", \"00\"]\nto = [\"carrier\"]\n".to_owned(),
        ..Setup::default()
    })
    .await;
    let agent = engine.busy_agent(1).await;
    let ask = async |number: &str| {
        let body = json!({"number": number});
        let reply = http::post(engine.http(), "/api/v1/agents/1001/dial", &body).await.unwrap();
        (reply.status, text(&reply.json()["error"]["code"]))
    };
    let refused = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(ask("0012125551234").await, refused(403, "not_permitted"));
    assert_eq!(ask("help").await, refused(400, "not_a_number"));
    // A slip in the number to be shown is told; for an emergency call it is passed over.
    let shown = |number: &str| json!({"number": number, "display_no": "077199999"});
    let path = "/api/v1/agents/1001/dial";
    let reply = http::post(engine.http(), path, &shown("13800138003")).await.unwrap();
    let error = &reply.json()["error"];
    assert_eq!((reply.status, &error["code"]), (400, &json!("not_own_number")));
    assert_eq!(error["field"], "display_no");
    for number in ["13800138003", "13800138004"] {
        let phone = dial(&engine, &agent, number).await;
        carrier.incoming(SOON).await.unwrap().reject(486);
        phone.until_ended(SOON).await.unwrap();
        engine.until_state(&agent, "busy").await;
    }
    assert_eq!(ask("13800138005").await, refused(429, "too_many_calls"));
    for number in ["110", "119", "120", "122"] {
        engine.command(&agent.no, "dial", shown(number)).await;
        let phone = agent.robot.incoming(SOON).await.unwrap();
        phone.answer();
        let party = carrier.incoming(SOON).await.unwrap();
        assert_eq!(party.invited().unwrap().request_user, number);
        party.answer();
        engine.until_state(&agent, "talking").await;
        engine.command(&agent.no, "hang-up", json!({})).await;
        phone.until_ended(SOON).await.unwrap();
        engine.until_state(&agent, "busy").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emergency_numbers_go_out_while_records_do_not_reach_the_disk() {
    let carrier = Robot::bind(CARRIER).await.unwrap();
    let (engine, agent) = engine(&[carrier.address()]).await;
    engine.limit_files(Role::Control, 0);
    // A caller whose record cannot be written.
    let _caller = engine.caller_of("99999").await;
    let end = Instant::now() + SOON;
    let mut tick = interval(Duration::from_millis(20));
    let spool_is_well = async || {
        let parts = http::get(engine.http(), "/healthz").await.unwrap().json();
        let spool = parts["parts"].as_array().unwrap().iter().find(|it| it["name"] == "spool");
        spool.unwrap()["healthy"] == true
    };
    while spool_is_well().await {
        assert!(Instant::now() < end, "the spool is well");
        tick.tick().await;
    }
    let body = json!({"number": "13800138011"});
    let reply = http::post(engine.http(), "/api/v1/agents/1001/dial", &body).await.unwrap();
    assert_eq!(reply.status, 503, "{}", reply.text());
    dial(&engine, &agent, "110").await;
    let party = carrier.incoming(SOON).await.unwrap();
    assert_eq!(party.invited().unwrap().request_user, "110");
    party.answer();
    engine.until_state(&agent, "talking").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_calls_out_by_dialling_on_his_telephone() {
    let outside = Robot::bind(CARRIER).await.unwrap();
    let (gateways, options_probes) = (vec![outside.address()], false);
    let engine = Engine::start(Setup { gateways, options_probes, ..Setup::default() }).await;
    let agent = engine.busy_agent(1).await;
    let dial = async |to: &str| agent.robot.call(engine.udp(), to, "8001").await.unwrap();

    let phone = dial("13800138007").await;
    let party = outside.incoming(SOON).await.unwrap();
    // As by command: the number of the agent's city, not the extension.
    let invited = party.invited().unwrap();
    let by_phone = (invited.request_user.clone(), invited.from_user.reveal().clone());
    party.answer();
    phone.until_answered(SOON).await.unwrap();
    phone.speak(Speech::tone(520));
    party.speak(Speech::tone(900));
    phone.until_tone(900, SOON).await.unwrap();
    party.until_tone(520, SOON).await.unwrap();
    engine.until_state(&agent, "talking").await;
    // Hung up by either side, here the called one.
    party.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let complete = |it: &Value| it["items"].get(0).filter(|it| it["complete"] == true).cloned();
    let record = engine.until("/api/v1/calls?called_no=13800138007", SOON, complete).await;
    assert_eq!(text(&record["direction"]), "outbound");
    assert_eq!(text(&record["segments"][0]["agent_no"]), "1001");
    assert!(!record["recordings"].as_array().unwrap().is_empty(), "{record:#}");

    // The same rights as by command; a refusal rings nobody.
    engine.until_state(&agent, "busy").await;
    for (to, status) in [("0012125551234", 403), ("nobody", 404)] {
        let refused = dial(to).await.until_ended(SOON).await.unwrap();
        assert!(
            matches!(refused, EndWhy::Refused { status: it, .. } if it == status),
            "{refused:?}"
        );
    }
    // By command, to the same number.
    engine.command(&agent.no, "dial", json!({"number": "13800138007"})).await;
    agent.robot.incoming(SOON).await.unwrap().answer();
    let party = outside.incoming(SOON).await.unwrap();
    let invited = party.invited().unwrap();
    assert_eq!((invited.request_user.clone(), invited.from_user.reveal().clone()), by_phone);
}
