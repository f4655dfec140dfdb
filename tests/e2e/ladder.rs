//! What an operator sees of a call's signalling: the ladder, the drawing, the capture.

use std::{fs, process::Output};

use hotline_sip::EndWhy;
use hotline_testkit::Outgoing;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    engine::{Engine, Role, SOON, text},
    http, program,
    setup::{OPERATOR_TOKEN, PASSWORD, Setup},
};

/// A talk that the agent ends; its identifier and the caller's number.
async fn talk(engine: &Engine) -> (String, String) {
    let (caller, _agent, phone) = engine.talk().await;
    phone.hang_up();
    caller.until_ended(SOON).await.unwrap();
    let record = engine.record_of(&caller.number).await;
    (text(&record["call_id"]), caller.number.clone())
}

async fn as_operator(engine: &Engine, path: &str) -> http::Response {
    let bearer = format!("Bearer {OPERATOR_TOKEN}");
    http::request(engine.http(), "GET", path, &[("authorization", &bearer)], "").await.unwrap()
}

/// Who sent what, without retransmissions: `carrier INVITE`, `engine 200 OK INVITE`.
fn titles(ladder: &Value, role: &str) -> Vec<String> {
    let sides = ladder["sides"].as_array().unwrap();
    let side = sides.iter().position(|it| it["role"] == role).unwrap();
    let steps = ladder["steps"].as_array().unwrap().iter();
    let own = steps.filter(|it| it["side"] == side && it["repetition"] == 0);
    own.map(|it| {
        let from = if it["sent"] == true { "engine" } else { role };
        let method = text(&it["cseq"]).split(' ').nth(1).unwrap_or_default().to_owned();
        match it["status"].as_u64() {
            Some(status) => format!("{from} {status} {method}"),
            None => format!("{from} {method}"),
        }
    })
    .collect()
}

fn position(of: &[String], title: &str) -> usize {
    of.iter().position(|it| it == title).unwrap_or_else(|| panic!("no {title} in {of:?}"))
}

