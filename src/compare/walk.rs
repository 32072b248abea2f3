//! Walks two JSON documents side by side and names the fields in which they differ.
//!
//! - The order of keys never counts. A key that is repeated is compared occurrence by occurrence, because programs
//!   disagree about which one holds.
//! - Null and absent are different. Lists are aligned: see `lists`.
//! - A value under a redacted name is compared as a whole, so that no name inside it is ever kept.

use std::collections::HashMap;

use super::difference::{Findings, Found, Kind};
use super::json::Json;
use super::number;
use super::place::{MAX_KEYS, Step, looks_like_data};
use super::redact::Redactor;
use super::{lists, unordered};

pub(super) struct Walk<'v, 'f, 'r> {
    pub(super) at: Vec<Step<'v>>,
    pub(super) findings: &'f mut Findings<'r>,
    /// Keys are numbers of fields, and a field that is repeated is a list.
    numbered: bool,
    /// The known keys: whether they are data, and what they hide. Most keys come again and again.
    keys: HashMap<&'v str, About>,
    /// Below a name whose texts and numbers are secrets.
    hides_texts: bool,
}

#[derive(Debug, Clone, Copy)]
struct About {
    data: bool,
    hidden: bool,
    hides_texts: bool,
}

/// Compares two documents from their roots.
pub(super) fn documents(control: &Json<'_>, candidate: &Json<'_>, findings: &mut Findings<'_>) {
    findings.learn(control);
    findings.learn(candidate);
    Walk { at: Vec::new(), findings, numbered: false, keys: HashMap::new(), hides_texts: false }
        .values(control, candidate);
}

/// Compares two messages whose keys are numbers of fields.
pub(super) fn numbered(control: &Json<'_>, candidate: &Json<'_>, findings: &mut Findings<'_>) {
    Walk { at: Vec::new(), findings, numbered: true, keys: HashMap::new(), hides_texts: false }
        .values(control, candidate);
}

impl<'v> Walk<'v, '_, '_> {
    pub(super) fn values(&mut self, control: &'v Json<'v>, candidate: &'v Json<'v>) {
        let rules = self.findings.rules();
        if self.findings.is_settled() || rules.ignores_json(&self.at) {
            return;
        }
        match (control, candidate) {
            (Json::Object(a), Json::Object(b)) => self.objects(a, b),
            (Json::Array(a), Json::Array(b)) if rules.is_unordered(&self.at) => unordered::lists(self, a, b),
            (Json::Array(a), Json::Array(b)) => lists::lists(self, a, b),
            (Json::Number(a), Json::Number(b)) => {
                if number::same(a, b, rules.numbers_as_written(), rules.tolerance(&self.at)) {
                    self.findings.same();
                } else {
                    self.findings.texts(self.findings.named(&self.at), a, b, self.hides_texts);
                }
            }
            (a, b) if a == b => self.findings.same(),
            (Json::String(a), Json::String(b)) => {
                self.findings.texts(self.findings.named(&self.at), a, b, self.hides_texts);
            }
            (a, b) => {
                let kind = if a.type_name() == b.type_name() { Kind::Value } else { Kind::Type };
                self.differ(kind, Found::Json(control), Found::Json(candidate));
            }
        }
    }

    pub(super) fn inside(&mut self, step: Step<'v>, then: impl FnOnce(&mut Self)) {
        self.at.push(step);
        then(self);
        self.at.pop();
    }

    pub(super) fn differ(&mut self, kind: Kind, control: Found<'_>, candidate: Found<'_>) {
        let shown = |found| match found {
            Found::Json(_) if self.hides_texts => Found::Secret,
            found => found,
        };
        let (control, candidate) = (shown(control), shown(candidate));
        self.findings.add_json(&self.at, kind, control, candidate);
    }

