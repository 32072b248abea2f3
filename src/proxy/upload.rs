//! The bytes of a request as its connection hands them to the parser: enough of them is kept to follow a chunked body.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use memchr::memchr;
use parking_lot::Mutex;

use crate::guard::chunks::{Chunks, NotChunks};

/// Longer heads are refused before their bodies are looked at.
const MOST_EARLY: usize = 1024 * 1024;
/// The buffer is small after ordinary heads and stays; a larger one would be held while the connection is idle.
const KEPT: usize = 4096;

/// One connection's current request.
#[derive(Debug, Default)]
pub struct Upload {
    /// A chunked body is being read; after the head, nothing else looks into `seen`.
    follows: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// What was read until the head was there: the head, and what came with it.
    early: Vec<u8>,
    chunks: Chunks,
    malformed: bool,
}

impl Upload {
    /// Another request may begin.
    pub fn begin(&self) {
        self.follows.store(false, Relaxed);
        let mut seen = self.seen.lock();
        if seen.early.capacity() > KEPT {
            seen.early = Vec::new();
        } else {
            seen.early.clear();
        }
    }

    /// Bytes came while the head was not complete.
    pub fn early(&self, bytes: &[u8]) {
        let mut seen = self.seen.lock();
        if seen.early.len() < MOST_EARLY {
            seen.early.extend_from_slice(bytes);
        }
    }

    /// Bytes came after the head. An error: they cannot be part of the chunked body that is being read.
    pub fn take(&self, bytes: &[u8]) -> Result<(), NotChunks> {
        if !self.follows.load(Relaxed) {
            return Ok(());
        }
        let mut seen = self.seen.lock();
        let taken = seen.chunks.take(bytes);
        seen.malformed |= taken.is_err();
        taken
    }

    /// What came until the head was there begins with exactly this head.
    pub fn began_with(&self, head: &[u8]) -> bool {
        self.seen.lock().early.starts_with(head)
    }

    /// The request with this head, as the parser gives it, has a chunked body. An error: what came with the head is none,
    /// or came with an earlier request and was not seen.
    pub fn follow_chunks(&self, head: &[u8]) -> Result<(), NotChunks> {
        let mut seen = self.seen.lock();
        seen.chunks = Chunks::default();
        seen.malformed = false;
        let Seen { early, chunks, .. } = &mut *seen;
        chunks.take(behind(early, head).ok_or(NotChunks)?)?;
        self.follows.store(true, Relaxed);
        Ok(())
    }

    /// The body that is being read was not one of chunks.
    pub fn is_malformed(&self) -> bool {
        self.follows.load(Relaxed) && self.seen.lock().malformed
    }
}

/// What came behind the head. The parser's copy of the head is longer than what came where it has written escapes into the
/// request line; the fields are the same.
fn behind<'e>(early: &'e [u8], head: &[u8]) -> Option<&'e [u8]> {
    early.strip_prefix(head).or_else(|| {
        let line = |text: &[u8]| {
            let start = text.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
            memchr(b'\n', &text[start..]).map(|length| start + length)
        };
        early.get(line(early)?..)?.strip_prefix(head.get(line(head)?..)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_followed_from_the_end_of_the_head_that_came() {
        const FIELDS: &str = "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let table = [
            ("POST / HTTP/1.1\r\n", "POST / HTTP/1.1\r\n", FIELDS, true),
            ("\r\nPOST / HTTP/1.1\r\n", "\r\nPOST / HTTP/1.1\r\n", FIELDS, true),
            ("POST /a b HTTP/1.1\r\n", "POST /a%20b HTTP/1.1\r\n", FIELDS, true),
            ("POST / HTTP/1.1\r\n", "POST / HTTP/1.1\r\n", "Host: b\r\n\r\n", false),
            ("", "POST / HTTP/1.1\r\n", FIELDS, false),
        ];
        for (came, line, fields, follows) in table {
            for (body, fine) in [("1\r\nx\r\n0\r\n\r\n", true), ("", true), ("\r\n1\r\nx\r\n", false)] {
                let upload = Upload::default();
                upload.early(format!("{came}{FIELDS}{body}").as_bytes());
                let followed = upload.follow_chunks(format!("{line}{fields}").as_bytes());
                assert_eq!(followed.is_ok(), follows && fine, "{came:?} {line:?} {body:?}");
            }
        }
    }
}
