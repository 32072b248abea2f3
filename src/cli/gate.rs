//! `multilith gate ROUTE`: why it holds, and what it needs.

use std::fmt::Write as _;

use serde_json::Value;

use super::admin_client::{AdminClient, AdminError};
use super::moves::not_found;
use super::table::{Column, Table};
use super::{Exit, GateArgs, term};

pub fn gate(args: &GateArgs) -> Exit {
    let path = format!("/api/v1/routes/{}/gate", args.route);
    match AdminClient::new(&args.report.admin).and_then(|client| client.get::<Value>(&path)) {
        Ok(report) if args.report.json => term::json(&report),
        Ok(report) => term::out(&told(&args.route, &report, term::width())),
        // A gate that is missing is said with its remedy.
        Err(AdminError::Refused { status: 404, detail, .. }) if detail.contains("gate") => {
            term::fail(&detail, None);
            return Exit::Findings;
        }
        Err(error) => return not_found(&error, &args.route),
    }
    Exit::Fine
}

/// `hold 2/5 · needs 610 more, about 2 min`.
pub fn short(report: &Value) -> String {
    let state = report["state"].as_str().unwrap_or("?");
    let mut text = match state {
        "latched" => "ROLLED BACK · latched".to_owned(),
        "off" => return "off".to_owned(),
        "waiting" => return "waiting for `multilith approve`".to_owned(),
        _ => format!("{state} {}/{}", report["step"], report["steps"]),
    };
    if report["paused_all"] == true {
        text.push_str(" · ROLL-BACKS TOO");
        if report["verdict"] == "roll-back" {
            text.push_str(" · WOULD ROLL BACK");
        }
    }
    if report["worse"] == true && report["verdict"] == "hold" && state != "latched" {
        text.push_str(" · WORSE");
    }
    if let Some(waits) = report["waits_for"].as_str() {
        write!(text, " · {waits}").expect("writing to a string");
    }
    text
}

fn told(route: &str, report: &Value, width: usize) -> String {
    let mut text = format!("{route}  {}\n{}\n", short(report), report["why"].as_str().unwrap_or(""));
    let mut table = Table::new([
        Column::left("METRIC"),
        Column::right("SERVICE"),
        Column::right("MONOLITH"),
        Column::right("ALLOWED"),
        Column::right("WORSE"),
        Column::right("BETTER"),
        Column::right("PHI").may_go(),
        Column::left("NEEDED").may_go(),
    ]);
    let metrics = report["metrics"].as_object();
    for (name, metric) in metrics.into_iter().flatten() {
        table.row([
            name.clone(),
            side(&metric["service"]),
            side(&metric["monolith"]),
            metric["margin"].as_f64().map_or_else(String::new, |margin| format!("+{} %", rounded(margin * 100.0))),
            against(&metric["worse"], &metric["worse_at"]),
            against(&metric["better"], &metric["better_at"]),
            metric["phi"].as_f64().map_or_else(String::new, rounded),
            match (metric["required"] == true, metric["instead"].as_str()) {
                (true, Some(instead)) => format!("to advance, or {instead}"),
                (true, None) => "to advance".to_owned(),
                (false, _) => String::new(),
            },
        ]);
    }
    if metrics.is_some_and(|metrics| !metrics.is_empty()) {
        text.push('\n');
        text.push_str(table.text(width).trim_end());
        text.push('\n');
    }
    text
}

fn side(counts: &Value) -> String {
    format!("{} of {}", counts[0], counts[1])
}

fn against(evidence: &Value, threshold: &Value) -> String {
    let short = |value: &Value| {
        value
            .as_f64()
            .map_or_else(|| "?".to_owned(), |value| if value > 1e6 { "> 1e6".to_owned() } else { rounded(value) })
    };
    format!("{} of {}", short(evidence), short(threshold))
}

fn rounded(value: f64) -> String {
    let text = if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_gate_waits_for_stands_on_one_line() {
        let report = |state: &str| serde_json::json!({ "state": state, "step": 2, "steps": 5, "waits_for": "needs 610 more, about 2 min" });
        assert_eq!(short(&report("hold")), "hold 2/5 · needs 610 more, about 2 min");
        assert_eq!(short(&report("waiting")), "waiting for `multilith approve`");
        assert_eq!(short(&report("off")), "off");
        let mut paused =
            serde_json::json!({ "state": "paused", "verdict": "hold", "step": 2, "steps": 5, "paused_all": true });
        assert_eq!(short(&paused), "paused 2/5 · ROLL-BACKS TOO");
        paused["verdict"] = "roll-back".into();
        assert_eq!(short(&paused), "paused 2/5 · ROLL-BACKS TOO · WOULD ROLL BACK");
        let worse = serde_json::json!({ "state": "hold", "verdict": "hold", "step": 2, "steps": 5, "worse": true });
        assert_eq!(short(&worse), "hold 2/5 · WORSE");
    }
}
