//! One TCP connection, read piece by piece, each read with a deadline.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::message::{Head, field};
use super::waiting::PATIENCE;

/// A chunked body: the data and the trailer fields behind it.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    pub(crate) data: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

pub(crate) struct Wire {
    stream: TcpStream,
    /// Read from the socket, not yet asked for.
    ahead: Vec<u8>,
    buffer: Box<[u8]>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, ahead: Vec::new(), buffer: vec![0; 64 * 1024].into() })
    }

    #[allow(dead_code, reason = "used by the tests of the edge alone")]
    pub(crate) fn local_port(&self) -> u16 {
        self.stream.local_addr().expect("a connected socket has an address").port()
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// A head, or `None` when the peer closed before its first byte.
    pub(crate) fn read_head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n\r\n") {
                return Ok(Some(Head::parse(self.take(end + 4))));
            }
            if self.fill()? == 0 {
                return if self.ahead.is_empty() { Ok(None) } else { Err(cut("in the head")) };
            }
        }
    }

    pub(crate) fn read_exact(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            if self.fill()? == 0 {
                return Err(cut("in the body"));
            }
        }
        Ok(self.take(length))
    }

    /// The data of one chunk; empty for the last one, whose trailers are still to be read.
    pub(crate) fn read_chunk(&mut self) -> io::Result<Vec<u8>> {
        let size = self.read_line()?;
        let size = size.split(|&byte| byte == b';').next().unwrap_or_default();
        let size = usize::from_str_radix(String::from_utf8_lossy(size).trim(), 16)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a chunk size that is no number"))?;
        if size == 0 {
            return Ok(Vec::new());
        }
        let data = self.read_exact(size)?;
        if self.read_exact(2)? != b"\r\n" {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a chunk longer than its size says"));
        }
        Ok(data)
    }

    /// The whole of a chunked body with its trailers.
    pub(crate) fn read_chunked(&mut self) -> io::Result<Chunked> {
        let mut body = Chunked::default();
        loop {
            let chunk = self.read_chunk()?;
            if chunk.is_empty() {
                break;
            }
            body.data.extend_from_slice(&chunk);
        }
        body.trailers = self.read_trailers()?;
        Ok(body)
    }

    /// What follows the last chunk, up to and with the empty line.
    pub(crate) fn read_trailers(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut trailers = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok(trailers);
            }
            trailers.push(field(&line));
        }
    }

    /// Whatever is there, at least one byte.
    pub(crate) fn read_some(&mut self) -> io::Result<Vec<u8>> {
        if self.ahead.is_empty() && self.fill()? == 0 {
            return Err(cut("where more was awaited"));
        }
        Ok(std::mem::take(&mut self.ahead))
    }

    pub(crate) fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.ahead))
    }

    /// Whether the peer neither sends nor closes for this long.
    pub(crate) fn stays_quiet(&mut self, time: Duration) -> io::Result<bool> {
        self.stream.set_read_timeout(Some(time))?;
        let quiet = self.ahead.is_empty() && matches!(self.fill(), Err(error) if is_timeout(&error));
        self.stream.set_read_timeout(Some(PATIENCE))?;
        Ok(quiet)
    }

    /// Closes with a reset instead of an orderly end.
    pub(crate) fn reset(&self) -> io::Result<()> {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))
    }

    pub(crate) fn finish_writing(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    fn read_line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n") {
                let mut line = self.take(end + 2);
                line.truncate(end);
                return Ok(line);
            }
            if self.fill()? == 0 {
                return Err(cut("in a line"));
            }
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.ahead.split_off(length);
        std::mem::replace(&mut self.ahead, rest)
    }

    fn fill(&mut self) -> io::Result<usize> {
        let read = self.stream.read(&mut self.buffer)?;
        self.ahead.extend_from_slice(&self.buffer[..read]);
        Ok(read)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn cut(place: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("closed {place}"))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
