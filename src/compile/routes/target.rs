//! Settings of a route that a service cannot fulfil because it is not a server of HTTP.

use super::super::draft::Draft;
use super::super::upstreams::{Found, TargetKind};
use super::Site;
use crate::config;
use crate::diagnostic::{Code, Span};

pub(super) fn check(site: Site<'_>, draft: &mut Draft<'_>) {
    // Of each kind once: two services of one kind cannot do the same.
    for kind in [TargetKind::Lambda, TargetKind::Nameko] {
        if let Some(name) = asked(site, kind) {
            check_one(site, name, kind, draft);
        }
    }
}

fn check_one(site: Site<'_>, name: &str, kind: TargetKind, draft: &mut Draft<'_>) {
    let what = match kind {
        TargetKind::Http => return,
        TargetKind::Lambda => "a function of Lambda",
        TargetKind::Nameko => "a service of Nameko",
    };
    let mut cannot = |span: Span, asked: &str, why: &str, help: &str| {
        let message = format!("`{}` asks for {asked}, and `{name}` is {what}: {why}", site.name());
        draft.say(Code::TargetCannot, span, message, "not possible for this service", help);
    };
    if let (TargetKind::Nameko, Some(key)) = (kind, site.route.rewrite.key()) {
        cannot(key, "a rewrite", "it gets no path and no headers, but the arguments of `call`", "remove `rewrite`");
    }
    if let (TargetKind::Nameko, Some(times)) = (kind, site.route.timeouts.get())
        && let Some(given) = times.answer.given()
        && given.value.0.is_none()
    {
        let help = "write how long is waited: `timeouts = { answer = \"5s\" }`";
        cannot(given.key.clone(), "no limit", "a call without one would run long after its client left", help);
    }
    if let Some(given) = site.route.safe_methods.given() {
        let help = "remove it, or give the calls to a service that speaks HTTP/2";
        cannot(given.key.clone(), "calls of gRPC", "their outcome stands in trailers, which it has not", help);
    }
    let conditions = site.route.headers.get().map(|named| named.entries.as_slice()).unwrap_or_default();
    for entry in conditions {
        if entry.name.eq_ignore_ascii_case("upgrade") {
            let help = "leave WebSockets to the monolith, or to a service with a `url`";
            cannot(entry.key.clone(), "upgrades", "it answers once, and then it is over", help);
        }
        if entry.name.eq_ignore_ascii_case("accept")
            && matches!(&entry.value, config::Condition::Equal(value) if value == "text/event-stream")
        {
            let help = "leave event streams to the monolith, or to a service with a `url`";
            cannot(entry.key.clone(), "event streams", "its answer is whole or is none", help);
        }
    }
}

/// The first of the route's services that is of this kind.
pub(super) fn asked(site: Site<'_>, kind: TargetKind) -> Option<&str> {
    let variants = site.route.variants.get().map(|named| named.entries.as_slice()).unwrap_or_default();
    let variants = variants.iter().filter_map(|entry| entry.value.upstream.get());
    let own = site.route.service.get();
    own.into_iter()
        .chain(variants)
        .map(String::as_str)
        .find(|name| matches!(site.names.find(name), Found::Service(service) if service.target == kind))
}
