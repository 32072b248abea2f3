//! Changes to the request for the service.

use super::super::draft::Draft;
use super::{Site, edits};
use crate::config::Given;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::endpoint::UpstreamId;
use crate::migration::{Policy, Stage};
use crate::route::{PathRewrite, Rewrite, Template};

/// `templates` are the route's paths, empty if they could not be read.
pub(super) fn compile(site: Site<'_>, templates: &[Template], draft: &mut Draft<'_>) -> Rewrite {
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
        path: rewrite.path.given().and_then(|given| path(site, given, templates, draft)),
        host: rewrite.host.get().cloned(),
        headers,
    }
}

/// A rewrite changes what a service is sent. Without one, or without a change, it never acts.
pub(super) fn check_effect(site: Site<'_>, policy: Option<&Policy>, compiled: &Rewrite, draft: &mut Draft<'_>) {
    let (Some(given), Some(policy)) = (site.route.rewrite.given(), policy) else { return };
    if !site.route.redirect.is_absent() {
        // Said with the other keys that a redirect makes useless.
        return;
    }
    let asks_service = asks_service(policy);
    let written = &given.value;
    let only_path = written.host.is_absent()
        && [written.set.is_absent(), written.add.is_absent(), written.remove.is_absent()] == [true; 3];
    let paths = site.route.path.get().map(|paths| paths.0.as_slice()).unwrap_or_default();
    let same = written.path.get().is_some_and(|to| paths.iter().all(|item| item.value == *to));
    let (why, help) = if policy.dial.stage == Stage::Monolith && policy.service.is_some() {
        (
            "in stage `monolith` nobody asks the service, and the monolith gets what the client sent",
            "remove `rewrite` until the route has another stage, or for a Host that the monolith needs write `host` in `[monolith]`",
        )
    } else if !asks_service {
        let why = "no service is asked, and the monolith gets what the client sent";
        (why, "name the `service` that the requests are rewritten for, or remove `rewrite`")
    } else if only_path && compiled.path.is_some() && same && !paths.is_empty() {
        ("it writes the path that the request has", "write the path that the service knows, or remove `rewrite`")
    } else if only_path && written.path.is_absent() {
        (
            "it changes nothing",
            "say what the service is to be sent, such as `path = \"/v2/users\"`, or remove `rewrite`",
        )
    } else {
        return;
    };
    draft.say(
        Code::RewriteNeverActs,
        given.key.clone(),
        format!("the rewrite of `{}` never acts: {why}", site.name()),
        "no effect",
        help,
    );
}

/// Some stage of the route has a service to ask.
fn asks_service(policy: &Policy) -> bool {
    policy.service.is_some() || policy.variants.iter().any(|variant| variant.upstream != UpstreamId::MONOLITH)
}

/// Changes of the service's answer where no service answers.
pub(super) fn check_answer(site: Site<'_>, policy: Option<&Policy>, draft: &mut Draft<'_>) {
    let (Some(given), Some(policy)) = (site.route.answer.given(), policy) else { return };
    if !site.route.redirect.is_absent() {
        return;
    }
    let (why, help) = if policy.dial.stage == Stage::Monolith && policy.service.is_some() {
        ("in stage `monolith` nobody asks the service", "remove `answer` until the route has another stage")
    } else if !asks_service(policy) {
        ("no service is asked", "name the `service` whose answers are changed, or remove `answer`")
    } else {
        return;
    };
    draft.say(
        Code::UselessSetting,
        given.key.clone(),
        format!("`answer` of `{}` has no effect: {why}, and what the monolith answers stays as it is", site.name()),
        "no effect",
        help,
    );
}

fn check_host(given: &Given<http::HeaderValue>, draft: &mut Draft<'_>) {
    let text = given.value.to_str().unwrap_or("");
    if let Err(error) = super::super::address::host_port(text, Some(0)) {
        let at = draft.inside(&given.span, text, error.part);
        draft.say(Code::InvalidValue, at, error.message, "not a host", "write it like `host = \"users.internal\"`");
    }
}

fn path(site: Site<'_>, given: &Given<String>, templates: &[Template], draft: &mut Draft<'_>) -> Option<PathRewrite> {
    let mut known = true;
    for (name, part) in named(&given.value) {
        let part = draft.part(given, part);
        known &= check_parameter(site, name, part, draft);
    }
    match PathRewrite::parse(&given.value, templates) {
        Ok(path) => Some(path),
        Err(_) if !known => None,
        Err(error) => {
            draft.invalid_template(&given.span, &given.value, error, "not a path to rewrite to");
            None
        }
    }
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
    named(template).map(|(name, _)| name)
}

/// Every `{name}` or `{*name}`, with its place.
fn named(text: &str) -> impl Iterator<Item = (&str, Span)> {
    text.match_indices('{').filter_map(|(open, _)| {
        let close = open + text[open..].find('}')?;
        Some((text[open + 1..close].trim_start_matches('*'), open..close + 1))
    })
}
