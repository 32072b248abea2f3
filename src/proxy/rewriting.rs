//! What is changed in a service's answer so that two applications live under one origin.

use http::{HeaderName, HeaderValue, Uri, header};
use pingora::Result;
use pingora::http::ResponseHeader;

use crate::route::{AnswerEdits, Route};

/// Applies the route's `answer` table to what an endpoint of the service answered.
pub fn answer(response: &mut ResponseHeader, route: &Route, endpoint: &str) -> Result<()> {
    let edits = &route.answer;
    if edits.is_empty() {
        return Ok(());
    }
    if edits.location {
        let rewritten = route.rewrite.host.as_ref().and_then(|host| host.to_str().ok());
        let internal: Vec<&str> = rewritten.into_iter().chain([endpoint]).collect();
        for name in [header::LOCATION, header::CONTENT_LOCATION, header::REFRESH] {
            rewrite_location(response, &name, &internal)?;
        }
    }
    if !edits.cookie_domain.is_empty() || !edits.cookie_path.is_empty() {
        rewrite_cookies(response, edits)?;
    }
    for name in &edits.headers.remove {
        response.remove_header(name);
    }
    for (name, value) in &edits.headers.set {
        response.insert_header(name.clone(), value.clone())?;
    }
    for (name, value) in &edits.headers.add {
        response.append_header(name.clone(), value.clone())?;
    }
    Ok(())
}

/// A URL that names the service's own host becomes one under the host that the client asked.
fn rewrite_location(response: &mut ResponseHeader, name: &HeaderName, internal: &[&str]) -> Result<()> {
    let Some(value) = response.headers.get(name).and_then(|value| value.to_str().ok()) else { return Ok(()) };
    let (prefix, url) = match value.to_ascii_lowercase().find("url=") {
        Some(at) if *name == header::REFRESH => value.split_at(at + 4),
        _ => ("", value),
    };
    let Ok(uri) = url.parse::<Uri>() else { return Ok(()) };
    let ours = uri.authority().is_some_and(|authority| {
        internal
            .iter()
            .any(|host| authority.as_str().eq_ignore_ascii_case(host) || authority.host().eq_ignore_ascii_case(host))
    });
    if !ours {
        return Ok(());
    }
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let fragment = url.split_once('#').map_or(String::new(), |(_, fragment)| format!("#{fragment}"));
    // An absolute path keeps the scheme, host and port that the client used, whatever stands in front of us.
    response.insert_header(name.clone(), format!("{prefix}{path}{fragment}"))
}

/// Changes the Domain and Path attributes of every cookie that the service sets.
fn rewrite_cookies(response: &mut ResponseHeader, edits: &AnswerEdits) -> Result<()> {
    let cookies: Vec<HeaderValue> = response.headers.get_all(header::SET_COOKIE).iter().cloned().collect();
    if cookies.is_empty() {
        return Ok(());
    }
    response.remove_header(&header::SET_COOKIE);
    for cookie in cookies {
        let changed = cookie.to_str().ok().and_then(|text| HeaderValue::from_str(&rewrite_cookie(text, edits)).ok());
        response.append_header(header::SET_COOKIE, changed.unwrap_or(cookie))?;
    }
    Ok(())
}

fn rewrite_cookie(cookie: &str, edits: &AnswerEdits) -> String {
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
        ];
        for (from, to) in cases {
            assert_eq!(rewrite_cookie(from, &edits()), to, "{from}");
        }
    }
}
