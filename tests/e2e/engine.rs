//! An engine under test: the real program, in a folder of its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use hotline_testkit::Sound;
use rustix::{
    net::{
        AddressFamily, Shutdown, SocketType, shutdown,
        sockopt::{socket_domain, socket_type},
    },
    process::{
        Pid, PidfdFlags, PidfdGetfdFlags, Resource, Rlimit, Signal, kill_process, pidfd_getfd,
        pidfd_open, prlimit,
    },
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt as _,
    process::Child,
    task::JoinHandle,
    time::{Instant, interval},
};

use crate::{
    disk, http, program,
    setup::{Ports, Setup},
};

/// How long anything may take that should happen at once. Generous: two cores run many tests.
pub(crate) const SOON: Duration = Duration::from_secs(15);

pub(crate) struct Engine {
    pub(crate) setup: Setup,
    folder: TempDir,
    ports: Ports,
    child: Child,
    note: Note,
    log: Log,
    deaf: Arc<AtomicBool>,
    reading: JoinHandle<()>,
}

/// What the engine has said so far. It comes through a pipe, so that a test can take the disk away
/// without taking the voice.
type Log = Arc<Mutex<Vec<u8>>>;

/// What `engine.json` says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Note {
    pub(crate) control: Option<i32>,
    pub(crate) media: Option<i32>,
    pub(crate) udp: SocketAddr,
    pub(crate) tcp: SocketAddr,
    pub(crate) http: SocketAddr,
}

/// A role that runs as a child process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    Control,
    Media,
}

impl Engine {
    /// The default setup.
    pub(crate) async fn quick() -> Self {
        Self::start(Setup::default()).await
    }

    /// Starts an engine and waits until all its parts are well.
    pub(crate) async fn start(setup: Setup) -> Self {
        let folder = tempfile::Builder::new().prefix("hotline-e2e-").tempdir().unwrap();
        let ports = Ports::reserve(setup.port_blocks);
        setup.write(folder.path(), &ports);
        let (log, deaf) = (Log::default(), Arc::default());
        let (child, reading) = spawn(folder.path(), &setup, &log, &deaf);
        let unknown = "0.0.0.0:0".parse().unwrap();
        let note = Note { control: None, media: None, udp: unknown, tcp: unknown, http: unknown };
        let mut it = Self { setup, folder, ports, child, note, log, deaf, reading };
        it.until_well().await;
        it
    }

