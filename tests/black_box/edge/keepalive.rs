//! `keepalive = "auto"`: kept connections are used again for less than the upstream was seen to keep them.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::{Client, Edge, eventually};

/// Closes a connection that waits for longer than this.
struct Impatient {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

impl Impatient {
    fn start(idle: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (accepted, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (Arc::clone(&accepted), Arc::clone(&closed));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counts.0.fetch_add(1, Ordering::SeqCst);
                let closed = Arc::clone(&counts.1);
                thread::spawn(move || {
                    drop(serve(&stream, idle));
                    drop(stream);
                    closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, accepted, closed }
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: &TcpStream, idle: Duration) -> std::io::Result<()> {
    stream.set_read_timeout(Some(idle))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        if line == "\r\n" {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        }
        line.clear();
    }
    Ok(())
}

const fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// Whether a request so long after another takes a new connection to the server.
fn takes_a_new_one(client: &mut Client, server: &Impatient, method: &str, gap: Duration) -> bool {
    assert_eq!(client.request(method, "/", &["Content-Length: 0"]).status(), 200);
    let before = server.accepted();
    assert!(client.stays_quiet(gap));
    assert_eq!(client.request(method, "/", &["Content-Length: 0"]).status(), 200);
    server.accepted() > before
}

#[test]
fn before_anything_is_known_unsafe_methods_have_one_second_and_safe_ones_four() {
    let server = Impatient::start(Duration::from_secs(60));
    let edge = Edge::before_address(server.address).start();
    let mut client = edge.client();
    assert!(!takes_a_new_one(&mut client, &server, "POST", milliseconds(500)));
    assert!(takes_a_new_one(&mut client, &server, "POST", milliseconds(1100)));
    assert!(!takes_a_new_one(&mut client, &server, "GET", milliseconds(1500)));
    assert!(takes_a_new_one(&mut client, &server, "GET", milliseconds(4200)));
}

#[test]
fn an_upstream_that_waits_for_long_is_used_for_longer() {
    let server = Impatient::start(Duration::from_secs(3));
    let edge = Edge::before_address(server.address).start();
    let mut client = edge.client();
    assert!(takes_a_new_one(&mut client, &server, "POST", milliseconds(1200)));
    eventually("a close", || (server.closed.load(Ordering::SeqCst) > 0).then_some(()));
    eventually("a POST over a connection that has waited for 1.5 s", || {
        (!takes_a_new_one(&mut client, &server, "POST", milliseconds(1500))).then_some(())
    });
    assert!(!takes_a_new_one(&mut client, &server, "POST", milliseconds(2000)));
    assert!(takes_a_new_one(&mut client, &server, "GET", milliseconds(2500)), "0.8 of three seconds, for all methods");
}

#[test]
fn an_upstream_that_waits_for_less_is_used_for_less() {
    let server = Impatient::start(milliseconds(850));
    let edge = Edge::before_address(server.address).start();
    let mut client = edge.client();
    eventually("a POST that takes a new connection after 0.75 s", || {
        // So that there is a close.
        assert!(client.stays_quiet(milliseconds(1500)));
        takes_a_new_one(&mut client, &server, "POST", milliseconds(750)).then_some(())
    });
    assert!(!takes_a_new_one(&mut client, &server, "POST", milliseconds(300)));
}

#[test]
fn a_duration_is_taken_as_it_is() {
    let server = Impatient::start(Duration::from_secs(60));
    let service = format!(
        "[services.users]\nurl = \"http://{}\"\nkeepalive = \"2s\"\n\
         [routes.all]\npath = \"/{{*rest}}\"\nservice = \"users\"\nstage = \"migrated\"",
        server.address
    );
    let edge = Edge::before_address(server.address).with(&service).start();
    let mut client = edge.client();
    assert!(!takes_a_new_one(&mut client, &server, "POST", milliseconds(1500)));
    assert!(takes_a_new_one(&mut client, &server, "GET", milliseconds(2300)));
}
