//! `multilith logs --follow`: the live stream of requests.

use std::fmt::Write as _;
use std::io::BufRead as _;

use serde_json::Value;

use super::admin_client::{AdminClient, AdminError};
use super::moves::not_found;
use super::{Exit, LogsArgs, term};
use crate::message::percent_encoded;

pub fn logs(args: &LogsArgs) -> Exit {
    let client = match AdminClient::new(&args.admin) {
        Ok(client) => client,
        Err(error) => {
            term::fail(&error.to_string(), error.help());
            return Exit::Failed;
        }
    };
    // A stream of a route that does not exist would be silent for ever.
    if let Some(route) = &args.route
        && let Err(error @ AdminError::Refused { status: 404, .. }) =
            client.get::<Value>(&format!("/api/v1/routes/{route}"))
    {
        return not_found(&error, route);
    }
    let stream = match client.stream(&target(args)) {
        Ok(stream) => stream,
        Err(error) => {
            term::fail(&error.to_string(), error.help());
            return Exit::Failed;
        }
    };
    for line in stream.lines() {
        let Ok(line) = line else { break };
        let Some(data) = line.strip_prefix("data:").map(str::trim) else { continue };
        let Ok(event) = serde_json::from_str::<Value>(data) else { continue };
        if let Some(count) = event["left_out"].as_u64() {
            term::say(&format!("({count} events were left out: more happens than the stream shows)"));
        } else if event.get("http.request.method").is_none() {
            // Moves and reloads are in the stream, too.
        } else if args.json {
            term::out(&format!("{data}\n"));
        } else {
            term::out(&describe(&event, args.user_agent));
        }
    }
    term::fail("the stream ended: the proxy stopped or the connection was lost", None);
    Exit::Failed
}

/// The proxy chooses: what is not wanted takes nothing of the stream's room.
fn target(args: &LogsArgs) -> String {
    let status = args.status.map(|status| status.to_string());
    let client = args.client.map(|client| client.to_string());
    let wanted =
        [("route", &args.route), ("side", &args.side), ("status", &status), ("client", &client), ("id", &args.id)];
    let pairs = wanted.iter().filter_map(|(key, value)| Some(format!("{key}={}", percent_encoded(value.as_ref()?))));
    format!("/api/v1/events?{}", pairs.collect::<Vec<_>>().join("&"))
}

/// Columns first, then what only some lines have, last the id by which the request is found in other logs.
fn describe(event: &Value, user_agent: bool) -> String {
    let text = |key: &str| term::one_line(event[key].as_str().unwrap_or("-"));
    let query = event["url.query"].as_str().map_or_else(String::new, |query| format!("?{}", term::one_line(query)));
    let mut line = format!(
        "{} {:>3} {:>9} {:<6} {}{query} client={} route={} side={} reason={} upstream={}",
        text("timestamp"),
        status(event),
        milliseconds(&event["duration_seconds"]),
        text("http.request.method"),
        text("url.path"),
        text("client.address"),
        text("route"),
        text("side"),
        text("reason"),
        text("upstream"),
    );
    if event.get("fallback").is_some() {
        // `fallback=status:500`: what the service answered, and the client was spared.
        let status = event["fallback_status"].as_u64().map_or_else(String::new, |status| format!(":{status}"));
        write!(line, " fallback={}{status}", text("fallback")).expect("writing to a string");
    }
    for (name, key) in [("shadow", "shadow"), ("error", "error.type"), ("fault", "error.fault")] {
        if event.get(key).is_some() {
            write!(line, " {name}={}", text(key)).expect("writing to a string");
        }
    }
    if user_agent {
        write!(line, " user_agent={:?}", text("user_agent.original")).expect("writing to a string");
    }
    writeln!(line, " id={}", text("request_id")).expect("writing to a string");
    line
}

/// `200`, of a call of gRPC `grpc-13`.
fn status(event: &Value) -> String {
    match (event["rpc.grpc.status_code"].as_u64(), event["http.response.status_code"].as_u64()) {
        (Some(code), _) => format!("grpc-{code}"),
        (None, Some(status)) => status.to_string(),
        (None, None) => "-".to_owned(),
    }
}

fn milliseconds(seconds: &Value) -> String {
    seconds.as_f64().map_or_else(|| "-".to_owned(), |seconds| format!("{:.1} ms", seconds * 1000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_happened_and_steers_no_terminal() {
        let event = serde_json::json!({
            "timestamp": "2026-11-21T04:26:39.640Z", "request_id": "7f", "http.request.method": "GET",
            "url.path": "/a\u{1b}[2J\u{9b}\u{202e}b", "url.query": "page=2", "http.response.status_code": 200, "route": "read-user",
            "side": "monolith", "upstream": "monolith", "fallback": "status", "fallback_status": 500, "duration_seconds": 0.0123,
            "client.address": "10.0.0.7", "reason": "bucket", "user_agent.original": "curl/8 \"x\"\u{1b}",
        });
        let wanted = "2026-11-21T04:26:39.640Z 200   12.3 ms GET    /a\u{fffd}[2J\u{fffd}\u{fffd}b?page=2 client=10.0.0.7 \
                      route=read-user side=monolith reason=bucket upstream=monolith fallback=status:500";
        assert_eq!(describe(&event, false), format!("{wanted} id=7f\n"));
        assert_eq!(describe(&event, true), format!("{wanted} user_agent=\"curl/8 \\\"x\\\"\u{fffd}\" id=7f\n"));
    }

    #[test]
    fn a_request_without_an_answer_has_no_status() {
        let event =
            serde_json::json!({ "http.request.method": "GET", "error.type": "client_gone", "error.fault": "client" });
        assert_eq!(
            describe(&event, false),
            "-   -         - GET    - client=- route=- side=- reason=- upstream=- error=client_gone fault=client id=-\n"
        );
    }
}
