//! Fields that differed in comparisons. Their names come from answers, so their number is capped.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// A route's further fields share the series `other`.
const MOST_FIELDS: usize = 100;
/// A path of a field that is longer than this is data, not structure.
const LONGEST_FIELD: usize = 200;

/// Between the two sides, or of the monolith with itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    Raw,
    Noise,
}

/// Counted by the comparing thread, never on the request path, so a lock is fine.
#[derive(Debug, Default)]
pub(crate) struct FieldCounts(Mutex<BTreeMap<Box<str>, [u64; 2]>>);

impl FieldCounts {
    pub(crate) fn count(&self, field: &str, kind: FieldKind) {
        let mut counts = self.0.lock();
        let known = counts.contains_key(field);
        let named = known || (counts.len() < MOST_FIELDS && field.len() <= LONGEST_FIELD);
        let entry = counts.entry(if named { field } else { "other" }.into()).or_default();
        match kind {
            FieldKind::Raw => entry[0] += 1,
            FieldKind::Noise => entry[1] += 1,
        }
    }

    pub(crate) fn each(&self, mut visit: impl FnMut(&str, FieldKind, u64)) {
        for (field, [raw, noise]) in &*self.0.lock() {
            visit(field, FieldKind::Raw, *raw);
            visit(field, FieldKind::Noise, *noise);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hundred_fields_have_a_series_and_the_rest_share_one() {
        let counts = FieldCounts::default();
        for n in 0..10_000 {
            counts.count(&format!("$.items.{n}"), FieldKind::Raw);
        }
        counts.count("$.items.7", FieldKind::Noise);
        counts.count(&"$.x".repeat(500), FieldKind::Raw);
        let mut seen = Vec::new();
        counts.each(|field, kind, count| seen.push((field.to_owned(), kind, count)));
        assert_eq!(seen.len(), 202);
        assert!(seen.contains(&("other".to_owned(), FieldKind::Raw, 9_901)));
        assert!(seen.contains(&("$.items.7".to_owned(), FieldKind::Noise, 1)));
    }
}
