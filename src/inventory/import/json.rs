//! Lists in JSON: Laravel, Express, Spring.

use serde_json::{Map, Value};

use super::{ANY_VALUE, Imported, ImportedRoute, NotRead, colons, rooted};

fn parse(text: &str) -> Result<Value, NotRead> {
    serde_json::from_str(text).map_err(|error| NotRead(format!("this is no JSON: {error}")))
}

fn object<'a>(value: &'a Value, key: &str) -> Option<&'a Map<String, Value>> {
    value.get(key)?.as_object()
}

pub fn laravel(text: &str, imported: &mut Imported) -> Result<(), NotRead> {
    let list = parse(text)?;
    let list = list.as_array().ok_or_else(|| NotRead("the list of routes is no array".to_owned()))?;
    for route in list {
        let (Some(uri), Some(methods)) = (text_of(route, "uri"), text_of(route, "method")) else {
            imported.skip(route.to_string(), "no `uri` or no `method`");
            continue;
        };
        let host = text_of(route, "domain");
        if host.is_some_and(|host| host.contains('{')) {
            imported.skip(uri, "a domain with a parameter");
            continue;
        }
        let methods: Vec<String> = methods.split('|').map(str::to_owned).collect();
        // Optional parameters stand at the end: each may be missing, with all behind it.
        let whole = rooted(uri);
        let mut path = whole.as_str();
        loop {
            imported.add(ImportedRoute {
                path: if path.is_empty() { "/".to_owned() } else { path.replace("?}", "}") },
                methods: methods.clone(),
                host: host.map(str::to_owned),
                ..ImportedRoute::default()
            });
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
        let methods: Vec<String> = methods.filter_map(Value::as_str).map(str::to_owned).collect();
        if path.starts_with("/^") {
            imported.skip(path, "a regular expression");
            continue;
        }
        for path in with_optional(path) {
            match colons(&path) {
                Some(template) => imported.route(rooted(&template), Vec::clone(&methods)),
                None => imported.skip(path, "two parameters in a segment, or a pattern"),
            }
        }
    }
    if list.is_empty() {
        imported.note("express-list-endpoints finds nothing in Express 5: write the list with `app.router.stack`, as `--help` says");
    }
    Ok(())
}

/// `/a/:b?` of Express 4 and `/a{/:b}` of Express 5, without and with what may be missing.
fn with_optional(path: &str) -> Vec<String> {
    let mut paths = vec![String::new()];
    let mut rest = path;
    while let Some((before, group, behind)) = optional(rest) {
        for path in &mut paths {
            path.push_str(before);
        }
        let with: Vec<String> = paths.iter().map(|path| format!("{path}{group}")).collect();
        paths.extend(with);
        rest = behind;
        // More groups are left as they are, and so said.
        if paths.len() > 8 {
            break;
        }
    }
    for path in &mut paths {
        path.push_str(rest);
    }
    paths
}

fn optional(path: &str) -> Option<(&str, &str, &str)> {
    if let Some((before, open)) = path.split_once('{') {
        let (group, behind) = open.split_once('}')?;
        return Some((before, group, behind));
    }
    let at = path.find('?')?;
    let slash = path[..at].rfind("/:")?;
    Some((&path[..slash], &path[slash..at], &path[at + 1..]))
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
            for condition in ["headers", "params", "consumes", "produces"] {
                if !conditions.get(condition).and_then(Value::as_array).is_none_or(Vec::is_empty) {
                    imported
                        .note(format!("{}: its condition on `{condition}` is not taken", list("patterns").join(" ")));
                }
            }
            for pattern in list("patterns") {
                match spring_template(&pattern) {
                    Some(path) => {
                        if pattern.contains(':') {
                            imported.note(format!("{pattern}: {ANY_VALUE}"));
                        }
                        imported.route(rooted(&path), methods.clone());
                    }
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
            text if text.starts_with('{') && text.ends_with('}') && is_one_variable(text) => {
                let name = text[1..text.len() - 1].split(':').next().unwrap_or("id");
                written.push(format!("{{{name}}}"));
            }
            text if text.contains('*') || (text.contains('{') && text.contains(':')) => return None,
            text => written.push(text.to_owned()),
        }
    }
    Some(written.join("/"))
}

/// Whether the brace that the text begins with is closed by its last.
fn is_one_variable(text: &str) -> bool {
    let mut depth = 0_usize;
    text.bytes().enumerate().all(|(at, byte)| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > 0 || at + 1 == text.len()
    })
}
