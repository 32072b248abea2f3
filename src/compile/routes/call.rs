//! `call`, and what its outcome means: `answer.status` and `answer.errors`.

use std::sync::Arc;

use super::super::draft::Draft;
use super::super::upstreams::TargetKind;
use super::{Site, target};
use crate::config::CallArgument;
use crate::diagnostic::{Code, Span};
use crate::route::{Argument, ArgumentKind, ArgumentSource, RemoteCall, Template};

const DEFAULT_STATUS: u16 = 200;

/// `templates` are the route's paths, empty if they could not be read.
pub(super) fn compile(site: Site<'_>, templates: &[Template], draft: &mut Draft<'_>) -> Option<Arc<RemoteCall>> {
    let answer = site.route.answer.get();
    let status = answer.and_then(|answer| answer.status.given());
    let errors = answer.and_then(|answer| answer.errors.given());
    let Some(name) = target::asked(site, TargetKind::Nameko) else {
        let calls = site.route.call.key().into_iter().chain(status.map(|given| given.key.clone()));
        for key in calls.chain(errors.map(|given| given.key.clone())) {
            let help = "remove it, or name a service with `nameko = { … }`";
            let message = format!("`{}` asks no service that is called by method", site.name());
            draft.say(Code::UselessSetting, key, message, "not used", help);
        }
        return None;
    };
    let Some(given) = site.route.call.given() else {
        if site.route.call.is_absent() {
            let help = "say what is called: `call = { method = \"hello\", kwargs = { name = \"{name}\" } }`";
            let message = format!("`{}` needs `call`: `{name}` is a service of Nameko", site.name());
            draft.say(Code::MissingKey, site.entry.key.clone(), message, "`call` is missing", help);
        }
        return None;
    };
    let call = &given.value;
    let method = call.method.given()?;
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if method.value.is_empty() || method.value.len() > 100 || !method.value.chars().all(fine) {
        let message = format!("`{}` is not the name of a method", method.value);
        draft.say(
            Code::InvalidValue,
            method.span.clone(),
            message,
            "not a name",
            "letters, digits and `_`, at most 100",
        );
        return None;
    }
    let args = call.args.get().map(Vec::as_slice).unwrap_or_default();
    let args = args.iter().filter_map(|item| argument(&item.value, &item.span, templates, draft)).collect();
    let entries = call.kwargs.get().map(|named| named.entries.as_slice()).unwrap_or_default();
    let mut kwargs: Vec<(Box<str>, Argument)> = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Some(argument) = argument(&entry.value, &entry.span, templates, draft) {
            kwargs.push((entry.name.as_str().into(), argument));
        }
    }
    for item in call.int.get().into_iter().flatten() {
        if let Some((_, argument)) = kwargs.iter_mut().find(|(name, _)| **name == *item.value) {
            argument.kind = ArgumentKind::Integer;
        } else {
            let message = format!("`kwargs` has no `{}`", item.value);
            draft.say(Code::InvalidValue, item.span.clone(), message, "no such argument", "name one of `kwargs`");
        }
    }
    let status = match status {
        Some(given) => checked(given.value, &given.span, draft)?,
        None => DEFAULT_STATUS,
    };
    let entries = errors.map(|given| given.value.entries.as_slice()).unwrap_or_default();
    let errors = entries
        .iter()
        .filter_map(|entry| Some((entry.name.as_str().into(), checked(entry.value, &entry.span, draft)?)))
        .collect();
    Some(Arc::new(RemoteCall { method: method.value.as_str().into(), args, kwargs, status, errors }))
}

fn checked(status: u16, span: &Span, draft: &mut Draft<'_>) -> Option<u16> {
    let fine = (200..600).contains(&status);
    if !fine {
        let message = format!("{status} is not the status of an answer");
        draft.say(Code::OutOfRange, span.clone(), message, "not a status", "write one from 200 to 599");
    }
    fine.then_some(status)
}

fn argument(value: &CallArgument, span: &Span, templates: &[Template], draft: &mut Draft<'_>) -> Option<Argument> {
    let text = match value {
        CallArgument::Literal(value) => {
            return Some(Argument { from: ArgumentSource::Literal(value.clone()), kind: ArgumentKind::AsItIs });
        }
        CallArgument::From(text) => text,
    };
    let plain = |from| Some(Argument { from, kind: ArgumentKind::AsItIs });
    if let Some(inside) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        return parameter(inside, text, span, templates, draft);
    }
    match text.split_once(':') {
        Some(("query", name)) if !name.is_empty() => plain(ArgumentSource::Query(name.into())),
        Some(("header", name)) if http::HeaderName::from_bytes(name.as_bytes()).is_ok() => {
            plain(ArgumentSource::Header(name.into()))
        }
        Some(("json", names)) if !names.is_empty() => {
            plain(ArgumentSource::Json(names.split('.').map(Into::into).collect()))
        }
        None if text == "json" => plain(ArgumentSource::Json(Vec::new())),
        _ => {
            let help = "write `\"{parameter}\"`, `\"{parameter:int}\"`, `\"query:x\"`, `\"header:x\"`, `\"json\"` or `\"json:a.b\"`";
            let message = format!("`{text}` is no place in a request");
            draft.say(Code::InvalidValue, span.clone(), message, "not a place", help);
            None
        }
    }
}

fn parameter(inside: &str, text: &str, span: &Span, templates: &[Template], draft: &mut Draft<'_>) -> Option<Argument> {
    let (name, kind) = match inside.split_once(':') {
        None => (inside, ArgumentKind::AsItIs),
        Some((name, "int")) => (name, ArgumentKind::Integer),
        Some((name, "float")) => (name, ArgumentKind::Float),
        Some((name, "bool")) => (name, ArgumentKind::Boolean),
        Some((_, kind)) => {
            let message = format!("`{kind}` is no kind of argument");
            draft.say(Code::InvalidValue, span.clone(), message, "not a kind", "write `int`, `float` or `bool`");
            return None;
        }
    };
    let name = name.trim_start_matches('*');
    if !templates.is_empty() && !templates.iter().all(|template| template.names().any(|known| known == name)) {
        let message = format!("the path has no parameter for `{text}`");
        draft.say(Code::UnknownParameter, span.clone(), message, "unknown parameter", "name a parameter of the path");
        return None;
    }
    Some(Argument { from: ArgumentSource::Parameter(name.into()), kind })
}
