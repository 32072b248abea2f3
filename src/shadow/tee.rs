//! The request's body, kept as it passes to the primary's upstream, for a copy that is sent when it is whole.

use bytes::Bytes;

use super::budget::Held;
use super::chunks::Chunks;
use super::skipped::Skipped;

/// Knows how far it is, because a retry of the primary passes everything from the first byte again.
pub struct Tee {
    chunks: Chunks,
    length: u64,
    limit: u64,
    /// Bytes that will pass once more and are known.
    known: u64,
}

impl Tee {
    pub(super) fn new(limit: u64, held: Held) -> Self {
        Self { chunks: Chunks::new(held), length: 0, limit, known: 0 }
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
        if self.chunks.push(&new) { Ok(()) } else { Err(Skipped::QueueFull) }
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
        self.chunks.into_parts()
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::ByteBudget;
    use super::super::chunks::joined;
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
    fn a_body_for_which_nothing_may_be_held_is_not_copied() {
        let mut tee = Tee::new(1 << 20, ByteBudget::new(1000).hold());
        let ended = (0..1000).find_map(|_| tee.pass(&Bytes::from_static(b"x")).err());
        assert_eq!(ended, Some(Skipped::QueueFull));
    }
}
