//! A scripted upstream on a real socket: records each request byte for byte and answers as told.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::message::Head;
use super::reply::{Reply, Step};
use super::waiting::eventually;
use super::wire::Wire;

/// A request as it arrived. It is recorded when its head is complete; the body follows when it was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn method(&self) -> String {
        String::from_utf8_lossy(self.head.word(0)).into_owned()
    }

    /// The target as on the wire, not decoded.
    pub(crate) fn target(&self) -> &[u8] {
        self.head.word(1)
    }

    /// The head in lower case and sorted, without what differs from request to request.
    #[allow(dead_code, reason = "used by the tests of the edge")]
    pub(crate) fn lines(&self) -> Vec<String> {
        let head = String::from_utf8_lossy(&self.head.raw).to_lowercase();
        let own = |line: &&str| !line.starts_with("x-request-id:") && !line.starts_with("traceparent:");
        let mut lines: Vec<_> = head.lines().filter(own).map(str::to_owned).collect();
        lines.sort();
        lines
    }

    pub(crate) fn path_is(&self, path: &str) -> bool {
        self.target() == path.as_bytes()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }
}

#[derive(Default)]
struct Record {
    requests: Mutex<Vec<Request>>,
    connections: AtomicUsize,
    /// A handle to each open connection, by its number, so that dropping the origin ends them.
    open: Mutex<HashMap<usize, TcpStream>>,
    stopping: AtomicBool,
    /// Held while a request is answered, where there is only one worker.
    worker: Option<Mutex<()>>,
}

/// Serves until it is dropped. The script is asked once a request, when its head is complete.
pub(crate) struct Origin {
    address: SocketAddr,
    record: Arc<Record>,
}

/// When the script wants to see a request.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    /// With its body, after `100 Continue` where the client expects it.
    Whole,
    /// As soon as its head is there; the body is read while or after the reply is written.
    AtHead,
}

impl Origin {
    /// Answers each request after it was read whole.
    pub(crate) fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(Asked::Whole, Arc::new(script))
    }

    /// Answers each request when its head is there, so that the body can be awaited, refused or left unread.
    pub(crate) fn at_head(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(Asked::AtHead, Arc::new(script))
    }

    /// Answers each request after it was read whole, and one at a time: from its head to the end of its answer no other connection
    /// is served.
    #[allow(dead_code, reason = "used by the tests of the edge alone")]
    pub(crate) fn one_at_a_time(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let record = Record { worker: Some(Mutex::new(())), ..Record::default() };
        Self::listen_with(Asked::Whole, record, Arc::new(script))
    }

    /// Answers everything with this text.
    pub(crate) fn saying(text: &str) -> Self {
        let reply = Reply::ok(text);
        Self::start(move |_| reply.clone())
    }

    fn listen(asked: Asked, script: Arc<dyn Fn(&Request) -> Reply + Send + Sync>) -> Self {
        Self::listen_with(asked, Record::default(), script)
    }

    fn listen_with(asked: Asked, record: Record, script: Arc<dyn Fn(&Request) -> Reply + Send + Sync>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let record = Arc::new(record);
        let shared = Arc::clone(&record);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let number = shared.connections.fetch_add(1, Ordering::SeqCst);
                let (record, script) = (Arc::clone(&shared), Arc::clone(&script));
                thread::spawn(move || connection(stream, number, asked, &record, &*script));
            }
        });
        Self { address, record }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, in the order in which their heads were complete.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.record.requests.lock().expect("no panic while held").clone()
    }

    /// The only request so far.
    pub(crate) fn request(&self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "the origin should have seen one request: {requests:#?}");
        requests.remove(0)
    }

    /// Waits for the head of the `n`th request, counted from 1.
    pub(crate) fn await_requests(&self, n: usize) -> Vec<Request> {
        eventually("requests at the origin", || Some(self.requests()).filter(|requests| requests.len() >= n))
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.record.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.record.stopping.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then lets go of the listener.
        drop(TcpStream::connect(self.address));
        for stream in self.record.open.lock().expect("no panic while held").drain().map(|(_, stream)| stream) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

/// One connection from its accept to its end. A connection that breaks is the test's doing, or is seen at its other end.
fn connection(stream: TcpStream, number: usize, asked: Asked, record: &Record, script: &dyn Fn(&Request) -> Reply) {
    let Ok(handle) = stream.try_clone() else { return };
    record.open.lock().expect("no panic while held").insert(number, handle);
    let Ok(mut wire) = Wire::new(stream) else { return };
    drop(serve(&mut wire, asked, record, script));
    // Before the wire: only the last handle's end reaches the peer.
    record.open.lock().expect("no panic while held").remove(&number);
}

fn serve(wire: &mut Wire, asked: Asked, record: &Record, script: &dyn Fn(&Request) -> Reply) -> io::Result<()> {
    while let Some(head) = wire.read_head()? {
        // A script that panics has failed its test already.
        let _busy =
            record.worker.as_ref().map(|worker| worker.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let index = {
            let mut requests = record.requests.lock().expect("no panic while held");
            requests.push(Request { head: head.clone(), ..Request::default() });
            requests.len() - 1
        };
        let mut request = Request { head, ..Request::default() };
        if asked == Asked::Whole {
            if request.get("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
                wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            read_body(wire, &mut request)?;
            record.requests.lock().expect("no panic while held")[index] = request.clone();
        }
        let reply = script(&request);
        let reply = if request.method() == "HEAD" { reply.without_body() } else { reply };
        if !follow(wire, reply)? {
            return Ok(());
        }
        if asked == Asked::AtHead {
            read_body(wire, &mut request)?;
            record.requests.lock().expect("no panic while held")[index] = request.clone();
        }
        if !request.head.keeps_alive() {
            return Ok(());
        }
    }
    Ok(())
}

fn read_body(wire: &mut Wire, request: &mut Request) -> io::Result<()> {
    if request.head.is_chunked() {
        let body = wire.read_chunked()?;
        (request.body, request.trailers) = (body.data, body.trailers);
    } else if let Some(length) = request.head.content_length() {
        request.body = wire.read_exact(length)?;
    }
    Ok(())
}

/// Takes the steps; false when the connection is over.
fn follow(wire: &mut Wire, reply: Reply) -> io::Result<bool> {
    for step in reply.0 {
        match step {
            Step::Write(bytes) => wire.write(&bytes)?,
            Step::Await(gate) => gate.wait(),
            Step::Echo => loop {
                let bytes = wire.read_some()?;
                wire.write(&bytes)?;
            },
            Step::Hang => {
                // Ends when the peer closes, or with the patience of the socket.
                drop(wire.read_to_end());
                return Ok(false);
            }
            Step::Close => return Ok(false),
            Step::Reset => {
                wire.reset()?;
                return Ok(false);
            }
        }
    }
    Ok(true)
}
