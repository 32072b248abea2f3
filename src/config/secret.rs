//! Values that are never printed: given by the name of a variable or of a file.

use std::path::PathBuf;

use super::reader::{Decode, Reader, Value};
use super::table::table;
use crate::diagnostic::{Code, Diagnostic};

/// Where a secret comes from. The value of a variable is taken when the file is read; a file is read later.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    Value(String),
    File(PathBuf),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

table! {
    /// Where a secret comes from: exactly one of the two.
    pub struct SecretTable {
        /// The name of an environment variable that holds it. Required, unless `file` is given.
        env: String,
        /// A file that holds it; white space at the end does not count. Required, unless `env` is given.
        file: PathBuf,
    }
}

impl Decode for Secret {
    const EXPECTED: &'static str = "a secret";
    const EXAMPLE: &'static str = "{ env = \"NAME\" }";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let help =
            format!("write `{key} = {{ env = \"NAME\" }}` or `{key} = {{ file = \"path\" }}`", key = reader.key());
        if !value.get_ref().is_table() {
            let expected = "`{ env = … }` or `{ file = … }`, since it is secret";
            reader.wrong_type_with(value, expected, help);
            return None;
        }
        let table = SecretTable::decode(value, reader)?;
        match (&table.env, &table.file) {
            (super::Field::Given(name), super::Field::Absent) => match reader.variable(&name.value) {
                Some(secret) if !secret.trim().is_empty() => Some(Self::Value(secret.trim().to_owned())),
                found => {
                    let state = if found.is_some() { "empty" } else { "not set" };
                    let message = format!("the environment variable `{}` is {state}", name.value);
                    reader.report(
                        Diagnostic::new(Code::MissingVariable, message)
                            .at(name.span.clone())
                            .label(state)
                            .help("set it before the program starts, or name a file: `{ file = \"path\" }`"),
                    );
                    None
                }
            },
            (super::Field::Absent, super::Field::Given(path)) => Some(Self::File(path.value.clone())),
            (super::Field::Absent, super::Field::Absent) | (super::Field::Given(_), super::Field::Given(_)) => {
                let message = format!("`{}` needs exactly one of `env` and `file`", reader.key());
                reader.invalid(Code::InvalidValue, value.span(), message, "one of the two", help);
                None
            }
            _ => None,
        }
    }

    fn schema() -> serde_json::Value {
        SecretTable::schema()
    }
}
