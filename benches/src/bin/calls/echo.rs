//! The yardstick: what the kernel and one blocking thread take for a datagram in and one out. Frozen:
//! a change here changes the meaning of every ratio ever published.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, UdpSocket},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

/// A usual SIP message.
const DATAGRAM: usize = 600;

pub(crate) fn serve() -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", socket.local_addr()?);
    std::io::stdout().flush()?;
    let mut buffer = [0; 2_048];
    loop {
        let (n, from) = socket.recv_from(&mut buffer)?;
        socket.send_to(buffer.get(..n).unwrap_or_default(), from)?;
    }
}

/// Processor time for one datagram there and back, at so many a second.
pub(crate) fn measure(rate: f64, window: Duration) -> Result<Duration> {
    let mut child =
        Reaped(Command::new(std::env::current_exe()?).arg("echo").stdout(Stdio::piped()).spawn()?);
    let mut line = String::new();
    let stdout = child.0.stdout.take().context("the echo has an output")?;
    BufReader::new(stdout).read_line(&mut line)?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(line.trim())?;
    socket.set_nonblocking(true)?;
    let (begin, before) = (Instant::now(), on_cpu(child.0.id())?);
    let (mut sent, mut back) = (0_u32, 0_u32);
    let mut buffer = [0; 2_048];
    while begin.elapsed() < window {
        if begin.elapsed().as_secs_f64() * rate >= f64::from(sent) {
            socket.send(&[0; DATAGRAM])?;
            sent += 1;
        } else {
            std::thread::sleep(Duration::from_micros(200));
        }
        while socket.recv(&mut buffer).is_ok() {
            back += 1;
        }
    }
    Ok(on_cpu(child.0.id())?.saturating_sub(before) / back.max(1))
}

/// Of its only thread, to the nanosecond: `/proc/<pid>/schedstat` (proc(5)).
fn on_cpu(pid: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let nanos = text.split(' ').next().context("schedstat has three numbers")?;
    Ok(Duration::from_nanos(nanos.trim().parse()?))
}

struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
