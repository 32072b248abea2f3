//! `fastify.printRoutes()`: a tree whose labels, joined from the root, are paths.

use super::{ANY_VALUE, Imported, colons, rooted, with_literal_braces};

pub fn read(text: &str, imported: &mut Imported) {
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
                match plain.as_deref().map(with_literal_braces).as_deref().and_then(colons) {
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
