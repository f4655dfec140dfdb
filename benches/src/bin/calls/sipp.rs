//! SIPp as the carrier, and as the agents' telephones: a caller is a script, and so is an agent; SIPp
//! counts what did not go by it.

use std::{
    fmt::Write as _,
    fs,
    net::{SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::{engine::Flows, party::CARRIER, proxy::all_of, wire::n_lost};

/// What SIPp counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) retransmitted: u64,
    /// Datagrams that found no room in its socket.
    pub(crate) lost: u64,
    pub(crate) calls_at_once: u64,
    /// From the first call to the last one's beginning. SIPp writes its figures once a second.
    pub(crate) created_in: Duration,
}

/// What a caller says until he is answered.
pub(crate) const INVITE: &str = r#"
<send retrans="500"><![CDATA[
INVITE sip:12345@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
From: <sip:[field0]@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:12345@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:[field0]@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [media_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 8 101
a=rtpmap:101 telephone-event/8000
]]></send>
<recv response="100" optional="true"/>
<recv response="180" optional="true"/>
<recv response="200" rrs="true"/>
<send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
[routes]
From: <sip:[field0]@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:12345@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
"#;

/// As for the robots, and up to what the system allows: with its own 64 KiB SIPp has room for what
/// comes in 20 ms at a thousand calls a second, and what is lost then is said again.
pub(crate) const BUFFER: &str = "4194304";

/// How often its socket is looked at, which is gone when it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The caller knows the menu: 0 while the greeting is spoken.
const KEY: &str = r#"
<pause milliseconds="2000"/>
<send retrans="500"><![CDATA[
INFO [next_url] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
From: <sip:[field0]@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:12345@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 2 INFO
Max-Forwards: 70
Content-Type: application/dtmf-relay
Content-Length: [len]

Signal=0
Duration=100
]]></send>
<recv response="200"/>
"#;

const BYE: &str = r#"
<recv request="BYE" timeout="90000"/>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
"#;

/// Whoever is called answers, stays, and hangs up; a telephone that is asked whether it is there is.
fn agent(talk: Duration) -> String {
    format!(
        r#"<?xml version="1.0"?><scenario name="agent">
<recv request="OPTIONS" optional="true" next="1"/>
<recv request="INVITE" rrs="true"/>
<send retrans="500"><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[pid]-[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [media_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 8 101
a=rtpmap:101 telephone-event/8000
]]></send>
<recv request="ACK"><action>
<ereg regexp=".*" search_in="hdr" header="From:" assign_to="2"/>
<ereg regexp=".*" search_in="hdr" header="To:" assign_to="3"/>
</action></recv>
<pause milliseconds="{}"/>
<send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
From:[$3]
To:[$2]
Call-ID: [call_id]
CSeq: 1 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
<recv response="200" next="4"/>
<label id="1"/>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[pid]-[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
<label id="4"/>
</scenario>"#,
        talk.as_millis()
    )
}

/// Agents who are at their telephones until they are told to [`leave`](Self::leave).
pub(crate) struct Agents {
    child: Child,
    folder: PathBuf,
}

impl Agents {
    /// At an address where nobody else is any more.
    pub(crate) fn come(at: SocketAddr, folder: &Path, talk: Duration) -> Result<Self> {
        let folder = folder.join("agents");
        fs::create_dir(&folder)?;
        fs::write(folder.join("agent.xml"), agent(talk))?;
        let (ip, port) = (at.ip().to_string(), at.port().to_string());
        let child = Command::new("sipp")
            .args(["-sf", "agent.xml", "-i", &ip, "-mi", &ip, "-p", &port])
            .args(["-buff_size", BUFFER, "-trace_stat", "-stf", "stat.csv", "-fd", "1", "-nostdin"])
            .args(["-trace_err", "-error_file", "sipp.err"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("no sipp: apt install sip-tester")?;
        Ok(Self { child, folder })
    }

    pub(crate) fn cpu(&self) -> Result<Duration> {
        all_of(self.child.id())
    }

    /// When the calls that they are in are over.
    pub(crate) fn leave(mut self) -> Result<Counted> {
        // SIPp takes no further call then, and ends after the last.
        kill_process(Pid::from_child(&self.child), Signal::USR1)?;
        self.child.wait()?;
        read(&fs::read_to_string(self.folder.join("stat.csv"))?, 0)
    }
}

/// Calls at `rate` a second for `span`, and waits until the last has ended.
pub(crate) fn call(
    engine: SocketAddr,
    folder: &Path,
    flows: Flows,
    (rate, span): (f64, Duration),
) -> Result<Counted> {
    let key = if flows == Flows::Full { KEY } else { "" };
    let scenario =
        format!("<?xml version=\"1.0\"?><scenario name=\"caller\">{INVITE}{key}{BYE}</scenario>");
    let n_calls = (rate * span.as_secs_f64()).round();
    let mut numbers = "SEQUENTIAL\n".to_owned();
    for n in 0..n_calls as u64 {
        // A caller who has called before is treated differently.
        writeln!(numbers, "{}", 13_900_000_000 + n)?;
    }
    let path = |name: &str| folder.join(name).display().to_string();
    fs::write(path("caller.xml"), scenario)?;
    fs::write(path("numbers.csv"), numbers)?;
    drop(fs::remove_file(path("stat.csv")));
    let at = UdpSocket::bind((CARRIER, 0))?.local_addr()?;
    let mut child = Command::new("sipp")
        .arg(engine.to_string())
        .args(["-sf", &path("caller.xml"), "-inf", &path("numbers.csv")])
        .args([
            "-i",
            &CARRIER.to_string(),
            "-mi",
            &CARRIER.to_string(),
            "-p",
            &at.port().to_string(),
        ])
        .args(["-buff_size", BUFFER])
        .args(["-r", &format!("{rate}"), "-m", &format!("{n_calls}"), "-l", "7000"])
        .args(["-trace_stat", "-stf", &path("stat.csv"), "-fd", "1", "-nostdin"])
        .args(["-trace_err", "-error_file", &path("sipp.err"), "-timeout", "300"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("no sipp: apt install sip-tester")?;
    let mut lost = 0;
    let status = loop {
        if let Some(it) = child.try_wait()? {
            break it;
        }
        // Not there yet, or not any more.
        lost = n_lost(at).unwrap_or(lost);
        thread::sleep(LOOK_EVERY);
    };
    // 0: every call went by the script; 1: some did not.
    ensure!(matches!(status.code(), Some(0 | 1)), "sipp ended with {status}");
    read(&fs::read_to_string(path("stat.csv"))?, lost)
}

/// SIPp's file of figures.
pub(crate) fn read(text: &str, n_lost: u64) -> Result<Counted> {
    let mut lines = text.lines();
    let names: Vec<_> = lines.next().context("a heading")?.split(';').collect();
    let rows: Vec<Vec<_>> = lines.map(|it| it.split(';').collect()).collect();
    let of = |row: &Vec<&str>, name: &str| -> Option<u64> {
        let column = names.iter().position(|it| *it == name)?;
        row.get(column)?.parse().ok()
    };
    let last = rows.last().context("a row")?;
    let total = |name| of(last, name).with_context(|| format!("sipp counts no {name}"));
    let created = total("TotalCallCreated")?;
    let created_at = rows.iter().position(|it| of(it, "TotalCallCreated") == Some(created));
    Ok(Counted {
        // The first row is that of the beginning.
        created_in: Duration::from_secs(created_at.unwrap_or(0) as u64),
        succeeded: total("SuccessfulCall(C)")?,
        failed: total("FailedCall(C)")?,
        retransmitted: total("Retransmissions(C)")?,
        lost: n_lost,
        calls_at_once: rows.iter().filter_map(|it| of(it, "CurrentCall")).max().unwrap_or(0),
    })
}
