//! Reads certificates, keys and client authorities, and says what cannot be used.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::client::tls::{self, Trust};
use crate::compile::Certificate;

/// A file that TLS cannot use, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}", cause.said(path))]
pub struct TlsError {
    pub path: PathBuf,
    pub cause: TlsCause,
}

#[derive(Debug)]
pub enum TlsCause {
    /// It is not there.
    Missing,
    Unreadable(Box<str>),
    NoCertificate,
    NoKey,
    /// Of a kind that rustls cannot sign with.
    UnusableKey,
    /// The key is not the certificate's.
    KeyOfAnother(PathBuf),
}

impl TlsCause {
    fn said(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Missing => format!("cannot read `{path}`: there is no such file"),
            Self::Unreadable(why) => format!("cannot read `{path}`: {why}"),
            Self::NoCertificate => format!("`{path}` holds no certificate in PEM"),
            Self::NoKey => format!("`{path}` holds no private key in PEM"),
            Self::UnusableKey => format!("the key in `{path}` is of a kind that cannot be used"),
            Self::KeyOfAnother(cert) => {
                format!("the key in `{path}` is not the one of the certificate in `{}`", cert.display())
            }
        }
    }
}

/// A certificate with its chain and key, and what is known of it.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The DNS names that it is for, in lower case.
    pub names: Vec<Box<str>>,
    pub key: Arc<CertifiedKey>,
    pub validity: Validity,
}

/// In seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub not_before: i64,
    pub not_after: i64,
}

/// Reads a certificate of the file and its key.
pub fn read(source: &Certificate) -> Result<Pair, TlsError> {
    let chain = chain(&read_file(&source.cert)?, &source.cert)?;
    pair(chain, &source.cert, &read_file(&source.key)?, &source.key)
}

/// A certificate and its key in the text of one file.
pub fn read_both(text: &[u8], path: &Path) -> Result<Pair, TlsError> {
    pair(chain(text, path)?, path, text, path)
}

fn pair(chain: Vec<CertificateDer<'static>>, cert: &Path, key: &[u8], path: &Path) -> Result<Pair, TlsError> {
    let error = |cause| TlsError { path: path.to_owned(), cause };
    let (names, validity) =
        described(&chain[0]).ok_or(TlsError { path: cert.to_owned(), cause: TlsCause::NoCertificate })?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| error(TlsCause::NoKey))?;
    let key = ring::sign::any_supported_type(&key).map_err(|_| error(TlsCause::UnusableKey))?;
    let key = CertifiedKey::new(chain, key);
    key.keys_match().map_err(|_| error(TlsCause::KeyOfAnother(cert.to_owned())))?;
    Ok(Pair { names, key: Arc::new(key), validity })
}

/// At least one certificate, the server's own first.
fn chain(text: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    chain
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| TlsError { path: path.to_owned(), cause: TlsCause::NoCertificate })
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let cause = if missing { TlsCause::Missing } else { TlsCause::Unreadable(error.to_string().into()) };
        TlsError { path: path.to_owned(), cause }
    })
}

/// The DNS names that a certificate is for, and when; `None` when it is no certificate.
fn described(certificate: &CertificateDer<'_>) -> Option<(Vec<Box<str>>, Validity)> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.iter().flat_map(|extension| &extension.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
        _ => None,
    });
    let validity = certificate.validity();
    let validity = Validity { not_before: validity.not_before.timestamp(), not_after: validity.not_after.timestamp() };
    Some((names.collect(), validity))
}

/// How servers are asked whose certificates the authorities in this file signed, or that show one of these.
pub fn trusting(path: &Path) -> Result<ClientConfig, TlsError> {
    let trust = Trust { authorities: Some(chain(&read_file(path)?, path)?), ..Trust::default() };
    tls::config(trust, None)
        .map_err(|error| TlsError { path: path.to_owned(), cause: TlsCause::Unreadable(error.to_string().into()) })
}

/// Whether clients can be asked for certificates of the authorities in this file.
pub fn check_client_authority(path: &Path) -> Result<(), TlsError> {
    client_verifier(path, true).map(drop)
}

/// The authorities of client certificates. Without `required`, a client may connect without a certificate.
pub fn client_verifier(path: &Path, required: bool) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let error = |why: String| TlsError { path: path.to_owned(), cause: TlsCause::Unreadable(why.into()) };
    let mut roots = RootCertStore::empty();
    for certificate in chain(&read_file(path)?, path)? {
        roots.add(certificate).map_err(|cause| error(cause.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()));
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|cause| error(cause.to_string()))
}
