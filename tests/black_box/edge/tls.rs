//! TLS at the edge with clients that are not ours: curl and openssl.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};

use crate::harness::{Edge, EdgePlan, Origin, PATIENCE, eventually, free_address};

/// A folder of PEM files that goes with its test.
pub(crate) struct Pems(PathBuf);

impl Pems {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("pems-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("cargo's folder for tests takes one more");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("the folder takes a file");
    }

    /// A pair for this name, signed by itself, under `file.pem` and `file.key`.
    pub(crate) fn pair(&self, file: &str, name: &str) {
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name is a name");
        let cert = params.self_signed(&key).expect("a key can sign");
        self.write(&format!("{file}.pem"), &cert.pem());
        self.write(&format!("{file}.key"), &key.serialize_pem());
    }

    /// A pair as `certificates` has it.
    fn entry(&self, pair: &str) -> String {
        let (cert, key) = (self.path(&format!("{pair}.pem")), self.path(&format!("{pair}.key")));
        format!("{{ cert = \"{cert}\", key = \"{key}\" }}")
    }

    /// `[server.tls]` with these pairs.
    pub(crate) fn table(&self, listen: SocketAddr, pairs: &[&str], more: &str) -> String {
        let pairs: Vec<String> = pairs.iter().map(|pair| self.entry(pair)).collect();
        format!("[server.tls]\nlisten = [\"{listen}\"]\ncertificates = [{}]\n{more}\n", pairs.join(", "))
    }
}

impl Drop for Pems {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// What curl prints; the proxy is found under `name`.
fn curl(listen: SocketAddr, name: &str, path: &str, arguments: &[&str]) -> String {
    let resolve = format!("{name}:{}:{}", listen.port(), listen.ip());
    let url = format!("https://{name}:{}{path}", listen.port());
    let output = Command::new("curl")
        .args(["-sS", "--noproxy", "*", "--max-time", "20", "--resolve", &resolve])
        .args(arguments)
        .arg(url)
        .output()
        .expect("curl is there");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The same, believing only this certificate.
fn trusting(pems: &Pems, pair: &str, listen: SocketAddr, name: &str, arguments: &[&str]) -> String {
    let ca = pems.path(&format!("{pair}.pem"));
    curl(listen, name, "/", &[&["--cacert", &ca], arguments].concat())
}

fn with_tls(monolith: &Origin, table: &str) -> EdgePlan {
    Edge::before(monolith).with(table)
}

#[test]
fn curl_speaks_both_protocols_over_both_versions_of_tls() {
    let (monolith, pems, listen) = (Origin::saying("ok"), Pems::new(), free_address());
    pems.pair("a", "a.example");
    let edge = with_tls(&monolith, &pems.table(listen, &["a"], "hsts = \"1h\"")).start();
    for (arguments, version) in [
        (&["--http2", "--tlsv1.3"][..], "2"),
        (&["--http1.1", "--tlsv1.3"], "1.1"),
        (&["--http2", "--tls-max", "1.2"], "2"),
    ] {
        let mut arguments = arguments.to_vec();
        arguments.extend(["-i", "-w", "|%{http_version}"]);
        let said = trusting(&pems, "a", listen, "a.example", &arguments);
        assert!(said.ends_with(&format!("ok|{version}")), "{arguments:?}: {said}");
        assert!(said.to_ascii_lowercase().contains("strict-transport-security: max-age=3600"), "{said}");
    }
    for request in monolith.requests() {
        assert_eq!(request.get("x-forwarded-proto"), Some("https"));
    }
    assert!(edge.get("/").get("strict-transport-security").is_none(), "only TLS may promise TLS");
    eventually("the connections gone", || (edge.metric("multilith_connections", &[]) < 1.0).then_some(()));
}

#[test]
fn the_plain_listener_speaks_http_2_to_who_knows_it() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).start();
    let output = Command::new("curl")
        .args(["-sS", "--noproxy", "*", "--max-time", "20", "--http2-prior-knowledge", "-w", "|%{http_version}"])
        .arg(format!("http://{}/", edge.address()))
        .output()
        .expect("curl is there");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ok|2");
}

