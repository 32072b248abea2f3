//! What upstreams are connected by: TLS with names and certificates, HTTP/2, Unix sockets. Seen through health checks,
//! which connect with the same peers as requests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use multilith::endpoint::{
    Address, Health, HealthCheck, HealthRequest, HttpVersions, KeyPin, Source, TlsIdentity, UpstreamSpec, Verify,
};
use multilith::upstream::{EndpointState, NoEndpoint};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::{World, spec};
use crate::harness::{Edge, Origin, http2_server, http2_service, say};

/// A folder with an authority, a certificate for `users.internal` and one for a client.
struct Papers {
    folder: PathBuf,
    authority: CertifiedIssuer<'static, KeyPair>,
    server: (CertificateDer<'static>, PrivateKeyDer<'static>),
}

impl Papers {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("multilith-wires-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
        let issue = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            (params.signed_by(&key, &authority).unwrap(), key)
        };
        let (client, client_key) = issue("edge.internal");
        std::fs::write(folder.join("client.pem"), client.pem()).unwrap();
        std::fs::write(folder.join("client.key"), client_key.serialize_pem()).unwrap();
        let (server, server_key) = issue("users.internal");
        std::fs::write(folder.join("server.pem"), server.pem()).unwrap();
        let server = (server.der().clone(), PrivateKeyDer::try_from(server_key.serialize_der()).unwrap());
        Self { folder, authority, server }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    fn identity(&self) -> TlsIdentity {
        TlsIdentity {
            server_name: "users.internal".into(),
            ca: Some(self.path("ca.pem")),
            client: None,
            verify: Verify::Full,
            pins: Vec::new(),
        }
    }

    /// A server that answers every request with 200, after a handshake that may ask for a certificate.
    fn serve(&self, asks_for_certificate: bool) -> SocketAddr {
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = if asks_for_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(self.authority.der().clone()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let (certificate, key) = (self.server.0.clone(), self.server.1.clone_key());
        let config = Arc::new(builder.with_single_cert(vec![certificate], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                std::thread::spawn(move || answer_one(StreamOwned::new(connection, stream)));
            }
        });
        address
    }
}

impl Drop for Papers {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A client that gives up in the handshake is what some tests are about.
fn answer_one(mut stream: impl Read + Write) {
    let mut read = Vec::new();
    let mut buffer = [0; 1024];
    while !read.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(length) if length > 0 => read.extend_from_slice(&buffer[..length]),
            _ => return,
        }
    }
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = stream.flush();
}

fn checked(address: Address) -> UpstreamSpec {
    let health = Health {
        check: HealthCheck::Http(HealthRequest::get("/healthz", (200, 299))),
        interval: Duration::from_millis(100),
        timeout: Duration::from_secs(10),
        healthy: 1,
        unhealthy: 1,
    };
    UpstreamSpec { health: Some(health), ..spec(Source::Fixed(vec![(address, 1)])) }
}

fn over_tls(address: SocketAddr, tls: TlsIdentity) -> UpstreamSpec {
    UpstreamSpec { tls: Some(tls), ..checked(address.to_string().parse().unwrap()) }
}

/// What the first check finds.
fn found(spec: UpstreamSpec) -> (EndpointState, String) {
    let world = World::new(spec);
    let first = || world.status().endpoints.remove(0);
    world.eventually("it is checked", || first().state != EndpointState::Starting);
    (first().state, first().why)
}

#[test]
fn a_certificate_of_the_named_authority_for_the_named_host_is_believed() {
    let papers = Papers::new("believed");
    let address = papers.serve(false);
    assert_eq!(found(over_tls(address, papers.identity())).0, EndpointState::Healthy);
}

#[test]
fn another_name_or_another_authority_is_not_believed() {
    let (papers, others) = (Papers::new("mine"), Papers::new("others"));
    let address = papers.serve(false);
    for (what, identity) in [
        ("another name", TlsIdentity { server_name: "orders.internal".into(), ..papers.identity() }),
        ("another authority", others.identity()),
        ("the authorities of the system", TlsIdentity { ca: None, ..papers.identity() }),
    ] {
        assert_eq!(found(over_tls(address, identity)).0, EndpointState::Unhealthy, "{what}");
    }
}

#[test]
fn verify_and_pin_say_who_is_believed() {
    let (papers, others) = (Papers::new("pinned"), Papers::new("other-keys"));
    let address = papers.serve(false);
    let key = rustls::server::ParsedCertificate::try_from(&papers.server.0).unwrap().subject_public_key_info();
    let pin = KeyPin(ring::digest::digest(&ring::digest::SHA256, key.as_ref()).as_ref().try_into().unwrap());
    let other_name = TlsIdentity { server_name: "orders.internal".into(), ..papers.identity() };
    let nobody = TlsIdentity { ca: None, verify: Verify::Off, ..papers.identity() };
    for (what, identity, state) in [
        ("the chain alone", TlsIdentity { verify: Verify::Chain, ..other_name }, EndpointState::Healthy),
        ("another chain", TlsIdentity { verify: Verify::Chain, ..others.identity() }, EndpointState::Unhealthy),
        ("nothing", nobody.clone(), EndpointState::Healthy),
        ("its key", TlsIdentity { pins: vec![pin], ..nobody.clone() }, EndpointState::Healthy),
        ("another key", TlsIdentity { pins: vec![KeyPin([7; 32])], ..nobody }, EndpointState::Unhealthy),
        ("itself", TlsIdentity { ca: Some(papers.path("server.pem")), ..papers.identity() }, EndpointState::Healthy),
    ] {
        assert_eq!(found(over_tls(address, identity)).0, state, "{what}");
    }
}

