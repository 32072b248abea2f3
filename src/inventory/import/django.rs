//! `manage.py show_urls`: a path, a tab, the view, a tab, the name.

use std::collections::BTreeSet;

use super::pattern::group_end;
use super::{ANY_VALUE, Imported, ONE_SEGMENT, rooted, with_literal_braces};
use crate::inventory::locale::{Locale, locale};

/// Converters, and patterns of groups, that take what a segment of their kind has.
const CONVERTERS: &[&str] = &["str", "int", "slug", "uuid", "path"];
const PATTERNS: &[&str] = &["[^/]+", "[^/]*", "\\d+", "\\w+", "[\\w-]+", "[-\\w]+", "[0-9]+", "[0-9]{4}", "[0-9]{2}"];

/// The part of `re_path` that `show_urls` leaves out.
const UNPRINTED: &str = "show_urls prints no pattern of `re_path`: a `<name>` takes one segment here, also where it may be missing, take slashes or some values alone";

pub fn read(text: &str, imported: &mut Imported) {
    for line in text.lines() {
        let pattern = first_column(line).trim();
        if !pattern.starts_with('/') {
            imported.skip_line(line);
            continue;
        }
        if !line.contains('\t') && has_commas(pattern) {
            imported.skip(line.trim(), "columns between commas: a path may have commas, too; take a format with tabs");
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
    let first = |path: &str| path.split('/').nth(1).unwrap_or("").to_owned();
    let languages: BTreeSet<String> = imported.routes.iter().map(|route| first(&route.path)).collect();
    let mut languages = languages.into_iter().filter(|first| locale(first) == Some(Locale::Sure));
    if let (Some(language), None) = (languages.next(), languages.next()) {
        imported.note(format!(
            "/{language}/: where `i18n_patterns` wrote it, the paths of the other languages are not in the list"
        ));
    }
}

/// The path of a line: `--format aligned` has spaces in the place of tabs, `table` has bars.
fn first_column(line: &str) -> &str {
    if let Some((path, _)) = line.split_once('\t') {
        return path;
    }
    let ends = ["  ", " | "].into_iter().filter_map(|between| line.trim_end().find(between).filter(|at| *at > 0));
    ends.min().map_or(line, |end| &line[..end])
}

/// Whether commas stand outside of what a regular expression has in brackets.
fn has_commas(pattern: &str) -> bool {
    let mut depth = 0_u32;
    pattern.bytes().any(|byte| {
        match byte {
            b'(' | b'[' | b'{' | b'<' => depth += 1,
            b')' | b']' | b'}' | b'>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        byte == b',' && depth == 0
    })
}

/// `<int:pk>` and `(?P<pk>[0-9]+)` become `{pk}`, a final `<path:p>` becomes `{*p}`.
fn template(pattern: &str, imported: &mut Imported) -> Result<String, &'static str> {
    let mut path = String::with_capacity(pattern.len());
    let mut rest = pattern.trim_end_matches('$').trim_end_matches("\\Z");
    while let Some(char) = rest.chars().next() {
        if let Some(group) = rest.strip_prefix("(?P<") {
            let end = group_end(rest).ok_or("a group is not closed")?;
            let (name, _) = group.split_once('>').ok_or("a group without a name")?;
            let inside = &rest[..end];
            if rest[end..].starts_with(['?', '*', '+', '{']) {
                return Err("a group that may be missing or stand several times");
            }
            if inside.contains("/)") || inside.contains(".*") || inside.contains(".+") {
                if rest[end..].is_empty() && path.ends_with('/') {
                    path.extend(["{*", name, "}"]);
                    return Ok(path);
                }
                imported.note(format!("{pattern}: {ONE_SEGMENT}"));
            }
            if !PATTERNS.contains(&&inside["(?P<>".len() + name.len()..end - 1]) {
                imported.note(format!("{pattern}: {ANY_VALUE}"));
            }
            path.extend(["{", name, "}"]);
            rest = &rest[end..];
            continue;
        }
        match char {
            '<' => {
                let close = rest.find('>').ok_or("a converter is not closed")?;
                let inside = &rest[1..close];
                let (converter, name) = inside.split_once(':').unwrap_or(("str", inside));
                if name == inside {
                    imported.note(UNPRINTED);
                }
                let is_path = converter == "path";
                if is_path && rest[close + 1..].is_empty() && path.ends_with('/') {
                    path.extend(["{*", name, "}"]);
                } else {
                    if is_path {
                        imported.note(format!("{pattern}: {ONE_SEGMENT}"));
                    } else if !CONVERTERS.contains(&converter) {
                        imported.note(format!("{pattern}: {ANY_VALUE}"));
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
                let behind = 1 + escaped.len_utf8();
                path.push_str(&with_literal_braces(&rest[1..behind]));
                rest = &rest[behind..];
            }
            '^' | '$' => rest = &rest[1..],
            '(' | '[' | '|' | '+' | '*' | '?' => return Err("a regular expression"),
            '{' if rest[1..].starts_with(|char: char| char.is_ascii_digit()) => return Err("a regular expression"),
            char => {
                path.push_str(&with_literal_braces(&rest[..char.len_utf8()]));
                rest = &rest[char.len_utf8()..];
            }
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::super::ListFormat;
    use super::super::tests::said;

    #[test]
    fn a_group_that_may_be_missing_is_not_taken_for_one_that_stands_there() {
        for pattern in [
            "/old/(?P<year>[0-9]{4}/)?$",
            "/old/(?P<year>[0-9]{4})?/",
            "/a(?P<b>x)*/",
            "/a/(?P<b>x)+/",
            "/a/(?P<b>x){2}/",
        ] {
            let expected = format!("- {pattern}: a group that may be missing or stand several times");
            assert_eq!(said(ListFormat::Django, &format!("{pattern}\tview\n")), [expected]);
        }
        for pattern in ["/old/(?:x/)?", "/old/(x)?", "/olds?/", "/old{2}/"] {
            let expected = format!("- {pattern}: a regular expression");
            assert_eq!(said(ListFormat::Django, &format!("{pattern}\tview\n")), [expected]);
        }
    }

    #[test]
    fn columns_may_be_aligned_or_have_bars_and_are_not_cut_at_commas() {
        for line in [
            "/api/orders/<int:pk>/   shop.views.Order  order-detail",
            "/api/orders/<int:pk>/ | shop.views.Order | order-detail | ",
            "/api/orders/<int:pk>/\tshop.views.Order\torder-detail",
            "/api/orders/<int:pk>/  ",
        ] {
            assert_eq!(said(ListFormat::Django, line), [" /api/orders/{pk}/"], "{line}");
        }
        let commas = said(ListFormat::Django, "/api/<int:pk>/,shop.views.Order,order-detail\n/a/(?P<y>\\d{1,4})/\n");
        assert_eq!(commas[0], " /a/{y}/");
        assert!(commas[1].starts_with("- /api/<int:pk>/,shop.views.Order,order-detail: columns between commas"));
    }

    #[test]
    fn a_single_language_before_paths_is_said_to_be_one_of_several() {
        let noted = |list: &str| said(ListFormat::Django, list).into_iter().find(|line| line.starts_with("note"));
        let note = noted("/en-us/a\tview\n/en-us/b\tview\n/go/\tview\n").expect("a note");
        assert!(note.contains("/en-us/: where `i18n_patterns` wrote it"), "{note}");
        assert_eq!(noted("/en/a\tview\n/de/a\tview\n"), None, "all are listed");
        assert_eq!(noted("/a/en/\tview\n/go/\tview\n"), None);
    }

    #[test]
    fn patterns_that_take_some_values_alone_are_said() {
        let said = |pattern: &str| said(ListFormat::Django, &format!("{pattern}\tview\n"));
        for pattern in ["/a/(?P<x>de|en)/b", "/a/<own:x>/b"] {
            let note = format!("note: {pattern}: takes some values alone, here the segment may be any");
            assert_eq!(said(pattern), [" /a/{x}/b".to_owned(), note]);
        }
        assert_eq!(said("/a/(?P<x>\\d+)/<slug:y>/b"), [" /a/{x}/{y}/b"]);
        assert_eq!(said("/a/<var>/<b>/"), [" /a/{var}/{b}/".to_owned(), format!("note: {}", super::UNPRINTED)]);
    }
}
