//! The engine under load: the real program, in a folder of its own that goes with it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use hotline_benches::flow;
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use serde_json::Value;
use tempfile::TempDir;

use crate::party::{CARRIER, ENGINE, OFFICE, PASSWORD};

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Flows {
    /// Answer, queue, hang up; nothing is said but music.
    #[default]
    Short,
    /// The flows as they are shipped, with all their prompts.
    Full,
    /// A spoken menu: a key leads to the queue or says it again.
    #[value(skip)]
    Keys,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    pub(crate) flows: Flows,
    pub(crate) agents: usize,
    /// Agents end their after-call work by command; otherwise there is none.
    pub(crate) acw_manual: bool,
    /// New calls a second that are taken at most; `None`: as many as the machine bears.
    pub(crate) taken: Option<u32>,
    /// How busy a media worker may be, in percent; `None`: entirely.
    pub(crate) busy_max: Option<u8>,
    /// Where agents' calls go out to; `None`: they call nobody.
    pub(crate) gateway: Option<SocketAddr>,
    /// The `hotline` program; beside this one unless said otherwise.
    pub(crate) program: Option<PathBuf>,
}

pub(crate) struct Engine {
    child: Child,
    pub(crate) roles: [u32; 3],
    pub(crate) sip: SocketAddr,
    http: SocketAddr,
    /// One connection for all requests.
    connection: BufReader<TcpStream>,
    pub(crate) folder: TempDir,
}

/// Processor time of supervisor, control and media.
pub(crate) type RoleTimes = [Duration; 3];

/// The thread that reads and writes datagrams and decides: SIP in, SIP out. Journal, database and
/// web have others.
pub(crate) const SIGNALLING: &str = "control";

const TOKEN: &str = "bench";

const BUILT_IN: &str = include_str!("../../../../config/hotline.toml");

