//! `/actuator/mappings` of Spring Boot: request mappings, and servlets beside the dispatcher.

use serde_json::{Map, Value};

use super::json::{methods, object, parse, text_of, texts};
use super::{ANY_VALUE, Imported, NotRead, rooted};

/// The part that the actuator leaves out.
const CONTEXT_PATH: &str = "`server.servlet.context-path` (`spring.webflux.base-path`) is not in the list: where it is set, write it before each path";

pub fn read(text: &str, imported: &mut Imported) -> Result<(), NotRead> {
    let document = parse(text)?;
    let contexts = object(&document, "contexts").ok_or_else(|| NotRead("the document has no `contexts`".to_owned()))?;
    for (name, context) in contexts {
        let Some(mappings) = object(context, "mappings") else {
            imported.skip(name, "a context without `mappings`");
            continue;
        };
        let servlets: Vec<&Value> = list(mappings, "servlets").collect();
        for (key, value) in mappings {
            match (&**key, value) {
                ("dispatcherServlets" | "dispatcherHandlers", Value::Object(dispatchers)) => {
                    for (dispatcher, mappings) in dispatchers {
                        let base = base_of(dispatcher, &servlets);
                        for mapping in mappings.as_array().into_iter().flatten() {
                            request_mapping(mapping, &base, imported);
                        }
                    }
                }
                ("servlets", Value::Array(_)) => {
                    let others =
                        |servlet: &&&Value| !text_of(servlet, "name").is_some_and(|name| is_dispatcher(name, mappings));
                    servlets.iter().filter(others).for_each(|servlet| self::servlet(servlet, imported));
                }
                ("servletFilters", Value::Array(filters)) => {
                    let names: Vec<&str> = filters.iter().filter_map(|filter| text_of(filter, "name")).collect();
                    if !names.is_empty() {
                        imported.note(format!(
                            "what servlet filters answer by themselves is not taken: {}",
                            names.join(", ")
                        ));
                    }
                }
                _ => imported.skip(key, "no kind of mapping that is known"),
            }
        }
    }
    if !imported.routes.is_empty() {
        imported.note(CONTEXT_PATH);
    }
    Ok(())
}

fn list<'a>(of: &'a Map<String, Value>, key: &str) -> impl Iterator<Item = &'a Value> {
    of.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn is_dispatcher(name: &str, mappings: &Map<String, Value>) -> bool {
    mappings.get("dispatcherServlets").and_then(|all| all.get(name)).is_some()
}

/// The path below which a dispatcher's patterns are: `/api` where its servlet is mapped to `/api/*`.
fn base_of(dispatcher: &str, servlets: &[&Value]) -> String {
    let own = servlets.iter().find(|servlet| text_of(servlet, "name") == Some(dispatcher));
    let mut mapped = own.into_iter().flat_map(|servlet| texts(servlet, "mappings"));
    mapped.find_map(|pattern| pattern.strip_suffix("/*").map(str::to_owned)).unwrap_or_default()
}

fn request_mapping(mapping: &Value, base: &str, imported: &mut Imported) {
    let told = text_of(mapping, "predicate").unwrap_or("a mapping");
    let Some(conditions) = mapping.pointer("/details/requestMappingConditions") else {
        return imported.skip(told, "no request mapping");
    };
    let methods = match methods(conditions) {
        Ok(methods) => methods,
        Err(why) => return imported.skip(told, why),
    };
    let patterns = texts(conditions, "patterns");
    if patterns.is_empty() {
        return imported.skip(told, "a request mapping without a pattern");
    }
    for condition in ["headers", "params", "consumes", "produces"] {
        if !conditions.get(condition).and_then(Value::as_array).is_none_or(Vec::is_empty) {
            imported.note(format!("{}: its condition on `{condition}` is not taken", patterns.join(" ")));
        }
    }
    for pattern in patterns {
        match template(&pattern) {
            Some(path) => {
                if pattern.contains(':') {
                    imported.note(format!("{pattern}: {ANY_VALUE}"));
                }
                imported.route(rooted(&format!("{base}/{}", path.trim_start_matches('/'))), methods.clone());
            }
            None => imported.skip(pattern, "a pattern inside the path"),
        }
    }
}

/// A servlet that is no dispatcher takes all methods of its paths.
fn servlet(servlet: &Value, imported: &mut Imported) {
    for pattern in texts(servlet, "mappings") {
        match pattern.strip_suffix('*') {
            Some(before) if before.ends_with('/') => imported.route(format!("{before}{{*rest}}"), Vec::new()),
            // The default servlet.
            None if pattern == "/" => imported.route("/{*rest}".to_owned(), Vec::new()),
            None if !pattern.contains('*') => imported.route(rooted(&pattern), Vec::new()),
            _ => {
                let name = text_of(servlet, "name").unwrap_or("a servlet");
                imported.skip(format!("{pattern} ({name})"), "a servlet for an extension");
            }
        }
    }
}

/// `/**` at the end becomes `{*rest}`, `*` a parameter, `{id:[0-9]+}` loses its pattern.
fn template(pattern: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::super::ListFormat;
    use super::super::tests::said;

    #[test]
    fn servlets_filters_and_mappings_without_a_pattern_are_taken_or_said() {
        let list = r#"{"contexts":{"empty":{},"a":{"mappings":{
            "dispatcherServlets":{"dispatcherServlet":[
                {"predicate":"{GET}","details":{"requestMappingConditions":{"methods":["GET"],"patterns":[]}}},
                {"predicate":"{GET [/o]}","details":{"requestMappingConditions":{"methods":"GET","patterns":["/o"]}}}]},
            "servlets":[
                {"name":"dispatcherServlet","mappings":["/api/*"]},{"name":"default","mappings":[]},
                {"name":"h2","mappings":["/h2-console/*","/exact","*.jsp"]}],
            "servletFilters":[{"name":"requestContextFilter","urlPatternMappings":["/*"]}],
            "other":[]}}}}"#;
        let mut found = said(ListFormat::Spring, list);
        found.sort();
        assert_eq!(
            found,
            [
                " /exact",
                " /h2-console/{*rest}",
                "- *.jsp (h2): a servlet for an extension",
                "- empty: a context without `mappings`",
                "- other: no kind of mapping that is known",
                "- {GET}: a request mapping without a pattern",
                "GET /api/o",
                "note: `server.servlet.context-path` (`spring.webflux.base-path`) is not in the list: where it is set, write it before each path",
                "note: what servlet filters answer by themselves is not taken: requestContextFilter",
            ]
        );
    }
}
