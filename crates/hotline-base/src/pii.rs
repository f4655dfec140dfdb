//! Personal data that cannot be printed by accident.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};

/// A number, a name or recognised speech of a person. `Debug` and `Display` print `[pii]`; the
/// only way in is [`reveal`](Self::reveal), whose call sites a test lists.
#[derive(BorshDeserialize, BorshSerialize, Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Pii<T>(T);

impl<T> Pii<T> {
    pub const fn new(it: T) -> Self {
        Self(it)
    }

    pub const fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[pii]")
    }
}

impl<T> fmt::Display for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[pii]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_printed() {
        let number = Pii::new("13800138000".to_owned());
        assert_eq!(format!("{number} {number:?}"), "[pii] [pii]");
        assert_eq!(number.reveal(), "13800138000");
    }
}
