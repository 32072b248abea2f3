//! The plan of a text in the box, as `POST /api/v1/plan` has it: what would change, and what would be dangerous.

use maud::{Markup, html};

use super::page::prose;
use super::shown::{count, counted, large_percent, plain, ratio};
use crate::diagnostic::plural;
use crate::inventory::about;
use crate::plan::{MovedClients, PlanReport, PlannedEndpoint, PlannedRoute};

/// Routes and endpoints that are drawn; the others are counted.
const MOST_ROUTES: usize = 60;
const MOST_ENDPOINTS: usize = 6;

pub fn drawn(plan: &PlanReport) -> Markup {
    let summary = plan.summary;
    let judged = plan.traffic.shapes > 0;
    let about = if plan.traffic.is_sample() { "about " } else { "" };
    // Of a sample, a share is known and a number is not.
    let of = if plan.routes.iter().all(|route| route.clients.exact) { "" } else { " of the recorded" };
    html! {
        section.card #plan aria-labelledby="plan-h" {
            div.h {
                h2 #plan-h { "What would change" }
                @if summary.dangers > 0 { span.pill.f.bad { (plural(summary.dangers, "danger")) } } @else { span.pill.f.good { "no danger seen" } }
                span.dim { (summary.added) " added, " (summary.changed) " changed, " (summary.removed) " removed" }
            }
            p.pad {
                @if judged {
                    "Judged by " (counted(plan.traffic.shapes as u64, "recorded request"))
                    @if plan.traffic.is_sample() { ", a sample that stands for " (count(plan.traffic.requests)) }
                    ": " (about) b.serv { (large_percent(summary.to_service)) } " of requests"
                    @if summary.clients_known { " and " (count(summary.clients_to_service as u64)) (of) " clients" }
                    " move to a service, "
                    (about) b.mono { (large_percent(summary.back)) } @if summary.clients_known { " and " (count(summary.clients_back as u64)) } " move back."
                    @if !summary.clients_known { " How many clients that are is not known: where a route had no " code { "sticky" } ", none was recorded." }
                    @if summary.redirected > 0.0 { " " (about) b { (large_percent(summary.redirected)) } " are answered by a redirect." }
                } @else { "No traffic was recorded to judge it by: these are the differences of the files alone." }
                @if plan.routes.is_empty() { " No route would be another than it is." }
                @if !plan.tables.is_empty() {
                    " Also changed: "
                    @for (number, (table, keys)) in plan.tables_in_words().enumerate() { @if number > 0 { ", " } code { "[" (table) "]" } (keys) }
                    "."
                }
            }
            @if !plan.needs_restart.is_empty() {
                div.note { span.pill.f.warn { "restart" } div.t { @for (number, key) in plan.needs_restart.iter().enumerate() { @if number > 0 { ", " } code { (key) } } " is read only when multilith starts." } }
            }
            @for upstream in plan.upstreams.iter().take(MOST_ROUTES) {
                div.note { span class={ "pill f " (class(upstream.change)) } { (upstream.change) } div.t { b { (plain(&upstream.name)) } " " (plain(&upstream.what.join("; "))) } }
            }
            @if plan.upstreams.len() > MOST_ROUTES { p.pad.dim { "And " (counted((plan.upstreams.len() - MOST_ROUTES) as u64, "more upstream")) "." } }
            @for route in plan.routes.iter().take(MOST_ROUTES) { (one(route, plan.traffic.is_sample())) }
            @if plan.routes.len() > MOST_ROUTES { p.pad.dim { "And " (counted((plan.routes.len() - MOST_ROUTES) as u64, "more route")) ": " code { "multilith plan" } " has them all." } }
            @for unrecorded in plan.unrecorded.iter().take(MOST_ROUTES) {
                div.note { span.pill.f.warn { "not known" } div.t { code { (plain(&unrecorded.asked)) } " is not recorded yet: up to " (large_percent(unrecorded.share)) " of requests could be decided differently." } }
            }
            @if plan.unrecorded.len() > MOST_ROUTES { p.pad.dim { "And " (count((plan.unrecorded.len() - MOST_ROUTES) as u64)) " more that are not recorded yet." } }
            @if !plan.unrecorded.is_empty() { p.pad.dim { code { "multilith plan FILE --learn 10m" } " records it, so that it can be planned." } }
        }
    }
}

fn class(change: &str) -> &'static str {
    match change {
        "added" => "good",
        "removed" => "bad",
        _ => "n",
    }
}

fn one(route: &PlannedRoute, is_sample: bool) -> Markup {
    let clients = route.clients;
    html! {
        div.note {
            span class={ "pill f " (class(route.change)) } { (route.change) }
            div.t {
                b { (plain(&route.name)) } " " (plain(&route.what.join("; ")))
                @if clients.to_service + clients.back > 0 {
                    p.dim { (clients_moved(clients)) }
                }
                @for endpoint in route.endpoints.iter().take(MOST_ENDPOINTS) { p.dim { code { (plain(&endpoint.method)) " " (plain(&endpoint.path)) } ": " (moves(endpoint, is_sample)) } }
                @for flag in &route.flags {
                    p class=(if flag.danger { "bad" } else { "warn" }) { (prose(&flag.message)) " " code.dim { (flag.code) } }
                }
            }
        }
    }
}

/// As `plan` prints them: of a sample, a share with its error.
fn clients_moved(clients: MovedClients) -> String {
    let of = |part: usize| ratio(part as u64, clients.all as u64).map_or_else(|| "–".to_owned(), large_percent);
    let (to, back) = (clients.to_service, clients.back);
    let (many_to, many_back, all) = (count(to as u64), count(back as u64), count(clients.all as u64));
    if clients.exact {
        return format!("{many_to} of {all} clients ({}) move to the service, {many_back} move back.", of(to));
    }
    let back = match back {
        0 => "none of the recorded moves back".to_owned(),
        _ => format!("about {} move back", of(back)),
    };
    format!(
        "about {} ± {:.1} of the clients move to the service ({many_to} of {all} recorded); {back}.",
        of(to),
        clients.margin(to)
    )
}

/// Counts of a sample are estimates.
fn moves(endpoint: &PlannedEndpoint, is_sample: bool) -> String {
    let count = |requests: u64| if is_sample { about(requests, count(requests)) } else { count(requests) };
    let (all, before, after) = (count(endpoint.requests), count(endpoint.before), count(endpoint.after));
    if let Some(words) = endpoint.redirects_in_words(&count) {
        return format!("{all} requests: {words}");
    }
    match (endpoint.before == endpoint.after, endpoint.after) {
        (true, 0) => match endpoint.copies {
            Some(copies) => format!("{all} requests stay with the monolith, {copies}"),
            None => format!("{all} requests stay with the monolith"),
        },
        (true, _) if endpoint.other_service > 0 => {
            format!(
                "{after} of {all} requests at the service, {} of them at another one than now",
                count(endpoint.other_service)
            )
        }
        (true, _) => format!("{after} of {all} requests at the service, as before"),
        _ => format!("{before} → {after} of {all} requests at the service"),
    }
}