    fn objects(&mut self, control: &'v [Member<'v>], candidate: &'v [Member<'v>]) {
        let (a, b) = (sorted(control), sorted(candidate));
        let keys = paired(&a, &b);
        if self.numbered {
            return self.repeated(&keys);
        }
        let all_data = distinct(&keys) > MAX_KEYS;
        for Pair { key, control, candidate } in keys {
            let About { data, hidden, hides_texts } = self.about(key);
            let data = all_data || data;
            let above = self.hides_texts;
            self.hides_texts |= hides_texts;
            self.inside(Step::Key { name: key, data }, |walk| walk.members(control, candidate, hidden));
            self.hides_texts = above;
        }
    }

    fn about(&mut self, key: &'v str) -> About {
        let redactor = self.findings.rules().redactor();
        *self.keys.entry(key).or_insert_with(|| About {
            data: looks_like_data(key),
            hidden: redactor.hides(key),
            hides_texts: Redactor::hides_texts(key),
        })
    }

    /// Fields by number; one that stands there several times on either side is a list.
    fn repeated(&mut self, keys: &[Pair<'v>]) {
        for same in keys.chunk_by(|a, b| a.key == b.key) {
            let Some(first) = same.first() else { continue };
            let of = |side: fn(&Pair<'v>) -> Option<&'v Json<'v>>| same.iter().filter_map(side).collect::<Vec<_>>();
            let (a, b) = (of(|pair| pair.control), of(|pair| pair.candidate));
            self.inside(Step::Key { name: first.key, data: false }, |walk| {
                if same.len() > 1 {
                    lists::references(walk, &a, &b);
                } else {
                    walk.members(first.control, first.candidate, false);
                }
            });
        }
    }

    fn members(&mut self, control: Option<&'v Json<'v>>, candidate: Option<&'v Json<'v>>, hidden: bool) {
        if self.findings.rules().ignores_json(&self.at) {
            return;
        }
        let shown = |value: Option<&'v Json<'v>>| match value {
            None => Found::Nothing,
            Some(_) if hidden => Found::Secret,
            Some(value) => Found::Json(value),
        };
        match (control, candidate) {
            (Some(a), Some(b)) if hidden => {
                if self.equal(a, b) {
                    self.findings.same();
                } else {
                    self.differ(Kind::Value, Found::Secret, Found::Secret);
                }
            }
            (Some(a), Some(b)) => self.values(a, b),
            (Some(_), None) => self.differ(Kind::Missing, shown(control), Found::Nothing),
            (None, Some(_)) => self.differ(Kind::Extra, Found::Nothing, shown(candidate)),
            (None, None) => {}
        }
    }

    /// Whether two values are the same under the rules in force at this place.
    pub(super) fn equal(&self, control: &'v Json<'v>, candidate: &'v Json<'v>) -> bool {
        let mut findings = self.findings.silent();
        let (at, numbered, hides_texts) = (self.at.clone(), self.numbered, self.hides_texts);
        Walk { at, findings: &mut findings, numbered, keys: HashMap::new(), hides_texts }.values(control, candidate);
        !findings.any()
    }
}

type Member<'v> = (std::borrow::Cow<'v, str>, Json<'v>);

/// One occurrence of a key on both sides.
struct Pair<'v> {
    key: &'v str,
    control: Option<&'v Json<'v>>,
    candidate: Option<&'v Json<'v>>,
}

/// By key; the sort is stable, so occurrences of one key keep their order.
fn sorted<'v>(members: &'v [Member<'v>]) -> Vec<(&'v str, &'v Json<'v>)> {
    let mut sorted = members.iter().map(|(key, value)| (&**key, value)).collect::<Vec<_>>();
    sorted.sort_by_key(|(key, _)| *key);
    sorted
}

