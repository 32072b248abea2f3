//! Tells a value from a word by the segment's bytes alone.

use std::ops::ControlFlow;

use super::words;
use crate::message::percent_decoded;

/// Longer segments are values: no program has such a word in its routes.
const LONGEST_WORD: usize = 48;
/// A version stands in the first places of a path.
const VERSION_PLACES: usize = 4;

/// The kind of a sure value; said to people as the reason of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SegmentKind {
    Number,
    Uuid,
    Date,
    Version,
    Other,
}

/// A value that stands for others of its kind.
#[must_use]
pub const fn example(kind: Option<SegmentKind>) -> &'static str {
    match kind {
        Some(SegmentKind::Number) => "42",
        Some(SegmentKind::Uuid) => "0f8fad5b-d9cb-469f-a165-70867728950e",
        Some(SegmentKind::Date) => "2024-05-01",
        Some(SegmentKind::Version) => "1.4.2",
        Some(SegmentKind::Other) => "a1b2c3d4e5",
        None => "example",
    }
}

/// The value's kind if such a segment is not written in programs, `None` if it could be a word.
fn value(segment: &str) -> Option<SegmentKind> {
    let bytes = segment.as_bytes();
    if bytes.is_empty() || is_foreign_word(segment) {
        return None;
    }
    if bytes.iter().all(u8::is_ascii_digit) {
        return Some(SegmentKind::Number);
    }
    if bytes.len() > LONGEST_WORD {
        return Some(SegmentKind::Other);
    }
    if is_uuid(bytes) {
        return Some(SegmentKind::Uuid);
    }
    if is_date(bytes) {
        return Some(SegmentKind::Date);
    }
    if is_semver(bytes) {
        return Some(SegmentKind::Version);
    }
    looks_made(segment, bytes).then_some(SegmentKind::Other)
}

/// `b%C3%BCcher`: letters, of which some are not ASCII, with hyphens between them.
fn is_foreign_word(segment: &str) -> bool {
    if !segment.contains('%') {
        return false;
    }
    let text = percent_decoded(segment.as_bytes());
    text.chars().take(LONGEST_WORD + 1).count() <= LONGEST_WORD
        && !text.is_ascii()
        && text.chars().all(|char| char.is_alphabetic() || char == '-' || char == '_')
}

fn looks_made(segment: &str, bytes: &[u8]) -> bool {
    let n = bytes.len();
    if bytes.iter().any(|byte| !byte.is_ascii_alphanumeric() && !b"._~-".contains(byte)) {
        return !is_verb(bytes) && !is_action(segment);
    }
    if is_numbered(bytes) || is_size(bytes) {
        return true;
    }
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let mixed = is_mixed(bytes);
    // Ab3dE5fG, but not getUserById: 2.7 bytes a token are the border.
    if mixed && n >= (if digits > 0 { 8 } else { 14 }) && n * 10 < 27 * camel_tokens(bytes).len().max(1) {
        return true;
    }
    if is_gibberish(bytes) && !is_acronyms(segment)
        || mixed && n >= 16 && n * 10 < 36 * camel_tokens(bytes).len() && has_odd_token(bytes)
    {
        return true;
    }
    if is_prefixed(segment) {
        return true;
    }
    if digits == 0 {
        return false;
    }
    if n >= 7 && digits >= 2 && digits < n && is_hex(bytes) {
        return true;
    }
    // cus_NffrFeUfNV2Hib, web-7c9d8f6b4-x2x9k
    if let Some(at) = segment.rfind(['_', '-']) {
        let tail = &bytes[at + 1..];
        if tail.len() >= 8 && tail.iter().any(u8::is_ascii_digit) {
            return true;
        }
    }
    (digits >= 3 && n >= 6 && digits * 3 >= n) || (n >= 20 && digits >= 4)
}

/// Letters of both cases.
pub fn is_mixed(bytes: &[u8]) -> bool {
    bytes.iter().any(u8::is_ascii_uppercase) && bytes.iter().any(u8::is_ascii_lowercase)
}

/// `pi_HvahqLeUGFywJN`: a kind and a random text, which may have no digit. A word of a program is in snake or in camel case, not both.
fn is_prefixed(segment: &str) -> bool {
    let Some((kind, random)) = segment.split_once('_') else { return false };
    let bytes = random.as_bytes();
    kind.bytes().all(|byte| byte.is_ascii_lowercase())
        && bytes.len() >= 10
        && bytes.iter().all(u8::is_ascii_alphanumeric)
        && is_mixed(bytes)
        && bytes.len() < 4 * camel_tokens(bytes).len()
}

