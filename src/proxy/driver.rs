//! The one loop that runs the steps of a request: both directions at once, for every version of HTTP on either end.
//!
//! Nothing in it is unsafe to drop: the ends own what they have not written. One task polls all of it with one waker.

use std::future::{Future, poll_fn};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};

use super::attempt::{Failed, Next, Verdict, connect_limit, may_be_silent};
use super::client_end::ClientEnd;
use super::deadline::{Expired, Waiting, patience_with_stream};
use super::exchange::Exchange;
use super::failure::{Failure, Fault, of_client};
use super::replay_buffer::{KEPT, ReplayBuffer};
use super::response_buffer::{self, ResponseBuffer};
use super::tunnel::Tunnel;
use super::{Steps, buffer, finish, sign_in};
use crate::client::{self, ConnectError, End, http1};
use crate::downstream::ClientFault;
use crate::endpoint::HttpVersions;
use crate::message::{Framing, Piece};

/// What becomes of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It may have another request.
    Next,
    /// It ends at once.
    Close,
    /// It ends, but the client may still be sending: its bytes are read, so that the response is not lost.
    Linger,
}

/// Interim responses (1xx) before the final one; an upstream that sends more never answers.
const MOST_INTERIM: usize = 100;
/// Turns of the loop before other tasks have their own.
const TURNS: usize = 32;
/// An upstream that has answered may take so long to read more of an upload.
const AFTER_RESPONSE: Duration = Duration::from_secs(2);
/// A request's body that is read for nothing behind a refusal, so that the connection can stay.
const DRAINED: u64 = 64 * 1024;

/// Serves one request of a client, from its head to its log line.
pub async fn serve(steps: &Steps, client: &mut ClientEnd<'_>, exchange: &mut Exchange) -> After {
    #[cfg(test)]
    super::provoked::here(super::panic::Step::Begin);
    swap_signed_in(client, exchange);
    let after = attempts(steps, client, exchange).await;
    swap_signed_in(client, exchange);
    exchange.bytes_out += client.bytes_sent();
    steps.finish(exchange);
    after
}

/// Answers what could not be read as a request.
pub async fn refuse(steps: &Steps, client: &mut ClientEnd<'_>, exchange: &mut Exchange, failure: Failure) -> After {
    let after = say(client, exchange, failure).await;
    exchange.bytes_out += client.bytes_sent();
    steps.finish(exchange);
    after
}

/// What the client's connection keeps goes with each of its requests, and back.
const fn swap_signed_in(client: &mut ClientEnd<'_>, exchange: &mut Exchange) {
    if let ClientEnd::Http1(conn) = client {
        std::mem::swap(&mut conn.signed_in, &mut exchange.signed_in);
    }
}

async fn attempts(steps: &Steps, client: &mut ClientEnd<'_>, exchange: &mut Exchange) -> After {
    if let Err(failure) = steps.admit(exchange) {
        return say(client, exchange, failure).await;
    }
    let mut kept = ReplayBuffer::default();
    if let Some(gathering) = buffer::gathering(exchange) {
        // In a box, because few requests have a body that is waited for.
        if let Err(failure) = Box::pin(gathering.run(steps, client, exchange, &mut kept)).await {
            return say(client, exchange, failure).await;
        }
    }
    loop {
        if let Err(failure) = steps.choose(exchange) {
            return say(client, exchange, failure).await;
        }
        let (upstream, reused) = match idle(exchange) {
            Some(upstream) => (upstream, true),
            // In a box: most requests find a connection, and should not carry the room that making one takes.
            None => match Box::pin(while_client_stays(client, exchange.began, connect(exchange))).await {
                Ok(Ok(upstream)) => (upstream, false),
                Ok(Err(error)) => match steps.not_connected(exchange, &error) {
                    Next::Again => continue,
                    Next::Stop(failure) => return say(client, exchange, failure).await,
                },
                Err(_) => return say(client, exchange, Failure::ClientGone).await,
            },
        };
        let pump = match begin(steps, client, exchange, &mut kept, upstream, reused) {
            Ok(pump) => pump,
            Err(Next::Again) => {
                kept.rewind();
                continue;
            }
            Err(Next::Stop(failure)) => return say(client, exchange, failure).await,
        };
        match pump.run().await {
            Ended::Whole(after) => return after,
            Ended::Switched(tunnel) => {
                let (failure, passed) = Box::pin(tunnel.run(client, steps)).await;
                exchange.body.received += passed.0;
                exchange.bytes_out += passed.1;
                exchange.failure = failure;
                return After::Close;
            }
            Ended::Held(held, failure) => {
                let fed = Box::pin(held.feed(client, exchange)).await;
                return match failure.or(fed.err()) {
                    None => after(client),
                    Some(failure) => say(client, exchange, failure).await,
                };
            }
            Ended::Again => kept.rewind(),
            Ended::Stop(failure) => return say(client, exchange, failure).await,
        }
    }
}

