//! A shadow never delays or changes an answer, whatever its target does.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::harness::{Edge, Gate, Origin, Reply, free_address};
use crate::shadow::plan::{PATIENT, shadowing};

const MANY: usize = 20;

/// Reads and writes on one connection: the next request must not wait for the copy of the one before.
fn the_primary_is_as_ever(edge: &Edge, monolith: &Origin) {
    let before = monolith.requests().len();
    let mut client = edge.client();
    let body = vec![b'b'; 40_000];
    for number in 0..MANY {
        let read = client.get(&format!("/read/{number}"));
        assert_eq!((read.status(), read.text()), (200, format!("GET /read/{number} 0")));
        client.send(format!("POST /write/{number} HTTP/1.1\r\nHost: e\r\nContent-Length: 40000\r\n\r\n")).send(&body);
        let written = client.response();
        assert_eq!((written.status(), written.text()), (200, format!("POST /write/{number} 40000")));
    }
    assert_eq!(monolith.requests().len() - before, 2 * MANY, "each request reached the monolith once");
}

fn telling_monolith() -> Origin {
    Origin::start(|request| {
        Reply::ok(format!("{} {} {}", request.method(), String::from_utf8_lossy(request.target()), request.body.len()))
    })
}

/// Waits until every copy has ended, and gives how.
fn outcome_of_all(edge: &Edge, outcome: &str) {
    edge.await_sent(outcome, 2 * MANY);
}

#[test]
fn a_target_that_refuses() {
    let monolith = telling_monolith();
    let edge = shadowing(&monolith, free_address(), PATIENT);
    the_primary_is_as_ever(&edge, &monolith);
    outcome_of_all(&edge, "connect");
    let said = edge.log().matches("a copy was not answered").count();
    assert_eq!(said, 6, "forty failures are said at the 1st, 2nd, 4th, 8th, 16th and 32nd time");
}

#[test]
fn a_target_that_hangs_before_the_head() {
    let monolith = telling_monolith();
    let service = Origin::start(|_| Reply::hang());
    let edge = shadowing(&monolith, service.address(), PATIENT);
    the_primary_is_as_ever(&edge, &monolith);
    service.await_requests(2 * MANY);
    assert!(edge.sent("answered") < 1.0);
}

#[test]
fn a_target_that_accepts_and_never_reads() {
    let monolith = telling_monolith();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let edge = shadowing(&monolith, silent.local_addr().expect("bound"), PATIENT);
    the_primary_is_as_ever(&edge, &monolith);
}