impl Engine {
    /// Starts it and waits until it is well.
    pub(crate) fn start(setup: &Setup) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("hotline-bench-").tempdir_in(place()?)?;
        write_config(setup, folder.path())?;
        let own = std::env::current_exe()?.with_file_name("hotline");
        let program = setup.program.clone().unwrap_or(own);
        ensure!(program.exists(), "no engine: cargo build --release -p hotline");
        let log = fs::File::create(folder.path().join("log"))?;
        let mut child = Command::new(program)
            .args(["serve", "--config", "hotline.toml"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            if let Some(status) = child.try_wait()? {
                bail!("the engine ended: {status}\n{}", log_of(folder.path()));
            }
            if let Some((roles, sip, http)) = read_note(folder.path(), child.id())
                && let Ok(stream) = TcpStream::connect(http)
            {
                stream.set_read_timeout(Some(Duration::from_secs(10)))?;
                stream.set_nodelay(true)?;
                let connection = BufReader::new(stream);
                let mut it = Self { child, roles, sip, http, connection, folder };
                while it.ask("GET", "/healthz", "")?.0 != 200 {
                    ensure!(Instant::now() < end, "the engine is not well");
                    std::thread::sleep(Duration::from_millis(20));
                }
                return Ok(it);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the engine does not start\n{}", log_of(folder.path()))
    }

    pub(crate) fn command(&mut self, agent: usize, command: &str) -> Result<()> {
        self.command_with(agent, command, "{}")
    }

    pub(crate) fn command_with(&mut self, agent: usize, command: &str, body: &str) -> Result<()> {
        let path = format!("/api/v1/agents/{}/{command}", 10_000 + agent);
        let (status, reply) = self.ask("POST", &path, body)?;
        ensure!(status == 200, "POST {path}: {status} {reply}");
        Ok(())
    }

    /// Sum of all series whose name begins so.
    pub(crate) fn metric(&mut self, name: &str) -> Result<f64> {
        let (_, text) = self.ask("GET", "/metrics", "")?;
        let lines = text.lines().filter(|it| it.starts_with(name));
        let values = lines.filter_map(|it| it.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }

    /// What a counter says of each of its labels, as it is written, where it says anything.
    pub(crate) fn counts(&mut self, name: &str) -> Result<String> {
        let (_, text) = self.ask("GET", "/metrics", "")?;
        let lines = text.lines().filter_map(|it| it.strip_prefix(name)?.split_once(' '));
        let some = lines.filter(|(_, n)| *n != "0");
        Ok(some.map(|(labels, n)| format!("{labels} {n}")).collect::<Vec<_>>().join(", "))
    }

    /// A histogram of these labels: upper ends, in seconds, and how many values were no greater.
    pub(crate) fn histogram(&mut self, name: &str, labels: &str) -> Result<Vec<(f64, f64)>> {
        let (_, text) = self.ask("GET", "/metrics", "")?;
        let begin = format!("{name}_bucket{{{labels},le=\"");
        let bucket = |it: &str| {
            let (end, n) = it.strip_prefix(&begin)?.split_once("\"} ")?;
            Some((end.replace("+Inf", "inf").parse().ok()?, n.trim().parse().ok()?))
        };
        Ok(text.lines().filter_map(bucket).collect())
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.http,
            body.len()
        );
        self.connection.get_mut().write_all(request.as_bytes())?;
        let mut status = 0;
        let mut length = 0;
        loop {
            let mut line = String::new();
            ensure!(self.connection.read_line(&mut line)? > 0, "the engine hung up");
            let line = line.trim().to_ascii_lowercase();
            if let Some(it) = line.strip_prefix("http/1.1 ") {
                status = it.get(..3).unwrap_or_default().parse()?;
            } else if let Some(it) = line.strip_prefix("content-length:") {
                length = it.trim().parse()?;
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.connection.read_exact(&mut body)?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// Of all threads, also ended ones. The kernel sums it up exactly and rounds it to 10 ms.
    pub(crate) fn cpu(&self) -> Result<RoleTimes> {
        let [supervisor, control, media] = self.roles.map(cpu_of);
        Ok([supervisor?, control?, media?])
    }

    /// Processor time of control's living threads by name, to the nanosecond.
    pub(crate) fn control_threads(&self) -> Result<BTreeMap<String, Duration>> {
        self.scheduled(0)
    }

    /// How long they were kept waiting for a processor.
    pub(crate) fn control_threads_waited(&self) -> Result<BTreeMap<String, Duration>> {
        self.scheduled(1)
    }

    /// The folder in `/proc` of the thread that decides.
    pub(crate) fn control_thread(&self) -> Result<PathBuf> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.roles[1]))?;
        let is_it = |it: &PathBuf| {
            fs::read_to_string(it.join("comm")).is_ok_and(|it| it.trim() == "control")
        };
        let mut tasks = tasks.flatten().map(|it| it.path());
        tasks.find(is_it).context("control has a thread that decides")
    }

    /// A column of `schedstat` (proc(5)).
    fn scheduled(&self, column: usize) -> Result<BTreeMap<String, Duration>> {
        let mut all = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.roles[1]))? {
            let task = task?.path();
            // A thread may end meanwhile.
            let (Ok(name), Ok(times)) =
                (fs::read_to_string(task.join("comm")), fs::read_to_string(task.join("schedstat")))
            else {
                continue;
            };
            let nanos = times.split(' ').nth(column).context("schedstat has three numbers")?;
            let nanos = nanos.parse()?;
            *all.entry(name.trim().to_owned()).or_default() += Duration::from_nanos(nanos);
        }
        Ok(all)
    }

    /// Resident memory of control, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.roles[1]));
        let line = text.unwrap_or_default();
        let line = line.lines().find_map(|it| it.strip_prefix("VmRSS:"));
        let kib = line.and_then(|it| it.trim().trim_end_matches(" kB").trim().parse::<u64>().ok());
        kib.unwrap_or(0) << 10
    }

    /// The last lines of the log.
    pub(crate) fn log_end(&self) -> String {
        let all = self.log();
        let lines: Vec<_> = all.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }

    pub(crate) fn log(&self) -> String {
        log_of(self.folder.path())
    }
}

/// Processor time of a process, user and system, from `/proc/<pid>/stat` (proc(5)).
pub(crate) fn cpu_of(pid: u32) -> Result<Duration> {
    ticks(&format!("/proc/{pid}/stat"), 2)
}

/// Of this process and of the children it has waited for: the callers and the agents.
pub(crate) fn own_cpu() -> Result<Duration> {
    ticks("/proc/self/stat", 4)
}

fn ticks(path: &str, n_fields: usize) -> Result<Duration> {
    let text = fs::read_to_string(path)?;
    let (_, rest) = text.rsplit_once(')').context("stat names its program")?;
    let fields = rest.split_whitespace().skip(11).take(n_fields);
    Ok(Duration::from_millis(fields.flat_map(str::parse::<u64>).sum::<u64>() * 10))
}

/// What no processor had to do, of the whole machine, from `/proc/stat`.
pub(crate) fn idle() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    // user, nice, system, idle, iowait
    let fields = text.lines().next().context("a line")?.split_whitespace().skip(4).take(2);
    Ok(Duration::from_millis(fields.flat_map(str::parse::<u64>).sum::<u64>() * 10))
}

