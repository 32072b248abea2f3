//! Calls of gRPC that a route declares safe: all of them are POST, and no method of HTTP says which change nothing.

use http::Method;
use thiserror::Error;

use crate::message::is_call;
use crate::route::Facts;

/// `/shop.Catalog/GetItem`, or `/shop.Catalog/Get*` for all that begin so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallPattern {
    start: Box<str>,
    open: bool,
}

/// The fault of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CallPatternError {
    #[error("a call begins with `/`, as in `/shop.Catalog/GetItem`")]
    NoSlash,
    #[error("`*` stands for the rest of a name, so it is the last character")]
    StarInside,
    #[error("the path of a call has no query, no parameters and no white space")]
    NotACall,
}

impl CallPattern {
    /// # Errors
    /// The text is not the path of a call, with at most one `*` at its end.
    pub fn parse(text: &str) -> Result<Self, CallPatternError> {
        let (start, open) = text.strip_suffix('*').map_or((text, false), |start| (start, true));
        if !start.starts_with('/') {
            return Err(CallPatternError::NoSlash);
        }
        if start.contains('*') {
            return Err(CallPatternError::StarInside);
        }
        if start.contains(|character: char| character.is_whitespace() || "?#{}".contains(character)) {
            return Err(CallPatternError::NotACall);
        }
        Ok(Self { start: start.into(), open })
    }

    /// Whether it takes the call at this normalised path.
    #[must_use]
    pub fn takes(&self, path: &str) -> bool {
        if self.open { path.starts_with(&*self.start) } else { path == &*self.start }
    }

    /// A call that it takes.
    #[must_use]
    pub fn example(&self) -> String {
        if self.open { format!("{}X", self.start) } else { self.start.to_string() }
    }
}

/// The calls of a route that may be copied, retried and fall back as a GET may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SafeCalls(pub Box<[CallPattern]>);

impl SafeCalls {
    /// Whether the request is a call that the route declares safe.
    #[must_use]
    #[inline]
    pub fn declare(&self, facts: &Facts<'_>) -> bool {
        !self.0.is_empty()
            && *facts.sent_method() == Method::POST
            && is_call(facts.headers)
            && self.0.iter().any(|pattern| pattern.takes(facts.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_the_rest_and_nothing_else_is_special() {
        let takes = |pattern: &str, path| CallPattern::parse(pattern).expect("a good pattern").takes(path);
        assert!(takes("/shop.Catalog/Get*", "/shop.Catalog/GetItem"));
        assert!(takes("/shop.Catalog/Get*", "/shop.Catalog/Get"));
        assert!(takes("/shop.Catalog/*", "/shop.Catalog/List"));
        assert!(!takes("/shop.Catalog/Get*", "/shop.Catalog/get"));
        assert!(!takes("/shop.Catalog/Get", "/shop.Catalog/GetItem"));
        for pattern in ["/shop.Catalog/Get*", "/shop.Catalog/Get"] {
            let pattern = CallPattern::parse(pattern).expect("a good pattern");
            assert!(pattern.takes(&pattern.example()));
        }
    }

    #[test]
    fn what_is_no_call_is_refused_with_its_reason() {
        for (text, error) in [
            ("shop.Catalog/Get*", CallPatternError::NoSlash),
            ("*", CallPatternError::NoSlash),
            ("", CallPatternError::NoSlash),
            ("/shop.*/Get", CallPatternError::StarInside),
            ("/shop.Catalog/*Item*", CallPatternError::StarInside),
            ("/shop.Catalog/{method}", CallPatternError::NotACall),
            ("/shop.Catalog/Get?x", CallPatternError::NotACall),
            ("/shop.Catalog/Get Item", CallPatternError::NotACall),
        ] {
            assert_eq!(CallPattern::parse(text), Err(error), "{text}");
        }
    }
}
