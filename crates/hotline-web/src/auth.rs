//! Who asks: a token is an agent or a system.

use std::{collections::BTreeMap, fmt};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use hotline_base::AgentNo;
use sha2::{Digest, Sha256};

use crate::{App, Sight, error::ApiError};

/// What a token may do.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Another system, or an operator: everything.
    System,
    /// One agent: own commands, own events, numbers of own calls.
    Agent(AgentNo),
    /// 运维: who looks after lines and peers. Sees signalling, figures and records, and no
    /// caller's number; commands nobody and hears nothing.
    Operator,
}

/// A secret and what it opens. `Debug` does not show the secret.
#[derive(Clone, Eq, PartialEq)]
pub struct Token {
    /// Who uses it, for what is kept of who did what.
    pub name: String,
    pub secret: String,
    pub role: Role,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?})", self.role)
    }
}

/// All tokens, kept as digests.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    owners: BTreeMap<[u8; 32], (String, Role)>,
}

impl Tokens {
    pub fn new(tokens: impl IntoIterator<Item = Token>) -> Self {
        let owner = |it: Token| (digest(&it.secret), (it.name, it.role));
        Self { owners: tokens.into_iter().map(owner).collect() }
    }

    /// Takes the same time whichever token it is, or none: every digest is compared whole.
    pub fn role_of(&self, secret: &str) -> Option<&Role> {
        self.owner_of(secret).map(|it| &it.1)
    }

    fn owner_of(&self, secret: &str) -> Option<&(String, Role)> {
        let asked = digest(secret);
        let mut found = None;
        for (known, owner) in &self.owners {
            let differs = known.iter().zip(&asked).fold(0, |all, (a, b)| all | (a ^ b));
            if std::hint::black_box(differs) == 0 {
                found = Some(owner);
            }
        }
        found
    }
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// The one who sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Who(pub(crate) Role);

impl Who {
    pub(crate) fn of(app: &App, headers: &HeaderMap) -> Result<Self, ApiError> {
        Self::with_secret(app, secret_in(headers).ok_or(ApiError::Unauthorized)?)
    }

    pub(crate) fn with_secret(app: &App, secret: &str) -> Result<Self, ApiError> {
        app.tokens.role_of(secret).cloned().map(Self).ok_or(ApiError::Unauthorized)
    }

    /// An agent asks for itself only.
    pub(crate) fn may_act_for(&self, agent: &AgentNo) -> Result<(), ApiError> {
        match &self.0 {
            Role::System => Ok(()),
            Role::Agent(own) if own == agent => Ok(()),
            Role::Agent(_) | Role::Operator => Err(ApiError::Forbidden),
        }
    }

    /// The person who asks: an agent's token is his own, a system names somebody.
    pub(crate) fn person(&self, named: Option<String>) -> Result<AgentNo, ApiError> {
        let named = named.map(|it| AgentNo::new(&it));
        match (&self.0, named) {
            (Role::System, Some(it)) => Ok(it),
            (Role::System, None) => Err(ApiError::field("agent_no", "name the supervisor")),
            (Role::Agent(own), it) if it.as_ref().is_none_or(|it| it == own) => Ok(own.clone()),
            (Role::Agent(_) | Role::Operator, _) => Err(ApiError::Forbidden),
        }
    }

    pub(crate) fn must_be_system(&self) -> Result<(), ApiError> {
        match &self.0 {
            Role::System => Ok(()),
            Role::Agent(_) | Role::Operator => Err(ApiError::Forbidden),
        }
    }

    /// Whoever looks after signalling; `true`: numbers are shown.
    pub(crate) fn may_watch(&self) -> Result<bool, ApiError> {
        match &self.0 {
            Role::System => Ok(true),
            Role::Operator => Ok(false),
            Role::Agent(_) => Err(ApiError::Forbidden),
        }
    }

    pub(crate) fn sight(&self) -> Sight {
        match &self.0 {
            Role::System => Sight::All,
            Role::Operator => Sight::Masked,
            Role::Agent(own) => Sight::Agent(own.clone()),
        }
    }
}

/// What stands behind `Bearer` (RFC 6750 §2.1).
fn secret_in(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// A system that acts, perhaps for one of its people: what is kept of who did what.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    token: String,
}

impl Person {
    /// The token's name, and the person whom the system names.
    pub(crate) fn name(&self, operator: Option<&str>) -> Result<String, ApiError> {
        let Some(operator) = operator else { return Ok(self.token.clone()) };
        let n = operator.chars().count();
        if !(1..=64).contains(&n) || operator.chars().any(char::is_control) {
            return Err(ApiError::field("operator", "1 to 64 characters"));
        }
        Ok(format!("{}/{operator}", self.token))
    }
}

impl FromRequestParts<App> for Person {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        Who::of(app, &parts.headers)?.must_be_system()?;
        let owner = secret_in(&parts.headers).and_then(|it| app.tokens.owner_of(it));
        owner.map(|it| Self { token: it.0.clone() }).ok_or(ApiError::Unauthorized)
    }
}

impl FromRequestParts<App> for Who {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        Self::of(app, &parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_opens_its_own_role_and_a_wrong_one_nothing() {
        let agent = Role::Agent(AgentNo::new("1001"));
        let tokens = Tokens::new([
            Token { name: "a".to_owned(), secret: "one".to_owned(), role: Role::System },
            Token { name: "b".to_owned(), secret: "two".to_owned(), role: agent.clone() },
        ]);
        assert_eq!(tokens.role_of("one"), Some(&Role::System));
        assert_eq!(tokens.role_of("two"), Some(&agent));
        assert_eq!(tokens.role_of("three"), None);
        assert_eq!(tokens.role_of(""), None);
        let token = Token { name: "b".to_owned(), secret: "one".to_owned(), role: agent };
        assert!(!format!("{token:?}").contains("one"));
    }
}
