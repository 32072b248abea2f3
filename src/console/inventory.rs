//! The inventory: endpoints learned from traffic, with their routes and how that is known.

use maud::{Markup, html};

use super::filter::{Filter, INVENTORY};
use super::form::Form;
use super::page::{Layout, prose, stage_pill, toml};
use super::shown::{ago, count, cut, percent, plain, ratio, seconds};
use super::spark;
use crate::admin::{learned_report, next_steps};
use crate::inventory::{InventoryReport, LearnedEndpoint, about};
use crate::message::percent_encoded;
use crate::plan::NextStep;

/// Proposals that are shown.
const MOST_STEPS: usize = 6;
/// Endpoints on one page.
const PAGE: usize = 200;

pub fn inventory(frame: &Layout<'_>, query: &Form) -> Markup {
    let filter = Filter::of(query.get("q"), INVENTORY);
    let generation = frame.parts.app.in_force.load();
    let report = learned_report(frame.parts, &generation, frame.visitor.role);
    let found: Vec<&LearnedEndpoint> =
        report.endpoints.iter().filter(|endpoint| filter.takes_endpoint(endpoint)).collect();
    let most = report.endpoints.iter().map(|endpoint| endpoint.requests).max().unwrap_or(0);
    let steps = next_steps(frame.parts, &generation, &report);
    html! {
        (head(&report))
        div.cols {
        section.card aria-labelledby="eps" {
            div.h {
                h2 #eps { "Endpoints" } span.dim { (count(found.len() as u64)) }
                span.grow {}
                form role="search" { input type="search" name="q" value=(query.get("q")) aria-label="Filter endpoints" placeholder="Filter: POST route:none"; }
                a.btn.sm href={ (frame.root) "api/v1/inventory" } download="inventory.json" { "JSON" }
            }
            @if let Some(wrong) = filter.wrong(!found.is_empty()) { p.pad.bad { (prose(&wrong.to_string())) } }
            @if report.endpoints.is_empty() { (empty(report.requests)) } @else if found.is_empty() { p.pad.dim { "No endpoint is like that." } } @else {
                table.w.inv {
                    thead { tr {
                        th scope="col" { "Endpoint" } th scope="col" { "Route" } th.r scope="col" { "Requests" } th scope="col" { "Share, and who answers" }
                        th.r scope="col" { "Errors" } th.r scope="col" { "p99" } th scope="col" { "How we know" } th scope="col" { "Last asked, by whom" }
                    } }
                    tbody #rows data-live { @for endpoint in found.iter().take(PAGE) { (row(frame, endpoint, most)) } }
                }
                @if found.len() > PAGE { p.pad.dim { "And " (count((found.len() - PAGE) as u64)) " more: filter, or take the JSON." } }
            }
        }
        (next(frame, &steps))
        }
    }
}

/// Proposals with their reasons, and the lines of the first to paste.
fn next(frame: &Layout<'_>, steps: &[NextStep]) -> Markup {
    let paste = steps.iter().find(|step| !step.toml.is_empty());
    let class = |kind: &str| match kind {
        "take" | "retire" => "good",
        "zombie" => "warn",
        _ => "n",
    };
    html! {
        div.card #next data-live role="region" aria-labelledby="next-h" {
            div.h { h2 #next-h { "What next" } span.dim { "why, in figures" } }
            @if steps.is_empty() { p.pad.dim { "Nothing to propose yet: more traffic says more." } }
            @let may_plan = frame.visitor.operates();
            @for step in steps.iter().take(MOST_STEPS) {
                div.note {
                    span class={ "pill f " (class(step.kind)) } { (step.kind) }
                    div.t {
                        @if step.path.is_empty() { b { (plain(step.route.as_deref().unwrap_or("The proxy may go"))) } } @else { code { b { (plain(&step.method)) " " (path(&step.path)) } } }
                        p.dim { (prose(&step.reasons.join("; "))) }
                        @if let ("take", Some(route), false) = (step.kind, &step.route, step.toml.is_empty()) {
                            div.acts { (frame.act("Copy to the service", "btn sm", &format!("do=promote&route={}&to=shadow", percent_encoded(route)))) }
                        } @else if step.kind == "take" && may_plan && step.route.is_none() {
                            div.acts { a.btn.sm href={ (frame.root) "file?take=" (percent_encoded(&step.path)) "&method=" (percent_encoded(&step.method)) "#plan" } { "Plan it…" } }
                        }
                        @if let ("retire", Some(route)) = (step.kind, &step.route) {
                            div.acts { (frame.act("Retire", "btn sm", &format!("do=promote&route={}&to=retired&write=1", percent_encoded(route)))) }
                        }
                    }
                }
            }
            @if let Some(step) = paste {
                pre #paste tabindex="0" { (toml(&step.toml, &[])) }
                div.pad { button.sm.pri type="button" data-copy="paste" { "Copy" } }
            }
        }
    }
}

