//! What a route asks of a service that is not a server of HTTP, and that it cannot do.

use super::super::draft::Draft;
use super::super::upstreams::{Found, TargetKind};
use super::Site;
use crate::config::{self, Field};
use crate::diagnostic::{Code, Span};

pub(super) fn check(site: Site<'_>, draft: &mut Draft<'_>) {
    let Some((name, kind)) = first(site) else { return };
    let what = match kind {
        TargetKind::Http => return,
        TargetKind::Lambda => "a function of Lambda",
    };
    let mut cannot = |span: Span, asked: &str, why: &str, help: &str| {
        let message = format!("`{}` asks for {asked}, and `{name}` is {what}: {why}", site.name());
        draft.say(Code::TargetCannot, span, message, "not possible for this service", help);
    };
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

/// The first of the route's services that is not a server of HTTP.
fn first(site: Site<'_>) -> Option<(&str, TargetKind)> {
    let variants = site.route.variants.get().map(|named| named.entries.as_slice()).unwrap_or_default();
    let variants = variants.iter().filter_map(|entry| entry.value.upstream.get());
    let own = match &site.route.service {
        Field::Given(given) => Some(&given.value),
        _ => None,
    };
    own.into_iter().chain(variants).find_map(|name| match site.names.find(name) {
        Found::Service(service) if service.target != TargetKind::Http => Some((name.as_str(), service.target)),
        _ => None,
    })
}
