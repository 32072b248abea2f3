//! Templates and conditions as regular expressions, in the words that PCRE and RE2 share.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::route::{Condition, ConditionKind, HostPattern, Matching, PathPiece, PathRewrite, Segment, Template};

/// How a parameter's value is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Captures {
    None,
    /// `(?<p_id>…)`, for nginx.
    Named,
    /// By number, from the left: those that the rewrite uses, of which no target has more than nine.
    Numbered,
}

/// The groups that `\1` to `\9` stand for; of `\10` the targets read `\1` and a nought.
const MOST_NUMBERS: usize = 9;

/// Whether the parameters of a rewrite are more than can be numbered.
pub(super) fn has_too_many(rewrite: &PathRewrite) -> bool {
    names(rewrite).collect::<BTreeSet<_>>().len() > MOST_NUMBERS
}

/// The parameters that a rewrite uses.
fn names(rewrite: &PathRewrite) -> impl Iterator<Item = &str> {
    rewrite.pieces.iter().filter_map(|piece| match piece {
        PathPiece::Literal(_) => None,
        PathPiece::Parameter(name) => Some(&**name),
    })
}

/// A regular expression for the whole of a path in normal form.
pub(super) fn path(
    template: &Template,
    matching: Matching,
    captures: Captures,
    rewrite: Option<&PathRewrite>,
) -> String {
    path_for(template, matching, captures, rewrite, false)
}

/// The same for the path of an address: where that begins with a catch-all's value, the value begins with no slash, since two of
/// them would name another host.
pub(super) fn address(template: &Template, matching: Matching, captures: Captures, path: &PathRewrite) -> String {
    let is_first = match (path.pieces.as_slice(), template.segments().last()) {
        ([PathPiece::Literal(slash), PathPiece::Parameter(name), ..], Some(Segment::Rest(rest))) => {
            &**slash == "/" && name == rest
        }
        _ => false,
    };
    path_for(template, matching, captures, Some(path), is_first)
}

fn path_for(
    template: &Template,
    matching: Matching,
    captures: Captures,
    rewrite: Option<&PathRewrite>,
    one_slash: bool,
) -> String {
    let is_used = |name: &str| rewrite.is_some_and(|rewrite| names(rewrite).any(|used| used == name));
    let group = |name: &str, body: &str| match captures {
        Captures::None => body.to_owned(),
        Captures::Named => format!("(?<p_{name}>{body})"),
        Captures::Numbered if is_used(name) => format!("({body})"),
        Captures::Numbered => format!("(?:{body})"),
    };
    let slash = if matching.merge_slashes { "/+" } else { "/" };
    let mut text = if matching.case_insensitive { "(?i)^".to_owned() } else { "^".to_owned() };
    let rest_slash = if one_slash { "/+" } else { slash };
    let segments = template.segments();
    for (at, segment) in segments.iter().enumerate() {
        match segment {
            Segment::Literal(part) if part.is_empty() && at > 0 && matching.ignore_trailing_slash => {}
            Segment::Literal(part) => {
                text.push_str(slash);
                text.push_str(&literal(part));
            }
            Segment::Parameter(parameter) => {
                let value = group(&parameter.name, "[^/]+");
                let _ = write!(text, "{slash}{}{value}{}", literal(&parameter.prefix), literal(&parameter.suffix));
            }
            Segment::Rest(name) if captures != Captures::None && is_between(name, rewrite) => {
                // Two slashes at the beginning of an address would name another host.
                let (before, body, after) = if one_slash { ("/*", "/[^/].*|", "/*") } else { ("", "/.+|", "/?") };
                let _ = write!(text, "{before}{}{after}", group(name, body));
            }
            Segment::Rest(name) if at == 0 => {
                // `/{*rest}` takes every path, and there is always a slash.
                let _ = write!(text, "{rest_slash}{}", group(name, ".*"));
            }
            Segment::Rest(name) if takes_slash(name, rewrite) => {
                text.push_str(&if captures == Captures::None { "(?:/.*)?".to_owned() } else { group(name, "/.*|") });
            }
            Segment::Rest(name) => {
                let _ = write!(text, "(?:{rest_slash}{})?", group(name, ".*"));
            }
        }
    }
    if matching.ignore_trailing_slash && !matches!(segments.last(), Some(Segment::Rest(_))) {
        text.push_str("/?");
    }
    text.push('$');
    text
}

/// Whether the value of a catch-all is captured with the slash before it: where the rewritten path has a slash of its own there,
/// that one goes, so that `/a` becomes `/v2` and `/a/` becomes `/v2/`.
pub(super) fn takes_slash(name: &str, rewrite: Option<&PathRewrite>) -> bool {
    let follows_slash = |rewrite: &PathRewrite| {
        rewrite.pieces.windows(2).enumerate().any(|(at, pair)| match pair {
            [PathPiece::Literal(before), PathPiece::Parameter(own)] => {
                **own == *name && before.ends_with('/') && !(at == 0 && &**before == "/")
            }
            _ => false,
        })
    };
    rewrite.is_some_and(follows_slash) || is_between(name, rewrite)
}