#[test]
fn an_upstream_that_asks_for_a_certificate_gets_ours() {
    let papers = Papers::new("client");
    let address = papers.serve(true);
    let client = Some((papers.path("client.pem"), papers.path("client.key")));
    assert_eq!(found(over_tls(address, TlsIdentity { client, ..papers.identity() })).0, EndpointState::Healthy);
    assert_eq!(found(over_tls(address, papers.identity())).0, EndpointState::Unhealthy, "without a certificate");
}

#[test]
fn an_upstream_whose_certificates_cannot_be_used_gets_no_request_at_all() {
    let papers = Papers::new("unusable");
    std::fs::write(papers.path("empty.pem"), "").unwrap();
    std::fs::write(papers.path("broken.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    let client = |cert: &str, key: &str| Some((papers.path(cert), papers.path(key)));
    let with_ca = |file: &Path| TlsIdentity { ca: Some(file.to_owned()), ..papers.identity() };
    for (identity, says) in [
        (with_ca(&papers.path("missing.pem")), "cannot be read"),
        (with_ca(&papers.path("empty.pem")), "holds no certificate"),
        (with_ca(&papers.path("broken.pem")), "is unusable"),
        (TlsIdentity { client: client("client.pem", "ca.pem"), ..papers.identity() }, "no usable private key"),
        (TlsIdentity { client: client("broken.pem", "client.key"), ..papers.identity() }, "is unusable"),
    ] {
        let world = World::new(over_tls(SocketAddr::from(([127, 0, 0, 1], 1)), identity));
        assert_eq!(world.pool.pick(None, &[]).err(), Some(NoEndpoint::Unusable), "{says}");
        let trouble = world.status().trouble.unwrap();
        assert!(trouble.contains(says), "{trouble}");
    }
}

#[test]
fn a_unix_socket_is_an_endpoint() {
    let papers = Papers::new("unix");
    let path = papers.path("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer_one(stream));
        }
    });
    let world = World::new(checked(Address::Unix(path.clone())));
    let name = format!("unix:{}", path.display());
    world.eventually("it is healthy", || world.state(&name) == Some(EndpointState::Healthy));
    assert_eq!(world.pool.pick(None, &[]).unwrap().address(), name);
}

#[test]
fn an_upstream_of_http2_is_spoken_to_in_http2() {
    let (heard, targets) = std::sync::mpsc::channel();
    let address = http2_service(move |request, mut respond| {
        let _ = heard.send(request.uri().to_string());
        async move { drop(respond.send_response(http::Response::new(()), true)) }
    });
    let spec = UpstreamSpec { http: HttpVersions::Http2, ..checked(address.to_string().parse().unwrap()) };
    assert_eq!(found(spec).0, EndpointState::Healthy);
    assert_eq!(targets.recv().unwrap(), format!("http://{address}/healthz"));
}

#[test]
fn many_requests_at_once_share_a_few_connections_of_http2() {
    const AT_ONCE: usize = 150;
    let connections = Arc::new(AtomicUsize::new(0));
    // The answers wait until all have asked.
    let together = Arc::new(tokio::sync::Barrier::new(AT_ONCE));
    let counted = Arc::clone(&connections);
    let address = http2_server(move |stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        let together = Arc::clone(&together);
        async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let together = Arc::clone(&together);
                tokio::spawn(async move {
                    let path = request.uri().path().to_owned();
                    if path != "/warm" {
                        together.wait().await;
                    }
                    say(&mut respond, path);
                });
            }
        }
    });
    let edge = Edge::before(&Origin::saying("monolith"))
        .with(&format!(
            "[services.users]\nurl = \"http://{address}\"\nhttp = \"2\"\n[routes.users]\npath = \"/{{*rest}}\"\n\
             service = \"users\"\nstage = \"migrated\""
        ))
        .start();
    // The connection is there before the crowd comes.
    assert_eq!(edge.get("/warm").text(), "/warm");
    let mut clients: Vec<_> = (0..AT_ONCE).map(|_| edge.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: edge.test\r\n\r\n"));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let answer = client.response();
        assert_eq!((answer.status(), answer.text()), (200, format!("/{number}")));
    }
    let connections = connections.load(Ordering::SeqCst);
    // The first takes a hundred streams; of those that come while it is full, each may open one at the same moment.
    assert!((2..=1 + AT_ONCE - 100).contains(&connections), "{connections} connections for {AT_ONCE} requests");
}
