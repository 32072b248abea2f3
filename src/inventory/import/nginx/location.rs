//! A location: which paths it takes as templates, and which location nginx gives a path to.

use regex::Regex;

use super::super::ANY_VALUE;
use super::super::pattern::group_end;

/// How a location's pattern is meant.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// `=`
    Exact(String),
    /// Without a modifier; `final_one` with `^~`, which keeps regular expressions from being asked.
    Prefix { text: String, final_one: bool },
    /// `~`, and `~*` without regard to case. `None`: a syntax that is not linear in time (look-around, back-references).
    Regex { text: String, fold: bool, compiled: Option<Regex> },
    /// `@name`
    Named,
}

/// The templates of a location, or why there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Templates {
    pub paths: Vec<String>,
    /// The paths that the templates take and nginx does not, or the other way round.
    pub note: Option<&'static str>,
}

const MOST_ALTERNATIVES: usize = 32;
/// A compiled expression above this is refused.
const REGEX_BYTES: usize = 1 << 20;

pub fn pattern(arguments: &[String]) -> Option<Pattern> {
    match arguments {
        [name] if name.starts_with('@') => Some(Pattern::Named),
        [text] => {
            // The modifier may touch the pattern: `=/a`, `~^/a`, `^~/a`.
            let modifiers = ["=", "^~", "~*", "~"];
            match modifiers.into_iter().find_map(|modifier| Some((modifier, text.strip_prefix(modifier)?))) {
                Some((modifier, text)) => modified(modifier, text),
                None => modified("", text),
            }
        }
        [modifier, text] => modified(modifier, text),
        _ => None,
    }
}

fn modified(modifier: &str, text: &str) -> Option<Pattern> {
    let text = text.to_owned();
    match modifier {
        "" | "^~" => Some(Pattern::Prefix { text, final_one: modifier == "^~" }),
        "=" => Some(Pattern::Exact(text)),
        "~" | "~*" => {
            let fold = modifier == "~*";
            let compiled = regex::RegexBuilder::new(&text)
                .case_insensitive(fold)
                .unicode(false)
                .size_limit(REGEX_BYTES)
                .build()
                .or_else(|_| regex::RegexBuilder::new(&text).case_insensitive(fold).size_limit(REGEX_BYTES).build())
                .ok();
            Some(Pattern::Regex { text, fold, compiled })
        }
        _ => None,
    }
}

/// nginx's choice: the exact one, else the longest prefix if it is `^~`, else the first regular expression, else the
/// longest prefix.
pub fn chosen(patterns: &[&Pattern], path: &str) -> Option<usize> {
    let mut longest: Option<(usize, usize, bool)> = None;
    for (at, pattern) in patterns.iter().enumerate() {
        match pattern {
            Pattern::Exact(text) if text == path => return Some(at),
            Pattern::Prefix { text, final_one }
                if path.starts_with(&**text) && longest.is_none_or(|(_, length, _)| text.len() > length) =>
            {
                longest = Some((at, text.len(), *final_one));
            }
            _ => {}
        }
    }
    if let Some((at, _, true)) = longest {
        return Some(at);
    }
    let expression = patterns.iter().position(
        |pattern| matches!(pattern, Pattern::Regex { compiled: Some(compiled), .. } if compiled.is_match(path)),
    );
    expression.or(longest.map(|(at, _, _)| at))
}

pub fn templates(pattern: &Pattern) -> Result<Templates, &'static str> {
    match pattern {
        Pattern::Named => Err("a named location: nginx alone leads there"),
        Pattern::Exact(text) | Pattern::Prefix { text, .. } if !text.starts_with('/') => {
            Err("a path that does not begin with a slash")
        }
        Pattern::Exact(text) => Ok(Templates { paths: vec![literal(text)], note: None }),
        Pattern::Prefix { text, .. } => {
            let stem = text.trim_end_matches('/');
            let note = match (stem.is_empty(), text.ends_with('/')) {
                (true, _) => None,
                (false, true) => Some("the path without its last slash is taken, too"),
                (false, false) => Some("in nginx the prefix may end within a segment, here it takes whole segments"),
            };
            Ok(Templates { paths: vec![format!("{}/{{*rest}}", literal(stem))], note })
        }
        Pattern::Regex { compiled: None, .. } => Err("a regular expression that looks around or back, or is none"),
        Pattern::Regex { text, fold, .. } => of_regex(text, *fold),
    }
}

/// Braces are percent-encoded: in a template they name a parameter.
fn literal(text: &str) -> String {
    text.replace('{', "%7B").replace('}', "%7D")
}

