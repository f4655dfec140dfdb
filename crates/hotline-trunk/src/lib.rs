//! Which trunk a call came over, what its two numbers mean, which flow it enters, and whether
//! there is a channel for it. For calls that go out: which trunks and gateways take them, which
//! gateways live, where accounts are registered, and who may dial what.
//!
//! **Invariant:** no SIP here. Numbers come as text, sources as addresses; a refusal is a value
//! that somebody else puts on the wire.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod admission;
mod backlog;
mod fleet;
mod gateway;
mod guard;
mod limits;
mod lists;
mod number;
mod overload;
mod probe;
mod registrations;
mod routes;
mod rule;
mod source;
pub mod statistics;
mod table;
pub mod watch;

pub use self::{
    admission::{Admission, Admitted, CalledForms, CallerForms, CallerNo, Refusal, TrunkConfig},
    backlog::{Backlog, Rank},
    fleet::{Fleet, FleetOutput, GatewayId, GatewayState},
    gateway::{GatewayConfig, GatewayTransport, lots},
    guard::{Barred, DialPlan, Guard, GuardConfig},
    limits::{Limits, Purpose, Way},
    lists::{ENTRIES_MAX, ListAction, ListEntry, Lists},
    number::{CalledNo, normalise_called, normalise_caller},
    overload::{Overload, OverloadConfig, Reduction, Upstream},
    probe::Probes,
    registrations::{
        AccountConfig, AccountId, AccountState, Answer, RegistrationOutput, Registrations,
    },
    routes::{Hours, RouteConfig, trunks_for},
    rule::{BadNumberRule, NumberFault, NumberOf, NumberRule, NumberRuleText, rewrite},
    source::{Network, NotASource, Source},
    table::NumberRow,
};
