//! Which requests a route takes.

use std::collections::HashSet;

use http::Method;

use super::super::draft::Draft;
use super::{Site, conditions};
use crate::config::{Field, Given};
use crate::diagnostic::Code;
use crate::route::{HostPattern, MethodSet, Rule, Template};

pub(super) fn compile(site: Site<'_>, draft: &mut Draft<'_>) -> Option<Rule> {
    let host = host(site, draft);
    let paths = paths(site, draft);
    let methods = methods(site, draft);
    let conditions = conditions::compile(site, draft);
    Some(Rule { host: host?, paths: paths?, methods: methods?, conditions, priority: site.route.priority.or(0) })
}

fn host(site: Site<'_>, draft: &mut Draft<'_>) -> Option<HostPattern> {
    let given = match &site.route.host {
        Field::Absent => return Some(HostPattern::Any),
        Field::Wrong => return None,
        Field::Given(given) => given,
    };
    let pattern = read_host(&given.value);
    if let Err(help) = &pattern {
        draft.say(
            Code::InvalidValue,
            given.span.clone(),
            format!("`{}` is not a host", given.value),
            "not a host",
            help.to_string(),
        );
    }
    pattern.ok()
}

/// A text that is no host of a route, by what is to be done about it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum BadHost {
    #[error("remove `host`: a route without it takes every host")]
    Every,
    #[error("write `host = \"{0}\"`")]
    Url(Box<str>),
    #[error("write an IPv6 address in brackets, as in `[::1]`")]
    Brackets,
    #[error("write a name, `example.com`, or a wildcard, `*.example.com`")]
    Port,
    #[error("`*` stands for the first labels only, as in `*.example.com`")]
    Wildcard,
    #[error("write a name, `example.com`, or a wildcard, `*.example.com`; names in other scripts in their `xn--` form")]
    Name,
}

/// Whether a text is one that a route may have as its host.
pub fn is_host(text: &str) -> bool {
    read_host(text).is_ok()
}

/// The case and a port do not count.
fn read_host(text: &str) -> Result<HostPattern, BadHost> {
    if text == "*" || text.is_empty() {
        return Err(BadHost::Every);
    }
    if let Some((_, rest)) = text.split_once("://") {
        return Err(BadHost::Url(rest.split('/').next().unwrap_or("").into()));
    }
    let lower = text.to_ascii_lowercase();
    if let Some(literal) = lower.strip_prefix('[') {
        let inner = literal.split(']').next().unwrap_or("");
        return match inner.parse::<std::net::Ipv6Addr>() {
            Ok(_) => Ok(HostPattern::Exact(format!("[{inner}]").into())),
            Err(_) => Err(BadHost::Brackets),
        };
    }
    let without_port = match lower.split_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) => return Err(BadHost::Port),
        None => &lower,
    };
    let without_port = without_port.trim_end_matches('.');
    let name = without_port.strip_prefix("*.").unwrap_or(without_port);
    if name.contains('*') {
        return Err(BadHost::Wildcard);
    }
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.split('.').any(str::is_empty) || !name.chars().all(fine) {
        return Err(BadHost::Name);
    }
    Ok(if without_port.len() == name.len() {
        HostPattern::Exact(name.into())
    } else {
        HostPattern::Wildcard(format!(".{name}").into())
    })
}

fn paths(site: Site<'_>, draft: &mut Draft<'_>) -> Option<Vec<Template>> {
    let given = match &site.route.path {
        Field::Given(given) => given,
        Field::Wrong => return None,
        Field::Absent if !site.route.host.is_absent() => return Some(vec![everything()]),
        Field::Absent => {
            draft.say(
                Code::MissingPath,
                site.entry.key.clone(),
                format!("the route `{}` names neither path nor host", site.name()),
                "takes what?",
                "add `path = \"/api/users/{id}\"`; `path = \"/{*rest}\"` takes everything",
            );
            return None;
        }
    };
    if given.value.0.is_empty() {
        let help = "name at least one: `path = [\"/api/users\"]`";
        draft.say(Code::MissingPath, given.span.clone(), "the list of paths is empty", "no path", help);
        return None;
    }
    let mut templates = Vec::with_capacity(given.value.0.len());
    let mut seen = HashSet::new();
    for item in &given.value.0 {
        if !seen.insert(item.value.as_str()) {
            let message = format!("the path `{}` is given twice", item.value);
            draft.say(Code::DuplicateValue, item.span.clone(), message, "again", "remove one of the two");
            continue;
        }
        match Template::parse(&item.value) {
            Ok(template) => templates.push(template),
            Err(error) => {
                draft.invalid_template(&item.span, &item.value, error, "not a path template");
            }
        }
    }
    (!templates.is_empty()).then_some(templates)
}

fn everything() -> Template {
    Template::parse("/{*rest}").expect("a final catch-all is a template")
}

/// `None` inside: the route names no methods. `GET` stands for GET and HEAD.
#[expect(clippy::option_option, reason = "the outer one says whether the file could be read")]
fn methods(site: Site<'_>, draft: &mut Draft<'_>) -> Option<Option<MethodSet>> {
    let given: &Given<_> = match &site.route.methods {
        Field::Absent => return Some(None),
        Field::Wrong => return None,
        Field::Given(given) => given,
    };
    if given.value.0.is_empty() {
        let help = "name at least one, `methods = [\"GET\"]`, or remove the key to take all";
        draft.say(Code::InvalidValue, given.span.clone(), "the list of methods is empty", "no method", help);
        return None;
    }
    let mut set = MethodSet::default();
    let mut seen = HashSet::new();
    for item in &given.value.0 {
        if !seen.insert(&item.value) {
            let message = format!("the method `{}` is given twice", item.value);
            draft.say(Code::DuplicateValue, item.span.clone(), message, "again", "remove one of the two");
        }
        set.insert(item.value.clone());
        if item.value == Method::GET {
            set.insert(Method::HEAD);
        }
    }
    Some(Some(set))
}

#[cfg(test)]
mod tests {
    use super::read_host;
    use crate::route::HostPattern;

    #[test]
    fn hosts_are_read_without_case_and_port() {
        let exact = |text: &str| Ok(HostPattern::Exact(text.into()));
        assert_eq!(read_host("Example.COM:8080"), exact("example.com"));
        assert_eq!(read_host("example.com."), exact("example.com"));
        assert_eq!(read_host("[::1]:80"), exact("[::1]"));
        assert_eq!(read_host("*.Example.com"), Ok(HostPattern::Wildcard(".example.com".into())));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", "*", "*.", "a.*.b", "a..b", "a b", "http://a/b", "[::x]", "bücher.example", "a:b", "**.a"] {
            assert!(read_host(text).is_err(), "{text}");
        }
    }
}
