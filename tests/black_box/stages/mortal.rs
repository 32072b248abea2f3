//! A service that dies at a point that the request names, and counts every id that it read.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Where the service dies; the last segment of the path.
pub(crate) const POINTS: [&str; 11] = [
    "refuses",
    "at-the-accept",
    "before-reading",
    "after-the-head",
    "in-the-body",
    "after-the-body",
    "closes",
    "hangs",
    "answers-503",
    "answers-half",
    "second-on-a-connection",
];

/// How often each id was read, over all upstreams that share it.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<HashMap<String, u32>>>);

impl Ledger {
    fn write(&self, id: &str) {
        *self.0.lock().expect("no panic while held").entry(id.to_owned()).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> HashMap<String, u32> {
        self.0.lock().expect("no panic while held").clone()
    }
}

/// Ends with the process: it lives as long as its test.
pub(crate) struct Mortal {
    pub(crate) address: SocketAddr,
    pub(crate) ledger: Ledger,
}

impl Mortal {
    /// Dies where each request says.
    pub(crate) fn dying() -> Self {
        Self::listen(|stream, ledger| drop(serve(stream, true, ledger)))
    }

    /// Resets each connection as soon as it is there.
    pub(crate) fn absent() -> Self {
        Self::listen(|stream, _| reset(&stream))
    }

    /// Answers everything with `mono`.
    pub(crate) fn living() -> Self {
        Self::listen(|stream, ledger| drop(serve(stream, false, ledger)))
    }

    fn listen(serve: impl Fn(TcpStream, &Ledger) + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let ledger = Ledger::default();
        let shared = ledger.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (ledger, serve) = (shared.clone(), serve.clone());
                let spawned = thread::Builder::new().stack_size(128 * 1024).spawn(move || serve(stream, &ledger));
                spawned.expect("one more thread");
            }
        });
        Self { address, ledger }
    }
}

fn reset(stream: &TcpStream) {
    drop(socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)));
}

fn serve(mut stream: TcpStream, dies: bool, ledger: &Ledger) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut ahead = Vec::new();
    for served in 0.. {
        let end = loop {
            if let Some(id) = unread(&stream).filter(|_| dies) {
                ledger.write(&id);
                reset(&stream);
                return Ok(());
            }
            if let Some(end) = ahead.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if fill(&mut stream, &mut ahead)? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&ahead[..end]).into_owned();
        ahead.drain(..end);
        let field = |name: &str| {
            head.lines().filter_map(|line| line.split_once(':')).find(|(own, _)| own.eq_ignore_ascii_case(name))
        };
        ledger.write(field("x-id").map_or("", |(_, value)| value.trim()));
        let length: usize = field("content-length").map_or(0, |(_, value)| value.trim().parse().expect("a length"));
        let path = head.split(' ').nth(1).unwrap_or_default();
        let point = if dies { path.rsplit('/').next().unwrap_or_default() } else { "" };
        if point == "after-the-head" {
            reset(&stream);
            return Ok(());
        }
        let wanted = if point == "in-the-body" { length / 2 } else { length };
        while ahead.len() < wanted {
            if fill(&mut stream, &mut ahead)? == 0 {
                return Ok(());
            }
        }
        ahead.drain(..wanted);
        match point {
            "in-the-body" | "after-the-body" => {
                reset(&stream);
                return Ok(());
            }
            "closes" => return Ok(()),
            "second-on-a-connection" if served > 0 => return Ok(()),
            "hangs" => {
                // Until the proxy gives up.
                while fill(&mut stream, &mut ahead)? > 0 {}
                return Ok(());
            }
            "answers-503" => stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nown")?,
            "answers-half" => return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
            _ => {
                let name = if dies { "well" } else { "mono" };
                stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{name}").as_bytes())?;
            }
        }
    }
    Ok(())
}

/// The id of a request that is to die before it is read: its bytes are there, and stay where they are.
fn unread(stream: &TcpStream) -> Option<String> {
    let mut buffer = [0; 512];
    let length = stream.peek(&mut buffer).ok()?;
    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
    let first = text.lines().next().filter(|line| line.contains("/before-reading "))?;
    let id = text.lines().find_map(|line| line.strip_prefix("X-Id: "));
    Some(id.map_or_else(|| format!("no id in {first}"), str::to_owned))
}

fn fill(stream: &mut TcpStream, ahead: &mut Vec<u8>) -> io::Result<usize> {
    let mut buffer = [0; 8192];
    let read = stream.read(&mut buffer)?;
    ahead.extend_from_slice(&buffer[..read]);
    Ok(read)
}