async fn hotline(engine: &Engine, arguments: &[&str]) -> Output {
    let mut command = Command::new(program::path());
    command.args(arguments).args(["--config", "hotline.toml"]).current_dir(engine.folder());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ladder_of_a_talk_has_both_legs_and_no_number_for_an_operator() {
    let engine = Engine::quick().await;
    let (id, number) = talk(&engine).await;
    let ladder = engine.get(&format!("/api/v1/calls/{id}/ladder")).await;
    let carrier = titles(&ladder, "carrier");
    let story = ["carrier INVITE", "engine 100 INVITE", "engine 200 INVITE", "carrier ACK"];
    let places = story.map(|it| position(&carrier, it));
    assert!(places.is_sorted() && places[0] == 0, "{carrier:?}");
    let phone = titles(&ladder, "phone");
    let story =
        ["engine INVITE", "phone 180 INVITE", "phone 200 INVITE", "engine ACK", "phone BYE"];
    let places = story.map(|it| position(&phone, it));
    assert!(places.is_sorted() && places[0] == 0, "{phone:?}");
    assert_eq!(ladder["steps"][0]["sdp"]["codecs"][0], "PCMA");
    assert_eq!(ladder["sides"][0]["name"], "carrier");
    assert_eq!(text(&ladder["sides"][0]["from"]), number);
    let times = ladder["steps"].as_array().unwrap().iter().map(|it| it["ms"].as_f64().unwrap());
    assert!(times.is_sorted());

    let drawn = hotline(&engine, &["call", "ladder", &id]).await;
    let drawn = String::from_utf8(drawn.stdout).unwrap();
    for it in ["运营商 carrier", "坐席话机 8001", "── INVITE ──", "号码已脱敏"]
    {
        assert!(drawn.contains(it), "{it}:\n{drawn}");
    }
    assert!(!drawn.contains(&number), "{drawn}");
    let whole = hotline(&engine, &["call", "ladder", &id, "--numbers"]).await;
    assert!(String::from_utf8(whole.stdout).unwrap().contains(&number));

    for form in ["ladder", "ladder?format=text", "pcap"] {
        let answer = as_operator(&engine, &format!("/api/v1/calls/{id}/{form}")).await;
        assert_eq!(answer.status, 200, "{form}");
        assert!(!answer.text().contains(&number), "{form}:\n{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ladder_of_a_refused_call_outlives_the_process() {
    let mut engine = Engine::quick().await;
    let (to, from_user) = ("99999".to_owned(), "13800138000".to_owned());
    let caller = engine.dial(Outgoing { to, from_user, ..Outgoing::default() }).await;
    let why = caller.until_ended(SOON).await.unwrap();
    assert!(matches!(why, EndWhy::Refused { status: 404, .. }), "{why:?}");
    let calls = engine.until("/api/v1/calls", SOON, |it| it["items"].get(0).cloned()).await;
    let path = format!("/api/v1/calls/{}/ladder", text(&calls["call_id"]));
    let live = titles(&engine.get(&path).await, "carrier");
    assert_eq!(live[0], "carrier INVITE");
    engine.until_counted("hotline_ladders_total{what=\"stored\"}").await;
    engine.kill(Role::Control).await;
    let stored = engine.until(&path, SOON, |it| Some(titles(it, "carrier"))).await;
    let story = ["carrier INVITE", "engine 100 INVITE", "engine 404 INVITE", "carrier ACK"];
    assert_eq!(stored, story);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ladder_that_somebody_keeps_outlives_the_process_and_others_do_not() {
    let mut engine = Engine::quick().await;
    let (kept, _) = talk(&engine).await;
    let caller = engine.caller().await;
    caller.until_answered(SOON).await.unwrap();
    caller.hang_up();
    let other = text(&engine.record_of(&caller.number).await["call_id"]);
    engine.get(&format!("/api/v1/calls/{other}/ladder")).await;
    let answer = hotline(&engine, &["call", "ladder", &kept, "--keep"]).await;
    assert!(String::from_utf8(answer.stdout).unwrap().contains("已存入数据库"));
    engine.until_counted("hotline_ladders_total{what=\"stored\"}").await;
    engine.kill(Role::Control).await;
    engine.until(&format!("/api/v1/calls/{kept}/ladder"), SOON, |it| Some(it.clone())).await;
    for absent in [other.as_str(), "1"] {
        let path = format!("/api/v1/calls/{absent}/ladder");
        assert_eq!(http::get(engine.http(), &path).await.unwrap().status, 404, "{absent}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn capture_of_a_talk_is_read_by_tshark_and_holds_no_password() {
    let engine = Engine::quick().await;
    let (id, number) = talk(&engine).await;
    hotline(&engine, &["call", "pcap", &id, "-o", "call.pcap"]).await;
    let file = engine.folder().join("call.pcap");
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(&file).args(["-Y", "sip", "-T", "fields"]);
    let fields = ["sip.Method", "sip.Status-Code", "ip.src", "sip.CSeq.method"];
    tshark.args(fields.iter().flat_map(|it| ["-e", it]));
    let read = tshark.output().await.expect("apt-get install tshark");
    let read = String::from_utf8_lossy(&read.stdout).into_owned();
    let lines: Vec<Vec<&str>> = read.lines().map(|it| it.split('\t').collect()).collect();
    let ladder = engine.get(&format!("/api/v1/calls/{id}/ladder")).await;
    assert_eq!(lines.len(), ladder["steps"].as_array().unwrap().len(), "{read}");
    assert_eq!(lines[0], ["INVITE", "", "127.0.0.2", "INVITE"], "{read}");
    assert_eq!(lines[1], ["", "100", "127.0.0.1", "INVITE"], "{read}");
    assert!(lines.iter().any(|it| it[0] == "BYE" && it[2] == "127.0.0.3"), "{read}");
    let bytes = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
    for secret in [&number, PASSWORD, "response="] {
        assert!(!bytes.contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_of_the_trunk_count_a_talk_and_a_refusal_also_after_a_restart() {
    // The caller hears that it rings a second before the answer.
    const OPEN: &str = "open_line: {type: answer, next: blocked}";
    const LATE: &str = "open_line: {type: answer, delay: 1s, next: blocked}";
    let flow_edits = vec![("flows/gx12345.main.flow.yaml", OPEN, LATE)];
    let mut engine = Engine::start(Setup { flow_edits, ..Setup::default() }).await;
    let (id, _) = talk(&engine).await;
    let (to, from_user) = ("99999".to_owned(), "13800138000".to_owned());
    let refused = engine.dial(Outgoing { to, from_user, ..Outgoing::default() }).await;
    refused.until_ended(SOON).await.unwrap();
    // The two may lie in two quarter hours.
    let sum = |it: &Value, of: &str| -> u64 {
        let rows = it["items"].as_array().unwrap().iter().filter(|it| it["direction"] == "in");
        rows.map(|it| it.pointer(of).and_then(Value::as_u64).unwrap_or(0)).sum()
    };
    let counted = |it: &Value| (sum(it, "/attempts") == 2).then(|| it.clone());
    let path = "/api/v1/trunks/statistics?by=carrier";
    let figures = engine.until(path, SOON, counted).await;
    assert_eq!((sum(&figures, "/answered"), sum(&figures, "/outcomes/no_such_number")), (1, 1));
    assert!(sum(&figures, "/peak") >= 1, "{figures:#}");
    for (class, n) in [("answer", 1), ("number", 1), ("user", 0), ("network", 0), ("ours", 0)] {
        assert_eq!(sum(&figures, &format!("/classes/{class}")), n, "{class}: {figures:#}");
    }
    assert_eq!(sum(&figures, "/dropped"), 0);
    let rows = figures["items"].as_array().unwrap();
    for row in rows.iter().filter(|it| it["attempts"] != 0) {
        let part = row["answered"].as_f64().unwrap() / row["attempts"].as_f64().unwrap();
        assert_eq!((&row["asr"], &row["ner"]), (&json!(part), &json!(part)), "{row:#}");
    }
    // The delay ended when it rang.
    let delays: Vec<_> = rows.iter().filter_map(|it| it["delay_max_ms"].as_u64()).collect();
    assert!(delays.len() == 1 && delays[0] < 1_000, "{figures:#}");
    // The channel was in use from the INVITE to the BYE, to half a second of 900: an Erlang is
    // told in thousandths.
    let ladder = engine.get(&format!("/api/v1/calls/{id}/ladder")).await;
    let steps = ladder["steps"].as_array().unwrap().iter().filter(|it| it["side"] == 0);
    let secs = steps.filter_map(|it| it["ms"].as_f64()).next_back().unwrap() / 1_000.0;
    let held: f64 = rows
        .iter()
        .map(|it| it["erlang"].as_f64().unwrap() * it["watched_s"].as_f64().unwrap())
        .sum();
    assert!(secs > 1.0 && (held - secs).abs() < 0.6, "{held} s of {secs} s: {figures:#}");
    let labels = "{trunk=\"carrier\",direction=\"in\"}";
    engine.until_figure(&format!("hotline_trunk_delays_total{labels}"), "1").await;
    engine.until_figure(&format!("hotline_trunk_dropped_total{labels}"), "0").await;
    engine.until_counted(&format!("hotline_trunk_held_milliseconds_total{labels}")).await;
    assert_eq!(
        figures["carriers"],
        json!([{
            "name": "carrier", "alarm": false, "trunks": ["carrier"],
            "gateways": 0, "gateways_up": 0, "probes_good": 0, "probes_failed": 0,
            "accounts": 0, "accounts_registered": 0,
        }])
    );
    engine.until_counted(ANSWERED).await;
    engine.stop().await;
    engine.start_again().await;
    engine.until(path, SOON, counted).await;
    assert_eq!(as_operator(&engine, path).await.status, 200);
}

const ANSWERED: &str = "hotline_trunk_attempts_total\
    {trunk=\"carrier\",direction=\"in\",outcome=\"answered\"}";

#[test]
fn arguments_that_make_no_sense_are_refused_in_chinese_first() {
    let cases = [
        (&["call", "ladder", "abc"][..], "hotline: <流水号> 不能是“abc”"),
        (&["call", "ladder"], "hotline: 还缺 <流水号>"),
        (&["call", "ladder", "1", "--loud"], "hotline: 没有参数 --loud"),
        (&["cal"], "hotline: 没有命令 cal"),
        (&["dead-letters", "resend", "x", "--all"], "一起用"),
    ];
    for (arguments, start) in cases {
        let output = std::process::Command::new(program::path()).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let (first, rest) = said.split_once('\n').unwrap();
        assert!(first.contains(start) && rest.starts_with("error: "), "{said}");
        assert_eq!(output.status.code(), Some(2));
    }
    let help = std::process::Command::new(program::path()).arg("--help").output().unwrap();
    assert!(help.status.success() && help.stderr.is_empty());
}
