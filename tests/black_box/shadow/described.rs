//! The `OpenAPI` document says what the answers of the API hold: every key, with its type.

use serde_json::{Value, json};

use crate::edge::planning::ask;
use crate::harness::{Edge, Origin, Reply, eventually};
use crate::shadow::plan::shadowing;

/// What of a value a schema does not say, or says otherwise.
fn undescribed(document: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = document.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name} is nowhere"));
        return undescribed(document, schema, value, at, wrong);
    }
    if let Some(kinds) = schema["oneOf"].as_array() {
        let tried = kinds.iter().map(|kind| {
            let mut wrong = Vec::new();
            undescribed(document, kind, value, at, &mut wrong);
            wrong
        });
        wrong.extend(tried.min_by_key(Vec::len).unwrap_or_default());
        return;
    }
    if let Some(words) = schema["enum"].as_array() {
        if !words.contains(value) {
            wrong.push(format!("{at}: {value} is none of {words:?}"));
        }
        return;
    }
    if schema["type"].is_null() && schema["description"].is_string() {
        // It says in words that it is of any kind.
        return;
    }
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let is_allowed = allowed.contains(&is) || is == "integer" && allowed.contains(&"number");
    if !is_allowed {
        return wrong.push(format!("{at}: {is}, and not {allowed:?}"));
    }
    match value {
        Value::Array(items) => {
            for item in items {
                undescribed(document, &schema["items"], item, &format!("{at}[]"), wrong);
            }
        }
        Value::Object(members) => {
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !members.contains_key(name) {
                    wrong.push(format!("{at}.{name} is required and missing"));
                }
            }
            for (name, member) in members {
                let inner = [&schema["properties"][name], &schema["additionalProperties"]];
                match inner.into_iter().find(|schema| schema.is_object()) {
                    Some(inner) => undescribed(document, inner, member, &format!("{at}.{name}"), wrong),
                    None => wrong.push(format!("{at}.{name} is not described")),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn every_part_of_the_report_is_in_the_document_of_the_api() {
    let monolith = Origin::start(|request| match request.target() {
        b"/failed" => Reply::status("500 Oh No", &[], "x"),
        _ => Reply::status("200 OK", &["Content-Type: application/json"], "{\"name\":\"Ann\"}"),
    });
    let service = Origin::start(|request| match request.target() {
        b"/refused" => Reply::status("401 Unauthorized", &[], ""),
        b"/silent" => Reply::no_answer(),
        _ => Reply::status("200 OK", &["Content-Type: application/json"], "{\"name\":\"Bob\",\"more\":[1]}"),
    });
    let compare = "compare = { examples = \"values\", noise = { replay = \"0%\" } }\n";
    let edge = shadowing(&monolith, service.address(), compare);
    for target in ["/users?page=2", "/failed", "/refused", "/silent"] {
        edge.client().request("GET", target, &["Authorization: Bearer of-ann"]);
    }
    let report = eventually("all four are in the report", || {
        let report = edge.comparisons();
        let statuses = report["statuses"].as_array().map_or(0, Vec::len);
        (report["incomparable"]["control_failed"] == 1 && statuses >= 2 && report["compared"] == 2).then_some(report)
    });
    let (_, document) = edge.admin_json("GET", "/api/v1/openapi.json");
    let mut wrong = Vec::new();
    let schemas = &document["components"]["schemas"];
    undescribed(&document, &schemas["Comparisons"], &report, "report", &mut wrong);
    let (_, since) = edge.admin_json("GET", "/api/v1/routes/all/comparisons?since=5m");
    undescribed(&document, &schemas["Comparisons"], &since, "since", &mut wrong);
    let (_, route) = edge.admin_json("GET", "/api/v1/routes/all");
    for rate in ["mismatch_rate", "undecided_rate"] {
        undescribed(&document, &schemas["Route"]["properties"][rate], &route[rate], rate, &mut wrong);
    }
    let number = &report["fields"][0]["examples"][0]["number"];
    let (code, text) = crate::shadow::comparing::diff(&edge, &["--replay", &number.to_string(), "--json"]);
    let replayed: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{code} {error}: {text}"));
    undescribed(&document, &schemas["Replayed"], &replayed, "replayed", &mut wrong);
    assert!(wrong.is_empty(), "{}\n{report:#}", wrong.join("\n"));
    // The check itself sees what is not described.
    undescribed(&document, &schemas["Quantiles"], &json!({ "p50_seconds": "x", "p51": 1 }), "bad", &mut wrong);
    assert_eq!(wrong.len(), 3, "{wrong:?}");
}

#[test]
fn every_part_of_a_gate_of_the_journal_and_of_a_check_is_in_the_document_of_the_api() {
    let (monolith, service) = (Origin::saying("ok"), Origin::saying("ok"));
    let route = "[routes.mine]\npath = \"/\"\nservice = \"new\"\nstage = \"canary\"\nweight = \"50%\"\ngate = {}\n";
    let edge = Edge::before(&monolith).service("new", &service).with(route).start();
    let moved = edge.admin("POST", "/api/v1/routes/mine/promote");
    assert_eq!(moved.status(), 200, "{}", moved.text());
    let shown = eventually("what the gate goes by", || {
        edge.get("/");
        let shown = edge.admin_json("GET", "/api/v1/routes/mine").1;
        shown["gate"]["metrics"].as_object().is_some_and(|metrics| !metrics.is_empty()).then_some(shown)
    });
    let (_, journal) = edge.admin_json("GET", "/api/v1/journal?limit=1000");
    assert!(journal["entries"].as_array().is_some_and(|entries| !entries.is_empty()), "{journal:#}");
    let (status, found) =
        ask(&edge, "/api/v1/check", &json!({ "text": "[monolith]\nurl = \"${OF_NOBODY}\"\nurll = 3\n" }));
    assert!(status == 200 && found["diagnostics"].as_array().is_some_and(|found| !found.is_empty()), "{found:#}");
    let (_, progress) = edge.admin_json("GET", "/api/v1/progress");
    let (_, document) = edge.admin_json("GET", "/api/v1/openapi.json");
    let paths = &document["paths"];
    let answer = |path: &str, method: &str| {
        paths[path][method]["responses"]["200"]["content"]["application/json"]["schema"].clone()
    };
    let mut wrong = Vec::new();
    undescribed(&document, &document["components"]["schemas"]["Gate"], &shown["gate"], "gate", &mut wrong);
    undescribed(&document, &answer("/api/v1/journal", "get"), &journal, "journal", &mut wrong);
    undescribed(&document, &answer("/api/v1/check", "post"), &found, "check", &mut wrong);
    undescribed(&document, &answer("/api/v1/progress", "get"), &progress, "progress", &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
