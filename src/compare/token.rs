//! Cuts texts into tokens and says where two of them differ, so that noise and a fault in one field are told apart.

use serde::{Deserialize, Serialize};

/// Classes of what stands in a differing part; a part may hold several.
pub(super) mod class {
    pub(crate) const SPACE: u16 = 1;
    pub(crate) const PUNCTUATION: u16 = 1 << 1;
    pub(crate) const WORD: u16 = 1 << 2;
    pub(crate) const NUMBER: u16 = 1 << 3;
    /// Letters mixed with digits: hex, base64, an id.
    pub(crate) const OPAQUE: u16 = 1 << 4;
    pub(crate) const UUID: u16 = 1 << 5;
    /// A date, a time, or both.
    pub(crate) const TIME: u16 = 1 << 6;
    /// One side has it, the other has not.
    pub(crate) const PRESENCE: u16 = 1 << 7;
    pub(crate) const TYPE: u16 = 1 << 8;
    pub(crate) const ORDER: u16 = 1 << 9;
    /// Lists, bytes and secrets that are compared as a whole.
    pub(crate) const WHOLE: u16 = 1 << 10;
}

/// The least length of a run of base64 that is taken for one token.
const LONG_RUN: usize = 12;

/// A differing part of a field: its classes, and hashes of the tokens before and behind it. No value is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hunk {
    pub(super) classes: u16,
    pub(super) before: u32,
    pub(super) behind: u32,
}

impl Hunk {
    /// For a difference that has no text.
    pub(super) const fn of(classes: u16) -> Self {
        Self { classes, before: 0, behind: 0 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) class: u16,
}

/// The tokens of a text; joined they are the text.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    cut(text, true)
}

/// The words and the marks of a run of base64.
pub(super) fn words_of_run(run: &str) -> impl Iterator<Item = Token<'_>> {
    let opaque = |class| if class == class::PUNCTUATION { class } else { class::OPAQUE };
    cut(run, false).into_iter().map(move |token| Token { class: opaque(token.class), ..token })
}

fn cut(text: &str, runs: bool) -> Vec<Token<'_>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, class) = token(rest, first, runs);
        let Some((text, behind)) = rest.split_at_checked(length.max(first.len_utf8())) else { break };
        out.push(Token { text, class });
        rest = behind;
    }
    out
}

/// `runs`: a long run of base64 is one token.
fn token(rest: &str, first: char, runs: bool) -> (usize, u16) {
    let run = |wanted: fn(char) -> bool| rest.find(|c| !wanted(c)).unwrap_or(rest.len());
    if first.is_whitespace() {
        return (run(char::is_whitespace), class::SPACE);
    }
    if !first.is_alphanumeric() && first != '_' {
        return (first.len_utf8(), class::PUNCTUATION);
    }
    if first.is_ascii_hexdigit() && is_uuid(rest.as_bytes()) {
        return (36, class::UUID);
    }
    if first.is_ascii_digit()
        && let Some(length) = time(rest.as_bytes())
    {
        return (length, class::TIME);
    }
    // `=` ends such a run and is no part of it: before it stands the name of what follows.
    let long = if runs { run(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '/')) } else { 0 };
    if long >= LONG_RUN && rest.get(..long).is_some_and(is_base64) {
        let padding = rest.bytes().skip(long).take(2).take_while(|byte| *byte == b'=').count();
        return (long + padding, class::OPAQUE);
    }
    let length = run(|c| c.is_alphanumeric() || c == '_');
    let word = rest.get(..length).unwrap_or_default();
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 {
        return (length, class::WORD);
    }
    if digits < word.len() {
        return (length, class::OPAQUE);
    }
    (number(rest.as_bytes(), length), class::NUMBER)
}

/// Digits go on behind a point or a comma if a digit follows; to a fraction an exponent belongs.
fn number(bytes: &[u8], mut length: usize) -> usize {
    let whole = length;
    while let (Some(b'.' | b','), Some(digit)) = (bytes.get(length), bytes.get(length + 1))
        && digit.is_ascii_digit()
    {
        length += 1 + bytes.get(length + 1..).map_or(0, digits_of);
    }
    // Without a fraction it may be a part of an id: `7e-10`.
    length + bytes.get(length..).filter(|_| length > whole).map_or(0, exponent)
}

/// The length of `e-05` or `E+7`, as programs write very small and very large numbers; 0: there is none.
fn exponent(bytes: &[u8]) -> usize {
    let digits = bytes.get(2..).map_or(0, digits_of);
    let ends = bytes.get(2 + digits).is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    if matches!(bytes, [b'e' | b'E', b'-' | b'+', ..]) && digits > 0 && ends { 2 + digits } else { 0 }
}

fn digits_of(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len())
}

fn is_uuid(bytes: &[u8]) -> bool {
    let ends = bytes.get(36).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    ends && bytes.get(..36).is_some_and(|bytes| {
        bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    })
}

