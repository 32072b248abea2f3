//! The express way: a request without a body to an upstream of HTTP/1, without pingora's proxy loop.
//!
//! Most requests are of this kind, and the loop's channels, its two halves, a boxed future for each hook and a task and a
//! timer for each kept connection cost more than all that is decided on the way. The steps are the functions that the hooks
//! of [`Edge`] call, in the same order; pingora's sessions parse and frame both ends, but for what can be passed on as lines
//! ([`outbound::text`], [`plain`]). Every other request goes through pingora's `HttpProxy`.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use http::{Method, Version, header};
use memchr::memchr_iter;
use pingora::apps::{HttpPersistentSettings, HttpServerApp as _, ReusedHttpStream};
use pingora::connectors::TransportConnector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Stream;
use pingora::protocols::http::v1::client::HttpSession as Upstream;
use pingora::protocols::http::{HttpTask, ServerSession};
use pingora::proxy::{HttpProxy, Session};
use pingora::server::ShutdownWatch;
use pingora::{Error, ErrorType, Result};
use tokio::io::AsyncWriteExt as _;

use super::exchange::Exchange;
use super::failure::Failure;
use super::panic::{Hook, caught};
use super::plain::{self, Passed};
use super::{Edge, answer, attempt, body, copying, finish, intake, kept, outbound};
use crate::upstream::Lease;

/// As many attempts as pingora makes; [`attempt`] gives up long before.
const MOST_ROUNDS: usize = 16;

/// What the requests of this way share.
pub struct Express {
    edge: Edge,
    /// The way of all others.
    proxy: Arc<HttpProxy<Edge>>,
    connector: TransportConnector,
    /// Connections to upstreams that each thread keeps.
    idle: usize,
    /// None: as in `init_downstream_modules`.
    modules: HttpModules,
}

impl Express {
    pub fn new(edge: Edge, proxy: Arc<HttpProxy<Edge>>, idle: usize) -> Self {
        Self { edge, proxy, connector: TransportConnector::new(None), idle, modules: HttpModules::new() }
    }

