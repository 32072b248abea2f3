//! Certificates and TLS listeners, with good files and bad ones.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use pingora::protocols::Ssl as _;
use pingora::tls::{ClientConfig, ServerName, TlsConnector, UnixTime};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ConfigBuilder, DigitallySignedStruct, Error, SignatureScheme, SupportedProtocolVersion};
use tokio::io::DuplexStream;

use super::*;
use crate::compile::Certificate;

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
    acceptor: &Acceptor,
    client: ClientConfig,
    name: &str,
) -> (Option<pingora::protocols::tls::TlsStream<DuplexStream>>, Option<ClientStream>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    let (server, client) = tokio::join!(acceptor.tls_handshake(far), connector.connect(name, near));
    (server.ok(), client.ok())
}

async fn shown(certificates: &Arc<Certificates>, name: &str) -> Vec<u8> {
    let acceptor = acceptor(&TlsSettings::default(), certificates).unwrap();
    let (_, client) = handshake(&acceptor, trusting(), name).await;
    client.unwrap().get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn load(sources: &[Certificate]) -> Arc<Certificates> {
    let certificates = Arc::new(Certificates::default());
    certificates.put(read_all(sources).unwrap(), false);
    certificates
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
    let certificates = load(&[first.clone(), wildcard.clone(), exact.clone()]);
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
async fn a_reload_is_seen_by_the_next_handshake_and_a_bad_file_changes_nothing() {
    let folder = Folder::new();
    let (a, b) = (folder.pair("a", &["a.example"]), folder.pair("b", &["b.example"]));
    let settings = TlsSettings { certificates: vec![a.clone(), b.clone()], ..TlsSettings::default() };
    let tls = ListenerTls::load(&settings).unwrap();
    let (old_a, old_b) = (der(&a), der(&b));

    let new_a = folder.pair("a", &["a.example"]);
    fs::copy(&new_a.key, &b.key).unwrap();
    let errors = tls.prepare(&settings, &settings).err().unwrap();
    assert_eq!(errors.len(), 1);
    assert!(matches!(&errors[0].cause, TlsCause::KeyOfAnother(cert) if *cert == b.cert), "{}", errors[0]);
    assert_eq!(shown(tls.certificates(), "a.example").await, old_a);
    assert_eq!(shown(tls.certificates(), "b.example").await, old_b);

    let new_b = folder.pair("b", &["b.example"]);
    let prepared = tls.prepare(&settings, &settings).ok().unwrap();
    assert_eq!(shown(tls.certificates(), "b.example").await, old_b, "not yet in force");
    tls.put(prepared);
    assert_eq!(shown(tls.certificates(), "a.example").await, der(&new_a));
    assert_eq!(shown(tls.certificates(), "b.example").await, der(&new_b));
}

#[tokio::test]
async fn strict_names_get_their_own_certificate_or_none() {
    let folder = Folder::new();
    let pair = folder.pair("a", &["a.example"]);
    let certificates = load(std::slice::from_ref(&pair));
    certificates.put(read_all(std::slice::from_ref(&pair)).unwrap(), true);
    assert_eq!(shown(&certificates, "a.example").await, der(&pair));
    let acceptor = acceptor(&TlsSettings::default(), &certificates).unwrap();
    for name in ["b.example", "127.0.0.1"] {
        let (server, client) = handshake(&acceptor, trusting(), name).await;
        assert!(server.is_none() && client.is_none(), "{name}");
    }
}

#[tokio::test]
async fn an_issued_certificate_is_shown_beside_those_of_files_and_a_proof_only_to_who_asks_for_one() {
    let folder = Folder::new();
    let (file, issued, proof) =
        (folder.pair("a", &["a.example"]), folder.pair("b", &["b.example"]), folder.pair("c", &["b.example"]));
    let certificates = load(std::slice::from_ref(&file));
    certificates.issue("b.example", read(&issued).unwrap());
    assert_eq!(shown(&certificates, "b.example").await, der(&issued));

    // Also where another replica orders and this one's file has no `acme`.
    let acceptor = acceptor(&TlsSettings { tls_alpn_proofs: true, ..TlsSettings::default() }, &certificates).unwrap();
    let authority = || {
        let mut client = trusting();
        client.alpn_protocols = vec![ACME_TLS.to_vec()];
        client
    };
    assert!(handshake(&acceptor, authority(), "b.example").await.1.is_none(), "no proof is being asked for");
    let guard = certificates.challenge("b.example", read(&proof).unwrap().key);
    let (_, client) = handshake(&acceptor, authority(), "b.example").await;
    let client = client.unwrap();
    assert_eq!(client.get_ref().1.peer_certificates().unwrap()[0].to_vec(), der(&proof));
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(ACME_TLS));
    assert_eq!(shown(&certificates, "b.example").await, der(&issued), "a client sees nothing of it");
    assert!(handshake(&acceptor, authority(), "a.example").await.1.is_none(), "another host");
    drop(guard);
    assert!(handshake(&acceptor, authority(), "b.example").await.1.is_none(), "the authority has asked");

    certificates.keep_issued(&[]);
    assert_eq!(shown(&certificates, "b.example").await, der(&file));
}

#[test]
fn whoever_watches_hears_when_certificates_expire() {
    let folder = Folder::new();
    let (a, b) = (folder.pair("a", &["a.example"]), folder.pair("b", &["b.example"]));
    let certificates = load(&[a.clone(), b.clone()]);
    let heard = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    certificates.when_changed(move |expiries| hears.lock().push(expiries.clone()));
    certificates.put(read_all(std::slice::from_ref(&b)).unwrap(), false);
    let heard = heard.lock();
    assert_eq!(heard[0].keys().map(|name| &**name).collect::<Vec<_>>(), ["a.example", "b.example"]);
    assert_eq!(heard[1]["b.example"], read(&b).unwrap().validity.not_after);
    assert!(!heard[1].contains_key("a.example"));
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
    let errors = read_all(&sources).unwrap_err();
    let said: Vec<_> = errors.iter().map(|error| error.to_string().replace(&*folder.0.to_string_lossy(), "")).collect();
    assert_eq!(
        said,
        [
            "cannot read `/missing.pem`: there is no such file",
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
    let certificates = load(&[folder.pair("a", &["a.example"])]);
    for (version, protocol) in [(&rustls::version::TLS12, "h2"), (&rustls::version::TLS13, "http/1.1")] {
        let mut client = client(&[version]).with_no_client_auth();
        client.alpn_protocols = vec![protocol.into()];
        let acceptor = acceptor(&TlsSettings::default(), &certificates).unwrap();
        let (_, stream) = handshake(&acceptor, client, "a.example").await;
        let stream = stream.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
    }
}

#[tokio::test]
async fn with_a_client_ca_only_its_clients_come_in_and_their_subject_is_known() {
    let folder = Folder::new();
    let certificates = load(&[folder.pair("a", &["a.example"])]);
    let authority = Authority::new();
    let ca = folder.write("ca.pem", &authority.pem);
    let settings = TlsSettings { client_ca: Some(ca), client_ca_required: true, ..TlsSettings::default() };
    let acceptor = acceptor(&settings, &certificates).unwrap();

    let (server, client) = handshake(&acceptor, authority.client("alice"), "a.example").await;
    assert!(client.is_some());
    assert_eq!(who(&server.unwrap()).as_deref(), Some("CN=alice"));

    assert!(handshake(&acceptor, trusting(), "a.example").await.0.is_none(), "a client without a certificate");
    let stranger = Authority::new().client("alice");
    assert!(handshake(&acceptor, stranger, "a.example").await.0.is_none(), "a client of another authority");
}

/// The subject of the client's certificate.
fn who(server: &pingora::protocols::tls::TlsStream<DuplexStream>) -> Option<String> {
    server.get_ssl().and_then(subject).map(|subject| subject.0.to_string())
}

#[tokio::test]
async fn where_it_is_not_required_a_client_may_come_without_a_certificate_but_not_with_a_strangers() {
    let folder = Folder::new();
    let certificates = load(&[folder.pair("a", &["a.example"])]);
    let authority = Authority::new();
    let settings = TlsSettings { client_ca: Some(folder.write("ca.pem", &authority.pem)), ..TlsSettings::default() };
    let acceptor = acceptor(&settings, &certificates).unwrap();
    let (server, _) = handshake(&acceptor, trusting(), "a.example").await;
    assert_eq!(who(&server.unwrap()), None);
    let (server, _) = handshake(&acceptor, authority.client("alice"), "a.example").await;
    assert_eq!(who(&server.unwrap()).as_deref(), Some("CN=alice"));
    let stranger = Authority::new().client("alice");
    assert!(handshake(&acceptor, stranger, "a.example").await.0.is_none(), "a client of another authority");
}

#[tokio::test]
async fn an_older_version_than_the_file_names_is_refused() {
    let folder = Folder::new();
    let certificates = load(&[folder.pair("a", &["a.example"])]);
    let settings = TlsSettings { min_version: TlsVersion::Tls13, ..TlsSettings::default() };
    let acceptor = acceptor(&settings, &certificates).unwrap();
    let old = client(&[&rustls::version::TLS12]).with_no_client_auth();
    assert!(handshake(&acceptor, old, "a.example").await.0.is_none());
    let new = client(&[&rustls::version::TLS13]).with_no_client_auth();
    assert!(handshake(&acceptor, new, "a.example").await.0.is_some());
}

#[test]
fn a_client_ca_that_is_none_is_named() {
    let folder = Folder::new();
    let certificates = load(&[folder.pair("a", &["a.example"])]);
    let settings = TlsSettings { client_ca: Some(folder.write("ca.pem", "")), ..TlsSettings::default() };
    let error = acceptor(&settings, &certificates).err().unwrap();
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
