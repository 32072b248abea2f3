//! The upstreams: endpoints with their health and its reason, the requests that wait, and the routes that name them.

use maud::{Markup, html};

use super::page::Layout;
use super::shown::{count, plain, span};
use crate::endpoint::UpstreamId;
use crate::proxy::RouteInForce;
use crate::upstream::{EndpointState, EndpointStatus, UpstreamStatus};

pub fn upstreams(frame: &Layout<'_>) -> Markup {
    let all = frame.parts.app.upstreams.status();
    let endpoints: usize = all.iter().map(|upstream| upstream.endpoints.len()).sum();
    let ill =
        all.iter().flat_map(|upstream| &upstream.endpoints).filter(|endpoint| class(endpoint.state) == "bad").count();
    let in_flight: u64 =
        all.iter().flat_map(|upstream| &upstream.endpoints).map(|endpoint| u64::from(endpoint.in_flight)).sum();
    html! {
        div.head #head data-live {
            div {
                h1 { "Who is asked, and how they are" }
                p.dim { "An endpoint is healthy only where something was asked and answered." }
            }
            span.grow {}
            div.kpis {
                div { div.big { (all.len()) } div.lab { "upstreams" } }
                div { div.big { (endpoints) } div.lab { "endpoints" } }
                div { div.big class=[(ill > 0).then_some("bad")] { (ill) } div.lab { "of them fail" } }
                div { div.big { (count(in_flight)) } div.lab { "requests in flight" } }
            }
        }
        div.stack #all data-live { @for upstream in &all { (card(frame, upstream)) } }
    }
}

fn class(state: EndpointState) -> &'static str {
    match state {
        EndpointState::Healthy => "good",
        EndpointState::Unhealthy | EndpointState::Failing => "bad",
        EndpointState::Draining | EndpointState::Starting => "warn",
        EndpointState::Unchecked => "n",
    }
}

fn card(frame: &Layout<'_>, upstream: &UpstreamStatus) -> Markup {
    let generation = frame.parts.app.in_force.load();
    let routes: Vec<&str> = generation
        .routes
        .iter()
        .filter(|entry| {
            let mut asked = entry.policy.upstreams().filter(|id| *id != UpstreamId::MONOLITH);
            asked.any(|id| *generation.pool(id).spec().name == *upstream.name)
        })
        .map(RouteInForce::name)
        .collect();
    let is_found = upstream.source != "fixed";
    let colour = if upstream.name == "monolith" { "mono" } else { "serv" };
    html! {
        section.card aria-labelledby={ "u-" (upstream.name) } {
            div.h {
                h2 id={ "u-" (upstream.name) } class=(colour) { (plain(&upstream.name)) }
                span.pill.n { @if upstream.source == "fixed" { "named in the file" } @else { "found by " (upstream.source) } }
                @match upstream.target {
                    "lambda" => span.pill.n { "a function of Lambda" }
                    "nameko" => span.pill.n { "a service of Nameko" }
                    _ => {}
                }
                @if upstream.stale { span.pill.f.warn { "known from before" } }
                span.grow {}
                @if let Some(queue) = &upstream.queue {
                    span.dim { (queue.in_flight) " of " (queue.max_in_flight) " at once, " (queue.waiting) " of " (queue.length) " wait, at most " (span(queue.timeout_seconds)) }
                }
            }
            @if let Some(trouble) = &upstream.trouble { p.pad.bad { (plain(trouble)) } }
            @if upstream.endpoints.is_empty() { p.pad.dim { "No endpoint: whoever is sent here gets 503, or the monolith where the route falls back." } } @else {
                table.w.even {
                    thead { tr { th scope="col" { "Endpoint" } th scope="col" { "State" } th scope="col" { "Why" } th.r scope="col" { "In flight" } th.r scope="col" { "Weight" } @if is_found { th scope="col" { "Last named" } } th scope="col" { "Last failure" } } }
                    tbody { @for endpoint in &upstream.endpoints { (row(endpoint, is_found)) } }
                }
            }
            @if !routes.is_empty() {
                p.pad.lab { (routes.len()) @if routes.len() == 1 { " route: " } @else { " routes: " } @for (at, name) in routes.iter().take(12).enumerate() { @if at > 0 { ", " } (frame.route_link(name)) } @if routes.len() > 12 { " …" } }
            }
        }
    }
}

/// `is_found`: a source names it, and may stop doing so.
fn row(endpoint: &EndpointStatus, is_found: bool) -> Markup {
    html! {
        tr data-row=(plain(&endpoint.address)) {
            td { code { (plain(&endpoint.address)) } }
            td { span class={ "pill f " (class(endpoint.state)) } { (endpoint.state.name()) } }
            td.dim { (plain(&endpoint.why)) }
            td.r data-l="In flight" { (endpoint.in_flight) }
            td.r data-l="Weight" { (endpoint.weight) }
            @if is_found { td.dim.nw data-l="Last named" { (span(endpoint.seen_seconds_ago)) " ago" } }
            td.dim data-l="Last failure" {
                @match &endpoint.last_failure {
                    Some(failure) => { (failure.kind) ", " (span(failure.seconds_ago)) " ago" }
                    None => "none",
                }
            }
        }
    }
}
