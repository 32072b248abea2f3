//! Holds a request's body before its endpoint is chosen: a short one so that it gets a length, a long one so that a slow client
//! does not hold the upstream.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::StatusCode;

use super::Steps;
use super::attempt::may_be_silent;
use super::client_end::ClientEnd;
use super::exchange::Exchange;
use super::failure::{Failure, of_client};
use super::replay_buffer::{KEPT, ReplayBuffer};
use super::spill::SpillFolder;
use crate::endpoint::{Buffering, RequestBuffer};
use crate::message::{Framing, Name, Piece, ResponseHead};

/// The wait for a body without a length, from its head.
const MOMENT: Duration = Duration::from_millis(100);
/// Shorter pieces are joined: a body in chunks of one byte must not cost more than its bytes.
const SHORT: usize = 1024;

/// `buffer` in force for this request: its route's, over that of the upstream that was chosen for it.
pub fn in_force(exchange: &Exchange) -> Buffering {
    let own = exchange.route().route.as_ref().map_or_else(Buffering::default, |route| route.buffer);
    own.over(exchange.generation.pool(exchange.target).spec().buffer)
}

/// Where a body of this request may be held on disk.
pub fn place(steps: &Steps, exchange: &Exchange) -> SpillFolder {
    let snapshot = &exchange.generation.snapshot;
    SpillFolder {
        disk: Arc::clone(&steps.disk),
        directory: snapshot.server.state_dir.clone(),
        most: snapshot.limits.buffer_disk,
    }
}

/// How the body of this request is gathered; `None`: it streams.
pub fn gathering(exchange: &Exchange) -> Option<Gathering> {
    if exchange.framing == Framing::None || exchange.upgrade || may_be_silent(&exchange.head) {
        return None;
    }
    match in_force(exchange).request() {
        RequestBuffer::Auto if exchange.framing == Framing::Open && !exchange.head.fields.has(Name::Expect) => {
            Some(Gathering::new(KEPT, Some(exchange.began + MOMENT)))
        }
        RequestBuffer::Size(most) => Some(Gathering::new(most, None)),
        RequestBuffer::Auto | RequestBuffer::None => None,
    }
}

/// A body that is being gathered.
pub struct Gathering {
    /// A longer one streams on.
    most: u64,
    /// One that has not ended by then streams on; `None`: as long as the client keeps sending.
    end: Option<Instant>,
    /// When the client has been silent for too long.
    silence: Option<Instant>,
    /// Short pieces.
    joined: BytesMut,
}

impl Gathering {
    fn new(most: u64, end: Option<Instant>) -> Self {
        Self { most, end, silence: None, joined: BytesMut::new() }
    }

    /// Gathers what comes, until the body has ended or streams on. One that has ended is sent with its length. Over HTTP/1 that leaves no
    /// room for trailers: they pass where the client has announced them and no size asks for a length.
    pub async fn run(
        mut self,
        steps: &Steps,
        client: &mut ClientEnd<'_>,
        exchange: &mut Exchange,
        kept: &mut ReplayBuffer,
    ) -> Result<(), Failure> {
        self.invite(client, exchange);
        let gathered = poll_fn(|cx| self.poll(cx, steps, client, exchange, kept)).await;
        self.join(steps, exchange, kept);
        gathered?;
        if let Some(length) = kept.ended()
            && exchange.framing == Framing::Open
            && !(self.end.is_some() && kept.has_trailers() && exchange.head.fields.has(Name::Trailer))
        {
            exchange.framing = Framing::Length(length);
        }
        kept.rewind();
        Ok(())
    }

    /// A client that waits for `100 Continue` gets it from here, and the upstream is not asked for it.
    fn invite(&mut self, client: &mut ClientEnd<'_>, exchange: &mut Exchange) {
        let expects = exchange.head.fields.get(Name::Expect);
        if self.end.is_none() && expects.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue")) {
            exchange.head.fields.remove(Name::Expect);
            if client.takes_interim() {
                client.put_interim(&ResponseHead::new(StatusCode::CONTINUE));
            }
        }
        self.silence = self.patience(exchange);
    }

    fn patience(&self, exchange: &Exchange) -> Option<Instant> {
        let limit = exchange.generation.snapshot.limits.body_timeout.filter(|_| self.end.is_none());
        limit.map(|limit| Instant::now() + limit)
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        steps: &Steps,
        client: &mut ClientEnd<'_>,
        exchange: &mut Exchange,
        kept: &mut ReplayBuffer,
    ) -> Poll<Result<(), Failure>> {
        loop {
            if let Poll::Ready(Err(_)) = client.poll_send(cx, &mut false) {
                return Poll::Ready(Err(Failure::ClientGone));
            }
            if exchange.body.received > self.most {
                // It streams on from where it is.
                return Poll::Ready(Ok(()));
            }
            match kept.poll_held(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                // The disk takes what is there before more is read.
                Poll::Pending => return Poll::Pending,
            }
            match client.poll_piece(cx) {
                Poll::Ready(Ok(piece)) => {
                    if let Err(failure) = steps.request_piece(exchange, &piece) {
                        return Poll::Ready(Err(failure));
                    }
                    client.passed(piece.len());
                    self.silence = self.patience(exchange);
                    let last = piece.is_last();
                    self.take(piece, steps, exchange, kept);
                    if last {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(of_client(&fault))),
                Poll::Pending => {
                    let due = self.end.or(self.silence);
                    if client.timer().poll(cx, due).is_pending() {
                        return Poll::Pending;
                    }
                    if due.is_some_and(|due| due <= Instant::now()) {
                        let streams_on = self.end.is_some();
                        return Poll::Ready(if streams_on { Ok(()) } else { Err(Failure::ClientStalled) });
                    }
                }
            }
        }
    }

    fn take(&mut self, piece: Piece, steps: &Steps, exchange: &Exchange, kept: &mut ReplayBuffer) {
        match piece {
            Piece::Data(data) if data.len() < SHORT => {
                self.joined.extend_from_slice(&data);
                if self.joined.len() >= SHORT {
                    self.join(steps, exchange, kept);
                }
            }
            piece => {
                self.join(steps, exchange, kept);
                kept.hold(&piece, || place(steps, exchange));
            }
        }
    }

    /// Holds the short pieces as one.
    fn join(&mut self, steps: &Steps, exchange: &Exchange, kept: &mut ReplayBuffer) {
        if !self.joined.is_empty() {
            let joined: Bytes = self.joined.split().freeze();
            kept.hold(&Piece::Data(joined), || place(steps, exchange));
        }
    }
}
