//! TLS: certificates from files that are looked at again and again, and whose certificate must name
//! what.
//!
//! New files serve new connections; those that are up keep what they began with. Files that cannot
//! be used change nothing and are complained of in the log until they can.

use std::{
    collections::BTreeMap,
    fmt, fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use hotline_sip::Flow;
use hotline_trunk::Source;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    client::verify_server_name,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::{ParsedCertificate, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};
use tokio::{
    net::TcpStream,
    runtime::Handle,
    sync::Semaphore,
    time::{Instant, interval, timeout_at},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::{Count, stream::Shared};

/// Handshakes of strangers at the same time. Each costs a core some tenths of a millisecond.
const HANDSHAKES_MAX: usize = 64;

/// What TLS needs, as files of PEM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tls {
    /// Our certificate and those between it and a root.
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    /// Whose certificates are believed: of peers that show one, and of those we connect to.
    pub ca_file: Option<PathBuf>,
    /// Refuses TLS 1.2, which old gateways need.
    pub tls13_only: bool,
    /// How often the files are looked at.
    pub reload: Duration,
    pub peers: Vec<TlsPeer>,
    /// Whom we connect to.
    pub servers: Vec<TlsServer>,
}

/// A server that must prove who it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsServer {
    pub address: SocketAddr,
    /// DNS name or address that its certificate must be for; it is told which one we mean.
    pub name: String,
    /// The certificate and key that we show there, instead of our own.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// A trunk that is taken over TLS alone and must show a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsPeer {
    pub sources: Vec<Source>,
    /// DNS names or addresses; the certificate must be for one of them. We demand the same of a
    /// server that we connect to there.
    pub names: Vec<String>,
}

/// A file that cannot be used, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadFile {
    pub file: PathBuf,
    pub why: String,
}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.why)
    }
}

impl std::error::Error for BadFile {}

impl Tls {
    /// Whether the files can be used.
    ///
    /// # Errors
    /// The first file that cannot, and why.
    pub fn check(&self) -> Result<(), BadFile> {
        Loaded::new(self).map(drop)
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        let own = [self.certificate_file.as_path(), self.key_file.as_path()];
        let shown = self.servers.iter().filter_map(|it| it.certificate.as_ref());
        let shown = shown.flat_map(|(certificate, key)| [certificate.as_path(), key.as_path()]);
        own.into_iter().chain(self.ca_file.as_deref()).chain(shown)
    }

    /// When each file was written; `None`: it is not there.
    fn stamp(&self) -> Vec<Option<SystemTime>> {
        self.files().map(|it| fs::metadata(it).and_then(|it| it.modified()).ok()).collect()
    }

    /// The names that a certificate from there must be for.
    fn names(&self, ip: IpAddr) -> Option<&[String]> {
        let peer = self.peers.iter().find(|it| it.sources.iter().any(|it| it.covers(ip)))?;
        Some(&peer.names)
    }
}

/// What is made of the files.
#[derive(Clone)]
struct Loaded {
    acceptor: TlsAcceptor,
    /// Without roots nobody we connect to can be believed.
    connector: Option<TlsConnector>,
    /// For servers that are shown another certificate.
    others: BTreeMap<SocketAddr, TlsConnector>,
}

impl Loaded {
    fn new(tls: &Tls) -> Result<Self, BadFile> {
        let bad = |file: &Path, why: String| BadFile { file: file.to_owned(), why };
        let of_cert = |it: rustls::Error| bad(&tls.certificate_file, it.to_string());
        let chain = certificates(&tls.certificate_file)?;
        let key = private_key(&tls.key_file)?;
        let provider = Arc::new(ring::default_provider());
        let versions: &[&SupportedProtocolVersion] =
            if tls.tls13_only { &[&TLS13] } else { &[&TLS13, &TLS12] };
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(of_cert)?;
        let Some(file) = &tls.ca_file else {
            let server = server.with_no_client_auth().with_single_cert(chain, key);
            let acceptor = TlsAcceptor::from(Arc::new(server.map_err(of_cert)?));
            return Ok(Self { acceptor, connector: None, others: BTreeMap::new() });
        };
        let mut roots = RootCertStore::empty();
        let (n_good, _) = roots.add_parsable_certificates(certificates(file)?);
        if n_good == 0 {
            return Err(bad(file, "no certificate of an authority in it".to_owned()));
        }
        let roots = Arc::new(roots);
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()
                .map_err(|it| bad(file, it.to_string()))?;
        let server = server
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(of_cert)?;
        let client = |chain, key| {
            let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(versions)?
                .with_root_certificates(Arc::clone(&roots))
                .with_client_auth_cert(chain, key)?;
            Ok(TlsConnector::from(Arc::new(client)))
        };
        let mut others = BTreeMap::new();
        for server in &tls.servers {
            let Some((file, key_file)) = &server.certificate else { continue };
            let (chain, key) = (certificates(file)?, private_key(key_file)?);
            let connector =
                client(chain, key).map_err(|it: rustls::Error| bad(file, it.to_string()))?;
            others.insert(server.address, connector);
        }
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: Some(client(chain, key).map_err(of_cert)?),
            others,
        })
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, BadFile> {
    PrivateKeyDer::from_pem_file(file)
        .map_err(|it| BadFile { file: file.to_owned(), why: it.to_string() })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    let bad = |why: String| BadFile { file: file.to_owned(), why };
    let all: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).map_err(|it| bad(it.to_string()))?.collect();
    let all = all.map_err(|it| bad(it.to_string()))?;
    if all.is_empty() { Err(bad("no certificate in it".to_owned())) } else { Ok(all) }
}