fn head(report: &InventoryReport) -> Markup {
    let all = &report.endpoints;
    let routed: u64 = all.iter().filter(|endpoint| endpoint.route.is_some()).map(|endpoint| endpoint.requests).sum();
    // Requests may have routes although no endpoint is sure yet: then their share is not known.
    let share = if all.is_empty() { None } else { ratio(routed, report.requests) };
    let writes = all.iter().filter(|endpoint| endpoint.writes && endpoint.route.is_none()).count();
    let since = report.since.as_deref().map(|since| format!(" since {}", cut(since, 10))).unwrap_or_default();
    html! {
        div.head #head data-live {
            div { h1 { "What the monolith answers" } p.dim { "Learned from " (count(report.requests)) " requests" (since) "; nothing was configured." (apart(report)) } }
            span.grow {}
            div.kpis {
                div { div.big { (count(all.len() as u64)) } div.lab { "endpoints" } }
                div { div.big { (share.map_or_else(|| "–".to_owned(), super::shown::large_percent)) } div.lab { "of requests have a route" } }
                div { div.big { (writes) } div.lab { "write endpoints without one" } }
                div { div.big { (about(report.unknown.paths, count(report.unknown.paths))) } div.lab { "paths that are no endpoint" } }
            }
        }
    }
}

/// Requests that no endpoint below stands for.
fn apart(report: &InventoryReport) -> String {
    let unknown = (report.unknown.requests, "asked for what is no endpoint");
    let all = [unknown, (report.unsure, "at places that are not sure yet"), (report.dropped, "not looked at")];
    let known = all.iter().filter(|(number, _)| *number > 0);
    let told: Vec<_> = known.map(|(number, what)| format!("{} {what}", count(*number))).collect();
    if told.is_empty() { String::new() } else { format!(" Not below: {}.", told.join(", ")) }
}

fn empty(requests: u64) -> Markup {
    html! {
        div.pad.stack {
            @if requests > 0 {
                p { "No endpoint is sure yet: one stands here once three answers went to two clients or more. What a single client asks for may be a scanner’s guess." }
            } @else {
                p { "Nothing was learned yet: the first requests stand here within a minute, unless " code { "[inventory] learn = false" } "." }
            }
            p.dim { "An access log of the monolith has its endpoints already: " code { "multilith inventory --from-log access.log --suggest" } " prints routes to paste." }
        }
    }
}