fn paired<'v>(a: &[(&'v str, &'v Json<'v>)], b: &[(&'v str, &'v Json<'v>)]) -> Vec<Pair<'v>> {
    let mut pairs = Vec::with_capacity(a.len().max(b.len()));
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let (control, candidate) = match (a.peek(), b.peek()) {
            (None, None) => return pairs,
            (Some((left, _)), Some((right, _))) if left == right => (a.next(), b.next()),
            (Some((left, _)), Some((right, _))) if left < right => (a.next(), None),
            (Some(_), None) => (a.next(), None),
            (_, Some(_)) => (None, b.next()),
        };
        if let Some((key, _)) = control.or(candidate) {
            pairs.push(Pair {
                key,
                control: control.map(|(_, value)| *value),
                candidate: candidate.map(|(_, value)| *value),
            });
        }
    }
}

fn distinct(pairs: &[Pair<'_>]) -> usize {
    let repeated = pairs.iter().zip(pairs.iter().skip(1)).filter(|(first, second)| first.key == second.key).count();
    pairs.len() - repeated
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::redact::Secrets;
    use crate::compare::{Rules, WrittenRules};

    fn fields(control: &str, candidate: &str, rules: &Rules) -> Vec<String> {
        let mut findings = Findings::new(rules, Secrets::default());
        documents(&Json::parse(control).expect(control), &Json::parse(candidate).expect(candidate), &mut findings);
        findings.into_list().into_iter().map(|found| format!("{} {}", found.field, found.kind.as_str())).collect()
    }

    #[test]
    fn differences_are_named_by_field() {
        let rules = Rules::default();
        for (control, candidate, expected) in [
            (r#"{"a":1,"b":2}"#, r#"{"b":2.0,"a":1}"#, &[][..]),
            (r#"{"a":1}"#, r#"{"a":2}"#, &["$.a value"]),
            (r#"{"a":1}"#, r#"{"a":"1"}"#, &["$.a type"]),
            (r#"{"a":null}"#, "{}", &["$.a missing"]),
            ("{}", r#"{"a":null}"#, &["$.a extra"]),
            (r#"{"id":9007199254740993}"#, r#"{"id":9007199254740992}"#, &["$.id value"]),
            (
                r#"{"items":[{"price":1},{"price":2}]}"#,
                r#"{"items":[{"price":3},{"price":4}]}"#,
                &["$.items[*].price value"],
            ),
            ("[1,2]", "[1,2,3]", &["$[*] extra"]),
            ("[1,2]", "[2,1]", &["$ order order"]),
            ("[1,2]", "[2,3]", &["$[*] value"]),
            (
                r#"[{"id":1,"x":1},{"id":2,"x":2},{"id":3,"x":3}]"#,
                r#"[{"id":3,"x":3},{"id":1,"x":9},{"id":2,"x":2}]"#,
                &["$ order order", "$[*].x value"],
            ),
            (
                r#"[{"id":1,"x":1},{"id":2,"x":2},{"id":3,"x":3}]"#,
                r#"[{"id":1,"x":8},{"id":3,"x":9}]"#,
                &["$[*].x value", "$[*] missing"],
            ),
            (r#"{"h":"<p>a <b>x</b></p>"}"#, r#"{"h":"<p>a <b>y</b></p>"}"#, &["$.h › p > b value"]),
            (r#"{"j":"{\"a\":1}"}"#, r#"{"j":"{\"a\": 2}"}"#, &["$.j › a value"]),
            (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#, &[]),
            (r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#, &["$.a value"]),
            (r#"{"a":1,"a":2}"#, r#"{"a":1}"#, &["$.a missing"]),
            (
                r#"{"users":{"42":{"n":1},"43":{"n":2}}}"#,
                r#"{"users":{"42":{"n":3},"43":{"n":4}}}"#,
                &["$.users.*.n value"],
            ),
            (r#"{"a b":true}"#, r#"{"a b":false}"#, &["$['a b'] value"]),
            ("1", "\"x\"", &["$ type"]),
        ] {
            assert_eq!(fields(control, candidate, &rules), expected, "{control} {candidate}");
        }
    }

    #[test]
    fn numbers_differ_in_their_writing_when_told_so() {
        let rules = Rules::new(&WrittenRules {
            numbers_as_written: true,
            unordered: vec!["$.u".to_owned()],
            tolerance: vec![("$.t".to_owned(), 0.0)],
            ..WrittenRules::default()
        })
        .expect("valid");
        for (control, candidate, expected) in [
            (r#"{"a":1.0}"#, r#"{"a":1}"#, &["$.a value"][..]),
            (r#"{"a":1e0}"#, r#"{"a":1E0}"#, &["$.a value"]),
            (r#"{"a":1.50}"#, r#"{"a":1.50}"#, &[]),
            (r#"{"t":1.0}"#, r#"{"t":1}"#, &[]),
            (r#"{"u":[1.0,2]}"#, r#"{"u":[2,1]}"#, &["$.u[*] value"]),
        ] {
            assert_eq!(fields(control, candidate, &rules), expected, "{control} {candidate}");
        }
    }

    #[test]
    fn more_than_fifty_keys_are_data() {
        let object = |from: usize, to: usize, value: u8| {
            let names = ('a'..='z').flat_map(|a| ('a'..='z').map(move |b| format!("{a}{b}")));
            let members = names.skip(from).take(to - from).map(|key| format!("\"{key}\":{value}")).collect::<Vec<_>>();
            format!("{{{}}}", members.join(","))
        };
        let rules = Rules::default();
        assert_eq!(fields(&object(0, 50, 1), &object(0, 50, 2), &rules).len(), 50);
        assert_eq!(fields(&object(0, 51, 1), &object(0, 51, 2), &rules), ["$.* value"]);
        assert_eq!(fields(&object(0, 26, 1), &object(26, 52, 1), &rules), ["$.* missing"]);
    }

    #[test]
    fn ignored_tolerated_and_redacted_fields() {
        let rules = Rules::new(&WrittenRules {
            ignore: vec!["$.meta".to_owned(), "$.users.*.seen".to_owned(), "$.items[*].at".to_owned()],
            tolerance: vec![("$.total".to_owned(), 0.01)],
            redact: vec!["tokens".to_owned()],
            ..WrittenRules::default()
        })
        .expect("valid");
        for (control, candidate, expected) in [
            (r#"{"meta":{"a":1}}"#, r#"{"meta":[2]}"#, &[][..]),
            (r#"{"meta":1}"#, "{}", &[]),
            (r#"{"users":{"ann":{"seen":1}}}"#, r#"{"users":{"ann":{"seen":2}}}"#, &[]),
            (r#"{"items":[{"at":1,"x":1}]}"#, r#"{"items":[{"at":2,"x":2}]}"#, &["$.items[*].x value"]),
            (r#"{"total":1.00}"#, r#"{"total":1.01}"#, &[]),
            (r#"{"total":1.00}"#, r#"{"total":1.02}"#, &["$.total value"]),
            (r#"{"tokens":{"s3cr3t":1}}"#, r#"{"tokens":{"0ther":1}}"#, &["$.tokens value"]),
        ] {
            assert_eq!(fields(control, candidate, &rules), expected, "{control} {candidate}");
        }
    }
}
