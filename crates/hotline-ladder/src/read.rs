//! A trace as people and programs read it: one step a message.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use hotline_base::{CallId, WallTime};
use hotline_sip::{Message, Transport, decode, visible};

use crate::{
    Audio, Role, Sight, Trace, mask,
    trace::{Bytes, Kept},
};

/// The ladder of one call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ladder {
    pub call: CallId,
    pub begun: WallTime,
    pub sides: Vec<Side>,
    pub steps: Vec<Step>,
    /// Messages in the middle that are not kept.
    pub n_left_out: u32,
    pub masked: bool,
}

/// One dialog.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Side {
    pub role: Role,
    /// SIP's own name of the dialog; what a carrier asks for.
    pub sip_call_id: String,
    /// Whom the first INVITE names; empty when it is not kept.
    pub from: String,
    pub to: String,
}

/// One message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// Since the first one.
    pub after: Duration,
    /// Index in [`Ladder::sides`].
    pub side: usize,
    pub sent: bool,
    pub transport: Transport,
    /// The peer's.
    pub address: SocketAddr,
    /// Of a request.
    pub method: Option<String>,
    /// Of a response.
    pub status: Option<u16>,
    /// `INVITE`, or `200 OK`.
    pub title: String,
    /// `1 INVITE`.
    pub cseq: String,
    pub n_bytes: usize,
    /// 0 for the first time, 1 for the first retransmission, and so on.
    pub repetition: u32,
    /// How often this message was sent again.
    pub n_repetitions: u32,
    pub audio: Option<Audio>,
    pub reason: Option<Reason>,
}

/// A `Reason` header (RFC 3326).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason {
    /// `Q.850` or `SIP`.
    pub protocol: String,
    pub cause: Option<u16>,
    pub text: String,
}

/// Texts of peers are cut to so many characters.
const TEXT_MAX: usize = 48;

/// Reads a trace for these eyes.
pub fn read(trace: &Trace, sight: Sight) -> Ladder {
    let eyes = Eyes {
        numbers: mask::numbers(trace),
        masked: match sight {
            Sight::Whole => false,
            Sight::Masked => true,
        },
    };
    let sides = trace.parties.iter().enumerate().map(|(at, party)| {
        let first = trace.kept.iter().filter(|it| usize::from(it.party) == at);
        let mut invites = first.map(|it| trace.bytes(it)).filter(|it| it.starts_with(b"INVITE "));
        let invite = invites.next().and_then(|it| Message::parse(it).ok());
        let user =
            |name| invite.as_ref().and_then(|it| it.name_addr(name)?.uri()).map(|it| it.user);
        Side {
            role: party.role.clone(),
            sip_call_id: eyes.text(&decode(&party.call_id)),
            from: eyes.text(&user("P-Asserted-Identity").or(user("From")).unwrap_or_default()),
            to: eyes.text(&user("To").unwrap_or_default()),
        }
    });
    Ladder {
        call: trace.call,
        begun: trace.begun.wall,
        sides: sides.collect(),
        steps: trace.kept.iter().filter_map(|it| step(trace, it, &eyes)).collect(),
        n_left_out: trace.n_left_out,
        masked: eyes.masked,
    }
}

struct Eyes {
    numbers: BTreeSet<Vec<u8>>,
    masked: bool,
}

impl Eyes {
    /// A peer's text: of one line, not too long, without what could steer a terminal or deceive who
    /// reads it.
    fn text(&self, it: &str) -> String {
        let short: String = it.trim().chars().take(TEXT_MAX).collect();
        visible(if self.masked { mask::text(&short, &self.numbers) } else { short })
    }
}

fn step(trace: &Trace, it: &Kept, eyes: &Eyes) -> Option<Step> {
    let bytes = trace.bytes(it);
    let message = Message::parse(bytes).ok()?;
    let flow = trace.flows.get(usize::from(it.flow))?;
    let text = |it: &[u8]| eyes.text(&decode(it));
    let method = message.method().map(text);
    let title = match (&method, message.status()) {
        (Some(method), _) => method.clone(),
        (None, status) => {
            let phrase = message.reason().map(text).unwrap_or_default();
            format!("{} {phrase}", status.unwrap_or(0)).trim_end().to_owned()
        }
    };
    let original = match it.bytes {
        Bytes::New(_) => it.seq,
        Bytes::Again(seq) => seq,
    };
    let again = |other: &&Kept| other.bytes == Bytes::Again(original);
    let earlier = trace.kept.iter().take_while(|other| other.seq < it.seq);
    let repetition = match it.bytes {
        Bytes::New(_) => 0,
        Bytes::Again(_) => earlier.filter(again).count().saturating_add(1),
    };
    let cseq = message.cseq();
    Some(Step {
        after: it.at.since(trace.begun.mono),
        side: usize::from(it.party),
        sent: it.sent,
        transport: flow.transport,
        address: flow.remote,
        method,
        status: message.status(),
        title,
        cseq: format!("{} {}", cseq.number, text(cseq.method)),
        n_bytes: bytes.len(),
        repetition: u32::try_from(repetition).unwrap_or(u32::MAX),
        n_repetitions: u32::try_from(trace.kept.iter().filter(again).count()).unwrap_or(u32::MAX),
        audio: message.sdp().and_then(|it| Audio::parse(it.as_bytes())),
        reason: message.header("Reason").map(|it| reason(it, eyes)),
    })
}

fn reason(value: &[u8], eyes: &Eyes) -> Reason {
    let text = decode(value);
    let mut parts = text.split(';').map(str::trim);
    let protocol = eyes.text(parts.next().unwrap_or_default());
    let mut it = Reason { protocol, cause: None, text: String::new() };
    for part in parts {
        match part.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            Some((name, value)) if name.eq_ignore_ascii_case("cause") => {
                it.cause = value.parse().ok();
            }
            Some((name, value)) if name.eq_ignore_ascii_case("text") => {
                it.text = eyes.text(value.trim_matches('"'));
            }
            Some(_) | None => (),
        }
    }
    it
}
