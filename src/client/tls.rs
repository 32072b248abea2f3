//! How the peer of a TLS connection proves its identity: by an authority, by being the certificate that the file names, by its
//! key, or not at all.

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use crate::endpoint::{KeyPin, Verify};

/// The proof that a server has to give.
#[derive(Debug, Default)]
pub struct Trust {
    /// `None`: those of this machine. A server may also show one of these as its own.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
    pub verify: Verify,
    /// When there are any, the server's key is one of these.
    pub pins: Vec<KeyPin>,
}

/// Our own certificate with its chain, and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The settings of connections to a server that is trusted so.
///
/// # Errors
/// An authority that is no certificate, a key that is none or not the certificate's.
pub fn config(trust: Trust, identity: Option<Identity>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new(trust, Arc::clone(&provider))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// The settings where a file says nothing: the authorities of this machine, and the name.
#[must_use]
pub fn usual() -> Arc<ClientConfig> {
    static USUAL: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let made = || config(Trust::default(), None).expect("the machine's authorities, and no key of our own");
    Arc::clone(USUAL.get_or_init(|| Arc::new(made())))
}

/// The authorities of this machine, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. That they can be read is checked when
/// the server starts.
fn of_this_machine() -> &'static Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        if let Err(error) = pingora::tls::load_platform_certs_incl_env_into_store(&mut roots) {
            tracing::error!(%error, "the certificate authorities of this machine cannot be read: no server is trusted");
        }
        Arc::new(roots)
    })
}

#[derive(Debug)]
struct Verifier {
    /// `None`: there is no authority, so none can have signed anything.
    chain: Option<Arc<WebPkiServerVerifier>>,
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(trust: Trust, provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let roots = if let Some(authorities) = &trust.authorities {
            let mut roots = RootCertStore::empty();
            for certificate in authorities {
                roots.add(certificate.clone())?;
            }
            Arc::new(roots)
        } else {
            Arc::clone(of_this_machine())
        };
        let chain = if roots.is_empty() {
            None
        } else {
            let built = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
            Some(built.map_err(|error| Error::General(error.to_string()))?)
        };
        Ok(Self { chain, trust, provider })
    }

    fn is_authority(&self, shown: &CertificateDer<'_>) -> bool {
        self.trust.authorities.iter().flatten().any(|authority| authority == shown)
    }

    /// The certificate is the one that the file names, whatever it may sign: it stands for itself, while it is valid.
    fn verify_itself(&self, shown: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
        let bad = |error: CertificateError| Err(Error::InvalidCertificate(error));
        let Ok((_, certificate)) = X509Certificate::from_der(shown) else { return bad(CertificateError::BadEncoding) };
        let validity = certificate.validity();
        let now = i64::try_from(now.as_secs()).ok().and_then(|now| ASN1Time::from_timestamp(now).ok());
        match now {
            Some(now) if now > validity.not_after => return bad(CertificateError::Expired),
            Some(now) if now < validity.not_before => return bad(CertificateError::NotValidYet),
            Some(_) => {}
            None => return bad(CertificateError::Expired),
        }
        if self.trust.verify == Verify::Full {
            verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
        }
        Ok(())
    }

    fn verify_pin(&self, shown: &CertificateDer<'_>) -> Result<(), Error> {
        if self.trust.pins.is_empty() {
            return Ok(());
        }
        let key = ParsedCertificate::try_from(shown)?.subject_public_key_info();
        let found = digest(&SHA256, key.as_ref());
        if self.trust.pins.iter().any(|pin| pin.0 == found.as_ref()) {
            return Ok(());
        }
        let other = OtherKey(STANDARD.encode(found).into());
        Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(other)))))
    }
}

/// The server's key is none of those that are pinned. Shown as rustls shows it, by `Debug`.
#[derive(thiserror::Error)]
#[error("the key is sha256/{0}, which `pin` does not name")]
struct OtherKey(Box<str>);

impl std::fmt::Debug for OtherKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // Of the server's own certificate alone: any server may append another's to its chain.
        self.verify_pin(shown)?;
        if self.trust.verify == Verify::Off {
            return Ok(ServerCertVerified::assertion());
        }
        if self.is_authority(shown) {
            // A certificate of `openssl req -x509` may sign others, which webpki takes from no server.
            return self.verify_itself(shown, name, now).map(|()| ServerCertVerified::assertion());
        }
        let Some(chain) = &self.chain else {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        };
        match chain.verify_server_cert(shown, intermediates, name, ocsp, now) {
            // The name is looked at last, when the chain is known to be good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.trust.verify == Verify::Chain => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, shown, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, shown, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
