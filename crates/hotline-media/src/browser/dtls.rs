//! DTLS 1.2 with one peer, for the keys of SRTP (RFC 5764). This module alone names `rtc-dtls`.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::Instant,
};

use hotline_rtp::{MasterKey, SrtpProfile};
use hotline_sdp::{Fingerprint, Role};
use rtc_dtls::{
    config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType},
    crypto::Certificate,
    crypto_provider::{RTCCryptoProvider, default_provider},
    endpoint::{Endpoint, EndpointEvent},
    extension::extension_use_srtp::SrtpProtectionProfile,
};
use rtc_shared::{TransportProtocol, error::Error};
use sha2::{Digest, Sha256};

/// An endpoint tells peers by their address; ours has one peer, wherever it is.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// Label of the exporter (RFC 5764 §4.2).
const LABEL: &str = "EXTRACTOR-dtls_srtp";

/// Bytes of a master key of all our profiles.
const KEY: usize = 16;

/// What the look at the certificate came to.
const UNSEEN: u8 = 0;
const RIGHT: u8 = 1;
const WRONG: u8 = 2;

/// Why there is no certificate of ours.
#[derive(Debug, thiserror::Error)]
#[error("no certificate for DTLS can be made: {0}")]
pub(crate) struct DtlsError(String);

/// Our certificate, which nobody signed: browsers know it by its fingerprint alone.
pub(super) struct Identity {
    certificate: Certificate,
    pub(super) fingerprint: Fingerprint,
    provider: Arc<dyn RTCCryptoProvider>,
}

/// One association.
pub(super) struct Dtls {
    endpoint: Endpoint,
    config: Arc<rtc_dtls::config::HandshakeConfig>,
    seen: Arc<AtomicU8>,
    is_client: bool,
    /// Datagrams that came before anything was said to them.
    unanswered: u8,
    has_answered: bool,
}

/// What a datagram or a moment led to.
#[derive(Debug)]
pub(super) enum Outcome {
    Goes,
    Keys {
        ours: MasterKey,
        theirs: MasterKey,
    },
    /// The certificate is not the one of the description.
    Refused,
    /// The handshake cannot go on.
    Spoilt,
    /// The peer said goodbye.
    Closed,
}

impl Identity {
    pub(super) fn new() -> Result<Self, DtlsError> {
        let provider = default_provider().map_err(|it| DtlsError(it.to_string()))?;
        let certificate =
            Certificate::generate_self_signed(vec!["hotline".to_owned()], provider.crypto())
                .map_err(|it| DtlsError(it.to_string()))?;
        Self::of(certificate, provider)
    }

    /// That of an earlier process.
    pub(super) fn kept(pem: &str) -> Result<Self, DtlsError> {
        let provider = default_provider().map_err(|it| DtlsError(it.to_string()))?;
        let certificate = Certificate::from_pem(pem, provider.crypto())
            .map_err(|it| DtlsError(it.to_string()))?;
        Self::of(certificate, provider)
    }

    pub(super) fn to_pem(&self) -> Option<String> {
        self.certificate.serialize_pem().ok()
    }

    fn of(
        certificate: Certificate,
        provider: Arc<dyn RTCCryptoProvider>,
    ) -> Result<Self, DtlsError> {
        let der = certificate.certificate.first().ok_or_else(|| DtlsError(String::new()))?;
        let fingerprint = Fingerprint(Sha256::digest(der.as_ref()).into());
        Ok(Self { certificate, fingerprint, provider })
    }
}

impl Dtls {
    /// With a peer whose certificate has this fingerprint.
    pub(super) fn new(identity: &Identity, expected: Fingerprint, role: Role) -> Option<Self> {
        let seen = Arc::new(AtomicU8::new(UNSEEN));
        let note = Arc::clone(&seen);
        // Called after the peer proved that it holds the certificate's key.
        let verify = move |chain: &[Vec<u8>], _: &[_]| {
            let right = chain.first().is_some_and(|it| {
                let found: [u8; 32] = Sha256::digest(it).into();
                found == expected.0
            });
            note.store(if right { RIGHT } else { WRONG }, Relaxed);
            if right { Ok(()) } else { Err(Error::ErrInvalidCertificate) }
        };
        let is_client = role == Role::Client;
        let config = ConfigBuilder::default()
            .with_crypto_provider(Arc::clone(&identity.provider))
            .with_certificates(vec![identity.certificate.clone()])
            .with_srtp_protection_profiles(vec![
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_32,
            ])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            // No authority signs these; the fingerprint is what counts (RFC 8827 §6.5).
            .with_insecure_skip_verify(true)
            .with_verify_peer_certificate(Some(Arc::new(verify)))
            .build(is_client, Some(PEER))
            .inspect_err(|error| tracing::error!(%error, "DTLS cannot be set up."))
            .ok()?;
        let config = Arc::new(config);
        let server = (!is_client).then(|| Arc::clone(&config));
        let endpoint = Endpoint::new(PEER, TransportProtocol::UDP, server);
        let (unanswered, has_answered) = (0, is_client);
        Some(Self { endpoint, config, seen, is_client, unanswered, has_answered })
    }