/// The connection is there: the request's head is put.
fn begin<'a, 'c>(
    steps: &'a Steps,
    client: &'a mut ClientEnd<'c>,
    exchange: &'a mut Exchange,
    kept: &'a mut ReplayBuffer,
    mut upstream: End,
    reused: bool,
) -> Result<Pump<'a, 'c>, Next> {
    steps.connected(exchange, reused).map_err(Next::Stop)?;
    let head = steps.request_head(exchange).map_err(Next::Stop)?;
    let framing = exchange.framing;
    if let Err(fault) = upstream.put_head(&head, framing) {
        // Nothing was sent.
        let (failure, _) = of_upstream(exchange, &fault);
        let speaks_http1 = exchange.edition.pool(exchange.target).spec().http == HttpVersions::Auto;
        if matches!(fault, client::Fault::Unwritable(_)) && speaks_http1 {
            exchange.http1_alone = true;
        }
        let unsent = !matches!(fault, client::Fault::Unwritable(_)) || exchange.http1_alone;
        let failed = Failed { failure, stale: false, kept: kept.is_whole(), unprocessed: false, unsent };
        return Err(steps.failed(exchange, failed));
    }
    let upload = if framing == Framing::None { Upload::Whole } else { Upload::Open };
    let silent = may_be_silent(&exchange.head);
    Ok(Pump {
        steps,
        client,
        exchange,
        kept,
        upstream,
        reused,
        upload,
        silent,
        response: Response::Awaited,
        held: None,
        armed: false,
        progress: false,
    })
}

/// The versions that this request may be sent in.
fn versions(exchange: &Exchange) -> HttpVersions {
    if exchange.upgrade || exchange.http1_alone {
        HttpVersions::Http1
    } else {
        exchange.edition.pool(exchange.target).spec().http
    }
}

/// A connection that can take the request to the chosen endpoint at once.
fn idle(exchange: &mut Exchange) -> Option<End> {
    if let Some(own) = exchange.attempt.own.take() {
        return Some(End::http1(own));
    }
    if exchange.upgrade {
        // A tunnel is never given back, and a request for one is never sent twice: it gets a connection of its own.
        return None;
    }
    let lease = exchange.attempt.lease.as_ref()?;
    let now = exchange.attempt.began.unwrap_or_else(Instant::now);
    let (key, tls) = (lease.connection_key(), lease.peer_http1().is_tls());
    let keepalive = exchange.edition.pool(exchange.target).spec().keepalive;
    let youngest = if exchange.attempt.anew {
        Duration::ZERO
    } else {
        keepalive.reuse_within(lease.idle_closes(), exchange.is_safe())
    };
    End::kept(key, versions(exchange), tls, now, youngest)
}

async fn connect(exchange: &Exchange) -> Result<End, ConnectError> {
    let lease = exchange.attempt.lease.as_ref().expect("an endpoint was chosen");
    let versions = versions(exchange);
    let peer = if versions == HttpVersions::Http1 { lease.peer_http1() } else { lease.peer() };
    let idle = exchange.edition.pool(exchange.target).spec().keepalive.http2();
    End::connect(peer, connect_limit(exchange), (lease.connection_key(), versions), idle).await
}

/// What this future gives, or why it is not waited for any longer: the client has left.
async fn while_client_stays<T>(
    client: &mut ClientEnd<'_>,
    began: Instant,
    work: impl Future<Output = T>,
) -> Result<T, ClientFault> {
    let mut work = std::pin::pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => client.poll_gone(cx, began).map(Err),
    })
    .await
}

