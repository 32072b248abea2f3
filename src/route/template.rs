//! A path template: literal segments, parameters with optional affixes, and a final catch-all.

use std::fmt;
use std::ops::Range;

use super::matching::Matching;
use super::path::{clean, is_dot_like};
use super::segment::{Parameter, Segment};

/// Deeper templates are refused: the search goes one level down per segment.
const MAX_SEGMENTS: usize = 128;

/// A parsed template. Its literals are in the normal form of a request's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
    /// The same with its literals in normal form, where it is written otherwise.
    normal: Option<Box<str>>,
    segments: Box<[Segment]>,
}

/// Why a template, or a path to rewrite to, is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// Bytes of the text, on character boundaries.
    pub span: Range<usize>,
    pub message: String,
    pub help: String,
}

impl TemplateError {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: help.into() }
    }
}

impl Template {
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        check_path(text)?;
        let mut segments: Vec<Segment> = Vec::new();
        let mut start = 1;
        for part in text[1..].split('/') {
            let span = start..start + part.len();
            let last = span.end == text.len();
            start = span.end + 1;
            if segments.len() == MAX_SEGMENTS {
                return Err(TemplateError::new(
                    span.start..text.len(),
                    format!("the path has more than {MAX_SEGMENTS} segments"),
                    "end it with `{*rest}`, which takes everything below",
                ));
            }
            let segment = parse_segment(part, &span, last)?;
            if let Some(name) = segment.name()
                && segments.iter().any(|earlier| earlier.name() == Some(name))
            {
                return Err(TemplateError::new(
                    span,
                    format!("the parameter `{name}` stands twice"),
                    "give each parameter a name of its own",
                ));
            }
            segments.push(segment);
        }
        let normal = in_normal_form(&segments);
        let normal = (normal != text).then(|| normal.into());
        Ok(Self { text: text.into(), normal, segments: segments.into() })
    }

    /// With its literals as a normalised path has them: `/b%C3%BCcher/{id}` of `/bücher/{id}`.
    #[must_use]
    pub fn normal(&self) -> &str {
        self.normal.as_deref().unwrap_or(&self.text)
    }

    /// As written in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// It has no parameter.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.segments.iter().all(|segment| matches!(segment, Segment::Literal(_)))
    }

    /// The names of the parameters, from the left.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(Segment::name)
    }

    /// The name of the catch-all, if the template ends with one.
    pub(super) fn rest(&self) -> Option<&str> {
        match self.segments.last() {
            Some(Segment::Rest(name)) => Some(name),
            _ => None,
        }
    }

    /// The segments that count under these settings.
    pub(super) fn matched_segments(&self, matching: Matching) -> &[Segment] {
        match &*self.segments {
            [rest @ .., Segment::Literal(last)]
                if matching.ignore_trailing_slash && last.is_empty() && !rest.is_empty() =>
            {
                rest
            }
            all => all,
        }
    }

    /// Whether the template takes this normalised path.
    #[must_use]
    pub fn takes(&self, path: &str, matching: Matching) -> bool {
        let Some(path) = matched_path(path, matching).strip_prefix('/') else { return false };
        let mut parts = path.split('/');
        for segment in self.matched_segments(matching) {
            if matches!(segment, Segment::Rest(_)) {
                return true;
            }
            if !parts.next().is_some_and(|part| segment.takes(part, matching.case_insensitive)) {
                return false;
            }
        }
        parts.next().is_none()
    }
}

