//! Paths: templates, normalising and matching, held against a second reading that is written for its plainness.
//!
//! An input is lines: a byte of switches, templates (each may begin with a method and a host, `GET example.com/a/{id}`),
//! one rewrite (`> /b/{id}`), and, last, the request: method, host and path in the same form.

use std::fmt::Write;
use std::sync::Arc;

use http::Method;
use multilith::message::Fields;
use multilith::route::{
    Facts, HostPattern, Matching, MethodSet, PathRefused, PathRewrite, RouteTable, Rule, Segment, Template,
    TemplateError, linear, normalise_bytes,
};

pub fn hold(input: &[u8]) {
    let Some((&switches, input)) = input.split_first() else { return };
    let matching = Matching {
        merge_slashes: switches & 1 == 0,
        case_insensitive: switches & 2 != 0,
        ignore_trailing_slash: switches & 4 != 0,
    };
    let (lines, request) = match input.iter().rposition(|&byte| byte == b'\n') {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (&[][..], input),
    };
    let lines = String::from_utf8_lossy(lines);
    let (method, host, path) = parts(request);
    let host = String::from_utf8_lossy(host);
    let normal = normalise_bytes(path, &matching);
    assert_eq!(
        normal
            .as_ref()
            .map(|it| (it.as_str().to_owned(), it.undotted().map(str::to_owned)))
            .map_err(|refused| *refused),
        reading(path, matching.merge_slashes),
    );
    let rules: Vec<Rule> = lines.lines().filter(|line| !line.starts_with('>')).filter_map(rule).collect();
    let Ok(normal) = normal else { return };
    once_is_enough(normal.as_str(), matching);
    for template in rules.iter().flat_map(|rule| &rule.paths) {
        let rewrites = lines.lines().filter_map(|line| line.strip_prefix('>')).map(str::trim_start);
        captured(template, normal.as_str(), matching, rewrites);
    }

    let rules: Vec<_> = rules.into_iter().map(Arc::new).collect();
    let Ok(table) = RouteTable::build(&rules, matching) else { return };
    let headers = Fields::new();
    let facts = Facts {
        method: &method,
        preflight: None,
        host: &host,
        path: normal.as_str(),
        query: None,
        headers: &headers,
        client: None,
        upgrade: false,
    };
    let found = table.find(&facts);
    assert_eq!(
        found.map(|it| it.route),
        linear(&rules, &facts, matching).map(|it| it.route),
        "search and order differ"
    );
    let raw = normal.undotted().unwrap_or(normal.as_str());
    let unresolved = linear(&rules, &Facts { path: raw, ..facts }, matching).map(|it| it.route);
    let selected = table.select(&facts, &normal).map(|it| it.map(|it| it.route));
    let expected = if unresolved == found.map(|it| it.route) { Ok(unresolved) } else { Err(PathRefused::OtherRoute) };
    assert_eq!(selected, expected);
    let explanation = table.explain(&facts);
    assert_eq!(explanation.found, found);
    for candidate in &explanation.candidates {
        assert!(!candidate.lost.to_string().is_empty());
    }
}

/// Method, host and path of a line; what is missing is `GET` and no host.
fn parts(line: &[u8]) -> (Method, &[u8], &[u8]) {
    let (method, rest) = match line.iter().position(|&byte| byte == b' ') {
        Some(at) => match Method::from_bytes(&line[..at]) {
            Ok(method) => (method, &line[at + 1..]),
            Err(_) => (Method::GET, line),
        },
        None => (Method::GET, line),
    };
    let slash = rest.iter().position(|&byte| byte == b'/').unwrap_or(0);
    (method, &rest[..slash], &rest[slash..])
}

/// A rule as the file would give it, if the file would take it.
fn rule(line: &str) -> Option<Rule> {
    let (method, host, path) = parts(line.as_bytes());
    let path = std::str::from_utf8(path).expect("cut at a slash");
    let template = Template::parse(path);
    if let Err(error) = &template {
        placed(error, path);
    }
    let host = std::str::from_utf8(host).expect("cut at a space and at a slash").to_ascii_lowercase();
    let is_name = |name: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        name.split('.').all(|label| !label.is_empty() && label.bytes().all(known))
    };
    let host = match host.strip_prefix("*.") {
        _ if host.is_empty() => HostPattern::Any,
        Some(suffix) if is_name(suffix) => HostPattern::Wildcard(format!(".{suffix}").into()),
        None if is_name(&host) => HostPattern::Exact(host.into()),
        _ => return None,
    };
    let methods = line.split_once(' ').map(|_| MethodSet::of(&[method]));
    Some(Rule { host, paths: vec![template.ok()?], methods, conditions: Vec::new(), priority: 0 })
}

