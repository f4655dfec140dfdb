//! Values of headers, read where they lie: nothing is copied until it is asked for.

use std::net::IpAddr;

use crate::{
    Uri,
    text::{decode, find_bare, is_token, number, slice, split_bare, trim, unquote, visible},
    uri::host_port,
};

/// Parameters behind a `;`, in the order of the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Params<'a>(&'a [u8]);

impl<'a> Params<'a> {
    /// What stands behind a value, from the first `;` on.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The raw value (still quoted, if it was); empty for a parameter without one.
    pub fn get(self, name: &str) -> Option<&'a [u8]> {
        self.plain(name).or_else(|| self.get_any(name))
    }

    /// The usual case without a search for quotes: tokens with nothing beside them, as far as the
    /// one that is meant.
    fn plain(self, name: &str) -> Option<&'a [u8]> {
        let mut rest = self.0;
        loop {
            let (own, after) = token(rest.strip_prefix(b";")?);
            let (value, after) = match after.strip_prefix(b"=") {
                Some(it) => token(it),
                None => (&[][..], after),
            };
            if !(after.is_empty() || after.starts_with(b";")) {
                return None;
            }
            if own.eq_ignore_ascii_case(name.as_bytes()) {
                return Some(value);
            }
            rest = after;
        }
    }

    fn get_any(self, name: &str) -> Option<&'a [u8]> {
        self.iter().find(|it| it.0.eq_ignore_ascii_case(name.as_bytes())).map(|it| it.1)
    }

    /// Their length on the wire, with the first `;`.
    pub(crate) const fn n_bytes(self) -> usize {
        self.0.len()
    }

    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        split_bare(self.0, b';').map(|it| {
            let end = find_bare(it, b'=', false).unwrap_or(it.len());
            (trim(slice(it, 0, end)), trim(it.get(end.saturating_add(1)..).unwrap_or_default()))
        })
    }
}

/// What begins with a token: the token, and what follows it.
fn token(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|it| !is_token(*it)).unwrap_or(bytes.len()))
}

/// From, To, Contact, Route, Record-Route, P-Asserted-Identity (RFC 3261 §20.10).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NameAddr<'a> {
    display: &'a [u8],
    pub uri: &'a [u8],
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// One value; lists are split before. `None`: an unclosed quote or bracket, or no URI.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let value = trim(value);
        let it = if let Some(open) = find_bare(value, b'<', false) {
            let rest = value.get(open.saturating_add(1)..)?;
            let close = memchr::memchr(b'>', rest)?;
            let params = trim(rest.get(close.saturating_add(1)..)?);
            if !(params.is_empty() || params.starts_with(b";")) {
                return None;
            }
            Self {
                display: trim(slice(value, 0, open)),
                uri: trim(slice(rest, 0, close)),
                params: Params(params),
            }
        } else {
            // RFC 3261 §20: without brackets every parameter belongs to the header.
            let end = find_bare(value, b';', false).unwrap_or(value.len());
            if slice(value, 0, end).contains(&b'"') {
                return None;
            }
            Self {
                display: &[],
                uri: trim(slice(value, 0, end)),
                params: Params(value.get(end..).unwrap_or_default()),
            }
        };
        (!it.uri.is_empty()).then_some(it)
    }

    /// The display name in characters, whatever its encoding, made [`visible`].
    pub fn display(&self) -> String {
        visible(decode(&unquote(self.display)))
    }

    pub fn uri(&self) -> Option<Uri<'a>> {
        Uri::parse(self.uri)
    }

    /// The tag of a From or To; empty when there is none (RFC 2543).
    pub fn tag(&self) -> &'a [u8] {
        self.params.get("tag").unwrap_or_default()
    }
}

/// One hop (RFC 3261 §20.42).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, …
    pub transport: &'a [u8],
    /// As the peer wrote it; an IPv6 address without its brackets.
    pub host: &'a [u8],
    pub port: Option<u16>,
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let end = find_bare(value, b';', false).unwrap_or(value.len());
        let sent = trim(slice(value, 0, end));
        // "SIP / 2.0 / UDP host:port": white space is permitted around the slashes.
        let mut parts = sent.splitn(3, |it| *it == b'/');
        let (name, version, rest) = (parts.next()?, parts.next()?, trim(parts.next()?));
        if !trim(name).eq_ignore_ascii_case(b"SIP") || trim(version) != b"2.0" {
            return None;
        }
        let gap = rest.iter().position(u8::is_ascii_whitespace)?;
        let (host, port) = host_port(rest.get(gap..)?)?;
        let params = Params(value.get(end..).unwrap_or_default());
        let transport = slice(rest, 0, gap);
        // What is no token comes back as something else in our reply: a zero byte as a blank.
        transport.iter().all(|it| is_token(*it)).then_some(Self { transport, host, port, params })
    }

    /// `None`: a name, or nonsense.
    pub fn host_ip(&self) -> Option<IpAddr> {
        std::str::from_utf8(self.host).ok()?.parse().ok()
    }

    /// Empty when there is none.
    pub fn branch(&self) -> &'a [u8] {
        self.params.get("branch").unwrap_or_default()
    }
}

