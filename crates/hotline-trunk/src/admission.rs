//! Admission: a call at the door, and the channels of each trunk.

use std::{collections::BTreeMap, net::SocketAddr};

use hotline_base::{CallId, FlowId, MonoTime, Pii, TrunkId};

use crate::{
    AccountConfig, CalledNo, GatewayConfig, Limits, NumberRow, Source,
    limits::{Channels, Purpose, Way},
    normalise_called, normalise_caller,
    table::NumberTable,
};

/// One carrier's trunk (中继).
#[expect(clippy::struct_excessive_bools, reason = "independent settings of a trunk")]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrunkConfig {
    pub id: TrunkId,
    /// Where its calls come from.
    pub sources: Vec<Source>,
    /// Calls at the same time.
    pub channels_max: usize,
    /// Limits below `channels_max`.
    pub limits: Limits,
    /// Where calls go out; none means that none do.
    pub gateways: Vec<GatewayConfig>,
    /// Gateways are asked by OPTIONS whether they live; not for carriers that do not answer.
    pub probes: bool,
    /// As whom it registers at its gateways; none when its address is proof enough.
    pub accounts: Vec<AccountConfig>,
    /// The trunk's own numbers, normalised. Only these are shown to the called (外显号码); the
    /// first one when nothing else is wished.
    pub numbers: Vec<String>,
    /// Provisional responses are sent again until they are acknowledged, when the carrier can
    /// (100rel, RFC 3262). IMS wants it.
    pub prack: bool,
    /// What is heard of an outgoing call before its answer (彩铃, announcements) comes from the
    /// carrier where it sends any (RFC 3960); else always from us.
    pub early_media: bool,
    /// Tones of this network (回铃音, 忙音) are recognised in calls that go out over it, and its busy
    /// tone after the answer ends the call: for gateways of analogue lines, which send no BYE.
    pub busy_tone_ends: bool,
    /// To a peer of it that takes no telephone-events (RFC 4733), keys go by INFO
    /// (`application/dtmf-relay`) and not as sound.
    pub keys_by_info: bool,
    /// With the leading zero, such as `0771`; completes local numbers and bare short codes.
    pub area_code: Option<String>,
    /// GB/T 2260, such as `450100`.
    pub city: Option<String>,
}

/// What the INVITE says about the caller. All texts are the user parts of addresses.
#[derive(Clone, Copy, Debug)]
pub struct CallerForms<'a> {
    /// P-Asserted-Identity (RFC 3325): what the carrier vouches for.
    pub asserted: Option<&'a str>,
    pub from: &'a str,
    /// From is anonymous.
    pub anonymous: bool,
    /// `Privacy: id`.
    pub privacy_id: bool,
}

/// What the INVITE says about whom it is for. All texts are the user parts of addresses.
#[derive(Clone, Copy, Debug)]
pub struct CalledForms<'a> {
    /// Of the request URI.
    pub request: &'a str,
    /// Of P-Called-Party-ID (RFC 7315 §4.2).
    pub party: Option<&'a str>,
    /// Of To.
    pub to: &'a str,
}

/// A call that may come in. Its channel is taken until [`Admission::release`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Admitted {
    pub trunk: TrunkId,
    pub caller: CallerNo,
    pub called: CalledNo,
    /// [`NumberRow::row`] of the row that matched.
    pub row: usize,
    pub flow: FlowId,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallerNo {
    /// As it arrived, from the header that was believed.
    pub raw: Pii<String>,
    /// Normalised; `None` is 匿名.
    pub number: Option<Pii<String>>,
    /// The caller asked not to be shown. A government hotline is usually given the number all the
    /// same.
    pub restricted: bool,
}

/// Why a call may not come in.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Refusal {
    /// No trunk sends from there.
    UnknownSource,
    /// No row is for this called number.
    UnknownNumber,
    /// All channels of the trunk are taken.
    OverLimit,
    /// More calls a second than agreed.
    TooFast,
}

impl Refusal {
    pub const ALL: &'static [Self] =
        &[Self::UnknownSource, Self::UnknownNumber, Self::OverLimit, Self::TooFast];

    /// The SIP status that says so.
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::UnknownSource => Some(403),
            Self::UnknownNumber => Some(404),
            Self::OverLimit | Self::TooFast => Some(503),
        }
    }
}

/// The door. Owns the counts of channels in use.
#[derive(Clone, Debug)]
pub struct Admission {
    trunks: BTreeMap<TrunkId, TrunkConfig>,
    numbers: NumberTable,
    /// The channels of each call: two when a call came in over a trunk and goes out over one.
    calls: BTreeMap<CallId, Vec<(TrunkId, Way)>>,
    channels: BTreeMap<TrunkId, Channels>,
    refused: BTreeMap<Refusal, u64>,
}