#[test]
fn the_name_chooses_the_certificate_and_a_reload_exchanges_it_without_ending_a_connection() {
    let (monolith, pems, listen) = (Origin::saying("ok"), Pems::new(), free_address());
    pems.pair("a", "a.example");
    pems.pair("b", "*.b.example");
    let edge = with_tls(&monolith, &pems.table(listen, &["a", "b"], "")).start();
    assert_eq!(trusting(&pems, "a", listen, "a.example", &[]), "ok");
    assert_eq!(trusting(&pems, "b", listen, "www.b.example", &[]), "ok");

    // Another pair under the same names: the old certificate is not shown any more.
    fs::copy(pems.path("a.pem"), pems.path("old.pem")).expect("the folder takes a file");
    pems.pair("a", "a.example");
    let (status, answer) = edge.post_reload();
    assert_eq!((status, answer["result"].as_str()), (200, Some("unchanged")));
    assert_eq!(answer["diagnostics"], serde_json::json!([]));
    assert_eq!(trusting(&pems, "a", listen, "a.example", &[]), "ok");
    assert!(trusting(&pems, "old", listen, "a.example", &[]).contains("certificate"), "the old pair is still shown");

    // A key that does not fit: the reload is refused, and what was read before stays.
    fs::copy(pems.path("a.pem"), pems.path("old.pem")).expect("the folder takes a file");
    fs::copy(pems.path("b.key"), pems.path("a.key")).expect("the folder takes a file");
    let (status, answer) = edge.post_reload();
    assert_eq!((status, answer["result"].as_str()), (409, Some("refused")), "{answer}");
    assert_eq!(answer["diagnostics"][0]["code"], "unusable-certificate", "{answer}");
    assert_eq!(edge.config()["last_error"]["diagnostics"][0]["code"], "unusable-certificate");
    edge.await_log_line(&["a.key", "stays in force"]);
    assert_eq!(trusting(&pems, "old", listen, "a.example", &[]), "ok");
    assert_eq!(trusting(&pems, "b", listen, "www.b.example", &[]), "ok");

    // It is put right, and nobody has to say so.
    pems.pair("a", "a.example");
    eventually("the new pair is seen", || (trusting(&pems, "a", listen, "a.example", &[]) == "ok").then_some(()));
    eventually("no error is left", || edge.config()["last_error"].is_null().then_some(()));
}

#[test]
fn a_new_file_whose_certificate_does_not_fit_is_refused_and_taken_once_it_does() {
    let (monolith, pems, listen) = (Origin::saying("ok"), Pems::new(), free_address());
    pems.pair("a", "a.example");
    let edge = with_tls(&monolith, &pems.table(listen, &["a"], "")).start();
    pems.pair("b", "b.example");
    let fitting = fs::read(pems.path("b.key")).expect("a key");
    fs::copy(pems.path("a.key"), pems.path("b.key")).expect("the folder takes a file");
    edge.replace_file(&edge.text("").replace("certificates = [", &format!("certificates = [{}, ", pems.entry("b"))));
    let (status, answer) = edge.post_reload();
    assert_eq!((status, answer["result"].as_str()), (409, Some("refused")), "{answer}");
    assert!(answer["diagnostics"][0]["message"].as_str().is_some_and(|said| said.contains("b.key")), "{answer}");
    assert!(!trusting(&pems, "b", listen, "b.example", &[]).ends_with("ok"));
    fs::write(pems.path("b.key"), fitting).expect("the folder takes a file");
    eventually("the file is in force", || (trusting(&pems, "b", listen, "b.example", &[]) == "ok").then_some(()));
}

#[test]
fn the_expiry_of_each_certificate_is_a_metric() {
    let (monolith, pems, listen) = (Origin::saying("ok"), Pems::new(), free_address());
    pems.pair("a", "a.example");
    pems.pair("b", "*.b.example");
    let edge = with_tls(&monolith, &pems.table(listen, &["a", "b"], "")).start();
    let expiry = |name| edge.metric("multilith_certificate_expiry_timestamp_seconds", &[("name", name)]);
    let text = fs::read(pems.path("a.pem")).expect("a certificate");
    let (_, pem) = x509_parser::pem::parse_x509_pem(&text).expect("PEM");
    let written = pem.parse_x509().expect("a certificate").validity().not_after.timestamp();
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
    let written = written as f64;
    assert!((expiry("a.example") - written).abs() < 1.0, "{} is not {written}", expiry("a.example"));
    assert!(expiry("*.b.example") > 0.0);
}

