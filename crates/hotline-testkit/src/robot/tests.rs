//! Robots call robots, and hear each other.

use std::{net::Ipv4Addr, time::Duration};

use hotline_sip::EndWhy;

use super::*;
use crate::{Sound, Speech};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SOON: Duration = Duration::from_secs(10);

struct Pair {
    caller: Robot,
    agent: Robot,
}

impl Pair {
    async fn new() -> Self {
        Self { caller: Robot::bind(LOCAL).await.unwrap(), agent: Robot::bind(LOCAL).await.unwrap() }
    }

    async fn ring(&self) -> (Call, Call) {
        let out = self.caller.call(self.agent.address(), "1001", "13800138000").await.unwrap();
        let inward = self.agent.incoming(SOON).await.unwrap();
        out.until_ringing(SOON).await.unwrap();
        (out, inward)
    }

    async fn talk(&self) -> (Call, Call) {
        let (out, inward) = self.ring().await;
        inward.answer();
        out.until_answered(SOON).await.unwrap();
        inward.until_answered(SOON).await.unwrap();
        (out, inward)
    }
}

#[tokio::test]
async fn caller_and_agent_hear_each_other_and_keys() {
    let pair = Pair::new().await;
    let (caller, agent) = pair.talk().await;
    let invited = agent.invited().unwrap();
    assert_eq!(invited.request_user, "1001");
    assert_eq!(invited.from_user.reveal(), "13800138000");
    caller.speak(Speech::tone(700));
    agent.speak(Speech::tone(440));
    agent.until_tone(700, SOON).await.unwrap();
    caller.until_tone(440, SOON).await.unwrap();
    caller.press("12#");
    agent.until_heard("three keys", SOON, |it| (it.keys().len() == 3).then_some(())).await.unwrap();
    assert!(agent.heard().continuity().is_seamless(), "{:?}", agent.heard().continuity());
    agent.hang_up();
    assert_eq!(agent.until_ended(SOON).await.unwrap(), EndWhy::Local);
    assert!(matches!(caller.until_ended(SOON).await.unwrap(), EndWhy::Bye { .. }));
    assert_eq!(caller.heard().n_refused(), 0);
}

#[tokio::test]
async fn a_prompt_that_is_spoken_is_heard_and_another_is_not() {
    let pair = Pair::new().await;
    let (caller, agent) = pair.talk().await;
    let mut samples = Vec::new();
    for hz in [500, 730, 610, 1_100, 870] {
        samples.extend_from_slice(Sound::tone(hz, Duration::from_millis(150)).samples());
    }
    let prompt = Sound::new(samples);
    let other = Sound::tone(1_000, Duration::from_millis(600));
    agent.speak(Speech::once(prompt.clone()));
    let found = caller.until_sound("the prompt", &prompt, SOON).await.unwrap();
    assert!(found.score > 0.95, "{found:?}");
    agent.until_said(SOON).await.unwrap();
    let late = caller.until_sound("another prompt", &other, Duration::from_millis(100)).await;
    assert!(late.unwrap_err().to_string().contains("another prompt"));
}

#[tokio::test]
async fn an_agent_that_holds_silences_the_caller_and_takes_him_back() {
    let pair = Pair::new().await;
    let (caller, agent) = pair.talk().await;
    caller.speak(Speech::tone(700));
    agent.until_tone(700, SOON).await.unwrap();
    agent.hold();
    caller.until_held(true, SOON).await.unwrap();
    let done = |n| move |it: &crate::View| it.n_reanswered == n;
    agent.until("hold answered", SOON, done(1)).await.unwrap();
    agent.retrieve();
    caller.until_held(false, SOON).await.unwrap();
    agent.until("retrieve answered", SOON, done(2)).await.unwrap();
    agent.until_tone(700, SOON).await.unwrap();
}

#[tokio::test]
async fn a_caller_that_gives_up_stops_the_ringing() {
    let pair = Pair::new().await;
    let (caller, agent) = pair.ring().await;
    caller.cancel();
    assert_eq!(agent.until_ended(SOON).await.unwrap(), EndWhy::Cancelled);
    caller.until_ended(SOON).await.unwrap();
}

#[tokio::test]
async fn a_caller_is_told_why_an_agent_refuses() {
    let pair = Pair::new().await;
    let (caller, agent) = pair.ring().await;
    agent.reject(486);
    let why = caller.until_ended(SOON).await.unwrap();
    assert!(matches!(why, EndWhy::Refused { status: 486, .. }), "{why:?}");
}

#[tokio::test]
async fn an_offer_without_a_common_codec_is_refused() {
    let pair = Pair::new().await;
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
               m=audio 4000 RTP/AVP 18\r\n";
    let outgoing =
        Outgoing { to: "1001".to_owned(), sdp: Some(sdp.to_owned()), ..Outgoing::default() };
    let caller = pair.caller.dial(pair.agent.address(), outgoing).await.unwrap();
    pair.agent.incoming(SOON).await.unwrap().answer();
    let why = caller.until_ended(SOON).await.unwrap();
    assert!(matches!(why, EndWhy::Refused { status: 488, .. }), "{why:?}");
}

#[tokio::test]
async fn packets_of_a_stranger_are_seen_and_not_heard() {
    let pair = Pair::new().await;
    let (caller, _agent) = pair.talk().await;
    let stranger = crate::raw::RawUdp::bind(LOCAL).await.unwrap();
    let packet = crate::packet(false, 8, 1, 0, 9, &[0x80; 160]);
    stranger.send(caller.audio.local(), &packet).await.unwrap();
    caller
        .until_heard("the stranger", SOON, |it| (!it.strangers().is_empty()).then_some(()))
        .await
        .unwrap();
    let heard = caller.heard();
    assert_eq!(heard.strangers(), [stranger.address()]);
    assert!(heard.sound().level() < 40.0);
}
