//! Counts by word, for labels whose values are words of the program: reasons, outcomes, kinds.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SLOTS: usize = 8;

/// Lock-free: a word takes a slot when it first occurs. Nothing is allocated before that.
#[derive(Debug, Default)]
pub(crate) struct Words {
    first: OnceLock<Box<Slots>>,
}

#[derive(Debug, Default)]
struct Slots {
    words: [OnceLock<&'static str>; SLOTS],
    counts: [AtomicU64; SLOTS],
    next: OnceLock<Box<Self>>,
}

impl Words {
    pub(crate) fn count(&self, word: &'static str) {
        self.add(word, 1);
    }

    pub(crate) fn add(&self, word: &'static str, amount: u64) {
        let mut slots = self.first.get_or_init(Box::default);
        loop {
            for (slot, count) in slots.words.iter().zip(&slots.counts) {
                if *slot.get_or_init(|| word) == word {
                    count.fetch_add(amount, Relaxed);
                    return;
                }
            }
            slots = slots.next.get_or_init(Box::default);
        }
    }

    pub(crate) fn get(&self, word: &str) -> u64 {
        let mut found = 0;
        self.each(|each, count| {
            if each == word {
                found = count;
            }
        });
        found
    }

    pub(crate) fn total(&self) -> u64 {
        let mut total = 0;
        self.each(|_, count| total += count);
        total
    }

    /// The words that occurred.
    pub(crate) fn each(&self, mut visit: impl FnMut(&'static str, u64)) {
        let mut slots = self.first.get();
        while let Some(here) = slots {
            for (slot, count) in here.words.iter().zip(&here.counts) {
                if let Some(word) = slot.get() {
                    visit(word, count.load(Relaxed));
                }
            }
            slots = here.next.get();
        }
    }

    /// The words that are expected, at 0 if need be, then the others that occurred.
    pub(crate) fn each_with(&self, expected: &[&'static str], mut visit: impl FnMut(&'static str, u64)) {
        for word in expected {
            visit(word, self.get(word));
        }
        self.each(|word, count| {
            if !expected.contains(&word) {
                visit(word, count);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_words_than_slots_are_all_kept() {
        let words = Words::default();
        let all = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
        for (times, word) in (1..).zip(all) {
            words.add(word, times);
        }
        assert_eq!(words.get("a"), 1);
        assert_eq!(words.get("k"), 11);
        assert_eq!(words.total(), 66);
    }

    #[test]
    fn expected_words_are_there_from_the_start() {
        let words = Words::default();
        words.count("surprise");
        let mut seen = Vec::new();
        words.each_with(&["connect", "reset"], |word, count| seen.push((word, count)));
        assert_eq!(seen, [("connect", 0), ("reset", 0), ("surprise", 1)]);
    }

    #[test]
    fn threads_that_meet_a_word_at_once_share_its_slot() {
        let words = Words::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|n| words.count(if n % 2 == 0 { "even" } else { "odd" })));
            }
        });
        assert_eq!((words.get("even"), words.get("odd")), (2000, 2000));
    }
}
