//! `manage.py show_urls`: a path, a tab, the view, a tab, the name.

use super::{Imported, rooted};

pub fn read(text: &str, imported: &mut Imported) {
    for line in text.lines() {
        let pattern = line.split('\t').next().unwrap_or("").trim();
        if !pattern.starts_with('/') {
            continue;
        }
        match template(pattern) {
            Ok(path) => imported.route(rooted(&path), Vec::new()),
            Err(why) => imported.skip(pattern, why),
        }
    }
}

/// `<int:pk>` and `(?P<pk>[0-9]+)` become `{pk}`, a final `<path:p>` becomes `{*p}`.
fn template(pattern: &str) -> Result<String, &'static str> {
    let mut path = String::with_capacity(pattern.len());
    let mut rest = pattern.trim_end_matches('$').trim_end_matches("\\Z");
    while let Some(char) = rest.chars().next() {
        if let Some(group) = rest.strip_prefix("(?P<") {
            let end = group_end(rest).ok_or("a group is not closed")?;
            let name = group.split('>').next().unwrap_or("");
            let inside = &rest[..end];
            if inside.contains("/)") || inside.contains(".*") || inside.contains(".+") {
                if !rest[end..].trim_matches('/').is_empty() {
                    return Err("a group that takes slashes inside the path");
                }
                path.extend(["{*", name, "}"]);
                return Ok(path);
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
                if converter == "path" {
                    if !rest[close + 1..].is_empty() {
                        return Err("a path converter inside the path");
                    }
                    path.extend(["{*", name, "}"]);
                } else {
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

/// The end of the group that the text begins with.
fn group_end(text: &str) -> Option<usize> {
    let (mut depth, mut escaped, mut class) = (0_u32, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'[' => class = true,
            b']' => class = false,
            b'(' if !class => depth += 1,
            b')' if !class => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}
