//! The chunks of a body that is kept: large ones are shared with the exchange that passes them on, small ones are copied into one buffer.

use bytes::{Bytes, BytesMut};

use super::budget::Held;

/// A share of a few bytes keeps the whole buffer that they were read into, and a list of them costs more than they are: up
/// to this size a copy is cheaper, and all that it takes is known.
const COPIED: usize = 4096;

/// The first buffer for copies; each that is full is followed by one twice as large.
const FIRST: usize = 512;
const LARGEST: usize = 64 * 1024;

/// The cost of a chunk or a buffer beside its bytes.
const OVERHEAD: usize = 64;

pub(super) struct Chunks {
    list: Vec<Bytes>,
    /// Copies that come after the list.
    last: BytesMut,
    held: Held,
}

impl Chunks {
    pub(super) fn new(held: Held) -> Self {
        Self { list: Vec::new(), last: BytesMut::new(), held }
    }

    /// False: the budget has no room for this chunk.
    pub(super) fn push(&mut self, chunk: &Bytes) -> bool {
        if chunk.len() <= COPIED {
            return self.copy(chunk);
        }
        let held = self.held.grow(chunk.len() + OVERHEAD);
        if held {
            self.seal();
            self.list.push(chunk.clone());
        }
        held
    }

    fn copy(&mut self, chunk: &[u8]) -> bool {
        let room = self.last.capacity() - self.last.len();
        if room < chunk.len() {
            let size = (2 * self.last.capacity()).clamp(FIRST, LARGEST).max(chunk.len());
            if !self.held.grow(size + OVERHEAD) {
                return false;
            }
            self.seal();
            self.last = BytesMut::with_capacity(size);
        }
        self.last.extend_from_slice(chunk);
        true
    }

    fn seal(&mut self) {
        let last = std::mem::take(&mut self.last);
        if !last.is_empty() {
            self.list.push(last.freeze());
        }
    }

    /// Hands everything over, in order, and holds nothing more.
    pub(super) fn drain(&mut self, mut take: impl FnMut(&[u8])) {
        self.seal();
        self.list.drain(..).for_each(|chunk| take(&chunk));
        self.held.release();
    }

    pub(super) fn into_parts(mut self) -> (Vec<Bytes>, Held) {
        self.seal();
        (self.list, self.held)
    }
}

/// One buffer; most bodies come in one chunk, which is not copied.
pub(super) fn joined(mut chunks: Vec<Bytes>) -> Bytes {
    if chunks.len() < 2 { chunks.pop().unwrap_or_default() } else { chunks.concat().into() }
}

#[cfg(test)]
mod tests {
    use super::super::budget::ByteBudget;
    use super::*;

    fn chunks(budget: usize) -> Chunks {
        Chunks::new(ByteBudget::new(budget).hold())
    }

    #[test]
    fn what_went_in_comes_out_in_order_however_it_is_cut() {
        let body: Vec<u8> = (0..300_000_u32).map(|n| u8::try_from(n % 251).expect("below 251")).collect();
        for sizes in [&[1][..], &[7, 5000], &[4096, 4097], &[1, 1, 70_000, 3], &[300_000]] {
            let mut kept = chunks(1 << 20);
            let (mut rest, mut sizes) = (&body[..], sizes.iter().cycle());
            while !rest.is_empty() {
                let size = rest.len().min(*sizes.next().expect("a cycle"));
                assert!(kept.push(&Bytes::copy_from_slice(&rest[..size])));
                rest = &rest[size..];
            }
            assert!(joined(kept.into_parts().0) == body);
        }
    }

    #[test]
    fn a_small_chunk_does_not_keep_the_buffer_that_it_was_read_into() {
        let read = Bytes::from(vec![b'x'; 1 << 20]);
        let mut kept = chunks(1 << 20);
        assert!(kept.push(&read.slice(5..6)));
        assert!(read.is_unique(), "the megabyte is held for one byte of it");
        assert!(kept.push(&read.slice(..=COPIED)) && !read.is_unique());
    }

    #[test]
    fn a_million_chunks_of_one_byte_take_what_is_counted_for_them() {
        let mut kept = chunks(4 << 20);
        let byte = Bytes::from_static(b"x");
        assert!((0..1_000_000).all(|_| kept.push(&byte)), "two bytes for each would be too many");
        let taken: usize = kept.list.iter().map(|chunk| chunk.len() + size_of::<Bytes>()).sum();
        assert!(taken + kept.last.capacity() < 2 << 20 && kept.list.len() < 100, "{taken}");
    }

    #[test]
    fn nothing_is_kept_beyond_the_budget() {
        let mut kept = chunks(6000);
        assert!(!kept.push(&Bytes::from(vec![b'x'; 6000])));
        assert!(kept.push(&Bytes::from(vec![b'x'; 5000])));
        assert!(kept.push(&Bytes::from_static(b"small")) && !kept.push(&Bytes::from(vec![b'x'; 1000])));
        let mut seen = 0;
        kept.drain(|chunk| seen += chunk.len());
        assert_eq!(seen, 5005);
        assert!(kept.push(&Bytes::from(vec![b'x'; 5000])), "what was handed over is free again");
    }
}
