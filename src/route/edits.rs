//! What is changed on the way to a service and back.

use http::{HeaderName, HeaderValue};

use super::rewrite::PathRewrite;

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
}

/// What a service is sent instead of what the client sent.
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

/// What is changed in a service's answer.
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
