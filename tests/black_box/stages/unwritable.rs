//! Requests that HTTP/2 cannot carry, as far as it is written here: they are the failure of no endpoint and of no service.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::harness::{Client, Edge, Origin, eventually, http2_service, say};
use crate::stages::tls::Identity;

/// A service that speaks HTTP/2 alone, says `service`, and keeps the paths that it was asked for.
struct Http2Service {
    address: SocketAddr,
    paths: Arc<Mutex<Vec<String>>>,
}

impl Http2Service {
    fn start() -> Self {
        let paths = Arc::<Mutex<Vec<String>>>::default();
        let record = Arc::clone(&paths);
        let address = http2_service(move |request, mut respond| {
            record.lock().expect("no panic while held").push(request.uri().path().to_owned());
            async move { say(&mut respond, "service") }
        });
        Self { address, paths }
    }

    fn asked(&self) -> usize {
        self.paths.lock().expect("no panic while held").len()
    }
}

/// Targets that `http::Uri` does not take. What follows the path of a service's route reaches it as it came.
const ODD: [&str; 10] = [
    "/users?q=<b>",
    "/users?q=\"",
    "/users?<",
    "/users?a=b>c",
    "/users?\"a\":1",
    "/users?q=<script>",
    "/users?[<]",
    "/users?<>",
    "/users?a=1&b=\"2\"",
    "/users?x=<",
];

fn tables(services: &[&Http2Service], route: &str) -> String {
    let addresses: Vec<_> = services.iter().map(|service| service.address.to_string()).collect();
    format!(
        "[services.users]\nendpoints = {addresses:?}\nhttp = \"2\"\neject = {{ failures = 5 }}\n\
         [routes.users]\npath = \"/users\"\nservice = \"users\"\n{route}\n"
    )
}

/// Nothing is said of the endpoints, nor of the service.
fn nothing_is_held_against_it(edge: &Edge) {
    for (name, labels) in [
        ("multilith_upstream_errors_total", &[][..]),
        ("multilith_retries_total", &[]),
        ("multilith_breaker_open", &[]),
        ("multilith_upstream_endpoints", &[("upstream", "users"), ("state", "failing")]),
        ("multilith_upstream_endpoints", &[("upstream", "users"), ("state", "unhealthy")]),
    ] {
        assert!(edge.metric(name, labels) < 0.5, "{name} {labels:?}");
    }
    assert!(!edge.log().contains("a malformed response"), "{}", edge.log());
}

#[test]
fn a_target_that_cannot_be_written_is_refused_and_no_endpoint_is_to_blame() {
    let services = [Http2Service::start(), Http2Service::start()];
    let edge = Edge::before(&Origin::saying("monolith"))
        .with(&tables(&[&services[0], &services[1]], "stage = \"migrated\""))
        .start();
    for target in ODD {
        let answer = edge.get(target);
        assert_eq!(answer.status(), 502, "{target}");
        assert!(answer.text().contains("The target cannot be sent over HTTP/2."), "{}", answer.text());
    }
    edge.await_log_line(&["\"error.type\":\"target\"", "\"error.fault\":\"proxy\""]);
    assert!((edge.metric("multilith_refused_total", &[("reason", "target")]) - 10.0).abs() < 0.1);
    // Both endpoints still answer, each in its turn.
    for _ in 0..4 {
        assert_eq!(edge.get("/users?q=%3Cb%3E").text(), "service");
    }
    assert_eq!(services.each_ref().map(Http2Service::asked), [2, 2]);
    nothing_is_held_against_it(&edge);
}

