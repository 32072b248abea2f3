//! `buffer` of routes and upstreams as written.

use serde_json::json;
use toml::de::DeValue;

use super::reader::{Decode, Reader, Value};
use super::table::table;
use super::{Limit, Size};
use crate::diagnostic::Code;

table! {
    /// Bodies that are held on their way, so that a slow client does not hold the upstream.
    pub struct Buffer {
        /// `"auto"`, `"none"` or a size. Auto: a body without a length that ends within 64 KiB and 100 ms is sent with Content-Length,
        /// unless it has trailers that the client has announced (`Trailer`). A size: a body up to it is held whole before the upstream is
        /// asked, and sent with Content-Length. Default: `"auto"`.
        request: RequestBuffer,
        /// `"none"` or a size: as much of an answer is taken off the upstream at its own pace. Default: `"none"`.
        answer: AnswerBuffer,
    }
}

/// `buffer.request`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestBuffer {
    Auto,
    None,
    Size(Size),
}

/// `buffer.answer`; `None` is no buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerBuffer(pub Option<Size>);

impl Decode for RequestBuffer {
    const EXPECTED: &'static str = "`auto`, `none` or a size";
    const EXAMPLE: &'static str = "\"auto\"";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if matches!(value.get_ref(), DeValue::String(text) if text.as_ref() == "auto") {
            return Some(Self::Auto);
        }
        Some(size::<Self>(value, reader, "\"auto\", \"none\"")?.0.map_or(Self::None, Self::Size))
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [{ "enum": ["auto"] }, Limit::<Size>::schema()] })
    }
}

impl Decode for AnswerBuffer {
    const EXPECTED: &'static str = "`none` or a size";
    const EXAMPLE: &'static str = "\"1MiB\"";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        size::<Self>(value, reader, "\"none\"").map(|limit| Self(limit.0))
    }

    fn schema() -> serde_json::Value {
        Limit::<Size>::schema()
    }
}

/// A size, or no buffer; another word than `words` is reported.
fn size<T: Decode>(value: &Value<'_>, reader: &mut Reader<'_>, words: &str) -> Option<Limit<Size>> {
    if let DeValue::String(text) = value.get_ref()
        && text.as_ref() != "none"
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
    {
        let message = format!("`{text}` is not {}", T::EXPECTED);
        let help = format!("write {words} or a size, as in \"1MiB\"");
        reader.invalid(Code::InvalidValue, value.span(), message, "not a known word", help);
        return None;
    }
    Limit::decode(value, reader)
}
