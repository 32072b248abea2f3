//! HTTP messages: heads kept as the bytes that came, with spans into them; bodies as a sequence of pieces (pure).
//!
//! A head is one buffer and a list of spans. A step that changes a field appends the new line to the buffer and moves the span;
//! a field that no step changes is copied to the other end byte for byte, in the order in which it came.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod chunks;
mod connection;
mod fields;
mod forgeable;
mod grpc;
mod name;
mod percent;
mod piece;
mod proxy_header;
mod request;
mod response;

pub use chunks::{ChunkReader, NotChunks, may_trail, put_chunk, put_last_chunk, take};
pub use connection::{digits, put_length, stays_open};
pub use fields::{Fields, Key, elements, is_value};
pub use forgeable::{FORGEABLE_FAMILIES, FORGEABLE_NAMES, FORGEABLE_WITH_UNDERSCORE, is_of_forgeable_family};
pub use grpc::{
    GRPC_MESSAGE, GRPC_STATUS, GrpcStatus, ResultCode, encode_grpc_message, is_call, is_web_call, names_call,
};
pub use name::Name;
pub use percent::{form_decoded, form_pairs, form_value, percent_decoded, percent_encoded, percent_encoded_path};
pub use piece::{Framing, Piece};
pub use proxy_header::{ProxiedAddresses, ProxyHeader, ProxyVersion};
pub use request::RequestHead;
pub use response::ResponseHead;

/// Why a head or a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// The status for the client, where it was the client's head: 400, 431 or 505.
    pub status: u16,
    /// One word for metrics and logs, as in `refused_total`.
    pub reason: &'static str,
}

impl Malformed {
    /// A head that breaks the grammar: 400.
    #[must_use]
    pub const fn because(reason: &'static str) -> Self {
        Self { status: 400, reason }
    }
}

/// Finds the end of a head in bytes of which the first `seen` were searched before: the length up to and with the empty line.
#[must_use]
#[inline]
pub fn head_end(bytes: &[u8], seen: usize) -> Option<usize> {
    // An empty line may have begun in what was searched before.
    let from = seen.saturating_sub(3);
    let rest = bytes.get(from..)?;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\n', rest.get(at..)?) {
        let line_feed = at + found;
        match rest.get(line_feed + 1..)? {
            [b'\n', ..] => return Some(from + line_feed + 2),
            [b'\r', b'\n', ..] => return Some(from + line_feed + 3),
            _ => at = line_feed + 1,
        }
    }
    None
}

/// A place in the buffer of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Span {
    at: u32,
    length: u32,
}

impl Span {
    #[inline]
    fn of(part: &[u8], whole: &[u8]) -> Self {
        let at = part.as_ptr().addr() - whole.as_ptr().addr();
        Self::new(at, part.len())
    }

    #[inline]
    fn new(at: usize, length: usize) -> Self {
        let short = |number: usize| u32::try_from(number).expect("a head is shorter than 4 GiB");
        Self { at: short(at), length: short(length) }
    }

    #[inline]
    fn get(self, text: &[u8]) -> &[u8] {
        let at = self.at as usize;
        &text[at..at + self.length as usize]
    }

    #[inline]
    fn excerpt(self, text: &[u8]) -> Excerpt<'_> {
        Excerpt { onwards: &text[self.at as usize..], length: self.length as usize }
    }
}

/// A part of a head together with what stands behind it in the buffer, so that it can be copied in blocks of a fixed length.
#[derive(Debug, Clone, Copy)]
pub struct Excerpt<'a> {
    onwards: &'a [u8],
    length: usize,
}

impl<'a> Excerpt<'a> {
    /// Bytes of the part itself.
    #[must_use]
    pub const fn len(self) -> usize {
        self.length
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.length == 0
    }

    /// From the first byte of the part to the end of the buffer.
    #[must_use]
    pub const fn onwards(self) -> &'a [u8] {
        self.onwards
    }
}

#[cfg(test)]
mod tests {
    use super::head_end;

    #[test]
    fn the_end_of_a_head_is_found_however_it_is_cut() {
        let cases: [(&[u8], Option<usize>); 7] = [
            (b"GET / HTTP/1.1\r\n\r\n", Some(18)),
            (b"GET / HTTP/1.1\r\nA: b\r\n\r\nrest", Some(24)),
            (b"GET / HTTP/1.1\n\nrest", Some(16)),
            (b"GET / HTTP/1.1\r\n\nrest", Some(17)),
            (b"GET / HTTP/1.1\n\r\nrest", Some(17)),
            (b"GET / HTTP/1.1\r\n\r", None),
            (b"", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(head_end(bytes, 0), expected, "{}", bytes.escape_ascii());
            let stepwise = (0..=bytes.len()).find_map(|length| head_end(&bytes[..length], length.saturating_sub(1)));
            assert_eq!(stepwise, expected, "{} byte by byte", bytes.escape_ascii());
        }
    }
}
