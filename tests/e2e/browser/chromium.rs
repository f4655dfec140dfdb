//! Chromium without a screen, led by chromedriver.

use std::{fs, net::SocketAddr};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, interval};

use crate::{
    engine::SOON,
    http,
    interop::{peer::Peer, sound},
};

/// One browser of its own. It ends when it is dropped, and a failed test shows what it said.
pub(super) struct Browser {
    driver: Peer,
    at: SocketAddr,
    /// Path of its session.
    session: String,
    _folder: TempDir,
}

/// A browser that has a microphone without asking, that plays without being touched, and that
/// leaves the network alone.
const ARGUMENTS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    // The engine is on this machine, and its certificate is its own.
    "--allow-loopback-in-peer-connection",
    "--ignore-certificate-errors",
    "--enable-logging=stderr",
];

impl Browser {
    /// Starts a browser into whose microphone somebody whistles at `hz`.
    pub(super) async fn start(hz: u32) -> Self {
        let folder = tempfile::Builder::new().prefix("hotline-browser-").tempdir().unwrap();
        let tone = folder.path().join("tone.wav");
        fs::write(&tone, sound::wav(hz)).unwrap();
        let port = free_port();
        let options = [&format!("--port={port}"), "--enable-chrome-logs"];
        let mut driver = Peer::start("chromedriver", "chromium-driver", folder.path(), &options);
        driver.until_said("started successfully").await;
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        let mut arguments: Vec<String> = ARGUMENTS.iter().map(|&it| it.to_owned()).collect();
        arguments.push(format!("--use-file-for-fake-audio-capture={}", tone.display()));
        arguments.push(format!("--user-data-dir={}", folder.path().join("user").display()));
        let mut it = Self { driver, at, session: String::new(), _folder: folder };
        let wish = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
        } } });
        let begun = it.ask("POST", "/session", &wish).await;
        it.session = format!("/session/{}", begun["sessionId"].as_str().unwrap());
        it
    }

    /// Opens a page and waits until it is there.
    pub(super) async fn open(&self, url: &str) {
        self.ask("POST", &format!("{}/url", self.session), &json!({ "url": url })).await;
    }

    /// Loads the page once more.
    pub(super) async fn reload(&self) {
        self.ask("POST", &format!("{}/refresh", self.session), &json!({})).await;
    }

    /// Runs a function's body in the page; what it returns.
    pub(super) async fn run(&self, script: &str, arguments: &[Value]) -> Value {
        let body = json!({ "script": script, "args": arguments });
        self.ask("POST", &format!("{}/execute/sync", self.session), &body).await
    }

    /// Asks the page again and again until an answer is as it should be.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        script: &str,
        mut tell: impl FnMut(&Value) -> Option<T>,
    ) -> T {
        let end = Instant::now() + SOON;
        let mut tick = interval(POLL);
        loop {
            tick.tick().await;
            let said = self.run(script, &[]).await;
            if let Some(it) = tell(&said) {
                return it;
            }
            assert!(Instant::now() < end, "{what}: the page went on to say {said:#}");
        }
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let headers = [("content-type", "application/json; charset=utf-8")];
        let answer = http::request(self.at, method, path, &headers, &body.to_string()).await;
        let answer = answer.unwrap_or_else(|error| panic!("chromedriver, {path}: {error}"));
        let mut said = answer.json();
        assert_eq!(answer.status, 200, "chromedriver, {path}: {said:#}");
        said["value"].take()
    }
}

impl Drop for Browser {
    #[expect(clippy::print_stderr, reason = "this is how a test speaks")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- chromedriver and the console\n{}\n---", self.driver.said());
        }
    }
}

const POLL: std::time::Duration = std::time::Duration::from_millis(50);

/// A port that nobody has just now.
fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    socket.local_addr().unwrap().port()
}
