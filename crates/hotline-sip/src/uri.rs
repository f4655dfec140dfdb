//! A SIP, SIPS or tel URI (RFC 3261 §19.1, RFC 3966).

use std::borrow::Cow;

use crate::text::{
    decode, decoded, is_beside_uri, is_host, number, shown, slice, split_bare, trim, unescape,
};

/// A URI in parts, for reading. What is echoed or sent on is always the original text.
#[derive(Clone, Debug, Default)]
pub struct Uri<'a> {
    /// In lower case.
    pub scheme: Cow<'static, str>,
    /// Without password, parameters (`;phone-context=…`) and escapes, made visible as
    /// [`visible`](crate::visible) does. The number of a `tel:` URI.
    pub user: Cow<'a, str>,
    /// In lower case; an IPv6 address without its brackets. Schemes other than `sip`, `sips` and
    /// `tel` keep everything after the colon here.
    pub host: Cow<'a, str>,
    pub port: Option<u16>,
    /// From the first `;` on.
    params: &'a [u8],
}

impl<'a> Uri<'a> {
    /// `None`: no scheme, a space, or a host that cannot be one.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (scheme, rest) = split_scheme(bytes)?;
        match known(scheme) {
            Some("tel") => Some(Self::parse_tel(rest)),
            Some(scheme) => Self::parse_sip(scheme, rest),
            None => {
                let scheme = decode(scheme).to_ascii_lowercase().into();
                Some(Self { scheme, host: decoded(rest), ..Self::default() })
            }
        }
    }

    /// Whether [`parse`](Self::parse) takes it. Copies nothing.
    pub(crate) fn is_one(bytes: &[u8]) -> bool {
        split_scheme(bytes).is_some_and(|(scheme, rest)| {
            let is_sip = matches!(known(scheme), Some("sip" | "sips"));
            !is_sip || host_port(split_sip(rest).1).is_some()
        })
    }

    /// Whether it is one that calls: `sip`, `sips` or `tel`. Copies nothing.
    pub(crate) fn is_to_call(bytes: &[u8]) -> bool {
        Self::is_one(bytes) && split_scheme(bytes).is_some_and(|it| known(it.0).is_some())
    }

    fn parse_sip(scheme: &'static str, rest: &'a [u8]) -> Option<Self> {
        let (user, host, params) = split_sip(rest);
        let (host, port) = host_port(host)?;
        let (user, mut host) = (readable(user), decoded(host));
        if host.bytes().any(|it| it.is_ascii_uppercase()) {
            host.to_mut().make_ascii_lowercase();
        }
        Some(Self { scheme: scheme.into(), user, host, port, params })
    }

    fn parse_tel(rest: &'a [u8]) -> Self {
        let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
        let (number, params) = (slice(rest, 0, end), rest.get(end..).unwrap_or_default());
        // RFC 3966 §3: visual separators mean nothing.
        let is_digit = |it: &u8| !matches!(it, b'-' | b'.' | b'(' | b')');
        let user = if number.iter().all(is_digit) {
            readable(number)
        } else {
            let digits: Vec<_> = number.iter().copied().filter(is_digit).collect();
            readable(&digits).into_owned().into()
        };
        Self { scheme: "tel".into(), user, params, ..Self::default() }
    }

    /// A parameter's value, `name` in lower case; `Some("")` for a parameter without one.
    pub fn param(&self, name: &str) -> Option<String> {
        Some(self.params().find(|it| it.0 == name)?.1.unwrap_or_default())
    }

    /// Each parameter and its value; names in lower case.
    pub fn params(&self) -> impl Iterator<Item = (String, Option<String>)> {
        split_bare(self.params, b';').map(|it| {
            let end = memchr::memchr(b'=', it).unwrap_or(it.len());
            let value = it.get(end.saturating_add(1)..).map(|it| decode(&unescape(it)));
            let mut name = decode(slice(it, 0, end));
            name.make_ascii_lowercase();
            (name, value)
        })
    }
}

impl PartialEq for Uri<'_> {
    fn eq(&self, other: &Self) -> bool {
        let parts = |it: &Self| (it.scheme.clone(), it.port);
        parts(self) == parts(other)
            && (&self.user, &self.host) == (&other.user, &other.host)
            && self.params().eq(other.params())
    }
}

/// A name in a URI, without its escapes.
fn readable(bytes: &[u8]) -> Cow<'_, str> {
    match unescape(bytes) {
        Cow::Borrowed(it) => shown(decoded(it)),
        Cow::Owned(it) => shown(decoded(&it)).into_owned().into(),
    }
}

