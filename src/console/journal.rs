//! The journal: what moved, who moved it, and on what grounds, day by day.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use serde_json::Value;

use super::form::Form;
use super::page::{Layout, said};
use super::shown::{count, day_and_time, percent, plain, ratio, seconds, time_and_day};
use crate::gate::{JournalEntry, JournalError, WrittenDial};
use crate::message::percent_encoded;
use crate::reload::WrittenAct;

/// Entries on one page.
const PAGE: usize = 100;
/// Entries that a filter looks through, and that the summary is about.
pub const READ: usize = 1000;

/// What was read of the journal, the newest first.
pub struct JournalRead {
    pub entries: Result<Vec<JournalEntry>, JournalError>,
    /// The newest of all routes, for the summary.
    pub newest: Vec<JournalEntry>,
}

/// `route:NAME`, `by:gate`, and words.
pub struct JournalFilter {
    pub route: Option<String>,
    by: Option<String>,
    words: Vec<String>,
}

impl JournalFilter {
    pub fn read(text: &str) -> Self {
        let mut asked = Self { route: None, by: None, words: Vec::new() };
        for word in text.split_whitespace() {
            match word.split_once(':') {
                Some(("route", name)) => asked.route = Some(name.to_owned()),
                Some(("by", by)) => asked.by = Some(by.to_lowercase()),
                _ => asked.words.push(word.to_lowercase()),
            }
        }
        asked
    }

    pub fn takes(&self, entry: &JournalEntry) -> bool {
        let by = |by: &str| *entry.by == *by || entry.who.to_lowercase().contains(by);
        let text = || {
            let route = entry.route.as_deref().unwrap_or("all routes");
            format!("{route} {} {} {}", entry.action, entry.who, entry.reason).to_lowercase()
        };
        self.by.as_deref().is_none_or(by) && self.words.iter().all(|word| text().contains(word.as_str()))
    }
}

pub fn journal(frame: &Layout<'_>, query: &Form, read: &JournalRead) -> Markup {
    let asked = JournalFilter::read(query.get("q"));
    let found: Vec<&JournalEntry> = read.entries.iter().flatten().filter(|entry| asked.takes(entry)).collect();
    let (shown, more) = (&found[..found.len().min(PAGE)], found.len() > PAGE || found.len() == READ);
    let days = days(shown);
    let mut routes = BTreeSet::new();
    // The newest of all entries, whatever the filter leaves out.
    let moves = read.newest.iter().filter(|entry| entry.from != entry.to);
    let newest: Vec<u64> = moves.filter(|entry| routes.insert(entry.route.as_deref())).map(|entry| entry.id).collect();
    html! {
        @if let Err(why) = &read.entries { (said("b", &why.to_string())) }
        div.head {
            div {
                h1 { "What moved, who moved it, and on what grounds" }
                p.dim { "Rows are only added, in the database of " code { "state_dir" } "." }
            }
            span.grow {}
            div.acts {
                form role="search" { input type="search" name="q" value=(query.get("q")) aria-label="Filter entries" placeholder="Filter: route:orders by:gate"; }
                a.btn href={ (frame.root) "api/v1/journal?limit=1000" } download="journal.json" { "Download JSON" }
            }
        }
        div.cols {
            section.card #entries data-live aria-label="Entries" {
                @for (day, entries) in &days {
                    h2.day { (day) }
                    ul.tl { @for entry in entries { (drawn(frame, entry, newest.contains(&entry.id))) } }
                }
                @if days.is_empty() {
                    p.pad.dim { @if query.get("q").is_empty() { "Nothing moved yet. The first move, by a person, a gate or the file, stands here: a gate's with the figures that it judged by." } @else { "No entry is like that." } }
                }
                @if more { @if let Some(last) = shown.last() {
                    nav.pad aria-label="Older entries" { a.btn.sm href={ "?q=" (percent_encoded(query.get("q"))) "&before=" (last.id) } rel="next" { "Older" } }
                } }
            }
            div.card role="region" aria-labelledby="sum" {
                div.h { h2 #sum { "Last 30 days" } }
                table { tbody { @for (what, number) in summary(&read.newest) { tr { td { (what) } td.r { b { (number) } } } } } }
                @if read.newest.len() >= READ { p.pad.lab { "Of the newest " (READ) " entries." } }
            }
        }
    }
}

