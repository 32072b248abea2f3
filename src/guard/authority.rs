//! The grammar of a host in `Host`, in `:authority` and in an absolute target.

use std::net::Ipv6Addr;

/// Longer names cannot be resolved (RFC 1035), and a port adds six bytes.
const LONGEST: usize = 255 + 6;

/// Whether this is one host, with or without a port: a name of letters, digits, `-`, `.` and `_`, an IPv4 address, or an
/// IPv6 address in brackets.
///
/// RFC 3986 allows more in a name (`!$&'()*+,;=~` and percent escapes). No site has such a name, and what the upstream
/// would make of it cannot be known; so it is refused, as nginx and haproxy refuse most of it.
#[must_use]
pub fn is_valid(authority: &[u8]) -> bool {
    if authority.is_empty() || authority.len() > LONGEST {
        return false;
    }
    if authority.first() == Some(&b'[') {
        let Some(end) = authority.iter().position(|&byte| byte == b']') else { return false };
        let (literal, rest) = (&authority[1..end], &authority[end + 1..]);
        let address = std::str::from_utf8(literal).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok());
        return address && (rest.is_empty() || rest.strip_prefix(b":").is_some_and(is_port));
    }
    let (name, port) = match authority.iter().position(|&byte| byte == b':') {
        Some(colon) => (&authority[..colon], &authority[colon + 1..]),
        None => (authority, &b""[..]),
    };
    is_name(name) && is_port(port)
}

/// Whether two valid authorities name the same host and port: without case, an empty port or none read as the default.
/// Without a `default_port` both 80 and 443 are taken for it: the scheme is not known.
#[must_use]
pub fn is_same(one: &[u8], other: &[u8], default_port: Option<u16>) -> bool {
    let ((host, port), (other_host, other_port)) = (split_port(one), split_port(other));
    let is_default = |port: u16| default_port.map_or(matches!(port, 80 | 443), |default| port == default);
    host.eq_ignore_ascii_case(other_host)
        && match (port, other_port) {
            (None, None) => true,
            (Some(one), Some(other)) => one == other,
            (Some(port), None) | (None, Some(port)) => is_default(port),
        }
}

/// The port of a scheme without one.
#[must_use]
pub const fn default_port(scheme: &[u8]) -> Option<u16> {
    if scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"ws") {
        Some(80)
    } else if scheme.eq_ignore_ascii_case(b"https") || scheme.eq_ignore_ascii_case(b"wss") {
        Some(443)
    } else {
        None
    }
}

/// Host and port; an empty port is none.
fn split_port(authority: &[u8]) -> (&[u8], Option<u16>) {
    match authority.iter().rposition(|byte| !byte.is_ascii_digit()) {
        Some(at) if authority[at] == b':' => {
            let port = std::str::from_utf8(&authority[at + 1..]).ok().and_then(|port| port.parse().ok());
            (&authority[..at], port)
        }
        _ => (authority, None),
    }
}

/// The bytes of a label: letters, digits, `-` and `_`.
static IN_LABEL: [bool; 256] = {
    let mut bytes = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        bytes[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        byte += 1;
    }
    bytes
};

/// Labels of a name: none is empty, but for the one after the root's dot.
fn is_name(name: &[u8]) -> bool {
    let mut before = b'.';
    for &byte in name {
        if !IN_LABEL[usize::from(byte)] && (byte != b'.' || before == b'.') {
            return false;
        }
        before = byte;
    }
    !name.is_empty()
}

/// RFC 3986 lets a port be empty.
fn is_port(port: &[u8]) -> bool {
    port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
        && port.iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0')) <= 65_535
}

#[cfg(test)]
mod tests {
    use super::{default_port, is_same, is_valid};

    #[test]
    fn hosts_are_compared_without_case_and_default_port() {
        for (one, other, scheme, same) in [
            ("a", "A", "http", true),
            ("a", "a:80", "http", true),
            ("a:", "a:80", "HTTP", true),
            ("a:443", "a", "https", true),
            ("a:080", "a", "http", true),
            ("[::1]", "[::1]:80", "http", true),
            ("a", "a:443", "http", false),
            ("a", "a:80", "https", false),
            ("a", "b", "http", false),
            ("a:81", "a", "http", false),
            ("[::1]", "[::2]", "http", false),
            ("a", "a:443", "", true),
            ("a:80", "a:443", "", false),
        ] {
            let port = default_port(scheme.as_bytes());
            assert_eq!(is_same(one.as_bytes(), other.as_bytes(), port), same, "{one} {other} {scheme}");
            assert_eq!(is_same(other.as_bytes(), one.as_bytes(), port), same, "{other} {one} {scheme}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for host in [
            "example.com",
            "EXAMPLE.com:8080",
            "a",
            "a_b.internal",
            "example.com.",
            "xn--bcher-kva.example",
            "10.0.0.1",
            "10.0.0.1:80",
            "[::1]",
            "[::1]:65535",
            "[2001:db8::7]:443",
            "example.com:",
            "1.example:0",
        ] {
            assert!(is_valid(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        let long = "a".repeat(300);
        for host in [
            "",
            " ",
            "a b",
            "a/b",
            "a,b",
            "a\\b",
            "a@b",
            "user@example.com",
            "a:b",
            "a:1:2",
            "a:99999",
            "a:-1",
            "a:+1",
            ":80",
            "::1",
            "[::1",
            "::1]",
            "[::1]x",
            "[::1]:x",
            "[::1%25eth0]",
            "[v1.x]",
            "[]",
            ".",
            ".a",
            "a..b",
            "a?b",
            "a#b",
            "a\tb",
            "a%2eb",
            "a;b",
            "b\u{fc}cher",
            "http://a",
            "*",
            "a\0",
            &long,
        ] {
            assert!(!is_valid(host.as_bytes()), "{host:?}");
        }
    }
}
