//! The kept facts of a parameter's values: how many, of what kind, and masked shapes; never a value.

use super::shape::SegmentKind;
use super::sketch::Sketch;

const MASKS: usize = 3;
/// The place of words in `by_kind`.
const WORDS: usize = 5;
/// Bytes of a mask; longer values are cut.
pub const LONGEST_MASK: usize = 24;

#[derive(Debug, Clone, Default)]
pub struct Values {
    /// Of the different values.
    pub sketch: Sketch,
    /// Exchanges by [`SegmentKind`]; the last is that of words.
    pub by_kind: [u32; 6],
    /// Words that became values, and those of them that had been seen once.
    pub words: u32,
    pub once: u32,
    /// `aaaa-99`: letters and digits without their identity.
    pub masks: Vec<Box<str>>,
    /// The only number or date seen at this place, and whether there are others: such a value is a version (`/2010-04-01/`).
    pub only: Option<Box<str>>,
    pub several: bool,
    /// The parameter's name in a file.
    pub given: Option<Box<str>>,
}

/// Bytes that a parameter's values take, with all masks and the only value.
pub const BYTES: usize = size_of::<Values>() + MASKS * (LONGEST_MASK + size_of::<Box<str>>()) + 64;

impl Values {
    pub fn see(&mut self, value: &str, kind: Option<SegmentKind>) {
        let by = &mut self.by_kind[kind.map_or(WORDS, |kind| kind as usize)];
        *by = by.saturating_add(1);
        if self.sketch.see(hash(value)) {
            self.mask(value);
        }
    }

    /// Whether some value could be a word.
    pub const fn has_words(&self) -> bool {
        self.by_kind[WORDS] > 0
    }

    fn mask(&mut self, value: &str) {
        if self.masks.len() == MASKS {
            return;
        }
        let mask: String = value
            .chars()
            .take(LONGEST_MASK)
            .map(|char| match char {
                '0'..='9' => '9',
                'a'..='z' => 'a',
                'A'..='Z' => 'A',
                char if char.is_ascii_punctuation() => char,
                _ => '?',
            })
            .collect();
        if !self.masks.iter().any(|known| **known == mask) {
            self.masks.push(mask.into());
        }
    }

    /// Remembers the place's only value while it is the only one.
    pub fn see_only(&mut self, value: &str) {
        match &self.only {
            None if !self.several => self.only = Some(value.into()),
            Some(only) if **only != *value => self.see_others(),
            _ => {}
        }
    }

    /// Other values stand at this place, too.
    pub fn see_others(&mut self) {
        self.only = None;
        self.several = true;
    }

    pub fn merge(&mut self, other: Self) {
        self.sketch.merge(&other.sketch);
        for (own, theirs) in self.by_kind.iter_mut().zip(other.by_kind) {
            *own = own.saturating_add(theirs);
        }
        self.words += other.words;
        self.once += other.once;
        for mask in other.masks {
            if self.masks.len() < MASKS && !self.masks.contains(&mask) {
                self.masks.push(mask);
            }
        }
        self.several |= other.several;
        match other.only {
            Some(only) if !self.several => self.see_only(&only),
            _ => {}
        }
        if self.several {
            self.only = None;
        }
        self.given = self.given.take().or(other.given);
    }

    /// How many different values there were, about.
    #[must_use]
    pub fn kinds(&self) -> u64 {
        self.sketch.kinds()
    }
}

/// FNV-1a with a finisher, so that the low bits are as good as the high ones.
#[must_use]
pub fn hash(text: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    finished(hash)
}

/// Spreads a hash over all its bits (the finisher of `MurmurHash3`).
pub const fn finished(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_near_the_number() {
        for number in [1_u32, 5, 50, 1_000, 20_000] {
            let mut values = Values::default();
            for value in 0..number {
                values.see(&value.to_string(), Some(SegmentKind::Number));
            }
            let found = values.kinds() as f64;
            assert!((found / f64::from(number) - 1.0).abs() < 0.4, "{number}: {found}");
        }
    }

    #[test]
    fn no_value_is_kept() {
        let mut values = Values::default();
        values.see("Geheim-42", None);
        assert_eq!(&*values.masks[0], "Aaaaaa-99");
    }
}