/// The certificates that serve now.
pub(crate) struct Certificates {
    tls: Option<Tls>,
    current: RwLock<Option<Loaded>>,
    handshakes: Arc<Semaphore>,
    threads: Handle,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl Certificates {
    pub(crate) fn new(tls: Option<Tls>, threads: Handle) -> Self {
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        let it = Self { tls, current: RwLock::new(None), handshakes, threads };
        it.load();
        it
    }

    /// Puts the files into use, if they can be.
    fn load(&self) -> bool {
        let Some(tls) = &self.tls else { return true };
        match Loaded::new(tls) {
            Ok(loaded) => {
                tracing::info!("TLS certificates are in use.");
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(loaded);
                true
            }
            Err(error) => {
                tracing::error!(%error, "TLS certificates cannot be used; the earlier ones serve.");
                false
            }
        }
    }

    /// Looks at the files for ever.
    pub(crate) async fn watch(&self, shared: &Shared) {
        let Some(tls) = &self.tls else { return std::future::pending().await };
        let mut every = interval(tls.reload);
        // The first look is at what was loaded a moment ago, and costs nothing.
        let mut seen = tls.stamp();
        loop {
            every.tick().await;
            let now = tls.stamp();
            if now == seen && self.current().is_some() {
                continue;
            }
            // Half-written pairs are tried again: only what serves is remembered as seen.
            if self.load() {
                shared.counters.add(Count::CertificatesLoaded);
                seen = now;
            } else {
                shared.counters.add(Count::CertificatesBad);
            }
        }
    }

    fn current(&self) -> Option<Loaded> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether nothing but TLS is taken from there.
    pub(crate) fn demands(&self, ip: IpAddr) -> bool {
        self.tls.as_ref().is_some_and(|it| it.names(ip).is_some())
    }

    /// The server's side of a handshake; `None`: it failed, is late, or shows the wrong
    /// certificate. Counted.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        flow: Flow,
        shared: &Shared,
        deadline: Instant,
    ) -> Option<TlsStream<TcpStream>> {
        if !shared.gate.may_shake(flow.remote.ip(), std::time::Instant::now()) {
            return None;
        }
        // Who is known waits for nobody: strangers can leave all of theirs half done.
        let is_known = shared.gate.is_known(flow.remote.ip());
        let permits = (!is_known).then(|| Arc::clone(&self.handshakes));
        let acceptor = self.current().map(|it| it.acceptor);
        let handshake = async move {
            let _permit = match permits {
                Some(it) => Some(it.acquire_owned().await.ok()?),
                None => None,
            };
            acceptor?.accept(stream).await.ok()
        };
        let handshake = self.threads.spawn(timeout_at(deadline, handshake));
        let Ok(Ok(Some(stream))) = handshake.await else {
            shared.counters.add(Count::HandshakeFailed);
            // It cost more than any request: counted as one.
            shared.gate.judge(flow.remote, std::time::Instant::now());
            return None;
        };
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        if !self.is_named(flow.remote.ip(), shown) {
            shared.counters.add(Count::CertificateRefused);
            return None;
        }
        Some(TlsStream::Server(stream))
    }

    /// The client's side, towards a server that must be who we mean.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        remote: SocketAddr,
    ) -> Option<TlsStream<TcpStream>> {
        let (tls, ip) = (self.tls.as_ref()?, remote.ip());
        let server = tls.servers.iter().find(|it| it.address == remote).map(|it| it.name.clone());
        let name = server.or_else(|| tls.names(ip).and_then(<[_]>::first).cloned());
        let name = ServerName::try_from(name.unwrap_or_else(|| ip.to_string())).ok()?;
        let mut current = self.current()?;
        let connector = current.others.remove(&remote).or(current.connector)?;
        let stream = connector.connect(name.clone(), stream).await.ok()?;
        // Our side has said nothing yet.
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first)?;
        let wildcard = is_for_all(&ParsedCertificate::try_from(shown).ok()?, &name);
        (!wildcard).then_some(TlsStream::Client(stream))
    }

    fn is_named(&self, ip: IpAddr, shown: Option<&CertificateDer<'_>>) -> bool {
        let Some(names) = self.tls.as_ref().and_then(|it| it.names(ip)) else { return true };
        let Some(parsed) = shown.and_then(|it| ParsedCertificate::try_from(it).ok()) else {
            return false;
        };
        let mut names = names.iter().filter_map(|it| ServerName::try_from(it.as_str()).ok());
        names.any(|it| verify_server_name(&parsed, &it).is_ok() && !is_for_all(&parsed, &it))
    }
}

/// Whether the certificate is for whoever stands beside this name, too: `*.example`. RFC 5922 §7.2:
/// no form of wildcard matches.
fn is_for_all(parsed: &ParsedCertificate<'_>, name: &ServerName<'_>) -> bool {
    let text = name.to_str();
    let Some((_, parent)) = text.split_once('.') else { return false };
    ServerName::try_from(format!("no-such-host.{parent}"))
        .is_ok_and(|it| verify_server_name(parsed, &it).is_ok())
}
