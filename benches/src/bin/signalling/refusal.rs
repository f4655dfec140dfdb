//! A call that is refused for overload: its INVITE, our 503, and the ACK of that.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Result, ensure};
use hotline_base::{Machine as _, MonoTime, Now, WallTime, media::Event};
use hotline_benches::{cpu_time, load, shift, spread};
use hotline_sip::{Flow, Limits, Message, Transport};
use hotline_switchboard::{Input, Output, Switchboard};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 50_000)]
    calls: u64,
    #[arg(long, default_value_t = 7)]
    rounds: usize,
}

/// Messages that are written, and then heard, at once.
const AT_ONCE: usize = 500;

/// Between one call and the next: more come than are taken.
const EVERY_US: u64 = 250;

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut desk = Desk::new()?;
    desk.crowd(0..2_000)?;
    ensure!(desk.n_refused > 1_900, "only {} were refused", desk.n_refused);
    let mut next = 2_000;
    let mut span = || {
        next += args.calls;
        next - args.calls..next
    };
    let counted = allocation_counter::measure(|| drop(desk.crowd(span())));
    let n_calls = args.calls as f64;
    println!(
        "{} calls, {} refused; allocations a call: {:.1}, {:.0} bytes",
        args.calls,
        desk.n_refused - 1_990,
        counted.count_total as f64 / n_calls,
        counted.bytes_total as f64 / n_calls,
    );
    println!("\n round  load  CPU us a refused call: INVITE   ACK  together");
    let mut all = Vec::new();
    for round in 1..=args.rounds {
        let [invite, ack] = desk.crowd(span())?.map(|it| it * 1e6 / n_calls);
        println!("{round:>6} {:>5} {invite:>30.2} {ack:>5.2} {:>9.2}", load(), invite + ack);
        all.push(invite + ack);
    }
    println!("== CPU of a refused call: {} us", spread(&all, 2));
    Ok(())
}

/// A switchboard that takes two calls a second, and what its socket does before and after it.
struct Desk {
    switchboard: Switchboard,
    flow: Flow,
    /// Where datagrams are read.
    place: Message,
    n_refused: u64,
}

impl Desk {
    fn new() -> Result<Self> {
        let mut config = shift::config("1:0".parse().map_err(anyhow::Error::msg)?, None)?;
        config.overload.per_sec_max = Some(1);
        config.overload.per_sec_min = 1;
        let local: SocketAddr = "10.0.0.1:5060".parse()?;
        let flow =
            Flow { transport: Transport::Udp, local, remote: "10.0.1.1:5060".parse()?, conn: None };
        let mut switchboard = Switchboard::new(config, shift::SEED, at(0));
        switchboard.handle(Input::MediaUp, at(0));
        let (version, began) = (hotline_base::media::VERSION, at(0).wall);
        let (legs, recordings) = (Vec::new(), Vec::new());
        let ready = Event::Inventory { version, legs, recordings, began };
        switchboard.handle(Input::Media(ready), at(0));
        while switchboard.poll_output().is_some() {}
        Ok(Self { switchboard, flow, place: Message::blank(), n_refused: 0 })
    }

    /// Calls one after the other; seconds of the processor for their INVITEs and for their ACKs.
    fn crowd(&mut self, calls: std::ops::Range<u64>) -> Result<[f64; 2]> {
        let (mut invites, mut acks) = (0.0, 0.0);
        let all: Vec<u64> = calls.collect();
        for some in all.chunks(AT_ONCE) {
            let texts: Vec<_> = some.iter().map(|n| request("INVITE", *n, "")).collect();
            let mut answers = Vec::with_capacity(AT_ONCE);
            let begin = cpu_time();
            for (n, text) in some.iter().zip(&texts) {
                self.hear(text.as_bytes(), *n, &mut answers)?;
            }
            invites += cpu_time().saturating_sub(begin).as_secs_f64();
            ensure!(answers.len() >= some.len(), "a call has no answer");
            let texts: Vec<_> = some.iter().zip(&answers).map(|(n, it)| ack(*n, it)).collect();
            self.n_refused +=
                answers.iter().filter(|it| it.starts_with(b"SIP/2.0 503")).count() as u64;
            answers.clear();
            let begin = cpu_time();
            for (n, text) in some.iter().zip(&texts) {
                self.hear(text.as_bytes(), *n, &mut answers)?;
            }
            acks += cpu_time().saturating_sub(begin).as_secs_f64();
        }
        Ok([invites, acks])
    }

    fn hear(&mut self, bytes: &[u8], n: u64, answers: &mut Vec<Arc<[u8]>>) -> Result<()> {
        let read = self.place.read_again(self.flow, bytes, Limits::new());
        ensure!(read.is_ok(), "a message is broken");
        let message = self.place.clone();
        let input = Input::Sip { flow: self.flow, message, waited_us: 0 };
        self.switchboard.handle(input, at(n));
        while let Some(output) = self.switchboard.poll_output() {
            if let Output::Transmit { bytes, .. } = output {
                answers.push(bytes);
            }
        }
        Ok(())
    }
}

fn at(n: u64) -> Now {
    let us = n * EVERY_US;
    let wall = 1_700_000_000_000_i64.saturating_add_unsigned(us / 1_000);
    Now { mono: MonoTime(us * 1_000), wall: WallTime(wall) }
}

fn request(method: &str, n: u64, to_tag: &str) -> String {
    let sdp = "v=0\r\no=- 1795305600 1 IN IP4 10.0.1.2\r\ns=-\r\nc=IN IP4 10.0.1.2\r\nt=0 0\r\n\
               m=audio 32456 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";
    let body = if method == "INVITE" { sdp } else { "" };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:12345@10.0.0.1:5060;user=phone SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.1.1:5060;branch=z9hG4bK8f2a6c{n:08};rport\r\n\
         Max-Forwards: 66\r\n\
         From: <sip:+8613800138000@ims.example.cn;user=phone>;tag=7ad3{n:08}\r\n\
         To: <sip:12345@10.0.0.1;user=phone>{to_tag}\r\n\
         Call-ID: 3f0a9c77d1e8{n:08}@10.0.1.1\r\n\
         CSeq: 1 {method}\r\n\
         Contact: <sip:10.0.1.1:5060;transport=udp>\r\n\
         Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, INFO, OPTIONS\r\n\
         Supported: 100rel, timer\r\n{kind}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Of the answer, whose To has our tag.
fn ack(n: u64, answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let to = text.lines().find(|it| it.starts_with("To:")).unwrap_or_default();
    let tag = to.split_once(";tag=").map(|it| format!(";tag={}", it.1)).unwrap_or_default();
    request("ACK", n, &tag)
}
