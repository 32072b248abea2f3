//! `bin/rails routes`, as a table and with `--expanded`.

use std::collections::BTreeSet;

use super::{ANY_VALUE, Imported, ImportedRoute, SUBDOMAIN, colons, with_literal_braces};

/// Optional groups of one route that are written out.
const MOST_GROUPS: usize = 3;
/// Engines that are mounted within each other.
const MOST_ENGINES: usize = 8;

/// A line of the table, or a block of the expanded list.
struct Row<'a> {
    /// The engine whose routes these are; empty: the application's own.
    engine: &'a str,
    verb: &'a str,
    uri: &'a str,
    /// The action that answers, and behind it in braces its requirements.
    target: &'a str,
}

pub fn read(text: &str, imported: &mut Imported) {
    let mut rows: Vec<Row<'_>> = Vec::new();
    let (mut engine, mut verb) = ("", "");
    for line in text.lines() {
        if let Some(of) = line.trim_matches([' ', '[', ']', ':']).strip_prefix("Routes for ") {
            engine = if of == "application" { "" } else { of };
            continue;
        }
        match line.split_once('|').map(|(key, value)| (key.trim(), value.trim())) {
            Some(("Verb", value)) => verb = value,
            Some(("URI", uri)) => rows.push(Row { engine, verb: std::mem::take(&mut verb), uri, target: "" }),
            Some(("Controller#Action", target)) => {
                if let Some(row) = rows.last_mut() {
                    row.target = target;
                }
            }
            Some(("Prefix" | "Source Location", _)) => {}
            _ => match table(engine, line) {
                Some(row) => rows.push(row),
                None if line.trim().starts_with("Prefix ") || line.starts_with("--[ Route ") => {}
                None => imported.skip_line(line),
            },
        }
    }
    let listed: BTreeSet<&str> = rows.iter().map(|row| row.engine).collect();
    for row in &rows {
        let bases = bases(row.engine, &rows, MOST_ENGINES);
        if bases.is_empty() {
            imported.skip(row.uri, "a route of an engine, and the list does not say where that is mounted");
        }
        // The routes of an engine have a part of the list for themselves.
        if row.is_mount() && listed.contains(row.endpoint()) {
            continue;
        }
        for base in bases {
            route(row, &below(&base, row.uri), imported);
        }
    }
}

/// `users GET /users(.:format) users#index`; the first column may be empty, and the second: any method is taken.
fn table<'a>(engine: &'a str, line: &'a str) -> Option<Row<'a>> {
    let uri = line.split_ascii_whitespace().find(|word| word.starts_with('/') || word.starts_with("(/"))?;
    let (before, target) = line.split_once(uri)?;
    let is_verb = |word: &str| word.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'|' | b'-'));
    let words: Vec<&str> = before.split_ascii_whitespace().collect();
    let verb = match words[..] {
        [verb] | [_, verb] if is_verb(verb) => verb,
        [] | [_] => "",
        _ => return None,
    };
    Some(Row { engine, verb, uri, target: target.trim() })
}

impl<'a> Row<'a> {
    fn endpoint(&self) -> &'a str {
        self.target.split_once(" {").map_or(self.target, |(endpoint, _)| endpoint)
    }

    /// Whether an application is mounted here, which gets all below. It has no verb and no format, and is no action.
    fn is_mount(&self) -> bool {
        let endpoint = self.endpoint();
        let is_action = endpoint.split_once('#').is_some_and(|(controller, _)| !controller.is_empty());
        let is_other = is_action || endpoint.is_empty() || endpoint.starts_with("redirect(");
        self.verb.is_empty() && !self.uri.contains("(.:format)") && !is_other
    }

    /// Keys and values of `{:id=>/\d+/, :subdomain=>"api"}`, from Ruby 3.4 on `{id: /\d+/, subdomain: "api"}`.
    fn requirements(&self) -> Vec<(&'a str, &'a str)> {
        let Some((_, inside)) = self.target.split_once(" {") else { return Vec::new() };
        let inside = inside.trim_end_matches('}');
        let (mut parts, mut start, mut quote, mut escaped) = (Vec::new(), 0, None, false);
        for (at, char) in inside.char_indices() {
            match quote {
                _ if escaped => escaped = false,
                Some(_) if char == '\\' => escaped = true,
                Some(open) if char == open => quote = None,
                None if matches!(char, '"' | '/') => quote = Some(char),
                None if char == ',' => {
                    parts.push(&inside[start..at]);
                    start = at + 1;
                }
                _ => {}
            }
        }
        parts.push(&inside[start..]);
        let pair = |part: &'a str| match part.trim().strip_prefix(':') {
            Some(part) => part.split_once("=>"),
            None => part.trim().split_once(": "),
        };
        parts.into_iter().filter_map(pair).collect()
    }
}

