//! Chunks of answers that HTTP/2 clients have not taken yet.
//!
//! Pingora waits for a client's window somewhere inside; whether it waits for the client or for the upstream, nobody is told.
//! The bytes themselves know: they are let go of when they were written, or when their stream was given up. So on HTTP/2 each
//! chunk says where it belongs when it goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;

use super::watch::Watch;

/// The bytes that a stream, or all streams of a connection, have ready for their client.
#[derive(Debug, Default)]
pub struct Held(AtomicU64);

impl Held {
    pub fn any(&self) -> bool {
        self.0.load(Relaxed) > 0
    }

    pub(super) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Relaxed);
    }

    pub(super) fn subtract(&self, bytes: u64) {
        self.0.fetch_sub(bytes, Relaxed);
    }
}

struct Chunk {
    bytes: Bytes,
    watch: Arc<Watch>,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.watch.taken(self.bytes.len() as u64);
    }
}

/// The chunk counts as held until the last copy of it is gone.
pub fn hold(chunk: &mut Bytes, watch: &Arc<Watch>) {
    if chunk.is_empty() || !watch.is_stream() {
        return;
    }
    watch.holds(chunk.len() as u64);
    *chunk = Bytes::from_owner(Chunk { bytes: std::mem::take(chunk), watch: Arc::clone(watch) });
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_chunk_is_held_until_the_last_piece_of_it_is_gone() {
        let connection = Arc::new(Held::default());
        let watch = Watch::of_stream(Instant::now(), Arc::clone(&connection));
        let (mut one, mut two) = (Bytes::from_static(b"some bytes"), Bytes::from_static(b"more"));
        hold(&mut one, &watch);
        hold(&mut two, &watch);
        assert_eq!((&one[..], &two[..]), (&b"some bytes"[..], &b"more"[..]));
        let first = one.split_to(4);
        drop(one);
        drop(two);
        assert!(connection.any());
        drop(first);
        assert!(!connection.any());
    }

    #[test]
    fn a_connection_of_http_1_is_watched_otherwise() {
        let watch = Watch::new(Instant::now());
        let mut chunk = Bytes::from_static(b"some bytes");
        let place = chunk.as_ptr();
        hold(&mut chunk, &watch);
        assert_eq!(chunk.as_ptr(), place);
        assert_eq!(Arc::strong_count(&watch), 1);
    }
}
