//! Pairs elements of pages and of lists that are not equal by a text, an attribute or a value which one element of each side has
//! and no other has.
//!
//! A row that came or went moves all rows behind it. Where each row holds noise besides, equal rows cannot be found by what they
//! hold as a whole; the unique part that two rows share finds them, as in a patience diff.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use xxhash_rust::xxh3::xxh3_64;

use super::json::Json;
use super::tree::{Content, Subtree};

/// Nodes of an element that are looked at.
const MAX_NODES: usize = 200;

/// Bytes beyond which a shared part weighs no more.
const HEAVIEST: u64 = 64;

/// The list without these places.
pub(super) fn without<T>(list: Vec<T>, places: impl Iterator<Item = usize>) -> Vec<T> {
    let places: HashSet<_> = places.collect();
    list.into_iter().enumerate().filter(|(at, _)| !places.contains(at)).map(|(_, one)| one).collect()
}

/// Where a part stands on one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Holder {
    #[default]
    Nowhere,
    At(usize),
    Several,
}

#[derive(Debug, Default)]
struct Shared {
    holders: [Holder; 2],
    /// Long parts say more than short ones: a name, not the number of a row.
    weight: u64,
}

/// The weight of what is shared, the distance, and the place counted from the end: the greatest is the best partner.
type Partner = (u64, Reverse<usize>, usize);

/// The elements of two pages that are each other's best partner, by their places, in the order of the first side.
pub(super) fn pairs(control: &[Subtree<'_>], candidate: &[Subtree<'_>]) -> Vec<(usize, usize)> {
    best(control, candidate, |element, found| each_part(element, found))
}

/// The same for elements of two lists.
pub(super) fn values(control: &[&Json<'_>], candidate: &[&Json<'_>]) -> Vec<(usize, usize)> {
    best(control, candidate, |element, found| each_value(element, 0, &mut MAX_NODES.clone(), found))
}

/// `each` hands out hash and weight of the parts of an element.
fn best<T: Copy>(control: &[T], candidate: &[T], each: impl Fn(T, &mut dyn FnMut(u64, u64))) -> Vec<(usize, usize)> {
    if control.is_empty() || candidate.is_empty() {
        return Vec::new();
    }
    let mut parts: HashMap<u64, Shared> = HashMap::new();
    for (side, elements) in [control, candidate].into_iter().enumerate() {
        for (at, element) in elements.iter().enumerate() {
            each(*element, &mut |hash, weight| {
                let shared = parts.entry(hash).or_default();
                shared.weight = weight;
                if let Some(holder) = shared.holders.get_mut(side) {
                    *holder = match *holder {
                        Holder::Nowhere => Holder::At(at),
                        Holder::At(known) if known == at => Holder::At(at),
                        _ => Holder::Several,
                    };
                }
            });
        }
    }
    let mut weights: HashMap<(usize, usize), u64> = HashMap::new();
    for Shared { holders, weight } in parts.into_values() {
        if let [Holder::At(x), Holder::At(y)] = holders {
            *weights.entry((x, y)).or_default() += weight;
        }
    }
    let mut best: [HashMap<usize, Partner>; 2] = Default::default();
    for ((x, y), weight) in weights {
        for (known, from, to) in [(0, x, y), (1, y, x)] {
            let Some(known) = best.get_mut(known) else { continue };
            // The heavier one, then the nearer one, then one of two for certain.
            let found = (weight, Reverse(x.abs_diff(y)), usize::MAX - to);
            let entry = known.entry(from).or_insert(found);
            *entry = found.max(*entry);
        }
    }
    let [of_control, of_candidate] = best;
    let partner = |found: &Partner| usize::MAX - found.2;
    let mut pairs: Vec<_> = of_control.iter().map(|(x, found)| (*x, partner(found))).collect();
    pairs.retain(|(x, y)| of_candidate.get(y).is_some_and(|found| partner(found) == *x));
    pairs.sort_unstable();
    pairs
}

/// Every text and every attribute in an element, with the element's tag, so that only elements of one tag share any.
fn each_part(subtree: Subtree<'_>, found: &mut dyn FnMut(u64, u64)) {
    let Some(Content::Element(root)) = subtree.first().map(|node| &node.content) else { return };
    let tag = root.tag.get_hash().rotate_left(32);
    let mut part = |name: u64, text: &str| {
        let hash = xxh3_64(text.as_bytes()) ^ (tag ^ name).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        found(hash, (text.len() as u64).min(HEAVIEST));
    };
    for node in subtree.iter().take(MAX_NODES) {
        match &node.content {
            Content::Element(element) => {
                for attribute in &element.attributes {
                    part(attribute.name.local.get_hash(), &attribute.value);
                }
            }
            Content::Text(text) | Content::Data(text) => part(0, text),
        }
    }
}

/// Every text and every number in a value, with the keys on the way to it, so that only members of one name share any.
fn each_value(value: &Json<'_>, path: u64, left: &mut usize, found: &mut dyn FnMut(u64, u64)) {
    const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
    let Some(rest) = left.checked_sub(1) else { return };
    *left = rest;
    match value {
        Json::Null | Json::Bool(_) => {}
        Json::Number(text) => {
            found(xxh3_64(text.as_bytes()) ^ path.wrapping_add(MIX), (text.len() as u64).min(HEAVIEST));
        }
        Json::String(text) => found(xxh3_64(text.as_bytes()) ^ path, (text.len() as u64).min(HEAVIEST)),
        Json::Array(items) => {
            let path = path.rotate_left(7).wrapping_add(1).wrapping_mul(MIX);
            for item in items {
                each_value(item, path, left, found);
            }
        }
        Json::Object(members) => {
            for (key, value) in members {
                let path = (path.rotate_left(7) ^ xxh3_64(key.as_bytes())).wrapping_mul(MIX);
                each_value(value, path, left, found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::html;
    use super::super::tree::children;
    use super::*;

    fn paired(control: &str, candidate: &str) -> Vec<(usize, usize)> {
        let [a, b] = [control, candidate].map(|page| html::parse(page).expect("a page"));
        pairs(&children(&a).collect::<Vec<_>>(), &children(&b).collect::<Vec<_>>())
    }

    #[test]
    fn elements_find_each_other_by_what_no_other_has() {
        for (control, candidate, expected) in [
            ("<p>a<i>1</i><p>b<i>2</i><p>c<i>3</i>", "<p>a<i>9</i><p>c<i>8</i>", &[(0, 0), (2, 1)][..]),
            ("<p>a<i>1</i><p>b<i>2</i>", "<p>b<i>9</i><p>a<i>8</i>", &[(0, 1), (1, 0)]),
            // The name of a row weighs more than its number.
            ("<p>1<i>one</i><b>x</b><p>2<i>two</i><b>y</b>", "<p>1<i>two</i><b>z</b>", &[(1, 0)]),
            // A text that several have says nothing, nor does an element of another tag.
            ("<p>a<i>1</i><p>a<i>2</i>", "<p>a<i>9</i><p>a<i>8</i>", &[]),
            ("<p>a<i>1</i></p>", "<div>a<i>9</i></div>", &[]),
            ("<p data-id=7>x", "<p data-id=8>z<p data-id=7>y", &[(0, 1)]),
            ("", "<p>a", &[]),
        ] {
            assert_eq!(paired(control, candidate), expected, "{control} {candidate}");
            let mut back: Vec<_> = paired(candidate, control).into_iter().map(|(x, y)| (y, x)).collect();
            back.sort_unstable();
            assert_eq!(back, expected, "{candidate} {control}");
        }
    }
}
