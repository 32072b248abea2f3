//! One attempt: moves both directions at once between a client and an endpoint, and runs the steps of what passes.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::StatusCode;

use super::attempt::{Failed, HeadOutcome, Next};
use super::client_end::ClientEnd;
use super::deadline::{Expired, Waiting, patience_with_stream};
use super::exchange::Exchange;
use super::failure::{Blame, Failure, of_client};
use super::replay_buffer::{KEPT, ReplayBuffer};
use super::reply::{After, after};
use super::response_buffer::{self, ResponseBuffer};
use super::tunnel::Tunnel;
use super::{Steps, sign_in, splice};
use crate::client::{self, End, NotRun, http1};
use crate::message::Framing;

/// Interim responses (1xx) before the final one; an upstream that sends more never answers.
const MOST_INTERIM: usize = 100;
/// Turns of the loop before other tasks have their own.
const TURNS: usize = 32;
/// The time in which an upstream that has answered may read more of an upload.
const AFTER_RESPONSE: Duration = Duration::from_secs(2);

/// The remaining work on the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upload {
    Open,
    /// All of it was put.
    Whole,
    /// The upstream takes no more of it.
    Stopped,
}

/// How far the response has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseState {
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
pub enum Ended {
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
    Upstream(client::UpstreamFault),
}

/// One attempt: both directions between the client and an endpoint.
pub struct Pump<'a, 'c> {
    pub steps: &'a Steps,
    pub client: &'a mut ClientEnd<'c>,
    pub exchange: &'a mut Exchange,
    pub kept: &'a mut ReplayBuffer,
    pub upstream: End,
    pub reused: bool,
    pub upload: Upload,
    /// Either side may be silent for as long as a tunnel may.
    pub silent: bool,
    pub response: ResponseState,
    /// The bytes that the client has not taken yet, where responses are held.
    pub held: Option<Box<ResponseBuffer>>,
    /// A deadline of this attempt was set.
    pub armed: bool,
    /// Something moved since the deadline was set.
    pub progress: bool,
}

