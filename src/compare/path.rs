//! The names of fields, as a person writes them in rules and as a report prints them.

use std::fmt;
use std::ops::Range;

use http::HeaderName;

/// One step below a JSON document's root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FieldSegment {
    /// `.name` or `['a name']`.
    Key(Box<str>),
    /// `.*`: whatever the key is.
    AnyKey,
    /// `[*]`: whatever the position is.
    Items,
}

/// A field of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FieldPath {
    /// `$`, `$.items[*].price`, `$.users.*.name`.
    Json(Vec<FieldSegment>),
    /// `header:cache-control`.
    Header(HeaderName),
    /// `form.name`; `form.*` is every one. `form:name` is read as well.
    Form(Box<str>),
    /// `status`.
    Status,
    /// `body`: a body that has no fields.
    Body,
    /// A field as reports name it, of a page, a table, a message, a part, a text, or inside a string: `main > p`,
    /// `csv.price`, `#1.3[*]`, `part.file@filename`, `line[*]`, `$.html › p > a@href`, `$.users order`.
    Named(Box<str>),
}

/// A fault of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    #[error("the field is empty")]
    Empty,
    /// Neither `$…` nor one of the words.
    #[error("this is not the name of a field")]
    Unknown,
    /// `header:` with something that is no header name.
    #[error("this is not the name of a header")]
    HeaderName,
    #[error("a key is missing")]
    EmptyKey,
    /// `[3]`
    #[error("a position cannot be named")]
    Index,
    /// `..name`
    #[error("`..` is not known here")]
    Descent,
    /// A bracket or quote that is not closed, or holds something else.
    #[error("the bracket holds neither `*` nor a quoted key")]
    Bracket,
    /// A character that needs `['…']`.
    #[error("this character cannot stand in a key")]
    Character,
    #[error("the path is too long")]
    TooLong,
}

/// A path that cannot be used, with the bytes of it that are to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct PathError {
    pub at: Range<usize>,
    pub fault: PathFault,
}

impl PathError {
    /// The remedy.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self.fault {
            PathFault::Empty | PathFault::Unknown => {
                "write `$.name` for a JSON field, `main > p` for an element, `header:name`, `form.name`, `status` or `body`"
            }
            PathFault::HeaderName => "write the header's name alone, as in `header:cache-control`",
            PathFault::EmptyKey => "a key follows every dot; an empty key is written `['']`",
            PathFault::Index => "positions are not told apart: write `[*]`",
            PathFault::Descent => "name each step, or use `.*` for any key and `[*]` for any position",
            PathFault::Bracket => "write `[*]` for any position, or `['a key']` for a key with unusual characters",
            PathFault::Character => {
                "keys with other characters than letters, digits, `_` and `-` are written `['a key']`"
            }
            PathFault::TooLong => "a path has at most 64 steps",
        }
    }
}

const MAX_SEGMENTS: usize = 64;

impl FieldPath {
    /// Reads `$.items[*].price`, `header:name`, `form.name`, `status`, `body`, or a field as reports name it.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let whole = |fault| PathError { at: 0..text.len(), fault };
        match text {
            "" => Err(whole(PathFault::Empty)),
            "status" => Ok(Self::Status),
            "body" => Ok(Self::Body),
            _ if is_named(text) => Ok(Self::Named(text.into())),
            _ if text.starts_with('$') => parse_json(text).map(Self::Json),
            _ => {
                if let Some(name) = text.strip_prefix("header:") {
                    let fault = PathError { at: "header:".len()..text.len(), fault: PathFault::HeaderName };
                    return name.parse().map(Self::Header).map_err(|_| fault);
                }
                match text.strip_prefix("form:").or_else(|| text.strip_prefix("form.")) {
                    Some("") => Err(whole(PathFault::EmptyKey)),
                    Some(name) => Ok(Self::Form(name.into())),
                    None => Err(whole(PathFault::Unknown)),
                }
            }
        }
    }
}

