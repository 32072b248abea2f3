//! The JSON Schema says what the decoder takes.

use serde_json::Value;

use super::schema;

fn at<'v>(schema: &'v Value, path: &[&str]) -> &'v Value {
    path.iter().fold(schema, |schema, key| {
        // A table that may also be a word or a switch.
        let is_table = |form: &&Value| form.get("properties").is_some();
        let forms = schema.get("anyOf").and_then(Value::as_array);
        let schema = forms.and_then(|forms| forms.iter().find(is_table)).unwrap_or(schema);
        let properties = schema.get("properties").and_then(|properties| properties.get(key));
        properties.or_else(|| schema.get("additionalProperties")).unwrap_or_else(|| panic!("no `{key}` in {schema}"))
    })
}

#[test]
fn every_key_of_the_contract_is_in_the_schema() {
    let schema = schema();
    for path in [
        &["server", "tls", "certificates"][..],
        &["server", "force", "from"],
        &["monolith", "retired"],
        &["monolith", "timeouts", "answer"],
        &["services", "NAME", "discover", "etcd", "prefix"],
        &["services", "NAME", "timeouts", "total"],
        &["services", "NAME", "sandbox"],
        &["routes", "NAME", "variants", "BLUE", "headers"],
        &["routes", "NAME", "shadow", "compare", "noise", "per_second"],
        &["routes", "NAME", "auth", "jwt", "forward"],
        &["routes", "NAME", "auth", "jwt", "required"],
        &["routes", "NAME", "auth", "jwt", "revoked", "etcd", "prefix"],
        &["routes", "NAME", "auth", "forward", "cache_by"],
        &["routes", "NAME", "auth", "exchange", "exchange"],
        &["routes", "NAME", "shadow", "credentials", "from"],
        &["routes", "NAME", "rate_limit", "burst"],
        &["limits", "upgraded_idle"],
        &["limits", "buffer_disk"],
        &["monolith", "buffer", "request"],
        &["routes", "NAME", "buffer", "answer"],
        &["matching", "trailing_slash"],
        &["metrics", "buckets"],
        &["tracing", "otlp"],
        &["logs", "sample"],
        &["gate", "steps"],
        &["fleet", "etcd", "password"],
        &["fleet", "ttl"],
        &["fleet", "secret"],
        &["fleet", "order"],
        &["routes", "NAME", "gate", "on_fail"],
    ] {
        assert!(at(&schema, path).is_object(), "{path:?}");
    }
}

#[test]
fn every_key_has_a_description() {
    fn walk(schema: &Value, path: &str) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        for (key, schema) in properties.iter().filter(|(key, _)| *key != "$schema") {
            let described = schema.get("description").and_then(Value::as_str).is_some_and(|text| text.len() > 3);
            assert!(described, "{path}.{key}");
            walk(schema, &format!("{path}.{key}"));
            if let Some(named) = schema.get("additionalProperties") {
                walk(named, &format!("{path}.{key}.NAME"));
            }
        }
    }
    walk(&schema(), "");
}

#[test]
fn a_route_needs_a_stage_and_takes_no_unknown_key() {
    let schema = schema();
    let route = at(&schema, &["routes", "NAME"]);
    assert_eq!(route["required"], serde_json::json!(["stage"]));
    assert_eq!(route["additionalProperties"], false);
}