/// The schemes of what can be called.
fn known(scheme: &[u8]) -> Option<&'static str> {
    ["sip", "sips", "tel"].into_iter().find(|it| scheme.eq_ignore_ascii_case(it.as_bytes()))
}

/// The scheme and what stands behind its colon.
fn split_scheme(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let bytes = trim(bytes);
    if bytes.iter().any(|it| is_beside_uri(*it)) {
        return None;
    }
    let colon = memchr::memchr(b':', bytes)?;
    let (scheme, rest) = (slice(bytes, 0, colon), bytes.get(colon.saturating_add(1)..)?);
    let well_named = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'+' | b'-' | b'.'));
    (well_named && !rest.is_empty()).then_some((scheme, rest))
}

/// User, host with port, and parameters with their first `;`.
fn split_sip(rest: &[u8]) -> (&[u8], &[u8], &[u8]) {
    // The last @ before parameters and headers of the URI; a user may hold ; and ?.
    let (user, after) = match memchr::memrchr(b'@', rest) {
        Some(at) => (slice(rest, 0, at), rest.get(at.saturating_add(1)..).unwrap_or_default()),
        None => (&[][..], rest),
    };
    let user = user.split(|it| matches!(it, b':' | b';')).next().unwrap_or_default();
    let after = after.split(|it| *it == b'?').next().unwrap_or_default();
    let host_end = memchr::memchr(b';', after).unwrap_or(after.len());
    (user, slice(after, 0, host_end), after.get(host_end..).unwrap_or_default())
}

/// `host`, `host:port`, `[v6]:port`; an IPv6 address without its brackets.
pub(crate) fn host_port(bytes: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let bytes = trim(bytes);
    let (host, rest) = if bytes.first() == Some(&b'[') {
        let end = memchr::memchr(b']', bytes)?;
        (slice(bytes, 1, end), bytes.get(end.saturating_add(1)..)?)
    } else {
        let end = memchr::memchr(b':', bytes).unwrap_or(bytes.len());
        (slice(bytes, 0, end), bytes.get(end..)?)
    };
    let host = trim(host);
    if host.is_empty() || !host.iter().all(|it| is_host(*it)) {
        return None;
    }
    let port = match trim(rest).strip_prefix(b":") {
        Some(port) => Some(number(port)?),
        None if trim(rest).is_empty() => None,
        None => return None,
    };
    Some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, user: &str, host: &str, port: Option<u16>) {
        let it = Uri::parse(text.as_bytes()).unwrap();
        assert_eq!((&*it.user, &*it.host, it.port), (user, host, port), "{text}");
    }

    #[test]
    fn every_form_of_a_called_number_is_read() {
        check("sip:12345@10.0.0.1", "12345", "10.0.0.1", None);
        check("SIP:077112345@Ims.Example:5080;user=phone", "077112345", "ims.example", Some(5080));
        check("sip:+8677112345;phone-context=cn@h", "+8677112345", "h", None);
        check(
            "sip:1001:secret@[2001:db8::1]:5070;transport=tcp",
            "1001",
            "2001:db8::1",
            Some(5070),
        );
        check("tel:+86-138-0013-8000;phone-context=cn", "+8613800138000", "", None);
        check("sip:%31001@h?Subject=x", "1001", "h", None);
        check("sip:host.example", "", "host.example", None);
        check("sip:user;par=u%40example.net@h", "user", "h", None);
    }

    #[test]
    fn an_unknown_scheme_is_kept_so_that_it_can_be_refused_with_416() {
        let it = Uri::parse(b"nobodyKnowsThisScheme:totallyopaquecontent").unwrap();
        assert_eq!(it.scheme, "nobodyknowsthisscheme");
    }

    #[test]
    fn nonsense_is_no_uri() {
        for it in ["", "sip:", "12345", "<sip:a@b>", "sip:a@b c", "sip:a@b:99999", "sip:a@", ":x"] {
            assert_eq!(Uri::parse(it.as_bytes()), None, "{it}");
        }
    }

    #[test]
    fn parameters_are_found_without_regard_to_case() {
        let it = Uri::parse(b"sip:a@b;Transport=TCP;lr").unwrap();
        assert_eq!(
            (it.param("transport"), it.param("lr"), it.param("x")),
            (Some("TCP".to_owned()), Some(String::new()), None)
        );
    }
}
