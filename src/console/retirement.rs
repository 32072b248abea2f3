//! When a migrated route may retire: the board's word, the route's list and its button say the same.

use super::grounds::{Grounds, NO_WORSE};
use super::shown::{count, counted, percent, span};

/// If none of n requests fails, the error rate is below 3/n with 95 % confidence: for 600, below `NO_WORSE`.
const ENOUGH: u64 = 600;

/// One line of a list for a person who decides: class, mark, title and figures.
pub type Check = (&'static str, &'static str, &'static str, String);

/// The mark of what nothing speaks against, and how many requests are wanting before something could: few say nothing.
pub fn enough(requests: u64) -> ((&'static str, &'static str), String) {
    match ENOUGH.saturating_sub(requests) {
        0 => (("good", "✓"), String::new()),
        more => (("dim", "·"), format!("; {} more to say so", count(more))),
    }
}

/// The figures to look at before the monolith's code goes.
pub fn checks(route: &impl Grounds) -> [Check; 3] {
    let (service, monolith) = route.error_rates();
    // In the window it may be asked rarely: what it answered well before counts, too.
    let (fine, yet) = enough(route.service_answered());
    let failures = match service {
        None => ("dim", "·", "was not asked in the last five minutes".to_owned()),
        Some(rate) if rate > monolith.unwrap_or(0.0) + NO_WORSE => ("bad", "✕", failing(rate, route)),
        Some(rate) => (fine.0, fine.1, format!("{}{yet}", failing(rate, route))),
    };
    let stood = route.stood();
    let asked = match (route.fallbacks(), stood.monolith_quiet) {
        (0, None) => ("good", "✓", "not once since the start".to_owned()),
        (0, Some(quiet)) if stood.is_left_alone() => ("good", "✓", format!("not for {}", span(quiet))),
        (0, Some(quiet)) => ("warn", "!", format!("it answered {} ago", span(quiet))),
        (fell, _) => ("warn", "!", format!("{} fell back in the last five minutes", counted(fell, "request"))),
    };
    let long = if stood.is_long() {
        ("good", "✓", format!("for {}", span(stood.seconds)))
    } else {
        ("dim", "·", format!("for {} of {}", span(stood.seconds), span(stood.retire_after)))
    };
    [
        (failures.0, failures.1, "Answers without failures", failures.2),
        (asked.0, asked.1, "The monolith is not asked", asked.2),
        (long.0, long.1, "It has stood long enough", long.2),
    ]
}

fn failing(rate: f64, route: &impl Grounds) -> String {
    let service = route.side_counts().iter().filter(|side| !side.is_monolith).map(|side| side.requests).sum();
    format!("{} of {}, {} since the start", percent(rate), count(service), count(route.service_answered()))
}

/// Nothing speaks against it, and enough for it.
pub fn may_retire(route: &impl Grounds) -> bool {
    checks(route).iter().all(|(class, ..)| *class == "good")
}

/// Why a route whose monolith is not asked may not retire yet.
pub fn wanting(route: &impl Grounds) -> String {
    let errors = |rate| format!("{} of the service’s answers are errors", percent(rate));
    let stood = route.stood();
    match (route.error_rates().0.filter(|rate| *rate > NO_WORSE), route.service_answered()) {
        (Some(rate), ENOUGH..) => errors(rate),
        (Some(rate), 1) => format!("{}; one says little yet", errors(rate)),
        (Some(rate), few) => format!("{}; {} say little yet", errors(rate), count(few)),
        (None, ENOUGH..) => {
            format!("the monolith is not asked; moved for {} of {}", span(stood.seconds), span(stood.retire_after))
        }
        (None, 1) => "the monolith is not asked; one answer of the service says little yet".to_owned(),
        (None, few) => format!("the monolith is not asked; {} answers of the service say little yet", count(few)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_said_before_the_number_of_answers() {
        let said = |requests: u64, errors: u64| {
            let mut row = crate::admin::RouteStatus { stage: "migrated", ..Default::default() };
            row.requests.insert("service".to_owned(), requests);
            row.errors.insert("service".to_owned(), errors);
            row.totals.requests.insert("service".to_owned(), requests);
            wanting(&row).replace('\u{a0}', " ")
        };
        assert_eq!(said(476, 476), "100.00 % of the service’s answers are errors; 476 say little yet");
        assert_eq!(said(1, 1), "100.00 % of the service’s answers are errors; one says little yet");
        assert_eq!(said(900, 9), "1.00 % of the service’s answers are errors");
        assert_eq!(said(476, 0), "the monolith is not asked; 476 answers of the service say little yet");
    }

    #[test]
    fn a_few_good_answers_earn_no_tick() {
        assert_eq!(enough(3), (("dim", "·"), "; 597 more to say so".to_owned()));
        assert_eq!(enough(599), (("dim", "·"), "; 1 more to say so".to_owned()));
        assert_eq!(enough(600), (("good", "✓"), String::new()));
    }
}
