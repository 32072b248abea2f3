//! The walk over the tree: looks keys up, reports what does not fit, goes on.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::recover::Damage;
use super::{Environment, Field, Given, variables};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Span, nearest};

/// A value of the tree and its place.
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// A type that a value of the file can be read as.
pub(super) trait Decode: Sized {
    /// With its article: "a duration".
    const EXPECTED: &'static str;
    /// As it would be written in the file.
    const EXAMPLE: &'static str;

    /// The same where it depends on another type.
    fn example() -> String {
        Self::EXAMPLE.to_owned()
    }

    /// `None` after something was reported.
    fn decode(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<Self>;

    fn schema() -> serde_json::Value;
}

/// Where the walk stands and what it has found.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    text: &'a str,
    env: EnvironmentHolder<'a>,
    damage: &'a Damage,
    diagnostics: &'a mut Diagnostics,
    /// The key whose value is being read.
    key: Cow<'static, str>,
}

struct EnvironmentHolder<'a>(Environment<'a>);

impl std::fmt::Debug for EnvironmentHolder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment")
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        text: &'a str,
        env: Environment<'a>,
        damage: &'a Damage,
        diagnostics: &'a mut Diagnostics,
    ) -> Self {
        Self { text, env: EnvironmentHolder(env), damage, diagnostics, key: Cow::Borrowed("") }
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The source of a value.
    pub(super) fn source(&self, span: &Span) -> &'a str {
        self.text.get(span.clone()).unwrap_or("")
    }

    /// The value as a table, or a report that it is none.
    pub(super) fn table<'t, 'i, T: Decode>(&mut self, value: &'t Value<'i>) -> Option<&'t DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let help =
                format!("write it as a table: `[…{key}]` on a line of its own, or `{key} = {{ … }}`", key = self.key);
            self.wrong_type_with(value, T::EXPECTED, help);
        }
        table
    }

    /// Reports the keys that the table does not have. True if a part of the table was lost to a syntax error.
    pub(super) fn begin_table(&mut self, table: &DeTable<'_>, span: &Span, known: &[&str]) -> bool {
        for (key, _) in table {
            let name: &str = key.get_ref();
            // The whole file is the only table without a place.
            let schema = name == "$schema" && span.is_empty();
            if !schema && !known.contains(&name) {
                self.unknown_key(name, key.span(), known);
            }
        }
        self.damage.touches(span, self.text)
    }

    fn unknown_key(&mut self, name: &str, span: Span, known: &[&str]) {
        let table = if self.key.is_empty() { String::new() } else { format!(" in `{}`", self.key) };
        let help = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "remove it".to_owned(),
            None => format!("known keys: {}", quoted_list(known)),
        };
        self.report(
            Diagnostic::new(Code::UnknownKey, format!("unknown key `{name}`{table}"))
                .at(span)
                .label("unknown key")
                .help(help),
        );
    }

    /// The value of one key. In a damaged table, what is absent may have been lost.
    pub(super) fn field<T: Decode>(&mut self, table: &DeTable<'_>, key: &'static str, damaged: bool) -> Field<T> {
        let Some((name, value)) = table.get_key_value(key) else {
            return if damaged { Field::Wrong } else { Field::Absent };
        };
        let outer = std::mem::replace(&mut self.key, Cow::Borrowed(key));
        let decoded = T::decode(value, self);
        self.key = outer;
        match decoded {
            Some(decoded) => Field::Given(Given { key: name.span(), span: value.span(), value: decoded }),
            None => Field::Wrong,
        }
    }

    /// Reads a value under a key that the file chose.
    pub(super) fn named<T: Decode>(&mut self, name: &str, value: &Value<'_>) -> Option<T> {
        let outer = std::mem::replace(&mut self.key, Cow::Owned(name.to_owned()));
        let decoded = T::decode(value, self);
        self.key = outer;
        decoded
    }

    pub(super) fn require<T: Decode>(&mut self, field: &Field<T>, key: &str, span: &Span) {
        if field.is_absent() {
            let table = if self.key.is_empty() { "the file".to_owned() } else { format!("`{}`", self.key) };
            self.report(
                Diagnostic::new(Code::MissingKey, format!("{table} needs `{key}`"))
                    .at(span.clone())
                    .label(format!("`{key}` is missing"))
                    .help(format!("add `{key} = {}`", T::example())),
            );
        }
    }

    /// A string with its variables replaced, or a report.
    pub(super) fn string<'v, T: Decode>(&mut self, value: &'v Value<'_>) -> Option<Cow<'v, str>> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type::<T>(value);
            return None;
        };
        self.replaced(text, &value.span())
    }

    /// The text with its variables replaced; what is missing is reported.
    pub(super) fn replaced<'v>(&mut self, text: &'v str, span: &Span) -> Option<Cow<'v, str>> {
        match variables::replace(text, self.env.0) {
            Ok(text) => Some(text),
            Err(problem) => {
                let at = super::inside(self.text, span, text, problem.place.clone());
                self.report(problem.diagnostic().at(at));
                None
            }
        }
    }

    /// A variable that a secret names, which must be set although its value is not needed here.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.env.0)(name)
    }

    pub(super) fn wrong_type<T: Decode>(&mut self, value: &Value<'_>) {
        let help = self.write::<T>();
        self.wrong_type_with(value, T::EXPECTED, help);
    }

    pub(super) fn wrong_type_with(&mut self, value: &Value<'_>, expected: &str, help: String) {
        let found = describe(value.get_ref());
        self.report(
            Diagnostic::new(Code::WrongType, format!("`{}` must be {expected}, found {found}", self.key))
                .at(value.span())
                .label(format!("expected {expected}"))
                .help(help),
        );
    }

    /// A remedy: how the value is written.
    pub(super) fn write<T: Decode>(&self) -> String {
        format!("write it like `{} = {}`", self.key, T::example())
    }

    /// Reports a value of the right type that cannot be read.
    pub(super) fn invalid(&mut self, code: Code, span: Span, message: String, label: &str, help: String) {
        self.report(Diagnostic::new(code, message).at(span).label(label).help(help));
    }
}

pub(super) fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// `a`, `b` and `c`.
pub(super) fn quoted_list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(|word| format!("`{word}`")).collect();
            format!("{} and `{last}`", first.join(", "))
        }
    }
}
