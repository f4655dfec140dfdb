//! One HTTP request.

use std::{future::Future, time::Duration};

use reqwest::{Client, Url, header::HeaderMap, redirect::Policy};

/// What is sent.
#[derive(Clone, Eq, PartialEq)]
pub struct PushRequest {
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// From the connection to the status line.
    pub timeout: Duration,
}

/// The body holds personal data.
impl std::fmt::Debug for PushRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PushRequest({} bytes)", self.body.len())
    }
}

/// No status came back. Whether the receiver has the event is not known.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PostError {
    #[error("the receiver did not answer in time")]
    Timeout,
    #[error("the receiver cannot be connected to")]
    Connect,
    #[error("the connection broke")]
    Broken,
    #[error("the address is not one of HTTP")]
    BadUrl,
}

/// Whatever carries a request to a receiver.
pub trait Post: Send + Sync + 'static {
    /// The status of the answer.
    fn post(&self, request: PushRequest) -> impl Future<Output = Result<u16, PostError>> + Send;
}

/// HTTP/1.1 with or without TLS. Redirects are not followed, no proxy is used.
#[derive(Clone, Debug)]
pub struct HttpPost(Client);

impl HttpPost {
    /// `None` if the TLS library cannot be set up.
    pub fn new() -> Option<Self> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Somebody else may have been faster; one provider is as good as another.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent("hotline-push");
        client.build().ok().map(Self)
    }
}

impl Post for HttpPost {
    async fn post(&self, request: PushRequest) -> Result<u16, PostError> {
        let url = Url::parse(&request.url).map_err(|_| PostError::BadUrl)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let value = value.parse().map_err(|_| PostError::Broken)?;
            headers.insert(*name, value);
        }
        let sending =
            self.0.post(url).headers(headers).body(request.body).timeout(request.timeout).send();
        match sending.await {
            Ok(answer) => Ok(answer.status().as_u16()),
            Err(error) if error.is_timeout() => Err(PostError::Timeout),
            Err(error) if error.is_connect() => Err(PostError::Connect),
            Err(error) if error.is_builder() => Err(PostError::BadUrl),
            Err(_) => Err(PostError::Broken),
        }
    }
}

#[cfg(test)]
mod tests;
