//! HTTP/2 upstreams: pingora marks some of their errors as worth another try whatever the method (its issue 979).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::harness::{Edge, Origin};
use crate::stages::tls::Identity;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const EMPTY_SETTINGS: &[u8] = &[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0];
const SETTINGS_ACK: &[u8] = &[0, 0, 0, SETTINGS, 1, 0, 0, 0, 0];

/// What is sent instead of an answer on the stream 1, and after how many bytes of request body.
const DEATHS: [(&str, &[u8]); 5] = [
    // DATA on stream 0: the library gives up the connection with PROTOCOL_ERROR.
    ("invalid", &[0, 0, 0, 0, 0, 0, 0, 0, 0]),
    // GOAWAY, NO_ERROR, last stream 0.
    ("goaway", &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    // RST_STREAM, REFUSED_STREAM.
    ("refused", &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7]),
    // RST_STREAM, HTTP_1_1_REQUIRED.
    ("downgrade", &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 13]),
    ("closed", &[]),
];

/// Reads a request over TLS and HTTP/2, then says `death` and closes; counts the requests.
fn dying(identity: &Identity, death: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    let config = identity.http2_server();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, counted) = (Arc::clone(&config), Arc::clone(&counted));
            thread::spawn(move || {
                drop(stream.set_read_timeout(Some(Duration::from_secs(60))));
                let session = rustls::ServerConnection::new(config).expect("a session");
                drop(converse(rustls::StreamOwned::new(session, stream), death, &counted));
            });
        }
    });
    (address, requests)
}

fn converse(mut stream: impl Read + Write, death: &[u8], requests: &AtomicUsize) -> io::Result<()> {
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface)?;
    if preface != PREFACE {
        // The proxy has taken to HTTP/1.1 with this endpoint; that is one more request.
        requests.fetch_add(1, Ordering::SeqCst);
        return Ok(());
    }
    stream.write_all(EMPTY_SETTINGS)?;
    stream.flush()?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        match head[3] {
            SETTINGS if head[4] == 0 => stream.write_all(SETTINGS_ACK)?,
            HEADERS => {
                requests.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
        // END_STREAM on DATA or HEADERS.
        if head[3] <= HEADERS && head[4] & 1 == 1 {
            stream.write_all(death)?;
            return stream.flush();
        }
        stream.flush()?;
    }
}

#[test]
fn an_unsafe_request_is_not_repeated_when_http2_breaks() {
    let identity = Identity::new("http2");
    let seen = Arc::new(Mutex::new(Vec::new()));
    for versions in ["2", "auto"] {
        for (name, death) in DEATHS {
            for method in ["POST", "PUT", "GET"] {
                let (address, requests) = dying(&identity, death);
                let monolith = Origin::saying("monolith");
                let tables = format!(
                    "[services.users]\nurl = \"https://127.0.0.1:{}\"\nhttp = \"{versions}\"\ntls = {{ server_name = \"localhost\", ca = \"{}\" }}\n\
                     [routes.users]\npath = \"/users\"\nservice = \"users\"\nstage = \"migrated\"\nfallback = true",
                    address.port(),
                    identity.cert.display()
                );
                let edge = Edge::before(&monolith).with(&tables).start();
                let mut client = edge.client();
                client.send(format!("{method} /users HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"));
                let status = client.response().status();
                let asked = requests.load(Ordering::SeqCst);
                let case = format!("{method} over `{versions}`, {name}");
                seen.lock().expect("no panic while held").push(format!("{case}: {status}, asked {asked}"));
                if method == "GET" {
                    assert_eq!(status, 200, "{case}");
                    continue;
                }
                assert_eq!((status, asked), (502, 1), "{case}");
                assert_eq!(monolith.requests().len(), 0, "{case}");
            }
        }
    }
    println!("{}", seen.lock().expect("no panic while held").join("\n"));
}
