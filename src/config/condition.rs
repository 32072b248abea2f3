//! Conditions on headers, cookies and query values.

use regex::Regex;
use serde_json::json;

use super::reader::{Decode, Reader, Value};
use super::table::table;
use crate::diagnostic::{Code, Diagnostic, Span};

/// A condition on a value.
#[derive(Debug, Clone)]
pub enum Condition {
    Equal(String),
    Present,
    Absent,
    Regex(Regex),
}

/// A table from names to conditions.
pub type Conditions = super::Named<Condition>;

/// Compiled programs above this are refused: a condition is not worth more memory than that.
const REGEX_BYTES: usize = 1 << 20;

table! {
    /// A condition that is not plain equality.
    pub struct ConditionTable {
        /// It must be there, whatever its value. Required, unless `absent` or `regex` is given.
        present: bool,
        /// It must not be there. Required, unless `present` or `regex` is given.
        absent: bool,
        /// Its value must match; anchor with `^` and `$`. Required, unless `present` or `absent` is given.
        regex: String,
    }
}

impl Decode for Condition {
    const EXPECTED: &'static str = "a condition";
    const EXAMPLE: &'static str = "\"value\"";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if value.get_ref().is_str() {
            return reader.string::<Self>(value).map(|text| Self::Equal(text.into_owned()));
        }
        if !value.get_ref().is_table() {
            let help = format!(
                "write `{key} = \"value\"`, `{key} = {{ present = true }}`, `{key} = {{ absent = true }}` or `{key} = {{ regex = \"…\" }}`",
                key = reader.key()
            );
            reader.wrong_type_with(value, Self::EXPECTED, help);
            return None;
        }
        let table = ConditionTable::decode(value, reader)?;
        read(&table, value.span(), reader)
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [{ "type": "string" }, ConditionTable::schema()] })
    }
}

fn read(table: &ConditionTable, span: Span, reader: &mut Reader<'_>) -> Option<Condition> {
    let given = [!table.present.is_absent(), !table.absent.is_absent(), !table.regex.is_absent()];
    if given.iter().filter(|given| **given).count() != 1 {
        let message = format!("the condition on `{}` must say exactly one thing", reader.key());
        let help = "write one of `{ present = true }`, `{ absent = true }` and `{ regex = \"…\" }`".to_owned();
        reader.invalid(Code::InvalidValue, span, message, "one of the three", help);
        return None;
    }
    if let Some(given) = table.regex.given() {
        return regex(&given.value, given.span.clone(), reader).map(Condition::Regex);
    }
    match (table.present.get(), table.absent.get()) {
        (Some(true), _) | (_, Some(false)) => Some(Condition::Present),
        (_, Some(true)) | (Some(false), _) => Some(Condition::Absent),
        (None, None) => None,
    }
}

fn regex(pattern: &str, span: Span, reader: &mut Reader<'_>) -> Option<Regex> {
    match regex::RegexBuilder::new(pattern).size_limit(REGEX_BYTES).build() {
        Ok(regex) => Some(regex),
        Err(error) => {
            let why = match error {
                regex::Error::CompiledTooBig(_) => "it compiles to more than 1 MiB".to_owned(),
                other => other.to_string().lines().last().unwrap_or("").trim_start_matches("error: ").to_owned(),
            };
            reader.report(
                Diagnostic::new(Code::InvalidRegex, format!("the regular expression `{pattern}` does not compile"))
                    .at(span)
                    .label(why)
                    .help("the syntax is that of https://docs.rs/regex; no look-around and no back references; in TOML, write it in single quotes so that `\\` stays as it is"),
            );
            None
        }
    }
}
