//! What the board says of a route in a word and a line, from the figures of its status.

use super::grounds::Grounds;
use super::retirement::{may_retire, wanting};
use super::shown::{count, large_percent, percent, ratio, seconds, span};
use crate::admin::{RouteFigures, RouteStatus};
use crate::gate::{GateReport, GateSaid};
use crate::migration::Side;
use crate::proxy::meter_index;

/// Colour, word, and why.
pub struct Opinion {
    pub class: &'static str,
    pub word: &'static str,
    pub because: String,
}

/// Below this, copies differ so rarely that a gate of default settings lets them pass.
const AGREES: f64 = 0.001;

/// So much more often than the monolith a canary without a gate may fail before the board says so.
const WORSE: f64 = 0.01;

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

impl Grounds for RouteStatus {
    fn is_cut_off(&self) -> bool {
        self.breaker != "closed"
    }

    fn gate(&self) -> Option<GateSaid> {
        self.gate.as_ref().map(|gate| GateSaid { state: gate.state, verdict: gate.verdict })
    }

    fn stage(&self) -> &'static str {
        self.stage
    }

    fn mismatch_rate(&self) -> Option<f64> {
        self.mismatch_rate
    }

    fn copies(&self) -> u64 {
        self.copies
    }

    fn fallbacks(&self) -> u64 {
        self.fallbacks
    }

    fn error_rates(&self) -> (Option<f64>, Option<f64>) {
        (error_rate(self, "service"), error_rate(self, "monolith"))
    }

    fn requests(&self) -> u64 {
        requests(self)
    }

    fn monolith_answered(&self) -> u64 {
        self.totals.requests.get("monolith").copied().unwrap_or(0)
    }

    fn service_answered(&self) -> u64 {
        self.totals.requests.get("service").copied().unwrap_or(0)
    }
}

/// Of very many routes: nothing of a row is made.
impl Grounds for RouteFigures<'_> {
    fn is_cut_off(&self) -> bool {
        Self::is_cut_off(self)
    }

    fn gate(&self) -> Option<GateSaid> {
        self.parts.gates.says(self.entry.name())
    }

    fn stage(&self) -> &'static str {
        self.entry.dial.stage.as_str()
    }

    fn mismatch_rate(&self) -> Option<f64> {
        Self::mismatch_rate(self)
    }

    fn copies(&self) -> u64 {
        self.summary().copies
    }

    fn fallbacks(&self) -> u64 {
        self.summary().fallbacks
    }

    fn error_rates(&self) -> (Option<f64>, Option<f64>) {
        (self.error_rate(Side::Service), self.error_rate(Side::Monolith))
    }

    fn requests(&self) -> u64 {
        self.sums().0
    }

    fn monolith_answered(&self) -> u64 {
        self.entry.meters.answered(meter_index(&self.entry.policy, Side::Monolith))
    }

    fn service_answered(&self) -> u64 {
        self.entry.meters.answered(meter_index(&self.entry.policy, Side::Service))
    }
}

/// Colour and word.
pub fn word(route: &impl Grounds) -> (&'static str, &'static str) {
    if route.is_cut_off() {
        return ("bad", "breaker");
    }
    match route.gate().map(|gate| (gate.state, gate.verdict)) {
        None | Some(("off", _)) => {}
        Some(("latched", _)) => return ("bad", "rolled back"),
        Some(("paused", _)) => return ("warn", "paused"),
        Some(("waiting", _)) => return ("good", "approve?"),
        Some((_, "advance")) => return ("good", "advance"),
        Some((_, "roll-back")) => return ("bad", "would roll back"),
        Some(("settling", _)) => return ("n", "settling"),
        Some(_) => return ("warn", "hold"),
    }
    match route.stage() {
        "shadow" => match route.mismatch_rate() {
            Some(rate) if rate > AGREES => ("warn", "differs"),
            Some(_) => ("good", "agrees"),
            None if route.copies() > 0 => ("n", "copies"),
            None => ("n", "no copies"),
        },
        // Without a gate there is no verdict: the figures are shown, and no more.
        "canary" => match route.error_rates() {
            (Some(service), Some(monolith)) if service > monolith + WORSE => ("bad", "worse"),
            _ => ("n", "no gate"),
        },
        "split" => ("n", "A/B"),
        "migrated" if route.fallbacks() > 0 => ("warn", "zombie"),
        "migrated" if may_retire(route) => ("good", "retire?"),
        "migrated" if route.monolith_answered() == 0 && route.requests() == 0 => ("n", "silent"),
        "migrated" => ("n", "moved"),
        "retired" => ("n", "done"),
        _ => ("n", "–"),
    }
}

/// What is known of the route as it stands.
pub fn verdict(route: &RouteStatus, uptime: f64) -> Opinion {
    let (class, word) = word(route);
    Opinion { class, word, because: because(word, route, uptime) }
}

fn because(word: &str, route: &RouteStatus, uptime: f64) -> String {
    let gate = |text: &dyn Fn(&GateReport) -> String| route.gate.as_ref().map(text).unwrap_or_default();
    match word {
        "breaker" => format!("the service failed again and again: the breaker is {}", route.breaker),
        "rolled back" | "approve?" | "would roll back" => gate(&|gate| gate.why.clone()),
        "paused" if route.gate.as_ref().is_some_and(|gate| gate.verdict == "advance") => {
            "it could go on; it is paused".to_owned()
        }
        "paused" | "settling" | "hold" => gate(&|gate| gate.waits_for.clone().unwrap_or_else(|| gate.why.clone())),
        "advance" => gate(&|gate| format!("sure: no worse than allowed, step {} of {}", gate.step, gate.steps)),
        "differs" => format!("{} of answers differ", large_percent(route.mismatch_rate.unwrap_or_default())),
        "agrees" => "copies are answered alike".to_owned(),
        "copies" => format!("{} copies, none compared yet", count(route.copies)),
        "no copies" => "nothing was copied in this window".to_owned(),
        "worse" | "no gate" => canary(route),
        "A/B" => {
            let parts: Vec<_> = route.requests.iter().collect();
            let all: u64 = parts.iter().map(|(_, count)| **count).sum();
            let part = |(side, count): &(&String, &u64)| {
                format!("{side} {}", ratio(**count, all).map_or_else(|| "–".to_owned(), large_percent))
            };
            parts.iter().map(part).collect::<Vec<_>>().join(", ")
        }
        "zombie" => format!("{} requests fell back", count(route.fallbacks)),
        "retire?" => format!("monolith not asked for {}", span(uptime)),
        "silent" => "no requests in this window".to_owned(),
        "moved" if route.monolith_answered() == 0 => wanting(route),
        "moved" => format!("monolith answered {} since the start", count(route.monolith_answered())),
        "done" => "the monolith is not asked any more".to_owned(),
        _ => String::new(),
    }
}

fn canary(route: &RouteStatus) -> String {
    match route.error_rates() {
        (Some(service), Some(monolith)) if service > monolith + WORSE => {
            format!("{} errors against {}", percent(service), percent(monolith))
        }
        (Some(_), _) => {
            let p99 = |side: &str| route.p99_seconds.get(side).copied().map_or_else(|| "–".to_owned(), seconds);
            format!("p99 {} against {}", p99("service"), p99("monolith"))
        }
        (None, _) => "the service was not asked in this window".to_owned(),
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
