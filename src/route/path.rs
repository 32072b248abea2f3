//! Normalises a request's path, so that no spelling of a path steps around its route.

use std::borrow::Cow;

use super::matching::Matching;

/// A path as routes are matched by, and as services are sent it. ASCII, begins with `/` (or is the `*` of `OPTIONS *`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalPath<'a> {
    text: Cow<'a, str>,
    undotted: Option<String>,
}

impl NormalPath<'_> {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path in normal form but for its dot segments, which stand as sent. `None` when it has none.
    /// An upstream that does not resolve them would see this path.
    #[must_use]
    pub fn undotted(&self) -> Option<&str> {
        self.undotted.as_deref()
    }

    #[must_use]
    pub fn into_string(self) -> String {
        self.text.into_owned()
    }
}

/// Why a path is answered with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathRefused {
    /// `..;`: some servers cut the parameter off and then resolve the dots.
    #[error("the path has a segment that begins with `..;`")]
    DotSemicolon,
    /// `\`: some servers take it as `/`.
    #[error("the path has a backslash")]
    Backslash,
    /// `%00`: ends the string in some servers.
    #[error("the path has a NUL")]
    Nul,
    /// A control character, raw or percent-encoded.
    #[error("the path has a control character")]
    Control,
    /// Neither begins with `/` nor is `*`.
    #[error("the path does not begin with `/`")]
    NotAbsolute,
    /// With its dot segments unresolved the path selects another route.
    #[error("the path selects one route with its dot segments and another without them")]
    OtherRoute,
}

/// Brings a path (without query) into normal form: dot segments resolved (`%2e` too), unreserved octets decoded, other
/// escapes in upper case, `//` merged if asked, and every byte that may not stand in a path percent-encoded. `%2F` and
/// `%5C` stay escapes. A `%` that begins no escape is a literal `%25`: decoders that are lenient read it so, and a second
/// normalising cannot make another path of it. Allocates only when something has to change.
pub fn normalise<'a>(raw: &'a str, matching: &Matching) -> Result<NormalPath<'a>, PathRefused> {
    normalise_bytes(raw.as_bytes(), matching)
}

/// As [`normalise`], for a path that may hold bytes that are not UTF-8.
pub fn normalise_bytes<'a>(raw: &'a [u8], matching: &Matching) -> Result<NormalPath<'a>, PathRefused> {
    match raw.first() {
        Some(b'/') => {}
        None => return Ok(NormalPath { text: Cow::Borrowed("/"), undotted: None }),
        Some(b'*') if raw.len() == 1 => return Ok(NormalPath { text: Cow::Borrowed("*"), undotted: None }),
        Some(_) => return Err(PathRefused::NotAbsolute),
    }
    if is_normal(raw, matching.merge_slashes)
        && let Ok(text) = std::str::from_utf8(raw)
    {
        return Ok(NormalPath { text: Cow::Borrowed(text), undotted: None });
    }
    let clean = clean(raw, matching.merge_slashes)?;
    if clean.split('/').any(|segment| hides_dots(segment.as_bytes())) {
        return Err(PathRefused::DotSemicolon);
    }
    if !clean.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Ok(NormalPath { text: Cow::Owned(clean), undotted: None });
    }
    Ok(NormalPath { text: Cow::Owned(resolve(&clean)), undotted: Some(clean) })
}

/// The class of a byte for the scan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Stands for itself.
    Plain,
    Slash,
    Percent,
    /// Must be percent-encoded.
    Foreign,
    Backslash,
    Control,
}

static CLASSES: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut classes = [Class::Foreign; 256];
    let mut index = 0;
    while index < 256 {
        classes[index] = class(index.to_le_bytes()[0]);
        index += 1;
    }
    classes
}

/// RFC 3986: pchar is unreserved, sub-delims, `:` and `@`.
const fn class(byte: u8) -> Class {
    match byte {
        0..=0x1f | 0x7f => Class::Control,
        b'/' => Class::Slash,
        b'%' => Class::Percent,
        b'\\' => Class::Backslash,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@' => Class::Plain,
        _ if is_unreserved(byte) => Class::Plain,
        _ => Class::Foreign,
    }
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// True only when the path is its own normal form; a few rare paths that are get `false` and come out the same.
fn is_normal(raw: &[u8], merge_slashes: bool) -> bool {
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        match CLASSES[usize::from(byte)] {
            Class::Plain => at += 1,
            Class::Slash => match raw.get(at + 1) {
                Some(b'/') if merge_slashes => return false,
                Some(b'.') if may_be_dots(&raw[at + 1..]) => return false,
                _ => at += 1,
            },
            Class::Percent => match escape(&raw[at..]) {
                Some(octet)
                    if !is_unreserved(octet)
                        && !octet.is_ascii_control()
                        && !raw[at + 1..at + 3].iter().any(u8::is_ascii_lowercase) =>
                {
                    at += 3;
                }
                _ => return false,
            },
            Class::Foreign | Class::Backslash | Class::Control => return false,
        }
    }
    true
}

