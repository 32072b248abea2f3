//! The certificates of the edge: chosen by name, exchanged while connections go on.
//!
//! Pingora's own settings panic on a bad file when the listener is built, and never read a file again. So files are read and
//! checked here first, and a resolver of ours stands between rustls and what is in force.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::listeners::TlsAccept;
use pingora::listeners::tls::{Acceptor, TlsSettings as Listener};
use pingora::protocols::Stream;
use pingora::protocols::tls::TlsRef;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::compile::{Certificate, TlsSettings};
use crate::guard::headers::ClientSubject;

/// A file that TLS cannot use, and why.
#[derive(Debug)]
pub struct TlsError {
    pub path: PathBuf,
    pub cause: TlsCause,
}

#[derive(Debug)]
pub enum TlsCause {
    Unreadable(Box<str>),
    NoCertificate,
    NoKey,
    /// Of a kind that rustls cannot sign with.
    UnusableKey,
    /// The key is not the certificate's.
    KeyOfAnother(PathBuf),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.cause {
            TlsCause::Unreadable(why) => write!(f, "cannot read `{path}`: {why}"),
            TlsCause::NoCertificate => write!(f, "`{path}` holds no certificate in PEM"),
            TlsCause::NoKey => write!(f, "`{path}` holds no private key in PEM"),
            TlsCause::UnusableKey => write!(f, "the key in `{path}` is of a kind that cannot be used"),
            TlsCause::KeyOfAnother(cert) => {
                write!(f, "the key in `{path}` is not the one of the certificate in `{}`", cert.display())
            }
        }
    }
}

impl std::error::Error for TlsError {}

/// TLS as it is in force: what new connections are greeted with. Shared by all listeners.
pub struct Tls {
    certificates: Arc<Certificates>,
    acceptor: ArcSwap<Acceptor>,
}

impl Tls {
    /// Reads all files; all that is wrong with any of them is said.
    pub fn load(settings: &TlsSettings) -> Result<Self, Vec<TlsError>> {
        let certificates = Arc::new(Certificates::load(&settings.certificates)?);
        let listener = listener(settings, Arc::clone(&certificates)).map_err(|error| vec![error])?;
        Ok(Self { certificates, acceptor: ArcSwap::from_pointee(listener.build()) })
    }