impl Pump<'_, '_> {
    /// Runs the attempt to its end.
    pub async fn run(mut self) -> Ended {
        let outcome = {
            let (mut interim, mut begun) = (0, false);
            poll_fn(|cx| {
                if std::mem::replace(&mut begun, true) {
                    self.exchange.moment = None;
                } else if let Poll::Ready(outcome) = self.poll_upload(cx, &mut false) {
                    // No response is looked for before the request has left.
                    return Poll::Ready(outcome);
                }
                self.poll(cx, &mut interim)
            })
            .await
        };
        let mut stale = false;
        let (failure, unprocessed) = match outcome {
            Outcome::Whole => {
                let now = self.exchange.now();
                self.exchange.ended = Some(now);
                give_back(self.upstream, self.exchange, now, self.steps.idle);
                return Ended::Whole(after(self.client));
            }
            Outcome::Received => {
                let held = self.held.take().expect("what was received is held");
                let now = self.exchange.now();
                give_back(self.upstream, self.exchange, now, self.steps.idle);
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
                let ended = matches!(
                    fault,
                    client::UpstreamFault::Ended(_) | client::UpstreamFault::Malformed(http1::NO_RESPONSE)
                );
                stale = self.reused && ended;
                of_upstream(self.exchange, &fault)
            }
        };
        let failed = Failed { failure, stale, kept: self.kept.is_whole(), unprocessed, unsent: false };
        match self.steps.failed(self.exchange, failed) {
            Next::Again => Ended::Again,
            Next::Stop(failure) => match self.held {
                Some(mut held) if failure.fault() == Blame::Upstream => {
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
                Poll::Ready(Ok(())) if self.response == ResponseState::Flushing => {
                    if self.upload != Upload::Open || self.exchange.is_http2() {
                        return Poll::Ready(Outcome::Whole);
                    }
                    // An upstream that has answered may still read: what is written to it is not cut off.
                    self.response = ResponseState::Sent;
                    moved = true;
                }
                Poll::Ready(Ok(())) if self.response == ResponseState::Sent && self.upload != Upload::Open => {
                    return Poll::Ready(Outcome::Whole);
                }
                Poll::Ready(Ok(())) if self.response == ResponseState::Switched => {
                    return Poll::Ready(Outcome::Switched);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Outcome::Failed(Failure::ClientGone)),
                _ => {}
            }
            if let Poll::Ready(outcome) = self.poll_upload(cx, &mut moved) {
                return Poll::Ready(if self.response == ResponseState::Sent { Outcome::Whole } else { outcome });
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
            self.exchange.moment = None;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_response(&mut self, cx: &mut Context<'_>, interim: &mut usize, moved: &mut bool) -> Poll<Outcome> {
        while self.response == ResponseState::Awaited {
            let mut head = match self.upstream.poll_head(cx) {
                Poll::Ready(Ok(head)) => head,
                Poll::Ready(Err(fault)) => return Poll::Ready(Outcome::Upstream(fault)),
                Poll::Pending => return Poll::Pending,
            };
            *moved = true;
            if head.is_interim() {
                *interim += 1;
                if *interim > MOST_INTERIM {
                    return Poll::Ready(Outcome::Upstream(client::UpstreamFault::Malformed(
                        "interim responses without end",
                    )));
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
                Ok(HeadOutcome::Moved) => return Poll::Ready(Outcome::Moved),
                Ok(HeadOutcome::Pass) => {}
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
            self.response = if switches { ResponseState::Switched } else { ResponseState::Body };
            self.held = response_buffer::of(self.steps, self.exchange, &head, framing);
            self.client.put_head(head, framing);
        }
        let mut first = true;
        while self.response == ResponseState::Body && self.takes_more() {
            let spliced = match self.held {
                None => splice::poll(&mut self.upstream, self.client, self.exchange, cx),
                Some(_) => None,
            };
            match spliced {
                None => {}
                Some(Poll::Pending) => break,
                Some(Poll::Ready(Ok(last))) => {
                    self.exchange.moment = None;
                    *moved = true;
                    self.passed_on(last);
                    continue;
                }
                Some(Poll::Ready(Err(fault))) => return Poll::Ready(Outcome::Upstream(fault)),
            }
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
            if !std::mem::replace(&mut first, false) && !last {
                self.exchange.moment = None;
            }
            match &mut self.held {
                Some(held) => held.put(piece),
                None => self.client.put(piece),
            }
            self.upstream.passed(length);
            self.passed_on(last);
        }
        self.poll_held(cx, moved)
    }

    /// Some of the body was put, and with `last` all of it.
    fn passed_on(&mut self, last: bool) {
        if last && self.upload != Upload::Open {
            // The upstream is done, however slow the client is.
            self.exchange.permit = None;
        }
        if last && self.held.is_none() {
            self.response = ResponseState::Flushing;
        }
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
                self.response = ResponseState::Flushing;
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
            } else {
                self.exchange.moment = None;
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
            ResponseState::Awaited if self.upload != Upload::Open => Waiting::Head,
            ResponseState::Awaited | ResponseState::Sent if self.upstream.room() == 0 => Waiting::UpstreamTakes,
            ResponseState::Awaited | ResponseState::Sent => Waiting::Upload,
            ResponseState::Body if takes_more => Waiting::Body,
            ResponseState::Body | ResponseState::Flushing | ResponseState::Switched => Waiting::Client,
        };
        let http2 = self.exchange.is_http2();
        let timeouts = self.exchange.timeouts();
        let deadline = &mut self.exchange.deadline;
        let progress = std::mem::take(&mut self.progress) && waiting != Waiting::Head;
        let first = !std::mem::replace(&mut self.armed, true);
        if deadline.waiting() != waiting || progress || first {
            let limits = &self.exchange.generation.snapshot.limits;
            let pause = match waiting {
                Waiting::Upload if self.silent => limits.upgraded_idle,
                Waiting::Upload => limits.body_timeout,
                Waiting::UpstreamTakes if self.response == ResponseState::Sent => Some(AFTER_RESPONSE),
                Waiting::UpstreamTakes => timeouts.idle,
                Waiting::Head => timeouts.answer,
                Waiting::Body => self.exchange.pause,
                Waiting::Client if http2 => patience_with_stream(limits),
                Waiting::Client => None,
            };
            // A connection from the pool was there when the attempt began: the clock is not read again.
            let began = self.exchange.attempt.began.filter(|_| first && self.reused);
            deadline.wait(waiting, began.unwrap_or_else(Instant::now), pause);
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
            if self.response == ResponseState::Sent {
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
fn give_back(upstream: End, exchange: &mut Exchange, now: Instant, most: usize) {
    let keepalive = exchange.generation.pool(exchange.target).spec().keepalive;
    let upstream = sign_in::keep_apart(exchange, upstream);
    exchange.permit = None;
    let client = exchange.proxied();
    let Some(lease) = &mut exchange.attempt.lease else { return };
    if let Some(upstream) = upstream {
        let key = lease.connection_key_for(client.as_ref());
        if key == lease.connection_key() {
            upstream.keep(key, now, keepalive.kept(), most, keepalive.learns(lease.idle_closes()));
        } else {
            // Of use to one client alone: it does not wait for longer than it would be used.
            upstream.keep(key, now, keepalive.reuse_within(lease.idle_closes(), true), most, None);
        }
    }
    lease.release();
}

/// The failure for a fault of the upstream's end, and whether the upstream has not processed the request.
pub fn of_upstream(exchange: &mut Exchange, fault: &client::UpstreamFault) -> (Failure, bool) {
    if let client::UpstreamFault::Malformed(rule) = fault
        && let Some(lease) = &exchange.attempt.lease
    {
        lease.malformed(rule);
    }
    match fault {
        client::UpstreamFault::Ended(_) => (Failure::Reset, false),
        client::UpstreamFault::Malformed(_) => (Failure::Protocol, false),
        client::UpstreamFault::Unwritable(why) => (Failure::Unwritable(why), false),
        client::UpstreamFault::Unprocessed => (Failure::Reset, true),
        client::UpstreamFault::NotRun(NotRun::Unknown | NotRun::Denied | NotRun::Unreachable) => {
            (Failure::Connect, false)
        }
        client::UpstreamFault::NotRun(NotRun::Throttled) => (Failure::Queue, false),
        client::UpstreamFault::NotRun(NotRun::NoConsumer) => (Failure::NoEndpoint, false),
        client::UpstreamFault::Refused { status, reason } => (Failure::Refused { status: *status, reason }, false),
        client::UpstreamFault::NeedsHttp1 => {
            let first = !std::mem::replace(&mut exchange.http1_alone, true);
            (Failure::Protocol, first)
        }
    }
}