impl FieldPath {
    /// Whether a rule about this takes a field, by the name that a report gives it: the field itself, what lies inside it, and
    /// whatever a `*` may stand for.
    #[must_use]
    pub fn covers(&self, field: &str) -> bool {
        match self {
            Self::Json(segments) => {
                let place = field.split_once(" › ").map_or(field, |(outer, _)| outer);
                let place = place.strip_suffix(" order").unwrap_or(place);
                parse_json(place).is_ok_and(|inner| takes(segments, &inner))
            }
            Self::Form(name) => field.strip_prefix("form.").is_some_and(|other| **name == *"*" || **name == *other),
            Self::Named(name) => field.strip_prefix(&**name).is_some_and(|rest| {
                rest.is_empty() || [" >", " ›", "@", "[", "."].iter().any(|mark| rest.starts_with(mark))
            }),
            Self::Header(_) | Self::Status | Self::Body => self.to_string() == field,
        }
    }
}

/// Whether the first steps of a place are those of a rule.
fn takes(rule: &[FieldSegment], place: &[FieldSegment]) -> bool {
    rule.len() <= place.len()
        && rule.iter().zip(place).all(|(rule, step)| match rule {
            FieldSegment::AnyKey => *step != FieldSegment::Items,
            _ => rule == step,
        })
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(segments) => {
                f.write_str("$")?;
                segments.iter().try_for_each(|segment| segment.fmt(f))
            }
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Form(name) => write!(f, "form.{name}"),
            Self::Status => f.write_str("status"),
            Self::Body => f.write_str("body"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// Whether a text is written as fields are named that are neither of a JSON document nor of a form.
fn is_named(text: &str) -> bool {
    let inner = [" > ", " › "].iter().any(|mark| text.contains(mark)) || text.ends_with(" order");
    let begins = ["csv.", "csv[", "part.", "part["].iter().any(|word| text.starts_with(word));
    inner
        || begins
        || ["csv", "line[*]"].contains(&text)
        || (text.len() > 1 && text.starts_with('#'))
        || (!text.starts_with('$') && text.contains('@'))
}

impl fmt::Display for FieldSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write_key(f, key),
            Self::AnyKey => f.write_str(".*"),
            Self::Items => f.write_str("[*]"),
        }
    }
}

/// `.key`, or `['key']` where the dotted form could not be read back.
pub(super) fn write_key(out: &mut impl fmt::Write, key: &str) -> fmt::Result {
    if !key.is_empty() && key.chars().all(plain) {
        return write!(out, ".{key}");
    }
    out.write_str("['")?;
    for c in key.chars() {
        if matches!(c, '\'' | '\\') {
            out.write_char('\\')?;
        }
        out.write_char(c)?;
    }
    out.write_str("']")
}

fn plain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

fn parse_json(text: &str) -> Result<Vec<FieldSegment>, PathError> {
    let mut segments = Vec::new();
    let mut at = 1;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if segments.len() == MAX_SEGMENTS {
            return Err(PathError { at: at..text.len(), fault: PathFault::TooLong });
        }
        let (segment, length) = if let Some(after) = rest.strip_prefix('.') {
            dotted(after, at)?
        } else if let Some(after) = rest.strip_prefix('[') {
            bracketed(after, at)?
        } else {
            let width = rest.chars().next().map_or(1, char::len_utf8);
            return Err(PathError { at: at..at + width, fault: PathFault::Character });
        };
        segments.push(segment);
        at += length;
    }
    Ok(segments)
}

/// The segment behind a dot at byte `at`, and the bytes it takes with the dot.
fn dotted(after: &str, at: usize) -> Result<(FieldSegment, usize), PathError> {
    if after.starts_with('.') {
        return Err(PathError { at: at..at + 2, fault: PathFault::Descent });
    }
    if after.starts_with('*') {
        return Ok((FieldSegment::AnyKey, 2));
    }
    let length = after.find(|c| !plain(c)).unwrap_or(after.len());
    match after.get(..length) {
        Some(key) if !key.is_empty() => Ok((FieldSegment::Key(key.into()), length + 1)),
        _ if after.is_empty() || after.starts_with('[') => {
            Err(PathError { at: at..at + 1, fault: PathFault::EmptyKey })
        }
        _ => {
            let width = after.chars().next().map_or(1, char::len_utf8);
            Err(PathError { at: at + 1..at + 1 + width, fault: PathFault::Character })
        }
    }
}

