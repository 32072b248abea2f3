//! The PROXY protocol: read in front of clients' bytes, from trusted peers alone, and written in front of upstreams'.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::tls::Pems;
use crate::harness::{Client, Edge, EdgePlan, Origin, PATIENCE, Response, eventually, free_address};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const V1: &[u8] = b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn v2(command: u8) -> Vec<u8> {
    let addresses = [203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x67, 0x01, 0xbb];
    [SIGNATURE, &[command, 0x11, 0, 12], &addresses].concat()
}

fn reading(origin: &Origin, rule: &str) -> EdgePlan {
    Edge::before(origin).server(&format!("trusted = [\"127.0.0.0/8\"]\nproxy_protocol = \"{rule}\""))
}

/// The answer to these bytes on a connection of their own.
fn said(edge: &Edge, bytes: &[&[u8]]) -> Response {
    let mut client = edge.client();
    for bytes in bytes {
        client.send(bytes);
    }
    client.response()
}

/// Whom the origin was told of by the last request.
fn told(origin: &Origin) -> String {
    let requests = origin.requests();
    requests.last().and_then(|request| request.get("x-forwarded-for")).unwrap_or("nobody").to_owned()
}

#[test]
fn the_address_in_the_header_is_the_client() {
    let origin = Origin::saying("fine");
    let edge = reading(&origin, "accept").start();
    for header in [V1.to_vec(), v2(0x21)] {
        let (first, second) = header.split_at(9);
        assert_eq!(said(&edge, &[first, second, GET]).status(), 200);
        assert_eq!(told(&origin), "203.0.113.7");
        let mut client = edge.client();
        client.send([&header, GET].concat());
        assert_eq!(client.response().status(), 200);
        assert_eq!(client.get("/again").status(), 200);
        assert_eq!(told(&origin), "203.0.113.7", "on each request of the connection");
    }
    edge.await_log_line(&["203.0.113.7"]);
    let others = [&b"PROXY UNKNOWN\r\n"[..], &v2(0x20), b""];
    for header in others {
        assert_eq!(said(&edge, &[header, GET]).status(), 200);
        assert_eq!(told(&origin), "127.0.0.1", "the balancer itself: {header:?}");
    }
}

#[test]
fn forwarding_fields_are_believed_of_the_address_in_the_header_alone() {
    let origin = Origin::saying("fine");
    let edge = Edge::before(&origin)
        .server("trusted = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\nproxy_protocol = \"accept\"")
        .start();
    let asks =
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.1\r\nX-Request-Id: from-the-client-0001\r\n\r\n";
    let balancer = b"PROXY TCP4 10.0.0.9 10.0.0.1 4711 443\r\n";
    for (header, client, id_is_kept) in [
        (V1, "203.0.113.7", false),
        (balancer, "198.51.100.1, 10.0.0.9", true),
        (b"PROXY UNKNOWN\r\n", "198.51.100.1, 127.0.0.1", true),
    ] {
        assert_eq!(said(&edge, &[header, asks]).status(), 200);
        assert_eq!(told(&origin), client);
        let id = origin.requests().last().and_then(|request| request.get("x-request-id").map(str::to_owned));
        assert_eq!(id.as_deref() == Some("from-the-client-0001"), id_is_kept, "{id:?}");
    }
}

#[test]
fn from_a_peer_that_is_not_trusted_it_is_400_and_no_other_request_suffers() {
    let origin = Origin::saying("fine");
    let edge = Edge::before(&origin).server("trusted = [\"10.0.0.0/8\"]\nproxy_protocol = \"accept\"").start();
    for header in [V1.to_vec(), v2(0x21)] {
        assert_eq!(said(&edge, &[&header, GET]).status(), 400);
    }
    assert!(origin.requests().is_empty());
    assert_eq!(said(&edge, &[GET]).status(), 200);
    let off = Edge::before(&origin).server("trusted = [\"127.0.0.0/8\"]").start();
    assert_eq!(said(&off, &[V1, GET]).status(), 400, "where none is to be read");
}

