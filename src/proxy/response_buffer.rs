//! A response that its upstream sends faster than its client takes it: held, so that the upstream is free for others.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;

use super::Steps;
use super::attempt::may_be_silent;
use super::buffer;
use super::client_end::ClientEnd;
use super::deadline::patience_with_stream;
use super::exchange::Exchange;
use super::failure::Failure;
use super::spill::{PIECE, Spill, SpillFolder};
use crate::message::{Framing, Name, Piece, ResponseHead};

/// More waits on disk.
const MEMORY: usize = 64 * 1024;
/// Turns of the loop before other tasks have their own.
const TURNS: usize = 32;

/// The part of one response that the client has not taken yet.
#[derive(Debug)]
pub struct ResponseBuffer {
    /// Bytes that are held; behind them the upstream waits for the client.
    most: u64,
    place: SpillFolder,
    memory: VecDeque<Bytes>,
    /// The cost of the pieces in memory, in bytes.
    cost: usize,
    /// Behind what is in memory.
    spill: Option<Spill>,
    /// Bytes in both.
    length: u64,
    end: Option<Piece>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The upstream is still sending.
    Open,
    /// All of it came.
    Ended,
    /// It broke off: there is no end behind what is held.
    BrokenOff,
}

/// The buffer for this response, where its route or its upstream has one. Neither event streams nor gRPC wait for anything.
pub fn of(steps: &Steps, exchange: &Exchange, head: &ResponseHead, framing: Framing) -> Option<Box<ResponseBuffer>> {
    let most = buffer::in_force(exchange).response();
    if most == 0 || framing == Framing::None || exchange.upgrade || may_be_silent(&exchange.head) {
        return None;
    }
    let kind = head.fields.get(Name::ContentType).unwrap_or_default();
    let streams = kind.starts_with(b"text/event-stream") || kind.starts_with(b"application/grpc");
    (!streams).then(|| Box::new(ResponseBuffer::new(most, buffer::place(steps, exchange))))
}

impl ResponseBuffer {
    fn new(most: u64, place: SpillFolder) -> Self {
        Self { most, place, memory: VecDeque::new(), cost: 0, spill: None, length: 0, end: None, state: State::Open }
    }

    /// More may be put. Otherwise it waits for the client, or for the disk.
    pub fn has_room(&self) -> bool {
        let disk = match &self.spill {
            Some(spill) if spill.has_failed() => spill.is_drained(),
            Some(spill) => spill.has_room(),
            None => true,
        };
        self.state == State::Open && self.length < self.most && disk
    }

    /// All of the response is here, or was.
    pub fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// There will be no more of it, and no end.
    pub fn break_off(&mut self) {
        self.state = State::BrokenOff;
    }

    /// A piece came from the upstream.
    pub fn put(&mut self, piece: Piece) {
        let Piece::Data(data) = piece else {
            (self.end, self.state) = (Some(piece), State::Ended);
            return;
        };
        self.length += data.len() as u64;
        if self.spill.as_ref().is_some_and(|spill| spill.has_failed() && spill.is_drained()) {
            // The next one may find room again.
            self.spill = None;
        }
        let behind = self.spill.as_ref().is_some_and(|spill| !spill.is_drained());
        if behind || self.cost + data.len() > MEMORY {
            let place = &self.place;
            self.spill.get_or_insert_with(|| Spill::new(place.clone(), false)).put(data);
        } else {
            self.cost += data.len() + PIECE;
            self.memory.push_back(data);
        }
    }

    /// The next piece for the client. Ready with `None`: nothing is held.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Piece>>> {
        let mut data = self.memory.pop_front();
        if let Some(data) = &data {
            self.cost -= data.len() + PIECE;
        } else if let Some(spill) = &mut self.spill {
            data = ready!(spill.poll_read(cx))?;
        }
        Poll::Ready(Ok(match data {
            Some(data) => {
                self.length -= data.len() as u64;
                Some(Piece::Data(data))
            }
            None => self.end.take(),
        }))
    }

    /// Passes on what the client takes. Ready: there is no more to pass on. An error: the disk does not give it back. `moved` is
    /// set when something passed.
    pub fn poll_pass(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut ClientEnd<'_>,
        moved: &mut bool,
    ) -> Poll<io::Result<()>> {
        if let Some(spill) = &mut self.spill {
            spill.poll_write(cx, moved);
        }
        while client.room() > 0 {
            let Some(piece) = ready!(self.poll_next(cx))? else {
                let over = self.state != State::Open;
                return if over { Poll::Ready(Ok(())) } else { Poll::Pending };
            };
            *moved = true;
            let last = piece.is_last();
            client.put(piece);
            if last {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }

    /// Feeds the client with what is left. Only the client is waited for, as long as it takes something now and then.
    pub async fn feed(mut self: Box<Self>, client: &mut ClientEnd<'_>, exchange: &Exchange) -> Result<(), Failure> {
        let limits = &exchange.generation.snapshot.limits;
        let patience = if exchange.is_http2() { patience_with_stream(limits) } else { None };
        let later = || patience.and_then(|patience| Instant::now().checked_add(patience));
        let (mut passed, mut end) = (false, later());
        poll_fn(|cx| {
            for _ in 0..TURNS {
                let mut moved = false;
                if !passed {
                    match self.poll_pass(cx, client, &mut moved) {
                        Poll::Ready(Ok(())) => passed = true,
                        Poll::Ready(Err(_)) => return Poll::Ready(Err(Failure::Internal)),
                        Poll::Pending => {}
                    }
                }
                match client.poll_send(cx, &mut moved) {
                    Poll::Ready(Ok(())) if passed => return Poll::Ready(Ok(())),
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Failure::ClientGone)),
                    _ => {}
                }
                if moved {
                    end = later();
                    continue;
                }
                if client.poll_gone(cx, exchange.began).is_ready() {
                    return Poll::Ready(Err(Failure::ClientGone));
                }
                let stall = client.stall_due();
                if client.timer().poll(cx, stall.into_iter().chain(end).min()).is_pending() {
                    return Poll::Pending;
                }
                let now = Instant::now();
                if end.is_some_and(|end| end <= now) {
                    return Poll::Ready(Err(Failure::Refused { status: 408, reason: "write_timeout" }));
                }
                if stall.is_some_and(|due| due <= now)
                    && let Some(reason) = client.look_at_stall(now)
                {
                    return Poll::Ready(Err(Failure::Refused { status: 408, reason }));
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }
}
