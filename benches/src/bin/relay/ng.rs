//! rtpengine beside the engine: the Debian package in user space, told by its `ng` protocol (a
//! cookie and a bencoded dictionary in a datagram) to relay the same calls.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    process::{Child, Command, Stdio},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{Relay, cpu, engine::offer, outlet::Outlet, pace::Flow};

/// Below what the kernel hands out for port 0, above what the engine takes.
const PORTS: (u16, u16) = (22_002, 32_700);

const PROGRAM: &str = "rtpengine";

/// Whether it is installed.
pub(crate) fn is_installed() -> bool {
    let mut version = Command::new(PROGRAM);
    version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|it| it.success())
}

#[derive(Debug)]
pub(crate) struct RtpEngine {
    child: Child,
    control: UdpSocket,
    to: SocketAddr,
    n_asked: u64,
    /// Two of each call.
    legs: Vec<(Rc<Outlet>, SocketAddr)>,
}

impl RtpEngine {
    pub(crate) fn start(calls: usize) -> Result<Self> {
        let control = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        control.set_read_timeout(Some(Duration::from_millis(500)))?;
        // A port that was free a moment ago.
        let to = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        // A child is where its parent was: on the core of the relays.
        cpu::pin(1);
        let child = Command::new(PROGRAM)
            .args(["--foreground", "--table=-1", "--log-level=3", "--log-stderr"])
            .args(["--config-file=none", "--interface=127.0.0.1"])
            .arg(format!("--listen-ng={to}"))
            .arg(format!("--port-min={}", PORTS.0))
            .arg(format!("--port-max={}", PORTS.1))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        cpu::pin(0);
        let child = child.context("rtpengine does not start")?;
        let mut it = Self { child, control, to, n_asked: 0, legs: Vec::new() };
        let end = Instant::now() + Duration::from_secs(10);
        while it.ask(&[("command", "ping")]).is_err() {
            if Instant::now() > end {
                bail!("rtpengine does not answer");
            }
        }
        for call in 0..calls {
            it.call(call)?;
        }
        Ok(it)
    }

    /// Two legs that hear each other.
    fn call(&mut self, call: usize) -> Result<()> {
        let (left, right) = (Outlet::open()?, Outlet::open()?);
        let id = format!("call{call}");
        let (from, to) = (format!("from{call}"), format!("to{call}"));
        let own = offer(&left, None)?;
        let mut dict = vec![
            ("call-id", id.as_str()),
            ("command", "offer"),
            ("from-tag", from.as_str()),
            ("sdp", own.as_str()),
        ];
        let for_right = media_of(&self.ask(&dict)?)?;
        let own = offer(&right, None)?;
        dict = vec![
            ("call-id", id.as_str()),
            ("command", "answer"),
            ("from-tag", from.as_str()),
            ("sdp", own.as_str()),
            ("to-tag", to.as_str()),
        ];
        let for_left = media_of(&self.ask(&dict)?)?;
        // The description that one side gets says where that side sends to.
        self.legs.push((Rc::new(left), for_left));
        self.legs.push((Rc::new(right), for_right));
        Ok(())
    }

    /// The answer's dictionary. `dict` is sorted by its keys.
    fn ask(&mut self, dict: &[(&str, &str)]) -> Result<BTreeMap<String, String>> {
        self.n_asked += 1;
        let cookie = format!("{}_{}", std::process::id(), self.n_asked);
        let mut message = format!("{cookie} d");
        for word in dict.iter().flat_map(|(key, value)| [key, value]) {
            write!(message, "{}:{word}", word.len())?;
        }
        message.push('e');
        let mut buffer = vec![0; 65_536];
        for _ in 0..3 {
            self.control.send_to(message.as_bytes(), self.to)?;
            while let Ok(n) = self.control.recv(&mut buffer) {
                let text = String::from_utf8_lossy(buffer.get(..n).unwrap_or_default());
                // What answers an earlier question came too late.
                let Some((_, answer)) = text.split_once(' ').filter(|it| it.0 == cookie) else {
                    continue;
                };
                let it = decode(answer).context("the answer is not bencoded")?;
                let result = it.get("result").map_or("nothing", String::as_str);
                if !matches!(result, "ok" | "pong") {
                    bail!("rtpengine says {result}: {:?}", it.get("error-reason"));
                }
                return Ok(it);
            }
        }
        bail!("rtpengine does not answer")
    }
}

/// The strings of a bencoded dictionary; all else in it is passed over.
fn decode(text: &str) -> Option<BTreeMap<String, String>> {
    let mut rest = text.strip_prefix('d')?;
    let mut it = BTreeMap::new();
    while !rest.starts_with('e') {
        let (key, after) = word(rest)?;
        if after.starts_with(|it: char| it.is_ascii_digit()) {
            let (value, after) = word(after)?;
            it.insert(key.to_owned(), value.to_owned());
            rest = after;
        } else {
            rest = pass(after)?;
        }
    }
    Some(it)
}

fn word(text: &str) -> Option<(&str, &str)> {
    let (len, rest) = text.split_once(':')?;
    rest.split_at_checked(len.parse().ok()?)
}

/// What follows a value of any kind.
fn pass(text: &str) -> Option<&str> {
    match text.chars().next()? {
        'i' => Some(text.split_once('e')?.1),
        'd' | 'l' => {
            let mut rest = text.get(1..)?;
            while !rest.starts_with('e') {
                rest = pass(rest)?;
            }
            rest.get(1..)
        }
        _ => Some(word(text)?.1),
    }
}

/// Where a description wants its packets.
fn media_of(answer: &BTreeMap<String, String>) -> Result<SocketAddr> {
    let sdp = answer.get("sdp").context("the answer has a description")?;
    let line = sdp.lines().find_map(|it| it.strip_prefix("m=audio "));
    let port = line.and_then(|it| it.split(' ').next()).context("it has a port")?;
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?)))
}

impl Relay for RtpEngine {
    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn flows(&mut self) -> Vec<Flow> {
        Flow::pairs(&self.legs)
    }
}

impl Drop for RtpEngine {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn strings_of_a_dictionary_are_found_among_other_values() {
        let it = decode("d1:ai-7e3:sdp5:v=0\r\n1:bl1:xd1:y1:zee6:result2:oke");
        let it = it.expect("it is well formed");
        assert_eq!(it.get("sdp").map(String::as_str), Some("v=0\r\n"));
        assert_eq!(it.get("result").map(String::as_str), Some("ok"));
        assert_eq!(it.len(), 2);
    }

    #[test]
    fn what_is_cut_off_is_no_dictionary() {
        for text in ["", "d", "d3:sdp5:v", "d1:ai7", "d1:al1:x", "6:result"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