/// `DE`, `EUR`, `BER1`: a code of a country, a currency, a place; names of resources are not in upper case.
#[must_use]
pub fn is_code(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let letters = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    (2..=4).contains(&letters) && bytes.len() <= 6 && bytes[letters..].iter().all(u8::is_ascii_digit)
}

/// `v1`, `v2beta1`, `v1_alpha`, `v2.1`, `1.1`: a version of the interface, which is a word.
#[must_use]
pub fn is_version(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    if let Some(rest) = bytes.strip_prefix(b"v") {
        let (number, rest) = digits(rest);
        if !(1..=3).contains(&number) {
            return false;
        }
        if let Some(minor) = rest.strip_prefix(b".") {
            let (count, rest) = digits(minor);
            return (1..=2).contains(&count) && rest.is_empty();
        }
        let (is_parted, rest) = match rest {
            [b'_' | b'-', rest @ ..] => (true, rest),
            _ => (false, rest),
        };
        let Some(rest) = rest.strip_prefix(b"alpha").or_else(|| rest.strip_prefix(b"beta")) else {
            return rest.is_empty() && !is_parted;
        };
        let (number, rest) = digits(rest);
        return number <= 2 && rest.is_empty() && (number > 0 || is_parted);
    }
    let (major, rest) = digits(bytes);
    let Some(rest) = rest.strip_prefix(b".") else { return false };
    let (minor, rest) = digits(rest);
    (1..=2).contains(&major) && (1..=2).contains(&minor) && rest.is_empty()
}

/// A segment as it is read at its place in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacedSegment<'a> {
    /// Without its format.
    pub stem: &'a str,
    /// With its dot (or its colon: `{id}:cancel`); empty: it has none.
    pub format: &'a str,
    /// `None`: it could be a word.
    pub kind: Option<SegmentKind>,
    /// A version of the interface, which is a word.
    pub is_version: bool,
}

/// Where something may stand behind a value that stays literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// More follows: what looks like a file is the name of a package.
    Before,
    /// The path ends here, perhaps in a picture or a script.
    Here,
}

/// Reads the segment at this place of a path, counted from 0.
#[must_use]
pub fn read(segment: &str, place: usize, ends: Ends) -> PlacedSegment<'_> {
    let (stem, format) = split(segment, ends);
    let is_version = place < VERSION_PLACES && is_version(segment);
    let kind = if is_version { None } else { value(stem) };
    PlacedSegment { stem, format, kind, is_version }
}

/// The segment without its format, and the format.
#[must_use]
pub fn split(segment: &str, ends: Ends) -> (&str, &str) {
    split_ending(segment, |ending| words::is_format(ending) || ends == Ends::Here && words::is_asset(ending))
}

fn split_ending(segment: &str, is_ending: impl Fn(&str) -> bool) -> (&str, &str) {
    if let Some(at) = segment.rfind('.').filter(|at| *at > 0)
        && is_ending(&segment[at + 1..])
    {
        return segment.split_at(at);
    }
    if let Some(at) = segment.rfind(':').filter(|at| *at > 0) {
        let verb = &segment.as_bytes()[at + 1..];
        if !verb.is_empty()
            && verb.iter().all(u8::is_ascii_alphabetic)
            && !is_hex(verb)
            && value(&segment[..at]).is_some()
        {
            return segment.split_at(at);
        }
    }
    (segment, "")
}

/// How much a word looks written by a user rather than by a programmer, 0 to 1.
#[must_use]
pub fn slug_likeness(word: &str) -> f64 {
    let (stem, _) = split(word, Ends::Before);
    let read = if is_foreign_word(stem) { percent_decoded(stem.as_bytes()) } else { stem.into() };
    let stem = &*read;
    let bytes = stem.as_bytes();
    let mut sum = 0.0;
    if bytes.iter().any(u8::is_ascii_digit) {
        sum += 0.6;
    }
    match stem.matches('-').count() {
        0 | 1 => {}
        2 => sum += 0.3,
        _ => sum += 0.7,
    }
    let upper_behind = bytes.iter().skip(1).any(u8::is_ascii_uppercase);
    let all_upper = !bytes.iter().any(u8::is_ascii_lowercase) && bytes.iter().any(u8::is_ascii_uppercase);
    if (upper_behind && bytes.contains(&b'_')) || (all_upper && bytes.len() > 1) {
        sum += 0.7;
    }
    if bytes.contains(&b'.') {
        sum += 0.3;
    }
    // `frontend_http_requests_per_second` is a long word of a program.
    let is_snake =
        bytes.contains(&b'_') && bytes.iter().all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(byte));
    if bytes.len() > 24 && !is_snake {
        sum += 0.4;
    }
    f64::min(sum, 1.0)
}

