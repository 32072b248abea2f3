//! `multilith status`: the board, as wide as the terminal.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::admin_client::{AdminClient, AdminError};
use super::table::{Column, Table};
use super::{Exit, StatusArgs, term};
use crate::diagnostic::span;

/// Between two looks of `--watch`.
const LOOK: Duration = Duration::from_secs(2);

pub fn status(args: &StatusArgs) -> Exit {
    let client = match AdminClient::new(&args.report.admin) {
        Ok(client) => client,
        Err(error) => return failed(&error),
    };
    if args.next {
        return super::next::next(&client, args.report.json);
    }
    let since = args.since.as_ref().map_or_else(String::new, |since| format!("?since={since}"));
    loop {
        match client.get::<Value>(&format!("/api/v1/status{since}")) {
            Ok(status) if args.report.json => term::json(&status),
            Ok(status) => {
                let board = board(&status, term::width());
                term::out(&if args.watch { term::redrawn(&board) } else { board });
            }
            Err(error) => return failed(&error),
        }
        if !args.watch {
            return Exit::Fine;
        }
        std::thread::sleep(LOOK);
    }
}

fn failed(error: &AdminError) -> Exit {
    term::fail(&error.to_string(), error.help());
    Exit::Failed
}

/// Where this replica stands among the others.
fn in_fleet(fleet: &Value) -> String {
    let name = fleet["name"].as_str().unwrap_or("?");
    let untold: Vec<&str> =
        fleet["untold"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
    let mut text = match (fleet["state"].as_str(), fleet["leader"].as_str()) {
        (Some("cut-off"), _) => {
            return format!(
                "CUT OFF FROM THE FLEET: etcd does not answer {name}; the last dials are in force, gates hold{}",
                if untold.is_empty() {
                    String::new()
                } else {
                    format!("; rolled back here alone: {}", untold.join(", "))
                }
            );
        }
        (Some("leads"), _) => format!("fleet: {name} leads"),
        (_, Some(leader)) => format!("fleet: {name} follows {leader}"),
        _ => format!("fleet: {name}; nobody leads, gates hold"),
    };
    write!(text, ", {} replicas", fleet["members"]).expect("writing to a string");
    text
}

fn board(status: &Value, width: usize) -> String {
    let mut text = String::new();
    let mut line = |words: String| writeln!(text, "{words}").expect("writing to a string");
    let window = status["window_seconds"]
        .as_f64()
        .map_or_else(String::new, |window| format!("; figures of the last {}", span(window)));
    line(format!(
        "multilith {}, up {}, generation {}{window}",
        status["version"].as_str().unwrap_or("?"),
        span(status["uptime_seconds"].as_f64().unwrap_or(0.0)),
        status["generation"]
    ));
    if status["monolith_only"] == true {
        line("THE BIG RED BUTTON IS ON: every route that is not retired goes to the monolith".to_owned());
    }
    if !status["last_error"].is_null() {
        line(refused_file(&status["last_error"]));
    }
    match status["store"]["state"].as_str() {
        Some("in-use") => line("NOT KEPT: another process uses the state directory".to_owned()),
        Some("unusable") => line(format!("NOT KEPT: {}", status["store"]["why"].as_str().unwrap_or("?"))),
        _ => {}
    }
    if status["fleet"].is_object() {
        line(in_fleet(&status["fleet"]));
    }
    if let Some(path) = status["store"]["moved_aside"].as_str() {
        line(format!("the database could not be used and was moved to {path}"));
    }
    line(format!(
        "migrated: {} of the requests of the last five minutes, {} of the routes,\n          {} of the endpoints{}\n",
        percent(&status["progress"]["requests"]),
        percent(&status["progress"]["routes"]),
        percent(&status["progress"]["endpoints"]),
        match status["progress"]["writes_left"].as_u64() {
            None | Some(0) => String::new(),
            Some(writes) => format!("; {writes} that write are left"),
        },
    ));
    line(routes(status).text(width));
    line(upstreams(status).text(width).trim_end().to_owned());
    text
}

/// The newest text of the file, which is not in force, and its first mistake.
fn refused_file(error: &Value) -> String {
    let all = error["diagnostics"].as_array().map(Vec::as_slice).unwrap_or_default();
    let first = all.iter().find(|entry| entry["severity"] == "error").or(all.first()).unwrap_or(&Value::Null);
    let text = |key: &str| first[key].as_str().unwrap_or("?");
    let place = match (first["line"].as_u64(), first["column"].as_u64()) {
        (Some(line), Some(column)) => format!(":{line}:{column}"),
        _ => String::new(),
    };
    let more = match all.len() {
        0 | 1 => String::new(),
        several => format!(" (the first of {several}; `multilith check` shows all)"),
    };
    format!(
        "NOT IN FORCE: the file of {}: {}{place}: {}[{}]: {}{more}",
        to_the_second(error["at"].as_str().unwrap_or("?")),
        text("file"),
        text("severity"),
        text("code"),
        text("message"),
    )
}

/// `2026-11-28T12:00:00.123456789Z` without the fraction.
fn to_the_second(at: &str) -> String {
    at.split_once('.').map_or_else(|| at.to_owned(), |(seconds, _)| format!("{seconds}Z"))
}

fn routes(status: &Value) -> Table {
    let mut table = Table::new([
        Column::left("ROUTE").may_shrink_to(12),
        Column::left("STAGE"),
        Column::right("WEIGHT"),
        Column::left("SIDE").may_shrink_to(8),
        Column::right("REQUESTS"),
        Column::right("ERRORS"),
        Column::right("FALLBACKS").only_if_filled(),
        Column::right("P50").may_go(),
        Column::right("P99"),
        Column::right("COPIES").only_if_filled().may_go(),
        Column::right("MISMATCH").only_if_filled(),
        Column::right("UNDECIDED").only_if_filled(),
        Column::left("").only_if_filled().may_hang(),
    ]);
    for route in status["routes"].as_array().into_iter().flatten() {
        rows(&mut table, route);
    }
    table
}

/// One row a side; the route's own columns stand in the first, those of its service beside the service.
fn rows(table: &mut Table, route: &Value) {
    let empty = serde_json::Map::new();
    let sides = route["requests"].as_object().unwrap_or(&empty);
    let some =
        |value: &Value| value.as_u64().filter(|count| *count > 0).map_or_else(String::new, |count| count.to_string());
    let remark = remark(route);
    for (index, (side, requests)) in sides.iter().enumerate() {
        let own = |text: &str| if index == 0 { text.to_owned() } else { String::new() };
        let of_service = |text: String| if side == "service" { text } else { String::new() };
        table.row([
            own(route["name"].as_str().unwrap_or("?")),
            own(route["stage"].as_str().unwrap_or("?")),
            own(route["weight"].as_str().unwrap_or("-")),
            side.clone(),
            requests.to_string(),
            route["errors"][side].to_string(),
            of_service(some(&route["fallbacks"])),
            seconds(&route["p50_seconds"][side]),
            seconds(&route["p99_seconds"][side]),
            of_service(some(&route["copies"])),
            own(&route["mismatch_rate"].as_f64().map_or_else(String::new, rate)),
            own(&route["undecided_rate"].as_f64().filter(|rate| *rate > 0.0).map_or_else(String::new, rate)),
            own(&remark),
        ]);
    }
}

/// The remarks of a route's breaker and gate.
fn remark(route: &Value) -> String {
    let breaker = route["breaker"].as_str().filter(|state| *state != "closed").map(|state| format!("breaker {state}"));
    let gate =
        route.get("gate").filter(|gate| !gate.is_null()).map(|gate| format!("gate: {}", super::gate::short(gate)));
    breaker.into_iter().chain(gate).collect::<Vec<_>>().join("; ")
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
        let queue = queue(&upstream["queue"]);
        let all = upstream["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
        if all.is_empty() {
            table.row([name, "-", "none known", "", stale].map(str::to_owned));
        }
        for (index, endpoint) in all.iter().enumerate() {
            let whys =
                if index == 0 { [endpoint_why(endpoint), stale, &*queue] } else { [endpoint_why(endpoint), "", ""] };
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

fn endpoint_why(endpoint: &Value) -> &str {
    endpoint["why"].as_str().unwrap_or("")
}

/// The queue of an upstream with `max_in_flight`, while requests wait in it.
fn queue(queue: &Value) -> String {
    match (queue["in_flight"].as_u64(), queue["max_in_flight"].as_u64(), queue["waiting"].as_u64()) {
        (Some(busy), Some(most), Some(waiting)) if busy >= most || waiting > 0 => {
            format!("{busy} of {most} requests at once, {waiting} wait")
        }
        _ => String::new(),
    }
}

fn percent(ratio: &Value) -> String {
    ratio.as_f64().map_or_else(|| "-".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0))
}

fn rate(ratio: f64) -> String {
    format!("{:.2} %", ratio * 100.0)
}

fn seconds(value: &Value) -> String {
    match value.as_f64() {
        None => "-".to_owned(),
        Some(seconds) if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        Some(seconds) if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Value {
        serde_json::json!({
            "version": "0.1.0", "generation": 3, "uptime_seconds": 61.0, "window_seconds": 300.0, "last_error": null,
            "progress": { "requests": 0.25, "routes": 0.5 },
            "routes": [
                {
                    "name": "a-route-with-a-rather-long-name-for-its-own-good", "stage": "canary", "weight": "0.01%",
                    "requests": { "monolith": 1_234_567, "service": 12 }, "errors": { "monolith": 0, "service": 12 },
                    "p50_seconds": { "monolith": 0.0021, "service": 0.8 }, "p99_seconds": { "monolith": 0.0123, "service": 1.2 },
                    "mismatch_rate": 0.021, "breaker": "open", "copies": 7, "fallbacks": 5
                },
                { "name": "ab", "stage": "split", "requests": { "a-variant-with-a-long-name": 2 }, "errors": { "a-variant-with-a-long-name": 0 } },
            ],
            "upstreams": [
                { "name": "users", "stale": true, "endpoints": [
                    { "address": "10.0.0.5:7001", "state": "healthy", "in_flight": 2, "why": "" },
                    { "address": "10.0.0.6:7001", "state": "unhealthy", "in_flight": 0, "why": "check failed: Connection refused (os error 111)" },
                ] },
                { "name": "search", "endpoints": [] },
                { "name": "slow", "queue": { "max_in_flight": 8, "in_flight": 8, "waiting": 32 }, "endpoints": [
                    { "address": "10.0.0.7:7001", "state": "healthy", "in_flight": 8, "why": "" },
                ] },
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
    fn a_hundred_columns_have_room_for_all_of_them() {
        let mut status = status();
        status["routes"][0]["name"] = "read-user".into();
        status["routes"].as_array_mut().unwrap().truncate(1);
        let board = board(&status, 100);
        for head in ["P50", "P99", "FALLBACKS", "COPIES", "MISMATCH"] {
            assert!(board.contains(head), "{head}:\n{board}");
        }
    }

    #[test]
    fn what_only_some_have_is_shown_where_they_have_it() {
        let wide = board(&status(), 160);
        assert!(wide.contains("2.10 %") && wide.contains("  breaker open\n"), "{wide}");
        let service = wide.lines().find(|line| line.contains("service")).unwrap();
        assert!(service.contains(" 5 ") && service.trim_end().ends_with('7'), "fallbacks and copies: {service}");
        assert!(wide.contains("unhealthy           0  check failed"), "{wide}");
        assert!(wide.contains("healthy             8  8 of 8 requests at once, 32 wait"), "{wide}");
        let mut calm = status();
        calm["routes"][0]["breaker"] = "closed".into();
        calm["routes"][0]["mismatch_rate"] = Value::Null;
        (calm["routes"][0]["copies"], calm["routes"][0]["fallbacks"]) = (0.into(), 0.into());
        for column in ["breaker", "MISMATCH", "COPIES", "FALLBACKS"] {
            assert!(!board(&calm, 160).contains(column), "{column}");
        }
        let narrow = board(&status(), 80);
        assert!(narrow.contains("\n    check failed: Connection refused (os error 111)\n"), "{narrow}");
    }

    #[test]
    fn the_first_lines_say_the_window_and_which_file_is_not_in_force() {
        let mut status = status();
        let first = |status: &Value| board(status, 160).lines().next().unwrap_or_default().to_owned();
        assert_eq!(first(&status), "multilith 0.1.0, up 61 s, generation 3; figures of the last 5 min");
        assert!(!board(&status, 160).contains("NOT IN FORCE"));
        let diagnostic = |severity: &str, code: &str, line: u64| {
            serde_json::json!({
                "severity": severity, "code": code, "message": "what is wrong", "file": "routes.toml", "line": line, "column": 9
            })
        };
        let diagnostics = [diagnostic("warning", "unused-service", 2), diagnostic("error", "invalid-value", 12)];
        status["last_error"] =
            serde_json::json!({ "at": "2026-11-28T12:00:00.123456789Z", "diagnostics": diagnostics });
        assert!(
            board(&status, 160).contains(
                "\nNOT IN FORCE: the file of 2026-11-28T12:00:00Z: routes.toml:12:9: error[invalid-value]: what is wrong \
                 (the first of 2; `multilith check` shows all)\n"
            ),
            "{}",
            board(&status, 160)
        );
    }
}
