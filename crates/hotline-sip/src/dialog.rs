//! A dialog's state and the requests within it (RFC 3261 §12).
//!
//! **Where requests within a dialog are sent:** to the flow the dialog lives on (the address its
//! first message came from, or went to), not to the address in Contact or Route. Phones behind
//! NAT and carriers' session border controllers write addresses there that cannot be reached, and
//! the element at the end of the flow is by construction the first of the route set or the peer.
//! Only when the flow was a connection that is gone, the next hop is read from the route set or
//! the remote target. Route headers are written in either case.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    Credentials, Flow, Message, NameAddr, Uri,
    build::MessageBuilder,
    row::Row,
    text::{push_address, split_bare},
};

#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Dialog {
    /// Call-ID, our tag, From of our requests with it, and our Contact: the same in all dialogs of
    /// one INVITE.
    ours: Row<4>,
    /// The peer's tag, To of our requests with it, and the URI of the peer's Contact.
    peers: Row<3>,
    /// Route values, nearest first.
    routes: Vec<Vec<u8>>,
    pub(crate) local_cseq: u32,
    pub(crate) remote_cseq: Option<u32>,
    pub(crate) flow: Flow,
    /// Whether we sent the first INVITE, and so own the Call-ID (RFC 3261 §14.1).
    pub(crate) is_caller: bool,
    /// Who we are, should the next hop ask. Secrets are not written to the disk.
    #[borsh(skip)]
    pub(crate) credentials: Option<Box<Credentials>>,
}

impl Dialog {
    /// The dialog an INVITE of a peer makes (RFC 3261 §12.1.1).
    pub(crate) fn incoming(invite: &Message, flow: Flow, tag: &str, contact: &str) -> Self {
        let header = |name| invite.header(name).unwrap_or_default();
        let (to, from, tag) = (header("To"), header("From"), tag.as_bytes());
        let sender = || invite.name_addr("From").map(|it| it.uri).unwrap_or_default();
        let target = contact_of(invite).unwrap_or_else(sender);
        Self {
            ours: Row::new([
                &[invite.call_id()],
                &[tag],
                &[to, b";tag=", tag],
                &[contact.as_bytes()],
            ]),
            peers: Row::new([&[invite.from_tag()], &[from], &[target]]),
            routes: invite.values("Record-Route").map(<[u8]>::to_vec).collect(),
            local_cseq: 0,
            remote_cseq: Some(invite.cseq().number),
            flow,
            is_caller: false,
            credentials: None,
        }
    }

    /// What our INVITE knows of the dialog before it is answered.
    pub(crate) fn outgoing(invite: &Message, flow: Flow, contact: &str) -> Self {
        let [from, to] = ["From", "To"].map(|it| invite.header(it).unwrap_or_default());
        Self {
            ours: Row::new([
                &[invite.call_id()],
                &[invite.from_tag()],
                &[from],
                &[contact.as_bytes()],
            ]),
            peers: Row::new([&[], &[to], &[invite.raw_uri()]]),
            routes: Vec::new(),
            local_cseq: invite.cseq().number,
            remote_cseq: None,
            flow,
            is_caller: true,
            credentials: None,
        }
    }

    /// What a response to our first INVITE makes of it (RFC 3261 §12.1.2): a 2xx also of a dialog
    /// that a provisional response began (§13.2.2.4).
    pub(crate) fn confirm(&mut self, response: &Message) {
        let to = response.header("To").unwrap_or_default();
        let target = contact_of(response).unwrap_or(self.target());
        self.peers = Row::new([&[response.to_tag()], &[to], &[target]]);
        self.routes = response.values("Record-Route").map(<[u8]>::to_vec).collect();
        self.routes.reverse();
    }

    /// What tells it from others: Call-ID, our tag and the peer's (RFC 3261 §12).
    pub(crate) fn key(&self) -> [&[u8]; 3] {
        [self.call_id(), self.local_tag(), self.remote_tag()]
    }

    pub(crate) fn call_id(&self) -> &[u8] {
        self.ours.get(0)
    }

    pub(crate) fn local_tag(&self) -> &[u8] {
        self.ours.get(1)
    }