/// Whether the segment that begins here with a dot is a dot segment or looks like one.
fn may_be_dots(segment: &[u8]) -> bool {
    let after = if segment.get(1) == Some(&b'.') { segment.get(2) } else { segment.get(1) };
    matches!(after, None | Some(b'/' | b';' | b'%'))
}

/// Everything but the dot segments.
pub(super) fn clean(raw: &[u8], merge_slashes: bool) -> Result<String, PathRefused> {
    let mut text = String::with_capacity(raw.len() + 16);
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        at += 1;
        match CLASSES[usize::from(byte)] {
            Class::Plain => text.push(char::from(byte)),
            Class::Slash if merge_slashes && text.ends_with('/') => {}
            Class::Slash => text.push('/'),
            Class::Foreign => push_escape(&mut text, byte),
            Class::Backslash => return Err(PathRefused::Backslash),
            Class::Control => return Err(if byte == 0 { PathRefused::Nul } else { PathRefused::Control }),
            Class::Percent => match escape(&raw[at - 1..]) {
                None => push_escape(&mut text, b'%'),
                Some(0) => return Err(PathRefused::Nul),
                Some(octet) if octet.is_ascii_control() => return Err(PathRefused::Control),
                Some(octet) => {
                    at += 2;
                    if is_unreserved(octet) {
                        text.push(char::from(octet));
                    } else {
                        push_escape(&mut text, octet);
                    }
                }
            },
        }
    }
    Ok(text)
}

/// RFC 3986, section 5.2.4.
pub fn resolve(clean: &str) -> String {
    let mut text = String::with_capacity(clean.len());
    let mut segments = clean.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if !matches!(segment, "." | "..") {
            text.push('/');
            text.push_str(segment);
            continue;
        }
        if segment == ".." {
            text.truncate(text.rfind('/').unwrap_or(0));
        }
        if segments.peek().is_none() {
            text.push('/');
        }
    }
    text
}

/// `..;` and what follows it in the segment, also with the semicolon escaped.
fn hides_dots(segment: &[u8]) -> bool {
    segment.strip_prefix(b"..").is_some_and(|after| {
        after.first() == Some(&b';') || after.get(..3).is_some_and(|escape| escape.eq_ignore_ascii_case(b"%3B"))
    })
}

/// A segment that some server may resolve as a dot segment. No parameter with affixes takes one as its value: in a
/// rewritten path it would stand alone.
pub(super) fn is_dot_like(segment: &[u8]) -> bool {
    matches!(segment, b"." | b"..") || hides_dots(segment)
}

/// The octet of the escape at the beginning of the text.
fn escape(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(1)? << 4 | digit(2)?).ok()
}

