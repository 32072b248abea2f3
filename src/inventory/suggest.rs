//! Routes to paste and an `OpenAPI` document, from what was learned.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::import::{Imported, ImportedService, ImportedSource};
use super::names::unique_route_name;
use super::report::{InventoryReport, LearnedEndpoint};

/// Routes in stage monolith, one a path, grouped by the first literal; only endpoints that no route takes yet. `names` are those
/// of other routes. A method that the inventory has no name for gets no route: one for all methods would take more than was seen.
#[must_use]
pub fn routes(report: &InventoryReport, mut names: BTreeSet<String>) -> String {
    let mut text = String::new();
    let mut group = None;
    for (path, endpoints) in by_path(report, |endpoint| endpoint.route.is_none()) {
        if endpoints.iter().all(|endpoint| endpoint.begins_with_one_value()) {
            let _ =
                writeln!(text, "# {path}: one word was seen in its first place; such a route would take everything\n");
            continue;
        }
        let first = path.split('/').find(|segment| !segment.is_empty() && !segment.contains('{')).unwrap_or("");
        if group.as_deref() != Some(first) {
            let _ = writeln!(text, "{}# /{first}", if text.is_empty() { "" } else { "\n" });
            group = Some(first.to_owned());
        }
        let named = endpoints.iter().filter(|endpoint| endpoint.method != "OTHER");
        let requests: u64 = named.map(|endpoint| endpoint.requests).sum();
        let mut methods: Vec<&str> = endpoints.iter().map(|endpoint| &*endpoint.method).collect();
        if methods.contains(&"GET") {
            methods.retain(|method| *method != "HEAD");
        }
        if let Some(other) = endpoints.iter().find(|endpoint| endpoint.method == "OTHER") {
            methods.retain(|method| *method != "OTHER");
            let requests = other.requests;
            let _ = writeln!(text, "# {path}: {requests} requests with methods that the inventory does not name");
        }
        if methods.is_empty() {
            text.push('\n');
            continue;
        }
        let name = unique_route_name(&mut names, &path);
        let _ = writeln!(text, "[routes.{name}] # {requests} requests");
        let _ = writeln!(text, "path = {}", quoted(&path));
        let methods: Vec<String> = methods.into_iter().map(quoted).collect();
        let _ = writeln!(text, "methods = [{}]", methods.join(", "));
        text.push_str("stage = \"monolith\"\n\n");
    }
    text
}

/// A whole routes file of an imported list: every route in stage monolith.
#[must_use]
pub fn routes_file(monolith: &str, imported: &Imported) -> String {
    let mut text = "[monolith]\n".to_owned();
    match imported.monolith.as_ref().filter(|_| monolith.is_empty()) {
        Some(service) => upstream(service, &mut text),
        None => {
            let _ = writeln!(text, "url = {}", quoted(monolith));
        }
    }
    for service in &imported.services {
        let _ = writeln!(text, "\n[services.{}]", service.name);
        upstream(service, &mut text);
    }
    let mut names = BTreeSet::new();
    for route in &imported.routes {
        text.push('\n');
        for comment in &route.comments {
            let _ = writeln!(text, "# {}", comment.replace(char::is_control, "\u{fffd}"));
        }
        let name = unique_route_name(&mut names, route.name.as_deref().map_or(&*route.path, |name| name));
        let _ = writeln!(text, "[routes.{name}]");
        if let Some(host) = &route.host {
            let _ = writeln!(text, "host = {}", quoted(host));
        }
        let _ = writeln!(text, "path = {}", quoted(&route.path));
        if !route.methods.is_empty() {
            let methods: Vec<String> = route.methods.iter().map(|method| quoted(method)).collect();
            let _ = writeln!(text, "methods = [{}]", methods.join(", "));
        }
        if let Some((source, name, value)) = &route.condition {
            let table = match source {
                ImportedSource::Header => "headers",
                ImportedSource::Cookie => "cookies",
                ImportedSource::Query => "query",
            };
            let _ = writeln!(text, "{table} = {{ {} = {} }}", quoted(name), quoted(value));
        }
        if let Some(service) = &route.service {
            let _ = writeln!(text, "service = {}", quoted(service));
        }
        let rewrites = [("path", &route.rewrite_path), ("host", &route.rewrite_host)];
        let rewrites: Vec<String> = rewrites
            .into_iter()
            .filter_map(|(key, value)| Some(format!("{key} = {}", quoted(value.as_ref()?))))
            .collect();
        if !rewrites.is_empty() {
            let _ = writeln!(text, "rewrite = {{ {} }}", rewrites.join(", "));
        }
        text.push_str("stage = \"monolith\"\n");
    }
    text
}

