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
}

impl Taken {
    pub const fn length(self) -> u64 {
        self.head as u64 + self.body
    }
}

/// Whether these bytes are the head of a GET or HEAD without a body, or of a request with a short one whose length it says; and
/// behind it nothing but bytes of this body.
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
    let mut body = None;
    let plain = memchr_iter(b'\n', fields).all(|end| {
        let line = fields.get(begin..end).unwrap_or_default();
        let first = begin == 0;
        begin = end + 1;
        line.strip_suffix(b"\r").is_some_and(|line| first || is_plain(line, &mut body))
    });
    let taken = Taken { head, body: body.unwrap_or(0) };
    let fits = body.is_some() != bodiless && taken.body <= LONGEST_BODY && bytes.len() as u64 <= taken.length();
    (plain && fits).then_some(taken)
}

/// Methods whose requests have bodies.
fn uploads(bytes: &[u8]) -> bool {
    [&b"POST "[..], b"PUT ", b"PATCH ", b"DELETE "].iter().any(|method| bytes.starts_with(method))
}

/// A field that says nothing about the body but its length, and nothing about the connection but perhaps whether it stays open.
fn is_plain(line: &[u8], body: &mut Option<u64>) -> bool {
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
        7 => !is(b"upgrade") && !is(b"trailer"),
        10 if is(b"connection") => {
            value().eq_ignore_ascii_case(b"keep-alive") || value().eq_ignore_ascii_case(b"close")
        }
        10 => !is(b"keep-alive"),
        14 if is(b"content-length") => {
            let first = body.is_none();
            *body = digits(value());
            first && body.is_some()
        }
        14 => !is(b"http2-settings"),
        16 => !is(b"proxy-connection"),
        17 => !is(b"transfer-encoding"),
        18 => !is(b"proxy-authenticate"),
        19 => !is(b"proxy-authorization"),
        _ => true,
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
            assert_eq!(takes(head.as_bytes()), Some(Taken { head: head.len(), body: 0 }), "{head}");
        }
    }

    #[test]
    fn requests_with_a_short_body_do_with_as_much_of_it_as_is_there() {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            for (length, body) in
                [("5", ""), ("5", "hel"), ("5", "hello"), (" 0005 ", "\r\n\r\n"), ("0", ""), ("65536", "hello")]
            {
                let head = format!("{method} /a HTTP/1.1\r\nHost: a\r\nContent-Length:{length}\r\nX: y\r\n\r\n");
                let expected = Taken { head: head.len(), body: length.trim().parse().unwrap() };
                assert_eq!(takes(format!("{head}{body}").as_bytes()), Some(expected), "{head}{body}");
            }
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
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
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
