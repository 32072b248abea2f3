//! One route: where it stands, what differs, whether it may go on, how fast both sides are, its moves and its lines in the file.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use maud::{Markup, html};

use super::board::matched;
use super::by_eye::by_eye;
use super::chart::chart;
use super::differs;
use super::journal::{dial as written, entry_of_route};
use super::meaning::{NOT_TAKEN_BACK, words};
use super::page::{Layout, prose, said, toml};
use super::shown::{ago, count, counted, large_percent, percent, plain, rate, ratio, seconds, sentence};
use super::sides::{is_copied, p99, sides, who_answers};
use super::verdict::{self, is_unprotected, verdict};
use crate::admin::{RouteStatus, Window, route_row};
use crate::compile::redacted;
use crate::config::route_text;
use crate::gate::JournalEntry;
use crate::message::percent_encoded;
use crate::migration::Stage;
use crate::migration::dial::Wish;
use crate::proxy::{Generation, RouteInForce};
use crate::reload::{Preview, RequestedMove};

/// Weights that have room below a stage.
const MOST_WEIGHTS: usize = 4;
/// Why a move is not offered.
const NOT_SURE: &str = "What has no tick above is not shown yet";

/// The page of a route; `None`: there is none of that name.
pub fn route(frame: &Layout<'_>, name: &str, moves: &[JournalEntry]) -> Option<Markup> {
    let (parts, window) = (frame.parts, Window::default());
    let generation = parts.app.in_force.load();
    let entry = generation.named(name)?;
    let row = route_row(parts, &generation, entry, window);
    let pressed = parts.app.live.monolith_only(generation.snapshot.server.monolith_only);
    let uptime = parts.app.live.uptime(window.now).as_secs_f64();
    let word = verdict(&row, uptime);
    Some(html! {
        div #said data-live { @if pressed && row.stage != "retired" { (said("b", "The big red button is on: the monolith answers everything, whatever stands here.")) } }
        div.head #head data-live {
            div {
                p.lab.cr { a href={ (frame.root) "./" } { "Board" } " / " (name) }
                h1 { (name) }
                p.dim { code { (plain(&matched(entry))) } (asked(frame, &row)) " · " (rate(verdict::requests(&row), window.length.as_secs_f64().min(uptime.max(1.0)))) " · " a href={ (frame.root) "explain?route=" (name) } { "Explain a request" } }
            }
            span.grow {}
            (buttons(frame, entry, &row))
        }
        section.card #track data-live aria-label="Stages" { div.pad {
            ol.track {
                @for stage in track(entry.dial.stage) {
                    @let (here, done) = (stage == entry.dial.stage, is_before(stage, entry.dial.stage));
                    li class={ "l-" (stage.as_str()) @if done { " done" } } aria-current=[here.then_some("step")] {
                        (stage.as_str()) @if here { (dial(&row)) }
                    }
                }
            }
        } }
        div.cols {
            div.stack {
                (differs::section(frame, name, entry))
                div.two { (chart(frame, entry, &row, moves)) (figures(&row)) }
                div.two {
                    section.card #moves data-live aria-labelledby="moves-h" {
                        div.h { h2 #moves-h { "Moves of this route" } span.grow {} a href={ (frame.root) "journal?q=route:" (percent_encoded(name)) } { "Journal" } }
                        @if moves.is_empty() { p.pad.dim { "None yet: it stands where the file put it." } } @else {
                            ul.tl { @for entry in moves.iter().take(6) { (entry_of_route(entry)) } }
                        }
                    }
                    section.card #toml data-live aria-labelledby="toml-h" {
                        div.h { h2 #toml-h { "In the file" } span.grow {} a href={ (frame.root) "file" } { "All of it" } }
                        @match in_files(&generation, name) {
                            Some(text) => pre tabindex="0" { (toml(&redacted(&text), &[])) },
                            None => p.pad.dim { "The file writes this route in another form than a table of its own." },
                        }
                    }
                }
            }
            div.stack {
                section.card #gate data-live aria-labelledby="gate-h" {
                    div.h { h2 #gate-h { (question(&row)) } span.grow {} span class={ "pill f " (word.class) } { (word.word) } }
                    div.pad { (checklist(&row, &word.because, moves)) }
                    (go(frame, entry, &row))
                    (anew(frame, &row))
                }
                section.card #answers data-live aria-label="Who answers" { div.pad { (who_answers(&row, pressed, 306.0)) p.lab { @if row.stage == "split" { "The weights are those of the file." } @else { "The dial was set by the " (row.dial.by) @if let Some(since) = &row.dial.since { ", " (ago(since, Timestamp::now())) } "." (differs_from_file(entry)) } } } }
            }
        }
    })
}

