//! The things that need a person: one sentence with figures, and one button. All are counted, the most urgent are written out.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::meaning::{NOT_TAKEN_BACK, words};
use super::overview::Overview;
use super::page::{Layout, prose};
use super::shown::{count, counted, percent, plain, seconds};
use super::verdict::{self, could_go_on, error_rate, failing, gate_could_go_on, is_unprotected, is_worse, side};
use crate::admin::{Parts, RouteFigures, RouteStatus, Status, Window, rows_in_short};
use crate::gate::Asks;
use crate::message::percent_encoded;
use crate::migration::Stage;
use crate::migration::dial::{By, Wish};
use crate::proxy::Generation;
use crate::reload::RequestedMove;
use crate::upstream::EndpointState;

/// One thing that needs a person.
pub struct Note {
    /// `bad`, `warn` or `good`.
    class: &'static str,
    word: &'static str,
    /// The route or the upstream that it is about.
    name: String,
    text: String,
    more: String,
    /// Where to look, below the root.
    look: String,
    act: Option<Act>,
}

/// The button: what stands on it, its colour, and what it asks for.
struct Act {
    word: String,
    class: &'static str,
    query: String,
}

/// Numbers of things that need a person, that could go on, and that can wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoteCounts {
    pub bad: usize,
    pub good: usize,
    pub warn: usize,
}

impl NoteCounts {
    pub const fn all(self) -> usize {
        self.bad + self.good + self.warn
    }

    const fn of(&mut self, class: &str) -> &mut usize {
        match class.as_bytes() {
            b"bad" => &mut self.bad,
            b"good" => &mut self.good,
            _ => &mut self.warn,
        }
    }
}

