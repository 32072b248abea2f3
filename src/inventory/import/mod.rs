//! Reads the route lists that frameworks print, as paths and methods; what is not taken is said.

mod django;
mod fastify;
mod flask;
mod json;
mod nginx;
mod openapi;
mod pattern;
mod rails;
mod spring;

use std::collections::BTreeMap;

use http::Method;

/// The program or the format of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListFormat {
    /// An `OpenAPI` 2 or 3 document in JSON or YAML.
    OpenApi,
    /// nginx.conf, or what `nginx -T` prints.
    Nginx,
    /// `manage.py show_urls` of django-extensions.
    Django,
    /// `bin/rails routes`, also `--expanded`.
    Rails,
    /// `php artisan route:list --json`.
    Laravel,
    /// The JSON of `express-list-endpoints`, or a list of its form.
    Express,
    /// The output of `fastify.printRoutes()`.
    Fastify,
    /// `/actuator/mappings`.
    Spring,
    /// `flask routes`.
    Flask,
}

/// A path with the methods that it takes; no methods are all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportedRoute {
    pub path: String,
    pub methods: Vec<String>,
    /// The route's name in the list, if it has one.
    pub name: Option<String>,
    pub host: Option<String>,
    /// The table, the name in it and its value.
    pub condition: Option<(ImportedSource, String, String)>,
    /// The service that answers it now, in place of the monolith.
    pub service: Option<String>,
    /// The path and Host that the service gets instead of the client's.
    pub rewrite_path: Option<String>,
    pub rewrite_host: Option<String>,
    /// For the reader of the file.
    pub comments: Vec<String>,
}

impl ImportedRoute {
    /// The service that answers, and the path and Host it gets in place of the client's.
    fn target(&self) -> [Option<&str>; 3] {
        [&self.service, &self.rewrite_path, &self.rewrite_host].map(Option::as_deref)
    }
}

/// Where a condition's value stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImportedSource {
    Header,
    Cookie,
    Query,
}

/// An upstream of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportedService {
    pub name: String,
    /// `host:port` or `unix:/path`.
    pub addresses: Vec<String>,
    pub https: bool,
    pub balance: Option<&'static str>,
}

/// A path, and what takes it in the program that the list comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedCase {
    pub host: Option<String>,
    pub path: String,
    /// As the list has it.
    pub location: String,
    /// The paths of the routes that it became; none if it was not taken.
    pub templates: Vec<String>,
}

/// A file that the list names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncludedFile {
    pub name: String,
    pub text: String,
}

/// Reads the files that a pattern names.
pub type Includes<'a> = &'a dyn Fn(&str) -> Result<Vec<IncludedFile>, &'static str>;

/// Something in the list that is no route of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedLine {
    pub what: String,
    pub why: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    pub routes: Vec<ImportedRoute>,
    pub services: Vec<ImportedService>,
    pub monolith: Option<ImportedService>,
    pub skipped: Vec<SkippedLine>,
    /// Notes on routes that were taken, and mean something a little different here.
    pub notes: Vec<String>,
    /// Paths by which the order of the list's rules can be compared with the precedence of routes.
    pub cases: Vec<ImportedCase>,
}

/// The list as a whole is not what it was said to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRead(pub String);

/// A list with more is none of routes: the largest published interfaces have some ten thousand.
const MOST_ROUTES: usize = 50_000;

/// Words for all methods; and more methods than any route is written for.
const EVERY_METHOD: &[&str] = &["ANY", "*", "_ALL", "ALL"];
const MOST_METHODS: usize = 20;
/// Methods that no route gets: they are answered with 405.
const REFUSED_METHODS: &[&str] = &["CONNECT", "TRACE", "TRACK"];

/// The note on a part of a path that takes slashes and has something behind it.
const ONE_SEGMENT: &str = "what takes slashes inside the path takes one segment here";
/// The note on a parameter with a pattern.
const ANY_VALUE: &str = "takes some values alone, here the segment may be any";
/// The note on a subdomain: lists name no domain that it is below.
const SUBDOMAIN: &str = "is asked under one subdomain alone, here under every host: name its `host`";

/// Reads a list. Paths that differ only in the names of their parameters become one route.
pub fn import(format: ListFormat, text: &str, includes: Includes<'_>) -> Result<Imported, NotRead> {
    let mut imported = Imported::default();
    match format {
        ListFormat::OpenApi => openapi::read(text, &mut imported)?,
        ListFormat::Nginx => nginx::read(text, includes, &mut imported)?,
        ListFormat::Laravel => json::laravel(text, &mut imported)?,
        ListFormat::Express => json::express(text, &mut imported)?,
        ListFormat::Spring => spring::read(text, &mut imported)?,
        ListFormat::Fastify => fastify::read(text, &mut imported),
        ListFormat::Django => django::read(text, &mut imported),
        ListFormat::Rails => rails::read(text, &mut imported),
        ListFormat::Flask => flask::read(text, &mut imported),
    }
    imported.join();
    if imported.routes.len() > MOST_ROUTES {
        return Err(NotRead(format!("the list has {} routes, more than {MOST_ROUTES}", imported.routes.len())));
    }
    Ok(imported)
}