/// `^/a/[^/]+/b$` and the like: literals, whole segments in any notation, alternatives of literals, a rest at the end.
fn of_regex(text: &str, fold: bool) -> Result<Templates, &'static str> {
    let text = text.strip_prefix('^').ok_or("a regular expression that may begin anywhere in the path")?;
    let mut reading = Reading { paths: vec![String::new()], note: None, parameters: 0 };
    let mut rest = text;
    let mut closed = false;
    while !rest.is_empty() {
        if rest == "$" {
            closed = true;
            break;
        }
        if matches!(rest, "/?$" | "(/|)$" | "/*$") {
            let with: Vec<String> = reading.paths.iter().map(|path| format!("{path}/")).collect();
            reading.paths.extend(with);
            closed = true;
            break;
        }
        rest = reading.piece(rest)?;
        if reading.paths.iter().any(|path| path.ends_with("{*rest}")) {
            if !matches!(rest, "" | "$") {
                return Err("a regular expression with a rest inside the path");
            }
            closed = true;
            break;
        }
    }
    if !closed {
        if !reading.paths.iter().all(|path| path.ends_with('/')) {
            return Err("a regular expression that may end within a segment");
        }
        reading.push("{*rest}");
        reading.note = Some("the path without its last slash is taken, too");
    }
    if !reading.paths.iter().all(|path| path.starts_with('/')) {
        return Err("a regular expression that does not begin with a slash");
    }
    if fold && reading.paths.iter().any(|path| has_letters(path)) {
        reading.note =
            Some("nginx takes the path in upper and lower case: `[matching] case_insensitive = true` does so here");
    }
    Ok(Templates { paths: reading.paths, note: reading.note })
}

fn has_letters(template: &str) -> bool {
    let mut inside = false;
    template.chars().any(|char| {
        inside = (inside || char == '{') && char != '}';
        !inside && char.is_ascii_alphabetic()
    })
}

struct Reading {
    paths: Vec<String>,
    note: Option<&'static str>,
    parameters: usize,
}

impl Reading {
    fn push(&mut self, text: &str) {
        for path in &mut self.paths {
            path.push_str(text);
        }
    }

    fn segment(&mut self, name: Option<&str>) {
        self.parameters += 1;
        let name = name.map_or_else(|| format!("p{}", self.parameters), str::to_owned);
        self.push(&format!("{{{name}}}"));
    }

