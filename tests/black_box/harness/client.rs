//! A client that hides nothing: what is sent and what comes back are bytes.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::message::Head;
use super::wire::Wire;

/// A complete answer. One that ends early is an error, never a short body.
#[derive(Debug)]
pub(crate) struct Response {
    /// `1xx` heads that came before, without `101`.
    pub(crate) interim: Vec<Head>,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Response {
    pub(crate) fn status(&self) -> u16 {
        status(&self.head)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub(crate) struct Client {
    wire: Wire,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { wire: Wire::new(TcpStream::connect(address)?)? })
    }

    #[allow(dead_code, reason = "used by the tests of the edge alone")]
    pub(crate) fn local_port(&self) -> u16 {
        self.wire.local_port()
    }

    /// Leaves without a FIN, as a client that is killed with bytes unread does.
    pub(crate) fn reset(self) {
        self.wire.reset().expect("a socket takes the option");
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(bytes).expect("the peer takes what is sent");
        self
    }

    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.write(bytes.as_ref())
    }

    /// Sends a request without a body, with `Host: edge.test` unless the fields name one.
    pub(crate) fn request(&mut self, method: &str, target: &str, fields: &[&str]) -> Response {
        self.send(request_head(method, target, fields));
        if method == "HEAD" { self.response_to_head() } else { self.response() }
    }

    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.request("GET", target, &[])
    }

    pub(crate) fn response(&mut self) -> Response {
        self.try_response(false).unwrap_or_else(|error| panic!("no complete answer: {error}"))
    }

    /// The answer to a HEAD, which has no body whatever its fields say.
    pub(crate) fn response_to_head(&mut self) -> Response {
        self.try_response(true).unwrap_or_else(|error| panic!("no complete answer: {error}"))
    }

    pub(crate) fn try_response(&mut self, to_head: bool) -> io::Result<Response> {
        let mut interim = Vec::new();
        let head = loop {
            let head = self.try_head()?;
            if !(100..200).contains(&status(&head)) || status(&head) == 101 {
                break head;
            }
            interim.push(head);
        };
        let bodyless = to_head || matches!(status(&head), 101 | 204 | 304);
        let (body, trailers) = if bodyless {
            (Vec::new(), Vec::new())
        } else if head.is_chunked() {
            let body = self.wire.read_chunked()?;
            (body.data, body.trailers)
        } else if let Some(length) = head.content_length() {
            (self.wire.read_exact(length)?, Vec::new())
        } else {
            (self.wire.read_to_end()?, Vec::new())
        };
        Ok(Response { interim, head, body, trailers })
    }

    /// The next head alone: an interim answer, or one whose body the test reads by itself.
    pub(crate) fn head(&mut self) -> Head {
        self.try_head().unwrap_or_else(|error| panic!("no head: {error}"))
    }

    fn try_head(&mut self) -> io::Result<Head> {
        self.wire.read_head()?.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "closed without an answer"))
    }

    /// The data of the next chunk; empty for the last one, whose trailers are read with it.
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        let chunk = self.wire.read_chunk().unwrap_or_else(|error| panic!("no chunk: {error}"));
        if chunk.is_empty() {
            self.wire.read_trailers().unwrap_or_else(|error| panic!("no end behind the last chunk: {error}"));
        }
        chunk
    }

    /// Data of chunks until this many bytes are there, however the proxy cut them.
    pub(crate) fn chunked_bytes(&mut self, length: usize) -> Vec<u8> {
        let mut data = Vec::new();
        while data.len() < length {
            let chunk = self.chunk();
            assert!(!chunk.is_empty(), "the body ended after {} of {length} bytes", data.len());
            data.extend_from_slice(&chunk);
        }
        data
    }

    pub(crate) fn exactly(&mut self, length: usize) -> Vec<u8> {
        self.try_exactly(length).unwrap_or_else(|error| panic!("no {length} bytes: {error}"))
    }

    pub(crate) fn try_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        self.wire.read_exact(length)
    }

    /// Whether nothing happens on the connection for this long: no byte, no end.
    pub(crate) fn stays_quiet(&mut self, time: Duration) -> bool {
        self.wire.stays_quiet(time).expect("the socket takes a timeout")
    }

    /// Waits for the end of the connection and gives what came before it.
    pub(crate) fn until_closed(&mut self) -> io::Result<Vec<u8>> {
        self.wire.read_to_end()
    }

    /// Ends this half of the connection. The other side may have ended it already.
    pub(crate) fn finish_writing(&mut self) {
        drop(self.wire.finish_writing());
    }
}

/// A request head with the given fields, and a Host where they have none.
pub(super) fn request_head(method: &str, target: &str, fields: &[&str]) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    if !fields.iter().any(|field| field.to_ascii_lowercase().starts_with("host:")) {
        head.push_str("Host: edge.test\r\n");
    }
    for field in fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    head + "\r\n"
}

fn status(head: &Head) -> u16 {
    String::from_utf8_lossy(head.word(1)).parse().unwrap_or_else(|_| panic!("no status in {head:?}"))
}
