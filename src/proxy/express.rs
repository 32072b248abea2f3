//! The express way: a request that is there as a whole, to an upstream of HTTP/1, without pingora's proxy loop.
//!
//! Most requests are of this kind, and the loop's channels, its two halves, a boxed future for each hook and a task and a
//! timer for each kept connection cost more than all that is decided on the way. The steps are the functions that the hooks
//! of [`Edge`] call, in the same order; pingora's sessions parse and frame both ends, but for what can be passed on as lines
//! ([`outbound::text`], [`plain`]). Every other request goes through pingora's `HttpProxy`, also one whose body takes its
//! time: nothing is held back from an upstream.

use std::future::{Future as _, poll_fn};
use std::io::Cursor;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::Method;
use pingora::apps::{HttpPersistentSettings, HttpServerApp as _, ReusedHttpStream};
use pingora::connectors::TransportConnector;
use pingora::http::RequestHeader;
use pingora::modules::http::HttpModules;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v1::client::{HttpSession as Upstream, http_req_header_to_wire};
use pingora::protocols::http::v2::server::HttpSession as Http2Session;
use pingora::proxy::{HttpProxy, Session};
use pingora::server::ShutdownWatch;
use pingora::{Error, ErrorType, Result};
use tokio::io::AsyncWriteExt as _;