    /// Serves a request of which `head` is all. Like pingora's `process_new_http`: what comes back is kept open.
    pub async fn serve(
        &self,
        stream: Stream,
        head: BytesMut,
        settings: Option<HttpPersistentSettings>,
        most: Option<u32>,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let mut session = Session::new_h1_with_modules(stream, &self.modules);
        match settings {
            Some(settings) => settings.apply_to_session(session.as_downstream_mut()),
            None => {
                session.set_keepalive(Some(0));
                session.as_downstream_mut().set_keepalive_reuses_remaining(most.map(|most| most - 1));
            }
        }
        if let ServerSession::H1(http1) = session.as_downstream_mut() {
            http1.set_pipelined_prefix(head);
        }
        match session.as_downstream_mut().read_request().await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return refuse_unreadable(session, &error).await,
        }
        if *shutdown.borrow() {
            session.set_keepalive(None);
        }
        let mut exchange = intake::begin(self.edge.in_force.load(), Instant::now());
        let admitted = caught(&self.edge, Hook::Request, &mut exchange, |exchange| {
            Ok(intake::admit(&self.edge, &mut session, exchange))
        });
        if matches!(admitted, Ok(Ok(()))) && !exchange.route().express {
            return self.hand_over(session, exchange, shutdown).await;
        }
        let (reusable, error) = self.answer(&mut session, &mut exchange, admitted).await;
        finish::close(&self.edge, &mut session, error.as_deref(), &mut exchange);
        drop(exchange);
        if !reusable {
            return None;
        }
        let settings = HttpPersistentSettings::for_session(session.as_downstream());
        let reusable = session.downstream_session.finish().await.ok().flatten()?;
        Some(ReusedHttpStream::from_reusable_stream(reusable, settings))
    }

    /// Answers a request, one way or the other. `true`: the client's connection may have another one.
    async fn answer(
        &self,
        session: &mut Session,
        exchange: &mut Exchange,
        admitted: Result<std::result::Result<(), Failure>>,
    ) -> (bool, Option<Box<Error>>) {
        let error = match admitted {
            Ok(Ok(())) => {
                copying::begin(&self.edge, session, exchange);
                exchange.body.complete = true;
                self.ask(session, exchange).await
            }
            Ok(Err(failure)) => finish::refuse(session, exchange, failure).await,
            Err(panicked) => Err(panicked),
        };
        let Err(error) = error else { return (true, None) };
        finish::report(session, &error, exchange).await;
        (false, Some(error))
    }

    /// Somebody who may be asked speaks HTTP/2: the rest of the way is pingora's. The head is parsed once more, and what has
    /// become of the request goes along.
    async fn hand_over(
        &self,
        mut session: Session,
        exchange: Exchange,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let settings = HttpPersistentSettings::for_session(session.as_downstream());
        let raw = session.as_http1().map(|http1| BytesMut::from(http1.get_headers_raw_bytes()))?;
        let nobody = RequestHeader::build(Method::GET, b"/", None).ok()?;
        let request = std::mem::replace(session.req_header_mut(), nobody);
        let ServerSession::H1(http1) = *session.downstream_session else { return None };
        let mut again = ServerSession::new_http1(http1.into_inner());
        settings.apply_to_session(&mut again);
        again.set_connection_user_context(Some(Box::new(Admitted { exchange, request })));
        if let ServerSession::H1(http1) = &mut again {
            http1.set_pipelined_prefix(raw);
        }
        self.proxy.process_new_http(again, shutdown).await
    }

    /// Asks one endpoint after another, as long as a failure may be answered by somebody else.
    async fn ask(&self, session: &mut Session, exchange: &mut Exchange) -> Result<()> {
        let mut rounds = 0;
        loop {
            rounds += 1;
            match self.attempt(session, exchange).await {
                Err(error) if error.retry() && rounds < MOST_ROUNDS => {}
                last => return last,
            }
        }
    }

    async fn attempt(&self, session: &mut Session, exchange: &mut Exchange) -> Result<()> {
        let edge = &self.edge;
        let now = caught(edge, Hook::Peer, exchange, |exchange| attempt::choose(edge, session, exchange))?;
        let key = exchange.attempt.lease.as_ref().map_or(0, Lease::connection_key);
        let (stream, reused) = match kept::take(key, now) {
            Some(stream) => (stream, true),
            None => {
                let peer = attempt::peer(session, exchange, now);
                // In a box: most requests find a connection, and should not carry the room that making one takes.
                match Box::pin(self.connector.new_stream(&*peer)).await {
                    Ok(stream) => (stream, false),
                    Err(mut error) => {
                        error.as_up();
                        let failed =
                            |exchange: &mut Exchange| Ok(attempt::not_connected(edge, session, exchange, error));
                        return Err(caught(edge, Hook::NotConnected, exchange, failed)?.into_up());
                    }
                }
            }
        };
        caught(edge, Hook::Connected, exchange, |exchange| {
            attempt::connected(session, exchange, reused, true, stream.id());
            Ok(())
        })?;
        let stream = match self.pass(session, exchange, stream).await {
            Ok(stream) => stream,
            Err(error) => {
                return Err(caught(edge, Hook::Failed, exchange, |exchange| {
                    copying::attempt_failed(exchange);
                    Ok(attempt::failed(edge, session, exchange, error, reused))
                })?);
            }
        };
        if let Some(stream) = stream {
            let keepalive = exchange.edition.pool(exchange.target).spec().keepalive;
            kept::keep(key, stream, Instant::now(), keepalive, self.idle);
        }
        Ok(())
    }

    /// Sends the request and passes the answer on. Gives the connection back if it may have another request.
    async fn pass(&self, session: &mut Session, exchange: &mut Exchange, mut stream: Stream) -> Result<Option<Stream>> {
        let edge = &self.edge;
        let request = session.req_header();
        let text = caught(edge, Hook::Outbound, exchange, |exchange| Ok(outbound::text(request, exchange)))?;
        let mut upstream = if let Some(head) = text {
            let sent = async {
                stream.write_all(&head).await?;
                stream.flush().await
            };
            let failed = |error| Error::because(ErrorType::WriteError, "while writing the request", error).into_up();
            sent.await.map_err(failed)?;
            match plain::pass(edge, session, exchange, stream).await? {
                Passed::Done(stream) => return Ok(stream),
                Passed::Other(stream) => Upstream::new(stream),
            }
        } else {
            self.send(session, exchange, stream).await?
        };
        self.pass_on(session, exchange, &mut upstream).await?;
        upstream.respect_keepalive();
        Ok(upstream.reuse().await)
    }

    /// Sends a request to which more than lines is added.
    async fn send(&self, session: &mut Session, exchange: &mut Exchange, stream: Stream) -> Result<Upstream> {
        let edge = &self.edge;
        let mut request = session.req_header().clone();
        request.set_version(Version::HTTP_11);
        // The only header of the connection that a request of this way may have.
        request.remove_header(&header::CONNECTION);
        caught(edge, Hook::Outbound, exchange, |exchange| outbound::prepare(&mut request, exchange))?;
        let mut upstream = Upstream::new(stream);
        upstream.write_request_header(Box::new(request)).await.map_err(|error| error.into_up())?;
        Ok(upstream)
    }

    /// Passes an answer on that pingora reads.
    async fn pass_on(&self, session: &mut Session, exchange: &mut Exchange, upstream: &mut Upstream) -> Result<()> {
        let edge = &self.edge;
        loop {
            let task = async { upstream.read_response_task().await.map_err(|error| error.into_up()) };
            let (chunk, end) = match plain::while_client_stays(session, task).await? {
                HttpTask::Header(mut head, end) => {
                    caught(edge, Hook::AnswerHead, exchange, |exchange| {
                        attempt::head_arrived(edge, session, &mut head, exchange)
                    })?;
                    frame(&mut head, end, &session.req_header().method)?;
                    caught(edge, Hook::Answer, exchange, |exchange| answer::prepare(session, &mut head, exchange))?;
                    session.as_downstream_mut().write_response_header(head).await.map_err(|error| error.into_down())?;
                    (None, end)
                }
                HttpTask::Body(chunk, end) => {
                    caught(edge, Hook::AnswerBody, exchange, |exchange| {
                        body::answer_chunk(end, exchange)?;
                        copying::answer_passes(chunk.as_ref(), exchange);
                        Ok(())
                    })?;
                    (chunk, end)
                }
                HttpTask::Failed(error) => return Err(error.into_up()),
                HttpTask::Trailer(_) | HttpTask::Done | HttpTask::UpgradedBody(..) => (None, true),
            };
            let written = session.as_downstream_mut().write_response_body(chunk.unwrap_or_default(), end).await;
            written.map_err(|error| error.into_down())?;
            if end {
                return Ok(());
            }
        }
    }
}

