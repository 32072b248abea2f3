//! Lists whose order does not count: compared as bags.

use std::cmp::Ordering;

use super::difference::{Found, Kind};
use super::json::{Json, write_canonical_number, write_string};
use super::place::Step;
use super::rules::Rules;
use super::walk::Walk;

/// Members without an exact partner that are still tried against each other; trying is quadratic.
const MAX_LEFT: usize = 32;

/// Pairs equal members first, then those that a tolerance makes equal; what is left differs.
pub(super) fn lists<'v>(walk: &mut Walk<'v, '_, '_>, control: &'v [Json<'v>], candidate: &'v [Json<'v>]) {
    if control.len() != candidate.len() {
        // The same shapes as for ordered lists: a length says enough.
        let (control, candidate) = (Json::Array(control.to_vec()), Json::Array(candidate.to_vec()));
        walk.differ(Kind::Length, Found::Json(&control), Found::Json(&candidate));
        return;
    }
    walk.inside(Step::Item, |walk| {
        let rules = walk.findings.rules();
        let (a, b) = left_over(&canonical(control, &mut walk.at, rules), &canonical(candidate, &mut walk.at, rules));
        let tried = a.len() <= MAX_LEFT && walk.findings.may_try(a.len() * b.len());
        let (a, b) = if tried { unmatched(walk, &a, &b) } else { (a, b) };
        match (a.as_slice(), b.as_slice()) {
            ([], _) | (_, []) => {}
            // One changed member: its own fields can be named.
            ([a], [b]) => walk.values(a, b),
            ([a, ..], [b, ..]) => walk.differ(Kind::Members, Found::Json(a), Found::Json(b)),
        }
    });
}

type Canonical<'v> = (String, &'v Json<'v>);

fn canonical<'v>(list: &'v [Json<'v>], at: &mut Vec<Step<'v>>, rules: &Rules) -> Vec<Canonical<'v>> {
    let mut texts = list
        .iter()
        .map(|item| {
            let mut text = String::new();
            write(item, at, rules, &mut text);
            (text, item)
        })
        .collect::<Vec<_>>();
    texts.sort_by(|(a, _), (b, _)| a.cmp(b));
    texts
}

/// The members without a partner of the same text on the other side.
fn left_over<'v>(a: &[Canonical<'v>], b: &[Canonical<'v>]) -> (Vec<&'v Json<'v>>, Vec<&'v Json<'v>>) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return (left, right),
            (Some((x, _)), Some((y, _))) => x.cmp(y),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
        };
        if order == Ordering::Equal {
            a.next();
            b.next();
        } else if order == Ordering::Less {
            left.extend(a.next().map(|(_, item)| *item));
        } else {
            right.extend(b.next().map(|(_, item)| *item));
        }
    }
}

/// The members that stay alone in the largest pairing of equals (augmenting paths), so that the outcome does not
/// depend on which side is asked first.
fn unmatched<'v>(
    walk: &Walk<'v, '_, '_>,
    a: &[&'v Json<'v>],
    b: &[&'v Json<'v>],
) -> (Vec<&'v Json<'v>>, Vec<&'v Json<'v>>) {
    let equal = a.iter().map(|a| b.iter().map(|b| walk.equal(a, b)).collect::<Vec<_>>()).collect::<Vec<_>>();
    let mut partner: Vec<Option<usize>> = vec![None; b.len()];
    let alone = (0..a.len())
        .filter(|from| !augment(*from, &equal, &mut partner, &mut vec![false; b.len()]))
        .collect::<Vec<_>>();
    let left = alone.into_iter().filter_map(|index| a.get(index).copied()).collect();
    let right = b.iter().zip(&partner).filter(|(_, partner)| partner.is_none()).map(|(b, _)| *b).collect();
    (left, right)
}

fn augment(from: usize, equal: &[Vec<bool>], partner: &mut Vec<Option<usize>>, seen: &mut Vec<bool>) -> bool {
    for (to, same) in equal.get(from).into_iter().flatten().enumerate() {
        if !same || seen.get(to).copied().unwrap_or(true) {
            continue;
        }
        if let Some(seen) = seen.get_mut(to) {
            *seen = true;
        }
        let free = match partner.get(to).copied().flatten() {
            None => true,
            Some(other) => augment(other, equal, partner, seen),
        };
        if free {
            if let Some(place) = partner.get_mut(to) {
                *place = Some(from);
            }
            return true;
        }
    }
    false
}

