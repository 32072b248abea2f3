//! Lists in JSON: `OpenAPI`, Laravel, Express, Spring.

use serde_json::{Map, Value};

use super::{Imported, NotRead, colons, rooted};

const OPERATIONS: &[&str] = &["get", "put", "post", "delete", "options", "head", "patch", "trace"];

fn parse(text: &str) -> Result<Value, NotRead> {
    serde_json::from_str(text).map_err(|error| NotRead(format!("this is no JSON: {error}")))
}

fn object<'a>(value: &'a Value, key: &str) -> Option<&'a Map<String, Value>> {
    value.get(key)?.as_object()
}

/// References are not followed: a path item's operations are all that is looked at, so cycles do no harm.
pub fn openapi(text: &str, imported: &mut Imported) -> Result<(), NotRead> {
    let document = parse(text)?;
    let paths = object(&document, "paths").ok_or_else(|| NotRead("the document has no `paths`".to_owned()))?;
    let server = document.pointer("/servers/0/url").and_then(Value::as_str);
    let base = document.get("basePath").and_then(Value::as_str).or(server.map(path_of_url)).unwrap_or("");
    let base = if base.contains('{') { "" } else { base.trim_end_matches('/') };
    for (path, item) in paths {
        let Some(item) = item.as_object() else {
            imported.skip(path, "not a path item");
            continue;
        };
        let methods: Vec<String> =
            item.keys().filter(|key| OPERATIONS.contains(&&***key)).map(|key| key.to_ascii_uppercase()).collect();
        if methods.is_empty() {
            let why = if item.contains_key("$ref") { "a reference to another document" } else { "no operation" };
            imported.skip(path, why);
            continue;
        }
        imported.route(rooted(&format!("{base}/{}", path.trim_start_matches('/'))), methods);
    }
    Ok(())
}

fn path_of_url(url: &str) -> &str {
    match url.split_once("://") {
        Some((_, behind)) => behind.find('/').map_or("", |at| &behind[at..]),
        None => url,
    }
}

pub fn laravel(text: &str, imported: &mut Imported) -> Result<(), NotRead> {
    let list = parse(text)?;
    let list = list.as_array().ok_or_else(|| NotRead("the list of routes is no array".to_owned()))?;
    for route in list {
        let (Some(uri), Some(methods)) = (text_of(route, "uri"), text_of(route, "method")) else {
            imported.skip(route.to_string(), "no `uri` or no `method`");
            continue;
        };
        if route.get("domain").is_some_and(Value::is_string) {
            imported.skip(uri, "a route of one domain");
            continue;
        }
        let methods: Vec<String> = methods.split('|').map(str::to_owned).collect();
        // Optional parameters stand at the end: each may be missing, with all behind it.
        let whole = rooted(uri);
        let mut path = whole.as_str();
        loop {
            imported.route(if path.is_empty() { "/".to_owned() } else { path.replace("?}", "}") }, methods.clone());
            if !path.ends_with("?}") {
                break;
            }
            path = &path[..path.rfind('/').unwrap_or(0)];
        }
    }
    Ok(())
}

fn text_of<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

pub fn express(text: &str, imported: &mut Imported) -> Result<(), NotRead> {
    let list = parse(text)?;
    let list = list.as_array().ok_or_else(|| NotRead("the list of endpoints is no array".to_owned()))?;
    for route in list {
        let Some(path) = text_of(route, "path") else {
            imported.skip(route.to_string(), "no `path`");
            continue;
        };
        let methods = route.get("methods").and_then(Value::as_array).into_iter().flatten();
        let methods = methods.filter_map(Value::as_str).map(str::to_owned).collect();
        match colons(path) {
            Some(path) => imported.route(rooted(&path), methods),
            None => imported.skip(path, "a regular expression"),
        }
    }
    Ok(())
}

pub fn spring(text: &str, imported: &mut Imported) -> Result<(), NotRead> {
    let document = parse(text)?;
    let contexts = object(&document, "contexts").ok_or_else(|| NotRead("the document has no `contexts`".to_owned()))?;
    for context in contexts.values() {
        let Some(mappings) = object(context, "mappings") else { continue };
        let groups =
            ["dispatcherServlets", "dispatcherHandlers"].into_iter().filter_map(|key| mappings.get(key)?.as_object());
        for mapping in groups.flat_map(Map::values).filter_map(Value::as_array).flatten() {
            let Some(conditions) = mapping.pointer("/details/requestMappingConditions") else {
                imported.skip(text_of(mapping, "predicate").unwrap_or("a mapping"), "no request mapping");
                continue;
            };
            let list = |key: &str| {
                let values = conditions.get(key).and_then(Value::as_array).into_iter().flatten();
                values.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
            };
            let methods = list("methods");
            for pattern in list("patterns") {
                match spring_template(&pattern) {
                    Some(path) => imported.route(rooted(&path), methods.clone()),
                    None => imported.skip(pattern, "a pattern inside the path"),
                }
            }
        }
    }
    Ok(())
}

/// `/**` at the end becomes `{*rest}`, `*` a parameter, `{id:[0-9]+}` loses its pattern.
fn spring_template(pattern: &str) -> Option<String> {
    let segments: Vec<&str> = pattern.split('/').collect();
    let mut written = Vec::with_capacity(segments.len());
    for (at, segment) in segments.iter().enumerate() {
        let last = at + 1 == segments.len();
        match *segment {
            "**" if last => written.push("{*rest}".to_owned()),
            "*" => written.push(format!("{{any{at}}}")),
            text if text.starts_with('{') && text.ends_with('}') && text.matches('{').count() == 1 => {
                written.push(format!("{}}}", text.trim_end_matches('}').split(':').next().unwrap_or("{id")));
            }
            text if text.contains('*') || (text.contains('{') && text.contains(':')) => return None,
            text => written.push(text.to_owned()),
        }
    }
    Some(written.join("/"))
}
