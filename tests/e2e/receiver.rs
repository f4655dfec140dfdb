//! A work-order platform that takes pushes, or refuses them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
    time::timeout,
};

use crate::setup::{ENGINE, PUSH_SECRET};

/// One request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Pushed {
    /// What the receiver answered.
    pub(crate) status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    status: Arc<Mutex<u16>>,
    pushed: watch::Receiver<Vec<Pushed>>,
    task: AbortHandle,
}

impl Receiver {
    /// Answers 200 until it is told otherwise.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((ENGINE, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let status = Arc::new(Mutex::new(200));
        let (tell, pushed) = watch::channel(Vec::new());
        let (tell, answer) = (Arc::new(tell), Arc::clone(&status));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&tell), Arc::clone(&answer)));
            }
        });
        Self { address, status, pushed, task: task.abort_handle() }
    }

    /// Answers every request with this from now on.
    pub(crate) fn answer(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    /// Waits until what arrived is as it should be.
    pub(crate) async fn until(
        &self,
        deadline: Duration,
        mut condition: impl FnMut(&[Pushed]) -> bool,
    ) -> Vec<Pushed> {
        let mut pushed = self.pushed.clone();
        let found = timeout(deadline, pushed.wait_for(|it| condition(it))).await;
        let found = found.map(|it| it.unwrap().clone());
        found.unwrap_or_else(|_| panic!("pushed so far: {:#?}", self.pushed.borrow()))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pushed {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The name of the event: the same in every attempt.
    pub(crate) fn key(&self) -> &str {
        self.header("idempotency-key")
    }

    /// `call.finished` or `agent.state`.
    pub(crate) fn kind(&self) -> &str {
        self.header("x-hotline-event")
    }

    pub(crate) fn was_taken(&self) -> bool {
        self.status == 200
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Whether the signature is that of the agreed secret over time, key and body.
    pub(crate) fn is_signed(&self) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(PUSH_SECRET.as_bytes()).unwrap();
        let time = self.header("x-hotline-timestamp");
        mac.update(format!("{time}.{}.{}", self.key(), self.body).as_bytes());
        let digits: Vec<String> =
            mac.finalize().into_bytes().iter().map(|it| format!("{it:02x}")).collect();
        self.header("x-hotline-signature") == format!("v1={}", digits.concat())
    }
}

async fn serve(
    mut stream: TcpStream,
    tell: Arc<watch::Sender<Vec<Pushed>>>,
    answer: Arc<Mutex<u16>>,
) {
    let mut buffer = Vec::new();
    loop {
        let request = loop {
            if let Some((n, it)) = parse(&buffer) {
                buffer.drain(..n);
                break it;
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let status = *answer.lock().unwrap();
        tell.send_modify(|it| it.push(Pushed { status, ..request }));
        let reply = format!("HTTP/1.1 {status} As Told\r\ncontent-length: 0\r\n\r\n");
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A whole request with a length, and how many bytes it took.
fn parse(bytes: &[u8]) -> Option<(usize, Pushed)> {
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let headers: BTreeMap<String, String> = head
        .lines()
        .skip(1)
        .filter_map(|it| it.split_once(':'))
        .map(|(name, it)| (name.to_ascii_lowercase(), it.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(Ok(0), |it| it.parse()).ok()?;
    let total = end + 4 + length;
    let body = String::from_utf8_lossy(bytes.get(end + 4..total)?).into_owned();
    Some((total, Pushed { status: 0, headers, body }))
}
