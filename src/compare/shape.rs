//! The shape of a value: what is shown in place of the value itself.

use super::report::{ExampleReport, Report};

/// Type and length of a value, as `examples = "shapes"` would have kept it.
#[must_use]
pub fn shape_of(text: &str) -> String {
    let is_shape = text.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '(' | ')'));
    match text.chars().next() {
        Some('"') => format!("string({})", text.chars().count().saturating_sub(2)),
        Some('[') => "array".to_owned(),
        Some('{') => "object".to_owned(),
        Some('-' | '0'..='9') if text.parse::<f64>().is_ok() => "number".to_owned(),
        _ if matches!(is_shape, "string" | "array" | "object" | "number" | "boolean" | "null" | "true" | "false") => {
            text.to_owned()
        }
        _ => format!("text({})", text.chars().count()),
    }
}

impl Report {
    /// The same without the values of examples and the queries of their requests: they may hold what is personal.
    #[must_use]
    pub fn without_values(mut self) -> Self {
        for example in self.fields.iter_mut().flat_map(|field| &mut field.examples) {
            let ExampleReport { control, candidate, target, .. } = example;
            for value in [control, candidate].into_iter().flatten() {
                *value = shape_of(value);
            }
            target.as_mut().map(without_query);
        }
        for request in self.statuses.iter_mut().flat_map(|status| &mut status.requests) {
            without_query(&mut request.target);
        }
        self
    }
}

fn without_query(target: &mut String) {
    target.truncate(target.find('?').unwrap_or(target.len()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_says_type_and_length_and_no_more() {
        for (value, expected) in [
            ("\"secret\"", "string(6)"),
            ("-1.5e3", "number"),
            ("[1,2]", "array"),
            ("{\"a\":1}", "object"),
            ("true", "true"),
            ("string(4)", "string(4)"),
            ("some words", "text(10)"),
        ] {
            assert_eq!(shape_of(value), expected, "{value}");
        }
    }
}
