//! `multilith promote | rollback | pause | resume | approve ROUTE`: a person moves the dial.

use serde_json::{Map, Value, json};

use super::admin_client::{AdminClient, AdminError};
use super::{Exit, MoveArgs, term};

/// One of the acts of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Promote,
    RollBack,
    Pause,
    Resume,
    Approve,
}

impl Act {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::RollBack => "rollback",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Approve => "approve",
        }
    }
}

pub fn act(act: Act, args: &MoveArgs, from_start: bool) -> Exit {
    if act == Act::Promote && args.to.as_deref() == Some("retired") && !args.yes {
        term::fail(
            &format!("`{}` would be retired: the monolith is then never asked, not even as fallback", args.route),
            Some("say it with `--yes`"),
        );
        return Exit::Findings;
    }
    let mut body = Map::new();
    for (key, value) in [("to", &args.to), ("weight", &args.weight), ("reason", &args.reason)] {
        if let Some(value) = value {
            body.insert(key.to_owned(), json!(value));
        }
    }
    if let Some(seq) = args.expect_seq {
        body.insert("expect_seq".to_owned(), json!(seq));
    }
    for (key, wanted) in [("from_start", from_start), ("write", args.write)] {
        if wanted {
            body.insert(key.to_owned(), json!(true));
        }
    }
    let path = format!("/api/v1/routes/{}/{}", args.route, act.as_str());
    let moved =
        match AdminClient::new(&args.admin).and_then(|client| client.act(&path, &Value::Object(body), &claimed())) {
            Ok(moved) => moved,
            Err(error) => return failed(&error),
        };
    if args.json {
        term::json(&moved);
    } else {
        term::out(&told(act, &moved));
    }
    if moved["written"] == false {
        let why = moved["not_written"]["why"].as_str().unwrap_or("");
        let lines = moved["not_written"]["lines"].as_str().unwrap_or("").trim_end().replace('\n', ", ");
        term::fail(
            &format!("moved, not written: {why}"),
            Some(&format!("put into `[routes.{}]`: {lines}", args.route)),
        );
        return Exit::Failed;
    }
    Exit::Fine
}

/// 1: refused; 2: not reachable, or not made.
fn failed(error: &AdminError) -> Exit {
    let AdminError::Refused { status: status @ (400 | 404 | 409 | 412), detail } = error else {
        term::fail(&error.to_string(), error.help());
        return Exit::Failed;
    };
    let help = match status {
        412 => Some("look at `multilith journal ROUTE`, then say it again with the new `--expect-seq`"),
        404 => Some("`multilith status` has the names of the routes"),
        409 => Some("`multilith status` shows where the route stands"),
        // What was written is wrong, wherever the route stands.
        _ => None,
    };
    term::fail(detail, help);
    Exit::Findings
}

fn told(act: Act, moved: &Value) -> String {
    let route = moved["route"].as_str().unwrap_or("?");
    let (from, to) = (dial(&moved["from"]), dial(&moved["to"]));
    let mut text = match act {
        Act::Promote | Act::RollBack => {
            let mut line = format!("{route}  {from} -> {to}");
            if let Some(evidence) = moved["evidence"].as_str().filter(|text| act == Act::Promote && !text.is_empty()) {
                line = format!("{line}   (evidence: {evidence}; you moved it, not the gate)");
            }
            let everywhere = everywhere(&moved["replicas"]);
            let undo = undo(act, route, moved).map_or_else(String::new, |undo| format!("; undo: {undo}"));
            format!("{line}\nin force{everywhere}{undo}\n")
        }
        Act::Pause => format!("{route}  paused at {to}: it does not advance, and is rolled back if it must be\n"),
        Act::Resume => format!("{route}  goes on at {to}\n"),
        Act::Approve => format!("{route}  may go on from {to} when the gate is sure\n"),
    };
    if moved["local"] == true {
        text.push_str("ON THIS REPLICA ALONE: etcd of the fleet does not answer; the others are told when it does\n");
    }
    if moved["kept"] == false {
        text.push_str("NOT KEPT: the journal cannot be written, so a restart will not know of it\n");
    }
    text
}

