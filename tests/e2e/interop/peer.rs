//! A program that is not ours, as a child.

use std::{
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, Command},
    time::{Instant, interval, timeout},
};

use crate::engine::SOON;

/// It is killed when it is dropped, with what it started.
pub(crate) struct Peer {
    name: &'static str,
    child: Child,
    keyboard: ChildStdin,
    said: Said,
}

type Said = Arc<Mutex<Vec<u8>>>;

impl Peer {
    /// Starts `program`, which Debian has in `package`, in a folder.
    pub(crate) fn start(
        program: &'static str,
        package: &str,
        folder: &Path,
        arguments: &[&str],
    ) -> Self {
        let child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .env("HOME", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!(
                "{program} cannot be started ({error}); run: \
                 sudo apt-get update && sudo apt-get install --yes {package}"
            )
        });
        let said = Said::default();
        listen(child.stdout.take().unwrap(), &said);
        listen(child.stderr.take().unwrap(), &said);
        let keyboard = child.stdin.take().unwrap();
        Self { name: program, child, keyboard, said }
    }

    /// Types on its keyboard.
    pub(crate) async fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).await.unwrap();
        self.keyboard.flush().await.unwrap();
    }

    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    /// Waits until it says something.
    pub(crate) async fn until_said(&mut self, what: &str) {
        let end = Instant::now() + SOON;
        let mut tick = interval(POLL);
        while !self.said().contains(what) {
            tick.tick().await;
            let over = self.child.try_wait().unwrap();
            assert!(over.is_none(), "{} ended: {over:?}\n{}", self.name, self.said());
            let late = Instant::now() >= end;
            assert!(!late, "{} did not say {what:?} but\n{}", self.name, self.said());
        }
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn until_gone(&mut self) -> ExitStatus {
        self.until_gone_within(SOON).await
    }

    pub(crate) async fn until_gone_within(&mut self, deadline: Duration) -> ExitStatus {
        let status = timeout(deadline, self.child.wait()).await;
        let late = |_| panic!("{} does not end\n{}", self.name, self.said());
        status.unwrap_or_else(late).unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let group = self.child.id().and_then(|it| Pid::from_raw(it.cast_signed()));
        if let Some(group) = group {
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

const POLL: Duration = Duration::from_millis(20);

fn listen(mut from: impl AsyncRead + Send + Unpin + 'static, said: &Said) {
    let said = Arc::clone(said);
    tokio::spawn(async move {
        let mut buffer = vec![0; 4_096];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            said.lock().unwrap().extend_from_slice(&buffer[..n]);
        }
    });
}
