//! `[[trunk]]`: the carriers' trunks.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use hotline_base::TrunkId;
use hotline_net::TlsServer;
use hotline_sip::Credentials;
use hotline_switchboard::CarrierRules;
use hotline_trunk::{
    AccountId, GatewayConfig, GatewayTransport, Limits, Source, TrunkConfig, normalise_called,
};

use super::{
    registration,
    rules::{self, RuleSets},
};
use crate::section::Section;

/// The rules of the trunks that name a set.
pub(crate) type TrunkRules = BTreeMap<TrunkId, Arc<CarrierRules>>;

/// The carriers of the trunks that name one.
pub(crate) type Carriers = BTreeMap<TrunkId, String>;

/// Everything about trunks.
#[derive(Default)]
pub(crate) struct Carried {
    pub(crate) trunks: Vec<TrunkConfig>,
    pub(crate) rules: TrunkRules,
    pub(crate) carriers: Carriers,
    pub(crate) accounts: BTreeMap<AccountId, Credentials>,
    /// Gateways that we speak TLS to.
    pub(crate) servers: Vec<TlsServer>,
}

pub(crate) fn read(root: &Section<'_, '_>, sets: &RuleSets) -> Carried {
    let Carried { mut trunks, mut rules, mut carriers, mut accounts, mut servers } =
        Carried::default();
    let mut seen = BTreeSet::new();
    let mut claimed = BTreeSet::new();
    for it in root.sections("trunk") {
        let mut proofs = Vec::new();
        let trunk = one(&it, &mut claimed, &mut servers, &mut proofs);
        if let Some(trunk) = trunk {
            for (place, proof) in proofs.into_iter().enumerate() {
                accounts.insert(AccountId { trunk: trunk.id.clone(), place }, proof);
            }
            if !seen.insert(trunk.id.clone()) {
                it.complain("id", format!("中继 {} 重复", trunk.id), "每条中继的 id 只能用一次");
            }
            rules.extend(rules::of_trunk(&it, sets).map(|it| (trunk.id.clone(), it)));
            if let Some(carrier) = it.text("carrier") {
                carriers.insert(trunk.id.clone(), carrier.value);
            }
            trunks.push(trunk);
        }
        it.end();
    }
    if !root.has("trunk") {
        root.warn("trunk", "没有中继，不会接听任何来电", "加一节 [[trunk]]，写明运营商的信令地址");
    }
    Carried { trunks, rules, carriers, accounts, servers }
}

/// Where a trunk's messages come from: whom it may send from, and whom we send to.
pub(crate) fn peers(trunk: &TrunkConfig) -> impl Iterator<Item = Source> {
    let gateways = trunk.gateways.iter().map(|it| Source::host(it.address.ip()));
    trunk.sources.iter().copied().chain(gateways)
}

fn one(
    it: &Section<'_, '_>,
    claimed: &mut BTreeSet<Source>,
    servers: &mut Vec<TlsServer>,
    proofs: &mut Vec<Credentials>,
) -> Option<TrunkConfig> {
    let id = it.required("id", "给中继起一个名字，如 gx-nn-ct");
    let gateways = gateways(it, servers);
    let sources = sources(it, &gateways, claimed);
    let channels_max = it.number_or("channels_max", 30, 1..=100_000);
    let limits = limits(it, channels_max);
    let area_code = it.text("area_code");
    if let Some(area) = &area_code
        && !is_area_code(&area.value)
    {
        it.complain("area_code", format!("{:?} 不是区号", area.value), "写成 \"0771\" 这样");
    }
    let city = it.text("city");
    if let Some(city) = &city
        && !(city.value.len() == 6 && is_digits(&city.value))
    {
        it.complain("city", format!("{:?} 不是区划代码", city.value), "写成 \"450100\" 这样");
    }
    let numbers = own_numbers(it, area_code.as_ref().map(|it| it.value.as_str()));
    if !gateways.is_empty() && numbers.is_empty() {
        it.complain("numbers", "没有本中继的号码，外呼无号可显", "写 numbers = [\"077112345\"]");
    }
    let accounts = registration::accounts(it, &numbers, proofs);
    if !accounts.is_empty() && gateways.is_empty() {
        it.complain("account", "没有 gateway，不知道向谁注册", "加一节 [[trunk.gateway]]");
    }
    Some(TrunkConfig {
        id: TrunkId::new(&id?.value),
        sources,
        channels_max: size(channels_max),
        limits,
        gateways,
        probes: it.bool_or("options_probes", true),
        accounts,
        numbers,
        prack: it.bool_or("prack", true),
        early_media: it.bool_or("early_media", true),
        busy_tone_ends: it.bool_or("busy_tone_ends", false),
        keys_by_info: keys_by_info(it),
        area_code: area_code.map(|it| it.value),
        city: city.map(|it| it.value),
    })
}

/// `keys`: how keys go to a peer that takes no telephone-events.
fn keys_by_info(it: &Section<'_, '_>) -> bool {
    let Some(text) = it.text("keys") else { return false };
    match text.value.as_str() {
        "sound" => false,
        "info" => true,
        other => {
            it.complain("keys", format!("{other:?} 不认识"), "写 sound 或 info");
            false
        }
    }
}

