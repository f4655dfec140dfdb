//! Serves the telephone's page. `make need-browser` makes its script of what `tests/browser` names.

use std::{fs, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::AbortHandle,
};

use crate::{program::root, setup::ENGINE};

/// A server of files; it ends when it is dropped.
pub(super) struct Page {
    at: SocketAddr,
    task: AbortHandle,
}

impl Page {
    pub(super) async fn serve() -> Self {
        let folder = root().join("tests/browser");
        let html = fs::read_to_string(folder.join("telephone.html")).unwrap();
        let script = fs::read_to_string(folder.join("node_modules/telephone.js"));
        let script = script.expect("run `make need-browser`: the telephone's script is not made");
        let listener = TcpListener::bind((ENGINE, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let serving = async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 4_096];
                let n = stream.read(&mut head).await.unwrap_or(0);
                let is_script = head[..n].starts_with(b"GET /telephone.js ");
                let (kind, body) =
                    if is_script { ("text/javascript", &script) } else { ("text/html", &html) };
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: {kind}; charset=utf-8\r\n\
                     content-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).await.ok();
                stream.write_all(body.as_bytes()).await.ok();
            }
        };
        Self { at, task: tokio::spawn(serving).abort_handle() }
    }

    /// As a browser names it in `Origin`.
    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.at)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.task.abort();
    }
}