    /// Waits until the engine says where it is and that it is well.
    async fn until_well(&mut self) {
        let end = Instant::now() + SOON;
        let mut tick = interval(POLL);
        loop {
            tick.tick().await;
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the engine ended at once: {status}");
            }
            if let Some(note) = self.read_note() {
                self.note = note;
                let health = http::get(self.http(), "/healthz").await;
                if health.is_ok_and(|it| it.status == 200) {
                    return;
                }
            }
            assert!(Instant::now() < end, "the engine is not well");
        }
    }

    /// Where it takes SIP over UDP.
    pub(crate) const fn udp(&self) -> SocketAddr {
        self.note.udp
    }

    pub(crate) const fn tcp(&self) -> SocketAddr {
        self.note.tcp
    }

    pub(crate) const fn http(&self) -> SocketAddr {
        self.note.http
    }

    /// Its ports of RTP, used or not.
    pub(crate) fn rtp_ports(&self) -> Vec<SocketAddr> {
        self.ports.all().collect()
    }

    /// Waits until no leg holds a port any more.
    pub(crate) async fn until_no_port_is_held(&self) {
        let end = Instant::now() + SOON;
        let mut tick = interval(POLL);
        let is_held = |it: &SocketAddr| std::net::UdpSocket::bind(it).is_err();
        loop {
            tick.tick().await;
            let held: Vec<_> = self.rtp_ports().into_iter().filter(is_held).collect();
            if held.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "ports are held: {held:?}");
        }
    }

    /// Where its configuration lies.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path below the data directory. A disk of its own is seen through its process only.
    pub(crate) fn data(&self, path: &str) -> PathBuf {
        let below = self.folder.path().join("var").join(path);
        match (&self.setup.disk, self.child.id()) {
            (Some(_), Some(pid)) => disk::seen_by(pid, &below),
            (Some(_) | None, _) => below,
        }
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().unwrap()).into_owned()
    }

    /// Leaves the pipe that it logs to open, and reads it no more.
    pub(crate) fn turn_deaf(&self) {
        self.deaf.store(true, Relaxed);
    }

    /// Closes the pipe that it logs to.
    pub(crate) async fn stop_listening(&mut self) {
        self.reading.abort();
        drop((&mut self.reading).await);
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = http::get(self.http(), path).await.unwrap();
        assert_eq!(response.status, 200, "GET {path}: {}", response.text());
        response.json()
    }

    /// Asks again and again until an answer is as it should be. An engine that is away for a moment
    /// has not answered.
    pub(crate) async fn until<T>(
        &self,
        path: &str,
        deadline: Duration,
        mut tell: impl FnMut(&Value) -> Option<T>,
    ) -> T {
        let end = Instant::now() + deadline;
        let mut tick = interval(POLL);
        let mut last = Value::Null;
        loop {
            tick.tick().await;
            if let Ok(response) = http::get(self.http(), path).await {
                last = response.json();
                if let Some(it) = (response.status == 200).then(|| tell(&last)).flatten() {
                    return it;
                }
            }
            assert!(Instant::now() < end, "GET {path} went on to say {last:#}");
        }
    }

    /// Waits until a metric, named with its labels, is above zero.
    pub(crate) async fn until_counted(&self, name: &str) {
        let end = Instant::now() + SOON;
        let mut tick = interval(POLL);
        loop {
            tick.tick().await;
            let text = http::get(self.http(), "/metrics").await.unwrap().text();
            let value = |it: &str| it.strip_prefix(name)?.trim().parse::<f64>().ok();
            if text.lines().find_map(value).is_some_and(|it| it > 0.0) {
                return;
            }
            assert!(Instant::now() < end, "{name} is not counted:\n{text}");
        }
    }

    /// Sum of all series of a metric.
    pub(crate) async fn sum_of(&self, name: &str) -> f64 {
        let text = http::get(self.http(), "/metrics").await.unwrap().text();
        let of = |it: &str| it.strip_prefix(name)?.rsplit(' ').next()?.parse::<f64>().ok();
        text.lines().filter_map(of).sum()
    }

    /// Waits until a figure of `/metrics`, with its labels, has this value.
    pub(crate) async fn until_figure(&self, name: &str, value: &str) {
        let end = Instant::now() + SOON;
        let line = format!("{name} {value}");
        let mut tick = interval(POLL);
        loop {
            tick.tick().await;
            let all = http::get(self.http(), "/metrics").await.unwrap().text();
            if all.lines().any(|it| it == line) {
                return;
            }
            assert!(Instant::now() < end, "{line} is not said:\n{all}");
        }
    }

    /// The record of a finished call, with its segments and facts.
    pub(crate) async fn record_of(&self, caller_no: &str) -> Value {
        let path = format!("/api/v1/calls?caller_no={caller_no}");
        let first = |it: &Value| it["items"].get(0).cloned();
        let item = self.until(&path, SOON, first).await;
        let id = text(&item["call_id"]);
        self.get(&format!("/api/v1/calls/{id}")).await
    }

    /// The record of a call of whose recording every part is sealed, also one that failed meanwhile.
    pub(crate) async fn sealed_record_of(&self, caller_no: &str) -> Value {
        let record = self.record_of(caller_no).await;
        let path = format!("/api/v1/calls/{}", text(&record["call_id"]));
        let sealed = |it: &Value| {
            let all = it["recordings"].as_array().filter(|it| !it.is_empty());
            all.is_some_and(|it| it.iter().all(|it| it["sealed"] == true)).then(|| it.clone())
        };
        self.until(&path, SOON, sealed).await
    }

    /// Recordings on disk, finished or not.
    pub(crate) fn recordings(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.data("recordings")];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for it in fs::read_dir(folder).unwrap() {
                let path = it.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|it| it == "wav") {
                    found.push(path);
                }
            }
        }
        found
    }

    /// Lets a role write no file beyond this size, as a full disk would.
    pub(crate) fn limit_files(&self, role: Role, bytes: u64) {
        let pid = Pid::from_raw(self.role(role).expect("the role runs"));
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        prlimit(pid, Resource::Fsize, limit).unwrap();
    }

    /// The channels of a sealed recording: the caller, the agent.
    pub(crate) async fn recording(&self, id: &str) -> Vec<Sound> {
        let path = format!("/api/v1/recordings/{id}");
        let response = http::get(self.http(), &path).await.unwrap();
        assert_eq!(response.status, 200, "GET {path}: {}", response.text());
        Sound::channels(&response.body).unwrap()
    }

    /// Waits until something under such a key lies on the disk: what was not written yet when
    /// control is killed dies with it.
    pub(crate) async fn until_kept(&self, key: &str) {
        let has = |it: &[u8]| it.windows(key.len()).any(|it| it == key.as_bytes());
        let end = Instant::now() + SOON;
        let mut tick = interval(POLL);
        loop {
            tick.tick().await;
            let mut all = fs::read_dir(self.data("spool")).unwrap().flatten();
            if all.any(|it| has(&fs::read(it.path()).unwrap_or_default())) {
                return;
            }
            assert!(Instant::now() < end, "nothing is kept under {key}");
        }
    }

    /// Kills a role as a crash would, and waits until another process has taken its place.
    pub(crate) async fn kill(&mut self, role: Role) {
        self.kill_now(role);
        self.until_replaced(role).await;
    }

    /// Kills a role as a crash would.
    pub(crate) fn kill_now(&mut self, role: Role) {
        self.note = self.read_note().unwrap();
        let pid = Pid::from_raw(self.role(role).expect("the role runs")).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }

    /// Breaks the link between the roles, which both live on.
    pub(crate) fn break_link(&self) {
        let media = self.role(Role::Media).expect("the role runs");
        let process = pidfd_open(Pid::from_raw(media).unwrap(), PidfdFlags::empty()).unwrap();
        let mut n = 0;
        for it in fs::read_dir(format!("/proc/{media}/fd")).unwrap() {
            let number = it.unwrap().file_name().to_str().unwrap().parse().unwrap();
            let Ok(handle) = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) else {
                continue;
            };
            // The supervisor's socket has packets.
            if socket_domain(&handle) == Ok(AddressFamily::UNIX)
                && socket_type(&handle) == Ok(SocketType::STREAM)
            {
                shutdown(&handle, Shutdown::Both).unwrap();
                n += 1;
            }
        }
        assert_eq!(n, 1, "streams within the machine that media has");
    }

    /// Waits until another process has taken the place of one that was killed.
    pub(crate) async fn until_replaced(&mut self, role: Role) {
        let pid = self.role(role);
        let end = Instant::now() + SOON;
        let mut tick = interval(POLL);
        loop {
            tick.tick().await;
            if let Some(note) = self.read_note() {
                self.note = note;
            }
            if self.role(role).is_some() && self.role(role) != pid {
                break;
            }
            assert!(Instant::now() < end, "nobody took the place of {role:?}");
        }
        self.until_well().await;
    }

    /// The process that keeps the two roles alive.
    pub(crate) fn supervisor(&self) -> u64 {
        self.child.id().unwrap().into()
    }

    /// The processes of control and media as they are now.
    pub(crate) fn roles(&self) -> [i32; 2] {
        let note = self.read_note().unwrap();
        [note.control.unwrap(), note.media.unwrap()]
    }

    /// The process of a role.
    pub(crate) const fn role(&self, role: Role) -> Option<i32> {
        match role {
            Role::Control => self.note.control,
            Role::Media => self.note.media,
        }
    }

    /// How long the threads of a role have waited for a core since it began, added up: what a busy
    /// machine costs, and a quiet one does not.
    pub(crate) fn waited_for_a_core(&self, role: Role) -> Duration {
        let tasks = format!("/proc/{}/task", self.role(role).unwrap());
        let waited = fs::read_dir(tasks).unwrap().flatten().filter_map(|it| {
            // A thread may have ended meanwhile.
            let text = fs::read_to_string(it.path().join("schedstat")).ok()?;
            text.split(' ').nth(1)?.parse::<u64>().ok()
        });
        Duration::from_nanos(waited.sum())
    }

    /// Kills the whole engine as a loss of power would, and starts it again in the same folder. The
    /// addresses are new.
    pub(crate) async fn crash_and_start_again(&mut self) {
        self.child.kill().await.unwrap();
        self.start_again().await;
    }

    /// Starts the engine, which has ended, in the same folder.
    pub(crate) async fn start_again(&mut self) {
        fs::remove_file(self.data(NOTE)).ok();
        let (folder, setup) = (self.folder.path(), &self.setup);
        (self.child, self.reading) = spawn(folder, setup, &self.log, &self.deaf);
        self.until_well().await;
    }

    /// Ends the engine in order.
    pub(crate) async fn stop(&mut self) {
        self.ask_to_stop();
        self.until_stopped().await;
    }

    /// Begins the end in order: no new calls.
    pub(crate) fn ask_to_stop(&self) {
        let pid = Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    pub(crate) async fn until_stopped(&mut self) {
        let status = tokio::time::timeout(SOON, self.child.wait()).await;
        assert!(status.expect("the engine stops").unwrap().success());
    }

    fn read_note(&self) -> Option<Note> {
        let text = fs::read_to_string(self.data(NOTE)).ok()?;
        let note: Value = serde_json::from_str(&text).ok()?;
        let address = |it: &Value| it.as_str()?.parse().ok();
        let pid = |it: &Value| i32::try_from(it.as_i64()?).ok();
        Some(Note {
            control: pid(&note["control"]),
            media: pid(&note["media"]),
            udp: address(&note["sip_udp"][0])?,
            tcp: address(&note["sip_tcp"][0])?,
            http: address(&note["http"])?,
        })
    }
}