/// Whether the path ends in the name of a file.
#[must_use]
pub fn is_file_name(segment: &str) -> bool {
    segment.rfind('.').filter(|at| *at > 0).is_some_and(|at| words::is_file(&segment[at + 1..]))
}

/// The number of leading digits, and what follows them.
fn digits(bytes: &[u8]) -> (usize, &[u8]) {
    let count = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count, &bytes[count..])
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `2024-05`, `2024-05-01`, `2024-05-01T…`
fn is_date(bytes: &[u8]) -> bool {
    fn part(bytes: &[u8], length: usize) -> Option<&[u8]> {
        let (head, rest) = bytes.split_at_checked(length)?;
        head.iter().all(u8::is_ascii_digit).then_some(rest)
    }
    let parse = || {
        let rest = part(part(bytes, 4)?.strip_prefix(b"-")?, 2)?;
        let rest = match rest.strip_prefix(b"-") {
            Some(day) => part(day, 2)?,
            None => rest,
        };
        (rest.is_empty() || rest[0] == b'T' || rest[0] == b'_').then_some(())
    };
    parse().is_some()
}

/// `1.4.2`, `v1.4.2-rc1`
fn is_semver(bytes: &[u8]) -> bool {
    let mut rest = bytes.strip_prefix(b"v").unwrap_or(bytes);
    for place in 0..3 {
        let (count, behind) = digits(rest);
        if count == 0 {
            return false;
        }
        rest = behind;
        if place < 2 {
            match rest.strip_prefix(b".") {
                Some(behind) => rest = behind,
                None => return false,
            }
        }
    }
    rest.is_empty() || b"-+.".contains(&rest[0])
}

/// `word:verb`, as Google's interfaces write actions.
fn is_verb(bytes: &[u8]) -> bool {
    let Some(at) = bytes.iter().position(|byte| *byte == b':') else { return false };
    let (word, verb) = (&bytes[..at], &bytes[at + 1..]);
    word.first().is_some_and(u8::is_ascii_lowercase)
        && word.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(byte))
        && !verb.is_empty()
        && verb.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
}

/// `EditIssue!default.jspa`, as Struts writes actions.
fn is_action(segment: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
    };
    segment.split_once('!').is_some_and(|(action, method)| is_name(action) && is_name(method))
}

/// `PROJ-69`: a number below a short name in upper case.
fn is_numbered(bytes: &[u8]) -> bool {
    let name = bytes.iter().take_while(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()).count();
    bytes[0].is_ascii_uppercase()
        && (2..=10).contains(&name)
        && bytes[name..].strip_prefix(b"-").is_some_and(|rest| !rest.is_empty() && digits(rest).1.is_empty())
}

/// `1024x768`
fn is_size(bytes: &[u8]) -> bool {
    let (width, rest) = digits(bytes);
    let Some(height) = rest.strip_prefix(b"x") else { return false };
    width > 0 && !height.is_empty() && digits(height).1.is_empty()
}

/// Of one case throughout.
fn is_hex(bytes: &[u8]) -> bool {
    let lower = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let upper = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
    bytes.iter().all(lower) || bytes.iter().all(upper)
}

/// Six consonants in a row.
fn is_gibberish(bytes: &[u8]) -> bool {
    let run = bytes.iter().try_fold(0_u8, |run, byte| {
        let low = byte.to_ascii_lowercase();
        let run = if low.is_ascii_alphabetic() && !b"aeiouy".contains(&low) { run + 1 } else { 0 };
        if run == 6 { ControlFlow::Break(()) } else { ControlFlow::Continue(run) }
    });
    run.is_break()
}

/// `xmlrpc`: two words without a vowel.
fn is_acronyms(segment: &str) -> bool {
    (2..segment.len().saturating_sub(1)).any(|at| {
        let (one, other) = segment.as_bytes().split_at(at);
        words::is_acronym(one) && words::is_acronym(other)
    })
}

/// Whether a token of several letters in both cases or in lower case has no vowel: `Jnm`, but not `HTTP` and not what
/// programmers write as a word.
fn has_odd_token(bytes: &[u8]) -> bool {
    camel_tokens(bytes).into_iter().any(|token| {
        token.last().is_some_and(u8::is_ascii_lowercase)
            && !token.iter().any(|byte| b"aeiouyAEIOUY".contains(byte))
            && !words::is_acronym(token)
    })
}

