//! `multilith status`: the board, as wide as the terminal.

use std::fmt::Write as _;

use serde_json::Value;

use super::admin_client::AdminClient;
use super::table::{Column, Table};
use super::{Exit, ReportArgs, term};

pub fn status(args: &ReportArgs) -> Exit {
    match AdminClient::new(&args.admin).get::<Value>("/api/v1/status") {
        Ok(status) if args.json => term::json(&status),
        Ok(status) => term::out(&board(&status, term::width())),
        Err(error) => {
            term::fail(&error.to_string(), Some(error.help()));
            return Exit::Failed;
        }
    }
    Exit::Fine
}

fn board(status: &Value, width: usize) -> String {
    let mut text = String::new();
    let mut line = |words: String| writeln!(text, "{words}").expect("writing to a string");
    line(format!(
        "multilith {}, up {}, generation {}",
        status["version"].as_str().unwrap_or("?"),
        span(status["uptime_seconds"].as_f64().unwrap_or(0.0)),
        status["generation"]
    ));
    if status["monolith_only"] == true {
        line("THE BIG RED BUTTON IS ON: every route that is not retired goes to the monolith".to_owned());
    }
    line(format!(
        "migrated: {} of the requests of the last five minutes, {} of the routes\n",
        percent(&status["progress"]["requests"]),
        percent(&status["progress"]["routes"])
    ));
    line(routes(status).text(width));
    line(upstreams(status).text(width).trim_end().to_owned());
    text
}

fn routes(status: &Value) -> Table {
    let mut table = Table::new([
        Column::left("ROUTE").may_shrink_to(14),
        Column::left("STAGE"),
        Column::right("WEIGHT"),
        Column::left("SIDE").may_shrink_to(9),
        Column::right("REQUESTS"),
        Column::right("ERRORS"),
        Column::right("P50").may_go(),
        Column::right("P99"),
        Column::right("MISMATCH"),
        Column::left("BREAKER").only_if_filled(),
        Column::left("GATE").only_if_filled().may_hang(),
    ]);
    for route in status["routes"].as_array().into_iter().flatten() {
        rows(&mut table, route);
    }
    table
}

/// One row a side; the route's own columns stand in the first.
fn rows(table: &mut Table, route: &Value) {
    let empty = serde_json::Map::new();
    let sides = route["requests"].as_object().unwrap_or(&empty);
    for (index, (side, requests)) in sides.iter().enumerate() {
        let own = |text: &str| if index == 0 { text.to_owned() } else { String::new() };
        table.row([
            own(route["name"].as_str().unwrap_or("?")),
            own(route["stage"].as_str().unwrap_or("?")),
            own(route["weight"].as_str().unwrap_or("-")),
            side.clone(),
            requests.to_string(),
            route["errors"][side].to_string(),
            seconds(&route["p50_seconds"][side]),
            seconds(&route["p99_seconds"][side]),
            own(&rate(&route["mismatch_rate"])),
            own(route["breaker"].as_str().filter(|state| *state != "closed").unwrap_or("")),
            own(&if route["gate"].is_null() { String::new() } else { super::gate::short(&route["gate"]) }),
        ]);
    }
}

fn upstreams(status: &Value) -> Table {
    let mut table = Table::new([
        Column::left("UPSTREAM").may_shrink_to(16),
        Column::left("ENDPOINT").may_shrink_to(21),
        Column::left("STATE"),
        Column::right("IN FLIGHT"),
        Column::left("WHY").may_hang(),
    ]);
    for upstream in status["upstreams"].as_array().into_iter().flatten() {
        let name = upstream["name"].as_str().unwrap_or("?");
        let stale = if upstream["stale"] == true { "the registry is silent: these were the last" } else { "" };
        let all = upstream["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
        if all.is_empty() {
            table.row([name, "-", "none known", "", stale].map(str::to_owned));
        }
        for (index, endpoint) in all.iter().enumerate() {
            let whys = [endpoint["why"].as_str().unwrap_or(""), if index == 0 { stale } else { "" }];
            table.row([
                if index == 0 { name.to_owned() } else { String::new() },
                endpoint["address"].as_str().unwrap_or("?").to_owned(),
                endpoint["state"].as_str().unwrap_or("?").to_owned(),
                endpoint["in_flight"].to_string(),
                whys.iter().filter(|why| !why.is_empty()).copied().collect::<Vec<_>>().join("; "),
            ]);
        }
    }
    table
}

fn percent(ratio: &Value) -> String {
    ratio.as_f64().map_or_else(|| "-".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0))
}

fn rate(ratio: &Value) -> String {
    ratio.as_f64().map_or_else(|| "-".to_owned(), |ratio| format!("{:.2} %", ratio * 100.0))
}

fn seconds(value: &Value) -> String {
    match value.as_f64() {
        None => "-".to_owned(),
        Some(seconds) if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        Some(seconds) if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.2} s"),
    }
}

fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Value {
        serde_json::json!({
            "version": "0.1.0", "generation": 3, "uptime_seconds": 61.0, "progress": { "requests": 0.25, "routes": 0.5 },
            "routes": [
                {
                    "name": "a-route-with-a-rather-long-name-for-its-own-good", "stage": "canary", "weight": "0.01%",
                    "requests": { "monolith": 1_234_567, "service": 12 }, "errors": { "monolith": 0, "service": 12 },
                    "p50_seconds": { "monolith": 0.0021, "service": 0.8 }, "p99_seconds": { "monolith": 0.0123, "service": 1.2 },
                    "mismatch_rate": 0.021, "breaker": "open"
                },
                { "name": "ab", "stage": "split", "requests": { "a-variant-with-a-long-name": 2 }, "errors": { "a-variant-with-a-long-name": 0 } },
            ],
            "upstreams": [
                { "name": "users", "stale": true, "endpoints": [
                    { "address": "10.0.0.5:7001", "state": "healthy", "in_flight": 2, "why": "" },
                    { "address": "10.0.0.6:7001", "state": "unhealthy", "in_flight": 0, "why": "check failed: Connection refused (os error 111)" },
                ] },
                { "name": "search", "endpoints": [] },
            ],
        })
    }

    #[test]
    fn the_board_fits_the_terminal_and_its_columns_stay_in_line() {
        for width in [80, 100, 160] {
            let board = board(&status(), width);
            for line in board.lines() {
                assert!(line.chars().count() <= width, "{line:?} is longer than {width}");
                assert_eq!(line, line.trim_end());
            }
        }
        let wide = board(&status(), 160);
        assert!(wide.contains("a-route-with-a-rather-long-name-for-its-own-good  canary"), "{wide}");
        let column = |text: &str| wide.lines().find_map(|line| line.find(text)).unwrap();
        assert_eq!(column("monolith"), column("a-variant-with-a-long-name"));
    }

    #[test]
    fn what_only_some_have_is_shown_where_they_have_it() {
        let wide = board(&status(), 160);
        assert!(wide.contains("BREAKER") && wide.contains("2.10 %  open"), "{wide}");
        assert!(wide.contains("unhealthy           0  check failed"), "{wide}");
        let mut calm = status();
        calm["routes"][0]["breaker"] = "closed".into();
        assert!(!board(&calm, 160).contains("BREAKER"));
        let narrow = board(&status(), 80);
        assert!(narrow.contains("\n    check failed: Connection refused (os error 111)\n"), "{narrow}");
    }
}