/// A request that was admitted here and goes on through pingora's proxy.
struct Admitted {
    exchange: Exchange,
    /// As it was cleaned.
    request: RequestHeader,
}

/// Takes up a request that was admitted on the express way; called before any other hook.
pub fn take_up(session: &mut Session, exchange: &mut Exchange, before: Box<dyn Any + Send + Sync>) {
    if let Ok(admitted) = before.downcast::<Admitted>() {
        *session.req_header_mut() = admitted.request;
        *exchange = admitted.exchange;
        exchange.admitted = true;
    }
}

/// An answer whose end is that of the upstream's connection gets chunks, so that the client's connection can stay.
fn frame(head: &mut ResponseHeader, end: bool, method: &Method) -> Result<()> {
    let bodiless =
        end || *method == Method::HEAD || head.status.is_informational() || matches!(head.status.as_u16(), 204 | 304);
    if bodiless
        || head.headers.contains_key(header::TRANSFER_ENCODING)
        || head.headers.contains_key(header::CONTENT_LENGTH)
    {
        return Ok(());
    }
    head.set_version(Version::HTTP_11);
    head.insert_header(header::TRANSFER_ENCODING, "chunked")
}

/// As pingora answers what its parser refuses; the wire puts our form in the place of its page.
async fn refuse_unreadable(mut session: Session, error: &Error) -> Option<ReusedHttpStream> {
    if *error.etype() == ErrorType::InvalidHTTPHeader
        && let Err(error) = session.respond_error(400).await
    {
        tracing::debug!(%error, "the client did not take the error answer");
    }
    session.as_downstream_mut().shutdown().await;
    None
}

/// Whether these bytes are the head of a GET or HEAD without a body, nothing less and nothing more. The answer may be no for
/// a request that would fit, but not yes for one that does not.
pub fn takes(head: &[u8]) -> bool {
    if !(head.starts_with(b"GET ") || head.starts_with(b"HEAD ")) || !head.ends_with(b"\r\n\r\n") {
        return false;
    }
    let fields = head.get(..head.len() - 2).unwrap_or_default();
    let mut begin = 0;
    memchr_iter(b'\n', fields).all(|end| {
        let line = fields.get(begin..end).unwrap_or_default();
        let first = begin == 0;
        begin = end + 1;
        line.strip_suffix(b"\r").is_some_and(|line| first || is_plain(line))
    })
}

/// A field that says nothing about a body or the connection, but perhaps whether it stays open.
fn is_plain(line: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', line) else { return false };
    let (name, value) = line.split_at(colon);
    if name.first().is_none_or(u8::is_ascii_whitespace) || name.last().is_none_or(u8::is_ascii_whitespace) {
        return false;
    }
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    match name.len() {
        2 => !is(b"te"),
        6 => !is(b"expect"),
        7 => !is(b"upgrade") && !is(b"trailer"),
        10 if is(b"connection") => {
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
        }
        10 => !is(b"keep-alive"),
        14 => !is(b"content-length") && !is(b"http2-settings"),
        16 => !is(b"proxy-connection"),
        17 => !is(b"transfer-encoding"),
        18 => !is(b"proxy-authenticate"),
        19 => !is(b"proxy-authorization"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::takes;

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
            assert!(takes(head.as_bytes()), "{head}");
        }
    }

    #[test]
    fn whatever_has_a_body_an_upgrade_or_two_readings_does_not() {
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
        ] {
            assert!(!takes(head.as_bytes()), "{head}");
        }
    }
}
