//! Whether a REGISTER or a call of a phone comes from whom it names.

use std::{net::IpAddr, ops::Bound};

use hotline_base::{Extension, Now};

use super::{Registrar, Unproven};
use crate::{Account, Challenges, Config, Flow, Message, Method, Uri, digest::Params};

impl Registrar {
    /// Whoever knows the password of the extension that the request names: a REGISTER in To, others
    /// in From.
    pub(crate) fn authenticate(
        &mut self,
        message: &Message,
        flow: Flow,
        config: &Config,
        now: Now,
    ) -> Result<Extension, Unproven> {
        let method = message.known_method();
        let named = if method == Method::Register { "To" } else { "From" };
        let user = message.name_addr(named).and_then(|it| it.uri()).map(|it| it.user);
        let algorithms = || offered(config, user.as_deref().unwrap_or_default()).algorithms();
        let mut answers = message.headers("Authorization").filter_map(Params::parse);
        let answer = answers.find(|it| it.get("realm") == Some(config.realm.as_str()));
        let Some(answer) = answer else {
            return Err(Unproven::Challenge { algorithms: algorithms(), stale: false });
        };
        let count = well_formed(message, &answer)?;
        let from = flow.remote.ip();
        let nonce = answer.get("nonce").unwrap_or_default();
        // Whether the answer is right is not looked at: who guesses learns nothing, and who forges
        // an address, to which the nonce was not sent, locks nobody out.
        if !self.nonces.is_fresh(&config.secret, from, nonce, now.wall) {
            return Err(Unproven::Challenge { algorithms: algorithms(), stale: true });
        }
        let name = answer.get("username").unwrap_or_default();
        let extension = self.prove(&answer, (name, user.as_deref(), method), from, config, now)?;
        if !self.nonces.take(nonce, count, now.wall) {
            return Err(Unproven::Challenge { algorithms: algorithms(), stale: true });
        }
        Ok(extension)
    }

    fn prove(
        &mut self,
        answer: &Params,
        (name, user, method): (&str, Option<&str>, Method),
        from: IpAddr,
        config: &Config,
        now: Now,
    ) -> Result<Extension, Unproven> {
        if self.lockout.is_locked(name, from, now.mono) {
            return Err(Unproven::Forbidden { locks: false });
        }
        let account = config.accounts.get_key_value(name);
        // An unknown name costs the same work as a known one.
        let nobody = Account::new("");
        let of = account.map_or(&nobody, |it| it.1);
        let right = answer.is_right(method.name(), &of.secret, of.challenges);
        match account {
            Some((extension, _)) if right && user == Some(name) => {
                self.lockout.clear(name, from);
                Ok(extension.clone())
            }
            Some(_) | None => {
                let locks = self.lockout.fail(name, from, now.mono);
                Err(Unproven::Forbidden { locks })
            }
        }
    }
}

/// The counter, if the answer can be read and is for this request.
fn well_formed(message: &Message, answer: &Params) -> Result<u32, Unproven> {
    let meant = answer.get("uri").and_then(|it| Uri::parse(it.as_bytes()));
    let asked = message.request_uri();
    let same =
        |meant: Uri<'_>| asked.is_some_and(|it| it.host == meant.host && it.user == meant.user);
    let count = answer.count().filter(|_| meant.is_some_and(same) && !answer.has_hashed_user());
    count.ok_or(Unproven::Unreadable)
}

/// What an account is challenged with. An unknown name is challenged like its neighbour in the
/// alphabet: nobody learns from challenges which names exist.
fn offered(config: &Config, name: &str) -> Challenges {
    let from = (Bound::Included(name), Bound::Unbounded);
    let from = config.accounts.range::<str, _>(from).next();
    from.or_else(|| config.accounts.first_key_value()).map(|it| it.1.challenges).unwrap_or_default()
}
