//! The head of an answer, if it is plain: its status, its length, and the lines that go to the client as they came.

use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pingora::proxy::Session;

use super::answer;
use super::exchange::Exchange;
use super::outbound::X_REQUEST_ID;
use crate::guard::framing::digits;
use crate::guard::headers::put_line;
use crate::migration::Pinning;

/// One of more fields is left to pingora.
const MOST_FIELDS: usize = 64;

/// What the proxy would do to the head of an answer, whatever is in it.
#[derive(Debug, Clone, Copy)]
pub struct Wants {
    /// Shared caches must not keep it.
    private: bool,
    /// Fields that name addresses or set cookies are rewritten.
    rewrites: bool,
    /// The answer is compared: its fields are needed as a map.
    map: bool,
}

impl Wants {
    /// `None`: something is written in each head of this exchange, and it will not be plain.
    pub fn of(session: &Session, exchange: &Exchange) -> Option<Self> {
        let (server, decision) = (&exchange.edition.snapshot.server, &exchange.decision);
        let entry = exchange.route();
        let edits = entry.route.as_ref().filter(|_| exchange.asks_service()).map(|route| &route.answer);
        let plain = session.req_header().method != Method::HEAD
            && exchange.watch.is_some()
            && exchange.standing.is_none()
            && !server.debug_headers
            && server.tls.hsts.is_none()
            && decision.issue.is_none()
            && matches!(decision.pin, Pinning::None)
            && edits.is_none_or(|edits| edits.headers.is_empty());
        plain.then(|| Self {
            private: decision.both_live && !entry.policy.shared_cache,
            rewrites: edits.is_some_and(|edits| !edits.is_empty()),
            map: exchange.copying.captures(),
        })
    }
}

/// The head of a plain answer.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    /// `None`: the usual one.
    pub reason: Option<String>,
    /// Bytes of the body.
    pub length: u64,
    /// The connection stays open.
    pub stays: bool,
    /// The fields that are passed on, and at most how many.
    pub lines: BytesMut,
    pub count: usize,
    pub fields: Option<HeaderMap>,
}

/// What a buffer begins with.
#[derive(Debug)]
pub enum Parsed {
    /// A part of a head.
    Part,
    /// A head of so many bytes.
    Plain(usize, Head),
    Other,
}

pub fn parse(bytes: &[u8], wants: Wants) -> Parsed {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut fields);
    match parsed {
        Ok(httparse::Status::Partial) => Parsed::Part,
        Ok(httparse::Status::Complete(length)) => {
            plain(&response, length, wants).map_or(Parsed::Other, |head| Parsed::Plain(length, head))
        }
        Err(_) => Parsed::Other,
    }
}

/// A head in which every field is passed on or left out, whatever else the proxy does.
fn plain(response: &httparse::Response<'_, '_>, length_of_head: usize, wants: Wants) -> Option<Head> {
    // A head before the answer, one without a body and one of HTTP/1.0 have rules of their own.
    let status = response.code.filter(|code| (200..=599).contains(code) && !matches!(code, 204 | 205 | 304))?;
    if response.version != Some(1) {
        return None;
    }
    let (mut length, mut stays, mut cached) = (None, true, false);
    // With room for the lines that are added.
    let mut lines = BytesMut::with_capacity(length_of_head + 96);
    for field in response.headers.iter() {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        match field.name.len() {
            2 if is("te") => return None,
            4 if is("date") => continue,
            6 if is("expect") => return None,
            7 if is("upgrade") || is("trailer") || is("refresh") && wants.rewrites => return None,
            7 if is("expires") => cached = true,
            8 if is("location") && wants.rewrites => return None,
            10 if is("connection") => {
                stays &= match field.value {
                    value if value.eq_ignore_ascii_case(b"keep-alive") => true,
                    value if value.eq_ignore_ascii_case(b"close") => false,
                    _ => return None,
                };
                continue;
            }
            10 if is("keep-alive") => continue,
            10 if is("set-cookie") && wants.rewrites => return None,
            12 if is(X_REQUEST_ID) => continue,
            12 if is("content-type") && is_unhurried(field.value) => return None,
            13 if is("cache-control") => cached = true,
            14 if is("content-length") => {
                if length.is_some() {
                    return None;
                }
                // Also none that is longer than anybody's files.
                length = Some(digits(field.value).filter(|length| i64::try_from(*length).is_ok())?);
                continue;
            }
            16 if is("proxy-connection") || is("content-location") && wants.rewrites => return None,
            17 if is("transfer-encoding") || is("cdn-cache-control") && wants.private => return None,
            17 if is("surrogate-control") && wants.private => return None,
            18 if is("proxy-authenticate") => return None,
            _ => {}
        }
        put_line(&mut lines, field.name.as_bytes(), field.value);
    }
    if wants.private {
        if cached {
            return None;
        }
        if answer::is_cacheable_by_default(status) {
            put_line(&mut lines, b"Cache-Control", b"private");
        }
    }
    let usual = http::StatusCode::from_u16(status).ok()?.canonical_reason();
    let reason = response.reason.filter(|reason| Some(*reason) != usual).map(str::to_owned);
    let fields = if wants.map { Some(map(response)?) } else { None };
    Some(Head { status, reason, length: length?, stays, lines, count: response.headers.len(), fields })
}

