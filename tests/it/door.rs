//! New calls while media has said what it has room for, through the switchboard as it is configured.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::path::Path;

use hotline_base::{
    LegId, Machine as _, MonoTime, Now, WallTime,
    media::{Event, Order, VERSION},
};
use hotline_cdr::CallFact;
use hotline_config::load_text;
use hotline_sip::{Flow, Limits, Message, Transport};
use hotline_switchboard::{Count, Input, Output, Switchboard};

use crate::house;

struct Desk {
    switchboard: Switchboard,
    now: Now,
    n_calls: u32,
}

/// What became of a call.
#[derive(Debug, Default, Eq, PartialEq)]
struct Seen {
    /// Media was told to begin this leg.
    opened: Option<LegId>,
    /// Its record says why it was refused.
    recorded: Option<&'static str>,
    /// The Reason of the 503.
    refused: Option<String>,
    turned_away: bool,
}

impl Desk {
    fn new() -> Self {
        let trunk = "\n[[trunk]]\nid = \"gx\"\nsources = [\"10.8.0.4\"]\narea_code = \"0771\"\n";
        let text = house::read("config/hotline.toml") + trunk;
        let config = load_text("c.toml", Path::new(""), &text).unwrap().switchboard;
        let now = Now { mono: MonoTime(0), wall: WallTime(1_700_000_000_000) };
        let mut it = Self { switchboard: Switchboard::new(config, 1, now), now, n_calls: 0 };
        let (legs, recordings, began) = (vec![], vec![], now.wall);
        it.tell(Input::MediaUp);
        it.tell(Input::Media(Event::Inventory { version: VERSION, legs, recordings, began }));
        it
    }

    fn tell(&mut self, input: Input) -> Seen {
        let mut seen = Seen::default();
        self.switchboard.handle(input, self.now);
        while let Some(output) = self.switchboard.poll_output() {
            if let Output::Order(Order::Open { leg, .. }) = output {
                seen.opened = Some(leg);
            } else if let Output::Record(record) = output {
                seen.recorded = record.facts.iter().find_map(|it| {
                    let CallFact::Refused { why, .. } = &it.fact else { return None };
                    Some(why.as_str())
                });
            } else if let Output::Transmit { bytes, .. } = output {
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                let reason = text.lines().find(|it| it.starts_with("Reason:"));
                let reason = reason.unwrap_or_default().to_owned();
                seen.refused = text.starts_with("SIP/2.0 503").then_some(reason);
            } else {
                seen.turned_away |= matches!(output, Output::Count(Count::TurnedAway));
            }
        }
        seen
    }

    fn has_room(&mut self, legs: u32, ports: u32) {
        self.tell(Input::Media(Event::Room { legs, ports }));
    }

    fn call(&mut self) -> Seen {
        self.n_calls += 1;
        let n = self.n_calls;
        let sdp = "v=0\r\no=- 1 1 IN IP4 10.8.0.4\r\ns=-\r\nc=IN IP4 10.8.0.4\r\nt=0 0\r\n\
                   m=audio 32456 RTP/AVP 8\r\n";
        let text = format!(
            "INVITE sip:12345@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.8.0.4;branch=z9hG4bK{n}\r\n\
             Max-Forwards: 66\r\nFrom: <sip:13800138000@10.8.0.4>;tag=t{n}\r\n\
             To: <sip:12345@10.0.0.1>\r\nCall-ID: c{n}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:10.8.0.4>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        let (local, remote) = ("10.0.0.1:5060", "10.8.0.4:5060");
        let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
        let flow = Flow { transport: Transport::Udp, local, remote, conn: None };
        let mut message = Message::blank();
        message.read_again(flow, text.as_bytes(), Limits::new()).unwrap();
        self.tell(Input::Sip { flow, message, waited_us: 0 })
    }

    /// Messages waited so long for a tenth of a second.
    fn wait(&mut self, millis: u64) {
        self.now.mono.0 += 100_000_000;
        self.tell(Input::Waited { least_us: millis * 1_000 });
    }
}

fn refused(why: &'static str, cause: u8) -> Seen {
    let refused = Some(format!("Reason: Q.850;cause={cause}"));
    Seen { recorded: Some(why), refused, ..Seen::default() }
}

#[test]
fn media_is_not_asked_for_a_leg_that_it_has_no_room_for() {
    let mut desk = Desk::new();
    assert!(desk.call().opened.is_some(), "it has not said");
    desk.has_room(2, 9);
    let leg = desk.call().opened.unwrap();
    assert_eq!(desk.call(), refused("media_busy", 42), "it is still at two legs");
    // The room is told without the legs that it was asked for.
    desk.has_room(3, 2);
    assert_eq!(desk.call(), refused("no_port", 47));
    desk.tell(Input::Media(Event::Opened { leg, sdp: String::new() }));
    assert_eq!(desk.call(), refused("no_port", 47));
    desk.has_room(2, 2);
    assert!(desk.call().opened.is_some());
    // The next process has not said either.
    desk.tell(Input::MediaDown);
    desk.tell(Input::MediaUp);
    let (legs, recordings, began) = (vec![], vec![], desk.now.wall);
    desk.tell(Input::Media(Event::Inventory { version: VERSION, legs, recordings, began }));
    assert!(desk.call().opened.is_some());
}

#[test]
fn under_overload_whom_media_has_no_room_for_is_told_before_the_disk_is_asked() {
    let mut desk = Desk::new();
    desk.has_room(0, 9);
    assert_eq!(desk.call(), refused("media_busy", 42));
    for millis in [50, 60, 70, 80] {
        desk.wait(millis);
    }
    let seen = desk.call();
    assert!(seen.turned_away && seen.refused.is_some(), "{seen:?}");
    assert_eq!((seen.recorded, seen.opened), (None, None));
    desk.has_room(1, 1);
    assert!(desk.call().opened.is_some(), "those who are always taken");
}
