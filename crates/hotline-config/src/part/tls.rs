//! `[sip.tls]`: certificates, and which trunks must show one.

use hotline_net::{Tls, TlsPeer, TlsServer};
use hotline_trunk::TrunkConfig;

use crate::section::Section;

/// `needed`: somebody listens who speaks TLS.
pub(crate) fn read(
    root: &Section<'_, '_>,
    trunks: &[TrunkConfig],
    servers: Vec<TlsServer>,
    needed: bool,
) -> Option<Tls> {
    let sip = root.section("sip");
    let it = sip.section("tls");
    let certificate_file = it.path("certificate_file");
    let key_file = it.path("key_file");
    let ca_file = it.path("ca_file");
    let tls13_only = it.bool_or("tls13_only", false);
    let reload = it.secs_or("reload_secs", 60, 1..=86_400);
    let peers: Vec<_> = it.sections("peer").iter().filter_map(|it| peer(it, trunks)).collect();
    if let (Some(_), None) = (peers.first(), &ca_file) {
        it.complain("peer", "没有 ca_file，无法核对中继的证书", "写 ca_file，指向签发机构的证书");
    }
    if let (Some(_), None) = (servers.first(), &ca_file) {
        it.complain("ca_file", "有 TLS 网关而没有 ca_file", "写 ca_file，指向签发网关证书的机构");
    }
    it.end();
    let needed = needed || !servers.is_empty();
    if certificate_file.is_none() && key_file.is_none() && !needed && peers.is_empty() {
        return None;
    }
    let (Some(certificate_file), Some(key_file)) = (certificate_file, key_file) else {
        it.complain(
            "certificate_file",
            "TLS 需要证书和私钥",
            "写 certificate_file 和 key_file，都是 PEM 文件",
        );
        return None;
    };
    it.guarded("key_file", &key_file);
    let tls = Tls { certificate_file, key_file, ca_file, tls13_only, reload, peers, servers };
    if let Err(error) = tls.check() {
        it.complain("certificate_file", error.to_string(), "放好证书文件（PEM）后再检查");
    }
    Some(tls)
}

/// `[[sip.tls.peer]]`.
fn peer(it: &Section<'_, '_>, trunks: &[TrunkConfig]) -> Option<TlsPeer> {
    let id = it.required("trunk", "写一条中继的 id");
    let names = it.texts("names").unwrap_or_default();
    if names.is_empty() {
        it.complain("names", "没有证书名称", "写对方证书里的域名，如 [\"sbc.carrier.example\"]");
    }
    it.end();
    let id = id?;
    let Some(trunk) = trunks.iter().find(|it| it.id.as_str() == id.value) else {
        it.complain_at(&id, format!("中继 {} 没有配置", id.value), "写一条 [[trunk]] 的 id");
        return None;
    };
    Some(TlsPeer {
        sources: super::trunk::peers(trunk).collect(),
        names: names.into_iter().map(|it| it.value).collect(),
    })
}
