//! `[sip]`: listening addresses, registrar, limits of the signalling edge.

use std::{
    fs::File,
    io::{self, Read as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use hotline_net::Flood;
use hotline_sip::{Config, NameAddr};
use hotline_switchboard::Srtp;
use hotline_trunk::{OverloadConfig, Source};
use sha2::{Digest as _, Sha256};

use crate::section::Section;

#[derive(Debug)]
pub(crate) struct Sip {
    pub(crate) listen_udp: Vec<SocketAddr>,
    pub(crate) listen_tcp: Vec<SocketAddr>,
    pub(crate) listen_tls: Vec<SocketAddr>,
    pub(crate) listen_ws: Vec<SocketAddr>,
    pub(crate) listen_wss: Vec<SocketAddr>,
    pub(crate) config: Config,
    pub(crate) net: hotline_net::Config,
    pub(crate) overload: OverloadConfig,
    pub(crate) srtp: Srtp,
}

impl Sip {
    /// Every address that is listened at.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = &SocketAddr> {
        let streams = [&self.listen_tcp, &self.listen_tls, &self.listen_ws, &self.listen_wss];
        self.listen_udp.iter().chain(streams.into_iter().flatten())
    }
}

pub(crate) fn read(root: &Section<'_, '_>) -> Sip {
    let it = root.section("sip");
    let old = Config::new("hotline", Ipv4Addr::LOCALHOST.into(), [0; 32]);
    let mut sip = Sip {
        listen_udp: addresses(&it, "listen_udp"),
        listen_tcp: addresses(&it, "listen_tcp"),
        listen_tls: addresses(&it, "listen_tls"),
        listen_ws: addresses(&it, "listen_ws"),
        listen_wss: addresses(&it, "listen_wss"),
        config: old,
        net: net(&it),
        overload: overload(&it.section("overload")),
        srtp: srtp(&it).unwrap_or_default(),
    };
    if sip.listeners().next().is_none() {
        it.complain("listen_udp", "没有监听地址", "写 listen_udp = [\"0.0.0.0:5060\"]");
    }
    let advertised = advertised(&it, sip.listeners().copied());
    let secret = secret(&it);
    let mut config = Config::new(&it.text_or("realm", "hotline"), advertised, secret);
    config.user_agent = it.text_or("user_agent", "hotline");
    config.expires_min = it.secs_or("expires_min_secs", 60, 10..=3_600);
    config.expires_max = it.secs_or("expires_max_secs", 3_600, 60..=86_400);
    if config.expires_min > config.expires_max {
        it.complain("expires_min_secs", "大于 expires_max_secs", "把两者对调");
    }
    config.advertised_v6 = advertised_v6(&it, &config, sip.listeners());
    registrar(&it, &mut config);
    session_timers(&it, &mut config);
    // Read with the agents, because it holds their telephones' passwords.
    it.text("accounts_file");
    it.bool_or("auto_answer", false);
    // Read with the trunks, some of which must show a certificate.
    it.section("tls");
    it.end();
    sip.config = config;
    sip
}

/// `srtp`: to which telephones audio travels encrypted.
pub(super) fn srtp(it: &Section<'_, '_>) -> Option<Srtp> {
    let word = it.text("srtp")?;
    match word.value.as_str() {
        "off" => Some(Srtp::Off),
        "browsers" => Some(Srtp::Browsers),
        "tls" => Some(Srtp::Tls),
        other => {
            it.complain("srtp", format!("{other:?} 不认识"), "可写：off、browsers、tls");
            None
        }
    }
}

/// Keys about telephones that register.
fn registrar(it: &Section<'_, '_>, config: &mut Config) {
    let spread = it.number_or("expires_spread_percent", 20, 0..=50);
    config.expires_spread = u8::try_from(spread).unwrap_or(50);
    let contacts = it.number_or("contacts_max", 4, 1..=16);
    config.contacts_max = usize::try_from(contacts).unwrap_or(16);
    config.probe_every = it.secs_or("probe_secs", 30, 0..=3_600);
    if (1..10).contains(&config.probe_every.as_secs()) {
        it.complain("probe_secs", "探测太密", "写 0（不探测），或 10 以上，如 30");
    }
    for route in it.texts("service_route").unwrap_or_default() {
        if NameAddr::parse(route.value.as_bytes()).and_then(|it| it.uri()).is_none() {
            let text = format!("{:?} 不是 SIP 地址", route.value);
            it.complain_at(&route, text, "写成 \"<sip:10.1.2.10;lr>\" 这样");
        }
        config.service_route.push(route.value);
    }
}

/// How long a dialog lives without a sign of its peer (RFC 4028).
fn session_timers(it: &Section<'_, '_>, config: &mut Config) {
    config.session_expires = it.secs_or("session_expires_secs", 1_800, 90..=86_400);
    config.min_se = it.secs_or("session_expires_min_secs", 90, 90..=3_600);
    if config.min_se > config.session_expires {
        it.complain("session_expires_min_secs", "大于 session_expires_secs", "把两者对调");
    }
}

/// Limits of the signalling edge. The trunks among those who are never banned come later.
fn net(it: &Section<'_, '_>) -> hotline_net::Config {
    let old = hotline_net::Config::default();
    let limits = hotline_sip::Limits {
        message: count(it, "message_bytes_max", old.limits.message, 4_096..=65_535),
        headers: count(it, "headers_max", old.limits.headers, 32..=4_096),
        line: count(it, "line_bytes_max", old.limits.line, 256..=65_535),
    };
    let many = 1..=1_000_000;
    let per_address = old.connections_per_address_max;
    hotline_net::Config {
        connections_max: count(it, "connections_max", old.connections_max, many.clone()),
        connections_per_address_max: count(it, "connections_per_address_max", per_address, many),
        first_message: secs(it, "first_request_secs", old.first_message, 1..=60),
        stranger_idle: secs(it, "stranger_idle_secs", old.stranger_idle, 1..=3_600),
        keep_alive: secs(it, "keep_alive_secs", old.keep_alive, 1..=3_600),
        limits,
        flood: flood(&it.section("flood"), old.flood),
        websocket_origins: origins(it),
        ..old
    }
}

fn origins(it: &Section<'_, '_>) -> Vec<String> {
    let texts = it.texts("websocket_origins").unwrap_or_default();
    for text in &texts {
        let rest = text.value.split_once("://").map(|it| it.1);
        if rest.is_none_or(|it| it.is_empty() || it.contains('/')) {
            it.complain_at(
                text,
                format!("{:?} 不是网页来源", text.value),
                "写成 https://desk.example.cn 或带端口，后面没有路径",
            );
        }
    }
    texts.into_iter().map(|it| it.value).collect()
}

/// `[sip.flood]`.
fn flood(it: &Section<'_, '_>, old: Flood) -> Flood {
    let rate = |key, default: u32| {
        u32::try_from(it.number_or(key, u64::from(default), 1..=1_000_000)).unwrap_or(u32::MAX)
    };
    let flood = Flood {
        requests_max: rate("requests_max", old.requests_max),
        window: secs(it, "window_secs", old.window, 1..=60),
        ban: secs(it, "ban_secs", old.ban, 1..=86_400),
        strangers_per_sec_max: rate("strangers_per_sec_max", old.strangers_per_sec_max),
        known_per_sec_max: rate("known_per_sec_max", old.known_per_sec_max),
        handshakes_per_sec_max: rate("handshakes_per_sec_max", old.handshakes_per_sec_max),
        buffered_max: megabytes(it, "buffered_max_mb", old.buffered_max),
        friends: friends(it),
        trunks: Vec::new(),
    };
    it.end();
    flood
}

/// In units of 2^20 bytes.
fn megabytes(it: &Section<'_, '_>, key: &'static str, default: usize) -> usize {
    let usual = u64::try_from(default >> 20).unwrap_or(u64::MAX);
    let wanted = it.number_or(key, usual, 1..=65_536);
    usize::try_from(wanted << 20).unwrap_or(usize::MAX)
}

/// `[sip.overload]`.
fn overload(it: &Section<'_, '_>) -> OverloadConfig {
    let usual = OverloadConfig::default();
    let wait = u64::try_from(usual.wait_max.as_millis()).unwrap_or(u64::MAX);
    let rate = |key, default: u32, least| {
        let many = it.number_or(key, u64::from(default), least..=100_000);
        u32::try_from(many).unwrap_or(u32::MAX)
    };
    let most = rate("calls_per_sec_max", 0, 0);
    let overload = OverloadConfig {
        wait_max: Duration::from_millis(it.number_or("wait_max_ms", wait, 5..=1_000)),
        per_sec_min: rate("calls_per_sec_min", usual.per_sec_min, 1),
        per_sec_max: (most > 0).then_some(most),
    };
    if overload.per_sec_max.is_some_and(|it| it < overload.per_sec_min) {
        it.complain("calls_per_sec_max", "小于 calls_per_sec_min", "把 calls_per_sec_min 也调小");
    }
    it.end();
    overload
}

/// This machine, unless the file says otherwise.
fn friends(it: &Section<'_, '_>) -> Vec<Source> {
    let Some(texts) = it.texts("friends") else {
        return ["127.0.0.0/8", "::1"].iter().filter_map(|it| it.parse().ok()).collect();
    };
    let mut friends = Vec::new();
    for text in texts {
        match text.value.parse() {
            Ok(source) => friends.push(source),
            Err(_) => it.complain_at(
                &text,
                format!("{:?} 不是地址或网段", text.value),
                "可写 10.1.2.3、10.1.2.0/24 或 2001:db8::/32",
            ),
        }
    }
    friends
}

fn secs(
    it: &Section<'_, '_>,
    key: &'static str,
    default: Duration,
    range: RangeInclusive<u64>,
) -> Duration {
    it.secs_or(key, default.as_secs(), range)
}

fn count(
    it: &Section<'_, '_>,
    key: &'static str,
    default: usize,
    range: RangeInclusive<u64>,
) -> usize {
    let default = u64::try_from(default).unwrap_or(u64::MAX);
    usize::try_from(it.number_or(key, default, range)).unwrap_or(usize::MAX)
}

/// Our IPv6 address where `advertised_address` is one of IPv4.
fn advertised_v6<'a>(
    it: &Section<'_, '_>,
    config: &Config,
    listen: impl IntoIterator<Item = &'a SocketAddr>,
) -> Option<Ipv6Addr> {
    const KEY: &str = "advertised_address_v6";
    if let Some(text) = it.text(KEY) {
        let address = text.value.parse().ok().filter(|it: &Ipv6Addr| !it.is_unspecified());
        if address.is_none() {
            it.complain(
                KEY,
                format!("{:?} 不是对方能连到的 IPv6 地址", text.value),
                "写本机的 IPv6 地址，如 2001:db8::10",
            );
        }
        return address;
    }
    let any = listen.into_iter().any(|it| it.is_ipv6() && it.ip().is_unspecified());
    if any && config.advertised.is_ipv4() {
        it.complain(KEY, "监听 [::] 时必须写明对外的 IPv6 地址", "写 advertised_address_v6");
    }
    None
}

