//! Cookies that two answers set under two addresses: the browser then has two of one name, or does not send the one that is
//! needed.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::draft::Draft;
use crate::compile::Route;
use crate::config::{self, NamedEntry};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::endpoint::UpstreamId;
use crate::migration::{Answers, Stage};

pub(super) fn check(written: &[&NamedEntry<config::Route>], routes: &[Arc<Route>], draft: &mut Draft<'_>) {
    let mut first: HashMap<(UpstreamId, Renamed), Replaced> = HashMap::new();
    for (at, route) in routes.iter().enumerate().filter(|(_, route)| !route.answer.is_empty()) {
        if route.policy.dial.stage.answers() != Answers::Monolith {
            check_sides(written[at], route, draft);
        }
        for (renamed, to) in renamings(route) {
            for service in services(route) {
                let (before, known) = first.entry((service, renamed.clone())).or_insert_with(|| (at, to.clone()));
                if *known != to {
                    differ(&renamed, (written[*before], known.as_deref()), (written[at], to.as_deref()), draft);
                }
            }
        }
    }
}

/// An attribute of a service's cookie that an edit replaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Renamed {
    Domain(Box<str>),
    Path(Box<str>),
}

/// The first route that replaces it, and what by.
type Replaced = (usize, Option<Box<str>>);

fn renamings(route: &Route) -> impl Iterator<Item = (Renamed, Option<Box<str>>)> {
    let domains = route.answer.cookie_domain.iter().map(|(from, to)| (Renamed::Domain(from.clone()), to.clone()));
    let paths = route.answer.cookie_path.iter().map(|(from, to)| (Renamed::Path(from.clone()), Some(to.clone())));
    domains.chain(paths)
}

fn services(route: &Route) -> Vec<UpstreamId> {
    let mut services: Vec<_> = route.policy.upstreams().filter(|id| *id != UpstreamId::MONOLITH).collect();
    services.sort_unstable();
    services.dedup();
    services
}

fn place(entry: &NamedEntry<config::Route>, renamed: &Renamed) -> Span {
    let answer = entry.value.answer.get();
    let span = match renamed {
        Renamed::Domain(from) => answer.and_then(|answer| answer.cookie_domain.get()).and_then(|named| {
            let same = |name: &str| name.trim_start_matches('.').eq_ignore_ascii_case(from);
            named.entries.iter().find(|entry| same(&entry.name)).map(|entry| entry.span.clone())
        }),
        Renamed::Path(from) => answer
            .and_then(|answer| answer.cookie_path.get())
            .and_then(|named| named.entries.iter().find(|entry| *entry.name == **from).map(|entry| entry.span.clone())),
    };
    span.unwrap_or_else(|| entry.key.clone())
}

type Side<'a> = (&'a NamedEntry<config::Route>, Option<&'a str>);

fn differ(renamed: &Renamed, one: Side<'_>, other: Side<'_>, draft: &mut Draft<'_>) {
    let (what, help) = match renamed {
        Renamed::Domain(from) => (format!("domain `{from}`"), "give both the same domain".to_owned()),
        Renamed::Path(from) => (
            format!("path `{from}`"),
            "give both one path that both routes lie below; `\"/\"` is always one".to_owned(),
        ),
    };
    let (a, b) = (&one.0.name, &other.0.name);
    let under = |to: Option<&str>| to.map_or_else(|| "no domain".to_owned(), |to| format!("`{to}`"));
    draft.push(
        Diagnostic::new(
            Code::LostCookie,
            format!("a cookie that their service sets with the {what} is not the same at `{a}` and at `{b}`"),
        )
        .at(place(other.0, renamed))
        .label(format!("{} at `{b}`", under(other.1)))
        .related(place(one.0, renamed), format!("{} at `{a}`", under(one.1)))
        .help(help),
    );
}

/// Where both sides answer, the monolith's cookies for the whole site and the service's must stay the same ones.
fn check_sides(entry: &NamedEntry<config::Route>, route: &Route, draft: &mut Draft<'_>) {
    let policy = &route.policy;
    let monolith = policy.fallback.is_some() || policy.variants.iter().any(|v| v.upstream == UpstreamId::MONOLITH);
    if !monolith && policy.dial.stage != Stage::Canary {
        return;
    }
    let Some((from, to)) = route.answer.cookie_path.iter().find(|(from, to)| &**from == "/" && &**to != "/") else {
        return;
    };
    let stage = entry.value.stage.span().unwrap_or_else(|| entry.key.clone());
    draft.push(
        Diagnostic::new(
            Code::LostCookie,
            format!("the service's cookies for the whole site become cookies for `{to}`, the monolith's stay as they are"),
        )
        .at(place(entry, &Renamed::Path(from.clone())))
        .label("two cookies of one name")
        .related(stage, format!("both sides answer `{}`", entry.name))
        .help("leave `\"/\"` as it is until the monolith answers no more, or give the service's cookies names of their own"),
    );
}