/// The paths where an engine is mounted; that of the application is none.
fn bases(engine: &str, rows: &[Row<'_>], depth: usize) -> Vec<String> {
    if engine.is_empty() {
        return vec![String::new()];
    }
    let Some(depth) = depth.checked_sub(1) else { return Vec::new() };
    let mounts = rows.iter().filter(|row| row.is_mount() && row.endpoint() == engine);
    mounts.flat_map(|row| bases(row.engine, rows, depth).into_iter().map(|base| below(&base, row.uri))).collect()
}

fn below(base: &str, uri: &str) -> String {
    match uri {
        "/" if !base.is_empty() => base.to_owned(),
        _ if base == "/" => uri.to_owned(),
        _ => format!("{base}{uri}"),
    }
}

fn route(row: &Row<'_>, uri: &str, imported: &mut Imported) {
    let mut like = ImportedRoute {
        methods: row.verb.split('|').filter(|method| !method.is_empty()).map(str::to_owned).collect(),
        ..ImportedRoute::default()
    };
    for (key, value) in row.requirements() {
        let is_parameter = uri.contains(&format!(":{key}")) || uri.contains(&format!("*{key}"));
        let is_pattern = value.starts_with('/');
        let text = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        match (key, text) {
            _ if is_parameter && is_pattern => imported.note(format!("{uri}: {ANY_VALUE}")),
            ("host", Some(host)) => like.host = Some(host.to_owned()),
            ("subdomain", Some(subdomain)) => {
                imported.note(format!("{uri}: {SUBDOMAIN}"));
                like.comments.push(format!("only under the subdomain {subdomain}"));
            }
            ("protocol" | "domain" | "port", Some(_)) => {
                imported.note(format!("{uri}: its constraint on `{key}` is not taken"));
            }
            _ if is_pattern => imported.note(format!("{uri}: its constraint on `{key}` is not taken")),
            // A default restricts nothing.
            _ => {}
        }
    }
    let Some(paths) = groups(uri) else {
        imported.skip(uri, "too many optional groups");
        return;
    };
    for path in paths {
        let Some(mut template) = colons(&with_literal_braces(&path)) else {
            imported.skip(path, "a glob or a pattern inside the path");
            continue;
        };
        if row.is_mount() {
            template = format!("{}/{{*rest}}", template.trim_end_matches('/'));
        } else if template.is_empty() {
            template.push('/');
        }
        imported.add(ImportedRoute { path: template, ..like.clone() });
    }
}

/// Each optional group left out and written out. `(.:format)` behind a parameter is part of its value already.
fn groups(uri: &str) -> Option<Vec<String>> {
    let mut paths = vec![String::new()];
    let mut rest = uri;
    let mut count = 0;
    while let Some(open) = rest.find('(') {
        let close = open + rest[open..].find(')')?;
        let (before, group) = (&rest[..open], &rest[open + 1..close]);
        if group.contains('(') {
            return None;
        }
        for path in &mut paths {
            path.push_str(before);
        }
        let is_format = group == ".:format";
        let with: Vec<String> = paths
            .iter()
            .filter(|path| !(is_format && path.rsplit('/').next().is_some_and(|last| last.contains([':', '*']))))
            .filter(|path| !(is_format && path.ends_with('/')))
            .map(|path| format!("{path}{group}"))
            .collect();
        paths.extend(with);
        rest = &rest[close + 1..];
        count += 1;
        if count > MOST_GROUPS {
            return None;
        }
    }
    for path in &mut paths {
        path.push_str(rest);
    }
    Some(paths)
}

#[cfg(test)]
mod tests {
    use super::super::ListFormat;
    use super::super::tests::said;

    #[test]
    fn an_application_that_is_mounted_gets_all_below_and_an_engine_its_routes() {
        let table = "\
Routes for application:
 Prefix Verb URI Pattern     Controller#Action
   blog      /blog           Blog::Engine
sidekiq      /sidekiq        Sidekiq::Web
             /rack           Inline handler (Proc/Lambda)
    all      /all(.:format)  a#all
    old      /old            redirect(301, /new)
   link LINK /link           a#link

Routes for Blog::Engine:
 root GET /                   blog/posts#index
 post GET /posts/:id(.:format) blog/posts#show
      /tags   Tags::Engine

Routes for Tags::Engine:
 tag GET /:tag tags#show

Routes for Lost::Engine:
 lost GET /lost lost#show
";
        let expected = [
            " /all",
            " /all.{format}",
            "GET /blog",
            "GET /blog/posts/{id}",
            "GET /blog/tags/{tag}",
            "LINK /link",
            " /old",
            " /rack/{*rest}",
            " /sidekiq/{*rest}",
            "- /lost: a route of an engine, and the list does not say where that is mounted",
        ];
        assert_eq!(said(ListFormat::Rails, table), expected);
        let block = |verb: &str, uri: &str, target: &str| {
            format!(
                "--[ Route 1 ]---\nPrefix            | x\nVerb              | {verb}\nURI               | {uri}\nController#Action | {target}\n"
            )
        };
        let expanded = [
            block("", "/blog", "Blog::Engine"),
            block("", "/sidekiq", "Sidekiq::Web"),
            "\n[ Routes for Blog::Engine ]\n".to_owned(),
            block("GET", "/posts", "blog/posts#index"),
        ];
        assert_eq!(said(ListFormat::Rails, &expanded.concat()), ["GET /blog/posts", " /sidekiq/{*rest}"]);
    }

    #[test]
    fn what_a_route_requires_is_taken_or_said_by_its_name() {
        for requires in [
            r#"{:subdomain=>"api", :id=>/\d{1,3}/, :host=>"shop.example", :format=>"json", :protocol=>"https", :tab=>/a, b/}"#,
            r#"{subdomain: "api", id: /\d{1,3}/, host: "shop.example", format: "json", protocol: "https", tab: /a, b/}"#,
        ] {
            assert_eq!(
                said(ListFormat::Rails, &format!("a GET /a/:id a#b {requires}\n")),
                [
                    "GET shop.example/a/{id}",
                    "note: /a/:id: is asked under one subdomain alone, here under every host: name its `host`",
                    "note: /a/:id: takes some values alone, here the segment may be any",
                    "note: /a/:id: its constraint on `protocol` is not taken",
                    "note: /a/:id: its constraint on `tab` is not taken",
                ]
            );
        }
    }
}
