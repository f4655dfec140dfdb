//! Everybody at the other end: remembers what was sent there, and says plausible things.

use hotline_sip::{Flow, Message, MessageBuilder, Method};

use super::{SDP, flow};

#[derive(Debug, Default)]
pub(super) struct Peer {
    /// Our engine's requests, the newest last.
    asked: Vec<(Flow, Message)>,
    calls: Vec<Call>,
    n_branches: u64,
}

/// A dialog as the peer sees it.
#[derive(Clone, Debug)]
struct Call {
    flow: Flow,
    id: String,
    /// Our engine's and the peer's, as From and To have them.
    engine: String,
    peer: String,
    cseq: u32,
    invite: u32,
    branch: String,
    rseq: String,
}

/// More would only make the list longer.
const KEPT: usize = 16;

const METHODS: [&str; 12] = [
    "ACK",
    "BYE",
    "CANCEL",
    "INVITE",
    "PRACK",
    "UPDATE",
    "INFO",
    "OPTIONS",
    "REFER",
    "NOTIFY",
    "SUBSCRIBE",
    "FROB",
];

const STATUSES: [u16; 16] =
    [100, 180, 183, 200, 202, 302, 401, 404, 407, 408, 422, 481, 486, 487, 491, 503];

impl Peer {
    /// Whether the engine has sent anything there, so that it is no stranger's state that goes.
    pub(super) fn is_known(&self, flow: Flow) -> bool {
        self.asked.iter().any(|it| it.0 == flow) || self.calls.iter().any(|it| it.flow == flow)
    }

    pub(super) fn hear(&mut self, flow: Flow, it: Message) {
        if it.status().is_none() {
            if it.known_method() == Method::Invite && it.to_tag().is_empty() {
                self.calls.push(Call {
                    flow,
                    id: text(it.call_id()),
                    engine: text(it.header("From").unwrap_or_default()),
                    peer: text(it.header("To").unwrap_or_default()) + ";tag=p",
                    cseq: 100,
                    invite: it.cseq().number,
                    branch: String::new(),
                    rseq: String::new(),
                });
            }
            self.asked.push((flow, it));
            if self.asked.len() > KEPT {
                self.asked.remove(0);
            }
        } else if let Some(call) = self.calls.iter_mut().find(|call| call.id == text(it.call_id()))
        {
            // A response to the peer's request brings the engine's tag.
            if !it.to_tag().is_empty() && !call.engine.contains(";tag=") {
                call.engine = text(it.header("To").unwrap_or_default());
            }
            call.rseq = it.header("RSeq").map(text).unwrap_or_default();
        }
        if self.calls.len() > KEPT {
            self.calls.remove(0);
        }
    }

    pub(super) fn invite(&mut self, a: u16, b: u16) -> Vec<u8> {
        let branch = self.branch();
        let call = Call {
            flow: flow(a),
            id: format!("call-{branch}"),
            engine: "<sip:12345@192.0.2.99>".to_owned(),
            peer: format!("\"张三\" <sip:13800138000@192.0.2.1>;tag=t{branch}"),
            cseq: 1,
            invite: 1,
            branch: branch.clone(),
            rseq: String::new(),
        };
        let it = head(&call, "INVITE", &branch, 1);
        self.calls.push(call);
        finish(it, b)
    }

    /// A request number `b` in call `a`.
    pub(super) fn ask(&mut self, a: u16, b: u16) -> Option<(Flow, Vec<u8>)> {
        let fresh = self.branch();
        let at = usize::from(a) % self.calls.len().max(1);
        let at = self.calls.len().checked_sub(at + 1)?;
        let call = &mut self.calls[at];
        let method = METHODS[usize::from(b) % METHODS.len()];
        let of_invite = matches!(method, "ACK" | "CANCEL");
        if !of_invite && b & 0x40 == 0 {
            call.cseq += 1;
        }
        let (branch, number) =
            if of_invite { (call.branch.clone(), call.invite) } else { (fresh, call.cseq) };
        let mut it = head(call, method, &branch, number);
        if method == "INVITE" {
            (call.invite, call.branch) = (number, branch);
        }
        if method == "PRACK" {
            it = it.header("RAck", format!("{} {} INVITE", call.rseq, call.invite));
        }
        if method == "INFO" {
            return Some((call.flow, it.end_with("application/dtmf-relay", b"Signal=5\r\n")));
        }
        if method == "REFER" {
            it = it.header("Refer-To", "<sip:00861@evil>");
        }
        Some((call.flow, finish(it, b)))
    }

