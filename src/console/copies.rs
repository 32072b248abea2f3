//! The results of a route's copies, and the times of both sides: the figures behind the differences.

use std::collections::BTreeMap;
use std::fmt::Display;

use jiff::Timestamp;
use maud::{Markup, html};

use super::shown::{ago, count, plain, seconds};
use crate::compare::{Quantiles, Report};

/// Folded up: the rates that count stand above.
pub fn figures(report: &Report) -> Markup {
    let now = Timestamp::now();
    let copies = &report.copies;
    let answered = [
        ("answered", copies.answered),
        ("too late", copies.timeout),
        ("no connection", copies.connect),
        ("broken off", copies.reset),
    ];
    let incomparable = by_reason(&report.incomparable);
    let skipped = by_reason(&copies.skipped);
    let rows: [(&str, String); 8] = [
        ("Compared", times(report, now)),
        (
            "Began anew",
            report.began.as_ref().map(|began| format!("{}: {}", ago(&began.at, now), began.why)).unwrap_or_default(),
        ),
        ("Monolith", quantiles(report.latency.control)),
        ("Service", quantiles(report.latency.candidate)),
        ("Copies", join(answered.iter().filter(|(_, number)| *number > 0).map(|(word, number)| (*word, *number)))),
        ("Not copied", skipped),
        ("Incomparable", incomparable),
        ("Noise", replays(report)),
    ];
    let known: Vec<_> = rows.iter().filter(|(_, said)| !said.is_empty()).collect();
    html! {
        @if !known.is_empty() {
            details #copies {
                summary.pad.lab { "Copies, times and reasons" }
                dl.kv { @for (word, said) in known { dt { (word) } dd { (plain(said)) } } }
            }
        }
    }
}

fn times(report: &Report, now: Timestamp) -> String {
    let (Some(first), Some(last)) = (&report.first_seen, &report.last_seen) else { return String::new() };
    let dropped = if report.verdicts.dropped > 0 {
        format!("; {} were never judged", count(report.verdicts.dropped))
    } else {
        String::new()
    };
    format!("first {}, last {}{dropped}", ago(first, now), ago(last, now))
}

/// Over the compared requests.
fn quantiles(of: Quantiles) -> String {
    let Quantiles { p50_seconds: Some(p50), p99_seconds: Some(p99) } = of else { return String::new() };
    format!("p50 {}, p99 {}, of the requests that were compared", seconds(p50), seconds(p99))
}

fn replays(report: &Report) -> String {
    match (report.replays, report.replays_at_sandbox) {
        (0, _) => String::new(),
        (all, 0) => format!("from {} replays at the monolith", count(all)),
        (all, sandbox) => format!("from {} replays, {} of them at the sandbox", count(all), count(sandbox)),
    }
}

fn by_reason<R: Display>(reasons: &BTreeMap<R, u64>) -> String {
    join(reasons.iter().map(|(reason, number)| (reason, *number)))
}

fn join<R: Display>(counts: impl Iterator<Item = (R, u64)>) -> String {
    counts.map(|(word, number)| format!("{} {word}", count(number))).collect::<Vec<_>>().join(", ")
}
