//! Methods, header names and header values, checked as they are read.

use std::borrow::Cow;
use std::collections::HashMap;

use http::{HeaderName, HeaderValue, Method};
use serde_json::json;

use super::list::Item;
use super::reader::{Decode, Reader, Value};
use crate::diagnostic::{Code, Diagnostic, Span, nearest};

impl Decode for Method {
    const EXPECTED: &'static str = "a method";
    const EXAMPLE: &'static str = "\"GET\"";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
        let text = reader.string::<Self>(value)?;
        let upper = text.to_ascii_uppercase();
        // Methods are case-sensitive: `get` would match no request that a browser sends.
        if *text != upper && KNOWN.contains(&upper.as_str()) {
            let help = format!("did you mean `{upper}`?");
            reader.invalid(Code::InvalidValue, value.span(), format!("`{text}` is not a method"), "lower case", help);
            return None;
        }
        let method = Self::from_bytes(text.as_bytes()).ok();
        if method.is_none() {
            let help = nearest(&upper, KNOWN).map_or_else(
                || "write it like `\"GET\"`; several go into a list: `[\"GET\", \"POST\"]`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            reader.invalid(Code::InvalidValue, value.span(), format!("`{text}` is not a method"), "not a method", help);
        }
        method
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "examples": ["GET", "POST"] })
    }
}

impl Decode for HeaderName {
    const EXPECTED: &'static str = "a header name";
    const EXAMPLE: &'static str = "\"x-name\"";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.string::<Self>(value)?;
        header_name(&text, value.span(), reader)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" })
    }
}

/// The name, or a report.
pub(super) fn header_name(text: &str, span: Span, reader: &mut Reader<'_>) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    if name.is_none() {
        let message = format!("`{text}` is not a header name");
        let help = "header names have letters, digits and `-`, as in `x-user-id`".to_owned();
        reader.invalid(Code::InvalidHeaderName, span, message, "not a header name", help);
    }
    name
}

impl Decode for HeaderValue {
    const EXPECTED: &'static str = "a header value";
    const EXAMPLE: &'static str = "\"…\"";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.string::<Self>(value)?;
        let mut read = Self::from_bytes(text.as_bytes()).ok();
        if let Some(read) = &mut read {
            // A value from the environment may be a secret: it is shown nowhere.
            read.set_sensitive(matches!(text, Cow::Owned(_)));
        } else {
            let message = format!("`{}` is not a header value", text.escape_debug());
            let help = "header values are one line without control characters".to_owned();
            reader.invalid(Code::InvalidHeaderValue, value.span(), message, "not a header value", help);
        }
        read
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string" })
    }
}

/// One header and the value it is given.
#[derive(Debug)]
pub struct HeaderEntry {
    pub name: HeaderName,
    pub key: Span,
    pub value: HeaderValue,
}

/// `{ x-name = "value" }`.
#[derive(Debug, Default)]
pub struct HeaderValues(pub Vec<HeaderEntry>);

impl Decode for HeaderValues {
    const EXPECTED: &'static str = "a table of headers";
    const EXAMPLE: &'static str = "{ x-name = \"value\" }";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let table = reader.table::<Self>(value)?;
        let mut headers = Self::default();
        let mut seen = HashMap::new();
        for (key, value) in table {
            let name = header_name(key.get_ref(), key.span(), reader);
            let text = reader.named::<HeaderValue>(key.get_ref(), value);
            let (Some(name), Some(value)) = (name, text) else { continue };
            if let Some(before) = seen.insert(name.clone(), key.span()) {
                reader.report(given_twice(&name, key.span(), before));
            }
            headers.0.push(HeaderEntry { name, key: key.span(), value });
        }
        Some(headers)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "object", "additionalProperties": { "type": "string" } })
    }
}

pub(super) fn given_twice(name: &HeaderName, span: Span, before: Span) -> Diagnostic {
    Diagnostic::new(Code::DuplicateValue, format!("the header `{name}` is given twice"))
        .at(span)
        .label("again, in another case")
        .related(before, "first here")
        .help("keep one of the two: the case of header names does not count")
}

/// Names of headers.
pub type HeaderList = Vec<Item<HeaderName>>;
