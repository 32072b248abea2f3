//! `multilith promote | rollback | pause | resume | approve ROUTE`: a person moves the dial.

use serde_json::{Map, Value, json};

use super::admin_client::{AdminClient, AdminError};
use super::{ActArgs, Exit, GoalArgs, PauseArgs, PromoteArgs, ResumeArgs, RollBackArgs, term};

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

pub fn promote(args: &PromoteArgs) -> Exit {
    let mut body = towards(&args.goal);
    if !args.yes {
        body.insert("unasked".to_owned(), json!(true));
    }
    act(Act::Promote, &args.act, body)
}

pub fn roll_back(args: &RollBackArgs) -> Exit {
    act(Act::RollBack, &args.act, towards(&args.goal))
}

pub fn pause(args: &PauseArgs) -> Exit {
    let all = args.all.then(|| ("all".to_owned(), json!(true)));
    act(Act::Pause, &args.act, all.into_iter().collect())
}

pub fn resume(args: &ResumeArgs) -> Exit {
    let from_start = args.from_start.then(|| ("from_start".to_owned(), json!(true)));
    act(Act::Resume, &args.act, from_start.into_iter().collect())
}

fn towards(goal: &GoalArgs) -> Map<String, Value> {
    let goal = [("to", &goal.to), ("weight", &goal.weight)];
    goal.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value.as_ref()?)))).collect()
}

/// `body`: what the act takes beside what all take.
pub fn act(act: Act, args: &ActArgs, mut body: Map<String, Value>) -> Exit {
    if let Some(reason) = &args.reason {
        body.insert("reason".to_owned(), json!(reason));
    }
    if let Some(seq) = args.expect_seq {
        body.insert("expect_seq".to_owned(), json!(seq));
    }
    if args.write {
        body.insert("write".to_owned(), json!(true));
    }
    let client = match AdminClient::new(&args.admin) {
        Ok(client) => client,
        Err(error) => return failed(&error, &args.route),
    };
    let path = format!("/api/v1/routes/{}/{}", args.route, act.as_str());
    let mut answer = client.act(&path, &Value::Object(body.clone()), &claimed());
    if let Err(AdminError::Refused { detail, problem, .. }) = &answer
        && problem["code"] == "unasked"
    {
        match term::agrees(&format!("`{}` -> {}: {detail}. Move it?", args.route, dial(&problem["to"]))) {
            Some(true) => {}
            Some(false) => {
                term::say("nothing was moved");
                return Exit::Findings;
            }
            None => {
                term::fail(detail, Some("say it with `--yes`"));
                return Exit::Findings;
            }
        }
        body.remove("unasked");
        // The question was about this move and no other.
        body.entry("expect_seq").or_insert_with(|| problem["seq"].clone());
        answer = client.act(&path, &Value::Object(body), &claimed());
    }
    let moved = match answer {
        Ok(moved) => moved,
        Err(error) => return failed(&error, &args.route),
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

/// 1: refused, whatever is wrong about it; 2: not reachable, or not made.
fn failed(error: &AdminError, route: &str) -> Exit {
    let AdminError::Refused { status: status @ (400 | 409 | 412), detail, .. } = error else {
        return not_found(error, route);
    };
    let help = match status {
        412 => Some("look at `multilith journal ROUTE`, then say it again with the new `--expect-seq`"),
        409 => Some("`multilith status` shows where the route stands"),
        // The wish is wrong at any stage of the route.
        _ => None,
    };
    term::fail(detail, help);
    Exit::Findings
}

/// The exit of a request that failed: there is no such route (1), or no proxy that answers (2).
pub fn not_found(error: &AdminError, route: &str) -> Exit {
    if let AdminError::Refused { status: 404, .. } = error {
        term::fail(&format!("there is no route `{route}`"), Some("`multilith status` has the names of the routes"));
        return Exit::Findings;
    }
    term::fail(&error.to_string(), error.help());
    Exit::Failed
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
        Act::Pause | Act::Resume if moved["latched"] == true => {
            let now = if act == Act::Pause { "paused" } else { "not paused any more" };
            format!("{route}  {now}; it stays rolled back at {to}: `multilith promote {route}` begins anew\n")
        }
        Act::Pause if moved["paused_all"] == true => format!(
            "{route}  paused at {to}, roll-backs too: it does not advance\n\
             NOT PROTECTED: whatever its gate finds, nothing but a person takes it back before `multilith resume {route}`\n"
        ),
        Act::Pause => format!("{route}  paused at {to}: it does not advance, and is rolled back if it must be\n"),
        Act::Resume => format!("{route}  goes on at {to}\n"),
        Act::Approve => {
            let stage = moved["to"]["stage"].as_str().unwrap_or("?");
            format!("{route}  may go on to the stage after {stage} when the gate is sure; it stands at {to}\n")
        }
    };
    if moved["local"] == true {
        text.push_str("ON THIS REPLICA ALONE: etcd of the fleet does not answer; the others are told when it does\n");
    }
    if moved["kept"] == false {
        text.push_str("NOT KEPT: the journal cannot be written, so a restart will not know of it\n");
    }
    text
}

/// The command that takes the route back, however far it was moved. Into a split only the file leads.
fn undo(act: Act, route: &str, moved: &Value) -> Option<String> {
    let verb = if act == Act::Promote { "rollback" } else { "promote" };
    let goal = match (moved["from"]["stage"].as_str()?, moved["from"]["weight"].as_str()) {
        ("split", _) => return None,
        ("canary", Some(weight)) => format!("--weight {weight}"),
        (stage, _) => format!("--to {stage}"),
    };
    // `promote` does not go to 0 %: a roll-back to no clients stays one.
    let goal = if goal == "--weight 0%" && verb == "promote" { return None } else { goal };
    // The stage may be one that needs it.
    let yes = if verb == "promote" && moved["from"]["stage"] != moved["to"]["stage"] { " --yes" } else { "" };
    Some(format!("multilith {verb} {route} {goal}{yes}"))
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
        let undone = |act, from: Value| undo(act, "read", &json!({ "from": from, "to": { "stage": "canary" } }));
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
        let latched = json!({ "route": "read", "to": { "stage": "canary", "weight": "0%" }, "latched": true });
        for act in [Act::Pause, Act::Resume] {
            assert!(told(act, &latched).contains("it stays rolled back at canary 0%"), "{act:?}");
        }
        let mut paused = json!({ "route": "read", "to": { "stage": "canary", "weight": "5%" } });
        assert!(told(Act::Pause, &paused).contains("rolled back if it must be"));
        paused["paused_all"] = json!(true);
        assert!(told(Act::Pause, &paused).contains("NOT PROTECTED"));
    }
}