/// `[[trunk.gateway]]`: where calls go out.
fn gateways(it: &Section<'_, '_>, servers: &mut Vec<TlsServer>) -> Vec<GatewayConfig> {
    let mut gateways: Vec<GatewayConfig> = Vec::new();
    for it in it.sections("gateway") {
        let transport = transport(&it);
        let address = it
            .required("address", "写运营商的信令地址，如 \"10.8.0.4:5060\"")
            .and_then(|text| address(&it, &text.value, transport));
        servers.extend(address.and_then(|at| server(&it, at, transport)));
        let small = |number: u64| u16::try_from(number).unwrap_or(u16::MAX);
        let priority = small(it.number_or("priority", 10, 0..=65_535));
        let weight = small(it.number_or("weight", 1, 0..=65_535));
        if let Some(address) = address {
            if gateways.iter().any(|it| it.address == address) {
                it.complain("address", format!("{address} 重复"), "每个地址只写一次");
            }
            gateways.push(GatewayConfig { address, transport, priority, weight });
        }
        it.end();
    }
    gateways
}

fn transport(it: &Section<'_, '_>) -> GatewayTransport {
    let text = it.text_or("transport", "udp");
    match text.as_str() {
        "udp" => GatewayTransport::Udp,
        "tcp" => GatewayTransport::Tcp,
        "tls" => GatewayTransport::Tls,
        _ => {
            let advice = "写 \"udp\"、\"tcp\" 或 \"tls\"";
            it.complain("transport", format!("{text:?} 不是传输方式"), advice);
            GatewayTransport::Udp
        }
    }
}

/// What is checked of a gateway that we speak TLS to.
fn server(
    it: &Section<'_, '_>,
    address: SocketAddr,
    transport: GatewayTransport,
) -> Option<TlsServer> {
    let name = it.text("server_name");
    let certificate = it.path("client_certificate_file");
    let key = it.path("client_key_file");
    if let Some(key) = &key {
        it.guarded("client_key_file", key);
    }
    if certificate.is_some() != key.is_some() {
        let advice = "client_certificate_file 和 client_key_file 要一起写";
        it.complain("client_certificate_file", "证书和私钥缺一个", advice);
    }
    if transport != GatewayTransport::Tls {
        if name.is_some() || certificate.is_some() {
            it.complain("server_name", "只用于 TLS", "写 transport = \"tls\"，或删去");
        }
        return None;
    }
    let name = name.map_or_else(|| address.ip().to_string(), |it| it.value);
    Some(TlsServer { address, name, certificate: certificate.zip(key) })
}

/// `ip` or `ip:port`; the port is 5060, or 5061 for TLS, unless written.
fn address(it: &Section<'_, '_>, text: &str, transport: GatewayTransport) -> Option<SocketAddr> {
    let port = if transport == GatewayTransport::Tls { 5061 } else { 5060 };
    let address = text.parse().or_else(|_| text.parse().map(|ip| SocketAddr::new(ip, port)));
    if address.is_err() {
        let advice = "写成 10.8.0.4 或 10.8.0.4:5060；不写域名";
        it.complain("address", format!("{text:?} 不是地址"), advice);
    }
    address.ok()
}

fn limits(it: &Section<'_, '_>, channels_max: u64) -> Limits {
    let of_way = |key| it.number(key, 0..=channels_max).map(size);
    let (in_max, out_max) = (of_way("channels_in_max"), of_way("channels_out_max"));
    let reserved = size(it.number_or("channels_reserved", 0, 0..=channels_max));
    let per_sec = it.number("calls_per_sec", 1..=10_000);
    Limits { in_max, out_max, reserved, per_sec: per_sec.and_then(|it| u32::try_from(it).ok()) }
}

/// The trunk's own numbers, as the called see them.
fn own_numbers(it: &Section<'_, '_>, area: Option<&str>) -> Vec<String> {
    let mut numbers = Vec::new();
    for text in it.texts("numbers").unwrap_or_default() {
        match normalise_called(&text.value, area) {
            Some(number) => numbers.push(number.norm),
            None => it.complain_at(
                &text,
                format!("{:?} 不是号码", text.value),
                "写带区号的号码，如 \"077112345\"",
            ),
        }
    }
    numbers
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// As written, else the addresses of the gateways: most carriers call from where they are called.
fn sources(
    it: &Section<'_, '_>,
    gateways: &[GatewayConfig],
    claimed: &mut BTreeSet<Source>,
) -> Vec<Source> {
    let texts = it.texts("sources").unwrap_or_default();
    if texts.is_empty() && !gateways.is_empty() {
        let hosts: BTreeSet<_> = gateways.iter().map(|it| Source::host(it.address.ip())).collect();
        claimed.extend(hosts.iter().copied());
        return hosts.into_iter().collect();
    }
    if texts.is_empty() {
        it.complain("sources", "没有来源地址，认不出这条中继", "写运营商的地址，如 [\"10.1.2.3\"]");
    }
    let mut sources = Vec::new();
    for text in texts {
        match text.value.parse() {
            Ok(source) => {
                if !claimed.insert(source) {
                    it.complain_at(
                        &text,
                        format!("来源 {source} 重复"),
                        "一个来源只能属于一条中继",
                    );
                }
                sources.push(source);
            }
            Err(_) => it.complain_at(
                &text,
                format!("{:?} 不是地址", text.value),
                "可写 10.1.2.3、10.1.2.0/24 或 10.1.2.3:5060",
            ),
        }
    }
    sources
}

fn is_area_code(text: &str) -> bool {
    text.starts_with('0') && matches!(text.len(), 3 | 4) && is_digits(text)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii_digit())
}
