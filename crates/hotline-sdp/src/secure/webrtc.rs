//! What a browser's description says beside codecs, and what it wants to read.

use std::fmt;

use super::{Rows, Secrets};
use crate::{Local, read::Line};

/// Bytes of a user fragment and of a password at most (RFC 8839 §5.4).
const CREDENTIAL_MAX: usize = 256;

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
        Self::read(line, role)
    }

    /// From the answer to a line of ours that left the choice to the peer.
    pub(super) fn answered(_ours: &Line, theirs: &Line) -> Option<Self> {
        let passive = theirs.value("setup").is_some_and(|it| it.eq_ignore_ascii_case("passive"));
        Self::read(theirs, if passive { Role::Client } else { Role::Server })
    }

    fn read(line: &Line, role: Role) -> Option<Self> {
        let ufrag = line.value("ice-ufrag").filter(|it| it.len() <= CREDENTIAL_MAX)?.to_owned();
        line.value("ice-pwd").filter(|it| it.len() <= CREDENTIAL_MAX)?;
        // One port for both is what makes one path enough; all browsers offer it.
        if !line.has("rtcp-mux") {
            return None;
        }
        let fingerprint = line.values("fingerprint").find_map(Fingerprint::read)?;
        Some(Self { ufrag, fingerprint, role })
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

/// One candidate, our shared port: an ICE-lite agent has nothing else to offer (RFC 8445 §2.5).
pub(super) fn rows(local: &Local, secrets: &Secrets, mid: Option<&str>, setup: &str) -> Rows {
    let Local { address, port, .. } = local;
    let Secrets { ufrag, pwd, fingerprint, ssrc, .. } = secrets;
    let mut session = vec!["a=ice-lite".to_owned()];
    let mut rows = Vec::new();
    if let Some(mid) = mid {
        session.push(format!("a=group:BUNDLE {mid}"));
        rows.push(format!("a=mid:{mid}"));
    }
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
        format!("a=ssrc:{ssrc} cname:hotline"),
    ]);
    Rows { rows, session }
}
