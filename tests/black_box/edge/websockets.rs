//! Both directions of a WebSocket go on for themselves, and none is lost at its beginning or at its end.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::harness::{Client, Edge, Gate, Origin, PATIENCE, Reply};

const ASK: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
/// More than lies in the buffers of all sockets on the way.
const MUCH: usize = 24 * 1024 * 1024;

/// Accepts one WebSocket, says `first` with that and plays its server; tells what the play gives.
pub(crate) fn origin<T: Send + 'static>(
    first: &'static [u8],
    play: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, Receiver<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    let (told, heard) = channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the proxy comes");
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
            head.push(byte[0]);
        }
        stream.write_all(&[ACCEPTED.as_bytes(), first].concat()).expect("the proxy takes it");
        drop(told.send(play(stream)));
    });
    (address, heard)
}

fn open(edge: &Edge) -> Client {
    let mut client = edge.client();
    client.send(ASK);
    assert!(client.head().word(1) == b"101");
    client
}

#[test]
fn whoever_does_not_read_is_still_heard() {
    let gate = Gate::new();
    let read_all = gate.clone();
    let (monolith, heard) = origin(b"", move |mut stream| {
        let mut writes = stream.try_clone().expect("a second handle");
        let writer = thread::spawn(move || writes.write_all(&vec![b'd'; MUCH]));
        let mut bytes = vec![0; MUCH];
        let read = stream.read_exact(&mut bytes).map(|()| bytes.iter().all(|byte| *byte == b'u'));
        read_all.open();
        (read.ok(), writer.join().expect("no panic").is_ok())
    });
    let edge = Edge::before_address(monolith).start();
    let mut client = open(&edge);
    // Nothing is read until the other side has heard all of it.
    client.send(vec![b'u'; MUCH]);
    gate.wait();
    assert!(client.exactly(MUCH).iter().all(|byte| *byte == b'd'));
    assert_eq!(heard.recv_timeout(PATIENCE).expect("the server's end"), (Some(true), true));
}

#[test]
fn who_has_said_its_end_hears_the_rest() {
    let (monolith, heard) = origin(b"", |mut stream| {
        let mut said = Vec::new();
        let read = stream.read_to_end(&mut said).is_ok();
        stream.write_all(b"and good night").expect("the proxy takes it");
        (read, said)
    });
    let edge = Edge::before_address(monolith).start();
    let mut client = open(&edge);
    client.send("good bye").finish_writing();
    assert_eq!(client.until_closed().expect("an orderly end"), b"and good night");
    assert_eq!(heard.recv_timeout(PATIENCE).expect("the server's end"), (true, b"good bye".to_vec()));
}

#[test]
fn what_the_server_said_last_arrives_while_the_client_goes_on_talking() {
    let (monolith, _heard) = origin(b"", |mut stream| {
        stream.write_all(&vec![b'd'; MUCH]).expect("the proxy takes it");
        stream.shutdown(Shutdown::Write).expect("the end is said");
        stream.read_to_end(&mut Vec::new()).is_ok()
    });
    let edge = Edge::before_address(monolith).start();
    let mut client = open(&edge);
    client.send(vec![b'u'; 100_000]);
    assert!(client.exactly(MUCH).iter().all(|byte| *byte == b'd'));
    assert!(client.until_closed().expect("an orderly end").is_empty());
}

#[test]
fn none_is_closed_behind_its_101() {
    const CLIENTS: usize = 16;
    const EACH: usize = 100;
    let monolith = Origin::start(|_| Reply::websocket_echo());
    let edge = Edge::before(&monolith).start();
    let lost: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let echoes = |mut client: Client| {
                        client.try_send("hello").is_ok() && client.try_exactly(5).is_ok_and(|echo| echo == b"hello")
                    };
                    (0..EACH).filter(|_| !echoes(open(&edge))).count()
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("no panic")).sum()
    });
    assert_eq!(lost, 0, "of {}", CLIENTS * EACH);
}

#[test]
fn the_log_tells_how_much_passed_each_way() {
    let monolith = Origin::start(|_| Reply::websocket_echo());
    let edge = Edge::before(&monolith).start();
    let mut client = open(&edge);
    client.send(vec![b'x'; 1000]);
    assert_eq!(client.exactly(1000).len(), 1000);
    drop(client);
    let line = edge.await_log_line(&["/ws", "\"http.response.status_code\":101"]);
    assert!(line.contains("\"http.request.body.size\":1000,\"http.response.body.size\":1000"), "{line}");
}