/// The route's lines, in whichever file they stand.
fn in_files(generation: &Generation, name: &str) -> Option<String> {
    let sources = &generation.snapshot.sources;
    sources.files().iter().find_map(|file| route_text(sources.text_of(file), name))
}

/// The stages that are drawn: clients are divided by a weight or by variants.
fn track(here: Stage) -> impl Iterator<Item = Stage> {
    let other = if here == Stage::Split { Stage::Canary } else { Stage::Split };
    Stage::ALL.into_iter().filter(move |stage| *stage != other)
}

/// The weight, or those of the variants, behind the word of the stage.
fn dial(row: &RouteStatus) -> Markup {
    let parts: Vec<_> = sides(row).filter(|(side, _)| side.share > 0.0).collect();
    html! {
        @match (&row.weight, row.stage) {
            (Some(weight), _) => { " " (weight.replace('%', "\u{a0}%")) }
            (None, "split") if parts.len() > MOST_WEIGHTS => { ", " (parts.len()) " variants" }
            (None, "split") => {
                @for (at, (side, tone)) in parts.iter().enumerate() { @if at > 0 { " +" } " " span class=(tone.text) { (large_percent(side.share)) } }
            }
            _ => {}
        }
    }
}

fn is_before(stage: Stage, here: Stage) -> bool {
    let rank = |stage| match stage {
        Stage::Monolith => 0,
        Stage::Shadow => 1,
        Stage::Canary | Stage::Split => 2,
        Stage::Migrated => 3,
        Stage::Retired => 4,
    };
    rank(stage) < rank(here)
}

fn differs_from_file(entry: &RouteInForce) -> Markup {
    let held = entry.state.held();
    let differs = held.filter(|held| held.file != held.standing.dial);
    html! { @if let Some(held) = differs { " The file says " code { (held.file.to_string()) } ": a restart keeps the dial, a changed file wins." } }
}

/// The services that it asks, and how many of their endpoints can be asked.
fn asked(frame: &Layout<'_>, row: &RouteStatus) -> Markup {
    use crate::upstream::EndpointState::{Healthy, Unchecked};
    let mut services: Vec<_> = sides(row).filter(|(side, _)| !side.is_monolith).collect();
    let mut named = BTreeSet::new();
    services.retain(|(side, _)| named.insert(&*side.upstream));
    let known = if services.is_empty() { Vec::new() } else { frame.parts.app.upstreams.status() };
    let usable = |name: &str| {
        let status = known.iter().find(|upstream| upstream.name == name)?;
        let fine = status.endpoints.iter().filter(|endpoint| matches!(endpoint.state, Healthy | Unchecked)).count();
        Some(format!(" {fine} of {} endpoints usable", status.endpoints.len()))
    };
    html! {
        @for (at, (side, tone)) in services.iter().enumerate() {
            @if at == 0 { " to " } @else { ", " }
            b class=(tone.text) { (plain(&side.upstream)) } (usable(&side.upstream).unwrap_or_default())
        }
    }
}