fn placed(error: &TemplateError, text: &str) {
    assert!(text.get(error.span.clone()).is_some(), "{error:?} in {text:?}");
    assert!(!error.message.is_empty() && !error.help.is_empty(), "{error:?}");
}

/// A normal path is its own normal form.
fn once_is_enough(normal: &str, matching: Matching) {
    let twice = normalise_bytes(normal.as_bytes(), &matching).expect("a normal path is taken");
    assert_eq!((twice.as_str(), twice.undotted()), (normal, None));
}

/// What a template takes of a path is in the path, and puts together the same path again; no rewrite makes dot segments.
fn captured<'a>(template: &Template, path: &str, matching: Matching, rewrites: impl Iterator<Item = &'a str>) {
    if !template.takes(path, matching) {
        return;
    }
    let captures = template.captures(path);
    for segment in template.segments() {
        match segment {
            Segment::Literal(_) => {}
            Segment::Parameter(own) => {
                let value = captures.get(&own.name).expect("a template that takes a path has its values");
                assert!(!value.is_empty() && !value.contains('/') && path.contains(value), "{value:?} of {path:?}");
            }
            Segment::Rest(name) => {
                let value = captures.get(name).expect("a template that takes a path has its values");
                assert!(path.ends_with(value), "{value:?} of {path:?}");
            }
        }
    }
    let exact = Matching { case_insensitive: false, ignore_trailing_slash: false, ..matching };
    if template.takes(path, exact) {
        // A template may have a segment that no rewriting leads to: `.`, which the service would resolve.
        if let Ok(same) = PathRewrite::parse(template.as_str(), std::slice::from_ref(template)) {
            assert_eq!(same.expand(&captures), path, "rewritten to itself");
        }
    }
    for text in rewrites {
        match PathRewrite::parse(text, std::slice::from_ref(template)) {
            Err(error) => placed(&error, text),
            Ok(rewrite) => {
                let sent = rewrite.expand(&captures);
                // Slashes may be doubled: by a catch-all that begins with one, where the client's are kept.
                once_is_enough(&sent, Matching { merge_slashes: false, ..matching });
            }
        }
    }
}

/// The second reading: segment by segment, with everything allocated. The path, and the path with its dot segments if it
/// has any.
fn reading(raw: &[u8], merge: bool) -> Result<(String, Option<String>), PathRefused> {
    match raw {
        b"" => return Ok(("/".to_owned(), None)),
        b"*" => return Ok(("*".to_owned(), None)),
        [b'/', ..] => {}
        _ => return Err(PathRefused::NotAbsolute),
    }
    let mut segments = Vec::new();
    for segment in raw[1..].split(|&byte| byte == b'/') {
        segments.push(segment_reading(segment)?);
    }
    if merge {
        let last = segments.len() - 1;
        let mut number = 0;
        segments.retain(|segment| {
            number += 1;
            !segment.is_empty() || number - 1 == last
        });
    }
    if segments.iter().any(|segment| segment.starts_with("..;") || segment.starts_with("..%3B")) {
        return Err(PathRefused::DotSemicolon);
    }
    let unresolved = format!("/{}", segments.join("/"));
    if !segments.iter().any(|segment| segment == "." || segment == "..") {
        return Ok((unresolved, None));
    }
    let mut resolved: Vec<&str> = Vec::new();
    for segment in &segments {
        match segment.as_str() {
            "." => {}
            ".." => drop(resolved.pop()),
            other => resolved.push(other),
        }
    }
    if matches!(segments.last().map(String::as_str), Some("." | "..")) {
        resolved.push("");
    }
    Ok((format!("/{}", resolved.join("/")), Some(unresolved)))
}

fn segment_reading(raw: &[u8]) -> Result<String, PathRefused> {
    let mut text = String::new();
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        let (octet, escaped, after) = match after {
            [high, low, after @ ..] if byte == b'%' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).expect("digits");
                (u8::from_str_radix(digits, 16).expect("digits"), true, after)
            }
            _ => (byte, false, after),
        };
        rest = after;
        match octet {
            0 => return Err(PathRefused::Nul),
            1..=0x1f | 0x7f => return Err(PathRefused::Control),
            b'\\' if !escaped => return Err(PathRefused::Backslash),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(octet)),
            _ if !escaped && b"!$&'()*+,;=:@".contains(&octet) => text.push(char::from(octet)),
            _ => write!(text, "%{octet:02X}").expect("memory takes it"),
        }
    }
    Ok(text)
}