/// Several addresses with TLS have no URL that names the host.
fn addresses_host(service: &ImportedService) -> Option<(&str, &str)> {
    service.addresses.first().filter(|_| service.https)?.rsplit_once(':')
}

fn upstream(service: &ImportedService, text: &mut String) {
    let scheme = if service.https { "https" } else { "http" };
    match &service.addresses[..] {
        [address] if !address.starts_with("unix:") => {
            let _ = writeln!(text, "url = {}", quoted(&format!("{scheme}://{address}")));
        }
        addresses => {
            let addresses: Vec<String> = addresses.iter().map(|address| quoted(address)).collect();
            let _ = writeln!(text, "endpoints = [{}]", addresses.join(", "));
            if let Some((host, _)) = addresses_host(service) {
                let _ = writeln!(text, "tls = {{ server_name = {} }}", quoted(host));
            }
        }
    }
    if let Some(balance) = service.balance {
        let _ = writeln!(text, "balance = {}", quoted(balance));
    }
}

/// An `OpenAPI` 3.1 document of the endpoints. It has no place for methods beyond eight: those are named in its description.
#[must_use]
pub fn openapi(report: &InventoryReport) -> Value {
    let mut paths = Map::new();
    let mut without_place = Vec::new();
    for (path, endpoints) in by_path(report, |_| true) {
        let mut item = Map::new();
        for endpoint in endpoints {
            let parameters: Vec<Value> = endpoint
                .parameters
                .iter()
                .map(|parameter| {
                    let schema = match &*parameter.kind {
                        "numbers" => json!({"type": "integer"}),
                        "uuids" => json!({"type": "string", "format": "uuid"}),
                        _ => json!({"type": "string"}),
                    };
                    json!({"name": parameter.name, "in": "path", "required": true, "schema": schema, "description": parameter.why})
                })
                .collect();
            let mut operation = json!({
                "summary": format!("seen {} times", endpoint.requests),
                "responses": {"default": {"description": "not described: learned from traffic"}},
            });
            if !parameters.is_empty() {
                operation["parameters"] = Value::Array(parameters);
            }
            let method = endpoint.method.to_ascii_lowercase();
            if ["get", "put", "post", "delete", "options", "head", "patch", "trace"].contains(&&*method) {
                item.insert(method, operation);
            } else {
                without_place.push(format!("{} {path}", endpoint.method));
            }
        }
        if !item.is_empty() {
            paths.insert(path.replace("{*", "{"), Value::Object(item));
        }
    }
    let mut info = json!({"title": "learned from traffic by multilith", "version": "1"});
    if !without_place.is_empty() {
        let missing = without_place.join(", ");
        info["description"] = format!("OpenAPI 3.1 has no place for the methods of: {missing}").into();
    }
    json!({"openapi": "3.1.0", "info": info, "paths": paths})
}

fn by_path(
    report: &InventoryReport,
    wanted: impl Fn(&LearnedEndpoint) -> bool,
) -> BTreeMap<String, Vec<&LearnedEndpoint>> {
    let mut paths: BTreeMap<String, Vec<&LearnedEndpoint>> = BTreeMap::new();
    for endpoint in report.endpoints.iter().filter(|endpoint| wanted(endpoint)) {
        paths.entry(endpoint.path.clone()).or_default().push(endpoint);
    }
    for endpoints in paths.values_mut() {
        endpoints.sort_by(|one, other| one.method.cmp(&other.method));
    }
    paths
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(char);
            }
            // Variables are replaced in strings of routes.toml.
            '$' => quoted.push_str("$$"),
            char if char.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(char));
            }
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}