/// A text that is the same for values that are the same under the rules, tolerances aside.
fn write<'v>(value: &'v Json<'v>, at: &mut Vec<Step<'v>>, rules: &Rules, out: &mut String) {
    if rules.ignores_json(at) {
        return;
    }
    match value {
        Json::Number(text) if rules.numbers_as_written() => out.push_str(text),
        Json::Number(text) => write_canonical_number(out, text),
        Json::Array(items) => {
            let unordered = rules.is_unordered(at);
            at.push(Step::Item);
            let mut texts = Vec::with_capacity(items.len());
            for item in items {
                let mut text = String::new();
                write(item, at, rules, &mut text);
                texts.push(text);
            }
            at.pop();
            if unordered {
                texts.sort();
            }
            out.push('[');
            out.push_str(&texts.join(","));
            out.push(']');
        }
        Json::Object(members) => {
            let mut members = members.iter().collect::<Vec<_>>();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            out.push('{');
            for (key, value) in members {
                at.push(Step::Key { name: key, data: false });
                if !rules.ignores_json(at) {
                    write_string(out, key);
                    out.push(':');
                    write(value, at, rules, out);
                    out.push(',');
                }
                at.pop();
            }
            out.push('}');
        }
        other => other.write(out),
    }
}

#[cfg(test)]
mod tests {
    use super::super::difference::Findings;
    use super::super::redact::Secrets;
    use super::super::walk::documents;
    use super::super::{Rules, WrittenRules};
    use super::*;

    fn fields(control: &str, candidate: &str) -> Vec<String> {
        let rules = Rules::new(&WrittenRules {
            unordered: vec!["$.tags".to_owned(), "$.tags[*].sub".to_owned()],
            tolerance: vec![("$.tags[*]".to_owned(), 1.0)],
            ignore: vec!["$.tags[*].at".to_owned()],
            ..WrittenRules::default()
        })
        .expect("valid");
        let mut findings = Findings::new(&rules, Secrets::default());
        documents(&Json::parse(control).expect(control), &Json::parse(candidate).expect(candidate), &mut findings);
        findings.into_list().into_iter().map(|found| format!("{} {}", found.field, found.kind.as_str())).collect()
    }

    #[test]
    fn order_does_not_count_and_members_do() {
        for (control, candidate, expected) in [
            (r#"{"tags":["a","b","b"]}"#, r#"{"tags":["b","a","b"]}"#, &[][..]),
            (r#"{"tags":["a","b","b"]}"#, r#"{"tags":["a","a","b"]}"#, &["$.tags[*] value"]),
            (r#"{"tags":["a"]}"#, r#"{"tags":["a","a"]}"#, &["$.tags length"]),
            (r#"{"tags":["a","b"]}"#, r#"{"tags":["c","d"]}"#, &["$.tags[*] members"]),
            (r#"{"tags":[{"x":1.0,"y":2},{"x":3}]}"#, r#"{"tags":[{"x":3},{"y":2,"x":1}]}"#, &[]),
            (
                r#"{"tags":[{"n":"a","p":1},{"n":"b"}]}"#,
                r#"{"tags":[{"n":"b"},{"n":"a","p":2}]}"#,
                &["$.tags[*].p value"],
            ),
            (r#"{"tags":[{"sub":[1,2],"n":"a"}]}"#, r#"{"tags":[{"sub":[2,1],"n":"a"}]}"#, &[]),
            (r#"{"tags":[{"at":1,"n":1},{"n":2}]}"#, r#"{"tags":[{"n":2,"at":3},{"n":1}]}"#, &[]),
        ] {
            assert_eq!(fields(control, candidate), expected, "{control} {candidate}");
            assert_eq!(fields(candidate, control).len(), expected.len(), "{candidate} {control}");
        }
    }

    #[test]
    fn lists_in_lists_in_lists_do_not_take_for_ever() {
        let rules = Rules::new(&WrittenRules {
            unordered: ["$", "$[*]", "$[*][*]", "$[*][*][*]"].map(str::to_owned).to_vec(),
            ..WrittenRules::default()
        })
        .expect("valid");
        let nested = |leaf: &str| {
            (0..4).fold(leaf.to_owned(), |inner, level| {
                let members = (0..10).map(|n| inner.replace('n', &format!("{level}{n}n")));
                format!("[{}]", members.collect::<Vec<_>>().join(","))
            })
        };
        let (control, candidate) = (nested("\"n\""), nested("\"xn\""));
        let mut findings = Findings::new(&rules, Secrets::default());
        documents(&Json::parse(&control).expect("json"), &Json::parse(&candidate).expect("json"), &mut findings);
        assert!(findings.any());
    }

    #[test]
    fn a_tolerance_finds_the_largest_pairing_from_either_side() {
        // 1 could take 0 or 2, but 3 can take 2 alone.
        for (control, candidate) in [("[1,3]", "[2,0]"), ("[3,1]", "[2,0]"), ("[2,0]", "[1,3]"), ("[0,2]", "[3,1]")] {
            let document = |list: &str| format!("{{\"tags\":{list}}}");
            assert_eq!(fields(&document(control), &document(candidate)), [""; 0], "{control} {candidate}");
        }
    }
}
