//! The API of the engine that runs on this machine: one request a connection, HTTP/1.1 as far as it
//! takes (RFC 9112).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Duration, timeout},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// The address of the API and a token that opens it.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    token: Token,
}

/// Kept out of every message.
#[derive(Clone)]
struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Api {
    pub(crate) fn new(address: SocketAddr, token: &str) -> Self {
        let ip = match address {
            SocketAddr::V4(it) if it.ip().is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(it) if it.ip().is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            SocketAddr::V4(_) | SocketAddr::V6(_) => address.ip(),
        };
        Self { address: SocketAddr::new(ip, address.port()), token: Token(token.to_owned()) }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.ask("GET", path, "").await
    }

    /// `body` is JSON.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Result<Value> {
        self.ask("POST", path, body).await
    }

    /// What is no JSON.
    pub(crate) async fn get_bytes(&self, path: &str) -> Result<Vec<u8>> {
        self.ask_bytes("GET", path, "").await
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let body = self.ask_bytes(method, path, body).await?;
        Ok(serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn ask_bytes(&self, method: &str, path: &str, body: &str) -> Result<Vec<u8>> {
        let answer = timeout(PATIENCE, self.exchange(method, path, body)).await;
        let bytes = answer.context("引擎没有及时回答")??;
        let (status, body) = parse(&bytes).context("引擎的回答读不懂")?;
        if status == 200 {
            return Ok(body);
        }
        let error: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let error = error.get("error").unwrap_or(&Value::Null);
        bail!("{method} {path}: {status} {}", text(error, "message_zh"))
    }

    async fn exchange(&self, method: &str, path: &str, body: &str) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address).await.context("连不上引擎的接口")?;
        let Self { address, token } = self;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Authorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            token.0,
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }
}

/// A text of a JSON object; empty when it is absent or no text.
pub(crate) fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The elements of a list of a JSON object.
pub(crate) fn list<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Status and body.
fn parse(bytes: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(bytes.get(..end)?).to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = bytes.get(end + 4..)?;
    let body = if head.contains("transfer-encoding: chunked") {
        without_chunks(body)?
    } else {
        body.to_vec()
    };
    Some((status, body))
}

/// RFC 9112 §7.1.
fn without_chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|it| it == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..end)?).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        rest = rest.get(end + 2..)?;
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_pieces_is_put_together() {
        let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            4\r\n{\"a\"\r\n3;x=y\r\n:1}\r\n0\r\n\r\n";
        assert_eq!(parse(answer), Some((200, b"{\"a\":1}".to_vec())));
        assert_eq!(parse(b"HTTP/1.1 404 Not Found\r\n\r\n{}"), Some((404, b"{}".to_vec())));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n"), None);
    }
}
