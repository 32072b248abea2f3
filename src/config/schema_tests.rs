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

/// The forms that a value may have, a list's elements and a named table's entries among them.
fn forms(schema: &Value) -> impl Iterator<Item = &Value> {
    let any_of = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    any_of.chain(schema.get("items")).chain(schema.get("additionalProperties").filter(|named| named.is_object()))
}

/// A table whose keys say all that there is to say of it.
fn is_table(schema: &Value) -> bool {
    schema.get("properties").is_some() || schema.get("additionalProperties").is_some_and(is_table)
}

#[test]
fn every_key_has_a_description_and_says_what_holds_without_it() {
    fn walk(schema: &Value, path: &str, wrong: &mut Vec<String>) {
        let required = schema.get("required").and_then(Value::as_array);
        for (key, value) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if key == "$schema" {
                continue;
            }
            let path = format!("{path}.{key}");
            let about = value.get("description").and_then(Value::as_str).unwrap_or_default();
            let is_required = required.is_some_and(|names| names.iter().any(|name| name == key));
            let says =
                is_required || is_table(value) || ["Default: ", "Required"].iter().any(|word| about.contains(word));
            // A default alone is no sentence.
            if about.len() <= 3 || about.starts_with("Default: ") || !says {
                wrong.push(format!("{path}: {about}"));
            }
            walk(value, &path, wrong);
        }
        forms(schema).for_each(|form| walk(form, path, wrong));
    }
    let mut wrong = Vec::new();
    walk(&schema(), "", &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_route_needs_a_stage_and_takes_no_unknown_key() {
    let schema = schema();
    let route = at(&schema, &["routes", "NAME"]);
    assert_eq!(route["required"], serde_json::json!(["stage"]));
    assert_eq!(route["additionalProperties"], false);
}