fn days<'a>(entries: &[&'a JournalEntry]) -> Vec<(String, Vec<&'a JournalEntry>)> {
    let now = Timestamp::now();
    let name = |at: Timestamp| at.strftime("%-d %B %Y").to_string();
    let (today, yesterday) = (name(now), name(now - SignedDuration::from_hours(24)));
    let mut days: Vec<(String, Vec<&JournalEntry>)> = Vec::new();
    for entry in entries {
        let (day, _) = day_and_time(&entry.at);
        let day = if day == today {
            "Today".to_owned()
        } else if day == yesterday {
            "Yesterday".to_owned()
        } else {
            day
        };
        match days.last_mut() {
            Some((last, list)) if *last == day => list.push(entry),
            _ => days.push((day, vec![entry])),
        }
    }
    days
}

/// `canary 5 %`.
fn dial(dial: &WrittenDial) -> String {
    match &dial.weight {
        Some(weight) => format!("{} {}", dial.stage, weight.replace('%', "\u{a0}%")),
        None => dial.stage.to_owned(),
    }
}

/// What it did, in words; the stage that its dot has the colour of.
fn what(entry: &JournalEntry) -> Markup {
    let moved = entry.from != entry.to;
    html! {
        @match (&*entry.action, &entry.from, &entry.to) {
            ("button", _, _) => {
                @if is_release(entry) { "monolith only " b { "off" } } @else { span.bad { "monolith only" } " " b { "on" } }
            }
            (action, Some(from), Some(to)) if moved => {
                @if action == "roll-back" { span.bad { "taken back: " } }
                @if from.stage == to.stage { (from.stage) " " (from.weight.as_deref().unwrap_or("").replace('%', "\u{a0}%")) " → " b { (to.weight.as_deref().unwrap_or(to.stage).replace('%', "\u{a0}%")) } }
                @else { (dial(from)) " → " b { (dial(to)) } }
            }
            (action, _, Some(to)) => { b { (word(action)) } " at " (dial(to)) }
            (action, _, None) => { b { (word(action)) } }
        }
    }
}

fn word(action: &str) -> &str {
    match action {
        "pause" => "paused",
        "resume" => "resumed",
        "approve" => "approved",
        "reset" => "evidence begins anew",
        "agrees" => "the file agrees",
        "promote" => "promoted",
        "rule" => "wrote a rule",
        "fault" => "failures on purpose",
        "refused" => "a file was refused",
        other => other,
    }
}

fn dot(entry: &JournalEntry) -> String {
    match (&*entry.action, &entry.to) {
        ("button", _) => "bad".to_owned(),
        (_, Some(to)) => format!("s-{}", to.stage),
        _ => "dim".to_owned(),
    }
}

/// What a person gave as the reason. The words that the program puts before it say nothing that the line does not.
fn reason(entry: &JournalEntry) -> Option<&str> {
    let reason = match button(entry) {
        Some((_, reason)) => reason,
        None => &entry.reason,
    };
    Some(reason).filter(|reason| !reason.is_empty())
}

/// Of an entry of the big red button: whether it was pressed, and why. Stores of earlier versions have `off`.
fn button(entry: &JournalEntry) -> Option<(bool, &str)> {
    if &*entry.action != "button" {
        return None;
    }
    let (word, reason) = entry.reason.split_once(": ").unwrap_or((&entry.reason, ""));
    Some(match word {
        "pressed" => (true, reason),
        "released" | "off" => (false, reason),
        _ => (true, &entry.reason),
    })
}

fn is_release(entry: &JournalEntry) -> bool {
    button(entry).is_some_and(|(pressed, _)| !pressed)
}

fn quoted(entry: &JournalEntry) -> Markup {
    html! { @if let Some(reason) = reason(entry) {
        div.q.dim { @if &*entry.by == "person" { "“" (plain(reason)) "”" } @else { (plain(reason)) } }
    } }
}