/// Tells the client what has failed, unless its response has begun or it is gone.
async fn say(client: &mut ClientEnd<'_>, exchange: &mut Exchange, failure: Failure) -> After {
    exchange.failure = Some(failure);
    let limit = exchange.edition.snapshot.limits.body_timeout;
    let end = limit.map(|limit| Instant::now() + limit);
    let page = finish::page(exchange, failure).filter(|_| !client.has_answered());
    let Some(page) = page else {
        if failure != Failure::ClientGone {
            // What was put of a response that breaks off is the client's.
            flush(client, end).await;
        }
        client.abort();
        return After::Close;
    };
    let short = matches!(exchange.framing, Framing::Length(length) if length <= DRAINED);
    let expects = exchange.head.fields.has(crate::message::Name::Expect);
    let drained = client.is_read() || short && !expects && failure.fault() == Fault::Client;
    if !drained || exchange.close || matches!(failure, Failure::Refused { status: 400, .. }) {
        // Nothing more is taken from a client that sends what no honest one sends, or whose body is not wanted.
        client.close();
    }
    exchange.status = page.head.status.as_u16();
    if exchange.head.method == Method::HEAD {
        client.put_head(&page.head, Framing::None);
    } else {
        client.put_head(&page.head, Framing::Length(page.body.len() as u64));
        client.put(Piece::Data(page.body));
    }
    client.put(Piece::End);
    if !flush(client, end).await {
        return After::Close;
    }
    if !client.is_read() {
        if !drained {
            return After::Linger;
        }
        let drained = poll_fn(|cx| {
            loop {
                match client.poll_piece(cx) {
                    Poll::Ready(Ok(piece)) if !piece.is_last() => client.passed(piece.len()),
                    Poll::Ready(Ok(_)) => return Poll::Ready(true),
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Pending => return client.timer().poll(cx, end).map(|()| false),
                }
            }
        });
        if !drained.await {
            return After::Close;
        }
    }
    after(client)
}

/// Sends what was put, until `end` at most. `false`: the client did not take it.
async fn flush(client: &mut ClientEnd<'_>, end: Option<Instant>) -> bool {
    poll_fn(|cx| {
        loop {
            let sent = client.poll_send(cx, &mut false);
            if let Poll::Ready(sent) = sent {
                return Poll::Ready(sent.is_ok());
            }
            let due = client.stall_due().into_iter().chain(end).min();
            if client.timer().poll(cx, due).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if client.look_at_stall(now).is_some() || end.is_some_and(|end| end <= now) {
                return Poll::Ready(false);
            }
        }
    })
    .await
}

fn after(client: &ClientEnd<'_>) -> After {
    match client {
        ClientEnd::Http1(conn) if conn.may_go_on() => After::Next,
        ClientEnd::Http1(conn) if !conn.is_read() => After::Linger,
        ClientEnd::Http1(_) => After::Close,
        // A stream is over with its response.
        ClientEnd::Http2(..) => After::Next,
    }
}

/// What is left to do of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upload {
    Open,
    /// All of it was put.
    Whole,
    /// The upstream takes no more of it.
    Stopped,
}

/// How far the response has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Response {
    Awaited,
    Body,
    /// All of it was put, and the client takes it.
    Flushing,
    /// The client has all of it; the rest of its upload is passed on as long as the upstream takes it.
    Sent,
    /// A `101` was put.
    Switched,
}

/// How an attempt ended.
enum Ended {
    Whole(After),
    Switched(Box<Tunnel>),
    /// The upstream is done, the client is not; what failed, if something did.
    Held(Box<ResponseBuffer>, Option<Failure>),
    Again,
    Stop(Failure),
}

/// Why the loop of an attempt ended.
enum Outcome {
    Whole,
    /// All of the response is held.
    Received,
    Switched,
    Moved,
    Failed(Failure),
    /// The upstream's end failed.
    Upstream(client::Fault),
}

/// One attempt: both directions between the client and an endpoint.
struct Pump<'a, 'c> {
    steps: &'a Steps,
    client: &'a mut ClientEnd<'c>,
    exchange: &'a mut Exchange,
    kept: &'a mut ReplayBuffer,
    upstream: End,
    reused: bool,
    upload: Upload,
    /// Either side may be silent for as long as a tunnel may.
    silent: bool,
    response: Response,
    /// What the client has not taken yet, where responses are held.
    held: Option<Box<ResponseBuffer>>,
    /// A deadline of this attempt was set.
    armed: bool,
    /// Something moved since the deadline was set.
    progress: bool,
}

