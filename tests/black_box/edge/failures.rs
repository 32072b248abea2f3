//! A monolith that is down, slow or breaks off: the status, the form of the answer, and what the log says.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Instant;

use crate::harness::{Edge, Origin, PATIENCE, Reply, Response, free_address};

const QUICK: &str = "[timeouts]\nconnect = \"500ms\"\nanswer = \"500ms\"\nidle = \"500ms\"";
const HTML: &[&str] = &["Accept: text/html,application/xhtml+xml,*/*;q=0.8"];

#[test]
fn a_monolith_that_is_down_gives_502() {
    let edge = Edge::before_address(free_address()).start();
    assert_answers_by_accept(&edge, 502);
    assert!(edge.metric("multilith_upstream_errors_total", &[("side", "monolith"), ("kind", "connect")]) >= 4.0);
    edge.await_log_line(&["monolith", "connect"]);
}

#[test]
fn why_there_is_no_connection_is_in_the_log() {
    // It says something that is no TLS, where TLS is asked for.
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("loopback accepts");
            drop(stream.read(&mut [0; 1024]));
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    let service = format!(
        "[services.users]\nurl = \"https://{address}\"\n\
         [routes.users]\npath = \"/users\"\nservice = \"users\"\nstage = \"migrated\""
    );
    let edge = Edge::before(&Origin::saying("monolith")).with(&service).start();
    assert_eq!(edge.get("/users").status(), 502);
    edge.await_log_line(&["no connection", "upstream=users", "InvalidContentType"]);
}

#[test]
fn a_slow_monolith_gives_504() {
    let monolith = Origin::start(|_| Reply::hang());
    let edge = Edge::before(&monolith).with(QUICK).start();
    let start = Instant::now();
    assert_answers_by_accept(&edge, 504);
    assert!(start.elapsed() < PATIENCE);
    assert!(edge.metric("multilith_upstream_errors_total", &[("side", "monolith"), ("kind", "timeout")]) >= 4.0);
    edge.await_log_line(&["monolith", "504"]);
}

#[test]
fn a_monolith_that_breaks_off_before_its_head_is_complete_gives_502() {
    for (name, reply) in [
        ("reset before reading on", Reply::no_answer()),
        ("closed without a byte", Reply::bytes("").close()),
        ("closed in the head", Reply::bytes("HTTP/1.1 200 OK\r\nConte").close()),
        ("no HTTP at all", Reply::bytes("SSH-2.0-OpenSSH_9.2\r\n\r\n").close()),
    ] {
        let monolith = Origin::start(move |_| reply.clone());
        let edge = Edge::before(&monolith).start();
        let mut client = edge.client();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(client.response().status(), 502, "{name}");
        assert_eq!(monolith.requests().len(), 1, "{name}: an unsafe request was sent twice");
    }
}

#[test]
fn an_answer_cut_short_is_never_made_whole() {
    let cut_length = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    let cut_chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    for (name, reply) in [
        ("closed, with a length", Reply::bytes(cut_length).close()),
        ("closed, in chunks", Reply::bytes(cut_chunk).close()),
        ("reset, with a length", Reply::bytes(cut_length).reset()),
        ("reset, in chunks", Reply::bytes(cut_chunk).reset()),
        ("silent, with a length", Reply::bytes(cut_length).then_hang()),
        ("silent, in chunks", Reply::bytes(cut_chunk).then_hang()),
    ] {
        let monolith = Origin::start(move |_| reply.clone());
        let edge = Edge::before(&monolith).with(QUICK).start();
        let mut client = edge.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        match client.try_response(false) {
            Err(_) => {}
            // A reset may overtake the head; then nothing of the answer has left and the proxy speaks for itself.
            Ok(response) => assert_eq!(response.status(), 502, "{name}: {response:?}"),
        }
    }
}

#[test]
fn a_monolith_that_comes_back_is_used_again() {
    let address = free_address();
    let edge = Edge::before_address(address).start();
    for _ in 0..10 {
        assert_eq!(edge.get("/").status(), 502);
    }
    let monolith = Origin::saying("back");
    edge.replace_file(&edge.text("").replace(&address.to_string(), &monolith.address().to_string()));
    crate::harness::eventually("the monolith's answer", || (edge.get("/").status() == 200).then_some(()));
}

#[test]
fn a_migrated_route_does_not_fall_back_unless_it_says_so() {
    let monolith = Origin::saying("monolith");
    let down = free_address();
    let tables = format!(
        "[services.users]\nurl = \"http://{down}\"\n[routes.users]\npath = \"/users\"\nservice = \"users\"\nstage = \"migrated\""
    );
    let edge = Edge::before(&monolith).with(&tables).start();
    assert_eq!(edge.get("/users").status(), 502);
    assert_eq!(monolith.requests().len(), 0);
    assert_eq!(edge.get("/other").text(), "monolith");
}

#[test]
fn a_client_that_goes_away_leaves_the_proxy_well() {
    let monolith = Origin::start(|request| if request.path_is("/hang") { Reply::hang() } else { Reply::ok("well") });
    let edge = Edge::before(&monolith).start();
    for count in 1..=5 {
        let mut client = edge.client();
        client.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
        monolith.await_requests(count);
    }
    assert_eq!(edge.get("/").text(), "well");
}

fn assert_answers_by_accept(edge: &Edge, status: u16) {
    let json: &[&str] = &["Accept: application/json"];
    let problem: &[&str] = &["Accept: application/problem+json"];
    for (fields, media) in
        [(HTML, "text/html"), (json, "application/problem+json"), (problem, "application/problem+json")]
    {
        let response = edge.client().request("GET", "/page", fields);
        assert_eq!(response.status(), status, "{fields:?}");
        assert!(
            response.get("content-type").expect("an answer has a type").starts_with(media),
            "{fields:?}: {response:?}"
        );
        assert!(response.get("x-request-id").is_some(), "{fields:?}: {response:?}");
        assert_small_and_discreet(&response);
        if media.ends_with("json") {
            let problem: serde_json::Value = serde_json::from_slice(&response.body).expect("problem+json is JSON");
            assert_eq!(problem["status"], status);
        }
    }
    let response = edge.client().request("HEAD", "/page", &[]);
    assert_eq!(response.status(), status, "HEAD");
}

fn assert_small_and_discreet(response: &Response) {
    let text = response.text();
    assert!(text.len() < 4096, "{} bytes", text.len());
    for word in ["127.0.0.1", "panicked", ".rs:", "pingora", "Pingora"] {
        assert!(!text.contains(word), "{word} in {text}");
        assert!(response.head.fields.iter().all(|(_, value)| !value.contains(word)), "{word} in {:?}", response.head);
    }
}
