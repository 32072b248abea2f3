//! Aligns two lists, so that one inserted element is one difference and a moved one is a matter of order.

use std::collections::HashMap;
use std::hash::Hash;

/// Pairs that are looked at for the longest common subsequence.
const MAX_PAIRS: usize = 250_000;

/// How often lists that are too long are parted by what stands once in both.
const MAX_PARTED: usize = 8;

/// Which places belong together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Alignment {
    pub(super) pairs: Vec<(usize, usize)>,
    /// Some of the pairs stand in another order.
    pub(super) moved: bool,
    pub(super) only_control: Vec<usize>,
    pub(super) only_candidate: Vec<usize>,
}

/// The common elements of two lists, as rising pairs of places: their equal ends, and between those the longest common
/// subsequence. Beyond `most` pairs of places, elements that stand once in both parts the lists first, as in a patience diff.
pub(super) fn in_order<T: Eq + Hash>(control: &[T], candidate: &[T], most: usize) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let mut left = most;
    between(control, candidate, [0, 0], &mut left, MAX_PARTED, &mut pairs);
    pairs
}

fn between<T: Eq + Hash>(
    control: &[T],
    candidate: &[T],
    from: [usize; 2],
    left: &mut usize,
    depth: usize,
    pairs: &mut Vec<(usize, usize)>,
) {
    let start = control.iter().zip(candidate).take_while(|(a, b)| a == b).count();
    let room = control.len().min(candidate.len()) - start;
    let end = control.iter().rev().zip(candidate.iter().rev()).take(room).take_while(|(a, b)| a == b).count();
    let a = control.get(start..control.len() - end).unwrap_or_default();
    let b = candidate.get(start..candidate.len() - end).unwrap_or_default();
    pairs.extend((0..start).map(|at| (from[0] + at, from[1] + at)));
    let inner = from.map(|at| at + start);
    if let Some(rest) = left.checked_sub(a.len().saturating_mul(b.len())) {
        *left = rest;
        let same = longest(a.len(), b.len(), |x, y| a.get(x) == b.get(y));
        pairs.extend(same.into_iter().map(|(x, y)| (x + inner[0], y + inner[1])));
    } else if depth > 0 {
        let mut at = [0, 0];
        let anchors = rising(&once_in_both(a, b));
        // Without one, nothing becomes smaller.
        let ends = if anchors.is_empty() { None } else { Some((a.len(), b.len())) };
        for (x, y) in anchors.into_iter().chain(ends) {
            let (a, b) = (a.get(at[0]..x).unwrap_or_default(), b.get(at[1]..y).unwrap_or_default());
            between(a, b, [inner[0] + at[0], inner[1] + at[1]], left, depth - 1, pairs);
            if ends != Some((x, y)) {
                pairs.push((inner[0] + x, inner[1] + y));
            }
            at = [x + 1, y + 1];
        }
    }
    pairs.extend((0..end).map(|at| (from[0] + control.len() - end + at, from[1] + candidate.len() - end + at)));
}

/// The places of what stands exactly once in each list, by the place in the first.
fn once_in_both<T: Eq + Hash>(a: &[T], b: &[T]) -> Vec<(usize, usize)> {
    let mut places: HashMap<&T, [Option<usize>; 2]> = HashMap::new();
    // A place behind the end: it stands several times.
    let several = a.len() + b.len();
    for (side, list) in [a, b].into_iter().enumerate() {
        for (at, one) in list.iter().enumerate() {
            let place = &mut places.entry(one).or_default()[side];
            *place = Some(if place.is_some() { several } else { at });
        }
    }
    let once = places.into_values().filter_map(|[x, y]| Some((x?, y?)));
    let mut once: Vec<_> = once.filter(|(x, y)| *x != several && *y != several).collect();
    once.sort_unstable();
    once
}

/// The longest part of these pairs in which the second places rise as well.
fn rising(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // The pairs at which rising lists of each length end lowest, and the pair before each.
    let (mut ends, mut before) = (Vec::<usize>::new(), Vec::with_capacity(pairs.len()));
    for (at, (_, y)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| pairs[*end].1 < *y);
        before.push(length.checked_sub(1).map(|last| ends[last]));
        if length < ends.len() {
            ends[length] = at;
        } else {
            ends.push(at);
        }
    }
    let mut out: Vec<_> = std::iter::successors(ends.last().copied(), |at| before[*at]).map(|at| pairs[at]).collect();
    out.reverse();
    out
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
        // Between two that came, with equal ones among them: nothing has moved.
        let list = |first: &[u64], last| {
            let middle = (1..5000).flat_map(|one| [one, 0]);
            first.iter().copied().chain(middle).chain([last]).collect::<Vec<_>>()
        };
        let found = align(&list(&[], 7000), &list(&[0, 6000], 8000));
        assert!(!found.moved);
        assert_eq!((found.only_control, found.only_candidate), (vec![9998], vec![0, 1, 10_000]));
        let (a, b): (Vec<u64>, Vec<u64>) = ((0..5000).collect(), (0..5000).rev().collect());
        let found = align(&a, &b);
        assert!(found.moved && found.only_control.is_empty());
    }
}
