//! One type for every identifier, so that a call is never mistaken for a leg.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

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
                fmt::Display::fmt(&self.0, f)
            }
        }
    )+};
}

/// Identifiers that people chose in a configuration file. Cheap to clone, and mostly compared
/// without a look at the text: in a map of all agents that text lies anywhere in memory.
macro_rules! named {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            /// [`head`] of the text.
            head: u64,
            text: Arc<Text>,
        }

        impl $name {
            pub fn new(name: &str) -> Self {
                Self { head: head(name), text: Arc::new(Text(name.into())) }
            }

            pub fn as_str(&self) -> &str {
                &self.text.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                match self.head.cmp(&other.head) {
                    Ordering::Equal if Arc::ptr_eq(&self.text, &other.text) => Ordering::Equal,
                    Ordering::Equal => self.as_str().cmp(other.as_str()),
                    unequal => unequal,
                }
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Eq for $name {}

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other).is_eq()
            }
        }

        /// That of the text, which it is looked for by.
        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }

        /// As its text.
        impl BorshSerialize for $name {
            fn serialize<W: borsh::io::Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
                self.text.0.serialize(writer)
            }
        }

        impl BorshDeserialize for $name {
            fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
                let text = Box::<str>::deserialize_reader(reader)?;
                Ok(Self { head: head(&text), text: Arc::new(Text(text)) })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.as_str())
            }
        }
    )+};
}

/// A name's text by one pointer, so that a name is as large as two words: a call keeps many.
struct Text(Box<str>);

/// The first eight bytes as a number that is ordered as they are.
fn head(name: &str) -> u64 {
    let mut first = [0; 8];
    first.iter_mut().zip(name.as_bytes()).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(first)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_compared_and_stored_as_their_texts() {
        let texts =
            ["", "\0", "1", "1001", "1001\0", "10010001", "100100011", "100100012", "班长", "韦"];
        for (n, one) in texts.iter().enumerate() {
            for (m, other) in texts.iter().enumerate() {
                let (a, b) = (AgentNo::new(one), AgentNo::new(other));
                assert_eq!((a.cmp(&b), a == b), (one.cmp(other), n == m), "{one:?} {other:?}");
            }
            let bytes = borsh::to_vec(&AgentNo::new(one)).unwrap();
            assert_eq!(bytes, borsh::to_vec(one).unwrap());
            assert_eq!(borsh::from_slice::<AgentNo>(&bytes).unwrap().as_str(), *one);
        }
    }
}
