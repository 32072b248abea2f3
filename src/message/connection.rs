//! Reads from a head of HTTP/1 whether its connection stays, and the length of its body.

use http::Version;

use super::{Fields, Name};

/// Whether another message may follow on the connection, as far as this head says.
#[must_use]
#[inline]
pub fn stays_open(version: Version, fields: &Fields) -> bool {
    let mut stays = version == Version::HTTP_11;
    for token in fields.all(Name::Connection).flat_map(|value| value.split(|byte| *byte == b',')) {
        if token.trim_ascii().eq_ignore_ascii_case(b"close") {
            return false;
        }
        stays |= token.trim_ascii().eq_ignore_ascii_case(b"keep-alive");
    }
    stays
}

/// A length: digits alone, no sign, no list, no overflow.
#[must_use]
#[inline]
pub fn digits(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |number, &byte| {
        byte.is_ascii_digit().then_some(())?;
        number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
}

/// Appends the line of a body's length.
#[inline]
pub fn put_length(text: &mut Vec<u8>, length: u64) {
    text.extend_from_slice(b"Content-Length: ");
    text.extend_from_slice(length.to_string().as_bytes());
    text.extend_from_slice(b"\r\n");
}
