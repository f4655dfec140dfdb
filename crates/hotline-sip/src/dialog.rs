//! A dialog's state and the requests within it (RFC 3261 §12).
//!
//! **Where requests within a dialog are sent:** to the flow the dialog lives on (the address its
//! first message came from, or went to), not to the address in Contact or Route. Phones behind
//! NAT and carriers' session border controllers write addresses there that cannot be reached, and
//! the element at the end of the flow is by construction the first of the route set or the peer.
//! Only when the flow was a connection that is gone, the next hop is read from the route set or
//! the remote target. Route headers are written in either case.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    Credentials, Flow, Message, NameAddr, Uri,
    build::MessageBuilder,
    text::{push_address, split_bare},
};

#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Dialog {
    // What is ours is shared by all dialogs of one INVITE.
    pub(crate) call_id: Arc<[u8]>,
    pub(crate) local_tag: Arc<[u8]>,
    pub(crate) remote_tag: Vec<u8>,
    /// From of our requests, with our tag.
    local: Arc<[u8]>,
    /// To of our requests, with the peer's tag.
    remote: Vec<u8>,
    /// Contact URI of the peer.
    pub(crate) target: Vec<u8>,
    /// Route values, nearest first.
    routes: Vec<Vec<u8>>,
    pub(crate) local_cseq: u32,
    pub(crate) remote_cseq: Option<u32>,
    pub(crate) flow: Flow,
    /// Our Contact.
    pub(crate) contact: Arc<str>,
    /// Whether we sent the first INVITE, and so own the Call-ID (RFC 3261 §14.1).
    pub(crate) is_caller: bool,
    /// Who we are, should the next hop ask. Secrets are not written to the disk.
    #[borsh(skip)]
    pub(crate) credentials: Option<Box<Credentials>>,
}

impl Dialog {
    /// The dialog an INVITE of a peer makes (RFC 3261 §12.1.1).
    pub(crate) fn incoming(invite: &Message, flow: Flow, tag: &str, contact: String) -> Self {
        let to = invite.header("To").unwrap_or_default();
        let local = [to, b";tag=", tag.as_bytes()].concat().into();
        let from = || invite.name_addr("From").map(|it| it.uri).unwrap_or_default();
        Self {
            call_id: invite.call_id().into(),
            local_tag: tag.as_bytes().into(),
            remote_tag: invite.from_tag().to_vec(),
            local,
            remote: invite.header("From").unwrap_or_default().to_vec(),
            target: contact_of(invite).unwrap_or_else(from).to_vec(),
            routes: invite.values("Record-Route").map(<[u8]>::to_vec).collect(),
            local_cseq: 0,
            remote_cseq: Some(invite.cseq().number),
            flow,
            contact: contact.into(),
            is_caller: false,
            credentials: None,
        }
    }

    /// What our INVITE knows of the dialog before it is answered.
    pub(crate) fn outgoing(invite: &Message, flow: Flow, contact: String) -> Self {
        Self {
            call_id: invite.call_id().into(),
            local_tag: invite.from_tag().into(),
            remote_tag: Vec::new(),
            local: invite.header("From").unwrap_or_default().into(),
            remote: invite.header("To").unwrap_or_default().to_vec(),
            target: invite.raw_uri().to_vec(),
            routes: Vec::new(),
            local_cseq: invite.cseq().number,
            remote_cseq: None,
            flow,
            contact: contact.into(),
            is_caller: true,
            credentials: None,
        }
    }

    /// What a response to our first INVITE makes of it (RFC 3261 §12.1.2): a 2xx also of a dialog
    /// that a provisional response began (§13.2.2.4).
    pub(crate) fn confirm(&mut self, response: &Message) {
        self.remote_tag = response.to_tag().to_vec();
        self.remote = response.header("To").unwrap_or_default().to_vec();
        self.routes = response.values("Record-Route").map(<[u8]>::to_vec).collect();
        self.routes.reverse();
        self.refresh(response);
    }

    /// What tells it from others: Call-ID, our tag and the peer's (RFC 3261 §12).
    pub(crate) fn key(&self) -> [&[u8]; 3] {
        [&self.call_id, &self.local_tag, &self.remote_tag]
    }

    /// Takes over a new Contact of the peer (RFC 3261 §12.2, target refresh).
    pub(crate) fn refresh(&mut self, message: &Message) {
        if let Some(contact) = contact_of(message) {
            self.target = contact.to_vec();
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
                let last = [b"<", &self.target[..], b">"].concat();
                (uri, self.routes.get(1..).unwrap_or_default(), Some(last))
            }
            None => (&self.target[..], &self.routes[..], None),
        };
        MessageBuilder::request(method, uri)
            .header("Via", via)
            .header("Max-Forwards", "70")
            .each("Route", routes)
            .each("Route", last)
            .header("From", &self.local)
            .header("To", &self.remote)
            .header("Call-ID", &self.call_id)
            .cseq(cseq, method)
    }

    /// The connection of the flow is gone: the next request opens one to the next hop.
    pub(crate) fn reroute(&mut self) {
        self.flow.conn = None;
        let route = self.routes.first().and_then(|it| NameAddr::parse(it)).map(|it| it.uri);
        let hop = Uri::parse(route.unwrap_or(&self.target));
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

/// Our Via on a flow, `host` as in [`contact`], which asks for the way back to be seen (RFC 3581).
pub(crate) fn via(flow: Flow, host: SocketAddr, branch: &str) -> String {
    let mut out = String::with_capacity(96);
    for it in ["SIP/2.0/", flow.transport.name(), " "] {
        out.push_str(it);
    }
    push_address(&mut out, host);
    out.push_str(";rport;branch=z9hG4bK");
    out.push_str(branch);
    out
}
