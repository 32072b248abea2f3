//! Relays the bytes behind a `101` both ways, until both ends have sent theirs.
//!
//! Each direction goes on for itself: an end that does not read is still heard, and one that has nothing more to say may still
//! listen.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Steps;
use super::client_end::ClientEnd;
use super::exchange::Exchange;
use super::failure::Failure;
use crate::client::read::poll_append;
use crate::client::{Socket, http1};
use crate::downstream::Timer;
use crate::guard::websocket_frames::{GOING_AWAY, WebSocketFrames};
use crate::message::Name;

/// Read at once.
const PIECE: usize = 16 * 1024;
/// An upstream may be as silent to a client that has said its end, and no longer.
const AFTER_CLIENT: Duration = Duration::from_secs(60);
/// Time to read a client's bytes after the upstream's end: with bytes unread, closing would be a reset, which may overtake the last bytes
/// that were sent.
const AFTER_UPSTREAM: Duration = Duration::from_secs(2);

/// A tunnel that has been opened.
pub struct Tunnel {
    upstream: Socket,
    up: Direction,
    down: Direction,
    /// Of a WebSocket: where its frames end.
    frames: Option<WebSocketFrames>,
    /// The longest silence.
    pause: Option<Duration>,
}

/// Why a tunnel ended before its ends did.
enum Broken {
    Client,
    Upstream,
    Silent,
}

impl Tunnel {
    pub fn new(upstream: http1::Conn, exchange: &Exchange) -> Self {
        let (upstream, unread) = upstream.into_tunnel();
        let mut down = Direction::default();
        down.take(unread);
        let frames = exchange.head.fields.has(Name::SecWebSocketKey).then(WebSocketFrames::behind_head);
        Self { upstream, up: Direction::default(), down, frames, pause: exchange.pause }
    }

