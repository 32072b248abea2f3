//! One connection of HTTP/2 from its first frame to its GOAWAY.
//!
//! The library ends an idle connection never, waits without end for a client that does not confirm a shutdown, and has no bound
//! for what is neither request nor data, for a header block that does not end, and for responses whose windows stay closed.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, Sleep};

use super::clock::{Clock, Closing, Due, LEAVING};
use super::gate::{FrameGate, SocketState};
use super::{ServerStream, Shared};
use crate::compile::Limits;
use crate::guard::http2::Bounds;
use crate::telemetry::Meters;

/// The bytes that a client may send ahead of the upstream, for each request and in all.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// The share of the connection's window that each stream has when there are more than usual.
const SHARE_OF_WINDOW: u32 = 4 * 1024;
/// The bytes that may wait in the library for each client's window or socket.
const SEND_BUFFER: usize = 64 * 1024;
/// The least number of reset streams that are remembered.
const RESET_STREAMS: u32 = 50;
/// Up to here a head is read, so that it can be refused with an answer; what is several times longer ends the connection.
const HEADER_LIST: u64 = 64 * 1024;
const LONGEST_HEADER_LIST: u64 = 1024 * 1024;

/// The settings of a served connection.
#[derive(Debug, Clone)]
pub struct Settings {
    pub limits: Limits,
    /// Requests at once, up to 1 000; one more is refused, and may be sent again.
    pub streams: u32,
    pub metrics: Arc<Meters>,
}

/// Serves a connection whose preface was seen, until it is over. `ahead`: what was read of it, from its first byte on.
/// `begin` gets each request; it starts a task for it and does not wait. `state` tells what the system knows of the socket.
pub async fn serve<S>(
    socket: S,
    ahead: BytesMut,
    state: &dyn SocketState,
    settings: &Settings,
    mut stopping: Receiver<bool>,
    mut begin: impl FnMut(Box<ServerStream>),
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let shared = Arc::new(Shared::new(settings.streams));
    let (bounds, longest) = bounds(&settings.limits);
    let gate = FrameGate::new(socket, ahead, Arc::clone(&shared), Arc::clone(&settings.metrics), bounds, longest);
    let handshake = options(settings.streams, longest).handshake::<_, Bytes>(gate);
    let mut connection = tokio::select! {
        biased;
        connection = handshake => match connection {
            Ok(connection) => connection,
            // The bytes are no HTTP/2.
            Err(_) => return,
        },
        // Over TLS the client has agreed on HTTP/2 and said nothing since.
        () = late(settings.limits.header_timeout) => return settings.metrics.edge().refused("header_timeout"),
        () = left(&mut stopping) => return,
    };
    let mut clock = Clock::new(&settings.limits, &shared, state);
    let mut timer = pin!(tokio::time::sleep(Duration::from_secs(3600)));
    // One for all turns: to be told anew costs a lock.
    let mut stopping = pin!(left(&mut stopping));
    loop {
        match turn(&mut connection, &mut clock, &shared, timer.as_mut(), stopping.as_mut()).await {
            Turn::Accepted(body, respond) => {
                // In a box, because it is moved into a task and on.
                let stream = Box::new(ServerStream::new(body, respond, &shared));
                if clock.stage.is_refusing() {
                    begin(stream);
                }
                // Else it came with what ended the connection.
            }
            Turn::Due(Due::Refuse(reason)) => {
                settings.metrics.edge().refused(reason);
                shared.traffic.is_counted();
                tracing::debug!(reason, "a connection of HTTP/2 was ended");
                if shared.traffic.is_blocked() {
                    // Its socket takes no GOAWAY either.
                    return state.cut_off();
                }
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                clock.stage = Closing::ending();
            }
            Turn::Due(Due::Leave) => {
                connection.graceful_shutdown();
                clock.stage = Closing::leaving();
            }
            Turn::Due(Due::Gone) => {
                connection.abrupt_shutdown(Reason::NO_ERROR);
                clock.stage = Closing::ending();
            }
            Turn::Due(Due::Over) => return,
        }
    }
}

async fn late(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// The server is ending, and what a new client has on its way has had its time.
async fn left(stopping: &mut Receiver<bool>) {
    // An error says that the server is gone, which is the same.
    drop(stopping.wait_for(|stopping| *stopping).await);
    tokio::time::sleep(LEAVING).await;
}

/// How long a head may be, and the longest list of fields that is refused with a response.
fn bounds(limits: &Limits) -> (Bounds, usize) {
    let size = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let head = limits.request_head.filter(|most| *most > 0);
    let longest = head.map_or(LONGEST_HEADER_LIST, |most| most.clamp(HEADER_LIST, LONGEST_HEADER_LIST));
    let fields = limits.headers.filter(|most| *most > 0);
    let list = size(head.unwrap_or(longest).min(longest));
    (Bounds { list, fields: fields.map_or(usize::MAX, size) }, size(longest))
}

fn options(streams: u32, longest: usize) -> Builder {
    let mut options = Builder::new();
    options
        .max_concurrent_streams(streams)
        // Frames that still come on a stream that was answered early are passed over, not an error.
        .max_concurrent_reset_streams(streams.max(RESET_STREAMS) as usize)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW.max(streams.saturating_mul(SHARE_OF_WINDOW)))
        .max_header_list_size(u32::try_from(longest).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER);
    options
}

/// The next event of the loop.
enum Turn {
    Accepted(RecvStream, SendResponse<Bytes>),
    Due(Due),
}

async fn turn<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<FrameGate<S>, Bytes>,
    clock: &mut Clock<'_>,
    shared: &Shared,
    mut timer: Pin<&mut Sleep>,
    mut stopping: Pin<&mut impl Future<Output = ()>>,
) -> Turn {
    poll_fn(|cx| {
        // This is also what drives the connection.
        if let Poll::Ready(accepted) = connection.poll_accept(cx) {
            return Poll::Ready(match accepted {
                Some(Ok((request, respond))) => Turn::Accepted(request.into_body(), respond),
                // Told to the client and counted as it passed, or the client's own end. An error comes again for ever.
                Some(Err(_)) | None => Turn::Due(Due::Over),
            });
        }
        if clock.stage.is_refusing() && shared.traffic.is_flooded() {
            return Poll::Ready(Turn::Due(Due::Refuse("http2_flood")));
        }
        // An error says that the server is gone, which is the same.
        if matches!(clock.stage, Closing::Open) && stopping.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Turn::Due(Due::Leave));
        }
        loop {
            let now = Instant::now();
            let Some(due) = clock.due(now) else { return Poll::Pending };
            if due <= now {
                match clock.look(now) {
                    Some(due) => return Poll::Ready(Turn::Due(due)),
                    None => continue,
                }
            }
            // A timer that is armed for an earlier moment is left alone: it looks again when it fires.
            if timer.is_elapsed() || due < timer.deadline() {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}