/// Nobody waits for the end of these, or not in the usual way.
fn is_unhurried(kind: &[u8]) -> bool {
    let begins = |with: &[u8]| kind.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
    begins(b"text/event-stream") || begins(b"application/grpc")
}

fn map(response: &httparse::Response<'_, '_>) -> Option<HeaderMap> {
    let mut fields = HeaderMap::with_capacity(response.headers.len());
    for field in response.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        fields.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Wants = Wants { private: false, rewrites: false, map: false };

    fn lines(head: &str, wants: Wants) -> Option<(u16, u64, bool, String)> {
        match parse(head.as_bytes(), wants) {
            Parsed::Plain(length, plain) => {
                assert_eq!(length, head.len(), "{head}");
                let lines = String::from_utf8(plain.lines.to_vec()).unwrap();
                Some((plain.status, plain.length, plain.stays, lines))
            }
            _ => None,
        }
    }

    #[test]
    fn a_plain_head_is_passed_on_but_for_what_belongs_to_its_connection() {
        let head = "HTTP/1.1 404 Not Found\r\nSeRver: x\r\nDate: now\r\nConnection: Keep-Alive\r\nKeep-Alive: timeout=5\r\n\
                    Content-Length: 12\r\nSet-Cookie: a=b\r\nX-Request-ID: theirs\r\nset-cookie: c=d\r\n\r\n";
        let expected = "SeRver: x\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\n";
        assert_eq!(lines(head, NOTHING), Some((404, 12, true, expected.to_owned())));
        let last = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        assert_eq!(lines(last, NOTHING), Some((200, 0, false, String::new())));
    }

    #[test]
    fn what_has_rules_of_its_own_is_left_to_pingora() {
        for head in [
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 600 Odd\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close, x-private\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nUpgrade: h2c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: Text/Event-Stream\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nProxy-Connection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Folded: a\r\n b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nnonsense\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 5\r\n\r\n",
            "nonsense\r\n\r\n",
        ] {
            assert!(matches!(parse(head.as_bytes(), NOTHING), Parsed::Other), "{head}");
        }
        let many = "X: y\r\n".repeat(MOST_FIELDS);
        let many = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{many}\r\n");
        assert!(matches!(parse(many.as_bytes(), NOTHING), Parsed::Other));
        for part in ["", "H", "HTTP/1.1 200 OK\r\nContent-Len", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"] {
            assert!(matches!(parse(part.as_bytes(), NOTHING), Parsed::Part), "{part}");
        }
    }

    #[test]
    fn what_the_proxy_would_change_is_not_plain() {
        let head = |field: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{field}\r\n\r\n");
        let rewrites = Wants { rewrites: true, ..NOTHING };
        for field in ["Location: /a", "Content-Location: /a", "Refresh: 5", "Set-Cookie: a=b"] {
            assert!(lines(&head(field), rewrites).is_none(), "{field}");
            assert!(lines(&head(field), NOTHING).is_some(), "{field}");
        }
        let private = Wants { private: true, ..NOTHING };
        for field in ["Cache-Control: max-age=5", "Expires: 0", "CDN-Cache-Control: x", "Surrogate-Control: x"] {
            assert!(lines(&head(field), private).is_none(), "{field}");
            assert!(lines(&head(field), NOTHING).is_some(), "{field}");
        }
        assert_eq!(lines(&head("A: b"), private).unwrap().3, "A: b\r\nCache-Control: private\r\n");
        let failed = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(lines(failed, private).unwrap().3, "", "no cache keeps it");
    }

    #[test]
    fn what_is_compared_is_a_map_of_all_fields() {
        let head = "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\nDate: x\r\nA: 1\r\na: 2\r\n\r\n";
        let Parsed::Plain(_, plain) = parse(head.as_bytes(), Wants { map: true, ..NOTHING }) else { panic!("plain") };
        let fields = plain.fields.unwrap();
        assert_eq!(fields.len(), 4);
        assert_eq!(fields.get_all("a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(plain.reason.as_deref(), Some("Fine"));
    }
}