pub(crate) fn addresses(it: &Section<'_, '_>, key: &'static str) -> Vec<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for text in it.texts(key).unwrap_or_default() {
        match text.value.parse() {
            Ok(address) if addresses.contains(&address) => {
                it.complain_at(&text, "地址重复", "每个地址只写一次");
            }
            Ok(address) => addresses.push(address),
            Err(_) => it.complain_at(
                &text,
                format!("{:?} 不是“地址:端口”", text.value),
                "写成 0.0.0.0:5060 或 [::]:5060 这样",
            ),
        }
    }
    addresses
}

/// The address others reach us at: as written, else the first listening address that is one.
pub(crate) fn advertised(
    it: &Section<'_, '_>,
    listen: impl IntoIterator<Item = SocketAddr>,
) -> IpAddr {
    let nowhere = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if let Some(text) = it.text("advertised_address") {
        return match text.value.parse::<IpAddr>() {
            Ok(ip) if !ip.is_unspecified() => ip,
            Ok(_) | Err(_) => {
                it.complain(
                    "advertised_address",
                    format!("{:?} 不是对方能连到的地址", text.value),
                    "写本机在专线上的 IP，如 10.1.2.10",
                );
                nowhere
            }
        };
    }
    let mut n_listen = 0;
    let usable = listen.into_iter().inspect(|_| n_listen += 1).find(|it| !it.ip().is_unspecified());
    if usable.is_none() && n_listen > 0 {
        it.complain(
            "advertised_address",
            "监听所有地址时必须写明对外地址",
            "写本机在专线上的 IP，如 10.1.2.10",
        );
    }
    usable.map_or(nowhere, |it| it.ip())
}

/// From the file named, else made anew: telephones then prove their password once more.
fn secret(it: &Section<'_, '_>) -> [u8; 32] {
    if it.text("secret_file").is_some() {
        let secret = it.secret_file("secret_file").unwrap_or_default();
        return Sha256::digest(secret).into();
    }
    random().unwrap_or_else(|_| {
        it.complain("secret_file", "系统没有随机数来源", "写 secret_file，指向一个保密的文件");
        [0; 32]
    })
}

fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
