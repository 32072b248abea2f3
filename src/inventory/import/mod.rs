//! Reads the route lists that frameworks print, as paths and methods; what is not taken is said.

mod django;
mod json;
mod rails;
mod text;

use std::collections::BTreeMap;

/// What prints the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListFormat {
    /// An `OpenAPI` 2 or 3 document in JSON.
    OpenApi,
    /// `manage.py show_urls` of django-extensions.
    Django,
    /// `bin/rails routes`, also `--expanded`.
    Rails,
    /// `php artisan route:list --json`.
    Laravel,
    /// The JSON of `express-list-endpoints`.
    Express,
    /// `/actuator/mappings`.
    Spring,
    /// `flask routes`.
    Flask,
}

/// A path with the methods that it takes; no methods are all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedRoute {
    pub path: String,
    pub methods: Vec<String>,
}

/// Something in the list that is no route of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedLine {
    pub what: String,
    pub why: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    pub routes: Vec<ImportedRoute>,
    pub skipped: Vec<SkippedLine>,
}

/// The list as a whole is not what it was said to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRead(pub String);

/// Reads a list. Paths that differ only in the names of their parameters become one route.
pub fn import(format: ListFormat, text: &str) -> Result<Imported, NotRead> {
    let mut imported = Imported::default();
    match format {
        ListFormat::OpenApi => json::openapi(text, &mut imported)?,
        ListFormat::Laravel => json::laravel(text, &mut imported)?,
        ListFormat::Express => json::express(text, &mut imported)?,
        ListFormat::Spring => json::spring(text, &mut imported)?,
        ListFormat::Django => django::read(text, &mut imported),
        ListFormat::Rails => rails::read(text, &mut imported),
        ListFormat::Flask => text::flask(text, &mut imported),
    }
    imported.join();
    Ok(imported)
}

impl Imported {
    fn route(&mut self, path: String, methods: Vec<String>) {
        self.routes.push(ImportedRoute { path, methods });
    }

    fn skip(&mut self, what: impl Into<String>, why: &'static str) {
        self.skipped.push(SkippedLine { what: what.into(), why });
    }

    fn join(&mut self) {
        let mut places: BTreeMap<String, ImportedRoute> = BTreeMap::new();
        for mut route in std::mem::take(&mut self.routes) {
            route.methods.retain(|method| method != "ANY" && method != "*");
            route.methods.iter_mut().for_each(|method| method.make_ascii_uppercase());
            match places.entry(erased(&route.path)) {
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(route);
                }
                std::collections::btree_map::Entry::Occupied(mut place) => {
                    let known = &mut place.get_mut().methods;
                    if route.methods.is_empty() || known.is_empty() {
                        known.clear();
                    } else {
                        known.extend(route.methods);
                    }
                }
            }
        }
        for route in places.values_mut() {
            route.methods.sort();
            route.methods.dedup();
            if route.methods.iter().any(|method| method == "GET") {
                route.methods.retain(|method| method != "HEAD");
            }
        }
        self.routes = places.into_values().collect();
    }
}

/// The path without the names of its parameters.
fn erased(path: &str) -> String {
    let mut erased = String::with_capacity(path.len());
    let mut inside = false;
    for char in path.chars() {
        match char {
            '{' => {
                inside = true;
                erased.push('{');
            }
            '}' => {
                inside = false;
                erased.push('}');
            }
            '*' => erased.push('*'),
            char if !inside => erased.push(char),
            _ => {}
        }
    }
    erased
}

/// With one slash before it, and without one doubled.
fn rooted(path: &str) -> String {
    let mut rooted = String::with_capacity(path.len() + 1);
    rooted.push('/');
    for char in path.chars() {
        if char != '/' || !rooted.ends_with('/') {
            rooted.push(char);
        }
    }
    rooted
}

