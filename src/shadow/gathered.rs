//! A body as it passes: kept up to a limit, beyond it only hashed and measured.

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use super::budget::Held;
use super::chunks::{Chunks, joined};
use crate::compare::Body;

pub(super) struct Gathered {
    chunks: Chunks,
    length: u64,
    limit: u64,
    /// Set once the body is too large to keep, or nothing more may be held.
    hasher: Option<Box<Xxh3>>,
}

impl Gathered {
    pub(super) fn new(limit: u64, held: Held) -> Self {
        Self { chunks: Chunks::new(held), length: 0, limit, hasher: None }
    }

    pub(super) fn push(&mut self, chunk: &Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.length = self.length.saturating_add(chunk.len() as u64);
        if self.hasher.is_none() {
            if self.length <= self.limit && self.chunks.push(chunk) {
                return;
            }
            let mut hasher = Box::new(Xxh3::new());
            self.chunks.drain(|kept| hasher.update(kept));
            self.hasher = Some(hasher);
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(chunk);
        }
    }

    /// The whole body, and what it holds of the budget.
    pub(super) fn into_body(self) -> (Body, Held) {
        let (chunks, held) = self.chunks.into_parts();
        let body = match (self.hasher, self.length) {
            (Some(hasher), length) => Body::Hashed { length, hash: hasher.digest() },
            (None, 0) => Body::None,
            (None, _) => Body::Whole(joined(chunks)),
        };
        (body, held)
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::ByteBudget;
    use super::*;

    fn body_of(chunks: &[&'static [u8]], limit: u64, budget: usize) -> Body {
        let mut gathered = Gathered::new(limit, ByteBudget::new(budget).hold());
        for chunk in chunks {
            gathered.push(&Bytes::from_static(chunk));
        }
        gathered.into_body().0
    }

    #[test]
    fn a_body_is_whole_up_to_the_limit_and_hashed_beyond_it_however_it_is_cut() {
        for chunks in [&[&b"abcdef"[..]][..], &[b"abc", b"def"], &[b"a", b"", b"bcde", b"f"]] {
            assert_eq!(body_of(chunks, 6, 1000), Body::Whole("abcdef".into()));
            let hashed = Body::Hashed { length: 6, hash: Body::hash(b"abcdef") };
            assert_eq!(body_of(chunks, 5, 1000), hashed);
            assert_eq!(body_of(chunks, 6, 3), hashed, "nothing may be held");
        }
        assert_eq!(body_of(&[], 6, 1000), Body::None);
    }
}
