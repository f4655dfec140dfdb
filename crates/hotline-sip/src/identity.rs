//! Who calls, as an INVITE says it beyond From, and where the call comes from.

use std::borrow::Cow;

use hotline_base::Pii;

use crate::{
    Diverted, Message, NameAddr, Uri,
    text::{decode, slice, unescape, unquote, visible},
};

/// Longer User-to-User is no user's data (RFC 7433 §4.1 has 128 octets in hexadecimal).
const USER_TO_USER_MAX: usize = 512;

/// User of the first value of a header such as P-Asserted-Identity that names somebody.
pub(crate) fn named(message: &Message, header: &str) -> Option<Pii<String>> {
    named_user(message, header).map(Pii::new)
}

/// The same of a header that names no person.
pub(crate) fn named_user(message: &Message, header: &str) -> Option<String> {
    let users = message.values(header).filter_map(NameAddr::parse).filter_map(|it| it.uri());
    let mut users = users.map(|it| it.user);
    let somebody = users.find(|it| !it.is_empty() && !it.eq_ignore_ascii_case("anonymous"));
    somebody.map(Cow::into_owned)
}

/// Whether the caller asked not to be shown.
pub(crate) fn wants_privacy(message: &Message) -> bool {
    let has = |name: &str| {
        message
            .headers("Privacy")
            .flat_map(|it| it.split(|it| matches!(it, b';' | b',')))
            .any(|it| it.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    };
    (has("id") || has("user")) && !has("none")
}

/// The first address the call was aimed at. Diversions are written newest first (RFC 5806 §4),
/// histories oldest first (RFC 7044 §5).
pub(crate) fn diverted(message: &Message) -> Option<Diverted> {
    let oldest = message.values("Diversion").filter_map(NameAddr::parse).last();
    if let Some(it) = oldest {
        let from = it.uri().map(|it| it.user).filter(|it| !it.is_empty())?;
        let reason = it.params.get("reason").map(|it| visible(decode(&unquote(it))));
        let reason = reason.unwrap_or_default();
        return Some(Diverted { from: Pii::new(from.into_owned()), reason });
    }
    let mut history = message.values("History-Info").filter_map(NameAddr::parse);
    let first = history.next()?;
    // One entry is where the call is now.
    history.next()?;
    // The URI carries why it was left as a header: `?Reason=SIP%3Bcause%3D486`.
    let (uri, headers) = match memchr::memchr(b'?', first.uri) {
        Some(at) => (slice(first.uri, 0, at), slice(first.uri, at, first.uri.len())),
        None => (first.uri, &[][..]),
    };
    let from = Uri::parse(uri).map(|it| it.user).filter(|it| !it.is_empty())?;
    let headers = decode(&unescape(headers)).to_ascii_lowercase();
    let cause = headers.split("cause=").nth(1).unwrap_or_default();
    let reason = cause.chars().take_while(char::is_ascii_digit).collect();
    Some(Diverted { from: Pii::new(from.into_owned()), reason })
}

pub(crate) fn user_to_user(message: &Message) -> Option<Pii<String>> {
    let value = message.header("User-to-User")?;
    (!value.is_empty() && value.len() <= USER_TO_USER_MAX).then(|| Pii::new(visible(decode(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(more: &str) -> Message {
        let text = format!(
            "INVITE sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\n\
             From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{more}\r\n"
        );
        Message::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_identity_that_names_somebody_is_taken() {
        let it = |more| named(&message(more), "P-Asserted-Identity").map(|it| it.reveal().clone());
        let both = "P-Asserted-Identity: <sip:ims.example>, \"x\" <tel:+86-138-0013-8000>\r\n";
        assert_eq!(it(both).as_deref(), Some("+8613800138000"));
        let two = "P-Asserted-Identity: <sip:Anonymous@h>\r\nP-Asserted-Identity: <sip:110@h>\r\n";
        assert_eq!(it(two).as_deref(), Some("110"));
        assert_eq!(it("P-Asserted-Identity: <sip:h\r\n"), None);
    }

    #[test]
    fn privacy_is_asked_for_in_two_ways_and_taken_back_in_one() {
        let it = |value: &str| wants_privacy(&message(&format!("Privacy: {value}\r\n")));
        assert!(it("id") && it("header; user") && it("critical;ID"));
        assert!(!it("none") && !it("session") && !it("id;none"));
    }

    #[test]
    fn the_number_first_dialled_is_found_in_either_header() {
        let it = |more| diverted(&message(more)).map(|it| (it.from.reveal().clone(), it.reason));
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        let newest_first = "Diversion: <tel:+867715550001>;reason=no-answer, \
                            <sip:07715550000@h>;reason=\"user-busy\";counter=1\r\n";
        assert_eq!(it(newest_first), pair("07715550000", "user-busy"));
        let history = "History-Info: <sip:0771@h?Reason=SIP%3Bcause%3D486>;index=1, \
                       <sip:12345@h>;index=1.1\r\n";
        assert_eq!(it(history), pair("0771", "486"));
        assert_eq!(it("History-Info: <sip:12345@h>;index=1\r\n"), None);
        assert_eq!(it("Diversion: <sip:h>\r\n"), None);
        assert_eq!(it(""), None);
    }

    #[test]
    fn user_data_is_kept_as_it_came_unless_it_is_too_long() {
        let it = |value: &str| {
            let found = user_to_user(&message(&format!("User-to-User: {value}\r\n")));
            found.map(|it| it.reveal().clone())
        };
        assert_eq!(it("04;encoding=hex").as_deref(), Some("04;encoding=hex"));
        assert_eq!(it(&"0".repeat(513)), None);
    }
}
