//! The board: how far the migration is, what needs a person, and every route.

use std::time::{Duration, Instant};

use maud::{Markup, html};

use super::filter::Filter;
use super::form::Form;
use super::grounds::AGREEMENT;
use super::needs::NoteCounts;
use super::overview::{MANY, SharedOverview};
use super::page::{Layout, page_number, pages, prose, said, stage_pill};
use super::shown::{count, counted, large_percent, percent, plain, rate, ratio, seconds, span};
use super::sides::{moved, p99, sides, who_answers};
use super::verdict::{self, verdict};
use super::{fleet, needs, shown, spark};
use crate::admin::{RouteFigures, RouteSide, RouteStatus, Status, Window, rows_in_short, status_head};
use crate::migration::{Side, Stage};
use crate::proxy::{Generation, RouteInForce, meter_index};

/// Routes on one page.
const PAGE: usize = 200;
/// The sparkline: its number of steps, and their length once the program runs for a quarter of an hour.
const STEPS: usize = 30;
const STEP: Duration = Duration::from_secs(30);
/// Counts are not kept more finely.
const SHORTEST_STEP: Duration = Duration::from_secs(5);

/// One line of the board.
struct Row<'a> {
    entry: &'a RouteInForce,
    status: RouteStatus,
}

/// `days`: the progress by day; empty: it is not known for long enough.
pub fn board(frame: &Layout<'_>, query: &Form, days: &[u64], shared: &SharedOverview) -> Markup {
    let (parts, window) = (frame.parts, Window::default());
    let generation = parts.app.in_force.load();
    let overview = shared.now(parts, &generation, window);
    let head = status_head(parts, window, overview.moved);
    let filter = Filter::read(query.get("q"));
    let generation = &*generation;
    let takes = |(number, entry): &(usize, &RouteInForce)| {
        let figures = RouteFigures { parts, generation, entry, window };
        filter.may_take(entry.name(), entry.dial.stage.as_str(), || matched(entry))
            && filter.takes(&figures, (*number, &overview))
    };
    let every = generation.routes.iter().chain([&generation.unmatched]).enumerate();
    let mut entries: Vec<&RouteInForce> = every.filter(takes).map(|(_, entry)| entry).collect();
    let all = entries.len();
    // Requests that no route takes are a row, and no route.
    let routes = entries.iter().filter(|entry| entry.route.is_some()).count();
    let shown: Vec<_> = on_page(&mut entries, page_number(query))
        .iter()
        .map(|entry| RouteFigures { parts, generation, entry, window })
        .collect();
    let rows = shown.iter().zip(rows_in_short(&shown)).map(|(figures, status)| Row { entry: figures.entry, status });
    let rows: Vec<Row<'_>> = rows.collect();
    let pressed = parts.app.live.monolith_only(generation.snapshot.server.monolith_only);
    let todo = needs::needs(parts, generation, &head, (window, &overview));
    let banners = [head.last_error.is_some(), head.store.moved_aside.is_some(), head.store.why.is_some(), pressed]
        .into_iter()
        .filter(|told| *told)
        .count();
    html! {
        div.stack #said data-live {
            @if let Some(error) = &head.last_error {
                @let first = error.diagnostics.first();
                div.say.b role="status" {
                    span { b { "The file on the disk is refused, the last good one is in force." } @if let Some(first) = first { " " code { (plain(&first.place())) } ": " (prose(&first.message)) } }
                    span.grow {} a.btn.sm href={ (frame.root) "file" } { "Look" }
                }
            }
            @if let Some(path) = &head.store.moved_aside {
                (said("b", &format!("The database could not be used and was moved to `{}`: what was known before is there.", path.display())))
            }
            @if let Some(why) = &head.store.why { (said("b", &format!("Moves cannot be written down: {why}"))) }
            @if pressed { (said("b", "The big red button is on: the monolith answers everything that is not retired, whatever stands below.")) }
        }
        div.head #head data-live {
            div { h1 { "Where the migration stands" } p.dim { (sentence(todo.counts, banners)) } }
            span.grow {}
            (figures(&head, generation, frame, days))
        }
        section.card #stages data-live aria-label="Routes in each stage" { div.pad { (stages(generation)) } }
        div #todo data-live {
            @if todo.counts.all() > 0 {
                section.card aria-labelledby="todo-h" {
                    div.h { h2 #todo-h { "Needs you" } span.dim { (count(todo.counts.all() as u64)) } }
                    @for note in &todo.notes { (note.drawn(frame)) }
                    (todo.rest(frame))
                }
            }
        }
        section.card aria-labelledby="routes-h" {
            div.h {
                h2 #routes-h { "Routes" }
                span.dim { (count(routes as u64)) ", the last five minutes" }
                span.grow {}
                span.legend { span.l-mo { "monolith" } span.l-se { "service" } }
                a.btn.sm href={ (frame.root) "explain" } { "Explain a request" }
                form role="search" {
                    input type="search" name="q" value=(query.get("q")) aria-label="Filter routes" placeholder="Filter: stage:canary errors>1%";
                }
            }
            @if let Some(wrong) = filter.wrong(!rows.is_empty()) { p.pad.bad { (plain(&wrong.to_string())) } }
            @if rows.is_empty() { (nothing(generation.routes.is_empty())) } @else {
                table.w {
                    thead { tr {
                        th scope="col" { "Route" } th scope="col" { "Stage" } th scope="col" { "Who answers" }
                        th.r scope="col" { "Requests" } th scope="col" { (line_time(head.uptime_seconds)) } th.r scope="col" { "Errors" }
                        th.r scope="col" { "p99" } th.r scope="col" { "Differ" } th scope="col" { "Verdict" } th scope="col" { "Because" }
                    } }
                    tbody #rows data-live { @for row in &rows { (drawn(frame, row, &head)) } }
                }
            }
            (pages("", query, all.div_ceil(PAGE)))
        }
        (fleet::section(frame))
    }
}