/// Whether a catch-all stands between two slashes of the rewritten path, of which an empty value leaves one.
fn is_between(name: &str, rewrite: Option<&PathRewrite>) -> bool {
    let Some(rewrite) = rewrite else { return false };
    rewrite.pieces.windows(3).any(|pieces| match pieces {
        [PathPiece::Literal(before), PathPiece::Parameter(own), PathPiece::Literal(after)] => {
            **own == *name && before.ends_with('/') && after.starts_with('/')
        }
        _ => false,
    })
}

/// The path that a service is sent, its parameters written by `value`.
pub(super) fn rewritten(
    rewrite: &PathRewrite,
    template: &Template,
    text_of: impl Fn(&str) -> String,
    value: impl Fn(&str, usize) -> String,
) -> String {
    let used: BTreeSet<&str> = names(rewrite).collect();
    let parameters = template.segments().iter().filter_map(parameter_name);
    let numbered: Vec<&str> = parameters.filter(|name| used.contains(name)).collect();
    let is_slashed_rest = |name: &str| match (template.segments(), template.segments().last()) {
        ([_, _, ..], Some(Segment::Rest(own))) => **own == *name && takes_slash(name, Some(rewrite)),
        (_, Some(Segment::Rest(own))) => **own == *name && is_between(name, Some(rewrite)),
        _ => false,
    };
    let mut text = String::new();
    for (at, piece) in rewrite.pieces.iter().enumerate() {
        match piece {
            PathPiece::Literal(part) => {
                let before_rest = match rewrite.pieces.get(at + 1) {
                    Some(PathPiece::Parameter(name)) => is_slashed_rest(name),
                    _ => false,
                };
                let part = if before_rest { part.strip_suffix('/').unwrap_or(part) } else { part };
                text.push_str(&text_of(part));
            }
            PathPiece::Parameter(name) => {
                let number = numbered.iter().position(|own| **own == **name).map_or(0, |at| at + 1);
                text.push_str(&value(name, number));
            }
        }
    }
    text
}

fn parameter_name(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Literal(_) => None,
        Segment::Parameter(parameter) => Some(&parameter.name),
        Segment::Rest(name) => Some(name),
    }
}

/// Paths that multilith refuses with 400, as they came: a segment that begins with `..;`, a backslash, a control character. In the
/// words of PCRE and RE2, for a match anywhere; letters in either case.
pub(super) const REFUSED: &str = "/(?:[.]|%2e){2}(?:;|%3b)|\\\\|%[01][0-9a-f]|%7f|\\x7f";

/// Methods that multilith refuses with 405.
pub(super) const REFUSED_METHODS: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];

/// A host without its port, in lower case.
pub(super) fn host(pattern: &HostPattern) -> Option<String> {
    match pattern {
        HostPattern::Any => None,
        HostPattern::Exact(host) => Some(escape(host)),
        HostPattern::Wildcard(suffix) => Some(format!("[^: ]+{}", escape(suffix))),
    }
}

/// Text of a path: percent escapes in either case.
pub(super) fn literal(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&escape(&rest[..at]));
        let end = (at + 3).min(rest.len());
        let _ = write!(out, "(?i:{})", &rest[at..end]);
        rest = &rest[end..];
    }
    out + &escape(rest)
}

