//! The board's verdict on a route in a word and a line, from the figures of its status.

use super::grounds::{AGREEMENT, ENOUGH_COMPARED, Grounds, SideCount, bearable, of_monolith};
use super::retirement::{may_retire, wanting};
use super::shown::{count, counted, large_percent, percent, ratio, seconds, span};
use crate::admin::{RouteFigures, RouteSide, RouteStatus, Stood, stood};
use crate::gate::{GateReport, GateSaid};
use crate::migration::Side;
use crate::migration::gate::words;
use crate::proxy::meter_index;

/// Colour, word, and why.
pub struct Opinion {
    pub class: &'static str,
    pub word: &'static str,
    pub because: String,
}

/// So much more often than the monolith a canary without a gate may fail before the board says so.
const WORSE: f64 = 0.01;

/// A side whose error rate is higher by this is marked.
const MARKED: f64 = 0.005;

/// Requests and errors of one side in the window.
pub fn side(route: &RouteStatus, side: &str) -> (u64, u64) {
    let of = |counts: &std::collections::BTreeMap<String, u64>| counts.get(side).copied().unwrap_or(0);
    (of(&route.requests), of(&route.errors))
}

pub fn error_rate(route: &RouteStatus, name: &str) -> Option<f64> {
    let (requests, errors) = side(route, name);
    ratio(errors, requests)
}

/// Whether a side's error rate is above the monolith's by more than `MARKED`; where the monolith answers no client, above that of
/// the best side.
pub fn is_worse(route: &RouteStatus, name: &str) -> bool {
    let rates = |of: bool| {
        let sides = route.sides.iter().filter(move |side| side.is_monolith == of);
        sides.filter_map(|side| error_rate(route, &side.name)).reduce(f64::min)
    };
    let is_monolith = route.sides.iter().any(|side| side.is_monolith && side.name == name);
    let best = rates(true).or_else(|| rates(false).filter(|_| route.stage == "split")).unwrap_or(0.0);
    !is_monolith && error_rate(route, name).is_some_and(|rate| rate > best + MARKED)
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
        self.gate.as_ref().map(GateReport::said)
    }

    fn stage(&self) -> &'static str {
        self.stage
    }

    fn mismatch_rate(&self) -> Option<f64> {
        self.mismatch_rate
    }

    fn compared(&self) -> u64 {
        self.compared
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

    fn side_counts(&self) -> Vec<SideCount> {
        let count = |of: &RouteSide| {
            let (requests, errors) = side(self, &of.name);
            SideCount { is_monolith: of.is_monolith, requests, errors }
        };
        self.sides.iter().map(count).collect()
    }

    fn requests(&self) -> u64 {
        requests(self)
    }

    fn service_answered(&self) -> u64 {
        self.totals.requests.get("service").copied().unwrap_or(0)
    }

    fn stood(&self) -> Stood {
        self.stood
    }
}

/// Of very many routes: nothing of a row is made.
impl Grounds for RouteFigures<'_> {
    fn is_cut_off(&self) -> bool {
        Self::is_cut_off(self)
    }

    fn gate(&self) -> Option<GateSaid> {
        self.parts.gates.says(self.entry)
    }

    fn stage(&self) -> &'static str {
        self.entry.dial.stage.as_str()
    }

    fn mismatch_rate(&self) -> Option<f64> {
        Self::mismatch_rate(self)
    }

    fn compared(&self) -> u64 {
        Self::compared(self)
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

    fn side_counts(&self) -> Vec<SideCount> {
        let counts = self.counts();
        counts.map(|(is_monolith, requests, errors)| SideCount { is_monolith, requests, errors }).collect()
    }

    fn requests(&self) -> u64 {
        self.sums().0
    }

    fn service_answered(&self) -> u64 {
        self.entry.meters.answered(meter_index(&self.entry.policy, Side::Service))
    }

    fn stood(&self) -> Stood {
        stood(self.parts, self.generation, self.entry, self.window.now)
    }
}