/// The tokens of CamelCase: `getUserById` has four.
fn camel_tokens(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut tokens, mut at) = (Vec::new(), 0);
    let run = |from: usize, is: fn(&u8) -> bool| bytes[from..].iter().take_while(|byte| is(byte)).count();
    while at < bytes.len() {
        let length = match bytes[at] {
            byte if byte.is_ascii_digit() => run(at, u8::is_ascii_digit),
            byte if byte.is_ascii_lowercase() => run(at, u8::is_ascii_lowercase),
            byte if byte.is_ascii_uppercase() => match run(at + 1, u8::is_ascii_lowercase) {
                0 => run(at, u8::is_ascii_uppercase),
                behind => 1 + behind,
            },
            _ => {
                at += 1;
                continue;
            }
        };
        tokens.push(&bytes[at..at + length]);
        at += length;
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_known_at_first_sight() {
        for (segment, kind) in [
            ("42", SegmentKind::Number),
            ("0f8fad5b-d9cb-469f-a165-70867728950e", SegmentKind::Uuid),
            ("2024-05-01", SegmentKind::Date),
            ("v1.4.2-rc1", SegmentKind::Version),
            ("deadbeef01", SegmentKind::Other),
            ("a%20b", SegmentKind::Other),
            ("cus_NffrFeUfNV2Hib", SegmentKind::Other),
            ("web-7c9d8f6b4-x2x9k2ab", SegmentKind::Other),
            ("Ab3dE5fG", SegmentKind::Other),
            ("order10234", SegmentKind::Other),
            ("xkcdqrst", SegmentKind::Other),
            ("Jos%C3%A9%201", SegmentKind::Other),
            ("a%FFb", SegmentKind::Other),
            ("%E2%82%AC", SegmentKind::Other),
            ("HbSPYgUJnmmhATcupbGFPA", SegmentKind::Other),
            ("Ga0sIwvizJjHuycPqxyObf", SegmentKind::Other),
            ("pi_HvahqLeUGFywJN", SegmentKind::Other),
            ("PROJ-69", SegmentKind::Other),
            ("64x64", SegmentKind::Other),
            ("cus_qQjiaXHEVNWisf", SegmentKind::Other),
        ] {
            assert_eq!(value(segment), Some(kind), "{segment}");
        }
    }

    #[test]
    fn words_are_not_taken_for_values() {
        for segment in [
            "",
            "orders",
            "getUserById",
            "v1",
            "oauth2",
            "s3",
            "wp-login.php",
            "operations:cancel",
            "a-b-c-d",
            "getXmlRequestUrlById",
            "AWSEBSVolumeIdentifier",
            "isUserInRoleOfOrgUnit",
            "card_payments",
            "wp_BlogPostArchive",
            "xmlrpc",
            "EditIssue!default.jspa",
            "A-1",
            "x64",
            "b%C3%BCcher",
            "Jos%C3%A9",
            "%D0%B7%D0%B0%D0%BA%D0%B0%D0%B7%D1%8B-%D0%B0%D1%80%D1%85%D0%B8%D0%B2",
        ] {
            assert_eq!(value(segment), None, "{segment}");
        }
    }

    #[test]
    fn codes_are_told_from_words() {
        for (segment, is_so) in
            [("DE", true), ("EUR", true), ("BER1", true), ("AB12CD", false), ("STATUS", false), ("de", false)]
        {
            assert_eq!(is_code(segment), is_so, "{segment}");
        }
    }

    #[test]
    fn a_format_stays_behind_a_value() {
        assert_eq!(split("42.json", Ends::Before), ("42", ".json"));
        assert_eq!(split("42:cancel", Ends::Before), ("42", ":cancel"));
        assert_eq!(split("word:cancel", Ends::Before), ("word:cancel", ""));
        assert_eq!(split("chart.js", Ends::Before), ("chart.js", ""));
        assert_eq!(split("c346eacb.jpg", Ends::Here), ("c346eacb", ".jpg"));
        assert_eq!(split(".env", Ends::Before), (".env", ""));
    }

    #[test]
    fn versions_of_an_interface_are_words() {
        for segment in ["v1", "v2beta1", "1.1", "v12alpha3", "v1_alpha", "v3-beta2", "v2.1"] {
            assert!(is_version(segment), "{segment}");
        }
        for segment in ["v", "v1234", "1.1.1", "1", "vault", "v1gamma", "v1_", "v1alpha", "v2.1.0"] {
            assert!(!is_version(segment), "{segment}");
        }
    }
}