/// The entries of a page in their order; the others are not put into any.
fn on_page<'a, 'b>(entries: &'a mut [&'b RouteInForce], page: usize) -> &'a [&'b RouteInForce] {
    let place = |entry: &&RouteInForce| (rank(entry), entry.route.is_none());
    let order = |one: &&RouteInForce, other: &&RouteInForce| {
        place(one).cmp(&place(other)).then_with(|| one.name().cmp(other.name()))
    };
    let from = ((page - 1) * PAGE).min(entries.len());
    if from > 0 && from < entries.len() {
        entries.select_nth_unstable_by(from, order);
    }
    let rest = &mut entries[from..];
    if rest.len() > PAGE {
        rest.select_nth_unstable_by(PAGE, order);
    }
    let on_it = rest.len().min(PAGE);
    let shown = &mut rest[..on_it];
    shown.sort_unstable_by(order);
    shown
}

/// Routes on the way stand above those at rest.
fn rank(entry: &RouteInForce) -> u8 {
    match entry.dial.stage {
        Stage::Canary => 0,
        Stage::Split => 1,
        Stage::Shadow => 2,
        Stage::Migrated => 3,
        Stage::Retired => 4,
        Stage::Monolith => 5,
    }
}

/// Methods and path, as a person writes them.
pub fn matched(entry: &RouteInForce) -> String {
    let Some(route) = &entry.route else { return "what no route takes".to_owned() };
    let rule = &route.rule;
    let mut methods = rule.methods.as_ref().map(|methods| methods.names()).unwrap_or_default();
    if methods.contains(&"GET") {
        methods.retain(|method| *method != "HEAD");
    }
    let path = rule.paths.first().map_or("", |path| path.as_str());
    let more = rule.paths.len().saturating_sub(1);
    let host = match &rule.host {
        crate::route::HostPattern::Any => String::new(),
        host => host.to_string(),
    };
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    [methods.join(" "), format!("{host}{path}{more}")]
        .iter()
        .filter(|part| !part.is_empty())
        .cloned()
        .collect::<Vec<_>>()
        .join(" ")
}

