//! The content of a form or a query: pairs of names and decoded values.

use crate::message::form_pairs;

/// Names and values in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Of `a=1&b=x+y%2F`.
    pub fn read(text: &[u8]) -> Self {
        Self(form_pairs(text).map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    pub fn of_query(query: Option<&str>) -> Self {
        Self::read(query.unwrap_or("").as_bytes())
    }

    /// The first value of this name; empty without one.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The same, where an empty value is none.
    pub fn some(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.is_empty())
    }
}

/// The generation and the place in the journal that a form was drawn for.
pub fn expected(form: &Form) -> Option<(u64, u64)> {
    let (generation, seq) = form.get("expect").split_once('.')?;
    Some((generation.parse().ok()?, seq.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let form = Form::read(b"a=1&b=x+y%2F%C3%A9&c&a=2&d=%zz%4");
        assert_eq!((form.get("a"), form.get("b"), form.get("c")), ("1", "x y/\u{e9}", ""));
        assert_eq!((form.get("d"), form.some("c"), form.get("e")), ("%zz%4", None, ""));
        assert_eq!(Form::of_query(Some("q=%2B%20%26%25")).get("q"), "+ &%");
    }
}