    /// Says hello, as a client.
    pub(super) fn begin(&mut self, now: Instant) -> Outcome {
        match self.endpoint.connect(now, PEER, Arc::clone(&self.config), None) {
            Ok(()) => Outcome::Goes,
            Err(_) => Outcome::Spoilt,
        }
    }

    pub(super) fn handle(&mut self, datagram: &[u8], now: Instant) -> Outcome {
        self.unanswered = self.unanswered.saturating_add(1);
        if self.is_client && self.endpoint.get_connection_state(PEER).is_none() {
            return Outcome::Spoilt;
        }
        match self.endpoint.read(now, PEER, None, datagram.into()) {
            Ok(events) => self.on_events(&events),
            Err(error) => self.on_error(&error),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Outcome {
        match self.endpoint.handle_timeout(PEER, now) {
            Ok(()) => Outcome::Goes,
            Err(error) => self.on_error(&error),
        }
    }

    /// When something is to be said again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.endpoint.poll_timeout(&PEER)
    }

    pub(super) fn transmit(&mut self) -> Option<Vec<u8>> {
        let next = self.endpoint.poll_transmit().map(|it| it.message.to_vec());
        self.has_answered |= next.is_some();
        next
    }

    /// How many datagrams came while there is no handshake yet.
    pub(super) const fn unanswered(&self) -> u8 {
        if self.has_answered { 0 } else { self.unanswered }
    }

    fn on_error(&self, error: &Error) -> Outcome {
        tracing::debug!(%error, "A DTLS handshake does not go on.");
        if self.seen.load(Relaxed) == WRONG { Outcome::Refused } else { Outcome::Spoilt }
    }

    fn on_events(&self, events: &[EndpointEvent]) -> Outcome {
        let is = |wanted: fn(&EndpointEvent) -> bool| events.iter().any(wanted);
        if is(|it| matches!(it, EndpointEvent::PeerClosed)) {
            return Outcome::Closed;
        }
        if !is(|it| matches!(it, EndpointEvent::HandshakeComplete)) {
            return Outcome::Goes;
        }
        // Nobody without the right certificate gets here; this is the second lock on that door.
        if self.seen.load(Relaxed) != RIGHT {
            return Outcome::Refused;
        }
        self.keys().unwrap_or(Outcome::Spoilt)
    }

    /// Keys of client and server, then their salts (RFC 5764 §4.2).
    fn keys(&self) -> Option<Outcome> {
        let state = self.endpoint.get_connection_state(PEER)?;
        let agreed = state.srtp_protection_profile();
        let profile = match agreed {
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => SrtpProfile::AesCm128HmacSha1_80,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_32 => SrtpProfile::AesCm128HmacSha1_32,
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => SrtpProfile::AeadAes128Gcm,
            SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm
            | SrtpProtectionProfile::Unsupported
            | _ => return None,
        };
        let material = state.export_keying_material(LABEL, &[], 2 * profile.key_and_salt()).ok()?;
        let material: &[u8] = material.as_ref();
        let (client_key, rest) = material.split_at_checked(KEY)?;
        let (server_key, salts) = rest.split_at_checked(KEY)?;
        let (client_salt, server_salt) = salts.split_at_checked(profile.salt())?;
        let client = MasterKey::new(profile, &[client_key, client_salt].concat())?;
        let server = MasterKey::new(profile, &[server_key, server_salt].concat())?;
        let (ours, theirs) = if self.is_client { (client, server) } else { (server, client) };
        Some(Outcome::Keys { ours, theirs })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl fmt::Debug for Dtls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dtls").field("is_client", &self.is_client).finish_non_exhaustive()
    }
}