/// The segment behind a bracket at byte `at`, and the bytes it takes with both brackets.
fn bracketed(after: &str, at: usize) -> Result<(FieldSegment, usize), PathError> {
    if after.starts_with("*]") {
        return Ok((FieldSegment::Items, 3));
    }
    let bad = |fault| PathError { at: at..at + 1 + after.find(']').map_or(after.len(), |end| end + 1), fault };
    let quote = match after.chars().next() {
        Some(quote @ ('\'' | '"')) => quote,
        Some(c) if c.is_ascii_digit() || c == '-' => return Err(bad(PathFault::Index)),
        _ => return Err(bad(PathFault::Bracket)),
    };
    let mut key = String::new();
    let mut escaped = false;
    for (index, c) in after.char_indices().skip(1) {
        if escaped || (c != quote && c != '\\') {
            key.push(c);
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if after.get(index + 1..).is_some_and(|rest| rest.starts_with(']')) {
            // The bracket, what stands before the closing quote, the quote, the bracket.
            return Ok((FieldSegment::Key(key.into()), index + 3));
        } else {
            break;
        }
    }
    Err(bad(PathFault::Bracket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_printed_as_it_is_written() {
        for text in [
            "$",
            "$.a",
            "$.items[*].price",
            "$[*]",
            "$.users.*.name",
            "$['a b'].c",
            r"$['it\'s']",
            r"$['\\']",
            "$['']",
            "$.größe",
            "header:cache-control",
            "form.name",
            "form.*",
            "main > article.price > p",
            "#main > a@href",
            "$.content.rendered › p > a@href",
            "$.users order",
            "csv.price",
            "#1.3[*]",
            "part.file@filename",
            "part[*]",
            "line[*]",
            "status",
            "body",
        ] {
            assert_eq!(FieldPath::parse(text).map(|path| path.to_string()), Ok(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_rule_covers_what_it_names_and_all_that_lies_inside() {
        let covers = |rule: &str, field: &str| FieldPath::parse(rule).expect(rule).covers(field);
        for (rule, field) in [
            ("$.a", "$.a"),
            ("$.a", "$.a.b[*]"),
            ("$.a", "$.a order"),
            ("$.a", "$.a › p > b"),
            ("$.*", "$.*"),
            ("$.*", "$.name.first"),
            ("$.users.*.name", "$.users.ann.name"),
            ("$[*]", "$[*].price"),
            ("$", "$.a"),
            ("form.*", "form.name"),
            ("form.name", "form.name"),
            ("main > p", "main > p@class"),
            ("header:etag", "header:etag"),
            ("status", "status"),
        ] {
            assert!(covers(rule, field), "{rule} {field}");
        }
        for (rule, field) in [
            ("$.a", "$.ab"),
            ("$.a", "$.*"),
            ("$.a.b", "$.a"),
            ("$.*", "$[*]"),
            ("$.*", "$"),
            ("$.*", "header:etag"),
            ("$['[redacted]']", "$.name"),
            ("form.name", "form.*"),
            ("main > p", "main > pre"),
            ("header:etag", "header:etags"),
        ] {
            assert!(!covers(rule, field), "{rule} {field}");
        }
    }

    #[test]
    fn a_mistake_points_at_its_place() {
        use PathFault::{Bracket, Character, Descent, Empty, EmptyKey, HeaderName, Index, Unknown};
        for (text, at, fault) in [
            ("", 0..0, Empty),
            ("updated_at", 0..10, Unknown),
            ("$..id", 1..3, Descent),
            ("$.a[0].b", 3..6, Index),
            ("$.a.", 3..4, EmptyKey),
            ("$.a.[*]", 3..4, EmptyKey),
            ("$a", 1..2, Character),
            ("$.a b", 3..4, Character),
            ("$.é é", 4..5, Character),
            ("$. a", 2..3, Character),
            ("$['a", 1..4, Bracket),
            ("$[a]", 1..4, Bracket),
            ("$['a'x]", 1..7, Bracket),
            ("header:a b", 7..10, HeaderName),
            ("form:", 0..5, EmptyKey),
        ] {
            let error = FieldPath::parse(text).expect_err(text);
            assert_eq!((error.at.clone(), error.fault), (at, fault), "{text}");
            assert!(!error.help().is_empty());
        }
    }
}
