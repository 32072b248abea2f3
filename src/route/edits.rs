//! Edits of a request to a service and of its response.

use http::{HeaderName, HeaderValue};

use super::rewrite::PathRewrite;
use crate::message::Fields;

/// Changes of headers, applied in this order: remove, set, add.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    pub remove: Vec<HeaderName>,
    pub set: Vec<(HeaderName, HeaderValue)>,
    pub add: Vec<(HeaderName, HeaderValue)>,
}

impl HeaderEdits {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// Changes the fields of a head. Names that are set or added are written in title case.
    pub fn apply(&self, fields: &mut Fields) {
        for name in &self.remove {
            fields.remove(name);
        }
        for (name, value) in &self.set {
            fields.set_named(name, value.as_bytes());
        }
        for (name, value) in &self.add {
            fields.append_named(name, value.as_bytes());
        }
    }
}

/// Edits of the request that a service gets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rewrite {
    pub path: Option<PathRewrite>,
    pub host: Option<HeaderValue>,
    pub headers: HeaderEdits,
}

impl Rewrite {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.path.is_none() && self.host.is_none() && self.headers.is_empty()
    }
}

/// Edits of a service's response.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AnswerEdits {
    /// Rewrite `Location`, `Content-Location` and `Refresh` back to what the client asked for.
    pub location: bool,
    /// Cookie domains: from, to (`None` removes the attribute).
    pub cookie_domain: Vec<(Box<str>, Option<Box<str>>)>,
    /// Cookie path prefixes: from, to.
    pub cookie_path: Vec<(Box<str>, Box<str>)>,
    pub headers: HeaderEdits,
}

impl AnswerEdits {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.location && self.cookie_domain.is_empty() && self.cookie_path.is_empty() && self.headers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_removed_then_set_then_added() {
        let name = HeaderName::from_static;
        let value = HeaderValue::from_static;
        let edits = HeaderEdits {
            remove: vec![name("x-gone"), name("x-again")],
            set: vec![(name("x-set"), value("1")), (name("x-again"), value("2")), (name("user-agent"), value("u"))],
            add: vec![(name("x-kept"), value("3")), (name("x-gone"), value("4"))],
        };
        let mut fields =
            Fields::from_iter([("X-Gone", "a"), ("x-kept", "b"), ("x-SET", "c"), ("x-set", "d"), ("X-Again", "e")]);
        edits.apply(&mut fields);
        let mut out = Vec::new();
        fields.write(&mut out);
        let expected = "x-kept: b\r\nX-Set: 1\r\nX-Again: 2\r\nUser-Agent: u\r\nX-Kept: 3\r\nX-Gone: 4\r\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
