//! The address that a route answers with instead of a service.

use super::captures::Captures;
use super::rewrite::PathRewrite;
use super::template::{Template, TemplateError};

/// A redirect, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    pub status: u16,
    /// `https://host`; empty: the path alone, at the host that was asked.
    origin: Box<str>,
    path: PathRewrite,
}

impl Redirect {
    /// `to`: a path with the parameters of all templates, or an http or https URL that ends in one.
    pub fn parse(to: &str, status: u16, templates: &[Template]) -> Result<Self, TemplateError> {
        let authority = ["https://", "http://"].into_iter().find(|scheme| to.starts_with(scheme)).map_or(0, str::len);
        let path =
            if authority == 0 { 0 } else { to[authority..].find('/').map_or(to.len(), |slash| authority + slash) };
        let origin = &to[..path];
        let host = &origin[authority.min(origin.len())..];
        if authority > 0 && (host.is_empty() || host.contains(['{', '}', '@', '?', '#', '\\', ' '])) {
            let help = "write it like `https://shop.example/new/{id}`; parameters stand in the path alone";
            return Err(TemplateError::new(authority..path, "this is no host", help));
        }
        let written = if path == to.len() && authority > 0 { "/" } else { &to[path..] };
        let path = PathRewrite::parse(written, templates).map_err(|mut error| {
            error.span = error.span.start + path..error.span.end + path;
            error
        })?;
        Ok(Self { status, origin: origin.into(), path })
    }

    /// `https://host`; empty: the host that was asked.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    #[must_use]
    pub const fn path(&self) -> &PathRewrite {
        &self.path
    }

    /// The address for one request. It never begins with `//`, which would be another host.
    #[must_use]
    pub fn location(&self, captures: &Captures<'_>, query: Option<&[u8]>) -> Vec<u8> {
        let path = self.path.expand(captures);
        let mut location = self.origin.as_bytes().to_vec();
        location.push(b'/');
        location.extend_from_slice(path.trim_start_matches('/').as_bytes());
        if let Some(query) = query {
            location.push(b'?');
            location.extend_from_slice(query);
        }
        location
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(to: &str, template: &str, path: &str, query: Option<&str>) -> String {
        let template = Template::parse(template).expect("a template");
        let redirect = Redirect::parse(to, 308, std::slice::from_ref(&template)).expect("a redirect");
        let location = redirect.location(&template.captures(path), query.map(str::as_bytes));
        String::from_utf8(location).expect("text")
    }

    #[test]
    fn parameters_keep_their_encoding_and_the_query_stays() {
        for (to, template, path, query, expected) in [
            ("/new/{id}", "/old/{id}", "/old/a%2Fb", Some("x=1&y"), "/new/a%2Fb?x=1&y"),
            ("/new/{id}", "/old/{id}", "/old/7", Some(""), "/new/7?"),
            ("https://shop.example/{rest}", "/old/{*rest}", "/old/a/b", None, "https://shop.example/a/b"),
            ("https://shop.example", "/old", "/old", Some("a"), "https://shop.example/?a"),
            // A target that would be another host.
            ("/{rest}", "/old/{*rest}", "/old//evil.example/x", None, "/evil.example/x"),
            ("/{rest}", "/old/{*rest}", "/old", None, "/"),
        ] {
            assert_eq!(at(to, template, path, query), expected, "{to} {path}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_where() {
        let template = [Template::parse("/old/{id}").expect("a template")];
        for (to, span) in [
            ("new", 0..3),
            ("https://{id}/x", 8..12),
            ("https:///x", 8..8),
            ("https://u@h/x", 8..11),
            ("https://h/{di}", 10..14),
            ("/x?y={id}", 2..9),
        ] {
            assert_eq!(Redirect::parse(to, 308, &template).expect_err(to).span, span, "{to}");
        }
    }
}
