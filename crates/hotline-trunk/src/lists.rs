//! 黑名单 and VIP: who is on a list, and what that means for a call.
//!
//! Lists are asked by the flow's `check_list` node and by nothing else. Whatever moves a call on by
//! another road (a transfer by an agent, an emergency transfer to 110) never comes by here, and so
//! is never held up by a list.

use std::{collections::BTreeMap, fmt};

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::{Pii, WallTime};

/// What happens to a listed caller. The flow says how.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum ListAction {
    /// The call ends.
    Reject,
    /// A notice, and then the call goes on.
    Announce,
    /// The call goes on behind all others.
    LowPriority,
    /// The caller may leave a message.
    Voicemail,
    /// VIP: the call goes on before others.
    Prefer,
}

impl ListAction {
    pub const ALL: [Self; 5] =
        [Self::Reject, Self::Announce, Self::LowPriority, Self::Voicemail, Self::Prefer];

    /// As flows and the API write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Announce => "announce",
            Self::LowPriority => "low_priority",
            Self::Voicemail => "voicemail",
            Self::Prefer => "prefer",
        }
    }

    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// One line of a list that is in force: approved, though perhaps expired.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct ListEntry {
    pub id: u64,
    /// `blacklist`, `vip`.
    pub list: String,
    /// GB/T 2260; empty: everywhere.
    pub city: String,
    /// Normalised, or the beginning of normalised numbers.
    pub number: Pii<String>,
    pub is_prefix: bool,
    pub action: ListAction,
    /// 0–9, 9 first.
    pub priority: Option<u8>,
    /// The group that shall take the call.
    pub group: Option<String>,
    /// Not from then on; `None`: for good.
    pub expires: Option<WallTime>,
}

/// All lists, for look-up. Made where it may take time; the control thread takes it as it is.
#[derive(BorshDeserialize, BorshSerialize, Clone, Default, Eq, PartialEq)]
pub struct Lists {
    /// By list and number or beginning of numbers.
    by_number: BTreeMap<(String, String), Vec<ListEntry>>,
    n: usize,
}

/// The most entries that are kept in memory.
pub const ENTRIES_MAX: usize = 20_000;

/// The longest normalised number.
const DIGITS_MAX: usize = 22;

impl Lists {
    /// Entries beyond [`ENTRIES_MAX`] are left out.
    pub fn new(entries: impl IntoIterator<Item = ListEntry>) -> Self {
        let mut it = Self::default();
        for entry in entries.into_iter().take(ENTRIES_MAX) {
            let key = (entry.list.clone(), entry.number.reveal().clone());
            it.by_number.entry(key).or_default().push(entry);
            it.n += 1;
        }
        it
    }

    pub const fn len(&self) -> usize {
        self.n
    }

    pub const fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The entry that knows the caller best: the whole number before the longest beginning, the
    /// city before everywhere, the older entry before the younger.
    pub fn find(&self, list: &str, number: &str, city: &str, at: WallTime) -> Option<&ListEntry> {
        if number.len() > DIGITS_MAX {
            return None;
        }
        let mut key = (list.to_owned(), number.to_owned());
        while !key.1.is_empty() {
            let whole = key.1.len() == number.len();
            let entries = self.by_number.get(&key).into_iter().flatten();
            let fits = entries
                .filter(|it| it.is_prefix || whole)
                .filter(|it| it.city.is_empty() || it.city == city)
                .filter(|it| it.expires.is_none_or(|end| at < end));
            let best = fits.min_by_key(|it| (it.is_prefix, it.city.is_empty(), it.id));
            if best.is_some() {
                return best;
            }
            key.1.pop();
        }
        None
    }
}

/// Nobody's number is printed.
impl fmt::Debug for Lists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lists").field("n", &self.n).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime(1_000_000);

    fn entry(id: u64, number: &str) -> ListEntry {
        ListEntry {
            id,
            list: "blacklist".to_owned(),
            city: String::new(),
            number: Pii::new(number.to_owned()),
            is_prefix: false,
            action: ListAction::Reject,
            priority: None,
            group: None,
            expires: None,
        }
    }

    fn prefix(id: u64, number: &str) -> ListEntry {
        ListEntry { is_prefix: true, ..entry(id, number) }
    }

    #[track_caller]
    fn check(entries: &[ListEntry], number: &str, city: &str, expected: Option<u64>) {
        let lists = Lists::new(entries.iter().cloned());
        let found = lists.find("blacklist", number, city, NOW).map(|it| it.id);
        assert_eq!(found, expected, "{number} in {city:?}");
        assert_eq!(lists.find("vip", number, city, NOW), None);
    }

    #[test]
    fn a_number_is_found_whole_or_by_its_beginning() {
        check(&[entry(1, "13800138000")], "13800138000", "450100", Some(1));
        check(&[entry(1, "1380013")], "13800138000", "450100", None);
        check(&[prefix(1, "1380013")], "13800138000", "450100", Some(1));
        check(&[prefix(1, "1380013")], "1380013", "450100", Some(1));
        check(&[prefix(1, "138"), prefix(2, "13800")], "13800138000", "450100", Some(2));
        check(&[prefix(1, "13800"), entry(2, "13800138000")], "13800138000", "", Some(2));
        check(&[entry(1, "13800138000")], "", "450100", None);
    }

    #[test]
    fn an_entry_of_a_city_is_for_that_city() {
        let nanning = ListEntry { city: "450100".to_owned(), ..entry(2, "13800138000") };
        let all = [entry(1, "13800138000"), nanning.clone()];
        check(&all, "13800138000", "450100", Some(2));
        check(&all, "13800138000", "450200", Some(1));
        check(&[nanning], "13800138000", "450200", None);
    }

    #[test]
    fn an_expired_entry_is_not_there() {
        let until = |at| ListEntry { expires: Some(WallTime(at)), ..entry(1, "13800138000") };
        check(&[until(NOW.0 + 1)], "13800138000", "", Some(1));
        check(&[until(NOW.0)], "13800138000", "", None);
        let shorter = ListEntry { id: 2, ..prefix(2, "138") };
        check(&[until(NOW.0), shorter], "13800138000", "", Some(2));
    }

    #[test]
    fn lists_come_back_from_bytes_as_they_were_and_print_no_number() {
        let lists = Lists::new([entry(1, "13800138000"), prefix(2, "0771")]);
        let bytes = borsh::to_vec(&lists).unwrap();
        assert_eq!(borsh::from_slice::<Lists>(&bytes).unwrap(), lists);
        assert!(!format!("{lists:?}{:?}", entry(1, "13800138000")).contains("138"));
    }
}
