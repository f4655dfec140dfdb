//! What a browser's description says beside codecs, and what it wants to read.

use std::fmt;

use super::{Rows, Secrets};
use crate::{Local, read::Line};

/// Bytes of a user fragment and of a password at most (RFC 8839 §5.4).
const CREDENTIAL_MAX: usize = 256;

/// The header extension by which a packet says which line it is of (RFC 9143 §15).
const MID_EXTENSION: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// Its number in our offers.
const OFFERED_ID: u8 = 1;

/// Extensions with a header of one byte have these numbers (RFC 8285 §4.2).
const IDS: std::ops::RangeInclusive<u8> = 1..=14;

/// SHA-256 of a certificate in DER (RFC 8122 §5).
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Fingerprint(pub [u8; 32]);

/// Our part in DTLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The peer begins (`a=setup:passive` in our answer).
    Server,
    /// We begin, because the peer waits.
    Client,
}

/// The browser at the other end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remote {
    /// Another one than before says that ICE begins anew (RFC 8839 §4.4.1.1.1).
    pub ufrag: String,
    pub fingerprint: Fingerprint,
    pub role: Role,
    /// How our packets say which line they are of, where it takes that.
    pub label: Option<Label>,
}

/// A header extension of our packets: its number and what it holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Label {
    pub id: u8,
    pub mid: String,
}

impl Label {
    /// Of an offered line.
    fn offered(line: &Line) -> Option<Self> {
        let mid = line.value("mid")?.to_owned();
        let ids = line.values("extmap").filter_map(id_of);
        ids.filter(|it| IDS.contains(it)).map(|id| Self { id, mid: mid.clone() }).next()
    }

    /// Of our offer, when the answer took it.
    fn answered(ours: &Line, theirs: &Line) -> Option<Self> {
        let it = Self::offered(ours)?;
        theirs.values("extmap").filter_map(id_of).any(|id| id == it.id).then_some(it)
    }
}

/// The number in `<id>[/<direction>] <URI>` of our extension, if we may send it.
fn id_of(extmap: &str) -> Option<u8> {
    let (id, uri) = extmap.split_once(' ')?;
    let (id, direction) = id.split_once('/').unwrap_or((id, "sendrecv"));
    let is_ours = uri.split_ascii_whitespace().next() == Some(MID_EXTENSION);
    let may_send = matches!(direction, "sendrecv" | "recvonly");
    (is_ours && may_send).then(|| id.parse().ok()).flatten()
}

impl Role {
    /// The value of `a=setup` that says so (RFC 4145 §4).
    pub(super) const fn setup(self) -> &'static str {
        match self {
            Self::Server => "passive",
            Self::Client => "active",
        }
    }
}

impl Remote {
    /// From an offered line. Whoever leaves the choice to us begins, unless it was settled before.
    pub(super) fn offered(line: &Line, settled: Option<Role>) -> Option<Self> {
        let setup = line.value("setup").unwrap_or("actpass");
        let role = if setup.eq_ignore_ascii_case("actpass") {
            settled.unwrap_or(Role::Server)
        } else if setup.eq_ignore_ascii_case("active") {
            Role::Server
        } else if setup.eq_ignore_ascii_case("passive") {
            Role::Client
        } else {
            return None;
        };
        let label = Label::offered(line);
        Self::read(line, role, label)
    }

    /// From the answer to a line of ours that left the choice to the peer.
    pub(super) fn answered(ours: &Line, theirs: &Line) -> Option<Self> {
        let passive = theirs.value("setup").is_some_and(|it| it.eq_ignore_ascii_case("passive"));
        let role = if passive { Role::Client } else { Role::Server };
        Self::read(theirs, role, Label::answered(ours, theirs))
    }

    fn read(line: &Line, role: Role, label: Option<Label>) -> Option<Self> {
        let ufrag = line.value("ice-ufrag").filter(|it| it.len() <= CREDENTIAL_MAX)?.to_owned();
        line.value("ice-pwd").filter(|it| it.len() <= CREDENTIAL_MAX)?;
        // One port for both is what makes one path enough; all browsers offer it.
        if !line.has("rtcp-mux") {
            return None;
        }
        let fingerprint = line.values("fingerprint").find_map(Fingerprint::read)?;
        Some(Self { ufrag, fingerprint, role, label })
    }
}

impl Fingerprint {
    /// `sha-256 AB:CD:…`
    fn read(value: &str) -> Option<Self> {
        let (hash, digits) = value.split_once(' ')?;
        if !hash.eq_ignore_ascii_case("sha-256") {
            return None;
        }
        let mut bytes = [0; 32];
        let mut pairs = digits.trim().split(':');
        for byte in &mut bytes {
            let pair = pairs.next().filter(|it| it.len() == 2)?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        pairs.next().is_none().then_some(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha-256")?;
        let mut before = ' ';
        for byte in self.0 {
            write!(f, "{before}{byte:02X}")?;
            before = ':';
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The rows of our offer.
pub(super) fn offer_rows(local: &Local, secrets: &Secrets) -> Rows {
    let label = Label { id: OFFERED_ID, mid: "0".to_owned() };
    rows(local, secrets, Some("0"), Some(&label), "actpass")
}

/// The rows of our answer to a line.
pub(super) fn answer_rows(local: &Local, secrets: &Secrets, line: &Line, remote: &Remote) -> Rows {
    rows(local, secrets, line.value("mid"), remote.label.as_ref(), remote.role.setup())
}

/// One candidate, our shared port: an ICE-lite agent has nothing else to offer (RFC 8445 §2.5). No
/// stream is named (`a=ssrc`), since browsers pass over others than those that were, and the next
/// process sends another: packets say by a label which line they are of.
fn rows(
    local: &Local,
    secrets: &Secrets,
    mid: Option<&str>,
    label: Option<&Label>,
    setup: &str,
) -> Rows {
    let Local { address, port, .. } = local;
    let Secrets { ufrag, pwd, fingerprint, .. } = secrets;
    let mut session = vec!["a=ice-lite".to_owned()];
    let mut rows = Vec::new();
    if let Some(mid) = mid {
        session.push(format!("a=group:BUNDLE {mid}"));
        rows.push(format!("a=mid:{mid}"));
    }
    rows.extend(label.map(|it| format!("a=extmap:{} {MID_EXTENSION}", it.id)));
    rows.extend([
        "a=rtcp-mux".to_owned(),
        format!("a=ice-ufrag:{ufrag}"),
        format!("a=ice-pwd:{pwd}"),
        // Type preference of a host, the one address, RTP (RFC 8445 §5.1.2.1).
        format!("a=candidate:1 1 udp 2130706431 {address} {port} typ host"),
        "a=end-of-candidates".to_owned(),
        format!("a=fingerprint:{fingerprint}"),
        format!("a=setup:{setup}"),
        "a=msid:hotline audio".to_owned(),
    ]);
    Rows { rows, session }
}
