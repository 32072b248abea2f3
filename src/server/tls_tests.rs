//! Certificates and TLS listeners, with good files and bad ones.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use pingora::tls::{ClientConfig, ServerName, TlsConnector, UnixTime};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{ConfigBuilder, DigitallySignedStruct, Error, SignatureScheme, SupportedProtocolVersion};
use tokio::io::DuplexStream;

use super::*;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("multilith-tls-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A pair for these names, signed by itself, under `name.pem` and `name.key`.
    fn pair(&self, name: &str, names: &[&str]) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        let cert = params.self_signed(&key).unwrap();
        Certificate {
            cert: self.write(&format!("{name}.pem"), &cert.pem()),
            key: self.write(&format!("{name}.key"), &key.serialize_pem()),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Accepts any certificate, to see which one the server shows.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A client of these versions of TLS, before it has said whether it has a certificate.
fn client(versions: &[&'static SupportedProtocolVersion]) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
}

fn trusting() -> ClientConfig {
    client(rustls::ALL_VERSIONS).with_no_client_auth()
}

type ClientStream = pingora::tls::ClientTlsStream<DuplexStream>;

/// One handshake: both ends, if both accept.
async fn handshake(
    listener: Listener,
    client: ClientConfig,
    name: &str,
) -> (Option<pingora::protocols::tls::TlsStream<DuplexStream>>, Option<ClientStream>) {
    let acceptor = listener.build();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    let (server, client) = tokio::join!(acceptor.tls_handshake(far), connector.connect(name, near));
    (server.ok(), client.ok())
}

async fn shown(certificates: &Arc<Certificates>, name: &str) -> Vec<u8> {
    let listener = listener(&TlsSettings::default(), Arc::clone(certificates)).unwrap();
    let (_, client) = handshake(listener, trusting(), name).await;
    client.unwrap().get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn der(source: &Certificate) -> Vec<u8> {
    CertificateDer::from_pem_file(&source.cert).unwrap().to_vec()
}

#[tokio::test]
async fn the_name_a_client_asks_for_chooses_the_certificate() {
    let folder = Folder::new();
    let first = folder.pair("first", &["first.example"]);
    let exact = folder.pair("exact", &["api.shop.example", "Other.Example"]);
    let wildcard = folder.pair("wildcard", &["*.shop.example"]);
    let certificates = Arc::new(Certificates::load(&[first.clone(), wildcard.clone(), exact.clone()]).unwrap());
    for (name, expected) in [
        ("first.example", &first),
        ("api.shop.example", &exact),
        ("API.shop.example", &exact),
        ("other.example", &exact),
        ("www.shop.example", &wildcard),
        ("a.b.shop.example", &first),
        ("shop.example", &first),
        ("unknown.example", &first),
        ("127.0.0.1", &first),
    ] {
        assert_eq!(shown(&certificates, name).await, der(expected), "{name}");
    }
}

#[tokio::test]
async fn a_reload_is_seen_by_the_next_handshake_and_a_bad_file_keeps_what_was() {
    let folder = Folder::new();
    let (a, b) = (folder.pair("a", &["a.example"]), folder.pair("b", &["b.example"]));
    let certificates = Arc::new(Certificates::load(&[a.clone(), b.clone()]).unwrap());
    let old_b = der(&b);

    let new_a = folder.pair("a", &["a.example"]);
    fs::copy(&new_a.key, &b.key).unwrap();
    let errors = certificates.reload(&[a.clone(), b.clone()]);
    assert_eq!(errors.len(), 1);
    assert!(matches!(&errors[0].cause, TlsCause::KeyOfAnother(cert) if *cert == b.cert), "{}", errors[0]);
    assert_eq!(shown(&certificates, "a.example").await, der(&new_a));
    assert_eq!(shown(&certificates, "b.example").await, old_b);

    let new_b = folder.pair("b", &["b.example"]);
    assert!(certificates.reload(&[a, b]).is_empty());
    assert_eq!(shown(&certificates, "b.example").await, der(&new_b));
}

#[test]
fn every_bad_file_is_named_before_anything_starts() {
    let folder = Folder::new();
    let (good, other) = (folder.pair("good", &["a.example"]), folder.pair("other", &["a.example"]));
    let empty = folder.write("empty.pem", "");
    let garbage = folder.write("garbage.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let missing = folder.0.join("missing.pem");
    let with = |cert: &PathBuf, key: &PathBuf| Certificate { cert: cert.clone(), key: key.clone() };
    let sources = [
        with(&missing, &good.key),
        with(&empty, &good.key),
        with(&garbage, &good.key),
        with(&good.cert, &good.cert),
        with(&good.cert, &other.key),
        good.clone(),
    ];
    let errors = Certificates::load(&sources).unwrap_err();
    let said: Vec<_> = errors.iter().map(|error| error.to_string().replace(&*folder.0.to_string_lossy(), "")).collect();
    assert_eq!(
        said,
        [
            "cannot read `/missing.pem`: No such file or directory (os error 2)",
            "`/empty.pem` holds no certificate in PEM",
            "`/garbage.pem` holds no certificate in PEM",
            "`/good.pem` holds no private key in PEM",
            "the key in `/other.key` is not the one of the certificate in `/good.pem`",
        ]
    );
}

#[tokio::test]
async fn http_2_and_both_versions_of_tls_are_offered() {
    let folder = Folder::new();
    let certificates = Arc::new(Certificates::load(&[folder.pair("a", &["a.example"])]).unwrap());
    for (version, protocol) in [(&rustls::version::TLS12, "h2"), (&rustls::version::TLS13, "http/1.1")] {
        let mut client = client(&[version]).with_no_client_auth();
        client.alpn_protocols = vec![protocol.into()];
        let listener = listener(&TlsSettings::default(), Arc::clone(&certificates)).unwrap();
        let (_, stream) = handshake(listener, client, "a.example").await;
        let stream = stream.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
    }
}

#[tokio::test]
async fn with_a_client_ca_only_its_clients_come_in_and_their_subject_is_known() {
    let folder = Folder::new();
    let certificates = Arc::new(Certificates::load(&[folder.pair("a", &["a.example"])]).unwrap());
    let authority = Authority::new();
    let ca = folder.write("ca.pem", &authority.pem);
    let settings = TlsSettings { client_ca: Some(ca), ..TlsSettings::default() };
    let new_listener = || listener(&settings, Arc::clone(&certificates)).unwrap();

    let (server, client) = handshake(new_listener(), authority.client("alice"), "a.example").await;
    let digest = server.unwrap().ssl_digest().unwrap();
    assert!(client.is_some());
    let subject = digest.extension.get::<ClientSubject>().unwrap();
    assert_eq!(&*subject.0, "CN=alice");

    assert!(handshake(new_listener(), trusting(), "a.example").await.0.is_none(), "a client without a certificate");
    let stranger = Authority::new().client("alice");
    assert!(handshake(new_listener(), stranger, "a.example").await.0.is_none(), "a client of another authority");
}

#[test]
fn a_client_ca_that_is_none_is_named() {
    let folder = Folder::new();
    let certificates = Arc::new(Certificates::load(&[folder.pair("a", &["a.example"])]).unwrap());
    let settings = TlsSettings { client_ca: Some(folder.write("ca.pem", "")), ..TlsSettings::default() };
    let error = listener(&settings, certificates).err().unwrap();
    assert!(error.to_string().ends_with("ca.pem` holds no certificate in PEM"), "{error}");
}

/// Signs client certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn client(&self, name: &str) -> ClientConfig {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        client(rustls::ALL_VERSIONS).with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
    }
}
