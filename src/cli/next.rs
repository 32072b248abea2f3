//! `multilith status --next`: what to take next, what may retire, what still reaches the monolith.

use std::fmt::Write as _;

use serde_json::Value;

use super::admin_client::{AdminClient, AdminError};
use super::{Exit, term};
use crate::inventory::NOT_SURE_YET;

pub fn next(client: &AdminClient, json: bool) -> Exit {
    let answer = client.get::<Value>("/api/v1/next").and_then(|steps| {
        let unreadable = || AdminError::Unreadable("it is no list of what is next".to_owned());
        if is_list_of_steps(&steps) { Ok(steps) } else { Err(unreadable()) }
    });
    match answer {
        Ok(steps) if json => term::json(&steps),
        Ok(steps) => term::out(&told(&steps)),
        Err(error) => {
            term::fail(&error.to_string(), error.help());
            return Exit::Failed;
        }
    }
    Exit::Fine
}

/// Another server may answer at the address that was given.
fn is_list_of_steps(answer: &Value) -> bool {
    let is_step = |step: &Value| step["kind"].is_string() && step["reasons"].is_array();
    answer.as_array().is_some_and(|all| all.iter().all(is_step))
}

fn told(steps: &Value) -> String {
    let all = steps.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut text = String::new();
    for (kind, title) in [
        ("leave", "The proxy may go"),
        ("zombie", "Moved, and the monolith still gets it"),
        ("retire", "May retire"),
        ("take", "To take next"),
    ] {
        let of_kind: Vec<&Value> = all.iter().filter(|step| step["kind"] == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        text.push_str(title);
        text.push('\n');
        for step in of_kind {
            let head = [&step["method"], &step["path"]].map(|part| part.as_str().unwrap_or(""));
            if !head[1].is_empty() {
                let _ = writeln!(text, "  {} {}", head[0], head[1]);
            }
            for reason in step["reasons"].as_array().into_iter().flatten() {
                let _ = writeln!(text, "      {}", reason.as_str().unwrap_or(""));
            }
            for line in step["toml"].as_str().unwrap_or("").lines() {
                let _ = writeln!(text, "      | {line}");
            }
        }
        text.push('\n');
    }
    if text.is_empty() {
        return format!("nothing to take yet: no endpoint is known that a service could take\n{NOT_SURE_YET}\n");
    }
    text.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_heading_and_its_reasons() {
        let step = |kind: &str, path: &str| serde_json::json!({"kind": kind, "method": "GET", "path": path, "share": 0.5, "reasons": ["it only reads"], "toml": "stage = \"monolith\"\n"});
        let text = told(&serde_json::json!([step("zombie", "/a"), step("take", "/b"), step("take", "/c")]));
        assert_eq!(
            text,
            "Moved, and the monolith still gets it\n  GET /a\n      it only reads\n      | stage = \"monolith\"\n\n\
             To take next\n  GET /b\n      it only reads\n      | stage = \"monolith\"\n  GET /c\n      it only reads\n      \
             | stage = \"monolith\"\n"
        );
        assert!(told(&serde_json::json!([])).starts_with("nothing to take yet"));
        for (answer, is_so) in
            [("[]", true), ("{}", false), ("{\"steps\": []}", false), ("[7]", false), ("null", false)]
        {
            let answer: Value = serde_json::from_str(answer).expect("JSON");
            assert_eq!(is_list_of_steps(&answer), is_so, "{answer}");
        }
        assert!(is_list_of_steps(&serde_json::json!([step("take", "/a")])));
    }
}
