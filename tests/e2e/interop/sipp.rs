//! SIPp as caller and as agent, with the scenarios of `tests/interop`.

use std::{
    fs,
    net::{IpAddr, SocketAddr, UdpSocket},
    process::ExitStatus,
};

use hotline_testkit::{Outgoing, Speech};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant, interval, timeout},
};

use super::{AGENT_HZ, CALLER_HZ, check_talk, peer::Peer, sign_in, sound, until_state};
use crate::{
    engine::{Engine, SOON, text},
    program::root,
    setup::{CARRIER, OFFICE, PASSWORD, Setup},
};

const POLL: Duration = Duration::from_millis(20);

/// SIPp in the middle of a scenario. What is third-party call control to SIPp (`sendCmd`,
/// `recvCmd`) is how it tells a test where it is, and how a test tells it to go on.
pub(super) struct Sipp {
    peer: Peer,
    folder: TempDir,
    twin: TcpListener,
    wire: Option<TcpStream>,
    /// Of the call that reported last.
    call_id: String,
}

/// The scenario begins with a request of somebody else.
fn is_called(scenario: &str) -> bool {
    let first = scenario
        .lines()
        .map(str::trim)
        .find(|it| it.starts_with("<recv") || it.starts_with("<send"));
    first.is_some_and(|it| it.starts_with("<recv request"))
}

/// Waits until somebody has a port: who calls earlier is told by ICMP that nobody is there.
async fn until_bound(local: SocketAddr) {
    let end = Instant::now() + SOON;
    let mut tick = interval(POLL);
    while UdpSocket::bind(local).is_ok() {
        assert!(Instant::now() < end, "SIPp does not listen at {local}");
        tick.tick().await;
    }
}

impl Sipp {
    /// Runs a scenario for one call from `local`; port 0 is any port.
    pub(super) async fn start(
        engine: &Engine,
        scenario: &str,
        local: SocketAddr,
        more: &[&str],
    ) -> Self {
        Self::start_edited(engine, scenario, local, more, &[]).await
    }