    /// Reads the files again, as [`Certificates::reload`] does, and those of the client authority.
    pub fn reload(&self, before: &TlsSettings, settings: &TlsSettings) -> Vec<TlsError> {
        let mut errors = self.certificates.reload(&settings.certificates);
        // Without a client authority there is nothing else in an acceptor, and a new one would lose the sessions that
        // clients may resume.
        if settings.client_ca.is_some() || before.client_ca.is_some() {
            match listener(settings, Arc::clone(&self.certificates)) {
                Ok(listener) => self.acceptor.store(Arc::new(listener.build())),
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    /// The server's half of a handshake. `None`: it failed, or the stream is not one of a socket.
    pub async fn handshake(&self, stream: Stream) -> Option<Stream> {
        let stream = stream.into_any().downcast::<pingora::protocols::l4::stream::Stream>().ok()?;
        match self.acceptor.load_full().tls_handshake(*stream).await {
            Ok(stream) => Some(Box::new(stream)),
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
        }
    }
}

/// The certificates in force.
#[derive(Debug)]
pub struct Certificates(ArcSwap<Chosen>);

/// One reading of the files.
#[derive(Debug, Default)]
struct Chosen {
    pairs: Vec<Pair>,
    /// By name, and by the suffix of a wildcard (`.example.com`).
    exact: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    wildcard: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
}

#[derive(Debug, Clone)]
struct Pair {
    source: Certificate,
    names: Vec<Box<str>>,
    key: Arc<CertifiedKey>,
}

impl Certificates {
    /// Reads every pair; all that is wrong with any of them is said.
    pub fn load(sources: &[Certificate]) -> Result<Self, Vec<TlsError>> {
        let (pairs, errors) = read_all(sources, &[]);
        if errors.is_empty() { Ok(Self(ArcSwap::from_pointee(Chosen::from(pairs)))) } else { Err(errors) }
    }

    /// Reads the files again. A pair that cannot be used keeps what was read before under the same paths, and is said;
    /// handshakes from now on see the others. Connections that are open do not notice.
    pub fn reload(&self, sources: &[Certificate]) -> Vec<TlsError> {
        let (pairs, errors) = read_all(sources, &self.0.load().pairs);
        self.0.store(Arc::new(Chosen::from(pairs)));
        errors
    }

    fn choose(&self, name: Option<&str>, offered: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let chosen = self.0.load();
        let usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(offered).is_some();
        let name = name.map(str::to_ascii_lowercase);
        let named = name.as_deref().and_then(|name| {
            let suffix = name.find('.').map(|dot| &name[dot..]);
            let exact = chosen.exact.get(name).into_iter();
            let wildcard = suffix.and_then(|suffix| chosen.wildcard.get(suffix)).into_iter();
            exact.chain(wildcard).flatten().find(usable)
        });
        // A client that names an unknown host, or none, gets the first certificate, and can see for which host it is.
        named.or_else(|| chosen.pairs.iter().map(|pair| &pair.key).find(usable)).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}

impl From<Vec<Pair>> for Chosen {
    fn from(pairs: Vec<Pair>) -> Self {
        let mut chosen = Self::default();
        for pair in &pairs {
            for name in &pair.names {
                let (map, name) = match name.strip_prefix('*') {
                    Some(suffix) => (&mut chosen.wildcard, suffix),
                    None => (&mut chosen.exact, &**name),
                };
                map.entry(name.into()).or_default().push(Arc::clone(&pair.key));
            }
        }
        chosen.pairs = pairs;
        chosen
    }
}

/// The settings of one listener: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN, and a client certificate if one is asked for.
pub fn listener(settings: &TlsSettings, certificates: Arc<Certificates>) -> Result<Listener, TlsError> {
    let mut listener = if let Some(path) = &settings.client_ca {
        let mut listener = Listener::with_callbacks(Box::new(Subjects)).expect("callbacks cannot fail");
        listener.set_client_cert_verifier(client_verifier(path)?);
        listener
    } else {
        // The paths are not read when there is a resolver.
        Listener::intermediate("", "").expect("paths are not read yet")
    };
    listener.set_cert_resolver(certificates);
    listener.enable_h2();
    Ok(listener)
}

fn client_verifier(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let error = |cause| TlsError { path: path.to_owned(), cause };
    let mut roots = RootCertStore::empty();
    for certificate in read_chain(path)? {
        roots.add(certificate).map_err(|cause| error(TlsCause::Unreadable(cause.to_string().into())))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()))
        .build()
        .map_err(|cause| error(TlsCause::Unreadable(cause.to_string().into())))
}

/// Keeps the subject of a verified client certificate with its connection, in the `extension` of its `SslDigest`.
struct Subjects;

#[async_trait]
impl TlsAccept for Subjects {
    async fn handshake_complete_callback(&self, tls: &TlsRef) -> Option<Arc<dyn std::any::Any + Send + Sync>> {
        let (_, certificate) = X509Certificate::from_der(tls.peer_certificate_der()?).ok()?;
        Some(Arc::new(ClientSubject(certificate.subject().to_string().into())))
    }
}

fn read_all(sources: &[Certificate], before: &[Pair]) -> (Vec<Pair>, Vec<TlsError>) {
    let (mut pairs, mut errors) = (Vec::new(), Vec::new());
    for source in sources {
        match read(source) {
            Ok(pair) => pairs.push(pair),
            Err(error) => {
                errors.push(error);
                pairs.extend(before.iter().find(|pair| pair.source == *source).cloned());
            }
        }
    }
    (pairs, errors)
}

fn read(source: &Certificate) -> Result<Pair, TlsError> {
    let error = |cause| TlsError { path: source.key.clone(), cause };
    let chain = read_chain(&source.cert)?;
    let names = names(&chain[0]).ok_or(TlsError { path: source.cert.clone(), cause: TlsCause::NoCertificate })?;
    let text = read_file(&source.key)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| error(TlsCause::NoKey))?;
    let key = ring::sign::any_supported_type(&key).map_err(|_| error(TlsCause::UnusableKey))?;
    let key = CertifiedKey::new(chain, key);
    key.keys_match().map_err(|_| error(TlsCause::KeyOfAnother(source.cert.clone())))?;
    Ok(Pair { source: source.clone(), names, key: Arc::new(key) })
}

/// At least one certificate, the server's own first.
fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read_file(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    chain
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| TlsError { path: path.to_owned(), cause: TlsCause::NoCertificate })
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path)
        .map_err(|error| TlsError { path: path.to_owned(), cause: TlsCause::Unreadable(error.to_string().into()) })
}

/// The DNS names that a certificate is for, in lower case; `None` when it is no certificate.
fn names(certificate: &CertificateDer<'_>) -> Option<Vec<Box<str>>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.iter().flat_map(|extension| &extension.value.general_names);
    Some(
        names
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
                _ => None,
            })
            .collect(),
    )
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
