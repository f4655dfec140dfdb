//! Answers to challenges of others.

use std::{fmt, net::IpAddr};

use super::{Challenges, Params, Secret, response};
use crate::{Flow, Message, text::quote};

/// Who we are at one peer, and to whom alone we say it.
///
/// A challenge is answered only when it came from one of the next hops that the configuration
/// names: whoever else challenges a request of ours (a called party, a stranger who guessed a
/// branch) would get something to crack the password with.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    pub user: String,
    pub secret: Secret,
    /// The one realm that is answered; `None`: whichever the next hop names.
    pub realm: Option<String>,
    /// Addresses of the next hop.
    pub hops: Vec<IpAddr>,
    /// By which algorithms we answer. The first challenge of such an algorithm is answered, as
    /// RFC 8760 §2.4 asks.
    pub challenges: Challenges,
}

/// Why a challenge is not answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotAnswered {
    /// No 401 or 407 with a challenge by digest.
    NoChallenge,
    /// It came from somebody else than the configured next hop.
    NotTheNextHop,
    OtherRealm,
    /// Only by algorithms that are not permitted, or without what a challenge must have.
    NoAlgorithm,
    /// The request had an answer already, and the challenge does not say that only its nonce was
    /// too old (RFC 7616 §3.3): the password is wrong.
    Refused,
}

impl Credentials {
    /// The header that `request`, sent once more, has to have: name and value.
    ///
    /// `asked_by` is the flow by which `response` came. `cnonce` is random. The caller gives the
    /// request a new branch and the next `CSeq` (RFC 3261 §22.2), and asks once for each
    /// response.
    ///
    /// # Errors
    /// Nothing may be told: see [`NotAnswered`].
    pub fn answer(
        &self,
        asked_by: Flow,
        response: &Message,
        request: &Message,
        cnonce: &str,
    ) -> Result<(&'static str, String), NotAnswered> {
        let (asked, told) = match response.status() {
            Some(401) => ("WWW-Authenticate", "Authorization"),
            Some(407) => ("Proxy-Authenticate", "Proxy-Authorization"),
            Some(_) | None => return Err(NotAnswered::NoChallenge),
        };
        if !self.hops.contains(&asked_by.remote.ip()) {
            return Err(NotAnswered::NotTheNextHop);
        }
        let all: Vec<_> = response.headers(asked).filter_map(Params::parse).collect();
        let first = all.first().ok_or(NotAnswered::NoChallenge)?;
        if let Some(before) = request.header(told) {
            let stale = first.get("stale").is_some_and(|it| it.eq_ignore_ascii_case("true"));
            let spent = Params::parse(before);
            let nonce = spent.as_ref().and_then(|it| it.get("nonce"));
            // Once for each nonce: who calls the same one too old would ask for ever.
            if !stale || all.iter().any(|it| it.get("nonce") == nonce) {
                return Err(NotAnswered::Refused);
            }
        }
        let ours =
            |it: &&Params| self.realm.as_deref().is_none_or(|realm| it.get("realm") == Some(realm));
        let ours: Vec<_> = all.iter().filter(ours).collect();
        if ours.is_empty() {
            return Err(NotAnswered::OtherRealm);
        }
        let method = request.method().map(String::from_utf8_lossy).unwrap_or_default();
        let uri = String::from_utf8_lossy(request.raw_uri());
        let value = ours.into_iter().find_map(|it| self.told(it, (&method, &uri), cnonce));
        value.map(|it| (told, it)).ok_or(NotAnswered::NoAlgorithm)
    }

    fn told(&self, asked: &Params, of: (&str, &str), cnonce: &str) -> Option<String> {
        let algorithm = asked.algorithm().filter(|it| self.challenges.permits(*it))?;
        let (realm, nonce) = (asked.get("realm")?, asked.get("nonce")?);
        let ha1 = self.secret.ha1(algorithm, &self.user, realm)?;
        let qops = asked.get("qop");
        let is_counted = qops.is_some_and(|it| it.split(',').any(|it| it.trim() == "auth"));
        // Only auth-int is offered: what is not understood is not answered.
        if qops.is_some() && !is_counted {
            return None;
        }
        let counted = is_counted.then_some(("00000001", cnonce));
        let right = response(algorithm, &ha1, nonce, counted, of);
        let counted = counted.map(|(nc, cnonce)| format!(",qop=auth,nc={nc},cnonce=\"{cnonce}\""));
        let opaque = asked.get("opaque").map(|it| format!(",opaque={}", quote(it)));
        Some(format!(
            "Digest username={},realm={},nonce={},uri=\"{}\",response=\"{right}\",algorithm={}{}{}",
            quote(&self.user),
            quote(realm),
            quote(nonce),
            of.1,
            algorithm.name(),
            counted.unwrap_or_default(),
            opaque.unwrap_or_default(),
        ))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}
