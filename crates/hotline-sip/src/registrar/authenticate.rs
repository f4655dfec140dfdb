//! Whether a REGISTER comes from whom it names.

use std::{net::IpAddr, ops::Bound};

use hotline_base::{Extension, Now};

use super::{Registrar, Verdict};
use crate::{Account, Challenges, Config, Flow, Message, PeerMisbehaved, Uri, digest::Params};

impl Registrar {
    /// Whoever knows the password of the extension that the request names.
    pub(super) fn authenticate(
        &mut self,
        message: &Message,
        flow: Flow,
        config: &Config,
        now: Now,
    ) -> Result<Extension, Verdict> {
        let user = message.name_addr("To").and_then(|it| it.uri()).map(|it| it.user);
        let algorithms = || offered(config, user.as_deref().unwrap_or_default()).algorithms();
        let mut answers = message.headers("Authorization").filter_map(Params::parse);
        let answer = answers.find(|it| it.get("realm") == Some(config.realm.as_str()));
        let Some(answer) = answer else {
            return Err(Verdict::Challenge { algorithms: algorithms(), stale: false });
        };
        let count = well_formed(message, &answer)?;
        let from = flow.remote.ip();
        let nonce = answer.get("nonce").unwrap_or_default();
        // Whether the answer is right is not looked at: who guesses learns nothing, and who forges
        // an address, to which the nonce was not sent, locks nobody out.
        if !self.nonces.is_fresh(&config.secret, from, nonce, now.wall) {
            return Err(Verdict::Challenge { algorithms: algorithms(), stale: true });
        }
        let name = answer.get("username").unwrap_or_default();
        let extension = self.prove(&answer, (name, user.as_deref()), from, config, now)?;
        if !self.nonces.take(nonce, count, now.wall) {
            return Err(Verdict::Challenge { algorithms: algorithms(), stale: true });
        }
        Ok(extension)
    }

    fn prove(
        &mut self,
        answer: &Params,
        (name, user): (&str, Option<&str>),
        from: IpAddr,
        config: &Config,
        now: Now,
    ) -> Result<Extension, Verdict> {
        if self.lockout.is_locked(name, from, now.mono) {
            return Err(Verdict::Forbidden { locks: false });
        }
        let account = config.accounts.get_key_value(name);
        // An unknown name costs the same work as a known one.
        let nobody = Account::new("");
        let of = account.map_or(&nobody, |it| it.1);
        let right = answer.is_right("REGISTER", &of.secret, of.challenges);
        match account {
            Some((extension, _)) if right && user == Some(name) => {
                self.lockout.clear(name, from);
                Ok(extension.clone())
            }
            Some(_) | None => {
                let locks = self.lockout.fail(name, from, now.mono);
                Err(Verdict::Forbidden { locks })
            }
        }
    }
}

/// The counter, if the answer can be read and is for this request.
fn well_formed(message: &Message, answer: &Params) -> Result<u32, Verdict> {
    let meant = answer.get("uri").and_then(|it| Uri::parse(it.as_bytes()));
    let asked = message.request_uri();
    let same = |meant: Uri| asked.is_some_and(|it| it.host == meant.host && it.user == meant.user);
    let count = answer.count().filter(|_| meant.is_some_and(same) && !answer.has_hashed_user());
    let why = Some(PeerMisbehaved::BadCredentials);
    count.ok_or(Verdict::Refused { status: 400, min_expires: None, why })
}

/// What an account is challenged with. An unknown name is challenged like its neighbour in the
/// alphabet: nobody learns from challenges which names exist.
fn offered(config: &Config, name: &str) -> Challenges {
    let from = (Bound::Included(name), Bound::Unbounded);
    let from = config.accounts.range::<str, _>(from).next();
    from.or_else(|| config.accounts.first_key_value()).map(|it| it.1.challenges).unwrap_or_default()
}
