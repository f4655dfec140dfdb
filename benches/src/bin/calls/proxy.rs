//! Kamailio (Debian's) as a yardstick: a call of as many messages, passed on by a stateful proxy that decides
//! nothing and hears nothing. What machines differ by is in both.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::Ipv4Addr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    party::{CARRIER, ENGINE},
    sipp::{BUFFER, INVITE, read},
};

const PROGRAM: &str = "/usr/sbin/kamailio";
const PORT: u16 = 5_068;

/// What a call of ours may cost of one of its: 300 µs where it takes 600 to 700.
pub(crate) const AIM: f64 = 300.0 / 650.0;

/// Two to twelve of 3,000 did not go by the script, probably because a 180 came after its 200: the
/// proxy has two processes.
const MISSED_MAX: f64 = 0.01;
const CALLED: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 4), 5_070);

/// How long a call of SIPp lasts, as with an agent.
const TALK_MS: &str = "500";

/// After what every caller of ours says (`sipp.rs`). SIPp's own scripts keep no route, so that a proxy
/// is asked to pass on what names another one.
const BYE: &str = r#"
<pause/>
<send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
[routes]
From: <sip:[field0]@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:12345@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
<recv response="200"/>
"#;

const CALLED_ONE: &str = r#"<?xml version="1.0"?><scenario name="called">
<recv request="INVITE"/>
<send><![CDATA[
SIP/2.0 180 Ringing
[last_Via:]
[last_Record-Route:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port]>
Content-Length: 0

]]></send>
<send retrans="500"><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_Record-Route:]
[last_From:]
[last_To:];tag=[call_number]
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
<recv request="ACK"/>
<recv request="BYE"/>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>"#;

pub(crate) fn is_there() -> bool {
    Path::new(PROGRAM).exists()
}

/// Processor time of all its processes for a call, at so many calls a second for so long; `None`
/// when it lost more than a hundredth of them.
pub(crate) fn measure(rate: f64, span: Duration) -> Result<Option<Duration>> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("kamailio.cfg");
    fs::write(&script, include_str!("../../../kamailio.cfg"))?;
    let scenario =
        format!("<?xml version=\"1.0\"?><scenario name=\"caller\">{INVITE}{BYE}</scenario>");
    fs::write(folder.path().join("caller.xml"), scenario)?;
    fs::write(folder.path().join("numbers.csv"), "SEQUENTIAL\n13900000000\n")?;
    fs::write(folder.path().join("called.xml"), CALLED_ONE)?;
    let called = format!("{}:{}", CALLED.0, CALLED.1);
    let _called = Ended(
        sipp(folder.path())
            .args(["-sf", "called.xml", "-i", &CALLED.0.to_string(), "-p", &CALLED.1.to_string()])
            .spawn()
            .context("no sipp: apt install sip-tester")?,
    );
    let mut proxy = Command::new(PROGRAM)
        .args(["-DD", "-E", "-m", "512", "-M", "16", "-f"])
        .arg(&script)
        .arg("-Y")
        .arg(folder.path())
        .args(["-l", &format!("udp:{ENGINE}:{PORT}")])
        .args(["-A", &format!("CALLED=\"sip:{called}\"")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let said = proxy.stdout.take().context("an output")?;
    let proxy = Ended(proxy);
    let mut lines = BufReader::new(said).lines();
    ensure!(lines.any(|it| it.is_ok_and(|it| it.contains("Aliases"))), "kamailio did not start");
    let n_calls = (rate * span.as_secs_f64()).round();
    let before = all_of(proxy.0.id())?;
    sipp(folder.path())
        .arg(format!("{ENGINE}:{PORT}"))
        .args([
            "-sf",
            "caller.xml",
            "-inf",
            "numbers.csv",
            "-i",
            &CARRIER.to_string(),
            "-d",
            TALK_MS,
            "-l",
            "7000",
        ])
        .args(["-r", &format!("{rate}"), "-m", &format!("{n_calls}"), "-timeout", "120"])
        .args(["-trace_stat", "-stf", "stat.csv", "-fd", "1"])
        .status()?;
    let spent = all_of(proxy.0.id())?.saturating_sub(before);
    let counted = read(&fs::read_to_string(folder.path().join("stat.csv"))?, 0)?;
    let succeeded = counted.succeeded as f64;
    Ok((succeeded >= n_calls * (1.0 - MISSED_MAX)).then(|| spent.div_f64(succeeded)))
}

fn sipp(folder: &Path) -> Command {
    let mut it = Command::new("sipp");
    it.current_dir(folder).args(["-nostdin", "-buff_size", BUFFER]);
    it.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    it
}

/// On a processor, of a process and its children, to the nanosecond: `schedstat` (proc(5)).
pub(crate) fn all_of(parent: u32) -> Result<Duration> {
    let mut pids = vec![parent];
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|it| it.parse().ok()) else {
            continue;
        };
        // It may have ended.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let Some((_, rest)) = stat.rsplit_once(") ") else { bail!("stat names its program") };
        if rest.split(' ').nth(1) == Some(&parent.to_string()) {
            pids.push(pid);
        }
    }
    let mut all = Duration::ZERO;
    for pid in pids {
        let text = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
        let nanos = text.split(' ').next().context("schedstat has three numbers")?;
        all += Duration::from_nanos(nanos.trim().parse()?);
    }
    Ok(all)
}

/// Ends with who holds it, and so do its children.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Kamailio's first process ends the others when it is asked to end, not when it is killed.
        let asked = rustix::process::Pid::from_child(&self.0);
        let _gone = rustix::process::kill_process(asked, rustix::process::Signal::TERM);
        drop(self.0.wait());
    }
}
