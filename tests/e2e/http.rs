//! Requests to the engine's API: one connection each, HTTP/1.1 (RFC 9112) as far as it needs.

use std::{io, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::setup::TOKEN;

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The body as JSON; `null` when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub(crate) async fn get(to: SocketAddr, path: &str) -> io::Result<Response> {
    request(to, "GET", path, &[("authorization", &bearer())], "").await
}

pub(crate) async fn post(to: SocketAddr, path: &str, body: &Value) -> io::Result<Response> {
    let headers = [("authorization", &*bearer()), ("content-type", "application/json")];
    request(to, "POST", path, &headers, &body.to_string()).await
}

/// A request with the headers given, and no other than HTTP needs.
pub(crate) async fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> io::Result<Response> {
    let body = body.as_ref();
    let mut stream = TcpStream::connect(to).await?;
    let more: Vec<String> = headers.iter().map(|(name, it)| format!("{name}: {it}\r\n")).collect();
    let more = more.concat();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n\
         content-length: {}\r\n{more}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut bytes = Vec::new();
    // Not every server closes what it was asked to close.
    while !is_whole(&bytes) && stream.read_buf(&mut bytes).await? > 0 {}
    parse(&bytes).ok_or_else(|| io::Error::other("not a response of HTTP/1.1"))
}

fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

/// As long as it said it would be.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length =
        head.lines().find_map(|it| it.strip_prefix("content-length:")?.trim().parse().ok());
    length.is_some_and(|length: usize| bytes.len() >= end + 4 + length)
}

fn parse(bytes: &[u8]) -> Option<Response> {
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = &bytes[end + 4..];
    let is_chunked = head.contains("transfer-encoding: chunked");
    let body = if is_chunked { dechunk(body)? } else { body.to_vec() };
    Some(Response { status, head, body })
}

fn dechunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|it| it == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[..end]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(end + 2..end + 2 + size)?);
        bytes = bytes.get(end + 2 + size + 2..)?;
    }
}