/// `banners`: the messages above the board need a person, too.
fn sentence(todo: NoteCounts, banners: usize) -> String {
    let NoteCounts { bad, good, warn } = todo;
    let many = |number: usize, one: &str, more: &str| match number {
        0 => None,
        1 => Some(format!("one {one}")),
        number => Some(format!("{} {more}", count(number as u64))),
    };
    let parts = [
        many(bad + banners, "thing needs somebody", "things need somebody"),
        many(good, "route can go on", "routes can go on"),
        many(warn, "can wait", "can wait"),
    ];
    match (bad + banners + good, warn) {
        (0, 0) => "Nothing waits for you.".to_owned(),
        (0, _) => "Nothing is urgent; look when there is time.".to_owned(),
        _ => {
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            format!("{} The rest is quiet.", shown::sentence(&parts.join("; ")))
        }
    }
}

fn figures(head: &Status, generation: &Generation, frame: &Layout<'_>, days: &[u64]) -> Markup {
    let window = Window::default();
    let (mut requests, mut errors, mut steps) = (0, 0, vec![0_u64; STEPS]);
    // Of very many routes the sum would cost more than it says.
    let few = generation.routes.len() <= MANY;
    if few {
        for entry in generation.routes.iter().chain([&generation.unmatched]) {
            let (all, failed) = RouteFigures { parts: frame.parts, generation, entry, window }.sums();
            requests += all;
            errors += failed;
            for (sum, count) in steps.iter_mut().zip(line(entry, window.now, head.uptime_seconds)) {
                *sum += count;
            }
        }
    }
    let done =
        generation.routes.iter().filter(|entry| matches!(entry.dial.stage, Stage::Migrated | Stage::Retired)).count();
    html! {
        div.kpis {
            div { div.big { (large_percent(head.progress.requests)) } div.lab { "of requests, last five minutes" } }
            div { div.big { (large_percent(head.progress.routes)) } div.lab { "of routes, " (done) " of " (generation.routes.len()) } }
            @if let Some(endpoints) = head.progress.endpoints {
                div { div.big { (large_percent(endpoints)) } div.lab { "of endpoints, last 30 days, " (counted(head.progress.writes_left as u64, "write")) " left" } }
            }
            @if few {
                div {
                    div.big { (rate(requests, head.window_seconds.min(head.uptime_seconds.max(1.0)))) }
                    div.lab { "requests, " (ratio(errors, requests).map_or_else(|| "none".to_owned(), percent)) " failed" }
                }
            }
            @if !days.is_empty() {
                div { (spark::spark(days, (150.0, 38.0), "li ls")) div.lab { "progress, " (days.len()) " days" } }
            } @else if few {
                div { (spark::spark(&steps, (150.0, 38.0), "li ls")) div.lab { "requests, " (line_time(head.uptime_seconds)) } }
            }
        }
    }
}

fn stages(generation: &Generation) -> Markup {
    let counts: Vec<_> = Stage::ALL
        .into_iter()
        .map(|stage| (stage.as_str(), generation.routes.iter().filter(|entry| entry.dial.stage == stage).count()))
        .collect();
    html! {
        @if generation.routes.is_empty() { p.dim { "No route yet: everything goes to the monolith." } } @else {
            (spark::stages(&counts))
            div.legend { @for (stage, count) in counts.iter().filter(|(_, count)| *count > 0) { span class={ "l-" (stage) } { (stage) " " (count) } } }
        }
    }
}

/// The step of the sparklines: of a program that runs for less than a quarter of an hour a shorter one.
fn step(uptime: f64) -> Duration {
    (Duration::from_secs_f64(uptime) / 30).clamp(SHORTEST_STEP, STEP)
}

/// The time that the sparklines are about.
fn line_time(uptime: f64) -> String {
    let seconds = (step(uptime) * 30).as_secs_f64();
    // Whole steps are seldom whole minutes.
    let minutes = format!("{:.1}", seconds / 60.0);
    if seconds < 600.0 { format!("{}\u{a0}min", minutes.trim_end_matches(".0")) } else { span(seconds) }
}

/// Requests of all sides in that time.
fn line(entry: &RouteInForce, now: Instant, uptime: f64) -> Vec<u64> {
    let step = step(uptime);
    let sides: Vec<usize> = if entry.policy.variants.is_empty() {
        vec![meter_index(&entry.policy, Side::Monolith), meter_index(&entry.policy, Side::Service)]
    } else {
        (0..=entry.policy.variants.len()).collect()
    };
    let mut sum = vec![0; STEPS];
    for side in sides {
        for (sum, count) in sum.iter_mut().zip(entry.meters.requests_by_span(side, now, step, STEPS)) {
            *sum += count;
        }
    }
    sum
}