fn in_normal_form(segments: &[Segment]) -> String {
    let mut text = String::new();
    for segment in segments {
        text.push('/');
        match segment {
            Segment::Literal(literal) => text.push_str(literal),
            Segment::Parameter(Parameter { name, prefix, suffix }) => {
                text.extend([&**prefix, "{", name, "}", suffix]);
            }
            Segment::Rest(name) => text.extend(["{*", name, "}"]),
        }
    }
    text
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The part of a normalised path that counts under these settings.
pub(super) fn matched_path(path: &str, matching: Matching) -> &str {
    match path.strip_suffix('/') {
        Some(trimmed) if matching.ignore_trailing_slash && !trimmed.is_empty() => trimmed,
        _ => path,
    }
}

/// The common part of a template and of a path to rewrite to.
pub(super) fn check_path(text: &str) -> Result<(), TemplateError> {
    if !text.starts_with('/') {
        return Err(TemplateError::new(
            0..text.len(),
            "a path begins with `/`",
            if text.contains("://") {
                "leave scheme and host out; a host is given as `host`"
            } else if text.starts_with('^') {
                NO_EXPRESSION
            } else {
                "write it first"
            },
        ));
    }
    if let Some(at) = text.find('?') {
        return Err(TemplateError::new(
            at..text.len(),
            "a path has no query",
            "leave it out; conditions on it are `query = { … }`",
        ));
    }
    if let Some(at) = text.find('#') {
        return Err(TemplateError::new(
            at..text.len(),
            "a path has no fragment",
            "leave it out; a literal `#` is `%23`",
        ));
    }
    if let Some(at) = text.find("//") {
        return Err(TemplateError::new(at..at + 2, "the path has an empty segment", "write a single `/`"));
    }
    Ok(())
}

fn parse_segment(part: &str, span: &Range<usize>, last: bool) -> Result<Segment, TemplateError> {
    let at = |range: Range<usize>| span.start + range.start..span.start + range.end;
    let Some(open) = part.find('{') else {
        let text = literal(part, span)?;
        if is_dot_like(text.as_bytes()) {
            return Err(TemplateError::new(
                span.clone(),
                format!("the segment `{part}` never matches"),
                "dot segments are resolved before a path is matched; write the path they lead to",
            ));
        }
        foreign_notation(part, span)?;
        return Ok(Segment::Literal(text));
    };
    let Some(close) = part[open..].find('}').map(|length| open + length) else {
        return Err(TemplateError::new(
            at(open..part.len()),
            "the parameter is not closed",
            "end it with `}` before the next `/`",
        ));
    };
    if let Some(second) = part[close..].find('{').map(|length| close + length) {
        return Err(TemplateError::new(
            at(second..part.len()),
            "a segment has one parameter at most",
            "take both as one parameter, or put a `/` between them",
        ));
    }
    let name = &part[open + 1..close];
    if let Some(name) = name.strip_prefix('*') {
        check_name(name, at(open + 2..close))?;
        if !last || part.len() != close + 1 || open != 0 {
            return Err(TemplateError::new(
                at(open..close + 1),
                format!("`{{*{name}}}` is not the whole last segment"),
                format!("put it after the last `/`, or write `{{{name}}}` for one segment"),
            ));
        }
        return Ok(Segment::Rest(name.into()));
    }
    check_name(name, at(open + 1..close))?;
    Ok(Segment::Parameter(Parameter {
        name: name.into(),
        prefix: literal(&part[..open], &at(0..open))?,
        suffix: literal(&part[close + 1..], &at(close + 1..part.len()))?,
    }))
}

/// Literal text in normal form.
pub(super) fn literal(text: &str, span: &Range<usize>) -> Result<Box<str>, TemplateError> {
    if let Some(at) = text.find('}') {
        return Err(TemplateError::new(
            span.start + at..span.start + at + 1,
            "`}` closes nothing",
            "a parameter is written `{name}`; a literal brace is `%7D`",
        ));
    }
    match clean(text.as_bytes(), false) {
        Ok(text) => Ok(text.into()),
        Err(refused) => Err(TemplateError::new(
            span.clone(),
            format!("`{}` never matches", text.escape_debug()),
            format!("a request is refused when {refused}"),
        )),
    }
}

fn check_name(name: &str, span: Range<usize>) -> Result<(), TemplateError> {
    if name.is_empty() {
        return Err(TemplateError::new(
            span.start - 1..span.end + 1,
            "the parameter has no name",
            "write `{name}`, or `{*rest}` for everything below",
        ));
    }
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(());
    }
    let help = match name.find([':', '<', '(']) {
        Some(_) => "a parameter has no type and no pattern; it takes one whole segment",
        None => "use letters, digits and `_`",
    };
    Err(TemplateError::new(span, format!("`{}` is no name for a parameter", name.escape_debug()), help))
}

/// Parts of regular expressions that no path of a request has.
const EXPRESSIONS: [&str; 7] = [".*", ".+", "(?", "[^", "[0-9", "[a-z", "[A-Z"];
const NO_EXPRESSION: &str =
    "a path is a template: write `{name}` for one segment, or `{*rest}` at the end for everything below";

/// Where `(this|that)` begins.
fn choice(part: &str) -> Option<usize> {
    let open = part.find('(')?;
    let close = open + part[open..].find(')')?;
    part[open..close].contains('|').then_some(open)
}

