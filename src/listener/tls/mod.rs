//! TLS of the edge: what handshakes are answered with, exchanged while connections go on.
//!
//! Pingora's own settings panic on a bad file when the listener is built, and never read a file again. So files are read and
//! checked here first, and a resolver of ours stands between rustls and what is in force.
//!
//! Key exchange is that of rustls' provider `ring`: X25519, P-256 and P-384. X25519MLKEM768 is in its provider aws-lc alone,
//! which needs a C compiler and cmake and is not the one that pingora brings.

mod certificates;
mod read;

pub use certificates::{Certificates, ChallengeGuard, read_all};
pub use read::{Pair, TlsCause, TlsError, Validity, check_client_authority, read, read_both, trusting};

use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::tls::TlsRef;
use pingora::protocols::{ALPN, Stream};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::compile::{TlsSettings, TlsVersion};
use crate::guard::headers::ClientSubject;
use certificates::ACME_TLS;

/// TLS as it is in force: what new connections are greeted with. Shared by all listeners.
pub struct ListenerTls {
    certificates: Arc<Certificates>,
    acceptor: ArcSwap<Acceptor>,
}

/// The result of a handshake.
pub enum Greeted {
    /// The subject of the client's certificate, if it has shown one.
    Client(Stream, Option<ClientSubject>),
    /// An authority has seen the proof it asked for, and wants nothing else.
    Proof,
    Failed,
}

/// Files that were read and can be used together.
pub struct Prepared {
    pairs: Vec<Pair>,
    strict: bool,
    /// `None`: the one in force still says what the file does.
    acceptor: Option<Acceptor>,
}

impl ListenerTls {
    /// Reads all files; all that is wrong with any of them is said.
    pub fn load(settings: &TlsSettings) -> Result<Self, Vec<TlsError>> {
        let certificates = Arc::new(Certificates::default());
        certificates.put(read_all(&settings.certificates)?, settings.strict_sni);
        let acceptor = acceptor(settings, &certificates).map_err(|error| vec![error])?;
        orders(settings).map_err(|error| vec![error])?;
        Ok(Self { certificates, acceptor: ArcSwap::from_pointee(acceptor) })
    }

    pub const fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// Reads the files again; nothing changes until they are [`put`](Self::put) in force. An error says all that is wrong.
    pub fn prepare(&self, before: &TlsSettings, settings: &TlsSettings) -> Result<Prepared, Vec<TlsError>> {
        let pairs = read_all(&settings.certificates);
        // A new acceptor would lose the sessions that clients may resume; the file of a client authority may have changed.
        let acceptor = (settings.client_ca.is_some() || !same_handshake(before, settings))
            .then(|| acceptor(settings, &self.certificates))
            .transpose();
        match (pairs, acceptor.and_then(|acceptor| orders(settings).map(|()| acceptor))) {
            (Ok(pairs), Ok(acceptor)) => Ok(Prepared { pairs, strict: settings.strict_sni, acceptor }),
            (pairs, acceptor) => {
                let mut errors = pairs.err().unwrap_or_default();
                errors.extend(acceptor.err());
                Err(errors)
            }
        }
    }

    /// New connections are greeted so from now on.
    pub fn put(&self, prepared: Prepared) {
        self.certificates.put(prepared.pairs, prepared.strict);
        if let Some(acceptor) = prepared.acceptor {
            self.acceptor.store(Arc::new(acceptor));
        }
    }

    /// The server's half of a handshake.
    pub async fn handshake(&self, stream: Stream) -> Greeted {
        let Ok(stream) = stream.into_any().downcast::<pingora::protocols::l4::stream::Stream>() else {
            return Greeted::Failed;
        };
        let stream: Stream = match self.acceptor.load_full().tls_handshake(*stream).await {
            Ok(stream) => Box::new(stream),
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                return Greeted::Failed;
            }
        };
        if matches!(stream.selected_alpn_proto(), Some(ALPN::Custom(name)) if name.protocol() == ACME_TLS) {
            return Greeted::Proof;
        }
        let subject = stream.get_ssl().and_then(subject);
        Greeted::Client(stream, subject)
    }
}

/// The authority that issues certificates can be asked.
fn orders(settings: &TlsSettings) -> Result<(), TlsError> {
    let ca = settings.acme.as_ref().and_then(|acme| acme.ca.as_deref());
    ca.map_or(Ok(()), |ca| trusting(ca).map(drop))
}

/// Both need the same acceptor, the file of a client authority apart.
fn same_handshake(one: &TlsSettings, other: &TlsSettings) -> bool {
    let shape = |settings: &TlsSettings| {
        (settings.client_ca.clone(), settings.client_ca_required, settings.min_version, settings.tls_alpn_proofs)
    };
    shape(one) == shape(other)
}

/// HTTP/2 and HTTP/1.1 by ALPN, and a client certificate if one is asked for.
fn acceptor(settings: &TlsSettings, certificates: &Arc<Certificates>) -> Result<Acceptor, TlsError> {
    let versions: &[_] = match settings.min_version {
        TlsVersion::Tls12 => &[&TLS12, &TLS13],
        TlsVersion::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("ring has cipher suites for both versions");
    let builder = match &settings.client_ca {
        Some(path) => builder.with_client_cert_verifier(read::client_verifier(path, settings.client_ca_required)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::clone(certificates) as Arc<_>);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if settings.tls_alpn_proofs {
        config.alpn_protocols.push(ACME_TLS.to_vec());
    }
    Ok(Acceptor::from_server_config(Arc::new(config)))
}

/// The subject of a verified client certificate.
fn subject(tls: &TlsRef) -> Option<ClientSubject> {
    let (_, certificate) = X509Certificate::from_der(tls.peer_certificate_der()?).ok()?;
    Some(ClientSubject(certificate.subject().to_string().into()))
}

#[cfg(test)]
mod tests;