/// The acts that are possible now. Where one is not, the page says why, to every visitor.
fn buttons(frame: &Layout<'_>, entry: &RouteInForce, row: &RouteStatus) -> Markup {
    let name = percent_encoded(entry.name());
    let would = |asked| frame.parts.reloader.preview(entry.name(), asked);
    let state = row.gate.as_ref().map(|gate| gate.state);
    let (back, on) = (would(RequestedMove::RollBack(Wish::default())), would(RequestedMove::Promote(forward(row))));
    let mut reasons: Vec<String> =
        [&back, &on].into_iter().filter_map(|to| Some(to.as_ref().err()?.to_string())).collect();
    reasons.dedup();
    let to = |word: &str, preview: &Preview| format!("{word} {}", words(preview.to));
    html! {
        @if frame.visitor.operates() {
            div.can {
                div.acts {
                    @match state {
                        Some("paused") => (frame.act("Resume", "btn", &format!("do=resume&route={name}"))),
                        // It would not go on after that, either.
                        Some("off" | "latched") | None => {},
                        Some(_) => (frame.act("Pause", "btn", &format!("do=pause&route={name}"))),
                    }
                    @match &back {
                        Ok(back) => (frame.act(&to("Back to", back), "btn red", &format!("do=rollback&route={name}"))),
                        Err(_) => span.btn.can-not { "Roll back" },
                    }
                    @match &on {
                        Ok(on) => (frame.act(&to("Go to", on), if sure(row) && state != Some("waiting") { "btn pri" } else { "btn" }, &promote(row, &name))),
                        Err(_) => span.btn.can-not { "Promote" },
                    }
                }
                @if is_unprotected(row) { p.lab.warn { "Paused, roll-backs too. " (NOT_TAKEN_BACK) } }
                @for why in &reasons { p.lab { (prose(&sentence(why))) } }
            }
        }
    }
}

/// One step on; into `retired`, which no gate leads to, by its name.
fn forward(row: &RouteStatus) -> Wish {
    Wish { stage: (row.stage == "migrated").then_some(Stage::Retired), weight: None }
}

/// The same for the page that asks.
fn promote(row: &RouteStatus, name: &str) -> String {
    let to = if row.stage == "migrated" { "&to=retired" } else { "" };
    format!("do=promote&route={name}{to}")
}

/// Everything that is asked for a move is shown.
pub fn sure(row: &RouteStatus) -> bool {
    match &row.gate {
        Some(gate) if gate.state != "off" => gate.verdict == "advance" || gate.state == "waiting",
        // Copies are no risk that had to be weighed first.
        _ if row.stage == "monolith" => true,
        _ => {
            let list = by_eye(row);
            !list.is_empty() && list.iter().all(|(class, ..)| *class == "good")
        }
    }
}

fn question(row: &RouteStatus) -> String {
    match row.stage {
        "monolith" => "May it get copies?",
        "shadow" => "May it go to canary?",
        "canary" => "May it get more?",
        "split" => "An experiment",
        "migrated" => "May it be retired?",
        _ => "Done",
    }
    .to_owned()
}

/// The gate's evidence as a list; without a gate the figures that a person would look at.
fn checklist(row: &RouteStatus, because: &str, moves: &[JournalEntry]) -> Markup {
    let gate = row.gate.as_ref().filter(|gate| gate.state != "off");
    html! {
        @if let Some(gate) = gate {
            ul.check {
                @for (metric, value) in &gate.metrics { (evidence(metric, value, &gate.metrics)) }
            }
            @if gate.metrics.is_empty() { @if gate.state == "waiting" { (shown_before(moves)) } p.dim { (prose(&gate.why)) } } @else { p.lab { "step " (gate.step) " of " (gate.steps) ": " (prose(&gate.why)) } }
            @if let Some(waits) = &gate.waits_for { p.lab { (prose(waits)) } }
        } @else {
            @let list = by_eye(row);
            @if !list.is_empty() { ul.check { @for (class, mark, title, text) in &list { (item(class, mark, title, text)) } } }
            @if !because.is_empty() { p.lab { (prose(because)) } }
            @if matches!(row.stage, "shadow" | "canary") { p.lab { "No gate judges this route: " code { "gate = {}" } " in its table would." } }
        }
    }
}

