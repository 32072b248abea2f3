//! Changes an upstream's response so that two applications live under one origin.

use super::head_edits::{rewrite_cookies, rewrite_location};
use super::location::{self, AnsweredRequest, Reverse};
use super::own_host;
use crate::compile::Route;
use crate::endpoint::UpstreamId;
use crate::message::ResponseHead;
use crate::route::AnswerEdits;

/// Turns an upstream's own addresses into those that the client knows: by the route's table where a service has answered, and by the host
/// that the upstream was asked under.
pub fn turn_back(head: &mut ResponseHead, route: Option<&Route>, asked: &AnsweredRequest<'_>) {
    if let Some(route) = route
        && asked.from != UpstreamId::MONOLITH
    {
        apply(head, route, asked);
    }
    let spec = asked.generation.snapshot.upstreams.get(asked.from.index());
    if let Some(host) = spec.and_then(|spec| spec.host.as_deref()) {
        own_host::turn_back(head, host, asked);
    }
}

/// Applies the route's `answer` table to what an endpoint of the service answered.
fn apply(head: &mut ResponseHead, route: &Route, asked: &AnsweredRequest<'_>) {
    let edits = &route.answer;
    if edits.is_empty() {
        return;
    }
    if edits.location && location::NAMES.iter().any(|name| head.fields.has(*name)) {
        let reverse = Reverse::of(route, asked);
        for name in location::NAMES {
            rewrite_location(head, name, &reverse);
        }
    }
    if !edits.cookie_domain.is_empty() || !edits.cookie_path.is_empty() {
        rewrite_cookies(head, |cookie| rewrite_cookie(cookie, edits));
    }
    edits.headers.apply(&mut head.fields);
}

/// Changes the Domain and Path attributes.
fn rewrite_cookie(cookie: &str, edits: &AnswerEdits) -> String {
    // Browsers keep such a cookie only with the path `/` and without a domain.
    let hosts_own = cookie.trim_start().get(..7).is_some_and(|prefix| prefix.eq_ignore_ascii_case("__Host-"));
    if hosts_own {
        return cookie.to_owned();
    }
    let mut parts = Vec::new();
    for part in cookie.split(';') {
        let trimmed = part.trim();
        let (key, value) = trimmed.split_once('=').unwrap_or((trimmed, ""));
        let first = parts.is_empty();
        if !first && key.eq_ignore_ascii_case("domain") {
            let domain = value.trim_start_matches('.');
            match edits.cookie_domain.iter().find(|(from, _)| from.trim_start_matches('.').eq_ignore_ascii_case(domain))
            {
                Some((_, Some(to))) => parts.push(format!("Domain={to}")),
                Some((_, None)) => {}
                None => parts.push(trimmed.to_owned()),
            }
        } else if !first && key.eq_ignore_ascii_case("path") {
            parts.push(format!("Path={}", rewrite_cookie_path(value, edits)));
        } else {
            parts.push(trimmed.to_owned());
        }
    }
    parts.join("; ")
}

/// The longest prefix that ends on a segment boundary is replaced.
fn rewrite_cookie_path(path: &str, edits: &AnswerEdits) -> String {
    let longest = edits
        .cookie_path
        .iter()
        .filter_map(|(from, to)| Some((from.len(), path.strip_prefix(&**from)?, from, to)))
        .filter(|(_, rest, from, _)| rest.is_empty() || rest.starts_with('/') || from.ends_with('/'))
        .max_by_key(|(length, ..)| *length);
    match longest {
        Some((_, rest, from, to)) if from.ends_with('/') && !to.ends_with('/') && !rest.is_empty() => {
            format!("{to}/{rest}")
        }
        Some((_, rest, _, to)) => {
            format!("{}{rest}", if rest.starts_with('/') { to.trim_end_matches('/') } else { to })
        }
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits() -> AnswerEdits {
        AnswerEdits {
            cookie_domain: vec![("users.internal".into(), Some("example.com".into())), ("gone.internal".into(), None)],
            cookie_path: vec![("/".into(), "/users".into()), ("/v2".into(), "/api".into())],
            ..AnswerEdits::default()
        }
    }

    #[test]
    fn cookies_move_to_the_outer_domain_and_path() {
        let cases = [
            ("a=1; Domain=users.internal; Path=/x", "a=1; Domain=example.com; Path=/users/x"),
            ("a=1; domain=.Users.Internal", "a=1; Domain=example.com"),
            ("a=1; Domain=gone.internal; Secure", "a=1; Secure"),
            ("a=1; Domain=other.example; HttpOnly", "a=1; Domain=other.example; HttpOnly"),
            ("a=1; Path=/v2/people", "a=1; Path=/api/people"),
            ("a=1; Path=/v2", "a=1; Path=/api"),
            ("a=1; Path=/v2x", "a=1; Path=/users/v2x"),
            ("path=/kept; Path=/", "path=/kept; Path=/users"),
            ("__Host-a=1; Path=/; Secure", "__Host-a=1; Path=/; Secure"),
        ];
        for (from, to) in cases {
            assert_eq!(rewrite_cookie(from, &edits()), to, "{from}");
        }
    }
}
