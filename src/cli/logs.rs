//! `multilith logs --follow`: the live stream of requests.

use std::io::BufRead as _;

use super::admin_client::AdminClient;
use super::{Exit, LogsArgs, term};

pub fn logs(args: &LogsArgs) -> Exit {
    let stream = match AdminClient::new(&args.admin).stream("/api/v1/events") {
        Ok(stream) => stream,
        Err(error) => {
            term::fail(&error.to_string(), Some(error.help()));
            return Exit::Failed;
        }
    };
    for line in stream.lines() {
        let Ok(line) = line else { break };
        let Some(data) = line.strip_prefix("data:") else { continue };
        let Ok(event) = serde_json::from_str::<serde_json::Value>(data.trim()) else { continue };
        // Moves and reloads are in the stream, too.
        let is_request = event.get("http.request.method").is_some();
        if !is_request || !wanted(args, &event) {
            continue;
        }
        if args.json {
            term::out(&format!("{event}\n"));
        } else {
            term::out(&describe(&event));
        }
    }
    term::fail("the stream ended: the proxy stopped or the connection was lost", None);
    Exit::Failed
}

fn wanted(args: &LogsArgs, event: &serde_json::Value) -> bool {
    let is = |key: &str, filter: &Option<String>| filter.as_ref().is_none_or(|wanted| event[key] == **wanted);
    let status = event["http.response.status_code"].as_u64().unwrap_or(0);
    let status_fits = args.status.as_ref().is_none_or(|wanted| match wanted.strip_suffix("xx") {
        Some(class) => class.parse() == Ok(status / 100),
        None => wanted.parse() == Ok(status),
    });
    status_fits && is("route", &args.route) && is("side", &args.side)
}

fn describe(event: &serde_json::Value) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or("-").to_owned();
    format!(
        "{} {:>3} {:<6} {} route={} side={} upstream={} {} ms id={}\n",
        text("timestamp"),
        event["http.response.status_code"],
        text("http.request.method"),
        text("url.path"),
        text("route"),
        text("side"),
        text("upstream"),
        milliseconds(&event["duration_seconds"]),
        text("request_id"),
    )
}

fn milliseconds(seconds: &serde_json::Value) -> String {
    seconds.as_f64().map_or_else(|| "-".to_owned(), |seconds| format!("{:.1}", seconds * 1000.0))
}
