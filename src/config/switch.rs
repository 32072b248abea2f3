//! A key that is a switch or a table: `true`, `false`, or what it means in particular.

use serde_json::json;

use super::reader::{Decode, Reader, Value};

/// `true | false | { … }`.
#[derive(Debug)]
pub enum Switch<T> {
    Off,
    On,
    Table(Box<T>),
}

/// A table that may be written as a switch.
pub(super) trait Switched: Decode {
    /// The switch as it would be written in the file.
    const EXAMPLE: &'static str;
}

impl<T: Switched> Decode for Switch<T> {
    const EXPECTED: &'static str = "true, false or a table";
    const EXAMPLE: &'static str = <T as Switched>::EXAMPLE;

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match value.get_ref().as_bool() {
            Some(true) => Some(Self::On),
            Some(false) => Some(Self::Off),
            None if value.get_ref().is_table() => Box::decode(value, reader).map(Self::Table),
            None => {
                reader.wrong_type::<Self>(value);
                None
            }
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [{ "type": "boolean" }, T::schema()] })
    }
}
