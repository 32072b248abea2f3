//! The chunked coding (RFC 9112, section 7.1): read strictly, written once.
//!
//! A chunk-size line without a digit, a sign, a bare line feed or a control character in an extension is refused: what one
//! reader takes for the end of a body another takes for data, and a write that was cut on its way must not pass for a whole one.

use bytes::{Buf as _, Bytes, BytesMut};

use super::{Fields, Malformed, Name, Piece, head_end};

/// Bytes that cannot be part of a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotChunks;

impl From<NotChunks> for Malformed {
    fn from(_: NotChunks) -> Self {
        Self::because("chunks")
    }
}

/// The place between two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In a chunk-size line, with the number of digits that were read.
    Size {
        digits: u8,
    },
    /// White space behind the digits, with the number of its bytes: an extension or the end of the line follows.
    Space {
        length: u16,
    },
    /// Behind the digits: an extension up to the end of the line, with the number of its bytes.
    Extension {
        length: u16,
    },
    /// The line feed that ends a chunk-size line.
    SizeEnd,
    Data,
    /// The two bytes behind the data.
    DataEnd {
        line_feed: bool,
    },
    /// Behind the last chunk, with the number of bytes of the trailer section that were searched for its end.
    Trailers {
        searched: usize,
    },
    Over,
}

/// More digits than any length of use has.
const MOST_DIGITS: u8 = 15;
/// No client of use sends an extension at all.
const LONGEST_EXTENSION: u16 = 1024;

/// Reads a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkReader {
    at: At,
    /// Of the chunk that is being read.
    left: u64,
    /// The longest trailer section, in bytes.
    trailers: usize,
}

impl ChunkReader {
    /// `trailers`: the longest trailer section, in bytes.
    #[must_use]
    pub const fn new(trailers: usize) -> Self {
        Self { at: At::Size { digits: 0 }, left: 0, trailers }
    }

    /// Whether the body was read to its end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.at == At::Over
    }

    /// Cuts the next piece off the front of `unread`. `None`: more bytes are needed. Bytes behind the body are left there.
    ///
    /// # Errors
    /// [`NotChunks`] at the first byte that cannot stand where it does.
    pub fn next(&mut self, unread: &mut BytesMut) -> Result<Option<Piece>, NotChunks> {
        loop {
            match self.at {
                At::Over => return Ok(Some(Piece::End)),
                At::Data => {
                    let length = unread.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                    if length == 0 {
                        return Ok(None);
                    }
                    self.left -= length as u64;
                    if self.left == 0 {
                        self.at = At::DataEnd { line_feed: false };
                    }
                    return Ok(Some(Piece::Data(take(unread, length))));
                }
                At::Trailers { searched } => return self.trailers(unread, searched),
                _ => {
                    let Some(byte) = unread.first().copied() else { return Ok(None) };
                    self.at = self.step(byte)?;
                    unread.advance(1);
                }
            }
        }
    }

    fn step(&mut self, byte: u8) -> Result<At, NotChunks> {
        match (self.at, byte) {
            (At::Size { digits }, _) if byte.is_ascii_hexdigit() && digits < MOST_DIGITS => {
                let digit = char::from(byte).to_digit(16).expect("it is a hexadecimal digit");
                self.left = self.left << 4 | u64::from(digit);
                Ok(At::Size { digits: digits + 1 })
            }
            (At::Size { digits: 1.. } | At::Space { .. } | At::Extension { .. }, b'\r') => Ok(At::SizeEnd),
            (At::Size { digits: 1.. } | At::Space { .. }, b';') => Ok(At::Extension { length: 0 }),
            (At::Size { digits: 1.. }, b' ' | b'\t') => Ok(At::Space { length: 0 }),
            (At::Space { length }, b' ' | b'\t') if length < LONGEST_EXTENSION => Ok(At::Space { length: length + 1 }),
            (At::Extension { length }, b'\t' | b' '..=b'~' | 0x80..) if length < LONGEST_EXTENSION => {
                Ok(At::Extension { length: length + 1 })
            }
            (At::SizeEnd, b'\n') if self.left == 0 => Ok(At::Trailers { searched: 0 }),
            (At::SizeEnd, b'\n') => Ok(At::Data),
            (At::DataEnd { line_feed: false }, b'\r') => Ok(At::DataEnd { line_feed: true }),
            (At::DataEnd { line_feed: true }, b'\n') => Ok(At::Size { digits: 0 }),
            _ => Err(NotChunks),
        }
    }

    fn trailers(&mut self, unread: &mut BytesMut, searched: usize) -> Result<Option<Piece>, NotChunks> {
        let end = match &unread[..] {
            [b'\r', b'\n', ..] => 2,
            [] | [b'\r'] => return Ok(None),
            [b'\r' | b'\n', ..] => return Err(NotChunks),
            section => match head_end(section, searched) {
                Some(end) if end <= self.trailers => end,
                None if section.len() <= self.trailers => {
                    self.at = At::Trailers { searched: section.len() };
                    return Ok(None);
                }
                _ => return Err(NotChunks),
            },
        };
        self.at = At::Over;
        let section = unread.split_to(end);
        if end == 2 {
            return Ok(Some(Piece::End));
        }
        let fields = trailer_fields(&section)?;
        Ok(Some(if fields.is_empty() { Piece::End } else { Piece::Trailers(fields) }))
    }
}

