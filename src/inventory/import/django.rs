//! `manage.py show_urls`: a path, a tab, the view, a tab, the name.

use super::pattern::group_end;
use super::{Imported, ONE_SEGMENT, rooted};

pub fn read(text: &str, imported: &mut Imported) {
    for line in text.lines() {
        let pattern = line.split('\t').next().unwrap_or("").trim();
        if !pattern.starts_with('/') {
            imported.skip_line(line);
            continue;
        }
        if pattern.contains("//") {
            imported.skip(pattern, "a group that show_urls leaves out");
            continue;
        }
        match template(pattern, imported) {
            Ok(path) => imported.route(rooted(&path), Vec::new()),
            Err(why) => imported.skip(pattern, why),
        }
    }
}

/// `<int:pk>` and `(?P<pk>[0-9]+)` become `{pk}`, a final `<path:p>` becomes `{*p}`.
fn template(pattern: &str, imported: &mut Imported) -> Result<String, &'static str> {
    let mut path = String::with_capacity(pattern.len());
    let mut rest = pattern.trim_end_matches('$').trim_end_matches("\\Z");
    while let Some(char) = rest.chars().next() {
        if let Some(group) = rest.strip_prefix("(?P<") {
            let end = group_end(rest).ok_or("a group is not closed")?;
            let name = group.split('>').next().unwrap_or("");
            let inside = &rest[..end];
            if inside.contains("/)") || inside.contains(".*") || inside.contains(".+") {
                if rest[end..].is_empty() && path.ends_with('/') {
                    path.extend(["{*", name, "}"]);
                    return Ok(path);
                }
                imported.note(format!("{pattern}: {ONE_SEGMENT}"));
            }
            path.extend(["{", name, "}"]);
            rest = rest[end..].trim_start_matches(['+', '*', '?']);
            continue;
        }
        match char {
            '<' => {
                let close = rest.find('>').ok_or("a converter is not closed")?;
                let inside = &rest[1..close];
                let (converter, name) = inside.split_once(':').unwrap_or(("str", inside));
                let is_path = converter == "path";
                if is_path && rest[close + 1..].is_empty() && path.ends_with('/') {
                    path.extend(["{*", name, "}"]);
                } else {
                    if is_path {
                        imported.note(format!("{pattern}: {ONE_SEGMENT}"));
                    }
                    path.extend(["{", name, "}"]);
                }
                rest = &rest[close + 1..];
            }
            '\\' => {
                let escaped = rest[1..].chars().next().ok_or("a pattern ends with a backslash")?;
                if escaped.is_ascii_alphanumeric() {
                    return Err("a regular expression");
                }
                path.push(escaped);
                rest = &rest[1 + escaped.len_utf8()..];
            }
            '^' | '$' => rest = &rest[1..],
            '(' | '[' | '|' | '+' | '*' | '?' => return Err("a regular expression"),
            char => {
                path.push(char);
                rest = &rest[char.len_utf8()..];
            }
        }
    }
    Ok(path)
}
