//! `multilith journal [ROUTE]`: every move with its author, time, reason and the numbers it rested on.

use std::fmt::Write as _;

use serde_json::Value;

use super::admin_client::AdminClient;
use super::moves::{dial, not_found};
use super::{Exit, JournalArgs, term};
use crate::diagnostic::grouped;
use crate::migration::gate::words::share;

pub fn journal(args: &JournalArgs) -> Exit {
    let client = match AdminClient::new(&args.admin) {
        Ok(client) => client,
        Err(error) => {
            term::fail(&error.to_string(), error.help());
            return Exit::Failed;
        }
    };
    let mut entries: Vec<Value> = Vec::new();
    let mut after = 0;
    loop {
        let route = args.route.as_deref().map_or_else(String::new, |route| format!("&route={route}"));
        let page: Value = match client.get(&format!("/api/v1/journal?limit=1000&after={after}{route}")) {
            Ok(page) => page,
            Err(error) => {
                term::fail(&error.to_string(), error.help());
                return Exit::Failed;
            }
        };
        entries.extend(page["entries"].as_array().cloned().unwrap_or_default());
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => break,
        }
    }
    if let (Some(route), true) = (&args.route, entries.is_empty()) {
        if let Err(error) = client.get::<Value>(&format!("/api/v1/routes/{route}")) {
            return not_found(&error, route);
        }
        if !args.json {
            term::say(&format!("nothing is written about the route `{route}` yet"));
        }
    }
    let last = args.last.map_or(0, |last| entries.len().saturating_sub(last));
    for entry in &entries[last..] {
        if args.json {
            term::out(&format!("{entry}\n"));
        } else {
            term::out(&line(entry, args.route.is_none()));
        }
    }
    Exit::Fine
}

fn line(entry: &Value, with_route: bool) -> String {
    let text = |key: &str| entry[key].as_str().unwrap_or("");
    let mut line = format!("#{} ", entry["seq"]);
    let at = text("at");
    let time = at.split_once('T').map_or(at, |(_, time)| time.get(..8).unwrap_or(time));
    let date = at.split('T').next().unwrap_or("");
    write!(line, "{date} {time}  ").expect("writing to a string");
    if with_route {
        write!(line, "{}  ", entry["route"].as_str().unwrap_or("-")).expect("writing to a string");
    }
    write!(line, "{:<9}  ", text("action")).expect("writing to a string");
    // The button and a refused file move no dial.
    if !entry["to"].is_null() {
        let (from, to) = (dial(&entry["from"]), dial(&entry["to"]));
        let way = if from == to { to } else { format!("{from} -> {to}") };
        write!(line, "{way}   ").expect("writing to a string");
    }
    write!(line, "{}   {}", text("who"), text("reason")).expect("writing to a string");
    // A gate's reason has them already.
    if text("by") == "person"
        && let Some(figures) = figures(&entry["verdict"]["metrics"])
    {
        write!(line, "   ({figures})").expect("writing to a string");
    }
    line + "\n"
}

/// The figures that the person saw: `failures: service 0.21 % of 480, monolith 0.2 % of 2 508`.
fn figures(metrics: &Value) -> Option<String> {
    let shown = |(metric, value): (&String, &Value)| {
        let side = |side: &str| {
            let (counted, of) = (value[side][0].as_f64()?, value[side][1].as_u64().filter(|of| *of > 0)?);
            #[expect(clippy::cast_precision_loss, reason = "a share is shown with two digits")]
            Some(format!("{side} {} of {}", share(counted / of as f64), grouped(of)))
        };
        let sides: Vec<String> = ["service", "monolith"].into_iter().filter_map(side).collect();
        (value["required"] == true && !sides.is_empty()).then(|| format!("{metric}: {}", sides.join(", ")))
    };
    let shown: Vec<String> = metrics.as_object()?.iter().filter_map(shown).collect();
    (!shown.is_empty()).then(|| shown.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_line() {
        let entry = serde_json::json!({
            "seq": 42, "at": "2026-11-28T09:43:03.120Z", "route": "list", "who": "gate@edge-1", "action": "roll-back",
            "from": { "stage": "canary", "weight": "5%" }, "to": { "stage": "canary", "weight": "0%" }, "reason": "worse",
        });
        assert_eq!(
            line(&entry, false),
            "#42 2026-11-28 09:43:03  roll-back  canary 5% -> canary 0%   gate@edge-1   worse\n"
        );
        let press = serde_json::json!({
            "seq": 3, "at": "2026-11-28T09:43:03.120Z", "route": "list", "by": "person", "who": "ops", "action": "promote",
            "from": { "stage": "shadow" }, "to": { "stage": "canary", "weight": "1%" }, "reason": "agreed",
            "verdict": { "metrics": {
                "failures": { "service": [0, 0], "monolith": [5, 2508], "required": true },
                "p95": { "service": [9, 120], "monolith": [1, 9], "required": false },
            } },
        });
        assert_eq!(
            line(&press, false),
            "#3 2026-11-28 09:43:03  promote    shadow -> canary 1%   ops   agreed   (failures: monolith 0.2 % of 2 508)\n"
        );
        let button = serde_json::json!({
            "seq": 1, "at": "2026-11-28T09:43:03.120Z", "route": null, "who": "ops (claimed me@here)",
            "action": "button", "from": null, "to": null, "reason": "pressed: the shop is down",
        });
        assert_eq!(
            line(&button, true),
            "#1 2026-11-28 09:43:03  -  button     ops (claimed me@here)   pressed: the shop is down\n"
        );
    }
}
