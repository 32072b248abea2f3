//! Texts without fields: line by line, then token by token.

use xxhash_rust::xxh3::xxh3_64;

use super::align::align;
use super::difference::{Findings, Found, Kind};

/// The field of every line.
const LINE: &str = "line[*]";

pub(super) fn texts(control: &str, candidate: &str, findings: &mut Findings<'_>) {
    if control.is_empty() || candidate.is_empty() {
        let shown = |text| if str::is_empty(text) { Found::Nothing } else { Found::Text(text) };
        let kind = if candidate.is_empty() { Kind::Missing } else { Kind::Extra };
        return findings.add("body".to_owned(), kind, shown(control), shown(candidate));
    }
    let (a, b) = (split(control), split(candidate));
    let hashes = |lines: &[&str]| lines.iter().map(|line| xxh3_64(line.as_bytes())).collect::<Vec<_>>();
    let found = align(&hashes(&a), &hashes(&b));
    if !found.pairs.is_empty() {
        findings.same();
    }
    if found.moved {
        findings.add(format!("{LINE} order"), Kind::Order, Found::Nothing, Found::Nothing);
    }
    let (left, right) = (&found.only_control, &found.only_candidate);
    let shared = left.len().min(right.len());
    for (x, y) in left.iter().zip(right) {
        if findings.is_settled() {
            break;
        }
        if let (Some(a), Some(b)) = (a.get(*x), b.get(*y)) {
            findings.texts(LINE.to_owned(), a, b, false);
        }
    }
    if let Some(line) = left.get(shared).and_then(|at| a.get(*at)) {
        findings.add(LINE.to_owned(), Kind::Missing, Found::Text(line), Found::Nothing);
    }
    if let Some(line) = right.get(shared).and_then(|at| b.get(*at)) {
        findings.add(LINE.to_owned(), Kind::Extra, Found::Nothing, Found::Text(line));
    }
}

/// A carriage return before a line feed is part of the line's end, which must be the same.
fn split(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}
