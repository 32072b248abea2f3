//! The part of a text that is about one route.

use std::borrow::Cow;

/// The lines of `[routes.NAME]` and of the tables below it; `None`: the route is written in another form.
#[must_use]
pub fn route_text(text: &str, route: &str) -> Option<String> {
    let (mut found, mut inside) = (String::new(), false);
    for line in text.lines() {
        if let Some(header) = header(line) {
            inside = route_of(header).is_some_and(|name| name == route);
        }
        if inside {
            found.push_str(line);
            found.push('\n');
        }
    }
    // Comments above the next header belong to that.
    let end = found.trim_end().len();
    found.truncate(end);
    (!found.is_empty()).then(|| without_trailing_comments(&found))
}

/// The text without the tables of all other routes. Of ten thousand routes, what concerns one is read a hundred times sooner.
#[must_use]
pub fn without_other_routes(text: &str, route: &str) -> String {
    let mut is_other = false;
    let lines = text.split_inclusive('\n').filter(|line| {
        if let Some(header) = header(line) {
            is_other = route_of(header).is_some_and(|name| name != route);
        }
        !is_other
    });
    lines.collect()
}

/// The text in the brackets of a line that begins a table.
fn header(line: &str) -> Option<&str> {
    let name = line.trim_start().strip_prefix('[')?.trim_start_matches('[');
    name.split(']').next().map(str::trim)
}

/// The route that a header is about.
fn route_of(header: &str) -> Option<Cow<'_, str>> {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    // Nearly all are written so.
    if let Some(rest) = header.strip_prefix("routes.") {
        let bare = &rest[..rest.find(|c| !is_bare(c)).unwrap_or(rest.len())];
        if !bare.is_empty() && (bare == rest || rest[bare.len()..].starts_with('.')) {
            return Some(Cow::Borrowed(bare));
        }
    }
    let keys = toml_edit::Key::parse(header).ok()?;
    match &keys[..] {
        [table, name, ..] if table.get() == "routes" => Some(Cow::Owned(name.get().to_owned())),
        _ => None,
    }
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

    #[test]
    fn the_tables_of_other_routes_are_left_out_and_every_byte_else_stays() {
        let own = "[routes.a] # first\r\npath = \"/a\"\r\n";
        let text = format!(
            "x = 1\n[server]\n[routes.ab]\npath = \"/ab\"\n{own}[routes.\"a.b\"]\n[[routes.b.c]]\nx = 1\n[z]\ny = 1"
        );
        assert_eq!(without_other_routes(&text, "a"), format!("x = 1\n[server]\n{own}[z]\ny = 1"));
        assert_eq!(without_other_routes(&text, "a.b"), "x = 1\n[server]\n[routes.\"a.b\"]\n[z]\ny = 1");
        assert_eq!(without_other_routes(&text, ""), "x = 1\n[server]\n[z]\ny = 1");
    }
}
