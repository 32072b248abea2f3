//! What needs a person: one sentence with its figures, and the one button.

use maud::{Markup, html};

use super::meaning::NOT_TAKEN_BACK;
use super::overview::Overview;
use super::page::{Layout, prose};
use super::shown::{count, counted, percent, plain, seconds};
use super::verdict::{could_go_on, error_rate, failing, is_unprotected, side, verdict};
use crate::admin::{Parts, RouteFigures, RouteStatus, Status, Window, rows_in_short};
use crate::gate::Asks;
use crate::message::percent_encoded;
use crate::migration::Stage;
use crate::proxy::{Generation, RouteInForce};
use crate::upstream::EndpointState;

/// One thing that needs a person.
pub struct Note {
    /// `bad`, `warn` or `good`.
    pub class: &'static str,
    word: &'static str,
    /// The route or the upstream that it is about.
    name: String,
    text: String,
    more: String,
    /// Where to look, below the root.
    look: String,
    /// The button: what stands on it, and what it asks for.
    act: Option<(String, String)>,
}

/// More are not read.
const MOST: usize = 12;
/// Routes that are looked at in full, the most urgent of those that may need somebody.
const MOST_CANDIDATES: usize = 200;

/// The most urgent first.
pub fn needs(
    parts: &Parts,
    generation: &Generation,
    head: &Status,
    (window, overview): (Window, &Overview),
) -> Vec<Note> {
    let mut notes: Vec<Note> = upstreams(head);
    let moving = |stage: Stage| stage != Stage::Monolith;
    let asking = parts.gates.asking();
    let figures =
        |number: usize| Some(RouteFigures { parts, generation, entry: generation.routes.get(number)?, window });
    let candidate = |(number, entry)| {
        let entry: &RouteInForce = entry;
        if !moving(entry.dial.stage) {
            return None;
        }
        let answers = overview.answers(number);
        let urgency = match asking.get(entry.name()) {
            Some(Asks::Urgently) => 0,
            _ if figures(number).is_some_and(|figures| figures.is_cut_off()) => 0,
            Some(Asks::Sometime) => 2,
            // A service that failed nobody needs nobody, unless its gate asks: of many thousands these are few.
            None if answers.errors == 0 => return None,
            None => 1,
        };
        let rate = answers.worst.unwrap_or(0.0);
        Some((urgency, rate, number))
    };
    let mut candidates: Vec<(u8, f64, usize)> = generation.routes.iter().enumerate().filter_map(candidate).collect();
    let order = |one: &(u8, f64, usize), other: &(u8, f64, usize)| {
        one.0.cmp(&other.0).then(other.1.total_cmp(&one.1)).then(one.2.cmp(&other.2))
    };
    if candidates.len() > MOST_CANDIDATES {
        candidates.select_nth_unstable_by(MOST_CANDIDATES, order);
        candidates.truncate(MOST_CANDIDATES);
        candidates.sort_unstable_by_key(|(.., number)| *number);
    }
    let candidates: Vec<_> = candidates.iter().filter_map(|(.., number)| figures(*number)).collect();
    notes.extend(rows_in_short(&candidates).into_iter().filter_map(|row| of_route(&row, head.uptime_seconds)));
    let rank = |note: &Note| match note.class {
        "bad" => 0,
        "good" => 1,
        _ => 2,
    };
    notes.sort_by_key(rank);
    notes.truncate(MOST);
    notes
}

fn of_route(route: &RouteStatus, uptime: f64) -> Option<Note> {
    let said = verdict(route, uptime);
    let name = route.name.clone();
    let button = |act: &str, word: &str| Some((word.to_owned(), format!("do={act}&route={}", percent_encoded(&name))));
    let why = route.gate.as_ref().map(|gate| gate.why.clone()).unwrap_or_default();
    let at = route
        .weight
        .clone()
        .map_or_else(|| format!("in {}", route.stage), |weight| format!("at {}", weight.replace('%', "\u{a0}%")));
    let (class, word, text, more, act) = match said.word {
        "would roll back" => (
            "bad",
            "roll back",
            format!("answers worse than the monolith {at}: {}.", figures(route)),
            why,
            button("rollback", "Roll back"),
        ),
        "rolled back" if route.dial.by == "gate" => (
            "bad",
            "rolled back",
            format!("was taken back by its gate and stays {at}: {}.", figures(route)),
            why,
            button("promote", "Begin anew"),
        ),
        "rolled back" => (
            "warn",
            "taken back",
            format!("was taken back {at}, and its gate does not go on by itself."),
            why,
            button("promote", "Begin anew"),
        ),
        "breaker" => (
            "bad",
            "breaker",
            format!("fails again and again: its breaker is {}, the monolith answers instead.", route.breaker),
            figures(route),
            button("rollback", "Roll back"),
        ),
        "worse" => (
            "bad",
            "worse",
            format!("fails more often than the monolith {at}: {}.", figures(route)),
            "It has no gate that would take it back.".to_owned(),
            button("rollback", "Roll back"),
        ),
        "failing" => {
            let back = button("rollback", "Roll back").filter(|_| route.stage == "migrated");
            ("bad", "failing", format!("answers with errors {at}: {}.", failing(route)), String::new(), back)
        }
        "approve?" => (
            "good",
            "approve",
            format!("is as good as the monolith {at}: {}.", figures(route)),
            why,
            button("approve", "Approve"),
        ),
        "paused" if is_unprotected(route) => (
            "warn",
            "paused",
            format!("is paused {at}, roll-backs too: {}.", figures(route)),
            NOT_TAKEN_BACK.to_owned(),
            button("resume", "Resume"),
        ),
        "paused" if could_go_on(route) => (
            "good",
            "paused",
            format!("could go on, and is paused {at}: {}.", figures(route)),
            why,
            button("resume", "Resume"),
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

/// The figures of both sides in a few words.
fn figures(route: &RouteStatus) -> String {
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

fn upstreams(head: &Status) -> Vec<Note> {
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
        Some(Note {
            class,
            word,
            name: upstream.name.clone(),
            text,
            more: why.unwrap_or_default(),
            look: "upstreams".to_owned(),
            act: None,
        })
    };
    head.upstreams.iter().filter_map(note).collect()
}

impl Note {
    pub fn drawn(&self, frame: &Layout<'_>) -> Markup {
        let class = match (self.class, self.act.as_ref()) {
            ("bad", Some((word, _))) if word != "Begin anew" => "btn sm red",
            ("good", _) => "btn sm pri",
            _ => "btn sm",
        };
        html! {
            div.note {
                span class={ "pill f " (self.class) } { (self.word) }
                div.t { b { (plain(&self.name)) } " " (plain(&self.text)) @if !self.more.is_empty() { " " span.dim { (prose(&self.more)) } } }
                div.acts {
                    a.btn.sm href={ (frame.root) (self.look) } { "Look" span.sr { " at " (plain(&self.name)) } }
                    @if let Some((word, query)) = &self.act { (frame.act(word, class, query)) }
                }
            }
        }
    }
}
