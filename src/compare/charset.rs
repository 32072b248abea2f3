//! Bodies as text: UTF-8, or the old charset of the West where an answer says so.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// The bytes from 0x80 to 0x9f in windows-1252, which browsers read under all names of Latin-1.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// `None`: it is no text that can be read here.
pub(super) fn text<'a>(bytes: &'a [u8], headers: &HeaderMap) -> Option<Cow<'a, str>> {
    if bytes.is_ascii() || !says_latin1(headers) {
        return std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
    }
    let read = |byte: &u8| match byte {
        0x80..=0x9f => HIGH.get(usize::from(byte - 0x80)).copied().unwrap_or(char::REPLACEMENT_CHARACTER),
        byte => char::from(*byte),
    };
    Some(Cow::Owned(bytes.iter().map(read).collect()))
}

fn says_latin1(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let charset = value.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    let names = ["iso-8859-1", "latin1", "windows-1252", "cp1252"];
    charset.is_some_and(|charset| names.iter().any(|name| charset.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declared_charset_says_how_bytes_are_read() {
        for (kind, bytes, expected) in [
            ("text/html", &b"caf\xc3\xa9"[..], Some("café")),
            ("text/html", b"caf\xe9", None),
            ("text/html; charset=ISO-8859-1", b"caf\xe9", Some("café")),
            ("text/html; charset=\"windows-1252\"", b"\x93caf\xe9\x94 \x80", Some("“café” €")),
            ("text/html; charset=latin1", b"\xc3\xa9", Some("Ã©")),
            ("text/html; charset=utf-8", b"\xe9", None),
            ("text/html; charset=koi8-r", b"\xe9", None),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().expect("a header"))]);
            assert_eq!(text(bytes, &headers).as_deref(), expected, "{kind} {bytes:?}");
        }
    }
}
