//! Whether a rule would take a difference away: judged by the examples that are kept.

use regex::Regex;

use crate::compare::{ExampleReport, FieldPath, FieldReport, Kind, REDACTED};

/// The mark of a kept text that was cut.
const CUT: char = '…';

/// Behind the name of a list whose order differs.
pub const ORDER: &str = " order";

/// The list that a field of a report is the order of; `None`: it is no list whose order a rule may leave out.
pub fn list_of(field: &str) -> Option<&str> {
    let list = field.strip_suffix(ORDER)?;
    matches!(FieldPath::parse(list), Ok(FieldPath::Json(_))).then_some(list)
}

/// How many of the examples a rule takes away, of how many by which that can be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TakenExamples {
    pub by_rule: usize,
    pub of: usize,
}

impl TakenExamples {
    fn of(judged: impl Iterator<Item = Option<bool>>) -> Self {
        judged
            .flatten()
            .fold(Self::default(), |sum, taken| Self { by_rule: sum.by_rule + usize::from(taken), of: sum.of + 1 })
    }

    /// Of fields that are ignored.
    pub fn by_ignoring(fields: &[&FieldReport]) -> Self {
        Self::of(fields.iter().flat_map(|field| &field.examples).map(|_| Some(true)))
    }

    /// Of lists whose order does not count any more. `all`: the fields of the report.
    pub fn by_leaving_order_out(fields: &[&FieldReport], all: &[FieldReport]) -> Self {
        let judged = |field: &&FieldReport| {
            let example = |example| is_order_alone(&field.field, example, all);
            field.examples.iter().map(example).map(Some).collect::<Vec<_>>()
        };
        Self::of(fields.iter().flat_map(judged))
    }

    /// Of fields of which an expression takes a part away. `whole`: values are kept, and not their shapes.
    pub fn by_masking(fields: &[&FieldReport], pattern: &str, whole: bool) -> Self {
        let Ok(mask) = Regex::new(pattern) else { return Self::default() };
        let judged = |field: &&FieldReport| {
            let has_values = field.kinds.contains(&Kind::Value);
            let example = |example| if has_values { masked(&mask, example, whole) } else { Some(false) };
            field.examples.iter().map(example).collect::<Vec<_>>()
        };
        Self::of(fields.iter().flat_map(judged))
    }
}

/// Whether both sides are alike under the mask; `None`: not enough is kept to tell.
fn masked(mask: &Regex, example: &ExampleReport, whole: bool) -> Option<bool> {
    let (Some(control), Some(candidate)) = (&example.control, &example.candidate) else { return Some(false) };
    let sides = [&**control, &**candidate];
    if !whole
        || control == candidate
        || sides.iter().any(|side| side.contains(REDACTED) || side.starts_with(CUT) || side.ends_with(CUT))
    {
        return None;
    }
    // A mask is for texts and numbers.
    let is_bool = |side: &str| matches!(side, "true" | "false");
    let [a, b] = sides.map(|side| mask.replace_all(side, ""));
    Some(!sides.iter().all(|side| is_bool(side)) && a == b)
}

/// The list of which, in the example that is shown, nothing but the order differs.
pub fn list_in_another_order<'f>(field: &'f FieldReport, all: &[FieldReport]) -> Option<&'f str> {
    let list = list_of(&field.field)?;
    field.examples.first().is_none_or(|shown| is_order_alone(&field.field, shown, all)).then_some(list)
}