    /// A response number `b` to request `a` of the engine.
    pub(super) fn say(&mut self, a: u16, b: u16) -> Option<(Flow, Vec<u8>)> {
        let at = usize::from(a) % self.asked.len().max(1);
        let (flow, request) = self.asked.iter().rev().nth(at)?;
        let status = STATUSES[usize::from(b) % STATUSES.len()];
        let value = |name: &str| request.header(name).unwrap_or_default().to_vec();
        let mut to = value("To");
        if request.to_tag().is_empty() && status > 100 {
            to.extend_from_slice(if b & 0x40 == 0 { b";tag=p" } else { b";tag=q" });
        }
        let it = MessageBuilder::response(status, "Said")
            .each("Via", request.headers("Via"))
            .header("From", value("From"))
            .header("To", to)
            .header("Call-ID", value("Call-ID"))
            .header("CSeq", value("CSeq"))
            .header("Contact", "<sip:p@192.0.2.1>");
        let it = match status {
            180 | 183 if b & 0x20 != 0 => it.header("Require", "100rel").header("RSeq", "7"),
            401 => it.header("WWW-Authenticate", ASKED),
            407 => it.header("Proxy-Authenticate", ASKED),
            422 => it.header("Min-SE", "120"),
            200 if b & 0x20 != 0 => it.header("Session-Expires", "90;refresher=uac"),
            _ => it,
        };
        Some((*flow, finish(it, b)))
    }

    pub(super) fn register(&mut self, b: u16) -> Vec<u8> {
        let branch = self.branch();
        MessageBuilder::request("REGISTER", b"sip:hotline")
            .header("Via", format!("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{branch}"))
            .header("From", "<sip:1001@hotline>;tag=r")
            .header("To", "<sip:1001@hotline>")
            .header("Call-ID", format!("r{b}"))
            .header("CSeq", format!("{branch} REGISTER"))
            .header("Contact", "<sip:1001@192.0.2.1>;expires=60")
            .end()
    }

    fn branch(&mut self) -> String {
        self.n_branches += 1;
        self.n_branches.to_string()
    }
}

const ASKED: &str = "Digest realm=\"hotline\",nonce=\"n\",algorithm=SHA-256,qop=\"auth\"";

fn head(call: &Call, method: &str, branch: &str, number: u32) -> MessageBuilder {
    let via = call.flow.transport.name();
    MessageBuilder::request(method, b"sip:12345@192.0.2.99")
        .header("Via", format!("SIP/2.0/{via} 192.0.2.1:5060;rport;branch=z9hG4bK{branch}"))
        .header("Max-Forwards", "70")
        .header("From", &call.peer)
        .header("To", &call.engine)
        .header("Call-ID", &call.id)
        .header("CSeq", format!("{number} {method}"))
        .header("Contact", "<sip:p@192.0.2.1>")
}

/// What else a message says: bits 0 to 5 of `b`, and what nobody in his senses says: bits 8 to 12.
fn finish(mut it: MessageBuilder, b: u16) -> Vec<u8> {
    if b & 0x100 != 0 {
        it =
            it.header("Session-Expires", "4294967295;refresher=uac").header("Min-SE", "4294967295");
    }
    if b & 0x200 != 0 {
        it = it.each("Record-Route", vec!["<sip:192.0.2.1;lr>,<sip:h>"; 50]);
    }
    if b & 0x400 != 0 {
        it = it
            .header("Replaces", "a;to-tag=b;from-tag=c")
            .header("Refer-To", "<tel:?Replaces=%00>");
    }
    if b & 0x800 != 0 {
        it = it.header("Contact", "<sip:@[::]:0;transport=\"\">;q=9").header("Path", "<sip:h;lr>");
    }
    if b & 0x1000 != 0 {
        it = it.header("Session-Expires", "0").header("Content-Type", "multipart/mixed;boundary=");
    }
    if b & 2 != 0 {
        it = it.header("Supported", "100rel, timer, replaces");
    }
    if b & 4 != 0 {
        it = it.header("Session-Expires", "90;refresher=uas").header("Min-SE", "90");
    }
    if b & 8 != 0 {
        it = it.header("Allow", "INVITE, ACK, BYE, CANCEL, UPDATE, PRACK");
    }
    if b & 16 != 0 {
        it = it.header("Require", "100rel");
    }
    it.end_with_sdp((b & 1 == 0).then_some(SDP))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