    /// Reads one piece; gives what is behind it.
    fn piece<'t>(&mut self, rest: &'t str) -> Result<&'t str, &'static str> {
        const OTHER: &str = "a regular expression beyond literals, segments and a rest";
        if let Some(behind) = rest.strip_prefix('(') {
            let end = group_end(rest).ok_or(OTHER)?;
            let (inside, behind_group) = (&behind[..end - 2], &rest[end..]);
            if behind_group.starts_with(['?', '*', '+', '{']) {
                return Err("a regular expression with a group that may be missing or stand several times");
            }
            let (name, inside) = match inside.strip_prefix("?<").or_else(|| inside.strip_prefix("?P<")) {
                Some(named) => {
                    let (name, inside) = named.split_once('>').ok_or(OTHER)?;
                    (Some(name), inside)
                }
                None => (None, inside.strip_prefix("?:").unwrap_or(inside)),
            };
            if let Some((class, "")) = class(inside) {
                self.value(class, name);
                return Ok(behind_group);
            }
            let alternatives: Option<Vec<String>> = inside.split('|').map(plain).collect();
            let alternatives = alternatives.ok_or(OTHER)?;
            if alternatives.len() * self.paths.len() > MOST_ALTERNATIVES {
                return Err("a regular expression with too many alternatives");
            }
            let joined = self.paths.iter().flat_map(|path| alternatives.iter().map(move |one| format!("{path}{one}")));
            self.paths = joined.collect();
            return Ok(behind_group);
        }
        if let Some((class, behind)) = class(rest) {
            self.value(class, None);
            return Ok(behind);
        }
        let mut chars = rest.chars();
        let first = match chars.next().ok_or(OTHER)? {
            '\\' => chars.next().filter(|char| !char.is_ascii_alphanumeric()).ok_or(OTHER)?,
            '[' | ']' | ')' | '|' | '*' | '+' | '?' | '^' | '$' | '.' | '{' | '}' => return Err(OTHER),
            char => char,
        };
        let behind = chars.as_str();
        if behind.starts_with(['?', '*', '+', '{']) {
            return Err("a regular expression with a character that may be missing or stand several times");
        }
        self.push(&literal(&first.to_string()));
        Ok(behind)
    }

    fn value(&mut self, class: Class, name: Option<&str>) {
        match class {
            Class::Rest => {
                // The rest is a segment of its own in a template.
                if self.paths.iter().all(|path| path.ends_with('/')) {
                    self.push("{*rest}");
                    self.note = Some("the path without its last slash is taken, too");
                } else {
                    self.push("/{*rest}");
                    self.note = Some("in nginx the prefix may end within a segment, here it takes whole segments");
                }
            }
            Class::Segment => self.segment(name),
            Class::Narrow => {
                self.segment(name);
                self.note = Some(ANY_VALUE);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// `.*`
    Rest,
    /// `[^/]+`
    Segment,
    /// `\d+`, `[a-z0-9-]+`, `[0-9]{4}`: some segments.
    Narrow,
}

/// A class with its repetition at the beginning, and what is behind it.
fn class(text: &str) -> Option<(Class, &str)> {
    if let Some(behind) = text.strip_prefix(".*").or_else(|| text.strip_prefix(".+")) {
        return Some((Class::Rest, behind));
    }
    let (segment, behind) = if let Some(inside) = text.strip_prefix('[') {
        let end = inside.char_indices().skip(1).find(|(at, char)| *char == ']' && !inside[..*at].ends_with('\\'))?.0;
        let set = &inside[..end];
        let takes_slash = match set.strip_prefix('^') {
            Some(not) => !has_slash(not),
            None => has_slash(set) || ["\\S", "\\W", "\\D"].iter().any(|other| set.contains(other)),
        };
        if takes_slash {
            return None;
        }
        (if matches!(set, "^/" | "^\\/") { Class::Segment } else { Class::Narrow }, &inside[end + 1..])
    } else {
        (Class::Narrow, text.strip_prefix("\\d").or_else(|| text.strip_prefix("\\w"))?)
    };
    if let Some(behind) = behind.strip_prefix('+') {
        return Some((segment, behind));
    }
    let (count, behind) = behind.strip_prefix('{')?.split_once('}')?;
    let least: u32 = count.split(',').next()?.parse().ok()?;
    (least > 0).then_some((Class::Narrow, behind))
}

/// Whether a set of characters, as between brackets, has the slash: by itself or within a range.
fn has_slash(set: &str) -> bool {
    let bytes = set.as_bytes();
    set.contains('/') || bytes.windows(3).any(|range| range[1] == b'-' && range[0] < b'/' && range[2] > b'/')
}

/// Literal text of an expression.
fn plain(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => plain.push(chars.next().filter(|char| !char.is_ascii_alphanumeric())?),
            '[' | ']' | '(' | ')' | '*' | '+' | '?' | '^' | '$' | '.' | '{' | '}' => return None,
            char => plain.push(char),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &str) -> Pattern {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        pattern(&words).expect("a location")
    }

    #[test]
    fn patterns_become_templates_or_say_why_not() {
        for (text, expected) in [
            ("= /a", "/a"),
            ("/a/", "/a/{*rest} !"),
            ("/a", "/a/{*rest} !"),
            ("/", "/{*rest}"),
            ("^~ /x{y}", "/x%7By%7D/{*rest} !"),
            ("~ ^/a/[^/]+$", "/a/{p1}"),
            ("~ ^/a/(?<id>[^/]+)/b/?$", "/a/{id}/b /a/{id}/b/"),
            ("~ ^/a/\\d+$", "/a/{p1} !"),
            ("~ ^/a/(\\d{4})/([a-z-]+)\\.html$", "/a/{p1}/{p2}.html !"),
            ("~ ^/(one|t\\.wo)/", "/one/{*rest} /t.wo/{*rest} !"),
            ("~ ^/a/(.*)$", "/a/{*rest} !"),
            ("~* ^/A$", "/A !"),
        ] {
            let found = templates(&location(text)).expect(text);
            let note = if found.note.is_some() { " !" } else { "" };
            assert_eq!(found.paths.join(" ") + note, expected, "{text}");
        }
        for text in
            ["@x", "~ \\.php$", "~ ^/a", "~ ^/a(b)?$", "~ ^/a/(?!b)", "~ ^/a/.*/b$", "~ ^/[^a]+$", "~ ^/a/[0-9]*$", "a"]
        {
            assert!(templates(&location(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn nginx_gives_a_path_to_the_exact_the_final_the_first_expression_or_the_longest_prefix() {
        let all: Vec<Pattern> =
            ["/", "/a/", "/a/b/", "^~ /s/", "= /a/x.php", "~ \\.php$", "~ ^/a/"].map(location).into();
        let all: Vec<&Pattern> = all.iter().collect();
        for (path, expected) in
            [("/q", 0), ("/s/x.php", 3), ("/a/x.php", 4), ("/a/y.php", 5), ("/a/b/c", 6), ("/q.php", 5)]
        {
            assert_eq!(chosen(&all, path), Some(expected), "{path}");
        }
    }
}
