//! `fastify.printRoutes()`: a tree whose labels, joined from the root, are paths.

use super::{ANY_VALUE, Imported, colons, rooted, with_literal_braces};

/// In the place of a label.
const EMPTY_ROOT: &str = "(empty root node)";

/// Before a label.
const BRANCH: &str = "── ";

pub fn read(text: &str, imported: &mut Imported) {
    // The paths of the labels above, by their columns.
    let mut above: Vec<(usize, String)> = Vec::new();
    for line in text.lines() {
        let Some(at) = line.find(BRANCH) else {
            let text = line.trim_start_matches([' ', '│']).trim_end();
            let column = line.chars().count() - line.trim_start_matches([' ', '│']).chars().count();
            let same = above.last().filter(|(other, _)| *other + BRANCH.chars().count() == column);
            match (labelled(text), same) {
                // With `includeMeta` and `includeHooks` a route's own lines follow it.
                _ if text.starts_with('•') => {}
                // A label is repeated for each route that has constraints of its own.
                ((label, Some(methods), constrained), Some((_, path))) if path.ends_with(label) => {
                    route(path, methods, constrained, imported);
                }
                _ => imported.skip_line(text),
            }
            continue;
        };
        let column = line[..at].chars().count();
        let label = line[at + BRANCH.len()..].trim_end();
        // The root has no text of its own where two paths have no first letter in common.
        let label = if label == EMPTY_ROOT { "" } else { label };
        while above.last().is_some_and(|(other, _)| *other >= column) {
            above.pop();
        }
        let before = above.last().map_or("", |(_, path)| path);
        let (label, methods, constrained) = labelled(label);
        let path = format!("{before}{label}");
        if let Some(methods) = methods {
            route(&path, methods, constrained, imported);
        }
        above.push((column, path));
    }
}

fn route(path: &str, methods: Vec<String>, constrained: bool, imported: &mut Imported) {
    if constrained {
        return imported.skip(path, "a route with constraints");
    }
    let plain = without_patterns(path);
    match plain.as_deref().map(with_literal_braces).as_deref().and_then(colons) {
        Some(template) => {
            if plain.is_some_and(|plain| plain != path) {
                imported.note(format!("{path}: {ANY_VALUE}"));
            }
            imported.route(rooted(&template), methods);
        }
        None => imported.skip(path, "two parameters in a segment, or a pattern"),
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

#[cfg(test)]
mod tests {
    use super::super::ListFormat;
    use super::super::tests::said;

    #[test]
    fn a_root_without_a_text_is_no_route() {
        let tree = "└── (empty root node)\n    ├── / (GET)\n    │   └── a (GET)\n    └── * (OPTIONS)\n";
        assert_eq!(said(ListFormat::Fastify, tree), ["GET /", "GET /a", "OPTIONS /{*rest}"]);
    }

    #[test]
    fn a_route_that_is_listed_again_for_its_constraints_is_said_to_have_them() {
        let tree = r#"└── / (GET)
    ├── a (GET)
    │   a (GET) {"version":"1.2.0"}
    │   ├── /:b (GET)
    │   │   /:b (PUT) {"host":"x.example"}
    │   └── c (GET) {"version":"2.0.0"}
    │       c (POST)
    └── z (GET)
        y (GET)
"#;
        let skipped = |path: &str| format!("- {path}: a route with constraints");
        assert_eq!(
            said(ListFormat::Fastify, tree),
            [
                "GET /".to_owned(),
                "GET /a".to_owned(),
                "GET /a/{b}".to_owned(),
                "POST /ac".to_owned(),
                "GET /z".to_owned(),
                skipped("/a"),
                skipped("/a/:b"),
                skipped("/ac"),
                "- y (GET): not a route".to_owned(),
            ]
        );
    }
}
