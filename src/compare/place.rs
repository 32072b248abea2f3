//! Where the walk through a document stands, and the bounded name that place has in a report.

use super::path::write_key;
use super::redact::REDACTED;

/// One step from a value to one inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// `data`: the key is a value of its own (an id, an address), so the name says `*`.
    Key {
        name: &'a str,
        data: bool,
    },
    Item,
}

/// More keys than this in one object, and they are data.
pub(super) const MAX_KEYS: usize = 50;

/// Bytes of a field's name in reports and metrics; what lies deeper shares the name of what is above it.
const MAX_NAME: usize = 200;

/// Bytes of the name of a field inside a field.
const MAX_BELOW: usize = 300;

/// Longer keys are data whatever they say.
const MAX_KEY: usize = 64;

/// The name of a field of a JSON document: `$.items[*].price`. A key that repeats a secret has a name that is no rule about any
/// key: `$['[redacted]']`.
pub(super) fn name(at: &[Step<'_>], is_secret: impl Fn(&str) -> bool) -> String {
    let mut name = String::from("$");
    for step in at {
        let before = name.len();
        match step {
            Step::Key { data: true, .. } => name.push_str(".*"),
            Step::Key { name: key, .. } => {
                let key = if is_secret(key) { REDACTED } else { key };
                write_key(&mut name, key).expect("writing to a String cannot fail");
            }
            Step::Item => name.push_str("[*]"),
        }
        if name.len() > MAX_NAME {
            name.truncate(before);
            break;
        }
    }
    name
}

/// The name of a field inside a field: `$.html › p > a`, `csv.price`, `#1.3[*]`.
pub(super) fn below(base: &str, inner: &str) -> String {
    let steps = inner.strip_prefix('$').unwrap_or(inner);
    let mut out = match base {
        "csv" => format!("csv{}", steps.strip_prefix("[*]").unwrap_or(steps)),
        "#" => format!("#{}", steps.strip_prefix('.').unwrap_or(steps)),
        base => format!("{base} › {}", inner.strip_prefix("$.").unwrap_or(inner)),
    };
    if out.len() > MAX_BELOW {
        let end = (0..=MAX_BELOW).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0);
        out.truncate(end);
        out.push('…');
    }
    out
}

/// Whether a key looks like an id, an address or a date rather than like a name that a programmer gave.
pub(super) fn looks_like_data(key: &str) -> bool {
    if key.is_empty() || key.len() > MAX_KEY {
        return true;
    }
    // Most keys are words.
    if key.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-')) {
        return false;
    }
    if key.chars().any(char::is_control) {
        return true;
    }
    let digits = key.bytes().filter(u8::is_ascii_digit).count();
    let hex = key.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    key.contains(['@', '/'])
        || is_ipv6(key)
        || digits == key.len()
        || (digits > 0 && hex && key.len() >= 8)
        || (digits > 0 && key.len() >= 20)
        || (digits >= 4 && digits * 2 >= key.len())
}

/// A name of two parts, as `wp:featuredmedia`, is no address.
fn is_ipv6(key: &str) -> bool {
    key.matches(':').count() > 1 && key.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_data() {
        for key in [
            "42",
            "5f3a9c1e",
            "550e8400-e29b-41d4-a716-446655440000",
            "ann@example.com",
            "10.0.0.1",
            "2001:db8::1",
            "2026-11-21",
            "user-12345",
            "usr_9aBcDeFgHiJkLmNoPq3",
            "/api/users",
            "",
        ] {
            assert!(looks_like_data(key), "{key}");
        }
        for key in [
            "name",
            "address2",
            "line_1",
            "sha256",
            "md5",
            "ipv4",
            "beef",
            "deadbeef",
            "x-request-id",
            "größe",
            "updated at",
            "wp:featuredmedia",
            "dc:creator",
        ] {
            assert!(!looks_like_data(key), "{key}");
        }
    }

    #[test]
    fn a_name_is_bounded() {
        let key = "k".repeat(40);
        let at = vec![Step::Key { name: &key, data: false }; 100];
        assert!(name(&at, |_| false).len() <= MAX_NAME);
        assert_eq!(name(&[Step::Key { name: "42", data: true }, Step::Item], |_| false), "$.*[*]");
        assert_eq!(name(&[Step::Key { name: "hunter2", data: false }], |key| key == "hunter2"), "$['[redacted]']");
        assert_eq!(name(&[Step::Key { name: "42", data: true }], |_| true), "$.*");
        assert_eq!(name(&[], |_| false), "$");
    }
}