/// Reads a trailer section. Fields that would change what the head has said (RFC 9110, 6.5.1) are dropped.
fn trailer_fields(section: &[u8]) -> Result<Fields, NotChunks> {
    let mut lines = [httparse::EMPTY_HEADER; 64];
    let Ok(httparse::Status::Complete((_, lines))) = httparse::parse_headers(section, &mut lines) else {
        return Err(NotChunks);
    };
    if memchr::memchr_iter(b'\n', section).any(|at| at == 0 || section[at - 1] != b'\r') {
        return Err(NotChunks);
    }
    let mut fields = Fields::new();
    for line in lines {
        if may_trail(line.name.as_bytes()) {
            fields.push_raw(line.name.as_bytes(), line.value);
        }
    }
    Ok(fields)
}

/// Whether a field may stand behind a body: none that frames, routes, authenticates or modifies the message.
#[must_use]
pub fn may_trail(name: &[u8]) -> bool {
    let barred = matches!(
        Name::of(name),
        Name::TransferEncoding
            | Name::ContentLength
            | Name::ContentType
            | Name::ContentEncoding
            | Name::ContentLocation
            | Name::Host
            | Name::Connection
            | Name::KeepAlive
            | Name::ProxyConnection
            | Name::Upgrade
            | Name::Te
            | Name::Trailer
            | Name::Expect
            | Name::Authorization
            | Name::ProxyAuthorization
            | Name::ProxyAuthenticate
            | Name::WwwAuthenticate
            | Name::Cookie
            | Name::SetCookie
            | Name::CacheControl
            | Name::Forwarded
            | Name::XForwardedFor
            | Name::XForwardedHost
            | Name::XForwardedPort
            | Name::XForwardedProto
            | Name::XRealIp
            | Name::XRequestId
            | Name::Traceparent
            | Name::Tracestate
    );
    let ours = name.get(..12).is_some_and(|head| head.eq_ignore_ascii_case(b"x-multilith-"));
    !barred && !ours && !name.starts_with(b":")
}

/// Cuts bytes off the front.
#[inline]
pub fn take(unread: &mut BytesMut, length: usize) -> Bytes {
    if length == unread.len() { std::mem::take(unread).freeze() } else { unread.split_to(length).freeze() }
}

