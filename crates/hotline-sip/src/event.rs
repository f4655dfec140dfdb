//! What the endpoint takes and what it says.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::{ConnId, Extension, Key, LegId, Pii, WallTime};

use crate::{Challenges, Credentials, Flow, Method, PeerMisbehaved, Secret, text::quote};

/// How the endpoint speaks, whom it lets register, and its timers.
#[derive(Clone)]
pub struct Config {
    /// Digest realm of the registrar (RFC 7616 §3.3).
    pub realm: String,
    /// `User-Agent` of our requests, `Server` of our responses.
    pub user_agent: String,
    pub accounts: BTreeMap<Extension, Account>,
    /// Host of our Contact and Via when a flow's local address is unspecified (`0.0.0.0`).
    pub advertised: IpAddr,
    /// The same for flows over IPv6, where `advertised` is an IPv4 address.
    pub advertised_v6: Option<Ipv6Addr>,
    /// Round-trip estimate; 500 ms (RFC 3261 §17.1.1.1).
    pub t1: Duration,
    /// Longest interval between retransmissions; 4 s.
    pub t2: Duration,
    /// How long a message may live in the network; 5 s.
    pub t4: Duration,
    /// Longest registration granted.
    pub expires_max: Duration,
    /// Shortest registration granted; a shorter wish is answered 423.
    pub expires_min: Duration,
    /// By how many percent at most a registration is granted shorter than asked for, at random, so
    /// that phones do not come again together.
    pub expires_spread: u8,
    /// The most contacts of one extension; one more takes the place of the one that ends first.
    pub contacts_max: usize,
    /// How often a registered phone is asked by OPTIONS whether it is there; zero is never.
    pub probe_every: Duration,
    /// Values of Service-Route in the answer to a REGISTER (RFC 3608).
    pub service_route: Vec<String>,
    /// How long a dialog lives without a sign of its peer; 30 min (RFC 4028 §4).
    pub session_expires: Duration,
    /// The shortest such time we agree to; 90 s.
    pub min_se: Duration,
    /// Secret behind nonces, tags and branches.
    pub secret: [u8; 32],
}

impl Config {
    /// The timers of RFC 3261 and registrations of one minute to one hour.
    pub fn new(realm: &str, advertised: IpAddr, secret: [u8; 32]) -> Self {
        Self {
            realm: realm.to_owned(),
            user_agent: "hotline".to_owned(),
            accounts: BTreeMap::new(),
            advertised,
            advertised_v6: None,
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            expires_max: Duration::from_hours(1),
            expires_min: Duration::from_mins(1),
            expires_spread: 20,
            contacts_max: 4,
            probe_every: Duration::from_secs(30),
            service_route: Vec::new(),
            session_expires: Duration::from_mins(30),
            min_se: Duration::from_secs(90),
            secret,
        }
    }

    /// Our host and port on a flow, as Via and Contact name them.
    pub(crate) fn sent_by(&self, flow: Flow) -> SocketAddr {
        let ip = match flow.local.ip() {
            IpAddr::V4(it) if it.is_unspecified() => self.advertised,
            IpAddr::V6(it) if it.is_unspecified() => {
                self.advertised_v6.map_or(self.advertised, IpAddr::V6)
            }
            ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
        };
        SocketAddr::new(ip, flow.local.port())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("n_accounts", &self.accounts.len()).finish_non_exhaustive()
    }
}

/// One extension's credentials.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Account {
    pub secret: Secret,
    /// By which digest algorithms it may answer.
    pub challenges: Challenges,
}

impl Account {
    /// By SHA-256 alone.
    pub fn new(password: &str) -> Self {
        Self { secret: Secret::Password(password.to_owned()), challenges: Challenges::Sha256 }
    }

    /// `None`: only hashes of it are known.
    pub fn password(&self) -> Option<&str> {
        match &self.secret {
            Secret::Password(it) => Some(it),
            Secret::Ha1 { .. } => None,
        }
    }

    /// The same secret with other algorithms.
    #[must_use]
    pub fn with(self, challenges: Challenges) -> Self {
        Self { challenges, ..self }
    }
}

/// What the caller of [`handle_message`](crate::Endpoint::handle_message) knows of the source.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum Admit {
    /// A recognised trunk.
    Trusted,
    /// The flow of a registered phone: who calls proves that he knows its password.
    Phone,
    /// Anybody else: may register (with a password) and ask OPTIONS; nothing is remembered of it.
    Stranger,
}

/// A call to be made.
#[derive(Clone)]
pub struct Dial {
    /// The request URI, complete.
    pub target: String,
    /// Where the INVITE is sent, whatever the target says.
    pub flow: Flow,
    pub from_display: String,
    pub from_user: String,
    /// Host of From; `None`: ours.
    pub from_host: Option<String>,
    /// Our offer.
    pub sdp: String,
    /// Further headers, name and value.
    pub headers: Vec<(String, String)>,
    /// The call is cancelled when it is not answered by then; `None`: after 180 s.
    pub ring_limit: Option<Duration>,
    /// The call is given up as [`EndWhy::NoResponse`] when not even a provisional response came
    /// by then; `None`: after 64·T1 (RFC 3261 §17.1.1.2, timer B).
    pub silence_limit: Option<Duration>,
    /// Who we are to the next hop, should it ask (401, 407).
    pub credentials: Option<Credentials>,
}