    /// Passes bytes until the tunnel ends. Gives the failure, and the bytes that passed up and down.
    pub async fn run(mut self, client: &mut ClientEnd<'_>, steps: &Steps) -> (Option<Failure>, (u64, u64)) {
        let ClientEnd::Http1(conn) = client else {
            // No stream of HTTP/2 asks for a tunnel.
            return (Some(Failure::Protocol), (0, 0));
        };
        let (socket, unread, timer) = conn.tunnel();
        self.up.take(unread);
        let mut going_away = steps.going_away.subscribe();
        // An error says that the server is gone, and this task with it.
        let mut told = Box::pin(async move { drop(going_away.wait_for(|said| *said).await) });
        let mut leaving = false;
        let mut progress = self.progress();
        let mut due = self.pause.map(|pause| Instant::now() + pause);
        let ended = poll_fn(|cx| {
            if self.frames.is_some() && !leaving {
                leaving = told.as_mut().poll(cx).is_ready();
            }
            let stopping = steps.live.is_stopping();
            if let Poll::Ready(ended) = self.poll(cx, socket, leaving, stopping) {
                return Poll::Ready(ended);
            }
            let now = self.progress();
            if now != progress {
                progress = now;
                due = self.pause.map(|pause| Instant::now() + pause);
            }
            ready!(poll_timer(timer, cx, due));
            Poll::Ready(if self.down.over { Ok(()) } else { Err(Broken::Silent) })
        })
        .await;
        // The client's last bytes are read, so that the system does not answer them with a reset that overtakes ours.
        let _ = poll_fn(|cx| Pin::new(&mut *socket).poll_shutdown(cx)).await;
        let failure = match ended {
            Ok(()) => None,
            Err(Broken::Client) => Some(Failure::ClientGone),
            Err(Broken::Upstream) => Some(Failure::Reset),
            Err(Broken::Silent) => Some(Failure::Timeout),
        };
        (failure, (self.up.passed, self.down.passed))
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Socket,
        leaving: bool,
        stopping: bool,
    ) -> Poll<Result<(), Broken>> {
        if !self.up.over {
            match self.up.poll(cx, client, &mut self.upstream, None) {
                Poll::Ready(Err(Side::From)) => return Poll::Ready(Err(Broken::Client)),
                // An upstream that takes no more may have something to say still.
                Poll::Ready(Err(Side::To)) => self.up.over = true,
                Poll::Ready(Ok(())) => self.pause = self.pause.map(|pause| pause.min(AFTER_CLIENT)),
                Poll::Pending => {}
            }
        }
        if !self.down.over {
            let frames = self.frames.as_mut().map(|frames| (frames, leaving));
            match self.down.poll(cx, &mut self.upstream, client, frames) {
                Poll::Ready(Err(Side::From)) => return Poll::Ready(Err(Broken::Upstream)),
                Poll::Ready(Err(Side::To)) => return Poll::Ready(Err(Broken::Client)),
                Poll::Ready(Ok(())) => self.pause = Some(AFTER_UPSTREAM),
                Poll::Pending => {}
            }
        }
        if self.down.over && (self.up.over || stopping && !leaving) { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Another value wherever anything moves.
    const fn progress(&self) -> (u64, u64, bool, bool) {
        (self.up.passed, self.down.passed, self.up.over, self.down.over)
    }
}

fn poll_timer(timer: &mut Timer, cx: &mut Context<'_>, due: Option<Instant>) -> Poll<()> {
    timer.poll(cx, due)
}

/// The end at which a direction broke.
enum Side {
    From,
    To,
}

/// One direction.
#[derive(Default)]
struct Direction {
    /// Read, and not yet taken.
    rest: BytesMut,
    unflushed: bool,
    /// There is no more to read.
    read: bool,
    /// The end was passed on, too.
    over: bool,
    passed: u64,
}

impl Direction {
    /// These were read.
    fn take(&mut self, bytes: BytesMut) {
        self.passed += bytes.len() as u64;
        self.rest = bytes;
    }

    /// Passes on what there is. Ready: the end, or at which end there is none. `frames`: the frames of a WebSocket are followed,
    /// and where it is time to leave, our word is said between two of them and ends the direction.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        mut frames: Option<(&mut WebSocketFrames, bool)>,
    ) -> Poll<Result<(), Side>> {
        loop {
            if let Some((frames, true)) = &mut frames
                && frames.between()
                && !self.read
            {
                self.rest = BytesMut::from(&GOING_AWAY[..]);
                frames.take(&GOING_AWAY);
                self.read = true;
            }
            ready!(self.poll_rest(cx, to, &mut frames)).map_err(|_| Side::To)?;
            if let Some((frames, true)) = &frames
                && frames.between()
                && !self.read
            {
                continue;
            }
            if self.read {
                // A connection that is not there any more has heard of the end.
                let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                self.over = true;
                return Poll::Ready(Ok(()));
            }
            match poll_append(cx, from, &mut self.rest, PIECE) {
                Poll::Ready(Ok(length)) => {
                    self.read = length == 0;
                    self.passed += length as u64;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Side::From)),
                Poll::Pending => {
                    if self.unflushed {
                        ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(|_| Side::To)?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    fn poll_rest(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
        frames: &mut Option<(&mut WebSocketFrames, bool)>,
    ) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let length = match frames {
                Some((frames, true)) if !self.read => frames.until_between(&self.rest),
                _ => self.rest.len(),
            };
            if length == 0 {
                // Bytes behind our own Close frame are dropped.
                self.rest.clear();
                break;
            }
            self.unflushed = true;
            match ready!(Pin::new(&mut *to).poll_write(cx, &self.rest[..length]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => {
                    if let Some((frames, _)) = frames
                        && !self.read
                    {
                        frames.take(&self.rest[..written]);
                    }
                    self.rest.advance(written);
                }
            }
        }
        // A tunnel holds no buffer while nothing waits.
        self.rest = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}