    /// Our Contact.
    pub(crate) fn contact(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.ours.get(3))
    }

    pub(crate) fn remote_tag(&self) -> &[u8] {
        self.peers.get(0)
    }

    /// URI of the peer's Contact.
    pub(crate) fn target(&self) -> &[u8] {
        self.peers.get(2)
    }

    /// Takes over a new Contact of the peer (RFC 3261 §12.2, target refresh).
    pub(crate) fn refresh(&mut self, message: &Message) {
        if let Some(it) = contact_of(message).filter(|it| *it != self.target()) {
            self.peers = Row::new([&[self.remote_tag()], &[self.peers.get(1)], &[it]]);
        }
    }

    pub(crate) const fn next_cseq(&mut self) -> u32 {
        self.local_cseq = self.local_cseq.saturating_add(1);
        self.local_cseq
    }

    /// A request within the dialog, up to its own headers (RFC 3261 §12.2.1.1). `via` is complete.
    pub(crate) fn request(&self, method: &str, cseq: u32, via: &str) -> MessageBuilder {
        let strict = self.routes.first().and_then(|it| {
            let uri = NameAddr::parse(it)?.uri;
            Uri::parse(uri)?.param("lr").is_none().then_some(uri)
        });
        let (uri, routes, last) = match strict {
            // A strict router wants itself as the request URI and the target as the last route.
            Some(uri) => {
                let last = [b"<", self.target(), b">"].concat();
                (uri, self.routes.get(1..).unwrap_or_default(), Some(last))
            }
            None => (self.target(), &self.routes[..], None),
        };
        MessageBuilder::request(method, uri)
            .header("Via", via)
            .header("Max-Forwards", "70")
            .each("Route", routes)
            .each("Route", last)
            .header("From", self.ours.get(2))
            .header("To", self.peers.get(1))
            .header("Call-ID", self.call_id())
            .cseq(cseq, method)
    }

    /// The connection of the flow is gone: the next request opens one to the next hop.
    pub(crate) fn reroute(&mut self) {
        self.flow.conn = None;
        let route = self.routes.first().and_then(|it| NameAddr::parse(it)).map(|it| it.uri);
        let hop = Uri::parse(route.unwrap_or(self.target()));
        let ip = hop.as_ref().and_then(|it| it.host.parse::<IpAddr>().ok());
        if let (Some(hop), Some(ip)) = (hop, ip) {
            self.flow.remote =
                SocketAddr::new(ip, hop.port.unwrap_or(self.flow.transport.default_port()));
        }
    }
}

/// A dialog that a provisional response to our INVITE made: one of the telephones that ring.
#[derive(Clone, Debug)]
pub(crate) struct Early {
    pub(crate) dialog: Dialog,
    /// `RSeq` of the last reliable response (RFC 3262 §4).
    pub(crate) rseq: Option<u32>,
    /// The last description it gave.
    pub(crate) sdp: Option<String>,
}

/// The URI of the first Contact.
pub(crate) fn contact_of(message: &Message) -> Option<&[u8]> {
    let value = message.header("Contact").and_then(|it| split_bare(it, b',').next())?;
    let uri = NameAddr::parse(value)?.uri;
    Uri::is_one(uri).then_some(uri)
}

/// Our Contact on a flow, `host` being [`Config::sent_by`](crate::Config).
pub(crate) fn contact(user: &str, flow: Flow, host: SocketAddr) -> String {
    let mut out = String::with_capacity(user.len().saturating_add(64));
    out.push_str("<sip:");
    let before = out.len();
    out.extend(user.chars().filter(|it| it.is_ascii_alphanumeric() || "+-_.".contains(*it)));
    if out.len() > before {
        out.push('@');
    }
    push_address(&mut out, host);
    out.push_str(flow.transport.uri_parameter());
    out.push('>');
    out
}

/// Our Via on a flow up to its branch, `host` as in [`contact`], which asks for the way back to be
/// seen (RFC 3581).
pub(crate) fn via(flow: Flow, host: SocketAddr) -> String {
    let mut out = String::with_capacity(96);
    for it in ["SIP/2.0/", flow.transport.name(), " "] {
        out.push_str(it);
    }
    push_address(&mut out, host);
    out.push_str(";rport;branch=z9hG4bK");
    out
}
