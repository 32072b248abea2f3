//! The noise inside a field: the parts in which a side disagreed with itself, by class and neighbours.

use serde::{Deserialize, Serialize};

use super::difference::MAX_HUNKS;
use super::gaps::joins;
use super::token::{Hunk, class};

/// Parts seen in replays that are too few to say that no other part is noise.
const FEW: u64 = 20;

/// Parts that are joined by marks, and vary each by itself.
const MAX_JOINED: usize = 3;

/// A masked part, and in how many replays it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mask {
    part: Hunk,
    times: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Masks {
    list: Vec<Mask>,
    /// So much of the field is noise that nothing of it is compared.
    whole: bool,
    /// In some replay the field said something beside the parts that differed.
    #[serde(default)]
    rest: bool,
    /// In some replay it said nothing beside them.
    #[serde(default)]
    bare: bool,
}

impl Masks {
    /// Learns from one replay; `rest`: the field said something beside these parts.
    pub(super) fn learn(&mut self, hunks: &[Hunk], rest: bool) {
        self.rest |= rest;
        self.bare |= !rest;
        for hunk in hunks {
            self.add(Mask { part: Hunk { classes: widened(hunk.classes), ..*hunk }, times: 1 });
        }
    }

    fn add(&mut self, mask: Mask) {
        if let Some(known) = self.list.iter_mut().find(|known| same_place(&known.part, &mask.part)) {
            known.part.classes |= mask.part.classes;
            known.times = known.times.saturating_add(mask.times);
        } else if self.list.len() < MAX_HUNKS {
            self.list.push(mask);
        } else {
            self.whole = true;
        }
    }

    /// Whether all that differs is masked.
    pub(super) fn cover(&self, hunks: &[Hunk]) -> bool {
        self.whole
            || hunks.iter().all(|hunk| {
                let covers = |mask: &Mask| same_place(&mask.part, hunk) && hunk.classes & !mask.part.classes == 0;
                self.list.iter().any(covers) || self.join_over(hunk.before, hunk, class::PUNCTUATION, MAX_JOINED)
            })
    }

    /// Whether masked parts side by side, joined by marks, make up this part: they may vary each by itself.
    fn join_over(&self, from: u32, hunk: &Hunk, classes: u16, most: usize) -> bool {
        let Some(most) = most.checked_sub(1) else { return false };
        let next =
            self.list.iter().map(|mask| mask.part).filter(|part| part.before == from && part.classes & PSEUDO == 0);
        next.into_iter().any(|part| {
            let classes = classes | part.classes;
            part.behind == hunk.behind && hunk.classes & !classes == 0
                || joins(part.behind) && self.join_over(part.behind, hunk, classes, most)
        })
    }

    /// Whether nothing is left that could be compared.
    pub(super) const fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether a fault could always stand beside what is masked.
    pub(super) const fn leaves_a_rest(&self) -> bool {
        self.rest && !self.bare && !self.whole
    }

    /// About how many new parts as many replays again would show. By Good and Turing these are as many as one replay alone has
    /// shown: noise that is not known yet.
    pub(super) fn unseen(&self) -> u64 {
        let once = self.list.iter().filter(|mask| mask.times == 1).count() as u64;
        let all = self.list.iter().map(|mask| mask.times).fold(0, u64::saturating_add);
        // Of a field that was seen to differ a few times alone, other parts may differ the next time.
        if all < FEW { once + u64::from(all > 0) } else { once }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.whole |= other.whole;
        self.rest |= other.rest;
        self.bare |= other.bare;
        other.list.into_iter().for_each(|mask| self.add(mask));
    }
}

/// White space at an end is told apart from nothing by its neighbours alone.
fn same_place(mask: &Hunk, hunk: &Hunk) -> bool {
    (mask.before, mask.behind) == (hunk.before, hunk.behind)
        && (mask.classes & PSEUDO == 0) == (hunk.classes & PSEUDO == 0)
}

/// Differences that have no text.
const PSEUDO: u16 = class::PRESENCE | class::TYPE | class::ORDER | class::WHOLE;

/// An id may come out as letters or as digits alone, and a part that was a number may be a word the next time it is long.
const fn widened(classes: u16) -> u16 {
    if classes & (class::OPAQUE | class::UUID) == 0 {
        classes
    } else {
        classes | class::WORD | class::NUMBER | class::OPAQUE | class::PUNCTUATION
    }
}

#[cfg(test)]
mod tests {
    use super::super::gaps::parts;
    use super::*;

    #[test]
    fn what_is_masked_and_what_is_not() {
        let mut masks = Masks::default();
        for (a, b) in
            [("nonce=a1b2; price 10", "nonce=c3d4; price 10"), ("nonce=a1b2; price 10", "nonce=77f7; price 10")]
        {
            masks.learn(&parts(a, b).hunks, true);
        }
        assert_eq!(masks.unseen(), 1, "twice the same is not much");
        for _ in 0..FEW {
            masks.learn(&parts("nonce=a1b2; price 10", "nonce=c3d4; price 10").hunks, true);
        }
        assert_eq!(masks.unseen(), 0);
        assert!(masks.cover(&parts("nonce=abcd; price 10", "nonce=1234; price 10").hunks));
        assert!(!masks.cover(&parts("nonce=abcd; price 10", "nonce=1234; price 99").hunks));
        assert!(!masks.cover(&[Hunk::of(class::PRESENCE)]));
        assert!(masks.leaves_a_rest());
        masks.learn(&[Hunk::of(class::PRESENCE)], true);
        assert!(masks.cover(&[Hunk::of(class::PRESENCE)]) && !masks.cover(&[Hunk::of(class::ORDER)]));
        masks.learn(&parts("10", "11").hunks, false);
        assert!(!masks.leaves_a_rest(), "once there was nothing else");
        for number in 0..100 {
            masks.learn(&[Hunk { classes: class::WORD, before: number, behind: number }], true);
        }
        assert!(masks.is_whole() && masks.cover(&[Hunk::of(class::ORDER)]));
    }
}
