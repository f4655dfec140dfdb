//! Stories of listeners, on real sockets where the socket matters.

use std::time::Duration;

use hotline_agent::AgentView;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::StatusCode},
};

use super::*;
use crate::{
    fixture::{WALL, agent, call_view, house},
    serve,
};

fn view() -> AgentView {
    agent("1001").view()
}

fn seqs(events: &[Arc<str>]) -> Vec<u64> {
    events.iter().map(|it| parsed(it)["seq"].as_u64().unwrap()).collect()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn first_connection_gets_a_snapshot_of_the_newest_state() {
    let feeds = Feeds::new(42);
    let it = feeds.listen(&view(), None, WALL);
    let first = parsed(&it.first[0]);
    assert_eq!((&first["type"], &first["seq"]), (&"snapshot".into(), &0.into()));
    assert_eq!(first["call"], Value::Null);
    feeds.publish(WALL, view(), Some(call_view()));
    let first = parsed(&feeds.listen(&view(), None, WALL).first[0]);
    assert_eq!((&first["type"], &first["seq"]), (&"snapshot".into(), &1.into()));
    assert_eq!(first["call"]["caller_no"], "13800138000");
}

#[test]
fn who_comes_back_gets_exactly_what_was_missed() {
    let feeds = Feeds::new(42);
    drop(feeds.listen(&view(), None, WALL));
    for _ in 0..10 {
        feeds.publish(WALL, view(), None);
    }
    assert_eq!(seqs(&feeds.listen(&view(), Some(("42", 7)), WALL).first), [8, 9, 10]);
    assert_eq!(seqs(&feeds.listen(&view(), Some(("42", 10)), WALL).first), [0; 0]);
    // Another life of the engine, or a number from the future: all that is known.
    for seen in [("41", 7), ("42", 11), ("42", u64::MAX)] {
        let first = feeds.listen(&view(), Some(seen), WALL).first;
        assert_eq!(parsed(&first[0])["type"], "snapshot");
    }
}

#[test]
fn who_was_away_too_long_gets_a_snapshot() {
    let feeds = Feeds::new(42);
    drop(feeds.listen(&view(), None, WALL));
    for _ in 0..300 {
        feeds.publish(WALL, view(), None);
    }
    let first = feeds.listen(&view(), Some(("42", 43)), WALL).first;
    assert_eq!((first.len(), &parsed(&first[0])["type"]), (1, &"snapshot".into()));
    assert_eq!(feeds.listen(&view(), Some(("42", 44)), WALL).first.len(), 256);
}

#[test]
fn of_an_agent_nobody_listens_to_only_the_newest_state_is_kept() {
    let feeds = Feeds::new(42);
    for _ in 0..300 {
        feeds.publish(WALL, view(), None);
    }
    let n_kept = || feeds.lock().values().map(|it| it.ring.len()).sum::<usize>();
    assert_eq!(n_kept(), 0);
    let first = feeds.listen(&view(), None, WALL).first;
    assert_eq!((first.len(), seqs(&first)), (1, vec![300]));
    feeds.publish(WALL, view(), None);
    assert_eq!(n_kept(), 1);
    assert_eq!(seqs(&feeds.listen(&view(), Some(("42", 300)), WALL).first), [301]);
}

#[test]
fn what_becomes_of_a_recording_is_an_event_of_its_agents() {
    use hotline_base::media::{Channel, Gap, GapWhy, MarkedGap};
    use hotline_cdr::RecordingEvent;
    let gap = |from_ms, to_ms, why, channel| {
        let gap = Gap { from_ms, to_ms };
        MarkedGap { gap, why, channel }
    };
    let feeds = Feeds::new(42);
    let mut news = RecordingNews {
        call: CallId(7),
        at: WALL,
        recording: RecordingId::new("rec-7"),
        path: "2026/rec-7.wav".to_owned(),
        agents: vec![AgentNo::new("1001")],
        event: RecordingEvent::Started,
    };
    feeds.publish_recording(&news.agents[0], &news);
    feeds.publish(WALL, view(), Some(call_view()));
    let mut listening = feeds.listen(&view(), None, WALL);
    feeds.publish_recording(&news.agents[0], &news);
    news.event = RecordingEvent::Sealed {
        duration_ms: 2_000,
        bytes: 32_058,
        sha256: "ab".to_owned(),
        gap_ms: 200,
        n_gaps: 1,
        heard_ms: Some([1_500, 500]),
        gaps: vec![
            gap(100, 300, GapWhy::Disk, None),
            gap(700, 900, GapWhy::Lost, Some(Channel::Right)),
        ],
    };
    feeds.publish_recording(&news.agents[0], &news);
    let mut next = || parsed(&listening.rest.try_recv().unwrap());
    let started = next();
    assert_eq!((&started["type"], &started["seq"]), (&"recording.started".into(), &2.into()));
    assert_eq!(started["recording"]["recording_id"], "rec-7");
    assert_eq!(started["recording"]["sha256"], Value::Null);
    let sealed = next();
    assert_eq!(sealed["type"], "recording.sealed");
    let it = &sealed["recording"];
    let gaps = serde_json::json!([
        {"from_ms": 100, "to_ms": 300, "why": "disk", "side": null},
        {"from_ms": 700, "to_ms": 900, "why": "lost", "side": "agent"}
    ]);
    assert_eq!(it["gaps"], gaps);
    assert_eq!(it["caller_coverage_permille"], 750);
    assert_eq!(it["agent_coverage_permille"], 250);
    // Who comes later is told how the agent is.
    let first = parsed(&feeds.listen(&view(), None, WALL).first[0]);
    assert_eq!((&first["type"], &first["recording"]), (&"snapshot".into(), &Value::Null));
}

#[test]
fn slow_listener_is_let_go_and_the_others_are_not() {
    let feeds = Feeds::new(42);
    let mut slow = feeds.listen(&view(), None, WALL).rest;
    let mut quick = feeds.listen(&view(), None, WALL).rest;
    for _ in 0..65 {
        feeds.publish(WALL, view(), None);
        quick.try_recv().unwrap();
    }
    assert_eq!(feeds.n_listeners(), 1);
    for _ in 0..64 {
        slow.try_recv().unwrap();
    }
    assert_eq!(slow.try_recv().unwrap_err(), mpsc::error::TryRecvError::Disconnected);
}

#[tokio::test]
async fn agent_hears_events_over_a_socket_until_the_server_stops() {
    use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
    let house = house();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let serving = serve(listener, house.app.clone()).unwrap();
    let url = format!("ws://{}/api/v1/agents/1001/events", serving.address);

    let refused = connect_async(format!("{url}?token=wrong")).await.unwrap_err();
    let Error::Http(response) = refused else { panic!("{refused}") };
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);

    let mut request = url.clone().into_client_request().unwrap();
    request.headers_mut().insert("authorization", "Bearer 1001".parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    assert_eq!(next(&mut socket).await["type"], "snapshot");
    house.app.feeds.publish(WALL, view(), Some(call_view()));
    let event = next(&mut socket).await;
    assert_eq!((&event["type"], &event["seq"]), (&"state".into(), &1.into()));
    assert_eq!(event["call"]["caller_no"], "13800138000");
    assert_eq!(event["epoch"], "42");

    house.app.feeds.publish(WALL, view(), None);
    let again = format!("{url}?token=1001&since=1&epoch=42");
    let (mut second, _) = connect_async(again).await.unwrap();
    assert_eq!(next(&mut second).await["seq"], 2);

    let stopping = tokio::spawn(serving.stop());
    assert_eq!(next(&mut socket).await["seq"], 2);
    let Some(Ok(Message::Close(Some(frame)))) = receive(&mut socket).await else {
        panic!("no close frame")
    };
    assert_eq!(frame.code, CloseCode::Away);
    drop((socket, second));
    tokio::time::timeout(Duration::from_secs(10), stopping).await.unwrap().unwrap();
}

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn receive(socket: &mut Socket) -> Option<Result<Message, Error>> {
    std::future::poll_fn(|cx| futures_core::Stream::poll_next(std::pin::Pin::new(&mut *socket), cx))
        .await
}

async fn next(socket: &mut Socket) -> Value {
    match receive(socket).await {
        Some(Ok(Message::Text(text))) => parsed(&text),
        other => panic!("{other:?}"),
    }
}
