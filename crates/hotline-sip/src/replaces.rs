//! Which dialog of ours another takes the place of (RFC 3891).

use crate::text::{split_bare, trim};

/// Call-ID, our tag, the peer's tag.
pub(crate) type Named = (Vec<u8>, Vec<u8>, Vec<u8>);

/// A Replaces header, as its receiver reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Replaces {
    pub(crate) dialog: Named,
    /// Only a call that is not answered yet may be replaced.
    pub(crate) early_only: bool,
}

impl Replaces {
    /// `None`: not one Call-ID with one tag of each side (RFC 3891 §6.1).
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let mut parts = split_bare(value, b';').map(trim);
        let call_id = parts.next().filter(|it| !it.is_empty())?;
        let (mut to_tag, mut from_tag, mut early_only) = (None, None, false);
        for part in parts {
            let mut halves = part.splitn(2, |it| *it == b'=').map(trim);
            let (name, value) = (halves.next()?, halves.next());
            let tag = if name.eq_ignore_ascii_case(b"to-tag") {
                &mut to_tag
            } else if name.eq_ignore_ascii_case(b"from-tag") {
                &mut from_tag
            } else {
                early_only |= name.eq_ignore_ascii_case(b"early-only");
                continue;
            };
            let value = value.filter(|it| !it.is_empty())?;
            if tag.replace(value).is_some() {
                return None;
            }
        }
        let dialog = (call_id.to_vec(), to_tag?.to_vec(), from_tag?.to_vec());
        Some(Self { dialog, early_only })
    }
}

/// The Replaces that names a dialog to its other end.
pub(crate) fn naming((call_id, local_tag, remote_tag): &Named) -> Vec<u8> {
    let parts: [&[u8]; 5] = [call_id, b";to-tag=", remote_tag, b";from-tag=", local_tag];
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Option<(&str, &str, &str, bool)>) {
        let read = Replaces::parse(value.as_bytes());
        let expected = expected.map(|(call_id, to, from, early_only)| Replaces {
            dialog: (call_id.into(), to.into(), from.into()),
            early_only,
        });
        assert_eq!(read, expected, "{value}");
    }

    #[test]
    fn a_dialog_is_named_by_one_tag_of_each_side_in_any_order() {
        check(
            "425928@bobster.example;to-tag=7743;from-tag=6472",
            Some(("425928@bobster.example", "7743", "6472", false)),
        );
        check("a ; From-Tag = 2 ;TO-TAG=1; early-only", Some(("a", "1", "2", true)));
        check("a;to-tag=1;from-tag=2;x=y", Some(("a", "1", "2", false)));
    }

    #[test]
    fn what_names_no_dialog_or_two_is_refused() {
        for it in
            ["", ";to-tag=1;from-tag=2", "a", "a;to-tag=1", "a;from-tag=2", "a;to-tag;from-tag=2"]
        {
            check(it, None);
        }
        check("a;to-tag=1;to-tag=1;from-tag=2", None);
        check("a;to-tag=1;from-tag=2;from-tag=3", None);
    }

    #[test]
    fn the_name_is_the_other_sides() {
        let ours = (b"a@b".to_vec(), b"ours".to_vec(), b"theirs".to_vec());
        let read = Replaces::parse(&naming(&ours)).unwrap();
        assert_eq!(read.dialog, (ours.0, ours.2, ours.1));
    }
}