impl Pump<'_, '_> {
    async fn run(mut self) -> Ended {
        let outcome = {
            let mut interim = 0;
            poll_fn(|cx| self.poll(cx, &mut interim)).await
        };
        let mut stale = false;
        let (failure, unprocessed) = match outcome {
            Outcome::Whole => {
                give_back(self.upstream, self.exchange, self.steps.idle);
                return Ended::Whole(after(self.client));
            }
            Outcome::Received => {
                let held = self.held.take().expect("what was received is held");
                give_back(self.upstream, self.exchange, self.steps.idle);
                return Ended::Held(held, None);
            }
            Outcome::Switched => {
                let End::Http1(upstream) = self.upstream else {
                    return Ended::Stop(Failure::Protocol);
                };
                return Ended::Switched(Box::new(Tunnel::new(upstream, self.exchange)));
            }
            Outcome::Moved => return Ended::Again,
            Outcome::Failed(failure) => (failure, false),
            Outcome::Upstream(fault) => {
                let ended = matches!(fault, client::Fault::Ended(_) | client::Fault::Malformed(http1::NO_RESPONSE));
                stale = self.reused && ended;
                of_upstream(self.exchange, &fault)
            }
        };
        let failed = Failed { failure, stale, kept: self.kept.is_whole(), unprocessed, unsent: false };
        match self.steps.failed(self.exchange, failed) {
            Next::Again => Ended::Again,
            Next::Stop(failure) => match self.held {
                Some(mut held) if failure.fault() == Fault::Upstream => {
                    held.break_off();
                    Ended::Held(held, Some(failure))
                }
                _ => Ended::Stop(failure),
            },
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, interim: &mut usize) -> Poll<Outcome> {
        for _ in 0..TURNS {
            let mut moved = false;
            // The response first: it may come early, and must not wait behind a long upload.
            if let Poll::Ready(outcome) = self.poll_response(cx, interim, &mut moved) {
                return Poll::Ready(outcome);
            }
            match self.client.poll_send(cx, &mut moved) {
                Poll::Ready(Ok(())) if self.response == Response::Flushing => {
                    if self.upload != Upload::Open || self.exchange.is_http2() {
                        return Poll::Ready(Outcome::Whole);
                    }
                    // An upstream that has answered may still read: what is written to it is not cut off.
                    self.response = Response::Sent;
                    moved = true;
                }
                Poll::Ready(Ok(())) if self.response == Response::Sent && self.upload != Upload::Open => {
                    return Poll::Ready(Outcome::Whole);
                }
                Poll::Ready(Ok(())) if self.response == Response::Switched => return Poll::Ready(Outcome::Switched),
                Poll::Ready(Err(_)) => return Poll::Ready(Outcome::Failed(Failure::ClientGone)),
                _ => {}
            }
            if let Poll::Ready(outcome) = self.poll_upload(cx, &mut moved) {
                return Poll::Ready(if self.response == Response::Sent { Outcome::Whole } else { outcome });
            }
            if !moved {
                if self.poll_gone(cx) {
                    return Poll::Ready(Outcome::Failed(Failure::ClientGone));
                }
                match self.poll_deadline(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Some(outcome)) => return Poll::Ready(outcome),
                    Poll::Ready(None) => {}
                }
            }
            self.progress |= moved;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_response(&mut self, cx: &mut Context<'_>, interim: &mut usize, moved: &mut bool) -> Poll<Outcome> {
        while self.response == Response::Awaited {
            let mut head = match self.upstream.poll_head(cx) {
                Poll::Ready(Ok(head)) => head,
                Poll::Ready(Err(fault)) => return Poll::Ready(Outcome::Upstream(fault)),
                Poll::Pending => return Poll::Pending,
            };
            *moved = true;
            if head.is_interim() {
                *interim += 1;
                if *interim > MOST_INTERIM {
                    return Poll::Ready(Outcome::Upstream(client::Fault::Malformed("interim responses without end")));
                }
                if let Err(failure) = self.steps.interim(self.exchange, &mut head) {
                    return Poll::Ready(Outcome::Failed(failure));
                }
                if self.client.takes_interim() && self.client.room() > 0 {
                    self.client.put_interim(&head);
                }
                continue;
            }
            match self.steps.response_head(self.exchange, &mut head, self.kept.is_whole()) {
                Ok(Verdict::Moved) => return Poll::Ready(Outcome::Moved),
                Ok(Verdict::Pass) => {}
                Err(failure) => return Poll::Ready(Outcome::Failed(failure)),
            }
            let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
            let framing = self.upstream.framing();
            if framing != Framing::Open || !self.client.takes_trailers() {
                head.fields.remove(crate::message::Name::Trailer);
            }
            if self.exchange.close || !self.client.is_read() && !self.exchange.is_http2() {
                // An early response to an upload: what the client still sends is no request.
                self.client.close();
            }
            self.exchange.status = head.status.as_u16();
            self.client.put_head(&head, framing);
            self.response = if switches { Response::Switched } else { Response::Body };
            self.held = response_buffer::of(self.steps, self.exchange, &head, framing);
        }
        while self.response == Response::Body && self.takes_more() {
            let piece = match self.upstream.poll_piece(cx) {
                Poll::Ready(Ok(piece)) => piece,
                Poll::Ready(Err(fault)) => return Poll::Ready(Outcome::Upstream(fault)),
                Poll::Pending => break,
            };
            *moved = true;
            if let Err(failure) = self.steps.response_piece(self.exchange, &piece) {
                return Poll::Ready(Outcome::Failed(failure));
            }
            let (length, last) = (piece.len(), piece.is_last());
            match &mut self.held {
                Some(held) => held.put(piece),
                None => self.client.put(piece),
            }
            self.upstream.passed(length);
            if last && self.held.is_none() {
                self.response = Response::Flushing;
            }
        }
        self.poll_held(cx, moved)
    }

    /// More of the response's body may be put.
    fn takes_more(&mut self) -> bool {
        self.held.as_ref().map_or_else(|| self.client.room() > 0, |held| held.has_room())
    }

    /// Passes on what is held of the response.
    fn poll_held(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Poll<Outcome> {
        let Some(held) = &mut self.held else { return Poll::Pending };
        if held.has_ended() && self.upload != Upload::Open {
            return Poll::Ready(Outcome::Received);
        }
        match held.poll_pass(cx, self.client, moved) {
            Poll::Ready(Ok(())) => {
                self.held = None;
                self.response = Response::Flushing;
                Poll::Pending
            }
            Poll::Ready(Err(_)) => Poll::Ready(Outcome::Failed(Failure::Internal)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// The upload: first what is kept of an earlier attempt, then what comes.
    fn poll_upload(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Poll<Outcome> {
        while self.upload == Upload::Open && self.upstream.room() > 0 {
            let (piece, passed) = match self.kept.poll_next(cx) {
                Poll::Ready(Ok(Some(piece))) => (piece, 0),
                Poll::Ready(Err(_)) => return Poll::Ready(Outcome::Failed(Failure::Internal)),
                Poll::Pending => break,
                Poll::Ready(Ok(None)) => match self.client.poll_piece(cx) {
                    Poll::Ready(Ok(piece)) => {
                        if let Err(failure) = self.steps.request_piece(self.exchange, &piece) {
                            return Poll::Ready(Outcome::Failed(failure));
                        }
                        self.kept.keep(&piece, KEPT);
                        let length = piece.len();
                        (piece, length)
                    }
                    Poll::Ready(Err(fault)) => return Poll::Ready(Outcome::Failed(of_client(&fault))),
                    Poll::Pending => break,
                },
            };
            *moved = true;
            if piece.is_last() {
                self.upload = Upload::Whole;
            }
            self.upstream.put(piece);
            self.client.passed(passed);
        }
        if self.upload != Upload::Stopped && matches!(self.upstream.poll_send(cx, moved), Poll::Ready(Err(_))) {
            // It may have answered before it stopped reading; if it has not, the next read says why.
            self.upload = Upload::Stopped;
            *moved = true;
        }
        Poll::Pending
    }

    /// Whether the client has left, where nothing else is read of it.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> bool {
        self.client.poll_gone(cx, self.exchange.began).is_ready()
    }

    /// Pending: no deadline has passed.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        let takes_more = self.takes_more();
        let waiting = match self.response {
            Response::Awaited if self.upload != Upload::Open => Waiting::Head,
            Response::Awaited | Response::Sent if self.upstream.room() == 0 => Waiting::UpstreamTakes,
            Response::Awaited | Response::Sent => Waiting::Upload,
            Response::Body if takes_more => Waiting::Body,
            Response::Body | Response::Flushing | Response::Switched => Waiting::Client,
        };
        let http2 = self.exchange.is_http2();
        let deadline = &mut self.exchange.deadline;
        let progress = std::mem::take(&mut self.progress) && waiting != Waiting::Head;
        if deadline.waiting() != waiting || progress || !std::mem::replace(&mut self.armed, true) {
            let limits = &self.exchange.edition.snapshot.limits;
            let timeouts = &self.exchange.edition.pool(self.exchange.target).spec().timeouts;
            let pause = match waiting {
                Waiting::Upload if self.silent => limits.upgraded_idle,
                Waiting::Upload => limits.body_timeout,
                Waiting::UpstreamTakes if self.response == Response::Sent => Some(AFTER_RESPONSE),
                Waiting::UpstreamTakes => timeouts.idle,
                Waiting::Head => timeouts.answer,
                Waiting::Body => self.exchange.pause,
                Waiting::Client if http2 => patience_with_stream(limits),
                Waiting::Client => None,
            };
            deadline.wait(waiting, Instant::now(), pause);
        }
        let due = self.client.stall_due().into_iter().chain(deadline.due()).min();
        if self.client.timer().poll(cx, due).is_pending() {
            return Poll::Pending;
        }
        let now = Instant::now();
        if self.client.stall_due().is_some_and(|due| due <= now)
            && let Some(reason) = self.client.look_at_stall(now)
        {
            return Poll::Ready(Some(Outcome::Failed(Failure::Refused { status: 408, reason })));
        }
        Poll::Ready(self.exchange.deadline.expired(now).map(|expired| {
            if self.response == Response::Sent {
                return Outcome::Whole;
            }
            Outcome::Failed(match expired {
                Expired::Upload => Failure::ClientStalled,
                Expired::Download => Failure::Refused { status: 408, reason: "write_timeout" },
                Expired::Upstream => Failure::Timeout,
            })
        }))
    }
}

/// The response reached its end: the endpoint is done, and its connection may have another request if both messages are whole.
fn give_back(upstream: End, exchange: &mut Exchange, most: usize) {
    let keepalive = exchange.edition.pool(exchange.target).spec().keepalive;
    let upstream = sign_in::keep_apart(exchange, upstream);
    let Some(lease) = &mut exchange.attempt.lease else { return };
    if let Some(upstream) = upstream {
        let closes = keepalive.learns(lease.idle_closes());
        upstream.keep(lease.connection_key(), keepalive.kept(), most, closes);
    }
    lease.release();
}

/// What a fault of the upstream's end means, and whether the upstream has not processed the request.
fn of_upstream(exchange: &mut Exchange, fault: &client::Fault) -> (Failure, bool) {
    if let client::Fault::Malformed(rule) | client::Fault::Unwritable(rule) = fault
        && let Some(lease) = &exchange.attempt.lease
    {
        lease.malformed(rule);
    }
    match fault {
        client::Fault::Ended(_) => (Failure::Reset, false),
        client::Fault::Malformed(_) | client::Fault::Unwritable(_) => (Failure::Protocol, false),
        client::Fault::Unprocessed => (Failure::Reset, true),
        client::Fault::NeedsHttp1 => {
            let first = !std::mem::replace(&mut exchange.http1_alone, true);
            (Failure::Protocol, first)
        }
    }
}

/// Sends bytes that are no part of an exchange, within a moment.
pub async fn send_raw(client: &mut ClientEnd<'_>, bytes: &[u8]) {
    const MOMENT: std::time::Duration = std::time::Duration::from_secs(1);
    let ClientEnd::Http1(conn) = client else { return };
    conn.put_raw(bytes);
    let end = Instant::now() + MOMENT;
    poll_fn(|cx| match conn.poll_send(cx, &mut false) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => conn.timer.poll(cx, Some(end)),
    })
    .await;
}