/// A client of our own, because it has to hold a connection while others come and go.
struct Held {
    stream: rustls::StreamOwned<rustls::ClientConnection, TcpStream>,
}

impl Held {
    fn open(pems: &Pems, pair: &str, listen: SocketAddr, name: &str) -> Result<Self, std::io::Error> {
        let mut roots = rustls::RootCertStore::empty();
        let pem = CertificateDer::from_pem_file(pems.path(&format!("{pair}.pem"))).expect("a certificate");
        roots.add(pem).expect("a certificate that can be trusted");
        let config = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).expect("a name is a name");
        let connection = rustls::ClientConnection::new(Arc::new(config), name).expect("a good configuration");
        let mut held = Self { stream: rustls::StreamOwned::new(connection, TcpStream::connect(listen)?) };
        held.stream.sock.set_read_timeout(Some(PATIENCE))?;
        held.get()?;
        Ok(held)
    }

    fn get(&mut self) -> Result<(), std::io::Error> {
        self.stream.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok") {
            let mut bytes = [0; 1024];
            let read = self.stream.read(&mut bytes)?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            answer.extend_from_slice(&bytes[..read]);
        }
        Ok(())
    }
}

#[test]
fn a_connection_that_is_held_over_an_exchange_of_certificates_goes_on() {
    let (monolith, pems, listen) = (Origin::saying("ok"), Pems::new(), free_address());
    pems.pair("a", "a.example");
    let edge = with_tls(&monolith, &pems.table(listen, &["a"], "")).start();
    let mut held = Held::open(&pems, "a", listen, "a.example").expect("the first certificate");
    fs::copy(pems.path("a.pem"), pems.path("old.pem")).expect("the folder takes a file");
    for _ in 0..3 {
        pems.pair("a", "a.example");
        assert_eq!(edge.post_reload().0, 200);
        held.get().expect("the connection from before");
        Held::open(&pems, "a", listen, "a.example").expect("the new certificate for a new connection");
        assert!(Held::open(&pems, "old", listen, "a.example").is_err(), "the old pair is still shown");
    }
}

#[test]
fn a_file_that_cannot_be_used_is_said_at_the_start() {
    let (monolith, pems, listen) = (Origin::saying("ok"), Pems::new(), free_address());
    pems.pair("a", "a.example");
    pems.write("a.key", "");
    let file = pems.path("routes.toml");
    let text = format!("{}[monolith]\nurl = \"{}\"\n", pems.table(listen, &["a"], ""), monolith.url());
    let text = format!("[server]\nadmin = \"{}\"\n{text}", free_address());
    pems.write("routes.toml", &text);
    let (code, said) = crate::harness::run_to_exit(crate::harness::PATIENCE, &["run", "-c", &file]);
    assert_eq!(code, 2);
    assert!(said.contains("a.key` holds no private key in PEM"), "{said}");
}

#[test]
fn plain_requests_are_sent_to_the_same_address_with_tls() {
    let (monolith, pems, listen) = (Origin::saying("ok"), Pems::new(), free_address());
    pems.pair("a", "a.example");
    let table = pems.table(listen, &["a"], "redirect = true");
    let edge = Edge::before(&monolith).server("trusted = [\"127.0.0.2/32\"]").with(&table).start();
    let response = edge.client().request("POST", "/a%20b?c=d", &["Host: a.example:80", "Content-Length: 0"]);
    assert_eq!(response.status(), 308);
    let expected = format!("https://a.example:{}/a%20b?c=d", listen.port());
    assert_eq!(response.get("location"), Some(expected.as_str()));
    let forged = edge.client().request("GET", "/", &["X-Forwarded-Proto: https"]);
    assert_eq!(forged.status(), 308, "nobody may say so who is not trusted");
    let mut old = edge.client();
    old.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.response().status(), 400, "without a host there is no address");
    assert!(monolith.requests().is_empty());
    assert_eq!(trusting(&pems, "a", listen, "a.example", &[]), "ok");
}