/// What leads back to where the route stood, however far it was moved. Into a split only the file leads.
fn undo(act: Act, route: &str, moved: &Value) -> Option<String> {
    let verb = if act == Act::Promote { "rollback" } else { "promote" };
    let goal = match (moved["from"]["stage"].as_str()?, moved["from"]["weight"].as_str()) {
        ("split", _) => return None,
        ("canary", Some(weight)) => format!("--weight {weight}"),
        ("retired", _) => "--to retired --yes".to_owned(),
        (stage, _) => format!("--to {stage}"),
    };
    // Nobody is promoted to 0 %: a roll-back to no clients stays one.
    let goal = if goal == "--weight 0%" && verb == "promote" { return None } else { goal };
    Some(format!("multilith {verb} {route} {goal}"))
}

/// ` on 3 of 3 replicas after 41 ms`; nothing where there is one.
fn everywhere(replicas: &Value) -> String {
    match (replicas["in_force"].as_u64(), replicas["of"].as_u64()) {
        (Some(in_force), Some(of)) if of > 1 => {
            let after = replicas["after_seconds"].as_f64().unwrap_or_default() * 1000.0;
            format!(" on {in_force} of {of} replicas after {after:.0} ms")
        }
        _ => String::new(),
    }
}

/// `canary 5%`, `migrated`.
pub fn dial(dial: &Value) -> String {
    let stage = dial["stage"].as_str().unwrap_or("?");
    dial["weight"].as_str().map_or_else(|| stage.to_owned(), |weight| format!("{stage} {weight}"))
}

/// `user@host`, as this side claims it.
pub fn claimed() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "unknown".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = format!("{user}@{}", if host.trim().is_empty() { "unknown" } else { host.trim() });
    name.chars().filter(char::is_ascii_graphic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_says_what_it_did_and_how_to_undo_it() {
        let moved = json!({
            "route": "read", "from": { "stage": "canary", "weight": "5%" }, "to": { "stage": "canary", "weight": "25%" },
            "evidence": "not yet sure: failures (49 of 50)", "kept": true,
        });
        assert_eq!(
            told(Act::Promote, &moved),
            "read  canary 5% -> canary 25%   (evidence: not yet sure: failures (49 of 50); you moved it, not the gate)\n\
             in force; undo: multilith rollback read --weight 5%\n"
        );
        let undone = |act, from: Value| undo(act, "read", &json!({ "from": from }));
        let canary = json!({ "stage": "canary", "weight": "25%" });
        assert_eq!(undone(Act::RollBack, canary).as_deref(), Some("multilith promote read --weight 25%"));
        let monolith = json!({ "stage": "monolith" });
        assert_eq!(undone(Act::Promote, monolith).as_deref(), Some("multilith rollback read --to monolith"));
        let retired = json!({ "stage": "retired" });
        assert_eq!(undone(Act::RollBack, retired).as_deref(), Some("multilith promote read --to retired --yes"));
        assert_eq!(undone(Act::RollBack, json!({ "stage": "split" })), None);
        let mut everywhere = moved.clone();
        everywhere["replicas"] = json!({ "in_force": 3, "of": 3, "after_seconds": 0.041 });
        assert!(told(Act::Promote, &everywhere).contains("in force on 3 of 3 replicas after 41 ms; undo: "));
        everywhere["local"] = json!(true);
        assert!(told(Act::RollBack, &everywhere).contains("ON THIS REPLICA ALONE"));
        let lost =
            json!({ "route": "read", "from": { "stage": "migrated" }, "to": { "stage": "monolith" }, "kept": false });
        assert!(told(Act::RollBack, &lost).contains("NOT KEPT"));
    }
}
