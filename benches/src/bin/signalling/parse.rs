//! A carrier's INVITE, from its bytes to places in it.

use std::hint::black_box;

use anyhow::{Result, ensure};
use hotline_benches::{cpu_time, load, spread};
use hotline_sip::{Flow, Limits, Message, Transport};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 400_000)]
    messages: u32,
    #[arg(long, default_value_t = 9)]
    rounds: usize,
}

/// As an IMS network sends it.
const INVITE: &str = "INVITE sip:12345@203.0.113.10:5060;user=phone SIP/2.0\r\n\
Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK8f2a6c1d0e;rport\r\n\
Max-Forwards: 66\r\n\
From: \"13800138000\" <sip:+8613800138000@ims.example.cn;user=phone>;tag=7ad3f0c19b\r\n\
To: <sip:12345@203.0.113.10;user=phone>\r\n\
Call-ID: 3f0a9c77d1e84b5f@198.51.100.7\r\n\
CSeq: 1 INVITE\r\n\
Contact: <sip:198.51.100.7:5060;transport=udp>\r\n\
P-Asserted-Identity: <sip:+8613800138000@ims.example.cn>\r\n\
P-Charging-Vector: icid-value=5f1c0a7be20d9;icid-generated-at=198.51.100.7;orig-ioi=cn\r\n\
Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, INFO, OPTIONS\r\n\
Supported: 100rel, timer\r\n\
Session-Expires: 1800\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 156\r\n\r\n\
v=0\r\no=- 1795305600 1 IN IP4 198.51.100.8\r\ns=-\r\nc=IN IP4 198.51.100.8\r\nt=0 0\r\n\
m=audio 32456 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n";

pub(crate) fn run(args: &Args) -> Result<()> {
    let bytes = INVITE.as_bytes();
    let local = "203.0.113.10:5060".parse()?;
    let remote = "198.51.100.7:5060".parse()?;
    let flow = Flow { transport: Transport::Udp, local, remote, conn: None };
    let mut place = Message::blank();
    let mut again = || place.read_again(flow, black_box(bytes), Limits::new()).is_ok();
    ensure!(again(), "the INVITE is broken");
    let in_place = allocation_counter::measure(|| {
        black_box(again());
    });
    let owned = allocation_counter::measure(|| {
        black_box(Message::parse(bytes).ok());
    });
    let (in_place, owned) = (in_place.count_total, owned.count_total);
    println!("an INVITE of {} bytes; allocations: {in_place}, owned {owned}", bytes.len());
    println!("\n round  load  ns: lines  copy  in place   owned");
    let (mut all, mut ratios) = (Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        let lines = measure(args.messages, || memchr::memchr_iter(b'\n', black_box(bytes)).count());
        let mut copy = bytes.to_vec();
        let copied = measure(args.messages, || {
            copy.copy_from_slice(black_box(bytes));
            black_box(&mut copy).len()
        });
        let read = measure(args.messages, &mut again);
        let parsed = measure(args.messages, || Message::parse(black_box(bytes)).is_ok());
        println!("{round:>6} {:>5} {lines:>9.0} {copied:>5.0} {read:>9.0} {parsed:>7.0}", load());
        all.push(read);
        ratios.push(read / lines);
    }
    println!("== in place {} ns, {} times finding its lines", spread(&all, 0), spread(&ratios, 1));
    ensure!(in_place == 0, "reading in place allocates");
    Ok(())
}

/// Nanoseconds of the processor.
fn measure<T>(n: u32, mut it: impl FnMut() -> T) -> f64 {
    let begin = cpu_time();
    for _ in 0..n {
        black_box(it());
    }
    cpu_time().saturating_sub(begin).as_secs_f64() * 1e9 / f64::from(n)
}
