//! An answer of the plain kind, passed on as the lines in which it came.
//!
//! Most answers have a length, and nothing in their heads concerns the proxy. For these, the maps of names and values that
//! pingora's session fills, copies and writes again cost more than everything that is decided on the way. What is read here is
//! read strictly; whatever is not plain is put back, and pingora reads it as it reads every other answer.

use std::future::{Future, poll_fn};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Poll, ready};

use bytes::{BufMut, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pingora::http::ResponseHeader;
use pingora::protocols::Stream;
use pingora::protocols::l4::stream::Stream as Plain;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

use super::exchange::Exchange;
use super::outbound::X_REQUEST_ID;
use super::{Edge, answer, attempt, body, copying};
use crate::migration::Pinning;

/// Read at once; heads of usual length fit, with a small body.
const FIRST_READ: usize = 8 * 1024;
/// Of a longer body.
const NEXT_READ: usize = 64 * 1024;
/// A longer head, and one of more fields, is left to pingora.
const LONGEST_HEAD: usize = 16 * 1024;
const MOST_FIELDS: usize = 64;
/// Fields that the head of our own making has: length, date and connection.
const OWN_FIELDS: usize = 4;

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
        let plain = session.req_header().method == Method::GET
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
struct Head {
    status: u16,
    /// `None`: the usual one.
    reason: Option<String>,
    /// Bytes of the body.
    length: u64,
    /// The connection stays open.
    stays: bool,
    /// The fields that are passed on.
    lines: BytesMut,
    fields: Option<HeaderMap>,
}

/// What a buffer begins with.
#[derive(Debug)]
enum Parsed {
    /// A part of a head.
    Part,
    /// A head of so many bytes.
    Plain(usize, Head),
    Other,
}

/// What became of an answer.
pub enum Passed {
    /// It was passed on. The connection is given back if it may be used again.
    Done(Option<Stream>),
    /// It is not plain: nothing of it was passed on, and the connection will give it once more.
    Other(Stream),
}

/// Reads the answer to a request that was sent over this connection, and passes it on if it is plain.
pub async fn pass(edge: &Edge, session: &mut Session, exchange: &mut Exchange, stream: Stream) -> Result<Passed> {
    let Some(wants) = Wants::of(session, exchange) else { return Ok(Passed::Other(stream)) };
    // Only a connection without TLS can be given back what was read of it.
    let mut stream = match stream.into_any().downcast::<Plain>() {
        Ok(stream) => stream,
        Err(_) => return Err(Error::explain(ErrorType::InternalError, "a connection of this kind was asked for")),
    };
    let mut buffer = BytesMut::new();
    let head = loop {
        while_client_stays(session, first_read(&mut stream, &mut buffer)).await?;
        match parse(&buffer, wants) {
            Parsed::Part if buffer.len() < LONGEST_HEAD => {}
            Parsed::Plain(length, head) if !counts_as_failure(exchange, head.status) => {
                drop(buffer.split_to(length));
                break head;
            }
            _ => {
                stream.rewind(&buffer);
                return Ok(Passed::Other(stream));
            }
        }
    };
    let stays = head.stays;
    let mut left = head.length;
    begin(edge, session, exchange, head).await?;
    loop {
        let piece = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let piece = buffer.split_to(piece).freeze();
        left -= piece.len() as u64;
        if !piece.is_empty() || left == 0 {
            super::panic::caught(edge, super::panic::Hook::AnswerBody, exchange, |exchange| {
                body::answer_chunk(left == 0, exchange)?;
                copying::answer_passes(Some(&piece), exchange);
                Ok(())
            })?;
            let written = session.as_downstream_mut().write_response_body(piece, left == 0).await;
            written.map_err(|error| error.into_down())?;
        }
        if left == 0 {
            break;
        }
        buffer.reserve(usize::try_from(left).map_or(NEXT_READ, |left| left.min(NEXT_READ)));
        while_client_stays(session, next_read(&mut stream, &mut buffer)).await?;
    }
    // More than was announced: nobody knows what it is an answer to.
    Ok(Passed::Done((stays && buffer.is_empty()).then_some(stream as Stream)))
}

/// Whether a connection can be read here.
pub fn can_read(stream: &Stream) -> bool {
    stream.as_any().is::<Plain>()
}

/// Its head goes to the client.
async fn begin(edge: &Edge, session: &mut Session, exchange: &mut Exchange, head: Head) -> Result<()> {
    use super::panic::{Hook, caught};
    let mut own = Box::new(ResponseHeader::build(head.status, Some(OWN_FIELDS))?);
    own.set_reason_phrase(head.reason.as_deref())?;
    own.append_header("Content-Length", HeaderValue::from(head.length))?;
    caught(edge, Hook::AnswerHead, exchange, |exchange| attempt::head_arrived(edge, session, &mut own, exchange))?;
    let mut lines = head.lines;
    caught(edge, Hook::Answer, exchange, |exchange| {
        if session.is_process_shutting_down() {
            session.set_keepalive(None);
        }
        if let Some(fields) = &head.fields {
            copying::head_passes(own.status, fields, exchange);
        }
        put_line(&mut lines, X_REQUEST_ID.as_bytes(), exchange.request_id.as_bytes());
        exchange.answered = true;
        Ok(())
    })?;
    if let Some(watch) = &exchange.watch {
        watch.lines.put(lines);
    }
    session.as_downstream_mut().write_response_header(own).await.map_err(|error| error.into_down())
}

/// Such an answer may move the request to the monolith.
fn counts_as_failure(exchange: &Exchange, status: u16) -> bool {
    let fallback = &exchange.route().policy.fallback;
    exchange.asks_service() && fallback.as_ref().is_some_and(|fallback| fallback.statuses.contains(status))
}

fn parse(bytes: &[u8], wants: Wants) -> Parsed {
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
                length = Some(digits(field.value)?);
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
    Some(Head { status, reason, length: length?, stays, lines, fields })
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

/// Digits and nothing else (RFC 9110, 8.6); `None` also for what no body can have.
fn digits(value: &[u8]) -> Option<u64> {
    let all = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| all)?;
    text.parse().ok().filter(|length| *length <= i64::MAX as u64)
}

fn put_line(lines: &mut BytesMut, name: &[u8], value: &[u8]) {
    lines.put_slice(name);
    lines.put_slice(b": ");
    lines.put_slice(value);
    lines.put_slice(b"\r\n");
}

/// The beginning of an answer is awaited without a buffer: upstreams may take their time, and many requests may wait.
async fn first_read(stream: &mut Plain, buffer: &mut BytesMut) -> Result<()> {
    let read = poll_fn(|cx| {
        let mut bytes = [MaybeUninit::uninit(); FIRST_READ];
        let mut read = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
        buffer.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    });
    arrived(read.await)
}

async fn next_read(stream: &mut Plain, buffer: &mut BytesMut) -> Result<()> {
    arrived(stream.read_buf(buffer).await)
}

fn arrived(read: std::io::Result<usize>) -> Result<()> {
    match read {
        Ok(1..) => Ok(()),
        Ok(0) => Err(Error::explain(ErrorType::ConnectionClosed, "before the end of the answer").into_up()),
        Err(error) => Err(Error::because(ErrorType::ReadError, "while reading the answer", error).into_up()),
    }
}

/// What this future gives, or an error if the client goes before. The request has no body: there is nothing else to read.
pub async fn while_client_stays<T>(session: &mut Session, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = pin!(work);
    let mut client = pin!(session.as_downstream_mut().read_body_or_idle(true));
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        match client.as_mut().poll(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into_down())),
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    })
    .await
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
