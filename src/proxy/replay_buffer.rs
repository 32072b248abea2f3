//! The request's body as far as it is kept, so that it can be sent later, and sent again to another endpoint.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::spill::{Spill, SpillFolder};
use crate::message::Piece;

/// More of a body that streams is not kept, and then the request cannot be sent again. As much of one that is held waits in
/// memory.
pub const KEPT: u64 = 64 * 1024;

/// Behind the end of a body.
const SENT: usize = usize::MAX;

/// The first pieces of a body, and its end.
#[derive(Debug, Default)]
pub struct ReplayBuffer {
    pieces: Vec<Bytes>,
    /// The bytes behind the pieces, on disk.
    spill: Option<Box<Spill>>,
    length: u64,
    /// The last piece.
    end: Option<Piece>,
    /// Some of the body was not kept.
    overflowed: bool,
    /// The next piece that an attempt is sent from here; beyond the pieces it is the end, if that is known.
    next: usize,
}

impl ReplayBuffer {
    /// A piece that came from the client and is sent at once; what passes `most` bytes in all is not kept.
    pub fn keep(&mut self, piece: &Piece, most: u64) {
        match piece {
            Piece::Data(data) => {
                self.length += data.len() as u64;
                if self.length > most || self.overflowed {
                    // Nothing can be sent again without it: no part of it is of use.
                    self.overflowed = true;
                    (self.pieces, self.spill) = (Vec::new(), None);
                } else {
                    self.pieces.push(data.clone());
                    self.next = self.pieces.len();
                }
            }
            Piece::Trailers(_) | Piece::End => self.end(piece),
        }
    }

    /// A piece that came from the client and is sent later, all of it. Pieces that do not fit into memory go to `place`.
    pub fn hold(&mut self, piece: &Piece, place: impl FnOnce() -> SpillFolder) {
        match piece {
            Piece::Data(data) => {
                self.length += data.len() as u64;
                if self.spill.is_none() && self.length <= KEPT {
                    self.pieces.push(data.clone());
                } else {
                    self.spill.get_or_insert_with(|| Box::new(Spill::new(place(), true))).put(data.clone());
                }
            }
            Piece::Trailers(_) | Piece::End => self.end(piece),
        }
    }

    fn end(&mut self, last: &Piece) {
        (self.end, self.next) = (Some(last.clone()), SENT);
    }

    /// Moves what is held to the disk. Ready: more may be held. `Err`: the disk takes no more.
    pub fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Full>> {
        let Some(spill) = &mut self.spill else { return Poll::Ready(Ok(())) };
        spill.poll_write(cx, &mut false);
        match (spill.has_failed(), spill.has_room()) {
            (true, _) => Poll::Ready(Err(Full)),
            (false, true) => Poll::Ready(Ok(())),
            (false, false) => Poll::Pending,
        }
    }

    /// All that came of the body can be sent again.
    pub const fn is_whole(&self) -> bool {
        !self.overflowed
    }

    /// The body has ended; the number of its bytes that are kept.
    pub const fn ended(&self) -> Option<u64> {
        if self.end.is_some() && !self.overflowed { Some(self.length) } else { None }
    }

    /// Fields came behind the body.
    pub const fn has_trailers(&self) -> bool {
        matches!(self.end, Some(Piece::Trailers(_)))
    }

    /// The next attempt begins with the first piece.
    pub fn rewind(&mut self) {
        self.next = 0;
        if let Some(spill) = &mut self.spill {
            spill.rewind();
        }
    }

    /// The next piece of those that are kept and were not sent in this attempt. An error: the disk does not give it back.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Piece>>> {
        if let Some(piece) = self.pieces.get(self.next) {
            self.next += 1;
            return Poll::Ready(Ok(Some(Piece::Data(piece.clone()))));
        }
        if self.next == SENT {
            return Poll::Ready(Ok(None));
        }
        if let Some(spill) = &mut self.spill
            && let Some(data) = ready!(spill.poll_read(cx))?
        {
            return Poll::Ready(Ok(Some(Piece::Data(data))));
        }
        let Some(end) = self.end.clone() else { return Poll::Ready(Ok(None)) };
        self.next = SENT;
        Poll::Ready(Ok(Some(end)))
    }
}

/// There is no room on the disk, or it does not work.
#[derive(Debug, Clone, Copy)]
pub struct Full;

#[cfg(test)]
mod tests {
    use super::*;

    /// The next piece of a body in memory.
    fn next(buffer: &mut ReplayBuffer) -> Option<Piece> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(next) = buffer.poll_next(&mut cx) else { panic!("nothing is waited for") };
        next.expect("there is no disk")
    }

    fn data(length: usize) -> Piece {
        Piece::Data(Bytes::from(vec![b'x'; length]))
    }

    #[test]
    fn a_body_is_sent_again_from_its_first_byte_to_its_end() {
        let mut buffer = ReplayBuffer::default();
        for piece in [data(3), data(4)] {
            buffer.keep(&piece, 10);
            assert!(next(&mut buffer).is_none(), "what was just kept was just sent");
        }
        assert_eq!(buffer.ended(), None);
        buffer.keep(&Piece::End, 10);
        assert_eq!(buffer.ended(), Some(7));
        for _ in 0..2 {
            buffer.rewind();
            let lengths: Vec<_> =
                std::iter::from_fn(|| next(&mut buffer)).map(|piece| (piece.len(), piece.is_last())).collect();
            assert_eq!(lengths, [(3, false), (4, false), (0, true)]);
        }
    }

    #[test]
    fn a_body_that_is_too_long_is_not_kept_at_all() {
        let mut buffer = ReplayBuffer::default();
        for _ in 0..3 {
            buffer.keep(&data(4), 10);
        }
        buffer.keep(&Piece::End, 10);
        assert!(!buffer.is_whole() && buffer.ended().is_none() && buffer.pieces.is_empty());
    }
}