/// Segments that mean a parameter elsewhere and would silently match nothing here.
fn foreign_notation(part: &str, span: &Range<usize>) -> Result<(), TemplateError> {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if matches!(part, "*" | "**") {
        return Err(TemplateError::new(
            span.clone(),
            format!("`{part}` is not a wildcard here"),
            "write `{name}` for one segment, or `{*rest}` at the end for everything below",
        ));
    }
    if let Some(at) = EXPRESSIONS.iter().find_map(|sign| part.find(sign)).or_else(|| choice(part)) {
        return Err(TemplateError::new(
            span.start + at..span.end,
            format!("`{part}` is a regular expression"),
            NO_EXPRESSION,
        ));
    }
    if let Some(name) = part.strip_prefix(':').filter(|name| is_name(name)) {
        return Err(TemplateError::new(
            span.clone(),
            format!("`{part}` is not a parameter here"),
            format!("write `{{{name}}}`"),
        ));
    }
    if let Some(name) = part.strip_prefix('<').and_then(|part| part.strip_suffix('>')) {
        let name = name.rsplit(':').next().filter(|name| is_name(name)).unwrap_or("name");
        return Err(TemplateError::new(
            span.clone(),
            format!("`{part}` is not a parameter here"),
            format!("write `{{{name}}}`"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXACT: Matching = Matching { merge_slashes: true, case_insensitive: false, ignore_trailing_slash: false };

    fn takes(template: &str, path: &str) -> bool {
        Template::parse(template).expect("the template is right").takes(path, EXACT)
    }

    #[test]
    fn templates_take_their_paths() {
        let table = [
            ("/", "/", true),
            ("/", "/a", false),
            ("/a", "/a", true),
            ("/a", "/a/", false),
            ("/a/", "/a/", true),
            ("/a/", "/a", false),
            ("/a/{id}", "/a/5", true),
            ("/a/{id}", "/a/", false),
            ("/a/{id}", "/a/5/6", false),
            ("/a/{id}/", "/a/5/", true),
            ("/a/{id}.json", "/a/5.json", true),
            ("/a/{id}.json", "/a/.json", false),
            ("/a/{id}.json", "/a/..json", false),
            ("/a/v{n}", "/a/v2", true),
            ("/a/v{n}", "/a/v..", false),
            ("/a/{x}F", "/a/b%2F", false),
            ("/a/{x}F", "/a/b%2FF", true),
            ("/a/{*rest}", "/a", true),
            ("/a/{*rest}", "/a/", true),
            ("/a/{*rest}", "/a/b/c/", true),
            ("/a/{*rest}", "/ab", false),
            ("/{*rest}", "/", true),
            ("/{*rest}", "*", false),
            ("/caf\u{e9}", "/caf%C3%A9", true),
            ("/%75sers", "/users", true),
            ("/a b", "/a%20b", true),
            ("/a%2fb", "/a%2Fb", true),
        ];
        for (template, path, expected) in table {
            assert_eq!(takes(template, path), expected, "{template} {path}");
        }
    }

    #[test]
    fn case_and_trailing_slash_count_only_when_asked() {
        let lax = Matching { merge_slashes: true, case_insensitive: true, ignore_trailing_slash: true };
        for (template, path) in
            [("/Api/{id}", "/aPI/5/"), ("/api/", "/API"), ("/", "/"), ("/x/{id}.JSON", "/X/5.json/")]
        {
            assert!(Template::parse(template).expect("the template is right").takes(path, lax), "{template} {path}");
            assert!(path == "/" || !takes(template, path), "{template} {path}");
        }
    }

    #[test]
    fn wrong_templates_are_told_where_and_what_to_do() {
        let table = [
            ("", 0..0, "a path begins with `/`"),
            ("http://x/a", 0..10, "a path begins with `/`"),
            ("/a?b=c", 2..6, "a path has no query"),
            ("/a#b", 2..4, "a path has no fragment"),
            ("/a//b", 2..4, "the path has an empty segment"),
            ("/a/../b", 3..5, "the segment `..` never matches"),
            ("/a/%2e/b", 3..6, "the segment `%2e` never matches"),
            ("/a/{id", 3..6, "the parameter is not closed"),
            ("/a/id}", 5..6, "`}` closes nothing"),
            ("/a/{}", 3..5, "the parameter has no name"),
            ("/a/{id:int}", 4..10, "`id:int` is no name for a parameter"),
            ("/{a}{b}", 4..7, "a segment has one parameter at most"),
            ("/{a}/{a}", 5..8, "the parameter `a` stands twice"),
            ("/{*rest}/x", 1..8, "`{*rest}` is not the whole last segment"),
            ("/x{*rest}", 2..9, "`{*rest}` is not the whole last segment"),
            ("/a/*", 3..4, "`*` is not a wildcard here"),
            ("^/api/.*$", 0..9, "a path begins with `/`"),
            ("/a/b.*", 4..6, "`b.*` is a regular expression"),
            ("/v(1|2)/b", 2..7, "`v(1|2)` is a regular expression"),
            ("/a/v[0-9]+", 4..10, "`v[0-9]+` is a regular expression"),
            ("/a/:id", 3..6, "`:id` is not a parameter here"),
            ("/a/<int:id>", 3..11, "`<int:id>` is not a parameter here"),
            ("/a\\b", 1..4, "`a\\\\b` never matches"),
        ];
        for (text, span, message) in table {
            let error = Template::parse(text).expect_err(text);
            assert_eq!((error.span, error.message.as_str()), (span, message), "{text}");
            assert!(!error.help.is_empty(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_template_parses_or_its_error_lies_inside_the_text(text in "/?([{}*/a-c.:<>%é?\\\\ ]|\\{[a-c]\\}|\\{\\*r\\}){0,12}") {
            if let Err(error) = Template::parse(&text) {
                prop_assert!(text.get(error.span.clone()).is_some(), "{:?} in {:?}", error, text);
            }
        }

        #[test]
        fn any_text_is_parsed_without_panic(text in ".*") {
            if let Err(error) = Template::parse(&text) {
                prop_assert!(text.get(error.span.clone()).is_some());
            }
        }
    }
}
