//! The methods the endpoint knows by name.

use borsh::{BorshDeserialize, BorshSerialize};

/// A request method. Methods are case-sensitive (RFC 3261 §7.1).
#[derive(
    BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd,
)]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Info,
    Update,
    Prack,
    Message,
    Subscribe,
    Notify,
    Publish,
    Refer,
    /// A name that no standard we know defines.
    Other,
}

const NAMES: [(Method, &str); 14] = [
    (Method::Invite, "INVITE"),
    (Method::Ack, "ACK"),
    (Method::Bye, "BYE"),
    (Method::Cancel, "CANCEL"),
    (Method::Options, "OPTIONS"),
    (Method::Register, "REGISTER"),
    (Method::Info, "INFO"),
    (Method::Update, "UPDATE"),
    (Method::Prack, "PRACK"),
    (Method::Message, "MESSAGE"),
    (Method::Subscribe, "SUBSCRIBE"),
    (Method::Notify, "NOTIFY"),
    (Method::Publish, "PUBLISH"),
    (Method::Refer, "REFER"),
];

impl Method {
    pub fn of(name: &[u8]) -> Self {
        NAMES.iter().find(|it| it.1.as_bytes() == name).map_or(Self::Other, |it| it.0)
    }

    /// The name on the wire; `UNKNOWN` for [`Method::Other`].
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|it| it.0 == self).map_or("UNKNOWN", |it| it.1)
    }
}