/// `:id` becomes `{id}`, a final `*path` or `*` becomes `{*rest}`. `None` where a star or a pattern stands elsewhere.
fn colons(path: &str) -> Option<String> {
    let segments: Vec<&str> = path.split('/').collect();
    let mut written = Vec::with_capacity(segments.len());
    for (at, segment) in segments.iter().enumerate() {
        if segment.contains(['(', ')', '?', '+', '[', '\\']) {
            return None;
        }
        if let Some(name) = segment.strip_prefix('*') {
            if at + 1 != segments.len() {
                return None;
            }
            written.push(format!("{{*{}}}", if name.is_empty() { "rest" } else { name }));
            continue;
        }
        match segment.split_once(':') {
            None if segment.contains('*') => return None,
            None => written.push((*segment).to_owned()),
            Some((before, name)) => {
                let end = name.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(name.len());
                let (name, behind) = name.split_at(end);
                if name.is_empty() || behind.contains(':') {
                    return None;
                }
                written.push(format!("{before}{{{name}}}{behind}"));
            }
        }
    }
    Some(written.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(format: ListFormat, text: &str) -> Vec<String> {
        let imported = import(format, text).expect("it is read");
        let routes = imported.routes.into_iter().map(|route| format!("{} {}", route.methods.join("|"), route.path));
        routes
            .chain(imported.skipped.into_iter().map(|skipped| format!("- {}: {}", skipped.what, skipped.why)))
            .collect()
    }

    #[test]
    fn rails_routes_are_read_as_a_table_and_expanded() {
        let table = "   Prefix Verb   URI Pattern               Controller#Action\n    users GET    /users(.:format)          users#index\n          POST   /users(.:format)          users#create\n     user GET    /users/:id(.:format)      users#show\n          PATCH  /users/:id(.:format)      users#update\n    pages GET    /pages/*path(.:format)    pages#show\n          GET    /x/*a/b(.:format)         x#y\n";
        let expected = [
            "GET|POST /users",
            "GET|POST /users.{format}",
            "GET /pages/{*path}",
            "GET|PATCH /users/{id}",
            "- /x/*a/b: a glob or a pattern inside the path",
            "- /x/*a/b.:format: a glob or a pattern inside the path",
        ];
        let mut found = lines(ListFormat::Rails, table);
        found.sort();
        let mut expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
        expected.sort();
        assert_eq!(found, expected);
        let expanded = "--[ Route 1 ]----\nPrefix            | user\nVerb              | DELETE\nURI               | /users/:id(.:format)\nController#Action | users#destroy\n";
        assert_eq!(lines(ListFormat::Rails, expanded), ["DELETE /users/{id}"]);
    }

    #[test]
    fn django_urls_are_read() {
        let urls = "/\tshop.views.home\thome\n/orders/<int:pk>/\tshop.views.order\torder\n/files/<path:name>\tshop.views.file\n/old/(?P<year>[0-9]{4})/$\tshop.views.old\n/(a|b)/\tshop.views.ab\n";
        let mut found = lines(ListFormat::Django, urls);
        found.sort();
        assert_eq!(
            found,
            [" /", " /files/{*name}", " /old/{year}/", " /orders/{pk}/", "- /(a|b)/: a regular expression"]
        );
    }

    #[test]
    fn flask_laravel_express_spring_and_openapi_are_read() {
        for (format, text, expected) in [
            (
                ListFormat::Flask,
                "Endpoint  Methods    Rule\n--------  ---------  -----------------------\nindex     GET, POST  /\nstatic    GET        /static/<path:filename>\nuser      GET        /u/<int:id>\n",
                vec!["GET|POST /", "GET /static/{*filename}", "GET /u/{id}"],
            ),
            (
                ListFormat::Laravel,
                r#"[{"domain":null,"method":"GET|HEAD","uri":"users/{id?}","name":null},{"domain":"a.b","method":"GET","uri":"x"}]"#,
                vec!["GET /users", "GET /users/{id}", "- x: a route of one domain"],
            ),
            (
                ListFormat::Express,
                r#"[{"path":"/users/:id","methods":["GET","PUT"]},{"path":"/users/:name","methods":["DELETE"]},{"path":"/a(b)?","methods":["GET"]}]"#,
                vec!["DELETE|GET|PUT /users/{id}", "- /a(b)?: a regular expression"],
            ),
            (
                ListFormat::Spring,
                r#"{"contexts":{"a":{"mappings":{"dispatcherServlets":{"d":[{"predicate":"p","details":{"requestMappingConditions":{"methods":["GET"],"patterns":["/o/{id:[0-9]+}","/f/**"]}}},{"predicate":"/webjars/**"}]}}}}}"#,
                vec!["GET /f/{*rest}", "GET /o/{id}", "- /webjars/**: no request mapping"],
            ),
            (
                ListFormat::OpenApi,
                r##"{"openapi":"3.1.0","servers":[{"url":"https://a/v1/"}],"paths":{"/o/{id}":{"get":{},"parameters":[{"$ref":"#/paths"}]},"/x":{"$ref":"other.json"}}}"##,
                vec!["GET /v1/o/{id}", "- /x: a reference to another document"],
            ),
        ] {
            assert_eq!(lines(format, text), expected);
        }
        assert!(import(ListFormat::OpenApi, "paths: {}").is_err());
    }
}
