//! The facts that routing may use of a request. Borrowed from it: nothing is copied on the hot path.

use std::borrow::Cow;
use std::net::IpAddr;

use http::Method;

use crate::message::{Fields, Name, form_value};

/// The facts of one request.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The method that routes are matched by: for a CORS preflight the one it announces.
    pub method: &'a Method,
    /// For a CORS preflight, the value of `Access-Control-Request-Headers` (empty when it has none).
    pub preflight: Option<&'a str>,
    /// Without port, in the client's case.
    pub host: &'a str,
    /// The normalised path.
    pub path: &'a str,
    /// Byte for byte: what is no text in one parameter does not hide the others.
    pub query: Option<&'a [u8]>,
    pub headers: &'a Fields,
    /// The client's address, after trusted proxies.
    pub client: Option<IpAddr>,
    /// The request asks for another protocol on the connection.
    pub upgrade: bool,
}

impl<'a> Facts<'a> {
    /// The method on the wire.
    #[must_use]
    pub const fn sent_method(&self) -> &'a Method {
        if self.preflight.is_some() { &Method::OPTIONS } else { self.method }
    }

    /// The first cookie of this name, over all `Cookie` lines, without the quotes around it. A value that is not UTF-8 is
    /// none; it does not hide the other cookies of its line.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&'a str> {
        Self::cookie_of(self.headers, name)
    }

    /// The same for a request that is nothing but its headers.
    #[must_use]
    pub fn cookie_of(headers: &'a Fields, name: &str) -> Option<&'a str> {
        headers.all(Name::Cookie).flat_map(|line| line.split(|byte| *byte == b';')).find_map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            if pair[..equals].trim_ascii() != name.as_bytes() {
                return None;
            }
            std::str::from_utf8(unquoted(pair[equals + 1..].trim_ascii())).ok()
        })
    }

    /// The first value of this query key, percent-decoded, `+` read as a space, what is not UTF-8 as U+FFFD; a key without
    /// `=` is present and empty.
    #[must_use]
    pub fn query_value(&self, name: &str) -> Option<Cow<'a, str>> {
        form_value(self.query?, name)
    }

    /// A claim of the bearer token, read without a check of the signature. Strings as they are, numbers as written.
    #[must_use]
    pub fn jwt_claim(&self, claim: &str) -> Option<String> {
        let value = self.headers.text(Name::Authorization)?;
        let (scheme, token) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let payload = base64url(token.trim().split('.').nth(1)?)?;
        let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
        match claims.get(claim)? {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// Base64 with the URL alphabet, without padding, as tokens use it.
fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut held, mut bits) = (0_u32, 0_u32);
    for byte in text.trim_end_matches('=').bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(six)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_facts<T>(headers: &Fields, query: Option<&[u8]>, read: impl FnOnce(&Facts<'_>) -> T) -> T {
        read(&Facts {
            method: &Method::GET,
            preflight: None,
            host: "shop.example.com",
            path: "/",
            query,
            headers,
            client: None,
            upgrade: false,
        })
    }

    #[test]
    fn a_cookie_is_found_over_all_lines() {
        let mut headers = Fields::new();
        headers.append(Name::Cookie, b"a=1; b = \"two\" ;c=x=y; flag");
        headers.append(Name::Cookie, b"bad=\xff; late=3; a=9; q=\"");
        let table = [
            ("a", Some("1")),
            ("b", Some("two")),
            ("c", Some("x=y")),
            ("late", Some("3")),
            ("q", Some("\"")),
            ("bad", None),
            ("flag", None),
            ("A", None),
        ];
        for (name, expected) in table {
            assert_eq!(
                with_facts(&headers, None, |facts| facts.cookie(name).map(str::to_owned)).as_deref(),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn query_keys_and_values_are_decoded() {
        let headers = Fields::new();
        let query = b"a=1&b=x+y%21&%63=3&empty=&bare&bad=%zz%4&a=2&caf%C3%A9=%e9&raw=\xe9&late=\xc3\xa9";
        let table = [
            ("a", Some("1")),
            ("b", Some("x y!")),
            ("c", Some("3")),
            ("empty", Some("")),
            ("bare", Some("")),
            ("bad", Some("%zz%4")),
            ("caf\u{e9}", Some("\u{fffd}")),
            ("raw", Some("\u{fffd}")),
            ("late", Some("\u{e9}")),
            ("none", None),
        ];
        for (key, expected) in table {
            let value = with_facts(&headers, Some(&query[..]), |facts| facts.query_value(key).map(Cow::into_owned));
            assert_eq!(value.as_deref(), expected, "{key}");
        }
        assert!(with_facts(&headers, None, |facts| facts.query_value("a").is_none()));
    }

    #[test]
    fn a_claim_is_read_from_the_bearer_token() {
        // {"sub":"user-7","n":12345678901234567890,"big":1.50,"ok":true}
        let payload = "eyJzdWIiOiJ1c2VyLTciLCJuIjoxMjM0NTY3ODkwMTIzNDU2Nzg5MCwiYmlnIjoxLjUwLCJvayI6dHJ1ZX0";
        let table = [
            (format!("Bearer h.{payload}.s"), "sub", Some("user-7")),
            (format!("bearer  h.{payload}.s"), "n", Some("12345678901234567890")),
            (format!("Bearer h.{payload}=.s"), "big", Some("1.50")),
            (format!("Bearer h.{payload}.s"), "ok", None),
            (format!("Bearer h.{payload}.s"), "missing", None),
            (format!("Basic h.{payload}.s"), "sub", None),
            ("Bearer abc".to_owned(), "sub", None),
            ("Bearer a.!!.c".to_owned(), "sub", None),
        ];
        for (value, claim, expected) in table {
            let headers = Fields::from_iter([("authorization", value.as_str())]);
            assert_eq!(
                with_facts(&headers, None, |facts| facts.jwt_claim(claim)).as_deref(),
                expected,
                "{value} {claim}"
            );
        }
    }
}
