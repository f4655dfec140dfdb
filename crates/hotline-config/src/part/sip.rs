//! `[sip]`: listening addresses, registrar, limits of the signalling edge.

use std::{
    fs::File,
    io::{self, Read as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use hotline_sip::Config;
use sha2::{Digest as _, Sha256};

use crate::section::Section;

#[derive(Debug)]
pub(crate) struct Sip {
    pub(crate) listen_udp: Vec<SocketAddr>,
    pub(crate) listen_tcp: Vec<SocketAddr>,
    pub(crate) config: Config,
    pub(crate) net: hotline_net::Config,
}

pub(crate) fn read(root: &Section<'_, '_>) -> Sip {
    let it = root.section("sip");
    let listen_udp = addresses(&it, "listen_udp");
    let listen_tcp = addresses(&it, "listen_tcp");
    if listen_udp.is_empty() && listen_tcp.is_empty() {
        it.complain("listen_udp", "没有监听地址", "写 listen_udp = [\"0.0.0.0:5060\"]");
    }
    let advertised = advertised(&it, listen_udp.iter().chain(&listen_tcp).copied());
    let secret = secret(&it);
    let mut config = Config::new(&it.text_or("realm", "hotline"), advertised, secret);
    config.user_agent = it.text_or("user_agent", "hotline");
    config.expires_min = it.secs_or("expires_min_secs", 60, 10..=3_600);
    config.expires_max = it.secs_or("expires_max_secs", 3_600, 60..=86_400);
    if config.expires_min > config.expires_max {
        it.complain("expires_min_secs", "大于 expires_max_secs", "把两者对调");
    }
    let mut net = hotline_net::Config::default();
    net.connections_max = count(&it, "connections_max", net.connections_max);
    net.connections_per_address_max =
        count(&it, "connections_per_address_max", net.connections_per_address_max);
    // Read with the agents, because it holds their telephones' passwords.
    it.text("accounts_file");
    it.end();
    Sip { listen_udp, listen_tcp, config, net }
}

fn count(it: &Section<'_, '_>, key: &'static str, default: usize) -> usize {
    let default = u64::try_from(default).unwrap_or(u64::MAX);
    usize::try_from(it.number_or(key, default, 1..=1_000_000)).unwrap_or(usize::MAX)
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
