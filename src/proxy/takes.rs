//! Which requests take the express way. The answer may be no for a request that would fit, but not yes for one that does not.

use http::{HeaderMap, Method, header};
use memchr::memchr_iter;
use memchr::memmem;
use pingora::protocols::http::v2::server::HttpSession;

use crate::guard::framing::digits;

/// A longer body is not awaited. As long as one that pingora holds to be sent again.
const LONGEST_BODY: u64 = 64 * 1024;

/// A request that takes the express way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Bytes of its head.
    pub head: usize,
    /// Bytes of its body, of which some may be there.
    pub body: u64,
    /// It asks for a WebSocket.
    pub upgrades: bool,
}

impl Taken {
    pub const fn length(self) -> u64 {
        self.head as u64 + self.body
    }
}

/// Whether these bytes are the head of a GET or HEAD without a body, or of a request with a short one whose length it says; and
/// behind it nothing but bytes of this body. A GET may ask for a WebSocket.
pub fn takes(bytes: &[u8]) -> Option<Taken> {
    let bodiless = bytes.starts_with(b"GET ") || bytes.starts_with(b"HEAD ");
    let head = if bodiless {
        bytes.ends_with(b"\r\n\r\n").then_some(bytes.len())?
    } else {
        uploads(bytes).then_some(())?;
        memmem::find(bytes, b"\r\n\r\n")? + 4
    };
    let fields = bytes.get(..head - 2).unwrap_or_default();
    let mut begin = 0;
    let mut said = Said::default();
    let plain = memchr_iter(b'\n', fields).all(|end| {
        let line = fields.get(begin..end).unwrap_or_default();
        let first = begin == 0;
        begin = end + 1;
        line.strip_suffix(b"\r").is_some_and(|line| first || said.is_plain(line))
    });
    let taken = Taken { head, body: said.body.unwrap_or(0), upgrades: said.upgrade };
    let fits = said.body.is_some() != bodiless && taken.body <= LONGEST_BODY && bytes.len() as u64 <= taken.length();
    let asks_well = said.upgrade == said.protocol && (!said.upgrade || bytes.starts_with(b"GET "));
    (plain && fits && asks_well).then_some(taken)
}

/// Methods whose requests have bodies.
fn uploads(bytes: &[u8]) -> bool {
    [&b"POST "[..], b"PUT ", b"PATCH ", b"DELETE "].iter().any(|method| bytes.starts_with(method))
}

/// What the fields of a head have said so far.
#[derive(Default)]
struct Said {
    body: Option<u64>,
    /// The connection is to become another one, and one of WebSocket.
    upgrade: bool,
    protocol: bool,
}

impl Said {
    /// A field that says nothing about the body but its length, and nothing about the connection but whether it stays open or
    /// is to become a WebSocket.
    fn is_plain(&mut self, line: &[u8]) -> bool {
        let Some(colon) = memchr::memchr(b':', line) else { return false };
        let (name, value) = line.split_at(colon);
        if name.first().is_none_or(u8::is_ascii_whitespace) || name.last().is_none_or(u8::is_ascii_whitespace) {
            return false;
        }
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        let value = || value.get(1..).unwrap_or_default().trim_ascii();
        match name.len() {
            2 => !is(b"te"),
            6 => !is(b"expect"),
            7 if is(b"upgrade") => {
                let first = !self.protocol;
                self.protocol = value().eq_ignore_ascii_case(b"websocket");
                first && self.protocol
            }
            7 => !is(b"trailer"),
            10 if is(b"connection") => self.is_plain_of_connection(value()),
            10 => !is(b"keep-alive"),
            14 if is(b"content-length") => {
                let first = self.body.is_none();
                self.body = digits(value());
                first && self.body.is_some()
            }
            14 => !is(b"http2-settings"),
            16 => !is(b"proxy-connection"),
            17 => !is(b"transfer-encoding"),
            18 => !is(b"proxy-authenticate"),
            19 => !is(b"proxy-authorization"),
            _ => true,
        }
    }

    fn is_plain_of_connection(&mut self, value: &[u8]) -> bool {
        let is = |other: &[u8]| value.eq_ignore_ascii_case(other);
        if is(b"upgrade") || is(b"keep-alive, upgrade") {
            return !std::mem::replace(&mut self.upgrade, true);
        }
        is(b"keep-alive") || is(b"close")
    }
}

/// The same of a stream of HTTP/2: a GET or HEAD without a body.
pub fn takes_stream(http2: &HttpSession) -> bool {
    let request = http2.req_header();
    matches!(request.method, Method::GET | Method::HEAD) && http2.is_body_empty() && !says_more(&request.headers)
}

/// What concerns a body or the connection. A length is one of a body that is still to end.
fn says_more(headers: &HeaderMap) -> bool {
    [header::CONTENT_LENGTH, header::TE, header::TRAILER, header::EXPECT].iter().any(|name| headers.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_plain_requests_take_the_express_way() {
        for head in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "HEAD /x?y=z HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nconnection:Keep-Alive\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX-Content-Length: 5\r\n\r\n",
        ] {
            assert_eq!(takes(head.as_bytes()), Some(Taken { head: head.len(), body: 0, upgrades: false }), "{head}");
        }
    }

    #[test]
    fn requests_with_a_short_body_do_with_as_much_of_it_as_is_there() {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            for (length, body) in
                [("5", ""), ("5", "hel"), ("5", "hello"), (" 0005 ", "\r\n\r\n"), ("0", ""), ("65536", "hello")]
            {
                let head = format!("{method} /a HTTP/1.1\r\nHost: a\r\nContent-Length:{length}\r\nX: y\r\n\r\n");
                let expected = Taken { head: head.len(), body: length.trim().parse().unwrap(), upgrades: false };
                assert_eq!(takes(format!("{head}{body}").as_bytes()), Some(expected), "{head}{body}");
            }
        }
    }

    #[test]
    fn a_get_may_ask_for_a_websocket() {
        for connection in ["Upgrade", "upgrade", "keep-alive, Upgrade"] {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\nUpgrade: WebSocket\r\n\r\n");
            assert_eq!(takes(head.as_bytes()), Some(Taken { head: head.len(), body: 0, upgrades: true }), "{head}");
        }
    }

    #[test]
    fn whatever_has_another_body_an_upgrade_or_two_readings_does_not() {
        for head in [
            "",
            "\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
            "get / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nx\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\ncontent-length : 5\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\tContent-Length: 5\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, x\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n\r\n",
            "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, x-private\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nKeep-Alive: 5\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n",
            "OPTIONS / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello!",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\nContent-Length: 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\nContent-Length: 5\r\n\r\nhello",
        ] {
            assert_eq!(takes(head.as_bytes()), None, "{head}");
        }
    }
}
