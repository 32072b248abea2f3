//! The part of a text that is about one route.

/// The lines of `[routes.NAME]` and of the tables below it; `None`: the route is written in another form.
#[must_use]
pub fn route_text(text: &str, route: &str) -> Option<String> {
    let (mut found, mut inside) = (String::new(), false);
    for line in text.lines() {
        let trimmed = line.trim_start();
        if trimmed.starts_with('[') {
            inside = is_of(trimmed, route);
        }
        if inside {
            found.push_str(line);
            found.push('\n');
        }
    }
    // What stands above the next header belongs to that.
    let end = found.trim_end().len();
    found.truncate(end);
    (!found.is_empty()).then(|| without_trailing_comments(&found))
}

fn is_of(header: &str, route: &str) -> bool {
    let name = header.trim_start_matches('[').split(']').next().unwrap_or_default();
    toml_edit::Key::parse(name.trim())
        .is_ok_and(|keys| matches!(&keys[..], [table, name, ..] if table.get() == "routes" && name.get() == route))
}

fn without_trailing_comments(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    while lines.len() > 1
        && lines.last().is_some_and(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        lines.pop();
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_and_its_tables_are_found_wherever_they_stand() {
        let text = "[server]\nadmin = \"x\"\n[routes.a] # first\npath = \"/a\"\n\n# about b\n[routes.ab]\npath = \"/ab\"\n[routes.a.shadow]\nsample = \"1%\"\n";
        assert_eq!(
            route_text(text, "a").as_deref(),
            Some("[routes.a] # first\npath = \"/a\"\n\n# about b\n[routes.a.shadow]\nsample = \"1%\"")
        );
        assert_eq!(route_text(text, "ab").as_deref(), Some("[routes.ab]\npath = \"/ab\""));
        assert_eq!(route_text("[routes.\"a.b\"]\nx = 1\n", "a.b").as_deref(), Some("[routes.\"a.b\"]\nx = 1"));
        assert_eq!(route_text("[routes.\"a.b\"]\nx = 1\n", "a"), None, "a name with a dot is not a table below `a`");
        assert_eq!(route_text("[ routes . a ]\nx = 1\n", "a").as_deref(), Some("[ routes . a ]\nx = 1"));
        assert_eq!(route_text("routes.a.path = \"/\"\n", "a"), None);
    }
}
