//! What the end of a connection costs among many calls that came by others.

use std::{net::SocketAddr, time::Duration};

use hotline_base::{ConnId, MonoTime, Now, WallTime};
use hotline_sip::{Admit, Config, Endpoint, Event, Flow, Message, Output, Transport};

use crate::cpu_time;

const N_GONE: u32 = 500;

fn flow(conn: u64) -> Flow {
    let at = |host, port| SocketAddr::from(([10, 0, 0, host], port));
    Flow {
        transport: Transport::Tcp,
        local: at(9, 5060),
        remote: at(1, 5060),
        conn: Some(ConnId(conn)),
    }
}

/// An endpoint with so many answered calls, each by a connection of its own, and their
/// transactions.
fn with_calls(n_calls: u64, now: Now) -> Endpoint {
    let mut it = Endpoint::new(Config::new("hotline", [10, 0, 0, 9].into(), [3; 32]), 1, 1);
    for n in 0..n_calls {
        let text = format!(
            "INVITE sip:12345@h SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bK{n}\r\n\
             From: <sip:a@h>;tag={n}\r\nTo: <sip:12345@h>\r\nCall-ID: {n}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:10.0.0.1>\r\nContent-Length: 0\r\n\r\n"
        );
        let message = Message::parse(text.as_bytes()).unwrap();
        it.handle_message(flow(n), message, Admit::Trusted, now);
        while let Some(output) = it.poll_output() {
            if let Output::Event(Event::Invited(invited)) = output {
                it.answer(invited.leg, "answer".to_owned(), now);
            }
        }
    }
    it
}

/// Processor time of the end of each of the first connections.
fn work(n_calls: u64) -> Duration {
    let now = Now { mono: MonoTime(0), wall: WallTime(1_800_000_000_000) };
    let mut it = with_calls(n_calls, now);
    assert_eq!((it.n_legs() as u64, it.n_transactions() as u64), (n_calls, n_calls));
    let before = cpu_time();
    for conn in 0..N_GONE {
        it.handle_connection_gone(ConnId(conn.into()), now);
    }
    cpu_time().saturating_sub(before) / N_GONE
}

/// Forty times the calls, and the end of one connection is no dearer by more than the depth of maps
/// and caches explain: whoever looked at every leg or transaction would take forty times as long.
#[test]
fn the_end_of_a_connection_costs_the_same_among_few_calls_and_among_many() {
    let few = work(500).max(work(500));
    let many = work(20_000);
    assert!(many < few * 10, "{few:?} among 500, {many:?} among 20,000");
}
