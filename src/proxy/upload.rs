//! The bytes of a request as its connection hands them to the parser: enough of them is kept to follow a chunked body.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

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

    /// The request whose head was so long has a chunked body. An error: what came with the head is none, or came with an
    /// earlier request and was not seen.
    pub fn follow_chunks(&self, head: usize) -> Result<(), NotChunks> {
        let mut seen = self.seen.lock();
        seen.chunks = Chunks::default();
        seen.malformed = false;
        let Seen { early, chunks, .. } = &mut *seen;
        chunks.take(early.get(head..).ok_or(NotChunks)?)?;
        self.follows.store(true, Relaxed);
        Ok(())
    }

    /// The body that is being read was not one of chunks.
    pub fn is_malformed(&self) -> bool {
        self.follows.load(Relaxed) && self.seen.lock().malformed
    }
}