#[test]
fn a_target_that_hangs_after_the_head() {
    let monolith = telling_monolith();
    let service = Origin::start(|_| Reply::bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").then_hang());
    let edge = shadowing(&monolith, service.address(), PATIENT);
    the_primary_is_as_ever(&edge, &monolith);
    service.await_requests(2 * MANY);
    assert!(edge.sent("answered") < 1.0);
}

#[test]
fn a_target_that_drips_until_the_time_of_the_copy_is_over() {
    let monolith = telling_monolith();
    let never = Gate::new();
    let service = Origin::start(move |_| Reply::chunked(&[]).chunk("a").chunk("b").when(&never).chunk("c"));
    let edge = shadowing(&monolith, service.address(), "timeout = \"100ms\"\n");
    the_primary_is_as_ever(&edge, &monolith);
    outcome_of_all(&edge, "timeout");
}

#[test]
fn a_target_that_resets() {
    let monolith = telling_monolith();
    let service = Origin::start(|_| Reply::no_answer());
    let edge = shadowing(&monolith, service.address(), PATIENT);
    the_primary_is_as_ever(&edge, &monolith);
    outcome_of_all(&edge, "reset");
}

#[test]
fn a_target_that_sends_garbage() {
    let monolith = telling_monolith();
    let service = Origin::start(|_| Reply::bytes(b"\x00\x01 not http at all\r\n\r\n".repeat(50)).close());
    let edge = shadowing(&monolith, service.address(), PATIENT);
    the_primary_is_as_ever(&edge, &monolith);
    outcome_of_all(&edge, "reset");
}

#[test]
fn a_target_that_breaks_its_body_off() {
    let monolith = telling_monolith();
    let service = Origin::start(|_| Reply::chunked(&[]).chunk("some").close());
    let edge = shadowing(&monolith, service.address(), PATIENT);
    the_primary_is_as_ever(&edge, &monolith);
    outcome_of_all(&edge, "reset");
}

#[test]
fn a_target_whose_body_has_no_end() {
    let monolith = telling_monolith();
    let endless = without_end("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", &vec![b'x'; 64 * 1024]);
    let edge = shadowing(&monolith, endless, "in_flight = 2\n");
    let before = edge.peak_memory();
    the_primary_is_as_ever(&edge, &monolith);
    edge.await_sent("answered", 1);
    let grown = edge.peak_memory().saturating_sub(before);
    assert!(grown < 64 << 20, "an answer that is thrown away is not kept: {} MiB more", grown >> 20);
}

#[test]
fn a_full_queue() {
    let monolith = telling_monolith();
    let service = Origin::start(|_| Reply::hang());
    let edge = shadowing(&monolith, service.address(), &format!("{PATIENT}in_flight = 3\n"));
    the_primary_is_as_ever(&edge, &monolith);
    edge.await_skipped("queue_full", 2 * MANY - 3);
    assert_eq!(service.await_requests(3).len(), 3);
}

#[test]
fn a_target_that_is_gone_from_the_registry() {
    let monolith = telling_monolith();
    let tables = "[services.new]\ndiscover.file = { path = \"nobody.json\" }\n[routes.all]\npath = \"/{*rest}\"\nservice = \"new\"\n\
                  stage = \"shadow\"\n";
    let edge = Edge::before(&monolith).with(tables).start();
    assert_eq!(edge.get("/").status(), 200);
    edge.await_sent("connect", 1);
}

#[test]
fn a_target_that_cannot_be_reached() {
    let monolith = telling_monolith();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    // Once its queue is full, nobody hears whether it is there.
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        queue.push(stream);
    }
    let edge = shadowing(&monolith, address, "timeout = \"1s\"\n");
    the_primary_is_as_ever(&edge, &monolith);
    outcome_of_all(&edge, "timeout");
}

#[test]
fn a_target_whose_head_has_no_end() {
    let monolith = telling_monolith();
    let field = [b"X-Field: ", &[b'y'; 8000][..], b"\r\n"].concat();
    for piece in [&field[..], &[b'y'; 8000]] {
        // Few at a time: each reads a megabyte before it is known.
        let target = without_end("HTTP/1.1 200 OK\r\nX-First: ", piece);
        let edge = shadowing(&monolith, target, &format!("{PATIENT}in_flight = 2\n"));
        the_primary_is_as_ever(&edge, &monolith);
        edge.await_sent("reset", 2);
    }
}

#[test]
fn a_target_that_says_no_more_than_that_it_will_answer() {
    let monolith = telling_monolith();
    for interim in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"] {
        let target = without_end(interim, interim.as_bytes());
        let edge = shadowing(&monolith, target, &format!("{PATIENT}in_flight = 2\n"));
        the_primary_is_as_ever(&edge, &monolith);
        edge.await_sent("reset", 2);
    }
}

#[test]
fn a_target_that_switches_protocols_unasked() {
    let monolith = telling_monolith();
    let service = Origin::start(|_| Reply::bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n").then_hang());
    let edge = shadowing(&monolith, service.address(), PATIENT);
    the_primary_is_as_ever(&edge, &monolith);
    outcome_of_all(&edge, "reset");
}

/// Answers each connection with this, and then with this again and again, as fast as it is read.
fn without_end(first: &str, piece: &[u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (first, piece) = (first.as_bytes().to_vec(), piece.to_vec());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (first, piece) = (first.clone(), piece.clone());
            thread::spawn(move || {
                drop(stream.read(&mut [0; 8192]));
                let mut sent = stream.write_all(&first);
                while sent.is_ok() {
                    sent = stream.write_all(&piece);
                }
            });
        }
    });
    address
}
