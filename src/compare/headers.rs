//! Compares the headers that the rules name, spelt so that equal meanings are equal.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderName};

use super::difference::{Findings, Found, Kind};
use super::path::FieldPath;

pub(super) fn headers(control: &HeaderMap, candidate: &HeaderMap, findings: &mut Findings<'_>) {
    let rules = findings.rules();
    for name in rules.headers() {
        let field = FieldPath::Header(name.clone());
        if rules.ignores(&field) {
            continue;
        }
        let (a, b) = (value(name, control), value(name, candidate));
        if a == b {
            continue;
        }
        let hidden = rules.redactor().hides_header(name);
        let kind = match (&a, &b) {
            (Some(_), None) => Kind::Missing,
            (None, Some(_)) => Kind::Extra,
            _ => Kind::Value,
        };
        findings.add(field.to_string(), kind, shown(a.as_deref(), hidden), shown(b.as_deref(), hidden));
    }
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
    let joined = values.join(", ");
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
        return Some(parts.join("; "));
    }
    Some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::redact::Secrets;
    use crate::compare::{Rules, WrittenRules};

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
            (("set-cookie", "a=secret1"), ("set-cookie", "a=secret2"), "header:set-cookie value"),
        ] {
            let mut findings = Findings::new(&rules, Secrets::default());
            headers(&map(&[control]), &map(&[candidate]), &mut findings);
            let list = findings.into_list();
            assert!(!format!("{list:?}").contains("secret"));
            let found = list.iter().map(|d| format!("{} {}", d.field, d.kind.as_str())).collect::<Vec<_>>().join(",");
            assert_eq!(found, expected, "{control:?} {candidate:?}");
        }
    }
}
