//! Lists whose order counts: aligned by a key or by what they hold, so that an element that came, went or moved is one
//! difference, and what changed inside an element is named. Time grows with the length: long lists are aligned, too.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64;

use super::align::{Alignment, align};
use super::anchors;
use super::difference::{Found, Kind};
use super::json::Json;
use super::place::Step;
use super::walk::Walk;

/// Names that are tried first as keys.
const KEYS: [&str; 6] = ["id", "uuid", "key", "slug", "name", "href"];

pub(super) fn lists<'v>(walk: &mut Walk<'v, '_, '_>, control: &'v [Json<'v>], candidate: &'v [Json<'v>]) {
    if control.is_empty() && candidate.is_empty() {
        return walk.findings.same();
    }
    let start = control.iter().zip(candidate).take_while(|(a, b)| a == b).count();
    let most = control.len().min(candidate.len()) - start;
    let end = control.iter().rev().zip(candidate.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    if start + end > 0 {
        walk.findings.same();
    }
    let middle =
        |list: &'v [Json<'v>]| list.get(start..list.len() - end).unwrap_or_default().iter().collect::<Vec<_>>();
    references(walk, &middle(control), &middle(candidate));
}

/// The same for elements that do not lie side by side.
pub(super) fn references<'v>(walk: &mut Walk<'v, '_, '_>, control: &[&'v Json<'v>], candidate: &[&'v Json<'v>]) {
    if let ([a], [b]) = (control, candidate) {
        return walk.inside(Step::Item, |walk| walk.values(a, b));
    }
    let rules = walk.findings.rules();
    let key = rules.key(&walk.at).or_else(|| key(control, candidate));
    if let Some(key) = key {
        let keys = |list: &[&'v Json<'v>]| list.iter().map(|item| value(item, key).map_or(0, hash)).collect::<Vec<_>>();
        let found = align(&keys(control), &keys(candidate));
        order(walk, &found);
        walk.inside(Step::Item, |walk| {
            for (x, y) in &found.pairs {
                if let (Some(a), Some(b)) = (control.get(*x), candidate.get(*y)) {
                    walk.values(a, b);
                }
            }
        });
        return leftover(walk, control, candidate, &found, true);
    }
    let hashes = |list: &[&'v Json<'v>]| list.iter().map(|item| hash(item)).collect::<Vec<_>>();
    let mut found = align(&hashes(control), &hashes(candidate));
    if !found.pairs.is_empty() {
        walk.findings.same();
    }
    let known = anchored(control, candidate, &mut found);
    order(walk, &found);
    walk.inside(Step::Item, |walk| known.into_iter().for_each(|(a, b)| walk.values(a, b)));
    leftover(walk, control, candidate, &found, false);
}

/// Elements without an equal that share what no other has: they are taken out of the rest.
fn anchored<'v>(
    control: &[&'v Json<'v>],
    candidate: &[&'v Json<'v>],
    found: &mut Alignment,
) -> Vec<(&'v Json<'v>, &'v Json<'v>)> {
    let of = |list: &[&'v Json<'v>], places: &[usize]| {
        places.iter().filter_map(|at| list.get(*at).copied()).collect::<Vec<_>>()
    };
    let (a, b) = (of(control, &found.only_control), of(candidate, &found.only_candidate));
    if a.len().max(b.len()) < 2 {
        return Vec::new();
    }
    let pairs = anchors::values(&a, &b);
    found.moved |= !pairs.is_sorted_by(|a, b| a.1 < b.1);
    found.only_control = anchors::without(std::mem::take(&mut found.only_control), pairs.iter().map(|(x, _)| *x));
    found.only_candidate = anchors::without(std::mem::take(&mut found.only_candidate), pairs.iter().map(|(_, y)| *y));
    pairs.into_iter().filter_map(|(x, y)| Some((*a.get(x)?, *b.get(y)?))).collect()
}

fn order(walk: &mut Walk<'_, '_, '_>, found: &Alignment) {
    if found.moved {
        let field = format!("{} order", walk.findings.named(&walk.at));
        walk.findings.add(field, Kind::Order, Found::Nothing, Found::Nothing);
    }
}

/// Elements without a partner: those at one place are one element that changed, the others came or went.
fn leftover<'v>(
    walk: &mut Walk<'v, '_, '_>,
    control: &[&'v Json<'v>],
    candidate: &[&'v Json<'v>],
    found: &Alignment,
    keyed: bool,
) {
    let (left, right) = (&found.only_control, &found.only_candidate);
    walk.inside(Step::Item, |walk| {
        let together = if keyed && left.len() != right.len() { 0 } else { left.len().min(right.len()) };
        for (x, y) in left.iter().zip(right).take(together) {
            if let (Some(a), Some(b)) = (control.get(*x), candidate.get(*y)) {
                walk.values(a, b);
            }
        }
        if let Some(item) = left.get(together).and_then(|at| control.get(*at)) {
            walk.differ(Kind::Missing, Found::Json(item), Found::Nothing);
        }
        if let Some(item) = right.get(together).and_then(|at| candidate.get(*at)) {
            walk.differ(Kind::Extra, Found::Nothing, Found::Json(item));
        }
    });
}

/// The name of a member that tells the elements of both lists apart, and that most of them share.
fn key<'v>(control: &[&'v Json<'v>], candidate: &[&'v Json<'v>]) -> Option<&'v str> {
    let Some(Json::Object(members)) = control.first() else { return None };
    let names = KEYS
        .iter()
        .filter_map(|wanted| members.iter().find(|(name, _)| name == wanted))
        .chain(members)
        .map(|(name, _)| &**name);
    let mut tried = 0;
    names
        .take_while(|_| {
            tried += 1;
            tried <= 16
        })
        .find(|name| tells_apart(name, control, candidate))
}

fn tells_apart(name: &str, control: &[&Json<'_>], candidate: &[&Json<'_>]) -> bool {
    let values = |list: &[&Json<'_>]| {
        let mut seen = HashSet::with_capacity(list.len());
        let unique = list.iter().all(|item| {
            value(item, name)
                .is_some_and(|value| matches!(value, Json::String(_) | Json::Number(_)) && seen.insert(hash(value)))
        });
        unique.then_some(seen)
    };
    let (Some(a), Some(b)) = (values(control), values(candidate)) else { return false };
    let shared = a.intersection(&b).count();
    shared > 0 && shared * 2 >= a.len().min(b.len())
}

fn value<'v>(item: &'v Json<'v>, name: &str) -> Option<&'v Json<'v>> {
    match item {
        Json::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
        _ => None,
    }
}

/// Equal for equal values; the order of keys does not count.
fn hash(value: &Json<'_>) -> u64 {
    const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
    match value {
        Json::Null => 1,
        Json::Bool(value) => 2 + u64::from(*value),
        Json::Number(text) => xxh3_64(text.as_bytes()).wrapping_add(5),
        Json::String(text) => xxh3_64(text.as_bytes()),
        Json::Array(items) => {
            items.iter().fold(7, |sum: u64, item| (sum.rotate_left(5) ^ hash(item)).wrapping_mul(MIX))
        }
        Json::Object(members) => members.iter().fold(11, |sum: u64, (key, value)| {
            sum.wrapping_add((xxh3_64(key.as_bytes()).rotate_left(17) ^ hash(value)).wrapping_mul(MIX))
        }),
    }
}
