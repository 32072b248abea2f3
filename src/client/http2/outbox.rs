//! A body that is put on a stream of HTTP/2 and not handed to the library yet: of a request, or of a response.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;

use crate::message::{Fields, Piece};

/// More than this waits for no window: the peer has to take some of it first. As much again may wait in the library.
const FULL: usize = 32 * 1024;
/// The largest part of the connection's window that is asked for at once.
const SHARE: usize = 64 * 1024;

/// Owns what was put until the library takes it: dropping a future that polls it loses nothing.
#[derive(Debug, Default)]
pub struct StreamOutbox {
    pieces: VecDeque<Piece>,
    /// Bytes of data in `pieces`.
    length: usize,
    /// Of the whole body: what the head announces, and what was put.
    announced: Option<u64>,
    put: u64,
    /// Bytes of data that the library took.
    sent: u64,
}

/// Whether the stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxState {
    /// Nothing is left to send for now.
    Empty,
    /// The last piece was sent.
    Ended,
}

/// Why a stream takes no more.
#[derive(Debug)]
pub enum Stopped {
    /// The body is not as long as its head says: it must not pass for a whole one.
    WrongLength,
    /// The peer reset the stream; pending: without a reason.
    Reset(Poll<Result<Reason, h2::Error>>),
    Library(h2::Error),
}

impl From<h2::Error> for Stopped {
    fn from(error: h2::Error) -> Self {
        Self::Library(error)
    }
}

impl StreamOutbox {
    /// The length that the head announces.
    pub const fn announce(&mut self, length: Option<u64>) {
        self.announced = length;
    }

    /// How much may be put; 0: it waits for the peer.
    #[must_use]
    pub const fn room(&self) -> usize {
        FULL.saturating_sub(self.length)
    }

    /// Bytes of data that were sent.
    #[must_use]
    pub const fn bytes_sent(&self) -> u64 {
        self.sent
    }

    pub fn put(&mut self, piece: Piece) {
        if piece.is_empty() && !piece.is_last() {
            return;
        }
        self.length += piece.len();
        self.put += piece.len() as u64;
        self.pieces.push_back(piece);
    }

    /// Forgets what was not sent.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.length = 0;
    }

    /// Hands on what was put, as far as the windows are open. `moved` is set when something left. `trailers` says what the
    /// library gets of trailers.
    pub fn poll_send(
        &mut self,
        stream: &mut SendStream<Bytes>,
        cx: &mut Context<'_>,
        moved: &mut bool,
        trailers: impl FnOnce(Fields) -> HeaderMap,
    ) -> Poll<Result<OutboxState, Stopped>> {
        while let Some(piece) = self.pieces.front_mut() {
            let short = self.announced.is_some_and(|announced| self.put != announced);
            if short && (piece.is_last() || self.announced < Some(self.put)) {
                return Poll::Ready(Err(Stopped::WrongLength));
            }
            let Piece::Data(data) = piece else {
                let ended = match self.pieces.pop_front() {
                    Some(Piece::Trailers(fields)) => stream.send_trailers(trailers(fields)),
                    _ => stream.send_data(Bytes::new(), true),
                };
                *moved = true;
                return Poll::Ready(ended.map(|()| OutboxState::Ended).map_err(Into::into));
            };
            stream.reserve_capacity(self.length.min(SHARE));
            let mut capacity = stream.capacity();
            if capacity == 0 {
                // Asked only now: it tells of an increase alone.
                match ready!(stream.poll_capacity(cx)) {
                    Some(Ok(more)) => capacity = more,
                    Some(Err(error)) => return Poll::Ready(Err(error.into())),
                    None => return Poll::Ready(Err(Stopped::Reset(stream.poll_reset(cx)))),
                }
            }
            let part = data.split_to(capacity.min(data.len()));
            let whole = data.is_empty();
            self.length -= part.len();
            self.sent += part.len() as u64;
            if whole {
                self.pieces.pop_front();
            }
            // The end goes with the last of the data where it is known.
            let last = whole && !short && matches!(self.pieces.front(), Some(Piece::End));
            let sent = stream.send_data(part, last);
            *moved = true;
            sent?;
            if last {
                self.clear();
                return Poll::Ready(Ok(OutboxState::Ended));
            }
        }
        Poll::Ready(Ok(OutboxState::Empty))
    }
}
