//! The inventory as a person reads it.

use std::fmt::Write as _;

use crate::cli::table::{Column, Table};
use crate::cli::term;
use crate::diagnostic::{grouped, plural};
use crate::inventory::{InventoryReport, about};

/// User agents shown of one endpoint; `--json` has all.
const MOST_AGENTS: usize = 3;

/// `known`: how many endpoints there are with those that were not asked for. `none_yet`: why there may be none. `until`: the last
/// time that is known, in RFC 3339.
pub(super) fn screen(report: &InventoryReport, known: usize, none_yet: &str, until: &str, width: usize) -> String {
    let routed = report.endpoints.iter().filter(|endpoint| endpoint.route.is_some());
    let (count, requests) = routed.fold((0_u32, 0), |(count, requests), one| (count + 1, requests + one.requests));
    let since = report.since.as_ref().map_or_else(String::new, |since| format!(" since {}", &since[..10]));
    // Requests may have routes although no endpoint is sure yet: then their share is not known.
    let with_routes = match report.endpoints.len() {
        0 => String::new(),
        _ => format!("; {count} have a route ({:.1} % of requests)", share(requests, report.requests)),
    };
    let endpoints = match report.endpoints.len() {
        all if all == known => plural(all, "endpoint"),
        some => format!("{some} of {}", plural(known, "endpoint")),
    };
    let requests = grouped(report.requests);
    let mut text = format!("{endpoints}, learned from {requests} requests{since}{with_routes}\n\n");
    let mut table = Table::new([
        Column::left("ENDPOINT").whole_from(24),
        Column::left("ROUTE").only_if_filled().may_shrink_to(10),
        Column::left("STAGE").only_if_filled(),
        Column::right("REQUESTS"),
        Column::right("SHARE").goes_first(),
        Column::right("ERRORS"),
        Column::right("P99").only_if_filled().goes_first(),
        Column::right("CLIENTS").only_if_filled().goes_first(),
        Column::right("LAST").only_if_filled(),
        Column::left("HOW WE KNOW, WHO ASKS").may_hang(),
    ]);
    for endpoint in &report.endpoints {
        let mut why: Vec<String> =
            endpoint.parameters.iter().map(|one| format!("{}: {}", one.name, one.about())).collect();
        if !endpoint.agents.is_empty() {
            why.push(format!("asked by {}", term::one_line(&endpoint.asked_by(MOST_AGENTS))));
        }
        let guessed = endpoint.parameters.iter().any(|one| !one.sure && one.kind != "rest");
        table.row([
            format!("{:4} {}", endpoint.method, endpoint.path),
            endpoint.route.clone().unwrap_or_else(|| if guessed { "- (guess)".to_owned() } else { String::new() }),
            endpoint.stage.clone().unwrap_or_else(|| if endpoint.writes { "writes".to_owned() } else { String::new() }),
            grouped(endpoint.requests),
            format!("{:.1} %", share(endpoint.requests, report.requests)),
            format!("{:.1} %", share(endpoint.errors, endpoint.requests)),
            endpoint.p99_seconds.map_or_else(String::new, |seconds| format!("~{:.0} ms", seconds * 1e3)),
            if endpoint.callers > 0 { about(endpoint.callers, grouped(endpoint.callers)) } else { String::new() },
            last(endpoint.last_seen.as_deref(), until),
            why.join("; "),
        ]);
    }
    if !report.endpoints.is_empty() {
        text.push_str(&table.text(width));
    } else if report.requests > 0 && known == 0 {
        let _ = writeln!(text, "{none_yet}");
    }
    let mut rest = String::new();
    if report.unknown.requests > 0 {
        let paths = match report.unknown.paths {
            1 => "1 path".to_owned(),
            paths => format!("{} paths", grouped(paths)),
        };
        let _ = writeln!(
            rest,
            "not endpoints: {} requests for about {paths} that were answered as unknown, or only with\n\
             redirects, refusals or errors, or for a client that tries many paths",
            grouped(report.unknown.requests),
        );
    }
    if report.unsure > 0 && !report.endpoints.is_empty() {
        let requests = grouped(report.unsure);
        let _ = writeln!(rest, "not sure yet: {requests} requests at places with too few answers or clients");
    }
    if report.dropped > 0 {
        let requests = grouped(report.dropped);
        let _ = writeln!(rest, "not looked at: {requests} requests with a path too deep, too long or refused");
    }
    if !rest.is_empty() {
        let _ = write!(text, "\n{rest}");
    }
    text
}

/// The day, or the time of the last day that there is.
fn last(seen: Option<&str>, until: &str) -> String {
    match (seen, until) {
        (Some(seen), until) if seen.len() > 16 && until.get(..10) == seen.get(..10) => seen[11..16].to_owned(),
        (Some(seen), _) => seen.get(..10).unwrap_or(seen).to_owned(),
        (None, _) => String::new(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 do not occur")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Observation, Tree};

    #[test]
    fn who_asks_and_when_is_said_of_each_endpoint() {
        let mut tree = Tree::default();
        for client in 0..40 {
            let agent = ["curl/8.5.0", "billing\u{1b}[2J/1.2", "okhttp/4.9", "Go-http-client/2.0"][client as usize % 4];
            tree.add(&Observation {
                method: "GET",
                path: "/get",
                status: 200,
                client,
                agent,
                weight: 1,
                minute: 29_000_000 + client,
                monolith: true,
                ..Observation::default()
            });
        }
        tree.settle_for_display();
        let report = InventoryReport::of(&tree);
        let text = screen(&report, 1, "none yet", "2025-02-19T23:59:00Z", 100);
        assert!(text.contains("asked by ") && text.contains("billing\u{fffd}[2J/1.2"), "{text}");
        assert!(text.contains(" and 1 more"), "{text}");
        assert!(text.contains("21:59") && text.contains("LAST"), "{text}");
        assert!(screen(&report, 1, "none yet", "2025-02-20T00:00:00Z", 100).contains("2025-02-19"), "another day");
    }

    #[test]
    fn a_path_that_only_redirects_or_refuses_is_not_said_to_be_unknown_to_the_monolith() {
        let mut tree = Tree::default();
        for (path, status, clients) in
            [("/get", 200, 4), ("/forbidden", 403, 4), ("/cookies/set", 302, 4), ("/new", 200, 2)]
        {
            for client in 0..clients {
                tree.add(&Observation {
                    method: "GET",
                    path,
                    status,
                    client,
                    weight: 1,
                    monolith: true,
                    ..Observation::default()
                });
            }
        }
        tree.settle_for_display();
        let mut report = InventoryReport::of(&tree);
        let text = screen(&report, 1, "none yet", "", 80);
        assert!(text.starts_with("1 endpoint, learned from 14 requests"), "{text}");
        assert!(text.contains("GET  /get"), "{text}");
        let said = "not endpoints: 8 requests for about 2 paths that were answered as unknown, or only with\n\
                    redirects, refusals or errors";
        assert!(text.contains(said), "{text}");
        assert!(text.contains("not sure yet: 2 requests at places with too few answers or clients"), "{text}");

        // Endpoints that were not asked for count as known.
        report.endpoints.clear();
        let text = screen(&report, 1, "none yet", "", 80);
        assert!(text.starts_with("0 of 1 endpoint, learned from"), "{text}");
        assert!(!text.contains("none yet"), "{text}");
    }
}
