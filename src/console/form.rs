//! What a form or a query says: pairs of names and decoded values.

use std::fmt::Write as _;

/// Names and values in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Of `a=1&b=x+y%2F`.
    pub fn read(text: &[u8]) -> Self {
        let pair = |pair: &[u8]| {
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            (decoded(&pair[..at]), decoded(pair.get(at + 1..).unwrap_or_default()))
        };
        Self(text.split(|byte| *byte == b'&').filter(|part| !part.is_empty()).map(pair).collect())
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

fn decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let hex = (*byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        let octet = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        if let Some(octet) = octet {
            bytes.push(octet);
            at += 3;
        } else {
            bytes.push(if *byte == b'+' { b' ' } else { *byte });
            at += 1;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A value as it stands in a query.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string takes any text");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let form = Form::read(b"a=1&b=x+y%2F%C3%A9&c&a=2&d=%zz%4");
        assert_eq!((form.get("a"), form.get("b"), form.get("c")), ("1", "x y/\u{e9}", ""));
        assert_eq!((form.get("d"), form.some("c"), form.get("e")), ("%zz%4", None, ""));
        assert_eq!(encoded("a b/\u{e9}&="), "a%20b%2F%C3%A9%26%3D");
        assert_eq!(Form::of_query(Some(&format!("q={}", encoded("+ &%")))).get("q"), "+ &%");
    }
}
