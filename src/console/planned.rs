//! The plan of a text in the box, as `POST /api/v1/plan` has it: what would change, and what would be dangerous.

use maud::{Markup, html};

use super::page::prose;
use super::shown::{count, large_percent, plain};
use crate::plan::{PlanReport, PlannedEndpoint, PlannedRoute};

/// Routes and endpoints that are drawn; the others are counted.
const MOST_ROUTES: usize = 60;
const MOST_ENDPOINTS: usize = 6;

pub fn drawn(plan: &PlanReport) -> Markup {
    let summary = plan.summary;
    let judged = plan.traffic.shapes > 0;
    html! {
        section.card #plan aria-labelledby="plan-h" {
            div.h {
                h2 #plan-h { "What would change" }
                @if summary.dangers > 0 { span.pill.f.bad { (summary.dangers) @if summary.dangers == 1 { " danger" } @else { " dangers" } } } @else { span.pill.f.good { "no danger seen" } }
                span.dim { (summary.added) " added, " (summary.changed) " changed, " (summary.removed) " removed" }
            }
            p.pad {
                @if judged {
                    "Judged by " (count(plan.traffic.shapes as u64)) " recorded requests that stand for " (count(plan.traffic.requests)) ": "
                    b.serv { (large_percent(summary.to_service)) } " of requests and " (count(summary.clients_to_service as u64)) " clients move to a service, "
                    b.mono { (large_percent(summary.back)) } " and " (count(summary.clients_back as u64)) " move back."
                } @else { "No traffic was recorded to judge it by: these are the differences of the files alone." }
                @if plan.routes.is_empty() { " No route would be another than it is." }
            }
            @for route in plan.routes.iter().take(MOST_ROUTES) { (one(route)) }
            @if plan.routes.len() > MOST_ROUTES { p.pad.dim { "And " (count((plan.routes.len() - MOST_ROUTES) as u64)) " more routes: " code { "multilith plan" } " has them all." } }
            @for unrecorded in &plan.unrecorded {
                div.note { span.pill.f.warn { "not known" } div.t { code { (plain(&unrecorded.asked)) } " is not recorded yet: " (large_percent(unrecorded.share)) " of requests could be decided differently." } }
            }
        }
    }
}

fn one(route: &PlannedRoute) -> Markup {
    let class = match route.change {
        "added" => "good",
        "removed" => "bad",
        _ => "n",
    };
    let clients = route.clients;
    let about = if clients.exact { "" } else { "about " };
    html! {
        div.note {
            span class={ "pill f " (class) } { (route.change) }
            div.t {
                b { (plain(&route.name)) } " " (plain(&route.what.join("; ")))
                @if clients.to_service + clients.back > 0 {
                    p.dim { (about) (count(clients.to_service as u64)) " of " (count(clients.all as u64)) " clients move to the service, " (count(clients.back as u64)) " move back." }
                }
                @for endpoint in route.endpoints.iter().take(MOST_ENDPOINTS) { p.dim { code { (plain(&endpoint.method)) " " (plain(&endpoint.path)) } ": " (moves(endpoint)) } }
                @for flag in &route.flags {
                    p class=(if flag.danger { "bad" } else { "warn" }) { (prose(&flag.message)) " " code.dim { (flag.code) } }
                }
            }
        }
    }
}

fn moves(endpoint: &PlannedEndpoint) -> String {
    let (all, before, after) = (count(endpoint.requests), count(endpoint.before), count(endpoint.after));
    match (endpoint.before == endpoint.after, endpoint.after) {
        (true, 0) => format!("{all} requests stay with the monolith"),
        (true, _) => format!("{after} of {all} requests at the service, as before"),
        _ => format!("{before} → {after} of {all} requests at the service"),
    }
}