fn row(frame: &Layout<'_>, endpoint: &LearnedEndpoint, most: u64) -> Markup {
    let share = ratio(endpoint.requests, most).unwrap_or(0.0);
    let own = ratio(endpoint.monolith, endpoint.requests).unwrap_or(1.0);
    let known: Vec<String> = endpoint
        .parameters
        .iter()
        .map(|parameter| {
            // Of words it is how they are spread that tells.
            let said = if parameter.cut || !parameter.sure {
                parameter.about()
            } else {
                kinds(parameter.kinds, &parameter.kind)
            };
            format!("{}: {said}", parameter.name)
        })
        .collect();
    let now = jiff::Timestamp::now();
    // A number or a uuid needs no person's word; words were told apart by how they are spread.
    let guessed = endpoint.route.is_none() && endpoint.parameters.iter().any(|parameter| !parameter.sure);
    html! {
        tr data-row={ (endpoint.method) " " (plain(&endpoint.path)) } {
            td { span class={ "meth" @if endpoint.writes { " w" } } { (plain(&endpoint.method)) } code { (path(&endpoint.path)) } }
            td {
                @match (&endpoint.route, &endpoint.stage) {
                    (Some(route), Some(stage)) => { (frame.route_link(route)) " " (stage_pill(stage)) }
                    _ => span.dim { "no route" },
                }
            }
            td.r.nw data-l="Requests" { (count(endpoint.requests)) }
            td { (spark::share(1.0 - own, (share * 90.0).max(4.0))) }
            td.r.nw data-l="Errors" { (ratio(endpoint.errors, endpoint.requests).map_or_else(|| "–".to_owned(), percent)) }
            td.r.nw data-l="p99" { @match endpoint.p99_seconds { Some(p99) => { "~" (seconds(p99)) } None => { "–" } } }
            td.dim {
                (plain(&known.join(", ")))
                @if guessed { " " (frame.act("Not a parameter", "link sm", &format!("do=rule&key=literal&field={}", percent_encoded(&endpoint.path)))) }
            }
            td.dim data-l="Last asked" {
                span.nw { (endpoint.last_seen.as_deref().map_or_else(String::new, |at| asked(at, now))) }
                @if endpoint.callers > 0 { ", " (about(endpoint.callers, count(endpoint.callers))) @if endpoint.callers == 1 { " client" } @else { " clients" } }
                @match &endpoint.agents[..] {
                    [] => {}
                    [_] => { ": " (plain(&endpoint.asked_by(1))) }
                    // The row stays one line: the other agents open on a click.
                    all => details {
                        summary { (plain(&endpoint.asked_by(1))) }
                        @for agent in all { div { (plain(&agent.name)) ", " (count(agent.requests)) } }
                    }
                }
                @if let Some(said) = of_the_monolith(endpoint, now) { "; the monolith " span.nw { (said) } }
            }
        }
    }
}

/// When the monolith answered last, where others answered since.
fn of_the_monolith(endpoint: &LearnedEndpoint, now: jiff::Timestamp) -> Option<String> {
    endpoint.route.as_ref()?;
    match endpoint.monolith_last_seen.as_deref() {
        None => Some("never".to_owned()),
        Some(at) => Some(asked(at, now))
            .filter(|said| endpoint.last_seen.as_deref().map(|at| asked(at, now)).as_ref() != Some(said)),
    }
}

/// The minute is known, and the figures are up to a minute old: a client may have asked since.
fn asked(at: &str, now: jiff::Timestamp) -> String {
    let is_new = at.parse::<jiff::Timestamp>().is_ok_and(|at| now.duration_since(at).as_secs() < 120);
    if is_new { "within two minutes".to_owned() } else { ago(at, now) }
}

/// `~12 numbers`, `1 number`.
fn kinds(count_of: u64, kind: &str) -> String {
    let kind = if count_of == 1 { kind.strip_suffix('s').unwrap_or(kind) } else { kind };
    format!("{} {kind}", about(count_of, count(count_of)))
}

/// A path with its parameters told apart.
fn path(template: &str) -> Markup {
    html! {
        @for (at, part) in template.split('{').enumerate() {
            @if at == 0 { (plain(part)) } @else if let Some((name, rest)) = part.split_once('}') {
                span.param { "{" (plain(name)) "}" } (plain(rest))
            } @else { "{" (plain(part)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_the_word_of_one() {
        assert_eq!([kinds(1, "ids"), kinds(2, "ids"), kinds(1, "rest")], ["1 id", "~2 ids", "1 rest"]);
    }

    #[test]
    fn a_path_keeps_its_letters_and_shows_its_parameters() {
        let drawn = path("/a<b>/{id}.json/{*rest}/{").into_string();
        assert!(drawn.contains("&lt;b&gt;") && drawn.contains("<span class=\"param\">{id}</span>.json"), "{drawn}");
        assert!(drawn.ends_with("/{"), "{drawn}");
    }
}
