//! A body as it passes: pieces, and how its end is told.

use bytes::Bytes;

use super::Fields;

/// A part of a body. `Trailers` and `End` end it; one of them comes exactly once.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Never empty.
    Data(Bytes),
    /// The fields behind a body, which end it.
    Trailers(Fields),
    End,
}

impl Piece {
    /// Bytes of data in it.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Self::Data(data) => data.len(),
            Self::Trailers(_) | Self::End => 0,
        }
    }

    /// There is no data in it.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The body ends with it.
    #[must_use]
    #[inline]
    pub const fn is_last(&self) -> bool {
        matches!(self, Self::Trailers(_) | Self::End)
    }
}

/// How the end of a body is told on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// The head says how many bytes.
    Length(u64),
    /// By chunks (HTTP/1.1), or by the end of the stream (HTTP/2).
    Open,
    /// By the end of the connection; a response of HTTP/1 alone.
    Close,
}