/// Colour and word.
pub fn word(route: &impl Grounds) -> (&'static str, &'static str) {
    if route.is_cut_off() {
        return ("bad", "breaker");
    }
    if route.is_failing() {
        return ("bad", "failing");
    }
    match route.gate().map(|gate| (gate.state, gate.verdict, gate.worse)) {
        None | Some(("off", ..)) => {}
        Some(("latched", ..)) => return ("bad", "rolled back"),
        // In every other state: its file may have it hold, and so it does in `shadow`, while paused, and under an obstacle.
        Some((_, _, true)) => return ("bad", "would roll back"),
        Some(("paused", ..)) => return ("warn", "paused"),
        Some(("waiting", ..)) => return ("good", "approve?"),
        Some((_, "advance", _)) => return ("good", "advance"),
        Some(("settling", ..)) => return ("n", "settling"),
        Some(_) => return ("warn", "hold"),
    }
    match route.stage() {
        "shadow" => match route.mismatch_rate() {
            Some(rate) if rate > AGREEMENT => ("warn", "differs"),
            Some(_) if route.compared() >= ENOUGH_COMPARED => ("good", "agrees"),
            Some(_) => ("n", "agrees so far"),
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
        "migrated" if route.stood().is_left_alone() && route.requests() == 0 => ("n", "silent"),
        "migrated" => ("n", "moved"),
        "retired" => ("n", "done"),
        _ => ("n", "–"),
    }
}

/// A person paused its gate, and the roll-backs with it.
pub fn is_unprotected(route: &RouteStatus) -> bool {
    route.gate.as_ref().is_some_and(|gate| gate.paused_all)
}

/// Its gate is paused, and would let it go on.
pub fn could_go_on(route: &RouteStatus) -> bool {
    route.gate.as_ref().is_some_and(gate_could_go_on)
}

pub fn gate_could_go_on(gate: &GateReport) -> bool {
    gate.state == "paused" && gate.why.contains(words::COULD_GO_ON)
}

/// The verdict on the route as it stands.
pub fn verdict(route: &RouteStatus, uptime: f64) -> Opinion {
    let (class, word) = word(route);
    Opinion { class, word, because: because(word, route, uptime) }
}

fn because(word: &str, route: &RouteStatus, uptime: f64) -> String {
    let gate = |text: &dyn Fn(&GateReport) -> String| route.gate.as_ref().map(text).unwrap_or_default();
    match word {
        "breaker" => format!("the service failed again and again: the breaker is {}", route.breaker),
        "failing" => failing(route),
        "rolled back" | "approve?" | "would roll back" => gate(&|gate| gate.why.clone()),
        "paused" if is_unprotected(route) => "roll-backs too: its gate does not take it back".to_owned(),
        "paused" if could_go_on(route) => "it could go on; it is paused".to_owned(),
        "paused" | "settling" | "hold" => gate(&|gate| gate.waits_for.clone().unwrap_or_else(|| gate.why.clone())),
        "advance" => gate(&|gate| format!("sure: no worse than allowed, step {} of {}", gate.step, gate.steps)),
        "differs" => format!("{} of answers differ", large_percent(route.mismatch_rate.unwrap_or_default())),
        "agrees" => "copies are answered alike".to_owned(),
        "agrees so far" => format!("{} of {} comparisons", count(route.compared), count(ENOUGH_COMPARED)),
        "copies" => format!("{}, none compared yet", counted(route.copies, "copy")),
        "no copies" => route.copies_nothing.as_ref().map_or_else(
            || "nothing was copied in this window".to_owned(),
            |why| format!("no request is copied: {why}"),
        ),
        "worse" | "no gate" => canary(route),
        "A/B" if requests(route) == 0 => "no requests in this window".to_owned(),
        "A/B" => {
            let part = |of: &RouteSide| {
                let share = ratio(side(route, &of.name).0, requests(route));
                format!("{} {}", of.name, share.map_or_else(|| "–".to_owned(), large_percent))
            };
            format!("of the answers {}", route.sides.iter().map(part).collect::<Vec<_>>().join(", "))
        }
        "zombie" => format!("{} fell back", counted(route.fallbacks, "request")),
        // The time before the program began is not known.
        "retire?" => {
            format!(
                "monolith not asked for {}",
                span(route.stood.monolith_quiet.unwrap_or(uptime).min(route.stood.seconds))
            )
        }
        "silent" => "no requests in this window".to_owned(),
        "moved" => match route.stood.monolith_quiet {
            Some(quiet) if !route.stood.is_left_alone() => format!("the monolith answered {} ago", span(quiet)),
            _ => wanting(route),
        },
        "done" => "the monolith is not asked any more".to_owned(),
        _ => String::new(),
    }
}

/// The figures of the sides that fail, and of the monolith where it is asked.
pub fn failing(route: &RouteStatus) -> String {
    let counts = route.side_counts();
    let bearable = bearable(&counts);
    let figures = |(of, side): (&RouteSide, &SideCount)| {
        let SideCount { requests, errors, .. } = *side;
        let name = if route.stage == "split" { format!("{} ", of.name) } else { String::new() };
        let share = ratio(errors, requests).map_or_else(String::new, |rate| format!(" ({})", percent(rate)));
        format!("{name}{} of {}{share}", counted(errors, "error"), count(requests))
    };
    let sides = route.sides.iter().zip(&counts).filter(|(_, side)| side.fails(bearable));
    let sides = sides.map(figures).collect::<Vec<_>>().join(", ");
    let (requests, errors) = of_monolith(&counts);
    let against = ratio(errors, requests).map(|rate| format!(" against {} of the monolith", percent(rate)));
    sides + &against.unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Sides with their requests, errors, and whether the monolith is asked.
    fn split(sides: &[(&str, u64, u64, bool)]) -> RouteStatus {
        let by_name =
            |of: fn(&(&str, u64, u64, bool)) -> u64| sides.iter().map(|side| (side.0.to_owned(), of(side))).collect();
        let one = |side: &(&str, u64, u64, bool)| RouteSide {
            name: side.0.to_owned(),
            is_monolith: side.3,
            ..RouteSide::default()
        };
        RouteStatus {
            stage: "split",
            breaker: "closed",
            requests: by_name(|side| side.1),
            errors: by_name(|side| side.2),
            sides: sides.iter().map(one).collect(),
            ..RouteStatus::default()
        }
    }

    #[test]
    fn a_split_says_what_each_variant_answered() {
        let said = |sides: &[_]| verdict(&split(sides), 60.0).because.replace('\u{a0}', " ");
        let three = [("blue", 60, 0, false), ("green", 30, 0, false), ("old", 110, 0, true)];
        assert_eq!(said(&three), "of the answers blue 30 %, green 15 %, old 55 %");
        assert_eq!(said(&[("blue", 0, 0, false), ("old", 0, 0, true)]), "no requests in this window");
    }

    #[test]
    fn a_route_without_a_gate_whose_service_fails_is_no_quiet_one() {
        let alone = ("service", 854, 854, false);
        for (stage, sides, said) in [
            ("migrated", vec![("monolith", 0, 0, true), alone], "854 errors of 854 (100.00 %)"),
            ("retired", vec![alone], "854 errors of 854 (100.00 %)"),
            (
                "split",
                vec![("blue", 100, 50, false), ("green", 100, 1, false), ("old", 100, 1, true)],
                "blue 50 errors of 100 (50.00 %) against 1.00 % of the monolith",
            ),
        ] {
            let route = RouteStatus { stage, ..split(&sides) };
            let opinion = verdict(&route, 60.0);
            assert_eq!((opinion.class, opinion.word), ("bad", "failing"), "{stage}");
            assert_eq!(opinion.because.replace('\u{a0}', " "), said);
            let quiet = sides.iter().map(|side| (side.0, side.1, 0, side.3)).collect::<Vec<_>>();
            assert_ne!(word(&RouteStatus { stage, ..split(&quiet) }).0, "bad", "{stage}");
        }
    }

    #[test]
    fn a_variant_is_held_against_the_monolith_or_else_against_the_best() {
        for (sides, worse) in [
            (vec![("blue", 100, 3, false), ("green", 100, 0, false), ("old", 100, 2, true)], vec!["blue"]),
            (vec![("blue", 100, 2, false), ("green", 100, 0, false), ("old", 100, 50, true)], vec![]),
            (vec![("blue", 100, 3, false), ("green", 100, 1, false), ("red", 0, 0, false)], vec!["blue"]),
        ] {
            let route = split(&sides);
            let found: Vec<&str> = sides.iter().map(|side| side.0).filter(|name| is_worse(&route, name)).collect();
            assert_eq!(found, worse, "{sides:?}");
        }
    }
}
