//! `multilith reload`: asks a running proxy to read its file again.

use super::admin_client::AdminClient;
use super::{Exit, ReportArgs, term};

pub fn reload(args: &ReportArgs) -> Exit {
    let client = AdminClient::new(&args.admin);
    let answer: serde_json::Value =
        match client.and_then(|client| client.post("/api/v1/reload", &serde_json::Value::Null)) {
            Ok(answer) => answer,
            Err(error) => {
                term::fail(&error.to_string(), Some(error.help()));
                return Exit::Failed;
            }
        };
    let refused = answer["result"] == "refused";
    if args.json {
        term::json(&answer);
    } else {
        describe(&answer);
    }
    if refused { Exit::Findings } else { Exit::Fine }
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
