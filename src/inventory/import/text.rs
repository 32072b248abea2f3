//! Lists as text: `flask routes`, and the tree of Fastify.

use super::{ANY_VALUE, Imported, ONE_SEGMENT, colons, rooted};

/// A table of endpoint, methods and rule; a converter in a rule may have spaces.
pub fn flask(text: &str, imported: &mut Imported) {
    for line in text.lines() {
        let Some(at) = line.find(" /") else {
            let is_heading = line.starts_with("Endpoint ") || line.starts_with("--");
            if !is_heading {
                imported.skip_line(line);
            }
            continue;
        };
        let (before, rule) = (&line[..at], line[at + 1..].trim_end());
        let words = before.split_ascii_whitespace().skip(1).flat_map(|word| word.split(','));
        let methods: Vec<String> = words
            .filter(|method| !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase()))
            // Flask answers OPTIONS itself, for each route.
            .filter(|method| *method != "OPTIONS")
            .map(str::to_owned)
            .collect();
        match template(rule, imported) {
            Some(path) => imported.route(path, methods),
            None => imported.skip(rule, "a converter is not closed"),
        }
    }
}

fn template(rule: &str, imported: &mut Imported) -> Option<String> {
    let mut path = String::with_capacity(rule.len());
    let mut rest = rule;
    while let Some(open) = rest.find('<') {
        let close = open + rest[open..].find('>')?;
        let (converter, name) = rest[open + 1..close].rsplit_once(':').unwrap_or(("string", &rest[open + 1..close]));
        path.push_str(&rest[..open]);
        rest = &rest[close + 1..];
        if converter != "path" {
            path.extend(["{", name, "}"]);
        } else if rest.is_empty() && path.ends_with('/') {
            path.extend(["{*", name, "}"]);
        } else {
            imported.note(format!("{rule}: {ONE_SEGMENT}"));
            path.extend(["{", name, "}"]);
        }
    }
    path.push_str(rest);
    Some(path)
}

/// What `fastify.printRoutes()` prints: a tree whose labels, joined from the root, are paths.
pub fn fastify(text: &str, imported: &mut Imported) {
    // The paths of the labels above, by their columns.
    let mut above: Vec<(usize, String)> = Vec::new();
    for line in text.lines() {
        let Some(at) = line.find("── ") else {
            // With `includeMeta` and `includeHooks` a route's own lines follow it.
            let text = line.trim_matches([' ', '│']);
            if !text.starts_with('•') {
                imported.skip_line(text);
            }
            continue;
        };
        let column = line[..at].chars().count();
        let label = line[at + "── ".len()..].trim_end();
        while above.last().is_some_and(|(other, _)| *other >= column) {
            above.pop();
        }
        let before = above.last().map_or("", |(_, path)| path);
        let (label, methods, constrained) = labelled(label);
        let path = format!("{before}{label}");
        if let Some(methods) = methods {
            let plain = without_patterns(&path);
            if constrained {
                imported.skip(&path, "a route with constraints");
            } else {
                match plain.as_deref().and_then(colons) {
                    Some(template) => {
                        if plain.is_some_and(|plain| plain != path) {
                            imported.note(format!("{path}: {ANY_VALUE}"));
                        }
                        imported.route(rooted(&template), methods);
                    }
                    None => imported.skip(&path, "two parameters in a segment, or a pattern"),
                }
            }
        }
        above.push((column, path));
    }
}

/// `/:id(^\\d+$) (GET, HEAD)`: the label, its methods, and whether constraints follow.
fn labelled(label: &str) -> (&str, Option<Vec<String>>, bool) {
    let (label, constrained) = match label.split_once(") {") {
        Some((before, _)) => (&label[..=before.len()], true),
        None => (label, false),
    };
    let Some((path, methods)) = label.rsplit_once(" (").or_else(|| Some(("", label.strip_prefix('(')?))) else {
        return (label, None, constrained);
    };
    let Some(methods) = methods.strip_suffix(')') else { return (label, None, constrained) };
    (path, Some(methods.split(", ").map(str::to_owned).collect()), constrained)
}

/// The path without what parameters have in parentheses.
fn without_patterns(path: &str) -> Option<String> {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(open) = rest.find('(') {
        plain.push_str(&rest[..open]);
        rest = &rest[open + super::pattern::group_end(&rest[open..])?..];
    }
    Some(plain + rest)
}
