//! Percent-encoding of text in a path, a query or a form.
//!
//! Decoding never fails: an invalid encoding stays as it is, and bytes that are not UTF-8 become U+FFFD.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// All but the unreserved characters (RFC 3986, 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// A text as one segment of a path, or as a name or a value in a query.
#[must_use]
pub fn percent_encoded(text: impl AsRef<[u8]>) -> String {
    percent_encode(text.as_ref(), RESERVED).to_string()
}

/// A path, whose slashes stay.
#[must_use]
pub fn percent_encoded_path(path: &str) -> String {
    percent_encode(path.as_bytes(), RESERVED_IN_PATH).to_string()
}

/// A text of a path, decoded.
#[must_use]
pub fn percent_decoded(text: &[u8]) -> Cow<'_, str> {
    percent_decode(text).decode_utf8_lossy()
}

/// A name or a value of a query or a form, decoded: `+` is a space.
#[must_use]
pub fn form_decoded(text: &[u8]) -> Cow<'_, str> {
    if !text.contains(&b'+') {
        return percent_decoded(text);
    }
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    Cow::Owned(percent_decoded(&spaced).into_owned())
}

/// Names and values of a query or a form, decoded; a name without `=` has an empty value.
pub fn form_pairs(form: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(form)
}

/// The first value of this name.
#[must_use]
pub fn form_value<'a>(form: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    form_pairs(form).find(|(known, _)| known == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreserved_characters_stay_and_all_others_are_encoded() {
        assert_eq!(percent_encoded("aZ0-._~ /?=&%ü"), "aZ0-._~%20%2F%3F%3D%26%25%C3%BC");
        assert_eq!(percent_encoded_path("/a b/c?"), "/a%20b/c%3F");
    }

    #[test]
    fn what_is_no_encoding_stays_when_it_is_decoded() {
        assert_eq!(percent_decoded(b"a%20b+c%2"), "a b+c%2");
        assert_eq!(percent_decoded(b"%zz%+5%C3%BC%ff"), "%zz%+5\u{fc}\u{fffd}");
        assert_eq!(form_decoded(b"x+y%2B%+5"), "x y+% 5");
        let pairs: Vec<_> = form_pairs(b"a=1&&b=x+y%2F&c&a=2").collect();
        assert_eq!(pairs, [("a", "1"), ("b", "x y/"), ("c", ""), ("a", "2")].map(|(a, b)| (a.into(), b.into())));
        assert_eq!(form_value(b"since=5m&client=%3A%3A1", "client").as_deref(), Some("::1"));
        assert_eq!(form_value(b"since=5m", "route"), None);
    }
}