impl Imported {
    fn route(&mut self, path: String, methods: Vec<String>) {
        self.add(ImportedRoute { path, methods, ..ImportedRoute::default() });
    }

    fn add(&mut self, mut route: ImportedRoute) {
        let (path, said) = with_good_names(&route.path);
        if let Some(said) = said {
            self.note(format!("{}: {said}", route.path));
        }
        route.path = path;
        let (methods, odd): (Vec<_>, Vec<_>) = std::mem::take(&mut route.methods)
            .into_iter()
            .partition(|method| Method::from_bytes(method.as_bytes()).is_ok());
        for method in &odd {
            self.skip(format!("{method} {}", route.path).trim_start(), "a method that is no token");
        }
        // Without methods it would take all.
        if odd.is_empty() || !methods.is_empty() {
            self.routes.push(ImportedRoute { methods, ..route });
        }
    }

    fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn skip(&mut self, what: impl Into<String>, why: &'static str) {
        self.skipped.push(SkippedLine { what: what.into(), why });
    }

    /// A line that is no route, unless it is blank: a warning that the program printed between its routes, or another program's list.
    fn skip_line(&mut self, line: &str) {
        let line = line.trim();
        if !line.is_empty() {
            self.skip(line, "not a route");
        }
    }

    fn join(&mut self) {
        let mut places: BTreeMap<_, ImportedRoute> = BTreeMap::new();
        for mut route in std::mem::take(&mut self.routes) {
            route.methods.iter_mut().for_each(|method| method.make_ascii_uppercase());
            // Some lists name every method that there is.
            if route.methods.len() > MOST_METHODS
                || route.methods.iter().any(|method| EVERY_METHOD.contains(&&**method))
            {
                route.methods.clear();
            }
            match places.entry((route.host.clone(), erased(&route.path), route.condition.clone())) {
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(route);
                }
                std::collections::btree_map::Entry::Occupied(mut place) => {
                    let known = place.get_mut();
                    if known.target() != route.target() {
                        self.skip(route.path, "another line with the same paths has another target, and stays");
                        continue;
                    }
                    // A name is one operation's; the path stands for all.
                    known.name = None;
                    known.comments.extend(route.comments);
                    known.comments.dedup();
                    let known = &mut known.methods;
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
            for method in route.methods.iter().filter(|method| REFUSED_METHODS.contains(&&***method)) {
                self.note(format!("{method} {}: it is answered with 405 here", route.path));
            }
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

/// The path with names of parameters as routes have them, and what is to be said of it: names have letters, digits and `_`, and
/// differ within a path. A part that takes slashes, as `{name+}`, `{+name}`, `{name*}` and `{name:.*}`, is a catch-all at the end.
fn with_good_names(path: &str) -> (String, Option<&'static str>) {
    let mut written = String::with_capacity(path.len());
    let mut names: Vec<String> = Vec::new();
    let mut rest = path;
    let mut said = None;
    while let Some((before, open)) = rest.split_once('{') {
        let Some((inside, behind)) = closed(open) else { break };
        let (name, pattern) = inside.split_once(':').map_or((inside, None), |(name, pattern)| (name, Some(pattern)));
        if name.contains(['{', '/']) {
            break;
        }
        written.push_str(before);
        let bare = name.trim_start_matches(['*', '+']).trim_end_matches(['*', '+']);
        let takes_slashes = bare.len() < name.len() || pattern.is_some_and(takes_slashes);
        let is_last = behind.is_empty() && before.ends_with('/');
        if takes_slashes && !is_last {
            said = Some(ONE_SEGMENT);
        } else if !takes_slashes && pattern.is_some_and(|pattern| pattern != "[^/]+") {
            said = said.or(Some(ANY_VALUE));
        }
        let star = if takes_slashes && is_last { "*" } else { "" };
        let stem: String = bare.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '_' }).collect();
        let stem = if stem.is_empty() { "id".to_owned() } else { stem };
        let mut name = stem.clone();
        let mut number = 2;
        while names.contains(&name) {
            name = format!("{stem}{number}");
            number += 1;
        }
        written.extend(["{", star, &name, "}"]);
        names.push(name);
        rest = behind;
    }
    (written + rest, said)
}

/// The text before the closing brace, and behind it; a pattern has braces of its own.
fn closed(open: &str) -> Option<(&str, &str)> {
    let mut depth = 0_u32;
    for (at, byte) in open.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some((&open[..at], &open[at + 1..])),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Whether the pattern of a parameter, or the word for one, takes several segments.
fn takes_slashes(pattern: &str) -> bool {
    let outside = pattern.replace("[^/]", "");
    pattern == "path" || outside.contains(".*") || outside.contains(".+") || outside.contains('/')
}

/// Where a list has parameters in a notation of its own, braces stand for themselves.
fn with_literal_braces(path: &str) -> String {
    path.replace('{', "%7B").replace('}', "%7D")
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
        if segment.contains(['(', ')', '?', '+', '[', '\\', '{', '}']) {
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
                if name.is_empty() || behind.contains([':', '*']) {
                    return None;
                }
                written.push(format!("{before}{{{name}}}{behind}"));
            }
        }
    }
    Some(written.join("/"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The result of a list: methods, host and path of each route; behind `-` what is not taken; the notes.
    pub fn said(format: ListFormat, text: &str) -> Vec<String> {
        let imported = import(format, text, &|_| Err("no files")).expect("it is read");
        let routes = imported.routes.into_iter();
        let routes =
            routes.map(|route| format!("{} {}{}", route.methods.join("|"), route.host.unwrap_or_default(), route.path));
        routes
            .chain(imported.skipped.into_iter().map(|skipped| format!("- {}: {}", skipped.what, skipped.why)))
            .chain(imported.notes.into_iter().map(|note| format!("note: {note}")))
            .collect()
    }

    fn lines(format: ListFormat, text: &str) -> Vec<String> {
        said(format, text).into_iter().filter(|line| !line.starts_with("note: ")).collect()
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
    fn a_line_that_is_no_route_is_told_and_a_heading_is_not() {
        for (format, text) in [
            (ListFormat::Django, "/a\tviews.a\n\nWARNING: x\n"),
            (
                ListFormat::Rails,
                "Routes for application:\n Prefix Verb URI Pattern Controller#Action\n a GET /a a#b\n\nWARNING: x\n",
            ),
            (
                ListFormat::Rails,
                "--[ Route 1 ]---\nPrefix            | a\nVerb              | GET\nURI               | /a\nController#Action | a#b\nSource Location   | config/routes.rb:1\nWARNING: x\n",
            ),
            (
                ListFormat::Flask,
                "Endpoint  Methods  Rule\n--------  -------  ----\na         GET      /a\n\nWARNING: x\n",
            ),
            (ListFormat::Fastify, "└── /a (GET)\n    │   • (onRequest) [\"check()\"]\n\nWARNING: x\n"),
        ] {
            let found = lines(format, text);
            assert_eq!(found.len(), 2, "{format:?}: {found:?}");
            assert!(found[0].ends_with(" /a"), "{format:?}: {found:?}");
            assert_eq!(found[1], "- WARNING: x: not a route", "{format:?}");
        }
    }

    #[test]
    fn braces_that_are_no_parameter_stand_for_themselves() {
        for (format, list) in [
            (ListFormat::Flask, "Endpoint  Methods  Rule\n--------  -------  ----\na         GET      /{x}/<y>/a}b\n"),
            (ListFormat::Django, "/{x}/<str:y>/a}b\tview\n"),
            (ListFormat::Rails, "a GET /{x}/:y/a}b a#b\n"),
            (ListFormat::Fastify, "└── /{x}/:y/a}b (GET)\n"),
        ] {
            let found = said(format, list);
            assert!(found.len() == 1 && found[0].ends_with(" /%7Bx%7D/{y}/a%7Db"), "{format:?}: {found:?}");
        }
        let odd = r#"[{"path":"/a}b/:c","methods":["GET"]}]"#;
        assert_eq!(said(ListFormat::Express, odd), ["- /a}b/:c: two parameters in a segment, or a pattern"]);
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
    fn flask_laravel_express_and_spring_are_read() {
        for (format, text, expected) in [
            (
                ListFormat::Flask,
                "Endpoint  Methods    Rule\n--------  ---------  -----------------------\nindex     GET, POST  /\nstatic    GET        /static/<path:filename>\nuser      GET        /u/<int:id>\n",
                vec!["GET|POST /", "GET /static/{*filename}", "GET /u/{id}"],
            ),
            (
                ListFormat::Laravel,
                r#"[{"domain":null,"method":"GET|HEAD","uri":"users/{id?}","name":null},{"domain":"{tenant}.b","method":"GET","uri":"x"}]"#,
                vec!["GET /users", "GET /users/{id}", "- x: a domain with a parameter"],
            ),
            (
                ListFormat::Express,
                r#"[{"path":"/users/:id","methods":["GET","PUT"]},{"path":"/users/:name","methods":["DELETE"]},{"path":"/a(b)?","methods":["GET"]}]"#,
                vec!["DELETE|GET|PUT /users/{id}", "- /a(b)?: two parameters in a segment, or a pattern"],
            ),
            (
                ListFormat::Spring,
                r#"{"contexts":{"a":{"mappings":{"dispatcherServlets":{"d":[{"predicate":"p","details":{"requestMappingConditions":{"methods":["GET"],"patterns":["/o/{id:[0-9]+}","/f/**"]}}},{"predicate":"/webjars/**"}]}}}}}"#,
                vec!["GET /f/{*rest}", "GET /o/{id}", "- /webjars/**: no request mapping"],
            ),
        ] {
            assert_eq!(lines(format, text), expected);
        }
    }
}
