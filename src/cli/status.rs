//! `multilith status`: the board, as wide as a terminal of 100 columns.

use std::fmt::Write as _;

use serde_json::Value;

use super::admin_client::AdminClient;
use super::{Exit, ReportArgs, term};

pub fn status(args: &ReportArgs) -> Exit {
    match AdminClient::new(&args.admin).get::<Value>("/api/v1/status") {
        Ok(status) if args.json => term::json(&status),
        Ok(status) => term::out(&board(&status)),
        Err(error) => {
            term::fail(&error.to_string(), Some(error.help()));
            return Exit::Failed;
        }
    }
    Exit::Fine
}

fn board(status: &Value) -> String {
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
    line(format!(
        "{:<24} {:<9} {:>7}  {:<10} {:>9} {:>7} {:>8} {:>8}  {:>8}",
        "ROUTE", "STAGE", "WEIGHT", "SIDE", "REQUESTS", "ERRORS", "P50", "P99", "MISMATCH"
    ));
    for route in status["routes"].as_array().into_iter().flatten() {
        for words in rows(route) {
            line(words);
        }
    }
    line(String::new());
    line(format!("{:<24} {:<28} {:<10} {:>9}  {}", "UPSTREAM", "ENDPOINT", "STATE", "IN FLIGHT", "WHY"));
    for upstream in status["upstreams"].as_array().into_iter().flatten() {
        for words in endpoints(upstream) {
            line(words);
        }
    }
    text
}

/// One row a side; the route's own columns stand in the first.
fn rows(route: &Value) -> Vec<String> {
    let empty = serde_json::Map::new();
    let sides = route["requests"].as_object().unwrap_or(&empty);
    let mut rows = Vec::new();
    for (index, (side, requests)) in sides.iter().enumerate() {
        let own = |text: &str| if index == 0 { text.to_owned() } else { String::new() };
        let breaker = match route["breaker"].as_str() {
            Some("closed") | None => String::new(),
            Some(state) if index == 0 => format!("  breaker {state}"),
            Some(_) => String::new(),
        };
        rows.push(format!(
            "{:<24} {:<9} {:>7}  {:<10} {:>9} {:>7} {:>8} {:>8}  {:>8}{breaker}",
            own(&shortened(route["name"].as_str().unwrap_or("?"), 24)),
            own(route["stage"].as_str().unwrap_or("?")),
            own(route["weight"].as_str().unwrap_or("-")),
            side,
            requests.to_string(),
            route["errors"][side].to_string(),
            seconds(&route["p50_seconds"][side]),
            seconds(&route["p99_seconds"][side]),
            own(&rate(&route["mismatch_rate"])),
        ));
    }
    rows
}

fn endpoints(upstream: &Value) -> Vec<String> {
    let name = upstream["name"].as_str().unwrap_or("?");
    let stale = if upstream["stale"] == true { " (stale)" } else { "" };
    let all = upstream["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    if all.is_empty() {
        return vec![format!("{name:<24} {:<28} none known{stale}", "-")];
    }
    let row = |(index, endpoint): (usize, &Value)| {
        let own = if index == 0 { format!("{name}{stale}") } else { String::new() };
        format!(
            "{own:<24} {:<28} {:<10} {:>9}  {}",
            endpoint["address"].as_str().unwrap_or("?"),
            endpoint["state"].as_str().unwrap_or("?"),
            endpoint["in_flight"].to_string(),
            endpoint["why"].as_str().unwrap_or("")
        )
        .trim_end()
        .to_owned()
    };
    all.iter().enumerate().map(row).collect()
}

fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width - 1).collect();
    format!("{kept}…")
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