/// All of them, of which the most urgent are written out.
pub struct Todo {
    pub notes: Vec<Note>,
    pub counts: NoteCounts,
    /// The notes that are not written out, by the word of their routes or by the page that has them.
    rest: BTreeMap<Rest, usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rest {
    Routes(&'static str),
    Upstreams,
}

/// More are not read.
const MOST: usize = 12;
/// Routes that are named in one sentence.
const MOST_NAMED: usize = 3;

/// A route or an upstream, before anything is written about it.
enum Found {
    Upstream(Note),
    /// Its place, and its word on the board.
    Route(usize, &'static str),
}

/// The most urgent first.
pub fn needs(parts: &Parts, generation: &Generation, head: &Status, (window, overview): (Window, &Overview)) -> Todo {
    let asking = parts.gates.asking();
    let mut ill: Vec<Ill> = upstreams(head);
    let mut found: Vec<(&'static str, (u8, f64), Found)> = Vec::new();
    for (number, entry) in generation.routes.iter().enumerate() {
        let figures = RouteFigures { parts, generation, entry, window };
        let answers = overview.answers(number);
        // A service without failures needs no person, unless its gate asks: of many thousands these are few.
        let asks = asking.get(entry.name());
        if entry.dial.stage == Stage::Monolith || (asks.is_none() && answers.errors == 0 && !figures.is_cut_off()) {
            continue;
        }
        let (_, word) = verdict::word(&figures);
        let Some(class) = class(word, &figures) else { continue };
        let fails = matches!(word, "breaker" | "failing" | "worse" | "would roll back");
        let upstream = ill.iter_mut().filter(|ill| fails && ill.is_down);
        let mut reasons = upstream.filter(|ill| figures.services().any(|name| *name == *ill.note.name));
        if let Some(ill) = reasons.next() {
            ill.routes.push(number);
            continue;
        }
        let urgency = match asks {
            Some(Asks::Urgently) => 0,
            _ if word == "breaker" => 0,
            Some(Asks::Sometime) => 2,
            None => 1,
        };
        found.push((class, (urgency, answers.worst.unwrap_or(0.0)), Found::Route(number, word)));
    }
    let ill = ill.into_iter().map(|ill| ill.with_its_routes(parts, generation));
    let mut all: Vec<_> = ill.map(|note| (note.class, (0, 1.0), Found::Upstream(note))).collect();
    all.extend(found);
    let rank = |class: &str| match class {
        "bad" => 0,
        "good" => 1,
        _ => 2,
    };
    all.sort_by(|(class, (urgency, rate), _), (other, (others, below), _)| {
        rank(class).cmp(&rank(other)).then(urgency.cmp(others)).then(below.total_cmp(rate))
    });
    let mut todo = Todo { notes: Vec::new(), counts: NoteCounts::default(), rest: BTreeMap::new() };
    for (class, ..) in &all {
        *todo.counts.of(class) += 1;
    }
    for (.., found) in all.iter().skip(MOST) {
        let rest = match found {
            Found::Upstream(_) => Rest::Upstreams,
            Found::Route(_, word) => Rest::Routes(word),
        };
        *todo.rest.entry(rest).or_default() += 1;
    }
    all.truncate(MOST);
    let written = all.iter().filter_map(|(.., found)| match found {
        Found::Route(number, _) => generation.routes.get(*number),
        Found::Upstream(_) => None,
    });
    let written: Vec<_> = written.map(|entry| RouteFigures { parts, generation, entry, window }).collect();
    let mut rows = rows_in_short(&written).into_iter();
    for (class, _, found) in all {
        let note = match found {
            Found::Upstream(note) => Some(note),
            Found::Route(..) => rows.next().and_then(|row| of_route(parts, &row, head.uptime_seconds)),
        };
        match note {
            Some(note) => todo.notes.push(note),
            // It recovered since the figures were gathered.
            None => *todo.counts.of(class) -= 1,
        }
    }
    todo
}

/// How urgently a route with this word needs a person; `None`: it does not.
fn class(word: &str, figures: &RouteFigures<'_>) -> Option<&'static str> {
    let held = figures.entry.state.held();
    let standing = held.as_ref().map(|held| &held.standing);
    match word {
        "would roll back" | "breaker" | "worse" | "failing" => Some("bad"),
        "rolled back" if standing.is_some_and(|standing| standing.by == By::Gate) => Some("bad"),
        "approve?" => Some("good"),
        "paused" if standing.is_some_and(|standing| standing.pause.is_all()) => Some("warn"),
        "paused" => {
            let reports = figures.parts.gates.reports_in_short(std::iter::once(figures.entry));
            reports.iter().flatten().any(gate_could_go_on).then_some("good")
        }
        "rolled back" | "zombie" => Some("warn"),
        _ => None,
    }
}

fn asked(act: &str, name: &str) -> String {
    format!("do={act}&route={}", percent_encoded(name))
}

fn roll_back(name: &str) -> Act {
    Act { word: "Roll back".to_owned(), class: "btn sm red", query: asked("rollback", name) }
}

fn go_on(act: &str, word: &str, name: &str) -> Act {
    Act { word: word.to_owned(), class: "btn sm pri", query: asked(act, name) }
}

/// Where a promotion of a route that was taken back leads to: not to its beginning, but on. Not while it still is worse.
fn again(parts: &Parts, route: &RouteStatus) -> Option<Act> {
    if route.gate.as_ref().is_some_and(|gate| gate.worse) || is_worse(route, "service") {
        return None;
    }
    let asked_for = RequestedMove::Promote(Wish::default());
    let to = parts.reloader.preview(&route.name, asked_for).ok()?.to;
    Some(Act { word: format!("Go to {}", words(to)), class: "btn sm", query: asked("promote", &route.name) })
}

fn of_route(parts: &Parts, route: &RouteStatus, uptime: f64) -> Option<Note> {
    let said = verdict::verdict(route, uptime);
    let name = route.name.clone();
    let why = route.gate.as_ref().map(|gate| gate.why.clone()).unwrap_or_default();
    let judged = route.gate.as_ref().map_or("", |gate| gate.verdict);
    let at = route
        .weight
        .clone()
        .map_or_else(|| format!("in {}", route.stage), |weight| format!("at {}", weight.replace('%', "\u{a0}%")));
    let (class, word, text, more, act) = match said.word {
        "would roll back" => (
            "bad",
            if route.stage == "shadow" { "worse" } else { "roll back" },
            format!("answers worse than the monolith {at}: {}.", figures(route)),
            if judged == "hold" { format!("{why}. The gate does not take it back by itself.") } else { why },
            Some(roll_back(&name)),
        ),
        "rolled back" if route.dial.by == "gate" => (
            "bad",
            "rolled back",
            format!("was taken back by its gate and stays {at}: {}.", figures(route)),
            why,
            again(parts, route),
        ),
        "rolled back" => (
            "warn",
            "taken back",
            format!("was taken back {at}, and its gate does not go on by itself."),
            why,
            again(parts, route),
        ),
        "breaker" => (
            "bad",
            "breaker",
            format!("fails again and again: its breaker is {}, the monolith answers instead.", route.breaker),
            figures(route),
            Some(roll_back(&name)),
        ),
        "worse" => (
            "bad",
            "worse",
            format!("fails more often than the monolith {at}: {}.", figures(route)),
            "It has no gate that would take it back.".to_owned(),
            Some(roll_back(&name)),
        ),
        "failing" => {
            let back = (route.stage == "migrated").then(|| roll_back(&name));
            ("bad", "failing", format!("answers with errors {at}: {}.", failing(route)), String::new(), back)
        }
        "approve?" => (
            "good",
            "approve",
            format!("is no worse than allowed {at}: {}.", figures(route)),
            why,
            Some(go_on("approve", "Approve", &name)),
        ),
        "paused" if is_unprotected(route) => (
            "warn",
            "paused",
            format!("is paused {at}, roll-backs too: {}.", figures(route)),
            NOT_TAKEN_BACK.to_owned(),
            Some(Act { class: "btn sm", ..go_on("resume", "Resume", &name) }),
        ),
        "paused" if could_go_on(route) => (
            "good",
            "paused",
            format!("could go on, and is paused {at}: {}.", figures(route)),
            why,
            Some(go_on("resume", "Resume", &name)),
        ),
        "zombie" => {
            let text = format!(
                "is migrated, yet the monolith answered {} of its requests in the last five minutes.",
                count(route.fallbacks)
            );
            ("warn", "zombie", text, String::new(), None)
        }
        _ => return None,
    };
    let look = format!("route/{name}");
    Some(Note { class, word, name, text, more, look, act })
}

/// Of a service that answers copies alone.
fn of_copies(route: &RouteStatus) -> String {
    let differ =
        route.mismatch_rate.map(|rate| format!("{} of {} compared differ", percent(rate), count(route.compared)));
    let p99 = route.copies_p99.map(|copies| {
        let against = route.p99_seconds.get("monolith").map(|monolith| format!(" against {}", seconds(*monolith)));
        format!("p99 {}{}", seconds(copies), against.unwrap_or_default())
    });
    let parts = [Some(counted(route.copies, "copy")), p99, differ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The figures of both sides in a few words.
fn figures(route: &RouteStatus) -> String {
    if route.stage == "shadow" {
        return of_copies(route);
    }
    let (requests, errors) = side(route, "service");
    let fell = if route.fallbacks > 0 {
        format!(", {} fell back and got an answer", counted(route.fallbacks, "request"))
    } else {
        String::new()
    };
    if requests == 0 {
        return "the service was not asked in the last five minutes".to_owned();
    }
    // A monolith that was not asked is nothing to compare with.
    let against = |service: Option<String>, monolith: Option<String>| {
        let service = service.unwrap_or_else(|| "–".to_owned());
        monolith.map_or_else(|| service.clone(), |monolith| format!("{service} against {monolith}"))
    };
    let rate = |name: &str| error_rate(route, name).map(percent);
    let p99 = |name: &str| route.p99_seconds.get(name).copied().map(seconds);
    format!(
        "{} of {} ({}), p99 {}{fell}",
        counted(errors, "error"),
        count(requests),
        against(rate("service"), rate("monolith")),
        against(p99("service"), p99("monolith"))
    )
}

/// An upstream that needs a person, and the routes that fail because no endpoint of it answers.
struct Ill {
    note: Note,
    is_down: bool,
    routes: Vec<usize>,
}

impl Ill {
    fn with_its_routes(self, parts: &Parts, generation: &Generation) -> Note {
        let Self { mut note, routes, .. } = self;
        let names: Vec<&str> =
            routes.iter().filter_map(|number| Some(generation.routes.get(*number)?.name())).collect();
        match *names {
            [] => {}
            [name] => {
                note.text = format!("{} The route {name} fails with it.", note.text);
                note.look = format!("route/{name}");
                let back = parts.reloader.preview(name, RequestedMove::RollBack(Wish::default()));
                note.act = back.is_ok().then(|| roll_back(name));
            }
            _ => {
                let named = names.iter().take(MOST_NAMED).copied().collect::<Vec<_>>().join(", ");
                let more = match names.len().saturating_sub(MOST_NAMED) {
                    0 => String::new(),
                    more => format!(" and {} more", count(more as u64)),
                };
                let routes = counted(names.len() as u64, "route");
                note.text = format!("{} {routes} fail with it: {named}{more}.", note.text);
                note.look = format!("./?q=service:{}", percent_encoded(&note.name));
            }
        }
        note
    }
}

fn upstreams(head: &Status) -> Vec<Ill> {
    let ill = |state: EndpointState| matches!(state, EndpointState::Unhealthy | EndpointState::Failing);
    let note = |upstream: &crate::upstream::UpstreamStatus| {
        let sick = upstream.endpoints.iter().filter(|endpoint| ill(endpoint.state)).count();
        let all = upstream.endpoints.len();
        let (class, word, text) = match (&upstream.trouble, all, sick) {
            (_, 0, _) => ("bad", "nowhere", "has no endpoint: nobody can be asked.".to_owned()),
            (_, 1, 1) => ("bad", "down", "answers nowhere: its one endpoint fails.".to_owned()),
            (_, all, sick) if sick == all => ("bad", "down", format!("answers nowhere: all {all} endpoints fail.")),
            (Some(trouble), _, _) => ("warn", "registry", format!("{trouble}.")),
            (None, _, 1..) => {
                let fail = if sick == 1 { "fails" } else { "fail" };
                let others = if all - sick == 1 { "the other answers" } else { "the others answer" };
                ("warn", "endpoint", format!("{sick} of {all} endpoints {fail}; {others}."))
            }
            _ if upstream.stale => ("warn", "stale", "is known from before: its registry does not answer.".to_owned()),
            _ => return None,
        };
        let why = upstream.endpoints.iter().find(|endpoint| ill(endpoint.state)).map(|endpoint| endpoint.why.clone());
        let note = Note {
            class,
            word,
            name: upstream.name.clone(),
            text,
            more: why.unwrap_or_default(),
            look: "upstreams".to_owned(),
            act: None,
        };
        Some(Ill { note, is_down: class == "bad", routes: Vec::new() })
    };
    head.upstreams.iter().filter_map(note).collect()
}

impl Note {
    pub fn drawn(&self, frame: &Layout<'_>) -> Markup {
        html! {
            div.note {
                span class={ "pill f " (self.class) } { (self.word) }
                div.t { b { (plain(&self.name)) } " " (plain(&self.text)) @if !self.more.is_empty() { " " span.dim { (prose(&self.more)) } } }
                div.acts {
                    a.btn.sm href={ (frame.root) (self.look) } { "Look" span.sr { " at " (plain(&self.name)) } }
                    @if let Some(Act { word, class, query }) = &self.act { (frame.act(word, class, query)) }
                }
            }
        }
    }
}

impl Todo {
    /// How many more there are, and where.
    pub fn rest(&self, frame: &Layout<'_>) -> Markup {
        let all: usize = self.rest.values().sum();
        let look = |rest: &Rest| match rest {
            // The words of a filter are parted by spaces.
            Rest::Routes(word) => {
                format!("./?q=verdict:{}", word.split(' ').next().unwrap_or(word).trim_end_matches('?'))
            }
            Rest::Upstreams => "upstreams".to_owned(),
        };
        html! {
            @if all > 0 {
                div.note {
                    p.t {
                        "and " (count(all as u64)) " more: "
                        @for (at, (rest, number)) in self.rest.iter().enumerate() {
                            @if at > 0 { ", " }
                            a href={ (frame.root) (look(rest)) } { (count(*number as u64)) " " @match rest { Rest::Routes(word) => (word), Rest::Upstreams => "upstreams" } }
                        }
                    }
                }
            }
        }
    }
}
