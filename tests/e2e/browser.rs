//! A telephone in Chromium: SIP over WebSocket by JsSIP.

mod chromium;
mod network;
mod page;

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};
use tempfile::TempDir;

use self::{chromium::Browser, network::Network, page::Page};
use crate::{
    engine::{Engine, SOON, text},
    setup::{OFFICE, PASSWORD, Setup},
    transports::{listener, secure},
};

/// What the browser's microphone hears.
const AGENT_HZ: u32 = 440;

/// Where the browser is when it has left the office.
const ROAD: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 4));

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
        if let Ok(at) = text(&state["offered"]).replace(' ', ":").parse() {
            self.network.lead_audio_to(at);
        }
    }
}

/// An engine for browsers, with one whose page is agent 1001's telephone.
async fn office(scheme: &str) -> (Engine, TempDir, Page, Telephone) {
    let page = Page::serve().await;
    let (engine, folder) = engine(&page).await;
    let who = ("8001", Some(PASSWORD));
    let telephone = Telephone::open(&engine, &page, (OFFICE, scheme), who).await;
    telephone.until("registered", |it| it["registered"] == true).await;
    engine.command("1001", "sign-in", json!({})).await;
    engine.command("1001", "ready", json!({})).await;
    until_state(&engine, "idle").await;
    (engine, folder, page, telephone)
}

/// `JsSIP` answers by MD5 alone.
async fn engine(page: &Page) -> (Engine, TempDir) {
    let sip_more = format!("websocket_origins = [\"{}\"]\n", page.origin());
    secure(Setup { sip_more, n_agents: 1, ..Setup::old_telephones() }).await
}

async fn until_state(engine: &Engine, state: &str) {
    let is = |it: &Value| (text(&it["state"]) == state).then_some(());
    engine.until("/api/v1/agents/1001", SOON, is).await;
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
