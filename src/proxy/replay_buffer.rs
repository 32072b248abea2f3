//! The request's body as far as it is kept, so that another endpoint can be sent the same.

use bytes::Bytes;

use crate::message::{Fields, Piece};

/// More of a body is not kept, and then the request cannot be sent again.
pub const KEPT: u64 = 64 * 1024;

/// Behind the end of a body.
const SENT: usize = usize::MAX;

/// The first pieces of a body, and its end.
#[derive(Debug, Default)]
pub struct ReplayBuffer {
    pieces: Vec<Bytes>,
    length: u64,
    end: Option<Option<Fields>>,
    /// Some of the body was not kept.
    overflowed: bool,
    /// The next piece that an attempt is sent from here; beyond the pieces it is the end, if that is known.
    next: usize,
}

impl ReplayBuffer {
    /// A body that is not there.
    pub fn of_nothing() -> Self {
        Self { end: Some(None), ..Self::default() }
    }

    /// A piece that came from the client; what passes `most` bytes in all is not kept.
    pub fn keep(&mut self, piece: &Piece, most: u64) {
        match piece {
            Piece::Data(data) => {
                self.length += data.len() as u64;
                if self.length > most || self.overflowed {
                    // Nothing can be sent again without it: no part of it is of use.
                    self.overflowed = true;
                    self.pieces = Vec::new();
                } else {
                    self.pieces.push(data.clone());
                    self.next = self.pieces.len();
                }
            }
            Piece::Trailers(fields) => (self.end, self.next) = (Some(Some(fields.clone())), SENT),
            Piece::End => (self.end, self.next) = (Some(None), SENT),
        }
    }

    /// All that came of the body can be sent again.
    pub const fn is_whole(&self) -> bool {
        !self.overflowed
    }

    /// The body has ended, and so many bytes are kept of it.
    pub const fn ended(&self) -> Option<u64> {
        if self.end.is_some() && !self.overflowed { Some(self.length) } else { None }
    }

    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The next attempt begins with the first piece.
    pub const fn rewind(&mut self) {
        self.next = 0;
    }

    /// The next piece of those that are kept, for an attempt behind the first.
    pub fn next(&mut self) -> Option<Piece> {
        if let Some(piece) = self.pieces.get(self.next) {
            self.next += 1;
            return Some(Piece::Data(piece.clone()));
        }
        if self.next == SENT {
            return None;
        }
        let end = self.end.clone()?;
        self.next = SENT;
        Some(end.map_or(Piece::End, Piece::Trailers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(length: usize) -> Piece {
        Piece::Data(Bytes::from(vec![b'x'; length]))
    }

    #[test]
    fn a_body_is_sent_again_from_its_first_byte_to_its_end() {
        let mut buffer = ReplayBuffer::default();
        for piece in [data(3), data(4)] {
            buffer.keep(&piece, 10);
            assert!(buffer.next().is_none(), "what was just kept was just sent");
        }
        assert_eq!(buffer.ended(), None);
        buffer.keep(&Piece::End, 10);
        assert_eq!(buffer.ended(), Some(7));
        for _ in 0..2 {
            buffer.rewind();
            let lengths: Vec<_> =
                std::iter::from_fn(|| buffer.next()).map(|piece| (piece.len(), piece.is_last())).collect();
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
