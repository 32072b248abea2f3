//! TLS at both ends of a test: a client that takes any certificate of the test, and a listener for an origin.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::harness::{Edge, Origin, free_address};
use crate::stages::world::canary;

/// A certificate for `localhost` with its key, also as files.
pub(crate) struct Identity {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    der: CertificateDer<'static>,
    key_der: PrivateKeyDer<'static>,
}

impl Identity {
    pub(crate) fn new(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let (cert, key) = (folder.join(format!("stages-{name}.pem")), folder.join(format!("stages-{name}.key")));
        std::fs::write(&cert, made.cert.pem()).expect("the folder takes a file");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("the folder takes a file");
        let key_der = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        Self { cert, key, der: made.cert.der().clone(), key_der }
    }

    /// The configuration of a server that speaks HTTP/2 only.
    pub(crate) fn http2_server(&self) -> Arc<rustls::ServerConfig> {
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], self.key_der.clone_key())
            .expect("a certificate with its key");
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }

    fn get(&self, address: SocketAddr, target: &str) -> String {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.der.clone()).expect("a root");
        let config = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let session = rustls::ClientConnection::new(Arc::new(config), name).expect("a session");
        let mut stream = rustls::StreamOwned::new(session, TcpStream::connect(address).expect("a connection"));
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("the proxy takes a request");
        let mut answer = Vec::new();
        // Without a close_notify the end is an error; what came before it counts.
        drop(stream.read_to_end(&mut answer));
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[test]
fn over_tls_our_cookies_are_secure() {
    let identity = Identity::new("edge");
    let (monolith, service) = (Origin::saying("monolith"), Origin::saying("service"));
    let address = free_address();
    let tls = format!(
        "[server.tls]\nlisten = [\"{address}\"]\ncertificates = [{{ cert = \"{}\", key = \"{}\" }}]\n{}",
        identity.cert.display(),
        identity.key.display(),
        canary("50%", "pin = \"1m\""),
    );
    let _edge = Edge::before(&monolith).service("users", &service).with(&tls).start();
    let answer = identity.get(address, "/users");
    let cookies: Vec<_> = answer.lines().filter(|line| line.to_ascii_lowercase().starts_with("set-cookie:")).collect();
    assert_eq!(cookies.len(), 2, "{answer}");
    for cookie in cookies {
        assert!(
            cookie.ends_with("; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax; Secure")
                || cookie.ends_with("; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"),
            "{cookie}"
        );
    }
}