/// Text that stands for itself.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii_punctuation()
            && !matches!(letter, '/' | '-' | '_' | '%' | '"' | '\'' | ',' | ':' | '=' | '@' | '~' | '!' | ';' | '&')
        {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

/// Text of a query, each byte as it is or percent-encoded, a space also as `+`.
pub(super) fn encoded(text: &str) -> String {
    encoded_but(text, b"+&")
}

/// The same for a key, which ends at `=`.
pub(super) fn encoded_key(text: &str) -> String {
    encoded_but(text, b"+&=")
}

/// Whether a `%` of the text begins what would be an escape: what is written for it then looks ahead, which RE2 cannot.
pub(super) fn looks_escaped(text: &str) -> bool {
    (0..text.len()).any(|at| is_escape(&text.as_bytes()[at..]))
}

fn is_escape(text: &[u8]) -> bool {
    matches!(text, [b'%', one, other, ..] if one.is_ascii_hexdigit() && other.is_ascii_hexdigit())
}

/// `encoded` are those that mean something else where they stand as they are.
fn encoded_but(text: &str, encoded: &[u8]) -> String {
    let mut out = String::new();
    for (at, byte) in text.bytes().enumerate() {
        let plain = match byte {
            b' ' => "\\+|".to_owned(),
            _ if encoded.contains(&byte) => String::new(),
            b'%' if is_escape(&text.as_bytes()[at..]) => "%(?![0-9a-fA-F]{2})|".to_owned(),
            _ if byte.is_ascii_graphic() => format!("{}|", escape(&char::from(byte).to_string())),
            _ => String::new(),
        };
        let _ = write!(out, "(?:{plain}%(?i:{byte:02x}))");
    }
    out
}

/// A query whose first value under the condition's name meets it, `Absent` as if it were `Present`; `None` for a regex.
pub(super) fn query(condition: &Condition) -> Option<String> {
    let name = encoded_key(&condition.name);
    let before = format!("^(?:(?!{name}(?:[=&]|$))[^&]*&)*{name}");
    match &condition.kind {
        ConditionKind::Equal(value) if value.is_empty() => Some(format!("{before}=?(?:&|$)")),
        ConditionKind::Equal(value) => Some(format!("{before}={}(?:&|$)", encoded(value))),
        ConditionKind::Present | ConditionKind::Absent => Some(format!("{before}(?:[=&]|$)")),
        ConditionKind::Regex(_) => None,
    }
}

/// A cookie's value that is UTF-8, in bytes.
const TEXT: &str = "(?:[\\x01-:<-\\x7f]|[\\xc2-\\xdf][\\x80-\\xbf]|\\xe0[\\xa0-\\xbf][\\x80-\\xbf]|[\\xe1-\\xec\\xee\\xef][\\x80-\\xbf]{2}|\\xed[\\x80-\\x9f][\\x80-\\xbf]|\\xf0[\\x90-\\xbf][\\x80-\\xbf]{2}|[\\xf1-\\xf3][\\x80-\\xbf]{3}|\\xf4[\\x80-\\x8f][\\x80-\\xbf]{2})*+(?:;|$)";

/// A Cookie field up to the first value under a name that is text, for PCRE.
pub(super) fn first_cookie(name: &str) -> String {
    let named = format!("[ \\t]*{}[ \\t]*=(?={TEXT})", escape(name));
    format!("^(?:(?!{named})[^;]*;)*{named}[ \\t]*")
}

/// A Cookie field whose first value under the condition's name meets it, `Absent` as if it were `Present`; `None` for a regex.
pub(super) fn cookie(condition: &Condition) -> Option<String> {
    let before = first_cookie(&condition.name);
    match &condition.kind {
        ConditionKind::Equal(value) => {
            let value = escape(value);
            Some(format!("{before}(?:{value}|\"{value}\")[ \\t]*(?:;|$)"))
        }
        ConditionKind::Present | ConditionKind::Absent => Some(before),
        ConditionKind::Regex(_) => None,
    }
}

/// A regex of the file for PCRE, whose `$` also stands before a last line feed: here it is the end alone.
pub(super) fn ending(regex: &str) -> String {
    let mut out = String::with_capacity(regex.len() + 2);
    let mut in_class = false;
    let mut letters = regex.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '$' if !in_class => out.push_str("\\z"),
            '\\' => {
                out.push(letter);
                out.extend(letters.next());
            }
            '[' if !in_class => {
                in_class = true;
                out.push(letter);
                out.extend(letters.next_if_eq(&'^'));
                // Where nothing stands before it, it is no end.
                out.extend(letters.next_if_eq(&']'));
            }
            _ => {
                in_class &= letter != ']';
                out.push(letter);
            }
        }
    }
    out
}

/// Whether a regex of the file means the same to PCRE and to RE2 as it does here: no classes with operators, no flags, no escapes
/// but the common ones.
pub(super) fn is_portable(regex: &str) -> bool {
    let bytes = regex.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let next = bytes.get(at + 1).copied().unwrap_or(b' ');
        match byte {
            b'\\' if next.is_ascii_punctuation() || matches!(next, b'd' | b'w' | b's' | b'D' | b'W' | b'S') => at += 1,
            b'\\' => return false,
            b'(' if next == b'?' && bytes.get(at + 2) != Some(&b':') => return false,
            b'&' | b'~' | b'-' if next == byte => return false,
            b'[' if next == b'[' || next == b':' => return false,
            _ if !byte.is_ascii_graphic() && byte != b' ' => return false,
            _ => {}
        }
        at += 1;
    }
    true
}

/// Whether a regex takes the same values here and there whatever bytes a client sends: it names each character that it takes. Others
/// take bytes that are not ASCII in one dialect and not in the other.
pub(super) fn names_its_characters(regex: &str) -> bool {
    let (mut is_escaped, mut in_class, mut before) = (false, false, b' ');
    regex.bytes().all(|byte| {
        let last = std::mem::replace(&mut before, byte);
        if std::mem::take(&mut is_escaped) {
            return !byte.is_ascii_alphabetic();
        }
        match byte {
            b'\\' => is_escaped = true,
            b'^' if in_class && last == b'[' => return false,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'.' => return in_class,
            _ => {}
        }
        true
    })
}

/// Whether a regex over a value can be one over a piece of a longer text: its anchors stand at its ends, and bind all of it.
pub(super) fn anchors_at_ends(regex: &str) -> bool {
    let inner = regex.strip_prefix('^').unwrap_or(regex);
    let inner = inner.strip_suffix('$').filter(|inner| !inner.ends_with('\\')).unwrap_or(inner);
    let is_anchored = inner.len() < regex.len();
    let (mut is_escaped, mut in_class) = (false, false);
    inner.bytes().all(|byte| {
        if std::mem::take(&mut is_escaped) {
            return true;
        }
        match byte {
            b'\\' => is_escaped = true,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'^' | b'$' => return in_class,
            b'|' => return in_class || !is_anchored,
            _ => {}
        }
        true
    })
}