#[test]
fn in_a_canary_the_monolith_answers_what_cannot_be_written_and_nothing_counts_against_the_service() {
    let (monolith, service) = (Origin::saying("monolith"), Http2Service::start());
    let route = "stage = \"canary\"\nweight = \"100%\"\nbreaker = { failures = 3, open = \"1h\" }";
    let edge = Edge::before(&monolith).with(&tables(&[&service], route)).start();
    for target in ODD {
        assert_eq!(edge.get(target).text(), "monolith", "{target}");
        let mut client = edge.client();
        client.send(format!("POST {target} HTTP/1.1\r\nHost: e\r\nContent-Length: 4\r\n\r\nbody"));
        assert_eq!(client.response().text(), "monolith", "{target}");
    }
    let seen = monolith.requests();
    assert_eq!(seen.len(), 2 * ODD.len());
    for (request, target) in seen.iter().step_by(2).zip(ODD) {
        assert_eq!(request.target(), target.as_bytes());
    }
    assert!(seen.iter().skip(1).step_by(2).all(|request| request.body == b"body"));
    assert!((edge.metric("multilith_fallbacks_total", &[("route", "users"), ("reason", "target")]) - 20.0).abs() < 0.1);
    nothing_is_held_against_it(&edge);
    assert_eq!(edge.get("/users").text(), "service");
}

/// The monolith, too, may speak HTTP/2; what it is asked for is not normalised.
#[test]
fn an_odd_path_takes_the_monolith_from_nobody() {
    let monolith = Http2Service::start();
    let edge = Edge::before_address(monolith.address).monolith("http = \"2\"").start();
    for target in [&b"/a\"b<"[..], b"/a<b>", b"/caf\xe9"] {
        for _ in 0..4 {
            let mut client: Client = edge.client();
            client.send([b"GET ", target, b" HTTP/1.1\r\nHost: e\r\n\r\n"].concat());
            assert_eq!(client.response().status(), 502, "{}", target.escape_ascii());
        }
    }
    assert_eq!(edge.get("/a").text(), "service");
    eventually("every request counted", || {
        (edge.metric("multilith_refused_total", &[("reason", "target")]) > 11.5).then_some(())
    });
    nothing_is_held_against_it(&edge);
}

/// Speaks both versions over TLS, answers requests of HTTP/1.1 alone, and gives the first line of each.
fn both_versions(identity: &Identity) -> (SocketAddr, std::sync::mpsc::Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    let mut config = (*identity.http2_server()).clone();
    config.alpn_protocols.push(b"http/1.1".to_vec());
    let config = Arc::new(config);
    let (said, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, said) = (Arc::clone(&config), said.clone());
            std::thread::spawn(move || {
                let session = rustls::ServerConnection::new(config).expect("a session");
                let mut stream = rustls::StreamOwned::new(session, stream);
                let (mut read, mut buffer) = (Vec::new(), [0; 1024]);
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    read.extend_from_slice(&buffer[..length]);
                    if stream.conn.alpn_protocol() == Some(b"h2") {
                        // The library answers with an acknowledgement, and no request follows.
                        drop(stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]));
                        read.clear();
                    } else if read.ends_with(b"\r\n\r\n") {
                        let line = String::from_utf8_lossy(&read);
                        drop(said.send(line.lines().next().unwrap_or_default().to_owned()));
                        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nservice"));
                        read.clear();
                    }
                    drop(stream.flush());
                }
            });
        }
    });
    (address, heard)
}

#[test]
fn where_the_endpoint_speaks_both_the_request_goes_over_http_1_1() {
    let identity = Identity::new("unwritable");
    let (address, heard) = both_versions(&identity);
    let tables = format!(
        "[services.users]\nurl = \"https://127.0.0.1:{}\"\nhttp = \"auto\"\n\
         tls = {{ server_name = \"localhost\", ca = \"{}\" }}\n\
         [routes.users]\npath = \"/users\"\nservice = \"users\"\nstage = \"migrated\"\n",
        address.port(),
        identity.cert.display()
    );
    let edge = Edge::before(&Origin::saying("monolith")).with(&tables).start();
    for method in ["GET", "DELETE"] {
        for target in ODD {
            assert_eq!(edge.client().request(method, target, &[]).text(), "service", "{method} {target}");
            assert_eq!(heard.recv().expect("a request"), format!("{method} {target} HTTP/1.1"));
        }
    }
    nothing_is_held_against_it(&edge);
}
