//! Lists in JSON: Laravel and Express.

use serde_json::{Map, Value};

use super::{Imported, ImportedRoute, NotRead, colons, rooted};

/// Characters that may stand before an optional parameter, and go with it.
const SEPARATORS: [char; 10] = ['/', ',', ';', '.', ':', '-', '_', '~', '*', '+'];

pub(super) fn parse(text: &str) -> Result<Value, NotRead> {
    serde_json::from_str(text).map_err(|error| NotRead(format!("this is no JSON: {error}")))
}

pub(super) fn object<'a>(value: &'a Value, key: &str) -> Option<&'a Map<String, Value>> {
    value.get(key)?.as_object()
}

pub fn laravel(text: &str, imported: &mut Imported) -> Result<(), NotRead> {
    let list = parse(text)?;
    let list = list.as_array().ok_or_else(|| NotRead("the list of routes is no array".to_owned()))?;
    let mut has_parameters = false;
    for route in list {
        let (Some(uri), Some(methods)) = (text_of(route, "uri"), text_of(route, "method")) else {
            imported.skip(route.to_string(), "no `uri` or no `method`");
            continue;
        };
        let host = text_of(route, "domain").filter(|host| !host.is_empty());
        if host.is_some_and(|host| host.contains('{')) {
            imported.skip(uri, "a domain with a parameter");
            continue;
        }
        let methods: Vec<String> = methods.split('|').map(str::to_owned).collect();
        has_parameters |= uri.contains('{');
        let mut path = rooted(&uri.replace("{fallbackPlaceholder}", "{*fallbackPlaceholder}"));
        // Optional parameters stand at the end: each may be missing, with all behind it and the separator before it.
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
            path.truncate(path.rfind('{').unwrap_or(0));
            if path.ends_with(SEPARATORS) {
                path.pop();
            }
        }
    }
    if has_parameters {
        imported.note("patterns that `where` gives to parameters are not in the list: each takes one segment here");
    }
    Ok(())
}

pub(super) fn text_of<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

pub(super) fn texts(of: &Value, key: &str) -> Vec<String> {
    let values = of.get(key).and_then(Value::as_array).into_iter().flatten();
    values.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The value of `methods`: a list, or a text with `,` or `|` between them.
pub(super) fn methods(of: &Value) -> Result<Vec<String>, &'static str> {
    match of.get("methods") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(text.split([',', '|']).map(|method| method.trim().to_owned()).collect()),
        Some(Value::Array(list)) => {
            let list: Option<Vec<_>> = list.iter().map(|method| method.as_str().map(str::to_owned)).collect();
            list.ok_or("a method that is no text")
        }
        Some(_) => Err("its `methods` are no list"),
    }
}

pub fn express(text: &str, imported: &mut Imported) -> Result<(), NotRead> {
    let list = parse(text)?;
    let list = list.as_array().ok_or_else(|| NotRead("the list of endpoints is no array".to_owned()))?;
    for route in list {
        let Some(path) = text_of(route, "path") else {
            imported.skip(route.to_string(), "no `path`");
            continue;
        };
        let methods = match methods(route) {
            // None at all is not the same as all.
            Ok(methods) if methods.is_empty() => {
                imported.skip(path, "no method");
                continue;
            }
            Ok(methods) => methods,
            Err(why) => {
                imported.skip(path, why);
                continue;
            }
        };
        if path.starts_with("/^") {
            imported.skip(path, "a regular expression");
            continue;
        }
        for path in with_optional(path) {
            let repeated = repeated(&path);
            match colons(repeated.as_deref().unwrap_or(&path)) {
                Some(template) => {
                    if repeated.is_some() {
                        imported.note(format!("{path}: the path without its last segment is taken, too"));
                    }
                    imported.route(rooted(&template), Vec::clone(&methods));
                }
                None => imported.skip(path, "two parameters in a segment, or a pattern"),
            }
        }
    }
    if list.is_empty() {
        imported.note("express-list-endpoints finds nothing in Express 5: write the list with `app.router.stack`, as `--help` says");
    }
    Ok(())
}

/// `/a/:b*` of Express 4, which takes one segment or more, with a star as Express 5 has it.
fn repeated(path: &str) -> Option<String> {
    let (before, name) = path.strip_suffix('*')?.rsplit_once("/:")?;
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then(|| format!("{before}/*{name}"))
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

#[cfg(test)]
mod tests {
    use super::super::ListFormat;
    use super::super::tests::said;

    #[test]
    fn a_fallback_of_laravel_takes_all_below() {
        let list = r#"[{"domain":"","method":"GET|HEAD","uri":"{fallbackPlaceholder}"},
            {"domain":null,"method":"GET|HEAD","uri":"api/{fallbackPlaceholder}"},
            {"domain":null,"method":"GET|HEAD","uri":"archive-{year?}"}]"#;
        let where_note =
            "note: patterns that `where` gives to parameters are not in the list: each takes one segment here";
        assert_eq!(
            said(ListFormat::Laravel, list),
            [
                "GET /api/{*fallbackPlaceholder}",
                "GET /archive",
                "GET /archive-{year}",
                "GET /{*fallbackPlaceholder}",
                where_note
            ]
        );
    }

    #[test]
    fn a_parameter_of_express_with_a_star_takes_all_below() {
        let list = r#"[{"path":"/f/:p*","methods":["GET"]},{"path":"/g/:p*?","methods":["GET"]},{"path":"/h/:p*/x","methods":["GET"]},
            {"path":"/i/x:p*","methods":["GET"]},{"path":"/j/:o-:p*","methods":["GET"]}]"#;
        assert_eq!(
            said(ListFormat::Express, list),
            [
                "GET /f/{*p}",
                "GET /g",
                "GET /g/{*p}",
                "- /h/:p*/x: two parameters in a segment, or a pattern",
                "- /i/x:p*: two parameters in a segment, or a pattern",
                "- /j/:o-:p*: two parameters in a segment, or a pattern",
                "note: /f/:p*: the path without its last segment is taken, too",
                "note: /g/:p*: the path without its last segment is taken, too",
            ]
        );
    }

    #[test]
    fn methods_of_express_are_a_list_or_a_text_and_nothing_else() {
        let list = r#"[{"path":"/a","methods":"get"},{"path":"/b","methods":"GET, PUT"},{"path":"/c","methods":[]},{"path":"/d"},
            {"path":"/e","methods":["GET","NO GOOD"]},{"path":"/f","methods":["NO GOOD"]},{"path":"/g","methods":{}},
            {"path":"/h","methods":[1]},{"path":"/i","methods":""},{"path":"/j","methods":["TRACE"]}]"#;
        assert_eq!(
            said(ListFormat::Express, list),
            [
                "GET /a",
                "GET|PUT /b",
                "GET /e",
                "TRACE /j",
                "- /c: no method",
                "- /d: no method",
                "- NO GOOD /e: a method that is no token",
                "- NO GOOD /f: a method that is no token",
                "- /g: its `methods` are no list",
                "- /h: a method that is no text",
                "- /i: a method that is no token",
                "note: TRACE /j: it is answered with 405 here",
            ]
        );
    }
}