fn push_escape(text: &mut String, octet: u8) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    text.extend(['%', DIGITS[usize::from(octet >> 4)], DIGITS[usize::from(octet & 15)]]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: Matching = Matching { merge_slashes: false, case_insensitive: false, ignore_trailing_slash: false };

    fn normal(raw: &str) -> (String, Option<String>) {
        let path = normalise(raw, &Matching::default()).expect("the path is taken");
        (path.as_str().to_owned(), path.undotted().map(str::to_owned))
    }

    #[test]
    fn spellings_of_a_path_become_one() {
        let table = [
            ("/api/users", "/api/users"),
            ("/api/%75sers", "/api/users"),
            ("/api/%55sers", "/api/Users"),
            ("/api/./users", "/api/users"),
            ("/api/%2e/users", "/api/users"),
            ("/api//users", "/api/users"),
            ("//api/users", "/api/users"),
            ("/api/users;x", "/api/users;x"),
            ("/api/x/..%2fusers", "/api/x/..%2Fusers"),
            ("/api/%2fusers%5c", "/api/%2Fusers%5C"),
            ("/a/../b", "/b"),
            ("/a//../b", "/b"),
            ("/a/%2E%2e/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/../../a", "/a"),
            ("/..", "/"),
            ("/.", "/"),
            ("/a/...", "/a/..."),
            ("/a/.well-known", "/a/.well-known"),
            ("/a/..b", "/a/..b"),
            ("/a/%7Eme", "/a/~me"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a b\"<>[]^`{|}", "/a%20b%22%3C%3E%5B%5D%5E%60%7B%7C%7D"),
            ("/100%", "/100%25"),
            ("/%zz/%4", "/%25zz/%254"),
            ("/%252e%252e/a", "/%252e%252e/a"),
            ("/a/", "/a/"),
            ("", "/"),
            ("*", "*"),
        ];
        for (raw, expected) in table {
            assert_eq!(normal(raw).0, expected, "{raw}");
        }
    }

    #[test]
    fn slashes_stay_when_they_are_not_to_be_merged() {
        for (raw, expected) in [("/a//b", "/a//b"), ("/a//../b", "/a/b"), ("/a/..//b", "//b"), ("//", "//")] {
            assert_eq!(normalise(raw, &PLAIN).expect("the path is taken").as_str(), expected, "{raw}");
        }
    }

    #[test]
    fn the_reading_with_dots_is_kept_only_for_paths_that_have_them() {
        assert_eq!(normal("/a//%2e%2e/b%2f").1.as_deref(), Some("/a/../b%2F"));
        assert_eq!(normal("/a/./b").1.as_deref(), Some("/a/./b"));
        assert_eq!(normal("/a/%62").1, None);
        assert_eq!(normal("/a/.b/..c/%2ed").1, None);
    }

    #[test]
    fn dangerous_paths_are_refused() {
        let table = [
            ("/a/..;/b", PathRefused::DotSemicolon),
            ("/a/..;x=1/b", PathRefused::DotSemicolon),
            ("/a/%2e%2e;/b", PathRefused::DotSemicolon),
            ("/a/..%3b/b", PathRefused::DotSemicolon),
            ("/a\\b", PathRefused::Backslash),
            ("/a/..\\b", PathRefused::Backslash),
            ("/a%00", PathRefused::Nul),
            ("/a\0", PathRefused::Nul),
            ("/a%0d%0ab", PathRefused::Control),
            ("/a%0A", PathRefused::Control),
            ("/a%09b", PathRefused::Control),
            ("/a%1fb", PathRefused::Control),
            ("/a%7F", PathRefused::Control),
            ("/a\tb", PathRefused::Control),
            ("/a\u{7f}", PathRefused::Control),
            ("a/b", PathRefused::NotAbsolute),
            ("**", PathRefused::NotAbsolute),
        ];
        for (raw, expected) in table {
            assert_eq!(normalise(raw, &Matching::default()), Err(expected), "{raw:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_encoded() {
        let path = normalise_bytes(b"/a/\xff\x80", &Matching::default()).expect("the path is taken");
        assert_eq!(path.as_str(), "/a/%FF%80");
    }

    #[test]
    fn a_normal_path_is_borrowed() {
        for raw in ["/", "/api/users/42", "/a/%2F%C3%A9", "/.well-known/x", "/a;b=c/@:!$&'()*+,=-._~"] {
            let path = normalise(raw, &Matching::default()).expect("the path is taken");
            assert!(matches!(path.text, Cow::Borrowed(_)), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn normalising_is_idempotent(raw in "/([a-zA-Z./%é;{ ]|%2[eEfF5]|%6[1-9]|\\.\\./|//|\\.){0,12}", merge: bool) {
            let matching = Matching { merge_slashes: merge, ..Matching::default() };
            if let Ok(once) = normalise(&raw, &matching) {
                let twice = normalise(once.as_str(), &matching).expect("a normal path is taken");
                prop_assert_eq!(twice.as_str(), once.as_str());
                prop_assert_eq!(twice.undotted(), None);
            }
        }

        #[test]
        fn any_bytes_are_normalised_or_refused(raw in proptest::collection::vec(any::<u8>(), 0..40)) {
            let rooted = [b"/", &raw[..]].concat();
            if let Ok(path) = normalise_bytes(&rooted, &Matching::default()) {
                prop_assert!(path.as_str().is_ascii());
                prop_assert!(path.as_str().starts_with('/'));
                prop_assert!(!path.as_str().split('/').any(|segment| is_dot_like(segment.as_bytes())));
            }
        }
    }
}
