//! What a carrier is told whose calls and requests we do not take.

use std::net::IpAddr;

use hotline_sip::Message;
use hotline_testkit::raw::{RawUdp, request};
use tokio::time::Instant;

use crate::{
    engine::{Engine, SOON},
    setup::{CARRIER, Setup},
};

/// Somebody who speaks for a carrier, one request after the other.
pub(crate) struct Carrier {
    socket: RawUdp,
    n_sent: u32,
}

impl Carrier {
    pub(crate) async fn at(ip: IpAddr) -> Self {
        Self { socket: RawUdp::bind(ip).await.unwrap(), n_sent: 0 }
    }

    /// The final response to a new request; `codec` is what its offer has.
    pub(crate) async fn ask(
        &mut self,
        engine: &Engine,
        method: &str,
        to: &str,
        codec: &str,
    ) -> Message {
        self.n_sent += 1;
        let n = self.n_sent;
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 {CARRIER}\r\ns=-\r\nc=IN IP4 {CARRIER}\r\nt=0 0\r\n\
             m=audio 6000 RTP/AVP {codec}\r\n"
        );
        let text = request(method, engine.udp(), self.socket.address(), "UDP")
            .replace("sip:12345@", &format!("sip:{to}@"))
            .replace("z9hG4bK-raw", &format!("z9hG4bK-{n}"))
            .replace("Call-ID: raw", &format!("Call-ID: {n}"));
        let text = if method == "INVITE" {
            let length = format!(
                "Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
                sdp.len()
            );
            text.replace("Content-Length: 0\r\n\r\n", &length)
        } else {
            text
        };
        self.socket.send(engine.udp(), text.as_bytes()).await.unwrap();
        let own = format!("{n}-{}@", self.socket.address().port());
        loop {
            let bytes = self.socket.receive(SOON).await.expect("an answer");
            let message = Message::parse(&bytes).unwrap();
            // Earlier refusals come again, because nobody acknowledges them.
            if message.status().is_some_and(|it| it >= 200)
                && message.call_id().starts_with(own.as_bytes())
            {
                return message;
            }
        }
    }
}

/// Status, Reason and Retry-After.
fn told(it: &Message) -> (u16, String, String) {
    let header =
        |name: &str| String::from_utf8_lossy(it.header(name).unwrap_or_default()).into_owned();
    (it.status().unwrap(), header("Reason"), header("Retry-After"))
}

fn says(status: u16, reason: &str, retry_after: &str) -> (u16, String, String) {
    (status, reason.to_owned(), retry_after.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_calls_carry_their_cause_and_only_a_planned_end_says_when_to_come_again() {
    let setup = Setup { channels_max: 2, grace_secs: 60, ..Setup::default() };
    let mut engine = Engine::start(setup).await;
    let mut carrier = Carrier::at(CARRIER).await;
    let unknown = carrier.ask(&engine, "INVITE", "077199999", "8").await;
    assert_eq!(told(&unknown), says(404, "Q.850;cause=1", ""));
    let no_codec = says(488, "Q.850;cause=65", "");
    assert_eq!(told(&carrier.ask(&engine, "INVITE", "12345", "18").await), no_codec);
    let caller = engine.caller().await;
    caller.until_answered(SOON).await.unwrap();
    let other = engine.caller().await;
    other.until_answered(SOON).await.unwrap();
    let full = carrier.ask(&engine, "INVITE", "12345", "8").await;
    assert_eq!(told(&full), says(503, "Q.850;cause=34", ""));
    other.hang_up();
    engine.record_of(&other.number).await;
    engine.ask_to_stop();
    let end = Instant::now() + SOON;
    loop {
        let told = told(&carrier.ask(&engine, "INVITE", "12345", "18").await);
        if told == says(503, "Q.850;cause=41", "30") {
            break;
        }
        assert_eq!(told, no_codec);
        assert!(Instant::now() < end, "the engine does not drain");
    }
    caller.hang_up();
    engine.until_stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_and_subscriptions_are_refused_with_what_there_is() {
    let engine = Engine::quick().await;
    let mut carrier = Carrier::at(CARRIER).await;
    for method in ["MESSAGE", "SUBSCRIBE", "PUBLISH"] {
        let it = carrier.ask(&engine, method, "12345", "8").await;
        let allow = String::from_utf8_lossy(it.header("Allow").unwrap()).into_owned();
        assert_eq!(it.status(), Some(405), "{method}");
        for served in ["INVITE", "ACK", "BYE", "CANCEL", "INFO", "UPDATE", "PRACK", "OPTIONS"] {
            assert!(allow.split(", ").any(|it| it == served), "{method}: {allow}");
        }
        assert!(!allow.contains(method), "{allow}");
    }
    // Nothing is left of them, and calls go on.
    let caller = engine.caller().await;
    caller.until_answered(SOON).await.unwrap();
}