    /// The same with texts of the scenario replaced.
    pub(super) async fn start_edited(
        engine: &Engine,
        scenario: &str,
        local: SocketAddr,
        more: &[&str],
        edits: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::Builder::new().prefix("hotline-sipp-").tempdir().unwrap();
        let file = format!("{scenario}.xml");
        let mut text = fs::read_to_string(root().join("tests/interop").join(&file)).unwrap();
        for (from, to) in edits {
            assert!(text.contains(from), "{file} does not contain {from:?}");
            text = text.replace(from, to);
        }
        fs::write(folder.path().join(&file), &text).unwrap();
        for (name, bytes) in [
            ("tone.pcap", sound::tone_capture(CALLER_HZ)),
            ("key.pcap", sound::key_capture(0, OUR_KEYS)),
            ("tone.al", sound::alaw(AGENT_HZ)),
        ] {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let twin = TcpListener::bind((local.ip(), 0)).await.unwrap();
        let (ip, port) = (local.ip().to_string(), local.port().to_string());
        let (remote, twin_at) = (engine.udp().to_string(), twin.local_addr().unwrap().to_string());
        let mut arguments = vec![&*remote, "-sf", &*file, "-m", "1", "-nostdin"];
        arguments.extend(["-i", &*ip, "-mi", &*ip]);
        // SIPp refuses a twin that it has nothing to say to.
        if text.contains("<sendCmd>") {
            arguments.extend(["-3pcc", &*twin_at]);
        }
        arguments.extend(["-trace_err", "-error_file", "errors", "-trace_msg"]);
        arguments.extend(["-message_file", "messages"]);
        if local.port() != 0 {
            arguments.extend(["-p", &*port]);
        }
        arguments.extend(more);
        let peer = Peer::start("sipp", "sip-tester", folder.path(), &arguments);
        if is_called(&text) {
            until_bound(local).await;
        }
        Self { peer, folder, twin, wire: None, call_id: String::new() }
    }

    /// Waits until the scenario reports that it is at a place.
    pub(super) async fn reports(&mut self, place: &str) {
        self.reports_within(SOON, place).await;
    }

    pub(super) async fn reports_within(&mut self, deadline: Duration, place: &str) {
        let heard = timeout(deadline, self.hears_report()).await;
        let report = heard.unwrap_or_else(|_| panic!("no report of {place}\n{}", self.story()));
        assert!(report.contains(&format!("Report: {place}")), "{report}\n{}", self.story());
        let call_id = report.lines().find_map(|it| it.strip_prefix("Call-ID: "));
        call_id.unwrap().trim().clone_into(&mut self.call_id);
    }

    async fn hears_report(&mut self) -> String {
        if self.wire.is_none() {
            self.wire = Some(self.twin.accept().await.unwrap().0);
        }
        let wire = self.wire.as_mut().unwrap();
        let mut report = Vec::new();
        loop {
            match wire.read_u8().await {
                Ok(END) => return String::from_utf8(report).unwrap(),
                Ok(it) => report.push(it),
                Err(error) => panic!("SIPp is gone ({error})\n{}", self.story()),
            }
        }
    }

    /// Lets the scenario go on behind the next `recvCmd`.
    pub(super) async fn goes_on(&mut self) {
        let mut text = format!("Call-ID: {}\r\n\r\n", self.call_id).into_bytes();
        text.push(END);
        self.wire.as_mut().unwrap().write_all(&text).await.unwrap();
    }

    /// Waits until the scenario was played to its end.
    pub(super) async fn succeeds(self) {
        self.succeeds_within(SOON).await;
    }

    pub(super) async fn succeeds_within(mut self, deadline: Duration) {
        let status: ExitStatus = self.peer.until_gone_within(deadline).await;
        assert!(status.success(), "SIPp ended with {status}\n{}", self.story());
    }

    /// What SIPp saw, for a failed test.
    fn story(&self) -> String {
        let file = |it: &str| fs::read_to_string(self.folder.path().join(it)).unwrap_or_default();
        let errors = file("errors");
        let hint = if (errors.clone() + &self.peer.said()).contains("raw") {
            "SIPp sends keys through a raw socket; run: \
             sudo setcap cap_net_raw+ep \"$(readlink -f \"$(command -v sipp)\")\"\n"
        } else {
            ""
        };
        format!("{hint}--- errors of SIPp\n{errors}\n--- messages\n{}", file("messages"))
    }
}

/// Ends a command between SIPp and its twin.
const END: u8 = 27;

/// The payload type of keys in the engine's offer.
const OUR_KEYS: u8 = 101;

fn anywhere(ip: IpAddr) -> SocketAddr {
    (ip, 0).into()
}

/// Calls as SIPp; he is answered and has pressed 0.
async fn call(engine: &Engine, scenario: &str, number: &str) -> Sipp {
    let more = ["-key", "caller", number];
    let mut caller = Sipp::start(engine, scenario, anywhere(CARRIER), &more).await;
    caller.reports("answered").await;
    caller
}

/// A telephone that registered as 8001; the port from which it did.
pub(super) async fn register(engine: &Engine, password: &str) -> (SocketAddr, Sipp) {
    // The port of the telephone, which two runs of SIPp share one after the other.
    let port = UdpSocket::bind((OFFICE, 0)).unwrap().local_addr().unwrap();
    let more = ["-s", "8001", "-au", "8001", "-ap", password];
    let it = Sipp::start(engine, "agent-registers", port, &more).await;
    (port, it)
}

/// The caller of a scenario talks to an agent of ours and hangs up.
async fn caller_talks(scenario: &str, number: &str) {
    let engine = Engine::quick().await;
    let agent = engine.agent(1).await;
    let mut caller = call(&engine, scenario, number).await;
    let ringing = agent.robot.incoming(SOON).await.unwrap();
    ringing.answer();
    ringing.speak(Speech::tone(AGENT_HZ));
    engine.until_state(&agent, "talking").await;
    caller.goes_on().await;
    ringing.until_tone(CALLER_HZ, SOON).await.unwrap();
    caller.goes_on().await;
    ringing.until_ended(SOON).await.unwrap();
    caller.succeeds().await;
    check_talk(&engine, number, "caller").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_presses_0_talks_to_an_agent_and_hangs_up() {
    caller_talks("caller", "13700000001").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_that_brings_no_offer_gets_ours_and_talks() {
    caller_talks("caller-delayed-offer", "13700000002").await;
}

/// The node that answers, as it is shipped.
const OPEN: &str = "open_line: {type: answer, next: blocked}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_behind_an_ims_is_rung_reliably_and_refreshes_by_three_ways() {
    const LATE: &str = "open_line: {type: answer, delay: 1s, next: blocked}";
    let edit = ("flows/gx12345.main.flow.yaml", OPEN, LATE);
    let engine = Engine::start(Setup { flow_edits: vec![edit], ..Setup::default() }).await;
    let number = "13700000021";
    let more = ["-key", "caller", number];
    let mut caller = Sipp::start(&engine, "caller-ims", anywhere(CARRIER), &more).await;
    caller.reports("refreshed").await;
    caller.goes_on().await;
    caller.succeeds().await;
    let record = engine.record_of(number).await;
    assert_eq!((&record["restricted"], &record["released_by"]), (&json!(true), &json!("caller")));
    assert_eq!((&record["cause"], &record["cause_text"]), (&json!(16), &json!(null)));
    let facts = record["facts"].as_array().unwrap();
    let said = facts.iter().find(|it| it["type"] == "signalled").unwrap();
    assert_eq!(said["diverted_from"], "+867715550000");
    assert_eq!(said["diverted_why"], "unconditional");
    assert_eq!(said["user_to_user"], "3132;encoding=hex");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_that_cancels_after_the_answer_stays_in_the_call() {
    let engine = Engine::quick().await;
    let mut caller = call(&engine, "caller-late-cancel", "13700000022").await;
    caller.goes_on().await;
    caller.succeeds().await;
    let record = engine.record_of("13700000022").await;
    assert_ne!(text(&record["t_ans"]), "null", "{record:#}");
    assert_eq!(record["released_by"], "caller");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_refuses_as_an_agent_and_the_record_says_why() {
    for (scenario, word) in [("agent-busy", "忙"), ("agent-off", "关机"), ("agent-vacant", "空号")]
    {
        let engine = Engine::start(Setup::old_telephones()).await;
        let (port, registers) = register(&engine, PASSWORD).await;
        registers.succeeds().await;
        sign_in(&engine).await;
        let phone = Sipp::start(&engine, scenario, port, &[]).await;
        let caller = engine.caller().await;
        caller.ask_for_person(&engine).await;
        phone.succeeds().await;
        until_state(&engine, "busy").await;
        caller.hang_up();
        let record = engine.record_of(&caller.number).await;
        assert_eq!(record["segments"][0]["cause_text"], word, "{record:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_that_describes_itself_in_a_reliable_183_only_talks() {
    let engine = Engine::start(Setup::old_telephones()).await;
    let (port, registers) = register(&engine, PASSWORD).await;
    registers.succeeds().await;
    sign_in(&engine).await;
    let mut phone = Sipp::start(&engine, "agent-reliable", port, &[]).await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    phone.reports("ringing").await;
    until_state(&engine, "ringing").await;
    phone.goes_on().await;
    phone.reports("answered").await;
    caller.speak(Speech::tone(CALLER_HZ));
    caller.until_tone(AGENT_HZ, SOON).await.unwrap();
    phone.goes_on().await;
    phone.succeeds().await;
    caller.until_ended(SOON).await.unwrap();
    check_talk(&engine, &caller.number, "platform").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_that_cancels_before_the_answer_gets_487_and_a_record() {
    const LATE: &str = "open_line: {type: answer, delay: 10s, next: blocked}";
    let edit = ("flows/gx12345.main.flow.yaml", OPEN, LATE);
    let engine = Engine::start(Setup { flow_edits: vec![edit], ..Setup::default() }).await;
    let number = "13700000003";
    let more = ["-key", "caller", number];
    let mut caller = Sipp::start(&engine, "caller-cancels", anywhere(CARRIER), &more).await;
    caller.reports("trying").await;
    caller.goes_on().await;
    caller.succeeds().await;
    let record = engine.record_of(number).await;
    assert_eq!(record["released_by"], "caller");
    assert_eq!(text(&record["t_ans"]), "null", "{record:#}");
    engine.caller().await.until_answered(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_answers_as_an_agent_and_hangs_up() {
    let engine = Engine::start(Setup::old_telephones()).await;
    let (port, registers) = register(&engine, PASSWORD).await;
    registers.succeeds().await;
    sign_in(&engine).await;
    let mut phone = Sipp::start(&engine, "agent", port, &[]).await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    phone.reports("ringing").await;
    until_state(&engine, "ringing").await;
    phone.goes_on().await;
    phone.reports("answered").await;
    caller.speak(Speech::tone(CALLER_HZ));
    caller.until_tone(AGENT_HZ, SOON).await.unwrap();
    phone.goes_on().await;
    phone.succeeds().await;
    caller.until_ended(SOON).await.unwrap();
    check_talk(&engine, &caller.number, "platform").await;
    until_state(&engine, "idle").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_stops_ringing_when_the_caller_gives_up() {
    let engine = Engine::start(Setup::old_telephones()).await;
    let (port, registers) = register(&engine, PASSWORD).await;
    registers.succeeds().await;
    sign_in(&engine).await;
    let mut phone = Sipp::start(&engine, "agent-loses-caller", port, &[]).await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    phone.reports("ringing").await;
    until_state(&engine, "ringing").await;
    caller.hang_up();
    phone.succeeds().await;
    until_state(&engine, "idle").await;
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["segments"][0]["unanswered"], "caller_left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_with_a_wrong_password_is_no_agent() {
    let engine = Engine::start(Setup::old_telephones()).await;
    let (_, mut registers) = register(&engine, "wrong").await;
    assert!(!registers.peer.until_gone().await.success(), "{}", registers.story());
    assert!(registers.story().contains("SIP/2.0 403"), "{}", registers.story());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_that_offers_while_our_offer_runs_gets_491_and_offers_again() {
    let engine = Engine::quick().await;
    let mut caller = call(&engine, "caller-glare", "13700000031").await;
    caller.goes_on().await;
    caller.succeeds().await;
    let record = engine.record_of("13700000031").await;
    assert_eq!(
        (&record["released_by"], &record["reason"]),
        (&json!("caller"), &json!("caller_hung_up"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_that_refuses_our_refresh_with_491_is_asked_again() {
    // We refresh a session of 90 s, the shortest there is, after half of it.
    const REFRESH: Duration = Duration::from_secs(75);
    let engine = Engine::quick().await;
    // Somebody is there to be waited for.
    engine.busy_agent(1).await;
    let mut caller = call(&engine, "caller-refuses-refresh", "13700000032").await;
    caller.reports_within(REFRESH, "glare").await;
    caller.reports("refreshed").await;
    caller.goes_on().await;
    caller.succeeds().await;
    assert_eq!(engine.record_of("13700000032").await["released_by"], "caller");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_that_never_sends_sound_is_let_go_after_30_s() {
    let engine = Engine::quick().await;
    // Somebody is there to be waited for.
    engine.busy_agent(1).await;
    let caller = call(&engine, "caller-silent", "13700000033").await;
    caller.succeeds_within(Duration::from_mins(1)).await;
    let record = engine.record_of("13700000033").await;
    assert_eq!(
        (&record["released_by"], &record["reason"]),
        (&json!("platform"), &json!("media_lost"))
    );
    let facts = record["facts"].as_array().unwrap();
    let quiet: Vec<_> =
        facts.iter().filter(|it| it["type"] == "media_quiet").map(|it| &it["secs"]).collect();
    assert_eq!(quiet, [&json!(5), &json!(30)]);
    let path = format!("/api/v1/calls/{}", record["call_id"].as_str().unwrap());
    let complete = |it: &Value| (it["complete"] == true).then(|| it["audio_marks"].clone());
    assert_eq!(engine.until(&path, SOON, complete).await, json!(["one_way_audio"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_presses_0_by_info_and_is_refused_what_nobody_has() {
    let engine = Engine::quick().await;
    let agent = engine.agent(1).await;
    let mut caller = call(&engine, "caller-info", "13700000034").await;
    caller.goes_on().await;
    caller.reports("pressed").await;
    let ringing = agent.robot.incoming(SOON).await.unwrap();
    assert_eq!(
        ringing.invited().unwrap().user_to_user.as_ref().map(|it| it.reveal().as_str()),
        Some("3334;encoding=hex"),
        "what the caller's network attached reaches the agent's telephone"
    );
    ringing.answer();
    ringing.until_tone(AGENT_HZ, SOON).await.unwrap();
    caller.goes_on().await;
    ringing.until_ended(SOON).await.unwrap();
    caller.succeeds().await;
    let record = engine.record_of("13700000034").await;
    assert_eq!(
        (&record["outcome"], &record["cause"], &record["cause_text"]),
        (&json!("answered"), &json!(38), &json!("网络拥塞"))
    );
    let facts = record["facts"].as_array().unwrap();
    let said = facts.iter().find(|it| it["type"] == "signalled").unwrap();
    assert_eq!(
        (&said["diverted_from"], &said["diverted_why"]),
        (&json!("07715550000"), &json!("486"))
    );
    assert_eq!(said["user_to_user"], "3334;encoding=hex");
    assert_eq!(said["preferred"], "+8613700000000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_as_a_desk_telephone_is_told_to_answer_by_itself_and_does() {
    let agent_more = "digest = [\"MD5\"]\nauto_answer = true\n";
    let engine = Engine::start(Setup { agent_more, ..Setup::default() }).await;
    let (port, registers) = register(&engine, PASSWORD).await;
    registers.succeeds().await;
    sign_in(&engine).await;
    let mut phone = Sipp::start(&engine, "agent-by-itself", port, &[]).await;
    let user_to_user = ("User-to-User".to_owned(), "3334;encoding=hex".to_owned());
    let outgoing = Outgoing {
        to: "12345".to_owned(),
        from_user: "13700000035".to_owned(),
        headers: vec![user_to_user],
        ..Outgoing::default()
    };
    let caller = engine.dial(outgoing).await;
    caller.ask_for_person(&engine).await;
    phone.reports("answered").await;
    caller.until_tone(AGENT_HZ, SOON).await.unwrap();
    phone.goes_on().await;
    phone.succeeds().await;
    assert_eq!(engine.record_of("13700000035").await["outcome"], "answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_as_a_telephone_that_forwards_is_not_followed() {
    let engine = Engine::start(Setup::old_telephones()).await;
    let (port, registers) = register(&engine, PASSWORD).await;
    registers.succeeds().await;
    sign_in(&engine).await;
    let phone = Sipp::start(&engine, "agent-redirects", port, &[]).await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    phone.succeeds().await;
    until_state(&engine, "busy").await;
    caller.hang_up();
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["segments"][0]["unanswered"], "rejected");
    assert_eq!(record["segments"][0]["cause_text"], "其他");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_that_offers_in_every_shape_is_answered_and_our_version_counts_our_changes() {
    let engine = Engine::quick().await;
    // Somebody is there to be waited for.
    engine.busy_agent(1).await;
    let mut caller = call(&engine, "caller-reoffers", "13700000036").await;
    caller.goes_on().await;
    caller.reports("held").await;
    caller.goes_on().await;
    caller.reports("back").await;
    caller.goes_on().await;
    caller.succeeds().await;
    let record = engine.record_of("13700000036").await;
    assert_eq!((&record["released_by"], &record["cause"]), (&json!("caller"), &json!(null)));
}