impl Drop for Engine {
    /// A failed test shows what the engine said.
    #[expect(clippy::print_stderr, reason = "this is how a test speaks")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the engine\n{}\n---", self.log());
        }
    }
}

/// A JSON string, or a number as text.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

const POLL: Duration = Duration::from_millis(20);

const NOTE: &str = "engine.json";

fn spawn(
    folder: &Path,
    setup: &Setup,
    log: &Log,
    deaf: &Arc<AtomicBool>,
) -> (Child, JoinHandle<()>) {
    // A write beyond `limit_files` fails, as on a full disk, instead of killing the process.
    let script = "trap '' XFSZ; exec \"$0\" serve --config hotline.toml 2>&1";
    let mut child = match (&setup.disk, setup.network_of) {
        (Some(disk), _) => disk.shell(folder, script),
        (None, Some(pid)) => disk::shell_in(pid, script),
        (None, None) => disk::shell(script),
    };
    let mut child = child
        .arg(program::path())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = child.stdout.take().unwrap();
    let (log, deaf) = (Arc::clone(log), Arc::clone(deaf));
    let reading = tokio::spawn(async move {
        let mut buffer = vec![0; 4_096];
        while let Ok(n @ 1..) = said.read(&mut buffer).await {
            log.lock().unwrap().extend_from_slice(&buffer[..n]);
            if deaf.load(Relaxed) {
                std::future::pending::<()>().await;
            }
        }
    });
    (child, reading)
}