/// `newest`: nothing moved its route since.
fn drawn(frame: &Layout<'_>, entry: &JournalEntry, newest: bool) -> Markup {
    let (_, time) = day_and_time(&entry.at);
    let forward = newest && matches!(&*entry.action, "promote" | "advance") && entry.from != entry.to;
    // Its route may be gone, or stand elsewhere.
    let may_go = |route: &str, from: &WrittenDial| {
        let act =
            WrittenAct { verb: "rollback", to: Some(from.stage), weight: from.weight.as_deref(), from_start: false };
        act.read().is_ok_and(|asked| frame.parts.reloader.preview(route, asked).is_ok())
    };
    html! {
        li data-row=(entry.id) {
            time datetime=(entry.at) title=(entry.at) { (time) }
            span class={ "dot " (dot(entry)) } {}
            div {
                @match &entry.route { Some(route) => (frame.route_link(route)), None => span.name { "all routes" } }
                " \u{a0}" (what(entry)) (quoted(entry)) (evidence(entry))
            }
            div.r {
                span { (plain(who(entry))) } br;
                span.dim.nw { "generation " (entry.generation) }
                @if let (true, Some(route), Some(from)) = (forward, &entry.route, &entry.from) {
                    @if may_go(route, from) { div { (frame.act("Take back", "btn sm", &back(route, from))) } }
                }
            }
        }
    }
}

/// The question that takes a move back to where it came from.
fn back(route: &str, from: &WrittenDial) -> String {
    let weight =
        from.weight.as_deref().map(|weight| format!("&weight={}", percent_encoded(weight))).unwrap_or_default();
    format!("do=rollback&route={}&to={}{weight}", percent_encoded(route), from.stage)
}

/// A file's name is long and always the same; the person's or gate's is what is asked for.
fn who(entry: &JournalEntry) -> &str {
    if &*entry.by == "file" { "file" } else { &entry.who }
}

/// The figures of both sides that it rested on.
fn evidence(entry: &JournalEntry) -> Markup {
    let Some(metrics) = entry.verdict.as_ref().and_then(|verdict| verdict["metrics"].as_object()) else {
        return html! {};
    };
    let pair = |value: &Value, side: &str| (value[side][0].as_u64().unwrap_or(0), value[side][1].as_u64().unwrap_or(0));
    let shown = |(part, of): (u64, u64)| {
        format!("{} ({} of {})", ratio(part, of).map_or_else(|| "–".to_owned(), percent), count(part), count(of))
    };
    // A roll-back needs one of them alone: the others may not have been counted yet.
    let is_shown = |value: &Value| {
        value["required"].as_bool() == Some(true) && pair(value, "service").1 + pair(value, "monolith").1 > 0
    };
    html! {
        div.ev {
            @for (metric, value) in metrics.iter().filter(|(_, value)| is_shown(value)) {
                @let (service, monolith) = (pair(value, "service"), pair(value, "monolith"));
                span {
                    (metric) " " b.serv { (shown(service)) }
                    @if let Some(limit) = value["threshold_seconds"].as_f64() { " above " (seconds(limit)) }
                    @if metric != "mismatches" { " against " b.mono { (shown(monolith)) } }
                }
            }
        }
    }
}

/// The same, shorter, beside the route itself.
pub fn entry_of_route(entry: &JournalEntry) -> Markup {
    html! {
        li {
            time datetime=(entry.at) title=(entry.at) { (time_and_day(&entry.at, Timestamp::now())) }
            span class={ "dot " (dot(entry)) } {}
            div { (what(entry)) div.dim { (plain(who(entry))) } (quoted(entry)) }
            span.dim.r { "#" (entry.seq) }
        }
    }
}

fn summary(newest: &[JournalEntry]) -> Vec<(&'static str, String)> {
    let since = Timestamp::now() - SignedDuration::from_hours(30 * 24);
    let lately: Vec<&JournalEntry> =
        newest.iter().filter(|entry| entry.at.parse::<Timestamp>().is_ok_and(|at| at >= since)).collect();
    let how_many = |of: &dyn Fn(&JournalEntry) -> bool| count(lately.iter().filter(|entry| of(entry)).count() as u64);
    let moved = |entry: &JournalEntry| entry.from != entry.to;
    vec![
        ("Moves forward", how_many(&|entry| moved(entry) && matches!(&*entry.action, "promote" | "advance"))),
        ("… by a gate", how_many(&|entry| &*entry.action == "advance")),
        ("Roll-backs", how_many(&|entry| &*entry.action == "roll-back")),
        ("… by a gate", how_many(&|entry| &*entry.action == "roll-back" && &*entry.by == "gate")),
        ("Moves by the file", how_many(&|entry| moved(entry) && &*entry.by == "file")),
        ("Moved against the gate’s advice", how_many(&|entry| entry.reason.starts_with("against the gate"))),
        ("Monolith only pressed", how_many(&|entry| &*entry.action == "button" && !is_release(entry))),
    ]
}
