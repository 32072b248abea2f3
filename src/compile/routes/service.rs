//! The service that a route names: known, and named where the stage needs it.

use super::super::draft::Draft;
use super::super::upstreams::{Found, Service};
use super::{Routes, Site};
use crate::config::{Field, Stage};
use crate::diagnostic::{Code, Span};
use crate::migration;

/// The service of a route, as its stage needs it.
pub(super) enum Named {
    /// The stage can do without.
    None,
    Service(Service),
    /// It was reported.
    Wrong,
}

pub(super) fn find(site: Site<'_>, stage: Stage, draft: &mut Draft<'_>) -> Named {
    let route = site.route;
    match &route.service {
        Field::Wrong => Named::Wrong,
        // A redirect answers in its place.
        Field::Absent if matches!(stage, Stage::Monolith | Stage::Split) || !route.redirect.is_absent() => Named::None,
        Field::Absent => {
            missing(site, stage, draft);
            Named::Wrong
        }
        Field::Given(given) if stage == Stage::Split => {
            draft.say(
                Code::UnexpectedService,
                given.key.clone(),
                format!("`{}` is split: its variants name the upstreams", site.name()),
                "not used in `split`",
                format!("remove it; write `upstream = \"{}\"` in a variant", given.value),
            );
            Named::Wrong
        }
        Field::Given(given) => {
            upstream(site, &given.value, given.span.clone(), draft).map_or(Named::Wrong, Named::Service)
        }
    }
}

/// For a route without a readable stage: at least the name must be one that the file has.
pub(super) fn check_name(site: Site<'_>, draft: &mut Draft<'_>) {
    if let Some(given) = site.route.service.given() {
        upstream(site, &given.value, given.span.clone(), draft);
    }
}

fn missing(site: Site<'_>, stage: Stage, draft: &mut Draft<'_>) {
    let span = site.route.stage.span().unwrap_or_else(|| site.entry.key.clone());
    let word = stage.word();
    let known: Vec<_> = site.names.names().take(2).collect();
    let help = match known.as_slice() {
        [only] => format!("add `service = \"{only}\"`"),
        [] => "add `service = \"users\"` here, and `[services.users]` with its `url`".to_owned(),
        [one, ..] => format!("add `service = \"…\"` with the name of a service, such as `{one}`"),
    };
    draft.say(
        Code::MissingService,
        span,
        format!("`{}` is in stage `{word}`, which needs a service", site.name()),
        "needs a service",
        help,
    );
}

/// A service by its name; `None` after something was reported.
pub(super) fn upstream(site: Site<'_>, name: &str, span: Span, draft: &mut Draft<'_>) -> Option<Service> {
    match site.names.find(name) {
        Found::Service(service) => Some(service),
        Found::Unreadable => None,
        Found::No if draft.tables_lost => None,
        Found::No => {
            let help = if name == "monolith" {
                "the monolith is no service: leave `service` to the name of a new upstream, and write `stage = \"monolith\"`"
                    .to_owned()
            } else {
                match draft.nearest(name, site.names.names()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("add `[services.{name}]` with its `url`"),
                }
            };
            draft.say(Code::UnknownService, span, format!("there is no service `{name}`"), "unknown service", help);
            None
        }
    }
}

/// Notes what the route names, also where its stage does not use it or something else is wrong with it.
pub(super) fn note_used(site: Site<'_>, routes: &mut Routes) {
    let variants = site.route.variants.get().map(|named| named.entries.as_slice()).unwrap_or_default();
    let names = variants.iter().filter_map(|entry| entry.value.upstream.get()).chain(site.route.service.get());
    for name in names {
        if let Found::Service(service) = site.names.find(name) {
            routes.used.insert(service.id);
        }
    }
}

/// The stage as the core knows it.
pub(super) const fn compiled(stage: Stage) -> migration::Stage {
    match stage {
        Stage::Monolith => migration::Stage::Monolith,
        Stage::Shadow => migration::Stage::Shadow,
        Stage::Canary => migration::Stage::Canary,
        Stage::Split => migration::Stage::Split,
        Stage::Migrated => migration::Stage::Migrated,
        Stage::Retired => migration::Stage::Retired,
    }
}
