//! Which fields differed together, and how often.
//!
//! Whether a field is noise is learned while comparisons go on. Kept this way, the mismatches of the past are counted
//! by what is known now: without it the rate would carry every noisy field from before the noise was known.

use serde::{Deserialize, Serialize};

use super::tally::Moved;

/// Different sets of fields; comparisons with further ones keep the verdict of their time.
const MAX_PATTERNS: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pattern {
    /// Ids of fields, rising.
    fields: Vec<u16>,
    count: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Patterns {
    /// Sorted by their fields.
    list: Vec<Pattern>,
    /// Comparisons beyond the bound, by the verdict of their time.
    unplaced_matches: u64,
    unplaced_mismatches: u64,
}

impl Patterns {
    /// Counts one comparison; `fields` rise.
    pub(super) fn add(&mut self, fields: &[u16], mismatch: bool) {
        match self.list.binary_search_by(|pattern| pattern.fields.as_slice().cmp(fields)) {
            Ok(at) => {
                if let Some(pattern) = self.list.get_mut(at) {
                    pattern.count = pattern.count.saturating_add(1);
                }
            }
            Err(at) if self.list.len() < MAX_PATTERNS => {
                self.list.insert(at, Pattern { fields: fields.to_vec(), count: 1 });
            }
            Err(_) if mismatch => self.unplaced_mismatches += 1,
            Err(_) => self.unplaced_matches += 1,
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.list
            .iter()
            .fold(self.unplaced_matches.saturating_add(self.unplaced_mismatches), |sum, p| sum.saturating_add(p.count))
    }

    /// The comparisons in which a field differed that counts.
    pub(super) fn mismatches(&self, counts: impl Fn(u16) -> bool) -> u64 {
        self.list
            .iter()
            .filter(|pattern| pattern.fields.iter().any(|field| counts(*field)))
            .fold(self.unplaced_mismatches, |sum, pattern| sum.saturating_add(pattern.count))
    }

    /// Follows fields that were merged.
    pub(super) fn renumber(&mut self, moved: &Moved) {
        let mut list: Vec<Pattern> = Vec::with_capacity(self.list.len());
        for mut pattern in std::mem::take(&mut self.list) {
            pattern.fields = pattern.fields.iter().filter_map(|old| moved.get(usize::from(*old)).copied()).collect();
            pattern.fields.sort_unstable();
            pattern.fields.dedup();
            list.push(pattern);
        }
        list.sort_by(|a, b| a.fields.cmp(&b.fields));
        list.dedup_by(|next, kept| {
            let same = next.fields == kept.fields;
            if same {
                kept.count = kept.count.saturating_add(next.count);
            }
            same
        });
        self.list = list;
    }

    /// Whether every field it names exists and its order holds; a file may hold anything.
    pub(super) fn is_sound(&self, fields: usize) -> bool {
        let known = self.list.iter().flat_map(|pattern| &pattern.fields).all(|field| usize::from(*field) < fields);
        known && self.list.len() <= MAX_PATTERNS && self.list.is_sorted_by(|a, b| a.fields < b.fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mismatches_are_counted_by_what_is_known_now() {
        let mut patterns = Patterns::default();
        for (fields, times) in [(&[0][..], 10), (&[0, 1][..], 3), (&[2][..], 5)] {
            for _ in 0..times {
                patterns.add(fields, true);
            }
        }
        assert_eq!(patterns.total(), 18);
        assert_eq!(patterns.mismatches(|_| true), 18);
        assert_eq!(patterns.mismatches(|field| field == 1), 3);
        patterns.renumber(&vec![0, 0, 1]);
        assert_eq!((patterns.total(), patterns.mismatches(|field| field == 0)), (18, 13));
        assert!(patterns.is_sound(2) && !patterns.is_sound(1));
    }

    #[test]
    fn comparisons_beyond_the_bound_are_still_counted() {
        let mut patterns = Patterns::default();
        for field in 0..600 {
            patterns.add(&[field], field % 2 == 0);
        }
        assert_eq!((patterns.total(), patterns.mismatches(|_| false)), (600, 44));
    }
}
