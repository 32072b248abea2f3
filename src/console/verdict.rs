//! What the board says of a route in a word and a line, from the figures of its status.

use super::shown::{count, large_percent, percent, ratio, seconds, span};
use crate::admin::RouteStatus;

/// Colour, word, and why.
pub struct Opinion {
    pub class: &'static str,
    pub word: &'static str,
    pub because: String,
}

/// Below this, copies differ so rarely that a gate of default settings lets them pass.
const AGREES: f64 = 0.001;

fn word(class: &'static str, word: &'static str, because: impl Into<String>) -> Opinion {
    Opinion { class, word, because: because.into() }
}

/// Requests and errors of one side in the window.
pub fn side(route: &RouteStatus, side: &str) -> (u64, u64) {
    let of = |counts: &std::collections::BTreeMap<String, u64>| counts.get(side).copied().unwrap_or(0);
    (of(&route.requests), of(&route.errors))
}

pub fn error_rate(route: &RouteStatus, name: &str) -> Option<f64> {
    let (requests, errors) = side(route, name);
    ratio(errors, requests)
}

/// Of all sides.
pub fn requests(route: &RouteStatus) -> u64 {
    let all: u64 = route.requests.values().sum();
    // A request that fell back stands in both sides.
    all.saturating_sub(route.fallbacks)
}

/// What is known of the route as it stands.
pub fn verdict(route: &RouteStatus, uptime: f64) -> Opinion {
    if route.breaker != "closed" {
        return word("bad", "breaker", format!("the service failed again and again: the breaker is {}", route.breaker));
    }
    if let Some(gate) = &route.gate {
        let why = gate.waits_for.clone().unwrap_or_else(|| gate.why.clone());
        match (gate.state, gate.verdict) {
            ("off", _) => {}
            ("latched", _) => return word("bad", "rolled back", gate.why.clone()),
            ("paused", "advance") => return word("warn", "paused", "it could go on; it is paused"),
            ("paused", _) => return word("warn", "paused", why),
            ("waiting", _) => return word("good", "approve?", gate.why.clone()),
            (_, "advance") => {
                let why = format!("sure: no worse than allowed, step {} of {}", gate.step, gate.steps);
                return word("good", "advance", why);
            }
            (_, "roll-back") => return word("bad", "would roll back", gate.why.clone()),
            ("settling", _) => return word("n", "settling", why),
            _ => return word("warn", "hold", why),
        }
    }
    match route.stage {
        "shadow" => match route.mismatch_rate {
            Some(rate) if rate > AGREES => {
                word("warn", "differs", format!("{} of answers differ", large_percent(rate)))
            }
            Some(_) => word("good", "agrees", "copies are answered alike"),
            None if route.copies > 0 => {
                word("n", "copies", format!("{} copies, none compared yet", count(route.copies)))
            }
            None => word("n", "no copies", "nothing was copied in this window"),
        },
        "canary" => canary(route),
        "split" => {
            let parts: Vec<_> = route.requests.iter().collect();
            let all: u64 = parts.iter().map(|(_, count)| **count).sum();
            let part = |(side, count): &(&String, &u64)| {
                format!("{side} {}", ratio(**count, all).map_or_else(|| "–".to_owned(), large_percent))
            };
            word("n", "A/B", parts.iter().map(part).collect::<Vec<_>>().join(", "))
        }
        "migrated" if route.fallbacks > 0 => {
            word("warn", "zombie", format!("{} requests fell back", count(route.fallbacks)))
        }
        "migrated" => {
            let asked = route.totals.requests.get("monolith").copied().unwrap_or(0);
            match (asked, requests(route)) {
                (0, 1..) => word("good", "retire?", format!("monolith not asked for {}", span(uptime))),
                (0, _) => word("n", "silent", "no requests in this window"),
                (asked, _) => word("n", "moved", format!("monolith answered {} since the start", count(asked))),
            }
        }
        "retired" => word("n", "done", "the monolith is not asked any more"),
        _ => word("n", "–", ""),
    }
}

/// Without a gate there is no verdict: the figures are shown, and no more.
fn canary(route: &RouteStatus) -> Opinion {
    match (error_rate(route, "service"), error_rate(route, "monolith")) {
        (Some(service), Some(monolith)) if service > monolith + 0.01 => {
            word("bad", "worse", format!("{} errors against {}", percent(service), percent(monolith)))
        }
        (Some(_), _) => {
            let p99 = |side: &str| route.p99_seconds.get(side).copied().map_or_else(|| "–".to_owned(), seconds);
            word("n", "no gate", format!("p99 {} against {}", p99("service"), p99("monolith")))
        }
        (None, _) => word("n", "no gate", "the service was not asked in this window"),
    }
}

/// The share of the clients that the dial gives to the service, and that share in words.
pub fn who_answers(route: &RouteStatus, monolith_only: bool) -> (f64, String) {
    if monolith_only && route.stage != "retired" {
        return (0.0, "monolith only".to_owned());
    }
    match route.stage {
        "shadow" => (0.0, "copies to the service".to_owned()),
        "canary" => {
            let weight = route.weight.as_deref().unwrap_or("0%");
            let share = weight.trim_end_matches('%').parse::<f64>().unwrap_or(0.0) / 100.0;
            (share, format!("{} to the service", large_percent(share)))
        }
        "split" => {
            let monolith = side(route, "monolith").0;
            let all: u64 = route.requests.values().sum();
            (1.0 - ratio(monolith, all).unwrap_or(0.5), "by variant".to_owned())
        }
        "migrated" | "retired" => (1.0, "100\u{a0}% to the service".to_owned()),
        _ => (0.0, "the monolith".to_owned()),
    }
}
