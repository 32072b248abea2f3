//! Percent-encoding of text in a path or a query.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but the unreserved characters (RFC 3986, 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// A text as one segment of a path, or as a name or a value in a query.
#[must_use]
pub fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A path, whose slashes stay.
#[must_use]
pub fn percent_encoded_path(path: &str) -> String {
    utf8_percent_encode(path, RESERVED_IN_PATH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreserved_characters_stay_and_all_others_are_encoded() {
        assert_eq!(percent_encoded("aZ0-._~ /?=&%ü"), "aZ0-._~%20%2F%3F%3D%26%25%C3%BC");
        assert_eq!(percent_encoded_path("/a b/c?"), "/a%20b/c%3F");
    }
}