use super::exchange::Exchange;
use super::failure::Failure;
use super::lent::Lent;
use super::panic::{Hook, caught};
use super::plain::{self, Passed};
use super::sending::Sending;
use super::takes::takes_stream;
use super::{Edge, attempt, copying, finish, intake, outbound, parsed, upgraded};
use crate::upstream::{Lease, kept};

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

    /// Serves a request of which `begin` has the whole head, and perhaps some of its body. Like pingora's `process_new_http`:
    /// what comes back is kept open. `lent`: the stream once more, where it may become a tunnel.
    pub async fn serve(
        &self,
        stream: Stream,
        lent: Option<Lent>,
        begin: BytesMut,
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
            http1.set_pipelined_prefix(begin);
        }
        match session.as_downstream_mut().read_request().await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Box::pin(refuse_unreadable(session, &error)).await,
        }
        if *shutdown.borrow() || lent.is_some() {
            session.set_keepalive(None);
        }
        let (mut exchange, admitted) = self.admit(&mut session);
        exchange.lent = lent;
        let mut body = Vec::new();
        let admitted = match admitted {
            Ok(Ok(())) => match whole_body(&mut session, &mut body).await {
                Ok(true) if exchange.route().express || exchange.upgrade => Ok(Ok(())),
                Ok(_) => return Box::pin(self.hand_over(session, exchange, &body, shutdown)).await,
                Err(error) => {
                    exchange.failure = Some(attempt::of_client(&error));
                    Err(error)
                }
            },
            refused => refused,
        };
        if !self.answer(&mut session, &mut exchange, admitted, &body).await {
            return None;
        }
        let settings = HttpPersistentSettings::for_session(session.as_downstream());
        // In a box, as what is rare: what waits for an upstream should not carry the room that its end takes.
        let reusable = Box::pin(session.downstream_session.finish()).await.ok().flatten()?;
        Some(ReusedHttpStream::from_reusable_stream(reusable, settings))
    }

    /// Serves a stream of HTTP/2, on the express way or another.
    pub async fn serve_stream(&self, http2: Http2Session, shutdown: &ShutdownWatch) {
        if !takes_stream(&http2) {
            self.proxy.process_new_http(ServerSession::new_http2(http2), shutdown).await;
            return;
        }
        // Pingora makes no session of this kind from outside, but lets what it is made of be replaced.
        let mut session = Session::new_h1_with_modules(Box::new(Cursor::new(Vec::new())), &self.modules);
        *session.downstream_session = ServerSession::new_http2(http2);
        let (mut exchange, admitted) = self.admit(&mut session);
        if matches!(admitted, Ok(Ok(()))) && !exchange.route().express {
            leave(&mut session, exchange);
            self.proxy.process_new_http(*session.downstream_session, shutdown).await;
            return;
        }
        // An answer has said its end; a stream without one is reset when it is dropped.
        self.answer(&mut session, &mut exchange, admitted, &[]).await;
    }

    fn admit(&self, session: &mut Session) -> (Exchange, Result<std::result::Result<(), Failure>>) {
        let mut exchange = intake::begin(self.edge.in_force.load(), Instant::now());
        let admitted = caught(&self.edge, Hook::Request, &mut exchange, |exchange| {
            Ok(intake::admit(&self.edge, session, exchange))
        });
        (exchange, admitted)
    }

    /// Answers a request, one way or the other. `true`: the client's connection may have another one.
    async fn answer(
        &self,
        session: &mut Session,
        exchange: &mut Exchange,
        admitted: Result<std::result::Result<(), Failure>>,
        body: &[Bytes],
    ) -> bool {
        let answered = match admitted {
            Ok(Ok(())) => self.ask(session, exchange, body).await,
            Ok(Err(failure)) => finish::refuse(session, exchange, failure).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &answered {
            finish::report(session, error, exchange).await;
        }
        let reusable = answered.is_ok();
        finish::close(&self.edge, session, answered.err().as_deref(), exchange);
        reusable
    }

    /// Somebody who may be asked speaks HTTP/2, or the body takes its time: the rest of the way is pingora's. The head is
    /// parsed once more, and what has become of the request goes along.
    async fn hand_over(
        &self,
        mut session: Session,
        exchange: Exchange,
        body: &[Bytes],
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let settings = HttpPersistentSettings::for_session(session.as_downstream());
        let mut begin = session.as_http1().map(|http1| BytesMut::from(http1.get_headers_raw_bytes()))?;
        body.iter().for_each(|piece| begin.extend_from_slice(piece));
        leave(&mut session, exchange);
        let ServerSession::H1(http1) = *session.downstream_session else { return None };
        let left = http1.get_keepalive_reuses_remaining();
        let mut again = ServerSession::new_http1(http1.into_inner());
        settings.apply_to_session(&mut again);
        // The settings count a request; it is still the same.
        again.set_keepalive_reuses_remaining(left);
        if let ServerSession::H1(http1) = &mut again {
            http1.set_pipelined_prefix(begin);
        }
        self.proxy.process_new_http(again, shutdown).await
    }

    /// Asks one endpoint after another, as long as a failure may be answered by somebody else.
    async fn ask(&self, session: &mut Session, exchange: &mut Exchange, body: &[Bytes]) -> Result<()> {
        caught(&self.edge, Hook::RequestBody, exchange, |exchange| {
            exchange.body.received = body.iter().map(|piece| piece.len() as u64).sum();
            exchange.body.complete = true;
            copying::begin(&self.edge, session, exchange);
            for (at, piece) in body.iter().enumerate() {
                copying::request_passes(&self.edge, session, Some(piece), at + 1 == body.len(), exchange);
            }
            Ok(())
        })?;
        let mut rounds = 0;
        loop {
            rounds += 1;
            match self.attempt(session, exchange, body).await {
                Err(error) if error.retry() && rounds < MOST_ROUNDS => {}
                last => return last,
            }
        }
    }

    async fn attempt(&self, session: &mut Session, exchange: &mut Exchange, body: &[Bytes]) -> Result<()> {
        let edge = &self.edge;
        let now = caught(edge, Hook::Peer, exchange, |exchange| attempt::choose(edge, session, exchange))?;
        let key = exchange.attempt.lease.as_ref().map_or(0, Lease::connection_key);
        // A request that is never sent again is not sent over a connection that may have ended.
        let kept = if exchange.upgrade { None } else { kept::take(key, now) };
        let (stream, reused) = match kept {
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
        let stream = match self.pass(session, exchange, body, stream).await {
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
    async fn pass(
        &self,
        session: &mut Session,
        exchange: &mut Exchange,
        body: &[Bytes],
        mut stream: Stream,
    ) -> Result<Option<Stream>> {
        if exchange.upgrade {
            return Box::pin(upgraded::pass(&self.edge, session, exchange, stream)).await.map(|()| None);
        }
        let edge = &self.edge;
        let mut sent = true;
        let mut upstream = if session.req_header().method == Method::HEAD {
            // Of this one, pingora has to know that no body comes with its answer.
            let mut upstream = Upstream::new(stream);
            let request = outbound::head(edge, session, exchange)?;
            upstream.write_request_header(request).await.map_err(|error| error.into_up())?;
            upstream
        } else {
            let request = session.req_header();
            let text = caught(edge, Hook::Outbound, exchange, |exchange| Ok(outbound::text(request, exchange)))?;
            let head = match text {
                Some(head) => head,
                None => http_req_header_to_wire(&*outbound::head(edge, session, exchange)?)
                    .ok_or_else(|| Error::explain(ErrorType::InvalidHTTPHeader, "the target of a rewritten request"))?,
            };
            if body.is_empty() {
                send(&mut stream, &head).await.map_err(writing)?;
            } else {
                // Head and body leave together.
                let request = std::iter::once(head.freeze()).chain(body.iter().cloned());
                let mut sending = Sending::new(stream, request);
                match poll_fn(|cx| Poll::Ready(sending.poll_rest(cx))).await {
                    Poll::Pending => {
                        let mut upstream = Upstream::new(Box::new(sending));
                        // Whether all of it will have been sent is not looked at: the connection is not used again.
                        return parsed::pass(edge, session, exchange, &mut upstream).await.map(|()| None);
                    }
                    // Whoever takes no more may have answered.
                    Poll::Ready(taken) => (stream, sent) = (sending.into_inner(), taken.is_ok()),
                }
            }
            match plain::pass(edge, session, exchange, stream).await? {
                Passed::Done(stream) => return Ok(stream.filter(|_| sent)),
                Passed::Other(stream) => Upstream::new(stream),
            }
        };
        parsed::pass(edge, session, exchange, &mut upstream).await?;
        upstream.respect_keepalive();
        Ok(upstream.reuse().await.filter(|_| sent))
    }
}

/// What was admitted here goes on through pingora's proxy, which looks at the request once more and finds nobody's.
fn leave(session: &mut Session, mut exchange: Exchange) {
    let (Some(watch), Ok(nobody)) = (exchange.watch.clone(), RequestHeader::build(Method::GET, b"/", None)) else {
        return;
    };
    exchange.admitted = Some(Box::new(std::mem::replace(session.req_header_mut(), nobody)));
    watch.put_admitted(Box::new(exchange));
}

/// Takes what there is of the body without waiting. `false`: that is not all of it.
async fn whole_body(session: &mut Session, body: &mut Vec<Bytes>) -> Result<bool> {
    while !session.as_downstream_mut().is_body_done() {
        let mut read = pin!(session.as_downstream_mut().read_request_body());
        let read = poll_fn(|cx| {
            Poll::Ready(match read.as_mut().poll(cx) {
                Poll::Ready(read) => Some(read),
                Poll::Pending => None,
            })
        });
        match read.await {
            None => return Ok(false),
            Some(piece) => body.extend(piece.map_err(|error| error.into_down())?),
        }
    }
    Ok(true)
}

fn writing(error: std::io::Error) -> Box<Error> {
    Error::because(ErrorType::WriteError, "while writing the request", error).into_up()
}

async fn send(stream: &mut Stream, head: &[u8]) -> std::io::Result<()> {
    stream.write_all(head).await?;
    stream.flush().await
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