/// Whether no element differed in the request in which this order did: else another difference takes its place.
fn is_order_alone(field: &str, example: &ExampleReport, all: &[FieldReport]) -> bool {
    let Some(Ok(list)) = list_of(field).map(|list| FieldPath::parse(&format!("{list}[*]"))) else { return false };
    let is_same = |other: &ExampleReport| example.number.is_some() && other.number == example.number;
    !all.iter().any(|other| list.covers(&other.field) && other.field != field && other.examples.iter().any(is_same))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, kind: &str, examples: &[(u64, Option<&str>, Option<&str>)]) -> FieldReport {
        let example = |(number, control, candidate): &(u64, Option<&str>, Option<&str>)| serde_json::json!({ "number": number, "control": control, "candidate": candidate, "seen": "" });
        let field = serde_json::json!({
            "field": name, "raw": 2, "noise": 0, "raw_rate": 1.0, "noise_rate": 0.0, "regression": true, "kinds": [kind],
            "first_seen": "", "last_seen": "", "examples": examples.iter().map(example).collect::<Vec<_>>(),
        });
        serde_json::from_value(field).expect("a field")
    }

    #[test]
    fn an_order_is_left_out_only_where_the_elements_are_the_same() {
        let order = field("$.tags order", "order", &[(7, None, None), (3, None, None)]);
        let list = |others: &[FieldReport]| list_in_another_order(&order, others).map(str::to_owned);
        let tags = Some("$.tags".to_owned());
        assert_eq!(list(&[]), tags);
        assert_eq!(list(&[field("$.tags[*]", "missing", &[(3, Some("1"), None)])]), tags, "in another request");
        for other in ["$.tags[*]", "$.tags[*].id", "$.tags[*] order"] {
            assert_eq!(list(&[field(other, "missing", &[(7, Some("1"), None)])]), None, "{other}");
        }
        assert_eq!(list(&[field("$.tagsome[*]", "missing", &[(7, Some("1"), None)])]), tags);
        // An element that came or went is no matter of order.
        assert_eq!(list_in_another_order(&field("$.tags[*]", "missing", &[(7, Some("1"), None)]), &[]), None);
        let all = [order.clone(), field("$.tags[*]", "extra", &[(3, None, Some("1"))])];
        assert_eq!(TakenExamples::by_leaving_order_out(&[&order], &all), TakenExamples { by_rule: 1, of: 2 });
    }

    #[test]
    fn a_mask_is_tried_on_the_examples_that_are_kept_whole() {
        let values = [
            (1, Some("comment-12"), Some("comment-7")),
            (2, Some("comment-1 a"), Some("comment-2 b")),
            (3, Some("comment-1"), None),
            (4, Some("…comment-1"), Some("…comment-2")),
            (5, Some("[redacted]"), Some("comment-2")),
        ];
        let text = field("$.link", "value", &values);
        let by = |pattern: &str, whole| TakenExamples::by_masking(&[&text], pattern, whole);
        assert_eq!(by(r"\d+", true), TakenExamples { by_rule: 1, of: 3 });
        assert_eq!(by(".*", true), TakenExamples { by_rule: 2, of: 3 });
        assert_eq!(by("x", true), TakenExamples { by_rule: 0, of: 3 });
        assert_eq!(by(r"\d+", false), TakenExamples { by_rule: 0, of: 1 }, "of shapes nothing can be told");
        let kind = field("$.done", "value", &[(1, Some("true"), Some("false"))]);
        assert_eq!(TakenExamples::by_masking(&[&kind], "true|false", true), TakenExamples { by_rule: 0, of: 1 });
        let gone = field("$.link", "type", &[(1, Some("\"1\""), Some("1"))]);
        assert_eq!(TakenExamples::by_masking(&[&gone], "\"", true), TakenExamples { by_rule: 0, of: 1 });
        assert_eq!(TakenExamples::by_ignoring(&[&text, &kind]), TakenExamples { by_rule: 6, of: 6 });
    }

    #[test]
    fn only_the_order_of_a_list_in_json_leads_to_a_list() {
        for (field, list) in [
            ("$.tags order", Some("$.tags")),
            ("$ order", Some("$")),
            ("$.rows[*] order", Some("$.rows[*]")),
            ("$['a-b'] order", Some("$['a-b']")),
            ("$.tags[*]", None),
            ("$['a-b']", None),
            ("$['[*]']", None),
            ("$.tags[*].id", None),
            ("$.tags", None),
            ("line[*]", None),
            ("main order", None),
            ("$.html › ul > li[*]", None),
        ] {
            assert_eq!(list_of(field), list, "{field}");
        }
    }
}
