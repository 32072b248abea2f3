//! Changes to a service's answer, and whether its cookies find their way back.

use super::super::draft::Draft;
use super::{Site, edits};
use crate::config::{self, Field, NamedEntry};
use crate::diagnostic::Code;
use crate::route::AnswerEdits;

pub(super) fn compile(site: Site<'_>, draft: &mut Draft<'_>) -> AnswerEdits {
    let Some(answer) = site.route.answer.get() else { return AnswerEdits::default() };
    let headers = edits::compile(&answer.set, &Field::Absent, &answer.remove, draft);
    let removed = answer.remove.get().and_then(|list| list.iter().find(|item| item.value == http::header::SET_COOKIE));
    if let Some(item) = removed {
        draft.say(
            Code::LostCookie,
            item.span.clone(),
            format!("the service of `{}` cannot set a cookie: nobody can log in there", site.name()),
            "all cookies are lost",
            "remove `set-cookie` from the list, unless the service's cookies are really unwanted",
        );
    }
    AnswerEdits {
        location: answer.location.or(false),
        cookie_domain: domains(site, answer, draft),
        cookie_path: paths(site, answer, draft),
        headers,
    }
}

fn domains(site: Site<'_>, answer: &config::Answer, draft: &mut Draft<'_>) -> Vec<(Box<str>, Option<Box<str>>)> {
    let entries = answer.cookie_domain.get().map(|named| named.entries.as_slice()).unwrap_or_default();
    let mut domains = Vec::with_capacity(entries.len());
    for entry in entries {
        let from = entry.name.trim_start_matches('.').to_ascii_lowercase();
        let to = entry.value.0.as_ref().map(|to| to.trim_start_matches('.').to_ascii_lowercase());
        if let Some(to) = &to {
            check_domain(site, entry, to, draft);
        }
        domains.push((from.into(), to.map(Into::into)));
    }
    domains
}

/// A browser keeps a cookie for a domain only if the page's host lies in it.
fn check_domain(site: Site<'_>, entry: &NamedEntry<config::CookieDomain>, to: &str, draft: &mut Draft<'_>) {
    let Some(host) = site.route.host.get() else { return };
    let host = host.split(':').next().unwrap_or("").trim_start_matches("*.").to_ascii_lowercase();
    let within = host == to || host.strip_suffix(to).is_some_and(|rest| rest.ends_with('.'));
    if !within {
        draft.say(
            Code::LostCookie,
            entry.span.clone(),
            format!("browsers at `{host}` do not keep cookies for `{to}`"),
            "cookies are lost",
            format!("write `\"{host}\"`, or `\"\"` to remove the attribute"),
        );
    }
}

fn paths(site: Site<'_>, answer: &config::Answer, draft: &mut Draft<'_>) -> Vec<(Box<str>, Box<str>)> {
    let entries = answer.cookie_path.get().map(|named| named.entries.as_slice()).unwrap_or_default();
    let mut paths = Vec::with_capacity(entries.len());
    for entry in entries {
        let wrong = [(&entry.name, &entry.key), (&entry.value, &entry.span)];
        if let Some((text, span)) = wrong.into_iter().find(|(text, _)| !text.starts_with('/')) {
            let help = "write both as paths: `cookie_path = { \"/app\" = \"/\" }`";
            let message = format!("`{text}` is not the path of a cookie");
            draft.say(Code::InvalidValue, span.clone(), message, "begins with `/`", help);
            continue;
        }
        check_path(site, entry, draft);
        paths.push((entry.name.as_str().into(), entry.value.as_str().into()));
    }
    paths
}

/// A browser sends a cookie back only below its path: the route's own paths should lie there.
fn check_path(site: Site<'_>, entry: &NamedEntry<String>, draft: &mut Draft<'_>) {
    let to = entry.value.trim_end_matches('/');
    let templates = site.route.path.get().map(|list| list.0.as_slice()).unwrap_or_default();
    let outside = templates.iter().find(|item| {
        let literal = item.value.split('{').next().unwrap_or("");
        let below = literal.strip_prefix(to);
        !below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if let Some(template) = outside {
        draft.say(
            Code::LostCookie,
            entry.span.clone(),
            format!("cookies with the path `{}` do not come back to `{}`", entry.value, template.value),
            "cookies are lost",
            "write a path that the route lies below; `\"/\"` is always one",
        );
    }
}