/// The evidence of the gate's move to where the route stands: at 100 % none can be gathered, and a person is asked to approve.
pub fn shown_before(moves: &[JournalEntry]) -> Markup {
    let last = moves.iter().find(|entry| entry.from != entry.to).filter(|entry| &*entry.action == "advance");
    let metrics = last.and_then(|entry| entry.verdict.as_ref()?["metrics"].as_object());
    let metrics: BTreeMap<&str, serde_json::Value> =
        metrics.into_iter().flatten().map(|(metric, value)| (metric.as_str(), value.clone())).collect();
    html! {
        @if let (Some(from), false) = (last.and_then(|entry| entry.from.as_ref()), metrics.is_empty()) {
            p.lab { "What its gate saw at " (written(from)) ", and found no worse than allowed:" }
            ul.check { @for (metric, value) in &metrics { (evidence(metric, value, &metrics)) } }
        }
    }
}

fn item(class: &str, mark: &str, title: &str, text: &str) -> Markup {
    html! { li { span class=(class) aria-hidden="true" { (mark) } span { b { (title) } br; span.dim { (plain(text)) } } } }
}

/// One metric of a gate: `[counted, of]` of each side, and how sure it is. `all`: another one may prove the same.
fn evidence(metric: &str, value: &serde_json::Value, all: &BTreeMap<&str, serde_json::Value>) -> Markup {
    let pair = |side: &str| {
        let of = |at: usize| value[side][at].as_u64().unwrap_or(0);
        (of(0), of(1))
    };
    let (service, monolith) = (pair("service"), pair("monolith"));
    let number = |key: &str| value[key].as_f64().unwrap_or(0.0);
    let is_proved = |value: &serde_json::Value| value["better"].as_f64() >= value["better_at"].as_f64();
    let instead = value["instead"].as_str().and_then(|instead| all.get(instead));
    let rate = |(part, of)| ratio(part, of).map_or_else(|| "–".to_owned(), percent);
    let title = match metric {
        "failures" => "Answers without failures",
        "refusals" => "Refuses no more (4xx)",
        "p50" => "As fast: p50",
        "p95" => "As fast: p95",
        "p99" => "As fast: p99",
        "mismatches" => "Answers agree",
        "pair_failures" => "Fails no more in pairs",
        "pair_p50" => "As fast in pairs: p50",
        "pair_p95" => "As fast in pairs: p95",
        _ => "As fast in pairs: p99",
    };
    let (class, mark) = if number("worse") >= number("worse_at") {
        ("bad", "✕")
    } else if is_proved(value) {
        ("good", "✓")
    } else if value["required"].as_bool() == Some(true) && !instead.is_some_and(is_proved) {
        ("warn", "!")
    } else {
        ("dim", "·")
    };
    if service.1 == 0 {
        return item(class, mark, title, "nothing was counted yet");
    }
    let needs = value["needs"].as_u64().map(|more| format!("; {} more to be sure", count(more))).unwrap_or_default();
    let against = if metric == "mismatches" { String::new() } else { format!(" against {}", rate(monolith)) };
    let slower =
        value["threshold_seconds"].as_f64().map(|limit| format!(" above {}", seconds(limit))).unwrap_or_default();
    item(class, mark, title, &format!("{} of {}{slower}{against}{needs}", rate(service), count(service.1)))
}

/// The button at the end of the list, or the way around it.
fn go(frame: &Layout<'_>, entry: &RouteInForce, row: &RouteStatus) -> Markup {
    let name = percent_encoded(entry.name());
    let next = frame.parts.reloader.preview(entry.name(), RequestedMove::Promote(forward(row)));
    html! {
        @if let (true, Ok(next)) = (frame.visitor.operates(), next) {
            @let word = format!("Go to {}", words(next.to));
            div.pad {
                @if row.gate.as_ref().is_some_and(|gate| gate.state == "waiting") {
                    (frame.act("Approve", "btn pri", &format!("do=approve&route={name}")))
                } @else if sure(row) {
                    (frame.act(&word, "btn pri", &promote(row, &name)))
                } @else {
                    div.acts { span.btn.can-not { (word) } (frame.act("Go all the same", "link", &promote(row, &name))) }
                    p.lab { (NOT_SURE) ". Going all the same asks for a reason and is written to the journal." }
                }
            }
        }
    }
}

