//! Copies to a service with TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use rustls::pki_types::PrivateKeyDer;

use crate::harness::{Edge, Origin};

/// A listener with a certificate for `localhost` alone: answers every connection once with `same`. Gives its address and
/// the file of the certificate.
fn tls_service() -> (SocketAddr, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let cert = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("shadow-tls.pem");
    std::fs::write(&cert, made.cert.pem()).expect("the folder takes a file");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a certificate with its key");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).expect("a session");
            thread::spawn(move || drop(answer(rustls::StreamOwned::new(session, stream))));
        }
    });
    (address, cert)
}

fn answer(mut stream: impl Read + Write) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsame")?;
    stream.flush()
}

#[test]
fn a_service_with_tls_gets_its_copies_if_its_certificate_is_right() {
    let monolith = Origin::saying("same");
    let (service, cert) = tls_service();
    for (server_name, outcome) in [("localhost", "answered"), ("elsewhere.example", "connect")] {
        let tables = format!(
            "[services.new]\nurl = \"https://{service}\"\ntls = {{ server_name = \"{server_name}\", ca = \"{}\" }}\n\
             [routes.all]\npath = \"/{{*rest}}\"\nservice = \"new\"\nstage = \"shadow\"\n\
             [routes.all.shadow]\ncompare = {{ headers = [], noise = {{ replay = \"0%\" }} }}\n",
            cert.display()
        );
        let edge = Edge::before(&monolith).with(&tables).start();
        assert_eq!(edge.get("/").text(), "same");
        edge.await_sent(outcome, 1);
        if outcome == "answered" {
            let report = edge.await_compared(1);
            assert_eq!(report["verdicts"]["match"], 1, "{report:#}");
        }
    }
}
