//! The servers that identify a route's clients before its service is asked.

use std::fmt;
use std::time::Duration;

use http::HeaderName;

/// The questions of a route to other servers about its clients, and the headers that no client may send itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IdentityRules {
    pub forward: Option<Box<ForwardAuth>>,
    pub exchange: Option<Box<TokenExchange>>,
    /// For copies, in place of `exchange`.
    pub for_copies: Option<Box<TokenExchange>>,
    /// Headers that tell a route's service, here or on another route, the client's identity. A client's own fields under these names reach
    /// no service of the route. Headers that a token of the route itself fills are not among them.
    pub reserved: Vec<HeaderName>,
}

/// The scope of an answer about a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheBy {
    /// One method at one address.
    Request,
    /// All requests with the same credentials.
    Credentials,
}

/// A server that lets a request pass or answers it, and tells the client's identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ForwardAuth {
    pub url: Box<str>,
    /// Of its answer, given to the service.
    pub headers: Vec<HeaderName>,
    /// `None`: an answer is used once.
    pub cache: Option<Duration>,
    pub by: CacheBy,
}

/// A server that exchanges what the client shows for what the service believes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenExchange {
    pub url: Box<str>,
    /// `None`: an answer is used once.
    pub cache: Option<Duration>,
    /// The first that is present is exchanged.
    pub from: Vec<CredentialSource>,
    /// The headers that the service is given.
    pub set: Vec<(HeaderName, ValueTemplate)>,
}

/// Where a request shows a credential.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CredentialSource {
    /// Of `authorization`, what stands behind `Bearer `.
    Header(HeaderName),
    Cookie(Box<str>),
}

/// A header's value with fields of an answer in it: `Bearer {token}`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ValueTemplate(Vec<ValuePiece>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum ValuePiece {
    Text(Box<[u8]>),
    /// The name of a field.
    Field(Box<str>),
}

/// A brace without its other half, or an empty name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadValueTemplate;

/// The template may contain a secret.
impl fmt::Debug for ValueTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ValueTemplate(…)")
    }
}

impl ValueTemplate {
    /// Reads `text {field} text`.
    ///
    /// # Errors
    /// A brace without its other half, or a field without a name.
    pub fn parse(value: &[u8]) -> Result<Self, BadValueTemplate> {
        let mut pieces = Vec::new();
        let mut rest = value;
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'{' | b'}')) {
            let close = rest[at..].iter().position(|byte| *byte == b'}').map(|length| at + length);
            let name = close.and_then(|close| rest.get(at + 1..close)).ok_or(BadValueTemplate)?;
            let name = std::str::from_utf8(name).map_err(|_| BadValueTemplate)?;
            if name.is_empty() || name.contains('{') {
                return Err(BadValueTemplate);
            }
            if at > 0 {
                pieces.push(ValuePiece::Text(rest[..at].into()));
            }
            pieces.push(ValuePiece::Field(name.into()));
            rest = &rest[at + name.len() + 2..];
        }
        if !rest.is_empty() {
            pieces.push(ValuePiece::Text(rest.into()));
        }
        Ok(Self(pieces))
    }

    /// The value, with what `field` says of each field; `None` where it says nothing.
    pub fn fill(&self, field: impl Fn(&str) -> Option<String>) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        for piece in &self.0 {
            match piece {
                ValuePiece::Text(text) => value.extend_from_slice(text),
                ValuePiece::Field(name) => value.extend_from_slice(field(name)?.as_bytes()),
            }
        }
        Some(value)
    }

    /// Whether anything of the answer stands in it.
    #[must_use]
    pub fn has_fields(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, ValuePiece::Field(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> Result<Option<String>, BadValueTemplate> {
        let template = ValueTemplate::parse(template.as_bytes())?;
        let value = template.fill(|name| (name != "none").then(|| name.to_uppercase()));
        Ok(value.map(|value| String::from_utf8(value).expect("text")))
    }

    #[test]
    fn fields_of_an_answer_fill_a_value() {
        for (template, value) in [
            ("Bearer {token}", Some("Bearer TOKEN")),
            ("{a}{b} c", Some("AB c")),
            ("plain", Some("plain")),
            ("{none}", None),
        ] {
            assert_eq!(filled(template), Ok(value.map(str::to_owned)), "{template}");
        }
    }

    #[test]
    fn a_brace_without_its_other_half_is_no_template() {
        for template in ["{", "}", "{}", "{a", "a}", "{a}}", "{{a}}"] {
            assert_eq!(filled(template), Err(BadValueTemplate), "{template}");
        }
    }
}
