//! What routing may know of a request. Borrowed from it: nothing is copied on the hot path.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, Method, header};

/// The facts of one request.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The method that routes are matched by: for a CORS preflight the one it announces.
    pub method: &'a Method,
    /// For a CORS preflight, the value of `Access-Control-Request-Headers` (empty when it has none).
    pub preflight: Option<&'a str>,
    /// Without port, in the client's case.
    pub host: &'a str,
    /// The path as the client sent it.
    pub raw_path: &'a str,
    /// The normalised path.
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
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

    /// The first cookie of this name, over all `Cookie` lines.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&'a str> {
        self.headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok()).find_map(|line| {
            line.split(';').find_map(|pair| {
                let (key, value) = pair.split_once('=')?;
                (key.trim() == name).then(|| value.trim().trim_matches('"'))
            })
        })
    }

    /// The first value of this query key, percent-decoded, `+` read as a space; a key without `=` is present and empty.
    #[must_use]
    pub fn query_value(&self, name: &str) -> Option<Cow<'a, str>> {
        self.query?.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key) == name).then(|| decode(value))
        })
    }

    /// A claim of the bearer token, read without a check of the signature. Strings as they are, numbers as written.
    #[must_use]
    pub fn jwt_claim(&self, claim: &str) -> Option<String> {
        let value = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
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

fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let decoded = match (byte, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                _ => byte,
            },
            _ => byte,
        };
        bytes.push(decoded);
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
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
