//! The checks before a move, where no gate judges: a tick only for what the figures show.

use super::grounds::{AGREEMENT, ENOUGH_COMPARED, NO_WORSE};
use super::retirement::{Check, checks, enough};
use super::shown::{count, counted, percent, seconds};
use super::verdict;
use crate::admin::RouteStatus;

/// The service's p99 is "as fast" up to this multiple of the monolith's.
const AS_FAST: f64 = 1.2;

/// Mark, title and figures. A check without figures is an open line.
pub fn by_eye(row: &RouteStatus) -> Vec<Check> {
    match row.stage {
        "shadow" => {
            let p99 = (row.copies_p99, row.p99_seconds.get("monolith").copied());
            let mut list = agreement(row, "nothing was compared yet");
            list.push(fast(p99, ("good", "✓"), "no copy was answered in the last five minutes"));
            list.extend(healthy(row));
            list
        }
        "canary" => {
            let p99 = |side: &str| row.p99_seconds.get(side).copied();
            let (requests, _) = verdict::side(row, "service");
            let mut list = vec![failures(row)];
            if requests > 0 {
                list.push(fast((p99("service"), p99("monolith")), enough(requests).0, "–"));
            }
            if row.mismatch_rate.is_some() {
                list.extend(agreement(row, "–"));
            }
            list.extend(healthy(row));
            list
        }
        "migrated" => checks(row).into(),
        // A split is not decided here: a variant of it may be called `service`.
        _ => Vec::new(),
    }
}

fn agreement(row: &RouteStatus, nothing: &str) -> Vec<Check> {
    let Some(rate) = row.mismatch_rate else { return vec![("warn", "!", "Answers agree", nothing.to_owned())] };
    let fine = if row.compared >= ENOUGH_COMPARED { ("good", "✓") } else { ("dim", "·") };
    let seen = format!("{} of {} comparisons", count(row.compared), count(ENOUGH_COMPARED));
    let agrees = if rate <= AGREEMENT { fine } else { ("bad", "✕") };
    vec![
        (fine.0, fine.1, "Enough seen", seen),
        (agrees.0, agrees.1, "Answers agree", format!("{} differ", percent(rate))),
    ]
}

fn failures(row: &RouteStatus) -> Check {
    let title = "Answers without failures";
    let (requests, _) = verdict::side(row, "service");
    let Some(service) = verdict::error_rate(row, "service") else {
        return ("dim", "·", title, "the service was not asked in the last five minutes".to_owned());
    };
    let monolith = verdict::error_rate(row, "monolith");
    let (fine, yet) = enough(requests);
    let (class, mark) = match monolith {
        _ if service > monolith.unwrap_or(0.0) + NO_WORSE => ("bad", "✕"),
        Some(_) => fine,
        None => ("dim", "·"),
    };
    let against =
        monolith.map_or_else(|| NOTHING.to_owned(), |monolith| format!(" against {}{yet}", percent(monolith)));
    (class, mark, title, format!("{} of {}{against}", percent(service), count(requests)))
}

/// The monolith was not asked in the window.
const NOTHING: &str = "; nothing to compare with: the monolith was not asked in the last five minutes";

/// `p99`: of the service and of the monolith.
fn fast(p99: (Option<f64>, Option<f64>), fine: (&'static str, &'static str), nothing: &str) -> Check {
    let title = "As fast";
    match p99 {
        (Some(service), Some(monolith)) => {
            let (class, mark) = if service > monolith * AS_FAST { ("warn", "!") } else { fine };
            (class, mark, title, format!("p99 {} against {}", seconds(service), seconds(monolith)))
        }
        (Some(service), None) => ("dim", "·", title, format!("p99 {}{NOTHING}", seconds(service))),
        (None, _) => ("dim", "·", title, nothing.to_owned()),
    }
}

fn healthy(row: &RouteStatus) -> Option<Check> {
    let [fine, all] = row.endpoints?;
    let (class, mark) = match fine {
        0 => ("bad", "✕"),
        fine if fine < all => ("warn", "!"),
        _ => ("good", "✓"),
    };
    Some((class, mark, "Healthy", format!("{fine} of {} can be asked", counted(all as u64, "endpoint"))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// `sides`: requests, errors and p99 of monolith and service.
    fn row(stage: &'static str, sides: [(u64, u64, f64); 2]) -> RouteStatus {
        let by_side = |of: fn(&(u64, u64, f64)) -> u64| -> BTreeMap<String, u64> {
            ["monolith", "service"]
                .into_iter()
                .zip(&sides)
                .map(|(side, counts)| (side.to_owned(), of(counts)))
                .collect()
        };
        let asked = ["monolith", "service"].into_iter().zip(&sides).filter(|(_, counts)| counts.0 > 0);
        RouteStatus {
            stage,
            requests: by_side(|counts| counts.0),
            errors: by_side(|counts| counts.1),
            p99_seconds: asked.map(|(side, counts)| (side.to_owned(), counts.2)).collect(),
            ..RouteStatus::default()
        }
    }

    fn marks(row: &RouteStatus) -> String {
        by_eye(row).iter().map(|check| check.1).collect()
    }

    #[test]
    fn a_shadow_needs_comparisons_fast_copies_and_endpoints_that_answer() {
        let shadow = |compared, rate, copies_p99, endpoints| RouteStatus {
            compared,
            mismatch_rate: rate,
            copies_p99,
            endpoints: Some(endpoints),
            ..row("shadow", [(900, 0, 0.099), (0, 0, 0.0)])
        };
        for (compared, rate, p99, endpoints, said) in [
            (1000, Some(0.0), Some(0.1), [2, 2], "✓✓✓✓"),
            (70, Some(0.0), Some(0.498), [1, 2], "··!!"),
            (999, Some(0.0), Some(0.1), [2, 2], "··✓✓"),
            (70, Some(0.1), Some(0.1), [0, 2], "·✕✓✕"),
            (2000, Some(0.002), None, [2, 2], "✓✕·✓"),
            (0, None, None, [2, 2], "!·✓"),
        ] {
            assert_eq!(marks(&shadow(compared, rate, p99, endpoints)), said, "{compared} {rate:?} {p99:?}");
        }
    }

    #[test]
    fn what_has_nothing_to_compare_with_has_no_tick() {
        for (monolith, service, said) in [
            ((900, 0, 0.01), (795, 0, 0.01), "✓✓"),
            ((0, 0, 0.0), (795, 0, 0.01), "··"),
            ((0, 0, 0.0), (795, 50, 0.01), "✕·"),
            ((900, 0, 0.01), (0, 0, 0.0), "·"),
        ] {
            let row = row("canary", [monolith, service]);
            assert_eq!(marks(&row), said, "{monolith:?} {service:?}");
            let texts: String = by_eye(&row).into_iter().map(|check| check.3).collect();
            assert!(
                !texts.contains('–') && (texts.contains("nothing to compare with") == (monolith.0 == 0)),
                "{texts}"
            );
        }
        assert_eq!(marks(&row("split", [(900, 0, 0.01), (900, 0, 0.01)])), "");
    }
}