/// A gate whose evidence is of another time begins anew.
fn anew(frame: &Layout<'_>, row: &RouteStatus) -> Markup {
    let judges = row.gate.as_ref().is_some_and(|gate| !matches!(gate.state, "off" | "latched"));
    let may = judges && matches!(row.stage, "shadow" | "canary") && frame.visitor.operates();
    let act = format!("do=resume&route={}&from_start=1", percent_encoded(&row.name));
    html! { @if may { p.pad.lab { (frame.act("Begin its steps anew", "link", &act)) } } }
}

/// The sides one below the other.
fn figures(row: &RouteStatus) -> Markup {
    let is_split = row.stage == "split";
    let asked = verdict::requests(row);
    html! {
        section.card #sides data-live aria-labelledby="sides-h" {
            div.h { h2 #sides-h { "Sides" } span.dim { "the last five minutes; since the start" } }
            table.w {
                thead { tr { th scope="col" { "Side" } th.r scope="col" { "Requests" } th.r scope="col" { "Errors" } th.r scope="col" { "p50" } th.r scope="col" { "p99" } th.r scope="col" { "In all" } } }
                tbody {
                    @for (side, tone) in sides(row) {
                        @let (requests, _) = verdict::side(row, &side.name);
                        @let time = |time: Option<f64>| time.map_or_else(|| "–".to_owned(), seconds);
                        @let copied = requests == 0 && is_copied(row, side);
                        tr {
                            td { b class=(tone.text) { (plain(&side.name)) } @if is_split && side.name != side.upstream { span.dim { " asks " (plain(&side.upstream)) } } }
                            td.r data-l="Requests" { @if copied { (counted(row.copies, "copy")) } @else { (count(requests)) } @if let (true, Some(share)) = (is_split, ratio(requests, asked)) { span.dim { " (" (large_percent(share)) ")" } } }
                            td.r data-l="Errors" { span class=[verdict::is_worse(row, &side.name).then_some("bad")] { (verdict::error_rate(row, &side.name).map_or_else(|| "–".to_owned(), percent)) } }
                            td.r data-l="p50" { (time(row.p50_seconds.get(&side.name).copied())) }
                            td.r data-l="p99" { (time(p99(row, side))) }
                            @let failed = row.totals.errors.get(&side.name).copied().unwrap_or(0);
                            td.r data-l="In all" { (count(row.totals.requests.get(&side.name).copied().unwrap_or(0))) @if failed > 0 { span.dim { ", " (count(failed)) " failed" } } }
                        }
                    }
                }
            }
            @let all = &row.totals;
            @if all.copies > 0 || all.fallbacks > 0 {
                p.pad.dim { (counted(row.copies, "copy")) ", " (counted(row.fallbacks, "fallback")) " in five minutes; " (count(all.copies)) " and " (count(all.fallbacks)) " since the start" }
            }
        }
    }
}

