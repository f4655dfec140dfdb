//! Telephones in Chromium: SIP over WebSocket by `JsSIP`, audio by DTLS-SRTP.

mod chromium;
mod network;
mod page;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hotline_testkit::Speech;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Duration, Instant};

use self::{chromium::Browser, network::Network, page::Page};
use crate::{
    engine::{Engine, Role, SOON, text},
    figures::tell,
    people::Caller,
    prompts::Prompts,
    setup::{CARRIER, OFFICE, PASSWORD, Setup},
    survival::{parts_sealed, silence},
    transports::{listener, secure},
};

/// What the caller says, and what the browser's microphone hears.
const CALLER_HZ: u32 = 700;
const AGENT_HZ: u32 = 440;

/// What the menu is; all other prompts are noise.
const MENU_HZ: u32 = 1_500;

/// Where the browser is when it has left the office.
const ROAD: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 4));

/// From the death of media until a browser hears and is heard again.
const BACK_MAX: Duration = Duration::from_secs(3);

/// After so long without a packet a party is missed, and a little more for what follows.
const MISSED: Duration = Duration::from_secs(45);

/// A telephone in a page.
struct Telephone {
    browser: Browser,
    network: Network,
    url: String,
    user: &'static str,
    password: Option<&'static str>,
}

impl Telephone {
    /// Opens the page at an address, and lets it connect.
    async fn open(
        engine: &Engine,
        page: &Page,
        (from, scheme): (IpAddr, &str),
        (user, password): (&'static str, Option<&'static str>),
    ) -> Self {
        let network = Network::new(from, listener(engine, &format!("sip_{scheme}"))).await;
        let browser = Browser::start(AGENT_HZ).await;
        let url = format!("{scheme}://{}", network.sip);
        let it = Self { browser, network, url, user, password };
        it.browser.open(&page.origin()).await;
        it.start().await;
        it
    }

    async fn start(&self) {
        let audio = self.network.audio;
        let options = json!({
            "url": self.url,
            "user": self.user,
            "password": self.password,
            "media": format!("{} {}", audio.ip(), audio.port()),
        });
        self.browser.run("telephone.start(arguments[0]);", &[options]).await;
        self.until("connected", |it| it["connected"] == true).await;
    }

    async fn does(&self, what: &str) {
        self.browser.run(&format!("telephone.{what};"), &[]).await;
    }

    async fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let script = "return telephone.state();";
        self.browser.until(what, script, |it| is(it).then(|| it.clone())).await
    }

    /// It rings; then audio can be led to where the engine's offer says.
    async fn until_ringing(&self) {
        let state = self.until("ringing", |it| it["call"] == "ringing").await;
        self.lead_audio(&state);
    }

    fn lead_audio(&self, state: &Value) {
        let at = text(&state["offered"]).replace(' ', ":");
        let at: SocketAddr = at.parse().unwrap_or_else(|_| panic!("no candidate: {state:#}"));
        self.network.lead_audio_to(at);
    }

    /// Nothing but a tone is heard.
    async fn until_tone(&self, hz: u32) {
        let is = |it: &Value| {
            let heard = &it["heard"];
            let (at, share) = (heard["hz"].as_f64().unwrap(), heard["share"].as_f64().unwrap());
            (at - f64::from(hz)).abs() < 15.0 && share > 0.8
        };
        self.until(&format!("{hz} Hz"), is).await;
    }
}

/// An engine for browsers, with one whose page is agent 1001's telephone.
async fn office(scheme: &str) -> (Engine, TempDir, Page, Telephone) {
    let page = Page::serve().await;
    let (engine, folder) = engine(&page, Prompts::Quick).await;
    let who = ("8001", Some(PASSWORD));
    let telephone = Telephone::open(&engine, &page, (OFFICE, scheme), who).await;
    telephone.until("registered", |it| it["registered"] == true).await;
    engine.command("1001", "sign-in", json!({})).await;
    engine.command("1001", "ready", json!({})).await;
    until_state(&engine, "idle").await;
    (engine, folder, page, telephone)
}

/// `JsSIP` answers by MD5 alone.
async fn engine(page: &Page, prompts: Prompts) -> (Engine, TempDir) {
    let sip_more = format!("websocket_origins = [\"{}\"]\n", page.origin());
    secure(Setup { sip_more, prompts, n_agents: 1, ..Setup::old_telephones() }).await
}

