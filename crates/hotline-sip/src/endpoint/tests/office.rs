//! A registrar alone, and phones made of text around it.

use super::*;
use crate::{Binding, Challenges, Credentials};

/// The endpoint of the engine, and what it said.
pub(super) struct Office {
    pub(super) end: Endpoint,
    pub(super) now: Now,
    pub(super) events: Vec<Event>,
    pub(super) sent: Vec<(Flow, Message)>,
    n_branch: u32,
}

/// A phone: where it is, and what it calls itself.
#[derive(Clone)]
pub(super) struct Phone {
    pub(super) flow: Flow,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) call_id: String,
    pub(super) cseq: u32,
    pub(super) challenges: Challenges,
}

/// The engine's side of a way to a phone.
pub(super) fn way(remote: &str, conn: Option<u64>) -> Flow {
    let transport = if conn.is_some() { Transport::Tcp } else { Transport::Udp };
    let local = "10.0.0.2:5060".parse().unwrap();
    Flow { transport, local, remote: remote.parse().unwrap(), conn: conn.map(ConnId) }
}

impl Phone {
    pub(super) fn at(remote: &str) -> Self {
        Self {
            flow: way(remote, None),
            user: "1001".to_owned(),
            password: "secret".to_owned(),
            call_id: format!("c-{remote}"),
            cseq: 0,
            challenges: Challenges::Sha256AndMd5,
        }
    }

    pub(super) fn over(self, conn: u64) -> Self {
        Self { flow: way(&self.flow.remote.to_string(), Some(conn)), ..self }
    }

    /// The lines of a Contact of its own, with parameters.
    pub(super) fn contact(&self, params: &str) -> String {
        format!("Contact: <sip:{}@{}>{params}\r\n", self.user, self.flow.remote)
    }
}

impl Office {
    pub(super) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        let wall = WallTime(1_800_000_000_000);
        let now = Now { mono: MonoTime(0), wall };
        let end = Endpoint::new(config, 7, 1);
        Self { end, now, events: vec![], sent: vec![], n_branch: 0 }
    }

    pub(super) fn act<T>(&mut self, act: impl FnOnce(&mut Endpoint, Now) -> T) -> T {
        let it = act(&mut self.end, self.now);
        while let Some(output) = self.end.poll_output() {
            match output {
                Output::Transmit { flow, bytes } => {
                    self.sent.push((flow, Message::parse(&bytes).unwrap()));
                }
                Output::Event(event) => self.events.push(event),
            }
        }
        it
    }

    /// Hands a message in; what goes back to that flow at once.
    pub(super) fn hand(&mut self, flow: Flow, text: &str) -> Option<Message> {
        let message = Message::parse(text.as_bytes()).unwrap_or_else(|it| panic!("{it:?} {text}"));
        let before = self.sent.len();
        self.act(|it, now| it.handle_message(flow, message, Admit::Stranger, now));
        self.sent[before..].iter().find(|it| it.0 == flow).map(|it| it.1.clone())
    }

    pub(super) fn branch(&mut self) -> u32 {
        self.n_branch += 1;
        self.n_branch
    }

    /// The text of a REGISTER.
    pub(super) fn request(&mut self, phone: &mut Phone, lines: &str) -> String {
        phone.cseq += 1;
        let (branch, Phone { user, call_id, cseq, flow, .. }) = (self.branch(), &*phone);
        let (from, name) = (flow.remote, flow.transport.name());
        format!(
            "REGISTER sip:hotline SIP/2.0\r\nVia: SIP/2.0/{name} {from};rport;branch=z9hG4bK{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@hotline>;tag=f{branch}\r\nTo: <sip:{user}@hotline>\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} REGISTER\r\nSupported: path, outbound, gruu\r\n\
             User-Agent: a telephone that says much of itself, as most of them do\r\n{lines}\r\n"
        )
    }

    /// Registers with these lines and answers the challenge; the last response.
    pub(super) fn register(&mut self, phone: &mut Phone, lines: &str) -> Message {
        let text = self.request(phone, lines);
        let asked = self.hand(phone.flow, &text).expect("no challenge");
        let told = Self::answer(phone, &text, &asked);
        let text = self.request(phone, &format!("Authorization: {told}\r\n{lines}"));
        self.hand(phone.flow, &text).expect("no answer")
    }

    pub(super) fn answer(phone: &Phone, text: &str, asked: &Message) -> String {
        let it = Credentials {
            user: phone.user.clone(),
            secret: crate::Secret::Password(phone.password.clone()),
            realm: None,
            hops: vec![phone.flow.remote.ip()],
            challenges: phone.challenges,
        };
        let request = Message::parse(text.as_bytes()).unwrap();
        it.answer(phone.flow, asked, &request, "c").expect("not answered").1
    }

    /// Lets timers fire until then.
    pub(super) fn millis(&mut self, n: u64) {
        let end = self.now + Duration::from_millis(n);
        while let Some((at, _)) = self.end.poll_timeout().filter(|it| it.0 <= end.mono) {
            let wait = at.since(self.now.mono);
            self.now = self.now + wait;
            self.act(Endpoint::handle_timeout);
        }
        self.now = end;
    }

    pub(super) fn contacts(&self) -> Vec<Binding> {
        self.end.contacts_of(&Extension::new("1001"), self.now)
    }

    /// The last request of this method that was sent, and by which way.
    pub(super) fn last(&self, method: &str) -> (Flow, Message) {
        let is = |it: &&(Flow, Message)| it.1.method() == Some(method.as_bytes());
        self.sent.iter().rfind(is).cloned().unwrap_or_else(|| panic!("no {method}"))
    }

    /// The Contact URIs, the best first.
    pub(super) fn uris(&self) -> Vec<String> {
        self.contacts().into_iter().map(|it| it.contact).collect()
    }

    pub(super) fn is_reachable(&self) -> bool {
        self.end.is_reachable(&Extension::new("1001"), self.now)
    }

    pub(super) fn said(&self, is: fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|it| is(it)).count()
    }
}