#[test]
fn what_is_no_header_where_one_must_be_is_400() {
    let origin = Origin::saying("fine");
    let edge = reading(&origin, "require").start();
    for bytes in
        [GET, b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\n", b"PROXY TCP9 a b c d\r\n", &[SIGNATURE, &[0x31]].concat()]
    {
        assert_eq!(said(&edge, &[bytes]).status(), 400, "{bytes:?}");
    }
    assert!(origin.requests().is_empty());
    assert_eq!(said(&edge, &[V1, GET]).status(), 200);
    let refused = edge.metric("multilith_refused_total", &[("reason", "proxy_protocol")]);
    assert!((refused - 4.0).abs() < 0.5, "{refused}");
    // A reload changes it for connections from then on.
    let text = edge.text("").replace("\"require\"", "\"accept\"");
    edge.replace_file(&text);
    edge.await_text(&text);
    assert_eq!(said(&edge, &[GET]).status(), 200);
    let text = edge.text("").replace("127.0.0.0/8", "10.0.0.0/8");
    edge.replace_file(&text);
    edge.await_text(&text);
    assert_eq!(said(&edge, &[V1, GET]).status(), 400, "nobody is trusted who comes");
    assert_eq!(said(&edge, &[GET]).status(), 400);
}

#[test]
fn a_header_has_as_long_as_a_request_s_head() {
    let origin = Origin::saying("fine");
    let edge = reading(&origin, "accept").with("[limits]\nheader_timeout = \"300ms\"").start();
    assert_eq!(said(&edge, &[b"PROXY TCP4 203.0"]).status(), 408);
    let mut silent = edge.client();
    assert!(silent.until_closed().is_ok_and(|bytes| bytes.is_empty()));
    let refused = edge.metric("multilith_refused_total", &[("reason", "header_timeout")]);
    assert!((refused - 2.0).abs() < 0.5, "{refused}");
}

#[test]
fn http2_may_follow_and_clients_are_counted_by_the_address_in_the_header() {
    let origin = Origin::saying("fine");
    let edge = reading(&origin, "accept").with("[limits]\nconnections_per_client = 1").start();
    let mut client = edge.client();
    client.send([V1, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"].concat());
    let frame = client.exactly(9);
    assert_eq!(frame[3], 4, "the first frame is SETTINGS: {frame:?}");
    assert_eq!(said(&edge, &[V1, GET]).status(), 503, "a second connection of this client");
    assert_eq!(said(&edge, &[b"PROXY TCP4 203.0.113.8 10.0.0.1 4711 443\r\n", GET]).status(), 200);
}

#[test]
fn it_stands_before_the_handshake_of_tls() {
    let (origin, pems, listen) = (Origin::saying("fine"), Pems::new(), free_address());
    pems.pair("edge", "edge.test");
    let edge = reading(&origin, "require").with(&pems.table(listen, &["edge"], "")).start();
    let curl = |more: &[&str]| {
        let resolve = format!("edge.test:{}:{}", listen.port(), listen.ip());
        let mut command = Command::new("curl");
        command.args(["-sS", "--noproxy", "*", "--max-time", "20", "--resolve", &resolve]);
        command.args(["--cacert", &pems.path("edge.pem"), "-o", "/dev/null", "-w", "%{http_code} %{http_version}"]);
        let url = format!("https://edge.test:{}/", listen.port());
        let output = command.args(more).arg(url).output().expect("curl is there");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(curl(&["--haproxy-protocol"]), "200 2");
    assert_eq!(told(&origin), "127.0.0.1");
    for header in [V1.to_vec(), v2(0x21)] {
        let mut stream = encrypted(&pems, listen, &header);
        stream.write_all(GET).expect("it is taken");
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        assert_eq!(told(&origin), "203.0.113.7");
    }
    assert!(!curl(&[]).starts_with("200"), "without a header");
    let refused = edge.metric("multilith_refused_total", &[("reason", "proxy_protocol")]);
    assert!((refused - 1.0).abs() < 0.5, "{refused}");
}

/// A connection of TLS behind this header.
fn encrypted(pems: &Pems, listen: SocketAddr, header: &[u8]) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pems.path("edge.pem")).expect("a certificate")).expect("one to be trusted");
    let config = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut socket = TcpStream::connect(listen).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
    socket.write_all(header).expect("it is taken");
    let name = ServerName::try_from("edge.test").expect("a name is a name");
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a good configuration"), socket)
}

/// The PROXY header of each connection, and the targets that were asked for on it.
type Seen = Vec<(Vec<u8>, Vec<String>)>;

/// A server that reads a PROXY header on each connection and answers requests.
struct Told {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Told {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || drop(Self::serve(&stream, &shared)));
            }
        });
        Self { address, seen }
    }

    fn serve(mut stream: &TcpStream, seen: &Mutex<Seen>) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut header = Vec::new();
        reader.read_until(b'\n', &mut header)?;
        if header.starts_with(b"\r\n") {
            // Three lines, and a length behind them.
            header.resize(16, 0);
            reader.read_exact(&mut header[2..])?;
            let mut rest = vec![0; usize::from(u16::from_be_bytes([header[14], header[15]]))];
            reader.read_exact(&mut rest)?;
            header.extend_from_slice(&rest);
        }
        let place = {
            let mut seen = seen.lock().expect("no panic while held");
            seen.push((header, Vec::new()));
            seen.len() - 1
        };
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 {
            if let Some(target) = line.split(' ').nth(1).filter(|_| line.ends_with("HTTP/1.1\r\n")) {
                seen.lock().expect("no panic while held")[place].1.push(target.to_owned());
            }
            if line == "\r\n" {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine")?;
            }
            line.clear();
        }
        Ok(())
    }

    /// The targets of each connection whose header is this.
    fn targets(&self, header: &[u8]) -> Vec<Vec<String>> {
        let seen = self.seen.lock().expect("no panic while held");
        seen.iter().filter(|(own, _)| own == header).map(|(_, targets)| targets.clone()).collect()
    }

    fn headers(&self) -> HashMap<Vec<u8>, usize> {
        let mut headers = HashMap::new();
        for (header, _) in &*self.seen.lock().expect("no panic while held") {
            *headers.entry(header.clone()).or_default() += 1;
        }
        headers
    }
}

