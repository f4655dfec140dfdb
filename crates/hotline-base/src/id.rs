//! One type for every identifier, so that a call is never mistaken for a leg.

use std::{borrow::Borrow, fmt, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};

/// Identifiers that the engine counts up.
macro_rules! counted {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(BorshDeserialize, BorshSerialize)]
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )+};
}

/// Identifiers that people chose in a configuration file. Cheap to clone.
macro_rules! named {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(BorshDeserialize, BorshSerialize, Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(name: &str) -> Self {
                Self(Arc::from(name))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )+};
}

counted! {
    /// 呼叫流水号: one caller's call with all its legs. Unique for ever: the engine starts counting
    /// from the wall clock in milliseconds times 2^20.
    CallId
    /// One party's connection: a SIP dialog and its audio. Unique like [`CallId`].
    LegId
    /// Legs that may hear each other (a context, ITU-T H.248.1 §6.1): those of one call.
    ContextId
    /// A place in a queue.
    TicketId
    /// One ticket offered to one agent; a lease with an expiry.
    OfferId
    /// One playback on one leg.
    PlayId
    /// One command of a person or a system, answered exactly once.
    CommandId
    /// One stream connection (TCP) of the signalling edge.
    ConnId
}

named! {
    /// 工号: the number an agent signs in with and callers hear.
    AgentNo
    /// 分机: the SIP user of an agent's phone.
    Extension
    /// A flow's name, `domain.name`.
    FlowId
    /// 技能组: skill group, which is also the queue.
    GroupId
    /// A prompt's name in the catalogue, such as `greet.common`.
    PromptId
    /// 录音流水号: names a recording for ever, on disk and in every other system.
    RecordingId
    /// 中继: a carrier's trunk.
    TrunkId
}
