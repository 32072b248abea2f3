//! Aligns two lists, so that one inserted element is one difference and a moved one is a matter of order.

use std::collections::HashMap;

/// Pairs that are looked at for the longest common subsequence; longer lists are aligned by their equals alone.
const MAX_PAIRS: usize = 250_000;

/// Which places belong together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Alignment {
    pub(super) pairs: Vec<(usize, usize)>,
    /// Some of the pairs stand in another order.
    pub(super) moved: bool,
    pub(super) only_control: Vec<usize>,
    pub(super) only_candidate: Vec<usize>,
}

/// What two lists have in common, as rising pairs of places: their equal ends, and between those the longest common subsequence,
/// if no more than `most` pairs have to be looked at for it.
pub(super) fn in_order<T: PartialEq>(control: &[T], candidate: &[T], most: usize) -> Vec<(usize, usize)> {
    let start = control.iter().zip(candidate).take_while(|(a, b)| a == b).count();
    let room = control.len().min(candidate.len()) - start;
    let end = control.iter().rev().zip(candidate.iter().rev()).take(room).take_while(|(a, b)| a == b).count();
    let mut pairs: Vec<_> = (0..start).map(|at| (at, at)).collect();
    let a = control.get(start..control.len() - end).unwrap_or_default();
    let b = candidate.get(start..candidate.len() - end).unwrap_or_default();
    if !a.is_empty() && !b.is_empty() && a.len().saturating_mul(b.len()) <= most {
        let same = longest(a.len(), b.len(), |x, y| a.get(x) == b.get(y));
        pairs.extend(same.into_iter().map(|(x, y)| (x + start, y + start)));
    }
    pairs.extend((0..end).map(|at| (control.len() - end + at, candidate.len() - end + at)));
    pairs
}

/// Pairs equal signatures: in order as far as possible, then those that have moved.
pub(super) fn align(control: &[u64], candidate: &[u64]) -> Alignment {
    let mut pairs = in_order(control, candidate, MAX_PAIRS);
    let (mut taken_a, mut taken_b) = (vec![false; control.len()], vec![false; candidate.len()]);
    let take = |taken: &mut Vec<bool>, at: usize| taken.get_mut(at).into_iter().for_each(|taken| *taken = true);
    for (x, y) in &pairs {
        take(&mut taken_a, *x);
        take(&mut taken_b, *y);
    }
    let mut left: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, signature) in candidate.iter().enumerate().rev().filter(|(at, _)| taken_b.get(*at) == Some(&false)) {
        left.entry(*signature).or_default().push(at);
    }
    for (at, signature) in control.iter().enumerate() {
        if taken_a.get(at) == Some(&false)
            && let Some(other) = left.get_mut(signature).and_then(Vec::pop)
        {
            pairs.push((at, other));
            take(&mut taken_a, at);
            take(&mut taken_b, other);
        }
    }
    pairs.sort_unstable();
    let moved = !pairs.is_sorted_by(|a, b| a.1 < b.1);
    let rest = |taken: &[bool]| taken.iter().enumerate().filter(|(_, taken)| !**taken).map(|(at, _)| at).collect();
    Alignment { moved, only_control: rest(&taken_a), only_candidate: rest(&taken_b), pairs }
}

/// The longest common subsequence of two lists of these lengths, as rising pairs of places. Takes time and room of their product.
fn longest(a: usize, b: usize, same: impl Fn(usize, usize) -> bool) -> Vec<(usize, usize)> {
    let width = b + 1;
    let mut lengths = vec![0_u32; (a + 1) * width];
    let at = |x: usize, y: usize| x * width + y;
    for x in (0..a).rev() {
        for y in (0..b).rev() {
            let length = if same(x, y) {
                lengths[at(x + 1, y + 1)] + 1
            } else {
                lengths[at(x + 1, y)].max(lengths[at(x, y + 1)])
            };
            lengths[at(x, y)] = length;
        }
    }
    let (mut x, mut y) = (0, 0);
    let mut pairs = Vec::new();
    while x < a && y < b {
        if same(x, y) {
            pairs.push((x, y));
            x += 1;
            y += 1;
        } else if lengths[at(x + 1, y)] >= lengths[at(x, y + 1)] {
            x += 1;
        } else {
            y += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insertion_removal_and_order() {
        for (a, b, pairs, moved, only) in [
            (&[1, 2, 3][..], &[1, 2, 3][..], 3, false, (0, 0)),
            (&[1, 2, 3], &[9, 1, 2, 3], 3, false, (0, 1)),
            (&[1, 2, 3], &[1, 3], 2, false, (1, 0)),
            (&[2, 1], &[1, 2, 1], 2, false, (0, 1)),
            (&[1, 2, 3], &[3, 1, 2], 3, true, (0, 0)),
            (&[1, 1, 2], &[1, 2, 1], 3, true, (0, 0)),
            (&[], &[1], 0, false, (0, 1)),
        ] {
            let found = align(a, b);
            assert_eq!((found.pairs.len(), found.moved), (pairs, moved), "{a:?} {b:?}");
            assert_eq!((found.only_control.len(), found.only_candidate.len()), only, "{a:?} {b:?}");
        }
        let (a, b): (Vec<u64>, Vec<u64>) = ((0..5000).collect(), (0..5000).rev().collect());
        let found = align(&a, &b);
        assert!(found.moved && found.only_control.is_empty());
    }
}
