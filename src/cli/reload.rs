//! `multilith reload`: asks a running proxy to read its file again.

use super::admin_client::AdminClient;
use super::{Exit, ReloadArgs, term};

pub fn reload(args: &ReloadArgs) -> Exit {
    let body = match args.plan.as_deref().map(planned).transpose() {
        Ok(body) => body.unwrap_or(serde_json::Value::Null),
        Err(exit) => return exit,
    };
    let report = &args.report;
    let client = AdminClient::new(&report.admin);
    let answer: serde_json::Value = match client.and_then(|client| client.post("/api/v1/reload", &body)) {
        Ok(answer) => answer,
        Err(error) => {
            term::fail(&error.to_string(), error.help());
            return Exit::Failed;
        }
    };
    if let (None, Some(detail)) = (answer.get("result"), answer["detail"].as_str()) {
        term::fail(detail, None);
        return Exit::Findings;
    }
    let refused = answer["result"] == "refused";
    if report.json {
        term::json(&answer);
    } else {
        describe(&answer);
    }
    if refused { Exit::Findings } else { Exit::Fine }
}

/// The fingerprints of the two files in a saved plan.
fn planned(path: &std::path::Path) -> Result<serde_json::Value, Exit> {
    let saved: Option<serde_json::Value> =
        std::fs::read_to_string(path).ok().and_then(|text| serde_json::from_str(&text).ok());
    let part = |key: &str| saved.as_ref().and_then(|saved| saved[key].as_str());
    if let (Some(from), Some(to)) = (part("from"), part("to")) {
        return Ok(serde_json::json!({ "from": from, "to": to }));
    }
    let help = "make one with `multilith plan NEW -o plan.json`";
    term::fail(&format!("`{}` is no plan", path.display()), Some(help));
    Err(Exit::Failed)
}

fn describe(answer: &serde_json::Value) {
    let generation = &answer["generation"];
    match answer["result"].as_str() {
        Some("applied") => {
            term::out(&format!("applied: generation {generation}\n"));
            for (key, sign) in [("added", '+'), ("removed", '-'), ("altered", '~')] {
                for name in answer["changes"][key].as_array().into_iter().flatten() {
                    term::out(&format!("  {sign} {}\n", name.as_str().unwrap_or_default()));
                }
            }
        }
        Some("unchanged") => term::out(&format!("unchanged: generation {generation} stays in force\n")),
        _ => term::out(&format!("refused: generation {generation} stays in force\n")),
    }
    for entry in answer["diagnostics"].as_array().into_iter().flatten() {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let place = match (&entry["line"], &entry["column"]) {
            (serde_json::Value::Number(line), serde_json::Value::Number(column)) => format!(":{line}:{column}"),
            _ => String::new(),
        };
        term::out(&format!(
            "{}[{}]: {}\n  --> {}{place}\n",
            text("severity"),
            text("code"),
            text("message"),
            text("file")
        ));
        if entry["help"].is_string() {
            term::out(&format!("  help: {}\n", text("help")));
        }
    }
}
