//! The journal: moves, their authors and grounds, day by day.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use serde_json::Value;

use super::filter::{JOURNAL, not_here, unknown};
use super::form::Form;
use super::page::{Layout, said};
use super::shown::{count, day_and_time, percent, plain, ratio, seconds, span, time_and_day};
use crate::gate::{JournalEntry, JournalError, WrittenDial};
use crate::message::percent_encoded;
use crate::reload::{ROLL_BACKS_TOO, WrittenAct};

/// Entries on one page.
const PAGE: usize = 100;
/// Entries that a filter looks through, and that the summary is about.
pub const READ: usize = 1000;

/// Before which row the next page begins; `None`: there is nothing older. Where few of the entries are asked for, it is behind the
/// last one that was looked at.
fn older(found: &[&JournalEntry], read: &[JournalEntry]) -> Option<u64> {
    match found.get(PAGE - 1) {
        Some(last) if found.len() > PAGE => Some(last.id),
        _ => read.last().filter(|_| read.len() >= READ).map(|last| last.id),
    }
}

/// The entries that were read, the newest first.
pub struct JournalRead {
    pub entries: Result<Vec<JournalEntry>, JournalError>,
    /// The newest of all routes, for the summary.
    pub newest: Vec<JournalEntry>,
}

/// `route:NAME`, `by:gate`, `stage:canary`, and words.
pub struct JournalFilter {
    pub route: Option<String>,
    by: Option<String>,
    stage: Option<String>,
    words: Vec<String>,
}

