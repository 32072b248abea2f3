//! Plain values: true or false, whole numbers, numbers, strings, paths.

use std::path::PathBuf;

use serde_json::json;
use toml::de::DeValue;

use super::reader::{Decode, Reader, Value};
use crate::diagnostic::Code;

impl Decode for bool {
    const EXPECTED: &'static str = "true or false";
    const EXAMPLE: &'static str = "true";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let read = value.get_ref().as_bool();
        if read.is_none() {
            reader.wrong_type::<Self>(value);
        }
        read
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "boolean" })
    }
}

impl Decode for String {
    const EXPECTED: &'static str = "a string";
    const EXAMPLE: &'static str = "\"…\"";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        reader.string::<Self>(value).map(std::borrow::Cow::into_owned)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string" })
    }
}

impl Decode for PathBuf {
    const EXPECTED: &'static str = "a path";
    const EXAMPLE: &'static str = "\"path/to/file\"";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.string::<Self>(value)?;
        if text.is_empty() || text.contains('\0') {
            let help = reader.write::<Self>();
            reader.invalid(Code::InvalidValue, value.span(), format!("`{text}` is not a path"), "not a path", help);
            return None;
        }
        Some(text.into_owned().into())
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "minLength": 1 })
    }
}

/// A whole number between two bounds, or a report.
pub(super) fn integer<T: Decode>(value: &Value<'_>, reader: &mut Reader<'_>, least: i64, most: i64) -> Option<i64> {
    let DeValue::Integer(digits) = value.get_ref() else {
        reader.wrong_type::<T>(value);
        return None;
    };
    let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
    if let Some(number) = number.filter(|number| (least..=most).contains(number)) {
        return Some(number);
    }
    let bounds = match (least, most) {
        (i64::MIN, _) => "of at most 64 bits".to_owned(),
        (_, i64::MAX) => format!("from {least} on"),
        _ => format!("between {least} and {most}"),
    };
    let message = format!("`{}` is {digits}, which is out of range", reader.key());
    reader.invalid(Code::OutOfRange, value.span(), message, "out of range", format!("give a whole number {bounds}"));
    None
}

macro_rules! integers {
    ($($type:ty, $least:expr, $most:expr;)*) => {$(
        impl Decode for $type {
            const EXPECTED: &'static str = "a whole number";
            const EXAMPLE: &'static str = "1";

            fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
                integer::<Self>(value, reader, $least, $most).and_then(|number| number.try_into().ok())
            }

            fn schema() -> serde_json::Value {
                json!({ "type": "integer", "minimum": $least, "maximum": $most })
            }
        }
    )*};
}

integers! {
    u16, 0, 65_535_i64;
    u32, 0, 4_294_967_295_i64;
    i64, i64::MIN, i64::MAX;
}

impl Decode for f64 {
    const EXPECTED: &'static str = "a number";
    const EXAMPLE: &'static str = "0.5";

    fn decode(value: &Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let text = match value.get_ref() {
            DeValue::Float(float) => float.as_str(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            _ => {
                reader.wrong_type::<Self>(value);
                return None;
            }
        };
        let number = text.parse::<Self>().ok().filter(|number| number.is_finite());
        if number.is_none() {
            let message = format!("`{}` is {text}, which is not a finite number", reader.key());
            let help = reader.write::<Self>();
            reader.invalid(Code::OutOfRange, value.span(), message, "not finite", help);
        }
        number
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "number" })
    }
}
