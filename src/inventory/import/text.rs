//! `flask routes`: a table of endpoint, methods and rule.

use super::Imported;

pub fn flask(text: &str, imported: &mut Imported) {
    for line in text.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let Some(at) = words.iter().position(|word| word.starts_with('/')) else { continue };
        let methods = words[..at].iter().skip(1).flat_map(|word| word.split(','));
        let methods: Vec<String> = methods
            .filter(|method| !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase()))
            .map(str::to_owned)
            .collect();
        let rule = words[at];
        match template(rule) {
            // Flask answers OPTIONS itself, for each route.
            Some(path) => imported.route(path, methods.into_iter().filter(|method| method != "OPTIONS").collect()),
            None => imported.skip(rule, "a path converter inside the path"),
        }
    }
}

fn template(rule: &str) -> Option<String> {
    let mut path = String::with_capacity(rule.len());
    let mut rest = rule;
    while let Some(open) = rest.find('<') {
        let close = open + rest[open..].find('>')?;
        let (converter, name) = rest[open + 1..close].rsplit_once(':').unwrap_or(("string", &rest[open + 1..close]));
        path.push_str(&rest[..open]);
        rest = &rest[close + 1..];
        if converter == "path" {
            if !rest.is_empty() || !path.ends_with('/') {
                return None;
            }
            path.extend(["{*", name, "}"]);
        } else {
            path.extend(["{", name, "}"]);
        }
    }
    path.push_str(rest);
    Some(path)
}