#[test]
fn clients_with_a_certificate_are_named_and_others_stay_outside() {
    let (monolith, pems, listen) = (Origin::saying("ok"), Pems::new(), free_address());
    pems.pair("a", "a.example");
    let authority = KeyPair::generate().expect("a key can be made");
    let mut params = CertificateParams::new(Vec::new()).expect("no name is needed");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    pems.write("ca.pem", &params.self_signed(&authority).expect("a key can sign").pem());
    let issuer = Issuer::new(params, authority);
    let key = KeyPair::generate().expect("a key can be made");
    let mut params = CertificateParams::new(Vec::new()).expect("no name is needed");
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, "alice");
    pems.write("alice.pem", &params.signed_by(&key, &issuer).expect("an authority signs").pem());
    pems.write("alice.key", &key.serialize_pem());

    let table = pems.table(listen, &["a"], &format!("client_ca = \"{}\"", pems.path("ca.pem")));
    let edge = with_tls(&monolith, &table).start();
    let (cert, key) = (pems.path("alice.pem"), pems.path("alice.key"));
    let fields = ["--cert", &cert, "--key", &key, "-H", "X-Forwarded-Client-Subject: CN=root"];
    assert_eq!(trusting(&pems, "a", listen, "a.example", &fields), "ok");
    assert_eq!(monolith.request().head.all("x-forwarded-client-subject"), ["CN=alice"]);
    assert!(!trusting(&pems, "a", listen, "a.example", &[]).ends_with("ok"), "a client without a certificate");
    assert_eq!(monolith.requests().len(), 1);
    drop(edge);

    // Some hosts alone: what counts is the host of the request, not the name of the handshake.
    pems.pair("b", "b.example");
    let table = pems.table(
        listen,
        &["a", "b"],
        &format!("client_ca = \"{}\"\nclient_ca_hosts = [\"B.example.\"]", pems.path("ca.pem")),
    );
    let edge = with_tls(&monolith, &table).start();
    assert_eq!(trusting(&pems, "a", listen, "a.example", &[]), "ok", "another host");
    assert_eq!(trusting(&pems, "b", listen, "b.example", &fields), "ok", "with a certificate");
    assert_eq!(monolith.requests().last().expect("it came").head.all("x-forwarded-client-subject"), ["CN=alice"]);
    let before = monolith.requests().len();
    for (pair, name, host) in
        [("b", "b.example", "b.example"), ("a", "a.example", "b.EXAMPLE:443"), ("a", "a.example", "b.example.")]
    {
        let host = format!("Host: {host}");
        let answer = trusting(&pems, pair, listen, name, &["-H", &host]);
        assert!(!answer.ends_with("ok"), "{name} {host}: {answer}");
    }
    assert_eq!(monolith.requests().len(), before);
    let refused = || edge.metric("multilith_refused_total", &[("reason", "client_certificate")]);
    eventually("all are counted", || (refused() >= 3.0).then_some(()));
}

#[test]
fn who_does_not_finish_the_handshake_is_sent_away() {
    let (monolith, pems, listen) = (Origin::saying("ok"), Pems::new(), free_address());
    pems.pair("a", "a.example");
    let table = pems.table(listen, &["a"], "") + "[limits]\nheader_timeout = \"300ms\"\n";
    let edge = with_tls(&monolith, &table).start();
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut client = crate::harness::Client::connect(listen);
        client.send(bytes);
        drop(client.until_closed());
    }
    let refused = || edge.metric("multilith_refused_total", &[("reason", "tls_handshake")]);
    eventually("both counted", || (refused() >= 2.0).then_some(()));
    // Three hundred milliseconds may be short for an honest one, too, where many tests run at once.
    eventually("a whole handshake", || (trusting(&pems, "a", listen, "a.example", &[]) == "ok").then_some(()));
}