/// Appends one chunk, which is not empty.
pub fn put_chunk(out: &mut Vec<u8>, data: &[u8]) {
    put_size(out, data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Appends the last chunk, with the fields behind it.
pub fn put_last_chunk(out: &mut Vec<u8>, trailers: Option<&Fields>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        trailers.write(out);
    }
    out.extend_from_slice(b"\r\n");
}

/// The line before a chunk.
fn put_size(out: &mut Vec<u8>, length: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.push(DIGITS[length >> (4 * place) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Data, trailers as text, what is left behind; or that it is no chunked body. `None`: it has not ended.
    type Read = Result<Option<(Vec<u8>, String, Vec<u8>)>, NotChunks>;

    fn by(body: &[u8], size: usize) -> Read {
        let (mut reader, mut unread, mut data) = (ChunkReader::new(256), BytesMut::new(), Vec::new());
        let mut pieces = body.chunks(size.max(1));
        loop {
            match reader.next(&mut unread)? {
                Some(Piece::Data(piece)) => data.extend_from_slice(&piece),
                Some(last) => {
                    let trailers =
                        if let Piece::Trailers(fields) = last { format!("{fields:?}") } else { String::new() };
                    let rest = pieces.flatten().copied();
                    return Ok(Some((data, trailers, unread.iter().copied().chain(rest).collect())));
                }
                None => match pieces.next() {
                    Some(piece) => unread.extend_from_slice(piece),
                    None => return Ok(None),
                },
            }
        }
    }

    /// The same whole, byte by byte, and in pieces of three.
    fn read(body: &[u8]) -> Read {
        let whole = by(body, body.len());
        assert_eq!(whole, by(body, 1), "{}", body.escape_ascii());
        assert_eq!(whole, by(body, 3), "{}", body.escape_ascii());
        whole
    }

    #[test]
    fn chunks_are_read_and_what_follows_them_is_left() {
        type Case<'a> = (&'a [u8], &'a [u8], &'a str, &'a [u8]);
        let cases: &[Case<'_>] = &[
            (b"0\r\n\r\n", b"", "", b""),
            (b"3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n", b"abc", "", b"GET / HTTP/1.1\r\n\r\n"),
            (b"A;name=value\r\n0123456789\r\n00\r\nX-Sum: 1\r\n\r\n", b"0123456789", "{\"X-Sum\": \"1\"}", b""),
            (b"3 ;x\r\n\r\n\r\r\n0\r\n\r\n", b"\r\n\r", "", b""),
            (b"0\r\nContent-Length: 5\r\nX-A: 1\r\nHost: b\r\n\r\nx", b"", "{\"X-A\": \"1\"}", b"x"),
            (b"0\r\nTransfer-Encoding: chunked\r\n\r\n", b"", "", b""),
        ];
        for (body, data, trailers, rest) in cases {
            let expected = Ok(Some((data.to_vec(), (*trailers).to_owned(), rest.to_vec())));
            assert_eq!(read(body), expected, "{}", body.escape_ascii());
        }
    }

    #[test]
    fn what_is_not_chunked_is_refused_at_its_first_wrong_byte() {
        for body in [
            &b"\r\n3\r\nabc\r\n0\r\n\r\n"[..],
            b"3\r\nabc\r\n\r\n0\r\n\r\n",
            b"3\r\nabcd\r\n0\r\n\r\n",
            b"3\nabc\r\n0\r\n\r\n",
            b";x\r\n",
            b"g\r\n",
            b"-1\r\n",
            b"0x3\r\nabc\r\n",
            b"1000000000000000\r\n",
            b"3;\0\r\nabc\r\n",
            b"3 x\r\nabc\r\n",
            b"0 HTT\r\n\r\n",
            b"0\r\nnonsense\r\n\r\n",
            b"0\r\nA: b\n\r\n",
            b"0\r\n\nx",
        ] {
            assert_eq!(read(body), Err(NotChunks), "{}", body.escape_ascii());
        }
        let long = [b"0\r\nA: ", &b"x".repeat(300)[..], b"\r\n\r\n"].concat();
        assert_eq!(by(&long, long.len()), Err(NotChunks), "a trailer section beyond its bound");
        let extension = [b"3;", &b"x".repeat(2000)[..], b"\r\nabc\r\n"].concat();
        assert_eq!(read(&extension), Err(NotChunks), "an extension beyond its bound");
    }

    #[test]
    fn a_body_that_has_not_ended_is_waited_for() {
        for body in [&b""[..], b"3", b"3\r", b"3\r\nab", b"3\r\nabc\r\n", b"3\r\nabc\r\n0", b"0\r\n", b"0\r\nA: b\r\n"]
        {
            assert_eq!(read(body), Ok(None), "{}", body.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..6),
            size in 1_usize..700,
        ) {
            let mut body = Vec::new();
            for piece in &pieces {
                put_chunk(&mut body, piece);
            }
            let trailers = Fields::from_iter([("X-Sum", "1")]);
            put_last_chunk(&mut body, Some(&trailers));
            body.extend_from_slice(b"next");
            let (data, fields, rest) = by(&body, size).expect("chunks").expect("whole");
            prop_assert_eq!(data, pieces.concat());
            prop_assert_eq!(fields, format!("{trailers:?}"));
            prop_assert_eq!(rest, b"next");
        }
    }
}
