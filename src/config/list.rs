//! Lists, and tables whose keys the file chooses.

use serde_json::json;

use super::reader::{Decode, Reader, Value};
use crate::diagnostic::Span;

/// An element of a list, or an entry under a name, with its place.
#[derive(Debug, Clone)]
pub struct Item<T> {
    pub span: Span,
    pub value: T,
}

impl<T: Decode> Decode for Vec<Item<T>> {
    const EXPECTED: &'static str = "a list";
    const EXAMPLE: &'static str = "[…]";

    fn example() -> String {
        format!("[{}]", T::example())
    }

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(array) = value.get_ref().as_array() else {
            let help = format!("write it like `{} = [{}]`", reader.key(), T::example());
            reader.wrong_type_with(value, Self::EXPECTED, help);
            return None;
        };
        // Every element is read, so that every mistake is reported; a list with a hole in it is no list to conclude from.
        let read: Vec<_> = array
            .iter()
            .map(|item| T::decode(item, reader).map(|decoded| Item { span: item.span(), value: decoded }))
            .collect();
        read.into_iter().collect()
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "array", "items": T::schema() })
    }
}

/// A key that few tables have is boxed, so that a table of tables stays small.
impl<T: Decode> Decode for Box<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const EXAMPLE: &'static str = T::EXAMPLE;

    fn example() -> String {
        T::example()
    }

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        T::decode(value, reader).map(Self::new)
    }

    fn schema() -> serde_json::Value {
        T::schema()
    }
}

/// One value or a list of them.
#[derive(Debug)]
pub struct OneOrMany<T>(pub Vec<Item<T>>);

impl<T: Decode> Decode for OneOrMany<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const EXAMPLE: &'static str = T::EXAMPLE;

    fn example() -> String {
        T::example()
    }

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if value.get_ref().is_array() {
            return Vec::decode(value, reader).map(Self);
        }
        T::decode(value, reader).map(|read| Self(vec![Item { span: value.span(), value: read }]))
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [T::schema(), { "type": "array", "items": T::schema(), "minItems": 1 }] })
    }
}

/// One entry of a table whose keys are names.
#[derive(Debug)]
pub struct NamedEntry<T> {
    pub name: String,
    /// The name's place.
    pub key: Span,
    pub span: Span,
    pub value: T,
}

/// A table whose keys the file chooses, in the order of the keys.
#[derive(Debug)]
pub struct Named<T> {
    pub entries: Vec<NamedEntry<T>>,
    /// Names whose value could not be read.
    pub wrong: Vec<String>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), wrong: Vec::new() }
    }
}

impl<T: Decode> Decode for Named<T> {
    const EXPECTED: &'static str = "a table";
    const EXAMPLE: &'static str = "{ … }";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let table = reader.table::<Self>(value)?;
        let mut named = Self { entries: Vec::with_capacity(table.len()), wrong: Vec::new() };
        for (key, value) in table {
            let name = key.get_ref().to_string();
            match reader.named(&name, value) {
                Some(read) => {
                    named.entries.push(NamedEntry { name, key: key.span(), span: value.span(), value: read });
                }
                None => named.wrong.push(name),
            }
        }
        Some(named)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
}
