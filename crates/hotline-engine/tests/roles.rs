//! Real child processes under the real supervisor: this program is the supervisor, both roles and
//! the test, by its first argument.
//!
//! The roles are minimal: control echoes datagrams with its process id in front, and both say over
//! the link who they are.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test program of its own"
)]

use std::{
    env,
    io::{Read, Write},
    net::UdpSocket,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use hotline_engine::{
    Listen, child,
    handover::{self, Handover, Report, SocketKind},
    supervisor::{RoleCommand, Setup, supervise},
};
use rustix::process::{Pid, Signal, kill_process};

fn main() {
    let args: Vec<String> = env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("supervisor") => supervisor(Path::new(&args[2])),
        Some("control") => control(),
        Some("media") => media(),
        Some("--list") => println!("roles: test"),
        _ => {
            control_is_back_after_a_kill();
            media_is_back_after_a_kill_and_gets_a_fresh_link();
            children_die_with_their_supervisor();
            a_role_that_cannot_start_stops_the_whole();
            println!("roles: ok");
        }
    }
}

fn control_is_back_after_a_kill() {
    let engine = Engine::start("control");
    let phone = engine.phone();
    let first = phone.ask("one");
    kill(first, Signal::KILL);
    let began = Instant::now();
    let second = phone.ask("two");
    assert_ne!(first, second);
    assert!(began.elapsed() < Duration::from_secs(2), "control is back late");
    engine.end();
}

fn media_is_back_after_a_kill_and_gets_a_fresh_link() {
    let engine = Engine::start("media");
    let phone = engine.phone();
    let control = phone.ask("hello");
    let first = phone.until_media(None);
    kill(first, Signal::KILL);
    let second = phone.until_media(Some(first));
    assert_ne!(first, second);
    // The survivor is the same process.
    assert_eq!(phone.ask("hello"), control);
    engine.end();
}

fn children_die_with_their_supervisor() {
    let mut engine = Engine::start("orphans");
    let phone = engine.phone();
    let control = phone.ask("hello");
    let media = phone.until_media(None);
    kill(engine.child.id(), Signal::KILL);
    engine.child.wait().unwrap();
    for pid in [control, media] {
        wait_for(|| (!alive(pid)).then_some(()));
    }
}

fn a_role_that_cannot_start_stops_the_whole() {
    let mut engine = Engine::start("cannot-start");
    let status = engine.child.wait().unwrap();
    assert_eq!(status.code(), Some(1));
}

/// An engine in a process of its own.
struct Engine {
    child: Child,
    dir: PathBuf,
}

impl Engine {
    fn start(name: &str) -> Self {
        let dir = env::temp_dir().join(format!("hotline-roles-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let program = env::current_exe().unwrap();
        let child = Command::new(program).arg("supervisor").arg(&dir).spawn().unwrap();
        Self { child, dir }
    }

    fn phone(&self) -> Phone {
        let note = wait_for(|| std::fs::read(self.dir.join("engine.json")).ok());
        let note: serde_json::Value = serde_json::from_slice(&note).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(note["sip_udp"][0].as_str().unwrap()).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        Phone(socket)
    }

    /// SIGTERM, and it must end by itself.
    fn end(mut self) {
        kill(self.child.id(), Signal::TERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{:?}", status.signal());
        assert!(!self.dir.join("engine.json").exists());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|it| it.is_none()) {
            self.child.kill().unwrap();
        }
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

struct Phone(UdpSocket);

impl Phone {
    /// The process that answers.
    fn ask(&self, text: &str) -> u32 {
        self.exchange(text).0
    }

    /// Asks until control knows a media process other than `not`.
    fn until_media(&self, not: Option<u32>) -> u32 {
        wait_for(|| self.exchange("media").1.filter(|it| Some(*it) != not))
    }

    /// Sends again like a phone: a process that is killed may take a datagram with it.
    fn exchange(&self, text: &str) -> (u32, Option<u32>) {
        wait_for(|| {
            self.0.send(text.as_bytes()).unwrap();
            let mut answer = [0; 64];
            let n = self.0.recv(&mut answer).ok()?;
            let answer = String::from_utf8(answer[..n].to_vec()).unwrap();
            let words: Vec<_> = answer.split(' ').collect();
            (words[0] == text).then(|| (words[1].parse().unwrap(), words[2].parse().ok()))
        })
    }
}

fn supervisor(dir: &Path) {
    let role =
        |name: &str| RoleCommand { program: env::current_exe().unwrap(), args: vec![name.into()] };
    let broken = dir.to_string_lossy().ends_with("cannot-start");
    let setup = Setup {
        listen: Listen { sip_udp: vec!["127.0.0.1:0".parse().unwrap()], ..Listen::default() },
        data_dir: dir.to_owned(),
        control: role("control"),
        media: if broken {
            RoleCommand { program: "/bin/sh".into(), args: vec!["-c".into(), "exit 78".into()] }
        } else {
            role("media")
        },
        grace: Duration::from_secs(1),
        announce: |_| (),
    };
    if supervise(setup).is_err() {
        std::process::exit(1);
    }
}

fn control() {
    let supervisor = child::begin().unwrap();
    let media: &std::sync::Mutex<Option<u32>> = Box::leak(Box::default());
    while let Ok(Some((message, mut handles))) = handover::receive::<Handover>(&supervisor) {
        match message {
            Handover::Sockets { kinds } => {
                assert_eq!(kinds, [SocketKind::SipUdp]);
                let socket = UdpSocket::from(handles.pop().unwrap());
                thread::spawn(move || echo(&socket, media));
                handover::send(&supervisor, &Report::Ready, &[]).unwrap();
            }
            Handover::Link => {
                let peer = greet(handles.pop().unwrap());
                *media.lock().unwrap() = peer;
            }
            Handover::Memory => panic!("not for control"),
            Handover::Drain | Handover::Stop => return,
        }
    }
}

fn echo(socket: &UdpSocket, media: &std::sync::Mutex<Option<u32>>) {
    let mut buffer = [0; 64];
    loop {
        let (n, from) = socket.recv_from(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..n]);
        let peer = media.lock().unwrap().map_or("-".to_owned(), |it| it.to_string());
        let answer = format!("{text} {} {peer}", std::process::id());
        socket.send_to(answer.as_bytes(), from).unwrap();
    }
}

fn media() {
    let supervisor = child::begin().unwrap();
    handover::send(&supervisor, &Report::Ready, &[]).unwrap();
    while let Ok(Some((message, mut handles))) = handover::receive::<Handover>(&supervisor) {
        match message {
            Handover::Link => drop(greet(handles.pop().unwrap())),
            Handover::Memory => (),
            Handover::Sockets { .. } | Handover::Drain => panic!("not for media"),
            Handover::Stop => return,
        }
    }
}

/// Both say their process id; `None` when the other is gone.
fn greet(link: OwnedFd) -> Option<u32> {
    let mut link = UnixStream::from(link);
    link.write_all(&std::process::id().to_be_bytes()).ok()?;
    let mut peer = [0; 4];
    link.read_exact(&mut peer).ok()?;
    Some(u32::from_be_bytes(peer))
}

fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

/// Neither gone nor a zombie of a parent that does not wait.
fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|it| !it.contains(") Z "))
}

fn wait_for<T>(mut what: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        if let Some(it) = what() {
            return it;
        }
        assert!(Instant::now() < deadline, "waited in vain");
        thread::sleep(Duration::from_millis(5));
    }
}
