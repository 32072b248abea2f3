//! The inventory as a person reads it.

use std::fmt::Write as _;

use crate::cli::table::{Column, Table};
use crate::diagnostic::plural;
use crate::inventory::{InventoryReport, NOT_SURE_YET, about};

/// `known`: how many endpoints there are with those that were not asked for.
pub(super) fn screen(report: &InventoryReport, known: usize, width: usize) -> String {
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
        Column::left("HOW WE KNOW").may_hang(),
    ]);
    for endpoint in &report.endpoints {
        let why: Vec<String> = endpoint.parameters.iter().map(|one| format!("{}: {}", one.name, one.about())).collect();
        let guessed = endpoint.parameters.iter().any(|one| !one.sure && one.kind != "rest");
        table.row([
            format!("{:4} {}", endpoint.method, endpoint.path),
            endpoint.route.clone().unwrap_or_else(|| if guessed { "- (guess)".to_owned() } else { String::new() }),
            endpoint.stage.clone().unwrap_or_else(|| if endpoint.writes { "writes".to_owned() } else { String::new() }),
            grouped(endpoint.requests),
            format!("{:.1} %", share(endpoint.requests, report.requests)),
            format!("{:.1} %", share(endpoint.errors, endpoint.requests)),
            endpoint.p99_seconds.map_or_else(String::new, |seconds| format!("{:.0} ms", seconds * 1e3)),
            if endpoint.callers > 0 { about(endpoint.callers, grouped(endpoint.callers)) } else { String::new() },
            why.join(", "),
        ]);
    }
    if !report.endpoints.is_empty() {
        text.push_str(&table.text(width));
    } else if report.requests > 0 && known == 0 {
        let _ = writeln!(text, "{NOT_SURE_YET}");
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

#[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 do not occur")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// `1 204 330`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Observation, Tree};

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
        let text = screen(&report, 1, 80);
        assert!(text.starts_with("1 endpoint, learned from 14 requests"), "{text}");
        assert!(text.contains("GET  /get"), "{text}");
        let said = "not endpoints: 8 requests for about 2 paths that were answered as unknown, or only with\n\
                    redirects, refusals or errors";
        assert!(text.contains(said), "{text}");
        assert!(text.contains("not sure yet: 2 requests at places with too few answers or clients"), "{text}");

        // What was not asked for is known all the same.
        report.endpoints.clear();
        let text = screen(&report, 1, 80);
        assert!(text.starts_with("0 of 1 endpoint, learned from"), "{text}");
        assert!(!text.contains(NOT_SURE_YET), "{text}");
    }
}
