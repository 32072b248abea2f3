//! The path that a service is sent instead of the client's, made from the parameters of the route's template.

use super::captures::Captures;
use super::path::is_dot_like;
use super::template::{Template, TemplateError, check_path, literal};

/// A path with parameters of the route's template, cut into literals and references.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathRewrite {
    pub pieces: Vec<PathPiece>,
}

/// One piece of a rewritten path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathPiece {
    Literal(Box<str>),
    /// The value of the template's parameter, as it was encoded in the request.
    Parameter(Box<str>),
}

impl PathRewrite {
    /// Each name must be a parameter of every template of the route. `{rest}` and `{*rest}` mean the same.
    pub fn parse(text: &str, templates: &[Template]) -> Result<Self, TemplateError> {
        check_path(text)?;
        let mut pieces = Vec::new();
        let mut at = 0;
        while let Some(open) = text[at..].find('{').map(|length| at + length) {
            push_literal(&mut pieces, &text[at..open], at, templates)?;
            let Some(close) = text[open..].find('}').map(|length| open + length) else {
                return Err(TemplateError::new(open..text.len(), "the parameter is not closed", "end it with `}`"));
            };
            let inside = &text[open + 1..close];
            let name = inside.strip_prefix('*').unwrap_or(inside);
            if let Some(template) = templates.iter().find(|template| !template.names().any(|known| known == name)) {
                return Err(unknown(open..close + 1, name, template));
            }
            pieces.push(PathPiece::Parameter(name.into()));
            at = close + 1;
        }
        push_literal(&mut pieces, &text[at..], at, templates)?;
        Ok(Self { pieces })
    }

    /// The path for one request. A catch-all that took nothing leaves no double slash; one that took no segment at all
    /// (`/a` under `/a/{*rest}`) leaves no trailing slash either.
    #[must_use]
    pub fn expand(&self, captures: &Captures<'_>) -> String {
        let mut path = String::with_capacity(64);
        let mut after_nothing = false;
        for piece in &self.pieces {
            match piece {
                PathPiece::Literal(text) => {
                    let doubled = after_nothing && path.ends_with('/') && text.starts_with('/');
                    path.push_str(&text[usize::from(doubled)..]);
                    after_nothing = false;
                }
                PathPiece::Parameter(name) => {
                    let value = captures.get(name).unwrap_or_default();
                    after_nothing = value.is_empty();
                    path.push_str(value);
                }
            }
        }
        if after_nothing && captures.rest_is_missing() && path.len() > 1 && path.ends_with('/') {
            path.pop();
        }
        path
    }
}

fn push_literal(
    pieces: &mut Vec<PathPiece>,
    text: &str,
    at: usize,
    templates: &[Template],
) -> Result<(), TemplateError> {
    if text.is_empty() {
        return Ok(());
    }
    let clean = literal(text, &(at..at + text.len()))?;
    // A catch-all may match nothing, and its value may end with a slash: the text behind it may begin a segment.
    let after_rest = match pieces.last() {
        Some(PathPiece::Parameter(name)) => templates.iter().any(|template| template.rest() == Some(name)),
        _ => false,
    };
    let mut start = at;
    for (number, (written, part)) in text.split('/').zip(clean.split('/')).enumerate() {
        let span = start..start + written.len();
        start = span.end + 1;
        if (number > 0 || after_rest) && is_dot_like(part.as_bytes()) {
            return Err(TemplateError::new(
                span,
                format!("the segment `{written}` would be resolved by the service"),
                "write the path it leads to, or another text beside the parameter",
            ));
        }
    }
    pieces.push(PathPiece::Literal(clean));
    Ok(())
}

fn unknown(span: std::ops::Range<usize>, name: &str, template: &Template) -> TemplateError {
    let nearest = template
        .names()
        .max_by(|left, right| strsim::jaro_winkler(left, name).total_cmp(&strsim::jaro_winkler(right, name)));
    let help = match nearest {
        Some(nearest) if strsim::jaro_winkler(nearest, name) > 0.8 => format!("did you mean `{{{nearest}}}`?"),
        Some(_) => {
            let known: Vec<String> = template.names().map(|known| format!("`{{{known}}}`")).collect();
            format!("it has {}", known.join(", "))
        }
        None => "it has none".to_owned(),
    };
    TemplateError::new(span, format!("`{template}` has no parameter `{name}`"), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::parse(text).expect("the template is right")
    }

    #[test]
    fn parameters_are_put_in_as_they_were_encoded() {
        let table = [
            ("/u/{id}", "/v2/people/{id}", "/u/a%2Fb", "/v2/people/a%2Fb"),
            ("/u/{id}.json", "/{id}", "/u/5.json", "/5"),
            ("/u/{id}", "/fixed caf\u{e9}", "/u/5", "/fixed%20caf%C3%A9"),
            ("/u/{*rest}", "/v2/{*rest}", "/u/a/b", "/v2/a/b"),
            ("/u/{*rest}", "/v2/{rest}", "/u/a/", "/v2/a/"),
            ("/u/{*rest}", "/v2/{rest}", "/u/", "/v2/"),
            ("/u/{*rest}", "/v2/{rest}", "/u", "/v2"),
            ("/u/{*rest}", "/v2/{rest}/x", "/u", "/v2/x"),
            ("/u/{*rest}", "/v2/{rest}/x", "/u/", "/v2/x"),
            ("/u/{*rest}", "/{rest}", "/u", "/"),
        ];
        for (from, to, path, expected) in table {
            let from = template(from);
            let rewrite = PathRewrite::parse(to, std::slice::from_ref(&from)).expect("the rewrite is right");
            assert_eq!(rewrite.expand(&from.captures(path)), expected, "{from} {to} {path}");
        }
    }

    #[test]
    fn wrong_rewrites_are_told_where() {
        let templates = [template("/u/{user_id}"), template("/v/{user_id}/{other}")];
        let table = [
            ("/x/{user_di}", 3..12, "`/u/{user_id}` has no parameter `user_di`"),
            ("/x/{other}", 3..10, "`/u/{user_id}` has no parameter `other`"),
            ("x", 0..1, "a path begins with `/`"),
            ("/x/{user_id", 3..11, "the parameter is not closed"),
            ("/x/../{user_id}", 3..5, "the segment `..` would be resolved by the service"),
            ("/x/%2e%2E/y", 3..9, "the segment `%2e%2E` would be resolved by the service"),
            // With `;x` as the value, and with `.;x`.
            ("/..{user_id}", 1..3, "the segment `..` would be resolved by the service"),
            ("/x/.{user_id}", 3..4, "the segment `.` would be resolved by the service"),
            ("/x?y", 2..4, "a path has no query"),
        ];
        for (text, span, message) in table {
            let error = PathRewrite::parse(text, &templates).expect_err(text);
            assert_eq!((error.span, error.message.as_str()), (span, message), "{text}");
        }
        let below = [template("/u/{*rest}")];
        for (text, dots) in [("/{rest}.", 7..8), ("/x{*rest}../y", 9..11), ("/{rest}..;", 7..10)] {
            assert_eq!(PathRewrite::parse(text, &below).expect_err(text).span, dots, "{text}");
        }
        for text in ["/{rest}.json", "/.well-known/{rest}", "/{rest}/...", "/x.{rest}"] {
            assert!(PathRewrite::parse(text, &below).is_ok(), "{text}");
        }
        let error = PathRewrite::parse("/x/{user_di}", &templates).expect_err("unknown");
        assert_eq!(error.help, "did you mean `{user_id}`?");
    }
}
