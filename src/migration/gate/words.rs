//! The sentences of a gate to a person: always with the numbers that it rests on.

use std::borrow::Cow;

use super::evalue::Proportion;
use super::metric::Metric;
use super::pause::Pause;
use super::reading::{Needs, Obstacle, Rates, Reading};
use crate::diagnostic::{grouped, span};

/// Everything is proved, and the file wants a person to let the route into its next stage.
pub const WAITS: &str = "sure; waits for `multilith approve`";

/// A person wants no roll-back by the gate.
pub const PAUSED_ALL: &str = "paused, roll-backs too: the gate does not take the route back";

/// The end of the sentence about a paused gate that would advance.
pub const COULD_GO_ON: &str = "it could go on";

/// Why a gate that a person has paused does nothing. `could`: it would advance.
#[must_use]
pub fn paused(pause: Pause, could: bool) -> String {
    let paused = if pause.is_all() { PAUSED_ALL } else { "paused" };
    if could { format!("{paused}; {COULD_GO_ON}") } else { paused.to_owned() }
}

/// A share with two significant digits: `6.1 %`, `0.21 %`.
#[must_use]
pub fn share(ratio: f64) -> String {
    let percent = ratio * 100.0;
    let decimals: usize = match percent {
        p if p == 0.0 || p >= 9.95 => 0,
        p if p >= 0.995 => 1,
        p if p >= 0.0995 => 2,
        _ => 3,
    };
    let text = format!("{percent:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} %")
}

fn time(seconds: f64) -> String {
    if seconds < 0.001 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else {
        format!("{seconds:.1} s")
    }
}

fn of(count: Proportion) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are not negative")]
    let all = count.of as u64;
    format!("{} of {}", share(count.rate()), grouped(all))
}

/// How much evidence there is, as a person reads it.
fn evidence(value: f64) -> String {
    if value >= 1e6 {
        return "above a million".to_owned();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to a million")]
    grouped(value.round() as u64)
}

pub(super) fn worse(reading: &Reading) -> String {
    let (name, service, monolith) = (reading.metric.as_str(), of(reading.service), of(reading.monolith));
    let allowed = share(reading.margin);
    match (reading.metric, reading.limits) {
        (Metric::Latency(_), Some((own, limit))) => format!(
            "{name}: service {service} above {}, monolith {monolith} above {}; allowed +{allowed}",
            time(limit),
            time(own)
        ),
        (Metric::Mismatches, _) => format!("{name}: {service} comparisons; allowed {allowed}"),
        (Metric::PairFailures | Metric::PairLatency(_), _) => {
            format!(
                "{name}: the service alone in {service} pairs, the monolith alone in {}",
                share(reading.monolith.rate())
            )
        }
        _ => format!("{name}: service {service}, monolith {monolith}; allowed +{allowed}"),
    }
}

/// `readings`: of each proof that is missing, the one that is nearer.
pub(super) fn unsure(readings: &[&Reading]) -> String {
    let parts: Vec<String> = readings
        .iter()
        .map(|reading| {
            format!("{} ({} of {})", reading.metric.as_str(), evidence(reading.better), evidence(reading.better_at))
        })
        .collect();
    format!("not yet sure: {}", parts.join(", "))
}

pub(super) fn sure(readings: &[&Reading]) -> String {
    let parts: Vec<String> = readings
        .iter()
        .map(|reading| {
            let plus = if reading.metric == Metric::Mismatches { "" } else { "+" };
            format!(
                "{} surely < {plus}{} (e = {})",
                reading.metric.as_str(),
                share(reading.margin),
                evidence(reading.better)
            )
        })
        .collect();
    parts.join(", ")
}

pub(super) fn too_few(seen: u64, wanted: u64, what: &str) -> String {
    format!("{} of at least {} {what}", grouped(seen), grouped(wanted))
}

pub(super) fn obstacle(obstacle: Obstacle) -> Cow<'static, str> {
    Cow::Borrowed(match obstacle {
        Obstacle::MonolithOnly => "monolith-only is on: the gate does nothing",
        Obstacle::Store => "the journal cannot be written: the gate does nothing",
        Obstacle::BrokenFile => "the file on the disk is refused: the gate does nothing",
        Obstacle::Fault => "faults are injected on purpose: the gate does nothing",
        Obstacle::FleetAway => "etcd of the fleet does not answer: the gate does nothing",
        Obstacle::Unheard { heard, of } => return format!("{heard} of {of} replicas heard").into(),
    })
}

/// `needs 610 more, about 2 min`.
#[must_use]
pub fn needs(needs: Needs, rates: Rates) -> Option<String> {
    let count = |more: u64, what: &str| {
        let more = grouped(more);
        match seconds(needs, rates) {
            Some(seconds) => format!("needs {more} more{what}, about {}", span(seconds.max(1.0))),
            None => format!("needs {more} more{what}, at present there are none"),
        }
    };
    match needs {
        Needs::Nothing => None,
        Needs::Unknown => Some("counts since a moment: too early to say how much is missing".to_owned()),
        Needs::NoEnd => Some("no end in sight: the service is at the margin".to_owned()),
        Needs::OldLimit => Some(
            "no end in sight: the monolith's own times changed since they were measured; a while and 1 000 of its answers later they are measured anew, by `resume --from-start` at once"
                .to_owned(),
        ),
        Needs::Unpaired => Some(
            "no end in sight: at the margin, or times that vary too much to tell; copies would tell (`shadow = { compare = true }`)".to_owned(),
        ),
        Needs::KeptWaiting => Some(
            "no end in sight: copies wait for this machine's processors, which hides what the service takes; more of them would tell, or a person's `promote`"
                .to_owned(),
        ),
        Needs::Requests(more) => Some(count(more, "")),
        Needs::Comparisons(more) => Some(count(more, " comparisons")),
    }
}

/// How long it takes until what is missing has come, at these rates.
#[must_use]
pub fn seconds(needs: Needs, rates: Rates) -> Option<f64> {
    let (more, per_second) = match needs {
        Needs::Requests(more) => (more, rates.requests),
        Needs::Comparisons(more) => (more, rates.comparisons),
        _ => return None,
    };
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    (per_second > 0.0).then(|| more as f64 / per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_a_person_reads_them() {
        for (ratio, text) in
            [(0.061, "6.1 %"), (0.0021, "0.21 %"), (0.0, "0 %"), (1.0, "100 %"), (0.005, "0.5 %"), (0.2, "20 %")]
        {
            assert_eq!(share(ratio), text);
        }
        assert_eq!([49.4, 48_497.0, 2e6].map(evidence), ["49", "48 497", "above a million"]);
        let rates = |requests, comparisons| Rates { requests, comparisons };
        let said = |what, rates| needs(what, rates).unwrap_or_default();
        assert_eq!(said(Needs::Requests(610), rates(5.0, 0.0)), "needs 610 more, about 2 min");
        assert_eq!(said(Needs::Comparisons(610), rates(0.0, 100.0)), "needs 610 more comparisons, about 6 s");
        assert_eq!(said(Needs::Requests(10), rates(0.0, 5.0)), "needs 10 more, at present there are none");
        assert_eq!(needs(Needs::Nothing, rates(5.0, 5.0)), None);
        let said = needs(Needs::OldLimit, rates(5.0, 5.0)).expect("something to say");
        assert!(said.contains("no end in sight") && said.contains("resume --from-start"), "{said}");
    }
}