fn from(port: u16, edge: &Edge) -> String {
    format!("PROXY TCP4 127.0.0.1 127.0.0.1 {port} {}\r\n", edge.address().port())
}

#[test]
fn an_upstream_is_told_of_each_client_and_its_connection_serves_no_other() {
    let server = Told::start();
    let edge = Edge::before_address(server.address).monolith("proxy_protocol = 1").start();
    let (mut one, mut two) = (edge.client(), edge.client());
    for target in ["/1", "/2", "/3"] {
        assert_eq!(one.get(target).text(), "fine");
        assert_eq!(two.get(target).text(), "fine");
    }
    let all: Vec<String> = ["/1", "/2", "/3"].map(str::to_owned).to_vec();
    for client in [&one, &two] {
        let header = from(client.local_port(), &edge);
        // Two threads serve, and each keeps its own connections; a client's requests stay on one.
        assert_eq!(server.targets(header.as_bytes()), std::slice::from_ref(&all), "{header}");
    }
    assert_eq!(server.headers().len(), 2);
}

#[test]
fn version_2_says_the_same_and_health_checks_say_that_they_are_nobody_s() {
    let server = Told::start();
    let health = "health = { path = \"/healthz\", interval = \"100ms\" }";
    let edge = Edge::before_address(server.address).monolith(&format!("proxy_protocol = 2\n{health}")).start();
    let mut client = edge.client();
    assert_eq!(client.get("/").text(), "fine");
    let ends =
        [&[127, 0, 0, 1, 127, 0, 0, 1][..], &client.local_port().to_be_bytes(), &edge.address().port().to_be_bytes()];
    let header = [SIGNATURE, &[0x21, 0x11, 0, 12], &ends.concat()].concat();
    assert_eq!(server.targets(&header), [["/".to_owned()]]);
    let local = [SIGNATURE, &[0x20, 0, 0, 0]].concat();
    eventually("a check", || server.targets(&local).iter().any(|targets| *targets == ["/healthz"]).then_some(()));
    assert_eq!(server.headers().len(), 2);
    let connect = Told::start();
    let health = "health = { connect = true, interval = \"100ms\" }";
    let _edge = Edge::before_address(connect.address).monolith(&format!("proxy_protocol = 1\n{health}")).start();
    eventually("a check", || connect.headers().contains_key(&b"PROXY UNKNOWN\r\n"[..]).then_some(()));
}

#[test]
fn the_client_of_a_trusted_peer_is_told_without_a_port_and_a_header_that_came_is_told_on() {
    let server = Told::start();
    let edge = Edge::before_address(server.address)
        .monolith("proxy_protocol = 1")
        .server("trusted = [\"127.0.0.0/8\"]\nproxy_protocol = \"accept\"")
        .start();
    let fields = ["X-Forwarded-For: 2001:db8::7"];
    assert_eq!(edge.client().request("GET", "/v6", &fields).status(), 200);
    let header = format!("PROXY TCP6 2001:db8::7 ::ffff:127.0.0.1 0 {}\r\n", edge.address().port());
    assert_eq!(server.targets(header.as_bytes()), [["/v6".to_owned()]]);
    assert_eq!(said(&edge, &[V1, GET]).status(), 200);
    assert_eq!(server.targets(V1), [["/".to_owned()]]);
}

#[test]
fn copies_tell_of_the_client_too() {
    let (server, monolith) = (Told::start(), Origin::saying("fine"));
    let service = format!(
        "[services.users]\nurl = \"http://{}\"\nproxy_protocol = 1\n\
         [routes.users]\npath = \"/users\"\nservice = \"users\"\nstage = \"shadow\"",
        server.address
    );
    let edge = Edge::before(&monolith).with(&service).start();
    let mut client = edge.client();
    assert_eq!(client.get("/users").status(), 200);
    let header = from(client.local_port(), &edge);
    eventually("the copy", || (server.targets(header.as_bytes()) == [["/users".to_owned()]]).then_some(()));
}

#[test]
fn a_connection_for_one_client_does_not_wait_for_longer_than_it_is_of_use() {
    let server = Told::start();
    let edge = Edge::before_address(server.address).monolith("proxy_protocol = 1\nkeepalive = \"200ms\"").start();
    let mut client = Client::connect(edge.address());
    assert_eq!(client.get("/1").status(), 200);
    assert!(client.stays_quiet(Duration::from_millis(400)));
    assert_eq!(client.get("/2").status(), 200);
    let header = from(client.local_port(), &edge);
    assert_eq!(server.targets(header.as_bytes()).len(), 2);
}