/// A request's number in its dialog, and its method (RFC 3261 §20.16).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CSeq<'a> {
    /// Below 2^31 (RFC 3261 §8.1.1.5).
    pub number: u32,
    pub method: &'a [u8],
}

impl<'a> CSeq<'a> {
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let value = trim(value);
        let gap = value.iter().position(u8::is_ascii_whitespace)?;
        let digits: u32 = number(slice(value, 0, gap))?;
        let method = trim(value.get(gap..)?);
        let good = digits < 1 << 31 && method.iter().all(|it| is_token(*it));
        good.then_some(Self { number: digits, method })
    }
}

/// The Q.850 cause of a `Reason` header (RFC 3326), among others such as `SIP;cause=…`.
pub(crate) fn q850<'a>(reasons: impl Iterator<Item = &'a [u8]>) -> Option<u16> {
    reasons.flat_map(|it| split_bare(it, b',')).find_map(|it| {
        let end = find_bare(it, b';', false)?;
        let protocol = trim(slice(it, 0, end));
        if !protocol.eq_ignore_ascii_case(b"Q.850") {
            return None;
        }
        number(Params(it.get(end..)?).get("cause")?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_commas_brackets_and_escaped_quotes_stays_whole() {
        let it = NameAddr::parse(b"\"Zhang, San; <x> \\\"a\\\"\" <sip:1@h;x=1>;tag=77").unwrap();
        assert_eq!(it.display(), "Zhang, San; <x> \"a\"");
        assert_eq!((it.uri, it.tag()), (&b"sip:1@h;x=1"[..], &b"77"[..]));
    }

    #[test]
    fn without_brackets_parameters_belong_to_the_header() {
        let it = NameAddr::parse(b"sip:1@h;tag=9").unwrap();
        assert_eq!((it.uri, it.tag()), (&b"sip:1@h"[..], &b"9"[..]));
    }

    #[test]
    fn a_gbk_display_name_costs_nothing() {
        let it = NameAddr::parse(b"\xD5\xC5\xC8\xFD <sip:1@h>;tag=1").unwrap();
        assert_eq!((it.display().as_str(), it.tag()), ("张三", &b"1"[..]));
    }

    #[test]
    fn a_parameter_is_found_in_whatever_place_and_dress() {
        let check = |text: &'static str, value: Option<&str>| {
            let params = Params::new(text.as_bytes());
            assert_eq!(params.get("tag"), value.map(str::as_bytes), "{text}");
        };
        check(";tag=a1", Some("a1"));
        check(";TAG=a1;x=2", Some("a1"));
        check(";tag=", Some(""));
        check(";tag", Some(""));
        check(";tag=a1 ;x", Some("a1"));
        check("; tag = a1", Some("a1"));
        check(";tag=a@b;x", Some("a@b"));
        check(";tag=\"a;b\"", Some("\"a;b\""));
        check(";tagged=1;tag=2", Some("2"));
        check(";rport;x=1;TAG=2;tag=3", Some("2"));
        check(";;=x;tag=2", Some("2"));
        check(";x;y=\"z\";tag=2", Some("2"));
        check(";x;y=z", None);
        check(";x=\";tag=1\"", None);
        check("", None);
    }

    #[test]
    fn unclosed_quotes_and_brackets_are_refused() {
        for it in ["\"abc <sip:1@h>", "<sip:1@h", "", "<>", "<sip:1@h> x"] {
            assert_eq!(NameAddr::parse(it.as_bytes()), None, "{it}");
        }
    }

    #[test]
    fn a_contact_with_an_instance_in_quotes_is_read() {
        let value = b"<sip:1@h>;+sip.instance=\"<urn:uuid:0-1;2>\";expires=60";
        assert_eq!(NameAddr::parse(value).unwrap().params.get("expires"), Some(&b"60"[..]));
    }

    #[test]
    fn a_via_with_spaces_and_ipv6_is_read() {
        let it =
            Via::parse(b"SIP / 2.0 / UDP  [2001:db8::9:1]:5070;rport ; branch=z9hG4bKx").unwrap();
        assert_eq!(
            (it.transport, it.host, it.port),
            (&b"UDP"[..], &b"2001:db8::9:1"[..], Some(5070))
        );
        assert_eq!((it.branch(), it.params.get("rport")), (&b"z9hG4bKx"[..], Some(&b""[..])));
        assert_eq!(Via::parse(b"SIP/2.0/UDP"), None);
        assert_eq!(Via::parse(b"SIP/2.0/U\0P 192.0.2.1;branch=z9hG4bKx"), None);
    }

    #[test]
    fn a_sequence_number_of_33_bits_is_refused() {
        assert_eq!(CSeq::parse(b"1 INVITE").map(|it| it.number), Some(1));
        for it in ["2147483648 INVITE", "36893488147419103232 REGISTER", "-1 BYE", "1", "x BYE"] {
            assert_eq!(CSeq::parse(it.as_bytes()), None, "{it}");
        }
    }

    #[test]
    fn the_cause_of_the_exchange_is_found_among_reasons() {
        let values = [&b"SIP;cause=487, Q.850 ; cause=16 ;text=\"a;b\""[..]];
        assert_eq!(q850(values.into_iter()), Some(16));
        assert_eq!(q850([&b"SIP;cause=200"[..]].into_iter()), None);
    }
}
