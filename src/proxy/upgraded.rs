//! A request for another protocol, and what passes behind its `101`: bytes both ways, until both ends have said theirs.
//!
//! Each direction goes on for itself: who does not read is still heard, and who has nothing more to say may still listen.

use std::future::{Future as _, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use pingora::protocols::Stream;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::v1::client::HttpSession as Upstream;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::exchange::Exchange;
use super::lent::Lent;
use super::watch::Watch;
use super::{Edge, outbound, parsed};

/// Read at once, on the stack.
const PIECE: usize = 16 * 1024;
/// An upstream may be as silent to a client that has said its end, and no longer.
const AFTER_CLIENT: Duration = Duration::from_secs(60);
/// What a client sends before it hears of the upstream's end is read: with bytes unread, closing would be a reset, and that may
/// overtake what was said last.
const AFTER_UPSTREAM: Duration = Duration::from_secs(2);

/// Sends the request over a connection of its own and passes the answer on; if it is a `101`, also what follows.
pub async fn pass(edge: &Edge, session: &mut Session, exchange: &mut Exchange, stream: Stream) -> Result<()> {
    let mut upstream = Upstream::new(stream);
    let request = outbound::head(edge, session, exchange)?;
    upstream.write_request_header(request).await.map_err(Error::into_up)?;
    parsed::pass(edge, session, exchange, &mut upstream).await?;
    let Some(client) = exchange.lent.take().filter(|_| session.was_upgraded()) else { return Ok(()) };
    let mut tunnel = Tunnel::new(client, exchange);
    let passed = tunnel.pass(upstream, || edge.live.is_stopping()).await;
    exchange.body.received += tunnel.up.passed;
    exchange.tunnelled = tunnel.down.passed;
    session.as_downstream_mut().shutdown().await;
    passed
}

struct Tunnel {
    client: Lent,
    watch: Option<Arc<Watch>>,
    /// The longest silence.
    pause: Option<Duration>,
    up: Way,
    down: Way,
}

impl Tunnel {
    fn new(client: Lent, exchange: &Exchange) -> Self {
        let (watch, pause) = (exchange.watch.clone(), exchange.pause);
        Self { client, watch, pause, up: Way::default(), down: Way::default() }
    }

    async fn pass(&mut self, upstream: Upstream, is_stopping: impl Fn() -> bool) -> Result<()> {
        let mut upstream = self.read_with_head(upstream).await?;
        poll_fn(|cx| self.poll(cx, &mut upstream, &is_stopping)).await
    }

    /// What came behind the head lies with pingora, and nowhere else afterwards.
    async fn read_with_head(&mut self, mut upstream: Upstream) -> Result<Stream> {
        let read = {
            let mut task = pin!(upstream.read_response_task());
            poll_fn(|cx| Poll::Ready(task.as_mut().poll(cx))).await
        };
        if let Poll::Ready(task) = read
            && let HttpTask::UpgradedBody(piece, _) = task.map_err(Error::into_up)?
            && let Some(piece) = piece
        {
            self.down.take(&piece);
        }
        Ok(upstream.into_inner())
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut Stream,
        is_stopping: impl Fn() -> bool,
    ) -> Poll<Result<()>> {
        let expired = self.watch.as_ref().is_some_and(|watch| watch.has_expired());
        if expired && !self.down.over {
            return Poll::Ready(Err(Error::explain(ErrorType::ReadTimedout, "nothing passed for too long").into_up()));
        }
        let before = self.progress();
        if !self.up.over {
            match self.up.poll(cx, &mut self.client, upstream) {
                Poll::Ready(Err(Broken::Reading(error))) => return Poll::Ready(Err(broken(error).into_down())),
                // Who takes no more may have something to say still.
                Poll::Ready(Err(Broken::Writing)) => self.up.over = true,
                Poll::Ready(Ok(())) => self.pause = self.pause.map(|pause| pause.min(AFTER_CLIENT)),
                Poll::Pending => {}
            }
        }
        if !self.down.over {
            match self.down.poll(cx, upstream, &mut self.client) {
                Poll::Ready(Err(Broken::Reading(error))) => return Poll::Ready(Err(broken(error).into_up())),
                Poll::Ready(Err(Broken::Writing)) => {
                    let gone = Error::explain(ErrorType::WriteError, "the client takes no more of a tunnel");
                    return Poll::Ready(Err(gone.into_down()));
                }
                Poll::Ready(Ok(())) => self.pause = Some(AFTER_UPSTREAM),
                Poll::Pending => {}
            }
        }
        if self.down.over && (self.up.over || expired || is_stopping()) {
            return Poll::Ready(Ok(()));
        }
        if before != self.progress()
            && let Some(watch) = &self.watch
        {
            watch.within(Instant::now(), self.pause);
        }
        Poll::Pending
    }

    /// Another value wherever anything moves.
    const fn progress(&self) -> (u64, u64, bool, bool) {
        (self.up.passed, self.down.passed, self.up.over, self.down.over)
    }
}

fn broken(error: io::Error) -> Box<Error> {
    Error::because(ErrorType::ReadError, "while reading from a tunnel", error)
}

/// Why a direction ended before its time.
enum Broken {
    Reading(io::Error),
    Writing,
}

/// One direction.
#[derive(Default)]
struct Way {
    /// Read, and not yet taken.
    rest: BytesMut,
    unflushed: bool,
    /// There is no more to read.
    read: bool,
    /// The end was passed on, too.
    over: bool,
    passed: u64,
}

impl Way {
    /// These were read.
    fn take(&mut self, bytes: &[u8]) {
        self.passed += bytes.len() as u64;
        self.rest.extend_from_slice(bytes);
    }

    /// Passes on what there is. Ready: the end, or the reason why there is none.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), Broken>> {
        loop {
            ready!(self.poll_rest(cx, to)).map_err(|_| Broken::Writing)?;
            if self.read {
                // A connection that is not there any more has heard of the end.
                let _ = ready!(Pin::new(to).poll_shutdown(cx));
                self.over = true;
                return Poll::Ready(Ok(()));
            }
            let mut bytes = [MaybeUninit::uninit(); PIECE];
            let mut piece = ReadBuf::uninit(&mut bytes);
            match Pin::new(&mut *from).poll_read(cx, &mut piece) {
                Poll::Ready(read) => read.map_err(Broken::Reading)?,
                Poll::Pending => {
                    if self.unflushed {
                        ready!(Pin::new(to).poll_flush(cx)).map_err(|_| Broken::Writing)?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
            self.read = piece.filled().is_empty();
            self.take(piece.filled());
        }
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>, to: &mut (impl AsyncWrite + Unpin)) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            self.unflushed = true;
            match ready!(Pin::new(&mut *to).poll_write(cx, &self.rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.rest.advance(written),
            }
        }
        // A tunnel holds no buffer while nothing waits.
        self.rest = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}