/// Letters of both cases and digits, with few marks between them: neither a path nor words.
fn is_base64(run: &str) -> bool {
    let marks = run.bytes().filter(|byte| !byte.is_ascii_alphanumeric()).count();
    let has = |wanted: fn(&u8) -> bool| run.as_bytes().iter().any(wanted);
    marks * 8 <= run.len()
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_lowercase)
        && (has(u8::is_ascii_uppercase) || run.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The length of `2026-11-28`, `2026-11-28T10:00:00.5+01:00`, `10:00` and the like.
fn time(bytes: &[u8]) -> Option<usize> {
    let shaped = |from: usize, shape: &[u8]| {
        shape.iter().enumerate().all(|(at, wanted)| {
            bytes
                .get(from + at)
                .is_some_and(|byte| if *wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted })
        })
    };
    let date = shaped(0, b"0000-00-00") || shaped(0, b"0000/00/00");
    let mut at = if date { 10 } else { 0 };
    let clock = if date { usize::from(matches!(bytes.get(10), Some(b'T' | b' ' | b't'))) } else { 0 };
    if (!date || clock == 1) && shaped(at + clock, b"00:00") {
        at += clock + 5;
        if shaped(at, b":00") {
            at += 3;
        }
        if matches!(bytes.get(at), Some(b'.' | b',')) {
            let digits = bytes.get(at + 1..).map_or(0, digits_of);
            at += if digits > 0 { digits + 1 } else { 0 };
        }
        if matches!(bytes.get(at), Some(b'Z' | b'z')) {
            at += 1;
        } else if matches!(bytes.get(at), Some(b'+' | b'-')) && shaped(at + 1, b"00") {
            at += if shaped(at + 1, b"00:00") {
                6
            } else if shaped(at + 1, b"0000") {
                5
            } else {
                3
            };
        }
    }
    (at > 0 && bytes.get(at).is_none_or(|byte| !byte.is_ascii_alphanumeric())).then_some(at)
}

/// The text around a byte: a number of characters on each side, cut at the borders of tokens.
pub(super) fn surroundings(text: &str, at: usize, characters: usize) -> String {
    let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (before, behind) = text.split_at(at);
    let wide = before.char_indices().rev().nth(characters.saturating_sub(1)).map_or(0, |(at, _)| at);
    let mut from = at;
    for token in tokens(before.get(wide..).unwrap_or_default()).iter().rev() {
        // The first token may have been cut: it stays out, unless it is all there is.
        if from - token.text.len() == wide && wide > 0 && from < at {
            break;
        }
        from -= token.text.len();
    }
    let end = behind.char_indices().nth(characters).map_or(behind.len(), |(at, _)| at);
    let mut to = at;
    for token in tokens(behind) {
        if to + token.text.len() > at + end {
            break;
        }
        to += token.text.len();
    }
    if to == at {
        to = at + end;
    }
    let mut out = String::new();
    if from > 0 {
        out.push('…');
    }
    out.push_str(text.get(from..to).unwrap_or_default());
    if to < text.len() {
        out.push('…');
    }
    out
}

/// Types and lengths of the tokens around a byte: what `surroundings` shows, without a value.
pub(super) fn shapes(text: &str, at: usize) -> String {
    const AROUND: usize = 3;
    let tokens = tokens(text);
    let mut passed = 0;
    let first = tokens.iter().take_while(|token| {
        passed += token.text.len();
        passed <= at
    });
    let first = first.count();
    let from = first.saturating_sub(AROUND);
    let shown = tokens.iter().skip(from).take(first - from + AROUND + 1).map(|token| {
        let length = token.text.chars().count();
        match token.class {
            class::SPACE => " ".to_owned(),
            class::PUNCTUATION => token.text.to_owned(),
            class::WORD => format!("word({length})"),
            class::NUMBER => format!("number({length})"),
            class::UUID => "uuid".to_owned(),
            class::TIME => format!("time({length})"),
            _ => format!("id({length})"),
        }
    });
    let shown = shown.collect::<String>();
    let (head, tail) = (if from > 0 { "…" } else { "" }, if first + AROUND + 1 < tokens.len() { "…" } else { "" });
    format!("string({}): {head}{shown}{tail}", text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(text: &str) -> Vec<u16> {
        tokens(text).iter().map(|token| token.class).collect()
    }

    #[test]
    fn what_a_token_is() {
        use class::{NUMBER, OPAQUE, PUNCTUATION, SPACE, TIME, UUID, WORD};
        for (text, expected) in [
            ("10 EUR", &[NUMBER, SPACE, WORD][..]),
            ("1,234.50", &[NUMBER]),
            ("2.9839986164903465e-05", &[NUMBER]),
            ("1.5e+21 1.0E-7", &[NUMBER, SPACE, NUMBER]),
            ("7e-10", &[OPAQUE, PUNCTUATION, NUMBER]),
            ("2026-11-28T10:00:00.5+01:00", &[TIME]),
            ("2026-11-28 10:00", &[TIME]),
            ("at 10:00:07.", &[WORD, SPACE, TIME, PUNCTUATION]),
            ("550e8400-e29b-41d4-a716-446655440000", &[UUID]),
            ("id=a1b2c3", &[WORD, PUNCTUATION, OPAQUE]),
            ("q83vEjRWeJq83v+EjRW/eJo=", &[OPAQUE]),
            ("?ref=fW7-dKq2_ZbL0cTe", &[PUNCTUATION, WORD, PUNCTUATION, OPAQUE]),
            ("?ref=fW7adKq2ZZbL0cTe", &[PUNCTUATION, WORD, PUNCTUATION, OPAQUE]),
            ("v=cfCT54GdEYZmT4a0", &[WORD, PUNCTUATION, OPAQUE]),
            ("/wp-content/uploads/2026/photo.jpg", &[2, 4, 2, 4, 2, 4, 2, 8, 2, 4, 2, 4]),
            ("größe", &[WORD]),
        ] {
            assert_eq!(classes(text), expected, "{text}");
            assert_eq!(tokens(text).iter().map(|token| token.text).collect::<String>(), text);
        }
    }

    #[test]
    fn surroundings_are_cut_at_tokens() {
        let text = "The quick brown fox jumps over the lazy dog";
        assert_eq!(surroundings(text, 16, 8), "… brown fox …");
        assert_eq!(surroundings("ab", 1, 48), "ab");
        assert_eq!(surroundings("é", 1, 48), "é");
        assert_eq!(shapes("price 10 EUR", 6), "string(12): word(5) number(2) word(3)");
    }
}
