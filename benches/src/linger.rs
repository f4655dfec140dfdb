//! What an endpoint still holds of calls that are over: their transactions, for 32 s.

use std::net::SocketAddr;

use hotline_base::{LegId, MonoTime, Now, WallTime};
use hotline_sip::{Admit, Config, Dial, Endpoint, Event, Flow, HangUp, Message, Output, Transport};

const N_CALLS: i64 = 200;

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
                   m=audio 20000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

const NOW: Now = Now { mono: MonoTime(0), wall: WallTime(1_800_000_000_000) };

struct Pair {
    caller: Endpoint,
    called: Endpoint,
}

impl Pair {
    fn new() -> Self {
        let endpoint = |host| {
            Endpoint::new(Config::new("hotline", [10, 0, 0, host].into(), [3; 32]), host.into(), 1)
        };
        Self { caller: endpoint(1), called: endpoint(2) }
    }

    /// One call that rings, is answered, and is hung up by who called.
    fn call(&mut self) {
        let leg = self.caller.new_leg();
        let at = |host| SocketAddr::from(([10, 0, 0, host], 5060));
        let flow = Flow { transport: Transport::Udp, local: at(1), remote: at(2), conn: None };
        let dial = Dial {
            target: "sip:12345@10.0.0.2".to_owned(),
            flow,
            from_display: String::new(),
            from_user: "13800138000".to_owned(),
            sdp: SDP.to_owned(),
            headers: Vec::new(),
            ring_limit: None,
            silence_limit: None,
            from_host: None,
            credentials: None,
        };
        self.caller.dial(leg, dial, NOW);
        self.settle();
        assert!(self.caller.peer_of(leg).is_some(), "it is answered");
        self.caller.hang_up(leg, HangUp { status: 480, reason: None }, NOW);
        self.settle();
    }

    fn settle(&mut self) {
        let mut moved = true;
        while std::mem::take(&mut moved) {
            while let Some(output) = self.caller.poll_output() {
                moved = true;
                carry(&mut self.called, output);
            }
            while let Some(output) = self.called.poll_output() {
                moved = true;
                if let Output::Event(Event::Invited(it)) = &output {
                    answer(&mut self.called, it.leg);
                }
                carry(&mut self.caller, output);
            }
        }
    }
}

fn answer(called: &mut Endpoint, leg: LegId) {
    called.ring(leg, None, NOW);
    called.answer(leg, SDP.to_owned(), NOW);
}

fn carry(to: &mut Endpoint, output: Output) {
    let Output::Transmit { flow, bytes } = output else { return };
    let flow = Flow { local: flow.remote, remote: flow.local, ..flow };
    to.handle_message(flow, Message::parse(&bytes).unwrap(), Admit::Trusted, NOW);
}

fn held(it: Endpoint) -> i64 {
    -allocation_counter::measure(|| drop(it)).bytes_current / N_CALLS
}

/// At a thousand calls a second 32,000 linger: with whole buffers and everything in copies, they
/// were most of what a busy engine has in memory.
#[test]
fn little_lingers_of_a_call_that_is_over() {
    let mut it = Pair::new();
    (0..N_CALLS).for_each(|_| it.call());
    let n_transactions = it.caller.n_transactions() + it.called.n_transactions();
    assert_eq!((n_transactions, it.caller.n_legs() + it.called.n_legs()), (800, 0));
    let (dialled, answered) = (held(it.caller), held(it.called));
    assert!(dialled < 2_500 && answered < 1_600, "{dialled} and {answered} bytes");
}
