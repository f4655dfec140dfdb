//! A key of a telephone.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};

/// One of `0`–`9`, `*`, `#`, `A`–`D` (RFC 4733 §3.2, events 0–15).
#[derive(
    BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd,
)]
pub struct Key(u8);

/// The character or event code is not a telephone key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotAKey;

const KEYS: &[u8; 16] = b"0123456789*#ABCD";

impl Key {
    pub const ONE: Self = Self(1);

    /// From an RFC 4733 event code, 0–15.
    pub const fn from_event(code: u8) -> Option<Self> {
        if code < 16 { Some(Self(code)) } else { None }
    }

    /// The RFC 4733 event code, 0–15.
    pub const fn event(self) -> u8 {
        self.0
    }

    pub fn as_char(self) -> char {
        KEYS.get(usize::from(self.0)).map_or('?', |it| char::from(*it))
    }
}

impl TryFrom<char> for Key {
    type Error = NotAKey;

    fn try_from(it: char) -> Result<Self, NotAKey> {
        let upper = it.to_ascii_uppercase();
        let at = KEYS.iter().position(|key| char::from(*key) == upper).ok_or(NotAKey)?;
        u8::try_from(at).map(Self).map_err(|_| NotAKey)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_char())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_survives_the_way_to_its_event_code_and_back() {
        for it in "0123456789*#ABCD".chars() {
            let key = Key::try_from(it).unwrap();
            assert_eq!(Key::from_event(key.event()), Some(key));
            assert_eq!(key.as_char(), it);
        }
        assert_eq!(Key::try_from('E'), Err(NotAKey));
        assert_eq!(Key::from_event(16), None);
    }
}