async fn until_state(engine: &Engine, state: &str) {
    let is = |it: &Value| (text(&it["state"]) == state).then_some(());
    engine.until("/api/v1/agents/1001", SOON, is).await;
}

/// Somebody calls and asks for a person; the browser rings, answers, and both are heard.
async fn talk(engine: &Engine, telephone: &Telephone) -> Caller {
    let caller = engine.caller().await;
    caller.ask_for_person(engine).await;
    telephone.until_ringing().await;
    telephone.does("answer()").await;
    telephone.until("talking", |it| it["call"] == "talking").await;
    caller.speak(Speech::tone(CALLER_HZ));
    both_are_heard(&caller, telephone).await;
    caller
}

async fn both_are_heard(caller: &Caller, telephone: &Telephone) {
    caller.until_tone(AGENT_HZ, SOON).await.unwrap();
    telephone.until_tone(CALLER_HZ).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_takes_a_call_and_holds_it() {
    let (engine, _folder, _page, telephone) = office("ws").await;
    let caller = talk(&engine, &telephone).await;
    until_state(&engine, "talking").await;
    let mark = caller.mark();
    telephone.does("hold()").await;
    caller.hears_since(&engine, mark, "moh.default").await;
    until_state(&engine, "held").await;
    telephone.does("unhold()").await;
    until_state(&engine, "talking").await;
    both_are_heard(&caller, &telephone).await;
    caller.hang_up();
    telephone.until("ended", |it| it["call"] == "ended").await;
    let record = engine.sealed_record_of(&caller.number).await;
    assert_eq!(
        (text(&record["outcome"]), text(&record["released_by"])),
        owned("answered", "caller")
    );
    assert_eq!(record["segments"][0]["n_holds"], 1);
    let id = text(&record["recordings"][0]["recording_id"]);
    let sides = engine.recording(&id).await;
    assert!(sides[0].tone_anywhere(CALLER_HZ) > 0.9, "{sides:?}");
    assert!(sides[1].tone_anywhere(AGENT_HZ) > 0.9, "{sides:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_that_comes_to_another_network_talks_on() {
    let (mut engine, _folder, _page, telephone) = office("wss").await;
    let caller = talk(&engine, &telephone).await;
    telephone.network.change_to(ROAD);
    // It registers again, and takes the same call up by an ICE restart.
    telephone.until("restarted", |it| it["restarts"] == 1).await;
    caller.speak(Speech::tone(900));
    telephone.until_tone(900).await;
    caller.until_tone(AGENT_HZ, SOON).await.unwrap();
    until_state(&engine, "talking").await;
    // What the page offered then, and where it is, outlives media.
    engine.kill(Role::Media).await;
    caller.speak(Speech::tone(1_100));
    telephone.until_tone(1_100).await;
    caller.until_tone(AGENT_HZ, SOON).await.unwrap();
    telephone.does("hangUp()").await;
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["segments"].as_array().unwrap().len(), 1, "{record:#}");
    assert_eq!(record["segments"][0]["released_by"], "agent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_hears_and_is_heard_again_within_three_seconds_when_media_was_killed() {
    let (mut engine, _folder, _page, telephone) = office("wss").await;
    let caller = talk(&engine, &telephone).await;
    let (mut away, mut silences, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    for hz in [900, 1_100, 1_300] {
        let killed = Instant::now();
        engine.kill_now(Role::Media);
        caller.speak(Speech::tone(hz));
        telephone.until_tone(hz).await;
        away.push(killed.elapsed());
        engine.until_replaced(Role::Media).await;
        caller.until_tone(AGENT_HZ, SOON).await.unwrap();
        silences.push(silence(&caller.heard(), killed));
        waits.push(engine.waited_for_a_core(Role::Media));
    }
    tell("death of media until a browser hears again", &away);
    tell("silence for who talks with a browser", &silences);
    tell("of which the next process waited for a core", &waits);
    for (it, waited) in away.iter().chain(&silences).zip(waits.iter().cycle()) {
        assert!(it.saturating_sub(*waited) <= BACK_MAX, "{away:?} {silences:?} {waits:?}");
    }
    let state = telephone.until("still connected", |it| it["dtls"] == "connected").await;
    assert_eq!(state["restarts"], 0, "the page was asked for nothing: {state:#}");
    // What was agreed can still be changed.
    let mark = caller.mark();
    telephone.does("hold()").await;
    caller.hears_since(&engine, mark, "moh.default").await;
    telephone.does("unhold()").await;
    caller.speak(Speech::tone(CALLER_HZ));
    both_are_heard(&caller, &telephone).await;
    caller.hang_up();
    let record = parts_sealed(&engine, &caller.number, away.len() + 1).await;
    assert_eq!(record["media_restarted"], true);
    assert_eq!(record["outcome"], "answered");
    until_state(&engine, "idle").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_presses_a_key_that_the_caller_gets() {
    let (engine, _folder, _page, telephone) = office("ws").await;
    let caller = talk(&engine, &telephone).await;
    // By the buttons that a person has.
    let script = "document.querySelector('button[data-does=press][data-with=\"5\"]').click();";
    telephone.browser.run(script, &[]).await;
    let pressed = |it: &hotline_testkit::Heard| {
        let keys: String = it.keys().iter().map(|it| it.key.as_char()).collect();
        (keys == "5").then_some(())
    };
    caller.until_heard("a key", SOON, pressed).await.unwrap();
    both_are_heard(&caller, &telephone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_that_crashes_in_a_talk_is_missed_and_its_agent_gets_no_more_calls() {
    let (engine, _folder, _page, telephone) = office("ws").await;
    let caller = talk(&engine, &telephone).await;
    let Telephone { browser, network, .. } = telephone;
    // Nobody says goodbye, on no road.
    drop((browser, network));
    let busy = |it: &Value| (text(&it["state"]) == "busy").then_some(());
    engine.until("/api/v1/agents/1001", MISSED, busy).await;
    caller.hang_up();
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["segments"][0]["released_by"], "telephone", "{record:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_whose_page_is_loaded_again_ends_its_call_and_takes_the_next() {
    let (engine, _folder, _page, telephone) = office("ws").await;
    let caller = talk(&engine, &telephone).await;
    telephone.browser.reload().await;
    // The page has said goodbye: the caller goes on in the flow at once.
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["segments"][0]["released_by"], "agent");
    telephone.start().await;
    telephone.until("registered", |it| it["registered"] == true).await;
    engine.command("1001", "ready", json!({})).await;
    until_state(&engine, "idle").await;
    let next = talk(&engine, &telephone).await;
    next.hang_up();
    telephone.until("ended", |it| it["call"] == "ended").await;
    until_state(&engine, "idle").await;
}

/// A page may be a caller too, where it comes by a trunk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_that_calls_hears_the_menu_and_presses_a_key() {
    let page = Page::serve().await;
    let (engine, _folder) = engine(&page, Prompts::MenuTone(MENU_HZ)).await;
    let _agent = engine.busy_agent(1).await;
    let who = ("13900000007", None);
    let telephone = Telephone::open(&engine, &page, (CARRIER, "ws"), who).await;
    telephone.does("call('12345')").await;
    let state = telephone.until("answered", |it| it["offered"] != Value::Null).await;
    telephone.lead_audio(&state);
    telephone.until("talking", |it| it["call"] == "talking").await;
    telephone.until_tone(MENU_HZ).await;
    telephone.does("press('0')").await;
    engine.until_waiting("gx.nn.general", 1).await;
    telephone.does("hangUp()").await;
    let record = engine.record_of("13900000007").await;
    assert_eq!(record["released_by"], "caller");
}

/// Calls reach the page whatever happened to it before: it registers again from another network and
/// after it was loaded again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_registers_again_from_another_network_and_after_it_was_loaded_again() {
    let (engine, _folder, _page, telephone) = office("wss").await;
    let registered = |it: &Value| it["registered"] == true;
    telephone.network.change_to(ROAD);
    telephone.until("gone", |it| it["registered"] == false).await;
    until_state(&engine, "busy").await;
    telephone.until("registered again", registered).await;
    engine.command("1001", "ready", json!({})).await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    telephone.until_ringing().await;
    telephone.does("refuse(486)").await;
    until_state(&engine, "busy").await;

    telephone.browser.reload().await;
    telephone.start().await;
    telephone.until("registered once more", registered).await;
    engine.command("1001", "ready", json!({})).await;
    telephone.until_ringing().await;
    caller.hang_up();
    telephone.until("cancelled", |it| it["call"] == "ended").await;
    until_state(&engine, "idle").await;
}

fn owned(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}