/// A page that says that there is no such route.
pub fn none(frame: &Layout<'_>, name: &str) -> Markup {
    html! {
        div.card.narrow { div.pad.stack {
            h1 { "No such route" }
            p { "The file in force has no route " code { (plain(name)) } ". It may have been renamed or removed." }
            p { a.btn href={ (frame.root) "./" } { "To the board" } }
        } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Stood;

    fn row(stage: &'static str, counts: [(u64, u64); 2], p99: [f64; 2]) -> RouteStatus {
        let by_side = |of: fn(&(u64, u64)) -> u64| {
            ["monolith", "service"].into_iter().zip(&counts).map(|(side, count)| (side.to_owned(), of(count))).collect()
        };
        RouteStatus {
            stage,
            requests: by_side(|count| count.0),
            errors: by_side(|count| count.1),
            p99_seconds: ["monolith", "service"].into_iter().map(str::to_owned).zip(p99).collect(),
            ..RouteStatus::default()
        }
    }

    #[test]
    fn the_blue_button_and_the_ticks_say_the_same_without_a_gate() {
        let fine = [0.01, 0.01];
        for (stage, counts, p99, is_sure) in [
            ("monolith", [(9, 0), (0, 0)], fine, true),
            ("canary", [(9, 0), (0, 0)], fine, false),
            ("canary", [(900, 0), (599, 0)], fine, false),
            ("canary", [(900, 0), (600, 0)], fine, true),
            ("canary", [(900, 0), (600, 6)], fine, false),
            ("canary", [(900, 0), (600, 0)], [0.01, 0.013], false),
            ("canary", [(0, 0), (600, 0)], fine, false),
            ("shadow", [(900, 0), (0, 0)], fine, false),
            ("split", [(900, 0), (900, 0)], fine, false),
        ] {
            let row = row(stage, counts, p99);
            assert_eq!(sure(&row), is_sure, "{stage} {counts:?} {p99:?}");
            let ticks = by_eye(&row);
            assert!(stage == "monolith" || sure(&row) == (!ticks.is_empty() && ticks.iter().all(|tick| tick.1 == "✓")));
        }
        let compared = |compared, rate| RouteStatus {
            compared,
            mismatch_rate: Some(rate),
            copies_p99: Some(0.01),
            ..row("shadow", [(900, 0), (0, 0)], fine)
        };
        assert!(sure(&compared(1000, 0.001)) && !sure(&compared(1000, 0.002)) && !sure(&compared(70, 0.0)));
    }

    fn migrated(service: (u64, u64), since_start: u64, monolith_quiet: Option<f64>) -> RouteStatus {
        let mut row = RouteStatus { stage: "migrated", breaker: "closed", ..RouteStatus::default() };
        row.requests.insert("service".to_owned(), service.0);
        row.errors.insert("service".to_owned(), service.1);
        row.totals.requests.insert("service".to_owned(), since_start);
        row.stood = Stood { seconds: 20.0, retire_after: 10.0, monolith_quiet };
        row
    }

    #[test]
    fn the_board_and_the_page_of_a_route_say_the_same() {
        for (service, since_start, monolith, said, may) in [
            ((30, 0), 600, None, "retire?", true),
            ((30, 0), 599, None, "moved", false),
            ((30, 1), 600, None, "moved", false),
            ((900, 3), 9000, None, "retire?", true),
            ((30, 0), 600, Some(9.0), "moved", false),
            ((30, 0), 600, Some(11.0), "retire?", true),
            ((0, 0), 600, None, "silent", false),
            ((0, 0), 0, None, "silent", false),
        ] {
            let row = migrated(service, since_start, monolith);
            assert_eq!((verdict::word(&row).1, sure(&row)), (said, may), "{service:?} {since_start} {monolith:?}");
        }
        let row = RouteStatus { fallbacks: 1, ..migrated((30, 0), 600, None) };
        assert_eq!((verdict::word(&row).1, sure(&row)), ("zombie", false));
        let row = RouteStatus {
            stood: Stood { seconds: 3600.0, retire_after: 14.0 * 86_400.0, monolith_quiet: None },
            ..migrated((30, 0), 600, None)
        };
        assert_eq!((verdict::word(&row).1, sure(&row)), ("moved", false));
        let because = verdict::verdict(&row, 3600.0).because.replace('\u{a0}', " ");
        assert_eq!(because, "the monolith is not asked; moved for 60 min of 14 days");
    }

    #[test]
    fn a_split_stands_in_the_place_of_the_canary() {
        for here in Stage::ALL {
            let drawn: Vec<Stage> = track(here).collect();
            assert!(drawn.contains(&here) && drawn.len() == 5, "{here}: {drawn:?}");
            assert_ne!(drawn.contains(&Stage::Canary), drawn.contains(&Stage::Split), "{here}");
        }
    }
}
