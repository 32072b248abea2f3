//! A sign-in that belongs to a connection (NTLM, Negotiate): the upstream knows the client by the connection.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::harness::{Client, Edge, Response, eventually};

/// Keeps the identity of each connection as servers with NTLM do: a first message is answered with a challenge that is good on the
/// same connection alone, a third one signs in.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn start(scheme: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (connections, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (accepted, lives) = (Arc::clone(&connections), Arc::clone(&open));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let number = accepted.fetch_add(1, Ordering::SeqCst);
                let lives = Arc::clone(&lives);
                lives.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    drop(serve(&stream, number, scheme));
                    lives.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, connections, open }
    }

    /// Connections that were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: &TcpStream, number: usize, scheme: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut user: Option<String> = None;
    loop {
        let mut fields = HashMap::new();
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            fields.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let said = fields.get("authorization").and_then(|value| value.strip_prefix(scheme)).unwrap_or_default();
        let words: Vec<_> = said.split_whitespace().collect();
        let (status, challenge, body) = match (words.as_slice(), &user) {
            (["1"], _) => ("401 Unauthorized", format!("{scheme} {number}"), String::new()),
            (["3", name, nonce], _) if *nonce == number.to_string() => {
                user = Some((*name).to_owned());
                ("200 OK", String::new(), (*name).to_owned())
            }
            ([], Some(name)) => ("200 OK", String::new(), name.clone()),
            _ => ("401 Unauthorized", scheme.to_owned(), String::new()),
        };
        let challenge = if challenge.is_empty() { challenge } else { format!("WWW-Authenticate: {challenge}\r\n") };
        let length = body.len();
        stream
            .write_all(format!("HTTP/1.1 {status}\r\n{challenge}Content-Length: {length}\r\n\r\n{body}").as_bytes())?;
    }
}

/// Signs in over one connection of the client; gives the last response.
fn sign_in(client: &mut Client, scheme: &str, user: &str, more: &[&str]) -> Response {
    let ask = |client: &mut Client, authorization: String| {
        client.request("GET", "/", &[more, &[&*format!("Authorization: {authorization}")]].concat())
    };
    assert_eq!(client.request("GET", "/", more).status(), 401);
    let challenged = ask(client, format!("{scheme} 1"));
    assert_eq!(challenged.status(), 401);
    let nonce =
        challenged.get("www-authenticate").and_then(|value| value.split_once(' ')).map_or("", |(_, nonce)| nonce);
    ask(client, format!("{scheme} 3 {user} {nonce}"))
}

fn before(servers: &[&Server]) -> crate::harness::EdgePlan {
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    Edge::before_endpoints(&addresses)
}

#[test]
fn eight_users_who_sign_in_at_once_are_each_themselves_and_a_stranger_is_nobody() {
    for scheme in ["NTLM", "Negotiate", "Nego2"] {
        let servers = [Server::start(scheme), Server::start(scheme)];
        let edge = before(&[&servers[0], &servers[1]]).start();
        let done = AtomicUsize::new(0);
        let succeeded: usize = thread::scope(|scope| {
            scope.spawn(|| {
                while done.load(Ordering::SeqCst) < 8 {
                    assert_eq!(edge.get("/").status(), 401, "{scheme}: a stranger without credentials");
                }
            });
            let users: Vec<_> = (0..8)
                .map(|user| {
                    let (edge, done) = (&edge, &done);
                    scope.spawn(move || {
                        let name = format!("user-{user}");
                        let mut succeeded = 0;
                        for _ in 0..10 {
                            let mut client = edge.client();
                            let signed_in = sign_in(&mut client, scheme, &name, &[]);
                            succeeded += usize::from(signed_in.status() == 200 && signed_in.text() == name);
                            for _ in 0..5 {
                                assert_eq!(client.get("/").text(), name, "{scheme}: somebody else");
                            }
                        }
                        done.fetch_add(1, Ordering::SeqCst);
                        succeeded
                    })
                })
                .collect();
            users.into_iter().map(|user| user.join().expect("no user panics")).sum()
        });
        assert_eq!(succeeded, 80, "{scheme}");
        eventually("the connections end with their clients", || {
            (servers.iter().map(Server::open).sum::<usize>() == 0).then_some(())
        });
    }
}

#[test]
fn a_sign_in_without_a_challenge_before_it_belongs_to_its_connection_too() {
    let server = Server::start("Negotiate");
    let edge = before(&[&server]).start();
    let mut client = edge.client();
    // The server's connections are counted from 0: this guess is right on the first.
    assert_eq!(client.request("GET", "/", &["Authorization: Negotiate 3 alice 0"]).text(), "alice");
    assert_eq!(edge.get("/").status(), 401);
    assert_eq!(client.get("/").text(), "alice");
}

#[test]
fn a_client_that_leaves_takes_its_sign_in_with_it_and_no_other() {
    let server = Server::start("NTLM");
    let edge = before(&[&server]).start();
    let mut client = edge.client();
    assert_eq!(sign_in(&mut client, "NTLM", "alice", &[]).text(), "alice");
    let mut other = edge.client();
    assert_eq!(sign_in(&mut other, "NTLM", "bob", &[]).text(), "bob");
    drop(other);
    eventually("one connection is left", || (server.open() == 1).then_some(()));
    assert_eq!(client.get("/").text(), "alice");
}

#[test]
fn for_a_peer_that_carries_several_clients_nothing_is_kept() {
    let server = Server::start("NTLM");
    let edge = before(&[&server]).server("trusted = [\"127.0.0.0/8\"]").start();
    let mut proxy = edge.client();
    let signed_in = sign_in(&mut proxy, "NTLM", "alice", &["X-Forwarded-For: 203.0.113.7"]);
    assert_eq!(signed_in.status(), 401, "each message went over a connection of its own");
    assert_eq!(proxy.request("GET", "/", &["X-Forwarded-For: 203.0.113.8"]).status(), 401);
    assert_eq!(server.connections(), 4);
    eventually("no connection is left", || (server.open() == 0).then_some(()));
    // The same peer for itself.
    assert_eq!(sign_in(&mut proxy, "NTLM", "alice", &[]).text(), "alice");
}

#[test]
fn other_refusals_leave_the_connection_to_everybody() {
    let server = Server::start("Basic");
    let edge = before(&[&server]).start();
    let mut client = edge.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status(), 401);
    }
    assert_eq!(server.connections(), 1);
}
