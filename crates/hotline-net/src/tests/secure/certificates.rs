//! Certificates that look like the right one.

use std::net::IpAddr;

use rcgen::{DnType, ExtendedKeyUsagePurpose, SanType, date_time_ymd, string::Ia5String};
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A certificate for the names given, changed, signed by the authority.
fn forged(pki: &Pki, names: &[SanType], change: impl Fn(&mut CertificateParams)) -> Pair {
    let key = KeyPair::generate().unwrap();
    let params = params(names, change);
    (params.signed_by(&key, &pki.issuer).unwrap().pem(), key.serialize_pem())
}

fn params(names: &[SanType], change: impl Fn(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::new([]).unwrap();
    params.subject_alt_names = names.to_vec();
    change(&mut params);
    params
}

fn ia5(text: &str) -> Ia5String {
    Ia5String::try_from(text).unwrap()
}

fn dns(name: &str) -> [SanType; 1] {
    [SanType::DnsName(ia5(name))]
}

/// Signed by itself, with the right name.
fn of_itself() -> Pair {
    let key = KeyPair::generate().unwrap();
    let params = params(&dns("sbc.example"), |_| ());
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// Signed by the holder of a good certificate, who is no authority.
fn of_a_neighbour() -> Pair {
    let (own, key) = (params(&dns("other.example"), |_| ()), KeyPair::generate().unwrap());
    let neighbour = Issuer::new(own, key);
    let key = KeyPair::generate().unwrap();
    let cert = params(&dns("sbc.example"), |_| ()).signed_by(&key, &neighbour).unwrap();
    (cert.pem(), key.serialize_pem())
}

/// What each is called, and what the peer shows.
fn bad(pki: &Pki) -> [(&'static str, Option<Pair>); 20] {
    let good = dns("sbc.example");
    let named = |name: &str| Some(forged(pki, &dns(name), |_| ()));
    let only = |name: SanType| Some(forged(pki, &[name], |_| ()));
    let changed = |change: fn(&mut CertificateParams)| Some(forged(pki, &good, change));
    [
        ("none", None),
        ("another name", named("other.example")),
        ("cut at NUL", named("sbc.example\0.evil.example")),
        ("hidden behind NUL", named("evil.example\0sbc.example")),
        ("wildcard beside", named("*.example")),
        ("wildcard below", named("*.sbc.example")),
        ("wildcard within a label", named("s*c.example")),
        ("name with more before", named("xsbc.example")),
        ("name with more behind", named("sbc.example.evil.example")),
        ("name with less", named("sbc.exampl")),
        (
            "name in the subject alone",
            Some(forged(pki, &[], |it| {
                it.distinguished_name.push(DnType::CommonName, "sbc.example");
            })),
        ),
        ("address", only(SanType::IpAddress(IpAddr::from([127, 0, 0, 1])))),
        ("mail", only(SanType::Rfc822Name(ia5("a@sbc.example")))),
        ("URI", only(SanType::URI(ia5("https://sbc.example/")))),
        (
            "expired",
            changed(|it| {
                (it.not_before, it.not_after) =
                    (date_time_ymd(2000, 1, 1), date_time_ymd(2020, 1, 1));
            }),
        ),
        (
            "not yet valid",
            changed(|it| {
                (it.not_before, it.not_after) =
                    (date_time_ymd(3000, 1, 1), date_time_ymd(3001, 1, 1));
            }),
        ),
        (
            "for servers only",
            changed(|it| {
                it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }),
        ),
        ("of an authority", changed(|it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))),
        ("of itself", Some(of_itself())),
        ("of another's making", Some(of_a_neighbour())),
    ]
}

#[tokio::test]
async fn v24_twenty_bad_certificates_of_twenty_are_refused() {
    let pki = Pki::new();
    let peer = TlsPeer {
        sources: vec!["127.0.0.1".parse().unwrap()],
        names: vec!["sbc.example".to_owned()],
    };
    let mut it = secure(Tls { peers: vec![peer], ..pki.tls() });
    for (what, own) in bad(&pki) {
        for version in [&TLS13, &TLS12] {
            let own = own.clone();
            let stream = pki.connect_with(it.tcp, "sip.example", own, version).await;
            assert!(is_refused(stream).await, "{what}");
            assert!(matches!(it.next().await, NetInput::ConnectionGone { .. }), "{what}");
        }
    }
    let refused =
        it.counters.of(Count::CertificateRefused) + it.counters.of(Count::HandshakeFailed);
    assert_eq!(refused, 40);
    let mut stream = pki
        .connect_with(
            it.tcp,
            "sip.example",
            Some(forged(&pki, &dns("sbc.example"), |_| ())),
            &TLS13,
        )
        .await
        .unwrap();
    check_talk(&mut it, &mut stream).await;
}

/// Serves one connection with this certificate, and returns what it was told.
async fn told(listener: tokio::net::TcpListener, (cert, key): Pair) -> Vec<u8> {
    let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)
        .unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let mut told = Vec::new();
    if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await {
        // A connection that is cut has told what it told.
        stream.read_to_end(&mut told).await.unwrap_or_default();
    }
    told
}

#[tokio::test]
async fn v24_a_server_with_a_bad_certificate_is_told_nothing() {
    let pki = Pki::new();
    let for_clients = forged(&pki, &dns("sbc.example"), |it| {
        it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let bad = bad(&pki).into_iter().filter(|it| it.0 != "for servers only");
    let bad = bad.filter_map(|(what, own)| Some((what, own?)));
    let bad: Vec<_> = bad.chain([("for clients only", for_clients)]).collect();
    assert_eq!(bad.len(), 19);
    for (what, own) in bad {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = TlsServer { address, name: "sbc.example".to_owned(), certificate: None };
        let mut it = secure(Tls { servers: vec![server], ..pki.tls() });
        let told = tokio::spawn(told(listener, own));
        let flow = Flow { transport: Transport::Tls, local: it.tcp, remote: address, conn: None };
        it.transmits.send(Transmit { flow, bytes: OPTIONS.into() }).await.unwrap();
        assert!(matches!(it.next().await, NetInput::ConnectionGone { .. }), "{what}");
        assert!(matches!(it.next().await, NetInput::Unreachable { .. }), "{what}");
        assert_eq!(told.await.unwrap(), b"", "{what}");
    }
}
