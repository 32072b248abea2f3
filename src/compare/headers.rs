//! Compares headers, spelt so that equal meanings are equal: those that the rules name, or the presence of all and the
//! values of those that clients rely on.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE, VARY};
use http::{HeaderMap, HeaderName};

use super::difference::{Findings, Found, Kind};
use super::media::Media;
use super::path::FieldPath;
use super::rules::{Headers, Rules};
use crate::message::{GRPC_MESSAGE, GRPC_STATUS, percent_decoded};

/// Values that clients rely on.
const USUAL: [&str; 9] = [
    "content-type",
    "location",
    "cache-control",
    "link",
    "content-language",
    "content-disposition",
    "www-authenticate",
    "allow",
    "vary",
];

/// Headers that must differ, belong to the connection, or are compared anyway as the body.
const EXEMPT: [&str; 17] = [
    "date",
    "server",
    "via",
    "age",
    "x-request-id",
    "x-powered-by",
    "etag",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "content-encoding",
    "alt-svc",
    "server-timing",
    "x-runtime",
    "grpc-encoding",
    "grpc-accept-encoding",
];

/// How a call of gRPC ended.
static OUTCOME: [HeaderName; 2] = [HeaderName::from_static(GRPC_STATUS), HeaderName::from_static(GRPC_MESSAGE)];

pub(super) fn headers(control: &HeaderMap, candidate: &HeaderMap, findings: &mut Findings<'_>) {
    let rules = findings.rules();
    let is_grpc = Media::of(control) == Media::Grpc;
    if let Headers::Named(names) = rules.headers() {
        for name in names {
            one(name, control, candidate, true, findings);
        }
        // As the status of HTTP, these are compared whatever headers are named.
        let rest = OUTCOME.iter().filter(|name| is_grpc && !names.contains(name));
        return rest.for_each(|name| one(name, control, candidate, true, findings));
    }
    let mut names: Vec<&HeaderName> = control.keys().chain(candidate.keys()).collect();
    names.sort_by_key(|name| name.as_str());
    names.dedup();
    for name in names.into_iter().filter(|name| !EXEMPT.contains(&name.as_str())) {
        let by_value = *rules.headers() == Headers::All
            || USUAL.contains(&name.as_str())
            || *name == SET_COOKIE
            || is_grpc && name.as_str().starts_with("grpc-");
        one(name, control, candidate, by_value, findings);
    }
}

/// Without what describes a body.
pub(super) fn without_content(headers: &HeaderMap) -> HeaderMap {
    let of_others = headers.iter().filter(|(name, _)| !name.as_str().starts_with("content-"));
    of_others.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The rules say that the outcome of a call does not count.
pub(super) fn ignores_outcome(rules: &Rules) -> bool {
    rules.ignores(&FieldPath::Header(OUTCOME[0].clone()))
}

/// Of two calls that ended differently everything differs: their outcomes are the difference.
pub(super) fn outcome(control: &HeaderMap, candidate: &HeaderMap, findings: &mut Findings<'_>) {
    for name in &OUTCOME {
        one(name, control, candidate, true, findings);
    }
}

fn one(name: &HeaderName, control: &HeaderMap, candidate: &HeaderMap, by_value: bool, findings: &mut Findings<'_>) {
    let rules = findings.rules();
    let field = FieldPath::Header(name.clone());
    if rules.ignores(&field) {
        return;
    }
    let (a, b) = (value(name, control), value(name, candidate));
    if a == b || !by_value && a.is_some() && b.is_some() {
        return;
    }
    // Of a cookie only what is no secret is left.
    let hidden = rules.redactor().hides_header(name) && *name != SET_COOKIE;
    if let (Some(a), Some(b)) = (&a, &b) {
        return findings.texts(field.to_string(), a, b, hidden);
    }
    let kind = if b.is_none() { Kind::Missing } else { Kind::Extra };
    findings.add(field.to_string(), kind, shown(a.as_deref(), hidden), shown(b.as_deref(), hidden));
}

fn shown(value: Option<&str>, hidden: bool) -> Found<'_> {
    match value {
        None => Found::Nothing,
        Some(_) if hidden => Found::Secret,
        Some(value) => Found::Text(value),
    }
}

