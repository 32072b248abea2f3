//! `bin/rails routes`, as a table and with `--expanded`.

use super::{ANY_VALUE, Imported, colons};

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Optional groups of one route that are written out.
const MOST_GROUPS: usize = 3;

pub fn read(text: &str, imported: &mut Imported) {
    let mut verb: Option<&str> = None;
    let mut mounted = false;
    for line in text.lines() {
        if let Some(of) = line.trim().strip_prefix("Routes for ") {
            mounted = !of.starts_with("application");
            continue;
        }
        // The paths of an engine begin where it is mounted, which the list does not say.
        if mounted {
            if let Some(uri) = line.split_ascii_whitespace().find(|word| word.starts_with('/')) {
                imported.skip(uri, "a route of a mounted engine");
            }
            continue;
        }
        if let Some((key, value)) = line.split_once('|') {
            match key.trim() {
                "Verb" => verb = Some(value.trim()),
                "URI" => route(verb.take().unwrap_or(""), value.trim(), imported),
                "Prefix" | "Controller#Action" | "Source Location" => {}
                _ => table(line, imported),
            }
        } else {
            table(line, imported);
        }
    }
}

/// `users GET /users(.:format) users#index`; the first column may be empty.
fn table(line: &str, imported: &mut Imported) {
    let mut words = line.split_ascii_whitespace().peekable();
    while let Some(word) = words.next() {
        let is_verb = word.split('|').all(|method| METHODS.contains(&method));
        // No verb: an application is mounted here, or any method is taken.
        let (verb, uri) = match words.peek() {
            _ if is_path(word) => ("", word),
            Some(next) if is_verb && is_path(next) => (word, words.next().expect("peeked")),
            _ => continue,
        };
        if words.any(|word| word.starts_with("{:") || word.starts_with('{') && word.ends_with(':')) {
            imported.note(format!("{uri}: {ANY_VALUE}"));
        }
        return route(verb, uri, imported);
    }
    let text = line.trim();
    let is_heading = text.starts_with("Prefix ") || text.starts_with("--[ Route ");
    if !is_heading {
        imported.skip_line(text);
    }
}

fn is_path(word: &str) -> bool {
    word.starts_with('/') || word.starts_with("(/")
}

fn route(verb: &str, uri: &str, imported: &mut Imported) {
    let methods: Vec<String> = verb.split('|').filter(|method| !method.is_empty()).map(str::to_owned).collect();
    let Some(paths) = groups(uri) else {
        imported.skip(uri, "too many optional groups");
        return;
    };
    for path in paths {
        match colons(&path) {
            Some(path) => imported.route(if path.is_empty() { "/".to_owned() } else { path }, methods.clone()),
            None => imported.skip(path, "a glob or a pattern inside the path"),
        }
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
