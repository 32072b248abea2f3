//! JSON read for comparing: numbers as they were written, repeated keys kept, depth bounded.

use std::borrow::Cow;
use std::fmt::Write;

use super::number::Decimal;

/// Deeper documents are compared as text.
const MAX_DEPTH: usize = 128;

/// A JSON value that borrows the body it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    /// In the order written; a key may stand here more than once.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// The whole text as one value (RFC 8259); `None` if it is not JSON.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut reader = Reader { text: text.trim_start_matches('\u{feff}'), at: 0 };
        let value = reader.value(0)?;
        reader.space();
        (reader.at == reader.text.len()).then_some(value)
    }

    /// One value a line, as an array; record separators (RFC 7464) and empty lines are skipped.
    pub(super) fn parse_lines(text: &'a str) -> Option<Self> {
        text.split(['\n', '\u{1e}'])
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(Self::parse)
            .collect::<Option<_>>()
            .map(Self::Array)
    }

    pub(super) const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// Type and length, no value.
    pub(super) fn shape(&self) -> String {
        match self {
            Self::String(text) => format!("string({})", text.chars().count()),
            Self::Array(items) => format!("array({})", items.len()),
            Self::Object(members) => format!("object({})", members.len()),
            _ => self.type_name().to_owned(),
        }
    }

    /// Compact JSON, numbers as they came.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(text) => out.push_str(text),
            Self::String(text) => write_string(out, text),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(out, key);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// A number written so that equal values have equal texts.
pub(super) fn write_canonical_number(out: &mut String, text: &str) {
    match Decimal::parse(text) {
        Some(value) => out.push_str(&value.canonical()),
        None => out.push_str(text),
    }
}

/// A JSON string with its quotes.
pub(super) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                // Control characters lie below U+00A0, so four digits always suffice; writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Half of a surrogate pair is JSON (RFC 8259, section 8.2), but no text can hold it: its escape stands for it.
fn halves_as_written(token: &str) -> String {
    let unit = |escape: &str| u16::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok();
    let mut out = String::with_capacity(token.len() + 1);
    let mut rest = token;
    while let Some((before, escape)) = rest.find('\\').and_then(|at| rest.split_at_checked(at)) {
        out.push_str(before);
        let length = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                out.push('\\');
                6
            }
            (Some(_), _) => 6,
            (None, _) => escape.chars().take(2).map(char::len_utf8).sum(),
        };
        let (escape, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
        out.push_str(escape);
        rest = after;
    }
    out.push_str(rest);
    out
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn skip(&mut self, wanted: impl Fn(u8) -> bool) -> usize {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
        self.at - start
    }

    /// Whether the next byte was one of these; it is eaten then.
    fn skip_one(&mut self, of: &[u8]) -> bool {
        let found = self.peek().is_some_and(|byte| of.contains(&byte));
        self.at += usize::from(found);
        found
    }

    fn space(&mut self) {
        self.skip(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Option<Json<'a>> {
        self.text.get(self.at..)?.starts_with(word).then(|| {
            self.at += word.len();
            value
        })
    }

    fn value(&mut self, depth: usize) -> Option<Json<'a>> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.space();
        match self.peek()? {
            b'n' => self.word("null", Json::Null),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'"' => self.string().map(Json::String),
            b'[' => self.array(depth),
            b'{' => self.object(depth),
            // No JSON, but what Python and others write for it.
            b'N' => self.word("NaN", Json::Number("NaN")),
            b'I' => self.word("Infinity", Json::Number("Infinity")),
            b'-' if self.text.get(self.at..)?.starts_with("-Infinity") => {
                self.word("-Infinity", Json::Number("-Infinity"))
            }
            _ => self.number(),
        }
    }

    fn array(&mut self, depth: usize) -> Option<Json<'a>> {
        self.eat(b'[')?;
        self.space();
        let mut items = Vec::new();
        if self.eat(b']').is_some() {
            return Some(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.eat(b']').is_some() {
                return Some(Json::Array(items));
            }
            self.eat(b',')?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json<'a>> {
        self.eat(b'{')?;
        self.space();
        let mut members = Vec::new();
        if self.eat(b'}').is_some() {
            return Some(Json::Object(members));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            self.eat(b':')?;
            members.push((key, self.value(depth + 1)?));
            self.space();
            if self.eat(b'}').is_some() {
                return Some(Json::Object(members));
            }
            self.eat(b',')?;
        }
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        self.eat(b'"')?;
        let mut escaped = false;
        loop {
            self.skip(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                _ => return None,
            }
        }
        self.at += 1;
        let token = self.text.get(start..self.at)?;
        if escaped {
            // Escapes are rare; the decoder that knows surrogate pairs is serde_json's.
            let text = serde_json::from_str::<String>(token);
            return text.or_else(|_| serde_json::from_str(&halves_as_written(token))).ok().map(Cow::Owned);
        }
        token.get(1..token.len() - 1).map(Cow::Borrowed)
    }

    fn number(&mut self) -> Option<Json<'a>> {
        let start = self.at;
        let digit = |byte: u8| byte.is_ascii_digit();
        self.skip_one(b"-");
        if self.eat(b'0').is_none() && self.skip(digit) == 0 {
            return None;
        }
        if self.eat(b'.').is_some() && self.skip(digit) == 0 {
            return None;
        }
        if self.skip_one(b"eE") {
            self.skip_one(b"+-");
            if self.skip(digit) == 0 {
                return None;
            }
        }
        self.text.get(start..self.at).map(Json::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_json_and_what_is_not() {
        for text in ["null", " [1, 2.5e-3 ,-0] ", r#"{"a":{"b":[]},"a":"\u00e9\ud83d\ude00"}"#, "\u{feff}{}", "\"\""] {
            assert!(Json::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "01",
            "1.",
            ".5",
            "+1",
            "1ee5",
            "[1,]",
            "{\"a\"}",
            "nul",
            "1 2",
            "\"\n\"",
            "\"\\",
            "nan",
            "-NaN",
            "Inf",
            "'a'",
            "\"\\ud80\"",
            "\"\\ud800\\x\"",
        ] {
            assert!(Json::parse(text).is_none(), "{text}");
        }
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(&deep(128)).is_some());
        assert!(Json::parse(&deep(100_000)).is_none());
    }

    #[test]
    fn what_programs_write_beyond_json_is_told_apart() {
        let text = |token: &str| match Json::parse(token) {
            Some(Json::String(text)) => text.into_owned(),
            other => panic!("{token}: {other:?}"),
        };
        assert_eq!(text(r#""a\ud83d\ude00b""#), "a😀b");
        assert_eq!(text(r#""a\uD83D\n""#), "a\\uD83D\n");
        assert_eq!(text(r#""\ude00\ud83d\ude00\ud83d""#), "\\ude00😀\\ud83d");
        assert_ne!(text(r#""\ud800""#), text(r#""\ud801""#));
        for number in ["NaN", "Infinity", "-Infinity"] {
            assert_eq!(Json::parse(number), Some(Json::Number(number)));
        }
    }

    #[test]
    fn a_value_is_written_as_it_was_read() {
        for text in [r#"{"a":12345678901234567890.10,"a":[true,null,"x\"\\\n"]}"#, "[]", r#""é""#] {
            let mut out = String::new();
            Json::parse(text).expect("json").write(&mut out);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn lines_are_an_array() {
        let lines = Json::parse_lines("{\"a\":1}\r\n\n\u{1e}2\n").expect("lines");
        assert_eq!(lines.shape(), "array(2)");
        assert!(Json::parse_lines("1\nx").is_none());
    }
}
