//! A value that may also be no limit: `0` or `"none"`.

use serde_json::json;
use toml::de::DeValue;

use super::reader::{Decode, Reader, Value};

/// `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit<T>(pub Option<T>);

impl<T: Decode> Decode for Limit<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const EXAMPLE: &'static str = T::EXAMPLE;

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let unlimited = match value.get_ref() {
            DeValue::String(text) => text.as_ref() == "none" || zero(text),
            DeValue::Integer(number) => number.as_str() == "0",
            _ => false,
        };
        if unlimited { Some(Self(None)) } else { T::decode(value, reader).map(|limit| Self(Some(limit))) }
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [T::schema(), { "enum": [0, "none"] }] })
    }
}

/// `0`, `0s`, `0B`, `0B/s`.
fn zero(text: &str) -> bool {
    matches!(text, "0" | "0ms" | "0s" | "0m" | "0h" | "0B" | "0KiB" | "0MiB" | "0GiB" | "0B/s" | "0KiB/s")
}
