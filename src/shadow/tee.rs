//! The request's body, kept as it passes to the primary's upstream, for a copy that is sent when it is whole.

use bytes::Bytes;

use super::budget::Held;
use super::copies::Skipped;
use super::gathered::CHUNK_OVERHEAD;

/// Knows how far it is, because a retry of the primary passes everything from the first byte again.
pub struct Tee {
    chunks: Vec<Bytes>,
    length: u64,
    limit: u64,
    /// Bytes that will pass once more and are known.
    known: u64,
    held: Held,
}

impl Tee {
    pub(super) const fn new(limit: u64, held: Held) -> Self {
        Self { chunks: Vec::new(), length: 0, limit, known: 0, held }
    }

    /// A chunk passes. An error ends the copy; the primary never notices.
    pub fn pass(&mut self, chunk: &Bytes) -> Result<(), Skipped> {
        let known = usize::try_from(self.known).unwrap_or(usize::MAX).min(chunk.len());
        self.known -= known as u64;
        let new = chunk.slice(known..);
        if new.is_empty() {
            return Ok(());
        }
        self.length = self.length.saturating_add(new.len() as u64);
        if self.length > self.limit {
            return Err(Skipped::BodyTooLarge);
        }
        if !self.held.grow(new.len() + CHUNK_OVERHEAD) {
            return Err(Skipped::QueueFull);
        }
        self.chunks.push(new);
        Ok(())
    }

    /// The primary is sent again: what was seen so far will pass again.
    pub const fn again(&mut self) {
        self.known = self.length;
    }

    /// Bytes seen so far.
    pub const fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn into_chunks(self) -> (Vec<Bytes>, Held) {
        (self.chunks, self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::ByteBudget;
    use super::super::gathered::joined;
    use super::*;

    fn tee(limit: u64) -> Tee {
        Tee::new(limit, ByteBudget::new(1 << 20).hold())
    }

    #[test]
    fn a_retry_of_the_primary_never_reaches_the_copy_twice() {
        // Each list: what passes in one attempt. A retry replays all it has as one chunk and goes on from there.
        for attempts in [
            &[&["abc", "def"][..]][..],
            &[&["abc"], &["abc", "def"]],
            &[&["abc"], &["abcdef"]],
            &[&["abc"], &[], &["abcd", "ef"]],
            &[&["abc", "d"], &["ab"], &["abcde", "f"]],
        ] {
            let mut tee = tee(6);
            for (number, chunks) in attempts.iter().enumerate() {
                if number > 0 {
                    tee.again();
                }
                for chunk in *chunks {
                    assert_eq!(tee.pass(&Bytes::from_static(chunk.as_bytes())), Ok(()));
                }
            }
            assert_eq!(joined(tee.into_chunks().0), "abcdef", "{attempts:?}");
        }
    }

    #[test]
    fn one_byte_too_many_ends_the_copy() {
        let mut tee = tee(6);
        assert_eq!(tee.pass(&Bytes::from_static(b"abcdef")), Ok(()));
        assert_eq!(tee.pass(&Bytes::new()), Ok(()));
        assert_eq!(tee.pass(&Bytes::from_static(b"g")), Err(Skipped::BodyTooLarge));
    }

    #[test]
    fn chunks_of_one_byte_cost_what_they_take() {
        let mut tee = Tee::new(1 << 20, ByteBudget::new(1000).hold());
        let ended = (0..1000).find_map(|n| tee.pass(&Bytes::from_static(b"x")).err().map(|why| (n, why)));
        assert_eq!(ended, Some((1000 / (1 + CHUNK_OVERHEAD), Skipped::QueueFull)));
    }
}