/// As whom and where we register at another's registrar.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// The request URI: the domain of the registrar, such as `sip:ims.example`.
    pub registrar: String,
    /// The address of record, such as `sip:+8677112345@ims.example`.
    pub record: String,
    /// User of our Contact: what calls for the account are sent to.
    pub contact_user: String,
    /// Where the REGISTER is sent, whatever the registrar is called.
    pub flow: Flow,
    pub credentials: Credentials,
    /// Zero takes the registration back.
    pub expires: Duration,
    /// It is given up as 408 after that; `None`: after 64·T1.
    pub limit: Option<Duration>,
}

/// How a registration of ours went.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// As given to [`enrol`](crate::Endpoint::enrol).
    pub account: u64,
    /// 408 for silence, 503 for a connection that failed.
    pub status: u16,
    /// How long it lasts, of a 2xx.
    pub granted: Duration,
    /// The least that a 423 asks for.
    pub min_expires: Option<Duration>,
    pub retry_after: Option<Duration>,
    /// Route values of the requests that the account sends (RFC 3608).
    pub service_route: Vec<String>,
    /// The connection the answer came by.
    pub conn: Option<ConnId>,
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial")
            .field("flow", &self.flow)
            .field("ring_limit", &self.ring_limit)
            .finish_non_exhaustive()
    }
}

/// How a leg is ended.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct HangUp {
    /// Used when the leg is an incoming call without an answer.
    pub status: u16,
    /// Value of a `Reason` header (RFC 3326), such as `Q.850;cause=16`.
    pub reason: Option<String>,
}

/// One contact of an extension.
#[derive(BorshDeserialize, BorshSerialize, Clone, Eq, PartialEq)]
pub struct Binding {
    pub extension: Extension,
    /// The phone's Contact URI: what to dial.
    pub contact: String,
    /// The path its registration came by: where to send.
    pub flow: Flow,
    pub call_id: String,
    pub cseq: u32,
    pub expires_wall: WallTime,
    /// Values of Path (RFC 3327), which become Route of what is sent.
    pub path: Vec<String>,
    /// In thousandths; the highest is called first (RFC 3261 §10.2.1.2).
    pub q: u16,
    /// `+sip.instance` (RFC 5626 §4.1).
    pub instance: Option<String>,
    pub reg_id: Option<u32>,
    /// False after a request that nobody reacted to, until something comes of it again.
    pub reachable: bool,
    pub(crate) id: u64,
}

