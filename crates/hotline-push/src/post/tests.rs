//! Requests over real sockets.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

use super::*;

/// What the receiver does with its one request.
#[derive(Clone, Copy)]
enum Does {
    Answers(&'static str),
    /// Takes it and breaks the connection: it may have stored the event.
    Breaks,
    NeverAnswers,
}

async fn receiver(does: Does) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"{\"a\":1}") {
            let mut buf = [0; 1024];
            let n = socket.read(&mut buf).await.unwrap();
            request.extend_from_slice(&buf[..n]);
        }
        match does {
            Does::Answers(head) => socket.write_all(head.as_bytes()).await.unwrap(),
            Does::Breaks => drop(socket),
            Does::NeverAnswers => {
                assert_eq!(socket.read(&mut [0; 1]).await.unwrap_or(0), 0);
            }
        }
        String::from_utf8(request).unwrap()
    });
    (url, task)
}

fn request(url: String, timeout: Duration) -> PushRequest {
    PushRequest {
        url,
        headers: vec![("idempotency-key", "call-1".to_owned())],
        body: "{\"a\":1}".to_owned(),
        timeout,
    }
}

async fn outcome(does: Does, timeout: Duration) -> Result<u16, PostError> {
    let (url, task) = receiver(does).await;
    let answer = HttpPost::new().unwrap().post(request(url, timeout)).await;
    task.await.unwrap();
    answer
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn receiver_gets_headers_and_body_as_they_are() {
    let (url, task) = receiver(Does::Answers("HTTP/1.1 204 No Content\r\n\r\n")).await;
    let answer = HttpPost::new().unwrap().post(request(url, LONG)).await;
    assert_eq!(answer, Ok(204));
    let seen = task.await.unwrap();
    assert!(seen.starts_with("POST /hook HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("idempotency-key: call-1\r\n"), "{seen}");
}

#[tokio::test]
async fn every_answer_and_every_silence_is_told_apart() {
    let error = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(outcome(Does::Answers(error), LONG).await, Ok(500));
    let moved = "HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(outcome(Does::Answers(moved), LONG).await, Ok(302));
    assert_eq!(outcome(Does::Answers("nonsense\r\n\r\n"), LONG).await, Err(PostError::Broken));
    assert_eq!(outcome(Does::Breaks, LONG).await, Err(PostError::Broken));
    let short = Duration::from_millis(50);
    assert_eq!(outcome(Does::NeverAnswers, short).await, Err(PostError::Timeout));
}

#[tokio::test]
async fn receiver_that_is_not_there_is_told_from_a_wrong_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let post = HttpPost::new().unwrap();
    assert_eq!(post.post(request(url, LONG)).await, Err(PostError::Connect));
    let wrong = request("not an address".to_owned(), LONG);
    assert_eq!(post.post(wrong).await, Err(PostError::BadUrl));
}