impl JournalFilter {
    pub fn read(text: &str) -> Self {
        let mut asked = Self { route: None, by: None, stage: None, words: Vec::new() };
        for word in text.split_whitespace() {
            match word.split_once(':') {
                Some(("route", name)) => asked.route = Some(name.to_owned()),
                Some(("by", by)) => asked.by = Some(by.to_lowercase()),
                Some(("stage", stage)) => asked.stage = Some(stage.to_lowercase()),
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
        // From it or to it: one of the two is where a move came from.
        let stands = |stage: &str| [&entry.from, &entry.to].into_iter().flatten().any(|dial| dial.stage == stage);
        self.by.as_deref().is_none_or(by)
            && self.stage.as_deref().is_none_or(stands)
            && self.words.iter().all(|word| text().contains(word.as_str()))
    }
}

pub fn journal(frame: &Layout<'_>, query: &Form, read: &JournalRead) -> Markup {
    let asked = JournalFilter::read(query.get("q"));
    let found: Vec<&JournalEntry> = read.entries.iter().flatten().filter(|entry| asked.takes(entry)).collect();
    let wrong = not_here(query.get("q"), JOURNAL)
        .or_else(|| unknown(query.get("q"), JOURNAL).filter(|_| found.is_empty() && read.entries.is_ok()));
    let shown = &found[..found.len().min(PAGE)];
    let read_in_all = read.entries.as_ref().map_or(0, Vec::len);
    let older = older(&found, read.entries.as_deref().unwrap_or_default());
    let days = days(shown);
    let mut routes = BTreeSet::new();
    // The newest of all entries, whatever the filter leaves out.
    let moves = read.newest.iter().filter(|entry| entry.from != entry.to);
    let newest: Vec<u64> = moves.filter(|entry| routes.insert(entry.route.as_deref())).map(|entry| entry.id).collect();
    html! {
        @if let Some(wrong) = wrong { (said("b", &wrong.to_string())) }
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
                    p.pad.dim { @if query.some("before").is_some() && read_in_all == 0 { "There is nothing older." } @else if query.get("q").is_empty() { "Nothing moved yet. The first move, by a person, a gate or the file, stands here: a gate's with the figures that it judged by." } @else { (none_of(read_in_all)) } }
                }
                @if let Some(before) = older {
                    nav.pad aria-label="Older entries" { a.btn.sm href={ "?q=" (percent_encoded(query.get("q"))) "&before=" (before) } rel="next" { "Older" } }
                }
            }
            @if read.entries.is_ok() {
                div.card role="region" aria-labelledby="sum" {
                    div.h { h2 #sum { (time_of(&read.newest)) } }
                    table { tbody { @for (what, number) in summary(&read.newest) { tr { td { (what) } td.r { b { (number) } } } } } }
                }
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
pub fn dial(dial: &WrittenDial) -> String {
    match &dial.weight {
        Some(weight) => format!("{} {}", dial.stage, weight.replace('%', "\u{a0}%")),
        None => dial.stage.to_owned(),
    }
}

/// The act of an entry, in words.
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

/// The reason that a person gave. The words that the program puts before it say nothing that the line does not.
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

/// The program's words before a person's reason.
const AGAINST: &str = "against the gate";
const BEFORE: [&str; 2] = [AGAINST, "not sure yet"];
/// Of a rule it is the rule.
const RULES: [&str; 4] = ["ignore ", "unordered ", "mask ", "literal "];

/// The program's words before a person's, and these.
fn words_of<'a>(entry: &JournalEntry, reason: &'a str) -> (&'a str, &'a str) {
    let is_rule = &*entry.action == "rule" && RULES.iter().any(|rule| reason.starts_with(rule));
    let is_all = |before: &str| &*entry.action == "pause" && before == ROLL_BACKS_TOO;
    match reason.split_once(": ") {
        Some((before, words)) if is_rule || is_all(before) || BEFORE.contains(&before) => (before, words),
        None if is_rule || is_all(reason) => (reason, ""),
        _ => ("", reason),
    }
}

fn quoted(entry: &JournalEntry) -> Markup {
    html! { @if let Some(reason) = reason(entry) {
        div.q.dim {
            @if &*entry.by == "person" {
                @let (before, words) = words_of(entry, reason);
                (plain(before)) @if !before.is_empty() && !words.is_empty() { ": " } @if !words.is_empty() { "“" (plain(words)) "”" }
            } @else { (plain(reason)) }
        }
    } }
}

/// `newest`: nothing moved its route since.
fn drawn(frame: &Layout<'_>, entry: &JournalEntry, newest: bool) -> Markup {
    let (_, time) = day_and_time(&entry.at);
    let forward = newest && matches!(&*entry.action, "promote" | "advance") && entry.from != entry.to;
    // Its route may be gone, or stand elsewhere.
    let may_go = |route: &str, from: &WrittenDial| {
        let act = WrittenAct {
            verb: "rollback",
            to: Some(from.stage),
            weight: from.weight.as_deref(),
            from_start: false,
            all: false,
        };
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
    // A service that answered nothing has no figures to weigh, as in a move to or from `shadow`; a roll-back needs one of them
    // alone: the others may not have been counted yet.
    let is_shown = |value: &Value| value["required"].as_bool() == Some(true) && pair(value, "service").1 > 0;
    html! {
        div.ev {
            @for (metric, value) in metrics.iter().filter(|(_, value)| is_shown(value)) {
                @let (service, monolith) = (pair(value, "service"), pair(value, "monolith"));
                span {
                    (metric) " " b.serv { (shown(service)) }
                    @if let Some(limit) = value["threshold_seconds"].as_f64() { " above " (seconds(limit)) }
                    @if monolith.1 > 0 { " against " b.mono { (shown(monolith)) } }
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

/// Nothing of what was read is like that.
fn none_of(read: usize) -> String {
    if read < READ {
        return "No entry is like that.".to_owned();
    }
    format!("None of the {} entries looked through is like that; there may be older ones.", count(read as u64))
}

fn first_of_summary() -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(30 * 24)
}

/// The title of the summary. All `READ` entries may be younger than thirty days; older ones were not looked at.
fn time_of(newest: &[JournalEntry]) -> String {
    let oldest = newest.last().filter(|_| newest.len() >= READ).and_then(|entry| entry.at.parse::<Timestamp>().ok());
    match oldest.filter(|oldest| *oldest > first_of_summary()) {
        Some(oldest) => {
            format!("The newest {} entries, since {}", count(newest.len() as u64), oldest.strftime("%-d\u{a0}%b %H:%M"))
        }
        None => "Last 30 days".to_owned(),
    }
}

fn summary(newest: &[JournalEntry]) -> Vec<(&'static str, String)> {
    let since = first_of_summary();
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
        ("Refused files", how_many(&|entry| &*entry.action == "refused")),
        ("Moved against the gate’s advice", how_many(&|entry| entry.reason.starts_with(AGAINST))),
        ("Monolith only pressed", how_many(&|entry| &*entry.action == "button" && !is_release(entry))),
        ("Median time, shadow to migrated", median(migrations(newest, since)).map_or_else(|| "–".to_owned(), span)),
    ]
}

/// How many seconds each way from `shadow` to `migrated` took that ended since then, as far as its beginning was read. Going back
/// to the monolith begins it anew.
fn migrations(newest: &[JournalEntry], since: Timestamp) -> Vec<f64> {
    let (mut begun, mut took) = (HashMap::new(), Vec::new());
    for entry in newest.iter().rev().filter(|entry| entry.from != entry.to) {
        let (Some(route), Some(to), Ok(at)) = (&entry.route, &entry.to, entry.at.parse::<Timestamp>()) else {
            continue;
        };
        match to.stage {
            "monolith" => {
                begun.remove(route);
            }
            "shadow" => {
                begun.entry(route).or_insert(at);
            }
            "migrated" => {
                let seconds = begun.remove(route).map(|began| at.duration_since(began).as_secs_f64());
                took.extend(seconds.filter(|_| at >= since));
            }
            _ => {}
        }
    }
    took
}

fn median(mut seconds: Vec<f64>) -> Option<f64> {
    seconds.sort_by(f64::total_cmp);
    let upper = *seconds.get(seconds.len() / 2)?;
    let lower = *seconds.get((seconds.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64, action: &str, reason: &str) -> JournalEntry {
        JournalEntry {
            v: 1,
            id,
            seq: id,
            at: Timestamp::now().to_string().into(),
            route: Some("a".into()),
            by: "person".into(),
            who: "ann".into(),
            from: Some(WrittenDial { stage: "shadow", weight: None }),
            to: Some(WrittenDial { stage: "canary", weight: Some("5%".to_owned()) }),
            file: None,
            version: "".into(),
            generation: 1,
            action: action.into(),
            reason: reason.into(),
            verdict: None,
        }
    }

    #[test]
    fn a_stage_is_asked_for_by_where_a_move_began_or_ended() {
        let takes = |text: &str| JournalFilter::read(text).takes(&entry(1, "promote", "because"));
        assert!(takes("stage:canary") && takes("stage:Shadow") && takes("stage:canary because"));
        assert!(!takes("stage:migrated") && !takes("stage:canary nothing"));
    }

    #[test]
    fn what_was_not_looked_at_is_not_said_to_be_nothing() {
        let read: Vec<JournalEntry> = (0..READ as u64).map(|at| entry(5000 - at, "promote", "")).collect();
        let last = read[READ - 1].id;
        let found: Vec<&JournalEntry> = read.iter().collect();
        // Many, few and none of a full read.
        assert_eq!(older(&found, &read), Some(read[PAGE - 1].id));
        assert_eq!(
            (older(&found[..PAGE], &read), older(&found[..3], &read), older(&[], &read)),
            (Some(last), Some(last), Some(last))
        );
        assert!(none_of(READ).contains("there may be older ones"), "{}", none_of(READ));
        assert!(time_of(&read).starts_with("The newest 1\u{a0}000 entries, since "), "{}", time_of(&read));
        // Of a read that had all there are.
        let all = &read[..=PAGE];
        assert_eq!(
            (older(&found[..=PAGE], all), older(&found[..PAGE], all), older(&[], all)),
            (Some(read[PAGE - 1].id), None, None)
        );
        assert_eq!((none_of(3), time_of(all)), ("No entry is like that.".to_owned(), "Last 30 days".to_owned()));
    }

    #[test]
    fn a_side_that_was_not_asked_has_no_figures() {
        let drawn = |metric: &str, service: [u64; 2], monolith: [u64; 2]| {
            let value = serde_json::json!({ "service": service, "monolith": monolith, "required": true });
            let verdict = Some(serde_json::json!({ "metrics": { metric: value } }));
            evidence(&JournalEntry { verdict, ..entry(1, "promote", "") }).into_string().replace('\u{a0}', " ")
        };
        assert_eq!(drawn("failures", [0, 0], [0, 811]), "<div class=\"ev\"></div>");
        let alone = drawn("failures", [0, 795], [0, 0]);
        assert!(alone.contains("0.00 % (0 of 795)") && !alone.contains("against"), "{alone}");
        assert!(drawn("failures", [1, 100], [0, 811]).contains("against <b class=\"mono\">0.00 % (0 of 811)</b>"));
        assert!(!drawn("mismatches", [1, 100], [0, 0]).contains("against"));
    }

    #[test]
    fn the_summary_has_refused_files_and_how_long_a_migration_took() {
        let now = Timestamp::now();
        let moved = |id: u64, hours: i64, route: &str, from: &'static str, to: &'static str| JournalEntry {
            at: (now - SignedDuration::from_hours(hours)).to_string().into(),
            route: Some(route.into()),
            from: Some(WrittenDial { stage: from, weight: None }),
            to: Some(WrittenDial { stage: to, weight: None }),
            ..entry(id, "promote", "")
        };
        let refused = JournalEntry { route: None, from: None, to: None, ..entry(20, "refused", "bad") };
        let newest = [
            refused,
            moved(9, 1, "c", "canary", "migrated"),
            moved(8, 2, "b", "canary", "migrated"),
            moved(7, 3, "a", "canary", "migrated"),
            moved(6, 4, "b", "monolith", "shadow"),
            moved(5, 5, "b", "shadow", "monolith"),
            moved(4, 40, "b", "monolith", "shadow"),
            moved(3, 50, "a", "shadow", "canary"),
            moved(2, 53, "a", "monolith", "shadow"),
        ];
        // The first move of `c` was not read.
        assert_eq!(migrations(&newest, now - SignedDuration::from_hours(720)), [50.0 * 3600.0, 2.0 * 3600.0]);
        let said: Vec<_> = summary(&newest).into_iter().filter(|(what, _)| what.contains("Refused")).collect();
        assert_eq!(said, [("Refused files", "1".to_owned())]);
        assert_eq!((median(vec![]), median(vec![3.0, 1.0, 9.0]), median(vec![4.0, 2.0])), (None, Some(3.0), Some(3.0)));
    }

    #[test]
    fn only_a_persons_words_stand_in_quotes() {
        for (action, reason, drawn) in [
            ("promote", "against the gate: again", "against the gate: “again”"),
            ("promote", "not sure yet: a: b", "not sure yet: “a: b”"),
            ("promote", "ignore it: fine", "“ignore it: fine”"),
            ("rule", "ignore $.as_of: it is a clock", "ignore $.as_of: “it is a clock”"),
            ("rule", "literal /a", "literal /a"),
            ("pause", "roll-backs, too: a drill", "roll-backs, too: “a drill”"),
            ("pause", "roll-backs, too", "roll-backs, too"),
            ("promote", "roll-backs, too", "“roll-backs, too”"),
            ("button", "pressed: down", "“down”"),
        ] {
            let drawn_as = quoted(&entry(1, action, reason)).into_string();
            assert_eq!(drawn_as, format!("<div class=\"q dim\">{drawn}</div>"), "{reason}");
        }
    }
}
