//! What the service is sent instead of what the client sent.

use super::super::draft::Draft;
use super::{Site, edits};
use crate::config::Given;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::route::{PathPiece, PathRewrite, Rewrite};

pub(super) fn compile(site: Site<'_>, draft: &mut Draft<'_>) -> Rewrite {
    let Some(rewrite) = site.route.rewrite.get() else { return Rewrite::default() };
    let headers = edits::compile(&rewrite.set, &rewrite.add, &rewrite.remove, draft);
    let removed = rewrite.remove.get().and_then(|list| list.iter().find(|item| item.value == http::header::COOKIE));
    if let Some(item) = removed {
        draft.say(
            Code::LostCookie,
            item.span.clone(),
            format!("the service of `{}` gets no cookie at all: nobody is logged in there", site.name()),
            "all cookies are lost",
            "remove `cookie` from the list, if the service should know the user's session",
        );
    }
    if let Some(given) = rewrite.host.given() {
        check_host(given, draft);
    }
    Rewrite {
        path: rewrite.path.given().and_then(|given| path(site, given, draft)),
        host: rewrite.host.get().cloned(),
        headers,
    }
}

fn check_host(given: &Given<http::HeaderValue>, draft: &mut Draft<'_>) {
    let text = given.value.to_str().unwrap_or("");
    if let Err(error) = super::super::address::host_port(text, Some(0)) {
        let at = draft.inside(&given.span, text, error.part);
        draft.say(Code::InvalidValue, at, error.message, "not a host", "write it like `host = \"users.internal\"`");
    }
}

fn path(site: Site<'_>, given: &Given<String>, draft: &mut Draft<'_>) -> Option<PathRewrite> {
    let text = given.value.as_str();
    if !text.starts_with('/') {
        let help = format!("write `path = \"/{text}\"`");
        draft.say(Code::InvalidTemplate, given.span.clone(), "a path begins with `/`", "no `/`", help);
        return None;
    }
    if let Some(at) = text.find(['?', '#', ' ']) {
        let part = draft.part(given, at..text.len());
        let help = "remove it: the query is kept as the client sent it; a space is written `%20`";
        draft.say(Code::InvalidTemplate, part, "a rewritten path is a path alone", "not part of a path", help);
        return None;
    }
    let mut pieces = Vec::new();
    let mut literal = 0;
    let mut fine = true;
    while let Some(open) = text[literal..].find(['{', '}']).map(|at| at + literal) {
        let close = text[open..].find('}').map(|at| at + open).filter(|close| *close > open);
        let Some(close) = close else {
            let part = draft.part(given, open..text.len());
            let help = "write a parameter as `{name}`; braces as they are become `%7B` and `%7D`";
            draft.say(Code::InvalidTemplate, part, "a brace without its other half", "never closed", help);
            return None;
        };
        if open > literal {
            pieces.push(PathPiece::Literal(text[literal..open].into()));
        }
        let name = text[open + 1..close].trim_start_matches('*');
        fine &= check_parameter(site, name, draft.part(given, open..close + 1), draft);
        pieces.push(PathPiece::Parameter(name.into()));
        literal = close + 1;
    }
    if literal < text.len() {
        pieces.push(PathPiece::Literal(text[literal..].into()));
    }
    fine.then_some(PathRewrite { pieces })
}

/// Every path of the route must have the parameter: the rewrite is one for all.
fn check_parameter(site: Site<'_>, name: &str, span: Span, draft: &mut Draft<'_>) -> bool {
    let paths = site.route.path.get().map(|list| list.0.as_slice()).unwrap_or_default();
    let Some(without) = paths.iter().find(|item| !parameters(&item.value).any(|known| known == name)) else {
        return true;
    };
    let known: Vec<_> = parameters(&without.value).collect();
    let help = match draft.nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{{{near}}}`?"),
        None if known.is_empty() => {
            format!("the path has no parameters; write `{{{name}}}` where it stands in the path")
        }
        None => {
            let known: Vec<_> = known.iter().map(|name| format!("`{{{name}}}`")).collect();
            format!("the path has {}", known.join(", "))
        }
    };
    draft.push(
        Diagnostic::new(Code::UnknownParameter, format!("the path `{}` has no parameter `{name}`", without.value))
            .at(span)
            .label("unknown parameter")
            .related(without.span.clone(), "the path")
            .help(help),
    );
    false
}

/// The names of a template's parameters.
fn parameters(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name.trim_start_matches('*'))
}
