//! Follows the chunks of a request body as they arrive and refuses what is not one.
//!
//! The parser under pingora takes a chunk-size line without a digit for a size of zero, so for the end of the body: a
//! write that was cut or garbled on its way would be carried out as if it were whole. This looks at the lines alone
//! (RFC 9112, section 7.1) and skips the data between them.

/// What stands between two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In a chunk-size line; so many digits were read.
    Size { digits: u8 },
    /// Behind the digits: an extension up to the end of the line.
    Extension,
    /// The line feed that ends a chunk-size line.
    SizeEnd,
    /// In the data of a chunk.
    Data,
    /// The two bytes behind the data.
    DataEnd { line_feed: bool },
    /// Behind the last chunk: trailers, of no concern here.
    Over,
}

/// A byte that cannot stand where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotChunks;

/// How far a chunked body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunks {
    at: At,
    /// Of the chunk that is being read.
    left: u64,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { at: At::Size { digits: 0 }, left: 0 }
    }
}

/// More digits than any length of use has.
const MOST_DIGITS: u8 = 15;

impl Chunks {
    /// Takes the next bytes of the connection. What follows the body, the next request among it, is not looked at.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<(), NotChunks> {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.at == At::Data {
                let skipped = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= skipped as u64;
                bytes = bytes.get(skipped..).unwrap_or_default();
                if self.left == 0 {
                    self.at = At::DataEnd { line_feed: false };
                }
                continue;
            }
            if self.at == At::Over {
                return Ok(());
            }
            self.at = self.step(byte)?;
            bytes = rest;
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Result<At, NotChunks> {
        match (self.at, byte) {
            (At::Size { digits }, _) if byte.is_ascii_hexdigit() && digits < MOST_DIGITS => {
                let digit = char::from(byte).to_digit(16).expect("it is a hexadecimal digit");
                self.left = self.left << 4 | u64::from(digit);
                Ok(At::Size { digits: digits + 1 })
            }
            (At::Size { digits: 1.. } | At::Extension, b'\r') => Ok(At::SizeEnd),
            (At::Size { digits: 1.. }, b';' | b' ' | b'\t') => Ok(At::Extension),
            (At::Extension, _) if byte != b'\n' => Ok(At::Extension),
            (At::SizeEnd, b'\n') if self.left == 0 => Ok(At::Over),
            (At::SizeEnd, b'\n') => Ok(At::Data),
            (At::DataEnd { line_feed: false }, b'\r') => Ok(At::DataEnd { line_feed: true }),
            (At::DataEnd { line_feed: true }, b'\n') => Ok(At::Size { digits: 0 }),
            _ => Err(NotChunks),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same whole, byte by byte, and in pieces of three.
    fn read(body: &[u8]) -> Result<(), NotChunks> {
        let by = |size: usize| {
            let mut chunks = Chunks::default();
            body.chunks(size).try_for_each(|piece| chunks.take(piece))
        };
        let whole = by(body.len().max(1));
        assert_eq!(whole, by(1), "{}", body.escape_ascii());
        assert_eq!(whole, by(3), "{}", body.escape_ascii());
        whole
    }

    #[test]
    fn chunks_are_taken_and_what_is_none_is_not() {
        let cases: &[(&[u8], bool)] = &[
            (b"0\r\n\r\n", true),
            (b"3\r\nabc\r\n0\r\n\r\n", true),
            (b"3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n", true),
            (b"A;name=value\r\n0123456789\r\n00\r\nX-Trailer: 1\r\n\r\n", true),
            (b"3 ;x\r\n\r\n\r\r\n0\r\n\r\n", true),
            (b"\r\n3\r\nabc\r\n0\r\n\r\n", false),
            (b"3\r\nabc\r\n\r\n0\r\n\r\n", false),
            (b"3\r\nabcd\r\n0\r\n\r\n", false),
            (b"3\nabc\r\n0\r\n\r\n", false),
            (b";x\r\n", false),
            (b"g\r\n", false),
            (b"-1\r\n", false),
            (b"0x3\r\nabc\r\n", false),
            (b"1000000000000000\r\n", false),
        ];
        for (body, fine) in cases {
            assert_eq!(read(body).is_ok(), *fine, "{}", body.escape_ascii());
        }
    }

    #[test]
    fn a_body_that_has_not_ended_is_waited_for() {
        for body in [&b""[..], b"3", b"3\r", b"3\r\nab", b"3\r\nabc\r\n", b"3\r\nabc\r\n0"] {
            assert_eq!(read(body), Ok(()), "{}", body.escape_ascii());
        }
    }
}