/// Where the folders of all engines lie, each in another part of the disk.
///
/// A run leaves tens of thousands of deleted files. On an ext4 without a journal, whoever makes a
/// file in the same part within the next minutes looks at each of them first (0.7 ms a file after
/// 20,000, instead of 0.02), which was the engine of the next run.
fn place() -> Result<PathBuf> {
    let place = std::env::temp_dir().join("hotline-bench");
    fs::create_dir_all(&place)?;
    let dir = fs::File::open(&place)?;
    // Another file system has no such thing, and need not have it.
    let spread = ioctl_getflags(&dir).and_then(|it| ioctl_setflags(&dir, it | IFlags::TOPDIR));
    if let Err(error) = spread {
        println!("folders are not spread over the disk: {error}");
    }
    Ok(place)
}

impl Drop for Engine {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed());
        let told = pid.is_some_and(|it| {
            rustix::process::kill_process(it, rustix::process::Signal::TERM).is_ok()
        });
        if !told {
            drop(self.child.kill());
        }
        // Its grace period is a second.
        drop(self.child.wait());
    }
}

fn log_of(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

fn read_note(folder: &Path, pid: u32) -> Option<([u32; 3], SocketAddr, SocketAddr)> {
    let text = fs::read_to_string(folder.join("var/engine.json")).ok()?;
    let note: Value = serde_json::from_str(&text).ok()?;
    let role = |name: &str| u32::try_from(note.get(name)?.as_u64()?).ok();
    let sip = note.get("sip_udp")?.get(0)?.as_str()?.parse().ok()?;
    let http = note.get("http")?.as_str()?.parse().ok()?;
    Some(([pid, role("control")?, role("media")?], sip, http))
}

fn write_config(setup: &Setup, folder: &Path) -> Result<()> {
    // Without probes, every message of an agent's call out belongs to a call.
    let probes = setup.gateway.map_or("", |_| "probe_secs = 0\n");
    let mut text = format!(
        "[engine]\ndata_dir = \"var\"\ngrace_secs = 1\n[log]\nfilter = \"warn\"\n\
         [sip]\nlisten_udp = [\"{ENGINE}:0\"]\nlisten_tcp = []\n{probes}\
         [sip.flood]\nfriends = [\"{OFFICE}\"]\n\
         [media]\naddress = \"{ENGINE}\"\nport_first = 10000\nport_last = 32000\nlegs_max = 8000\n\
         port_quarantine_secs = 1\nbusy_max_percent = {}\n\
         [http]\nlisten = \"{ENGINE}:0\"\n[[http.token]]\nname = \"bench\"\nrole = \"system\"\n\
         demo_token = \"{TOKEN}\"\n\
         [[trunk]]\nid = \"carrier\"\nsources = [\"{CARRIER}\"]\nchannels_max = 8000\n\
         area_code = \"0771\"\ncity = \"450100\"\n",
        setup.busy_max.unwrap_or(100)
    );
    if let Some(it) = setup.gateway {
        write!(
            text,
            "numbers = [\"077112345\"]\noptions_probes = false\n\
             [[trunk.gateway]]\naddress = \"{it}\"\n\
             [[dial_plan]]\nid = \"all\"\nallow = [\"1\"]\nper_hour = 100000\n"
        )?;
    }
    if let Some(it) = setup.taken {
        write!(text, "[sip.overload]\ncalls_per_sec_min = 1\ncalls_per_sec_max = {it}\n")?;
    }
    if setup.flows != Flows::Full {
        text += "[flows]\ndir = \"flows\"\n";
        let write = if setup.flows == Flows::Keys { flow::write_keys } else { flow::write_short };
        write(&folder.join("flows"))?;
    }
    // The groups that the shipped flows name.
    let groups = BUILT_IN.split("[[group]]").skip(1).filter_map(|it| it.split("\n\n").next());
    for group in groups {
        write!(text, "[[group]]{group}\nqueue_max = 5000\n")?;
    }
    let plan = setup.gateway.map_or("", |_| "dial_plan = \"all\"\n");
    for n in 0..setup.agents {
        write!(
            text,
            "[[agent]]\nno = \"{}\"\nname = \"坐席\"\nextension = \"{}\"\n\
             demo_password = \"{PASSWORD}\"\nacw_secs = 0\nacw_manual = {}\n\
             sign_in_state = \"idle\"\ngroups = {{ \"gx.nn.general\" = 1, \"gx.general\" = 2 }}\n\
             {plan}",
            10_000 + n,
            80_000 + n,
            setup.acw_manual,
        )?;
    }
    fs::write(folder.join("hotline.toml"), text)?;
    Ok(())
}
