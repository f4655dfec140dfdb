//! Accounts of trunks: their REGISTERs, the calls to their Contacts, and who they are in the calls
//! that go out.

use std::net::IpAddr;

use hotline_base::{Now, TrunkId};
use hotline_sip::{Credentials, Enrolled, Enrolment, Invited};
use hotline_trunk::{
    AccountConfig, AccountId, Answer, CalledForms, GatewayConfig, GatewayId, RegistrationOutput,
};

use super::{Duration, Output, Switchboard};
use crate::Alarm;

/// A gateway that does not answer a REGISTER for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(4);

/// Who an account is to its carrier.
pub(super) struct Identity {
    pub(super) user: String,
    pub(super) domain: String,
    /// Its own number is the one shown.
    pub(super) is_shown: bool,
    pub(super) credentials: Option<Credentials>,
    /// Route values, where it is registered there (RFC 3608 §5).
    pub(super) routes: Vec<String>,
}

impl Switchboard {
    pub(super) fn act_on_registration(&mut self, output: RegistrationOutput, now: Now) {
        match output {
            RegistrationOutput::Ask { account, gateway, expires } => {
                let at = self.fleet.config(&gateway).copied();
                let number = self.number_of(&account);
                if let (Some(at), Some(number)) = (at, number)
                    && let Some(it) = self.enrolment(&account, &at, expires)
                {
                    self.endpoint.enrol(number, it, now);
                }
            }
            RegistrationOutput::Changed { account, registered, status } => {
                let user = self.account(&account).map(|it| it.user.clone()).unwrap_or_default();
                let trunk = account.trunk;
                let alarm = Alarm::Registration { trunk, account: user, registered, status };
                self.outputs.push_back(Output::Alarm(alarm));
            }
        }
    }

    fn enrolment(
        &self,
        account: &AccountId,
        at: &GatewayConfig,
        expires: Duration,
    ) -> Option<Enrolment> {
        let identity = self.identity(account, at, None)?;
        Some(Enrolment {
            registrar: format!("sip:{}", identity.domain),
            record: format!("sip:{}@{}", identity.user, identity.domain),
            contact_user: identity.user,
            flow: self.flow_to(at),
            credentials: identity.credentials?,
            expires,
            limit: Some(PATIENCE),
        })
    }

    /// The end of a REGISTER.
    pub(super) fn enrolled(&mut self, it: Enrolled, now: Now) {
        let place = usize::try_from(it.account).unwrap_or(usize::MAX);
        let Some(account) = self.config.accounts.keys().nth(place).cloned() else { return };
        let answer = Answer {
            status: it.status,
            granted: it.granted,
            min_expires: it.min_expires,
            retry_after: it.retry_after,
            service_route: it.service_route,
            conn: it.conn,
        };
        let (fleet, random) = (&self.fleet, &mut self.random);
        self.registrations.answered(&account, answer, fleet, random, now.mono);
    }

    /// Who the account is at a gateway. `hop`: where `gateway` is one that it may be registered at.
    fn identity(
        &self,
        account: &AccountId,
        at: &GatewayConfig,
        hop: Option<&GatewayId>,
    ) -> Option<Identity> {
        let it = self.account(account)?;
        let credentials = self.config.accounts.get(account).cloned();
        let held = self.registrations.held(account).filter(|it| Some(it.0) == hop);
        Some(Identity {
            user: it.user.clone(),
            is_shown: false,
            domain: it.domain.clone().unwrap_or_else(|| at.address.to_string()),
            credentials: credentials.map(|it| Credentials { hops: vec![at.address.ip()], ..it }),
            routes: held.map(|it| it.1.to_vec()).unwrap_or_default(),
        })
    }

    /// As whom a call goes out over a gateway: the account of the number that is shown, else one
    /// that is registered there, else the first.
    pub(super) fn identity_for(&self, way: &GatewayId, shown: &str) -> Option<Identity> {
        let accounts = &self.admission.trunk(&way.trunk)?.accounts;
        let at = self.fleet.config(way)?;
        let id = |place| AccountId { trunk: way.trunk.clone(), place };
        let is_there = |place| self.registrations.held(&id(place)).is_some_and(|it| it.0 == way);
        let place = accounts
            .iter()
            .position(|it| it.number == shown)
            .or_else(|| (0..accounts.len()).find(|it| is_there(*it)))
            .or((!accounts.is_empty()).then_some(0))?;
        let is_shown = accounts.get(place).is_some_and(|it| it.number == shown);
        self.identity(&id(place), at, Some(way)).map(|it| Identity { is_shown, ..it })
    }

    /// As whom requests in a call that came over a trunk are proven, should its sender ask: the
    /// account of the number that was called, else the first.
    pub(super) fn credentials_at(
        &self,
        trunk: &TrunkId,
        at: IpAddr,
        called: &str,
    ) -> Option<Credentials> {
        let accounts = &self.admission.trunk(trunk)?.accounts;
        let place = accounts.iter().position(|it| it.number == called).unwrap_or(0);
        let id = AccountId { trunk: trunk.clone(), place };
        let credentials = self.config.accounts.get(&id)?.clone();
        Some(Credentials { hops: vec![at], ..credentials })
    }

    /// Which trunk a call came over; a call to one of our Contacts gets the number it is for.
    pub(super) fn recognise(&self, it: &mut Invited) -> Option<TrunkId> {
        let called = CalledForms {
            request: &it.request_user,
            party: it.called_party.as_deref(),
            to: &it.to_user,
        };
        let (trunk, called) = self.admission.recognise(it.flow.remote, &called)?;
        it.request_user = called;
        Some(trunk)
    }

    fn account(&self, id: &AccountId) -> Option<&AccountConfig> {
        self.admission.trunk(&id.trunk)?.accounts.get(id.place)
    }

    /// As the endpoint knows it.
    fn number_of(&self, account: &AccountId) -> Option<u64> {
        let place = self.config.accounts.keys().position(|it| it == account)?;
        u64::try_from(place).ok()
    }
}