impl Admission {
    pub fn new(trunks: Vec<TrunkConfig>, numbers: Vec<NumberRow>) -> Self {
        let mut it = Self {
            trunks: BTreeMap::new(),
            numbers: NumberTable::default(),
            calls: BTreeMap::new(),
            channels: BTreeMap::new(),
            refused: BTreeMap::new(),
        };
        it.configure(trunks, numbers);
        it
    }

    /// Takes changed trunks and numbers. Channels in use stay in use, over a lowered limit and on
    /// a trunk that is gone as well.
    pub fn configure(&mut self, trunks: Vec<TrunkConfig>, numbers: Vec<NumberRow>) {
        self.trunks = trunks.into_iter().map(|it| (it.id.clone(), it)).collect();
        self.numbers = NumberTable::new(numbers);
    }

    /// The trunk that sends from there. The narrowest source decides, then the trunk's name.
    pub fn trunk_of(&self, source: SocketAddr) -> Option<&TrunkConfig> {
        let narrowest = |trunk: &TrunkConfig| {
            let matching = trunk.sources.iter().filter(|it| it.matches(source));
            matching.map(Source::narrowness).max()
        };
        // `rev`, because of equals `max_by_key` gives the last.
        let matching = self.trunks.values().rev().filter_map(|it| Some((narrowest(it)?, it)));
        matching.max_by_key(|(narrowness, _)| *narrowness).map(|(_, trunk)| trunk)
    }

    /// The trunk at an address, which sends from there or is called there.
    pub fn trunk_at(&self, address: SocketAddr) -> Option<&TrunkConfig> {
        let called =
            |it: &&TrunkConfig| it.gateways.iter().any(|gateway| gateway.address == address);
        self.trunk_of(address).or_else(|| self.trunks.values().find(called))
    }

    /// Over which trunk a call came and whom it is for. A call to the Contact of an account is one
    /// to the number that the carrier says was called, where a row is for it, else to the
    /// account's own.
    pub fn recognise(
        &self,
        source: SocketAddr,
        called: &CalledForms<'_>,
    ) -> Option<(TrunkId, String)> {
        let Some((trunk, account)) = self.account_of(source, called.request) else {
            let trunk = self.trunk_of(source)?;
            return Some((trunk.id.clone(), called.request.to_owned()));
        };
        let mut told = [called.party, Some(called.to)].into_iter().flatten();
        let number = told.find(|it| self.knows(trunk, it)).unwrap_or(&account.number);
        Some((trunk.id.clone(), number.to_owned()))
    }

    /// The account whose Contact is called, among the trunks that send from there: many accounts,
    /// also of several trunks, may be at one carrier.
    fn account_of(
        &self,
        source: SocketAddr,
        contact: &str,
    ) -> Option<(&TrunkConfig, &AccountConfig)> {
        let senders = self.trunks.values().filter(|it| !it.accounts.is_empty());
        let mut senders = senders.filter(|it| it.sources.iter().any(|it| it.matches(source)));
        senders.find_map(|trunk| {
            let account = trunk.accounts.iter().find(|it| it.user == contact)?;
            Some((trunk, account))
        })
    }

    /// Whether some row is for this called number on this trunk.
    fn knows(&self, trunk: &TrunkConfig, called: &str) -> bool {
        let called = normalise_called(called, trunk.area_code.as_deref());
        called.is_some_and(|it| self.numbers.find(&trunk.id, &it).is_some())
    }

    pub fn trunk(&self, id: &TrunkId) -> Option<&TrunkConfig> {
        self.trunks.get(id)
    }

    pub fn trunks(&self) -> impl Iterator<Item = &TrunkConfig> {
        self.trunks.values()
    }

    /// Lets a call in and takes a channel, or counts why not. `trunk` and `called` are
    /// those of [`recognise`](Self::recognise).
    pub fn admit(
        &mut self,
        call: CallId,
        trunk: Option<&TrunkId>,
        called: &str,
        from: &CallerForms<'_>,
        now: MonoTime,
    ) -> Result<Admitted, Refusal> {
        let found = self.find(trunk, called, from);
        let result = found.and_then(|it| {
            self.take(call, &it.trunk, Way::In, Purpose::Call, now)?;
            Ok(it)
        });
        if let Err(refusal) = &result {
            *self.refused.entry(*refusal).or_default() += 1;
        }
        result
    }

    /// Takes a channel for a call that goes out.
    ///
    /// # Errors
    /// [`Refusal::OverLimit`] and [`Refusal::TooFast`]: another trunk may have room.
    pub fn take_out(
        &mut self,
        call: CallId,
        trunk: &TrunkId,
        purpose: Purpose,
        now: MonoTime,
    ) -> Result<(), Refusal> {
        let result = self.take(call, trunk, Way::Out, purpose, now);
        if let Err(refusal) = &result {
            *self.refused.entry(*refusal).or_default() += 1;
        }
        result
    }

