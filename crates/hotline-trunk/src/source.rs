//! The addresses a carrier's session border controllers send from.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

/// `ip`, `ip/prefix`, `ip:port` or `[ip]/prefix:port`; IPv6 with a port needs brackets.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Source {
    ip: IpAddr,
    /// How many leading bits count: at most 32, or 128 for IPv6.
    prefix: u8,
    port: Option<u16>,
}

/// The text is not an address, a network or an address with a port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotASource;

impl fmt::Display for NotASource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an address such as 10.0.0.1, 10.0.0.0/24 or 10.0.0.1:5060")
    }
}

impl std::error::Error for NotASource {}

impl Source {
    /// One address, any port.
    pub fn host(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        Self { ip, prefix: width(ip), port: None }
    }

    /// An address that sends from there, for trials.
    pub fn example(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(5060))
    }

    pub fn matches(&self, source: SocketAddr) -> bool {
        self.port.is_none_or(|it| it == source.port()) && self.covers(source.ip())
    }

    /// Whether the address matches, whatever its port.
    pub fn covers(&self, ip: IpAddr) -> bool {
        self.network().covers(ip)
    }

    /// The addresses without the port.
    pub fn network(&self) -> Network {
        let prefix = u32::from(self.prefix) + 128 - u32::from(width(self.ip));
        let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
        Network { is_v4: self.ip.is_ipv4(), bits: bits(self.ip) & mask, mask }
    }

    /// The narrower of two sources that both match knows the peer better.
    pub(crate) const fn narrowness(&self) -> (bool, u8) {
        (self.port.is_some(), self.prefix)
    }
}

impl FromStr for Source {
    type Err = NotASource;

    fn from_str(text: &str) -> Result<Self, NotASource> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::host(ip));
        }
        if let Ok(it) = text.parse::<SocketAddr>() {
            return Ok(Self { port: Some(it.port()), ..Self::host(it.ip()) });
        }
        let (ip, rest) = text.split_once('/').ok_or(NotASource)?;
        let (prefix, port) = match rest.split_once(':') {
            Some((prefix, port)) => (prefix, Some(port.parse().map_err(|_| NotASource)?)),
            None => (rest, None),
        };
        let ip = ip.trim_start_matches('[').trim_end_matches(']');
        let host = Self::host(ip.parse().map_err(|_| NotASource)?);
        let prefix: u8 = prefix.parse().map_err(|_| NotASource)?;
        if prefix > host.prefix {
            return Err(NotASource);
        }
        Ok(Self { prefix, port, ..host })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ip, self.port) {
            (IpAddr::V6(ip), Some(_)) => write!(f, "[{ip}]")?,
            (ip, _) => write!(f, "{ip}")?,
        }
        if self.prefix < width(self.ip) {
            write!(f, "/{}", self.prefix)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

const fn width(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Addresses that share their first bits, for whoever compares very often.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    is_v4: bool,
    bits: u128,
    mask: u128,
}

impl Network {
    pub fn covers(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.is_v4 && bits(ip) & self.mask == self.bits
    }
}

/// IPv4 as IPv6 carries it (RFC 4291 §2.5.5.2), so that both are compared in one way.
const fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(it) => it.to_ipv6_mapped().to_bits(),
        IpAddr::V6(it) => it.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, from: &str, expected: bool) {
        let source: Source = source.parse().unwrap();
        assert_eq!(source.matches(from.parse().unwrap()), expected, "{source} and {from}");
        assert_eq!(source.to_string().parse(), Ok(source));
    }

    #[test]
    fn a_carrier_is_known_by_address_network_or_port() {
        check("10.0.0.1", "10.0.0.1:5060", true);
        check("10.0.0.1", "10.0.0.1:40000", true);
        check("10.0.0.1", "10.0.0.2:5060", false);
        check("10.0.0.1:5060", "10.0.0.1:5060", true);
        check("10.0.0.1:5060", "10.0.0.1:5062", false);
        check("10.0.0.0/24", "10.0.0.255:5060", true);
        check("10.0.0.0/24", "10.0.1.0:5060", false);
        check("10.0.0.0/24:5060", "10.0.0.7:5062", false);
        check("0.0.0.0/0", "198.51.100.1:1", true);
        check("0.0.0.0/0", "[2001:db8::1]:1", false);
        check("::/0", "198.51.100.1:1", false);
        check("::/0", "[2001:db8::1]:1", true);
        check("2001:db8::/32", "[2001:db8:1::9]:5060", true);
        check("2001:db8::/32", "[2001:db9::9]:5060", false);
        check("[2001:db8::1]:5060", "[2001:db8::1]:5060", true);
        check("[2001:db8::]/32:5060", "[2001:db8::1]:5061", false);
    }

    #[test]
    fn an_address_of_four_parts_inside_ipv6_is_the_same_carrier() {
        check("10.0.0.1", "[::ffff:10.0.0.1]:5060", true);
    }

    #[test]
    fn nonsense_is_no_source() {
        for it in ["", "carrier", "10.0.0.1/33", "10.0.0/8", "10.0.0.1/x", "10.0.0.0/24:x"] {
            assert_eq!(it.parse::<Source>(), Err(NotASource), "{it}");
        }
    }
}