fn drawn(frame: &Layout<'_>, row: &Row<'_>, head: &Status) -> Markup {
    let (route, entry) = (&row.status, row.entry);
    let said = verdict(route, head.uptime_seconds);
    let known = entry.route.is_some();
    // One figure of each side below the other: an unknown one is no other side's.
    let each = |of: &dyn Fn(&RouteSide) -> Option<String>, is_worse: &dyn Fn(&str) -> bool| {
        html! {
            div.pair {
                @for (side, tone) in sides(route) {
                    span class={ (tone.text) @if is_worse(&side.name) { " bad" } } { span.sr { (plain(&side.name)) " " } (of(side).unwrap_or_else(|| "–".to_owned())) }
                }
            }
        }
    };
    let errors = |side: &RouteSide| verdict::error_rate(route, &side.name).map(percent);
    let worse = |side: &str| verdict::is_worse(route, side);
    let p99 = |side: &RouteSide| p99(route, side).map(seconds);
    let blue = moved(route, head.monolith_only) >= 0.5;
    html! {
        tr data-row=(entry.name()) {
            td {
                @if known { (frame.route_link(entry.name())) } @else { span.name { "unmatched" } }
                br; span.m { (plain(&matched(entry))) }
            }
            td { (stage_pill(route.stage)) }
            td { (who_answers(route, head.monolith_only, 120.0)) }
            td.r.nw data-l="Requests" { (rate(verdict::requests(route), head.window_seconds.min(head.uptime_seconds.max(1.0)))) }
            td.sp { (spark::spark(&line(entry, Window::default().now, head.uptime_seconds), (72.0, 24.0), if blue { "li ls" } else { "li lm" })) }
            td data-l="Errors" { (each(&errors, &worse)) }
            td data-l="p99" { (each(&p99, &|_| false)) }
            td.r.nw data-l="Differ" {
                @match route.mismatch_rate {
                    Some(rate) => span class=[(rate > AGREEMENT).then_some("bad")] { (percent(rate)) },
                    None => span.dim { "–" },
                }
            }
            td.nw { @if said.word == "–" { span.dim { "–" } } @else { span class={ "pill f " (said.class) } { (said.word) } } }
            td.last.dim { (prose(&said.because)) }
        }
    }
}

fn nothing(no_routes: bool) -> Markup {
    html! {
        div.pad.dim {
            @if no_routes {
                "No route is written yet. Four lines in the file make the first: a path, a service and a stage. "
                "Everything goes to the monolith, unchanged."
            } @else { "No route is like that." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_its_own_time() {
        let said = |uptime: f64| line_time(uptime).replace('\u{a0}', " ");
        assert_eq!([said(10.0), said(200.0), said(300.0), said(5000.0)], ["2.5 min", "3.3 min", "5 min", "15 min"]);
    }

    #[test]
    fn beside_a_banner_nobody_is_told_that_nothing_waits() {
        let none = NoteCounts::default();
        assert_eq!(sentence(none, 0), "Nothing waits for you.");
        assert_eq!(sentence(none, 1), "One thing needs somebody. The rest is quiet.");
        assert_eq!(sentence(none, 2), "2 things need somebody. The rest is quiet.");
    }

    #[test]
    fn the_sentence_counts_all_that_is_listed() {
        for ((bad, good, warn), said) in [
            ((2, 0, 1), "2 things need somebody; one can wait. The rest is quiet."),
            ((1, 1, 0), "One thing needs somebody; one route can go on. The rest is quiet."),
            ((0, 2, 3), "2 routes can go on; 3 can wait. The rest is quiet."),
            ((0, 0, 3), "Nothing is urgent; look when there is time."),
            ((60, 0, 0), "60 things need somebody. The rest is quiet."),
        ] {
            assert_eq!(sentence(NoteCounts { bad, good, warn }, 0), said);
        }
    }
}