    /// Takes a channel for a call that is there already, whatever the limit: it outlived a
    /// restart.
    pub fn adopt(&mut self, call: CallId, trunk: &TrunkId, way: Way) {
        let held = self.calls.get(&call).is_some_and(|it| it.contains(&(trunk.clone(), way)));
        if !held {
            self.hold(call, trunk, way);
        }
    }

    /// The call is over. Calls that hold no channel are ignored.
    pub fn release(&mut self, call: CallId) {
        for (trunk, way) in self.calls.remove(&call).unwrap_or_default() {
            if let Some(it) = self.channels.get_mut(&trunk) {
                it.give(way);
            }
        }
    }

    /// One outgoing leg of the call is over, or never came to be.
    pub fn release_out(&mut self, call: CallId, trunk: &TrunkId) {
        let Some(held) = self.calls.get_mut(&call) else { return };
        let Some(at) = held.iter().position(|it| it.0 == *trunk && it.1 == Way::Out) else {
            return;
        };
        held.remove(at);
        if let Some(it) = self.channels.get_mut(trunk) {
            it.give(Way::Out);
        }
    }

    fn take(
        &mut self,
        call: CallId,
        trunk: &TrunkId,
        way: Way,
        purpose: Purpose,
        now: MonoTime,
    ) -> Result<(), Refusal> {
        let config = self.trunks.get(trunk).ok_or(Refusal::OverLimit)?;
        let channels = self.channels.entry(trunk.clone()).or_default();
        channels.may_take(way, purpose, config.channels_max, &config.limits, now)?;
        self.hold(call, trunk, way);
        Ok(())
    }

    fn hold(&mut self, call: CallId, trunk: &TrunkId, way: Way) {
        self.calls.entry(call).or_default().push((trunk.clone(), way));
        self.channels.entry(trunk.clone()).or_default().took(way);
    }

    /// Channels of the trunk that are taken.
    pub fn in_use(&self, trunk: &TrunkId) -> usize {
        self.channels.get(trunk).map_or(0, Channels::in_use)
    }

    /// Channels taken by calls of this direction.
    pub fn in_use_by(&self, trunk: &TrunkId, way: Way) -> usize {
        self.channels.get(trunk).map_or(0, |it| it.of(way))
    }

    /// Whether some trunk may show this number.
    pub fn is_own(&self, number: &str) -> bool {
        self.trunks.values().any(|it| it.numbers.iter().any(|it| it == number))
    }

    /// The number shown to the called: the one wished if it is the trunk's own, else its first.
    pub fn display<'a>(&'a self, trunk: &TrunkId, wish: Option<&'a str>) -> Option<&'a str> {
        let own = &self.trunks.get(trunk)?.numbers;
        let first = own.first().map(String::as_str);
        wish.filter(|wish| own.iter().any(|it| it == wish)).or(first)
    }

    /// Who calls whom over a trunk, as [`admit`](Self::admit) understands it of a call that it
    /// takes; the called number is `None` when it is none.
    pub fn parties(
        &self,
        trunk: &TrunkId,
        called: &str,
        from: &CallerForms<'_>,
    ) -> (CallerNo, Option<CalledNo>) {
        let area = self.trunks.get(trunk).and_then(|it| it.area_code.as_deref());
        (CallerNo::of(from, area), normalise_called(called, area))
    }

    /// How many calls were refused for this reason since the start.
    pub fn refused(&self, kind: Refusal) -> u64 {
        self.refused.get(&kind).copied().unwrap_or(0)
    }

    fn find(
        &self,
        trunk: Option<&TrunkId>,
        called: &str,
        from: &CallerForms<'_>,
    ) -> Result<Admitted, Refusal> {
        let trunk = trunk.and_then(|it| self.trunks.get(it)).ok_or(Refusal::UnknownSource)?;
        let area = trunk.area_code.as_deref();
        let called = normalise_called(called, area).ok_or(Refusal::UnknownNumber)?;
        let row = self.numbers.find(&trunk.id, &called).ok_or(Refusal::UnknownNumber)?;
        Ok(Admitted {
            trunk: trunk.id.clone(),
            caller: CallerNo::of(from, area),
            called,
            row: row.row,
            flow: row.flow.clone(),
        })
    }
}

impl CallerNo {
    /// The asserted number is the truth; From counts when nothing usable is asserted and it is not
    /// anonymous.
    fn of(from: &CallerForms<'_>, area: Option<&str>) -> Self {
        let restricted = from.anonymous || from.privacy_id;
        let shown = (!from.anonymous).then_some(from.from);
        let believed = [from.asserted, shown]
            .into_iter()
            .flatten()
            .find_map(|raw| normalise_caller(raw, area).map(|number| (raw, number)));
        match believed {
            Some((raw, number)) => {
                Self { raw: Pii::new(raw.to_owned()), number: Some(Pii::new(number)), restricted }
            }
            None => Self { raw: Pii::new(from.from.to_owned()), number: None, restricted },
        }
    }
}

#[cfg(test)]
mod tests;