/// The header's values as one text. Lists lose their white space; directives, media types and field names their case,
/// and directives their order.
fn value(name: &HeaderName, headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
    let values = values.collect::<Vec<_>>();
    if values.is_empty() {
        return None;
    }
    if *name == SET_COOKIE {
        let mut cookies = values.iter().map(|cookie| cookie_without_value(cookie)).collect::<Vec<_>>();
        cookies.sort();
        return Some(cookies.join(", "));
    }
    let joined = values.join(", ");
    if name.as_str() == GRPC_MESSAGE {
        // Servers differ in the characters that they encode.
        return Some(percent_decoded(joined.as_bytes()).into_owned());
    }
    if *name == CACHE_CONTROL || *name == VARY {
        let mut members = joined.split(',').map(|member| member.trim().to_ascii_lowercase()).collect::<Vec<_>>();
        members.sort();
        members.dedup();
        return Some(members.join(", "));
    }
    if *name == CONTENT_TYPE {
        let parts = joined.split(';').map(|part| part.trim().to_ascii_lowercase().replace('"', ""));
        let mut parts = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>();
        // JSON is always UTF-8; the parameter has no meaning there (RFC 8259, section 11).
        if parts.first().is_some_and(|kind| kind == "application/json" || kind.ends_with("+json")) {
            parts.retain(|part| part != "charset=utf-8");
        }
        // The boundary of a multipart body is made up anew for each answer.
        if parts.first().is_some_and(|kind| kind.starts_with("multipart/")) {
            parts.retain(|part| !part.starts_with("boundary="));
        }
        return Some(parts.join("; "));
    }
    Some(joined)
}

/// Name and attributes. When it expires is a time like any other; that it does is not.
fn cookie_without_value(cookie: &str) -> String {
    let mut parts = cookie.split(';');
    let name = parts.next().and_then(|pair| pair.split('=').next()).unwrap_or_default().trim();
    let mut attributes = parts
        .map(|part| match part.split_once('=') {
            Some((attribute, _)) if attribute.trim().eq_ignore_ascii_case("expires") => "expires".to_owned(),
            _ => part.trim().to_ascii_lowercase(),
        })
        .collect::<Vec<_>>();
    attributes.sort();
    std::iter::once(name.to_owned()).chain(attributes).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::WrittenRules;
    use crate::compare::redact::Secrets;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn named_headers_are_compared_by_meaning() {
        let rules = Rules::new(&WrittenRules {
            headers: Some(
                ["content-type", "cache-control", "location", "etag", "set-cookie"].map(str::to_owned).to_vec(),
            ),
            ignore: vec!["header:etag".to_owned()],
            ..WrittenRules::default()
        })
        .expect("valid");
        for (control, candidate, expected) in [
            (
                ("content-type", "application/json; charset=utf-8"),
                ("content-type", "Application/JSON;charset=\"UTF-8\""),
                "",
            ),
            (("content-type", "application/json"), ("content-type", "application/json; charset=utf-8"), ""),
            (("content-type", "text/html"), ("content-type", "text/html; charset=utf-8"), "header:content-type value"),
            (("content-type", "text/html"), ("content-type", "text/plain"), "header:content-type value"),
            (("cache-control", "no-cache, Private"), ("cache-control", "private,no-cache"), ""),
            (("location", "/A"), ("location", "/a"), "header:location value"),
            (("location", "/a"), ("x", "y"), "header:location missing"),
            (("x", "1"), ("location", "/a"), "header:location extra"),
            (("etag", "1"), ("etag", "2"), ""),
            (("server", "a"), ("server", "b"), ""),
            (("set-cookie", "a=secret1"), ("set-cookie", "a=secret2"), ""),
            (("set-cookie", "a=secret1; HttpOnly"), ("set-cookie", "a=secret1"), "header:set-cookie value"),
        ] {
            let mut findings = Findings::new(&rules, Secrets::default());
            headers(&map(&[control]), &map(&[candidate]), &mut findings);
            let list = findings.into_list();
            assert!(!format!("{list:?}").contains("secret"));
            let found = list.iter().map(|d| format!("{} {}", d.field, d.kind.as_str())).collect::<Vec<_>>().join(",");
            assert_eq!(found, expected, "{control:?} {candidate:?}");
        }
    }

    #[test]
    fn what_one_side_alone_sends_is_told() {
        let rules = Rules::default();
        for (control, candidate, expected) in [
            (("x-wp-total", "60"), ("date", "now"), "header:x-wp-total missing"),
            (("x-wp-total", "60"), ("x-wp-total", "61"), ""),
            (("last-modified", "then"), ("last-modified", "now"), ""),
            (("expires", "0"), ("date", "now"), "header:expires missing"),
            (("server", "a"), ("via", "b"), ""),
            (("link", "</a>; rel=next"), ("link", "</b>; rel=next"), "header:link value"),
        ] {
            let mut findings = Findings::new(&rules, Secrets::default());
            headers(&map(&[control]), &map(&[candidate]), &mut findings);
            let list = findings.into_list();
            let found = list.iter().map(|d| format!("{} {}", d.field, d.kind.as_str())).collect::<Vec<_>>().join(",");
            assert_eq!(found, expected, "{control:?} {candidate:?}");
        }
    }
}