impl Binding {
    /// As in the Contact of a 200.
    pub(crate) fn header_value(&self, left: Duration) -> String {
        let left = left.as_secs();
        let q = (self.q < 1000).then(|| format!(";q={}.{:03}", self.q / 1000, self.q % 1000));
        let instance = self.instance.as_ref().map(|it| format!(";+sip.instance={}", quote(it)));
        let reg_id = self.reg_id.map(|it| format!(";reg-id={it}"));
        let more = [q, instance, reg_id].into_iter().flatten().collect::<String>();
        format!("<{}>;expires={left}{more}", self.contact)
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binding")
            .field("extension", &self.extension)
            .field("flow", &self.flow)
            .field("reachable", &self.reachable)
            .field("expires_wall", &self.expires_wall)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
pub enum Output {
    /// The bytes are shared with whoever may have to send them again.
    Transmit {
        flow: Flow,
        bytes: Arc<[u8]>,
    },
    Event(Event),
}

#[derive(Clone, Debug)]
pub enum Event {
    /// A new incoming leg; 100 Trying is sent.
    Invited(Box<Invited>),
    /// A provisional response above 100 to our INVITE. `fork` counts the telephones behind one
    /// target from 0 in the order they were heard of (early dialogs, RFC 3261 §12.1); all that have
    /// no tag are 0. A description may come in any of them and in several.
    Ringing {
        leg: LegId,
        fork: u8,
        status: u16,
        sdp: Option<String>,
    },
    /// 2xx to our INVITE; the ACK is sent. The description is that of the 2xx, else the last one of
    /// the same telephone's provisional responses (RFC 3262 §5: then the 2xx needs none).
    Answered {
        leg: LegId,
        sdp: Option<String>,
    },
    /// The ACK of our 200 arrived. If the INVITE was without an offer, [`Event::Reanswered`] with
    /// the peer's answer follows.
    Confirmed {
        leg: LegId,
    },
    /// The peer offers anew, by re-INVITE or UPDATE. `None`: a re-INVITE without an offer, to be
    /// answered with one of ours. Wants `accept_offer` or `refuse_offer`.
    Offered {
        leg: LegId,
        sdp: Option<String>,
    },
    /// The answer to our offer of `reoffer`, or (in the ACK) to our offer in a 200.
    Reanswered {
        leg: LegId,
        sdp: Option<String>,
    },
    ReofferRefused {
        leg: LegId,
        status: u16,
    },
    /// The peer asks that its counterpart be called elsewhere (RFC 3515); `replaces`: instead of
    /// another dialog (RFC 3891). Wants `answer_refer`, and after 202 `refer_done`.
    Referred {
        leg: LegId,
        /// User of Refer-To.
        to: Pii<String>,
        replaces: Option<Replaced>,
    },
    /// What becomes of our own `refer`: its answer, then what the peer notifies, which may be
    /// after the leg's end.
    ReferProgress {
        leg: LegId,
        status: u16,
    },
    /// A key by INFO.
    Key {
        leg: LegId,
        key: Key,
    },
    /// What [`save`](crate::Endpoint::save) gives for an answered leg is another now.
    Changed {
        leg: LegId,
    },
    /// The leg is over; exactly once, and nothing after it but `ReferProgress`.
    Ended {
        leg: LegId,
        why: EndWhy,
    },
    /// A phone registered or refreshed its registration.
    Bound {
        binding: Box<Binding>,
    },
    /// One contact of an extension is gone.
    Unbound {
        binding: Box<Binding>,
        why: UnboundWhy,
    },
    /// A registered phone does not react any more.
    Unreachable {
        binding: Box<Binding>,
    },
    /// It does again.
    Reachable {
        binding: Box<Binding>,
    },
    /// The end of our own `register`.
    RegisterDone {
        extension: Extension,
        ok: bool,
        status: u16,
    },
    /// The end of our own `enrol`.
    Enrolled(Box<Enrolled>),
    /// A request that only a trusted source may make, refused with 403.
    Stranger {
        flow: Flow,
        method: Method,
    },
    Misbehaved {
        why: PeerMisbehaved,
        flow: Flow,
    },
    /// A REGISTER with wrong credentials, refused with 403. `locks`: there were so many from that
    /// address for that user that no more are looked at for a while.
    AuthFailed {
        flow: Flow,
        locks: bool,
    },
    /// The answer to [`probe`](crate::Endpoint::probe): its status, 408 for silence, 503 for a
    /// connection that failed.
    Probed {
        probe: u64,
        status: u16,
    },
}

/// A new incoming call.
#[derive(Clone, Debug)]
pub struct Invited {
    pub leg: LegId,
    pub flow: Flow,
    pub call_id: Pii<String>,
    /// User of the request URI: the number called.
    pub request_user: String,
    pub to_user: String,
    /// User of P-Called-Party-ID (RFC 7315 §4.2): who was called, where the request URI is our
    /// Contact.
    pub called_party: Option<String>,
    pub from_user: Pii<String>,
    pub from_display: Pii<String>,
    /// User of the first P-Asserted-Identity that names somebody, `sip:` or `tel:` (RFC 3325).
    pub asserted: Option<Pii<String>>,
    /// The same of P-Preferred-Identity: what the caller would be called, vouched for by nobody.
    pub preferred: Option<Pii<String>>,
    /// Where the call was aimed at before it was diverted to us.
    pub diverted: Option<Diverted>,
    /// The first User-to-User as it came (RFC 7433), up to 512 bytes.
    pub user_to_user: Option<Pii<String>>,
    /// Privacy has `id` or `user` (RFC 3325 §9.3, RFC 3323 §4.2), and not `none`.
    pub privacy_id: bool,
    /// From is `anonymous`, or at `anonymous.invalid` (RFC 3323 §4.1).
    pub anonymous_from: bool,
    /// The offer, if the INVITE has one.
    pub sdp: Option<String>,
    /// Whose phone it is, as it proved.
    pub phone: Option<Extension>,
    /// The leg that this one takes the place of (RFC 3891): answered, or one that we dialled. Who
    /// may do so is for those above to say; ending the other leg is, too.
    pub replaces: Option<LegId>,
}

/// Which leg a Replaces names (RFC 3891 §3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Replaced {
    /// Answered, or ringing.
    Leg(LegId),
    /// No dialog of ours has this Call-ID and these tags.
    Nothing,
}

/// A diversion (RFC 5806, RFC 7044).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diverted {
    /// User of the address the caller had dialled.
    pub from: Pii<String>,
    /// As written in Diversion, such as `no-answer`; from History-Info the status, such as `486`.
    /// Empty when it is not said.
    pub reason: String,
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndWhy {
    /// The peer hung up; `cause` is Q.850 from `Reason`.
    Bye {
        cause: Option<u16>,
    },
    /// The caller gave up before our answer.
    Cancelled,
    /// A final response of 300 or above to our INVITE.
    Refused {
        status: u16,
        cause: Option<u16>,
    },
    /// Our ring limit ran out.
    NoAnswer,
    /// Nothing came: timer B or F, or 408.
    NoResponse,
    /// Our 200, or our reliable provisional response, was never acknowledged.
    AckMissing,
    ConnectionGone,
    /// Our own `hang_up` or `refuse`; said at once.
    Local,
    /// The peer did not refresh the session, or did not answer when we did (RFC 4028 §10).
    Expired,
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum UnboundWhy {
    Asked,
    Expired,
    ConnectionGone,
    /// The extension had as many contacts as it may have, and another came.
    Replaced,
}
